"""A business table laid out for an estimator: one row per period and place, sums of one figure, and what was left out on the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.core.errors import BadValue, EmptyTable, MissingColumn
from tradewind.core.fact import Fact
from tradewind.core.schema import Role, Type
from tradewind.core.table import Table
from tradewind.models._kit.calendar import Clock, clock_of

PLACES = ("geo", "store", "product")
WHOLE = "everything"
NUMBERS = (Type.NUMBER, Type.INTEGER)
Day = np.datetime64


@dataclass(frozen=True, slots=True)
class Laid:
    """`table` has `date`, `unit` and `outcome`, every unit in every period; `start` and `end` are the first and last day measured.

    `by` is the column that says which unit a row belongs to, empty where the table has none; `starts` counts the periods before.
    """

    table: Table
    kpi: str
    by: str
    clock: Clock
    starts: int
    start: Day
    end: Day
    facts: tuple[Fact, ...]

    @property
    def units(self) -> tuple[str, ...]:
        """Return the units, sorted."""
        return tuple(np.unique(self.table.column("unit").astype(str)).tolist())

    @property
    def regular(self) -> bool:
        """Tell whether no period is missing between the first and the last."""
        numbers = self.clock.number(np.unique(self.table.column("date")))
        return bool(numbers[-1] - numbers[0] + 1 == len(numbers))


def lay(
    table: Table, name: str, *, kpi: str = "", by: str = "", needed: Sequence[str] = (), start: str = "", end: str | None = None
) -> Laid:
    """Add a figure up by period and unit.

    Without `kpi` it is the target, or the only number there is; without `by` units are geos, stores or products, the first there are
    several of. Periods that a test from `start` to `end` (both inclusive) covers in part are left out, so are periods that most units lack,
    and units with gaps; a `needed` unit with a gap is refused. Without `start` there is no test: all is history. Raises MissingColumn,
    EmptyTable, BadValue.
    """
    import polars as pl

    time = table.schema.time or "date"
    kpi, by = _figure(table, name, kpi, time), _places(table, name, by)
    unit = pl.col(by).cast(pl.String) if by else pl.lit(WHOLE)
    value = pl.col(kpi).cast(pl.Float64).fill_nan(None)
    rows = table.frame.select(pl.col(time).alias("date"), unit.alias("unit"), value.alias("outcome")).drop_nulls()
    facts = _told("rows", len(table) - len(rows), "rows left out: no date, unit or figure")
    if not len(rows):
        raise EmptyTable(f"the {name} table has no row with a date and a figure in {kpi}")
    if Table.from_frame(rows.select("date")).column("date").dtype.kind != "M":
        raise BadValue(f'column "{time}" of {name} must hold dates', hint="write dates as in 2026-11-30")
    long = rows.group_by("date", "unit").agg(pl.col("outcome").sum()).sort("date", "unit")
    days = long.select(pl.col("date").unique().sort())
    dates = Table.from_frame(days).column("date")
    clock = clock_of(dates)
    first, last = _window(start, end, _closes(clock, dates))
    if last < dates[0].astype("M8[D]"):
        raise EmptyTable(f"the test ends on {last}, before the {name} table begins", hint=f"its first day is {str(dates[0])[:10]}")
    keep, begun, cut = _whole(clock, dates, first, last)
    if not keep.any():
        raise BadValue("the test covers every period only in part", hint="a test must hold whole periods: days, weeks or months")
    long, gone = _complete(long.join(days.filter(pl.Series(keep)), on="date", how="semi"), needed)
    known = Table.from_frame(long.select(pl.col("date").unique().sort())).column("date")
    inside = known[clock.number(known) >= begun]
    facts += (*_told("periods", cut, "periods left out: the test covers them in part"), *gone)
    opens = clock.date(clock.number(inside[:1]))[0] if len(inside) else first
    made = Table.from_frame(long.select("date", "unit", "outcome"))
    return Laid(made, kpi, by, clock, len(known) - len(inside), opens.astype("M8[D]"), _closes(clock, known), facts)


def _figure(table: Table, name: str, kpi: str, time: str) -> str:
    keys = {time} | set(table.schema.of(Role.ENTITY))
    numbers = [one.name for one in table.schema if one.type in NUMBERS and one.name in table and one.name not in keys]
    if kpi:
        if kpi not in table:
            raise MissingColumn(f'column "{kpi}" is missing in {name}', hint=f"figures: {', '.join(numbers) or 'none'}")
        if kpi not in numbers:
            raise BadValue(f'column "{kpi}" of {name} holds no numbers', hint=f"figures: {', '.join(numbers) or 'none'}")
        return kpi
    targets = [one.name for one in table.schema if one.role is Role.TARGET and one.name in numbers]
    for found in (targets, numbers):
        if len(found) == 1:
            return found[0]
    raise BadValue(f"{name} has several figures: say which is measured" if numbers else f"{name} has no figure", hint=", ".join(numbers))


def _places(table: Table, name: str, by: str) -> str:
    if by and by not in table:
        raise MissingColumn(f'column "{by}" is missing in {name}', hint=f"there are: {', '.join(table.names)}")
    several = (place for place in PLACES if place in table and table.frame[place].drop_nulls().n_unique() > 1)
    return by or next(several, "")


def _window(start: str, end: str | None, closes: Day) -> tuple[Day, Day]:
    """Return the first and the last day of the test; `closes` is the last day of the table."""
    first = _day(start, "start") if start else closes + 1
    last = _day(end, "end") if end else max(closes, first)
    if start and last < first:
        raise BadValue(f"the test ends on {last}, before it starts on {first}")
    return first, last


def _closes(clock: Clock, dates: Any) -> Day:
    """Return the last day of the last period of sorted dates."""
    if clock.grain.name == "hour":
        return np.datetime64(dates[-1], "D")
    return np.datetime64(clock.date(clock.number(dates[-1:]) + 1)[0], "D") - 1


def _day(text: str, name: str) -> Day:
    try:
        made = np.datetime64(str(text), "D")
    except ValueError as error:
        raise BadValue(f"{name} {text!r} is not a date", hint="write dates as in 2026-11-30") from error
    if np.isnat(made):
        raise BadValue(f"{name} is missing", hint="write dates as in 2026-11-30")
    return made


def _whole(clock: Clock, dates: Any, first: Day, last: Day) -> tuple[Any, int, int]:
    """Return which dates to keep, the number of the first period measured, and how many are covered in part."""
    numbers = clock.number(dates)
    opens, after = (clock.date(number).astype("M8[D]") for number in (numbers, numbers + 1))
    if clock.grain.name == "hour":
        after = opens + 1
    before, inside = after <= first, (opens >= first) & (after <= last + 1)
    partly = ~before & ~inside & (opens <= last)
    begun = int(numbers[inside].min()) if inside.any() else int(numbers[-1]) + 1
    return before | inside, begun, int(partly.sum())


def _complete(long: Any, needed: Sequence[str]) -> tuple[Any, tuple[Fact, ...]]:
    """Leave out periods that most units lack, then units with gaps; raises BadValue for a needed one."""
    import polars as pl

    units = long["unit"].n_unique()
    often = long.group_by("date").len().filter(2 * pl.col("len") > units).select("date")
    kept = long.join(often, on="date", how="semi")
    rare = long["date"].n_unique() - len(often)
    whole = kept.group_by("unit").len().filter(pl.col("len") == len(often))["unit"].to_list()
    holed = sorted({str(name) for name in long["unit"].unique().to_list()} - set(whole))
    known = set(long["unit"].unique().to_list())
    for one in needed:
        if one not in known:
            raise BadValue(f"there is no unit {one!r}", hint=f"units: {', '.join(sorted(known)[:12])}")
        if one in holed:
            raise BadValue(
                f"{one} has periods without a figure: what it did in them is not known", hint="load them, or start later (since)"
            )
    if not whole:
        raise BadValue("every unit has periods without a figure", hint="load what is missing, or start later (since)")
    said = f"units left out: gaps in {', '.join(holed[:6])}{', ...' if len(holed) > 6 else ''}"
    facts = (*_told("periods", rare, "periods left out: most units have no figure in them"), *_told("units", len(holed), said))
    return kept.filter(pl.col("unit").is_in(whole)).sort("date", "unit"), facts


def _told(name: str, count: int, words: str) -> tuple[Fact, ...]:
    return (Fact(f"{name} left out", count, "", words),) if count else ()
