"""Demand by statistical models of each series: smoothing, Theta, Croston, and a regression where history is short."""

from __future__ import annotations

from tradewind.models._kit.forecast.explain import Explained
from tradewind.models._kit.forecast.stats import LEARNER
from tradewind.models.demand import MODEL
from tradewind.models.demand.plan import complete

RECIPE = Explained(MODEL.gives, LEARNER, complete)
