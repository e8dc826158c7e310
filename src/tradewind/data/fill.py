"""Columns onto a grid: what a missing value means depends on the column's role."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from tradewind.core.answer import Fact
from tradewind.core.schema import Column, Role, Schema

Array = np.ndarray[Any, Any]

FEW_SERIES = 3  # below this, a period without any row says little about the shop
FEW_GAPS = 0.05


@dataclass(frozen=True, slots=True)
class Grid:
    """Series and period of every grid row, where each series begins, where each source row goes, and what is history."""

    series: Array
    period: Array
    offset: Array  # row at which series i begins; one more at the end
    place: Array  # grid row of each source row
    history: Array  # False for rows after the last figure: the plan


def fill(columns: Mapping[str, pl.Series], schema: Schema, grid: Grid, *, target: str) -> tuple[list[pl.Series], list[Fact]]:
    """Return every column on the grid, and `available`; facts say what was filled and why."""
    facts: list[Fact] = []
    made: dict[str, pl.Series] = {}
    given = next((name for name in schema.of(Role.AVAILABLE) if name in columns), None)
    available = _spread(columns[given], grid) if given else None
    figures, open_ = _target(columns[target], schema.get(target) or Column(target), grid, available, facts)
    for name, values in columns.items():
        if name == target:
            made[name] = pl.Series(name, figures).fill_nan(None)
        elif name != given:
            made[name] = _column(values, schema.get(name) or Column(name), grid, facts)
    label = given or "available"
    made[label] = pl.Series(label, open_)
    return list(made.values()), facts


def _spread(values: pl.Series, grid: Grid) -> Array:
    """Put numbers on their grid rows, NaN elsewhere."""
    made = np.full(len(grid.series), np.nan)
    made[grid.place] = values.cast(pl.Float64).fill_null(np.nan).to_numpy()
    return made


def _target(values: pl.Series, column: Column, grid: Grid, available: Array | None, facts: list[Fact]) -> tuple[Array, Array]:
    """Fill the target: a period without a row is zero sold, unless the whole panel has none, or nothing could be sold."""
    figures = _spread(values, grid)
    there = np.zeros(len(figures), bool)
    there[grid.place] = True
    missing = np.isnan(figures) & grid.history
    low = int(grid.period.min())
    seen = np.zeros(int(grid.period.max()) - low + 1, bool)
    seen[(grid.period - low)[~np.isnan(figures)]] = True
    gap = missing & ~seen[grid.period - low]
    shut = missing & (available == 0 if available is not None else False)
    unknown = missing & there & ~gap
    absent = missing & ~there & ~gap & ~shut
    if column.unit != "units":  # a figure that is not counted sales: no row says nothing
        gap, absent = gap | absent, np.zeros_like(absent)
    elif len(grid.offset) - 1 < FEW_SERIES and gap.sum() > FEW_GAPS * grid.history.sum() and not _same_weekday(grid.period[gap]):
        absent = absent | (gap & ~there)
        gap = gap & there
    figures[absent] = 0.0
    open_ = np.ones(len(figures)) if available is None else np.where(np.isnan(available), 1.0, available)
    open_[gap | unknown] = 0.0
    facts.extend(_said(column.name, int(absent.sum()), int(gap.sum()), int(unknown.sum()), len(np.unique(grid.period[gap]))))
    return figures, open_


def _said(name: str, zero: int, gap: int, unknown: int, periods: int) -> list[Fact]:
    facts = []
    if zero:
        facts.append(Fact(f"zero_filled.{name}", zero, "rows", "no row in a period inside the life of a series: nothing was sold"))
    if gap:
        facts.append(Fact(f"gaps.{name}", gap, "rows", f"in {periods} periods without a row in any series: unknown, not learned"))
    if unknown:
        facts.append(Fact(f"unknown.{name}", unknown, "rows", "a row without a figure: unknown, not learned"))
    return facts


def _same_weekday(periods: Array) -> bool:
    """Tell whether nearly all gaps recur every seven periods: the shop is closed on that day."""
    return bool(np.bincount(periods % 7, minlength=7).max() > 0.8 * periods.size)


def _column(values: pl.Series, column: Column, grid: Grid, facts: list[Fact]) -> pl.Series:
    """Put a column on the grid by the rule of its role."""
    if not (values.dtype.is_numeric() or values.dtype == pl.Boolean):
        return _words(values, column, grid)
    made = _spread(values, grid)
    before = np.isnan(made)
    if not before.any():
        return _as_narrow(pl.Series(values.name, made), values)
    if column.role is Role.STATIC:
        made = _held(made, grid)
    elif column.role in (Role.KNOWN, Role.EVENT):
        shared = _by_period(made, grid)
        made = shared if shared is not None else _held(made, grid) if _is_level(column) else made
        if column.role is Role.EVENT or _is_flag(values):
            made = np.nan_to_num(made, nan=0.0)
    elif column.role is Role.LEVER:
        made = _held(made, grid) if _is_level(column) else np.nan_to_num(made, nan=0.0)
    filled = int((before & ~np.isnan(made)).sum())
    if filled:
        rules = {Role.LEVER: "the last value holds" if _is_level(column) else "none", Role.STATIC: "fixed per series"}
        facts.append(Fact(f"filled.{values.name}", filled, "rows", rules.get(column.role, "the same for every series on a date, or none")))
    return _as_narrow(pl.Series(values.name, made).fill_nan(None), values)


def _as_narrow(made: pl.Series, values: pl.Series) -> pl.Series:
    """Return a column of flags as the bytes it came as: a table has dozens of them."""
    return made.cast(pl.UInt8) if values.dtype == pl.UInt8 else made


def _is_level(column: Column) -> bool:
    return column.unit == "money" or "price" in column.name.lower() or "preis" in column.name.lower() or "cost" in column.name.lower()


def _is_flag(values: pl.Series) -> bool:
    if values.dtype == pl.Boolean:
        return True
    plain = values.drop_nulls()
    return len(plain) > 0 and bool(plain.is_between(0, 1).all())


def _held(values: Array, grid: Grid) -> Array:
    """Carry the last value forward within each series, then the first one backward."""
    start = np.repeat(grid.offset[:-1], np.diff(grid.offset))
    stop = np.repeat(grid.offset[1:], np.diff(grid.offset)) - 1
    row = np.arange(len(values))
    there = ~np.isnan(values)
    before = np.maximum.accumulate(np.where(there, row, -1))
    after = np.minimum.accumulate(np.where(there, row, len(values))[::-1])[::-1]
    at = np.where(before >= start, before, np.where(after <= stop, after, -1))
    return np.where(at >= 0, values[np.maximum(at, 0)], np.nan)


def _by_period(values: Array, grid: Grid) -> Array | None:
    """Fill from the other series of the same period, if all that have a value agree; else None."""
    at = grid.period - grid.period.min()
    there = ~np.isnan(values)
    table = np.full(int(at.max()) + 1, np.nan)
    table[at[there]] = values[there]
    if not np.array_equal(table[at[there]], values[there]):
        return None
    return np.where(there, values, table[at])


def _words(values: pl.Series, column: Column, grid: Grid) -> pl.Series:
    """Put text (or dates) on the grid as numbers of distinct values, with the same rules."""
    words = values.drop_nulls().unique().sort()
    if not len(words):
        return pl.Series(values.name, [None] * len(grid.series), dtype=values.dtype)
    codes = values.replace_strict(words, np.arange(len(words)), default=None, return_dtype=pl.Float64)
    made = _spread(codes, grid)
    if column.role is Role.STATIC:
        made = _held(made, grid)
    elif column.role in (Role.KNOWN, Role.EVENT):
        shared = _by_period(made, grid)
        made = made if shared is None else shared
    index = pl.Series(made).fill_nan(None).cast(pl.UInt32)
    return words.gather(index).alias(values.name)
