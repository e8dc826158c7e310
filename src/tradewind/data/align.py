"""A panel to a regular grid per series, with a stated rule for what is missing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from tradewind.core.answer import Fact
from tradewind.core.errors import EmptyTable, MissingColumn, TooBig
from tradewind.core.schema import Column, Role, Schema, Type
from tradewind.core.table import Table
from tradewind.data.fill import Grid, fill
from tradewind.data.grain import Grain, anchor, detect

Array = np.ndarray[Any, Any]

MOST_CELLS = 60_000_000  # rows of a grid that 2 GB of columns can hold
SILENT: Mapping[str, int] = {"day": 28, "week": 8, "month": 6, "quarter": 4, "year": 2}
SILENT_FINER = 7 * 1440  # minutes
AVAILABLE = Column(
    "available", Role.AVAILABLE, Type.NUMBER, meaning="0 where nothing could be sold or nothing is known", minimum=0, maximum=1
)


@dataclass(frozen=True, slots=True)
class Lives:
    """First and last period of every series, the last one with a plan, and whether it ended before the panel did."""

    first: Array
    last: Array
    planned: Array
    closed: Array


def align(panel: Table) -> tuple[Table, tuple[Fact, ...]]:
    """Return the panel with one row per series and period, from the series' first figure to the panel's last, and what was filled.

    Rows after the last figure are a plan and stay, with a missing target. Raises MissingColumn without time or target, EmptyTable, TooBig.
    """
    schema = panel.schema.select(panel.names)
    time, target = schema.time, next(iter(schema.of(Role.TARGET)), None)
    if time is None or target is None:
        raise MissingColumn(f"a panel needs a time column and a target; this one has {', '.join(panel.names)}")
    frame = panel.frame.filter(pl.col(time).is_not_null())
    if not frame.height:
        raise EmptyTable("the panel has no rows")
    facts: list[Fact] = []
    entities = [name for name in schema.of(Role.ENTITY) if name in frame.columns]
    frame, keys, series = _series(frame, entities, time)
    moments = frame[time].to_numpy()
    grain = detect(moments, series)
    facts += _grain_facts(grain, moments, len(keys))
    period = grain.index(moments)
    frame, series, period = _one_per_period(frame, schema, series, period, facts)
    sold = frame[target].is_not_null().to_numpy() & ~np.isnan(frame[target].cast(pl.Float64).fill_null(0.0).to_numpy())
    lives = _lives(series, period, sold, len(keys), grain)
    grid, keep = _grid(series, period, lives)
    facts += _life_facts(lives, keys, entities, keep, grain)
    columns = {name: frame[name].filter(keep) for name in frame.columns if name not in (*entities, time)}
    made, said = fill(columns, schema, grid, target=target)
    facts += said
    moment = grain.moment(grid.period)
    stamp = pl.Series(time, moment.astype("M8[ms]")).cast(pl.Date) if moment.dtype == "M8[D]" else pl.Series(time, moment)
    labels = [keys[name].gather(grid.series) for name in entities]
    whole = pl.DataFrame([stamp, *labels, *made])
    order = [name for name in frame.columns if name in whole.columns] + [name for name in whole.columns if name not in frame.columns]
    kind = Type.DATE if stamp.dtype == pl.Date else Type.TIMESTAMP
    told = schema.get(time) or Column(time)
    described = schema.with_columns(
        Column(time, Role.TIME, kind, told.required, told.unit, told.meaning, told.synonyms),
        *([] if schema.of(Role.AVAILABLE) else [AVAILABLE]),
    )
    facts.append(Fact("grid_rows", whole.height, "rows"))
    return Table(described.select(order), frame=whole.select(order)), tuple(facts)


def _series(frame: pl.DataFrame, entities: list[str], time: str) -> tuple[pl.DataFrame, pl.DataFrame, Array]:
    """Return the frame sorted by series and time, the series' keys, and the number of each row's series."""
    if not entities:
        return frame.sort(time), pl.DataFrame({"": [0]}), np.zeros(frame.height, "i8")
    keys = frame.select(entities).unique().sort(entities, nulls_last=True)
    numbered = keys.with_row_index("__series")
    joined = frame.join(numbered, on=entities, how="left", nulls_equal=True).sort("__series", time)
    return joined.drop("__series"), keys, joined["__series"].to_numpy().astype("i8")


def _one_per_period(
    frame: pl.DataFrame, schema: Schema, series: Array, period: Array, facts: list[Fact]
) -> tuple[pl.DataFrame, Array, Array]:
    """Add up rows of one series that lie in one period: amounts summed, all else averaged or the first."""
    if not ((series[1:] == series[:-1]) & (period[1:] == period[:-1])).any():
        return frame, series, period
    marked = frame.with_columns(__series=pl.Series(series), __period=pl.Series(period))
    summed = set(schema.of(Role.TARGET, Role.PAST))
    rules = []
    for name in frame.columns:
        value = pl.col(name)
        if name in summed and frame[name].dtype.is_numeric() and name != "stock":
            rules.append(pl.when(value.count() > 0).then(value.sum()).alias(name))
        elif frame[name].dtype.is_numeric():
            rules.append(value.mean())
        else:
            rules.append(value.drop_nulls().first())
    made = marked.group_by("__series", "__period").agg(rules).sort("__series", "__period")
    facts.append(
        Fact(
            "rows_in_one_period",
            frame.height - made.height,
            "rows",
            "lay in a period that had a row already: amounts summed, the rest averaged",
        )
    )
    return made.drop("__series", "__period"), made["__series"].to_numpy(), made["__period"].to_numpy()


def _silence(grain: Grain) -> int:
    return SILENT.get(grain.name, max(2, SILENT_FINER // grain.step))


def _lives(series: Array, period: Array, sold: Array, count: int, grain: Grain) -> Lives:
    """Find where each series begins and ends; one that is silent far longer than ever before has ended."""
    far = np.iinfo("i8").max
    first, last, planned = np.full(count, far), np.full(count, -far), np.full(count, -far)
    longest = np.zeros(count, "i8")
    np.minimum.at(first, series[sold], period[sold])
    np.maximum.at(last, series[sold], period[sold])
    np.maximum.at(planned, series, period)
    of, at = series[sold], period[sold]
    within = of[1:] == of[:-1]
    np.maximum.at(longest, of[1:][within], np.diff(at)[within])
    lived = first < far
    end = last[lived].max() if lived.any() else period.min() - 1
    closed = lived & (end - last > np.maximum(_silence(grain), 2 * longest))
    begun = np.full(count, far)
    np.minimum.at(begun, series, period)
    first = np.where(lived, first, np.maximum(begun, end + 1))  # never sold: a product that is only planned
    last = np.where(closed, last, np.where(lived, end, first - 1))
    return Lives(first, last, np.where(closed, last, np.maximum(planned, last)), closed)


def _grid(series: Array, period: Array, lives: Lives) -> tuple[Grid, Array]:
    """Lay out the grid; `keep` marks the rows that lie on it."""
    lengths = lives.planned - lives.first + 1
    total = int(lengths.sum())
    if total > MOST_CELLS:
        raise TooBig(
            f"a regular grid of these series has {total:,} rows, the limit is {MOST_CELLS:,}",
            hint="check the dates: one wrong year stretches every series; or load fewer series",
        )
    offset = np.concatenate(([0], np.cumsum(lengths)))
    keep = (period >= lives.first[series]) & (period <= lives.planned[series])
    owner = np.repeat(np.arange(len(lengths)), lengths)
    periods = np.arange(total) - np.repeat(offset[:-1] - lives.first, lengths)
    place = (offset[:-1][series] + period - lives.first[series])[keep]
    history = periods <= lives.last[owner]
    return Grid(owner, periods, offset, place, history), keep


def _grain_facts(grain: Grain, moments: Array, count: int) -> list[Fact]:
    facts = [Fact("grain", grain.name, meaning="how far apart the rows of a series are"), Fact("series", count, "series")]
    if anchor(grain):
        facts.append(Fact("anchor", anchor(grain), meaning="the day that a period is written by"))
    moved = int((~grain.on_grid(moments)).sum())
    if moved:
        facts.append(Fact("moved_to_grid", moved, "rows", f"were dated inside a {grain.name} and moved to its day"))
    return facts


def _life_facts(lives: Lives, keys: pl.DataFrame, entities: list[str], keep: Array, grain: Grain) -> list[Fact]:
    facts = []
    if lives.closed.any():
        names = keys.select(entities).filter(pl.Series(lives.closed)).head(5).rows()
        shown = ", ".join(" / ".join(str(part) for part in row) for row in names)
        facts.append(
            Fact(
                "ended_series",
                int(lives.closed.sum()),
                "series",
                f"silent for {_silence(grain)} {grain.name}s and twice their longest pause: taken as ended, no zeros after it ({shown})",
            )
        )
    if not keep.all():
        facts.append(
            Fact(
                "rows_off_grid",
                int((~keep).sum()),
                "rows",
                "lay before the first figure of their series, or planned a series that has ended: left out",
            )
        )
    return facts
