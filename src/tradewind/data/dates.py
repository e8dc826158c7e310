"""Columns of dates in any of the usual styles to dates or timestamps; the style is decided over the whole column."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from tradewind.core.errors import BadValue

MISSING = ("", "na", "n/a", "#n/a", "null", "none", "nan", "nat", "-", "?")
CLOCK = r"(?:[T\s,]+(\d{1,2}:\d{2}(?::\d{2})?)(?:[.,]\d+)?\s*([AaPp][Mm])?\s*(Z|UTC|GMT|[+-]\d{2}:?\d{2})?)?$"
MONTHS = {
    name: at
    for at, names in enumerate(
        (
            "jan ene gen",
            "feb fév fev",
            "mar mär mrz mrt maa",
            "apr avr abr",
            "may mai mag maj mei",
            "jun juin giu",
            "jul juil lug",
            "aug aoû aou ago",
            "sep set",
            "oct okt ott out",
            "nov",
            "dec dez déc dic",
        ),
        1,
    )
    for name in names.split()
}
"""First letters of months: English, German, French, Spanish, Italian, Portuguese, Dutch."""
NAME = r"(\p{L}{3,10})\.?"
EARLIEST, LATEST = 1900, 2199

Style = tuple[str, str, str]
STYLES: tuple[Style, ...] = (
    # name, pattern, which group is which part:
    # y m d w q = year month day week quarter, M = month by name, a b = day and month in unknown order
    ("year-month-day", r"^(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})" + CLOCK, "ymd"),
    ("day/month/year", r"^(\d{1,2})[-/.](\d{1,2})[-/.](\d{4}|\d{2})" + CLOCK, "aby"),
    ("yyyymmdd", r"^(\d{4})(\d{2})(\d{2})" + CLOCK, "ymd"),
    ("year-week", r"^(\d{4})[- ]?[Ww](\d{1,2})(?:-1)?$", "yw"),
    ("year-month", r"^(\d{4})[-/.Mm ](\d{1,2})$", "ym"),
    ("month/year", r"^(\d{1,2})[-/.](\d{4})$", "my"),
    ("year quarter", r"^(\d{4})[- ]?[Qq]([1-4])$", "yq"),
    ("quarter year", r"^[Qq]([1-4])[- /]?(\d{4})$", "qy"),
    ("day month year", r"^(\d{1,2})\.?[- ]" + NAME + r"[- ,]+(\d{4}|\d{2})" + CLOCK, "dMy"),
    ("month day, year", r"^" + NAME + r"[- ](\d{1,2})(?:st|nd|rd|th)?,?[- ](\d{4})" + CLOCK, "Mdy"),
    ("month year", r"^" + NAME + r"[- ](\d{4})$", "My"),
    ("year month", r"^(\d{4})[- ]" + NAME + r"$", "yM"),
    ("year", r"^((?:19|20)\d{2})$", "y"),
)

SERIALS: tuple[tuple[str, float, float, float, int], ...] = (
    # name, smallest, largest, what to add to count from 1970, microseconds in one
    ("days since 1970", 1000, 20000, 0, 86_400_000_000),
    ("spreadsheet days", 20000, 80000, -25569, 86_400_000_000),
    ("seconds since 1970", 1e8, 1e10, 0, 1_000_000),
    ("milliseconds since 1970", 1e11, 1e13, 0, 1_000),
)


@dataclass(frozen=True, slots=True)
class Dated:
    """A column read as dates (pl.Date) or, where a time of day is there, timestamps (pl.Datetime; in UTC where a zone was written)."""

    values: pl.Series
    style: str = ""
    bad: int = 0
    row: int = 0
    example: str = ""
    guessed: bool = False  # day and month could have been either way round


def dates(column: pl.Series) -> Dated:
    """Read dates; raises BadValue when one column holds both day/month and month/day."""
    dtype = column.dtype
    if dtype == pl.Date:
        return Dated(column, "dates")
    if isinstance(dtype, pl.Datetime):
        if dtype.time_zone and not (column.dt.truncate("1d") == column).all():
            return Dated(column.dt.convert_time_zone("UTC").cast(pl.Datetime("us", "UTC")), "timestamps")
        return Dated(_whole_days(column.dt.replace_time_zone(None)), "timestamps")
    if dtype.is_numeric():
        return _serials(column)
    if dtype != pl.String:
        return Dated(
            pl.Series(column.name, [None] * len(column), dtype=pl.Date),
            bad=len(column) - column.null_count(),
            row=1,
            example=str(column[0]),
        )
    words = column.unique(maintain_order=True).drop_nulls()
    made = _words(words, column)
    if len(words) == len(column):
        values = made.values
    else:
        values = column.replace_strict(words, made.values, default=None, return_dtype=made.values.dtype)
    lost = values.is_null() & column.is_not_null() & ~column.str.strip_chars().str.to_lowercase().is_in(MISSING)
    at = lost.arg_max() if lost.any() else None
    example = "" if at is None else str(column[at])[:40]
    return Dated(values.alias(column.name), made.style, int(lost.sum()), 0 if at is None else at + 1, example, made.guessed)


def looks_dated(column: pl.Series) -> bool:
    """Tell whether nine in ten of a sample's values are dates (numbers are not asked)."""
    if column.dtype == pl.Date or isinstance(column.dtype, pl.Datetime):
        return True
    if column.dtype != pl.String:
        return False
    sample = column.drop_nulls().head(500)
    try:
        return len(sample) > 0 and dates(sample).bad <= 0.1 * len(sample)
    except BadValue:
        return True


def _whole_days(column: pl.Series) -> pl.Series:
    """Return dates where no value carries a time of day."""
    if (column.dt.truncate("1d") == column).all():
        return column.cast(pl.Date)
    return column.cast(pl.Datetime("us"))


def _serials(column: pl.Series) -> Dated:
    """Read numbers as dates: yyyymmdd, years, spreadsheet days since 1899-12-30, days, seconds or milliseconds since 1970."""
    values = column.cast(pl.Float64).fill_nan(None)
    low, high = values.min(), values.max()
    if not isinstance(low, float) or not isinstance(high, float):
        return Dated(pl.Series(column.name, [None] * len(column), dtype=pl.Date))
    whole = bool((values.drop_nulls() == values.drop_nulls().round(0)).all())
    if whole and ((low >= EARLIEST and high <= LATEST) or (low >= EARLIEST * 10000 and high <= LATEST * 10000 + 1231)):
        return dates(column.cast(pl.Int64).cast(pl.String))
    for style, least, most, start, unit in SERIALS:
        if low >= least and high < most and (whole or unit != 86_400_000_000 or start):
            stamps = ((values + start) * unit).round(0).cast(pl.Int64).cast(pl.Datetime("us"))
            return Dated(_whole_days(stamps.alias(column.name)), style, guessed=style == "days since 1970")
    return Dated(
        pl.Series(column.name, [None] * len(column), dtype=pl.Date), bad=len(column) - column.null_count(), row=1, example=str(column[0])
    )


def _words(words: pl.Series, column: pl.Series) -> Dated:
    quick = words.str.to_date("%Y-%m-%d", strict=False) if words.str.len_bytes().max() == 10 else None
    if quick is not None and quick.null_count() == 0 and quick.dt.year().is_between(EARLIEST, LATEST).all():
        return Dated(quick, "year-month-day")
    left = pl.DataFrame({"at": pl.int_range(len(words), eager=True), "w": words.str.strip_chars()})
    parts: list[pl.DataFrame] = []
    styles: list[str] = []
    guessed = False
    for name, pattern, order in STYLES:
        if not left.height:
            break
        found = left.filter(left["w"].str.contains(pattern))
        if not found.height:
            continue
        left = left.join(found.select("at"), on="at", how="anti")
        fields, swapped, unsure = _fields(found, pattern, order, column)
        guessed = guessed or unsure
        parts.append(fields)
        styles.append("month/day/year" if swapped else name)
    if not parts:
        return Dated(pl.Series(words.name, [None] * len(words), dtype=pl.Date))
    joined = pl.concat(parts)
    if not joined["clock"].str.contains("[1-9]").any():  # midnight everywhere: these are dates, which no zone may shift
        joined = joined.with_columns(zone=pl.lit(None, pl.String))
    zoned = joined["zone"].is_not_null().any()
    stamps = joined.with_columns(_moment())
    whole = pl.DataFrame({"at": pl.int_range(len(words), eager=True)}).join(stamps, on="at", how="left", maintain_order="left")
    stamp = whole["stamp"].dt.replace_time_zone("UTC") if zoned else _whole_days(whole["stamp"])
    return Dated(stamp, " and ".join(styles), guessed=guessed)


def _fields(found: pl.DataFrame, pattern: str, order: str, column: pl.Series) -> tuple[pl.DataFrame, bool, bool]:
    """Return columns at, day (pl.Date), clock, half, zone; and whether month comes first, and whether that is a guess."""
    word = pl.col("w")
    group = {letter: word.str.extract(pattern, at) for at, letter in enumerate(order, 1)}
    swapped = unsure = False
    if "a" in group:
        swapped, unsure = _month_first(found, pattern, column)
        group["m"], group["d"] = (group["a"], group["b"]) if swapped else (group["b"], group["a"])
    if "M" in group:
        group["m"] = _month(group["M"])
    number: Callable[[str], pl.Expr] = lambda letter: group[letter].cast(pl.Int32, strict=False)  # noqa: E731
    year = number("y")
    short = group["y"].str.len_bytes() == 2
    year = pl.when(short & (year < 70)).then(year + 2000).when(short).then(year + 1900).otherwise(year)
    if "w" in group:
        week = pl.format("{}-W{}-1", group["y"], group["w"].str.zfill(2))
        day = week.str.to_date("%G-W%V-%u", strict=False)
    else:
        month = number("m") if "m" in group else (number("q") * 3 - 2) if "q" in group else pl.lit(1, pl.Int32)
        written = pl.format("{}-{}-{}", year, month, number("d") if "d" in group else pl.lit(1, pl.Int32))
        day = written.str.to_date("%Y-%m-%d", strict=False)
    day = pl.when(day.dt.year().is_between(EARLIEST, LATEST)).then(day)
    late = len(order)
    timed = pattern.endswith(CLOCK)
    clock, half, zone = (word.str.extract(pattern, late + at) if timed else pl.lit(None, pl.String) for at in (1, 2, 3))
    return found.select("at", day.alias("day"), clock.alias("clock"), half.alias("half"), zone.alias("zone")), swapped, unsure


def month_number(names: pl.Series) -> pl.Series:
    """Return the numbers of months by their names, whole or cut short; null for other words."""
    return names.to_frame("w").select(_month(pl.col("w").str.strip_chars(" .")).alias(names.name)).to_series()


def _month(word: pl.Expr) -> pl.Expr:
    small = word.str.to_lowercase()
    first = [small.str.slice(0, length).replace_strict(MONTHS, default=None, return_dtype=pl.Int32) for length in (4, 3)]
    return pl.coalesce(first)


def _month_first(found: pl.DataFrame, pattern: str, column: pl.Series) -> tuple[bool, bool]:
    """Decide between day/month and month/day over the whole column."""
    pairs = found.with_columns(a=pl.col("w").str.extract(pattern, 1).cast(pl.Int32), b=pl.col("w").str.extract(pattern, 2).cast(pl.Int32))
    day_first, month_first = pairs.filter(pl.col("a") > 12), pairs.filter(pl.col("b") > 12)
    if day_first.height and month_first.height:
        one, other = day_first["w"][0], month_first["w"][0]
        row = (column.str.strip_chars() == other).arg_max() or 0
        raise BadValue(
            f'column "{column.name}" mixes day/month ({one}) and month/day ({other}, row {row + 1})',
            hint="write the dates in one style, best as 2026-11-30",
        )
    if day_first.height or month_first.height:
        return bool(month_first.height), False
    if found["w"].str.contains(r"^\d+\.").all():
        return False, False  # with points the day comes first everywhere
    always_first = [(pairs[part] == 1).all() for part in ("a", "b")]
    if always_first[0] != always_first[1]:  # monthly figures: the part that is always 1 is the day
        return bool(always_first[1]), True
    return bool(found["w"].str.contains(r"[AaPp][Mm]\s*$").any()), True


def _moment() -> list[pl.Expr]:
    """Join day, clock, am/pm and offset into one timestamp, in UTC where an offset is written."""
    clock = pl.col("clock")
    hour = clock.str.extract(r"^(\d{1,2})", 1).cast(pl.Int64).fill_null(0)
    minute = clock.str.extract(r":(\d{2})", 1).cast(pl.Int64).fill_null(0)
    second = clock.str.extract(r":\d{2}:(\d{2})", 1).cast(pl.Int64).fill_null(0)
    half = pl.col("half").str.to_lowercase()
    hour = pl.when(half == "am").then(hour % 12).when(half == "pm").then(hour % 12 + 12).otherwise(hour)
    valid = (hour < 24) & (minute < 60) & (second < 61)
    local = pl.col("day").cast(pl.Datetime("us")) + pl.duration(hours=hour, minutes=minute, seconds=second)
    sign = pl.when(pl.col("zone").str.starts_with("-")).then(-1).otherwise(1)
    digits = pl.col("zone").str.replace_all(r"[^\d]", "")
    offset = (
        digits.str.slice(0, 2).cast(pl.Int64, strict=False).fill_null(0) * 60
        + digits.str.slice(2, 2).cast(pl.Int64, strict=False).fill_null(0)
    ) * sign
    return [pl.when(valid).then(local - pl.duration(minutes=offset.fill_null(0))).alias("stamp")]
