"""Business tables -> a row per series and period: what sold at which price, beside whom."""

from __future__ import annotations

from collections.abc import Mapping

from tradewind.core.table import Table
from tradewind.models._kit.trade import table


def assemble(tables: Mapping[str, Table], *, country: str = "", subdivision: str = "") -> Table:
    """Return the modelling table; only `sales` with prices is needed. Days are kept where prices move from day to day."""
    return table.assemble(tables, country=country, subdivision=subdivision, daily=True)
