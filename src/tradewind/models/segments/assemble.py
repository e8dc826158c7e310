"""Orders and customers -> one row per customer and cut: what was known by then, and what came in the period after it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tradewind.core.errors import EmptyTable
from tradewind.core.schema import Column, Role, Schema, Type
from tradewind.core.table import Table
from tradewind.models._kit.customers.attributes import described, one_each
from tradewind.models._kit.customers.features import MEANINGS, as_of, outcomes
from tradewind.models._kit.customers.orders import tidy
from tradewind.models.segments import MODEL

if TYPE_CHECKING:
    import polars as pl

PERIOD = 90  # days of the period after a cut; a quarter of a shorter history
EARLIER = 2  # cuts before the last one: what came after them is known
LABELS = ("segment", "label", "known_segment")


def assemble(tables: Mapping[str, Table], *, country: str = "", subdivision: str = "", **_: Any) -> Table:
    """Return the modelling table; without orders it is one row per customer with what the customers table says.

    Raises MissingColumn, EmptyTable, and BadValue for orders dated in the future and customers described twice.
    """
    people = one_each(tables["customers"]) if "customers" in tables else None
    if "orders" in tables:
        frame = _behaviour(tidy(tables["orders"]))
    elif people is not None and people.height:
        frame = people.select("customer")
    else:
        raise EmptyTable("there are no customers to put into segments", hint="load orders or customers")
    if people is not None:
        frame = _with_people(frame, people)
    return Table(_schema(frame), frame=frame)


def _behaviour(orders: pl.DataFrame) -> pl.DataFrame:
    """Return features at the last day and at earlier cuts, those with what came after them; customers with returns only have 0 orders."""
    import polars as pl

    first, last = orders["date"].min(), orders["date"].max()
    assert isinstance(first, dt.date) and isinstance(last, dt.date)
    period = min(PERIOD, max((last - first).days // 4, 1))
    parts = []
    for back in range(EARLIER, -1, -1):
        cut = last - dt.timedelta(days=back * period)
        found = as_of(orders, cut)
        if back and found.height:
            came = outcomes(orders, cut, period)
            filled = [pl.col(name).fill_null(0.0) for name in ("next_orders", "next_spend")]
            found = found.join(came, on="customer", how="left", maintain_order="left").with_columns(filled)
        parts.append(found)
    frame = pl.concat(parts, how="diagonal")
    return frame.select([name for name in frame.columns if name not in ("next_first", "next_last")])


def _with_people(frame: pl.DataFrame, people: pl.DataFrame) -> pl.DataFrame:
    import polars as pl

    label = next((name for name in people.columns if name.lower() in LABELS), None)
    about = described(people.drop(label) if label else people)
    frame = frame.join(about, on="customer", how="left", maintain_order="left")
    if label is None:
        return frame
    said = people.select("customer", label=pl.col(label).cast(pl.String).str.strip_chars().replace("", None))
    return frame.join(said, on="customer", how="left", maintain_order="left")


def _schema(frame: pl.DataFrame) -> Schema:
    columns = []
    for name, kind in frame.schema.items():
        known = MODEL.needs.get(name)
        text = str(kind) == "String"
        role = Role.TARGET if name.startswith("next_") else Role.STATIC if name.startswith("about_") else Role.INPUT
        columns.append(known or Column(name, role, Type.TEXT if text else Type.NUMBER, meaning=MEANINGS.get(name, "")))
    return Schema(tuple(columns), tuple(name for name in ("customer", "cut") if name in frame.columns))
