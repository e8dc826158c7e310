"""The baseline of demand: what sold in the same period of the last season."""

from __future__ import annotations

from tradewind.models._kit.forecast.naive import LEARNER
from tradewind.models._kit.forecast.recipe import Forecaster
from tradewind.models.demand import MODEL
from tradewind.models.demand.plan import complete

RECIPE = Forecaster(MODEL.gives, LEARNER, complete)
