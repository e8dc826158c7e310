"""Acquisition without spend: smoothing, Theta, MSTL and a log regression with seasons and events, the best few of each series."""

from __future__ import annotations

from tradewind.models._kit.forecast.spending import Spending
from tradewind.models.acquisition import MODEL
from tradewind.models.acquisition.learners import SEASONS
from tradewind.models.acquisition.plan import complete

RECIPE = Spending(MODEL.gives, SEASONS, complete, "acquired")
