"""The calendar planner: what it fills in, and which limits it keeps."""

from __future__ import annotations

import numpy as np
import pytest

from tradewind.core.errors import BadValue
from tradewind.core.table import Table
from tradewind.planning import calendar

GAIN = np.array([50.0, 40.0, 30.0, 20.0, -10.0])
SPEND = np.array([100.0, 50.0, 50.0, 10.0, 5.0])
PRODUCTS = ["A", "A", "B", "C", "D"]
START = np.array([0.0, 3.0, 0.0, 10.0, 10.0]) + 20_000


def respond(request):
    if request["about"] == "calendar":
        return {"promotion": np.array([], object)}
    noise = np.random.default_rng(0).normal(size=(200, 5))
    text = {
        "promotion": np.array([str(at + 1) for at in range(5)], object),
        "product": np.array(PRODUCTS, object),
        "category": np.array(["x", "x", "x", "y", "y"], object),
        "mechanic": np.array(["price_cut"] * 5, object),
    }
    return text | {"start": START, "end": START + 6, "gain": GAIN + noise, "units": GAIN + noise, "spend": SPEND}


def asked() -> Table:
    start = START.astype("i8").astype("M8[D]")
    depth = np.array([0.4, 0.1, 0.1, 0.1, 0.1])
    return Table.from_columns({"product": np.array(PRODUCTS, object), "start": start, "end": start + 6, "discount": depth})


def wishes(budget=None, lock=None, **limits):
    return {"asked": asked(), "budget": budget, "lock": lock or {}, "limits": limits}


def chosen(planned) -> list[str]:
    return planned.table.column("promotion")[planned.table.column("verdict") == "run"].tolist()


def test_the_best_are_run_one_at_a_time_per_product_and_losers_are_left():
    assert chosen(calendar.plan(respond, wishes())) == ["1", "3", "4"]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"budget": 110.0}, ["2", "3", "4"]),
        ({"slots": 1}, ["1", "4"]),
        ({"overlap": 1}, ["1", "4"]),
        ({"count": 1}, ["1"]),
        ({"depth": 0.2}, ["2", "3", "4"]),
        ({"lock": {"1": 0}}, ["2", "3", "4"]),
        ({"lock": {"5": 1}}, ["1", "3", "4", "5"]),
    ],
)
def test_limits_are_kept(given, wanted):
    assert chosen(calendar.plan(respond, wishes(**given))) == wanted


def test_it_says_which_limit_binds_and_how_sure_the_gain_is():
    planned = calendar.plan(respond, wishes(budget=110.0))
    facts = {one.name: one.value for one in planned.facts}
    assert "budget" in facts["binding"] and facts["gain_lo80"] <= facts["gain"] <= facts["gain_hi80"] and facts["spend"] <= 110


def test_what_cannot_be_is_refused():
    for given, said in (
        ({"colour": 1}, "no limit"),
        ({"lock": {"9": 1}}, "no candidate"),
        ({"lock": {"1": 1, "2": 1}}, "no calendar fits"),
        ({"depth": 2.0}, "depth must"),
        ({"depth": 0.2, "lock": {"1": 1}}, "deeper than the limit of 20%"),
    ):
        with pytest.raises(BadValue, match=said):
            calendar.plan(respond, wishes(**given))
    with pytest.raises(BadValue, match="no promotion is planned"):
        calendar.plan(respond, wishes() | {"asked": None})


def test_what_the_model_never_saw_and_left_out_is_told_of_what_is_chosen():
    def told(request):
        return respond(request) | {
            "beyond": np.array([0.8, 0.0, 0.0, 0.0, 0.9]),
            "deepest": np.array([0.3]),
            "notes": np.array(["1 row is left out."], object),
        }

    notes = [fact.value for fact in calendar.plan(told, wishes()).facts if fact.name == "note"]
    assert notes == ["1 row is left out.", "No depth so large was ever seen (largest seen 30 %): 1 (80 %)."]  # the fifth is not run
    assert not [fact for fact in calendar.plan(respond, wishes()).facts if fact.name == "note"]
