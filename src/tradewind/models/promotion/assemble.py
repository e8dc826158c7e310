"""Business tables -> a row per series and week: what sold, what ran, what is planned."""

from __future__ import annotations

from collections.abc import Mapping

from tradewind.core.fact import Fact
from tradewind.core.table import Table
from tradewind.models._kit.trade import table, unplaced


def assemble(tables: Mapping[str, Table], *, country: str = "", subdivision: str = "") -> Table:
    """Return the modelling table; only `sales` is needed, promotions may be a table or columns of sales."""
    return table.assemble(tables, country=country, subdivision=subdivision)


def repaired(made: Table) -> tuple[Fact, ...]:
    """Return what was left out of a modelling table."""
    return unplaced.repaired(made)
