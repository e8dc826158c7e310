"""Features: what they are called, what they stand for, what they may never do."""

import numpy as np
import pytest

from tradewind.models._kit import response
from tradewind.models._kit.forecast import features, features_price, occasions
from tradewind.models._kit.forecast.features import View
from tradewind.models._kit.panel import from_table


@pytest.fixture(scope="module")
def panel(shop, as_table):
    return from_table(as_table(shop(days=400, products=3, stores=2)))


def view(panel):
    return View.of(panel, response.learn(panel), np.full(len(panel), np.nan), occasions.learn(panel, panel.target))


def column(panel, name, origin, steps):
    return features.rows(view(panel), origin, steps).values[:, :, features.names(panel).index(name)]


@pytest.mark.parametrize("step", [1, 7])
def test_there_is_a_name_and_a_direction_for_every_column(shop, as_table, step):
    panel = from_table(as_table(shop(days=150, step=step)))
    names = features.names(panel)
    assert features.rows(view(panel), 100, np.arange(5)).values.shape[-1] == len(names) == len(set(names)) == len(features.monotone(names))
    kinds = {name.split(":")[0] for name in names}
    assert {features.REPORTED.get(kind, kind) for kind in kinds} <= set(features.GROUPS)


def test_directions_are_of_price_and_promotion_alone(panel):
    directions = dict(zip(features.names(panel), features.monotone(features.names(panel)), strict=True))
    assert directions["price:to_usual"] == directions["price:to_last"] == -1
    assert directions["promotion:lift"] == 1
    assert sum(map(abs, directions.values())) == 3
    assert dict(zip(["like:price", "price:to_usual"], features.monotone(["like:price", "price:to_usual"]), strict=True))["like:price"] == 1


def like_price(price, shares, origin, at, wide):
    curve, usual = features_price.curve_of(price, shares, origin, wide), features_price.usual(price, origin, wide)
    return features_price.read_off(price, curve, usual, at)


def test_like_price_never_falls_at_a_lower_price_and_tells_what_sold():
    rng = np.random.default_rng(0)
    price = np.exp(rng.uniform(-0.6, 0.4, (5, 200))).astype("f4")
    shares = price**-2 * rng.gamma(5, 0.2, price.shape)  # a noisy history
    planned = np.broadcast_to(np.exp(np.linspace(-0.8, 0.6, 90)), (5, 90)).astype("f4")
    whole = np.concatenate([price, planned], 1)
    found = like_price(whole, shares, 200, 200 + np.arange(90), 182)
    assert (np.diff(found, axis=1) <= 1e-7).all() and np.isfinite(found).all()
    usual = np.log(price[:, -182:]).mean(1, keepdims=True)
    inside = np.abs(np.log(planned) - usual) < 0.3
    slope = [np.polyfit((np.log(planned) - usual)[row][inside[row]], found[row][inside[row]], 1)[0] for row in range(5)]
    assert np.mean(slope) == pytest.approx(-2, abs=0.5)


def test_like_price_of_a_price_that_never_moved_is_no_difference():
    shares = np.random.default_rng(0).gamma(5, 0.2, (2, 100))
    found = like_price(np.full((2, 110), 3.0, "f4"), shares, 100, 100 + np.arange(10), 182)
    np.testing.assert_allclose(found, 0, atol=1e-6)


def test_like_price_leaves_out_what_lies_at_or_past_the_origin():
    rng = np.random.default_rng(0)
    price = rng.choice([1.0, 0.8], (2, 120)).astype("f4")
    shares = rng.gamma(5, 0.2, (2, 100))
    first = like_price(price, shares, 100, np.array([100]), 182)
    price[:, 101:] = 0.5
    np.testing.assert_array_equal(like_price(price, shares, 100, np.array([100]), 182), first)


def test_lags_of_a_phase_are_the_same_weekday_before(panel):
    origin, steps = 210, np.arange(14)
    made = view(panel)
    rows = features.rows(made, origin, steps)
    lag = rows.values[:, :, features.names(panel).index("recent:lag_2")]
    expected = made.steady[:, origin - 14 + steps % 7] / rows.scale[:, None]
    np.testing.assert_allclose(lag, expected, rtol=1e-5)


def test_a_year_ago_is_the_same_weekday_a_year_ago(panel):
    made, origin = view(panel), 380
    rows = features.rows(made, origin, np.arange(10))
    found = rows.values[:, :, features.names(panel).index("season:year_ago")]
    np.testing.assert_allclose(found, made.steady[:, origin + np.arange(10) - 364] / rows.scale[:, None], rtol=1e-5)


def test_the_usual_price_is_that_before_the_origin(panel):
    logged = np.log(panel.ahead["price"])
    found = column(panel, "price:to_usual", 300, np.arange(3))
    np.testing.assert_allclose(found, logged[:, 300:303] - logged[:, 300 - 182 : 300].mean(1, keepdims=True), atol=1e-5)


def test_a_short_history_leans_on_its_like():
    past = np.full((2, 400), np.nan)
    past[:, -2:] = 10.0
    level, _, _, known = features._scale(past, 91, 364, np.array([100.0, np.nan]))
    assert level[0] == pytest.approx((10 * 2 + 100 * 2) / 4) and level[1] == 10 and known.tolist() == [2, 2]
    past[:, -91:] = 10.0
    assert features._scale(past, 91, 364, np.array([100.0, np.nan]))[1].tolist() == [10, 10]


def test_history_used_again_gives_the_same_rows(panel):
    made, steps = view(panel), np.arange(20)
    fresh = features.rows(made, panel.cut, steps)
    kept = features.rows(made, panel.cut, steps, features.history_of(made, panel.cut, steps))
    np.testing.assert_array_equal(fresh.values, kept.values)


def test_answering_from_the_end_sees_the_same_as_learning_did(panel):
    found = response.learn(panel)
    prior, around = np.full(len(panel), np.nan), occasions.learn(panel, panel.target)
    steps = np.arange(20)
    whole = features.rows(View.of(panel, found, prior, around), panel.cut, steps)
    tail = panel.tail(features.reach_back(panel))
    answered = features.rows(View.of(tail, found, prior, around, start=tail.cut), tail.cut, steps)
    np.testing.assert_allclose(answered.values, whole.values, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(answered.scale, whole.scale, rtol=1e-6)
