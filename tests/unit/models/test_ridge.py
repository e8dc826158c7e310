from dataclasses import replace

import numpy as np
import pytest

from tradewind.models._kit.calendar import GRAINS, Clock
from tradewind.models._kit.forecast import ridge
from tradewind.models._kit.panel import Panel

WEEKS, HORIZON = 208, 13


def panel(units, cut, grain="week", **ahead):
    units = np.asarray(units, "f4").copy()
    units[:, cut:] = np.nan
    keys = np.array([f"P{at}" for at in range(len(units))], object)
    kinds = {name: "price" if name == "price" else "event" if name.startswith("event") else "lever" for name in ahead}
    return Panel(
        Clock(GRAINS[grain]),
        2600,
        cut,
        {"product": keys},
        units,
        {name: value.astype("f4") for name, value in ahead.items()},
        kinds,
        {},
        {},
        {},
    )


def seasonal(periods, per_year, noise=0.05, seed=0, count=1):
    draw = np.random.default_rng(seed)
    at = np.arange(periods)
    shape = 0.4 * np.sin(2 * np.pi * at / per_year) + 0.2 * np.cos(4 * np.pi * at / per_year)
    return 100 * np.exp(shape + noise * draw.normal(size=(count, periods)))


def said(whole, horizon=HORIZON, groups=ridge.GROUPS):
    learned = ridge.fit(whole, horizon=horizon, groups=groups)
    return ridge.say(learned, np.arange(len(whole)), whole, np.arange(horizon))


def test_a_year_of_weeks_is_learned():
    units = seasonal(WEEKS + HORIZON, 365.25 / 7)
    found = said(panel(units, WEEKS))
    assert np.abs(found / units[:, WEEKS:] - 1).mean() < 0.06
    assert np.abs(units[:, WEEKS - 1 : WEEKS] / units[:, WEEKS:] - 1).mean() > 0.15  # what repeating the last week would do


def test_a_season_is_not_learned_from_one_year():
    units = seasonal(60, 365.25 / 7)
    learned = ridge.fit(panel(units, 60), horizon=HORIZON)
    assert not learned.beta.any()


def test_a_trend_is_kept_out_of_the_seasons_and_continued():
    at = np.arange(96 + 12)
    units = (50 * 1.01**at * np.exp(0.3 * np.sin(2 * np.pi * at / 12)))[None]
    assert np.abs(said(panel(units, 96, "month"), 12) / units[:, 96:] - 1).max() < 0.05


def priced(elasticity=-2.0, lift=0.5, count=3):
    draw = np.random.default_rng(5)
    price = 4 * np.exp(0.15 * draw.normal(size=(count, WEEKS + HORIZON)))
    flag = (draw.random((count, WEEKS + HORIZON)) < 0.2).astype(float)
    units = seasonal(WEEKS + HORIZON, 365.25 / 7, count=count) * (price / 4) ** elasticity * np.exp(lift * flag)
    return units, price, flag


def test_what_price_and_promotion_do_is_recovered():
    units, price, flag = priced()
    learned = ridge.fit(panel(units, WEEKS, price=price, promotion=flag), horizon=HORIZON)
    assert learned.names == ("price", "promotion")
    np.testing.assert_allclose(learned.beta[:, -2], -2, atol=0.15)
    np.testing.assert_allclose(learned.beta[:, -1], 0.5, atol=0.08)


def test_another_plan_gives_another_answer():
    units, price, flag = priced()
    whole = panel(units, WEEKS, price=price, promotion=flag)
    learned = ridge.fit(whole, horizon=HORIZON)
    dear = replace(whole, ahead=whole.ahead | {"price": (price * np.where(np.arange(WEEKS + HORIZON) >= WEEKS, 1.1, 1)).astype("f4")})
    every, steps = np.arange(3), np.arange(HORIZON)
    ratio = ridge.say(learned, every, dear, steps) / ridge.say(learned, every, whole, steps)
    np.testing.assert_allclose(ratio.mean(1), 1.1**-2, atol=0.02)


def test_a_price_far_outside_what_was_seen_is_not_extrapolated_without_end():
    units, price, flag = priced()
    whole = panel(units, WEEKS, price=price, promotion=flag)
    learned = ridge.fit(whole, horizon=HORIZON)
    free = replace(whole, ahead=whole.ahead | {"price": np.full_like(whole.ahead["price"], 1e-6)})
    assert ridge.say(learned, np.arange(3), free, np.arange(HORIZON)).max() <= 2.1 * units[:, :WEEKS].max()


def test_columns_that_never_moved_are_left_out():
    units, price, flag = priced()
    whole = panel(units, WEEKS, price=np.full_like(price, 3.0), promotion=flag * 0)
    assert ridge.columns(whole) == []
    moved_later = np.where(np.arange(WEEKS + HORIZON) >= WEEKS, 2.0, 3.0) * np.ones_like(price)
    assert ridge.columns(panel(units, WEEKS, price=moved_later)) == []


def test_groups_of_columns_are_taken_apart():
    units, price, flag = priced()
    whole = panel(units, WEEKS, price=price, promotion=flag, event_fair=flag[:1])
    assert ridge.columns(whole, ("event",)) == ["event_fair"]
    assert ridge.columns(whole, ("lever",)) == ["price", "promotion"]


@pytest.mark.parametrize(
    "units",
    [np.zeros((1, 60)), np.eye(1, 60, 40), np.full((1, 60), 7.0), np.where(np.arange(60) % 2, np.nan, 5.0)[None], np.full((1, 60), np.nan)],
    ids=["all zero", "one spike", "constant", "half missing", "nothing known"],
)
def test_odd_histories_get_finite_answers(units):
    found = said(panel(units, 60))
    assert np.isfinite(found).all() and (found >= 0).all()
    if not np.nansum(units):
        assert not found.any()
    if np.nanmin(units, initial=9) == np.nanmax(units, initial=0):
        np.testing.assert_allclose(found, np.nanmean(units), rtol=1e-4)


def test_one_actual_is_repeated():
    np.testing.assert_allclose(said(panel([[6.0]], 1)), 6.0, rtol=1e-4)


def test_what_was_written_reads_back():
    units, price, flag = priced()
    whole = panel(units, WEEKS, price=price, promotion=flag)
    learned = ridge.fit(whole, horizon=HORIZON)
    again = ridge.Ridge.from_parts(learned.meta(), learned.arrays("r/"), "r/")
    at = np.array([2, 0]), whole.take(np.array([2, 0])), np.arange(HORIZON)
    np.testing.assert_array_equal(ridge.say(again, *at), ridge.say(learned, *at))
