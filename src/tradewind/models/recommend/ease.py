"""EASE by an own Cholesky solve x the recent trend: what the things a customer bought say for everything else."""

from __future__ import annotations

from tradewind.core.table import Array
from tradewind.models.recommend import ranker
from tradewind.models.recommend.engine import EASE_KNOBS, Engine, State
from tradewind.models.recommend.ranker import Grid
from tradewind.models.recommend.shop import Profiles


class Ease(Engine):
    """Rank every shelf by the sum of weights from the profile times trend to a power tuned on past months."""

    name = "ease"
    knobs = EASE_KNOBS
    likes = True

    def score(self, state: State, who: Profiles, made: Grid, shelf: str) -> Array:
        """Return likeness x trend."""
        del who, shelf
        return ranker.fresh(state.shop, made, state.power)


RECIPE = Ease()
