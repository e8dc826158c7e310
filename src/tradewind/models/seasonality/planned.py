"""What prices and promotions say of the periods after the last figure, added up to the series that seasons are told of."""

from __future__ import annotations

from typing import Any

import numpy as np

from tradewind.core.table import Table
from tradewind.models._kit.calendar import Clock
from tradewind.models.seasonality.seasons import AHEAD

FURTHEST = 1.5  # logs by which a price may lie from its usual one
DEEPEST = 0.95  # discount


def numbered(frame: Any, clock: Clock) -> Any:
    """Return rows that have a date, with the number of their period as `_at`."""
    import polars as pl

    frame = frame.filter(pl.col("date").is_not_null())
    return frame.with_columns(pl.Series("_at", clock.number(Table.from_frame(frame.select("date")).column("date"))))


def fitting(rows: Any, cell: list[str]) -> list[str]:
    """Return the columns that a table of plans joins on: the store only where every row names one."""
    return ["product", *(["store"] if "store" in cell and "store" in rows.columns and rows["store"].is_not_null().all() else [])]


def runs(promotions: Table | None, cell: list[str], clock: Clock) -> tuple[Any, list[str]]:
    """Return which share of each period a promotion runs (`_runs`) and how deep (`_discount`), and the columns to join on; or None."""
    import polars as pl

    if promotions is None or len(promotions) == 0 or "start" not in promotions or "end" not in promotions:
        return None, []
    rows = promotions.frame.filter(pl.col("end") >= pl.col("start")).drop_nulls("product")
    given = pl.col("discount").cast(pl.Float64) if "discount" in rows.columns else pl.lit(None, pl.Float64)
    given = pl.when(given.is_between(0, 1)).then(given)  # one in money says nothing of the price
    rows = rows.with_columns(pl.date_ranges("start", "end").alias("date"), given.alias("_discount")).explode("date", empty_as_null=False)
    on = fitting(rows, cell)
    length = {"week": 7.0, "month": 30.4, "quarter": 91.3}.get(clock.grain.name, 1.0)
    days = numbered(rows.group_by([*on, "date"], maintain_order=True).agg(pl.col("_discount").max()), clock)
    parts = (pl.len() / length).clip(0, 1).alias("_runs"), pl.col("_discount").mean()
    return days.group_by([*on, "_at"], maintain_order=True).agg(*parts), on


def ahead(frame: Any, grouped: str, cell: list[str], clock: Clock, tables: tuple[Table | None, Table | None]) -> Any:
    """Return `price` (over the usual one) and `promotion` (share of usual sales) by series and period to come; None without any plan.

    `frame` has a row per product (and store) and period, also those to come that sales have a row of; `tables` are prices and promotions.
    A price of `prices` holds until the next one, over what it was in the median of the past. A planned promotion takes as much of its
    discount off the price as past ones did; where no discount is said, as much as past ones took off.
    """
    import polars as pl

    prices, promotions = tables
    end = int(frame.filter(pl.col("units").is_not_null() & pl.col("units").is_not_nan())["_at"].max())
    last, priced = end + AHEAD[clock.grain.name], "_apart" in frame.columns
    cells = _living(frame, grouped, cell, end, clock)
    held = _held(frame, cells, cell, _listed(prices, cell, clock), (end, last)) if priced else None
    planned = _promoted(frame, cells, cell, runs(promotions, cell, clock), (end, last))
    if cells.height == 0 or (held is None and planned.height == 0):
        return None
    base = pl.lit(0.0).alias("_base")
    if held is not None:
        steps = held.select(*cell, "_at", pl.col("_log").alias("_base")).sort("_at")
        planned = planned.sort("_at").join_asof(steps, on="_at", by=cell, strategy="backward", check_sortedness=False)
        base = pl.col("_base").fill_null(0.0)
    moved = pl.coalesce(pl.col("_own") - base, "_cut").fill_null(0.0)
    sums = planned.group_by(grouped, "_at", maintain_order=True).agg(
        (moved * pl.col("_weight")).sum().alias("_moved"), (pl.col("_runs") * pl.col("_weight")).sum().alias("promotion")
    )
    whole = cells.group_by(grouped, maintain_order=True).agg(pl.col("_weight").sum().alias("_all")).filter(pl.col("_all") > 0)
    whole = whole.join(pl.DataFrame({"_at": np.arange(end + 1, last + 1)}), how="cross")
    whole = whole.join(sums, on=[grouped, "_at"], how="left").with_columns(pl.lit(0.0).alias("_steps"))
    if held is not None:
        step = (pl.col("_log") - pl.col("_log").shift(1).over(cell, order_by="_at").fill_null(0.0)) * pl.col("_weight")
        steps = held.with_columns(step.alias("_steps")).group_by(grouped, "_at", maintain_order=True).agg(pl.col("_steps").sum())
        whole = whole.drop("_steps").join(steps, on=[grouped, "_at"], how="left")
    log = pl.col("_steps").fill_null(0.0).cum_sum().over(grouped, order_by="_at") + pl.col("_moved").fill_null(0.0)
    made = [(log / pl.col("_all")).exp().alias("price")] if priced else []
    share = (pl.col("promotion").fill_null(0.0) / pl.col("_all")).clip(0, 1)
    made += [share.alias("promotion")] if "promotion" in frame.columns else []
    return whole.select(grouped, "_at", *made)


def _living(frame: Any, grouped: str, cell: list[str], end: int, clock: Clock) -> Any:
    """Return the products (and stores) that sold lately, with their usual sales."""
    import polars as pl

    quiet = clock.grain.quiet if clock.grain.cycle > 1 else 4
    sold = frame.filter(pl.col("units") > 0).group_by(list(dict.fromkeys([*cell, grouped])), maintain_order=True)
    lives = sold.agg(pl.col("_at").max().alias("_high"), pl.col("_weight").first())
    return lives.filter(pl.col("_high") > end - quiet).drop("_high")


def _listed(prices: Table | None, cell: list[str], clock: Clock) -> tuple[Any, list[str]]:
    """Return the prices from the period on that they hold from, and the columns to join on; or None."""
    import polars as pl

    if prices is None or "price" not in prices or len(prices) == 0:
        return None, []
    rows = numbered(prices.frame, clock).drop_nulls("price").filter(pl.col("price") > 0)
    on = fitting(rows, cell)
    return rows.group_by([*on, "_at"], maintain_order=True).agg(pl.col("price").last().cast(pl.Float64).alias("_new")).sort("_at"), on


def _held(frame: Any, cells: Any, cell: list[str], listed: tuple[Any, list[str]], span: tuple[int, int]) -> Any:
    """Return the log of the listed price over its usual one at the start of what is to come and wherever it changes; None without any."""
    import polars as pl

    (end, last), (one, on) = span, listed
    if one is None or "_held" not in frame.columns:
        return None
    usual = (
        frame.filter(pl.col("_at") <= end, pl.col("_held") > 0)
        .group_by(cell, maintain_order=True)
        .agg(pl.col("_held").median().alias("_listed"))
    )
    starts = cells.with_columns(pl.lit(end + 1).cast(one.schema["_at"]).alias("_at"))
    later = cells.join(one.filter(pl.col("_at").is_between(end + 2, last)).select(*on, "_at"), on=on)
    points = pl.concat([starts, later.select(starts.columns)]).sort("_at")
    points = points.join_asof(one, on="_at", by=on, strategy="backward", check_sortedness=False).join(usual, on=cell)
    log = (pl.col("_new") / pl.col("_listed")).log().clip(-FURTHEST, FURTHEST)
    return points.with_columns(log.alias("_log")).drop_nulls("_log")


def _promoted(frame: Any, cells: Any, cell: list[str], days: tuple[Any, list[str]], span: tuple[int, int]) -> Any:
    """Return each product (and store) and period to come with a plan: `_runs`, `_cut` (logs off the price), `_own` price of sales."""
    import polars as pl

    end, last = span
    own = frame.filter(pl.col("_at").is_between(end + 1, last))
    said = [pl.col("promotion").cast(pl.Float64) if "promotion" in own.columns else pl.lit(None, pl.Float64)]
    said.append(pl.col("_apart") if "_apart" in own.columns else pl.lit(None, pl.Float64))
    own = own.select(*cell, "_at", said[0].alias("_flag"), said[1].alias("_own")).join(cells, on=cell)
    table, on = days
    if table is None:
        return own.with_columns(pl.col("_flag").fill_null(0.0).alias("_runs"), pl.lit(0.0).alias("_cut"))
    to_come = cells.join(table.filter(pl.col("_at").is_between(end + 1, last)), on=on)
    passed, usual = _taken(frame, table, on, end)
    to_come = to_come.with_columns(
        pl.coalesce((1 - passed * pl.col("_discount").clip(0, DEEPEST)).log(), pl.lit(usual)).alias("_cut") * pl.col("_runs")
    )
    both = to_come.join(own.select(*cell, "_at", "_flag", "_own"), on=[*cell, "_at"], how="full", coalesce=True)
    both = both.select(*cell, "_at", "_runs", "_cut", "_flag", "_own").join(cells, on=cell)
    return both.with_columns(pl.max_horizontal("_runs", "_flag").fill_null(0.0).alias("_runs"))


def _taken(frame: Any, table: Any, on: list[str], end: int) -> tuple[float, float]:
    """Return which part of a stated discount past prices had taken off, and the median log price over the usual one on promotion."""
    import polars as pl

    if "_apart" not in frame.columns:
        return 0.0, 0.0
    past = frame.filter(pl.col("_at") <= end, pl.col("_apart").is_not_null()).join(table, on=[*on, "_at"]).filter(pl.col("_runs") > 0.5)
    deep = past.filter(pl.col("_discount") > 0.01)
    passed = deep.select(((1 - pl.col("_apart").exp()) / pl.col("_discount")).median()).item()
    usual = past.select(pl.col("_apart").median()).item()
    return float(np.clip(0.0 if passed is None else passed, 0.0, 1.0)), float(min(0.0 if usual is None else usual, 0.0))
