"""Columns of text to numbers, flags and clean text, counting what could not be read."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

MISSING = (
    "",
    "na",
    "n/a",
    "#n/a",
    "#na",
    "null",
    "none",
    "nan",
    "nil",
    "-",
    "--",
    ".",
    "?",
    "#div/0!",
    "#value!",
    "#ref!",
    "missing",
    "unknown",
)
YES = ("1", "1.0", "true", "t", "yes", "y", "ja", "j", "oui", "si", "on", "x")
NO = ("0", "0.0", "false", "f", "no", "n", "nein", "non", "off")
SIGNS = r"[\s\u00a0\u202f'’$€£¥₹%]|(?i:eur|usd|gbp|chf)"


@dataclass(frozen=True, slots=True)
class Parsed:
    """A column read as a type: `bad` values could not be read (first one in `row`, from 1), `percent` carried a % sign."""

    values: pl.Series
    bad: int = 0
    row: int = 0
    example: str = ""
    percent: int = 0


def numbers(column: pl.Series, decimal: str = ".") -> Parsed:
    """Read numbers: thousands marks, currency, percent signs, (5) and 5- for minus five. Percent values are divided by 100."""
    if column.dtype == pl.Boolean or column.dtype.is_numeric():
        return Parsed(column.cast(pl.Float64))
    if column.dtype != pl.String:
        return Parsed(pl.Series(column.name, [None] * len(column), dtype=pl.Float64), len(column) - column.null_count(), 1, str(column[0]))
    if decimal == ".":
        quick = column.cast(pl.Float64, strict=False)
        if quick.null_count() == column.null_count():
            return Parsed(quick)
    words = column.unique(maintain_order=False) if len(column) > 1000 else column
    if len(words) > len(column) // 2:
        values, percent = _figures(column, decimal)
        return _counted(column, values, percent)
    words = words.drop_nulls()
    made, signs = _figures(words, decimal)
    values = column.replace_strict(words, made, default=None, return_dtype=pl.Float64)
    percent = column.replace_strict(words, signs, default=False, return_dtype=pl.Boolean)
    return _counted(column, values, percent)


def _figures(column: pl.Series, decimal: str) -> tuple[pl.Series, pl.Series]:
    word = pl.col("w")
    bare = word.str.replace_all(SIGNS, "")
    other = "." if decimal == "," else ","
    grouped = bare.str.contains(rf"^[(+-]?\d{{1,3}}(\{other}\d{{3}})+(\{decimal}\d*)?[)-]?$")
    plain = pl.when(grouped).then(bare.str.replace_all(other, "", literal=True)).otherwise(bare)
    if decimal == ",":
        plain = pl.when(plain.str.contains(r"^[^.]*,[^.,]*$")).then(plain.str.replace(",", ".", literal=True)).otherwise(plain)
    minus = plain.str.contains(r"^\(.*\)$|^[^-]+-$")
    size = plain.str.replace_all(r"^\(|\)$|-$", "").cast(pl.Float64, strict=False)
    signed = pl.when(minus).then(-size).otherwise(size)
    percent = word.str.contains(r"%\s*$")
    done = column.alias("w").to_frame().select(pl.when(percent).then(signed / 100).otherwise(signed).alias("v"), percent.alias("p"))
    return done["v"].alias(column.name), done["p"].fill_null(False)


def _counted(column: pl.Series, values: pl.Series, percent: pl.Series) -> Parsed:
    lost = values.is_null() & column.is_not_null()
    if lost.any():
        lost = lost & ~column.str.strip_chars().str.to_lowercase().is_in(MISSING)
    at = lost.arg_max() if lost.any() else None
    example = "" if at is None else str(column[at])[:40]
    return Parsed(values.alias(column.name), int(lost.sum()), 0 if at is None else at + 1, example, int(percent.sum()))


def flags(column: pl.Series) -> Parsed:
    """Read yes and no, in the usual ways of writing them."""
    if column.dtype == pl.Boolean:
        return Parsed(column)
    if column.dtype.is_numeric():
        values = pl.select(pl.when(column == 1).then(True).when(column == 0).then(False)).to_series().alias(column.name)
        lost = values.is_null() & column.is_not_null()
        at = lost.arg_max() or 0
        return Parsed(values, int(lost.sum()), at + 1 if lost.any() else 0, str(column[at]) if lost.any() else "")
    word = column.cast(pl.String).str.strip_chars().str.to_lowercase()
    values = pl.select(pl.when(word.is_in(YES)).then(True).when(word.is_in(NO)).then(False)).to_series().alias(column.name)
    return _counted(column.cast(pl.String), values, pl.Series([False]))


def text(column: pl.Series) -> pl.Series:
    """Return trimmed text in one unicode form (NFC), empty and missing marks as null; 12345.0 of a spreadsheet becomes 12345."""
    if column.dtype.is_float():
        whole = column.drop_nulls().drop_nans()
        if (whole == whole.round(0)).all() and (whole.is_empty() or (whole.abs().max() or 0) < 2**53):  # type: ignore[operator]
            return column.fill_nan(None).cast(pl.Int64).cast(pl.String)
        return column.fill_nan(None).cast(pl.String)
    if column.dtype != pl.String:
        return column.cast(pl.String)
    words = column.unique().drop_nulls()
    tidy = words.str.strip_chars(" \t\r\n\u00a0\u200b\ufeff").str.normalize("NFC")
    tidy = pl.select(
        pl.when(tidy.str.to_lowercase().is_in(("", "nan", "null", "none", "#n/a", "n/a"))).then(None).otherwise(tidy)
    ).to_series()
    if tidy.null_count() == 0 and (tidy == words).all():
        return column
    if len(words) > len(column) // 2:
        whole = column.str.strip_chars(" \t\r\n\u00a0\u200b\ufeff").str.normalize("NFC")
        return (
            pl.select(pl.when(whole.str.to_lowercase().is_in(("", "nan", "null", "none", "#n/a", "n/a"))).then(None).otherwise(whole))
            .to_series()
            .alias(column.name)
        )
    return column.replace_strict(words, tidy, default=None, return_dtype=pl.String)


def looks_numeric(column: pl.Series, decimal: str = ".") -> bool:
    """Tell whether nine in ten of a sample's values are numbers."""
    if column.dtype.is_numeric():
        return True
    if column.dtype != pl.String:
        return False
    sample = column.drop_nulls().head(1000)
    sample = sample.filter(~sample.str.strip_chars().str.to_lowercase().is_in(MISSING))
    return len(sample) > 0 and numbers(sample, decimal).bad <= 0.1 * len(sample)
