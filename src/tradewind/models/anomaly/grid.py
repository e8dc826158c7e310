"""Rows as matrices: one row per series, one column per period, whatever the grain, gaps and all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from tradewind.core.errors import EmptyTable, InvalidInput, MissingColumn
from tradewind.core.schema import Role
from tradewind.core.table import Table
from tradewind.models._kit import resting

Array = np.ndarray[Any, Any]
KEYS = ("metric", "product", "store")
VALUE = "units"
DAY = 86_400_000_000  # microseconds
AT_LEAST = 8  # figures a series needs before anything can be called unusual
REGULAR = 0.9  # share of the steps that must be the common one, or a multiple of it
BEYOND = 1e18  # a figure larger than that is a slip, and nothing can be reckoned with it
MOST_CELLS = 60_000_000
INPUTS = (Role.LEVER, Role.KNOWN, Role.EVENT)


@dataclass(frozen=True, slots=True)
class Beat:
    """How periods follow each other: `step` in microseconds, in months, or neither: then rows are taken in their order."""

    step: int = DAY
    months: int = 0

    @property
    def regular(self) -> bool:
        """Tell whether periods are equally long."""
        return bool(self.step or self.months)

    def ahead(self, last: Array, moments: Array) -> Array:
        """Return how many periods after `last` each later moment lies."""
        if self.months:
            return np.asarray((moments.astype("M8[M]") - last.astype("M8[M]")).astype("i8") // self.months)
        if self.step:
            return np.asarray(np.maximum(-(-(moments - last).astype("i8") // self.step), 1))
        return np.asarray(np.searchsorted(np.unique(moments), moments) + 1)

    def after(self, last: Array, periods: int) -> Array:
        """Return the moments of the next periods of a regular beat."""
        if self.months:
            months = last.astype("M8[M]") + self.months * np.arange(1, periods + 1)
            return np.asarray(months.astype("M8[D]").astype("M8[us]"))
        return np.asarray(last + np.arange(1, periods + 1) * np.timedelta64(self.step or 1, "us"))


@dataclass(frozen=True)
class Grid:
    """Series by period: `value` is NaN where nothing is known; `inputs` are what is known of a period besides it."""

    beat: Beat
    keys: Mapping[str, Array]
    moments: Array  # (T,) datetime64[us]
    value: Array  # (S, T)
    inputs: Mapping[str, Array]  # (S, T)
    kinds: Mapping[str, str]  # of each input: price | lever | event | number
    labels: Mapping[str, Array]  # a text of each series: category, brand
    calendar: Mapping[str, Array]  # event -> (T + later,) whether it is on, planned days too
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.value)

    @cached_property
    def index(self) -> dict[tuple[str, ...], int]:
        """Return the place of each series by its key."""
        return {key: at for at, key in enumerate(zip(*(column.tolist() for column in self.keys.values()), strict=True))}

    @property
    def dates(self) -> Array:
        """Return the moments as days."""
        return np.asarray(self.moments.astype("M8[D]"))

    @cached_property
    def holidays(self) -> Array:
        """Return the days of the past and the plan on which an event is on."""
        days = [self.dates[:0]]
        for flag in self.calendar.values():
            on = np.flatnonzero(flag > 0)
            later = on[on >= len(self.moments)] - len(self.moments)
            days.append(self.dates[on[on < len(self.moments)]])
            if len(later) and self.beat.regular:
                days.append(self.beat.after(self.moments[-1], int(later.max()) + 1)[later].astype("M8[D]"))
        return np.unique(np.concatenate(days))

    def until(self, periods: int) -> Grid:
        """Return the grid of the first periods."""
        inputs = {name: value[:, :periods] for name, value in self.inputs.items()}
        return replace(self, moments=self.moments[:periods], value=self.value[:, :periods], inputs=inputs)

    def known_until(self, periods: int) -> Grid:
        """Return the grid with the figures of the first periods only; calendar and inputs go on."""
        value = self.value.copy()
        value[:, periods:] = np.nan
        return replace(self, value=value)


def time_of(table: Table) -> str:
    """Return the name of the time column; raises MissingColumn."""
    found = table.schema.time or "date"
    if found not in table:
        raise MissingColumn("a time column is missing", hint=f"there are: {', '.join(table.names)}")
    return found


def texts(table: Table, name: str) -> list[str]:
    """Return a key column as texts, empty where nothing is said or the column is not there."""
    if name not in table:
        return [""] * len(table)
    return ["" if value is None else str(value) for value in table.column(name).tolist()]


def read(table: Table) -> Grid:
    """Lay rows out as a grid; raises MissingColumn, EmptyTable, InvalidInput.

    Rows whose value and keys are all empty say only when events are on. Several figures in one cell are added up, and it is said, and
    so are those beyond BEYOND, which are left out.
    """
    when = time_of(table)
    if VALUE not in table:
        raise MissingColumn(f'column "{VALUE}" is missing', hint=f"there are: {', '.join(table.names)}")
    moments = table.column(when).astype("M8[us]")
    value = table.column(VALUE).astype("f8")
    value, slips = _possible(value)
    keys = [name for name in KEYS if name in table]
    named = list(zip(*(texts(table, name) for name in keys), strict=True)) if keys else [("all",)] * len(table)
    keys = keys or ["metric"]
    calendar = np.array([not any(key) for key in named], bool) & np.isnan(value) if len(keys) else np.zeros(len(value), bool)
    use = ~np.isnat(moments) & ~calendar
    if not np.isfinite(value[use]).any():
        raise EmptyTable("there is no figure to look at", hint=f'every row of "{VALUE}" is empty')
    book = sorted({key for key, keep in zip(named, use.tolist(), strict=True) if keep})
    place = {key: at for at, key in enumerate(book)}
    series = np.array([place.get(key, 0) for key in named], "i8")
    known = use & np.isfinite(value)
    beat, columns, notes = _columns(moments[use], int(moments[known].max().astype("i8")), series[use])
    at = np.searchsorted(columns, _start(beat, moments, columns))
    inside = use & (moments >= columns[0]) & (at < len(columns))
    if len(book) * len(columns) > MOST_CELLS:
        raise InvalidInput(f"{len(book):,} series x {len(columns):,} periods are too many", hint="choose fewer series or a shorter past")
    grid, more = _filled(len(book), len(columns), series[inside], at[inside], value[inside])
    inputs, kinds = _inputs(table, (len(book), len(columns)), series, at, inside)
    labels = _labels(table, series, use, len(book))
    made = {name: _text(part) for name, part in zip(keys, zip(*book, strict=True), strict=True)}
    events = _calendar(table, moments, beat, columns, use | calendar)
    found = Grid(beat, made, columns, grid, inputs, kinds, labels, events, (*slips, *notes, *more))
    return _rested(found) if beat.step == DAY else found


def _possible(value: Array) -> tuple[Array, list[str]]:
    """Return figures without those that nothing can be reckoned with, and say how many these are."""
    slips = np.isfinite(value) & (np.abs(value) > BEYOND)
    said = [f"{int(slips.sum())} figures are beyond {BEYOND:.0e}, which must be a slip: they are left out"] if slips.any() else []
    return np.where(np.isfinite(value) & ~slips, value, np.nan), said


def _rested(grid: Grid) -> Grid:
    """Return the grid without the zeros of days on which their series rest: they are no incidents."""
    rest = resting.regular(grid.value, np.isin(grid.dates, grid.holidays))
    if not rest.any():
        return grid
    said = f"{int(rest.sum())} zeros lie on days on which their series rest, every week or on a holiday: they count as closed"
    return replace(grid, value=np.where(rest, np.nan, grid.value), notes=(*grid.notes, said))


def _text(values: Sequence[str]) -> Array:
    out = np.empty(len(values), object)
    out[:] = list(values)
    return out


def _columns(moments: Array, last: int, series: Array) -> tuple[Beat, Array, list[str]]:
    """Return the beat, the moments of the columns, and what was odd about the times."""
    distinct = np.unique(moments)
    distinct = distinct[distinct.astype("i8") <= last]
    if len(distinct) < 2:
        return Beat(), distinct, ["there is one date only"]
    order = np.lexsort((moments, series))
    steps = np.diff(moments[order].astype("i8"))[np.diff(series[order]) == 0]
    steps = steps[steps > 0]
    steps = steps if steps.size else np.diff(distinct.astype("i8"))
    if steps.min() >= 27 * DAY:
        return _months(distinct)
    values, counts = np.unique(steps, return_counts=True)
    common = int(values[counts.argmax()])
    fits = counts[values % common == 0].sum() / counts.sum()
    span = int(distinct[-1].astype("i8") - distinct[0].astype("i8"))
    if fits >= REGULAR and span // common < 4 * len(distinct):
        first = distinct[0].astype("i8")
        at = np.unique((distinct.astype("i8") - first) // common)
        whole = (first + np.arange(at.max() + 1) * common).astype("M8[us]")
        off = float((((distinct.astype("i8") - first) % common) != 0).mean())
        said = [f"{off:.1%} of the times lie between two periods: each counts for the period it lies in"] if off > 0 else []
        return Beat(common), whole, said
    return Beat(0), distinct, ["times are irregular: every moment counts as one period"]


def _months(distinct: Array) -> tuple[Beat, Array, list[str]]:
    months = np.unique(distinct.astype("M8[M]").astype("i8"))
    step = int(np.gcd.reduce(np.diff(months))) if len(months) > 1 else 1
    whole = np.arange(months[0], months[-1] + 1, max(step, 1)).astype("M8[M]").astype("M8[D]").astype("M8[us]")
    return Beat(0, max(step, 1)), whole, []


def _start(beat: Beat, moments: Array, columns: Array) -> Array:
    """Return the start of the period each moment lies in."""
    if beat.months:
        return np.asarray(moments.astype("M8[M]").astype("M8[D]").astype("M8[us]"))
    if beat.step:
        first = columns[0].astype("i8")
        return np.asarray((first + (moments.astype("i8") - first) // beat.step * beat.step).astype("M8[us]"))
    return moments


def _filled(series: int, periods: int, row: Array, at: Array, value: Array) -> tuple[Array, list[str]]:
    known = np.isfinite(value)
    total, count = np.zeros((series, periods)), np.zeros((series, periods), "i4")
    np.add.at(total, (row[known], at[known]), value[known])
    np.add.at(count, (row[known], at[known]), 1)
    double = int((count > 1).sum())
    said = [f"{double} periods had several figures of one series: they were added up"] if double else []
    return np.where(count > 0, total, np.nan), said


def _inputs(table: Table, shape: tuple[int, int], series: Array, at: Array, inside: Array) -> tuple[dict[str, Array], dict[str, str]]:
    """Lay out every number that is known of a period; what is not said stays NaN."""
    found: dict[str, Array] = {}
    kinds: dict[str, str] = {}
    for column in table.schema:
        name = column.name
        if name not in table or column.role not in INPUTS or table.column(name).dtype.kind not in "biuf" or column.sensitive:
            continue
        matrix = np.full(shape, np.nan, "f4")
        matrix[series[inside], at[inside]] = table.column(name)[inside].astype("f4")
        if not np.isfinite(matrix).any() or (column.role is Role.EVENT and name != "expected"):
            continue
        kinds[name] = _kind(name, matrix)
        found[name] = matrix
    return found, kinds


def _kind(name: str, matrix: Array) -> str:
    if name == "expected":
        return "expected"
    if name.endswith("price"):
        return "rival" if name.startswith("competitor") else "price"
    known = matrix[np.isfinite(matrix)]
    return "lever" if known.min() >= 0 and known.max() <= 1 else "number"


def _labels(table: Table, series: Array, use: Array, count: int) -> dict[str, Array]:
    last = np.zeros(count, "i8")
    last[series[use]] = np.flatnonzero(use)
    found = {}
    for column in table.schema:
        if column.role is Role.STATIC and column.name in table and table.column(column.name).dtype == object:
            values = table.column(column.name)[last].tolist()
            found[column.name] = _text(["" if value is None else str(value) for value in values])
    for name in ("worth",):
        if name in table:
            found[name] = table.column(name)[last].astype("f8")
    return found


def _calendar(table: Table, moments: Array, beat: Beat, columns: Array, use: Array) -> dict[str, Array]:
    """Return for each event whether it is on, column by column and as far ahead as the rows say."""
    names = [column.name for column in table.schema if column.role is Role.EVENT and column.name in table and column.name != "expected"]
    later = use & (moments > columns[-1])
    ahead = 0
    if later.any() and beat.regular:
        ahead = int(beat.ahead(columns[-1], moments[later]).max())
    whole = np.concatenate([columns, beat.after(columns[-1], ahead)]) if ahead else columns
    at = np.searchsorted(whole, _start(beat, moments, columns))
    inside = use & (at < len(whole))
    found = {}
    for name in names:
        values = table.column(name)
        if values.dtype.kind not in "biuf":
            continue
        flag = np.zeros(len(whole), "f4")
        np.maximum.at(flag, at[inside], np.nan_to_num(values[inside].astype("f4")))
        if flag.any():
            found[name] = flag
    return found
