"""Business tables -> a row per series and period: what sold at which price, beside whom."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tradewind.core.fact import Fact
from tradewind.core.table import Table
from tradewind.models._kit.trade import table, unplaced
from tradewind.models.price.state import refuse_unpriced


def assemble(tables: Mapping[str, Table], *, country: str = "", subdivision: str = "") -> Table:
    """Return the modelling table; only `sales` with prices is needed. Days are kept where prices move from day to day.

    Raises MissingColumn, EmptyTable, and BadValue where no price is known.
    """
    made = table.assemble(tables, country=country, subdivision=subdivision, daily=True)
    refuse_unpriced(np.concatenate([made.column(name).astype("f8") for name in ("price", "regular") if name in made] or [np.zeros(0)]))
    return made


def repaired(made: Table) -> tuple[Fact, ...]:
    """Return what was left out of a modelling table."""
    return unplaced.repaired(made)
