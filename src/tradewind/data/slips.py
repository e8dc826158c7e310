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
        usual = _usual(frame.columns)
        slip = frame.select(_slips(usual).alias("slip"))["slip"]
        if not slip.any():
            continue
        first = frame.select("product", "price", usual.alias("usual")).filter(slip).row(0, named=True)
        example = f"such as {first['price']:.6g} of {first['product']}, usually {first['usual']:.6g}"
        said = f"over {OVER:g} times, or under {UNDER:.1%} of, what is usual of the product ({example}): taken as slips, not learned from"
        facts.append(Fact(f"slips.{name}.price", int(slip.sum()), "values", said))
        made[name] = Table(table.schema, frame=frame.with_columns(pl.when(~slip).then(pl.col("price")).alias("price")))
    return made, tuple(facts)


def _priced() -> pl.Expr:
    price = pl.col("price").cast(pl.Float64).fill_nan(None)
    return pl.when(price > 0).then(price)


def _usual(names: list[str]) -> pl.Expr:
    """Return the median price of the product in its store, where that has enough of them: a store may sell in another currency."""
    priced, product = _priced(), _priced().median().over("product")
    if "store" not in names:
        return product
    own = ("product", "store")
    return pl.when(priced.count().over(own) >= FEWEST).then(priced.median().over(own)).otherwise(product)


def _slips(usual: pl.Expr) -> pl.Expr:
    """Return whether a price is a slip: far from what is usual, where hardly any other of its product is."""
    ratio = _priced() / usual
    far = ((ratio > OVER) | (ratio < UNDER)).fill_null(value=False)
    known, odd = _priced().count().over("product"), far.sum().over("product")
    return far & (known >= FEWEST) & ((odd == 1) | (odd <= MOST * known)) & pl.col("product").is_not_null()
