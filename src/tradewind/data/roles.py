"""Describe the columns that no business table names: lever, calendar, fixed per entity, or plain input."""

from __future__ import annotations

import polars as pl

from tradewind.core.answer import Fact
from tradewind.core.schema import Column, Role, Schema, Type
from tradewind.data.match import fold
from tradewind.data.unpivot import channels_across
from tradewind.data.words import NO_PRICE, OUTCOME, RIVALS

LEVERS = frozenset(
    (
        "price",
        "discount",
        "promo",
        "promotion",
        "deal",
        "coupon",
        "rebate",
        "markdown",
        "display",
        "flyer",
        "leaflet",
        "mailer",
        "rabatt",
        "preis",
        "aktion",
        "offer",
    )
)
SHOWN = frozenset(("feature", "feat", "featured", "ad", "advertised", "tpr", "circular", "prospekt", "handzettel", "zweitplatzierung"))
"""Words that make yes and no a lever: in a leaflet, on a second place, at a temporary price reduction."""
OWN = frozenset(("price", "preis", "discount", "rabatt"))
"""Words of levers that stay ours to set whatever else a name says: a sales price, a discount on volume."""
CALENDAR = frozenset(
    (
        "holiday",
        "holidays",
        "weekend",
        "weekday",
        "event",
        "festival",
        "vacation",
        "feiertag",
        "ferien",
        "schulferien",
        "ferie",
        "festivo",
    )
)
"""Words for what a calendar says: known ahead, whoever it is said of."""
MOST_NAMES = 60  # different texts of a column that names holidays or events
PANELS = ("sales", "prices", "outcomes")
CHECKED = 200_000  # rows that are looked at to tell a calendar column or a fixed one


def describe(frame: pl.DataFrame, schema: Schema, table: str) -> tuple[Schema, tuple[Fact, ...]]:
    """Return the schema of the frame: our columns as described, theirs with the role their name and values suggest."""
    columns: list[Column] = []
    told: dict[Role, list[str]] = {}
    media = {name for own in (channels_across(frame, ".") if table == "outcomes" else {}).values() for name in own.values()}
    for name in frame.columns:
        known = schema.get(name)
        if known is not None:
            actual = Type.TIMESTAMP if known.type is Type.DATE and isinstance(frame[name].dtype, pl.Datetime) else known.type
            columns.append(
                known
                if actual is known.type
                else Column(name, known.role, actual, known.required, known.unit, known.meaning, known.synonyms)
            )
            continue
        column = _extra(frame, name, schema, table)
        if column.role is Role.LEVER and name in media:  # a channel may be called display: its spend is planned in marketing
            column = Column(name, Role.INPUT, column.type)
        columns.append(column)
        told.setdefault(column.role, []).append(name)
    words = {
        Role.LEVER: "taken as yours to set: the name speaks of price or promotion",
        Role.KNOWN: "taken as known ahead: a calendar, or what a competitor asks",
        Role.STATIC: "fixed per series",
        Role.INPUT: "kept as inputs, known only after the fact" if schema.time else "kept as they are",
    }
    facts = tuple(Fact(f"{role}_columns", ", ".join(told[role]), meaning=meaning) for role, meaning in words.items() if role in told)
    return Schema(tuple(columns), tuple(name for name in schema.key if name in frame.columns)), facts


def _extra(frame: pl.DataFrame, name: str, schema: Schema, table: str) -> Column:
    dtype = frame[name].dtype
    kind = (
        Type.FLAG
        if dtype == pl.Boolean
        else Type.DATE
        if dtype == pl.Date
        else Type.TIMESTAMP
        if isinstance(dtype, pl.Datetime)
        else Type.NUMBER
        if dtype.is_numeric()
        else Type.TEXT
    )
    if table not in PANELS:
        return Column(name, Role.INPUT, kind)
    words = set(fold(name).split("_"))
    seen = frame.head(CHECKED)
    if kind in (Type.NUMBER, Type.FLAG) and _is_lever(seen, name, words):  # what a competitor asks is known as our own price is
        return Column(name, Role.KNOWN if words & RIVALS else Role.LEVER, kind)
    if kind in (Type.NUMBER, Type.FLAG) and (_is_calendar(seen, name, schema) or (words & CALENDAR and _is_flag(seen[name]))):
        return Column(name, Role.KNOWN, kind)
    if kind is Type.TEXT and words & CALENDAR and seen[name].n_unique() <= MOST_NAMES and not _is_fixed(seen, name, schema):
        return Column(name, Role.KNOWN, kind)
    return Column(name, Role.STATIC if _is_fixed(seen, name, schema) else Role.INPUT, kind)


def _is_lever(frame: pl.DataFrame, name: str, words: set[str]) -> bool:
    """Tell whether a name speaks of a price of ours or of a rival, or of a promotion: `MarkDown1` as `markdown` does."""
    if "price" in words and words & (NO_PRICE - RIVALS):
        return False
    if words & OUTCOME and not words & OWN and (frame[name].cast(pl.Float64).max() or 0.0) > 1:  # type: ignore[operator]
        return False
    one = fold(name).replace("_", "").rstrip("0123456789")
    return bool(words & LEVERS) or one in LEVERS or bool(words & SHOWN and _is_flag(frame[name]))


def _is_calendar(frame: pl.DataFrame, name: str, schema: Schema) -> bool:
    """Tell whether a column is 0 or 1 and the same for all of several series on every date."""
    time = schema.time
    entities = [entity for entity in schema.of(Role.ENTITY) if entity in frame.columns]
    if time is None or time not in frame.columns or not entities or frame.select(entities).n_unique() < 2:
        return False
    if not _is_flag(frame[name]):
        return False
    return bool((frame.group_by(time).agg(pl.col(name).drop_nulls().n_unique().alias("n"))["n"] <= 1).all())


def _is_flag(column: pl.Series) -> bool:
    """Tell whether a column holds both 0 and 1, and nothing else."""
    values = column.drop_nulls().unique().cast(pl.Float64)
    return 1 < len(values) <= 2 and bool(values.is_in([0.0, 1.0]).all())


def _is_fixed(frame: pl.DataFrame, name: str, schema: Schema) -> bool:
    """Tell whether a column never changes within any entity while it differs between them."""
    values = frame[name].drop_nulls()
    entities = [entity for entity in schema.of(Role.ENTITY) if entity in frame.columns]
    if not entities or values.n_unique() < 2:
        return False
    groups = frame.group_by(entities).agg(pl.col(name).drop_nulls().n_unique().alias("n"), pl.len().alias("rows"))
    return bool((groups["n"] <= 1).all() and (groups["rows"] > 2).any())
