"""Every column to the type its description asks for, counting what could not be read."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from tradewind.core.answer import Fact
from tradewind.core.errors import BadValue, TradewindError
from tradewind.core.schema import Column, Schema, Type
from tradewind.data.dates import Dated, dates, looks_dated
from tradewind.data.match import fold
from tradewind.data.parse import Parsed, flags, looks_numeric, numbers, text
from tradewind.data.roles import LEVERS, SHOWN

WORST = 0.5  # share of unreadable values beyond which a required column is refused
DTYPES: Mapping[Type, pl.DataType] = {
    Type.DATE: pl.Date(),
    Type.TIMESTAMP: pl.Datetime("us"),
    Type.NUMBER: pl.Float64(),
    Type.INTEGER: pl.Int64(),
    Type.FLAG: pl.Boolean(),
    Type.TEXT: pl.String(),
}


def convert(
    frame: pl.DataFrame, schema: Schema, *, decimal: str, name: str, theirs: Mapping[str, str]
) -> tuple[pl.DataFrame, tuple[Fact, ...]]:
    """Return the frame with every column typed; raises BadValue where a required column is mostly unreadable."""
    facts: list[Fact] = []
    made: list[pl.Series] = []
    for ours in frame.columns:
        column = schema.get(ours)
        source = theirs.get(ours, ours)
        try:
            made.append(_known(frame[ours], column, decimal, facts) if column else _extra(frame[ours], decimal, facts))
        except TradewindError as error:
            raise type(error)(error.message.replace(f'"{ours}"', f'"{source}"', 1) + f" in {name}", hint=error.hint) from error
    return pl.DataFrame(made), tuple(facts)


def _known(values: pl.Series, column: Column, decimal: str, facts: list[Fact]) -> pl.Series:
    if column.type in (Type.DATE, Type.TIMESTAMP):
        dated = dates(values)
        _unreadable(values, column, dated, "a date", facts)
        if dated.style not in ("", "dates", "timestamps", "year-month-day"):
            facts.append(
                Fact(
                    f"date_style.{column.name}",
                    dated.style,
                    meaning="a guess: it could be read in another way" if dated.guessed else "decided over the whole column",
                )
            )
        if " and " in dated.style:
            facts.append(
                Fact(f"mixed_styles.{column.name}", dated.style.count(" and ") + 1, "styles", "every value was read in its own style")
            )
        return dated.values
    if column.type is Type.TEXT:
        return text(values)
    if column.type is Type.FLAG:
        flagged = flags(values)
        _unreadable(values, column, flagged, "yes or no", facts)
        return flagged.values
    return _number(values, column, decimal, facts)


def _number(values: pl.Series, column: Column, decimal: str, facts: list[Fact]) -> pl.Series:
    parsed = numbers(values, decimal)
    if parsed.bad and column.minimum == 0 and column.maximum == 1:
        flagged = flags(values)
        if flagged.bad < parsed.bad:
            facts.append(Fact(f"flags.{column.name}", len(values), "values", "yes and no were read as 1 and 0"))
            return flagged.values.cast(pl.Float64)
    _unreadable(values, column, parsed, "a number", facts)
    if parsed.percent:
        facts.append(Fact(f"percent.{column.name}", parsed.percent, "values", "carried a % sign and were divided by 100"))
    return parsed.values


def _unreadable(values: pl.Series, column: Column, read: Parsed | Dated, what: str, facts: list[Fact]) -> None:
    bad, row, example = read.bad, read.row, read.example
    if not bad:
        return
    if bad > WORST * (len(values) - values.null_count()):
        hint = "map another column to it, or correct the file"
        if what == "a date" and looks_numeric(values):
            hint = "a number of a week, a month or a row names no day: add a column with its year, or with the first day of each"
        raise BadValue(
            f'column "{column.name}" must hold {what}: {bad} of {len(values)} values do not, first in row {row} ({example!r})', hint=hint
        )
    facts.append(Fact(f"unreadable.{column.name}", bad, "values", f"not {what}, taken as missing; the first is {example!r} in row {row}"))


def _extra(values: pl.Series, decimal: str, facts: list[Fact]) -> pl.Series:
    """Type a column of theirs that no description covers: number, flag, date or text, without losing a value."""
    if values.dtype in (pl.Boolean, pl.Date):
        return values
    if values.dtype.is_numeric():
        return values.cast(pl.Float64)
    if values.dtype != pl.String:
        return dates(values).values
    if looks_numeric(values, decimal) and not values.head(1000).str.contains(r"^0\d").any():
        parsed = numbers(values, decimal)
        if parsed.bad <= 0.01 * len(values):
            if parsed.bad:
                facts.append(
                    Fact(
                        f"unreadable.{values.name}",
                        parsed.bad,
                        "values",
                        f"no numbers, taken as missing; the first is {parsed.example!r} in row {parsed.row}",
                    )
                )
            return parsed.values
    if looks_dated(values):
        dated = dates(values)
        if dated.bad == 0:
            return dated.values
    return _lever(values, facts) if LEVERS.union(SHOWN) & set(fold(values.name).split("_")) else text(values)


def _lever(values: pl.Series, facts: list[Fact]) -> pl.Series:
    """Type a column called as a promotion or its support: yes and no as 1 and 0, a cross beside nothing too; any other text stays text."""
    flagged = flags(values)
    if flagged.bad or flagged.values.null_count() == len(values):
        return text(values)
    facts.append(Fact(f"flags.{values.name}", len(values), "values", "yes and no were read as 1 and 0"))
    crossed = flagged.values.drop_nulls().all()  # who only ever says yes says no by saying nothing
    return (flagged.values.fill_null(value=False) if crossed else flagged.values).cast(pl.Float64)
