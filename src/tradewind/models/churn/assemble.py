"""Customers, orders, contacts and tests -> one row per customer and cut: what was known, and whether she then left."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tradewind.core.errors import BadValue, EmptyTable
from tradewind.core.schema import Column, Role, Schema, Type
from tradewind.core.table import Table
from tradewind.models._kit.customers.attributes import PREFIX, described, one_each
from tradewind.models._kit.customers.features import MEANINGS, as_of, outcomes
from tradewind.models._kit.customers.orders import contacts, tidy
from tradewind.models.churn import MODEL
from tradewind.models.churn.leaving import FLAG, MEMBERSHIP, ORDERS, flags, horizon_of, leaving_dates, months, silences

if TYPE_CHECKING:
    import polars as pl

CUTS = 4  # earlier cuts whose outcome is known
MOST_TESTS = 12  # days of retention tests
KNOWN = ("left", "duration", "event", "next_spend", "arm", "outcome")


@dataclass(frozen=True, slots=True)
class _Given:
    orders: pl.DataFrame | None
    contacts: pl.DataFrame | None
    people: pl.DataFrame | None

    def seen(self, cut: dt.date) -> pl.DataFrame:
        """Return what was known of every customer at the end of a day: from orders, and from the customers table."""
        import polars as pl

        found = as_of(self.orders, cut, self.contacts) if self.orders is not None else None
        if self.people is None:
            assert found is not None
            return found
        about = described(self.people)
        if found is None:
            return about.with_columns(cut=pl.lit(cut))
        return about.join(found.drop("cut"), on="customer", how="left", maintain_order="left").with_columns(cut=pl.lit(cut))


def assemble(tables: Mapping[str, Table], *, country: str = "", subdivision: str = "", **_: Any) -> Table:
    """Return the modelling table.

    Leaving is read from `customers.churned`: dates make it a membership, yes and no a flag; without either it is silence after the
    last order, longer than nine in ten customers' own gaps. Raises MissingColumn, EmptyTable and BadValue.
    """
    people = one_each(tables["customers"]) if "customers" in tables and len(tables["customers"]) else None
    orders = tidy(tables["orders"]) if "orders" in tables and len(tables["orders"]) else None
    if people is None and orders is None:
        raise EmptyTable("there is no customer who could leave", hint="load customers with a column churned, or orders")
    given = _Given(orders, contacts(tables.get("interactions")) if orders is not None else None, people)
    dates, flag = (leaving_dates(people), flags(people)) if people is not None else (None, None)
    if flag is not None and people is not None:
        frame = _by_flag(given, people, flag)
    elif dates is not None and people is not None:
        frame = _by_dates(given, people, dates)
    elif orders is not None:
        frame = _by_silence(given, orders)
    else:
        raise BadValue(
            "nothing says who has left", hint='a column churned in customers (dates, or yes and no), or orders: "tradewind load orders.csv"'
        )
    frame = _tested(frame, given, tables.get("treatments"))
    return Table(_schema(frame), frame=frame)


def _by_flag(given: _Given, people: pl.DataFrame, flag: pl.Series) -> pl.DataFrame:
    import polars as pl

    last = given.orders["date"].max() if given.orders is not None else None
    joined = people["joined"].cast(pl.Date, strict=False) if "joined" in people.columns else None
    day = last or (joined.max() if joined is not None else None) or dt.date(1970, 1, 1)
    assert isinstance(day, dt.date)
    frame = given.seen(day).drop("cut")
    since = months(people, day)
    said = people.select("customer").with_columns(left=flag.cast(pl.Float64))
    if since is not None:
        said = said.with_columns(duration=since, event=flag.cast(pl.Float64), member_days=since)
    frame = frame.join(said, on="customer", how="left", maintain_order="left")
    kind = pl.when(pl.col("left").is_null()).then(pl.lit("now")).otherwise(pl.lit("learn"))
    return frame.with_columns(kind=kind, mode=pl.lit(FLAG), horizon=pl.lit(365.0))


def _by_dates(given: _Given, people: pl.DataFrame, dates: pl.Series) -> pl.DataFrame:
    """Return rows of those who were members at each cut; leaving is told over a quarter."""
    import polars as pl

    joined = people["joined"].cast(pl.Date) if "joined" in people.columns else pl.Series([None] * people.height, dtype=pl.Date)
    ends = [dates.max(), given.orders["date"].max() if given.orders is not None else None]
    last = max(day for day in ends if isinstance(day, dt.date))
    first = min(day for day in (joined.min(), dates.min()) if isinstance(day, dt.date))
    horizon = max(min(90, (last - first).days // 4), 1)
    member = people.select("customer").with_columns(joined=joined, gone=dates)
    parts = []
    for back in range(CUTS, -1, -1):
        cut = last - dt.timedelta(days=back * horizon)
        if (cut - first).days < horizon:
            continue
        there = member.filter((pl.col("joined").fill_null(first) <= cut) & (pl.col("gone").is_null() | (pl.col("gone") > cut)))
        until = (pl.col("gone") - pl.lit(cut)).dt.total_days().cast(pl.Float64)
        left = (until <= horizon).fill_null(False).cast(pl.Float64)
        there = there.select(
            "customer",
            (pl.lit(cut) - pl.col("joined").fill_null(first)).dt.total_days().cast(pl.Float64).alias("member_days"),
            (left if back else pl.lit(None, pl.Float64)).alias("left"),
            pl.coalesce(until, pl.lit(float((last - cut).days))).alias("duration"),
            pl.col("gone").is_not_null().cast(pl.Float64).alias("event"),
        )
        seen = given.seen(cut).join(there, on="customer", how="inner", maintain_order="left")
        parts.append(_after(seen, given.orders, cut, horizon, back=back))
    return pl.concat(parts, how="diagonal").with_columns(mode=pl.lit(MEMBERSHIP), horizon=pl.lit(float(horizon)))


def _by_silence(given: _Given, orders: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    first, last = orders["date"].min(), orders["date"].max()
    assert isinstance(first, dt.date) and isinstance(last, dt.date)
    horizon = horizon_of(orders, (last - first).days)
    parts = []
    for back in range(CUTS, -1, -1):
        cut = last - dt.timedelta(days=back * horizon)
        if (cut - first).days < min(horizon, (last - first).days):
            continue
        seen = given.seen(cut).filter(pl.col("recency").is_not_null())
        if seen.is_empty():
            continue
        seen = seen.join(silences(orders, cut, last, horizon), on="customer", how="left", maintain_order="left")
        if not back:
            seen = seen.with_columns(left=pl.lit(None, pl.Float64))
        parts.append(_after(seen, orders, cut, horizon, back=back))
    return pl.concat(parts, how="diagonal").with_columns(mode=pl.lit(ORDERS), horizon=pl.lit(float(horizon)))


def _after(seen: pl.DataFrame, orders: pl.DataFrame | None, cut: dt.date, horizon: int, *, back: int) -> pl.DataFrame:
    """Add what was spent in the period after an earlier cut."""
    import polars as pl

    seen = seen.with_columns(kind=pl.lit("learn" if back else "now"))
    if orders is None or not back:
        return seen
    came = outcomes(orders, cut, horizon).select("customer", "next_spend")
    return seen.join(came, on="customer", how="left", maintain_order="left").with_columns(pl.col("next_spend").fill_null(0.0))


def _tested(frame: pl.DataFrame, given: _Given, treatments: Table | None) -> pl.DataFrame:
    """Add one row per customer of a retention test: what was known the day before, her arm, and how it went."""
    import polars as pl

    if treatments is None or not len(treatments):
        return frame
    log = treatments.frame.with_columns(pl.col("customer").cast(pl.String), pl.col("date").cast(pl.Date)).drop_nulls(
        ["customer", "date", "arm"]
    )
    horizon = float(frame["horizon"][0])
    parts = []
    for day in sorted(log["date"].unique().to_list())[-MOST_TESTS:]:
        rows = log.filter(pl.col("date") == day).unique("customer", maintain_order=True)
        seen = given.seen(day - dt.timedelta(days=1)).join(
            rows.select("customer", "arm"), on="customer", how="inner", maintain_order="left"
        )
        if "outcome" in rows.columns and rows["outcome"].is_not_null().any():
            said = rows.select("customer", pl.col("outcome").cast(pl.Float64))
        elif given.orders is not None:
            bought = outcomes(given.orders, day, int(horizon)).select("customer", outcome=pl.lit(1.0))
            said = rows.select("customer").join(bought, on="customer", how="left").with_columns(pl.col("outcome").fill_null(0.0))
        else:
            raise BadValue("treatments say nothing of how it went", hint="add a column outcome, or load orders")
        parts.append(seen.join(said, on="customer", how="left", maintain_order="left").with_columns(kind=pl.lit("treated")))
    tested = pl.concat(parts, how="diagonal").with_columns(
        pl.col("arm").cast(pl.String), mode=pl.lit(frame["mode"][0]), horizon=pl.lit(horizon)
    )
    if "cut" not in frame.columns:
        tested = tested.drop("cut")
    return pl.concat([frame, tested], how="diagonal")


def _schema(frame: pl.DataFrame) -> Schema:
    columns = []
    for name, kind in frame.schema.items():
        text = str(kind) == "String"
        role = Role.TARGET if name in KNOWN else Role.STATIC if name.startswith(PREFIX) else Role.INPUT
        made = Column(name, role, Type.TEXT if text else Type.NUMBER, meaning=MEANINGS.get(name, ""))
        columns.append(MODEL.needs.get(name) or made)
    return Schema(tuple(columns), tuple(name for name in ("customer", "cut", "kind") if name in frame.columns))
