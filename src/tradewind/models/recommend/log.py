"""The purchases of a modelling table as numbers, and what can be known of them on a day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.core.errors import LearnFailed
from tradewind.core.table import Array, Table

NEVER = -(10**6)
LATELY = 28  # days that "lately" means
FEWEST_LINES = 20


@dataclass(frozen=True, slots=True)
class Log:
    """Purchase lines in time; items of the range that nobody bought are items too."""

    customers: Array  # names, sorted
    items: Array  # names, sorted
    who: Array  # per line
    what: Array
    order: Array
    day: Array  # days since 1970
    price: Array  # per item: list price, else the median paid; NaN where unknown
    cost: Array
    stock: Array
    category: Array  # per item, text or None
    brand: Array
    offers: Table | None  # rows of kind offer

    @property
    def end(self) -> int:
        """Return the first day after the last purchase."""
        return int(self.day.max()) + 1

    def before(self, day: int) -> Array:
        """Return which lines are before a day."""
        return np.asarray(self.day < day)


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known at the start of a day: each customer's items, and how many buy each item."""

    day: int
    start: Array  # (customers + 1,) where each customer's pairs begin
    item: Array  # per pair
    count: Array  # orders it was in
    last: Array  # day it was bought last
    orders: Array  # per customer
    latest: Array  # per customer: day of the last order; NEVER for none
    buyers: Array  # per item: customers who ever bought it
    lately: Array  # per item: customers who bought it in the last 28 days
    week: Array  # per item: in the last 7 days
    span: float  # days of history

    @property
    def trend(self) -> Array:
        """Return per item the log of how much more it is bought lately than over all of history."""
        return np.asarray(np.log((self.lately + 1) / (self.buyers * LATELY / max(self.span, LATELY) + 1)))


def read(table: Table) -> Log:
    """Return the log of a modelling table; raises LearnFailed where there is next to nothing in it."""
    import polars as pl

    frame = table.frame
    lines = frame.filter(pl.col("kind") == "order", pl.col("customer").is_not_null(), pl.col("item").is_not_null())
    if lines.height < FEWEST_LINES:
        raise LearnFailed(f"{lines.height} purchase lines are too few to learn from", hint=f"at least {FEWEST_LINES}")
    goods = frame.filter(pl.col("kind") == "product", pl.col("item").is_not_null())
    items = pl.concat([lines["item"], goods["item"]]).unique().sort()
    customers = lines["customer"].unique().sort()
    facts = _facts(items, lines, goods)
    offers = frame.filter(pl.col("kind") == "offer")
    return Log(
        np.array(customers.to_list(), object),
        np.array(items.to_list(), object),
        _coded(lines["customer"], customers),
        _coded(lines["item"], items),
        lines["order"].fill_null("").rank("dense").to_numpy().astype("i8"),
        lines["date"].cast(pl.Int32).to_numpy().astype("i8"),
        **facts,
        offers=Table.from_frame(offers) if offers.height else None,
    )


def _coded(values: Any, names: Any) -> Array:
    import polars as pl

    return np.asarray(values.cast(pl.Enum(names)).to_physical().to_numpy().astype("i8"))


def _facts(items: Any, lines: Any, goods: Any) -> dict[str, Array]:
    """Return what is known per item: price, cost, stock, category and brand."""
    import polars as pl

    base = pl.DataFrame({"item": items})
    paid = lines.group_by("item").agg(pl.col("price").median().alias("paid"))
    goods = goods.unique("item", keep="first").select("item", "price", "unit_cost", "stock", "category", "brand")
    joined = base.join(goods, on="item", how="left").join(paid, on="item", how="left").sort("item")
    joined = joined.with_columns(pl.coalesce("price", "paid").alias("price"))
    number = {
        short: joined[name].cast(pl.Float64).fill_null(np.nan).to_numpy()
        for short, name in (("price", "price"), ("cost", "unit_cost"), ("stock", "stock"))
    }
    text = {name: np.array(joined[name].to_list(), object) for name in ("category", "brand")}
    return number | text


def seen(log: Log, day: int) -> Seen:
    """Return what is known at the start of a day. Nothing on that day or later is looked at."""
    rows = log.before(day)
    if not rows.any():
        raise LearnFailed("there is no purchase before the day that is learned up to", hint="load more history")
    who, what, order, days = log.who[rows], log.what[rows], log.order[rows], log.day[rows]
    count, width = len(log.customers), len(log.items)
    pair = who * width + what
    by = np.lexsort((order, pair))
    pair, order, days = pair[by], order[by], days[by]
    first = np.r_[True, pair[1:] != pair[:-1]]
    fresh = first | np.r_[True, order[1:] != order[:-1]]
    begin = np.flatnonzero(first)
    held = pair[begin]
    owner, item = np.divmod(held, width)
    last = np.maximum.reduceat(days, begin)
    latest = np.full(count, NEVER)
    np.maximum.at(latest, owner, last)
    visits = np.unique(np.stack([who, log.order[rows]]), axis=1)[0]
    return Seen(
        day,
        np.concatenate([[0], np.cumsum(np.bincount(owner, minlength=count))]),
        item,
        np.add.reduceat(fresh.astype("i8"), begin),
        last,
        np.bincount(visits, minlength=count),
        latest,
        np.bincount(item, minlength=width),
        np.bincount(item[last >= day - LATELY], minlength=width),
        np.bincount(item[last >= day - 7], minlength=width),
        float(day - int(days.min())),
    )


def bought(log: Log, day: int, until: int) -> tuple[Array, Array]:
    """Return who bought what from a day on, before another: each pair once."""
    rows = (log.day >= day) & (log.day < until)
    pair = np.unique(log.who[rows] * len(log.items) + log.what[rows])
    return np.divmod(pair, len(log.items))
