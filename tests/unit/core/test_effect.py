"""An effect keeps its numbers together and refuses those that do not fit."""

from __future__ import annotations

import json
import math

import pytest

from tradewind.core.effect import Check, Effect
from tradewind.core.errors import BadValue


def made(estimate: float = 2.0, error: float = 0.5) -> Effect:
    return Effect.normal(estimate, error, method="a test", n=100, unit="units", checks=(Check("placebo", True, "fine", 0.1),))


def test_normal_intervals_are_those_of_the_normal_law() -> None:
    low, high = made().intervals[95]
    assert low == pytest.approx(2 - 1.959964 * 0.5, abs=1e-6) and high == pytest.approx(2 + 1.959964 * 0.5, abs=1e-6)
    assert made().excludes(0.0) and not made().excludes(1.5) and made().excludes(1.5, level=50)


def test_a_negative_factor_turns_the_interval_round() -> None:
    turned = made().scaled(-3.0, unit="money")
    assert (turned.estimate, turned.standard_error, turned.unit) == (-6.0, 1.5, "money")
    assert turned.intervals[90][0] == pytest.approx(-3 * made().intervals[90][1])
    assert turned.intervals[90][0] < turned.intervals[90][1]


def test_distance_counts_standard_errors_of_both() -> None:
    assert made().distance(0.0) == pytest.approx(4.0)
    assert made(2.0, 0.3).distance(made(1.5, 0.4)) == pytest.approx(1.0)
    assert made(1.0, 0.0).distance(made(1.0, 0.0)) == 0.0
    assert made(1.0, 0.0).distance(2.0) == math.inf


def test_a_failed_check_makes_it_unsound_and_is_a_fact() -> None:
    worse = made().checked(Check("random cause", False, "it moved"))
    assert made().sound and not worse.sound
    assert [fact.value for fact in worse.facts()][-1] == "failed"


def test_plain_data_comes_back_the_same() -> None:
    assert Effect.from_dict(json.loads(json.dumps(made().as_dict()))) == made()
    with pytest.raises(BadValue):
        Effect.from_dict({"estimate": 1})


def test_a_row_of_experiments_and_of_intervals() -> None:
    assert made().experiment("spring", "tv", "2026-01-01", "2026-01-31")["lift"] == 2.0
    assert list(made().row())[:4] == ["mean", "standard_error", "lo50", "hi50"]


@pytest.mark.parametrize(("estimate", "error"), [(math.nan, 1.0), (1.0, -1.0), (1.0, math.inf)])
def test_numbers_that_are_none_are_refused(estimate: float, error: float) -> None:
    with pytest.raises(BadValue):
        made(estimate, error)


def test_intervals_must_be_whole_and_the_right_way_round() -> None:
    with pytest.raises(BadValue):
        Effect(1.0, 1.0, {90: (0.0, 2.0)}, "x", 1)
    with pytest.raises(BadValue):
        Effect(1.0, 1.0, dict.fromkeys((50, 80, 90, 95), (2.0, 0.0)), "x", 1)
    with pytest.raises(BadValue):
        made().excludes(0.0, level=99)
