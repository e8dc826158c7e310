"""The learners of acquisition: the engine's own, and the two twins that show what planned spend is worth."""

from __future__ import annotations

from tradewind.models._kit.forecast import stats
from tradewind.models._kit.forecast.driven import Driving

SEASONS = Driving("seasons", stats.LEARNER, driven=False)
SPEND = Driving("spend", stats.LEARNER)
