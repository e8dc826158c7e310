"""Split a table without looking into the future."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tradewind.core.errors import LearnFailed
from tradewind.core.schema import Role, Schema
from tradewind.core.table import Array, Table

HORIZONS = {"month": 6, "week": 8, "day": 30}
"""Periods ahead that a backtest asks for, by grain, where the history is long enough."""


@dataclass(frozen=True, slots=True)
class Fold:
    """One origin: what was known then, what is asked, what came."""

    block: int
    cutoff: np.datetime64
    whole: Table  # everything, of which `seen` is what was known at the cutoff
    end: np.datetime64  # the last date of the block
    asked: Table  # keys and dates
    truth: Array  # one value per asked row
    ahead: Array  # periods after the cutoff, from 1
    known: int  # periods with an outcome up to the cutoff

    @property
    def seen(self) -> Table:
        """Return history up to the cutoff, and the known plan of the horizon with the outcome blanked; made anew, as it is large."""
        time = self.whole.schema.time or "date"
        return _blank(self.whole.take(self.whole.column(time) <= self.end), time, self.cutoff)


def grain(dates: Array) -> str:
    """Name the grain of sorted unique dates by their usual distance: day, week or month."""
    if len(dates) < 2:
        return "day"
    days = float(np.median(np.diff(dates.astype("M8[h]")).astype(float))) / 24
    return "day" if days < 5 else "week" if days < 20 else "month"


def periods(table: Table, target: str) -> Array:
    """Return the sorted dates on which the outcome is known."""
    time = table.schema.time
    if time is None:
        raise LearnFailed("the modelling table has no time column")
    known = ~np.isnan(table.column(target).astype("f8"))
    return np.unique(table.column(time)[known])


def horizon_of(dates: Array, asked: int | None, folds: int) -> int:
    """Return the periods ahead to validate on: as asked or usual for the grain, shorter where the history is short."""
    most = max(1, len(dates) // (folds + 2))
    return min(asked or HORIZONS[grain(dates)], most)


def rolling_origin(table: Table, *, folds: int, horizon: int) -> Iterator[Fold]:
    """Yield the last `folds` blocks of `horizon` periods, oldest first; raises LearnFailed where there is too little history."""
    target = _one(table.schema, Role.TARGET)
    dates = periods(table, target)
    if len(dates) < horizon * folds + 2:
        raise LearnFailed(
            f"{len(dates)} periods of history are too few for {folds} validation blocks of {horizon}",
            hint=f"load at least {horizon * folds + 2} periods, or ask for fewer folds",
        )
    for block in range(folds):
        first = len(dates) - (folds - block) * horizon
        fold = _fold(table, block, dates[first - 1], dates[first : first + horizon], target)
        yield replace(fold, known=first)


def _fold(table: Table, block: int, cutoff: np.datetime64, test: Array, target: str) -> Fold:
    schema = table.schema
    time = schema.time or "date"
    when = table.column(time)
    outcome = table.column(target).astype("f8")
    rows = (when > cutoff) & (when <= test[-1]) & ~np.isnan(outcome)
    for name in schema.of(Role.AVAILABLE):
        rows &= table.column(name).astype("f8") != 0
    keys = [name for name in schema.of(Role.ENTITY) if name in table]
    rows &= _known_series(table, keys, rows, (when <= cutoff) & ~np.isnan(outcome))
    asked = table.take(rows).select([*keys, time])
    ahead = np.searchsorted(test, when[rows]) + 1
    return Fold(block, cutoff, table, test[-1], asked, outcome[rows], ahead, 0)


def _blank(table: Table, time: str, cutoff: np.datetime64) -> Table:
    """Return the table with everything that was not yet known at the cutoff set missing."""
    import polars as pl

    unknown = [name for name in table.schema.of(Role.TARGET, Role.PAST, Role.AVAILABLE) if name in table]
    after = pl.col(time) > pl.lit(cutoff.item())
    frame = table.frame.with_columns([pl.when(after).then(None).otherwise(pl.col(name)).alias(name) for name in unknown])
    return Table(table.schema, frame=frame)


def _known_series(table: Table, keys: list[str], rows: Array, before: Array) -> Array:
    """Tell which rows belong to a series that has an outcome before the cutoff."""
    if not keys:
        return rows
    import polars as pl

    frame = table.frame.select(keys)
    known = frame.filter(pl.Series(before)).unique().with_columns(pl.lit(value=True).alias("_known"))
    found = frame.join(known, on=keys, how="left", maintain_order="left", nulls_equal=True)["_known"]
    return np.asarray(found.fill_null(value=False).to_numpy(), bool)


def _one(schema: Schema, role: Role) -> str:
    found = schema.of(role)
    if len(found) != 1:
        raise LearnFailed(f"a modelling table needs exactly one {role} column, this one has {len(found)}")
    return found[0]


def described(table: Table) -> dict[str, Any]:
    """Return what a manifest says of the data: rows, series, span, grain."""
    target = _one(table.schema, Role.TARGET)
    dates = periods(table, target)
    keys = [name for name in table.schema.of(Role.ENTITY) if name in table]
    series = table.frame.select(keys).n_unique() if keys else 1
    span = [str(dates[0]), str(dates[-1])] if len(dates) else []
    return {"rows": len(table), "series": series, "span": span, "periods": len(dates), "grain": grain(dates), "digest": table.digest()}
