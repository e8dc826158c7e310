"""Which products that still sell get no recommendation, and why: without a cost, or where no allowed price covers it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tradewind.models.price.recommend import MOVE
from tradewind.models.price.state import AHEAD, Priced

Array = np.ndarray[Any, Any]
NO_PRICE = "no price known"
NO_COST = "no cost known"


def unpriced(state: Priced, signed: Callable[[Array], bool]) -> dict[str, str]:
    """Return why by product; `signed` tells of the series of a product whether its demand is known to fall with its price.

    A product whose demand is not known to fall keeps today's price whatever it costs, so its cost only has to be known.
    """
    whose, found = state.memo.get("unpriced", (None, {}))
    if whose is not state:
        found = _found(state, signed)
        state.memo["unpriced"] = state, found
    return dict(found)


def _found(state: Priced, signed: Callable[[Array], bool]) -> dict[str, str]:
    book = state.book
    span = slice(0, AHEAD[book.clock.grain.name])
    now, cost = book.regular[:, span].mean(1), book.cost[:, span].mean(1)
    found: dict[str, str] = {}
    for place in sorted(set(book.product[book.living].tolist())):
        rows = np.flatnonzero((book.product == place) & book.living)
        name = str(book.products[place])
        if not np.isfinite(now[rows]).all():
            found[name] = NO_PRICE
        elif not np.isfinite(cost[rows]).all():
            found[name] = NO_COST
        elif (cost[rows] > now[rows] * (1 + MOVE)).any() and signed(rows):
            found[name] = f"its cost of {cost[rows].max():.6g} lies above its price of {now[rows].mean():.6g} by more than the largest move"
    return found
