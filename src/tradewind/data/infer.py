"""Guess which business table this is and which of its columns is which of ours, and say why."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from tradewind.core.answer import Fact
from tradewind.core.catalog import TABLES, table_schema
from tradewind.core.errors import BadValue, MissingColumn
from tradewind.core.schema import Column, Role, Schema
from tradewind.data.combine import repeated
from tradewind.data.dates import looks_dated
from tradewind.data.match import BY_VALUE, HELD, Match, assign, by_name, candidates, fits, fold, is_index
from tradewind.data.parse import looks_numeric
from tradewind.data.parts import joined
from tradewind.data.read import Raw
from tradewind.data.roles import describe
from tradewind.data.types import convert
from tradewind.data.unpivot import FEWEST, channels_across, channels_to_rows, unpivot
from tradewind.data.weeks import begun

OPEN_TABLES = ("customers", "outcomes", "products", "stores")
"""Tables whose further columns are the point of them: a new name in `map` is no mistake there."""
ACROSS = (
    "write a row for each date and channel; columns of spend for each channel are turned into rows where they are called as in tv_spend, "
    "or by a pattern, as in --wide 'x{channel}=spend' or --wide '{channel:TV|Radio}=spend'"
)
"""What to do where a table of media has no column of channels."""


@dataclass(frozen=True, slots=True)
class Guess:
    """What was guessed: the table, its schema, the frame under our names and types, theirs -> ours, and why."""

    table: str
    schema: Schema
    frame: pl.DataFrame
    mapping: dict[str, str]
    why: tuple[Fact, ...]


def infer(raw: Raw, *, table: str | None = None, map: Mapping[str, str] | None = None, wide: Sequence[str] = ()) -> Guess:
    """Guess the table and the columns; `map` is theirs -> ours and stands.

    Raises MissingColumn for a required column that nothing fits (the hint names the likeliest), BadValue for a mapping that cannot be.
    """
    decimal = raw.decimal
    if table is not None:
        table_schema(table)
    fixed = _fixed(raw, dict(map or {}), wide)
    dated = table is None or TABLES[table].time is not None
    frame, put = joined(raw.frame, decimal, fixed) if dated and "date" not in fixed.values() else (raw.frame, ())
    media = channels_across(frame, decimal) if table in (None, "marketing") and not wide else {}
    if media and table == "marketing":
        frame, facts = channels_to_rows(frame, media)
    else:
        frame, facts = (frame, ()) if table not in (None, "sales") and not wide else unpivot(frame, wide, decimal)
    fixed = {theirs: ours for theirs, ours in fixed.items() if theirs in frame.columns}
    named, found = _choose(frame, table, fixed, raw.name, decimal)
    schema = TABLES[named]
    _check_map(named, schema, fixed)
    frame, found, single = _single_series(named, frame, found, decimal)
    missing = [column.name for column in schema if column.required and column.name not in found]
    if missing:
        raise _missing(schema, frame, found, missing, name=raw.name, decimal=decimal)
    mapping, left_out = _names(schema, frame, found, fixed)
    long = frame.select(pl.col(theirs).alias(ours) for theirs, ours in mapping.items())
    typed, read = convert(long, schema, decimal=decimal, name=raw.name, theirs={ours: theirs for theirs, ours in mapping.items()})
    typed, ended = begun(typed, "date", found["date"].theirs if "date" in found else "")
    described, said = describe(typed, schema, named)
    why = (
        *put,
        *facts,
        Fact("table", named, meaning="as you said" if table else "the business table whose columns these are"),
        *single,
        *_reasons(found),
        *left_out,
        *read,
        *ended,
        *said,
        *(_twofold(media) if media and named == "outcomes" else ()),
    )
    return Guess(named, described, typed, mapping, why)


def _fixed(raw: Raw, mapped: dict[str, str], wide: Sequence[str]) -> dict[str, str]:
    """Check what the user mapped: every one of theirs exists, no two go to one of ours."""
    names = {fold(name): name for name in raw.frame.columns} | {name: name for name in raw.frame.columns}
    made = {
        "product",
        "units",
        "date",
        *(match for pattern in wide for match in re.findall(r"\{(\w+)[:}]|=(\w+)", pattern) for match in match if match),
    }
    fixed: dict[str, str] = {}
    for theirs, ours in mapped.items():
        if not isinstance(theirs, str) or not isinstance(ours, str):
            raise BadValue(f"map must name columns, not {theirs!r}: {ours!r}", hint='map={"their name": "our name"}')
        exact = theirs if theirs in raw.frame.columns else names.get(theirs.strip()) or names.get(fold(theirs))
        if exact is None and theirs not in made:
            close = difflib.get_close_matches(theirs, raw.frame.columns, 3, 0.5) or raw.frame.columns[:10]
            raise MissingColumn(f'column "{theirs}" is missing in {raw.name}', hint=f"did you mean: {', '.join(close)}")
        if ours in fixed.values():
            first = next(name for name, other in fixed.items() if other == ours)
            raise BadValue(f'both "{first}" and "{theirs}" are mapped to "{ours}"', hint="map one of them")
        fixed[exact or theirs] = ours
    return fixed


def _check_map(table: str, schema: Schema, fixed: Mapping[str, str]) -> None:
    for ours in fixed.values():
        close = difflib.get_close_matches(ours, schema.names, 1, 0.75)
        if ours not in schema and close and table not in OPEN_TABLES:
            raise BadValue(f'{table} has no column "{ours}"', hint=f"did you mean {close[0]}? there are: {', '.join(schema.names)}")


def _choose(frame: pl.DataFrame, table: str | None, fixed: Mapping[str, str], name: str, decimal: str) -> tuple[str, dict[str, Match]]:
    """Take the table that was named, or the one whose columns these are best."""
    if table is not None:
        return table, assign(TABLES[table], frame, fixed, decimal=decimal, by_values=True)
    stem = fold(name.split(".", maxsplit=1)[0])
    best: tuple[float, str, dict[str, Match]] = (-1e9, "sales", {})
    for named, schema in TABLES.items():
        found = assign(schema, frame, fixed, decimal=decimal, by_values=named == "sales")
        if "units" in found and found["units"].score > BY_VALUE:  # else any date with figures would be sales of one product
            _, found, _ = _single_series(named, frame, found, decimal)
        needed = [column.name for column in schema if column.required]
        score = sum((2.0 if ours in needed else 1.0) * match.score for ours, match in found.items())
        score -= 4.0 * sum(ours not in found for ours in needed)
        score -= 3.0 * sum(ours not in schema for ours in fixed.values())
        score += 3.0 if named in stem or named.removesuffix("s") in stem.split("_") else 0.0
        score -= 1.0 if named == "outcomes" else 0.0  # asks for a date only, so it would take anything
        score -= (10.0 if named == "outcomes" else 4.0) if _repeats(schema, frame, found) else 0.0
        score -= 2.0 if _loses(schema, frame, found, decimal) else 0.0
        if score > best[0]:
            best = (score, named, found)
    score, named, _ = best
    named = named if score > 0 else "sales"  # nothing speaks for a table: what is missing is said of the one most people have
    return named, assign(TABLES[named], frame, fixed, decimal=decimal, by_values=True)


def _repeats(schema: Schema, frame: pl.DataFrame, found: Mapping[str, Match]) -> bool:
    """Tell whether a table of one row per product, store or customer, or of outcomes by date, would hold most of them several times."""
    if schema.required == ("date",):
        keys = [found[name].theirs for name in schema.key if name in found]
        return frame.select(keys).n_unique() < 0.7 * frame.height
    if len(schema.key) != 1 or schema.key[0] not in found:
        return False
    return frame[found[schema.key[0]].theirs].n_unique() < 0.7 * frame.height


def _loses(schema: Schema, frame: pl.DataFrame, found: Mapping[str, Match], decimal: str) -> bool:
    """Tell whether the table has no place for the dates, or would add up rows of different things."""
    used = {match.theirs for match in found.values()}
    sample = frame.head(500)
    if schema.time is None:
        return any(name not in used and looks_dated(sample[name]) for name in frame.columns)
    only_date = schema.required == (schema.time,)
    others = [name for name in frame.columns if only_date and name not in used and not looks_dated(sample[name])]
    return any(sample[name].null_count() < sample.height and not looks_numeric(sample[name], decimal) for name in others)


def _single_series(
    table: str, frame: pl.DataFrame, found: dict[str, Match], decimal: str
) -> tuple[pl.DataFrame, dict[str, Match], tuple[Fact, ...]]:
    """Name the products of a file that has no column by that name.

    Where a store has several rows a day, the column that tells them apart names the product; else dates and numbers only are one series,
    or one for each store.
    """
    guessed = found.get("product", Match("", 0.0, "")).score <= BY_VALUE
    if table != "sales" or not guessed or "units" not in found or "date" not in found or "product" in frame.columns:
        return frame, found, ()
    whole = tuple(found[name].theirs for name in ("store", "date") if name in found)
    by_store = len(whole) == 2 and not repeated(frame.drop_nulls(whole), whole)
    if not by_store:
        if "product" in found:
            return frame, found, ()
        apart = _telling_apart(frame, found, whole) if len(whole) == 2 else None
        if apart is not None:
            return frame, {**found, "product": Match(apart, BY_VALUE, "tells rows of one store and date apart")}, ()
        if candidates(TABLES["sales"].columns[1], frame.head(2000), found, decimal):
            return frame, found, ()
    named, series = frame.with_columns(product=pl.lit("all")), "one series for each store" if by_store else "one series"
    return (
        named,
        {**found, "product": Match("product", 1.0, f"there is no column of products: the file is {series}")},
        (Fact("product", "all", meaning=f"the file has no column of products and is taken as {series}"),),
    )


def _telling_apart(frame: pl.DataFrame, found: Mapping[str, Match], whole: tuple[str, ...]) -> str | None:
    """Return the first free column of names or whole numbers that no two rows of one store and date share; None where there is none."""
    used = {match.theirs for match in found.values()}
    for name in frame.columns:
        values = frame[name]
        if name in used or values.null_count() or values.dtype.is_float() or looks_dated(values.head(500)):
            continue
        if 1 < values.n_unique() <= frame.height // 2 and not repeated(frame, (*whole, name)):
            return name
    return None


def _missing(
    schema: Schema, frame: pl.DataFrame, found: Mapping[str, Match], missing: list[str], *, name: str, decimal: str
) -> MissingColumn:
    ours = missing[0]
    target = next((column.name for column in schema if column.role is Role.TARGET and column.name in missing), ours)
    if not candidates(schema.get(ours) or Column(ours), frame.head(2000), found, decimal):
        ours = target  # figures without a name are one series: what is missing is which of them
    column = schema.get(ours) or Column(ours)
    options = _likeliest(column, candidates(column, frame.head(2000), found, decimal), frame.head(2000))
    across = ours == "channel" and not options and "spend" in missing
    if not options and not across:  # nothing is free: a column that was taken for something optional may be the one
        options = _taken(schema, frame, found, column, decimal)
    likely = _typed(options[0]) if options else "theirs"
    hint = (
        ACROSS if ours == "channel" and not options else f"tradewind load {name} --map {likely}={ours}{_place(frame, found, ours, options)}"
    )
    hint += (
        f" (could also be: {', '.join(options[1:6])})"
        if len(options) > 1
        else ""
        if options
        else f"; there are: {', '.join(frame.columns[:12])}"
    )
    if ours == "units":
        hint += _across([each for each in options if not any(_unlike(each, frame.head(2000)))], dated="date" in found)
    fields = [{"pointer": f"/columns/{each}", "message": "is missing"} for each in missing]
    return MissingColumn(f'column "{ours}" is missing in {name}', hint=hint, fields=fields)


def _place(frame: pl.DataFrame, found: Mapping[str, Match], ours: str, options: Sequence[str]) -> str:
    """Return how to map the place, too, where only a further column tells rows of a date and of what may be the product apart."""
    if ours != "product" or not options or "date" not in found or "store" in found:
        return ""
    both = (found["date"].theirs, options[0])
    apart = (each for each in options[1:] if repeated(frame, both) and not repeated(frame, (*both, each)))
    place = next(apart, "")
    return f" --map {_typed(place)}=store" if place else ""


def _typed(theirs: str) -> str:
    return f'"{theirs}"' if " " in theirs else theirs


def _across(options: Sequence[str], *, dated: bool) -> str:
    """Return what to type where each of several figures is a product, or a day that is only numbered."""
    if len(options) < FEWEST:
        return ""
    before = {name.rstrip("0123456789") for name in options}
    if len(before) == 1 and all(name[-1:].isdigit() for name in options):
        pattern = f"{before.pop()}{{day:2024-01-31}}=units"
        return f"; where they count days (or weeks: week) and {options[0]} is of 2024-01-31: --wide '{pattern}'"
    return "; where each of them is a product: --wide '{product}=units'" if dated else ""


def _likeliest(column: Column, options: list[str], sample: pl.DataFrame) -> list[str]:
    """Put first, of words, whose name holds one of ours, and last, of figures to be forecast, what hardly varies or is called otherwise."""
    if column.role is not Role.TARGET:
        return sorted(options, key=lambda theirs: not set(fold(theirs).split("_")) & {column.name, *column.synonyms})
    return sorted(options, key=lambda theirs: _unlike(theirs, sample))


def _unlike(theirs: str, sample: pl.DataFrame) -> tuple[bool, bool]:
    """Tell whether figures hardly vary, and whether they are called as something else of ours."""
    others = (ours for schema in TABLES.values() for ours in schema if ours.role is not Role.TARGET)
    named = any((match := by_name(ours, theirs)) and match.score > HELD for ours in others)
    return sample[theirs].drop_nulls().n_unique() <= 2 < sample.height, named


def _taken(schema: Schema, frame: pl.DataFrame, found: Mapping[str, Match], column: Column, decimal: str) -> list[str]:
    """List the columns that were taken for something optional and could be the one that is missing, likeliest first."""
    optional = [(schema.get(other) or column, match.theirs) for other, match in found.items() if not (schema.get(other) or column).required]
    optional.sort(key=lambda pair: pair[0].role is Role.LEVER)  # a price is no count
    options = [theirs for _, theirs in optional if fits(column, frame[theirs].head(2000), decimal)]
    if column.role is Role.ENTITY:  # a word names a thing sooner than a figure does
        options.sort(key=lambda theirs: looks_numeric(frame[theirs].head(2000), decimal))
    return options


def _names(
    schema: Schema, frame: pl.DataFrame, found: Mapping[str, Match], fixed: Mapping[str, str]
) -> tuple[dict[str, str], tuple[Fact, ...]]:
    """Return theirs -> the name it gets, ours first; columns that only number the rows are left out."""
    mapping = {
        found[ours].theirs: ours
        for ours in [*(name for name in schema.names if name in found), *(name for name in found if name not in schema)]
    }
    numbered: list[str] = []
    empty: list[str] = []
    for theirs in frame.columns:
        if theirs in mapping:
            continue
        if is_index(theirs, frame[theirs]):
            numbered.append(theirs)
        elif frame[theirs].null_count() == frame.height:
            empty.append(theirs)
        else:
            name = fixed.get(theirs) or theirs.strip() or "unnamed"
            while name in mapping.values() or (name in schema and theirs not in fixed):
                name = f"their_{name}"
            mapping[theirs] = name
    facts = [Fact("left_out", ", ".join(numbered), meaning="only the number of the row")] if numbered else []
    facts += [Fact("empty_columns", ", ".join(empty), meaning="left out: no value in any row")] if empty else []
    return mapping, tuple(facts)


def _twofold(media: Mapping[str, Mapping[str, str]]) -> tuple[Fact, ...]:
    """Say that the spend of channels is in the file, too, and how to load it."""
    meaning = "spend of a channel each: load the file once more with --table marketing to have them as media"
    return (Fact("media_columns", ", ".join(media["spend"].values()), meaning=meaning),)


def _reasons(found: Mapping[str, Match]) -> tuple[Fact, ...]:
    return tuple(Fact(f"column.{ours}", match.theirs, meaning=match.why) for ours, match in found.items())
