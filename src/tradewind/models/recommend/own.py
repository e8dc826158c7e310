"""What a customer bought most often, then what is popular: hard to beat where people come back for the same."""

from __future__ import annotations

from tradewind.core.table import Array
from tradewind.models.recommend import ranker
from tradewind.models.recommend.engine import Engine, State
from tradewind.models.recommend.ranker import Grid
from tradewind.models.recommend.shop import Profiles


class Own(Engine):
    """Rank by own orders of the item, the lately popular first among equals."""

    name = "own"

    def score(self, state: State, who: Profiles, made: Grid, shelf: str) -> Array:
        """Return own frequencies."""
        del who, shelf
        return ranker.habit(state.shop, made)


RECIPE = Own()
