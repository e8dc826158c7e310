"""Demand and sales of the sample company: the true mean, the noise around it, stock, and what the tills saw."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tradewind.core.table import Array
from tradewind.models._kit.world_chance import counts, stream
from tradewind.models._kit.world_days import Days
from tradewind.models._kit.world_market import Market, Prices, listed
from tradewind.models._kit.world_promotions import Effects

LEAD, COVER = 2, 3  # days from order to shelf; days of planned sales that an order fills up to


@dataclass(frozen=True, slots=True)
class Noise:
    """What no model can know. Sizes are standard deviations of log demand; a weekly shock carries over by `carry`."""

    dispersion: Array  # P: negative binomial, variance = mean + dispersion * mean^2
    store_day: float
    category_week: float
    carry: float


@dataclass(frozen=True, slots=True)
class Demand:
    """Expected units, P x S x T: `mean` of all that is planned, `baseline` without any promotion. Zero where not on sale."""

    mean: Array
    baseline: Array


def make_noise(seed: int, market: Market, *, level: float) -> Noise:
    """Draw the noise of each product; `level` scales all of it (Poisson counting noise always stays)."""
    rng = stream(seed, "noise")
    return Noise(level * rng.uniform(0.03, 0.08, len(market.products)), 0.05 * level, 0.05 * level, 0.5)


def make_shocks(seed: int, market: Market, days: Days, noise: Noise) -> tuple[Array, Array]:
    """Return the hidden log shocks: per category, store and week (C x S x T), and per store and day (S x T)."""
    rng = stream(seed, "shocks")
    span, stores = len(days.dates), len(market.stores)
    weeks = -(-span // 7)
    drawn = noise.category_week * rng.normal(size=(len(market.categories), stores, weeks))
    for week in range(1, weeks):
        drawn[:, :, week] = noise.carry * drawn[:, :, week - 1] + np.sqrt(1 - noise.carry**2) * drawn[:, :, week]
    weekly = np.repeat(drawn, 7, axis=2)[:, :, :span]
    return weekly - noise.category_week**2 / 2, noise.store_day * rng.normal(size=(stores, span)) - noise.store_day**2 / 2


def make_demand(market: Market, prices: Prices, effects: Effects, days: Days) -> Demand:
    """Work out the true mean: log-additive in season, trend, events, prices (own, cross, competitor), promotions, pull-forward."""
    day = np.arange(len(days.dates))
    season = np.log(market.week[:, days.weekday] * market.year[:, days.year_day])
    age = np.maximum(day - market.first[:, None], 0)
    ramp = np.where(market.first[:, None] > 0, np.log1p(-0.7 * np.exp(-age / 21.0)), 0.0)
    own = season[market.category] + market.trend[:, None] * day / 365.25 + ramp
    own = own + market.competitor[:, None] * np.log(prices.competitor / market.list_price[:, None])
    shelf = np.log(prices.regular / prices.reference[:, :, None])
    level = np.log(market.base)[:, :, None] + own[:, None] + days.effect[market.region][None]
    open_ = listed(market, days) & ~days.closed
    live = listed(market, days)
    plain = level + _felt(market, shelf * live)
    mean = level + _felt(market, (shelf + effects.signal) * live) - effects.drag
    return Demand(np.where(open_, np.exp(mean), 0.0), np.where(open_, np.exp(plain), 0.0))


def _felt(market: Market, signal: Array) -> Array:
    flat = market.elasticity @ signal.reshape(len(market.products), -1)
    return np.asarray(flat.reshape(signal.shape))


def draw(seed: int, market: Market, days: Days, demand: Demand, *, noise: Noise, shocks: tuple[Array, Array]) -> Array:
    """Draw what customers wanted to buy, P x S x history."""
    weekly, daily = shocks
    past = slice(0, days.history)
    hidden = np.exp(weekly[market.category][:, :, past] + daily[None, :, past])
    return counts(stream(seed, "units"), demand.mean[:, :, past] * hidden, noise.dispersion[:, None, None])


def sell(seed: int, wanted: Array, demand: Demand, *, outages: float) -> tuple[Array, Array]:
    """Return units sold and stock at the end of each day.

    Stores order every day for the five days ahead (promotions planned at 90 % of their lift); suppliers fail `outages` x 0.8
    times per product and year for 7-14 days. With `outages` = 0 the shelf is never empty.
    """
    rng = stream(seed, "stock")
    products, _, span = wanted.shape
    planned = demand.baseline + 0.9 * (demand.mean - demand.baseline)
    ahead = sum(planned[:, :, step : step + span] for step in range(1, LEAD + COVER + 1))
    target = np.ceil(ahead * 1.1 + 1.6 * np.sqrt(ahead) + 2.0)
    if outages <= 0:
        return wanted, np.maximum(target - wanted, 1.0).astype("i8")
    failed = np.zeros((products, span), bool)
    for product in range(products):
        for first in rng.integers(0, span, rng.poisson(0.8 * outages * span / 365.25)):
            failed[product, first : first + rng.integers(7, 15)] = True
    shelf = target[:, :, 0].copy()
    coming = np.zeros((LEAD, *shelf.shape))
    sold, stock = np.zeros(wanted.shape, "i8"), np.zeros(wanted.shape, "i8")
    for day in range(span):
        shelf += coming[day % LEAD]
        took = np.minimum(wanted[:, :, day], shelf)
        shelf -= took
        sold[:, :, day], stock[:, :, day] = took, shelf
        missing = target[:, :, day] - shelf - coming.sum(0) + coming[day % LEAD]
        coming[day % LEAD] = np.where(failed[:, day, None], 0.0, np.maximum(missing, 0.0))
    return sold, stock


def sales_rows(market: Market, days: Days, span: slice) -> tuple[Array, Array, Array]:
    """Return day, product and store of every row of that span: one for each product on sale in each open store."""
    open_ = (listed(market, days) & ~days.closed)[:, :, span]
    day, product, store = np.nonzero(np.moveaxis(open_, 2, 0))
    return day + (span.start or 0), product, store


def sales_table(market: Market, days: Days, effects: Effects, *, sold: Array, stock: Array) -> dict[str, Array]:
    """Return the sales table; `price` is what was paid on average, so revenue = units x price."""
    day, product, store = sales_rows(market, days, slice(0, days.history))
    at = (product, store, day)
    units, price = sold[at].astype("f8"), effects.paid[at]
    return {
        "date": days.dates[day],
        "product": market.products[product],
        "store": market.stores[store],
        "units": units,
        "revenue": np.round(units * price, 2),
        "price": price,
        "promotion": (effects.running[at] >= 0).astype("f8"),
        "stock": stock[at].astype("f8"),
    }


def mean_table(market: Market, days: Days, demand: Demand, span: slice) -> dict[str, Array]:
    """Return the oracle, row by row like sales: the true mean, and the same without any promotion."""
    day, product, store = sales_rows(market, days, span)
    at = (product, store, day)
    return {
        "date": days.dates[day],
        "product": market.products[product],
        "store": market.stores[store],
        "mean": demand.mean[at],
        "baseline": demand.baseline[at],
    }


def stockout_table(market: Market, days: Days, *, wanted: Array, sold: Array) -> dict[str, Array]:
    """Return every row where an empty shelf cut sales: what was wanted and what was sold."""
    product, store, day = np.nonzero(wanted > sold)
    order = np.lexsort((store, product, day))
    product, store, day = product[order], store[order], day[order]
    at = (product, store, day)
    return {
        "date": days.dates[day],
        "product": market.products[product],
        "store": market.stores[store],
        "demand": wanted[at].astype("f8"),
        "sold": sold[at].astype("f8"),
    }
