"""Wide tables to long ones: one column per product, per date, or per channel and what is known of it."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence

import polars as pl

from tradewind.core.answer import Fact
from tradewind.core.catalog import TABLES
from tradewind.core.errors import BadValue, MissingColumn
from tradewind.data.dates import dates, looks_dated
from tradewind.data.match import by_name, fold
from tradewind.data.parse import looks_numeric

MEASURES = {
    "units": ("qty", "quantity", "units", "sales", "sold", "demand", "volume", "menge", "y"),
    "promotion": ("promo", "promotion", "deal", "onpromo", "aktion"),
    "price": ("price", "sell_price", "preis"),
    "revenue": ("revenue", "turnover", "amount", "umsatz"),
    "stock": ("stock", "inventory", "bestand"),
}
MEDIA = {
    "spend": ("spend", "spends", "spending", "cost", "costs", "budget", "ausgaben", "kosten", "mdsp", "S"),
    "impressions": ("impressions", "impression", "imps", "mdip", "I"),
    "clicks": ("clicks", "click"),
    "reach": ("reach",),
    "frequency": ("frequency", "freq"),
}
"""Words before or after a channel's name in a table with columns of its own for each channel; capitals stand at the end only."""
LARGEST, FURTHEST = 1_000_000, 20_000  # of numbers that count days, and between their first and last: beyond are dates, as in d_20240131
FEWEST = 3  # columns that make a table wide
STEPS = {"day": "d", "week": "w", "month": "mo"}
"""What numbered columns may count, and how polars writes it."""

Plan = dict[str, dict[str, str]]
"""Measure (ours) -> key -> their column."""


def unpivot(frame: pl.DataFrame, wide: Sequence[str], decimal: str) -> tuple[pl.DataFrame, tuple[Fact, ...]]:
    """Return the table in long form if it is wide, else as it is.

    `wide` says how: `("QTY_{product}=units", "PROMO_{product}=promotion")`, or which: `"{channel:TV|Radio}=spend"`; `{product}=units`
    takes every figure that is no date and no key, `d_{day:2014-01-25}=units` columns that count days (week, month) from the first one on.
    Raises BadValue for a pattern that cannot be read, MissingColumn for one that no column matches.
    """
    if wide:
        key, plan = _asked(frame, wide, decimal)
    else:
        found = _dates_across(frame, decimal)
        if found is not None:
            return found
        key, plan = "product", _guessed(frame, decimal)
    if not plan:
        return frame, ()
    long = _melt(frame, key, plan)
    across = sum(len(columns) for columns in plan.values())
    shown = ", ".join(f"{next(iter(columns.values()))} ... as {measure}" for measure, columns in plan.items())
    return long, (Fact("wide_columns", across, "columns", f"one column per {key} was turned into rows: {shown}"),)


def channels_across(frame: pl.DataFrame, decimal: str) -> Plan:
    """Return which columns are the spend (and exposure) of which channel, where two or more channels have a column of spend each."""
    if {fold(name) for name in frame.columns} & {"channel", "media", "medium", "spend"}:
        return {}
    found: Plan = {measure: {} for measure in MEDIA}
    for name in frame.columns:
        measure, channel = of_channel(name)
        if measure and looks_numeric(frame[name].head(500), decimal):
            found[measure].setdefault(channel, name)
    paid = found["spend"]
    if len(paid) < 2:
        return {}
    return {measure: own for measure, columns in found.items() if (own := {key: columns[key] for key in paid if key in columns})}


def of_channel(name: str) -> tuple[str, str]:
    """Return what a column says of which channel: ("spend", "tv") for `tv_spend`, `spend_tv` and `tv_S`; two empty texts for others."""
    for measure, words in MEDIA.items():
        long = "|".join(word for word in words if len(word) > 1)
        short = "|".join(word for word in words if len(word) == 1) or "(?!)"
        after = re.fullmatch(rf"(.+?)[ _.-]+(?:(?i:{long})|{short})", name.strip())
        before = re.fullmatch(rf"(?i:{long})[ _.-]+(.+)", name.strip())
        if after or before:
            return measure, (after or before)[1]  # type: ignore[index]
    return "", ""


def channels_to_rows(frame: pl.DataFrame, plan: Plan) -> tuple[pl.DataFrame, tuple[Fact, ...]]:
    """Return one row per channel, with what is known of it."""
    count = sum(len(columns) for columns in plan.values())
    said = f"the columns of each channel were turned into rows: {', '.join(plan['spend'])}"
    return _melt(frame, "channel", plan), (Fact("wide_columns", count, "columns", said),)


def _asked(frame: pl.DataFrame, wide: Sequence[str], decimal: str) -> tuple[str, Plan]:
    plan: Plan = {}
    keys: set[str] = set()
    for pattern in wide:
        match = re.fullmatch(r"(?P<before>[^{}]*)\{(?P<key>\w+)(:(?P<told>[^{}]+))?\}(?P<after>[^{}=]*)=(?P<measure>\w+)", pattern.strip())
        if not match:
            raise BadValue(f"cannot read the wide pattern {pattern!r}", hint="write it as QTY_{product}=units")
        counts = bool(match["told"]) and (match["key"] in STEPS or looks_dated(pl.Series([match["told"]])))
        only = [] if counts else [one.strip() for one in (match["told"] or "").split("|") if one.strip()]
        keys.add("date" if counts else match["key"])
        middle = r"\d+" if counts else "|".join(map(re.escape, only)) or ".+"
        shape = re.compile(f"{re.escape(match['before'])}({middle}){re.escape(match['after'])}")
        bare = match["key"] == "product" and not match["before"] and not match["after"] and not only
        there = _figures(frame, decimal) if bare else frame.columns
        columns = {found[1]: name for name in there if (found := shape.fullmatch(name))}
        columns = _counted(columns, match["key"], match["told"]) if counts and columns else columns
        if not columns:
            raise MissingColumn(f"no column matches {pattern!r}", hint=f"there are: {', '.join(frame.columns[:10])}")
        lacking = [one for one in only if one not in columns]
        if lacking:
            raise MissingColumn(
                f"no column is called {lacking[0]!r}, as {pattern!r} says", hint=f"there are: {', '.join(frame.columns[:10])}"
            )
        _merge(plan.setdefault(match["measure"], {}), columns, pattern)
    if len(keys) != 1:
        raise BadValue("all wide patterns must name the same key", hint="for example QTY_{product}=units and PROMO_{product}=promotion")
    if set(frame.columns) == {name for columns in plan.values() for name in columns.values()}:
        hint = (
            f"write what only the columns of each {min(keys)} have in their names, as in spend_{{{min(keys)}}}=spend, "
            f"or name them, as in {{{min(keys)}:TV|Radio}}=spend"
        )
        raise BadValue(f"{' and '.join(map(repr, wide))} takes every column, the date too", hint=hint)
    return keys.pop(), plan


def _merge(known: dict[str, str], columns: dict[str, str], pattern: str) -> None:
    """Add the columns of a pattern to those of another with the same figure; raises BadValue where both name one key."""
    twice = next((key for key in columns if known.get(key, columns[key]) != columns[key]), None)
    if twice is not None:
        raise BadValue(
            f"{known[twice]} and {columns[twice]} are both {twice!r} of {pattern!r}", hint="leave one of them out of the patterns"
        )
    known.update(columns)


def _figures(frame: pl.DataFrame, decimal: str) -> list[str]:
    """List the columns of figures that no name takes for a date, a part of one, or a key."""
    known = [ours for ours in TABLES["sales"] if ours.name in ("date", "product", "store")]
    sure = {name for name in frame.columns for ours in known if (match := by_name(ours, name)) and match.score >= 0.9}
    parts = ("year", "hour", "weekday", "jahr", "stunde", "wochentag", "index", "id", "row_id")
    sample = frame.head(500)
    return [
        name
        for name in frame.columns
        if name not in sure and fold(name) not in parts and looks_numeric(sample[name], decimal) and not looks_dated(sample[name])
    ]


def _counted(columns: dict[str, str], step: str, first: str) -> dict[str, str]:
    """Return date -> column for columns whose numbers count days, weeks or months; `first` is the date of the lowest."""
    try:
        start = dt.date.fromisoformat(first)
        unit = STEPS[step]
    except (ValueError, KeyError) as error:
        raise BadValue(f"cannot read {{{step}:{first}}}", hint="write it as d_{day:2014-01-25}=units; also week or month") from error
    numbers = {int(number): name for number, name in columns.items()}
    if len(numbers) < len(columns):
        twice = next(name for number, name in columns.items() if numbers[int(number)] != name)
        raise BadValue(f"{twice} and another column count the same {step}", hint="rename one of them, or leave it out of the file")
    low, high = min(numbers), max(numbers)
    if high >= LARGEST or high - low > FURTHEST:
        raise BadValue(f"{numbers[high]} counts no {step}s", hint="numbers that are dates themselves are written as d_{date}=units")
    made = pl.DataFrame({"by": [f"{number - low}{unit}" for number in numbers]}).select(pl.lit(start).dt.offset_by(pl.col("by")))
    return dict(zip(map(str, made.to_series()), numbers.values(), strict=True))


def _guessed(frame: pl.DataFrame, decimal: str) -> Plan:
    """Find PREFIX_key columns that make up nearly all of a table beside one date."""
    sample = frame.head(500)
    dated = [name for name in frame.columns if looks_dated(sample[name])]
    others = [name for name in frame.columns if name not in dated]
    if len(dated) != 1 or len(others) < FEWEST:
        return {}
    groups: dict[str, dict[str, str]] = {}
    for name in others:
        prefix, _, rest = name.partition("_")
        if rest:
            groups.setdefault(prefix, {})[rest] = name
    wide = {prefix: columns for prefix, columns in groups.items() if len(columns) >= FEWEST}
    covered = sum(len(columns) for columns in wide.values())
    if covered < 0.9 * len(others) or not all(
        looks_numeric(sample[name], decimal) for columns in wide.values() for name in columns.values()
    ):
        return {}
    named = {_measure(prefix): columns for prefix, columns in wide.items() if _measure(prefix)}
    if "units" in named:
        return named
    if len(wide) == 1 and not named:
        (columns,) = wide.values()
        if fold(next(iter(wide))) in ("item", "product", "sku", "series", "article", "p", "id", "artikel"):
            return {"units": {name: name for name in columns.values()}}
    return {}


def _measure(prefix: str) -> str:
    return next((measure for measure, names in MEASURES.items() if fold(prefix) in names), "")


def _melt(frame: pl.DataFrame, key: str, plan: Plan) -> pl.DataFrame:
    used = {name for columns in plan.values() for name in columns.values()}
    kept = [name for name in frame.columns if name not in used]
    keys = list(dict.fromkeys(name for columns in plan.values() for name in columns))
    base = pl.concat([frame.select(kept)] * len(keys))
    made = (
        [pl.Series(key, keys).gather(pl.Series([at for at in range(len(keys)) for _ in range(frame.height)], dtype=pl.UInt32))]
        if frame.height
        else []
    )
    for measure, columns in plan.items():
        text = any(frame[name].dtype == pl.String for name in columns.values())
        dtype = pl.String if text else pl.Float64
        blank = pl.Series(measure, [None] * frame.height, dtype=dtype)
        made.append(pl.concat([frame[columns[name]].cast(dtype) if name in columns else blank for name in keys]).alias(measure))
    return base.with_columns(made)


def _dates_across(frame: pl.DataFrame, decimal: str) -> tuple[pl.DataFrame, tuple[Fact, ...]] | None:
    """Turn a table with one column per date into rows."""
    names = pl.Series("names", [name if re.search(r"\d{4}|\d[-/.]\d", name) else "" for name in frame.columns])
    try:
        read = dates(names).values
    except BadValue:
        return None
    columns = [name for name, day in zip(frame.columns, read, strict=True) if day is not None]
    if (
        len(columns) < FEWEST
        or len(columns) < len(frame.columns) / 2
        or not all(looks_numeric(frame[name].head(500), decimal) or frame[name].null_count() == frame.height for name in columns)
    ):
        return None
    days = {name: str(day) for name, day in zip(frame.columns, read, strict=True) if day is not None}
    long = _melt(frame, "date", {"units": {name: name for name in columns}})
    long = long.with_columns(pl.col("date").replace_strict(days, return_dtype=pl.String))
    return long, (Fact("wide_columns", len(columns), "columns", "one column per date was turned into rows with the value as units"),)
