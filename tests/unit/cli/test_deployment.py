"""Commands that decide which version serves."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("words", "call"),
    [
        ("versions", ("versions", (None,), {})),
        ("versions demand", ("versions", ("demand",), {})),
        ("promote demand", ("promote", ("demand", None), {"force": False, "reason": ""})),
        ("promote demand --version 3 --force --reason season", ("promote", ("demand", 3), {"force": True, "reason": "season"})),
        ("rollback demand --reason worse", ("rollback", ("demand",), {"reason": "worse"})),
        ("split demand 4 0.1", ("split", ("demand", 4, 0.1), {"reason": ""})),
        ("export demand away --version 2", ("export", ("demand", Path("away")), {"version": 2})),
        ("import demand away", ("import_", ("demand", Path("away")), {"trust": None})),
        ("import demand away --trust their.pem", ("import_", ("demand", Path("away")), {"trust": Path("their.pem")})),
    ],
)
def test_the_action_gets_what_was_typed(desk, tradewind_, words, call):
    assert tradewind_(*words.split()).status == 0
    assert desk.calls == [call]


@pytest.mark.parametrize("share", ["1.5", "-0.1", "half"])
def test_a_share_is_between_0_and_1(desk, tradewind_, share):
    assert tradewind_("split", "demand", "4", share).status == 2
    assert desk.calls == []
