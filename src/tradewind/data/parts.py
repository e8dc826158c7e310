"""Dates that a file writes in parts: a year beside a month, a week, a quarter, a month and a day, or twelve columns of months."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import polars as pl

from tradewind.core.answer import Fact
from tradewind.core.catalog import TABLES
from tradewind.data.dates import EARLIEST, LATEST, looks_dated, month_number
from tradewind.data.match import by_name, fold
from tradewind.data.parse import looks_numeric, numbers

NAMES: Mapping[str, tuple[str, ...]] = {
    "year": ("year", "yr", "calendar_year", "fiscal_year", "jahr", "ano", "anio", "annee", "anno", "jaar", "rok"),
    "month": ("month", "mon", "month_name", "month_number", "month_no", "month_nr", "monat", "mes", "mois", "mese", "maand"),
    "week": (
        "week",
        "wk",
        "week_number",
        "week_no",
        "week_nr",
        "week_of_year",
        "iso_week",
        "kw",
        "woche",
        "semana",
        "semaine",
        "settimana",
    ),
    "quarter": ("quarter", "qtr", "quartal", "trimestre", "kwartaal"),
    "day": ("day", "day_of_month", "monthday", "tag", "dia", "jour", "giorno", "dag"),
}
MOST = {"year": LATEST, "month": 12, "week": 53, "quarter": 4, "day": 31}
WAYS: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (("year", "month", "day"), "{}-{}-{}", ""),
    (("year", "week"), "{}-W{}", "the Monday of each ISO week"),
    (("year", "month"), "{}-{}", "the first day of each month"),
    (("year", "quarter"), "{}-Q{}", "the first day of each quarter"),
)
"""Which parts make a date, finest first, how they are written together, and which day stands for them."""
WEEKS = 5  # most weeks of a month: numbers up to that beside a month are no weeks of a year


def joined(frame: pl.DataFrame, decimal: str, mapped: Collection[str] = ()) -> tuple[pl.DataFrame, tuple[Fact, ...]]:
    """Return the frame with one column `date` in place of the parts of a date, or as it is where it has a date or too few parts.

    `mapped` are columns that the user says something else of.
    """
    if "date" in frame.columns or any(_is_date(frame, name) for name in frame.columns):
        return frame, ()
    parts = _parts(frame, decimal, mapped)
    facts: tuple[Fact, ...] = ()
    if set(parts) == {"year"}:
        frame, facts = _months_across(frame, decimal, mapped)
        parts = _parts(frame, decimal, mapped) if facts else parts
    if "week" in parts and "month" in parts and (parts["week"][1].max() or 0) <= WEEKS:  # type: ignore[operator]
        del parts["week"]
    for way, pattern, day in WAYS:
        if set(way) <= set(parts):
            theirs = [parts[part][0] for part in way]
            date = pl.select(pl.format(pattern, *(parts[part][1] for part in way)).alias("date")).to_series()
            kept = frame.drop(theirs)
            said = f"put together as date{', ' if day else ''}{day}"
            return kept.insert_column(0, date), (*facts, Fact("date_parts", ", ".join(theirs), meaning=said))
    return frame, facts


def _parts(frame: pl.DataFrame, decimal: str, mapped: Collection[str]) -> dict[str, tuple[str, pl.Series]]:
    """Return the parts of a date that the frame has: which column, and its numbers."""
    parts: dict[str, tuple[str, pl.Series]] = {}
    for part, names in NAMES.items():
        for name in frame.columns:
            if part not in parts and name not in mapped and fold(name) in names:
                read = _read(frame[name], part, decimal)
                if read is not None:
                    parts[part] = name, read
    return parts


def _months_across(frame: pl.DataFrame, decimal: str, mapped: Collection[str]) -> tuple[pl.DataFrame, tuple[Fact, ...]]:
    """Turn twelve columns of months into rows with the value as units."""
    number = dict(zip(frame.columns, month_number(pl.Series(frame.columns)), strict=True))
    months = [name for name in frame.columns if number[name] and name not in mapped and looks_numeric(frame[name], decimal)]
    if sorted(number[name] for name in months) != list(range(1, 13)) or "month" in frame.columns or "units" in frame.columns:
        return frame, ()
    rest = [name for name in frame.columns if name not in months]
    text = frame.with_columns(pl.col(months).cast(pl.String)) if any(frame[name].dtype == pl.String for name in months) else frame
    long = text.unpivot(on=months, index=rest, variable_name="month", value_name="units")
    return long, (Fact("wide_columns", 12, "columns", "one column per month was turned into rows with the value as units"),)


def _is_date(frame: pl.DataFrame, name: str) -> bool:
    """Tell whether a column is a date on its own."""
    return by_name(TABLES["sales"].columns[0], name) is not None and looks_dated(frame[name].head(500))


def _read(values: pl.Series, part: str, decimal: str) -> pl.Series | None:
    """Return whole numbers in the range of a part of a date, months from their names, too; None where others are among them."""
    if part == "month" and values.dtype == pl.String:
        named = month_number(values)
        if named.null_count() == values.null_count():
            return named
    if not (values.dtype == pl.String or values.dtype.is_numeric()):
        return None
    read = numbers(values, decimal)
    if part == "year":
        read = replace(read, values=_whole_years(values, read.values))
    some = read.values.fill_nan(None).drop_nulls()
    least = EARLIEST if part == "year" else 1
    if read.bad or some.is_empty() or not ((some == some.round(0)) & some.is_between(least, MOST[part])).all():
        return None
    return read.values.fill_nan(None).cast(pl.Int64)


def _whole_years(written: pl.Series, values: pl.Series) -> pl.Series:
    """Return years with their century where all are written in two digits, as those of dates are read: 69 is 2069, 70 is 1970.

    Numbers from 1 on are no years: they may count those of a study.
    """
    some = values.fill_nan(None).drop_nulls()
    two = written.dtype == pl.String and bool((written.drop_nulls().str.strip_chars().str.len_bytes() == 2).all())
    if some.is_empty() or not some.is_between(0 if two else 10, 99).all():
        return values
    return pl.select(values + pl.when(values < 70).then(2000.0).otherwise(1900.0)).to_series()
