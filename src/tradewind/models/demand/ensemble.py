"""The default of demand: the mean of those few recipes whose mixes held-out blocks cannot tell from the best."""

from __future__ import annotations

from tradewind.models._kit.forecast import boosted, lstm, stats
from tradewind.models._kit.forecast.blend import Blender
from tradewind.models._kit.forecast.explain import Ensemble
from tradewind.models._kit.forecast.rivals import beside
from tradewind.models.demand import MODEL
from tradewind.models.demand.plan import complete

RECIPE = Ensemble(MODEL.gives, Blender((stats.LEARNER, stats.SCANPRO, boosted.LEARNER, lstm.LEARNER)), complete, prepares=beside)
