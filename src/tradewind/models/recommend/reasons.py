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
    before = made.count[rows, items]
    new = np.flatnonzero(before == 0)
    shares = dict(zip(new.tolist(), _shares(shop, who, made, rows[new], items[new]), strict=True))
    ago, lately = (shop.seen.day - made.last[rows, items]).tolist(), shop.seen.lately[items].tolist()
    said = []
    for at, count in enumerate(before.tolist()):
        if count > 0:
            times = "once" if count == 1 else f"{count:.0f} times"
            said.append(f"bought {times}, last {ago[at]} days ago")
        elif shares[at]:
            said.append("because of " + ", ".join(shares[at]))
        else:
            buyers = "customer" if lately[at] == 1 else "customers"
            said.append(f"popular: {lately[at]} {buyers} in the last 28 days" if lately[at] else "new in the range, or rarely bought")
    return said


def _shares(shop: Shop, who: Profiles, made: Grid, rows: Array, items: Array) -> list[list[str]]:
    """Return per pair the items of the profile whose weights speak for it most, each with its share of all that do."""
    found: list[list[str]] = [[] for _ in range(len(rows))]
    if not len(made.key) or not len(rows):
        return found
    width = len(shop.items)
    place = np.full(who.size * width, -1, "i4")
    place[rows * width + items] = np.arange(len(rows))
    pair = place[made.key]
    keep = np.flatnonzero(pair >= 0)
    keep = keep[made.value[keep] > 0]
    pair, value = pair[keep], made.value[keep].astype("f8")
    source = who.item[np.searchsorted(made.ends, keep, "right")]
    order = np.lexsort((-value, pair))
    pair, value, source = pair[order], value[order], source[order]
    total = np.bincount(pair, value, len(rows))
    start = np.searchsorted(pair, np.arange(len(rows)))
    turn = np.arange(len(pair)) - start[pair]
    top = np.flatnonzero((turn < MOST) & (value >= LEAST * total[pair]))
    names, share = shop.items[source[top]].tolist(), (100 * (value / total[pair])[top]).tolist()
    for at, name, part in zip(pair[top].tolist(), names, share, strict=True):
        found[at].append(f"{name} {part:.0f} %")
    return found
