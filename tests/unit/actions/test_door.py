"""The door names arguments that an action does not take, and lets faults of the action itself through as faults."""

from __future__ import annotations

from datetime import date, datetime

import numpy as np
import polars as pl
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


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda desk: desk.train("demand", search_s="a"), "search_s must be a number, not 'a'"),
        (lambda desk: desk.evaluate("demand", folds="a"), "folds must be a number"),
        (lambda desk: desk.train("demand", budget={"nope": 1}), "budget: .*nope"),
        (lambda desk: desk.train("demand", budget={"deadline_s": "soon"}), "deadline_s must be a number"),
        (lambda desk: desk.train("demand", budget=7), "budget must be a Budget or values by name, not 7"),
        (lambda desk: desk.train("demand", recipes="nope"), "demand has no recipe 'nope'"),
        (lambda desk: desk.show("sales", version="1"), "version must be a whole number, not '1'"),
        (lambda desk: desk.show("sales", limit=None), "limit must be a whole number, not None"),
        (lambda desk: desk.show("sales", limit=-5), "limit must be a number of rows, not -5"),
        (lambda desk: desk.show("sales", since="garbage"), "since must be a date, not 'garbage'"),
        (lambda desk: desk.show("sales", until="2024-13-01"), "until must be a date"),
    ],
)
def test_arguments_of_another_kind_are_named(tmp_path, call, said):
    with tradewind.open(tmp_path / "ws") as desk:
        desk.load(sales(), table="sales")
        with pytest.raises(BadValue, match=said):
            call(desk)


def test_dates_may_be_dates(tmp_path):
    with tradewind.open(tmp_path / "ws") as desk:
        desk.load(sales(), table="sales")
        for since in (date(2024, 1, 30), datetime(2024, 1, 30), np.datetime64("2024-01-30"), "2024-01-30", "2024-01-30T00:00:00Z"):
            assert len(desk.show("sales", since=since).table) == 2
        assert len(desk.show("sales", since="2024-01", until=date(2024, 1, 4)).table) == 4


def sales():
    days = pl.date_range(date(2024, 1, 1), date(2024, 1, 31), eager=True)
    return pl.DataFrame({"date": days, "product": ["a"] * 31, "units": [float(at % 7) for at in range(31)]})


def test_a_checkpoint_line_is_checked_without_being_asked_twice(tmp_path):
    with tradewind.open(tmp_path / "ws") as desk:
        desk.load(sales(), table="sales")
        line = desk.audit(verify=True).fact("checkpoint")
        assert desk.audit(anchor=line).source["verified"] and desk.audit(anchor=line).fact("events_checked") > 0
        with pytest.raises(BadValue, match="not a checkpoint line"):
            desk.audit(anchor="xx")


def test_one_text_may_stand_for_a_list_of_one(tmp_path):
    with tradewind.open(tmp_path / "ws") as desk:
        wide = pl.DataFrame({"date": ["2024-01-01"], "QTY_a": [1], "QTY_b": [2]})
        assert desk.load(wide, table="sales", wide="QTY_{product}=units").source["rows"] == 2
        with pytest.raises(BadValue, match="limit must be a whole number, not 'x'"):
            desk.audit(limit="x")
