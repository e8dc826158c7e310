"""The spend planner on a model whose best plan is known in closed form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from tradewind.core.errors import BadValue, LearnFailed, NotFound
from tradewind.core.table import Table
from tradewind.planning.spend import plan

PERIODS, NAMES = 4, ("tv", "search", "radio")
STRENGTH = np.array([3.0, 2.0, 1.0])
TODAY = np.array([100.0, 100.0, 100.0])


class Roots:
    """Every period of every channel brings strength x sqrt(spend), no carry-over: the best split of a budget goes by strength squared."""

    def __init__(self, spread: float = 0.05, worth: float = 20.0) -> None:
        rng = np.random.default_rng(0)
        self.strength = STRENGTH * np.exp(spread * rng.normal(size=(400, 3)) * np.array([4.0, 1.0, 1.0]))
        self.worth = worth
        self.asked = 0

    def __call__(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        if request["about"] == "usual":
            periods = request["periods"]
            dates = [str(np.datetime64("2026-01-05") + 7 * at) for at in range(periods)]
            return {
                "channels": np.array(NAMES, object),
                "dates": np.array(dates, object),
                "spend": np.tile(TODAY, (periods, 1)),
                "highest": TODAY * 1.4,
                "worth": np.array([self.worth]),
                "name": np.array(["revenue"], object),
                "grain": np.array(["week"], object),
            }
        self.asked += 1
        spend = request["spend"]
        by = self.strength * np.sqrt(spend).sum(0)
        slope = self.strength[:, None, :] * 0.5 / np.sqrt(np.maximum(spend, 1e-9))
        return {"outcome": by.sum(1), "after": np.zeros(400), "by_channel": by, "slope": slope}


def ask(model: Roots | None = None, *, periods: int = PERIODS, **given: Any) -> Any:
    limits = {"periods": periods, **given.pop("limits", {})}
    return plan(model or Roots(), {"asked": None, "budget": None, "lock": {}, "limits": limits, **given})


def spend_of(made: Any) -> dict[str, float]:
    return dict(zip(made.table.column("channel").tolist(), made.table.column("spend").tolist(), strict=True))


def fact(made: Any, name: str) -> Any:
    return next(one.value for one in made.facts if one.name == name)


def test_the_best_split_is_found_where_nothing_binds() -> None:
    made = ask(Roots(spread=0.0), limits={"change": 1.0, "channels": {name: [0, 5000] for name in NAMES}})
    best = STRENGTH**2 / (STRENGTH**2).sum() * 1200
    np.testing.assert_allclose([spend_of(made)[name] for name in NAMES], best, rtol=1e-3)
    assert fact(made, "binding") == "the budget"
    np.testing.assert_allclose(made.table.column("next_unit"), made.table.column("next_unit")[0], rtol=2e-3)


def test_the_budget_is_spent_to_the_last() -> None:
    made = ask(budget=1000.0)
    assert sum(spend_of(made).values()) == pytest.approx(1000.0, rel=1e-6)


def test_a_smaller_budget_is_compared_with_the_mix_of_today_at_that_budget() -> None:
    made = ask(Roots(spread=0.0, worth=1.0), budget=900.0, limits={"change": 1.0})
    mix, best = (float((STRENGTH * np.sqrt(split / PERIODS)).sum() * PERIODS) for split in (np.full(3, 300.0), 900 * STRENGTH**2 / 14))
    assert fact(made, "mix_gain") == pytest.approx(best - mix, rel=0.02) and fact(made, "mix_chance") == 1.0
    assert f"{-fact(made, 'gain'):,.2f} less than today's plan" in made.words and "keep today's plan" not in made.words
    assert "mix_gain" not in {one.name for one in ask().facts}


def test_limits_bind_and_are_named() -> None:
    made = ask()
    assert spend_of(made)["tv"] == pytest.approx(600.0)
    assert spend_of(made)["radio"] == pytest.approx(200.0, rel=1e-3)
    assert "tv is at its upper limit" in fact(made, "binding")
    assert "radio is at its lower limit" in fact(made, "binding")


def test_a_lock_is_kept_and_the_rest_share_what_is_left() -> None:
    made = ask(budget=1200.0, lock={"tv": 300.0})
    assert spend_of(made)["tv"] == 300.0
    assert spend_of(made)["search"] + spend_of(made)["radio"] == pytest.approx(900.0, rel=1e-6)
    assert spend_of(made)["search"] > spend_of(made)["radio"]
    assert "tv is locked" in fact(made, "binding")


def test_a_rule_over_channels_is_kept() -> None:
    rule = {"weights": {"tv": 1, "search": 1}, "at_most": 850, "name": "screens"}
    made = ask(limits={"rules": [rule]})
    assert spend_of(made)["tv"] + spend_of(made)["search"] <= 850 * (1 + 1e-6)
    assert "screens" in fact(made, "binding")


def test_a_target_return_is_reached_with_as_much_as_it_bears() -> None:
    made = ask(limits={"target_roi": 3.2, "change": 0.9})
    assert fact(made, "roi") == pytest.approx(3.2, rel=1e-3)
    assert "the target return" in fact(made, "binding")
    assert fact(made, "spend") != pytest.approx(1200.0)


def test_a_target_out_of_reach_is_said() -> None:
    with pytest.raises(LearnFailed, match="no plan keeps all limits"):
        ask(limits={"target_roi": 50.0})


def test_care_moves_away_from_what_is_unsure() -> None:
    bold, careful = ask(Roots(0.1)), ask(Roots(0.1), limits={"risk": 5.0})
    assert spend_of(careful)["tv"] < spend_of(bold)["tv"]


def test_the_chance_and_the_interval_are_those_of_the_draws() -> None:
    model = Roots(0.1)
    made = ask(model)
    spend = np.array([spend_of(made)[name] for name in NAMES]) / PERIODS
    gain = 20.0 * PERIODS * (model.strength * (np.sqrt(spend) - np.sqrt(TODAY))).sum(1)
    assert fact(made, "gain") == pytest.approx(np.median(gain), abs=0.01)
    assert fact(made, "gain_lo80") == pytest.approx(np.quantile(gain, 0.1), abs=0.01)
    assert fact(made, "chance_better") == pytest.approx((gain > 0).mean(), abs=1e-3)


def test_a_gain_that_is_not_sure_is_not_recommended() -> None:
    made = ask(Roots(0.6))
    assert fact(made, "chance_better") < 0.8
    assert fact(made, "recommended") is False
    assert "not sure enough" in made.words


def test_where_nothing_is_better_today_is_kept() -> None:
    made = ask(lock=dict.fromkeys(NAMES, 400.0))
    assert made.words.startswith("Keep the plan of today")
    assert fact(made, "recommended") is False


def test_free_phasing_gives_a_row_per_period_and_keeps_the_sums() -> None:
    made = ask(limits={"phasing": "free"})
    assert len(made.table) == PERIODS * len(NAMES)
    total = {name: made.table.column("spend")[made.table.column("channel") == name].sum() for name in NAMES}
    assert sum(total.values()) == pytest.approx(1200.0, rel=1e-5)
    assert total["tv"] <= 600 * (1 + 1e-5)
    even = made.table.column("spend")[made.table.column("channel") == "tv"]
    assert even.std() < 0.05 * even.mean()  # a root is concave: an even flow is best


def test_the_plan_to_start_from_can_be_given() -> None:
    asked = Table.from_columns({"channel": np.array(["tv"], object), "spend": np.array([50.0])})
    made = ask(asked=asked)
    assert fact(made, "spend_today") == pytest.approx(50 * PERIODS + 200 * PERIODS)


def test_a_channel_asked_twice_is_refused_and_a_dated_row_stands_beside_one_for_all_periods() -> None:
    days = np.array(["2026-01-12", "NaT"], "M8[D]")
    tv = {"channel": np.array(["tv", "tv"], object), "spend": np.array([80.0, 50.0])}
    with pytest.raises(BadValue, match="spend of tv is asked more than once"):
        ask(asked=Table.from_columns(tv))
    with pytest.raises(BadValue, match="tv in the period of 2026-01-12 is asked more than once"):
        ask(asked=Table.from_columns(tv | {"date": days[[0, 0]]}))
    made = ask(asked=Table.from_columns(tv | {"date": days}), limits={"periods": PERIODS})
    now = made.table.column("today")[made.table.column("channel") == "tv"]
    assert now.tolist() == [3 * 50.0 + 80.0]


def test_spend_beyond_anything_seen_is_said() -> None:
    made = ask(budget=2400.0)
    assert "tv" in fact(made, "beyond")
    assert "Above anything spent before" in made.words


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"limits": {"colour": 1}}, BadValue),
        ({"limits": {"change": -1}}, BadValue),
        ({"limits": {"phasing": "odd"}}, BadValue),
        ({"limits": {"channels": {"tv": [500, 100]}}}, BadValue),
        ({"limits": {"channels": {"cinema": [1, 2]}}}, NotFound),
        ({"limits": {"rules": [{"weights": {"tv": 1}}]}}, BadValue),
        ({"limits": {"risk": "brave"}}, BadValue),
        ({"lock": {"cinema": 1.0}}, NotFound),
        ({"lock": {"tv": -1.0}}, BadValue),
        ({"lock": {"tv": 900.0}, "budget": 800.0}, BadValue),
        ({"budget": 100_000.0, "limits": {"channels": {name: [0, 500] for name in NAMES}}}, BadValue),
        ({"budget": 0.0}, BadValue),
        ({"limits": {"rules": [{"weights": {"tv": "much"}, "at_most": 1}]}}, BadValue),
        ({"limits": {"rules": [{"weights": {"tv": 1}, "at_most": "little"}]}}, BadValue),
        ({"limits": {"rules": {"weights": {"tv": 1}, "at_most": 1}}}, BadValue),
        ({"limits": {"channels": [1]}}, BadValue),
        ({"limits": {"channels": {"tv": [True, 5]}}}, BadValue),
        ({"limits": {"target_roi": 0}}, BadValue),
        ({"limits": {"rules": [{"weights": {}, "at_least": 5}]}}, BadValue),
    ],
)
def test_what_cannot_be_planned_is_refused(given: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        ask(**given)


def test_rules_that_leave_no_plan_are_refused_before_any_search() -> None:
    model = Roots()
    for given in ({}, {"lock": dict.fromkeys(NAMES, 400.0)}):
        with pytest.raises(LearnFailed, match="no plan keeps all limits"):
            ask(model, limits={"rules": [{"weights": {"tv": 1}, "at_most": 50}]}, **given)
    assert model.asked <= 2


class Followed(Roots):
    """The same, where the spend of search follows demand."""

    def __call__(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        said = super().__call__(request)
        return {**said, "responds": np.array([0.0, 1.0, 0.0])} if request["about"] == "usual" else said


def test_what_others_are_locked_out_of_goes_to_no_channel_that_follows_demand() -> None:
    made = ask(Followed(), lock={"tv": 300.0})
    assert spend_of(made)["search"] <= 400.0 + 1e-6
    assert "Search is not given a larger share" in made.words
    assert spend_of(ask(Followed(), lock={"tv": 900.0}))["search"] <= 150.0 + 1e-6  # less for all others


def test_a_budget_that_only_such_a_channel_could_take_is_refused_with_the_reason() -> None:
    with pytest.raises(BadValue) as refused:
        ask(Followed(), lock={"tv": 0.0, "radio": 0.0})
    assert "search is not given a larger share" in str(refused.value.hint)
