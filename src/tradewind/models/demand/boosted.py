"""Demand by boosted trees: one model for all products, stores and periods ahead."""

from __future__ import annotations

from tradewind.models._kit.forecast.boosted import LEARNER
from tradewind.models._kit.forecast.explain import Boosted
from tradewind.models._kit.forecast.rivals import beside
from tradewind.models.demand import MODEL
from tradewind.models.demand.plan import complete

RECIPE = Boosted(MODEL.gives, LEARNER, complete, prepares=beside)
