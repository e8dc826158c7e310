"""The baseline of acquisition: what came in the same period of the last season."""

from __future__ import annotations

from tradewind.models._kit.forecast.naive import LEARNER
from tradewind.models._kit.forecast.spending import Spending
from tradewind.models.acquisition import MODEL
from tradewind.models.acquisition.plan import complete

RECIPE = Spending(MODEL.gives, LEARNER, complete, "acquired")
