"""Nothing that was not known at the origin changes a forecast, in training rows as in answers."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.models._kit.calendar import GRAINS, Clock
from tradewind.models._kit.panel import Panel
from tradewind.models._kit.response import Response
from tradewind.models.demand import features, naive

SERIES, WIDTH = 4, 460


def words(values):
    array = np.empty(len(values), object)
    array[:] = values
    return array


def panel(seed, grain):
    rng = np.random.default_rng(seed)
    shape = (SERIES, WIDTH)
    target = rng.poisson(6, shape).astype("f4")
    target[rng.random(shape) < 0.1] = np.nan
    ahead = {
        "price": rng.choice([2.0, 2.5, 3.0], shape).astype("f4"),
        "promotion": (rng.random(shape) < 0.2).astype("f4"),
        "event_fair": (rng.random((1, WIDTH)) < 0.05).astype("f4"),
        "wind": rng.normal(0, 9, shape).astype("f4"),
    }
    kinds = {"price": "price", "promotion": "lever", "event_fair": "event", "wind": "number"}
    past = {"stock": rng.random(shape).astype("f4")}
    static = {"size": np.arange(SERIES, dtype="f4")}
    return Panel(Clock(GRAINS[grain]), 19_000, WIDTH, {"product": words(list("abcd"))}, target, ahead, kinds, past, static, {})


RESPONSE = Response(
    ("price", "promotion"),
    np.tile(np.array([-2.0, 0.3], "f4"), (SERIES, 1)),
    np.tile(np.array([0.9, 0.0], "f4"), (SERIES, 1)),
    np.ones((SERIES, 2), "f4"),
)


def spoilt(whole, origin, rng):
    """Return the panel with another target and other after-the-fact columns from the origin on."""
    target, stock = whole.target.copy(), whole.past["stock"].copy()
    target[:, origin:] = rng.choice([np.nan, 0.0, 1e6], target[:, origin:].shape)
    stock[:, origin:] = rng.choice([np.nan, -1e6, 1e6], stock[:, origin:].shape)
    return replace(whole, target=target, past={"stock": stock})


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), origin=st.integers(1, WIDTH - 31), grain=st.sampled_from(["hour", "day", "week", "month"]))
def test_training_rows_do_not_see_past_their_origin(seed, origin, grain):
    whole = panel(seed, grain)
    steps = np.arange(30)
    other = spoilt(whole, origin, np.random.default_rng(seed + 1))
    first, second = (features.rows(features.View.of(one, RESPONSE), origin, steps) for one in (whole, other))
    np.testing.assert_array_equal(first.values, second.values)
    np.testing.assert_array_equal(first.scale, second.scale)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), origin=st.integers(1, WIDTH - 31), season=st.sampled_from([1, 7, 12, 52]))
def test_the_naive_forecast_does_not_either(seed, origin, season):
    whole = panel(seed, "day")
    other = spoilt(whole, origin, np.random.default_rng(seed + 1))
    first, second = (naive.repeat(one.target, origin, np.arange(30), season) for one in (whole, other))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("name", ["price", "promotion", "event_fair", "wind"])
def test_what_is_known_ahead_is_seen(name):
    """The law above would hold for features that see nothing; these must see the plan."""
    whole = panel(0, "day")
    origin = 400
    changed = whole.ahead[name].copy()
    changed[:, origin + 3] = changed[:, origin + 3] * 0 + 7
    other = replace(whole, ahead={**whole.ahead, name: changed})
    first, second = (features.rows(features.View.of(one, RESPONSE), origin, np.arange(30)) for one in (whole, other))
    assert (first.values[:, 3] != second.values[:, 3]).any()


def test_features_have_the_names_they_are_given():
    whole = panel(0, "day")
    rows = features.rows(features.View.of(whole, RESPONSE), 400, np.arange(5))
    names = features.names(whole)
    assert rows.values.shape[2] == len(names) == len(set(names)) == len(features.monotone(names))
    assert {name.split(":")[0] for name in names} <= set(features.GROUPS)
    stock = rows.values[:, 0, names.index("recent:past_stock")]
    window = whole.past["stock"][:, 309:400]
    np.testing.assert_allclose(stock, window[:, -7:].mean(1) / window.mean(1), rtol=1e-5)
