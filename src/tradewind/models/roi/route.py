"""Which recipes are worth trying: `fast` draws exactly itself where it must, so `exact` beside it would be the same posterior twice."""

from __future__ import annotations

from tradewind.core.table import Table
from tradewind.models._kit.forecast.profile import Route


def route(table: Table) -> Route:
    """Try the baseline and `fast`; who wants `exact` names it."""
    if "geo" in table and len({value for value in table.column("geo").tolist() if value is not None}) > 1:
        return Route("geos", ("ridge", "fast"), "fast hands a panel of geos over to the exact sampler by itself")
    return Route("one market", ("ridge", "fast"), "fast hands over to the exact sampler wherever its own weights cannot be trusted")
