"""Business tables -> one log: who bought what when, what is in the range, and which offers were made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tradewind.core.errors import EmptyTable, MissingColumn
from tradewind.core.schema import Column, Schema
from tradewind.core.table import Table
from tradewind.models.recommend import MODEL

FAR_AHEAD = 120  # days past the 99.5 % quantile of dates from which a date is taken for a slip


def assemble(tables: Mapping[str, Table], **_: Any) -> Table:
    """Return rows of kind `order`, `product` and `offer`.

    Returns (a quantity of nought or less), lines without an item or a date, and dates far after all others are left out. Where no line
    names a customer, each order stands for one. Without orders, interactions count as purchases. Raises MissingColumn and EmptyTable.
    """
    import polars as pl

    bought = _orders(tables["orders"]) if "orders" in tables and len(tables["orders"]) else None
    if bought is None or bought.height == 0:
        if "interactions" not in tables or not len(tables["interactions"]):
            raise EmptyTable("there are no purchases to learn from", hint="load orders, or interactions; returns alone say nothing")
        bought = _interactions(tables["interactions"])
    top = bought["date"].cast(pl.Int32).quantile(0.995, "higher")
    bought = bought.filter(pl.col("date").cast(pl.Int32) <= int(top or 0) + FAR_AHEAD)
    if bought.height == 0:
        raise EmptyTable("no purchase has a customer, an item and a date")
    frames = [bought]
    if "products" in tables:
        frames.append(_products(tables["products"]))
    if "treatments" in tables:
        frames.append(_offers(tables["treatments"]))
    types = {"kind": pl.String, "date": pl.Date} | dict.fromkeys(("price", "unit_cost", "stock", "outcome", "propensity"), pl.Float64)
    names = [column.name for column in MODEL.needs]
    whole = pl.concat(
        frame.select(
            (pl.col(name) if name in frame.columns else pl.lit(None)).cast(types.get(name, pl.String)).alias(name) for name in names
        )
        for frame in frames
    )
    return Table(Schema(tuple(MODEL.needs.get(name) or Column(name) for name in names)), frame=whole)


def _orders(orders: Table) -> Any:
    import polars as pl

    for name in ("product", "date", "quantity"):
        if name not in orders:
            raise MissingColumn(f'column "{name}" is missing in orders', hint=f"there are: {', '.join(orders.names)}")
    frame = orders.frame.filter(pl.col("quantity") > 0, pl.col("product").is_not_null(), pl.col("date").is_not_null())
    frame = frame.with_columns(pl.col("product").cast(pl.String).alias("item"), pl.lit("order").alias("kind"))
    if "customer" in frame.columns and frame["customer"].null_count() < frame.height:
        frame = frame.filter(pl.col("customer").is_not_null())
    else:
        frame = frame.with_columns(pl.col("order").cast(pl.String).alias("customer"))
    if "order" not in frame.columns:
        frame = frame.with_columns(pl.concat_str(pl.col("customer"), pl.col("date").cast(pl.String), separator="@").alias("order"))
    if "unit_price" in frame.columns:
        frame = frame.with_columns(pl.col("unit_price").alias("price"))
    elif "amount" in frame.columns:
        frame = frame.with_columns((pl.col("amount") / pl.col("quantity")).alias("price"))
    return _dated(frame, "date")


def _interactions(rows: Table) -> Any:
    import polars as pl

    frame = rows.frame.filter(pl.col("customer").is_not_null(), pl.col("item").is_not_null())
    if "time" in frame.columns and frame["time"].null_count() < frame.height:
        frame = _dated(frame.filter(pl.col("time").is_not_null()), "time")
    else:
        frame = frame.with_columns(pl.lit(np.datetime64("2000-01-01", "D")).cast(pl.Date).alias("date"))
    order = pl.concat_str(pl.col("customer"), pl.col("date").cast(pl.String), separator="@").alias("order")
    return frame.with_columns(order, pl.lit("order").alias("kind"))


def _dated(frame: Any, name: str) -> Any:
    import polars as pl

    return frame.with_columns(pl.col(name).cast(pl.Date).alias("date"))


def _products(products: Table) -> Any:
    import polars as pl

    frame = products.frame.filter(pl.col("product").is_not_null()).unique("product", keep="first", maintain_order=True)
    frame = frame.with_columns(pl.col("product").cast(pl.String).alias("item"), pl.lit("product").alias("kind"))
    if "list_price" in frame.columns:
        frame = frame.with_columns(pl.col("list_price").alias("price"))
    if "launch" in frame.columns:
        frame = frame.with_columns(pl.col("launch").alias("date"))
    return frame


def _offers(treatments: Table) -> Any:
    import polars as pl

    frame = treatments.frame.filter(pl.col("customer").is_not_null(), pl.col("date").is_not_null())
    frame = _dated(frame.with_columns(pl.lit("offer").alias("kind")), "date")
    # what an arm offers, where the log says so
    named = next((name for name in ("item", "product") if name in frame.columns), None)
    return frame.with_columns(pl.col(named).cast(pl.String).alias("item")) if named else frame.with_columns(pl.lit(None).alias("item"))
