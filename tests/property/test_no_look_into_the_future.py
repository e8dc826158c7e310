"""Nothing that was not known at the origin changes a forecast, in training rows as in answers."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.core.model import SILENT
from tradewind.core.schema import Column, Role, Schema, Type
from tradewind.core.table import Table
from tradewind.models import recipe
from tradewind.models._kit.calendar import GRAINS, Clock
from tradewind.models._kit.forecast import features, naive
from tradewind.models._kit.forecast.occasions import AFTER, BEFORE, Occasions
from tradewind.models._kit.forecast.seasons import Seasons
from tradewind.models._kit.panel import Panel
from tradewind.models._kit.response import Response
from tradewind.training.roll import Candidate, fitting, roll
from tradewind.training.split import rolling_origin

SERIES, WIDTH = 4, 460
PRIOR = np.array([5.0, np.nan, 6.0, 7.0])


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
    np.tile(np.eye(2, dtype="f4"), (SERIES, 1, 1)),
    np.array([1.3, 2.1], "f4"),
    np.tile(np.array([0.0, 1.0], "f4"), (SERIES, 1)),
)
AROUND = Occasions({"event_fair": tuple(np.linspace(-0.5, 0.5, BEFORE + 1 + AFTER).tolist())}, Seasons((0.2, -0.1, 0.1, 0.0, 0.05, 0.0)))


def spoilt(whole, origin, rng):
    """Return the panel with another target and other after-the-fact columns from the origin on."""
    target, stock = whole.target.copy(), whole.past["stock"].copy()
    target[:, origin:] = rng.choice([np.nan, 0.0, 1e6], target[:, origin:].shape)
    stock[:, origin:] = rng.choice([np.nan, -1e6, 1e6], stock[:, origin:].shape)
    return replace(whole, target=target, past={"stock": stock})


def seen(whole, origin, steps):
    return features.rows(features.View.of(whole, RESPONSE, PRIOR, AROUND), origin, steps)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), origin=st.integers(1, WIDTH - 31), grain=st.sampled_from(["hour", "day", "week", "month"]))
def test_training_rows_do_not_see_past_their_origin(seed, origin, grain):
    whole = panel(seed, grain)
    other = spoilt(whole, origin, np.random.default_rng(seed + 1))
    first, second = (seen(one, origin, np.arange(30)) for one in (whole, other))
    np.testing.assert_array_equal(first.values, second.values)
    np.testing.assert_array_equal(first.scale, second.scale)
    np.testing.assert_array_equal(first.effect, second.effect)


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
    first, second = (seen(one, origin, np.arange(30)) for one in (whole, other))
    assert (first.values[:, 3] != second.values[:, 3]).any()


def test_what_came_just_before_the_origin_is_seen():
    whole = panel(0, "day")
    other = spoilt(whole, 399, np.random.default_rng(1))
    first, second = (seen(one, 400, np.arange(30)) for one in (whole, other))
    names = features.names(whole)
    for name in ("recent:last_cycle", "recent:past_stock"):
        at = names.index(name)
        assert (first.values[:, :, at] != second.values[:, :, at]).any(), name


DAYS = 140
PARAMS = {"naive": {"horizon": 10}, "boosted": {"rounds": 20, "rows": 5000, "threads": 1, "horizon": 10}, "stats": {"horizon": 10}}
SCHEMA = Schema(
    (
        Column("date", Role.TIME, Type.DATE),
        Column("product", Role.ENTITY, Type.TEXT),
        Column("units", Role.TARGET),
        Column("price", Role.LEVER),
        Column("promotion", Role.LEVER),
        Column("stock", Role.PAST),
        Column("available", Role.AVAILABLE),
    ),
    ("date", "product"),
)


def shop(changed_from=None, seed=0):
    """Return a table whose actuals, stock and availability are others from a day on."""
    rng = np.random.default_rng(seed)
    frames = []
    for product in range(4):
        units = rng.poisson(8 * (product + 1), DAYS).astype("f8")
        stock, available = 50 - units, np.ones(DAYS)
        if changed_from is not None:
            other = np.random.default_rng(99 + product)
            units[changed_from:] = other.choice([0.0, 900.0], DAYS - changed_from)
            stock[changed_from:] = other.choice([-1e5, 1e5], DAYS - changed_from)
        columns = {
            "date": pl.Series(np.datetime64("2024-01-01") + np.arange(DAYS)).cast(pl.Date),
            "product": [f"P{product}"] * DAYS,
            "units": units,
            "price": rng.choice([2.0, 2.5], DAYS),
            "promotion": (rng.random(DAYS) < 0.2).astype("f8"),
            "stock": stock,
            "available": available,
        }
        frames.append(pl.DataFrame(columns))
    return Table.from_frame(pl.concat(frames), SCHEMA)


def rolled(name, table):
    """Return what a recipe said fold by fold, fitted once and moved on with what came."""
    candidate = Candidate(name, recipe("demand", name), PARAMS[name])
    folds = tuple(rolling_origin(table, folds=4, horizon=10))
    return folds, roll(candidate, folds, fitting(candidate, 0), kept={}, progress=SILENT)


@pytest.mark.parametrize("name", list(PARAMS))
def test_a_backtest_does_not_see_past_its_cutoffs(name):
    """Actuals after the third cutoff change: the first three folds, moved on by updates, say the same; the fourth does not."""
    folds, true = rolled(name, shop())
    changed = int(folds[2].known)
    _, other = rolled(name, shop(changed))
    said = [one for one in true.columns[0] if one in ("mean", "p50") or one[:2] in ("lo", "hi")]
    assert len(said) == 10
    for fold in range(3):
        for column in said:
            np.testing.assert_array_equal(true.columns[fold][column], other.columns[fold][column], err_msg=f"{column} of fold {fold}")
    assert (true.columns[2]["truth"] != other.columns[2]["truth"]).any()
    assert (true.columns[3]["mean"] != other.columns[3]["mean"]).any(), "the fourth fold must see what changed"
    assert true.states[2].memory.blocks == 2, "the third fold must have come by way of updates"
