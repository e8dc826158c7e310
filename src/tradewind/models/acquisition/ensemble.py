"""The default of acquisition: the mean of those few recipes whose mixes held-out blocks cannot tell from the best."""

from __future__ import annotations

from tradewind.models._kit.forecast import boosted, lstm
from tradewind.models._kit.forecast.blend import Blender
from tradewind.models._kit.forecast.spending import SpendingEnsemble
from tradewind.models.acquisition import MODEL
from tradewind.models.acquisition.learners import SEASONS, SPEND
from tradewind.models.acquisition.plan import complete

RECIPE = SpendingEnsemble(MODEL.gives, Blender((SEASONS, SPEND, boosted.LEARNER, lstm.LEARNER)), complete, "acquired")
