"""Why an item is offered, straight from what was added up: own habit, the items that speak for it, or the crowd."""

from __future__ import annotations

import numpy as np

from tradewind.core.table import Array
from tradewind.models.recommend.ranker import Grid
from tradewind.models.recommend.shop import Profiles, Shop

MOST = 2  # items named as a reason
LEAST = 0.1  # share from which one is named


def of(shop: Shop, who: Profiles, made: Grid, rows: Array, items: Array) -> list[str]:
    """Return the reason of each pair (row, item): habit where it was bought before, else shares of what speaks for it, else popularity."""
    shares = _shares(shop, who, made, rows, items)
    said = []
    count, last = made.count[rows, items].tolist(), made.last[rows, items].tolist()
    for at, item in enumerate(items.tolist()):
        if count[at] > 0:
            times = "once" if count[at] == 1 else f"{count[at]:.0f} times"
            said.append(f"bought {times}, last {shop.seen.day - last[at]} days ago")
        elif shares[at]:
            said.append("because of " + ", ".join(f"{name} {share:.0%}".replace("%", " %") for name, share in shares[at]))
        else:
            number = int(shop.seen.lately[item])
            buyers = "customer" if number == 1 else "customers"
            said.append(f"popular: {number} {buyers} in the last 28 days" if number else "new in the range, or rarely bought")
    return said


def _shares(shop: Shop, who: Profiles, made: Grid, rows: Array, items: Array) -> list[list[tuple[str, float]]]:
    """Return per pair the items of the profile whose weights speak for it most, with their share of all that do."""
    width = len(shop.items)
    place = np.full(who.size * width, -1, "i4")
    place[rows * width + items] = np.arange(len(rows))
    found: list[list[tuple[str, float]]] = [[] for _ in range(len(rows))]
    if not len(made.key):
        return found
    pair = place[made.key]
    keep = np.flatnonzero((pair >= 0) & (made.value > 0))
    pair, value = pair[keep], made.value[keep].astype("f8")
    source = who.item[np.searchsorted(made.ends, keep, "right")]
    order = np.lexsort((-value, pair))
    pair, value, source = pair[order], value[order], source[order]
    total = np.bincount(pair, value, len(rows))
    start = np.searchsorted(pair, np.arange(len(rows)))
    turn = np.arange(len(pair)) - start[pair]
    top = np.flatnonzero((turn < MOST) & (value >= LEAST * total[pair]))
    names = shop.items
    for at, weight, one in zip(pair[top].tolist(), (value / total[pair])[top].tolist(), source[top].tolist(), strict=True):
        found[at].append((str(names[one]), weight))
    return found
