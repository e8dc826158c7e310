"""Demand by one log-linear regression per product: own levers, and every lever of each rival on its shelf."""

from __future__ import annotations

from tradewind.models._kit.forecast.explain import Explained
from tradewind.models._kit.forecast.rivals import beside
from tradewind.models._kit.forecast.stats import SCANPRO
from tradewind.models.demand import MODEL
from tradewind.models.demand.plan import complete

RECIPE = Explained(MODEL.gives, SCANPRO, complete, prepares=beside)
