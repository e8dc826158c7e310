"""What is known of every customer at the end of a day: recency, rhythm, money, promotions, breadth, contacts.

No feature reads a row dated after the cut: cutting the future off leaves every one of them unchanged.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

WINDOWS = (7, 28, 90, 180, 365)

MEANINGS = {
    "recency": "days since the last order",
    "tenure": "days since the first order",
    "orders": "orders so far",
    "spend": "money spent so far, returns taken off",
    "basket": "money per order",
    "gap": "mean days between orders",
    "lateness": "days since the last order, in the customer's own mean gaps",
    "promoted": "share of orders with something on promotion",
    "breadth": "different products bought",
    "lines": "products per order",
    "returned": "share of money that was returned",
    "online": "share of orders that were not in a store",
    "weekend": "share of orders on Saturday or Sunday",
    "repeats": "orders after the first one, on different days",
    "last_seen": "days from the first to the last order",
    "repeat_basket": "money per order day after the first",
    "spread": "unevenness of the gaps between orders (standard deviation over mean)",
    "contact_recency": "days since the last visit or other contact; without one, since the first order",
}
MEANINGS |= {f"orders_{days}": f"orders in the last {days} days" for days in WINDOWS}
MEANINGS |= {f"spend_{days}": f"money spent in the last {days} days" for days in WINDOWS}
MEANINGS |= {f"contacts_{days}": f"visits and other contacts in the last {days} days" for days in WINDOWS}

CONCEPTS = {
    "recency": ("recency", "lateness", "orders_7", "orders_28", "spend_7", "spend_28"),
    "rhythm of buying": ("orders", "gap", "repeats", "spread", "orders_90", "orders_180", "orders_365", "last_seen", "weekend"),
    "money": ("spend", "basket", "repeat_basket", "spend_90", "spend_180", "spend_365", "lines"),
    "promotions": ("promoted",),
    "range bought": ("breadth",),
    "time as a customer": ("tenure",),
    "visits": ("contact_recency", *(f"contacts_{days}" for days in WINDOWS)),
    "returns and channel": ("returned", "online"),
}
"""Business concept -> the features that speak of it: what reasons are grouped by."""


def concept_of(name: str) -> str:
    """Return the business concept of a feature; one that is not of ours stands for itself."""
    return next((concept for concept, members in CONCEPTS.items() if name in members), name.replace("_", " "))


def as_of(orders: pl.DataFrame, cut: dt.date, contacts: pl.DataFrame | None = None) -> pl.DataFrame:
    """Return one row per customer with a purchase up to and including `cut`: customer, cut and every feature, sorted by customer.

    `orders` is what `orders.tidy` returns. A return lowers spend and never counts as an order.
    """
    import polars as pl

    lines = orders.filter(pl.col("date") <= cut)
    bought = lines.filter(pl.col("amount") > 0)
    tickets = bought.group_by("customer", "order", "date", maintain_order=True).agg(
        pl.col("amount").sum(), pl.col("promoted").any(), pl.col("online").any(), pl.len().alias("lines")
    )
    age = (pl.lit(cut) - pl.col("date")).dt.total_days()
    tickets = tickets.with_columns(age=age)
    found = (
        tickets.group_by("customer", maintain_order=True)
        .agg(_lifetime())
        .join(_days(tickets), on="customer", how="left")
        .join(
            bought.group_by("customer", maintain_order=True).agg(breadth=pl.col("product").n_unique().cast(pl.Float64)),
            on="customer",
            how="left",
        )
        .join(_money(lines, cut), on="customer", how="left")
    )
    found = found.join(_contacts(contacts, cut), on="customer", how="left") if contacts is not None else found
    return _finished(found, cut, contacts is not None)


def _lifetime() -> list[pl.Expr]:
    import polars as pl

    weekend = pl.col("date").dt.weekday() >= 6
    whole = [
        pl.col("age").min().cast(pl.Float64).alias("recency"),
        pl.col("age").max().cast(pl.Float64).alias("tenure"),
        pl.len().cast(pl.Float64).alias("orders"),
        pl.col("amount").mean().alias("basket"),
        pl.col("promoted").mean().alias("promoted"),
        pl.col("online").mean().alias("online"),
        pl.col("lines").mean().alias("lines"),
        weekend.mean().alias("weekend"),
    ]
    return whole + [(pl.col("age") < days).sum().cast(pl.Float64).alias(f"orders_{days}") for days in WINDOWS]


def _days(tickets: pl.DataFrame) -> pl.DataFrame:
    """Return what days with orders say: gaps between them, and what the days after the first were worth."""
    import polars as pl

    days = tickets.group_by("customer", "date", maintain_order=True).agg(pl.col("amount").sum()).sort("customer", "date")
    days = days.with_columns(between=(pl.col("date") - pl.col("date").shift(1).over("customer")).dt.total_days())
    return days.group_by("customer", maintain_order=True).agg(
        repeats=(pl.len() - 1).cast(pl.Float64),
        last_seen=(pl.col("date").max() - pl.col("date").min()).dt.total_days().cast(pl.Float64),
        gap=pl.col("between").mean(),
        spread=(pl.col("between").std() / pl.col("between").mean()),
        repeat_basket=pl.col("amount").filter(pl.col("between").is_not_null()).mean(),
    )


def _money(lines: pl.DataFrame, cut: dt.date) -> pl.DataFrame:
    import polars as pl

    age = (pl.lit(cut) - pl.col("date")).dt.total_days()
    positive, negative = pl.col("amount").clip(lower_bound=0), (-pl.col("amount")).clip(lower_bound=0)
    spent = [pl.col("amount").filter(age < days).sum().alias(f"spend_{days}") for days in WINDOWS]
    share = (negative.sum() / positive.sum().clip(lower_bound=1e-9)).clip(upper_bound=1.0).alias("returned")
    return lines.group_by("customer", maintain_order=True).agg(pl.col("amount").sum().alias("spend"), share, *spent)


def _contacts(contacts: pl.DataFrame, cut: dt.date) -> pl.DataFrame:
    import polars as pl

    age = (pl.lit(cut) - pl.col("date")).dt.total_days()
    counted = [(age < days).sum().cast(pl.Float64).alias(f"contacts_{days}") for days in WINDOWS]
    return contacts.filter(pl.col("date") <= cut).group_by("customer").agg(age.min().cast(pl.Float64).alias("contact_recency"), *counted)


def _finished(found: pl.DataFrame, cut: dt.date, seen: bool) -> pl.DataFrame:
    """Fill what a single order cannot say and put the columns in order.

    A customer with one order has no gap: it is taken to be at least as long as the time that has passed since, one day at least.
    """
    import polars as pl

    found = found.with_columns(
        gap=pl.col("gap").fill_null(pl.max_horizontal("tenure", pl.lit(1.0))).clip(lower_bound=1.0),
        spread=pl.col("spread").fill_nan(None).fill_null(0.0),
        repeat_basket=pl.col("repeat_basket").fill_null(0.0),
    ).with_columns(lateness=pl.col("recency") / pl.col("gap"))
    if seen:
        counted = [pl.col(f"contacts_{days}").fill_null(0.0) for days in WINDOWS]
        found = found.with_columns(pl.col("contact_recency").fill_null(pl.col("tenure")), *counted)
    names = [name for name in MEANINGS if name in found.columns]
    return found.with_columns(cut=pl.lit(cut)).select("customer", "cut", *names).sort("customer")


def outcomes(orders: pl.DataFrame, cut: dt.date, days: int) -> pl.DataFrame:
    """Return what each buyer did in the `days` after the cut: next_orders, next_spend, next_promoted, next_breadth, next_first (days)."""
    import polars as pl

    later = orders.filter((pl.col("date") > cut) & (pl.col("date") <= cut + dt.timedelta(days=days)) & (pl.col("amount") > 0))
    tickets = later.group_by("customer", "order", "date", maintain_order=True).agg(pl.col("amount").sum(), pl.col("promoted").any())
    return (
        tickets.group_by("customer", maintain_order=True)
        .agg(
            next_orders=pl.len().cast(pl.Float64),
            next_spend=pl.col("amount").sum(),
            next_promoted=pl.col("promoted").mean(),
            next_first=(pl.col("date").min() - pl.lit(cut)).dt.total_days().cast(pl.Float64),
            next_last=(pl.col("date").max() - pl.lit(cut)).dt.total_days().cast(pl.Float64),
        )
        .join(
            later.group_by("customer", maintain_order=True).agg(next_breadth=pl.col("product").n_unique().cast(pl.Float64)), on="customer"
        )
    )
