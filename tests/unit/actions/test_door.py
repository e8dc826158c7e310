"""The door names arguments that an action does not take, and lets faults of the action itself through as faults."""

from __future__ import annotations

import pytest

import tradewind
from tradewind.core.errors import BadValue, Unexpected


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda desk: desk.predict("churn", nonsense=1), "predict: got an unexpected keyword argument 'nonsense'"),
        (lambda desk: desk.predict(), "predict: missing a required argument: 'model'"),
        (lambda desk: desk.train("churn", nonsense=1), "train: got an unexpected keyword argument 'nonsense'"),
    ],
)
def test_wrong_arguments_are_named_with_and_without_a_lock(tmp_path, call, said):
    with tradewind.open(tmp_path / "ws") as desk, pytest.raises(BadValue, match=said) as told:
        call(desk)
    assert "ws: 'Workspace', model" in told.value.hint


def test_a_type_error_inside_an_action_is_no_wrong_argument(tmp_path, monkeypatch):
    with tradewind.open(tmp_path / "ws") as desk:
        monkeypatch.setattr(type(desk.view), "fresh", lambda *_, **__: len(5))
        with pytest.raises(Unexpected, match="something went wrong in predict"):
            desk.predict("churn")
