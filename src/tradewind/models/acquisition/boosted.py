"""Acquisition by boosted trees: one model for all geos, channels and periods ahead."""

from __future__ import annotations

from tradewind.models._kit.forecast.boosted import LEARNER
from tradewind.models._kit.forecast.spending import Spending
from tradewind.models.acquisition import MODEL
from tradewind.models.acquisition.plan import complete

RECIPE = Spending(MODEL.gives, LEARNER, complete, "acquired")
