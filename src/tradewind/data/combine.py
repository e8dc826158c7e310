"""Several rows of one key to one row."""

from __future__ import annotations

import polars as pl

from tradewind.core.answer import Fact
from tradewind.core.catalog import TABLES
from tradewind.core.schema import Column, Role, Schema, Type
from tradewind.data.match import fold

SUMMED = {
    "sales": ("units", "returned", "revenue"),
    "orders": ("quantity", "amount"),
    "marketing": ("spend", "impressions", "clicks"),
    "outcomes": (),
}
"""Tables whose rows add up, and the columns that do; every other table keeps the first row of a key."""

LEVELS = frozenset(
    ("price", "preis", "prix", "precio", "rate", "share", "index", "ratio", "average", "avg", "mean", "temperature", "percent", "per")
).union(("cpc", "cpm", "cpa", "cpl", "cac", "ctr", "cvr", "roas", "aov", "arpu", "nps"))
"""Words in names of numbers of outcomes that are levels, not amounts: two rows of a week with a price of 5 are a week with a price of 5."""

WEIGHTS = {"sales": "units", "orders": "quantity"}
FEW = 0.05  # share of summed groups in which a further column may differ and still be kept
MANY = 50  # whole numbers with more distinct values than this are names, not measures


def repeated(frame: pl.DataFrame, names: tuple[str, ...]) -> bool:
    """Tell whether two rows agree in these columns (a hash that differs proves that the rows do)."""
    again = frame.select(names).filter(twins(frame, names))
    return again.height > 0 and again.n_unique() < again.height


def twins(frame: pl.DataFrame, names: tuple[str, ...]) -> pl.Series:
    """Mark the rows whose values in these columns may occur again (few, so that only they need the slow way)."""
    return frame.select(names).hash_rows().is_duplicated()


def combine(frame: pl.DataFrame, schema: Schema, table: str) -> tuple[pl.DataFrame, tuple[Fact, ...]]:
    """Return one row per key: amounts summed, prices weighted by units, levels averaged, flags the highest, the rest the first.

    Further columns that differ between the rows of a key say nothing about their sum and are left out.
    """
    key = [name for name in schema.key if name in frame.columns]
    if not key or not repeated(frame, tuple(key)):
        return frame, ()
    if table not in SUMMED:
        made = frame.unique(subset=key, keep="first", maintain_order=True)
        gone = frame.height - made.height
        return made, (Fact("repeated_keys", gone, "rows", f"another row had the same {', '.join(key)}; the first was kept"),)
    frame, left_out = _leave_out(frame, schema, table, key)
    again = twins(frame, tuple(key))
    summed = (
        frame.filter(again)
        .group_by(key, maintain_order=True)
        .agg(_rule(schema.get(name) or Column(name), name, table, frame) for name in frame.columns if name not in key)
    )
    made = pl.concat([frame.filter(~again), summed.select(frame.columns)])
    gone = frame.height - made.height
    facts = [Fact("rows_summed", gone, "rows", f"added to another row of the same {', '.join(key)}"), *left_out]
    levels = [
        name for name in frame.columns if table == "outcomes" and name not in key and frame[name].dtype.is_numeric() and is_level(name)
    ]
    if levels:
        facts.append(Fact("rows_averaged", ", ".join(levels), "", "levels, not amounts: averaged over the rows that were added up"))
    return made, tuple(facts)


def is_level(name: str) -> bool:
    """Tell whether a number of outcomes is a level by its name, however that is written: `Engagement rate`, `bounceRate`."""
    return any(word in LEVELS or word.removesuffix("s") in LEVELS for word in fold(name).split("_"))


def _rule(column: Column, name: str, table: str, frame: pl.DataFrame) -> pl.Expr:
    value = pl.col(name)
    weight = WEIGHTS.get(table)
    known = TABLES[table].get(name) is not None or name == "returned"
    if name in SUMMED[table] or (table == "outcomes" and column.type is Type.NUMBER and not is_level(name)):
        return pl.when(value.count() > 0).then(value.sum()).alias(name)
    if column.type is Type.FLAG or (column.maximum == 1 and column.minimum == 0) or column.role is Role.AVAILABLE:
        return value.max()
    if name in ("price", "unit_price") and weight and weight in frame.columns:
        sold = pl.when(value.is_not_null()).then(pl.col(weight).clip(0))
        return pl.when(sold.sum() > 0).then((value * sold).sum() / sold.sum()).otherwise(value.mean()).alias(name)
    if column.type is Type.NUMBER and not known:
        return value.mean()
    return value.last() if name == "stock" else value.drop_nulls().first()


def _leave_out(frame: pl.DataFrame, schema: Schema, table: str, key: list[str]) -> tuple[pl.DataFrame, tuple[Fact, ...]]:
    """Drop further columns whose values differ within a key and are names rather than measures."""
    extra = [
        name for name in frame.columns if TABLES[table].get(name) is None and name not in key and name not in ("returned", "available")
    ]
    extra = [name for name in extra if table != "outcomes" or frame[name].dtype == pl.String]  # numbers add up, or are averaged
    if not extra:
        return frame, ()
    several = frame.filter(twins(frame, tuple(key)))
    share = several.group_by(key).agg(((pl.col(name).n_unique() > 1) & (pl.len() > 1)).alias(name) for name in extra).select(extra).mean()
    differing = [name for name in extra if (share[name][0] or 0.0) > FEW and _names_things(frame[name], schema.get(name))]
    if not differing:
        return frame, ()
    return frame.drop(differing), (Fact("columns_left_out", ", ".join(differing), meaning="differ between the rows that were added up"),)


def _names_things(values: pl.Series, column: Column | None) -> bool:
    if not values.dtype.is_numeric():
        return True
    if column is not None and column.role in (Role.LEVER, Role.KNOWN):
        return False
    plain = values.drop_nulls()
    return bool((plain == plain.round(0)).all()) and plain.n_unique() > MANY
