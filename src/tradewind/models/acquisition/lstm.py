"""Acquisition by a recurrent network: one encoder and decoder for all geos and channels."""

from __future__ import annotations

from tradewind.models._kit.forecast.lstm import LEARNER
from tradewind.models._kit.forecast.spending import Spending
from tradewind.models.acquisition import MODEL
from tradewind.models.acquisition.plan import complete

RECIPE = Spending(MODEL.gives, LEARNER, complete, "acquired")
