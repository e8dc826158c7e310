"""The promotion calendar of the sample company, what each promotion does, and what it really earned."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tradewind.core.table import Array
from tradewind.models._kit.world_chance import labels, stream
from tradewind.models._kit.world_days import REGIONS, Days
from tradewind.models._kit.world_market import Market, Prices

AFTER = 35  # days over which a pull-forward is paid back
_FADE = np.exp(-np.arange(AFTER) / 10.0)
_FADE /= _FADE.sum()
FEES = (20.0, 12.0, 4.0)  # money per store and week: display, leaflet, handling


@dataclass(frozen=True, slots=True)
class Mechanic:
    """A kind of promotion: how often, which depths, how much of the depth buyers take, and its own log lift."""

    name: str
    share: float
    depths: tuple[float, ...]
    take: float
    bonus: float
    display: float  # chance of a display
    feature: float  # chance of a place in the leaflet


MECHANICS = (
    Mechanic("price_cut", 0.40, (0.10, 0.15, 0.20, 0.25, 0.30), 1.0, 0.08, 0.30, 0.35),
    Mechanic("multibuy", 0.20, (0.25, 0.33), 0.75, 0.15, 0.35, 0.25),
    Mechanic("coupon", 0.15, (0.15, 0.20, 0.30), 0.35, 0.05, 0.05, 0.20),
    Mechanic("display", 0.13, (0.0,), 1.0, 0.0, 1.0, 0.10),
    Mechanic("feature", 0.12, (0.0, 0.10), 1.0, 0.0, 0.05, 1.0),
)


@dataclass(frozen=True, slots=True)
class Promotion:
    """One planned promotion: products x stores, first to last day inclusive."""

    products: tuple[int, ...]
    stores: tuple[int, ...]
    first: int
    last: int
    mechanic: int
    depth: float
    display: bool
    feature: bool
    where: str

    @property
    def cells(self) -> tuple[Array, Array, slice]:
        """Return the index of the promoted cells of a P x S x T array."""
        product, store = np.ix_(np.array(self.products), np.array(self.stores))
        return product, store, slice(self.first, self.last + 1)


@dataclass(frozen=True, slots=True)
class Effects:
    """What the calendar does. `signal` and `drag` are P x S x T."""

    plan: tuple[Promotion, ...]
    names: Array
    running: Array  # P x S x T: index into `plan`, -1 where none
    paid: Array  # average price paid, discounts taken
    signal: Array  # effective log price change of the promotion, attention included
    drag: Array  # log loss of the product's own later sales (pull-forward)
    display: Array  # P: own log lift of a display
    feature: Array  # P: own log lift of the leaflet
    pull: Array  # P: share of the own lift that is borrowed from the weeks after


def schedule(seed: int, market: Market, days: Days, *, intensity: float, confounded: bool) -> tuple[Promotion, ...]:
    """Plan promotions week by week to the end of the plan.

    Timing is independent of demand, unless `confounded`: then promotions are planned into the high season.
    """
    rng = stream(seed, "promotions")
    count, span = len(market.products), days.history + days.plan
    free = np.zeros(count, int)
    found: list[Promotion] = []
    shares = np.array([kind.share for kind in MECHANICS])
    for monday in np.flatnonzero(days.weekday[:span] == 0):
        if monday < 7:
            continue
        chance = np.full(count, 0.24 * intensity)
        if confounded:
            chance *= market.year[market.category, days.year_day[monday]] ** 2.5
        chosen = np.flatnonzero((rng.random(count) < chance) & (free <= monday))
        for product in chosen:
            if free[product] > monday:  # a brand sister took it along
                continue
            kind = int(rng.choice(len(MECHANICS), p=shares))
            planned = _promotion(rng, market, int(product), monday=int(monday), kind=kind, free=free)
            if planned.last < span and planned.stores:
                found.append(planned)
            free[list(planned.products)] = planned.last + 1 + int(rng.integers(14, 29))
    return tuple(found)


def _promotion(rng: np.random.Generator, market: Market, product: int, *, monday: int, kind: int, free: Array) -> Promotion:
    mechanic = MECHANICS[kind]
    products = [product]
    if rng.random() < 0.12:  # a brand event takes up to two sisters along
        sister = (market.brand == market.brand[product]) & (market.category == market.category[product]) & (free <= monday)
        products += [int(at) for at in np.flatnonzero(sister) if at != product][:2]
    last = monday + (13 if rng.random() < 0.35 else 6)
    region = int(rng.integers(market.region.max() + 1)) if rng.random() < 0.4 else -1
    inside = np.flatnonzero((market.region == region) | (region < 0))
    stores = tuple(int(at) for at in inside if market.closes[at] >= last)
    sold = tuple(at for at in products if market.first[at] <= monday and market.last[at] >= last)
    return Promotion(
        sold or (product,),
        stores if sold else (),
        monday,
        last,
        kind,
        float(rng.choice(mechanic.depths)),
        bool(rng.random() < mechanic.display),
        bool(rng.random() < mechanic.feature),
        REGIONS[region] if region >= 0 else "",
    )


def apply(seed: int, market: Market, prices: Prices, days: Days, plan: tuple[Promotion, ...]) -> Effects:
    """Turn the calendar into prices paid, effective price signals and pull-forward."""
    rng = stream(seed, "promotion effects")
    count = len(market.products)
    display, feature = 0.40 + 0.12 * rng.normal(size=count), 0.25 + 0.08 * rng.normal(size=count)
    display, feature = np.clip(display, 0.1, None), np.clip(feature, 0.05, None)
    pull = rng.uniform(0.15, 0.45, count)
    shape = prices.regular.shape
    running, paid = np.full(shape, -1), prices.regular.copy()
    signal, drag = np.zeros(shape), np.zeros(shape)
    for at, event in enumerate(plan):
        cells, mechanic = event.cells, MECHANICS[event.mechanic]
        products = np.array(event.products)
        own = market.elasticity[products, products]
        running[cells] = at
        paid[cells] = np.round(prices.regular[cells] * (1 - mechanic.take * event.depth), 2)
        attention = mechanic.bonus + display[products] * event.display + feature[products] * event.feature
        signal[cells] = np.log(paid[cells] / prices.regular[cells]) + (attention / own)[:, None, None]
        drag[_later(event, shape[2])] += _pulled(event, signal, market, pull)[:, :, : shape[2] - event.last - 1]
    return Effects(plan, labels("PR", len(plan), 4), running, paid, signal, drag, display, feature, pull)


def _later(event: Promotion, span: int) -> tuple[Array, Array, slice]:
    product, store = np.ix_(np.array(event.products), np.array(event.stores))
    return product, store, slice(event.last + 1, min(event.last + 1 + AFTER, span))


def _pulled(event: Promotion, signal: Array, market: Market, pull: Array) -> Array:
    """Return the log loss in the days after: pull-forward share x own lift in base days x a fading weight."""
    products = np.array(event.products)
    own = market.elasticity[products, products][:, None, None]
    borrowed = np.expm1(own * signal[event.cells]).sum(2, keepdims=True)
    return np.asarray(pull[products][:, None, None] * borrowed * _FADE)


def account(effects: Effects, market: Market, prices: Prices, days: Days, *, mean: Array, costs: list[Array]) -> dict[str, Array]:
    """Return what every promotion really did: expected sales with it, minus expected sales without it alone.

    Units: base (own, without it), gross, pulled_forward, cannibalised, halo; net = their sum without base. Margin at the regular price.
    """
    unit = prices.regular - prices.cost[:, None]
    rows = [_account(event, effects, market, mean=mean, unit=unit) for event in effects.plan]
    numbers = np.array(rows).reshape(-1, 7).T
    base, gross, pulled, cannibalised, halo, margin, lift = numbers
    cost = np.array([cost.sum() for cost in costs])
    plan = effects.plan
    with np.errstate(divide="ignore", invalid="ignore"):
        roi = np.where(cost > 0, (margin - cost) / cost, np.nan)
    dates, text = (
        days.dates,
        {"mechanic": [MECHANICS[event.mechanic].name for event in plan], "region": [event.where or None for event in plan]},
    )
    return (
        {"promotion": effects.names, "product": market.products[[event.products[0] for event in plan]]}
        | {"start": dates[[event.first for event in plan]], "end": dates[[event.last for event in plan]]}
        | {name: np.array(values, dtype=object) for name, values in text.items()}
        | {
            "discount": np.array([event.depth for event in plan], "f8"),
            "lift": lift,
            "base": base,
            "gross": gross,
            "pulled_forward": pulled,
        }
        | {
            "cannibalised": cannibalised,
            "halo": halo,
            "net": gross + pulled + cannibalised + halo,
            "cost": cost,
            "margin": margin,
            "roi": roi,
        }
    )


def _account(event: Promotion, effects: Effects, market: Market, *, mean: Array, unit: Array) -> tuple[float, ...]:
    products, stores = np.array(event.products), np.array(event.stores)
    touched = np.flatnonzero(market.elasticity[:, products].any(1))
    span = slice(event.first, event.last + 1)
    change = np.einsum("ij,jst->ist", market.elasticity[np.ix_(touched, products)], effects.signal[event.cells])
    sold = mean[np.ix_(touched, stores)][:, :, span]
    gained = -sold * np.expm1(-change)
    mine = np.isin(touched, products)
    rival = ~mine & np.isin(market.category[touched], market.category[products])
    later = _later(event, mean.shape[2])
    lost = -mean[later] * np.expm1(_pulled(event, effects.signal, market, effects.pull)[:, :, : later[2].stop - later[2].start])
    margin = (gained * unit[np.ix_(touched, stores)][:, :, span]).sum() + (lost * unit[later]).sum()
    base = float((sold[mine] - gained[mine]).sum())
    gross = float(gained[mine].sum())
    return (
        base,
        gross,
        float(lost.sum()),
        float(gained[rival].sum()),
        float(gained[~mine & ~rival].sum()),
        float(margin),
        1 + gross / max(base, 1e-9),
    )


def trade_spend(seed: int, effects: Effects, prices: Prices, *, mean: Array) -> list[Array]:
    """Return the cost of each promotion per product and store, agreed beforehand: the discount on the planned volume + fees."""
    rng = stream(seed, "trade spend")
    found = []
    for event in effects.plan:
        cells = event.cells
        given = (prices.regular[cells] - effects.paid[cells]) * mean[cells]
        planned = given.sum(2) * np.exp(0.1 * rng.normal(size=given.shape[:2]))
        fees = (FEES[0] * event.display + FEES[1] * event.feature + FEES[2]) * (event.last - event.first + 1) / 7
        found.append(np.round(planned + fees, 2))
    return found


def promotion_table(effects: Effects, market: Market, days: Days, costs: list[Array]) -> dict[str, Array]:
    """Return the promotions table: a row per promotion, product and store."""
    keys = [(at, product, store) for at, event in enumerate(effects.plan) for product in event.products for store in event.stores]
    which, product, store = np.array(keys, int).reshape(-1, 3).T
    plan = effects.plan

    def each(values: list[float]) -> Array:
        return np.asarray(np.array(values, "f8")[which])

    mechanic = np.array([MECHANICS[event.mechanic].name for event in plan], dtype=object)
    audience = np.array(["card holders" if name == "coupon" else "all" for name in mechanic], dtype=object)
    return {
        "promotion": effects.names[which],
        "product": market.products[product],
        "store": market.stores[store],
        "start": days.dates[np.array([event.first for event in plan], int)][which],
        "end": days.dates[np.array([event.last for event in plan], int)][which],
        "mechanic": mechanic[which],
        "discount": each([event.depth for event in plan]),
        "cost": np.concatenate([cost.ravel() for cost in costs]) if costs else np.zeros(0),
        "display": each([event.display for event in plan]),
        "feature": each([event.feature for event in plan]),
        "audience": audience[which],
    }
