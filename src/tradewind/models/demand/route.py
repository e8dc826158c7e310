"""Which recipes are worth trying on a panel of sales, and why."""

from __future__ import annotations

from tradewind.core.table import Table
from tradewind.models._kit.forecast.profile import Route, profile
from tradewind.models._kit.forecast.profile import route as by_profile
from tradewind.models._kit.panel import from_table


def route(table: Table) -> Route:
    """Look at a modelling table and choose; the ensemble weighs whatever is tried."""
    found = by_profile(profile(from_table(table)))
    return Route(found.name, (*found.recipes, "ensemble"), found.why)
