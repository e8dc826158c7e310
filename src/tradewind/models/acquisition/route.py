"""Which recipes are worth trying on a panel of outcomes, and why."""

from __future__ import annotations

from tradewind.core.table import Table
from tradewind.models._kit.forecast.profile import Route, profile
from tradewind.models._kit.forecast.profile import route as by_profile
from tradewind.models._kit.forecast.spend import columns
from tradewind.models._kit.panel import from_table

MANY = 50  # series from which a network of their own is worth its minutes


def route(table: Table) -> Route:
    """Look at a modelling table and choose; the ensemble weighs whatever is tried, and spend only stays where it earns its place."""
    panel = from_table(table, target="acquired")
    found = by_profile(profile(panel))
    spent = len(columns(panel))
    pooled = [name for name in found.recipes if name == "boosted" or (name == "lstm" and len(panel) >= MANY)]
    ways = ["naive", "seasons", *(["spend"] if spent else []), *pooled, "ensemble"]
    said = f"spend of {spent} channels has to show on held-out blocks that it helps" if spent else "no spend is known"
    return Route(found.name, tuple(ways), f"{found.why}; {said}")
