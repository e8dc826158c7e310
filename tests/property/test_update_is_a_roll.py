"""An update in one step is the same as an update block by block: what a state says depends on what came, not on how often it was told."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.core.schema import Column, Role, Schema, Type
from tradewind.core.table import Table
from tradewind.models import recipe

HORIZON, KNOWN, WIDTH = 7, 90, 160
PARAMS: dict[str, dict[str, Any]] = {"naive": {}, "boosted": {"rounds": 20, "rows": 5000, "threads": 1}}
SCHEMA = Schema(
    (
        Column("date", Role.TIME, Type.DATE),
        Column("product", Role.ENTITY, Type.TEXT),
        Column("units", Role.TARGET),
        Column("price", Role.LEVER),
        Column("promotion", Role.LEVER),
        Column("stock", Role.PAST),
    ),
    ("date", "product"),
)


def table(days: int, *, seed: int = 0, spoilt: int | None = None) -> Table:
    """Return what is known after so many days; from day `spoilt` on another truth has come."""
    rng = np.random.default_rng(seed)
    frames = []
    for product in range(3):
        units = rng.poisson(9 * (product + 1), WIDTH).astype("f8")
        if spoilt is not None:
            units[spoilt:] = np.random.default_rng(seed + 1).choice([0.0, 500.0], WIDTH - spoilt)
        stock = 40 - units
        units[days:] = stock[days:] = np.nan
        columns = {
            "date": pl.Series(np.datetime64("2024-01-01") + np.arange(WIDTH)).cast(pl.Date),
            "product": [f"P{product}"] * WIDTH,
            "units": pl.Series(units).fill_nan(None),
            "price": rng.choice([2.0, 2.5], WIDTH),
            "promotion": (rng.random(WIDTH) < 0.2).astype("f8"),
            "stock": pl.Series(stock).fill_nan(None),
        }
        frames.append(pl.DataFrame(columns))
    return Table.from_frame(pl.concat(frames), SCHEMA)


@cache
def started(name: str) -> tuple[Any, Any]:
    maker = recipe("demand", name)
    return maker, maker.fit(table(KNOWN), {**PARAMS[name], "horizon": HORIZON}, 0)


@pytest.mark.parametrize("name", list(PARAMS))
@settings(max_examples=12, deadline=None)
@given(blocks=st.lists(st.integers(1, 3), min_size=1, max_size=3), rest=st.integers(0, HORIZON - 1))
def test_blocks_one_by_one_or_all_at_once(name: str, blocks: list[int], rest: int) -> None:
    maker, state = started(name)
    stops = (KNOWN + HORIZON * np.cumsum(blocks)).tolist()
    end = stops[-1] + rest
    stepwise = state
    for stop in [*stops, end]:
        stepwise = maker.update(stepwise, table(stop))
    at_once = maker.update(state, table(end))
    assert maker.dump(stepwise) == maker.dump(at_once)
    assert at_once.memory.starts.tolist()[0] == stepwise.memory.starts.tolist()[0]
    assert at_once.panel.cut + at_once.panel.first == state.panel.cut + state.panel.first + end - KNOWN


@pytest.mark.parametrize("name", list(PARAMS))
@settings(max_examples=12, deadline=None)
@given(stops=st.lists(st.integers(KNOWN, KNOWN + 40), min_size=1, max_size=4))
def test_means_do_not_depend_on_the_stops(name: str, stops: list[int]) -> None:
    maker, state = started(name)
    stepwise = state
    for stop in [*sorted(stops), KNOWN + 45]:
        stepwise = maker.update(stepwise, table(stop))
    at_once = maker.update(state, table(KNOWN + 45))
    asked = maker.expand(at_once, 20, {})
    first, second = maker.predict(stepwise, asked), maker.predict(at_once, asked)
    np.testing.assert_allclose(first.column("mean"), second.column("mean"), rtol=1e-6)


@pytest.mark.parametrize("name", list(PARAMS))
@settings(max_examples=12, deadline=None)
@given(spoilt=st.integers(KNOWN + 1, KNOWN + 30), seed=st.integers(0, 3))
def test_what_a_block_said_does_not_depend_on_what_came_after_it_began(name: str, spoilt: int, seed: int) -> None:
    maker, _ = started(name)
    state = maker.fit(table(KNOWN, seed=seed), {**PARAMS[name], "horizon": HORIZON}, 0)
    true, other = (maker.update(state, table(KNOWN + 35, seed=seed, spoilt=at)).memory for at in (None, spoilt))
    began = true.starts - (state.panel.first + state.panel.cut) + KNOWN <= spoilt
    assert began.any() and not began.all()
    for what in ("mean", "spread", "promoted"):
        np.testing.assert_array_equal(getattr(true, what)[:, began], getattr(other, what)[:, began])
    assert (true.mean[:, ~began] != other.mean[:, ~began]).any(), "later blocks must see what came"


@pytest.mark.parametrize("name", list(PARAMS))
def test_day_by_day_the_same_bands_come_as_all_at_once(name: str) -> None:
    """The law up to blocks: told every day, a block still closes when its actuals are in."""
    maker, state = started(name)
    daily = state
    for day in range(KNOWN + 1, KNOWN + 4 * HORIZON + 1):
        daily = maker.update(daily, table(day))
    assert daily.memory.blocks >= 3
    assert (np.diff(daily.memory.starts) <= HORIZON).all() and (np.diff(daily.memory.starts) >= 0.9 * HORIZON).all()
