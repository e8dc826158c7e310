"""Which recipes are worth trying on a panel of sales, and why."""

from __future__ import annotations

from tradewind.core.table import Table
from tradewind.models._kit.forecast import scanpro_learn
from tradewind.models._kit.forecast.profile import MANY_SERIES, MOST_FOR_STATS, Route, profile
from tradewind.models._kit.forecast.profile import route as by_profile
from tradewind.models._kit.panel import from_table


def route(table: Table) -> Route:
    """Look at a modelling table and choose; the ensemble weighs whatever is tried.

    `scanpro` is about weeks and longer: a day has a weekday, a Christmas and often no sale, and there it told nothing that trees did not.
    """
    panel = from_table(table)
    found = by_profile(profile(panel))
    weekly = found.name != "intermittent" and panel.grain.cycle == 1 and MANY_SERIES <= len(panel) <= MOST_FOR_STATS
    if weekly and scanpro_learn.tells(panel):
        return Route(found.name, (*found.recipes, "scanpro", "ensemble"), found.why)
    why = f"{found.why}; no scanpro, which is for several series by week or longer whose prices moved"
    return Route(found.name, (*found.recipes, "ensemble"), why)
