"""Prices that can only be slips of the pen: a point one place to the side, in few rows of a product."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from tradewind.core.answer import Fact
from tradewind.core.table import Table

PRICED = ("sales", "prices")
OVER, UNDER = 5.0, 0.125  # of the usual price of the product: ten times and a tenth, less what prices and promotions move anyway
FEWEST = 8  # prices of a product, from which one is known to be usual
MOST = 0.02  # share of a product's prices that slips can be; more of them are prices


def without_slips(tables: Mapping[str, Table]) -> tuple[dict[str, Table], tuple[Fact, ...]]:
    """Return the tables with prices that are slips set missing, and what was taken for one. What is loaded stays as it is."""
    made, facts = dict(tables), []
    for name in PRICED:
        table = tables.get(name)
        if table is None or "price" not in table or "product" not in table:
            continue
        frame = table.frame
        slip = frame.select(_slips().alias("slip"))["slip"]
        if not slip.any():
            continue
        usual = frame.filter(pl.col("price") > 0).group_by("product").agg(pl.col("price").median().alias("usual"))
        first = frame.filter(slip).head(1).join(usual, on="product", how="left").row(0, named=True)
        example = f"such as {first['price']:.6g} of {first['product']}, usually {first['usual']:.6g}"
        said = f"over {OVER:g} times, or under {UNDER:.1%} of, what is usual of the product ({example}): taken as slips, not learned from"
        facts.append(Fact(f"slips.{name}.price", int(slip.sum()), "values", said))
        made[name] = Table(table.schema, frame=frame.with_columns(pl.when(~slip).then(pl.col("price")).alias("price")))
    return made, tuple(facts)


def _slips() -> pl.Expr:
    """Return whether a price is a slip: far from the median of its product, where hardly any other is."""
    price = pl.col("price").cast(pl.Float64).fill_nan(None)
    priced = pl.when(price > 0).then(price)
    ratio = priced / priced.median().over("product")
    far = ((ratio > OVER) | (ratio < UNDER)).fill_null(value=False)
    known, odd = priced.count().over("product"), far.sum().over("product")
    return far & (known >= FEWEST) & ((odd == 1) | (odd <= MOST * known)) & pl.col("product").is_not_null()
