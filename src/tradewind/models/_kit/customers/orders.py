"""Order lines and contacts made ready to be counted: purchases, returns, repaired and refused rows."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from tradewind.core.errors import BadValue, EmptyTable, MissingColumn
from tradewind.core.table import Table

if TYPE_CHECKING:
    import polars as pl

SILENCE = 45  # days without any order after which a handful of later rows is taken for wrong dates
HANDFUL = 0.01  # of all rows
NOT_PROMOTED = ("", "0", "0.0", "none", "no", "false")


def tidy(orders: Table) -> pl.DataFrame:
    """Return one row per order line: customer, order, date, product, quantity, amount, promoted, online; returns have a negative amount.

    Rows without a customer or a date are left out, and so are identical ones. `amount` is unit price x quantity where it is absent.
    Raises MissingColumn, EmptyTable, and BadValue where a few rows are dated in the future.
    """
    import polars as pl

    for name in ("customer", "date", "quantity"):
        if name not in orders:
            raise MissingColumn(f'column "{name}" is missing in orders', hint=f"there are: {', '.join(orders.names)}")
    if "amount" not in orders and "unit_price" not in orders:
        raise MissingColumn('columns "amount" and "unit_price" are both missing in orders', hint="one of them says what an order is worth")
    there = orders.frame.columns
    date = pl.col("date").cast(pl.Date)
    priced = pl.col("unit_price").cast(pl.Float64) * pl.col("quantity") if "unit_price" in there else pl.lit(None, pl.Float64)
    amount = pl.coalesce(pl.col("amount").cast(pl.Float64), priced) if "amount" in there else priced
    label = pl.col("promotion").cast(pl.String).str.to_lowercase().str.strip_chars() if "promotion" in there else pl.lit(None, pl.String)
    frame = orders.frame.unique(maintain_order=True).select(
        pl.col("customer").cast(pl.String),
        (pl.col("order").cast(pl.String) if "order" in there else date.cast(pl.String)).alias("order"),
        date,
        (pl.col("product").cast(pl.String) if "product" in there else pl.lit("all")).alias("product"),
        pl.col("quantity").cast(pl.Float64),
        _signed(amount).alias("amount"),
        (label.is_not_null() & ~label.is_in(NOT_PROMOTED)).alias("promoted"),
        ((pl.col("channel").cast(pl.String).str.to_lowercase() != "store").fill_null(False) if "channel" in there else pl.lit(False)).alias(
            "online"
        ),
    )
    frame = frame.drop_nulls(["customer", "date", "amount"]).filter(pl.col("amount").is_finite())
    if frame.is_empty():
        raise EmptyTable("no order has a customer, a date and an amount", hint="load orders with a column customer")
    _refuse_future(frame)
    return frame


def _signed(amount: pl.Expr) -> pl.Expr:
    """Return the amount, below zero where the quantity says that goods came back."""
    import polars as pl

    return pl.when(pl.col("quantity") < 0).then(-amount.abs()).otherwise(amount)


def _refuse_future(frame: pl.DataFrame) -> None:
    """Raise BadValue where a handful of rows lies after today, or after a long silence at the end: their dates are wrong."""
    import polars as pl

    days = frame.group_by("date").len().sort("date")
    after = days.with_columns(
        gap=(pl.col("date") - pl.col("date").shift(1)).dt.total_days(), rest=pl.col("len").reverse().cum_sum().reverse()
    )
    late = (pl.col("date") > dt.date.today()) | (pl.col("gap") > SILENCE)
    wrong = after.filter(late & (pl.col("rest") < HANDFUL * frame.height))
    if not wrong.is_empty():
        first = wrong["date"][0]
        raise BadValue(
            f"{int(wrong['rest'][0])} order rows are dated {first} or later, long after all others or in the future",
            hint="correct those dates, or leave the rows out until they have happened",
        )


def contacts(interactions: Table | None) -> pl.DataFrame | None:
    """Return views and other contacts as customer, date, weight; None where there are none with a time."""
    import polars as pl

    if interactions is None or "time" not in interactions or len(interactions) == 0:
        return None
    there = interactions.frame.columns
    weight = pl.col("value").cast(pl.Float64).fill_null(1.0) if "value" in there else pl.lit(1.0)
    chosen = interactions.frame.select(
        pl.col("customer").cast(pl.String), pl.col("time").cast(pl.Date).alias("date"), weight.alias("weight")
    )
    return chosen.drop_nulls(["customer", "date"])
