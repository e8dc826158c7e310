"""Incidents planted in the sales of the sample company: what broke or spiked, where, when and by how much."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from tradewind.core.table import Array
from tradewind.models._kit.world_chance import labels, scaled, stream
from tradewind.models._kit.world_days import Days
from tradewind.models._kit.world_market import Market, listed
from tradewind.models._kit.world_promotions import Effects

KINDS: tuple[tuple[str, float, int], ...] = (
    ("spike", 1.6, 1),
    ("dip", 0.55, 1),
    ("zero", 0.0, 1),
    ("shift", 0.75, 7),
    ("promotion did not fire", np.nan, 7),
    ("surge", 1.35, 5),
)
"""Kind, factor on demand, days. A promotion that does not fire loses its own lift, whatever that is."""

LEVELS = ("product", "store x category", "product x store")
_QUIET, _APART = 60, 10  # no incident in the first days; days between two in one series


@dataclass(frozen=True, slots=True)
class Incident:
    """One planted incident on products x stores x days."""

    kind: str
    factor: float
    products: Array
    stores: Array
    first: int
    last: int

    @property
    def cells(self) -> tuple[Array, Array, slice]:
        """Return the index of the touched cells of a P x S x T array."""
        product, store = np.ix_(self.products, self.stores)
        return product, store, slice(self.first, self.last + 1)


def series(market: Market, level: str) -> Iterator[tuple[Array, Array]]:
    """Yield products and stores of every series of a level."""
    products, stores = np.arange(len(market.products)), np.arange(len(market.stores))
    if level == "product":
        yield from ((products[at : at + 1], stores) for at in products)
    elif level == "product x store":
        yield from ((products[at : at + 1], stores[to : to + 1]) for at in products for to in stores)
    else:
        yield from ((np.flatnonzero(market.category == at), stores[to : to + 1]) for at in range(len(market.categories)) for to in stores)


def plan_incidents(seed: int, market: Market, days: Days, effects: Effects, *, rate: float, level: str) -> list[Incident]:
    """Draw about `rate` incidents per series and year, the six kinds equally often, never two within ten days."""
    rng = stream(seed, "incidents")
    sold = listed(market, days) & ~days.closed
    found: list[Incident] = []
    for products, stores in series(market, level):
        taken = ~sold[np.ix_(products, stores)][:, :, : days.history].any((0, 1))
        taken[: min(_QUIET, days.history // 4)] = True
        busy = np.zeros(days.history, bool)
        promoted = (effects.running[np.ix_(products, stores)][:, :, : days.history] >= 0).mean((0, 1)) >= (
            0.999 if len(products) == 1 else 0.1
        )
        for _ in range(rng.poisson(rate * days.history / 365.25)):
            kind = int(rng.integers(len(KINDS)))
            at = _place(rng, KINDS[kind], taken, busy, promoted)
            if at is None:
                continue
            name, factor, length = KINDS[kind]
            found.append(Incident(name, factor, products, stores, at, at + length - 1))
            busy[max(at - _APART, 0) : at + length + _APART] = True
    return found


def _place(rng: np.random.Generator, kind: tuple[str, float, int], closed: Array, busy: Array, promoted: Array) -> int | None:
    name, _, length = kind
    starts = np.flatnonzero(promoted[:-length]) if name == "promotion did not fire" else np.arange(len(busy) - length)
    for at in rng.permutation(starts)[:60]:
        window = slice(int(at), int(at) + length)
        if busy[window].any() or closed[window].any():
            continue
        if name == "promotion did not fire" and (not promoted[window].all() or (at and promoted[at - 1])):
            continue
        return int(at)
    return None


def plant(seed: int, wanted: Array, market: Market, effects: Effects, incidents: list[Incident]) -> Array:
    """Return demand (P x S x history) with the incidents in it; every other cell stays as it was."""
    rng = stream(seed, "planted")
    changed = wanted.copy()
    for incident in incidents:
        changed[incident.cells] = scaled(rng, changed[incident.cells], factors(incident, market, effects))
    return changed


def factors(incident: Incident, market: Market, effects: Effects) -> Array:
    """Return the factor on demand in every touched cell."""
    if np.isfinite(incident.factor):
        return np.full(effects.signal[incident.cells].shape, incident.factor)
    own = market.elasticity[incident.products, incident.products][:, None, None]
    return np.asarray(np.exp(-own * effects.signal[incident.cells]))


def incident_table(incidents: list[Incident], market: Market, days: Days, effects: Effects, *, level: str) -> dict[str, Array]:
    """Return the list of incidents: the series by its keys (empty where the incident spans them), kind, days and mean factor."""

    def name(of: Array, chosen: list[Array], one: bool) -> Array:
        return np.array([of[at[0]] if one else None for at in chosen], dtype=object)

    rows, each = [one.products for one in incidents], [one.stores for one in incidents]
    by_category = level == "store x category"
    size = [float(factors(one, market, effects).mean()) for one in incidents]
    return {
        "incident": labels("A", len(incidents), 4),
        "level": np.array([level] * len(incidents), dtype=object),
        "product": name(market.products, rows, not by_category),
        "category": name(market.categories[market.category], rows, True),
        "store": name(market.stores, each, level != "product"),
        "start": days.dates[np.array([one.first for one in incidents], int)],
        "end": days.dates[np.array([one.last for one in incidents], int)],
        "kind": np.array([one.kind for one in incidents], dtype=object),
        "factor": np.array(size, "f8"),
    }
