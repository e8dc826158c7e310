"""The baseline: what most customers bought lately, the same for everyone."""

from __future__ import annotations

import numpy as np

from tradewind.core.table import Array
from tradewind.models.recommend.engine import Engine, State
from tradewind.models.recommend.ranker import Grid
from tradewind.models.recommend.shop import Profiles


class Popular(Engine):
    """Rank by customers of the last 28 days, then of all time."""

    name = "popular"

    def score(self, state: State, who: Profiles, made: Grid, shelf: str) -> Array:
        """Return the same row for everyone."""
        del shelf
        past = state.shop.seen
        return np.tile(past.lately + past.buyers / (past.buyers.max() + 1.0), (who.size, 1))


RECIPE = Popular()
