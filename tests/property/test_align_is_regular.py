"""An aligned panel has one row per series and period, keeps every figure, and stays as it is when aligned again."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.core.catalog import TABLES
from tradewind.core.table import Table
from tradewind.data.align import align

START = date(2024, 1, 1)
STEPS = {"day": 1, "week": 7}
SERIES = st.dictionaries(st.integers(0, 70), st.integers(0, 9), min_size=1, max_size=30)
PANEL = st.dictionaries(st.sampled_from("abcdef"), SERIES, min_size=1, max_size=6)
DTYPES = {"date": pl.Date, "product": pl.String, "units": pl.Float64, "price": pl.Float64}


def panel(series, step, plan=0):
    last = max(at for figures in series.values() for at in figures)
    rows = [
        (START + timedelta(days=at * step), name, float(units), units + 1.0)
        for name, figures in series.items()
        for at, units in figures.items()
    ]
    rows += [(START + timedelta(days=(last + late) * step), name, None, 3.0) for name in series for late in range(1, plan + 1)]
    frame = pl.DataFrame(rows, schema=DTYPES, orient="row").sample(fraction=1.0, shuffle=True, seed=1)
    return Table(TABLES["sales"].select(DTYPES), frame=frame), rows


@settings(max_examples=200, deadline=None)
@given(PANEL, st.sampled_from(sorted(STEPS)), st.integers(0, 5))
def test_regular_complete_and_stable(series, grain, plan):
    made, rows = panel(series, STEPS[grain], plan)
    table, facts = align(made)
    frame = table.frame
    said = {fact.name: fact.value for fact in facts}
    step = {"day": 1, "week": 7}.get(said["grain"])
    assert not frame.select("date", "product").is_duplicated().any()
    if step is not None:  # a few rows may look like months
        gaps = frame.sort("product", "date").select(pl.col("date").diff().over("product").dt.total_days()).to_series().drop_nulls()
        assert gaps.is_empty() or (gaps == step).all()
    figures = {(day, name): units for day, name, units in frame.select("date", "product", "units").rows()}
    assert all(figures[day, name] == units for day, name, units, _ in rows if units is not None)
    last = max(day for day, _, units, _ in rows if units is not None)
    assert all(units is None for (day, _), units in figures.items() if day > last)
    assert sum(units or 0 for units in figures.values()) == sum(units or 0 for _, _, units, _ in rows)
    assert frame["available"].is_in([0.0, 1.0]).all()
    again, _ = align(Table(table.schema, frame=frame))
    assert again.frame.height == frame.height or said["grain"] not in STEPS
    if said["grain"] in STEPS:
        assert again.frame.select("date", "product", "price").equals(frame.select("date", "product", "price"))
