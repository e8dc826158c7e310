"""Why an item is offered, straight from what was added up: own habit, the items that speak for it, or the crowd."""

from __future__ import annotations

import numpy as np

from tradewind.core.table import Array
from tradewind.models.recommend.ranker import Grid
from tradewind.models.recommend.shop import Shop
from tradewind.models.recommend.weights import Weights, runs

MOST = 2  # items named as a reason
LEAST = 0.1  # share from which one is named


def of(shop: Shop, weights: Weights | None, made: Grid, rows: Array, items: Array) -> list[str]:
    """Return the reason of each pair (row, item): habit where it was bought before, else shares of what speaks for it, else popularity."""
    before = made.count[rows, items]
    new = np.flatnonzero(before == 0)
    shares = dict(zip(new.tolist(), _shares(shop, weights, made, rows[new], items[new]), strict=True))
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


def _shares(shop: Shop, weights: Weights | None, made: Grid, rows: Array, items: Array) -> list[list[str]]:
    """Return per pair the items of the profile whose weights speak for it most, each with its share of all that do."""
    found: list[list[str]] = [[] for _ in range(len(rows))]
    if weights is None or not len(rows):
        return found
    start, sources, values = weights.into
    place, sizes = runs(start, items)
    source = sources[place]
    keep = np.flatnonzero(made.held.reshape(-1)[np.repeat(rows * len(shop.items), sizes) + source])
    keep = keep[values[place[keep]] > 0]
    pair, source, value = np.repeat(np.arange(len(rows)), sizes)[keep], source[keep], values[place[keep]].astype("f8")
    begin = np.searchsorted(pair, np.arange(len(rows) + 1))
    turn = np.arange(len(pair)) - begin[pair]
    table = np.zeros((len(rows), max(int(turn.max(initial=0)) + 1, MOST)))
    table[pair, turn] = value
    total = table.sum(1)
    told = np.flatnonzero(total > 0)
    for _ in range(MOST):
        first = table[told].argmax(1)
        part = table[told, first] / total[told]
        table[told, first] = 0
        told, first, part = (one[part >= LEAST] for one in (told, first, part))
        names = shop.items[source[begin[told] + first]].tolist()
        for at, name, share in zip(told.tolist(), names, (100 * part).tolist(), strict=True):
            found[at].append(f"{name} {share:.0f} %")
    return found
