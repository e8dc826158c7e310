"""What the customers table says of each customer: one row each, numbers and words, nothing about leaving."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tradewind.core.errors import BadValue, MissingColumn
from tradewind.core.table import Table

if TYPE_CHECKING:
    import polars as pl

MOST_WORDS = 40  # a text column with more different values names things and does not describe them
PREFIX = "about_"
NOT_ABOUT = ("customer", "churned", "consent", "segment", "joined")


def one_each(customers: Table) -> pl.DataFrame:
    """Return the customers table with one row per customer; raises MissingColumn, and BadValue where two rows of one id differ."""
    import polars as pl

    if "customer" not in customers:
        raise MissingColumn('column "customer" is missing in customers', hint=f"there are: {', '.join(customers.names)}")
    frame = customers.frame.with_columns(pl.col("customer").cast(pl.String)).drop_nulls("customer").unique(maintain_order=True)
    twice = frame.filter(pl.col("customer").is_duplicated())["customer"].unique(maintain_order=True).to_list()
    if twice:
        raise BadValue(
            f"{len(twice)} customers have rows that differ: {', '.join(twice[:5])}", hint="keep one row per customer in the customers table"
        )
    return frame


def as_learned(asked: Table, columns: Sequence[str]) -> tuple[Table, list[str]]:
    """Return a question under the names that were learned from, and the names in it that nothing was learned of.

    A column of the customers table may be asked by its own name: `tenure` stands for `about_tenure` unless `tenure` was learned too.
    """
    known = {"customer", *columns}
    names = {name: name if name in known else PREFIX + name for name in asked.names}
    lost = [name for name, stands in names.items() if stands not in known or (stands != name and stands in asked)]
    if not lost and all(stands == name for name, stands in names.items()):
        return asked, lost
    return Table.from_columns({stands: asked.column(name) for name, stands in names.items() if name not in lost}), lost


def described(frame: pl.DataFrame) -> pl.DataFrame:
    """Return customer and every describing column as `about_*`: numbers as numbers, flags as 0 and 1, text of few different words."""
    import polars as pl

    chosen: list[pl.Expr | pl.Series] = [pl.col("customer")]
    for name, kind in frame.schema.items():
        if name in NOT_ABOUT or kind.is_temporal():
            continue
        if kind.is_numeric() or kind == pl.Boolean:
            chosen.append(pl.col(name).cast(pl.Float64).fill_nan(None).alias(PREFIX + name))
            continue
        words = frame[name].cast(pl.String)
        number = words.str.strip_chars().cast(pl.Float64, strict=False)
        if number.len() - number.null_count() > 0.95 * max(words.len() - words.null_count(), 1):
            chosen.append(number.alias(PREFIX + name))
        elif 2 <= words.n_unique() <= min(MOST_WORDS, max(2, frame.height // 5)):
            chosen.append(words.alias(PREFIX + name))
    return frame.select(chosen)
