"""The default: bought before is ranked by the chance of another purchase, never bought by EASE x trend, `any` by that chance overall."""

from __future__ import annotations

from tradewind.core.table import Array
from tradewind.models.recommend import ranker
from tradewind.models.recommend.engine import EASE_KNOBS, Engine, State, spread_out
from tradewind.models.recommend.ranker import Grid
from tradewind.models.recommend.shop import Profiles


class Shelves(Engine):
    """Two shelves, two models: no published library ships that split."""

    name = "shelves"
    knobs = EASE_KNOBS
    likes = True

    def score(self, state: State, who: Profiles, made: Grid, shelf: str) -> Array:
        """Return likeness x trend for discover, else log odds."""
        if shelf == "discover":
            return ranker.fresh(state.shop, made, state.power)
        return spread_out(state, who, made, shelf)


RECIPE = Shelves()
