"""Demand by a recurrent network: one encoder and decoder for all products and stores."""

from __future__ import annotations

from tradewind.models._kit.forecast.explain import Explained
from tradewind.models._kit.forecast.lstm import LEARNER
from tradewind.models.demand import MODEL
from tradewind.models.demand.plan import complete

RECIPE = Explained(MODEL.gives, LEARNER, complete)
