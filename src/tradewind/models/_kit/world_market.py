"""Products, stores, elasticities, seasons and prices of the sample company."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tradewind.core.table import Array
from tradewind.models._kit.world_chance import labels, stream
from tradewind.models._kit.world_days import REGIONS, Days

_CATEGORIES = (
    "coffee",
    "snacks",
    "drinks",
    "household",
    "beauty",
    "pet food",
    "frozen",
    "bakery",
    "baby care",
    "garden",
    "stationery",
    "wellness",
)
_BRANDS = ("Aldera", "Brightwell", "Corvane", "Dunmore", "Elvira", "Fennick", "Galeo", "Hartwin", "Isola")
_FORMATS = (("city", 1.05, 0.75), ("suburb", 1.00, 1.0), ("hyper", 0.96, 1.45))  # name, price level, size
_BRANDS_PER_CATEGORY = 3
_TEST_DAYS = 28


@dataclass(frozen=True, slots=True)
class Market:
    """The lasting facts. Shapes: P products, S stores, C categories, T days."""

    products: Array
    category: Array  # P, index into `categories`
    categories: Array
    brand: Array  # P, text
    list_price: Array
    unit_cost: Array
    stores: Array
    region: Array  # S, index into REGIONS
    format: Array  # S, index into the formats
    size: Array  # S: how big against an average store
    base: Array  # P x S: mean units per day at the reference price, before season, trend and events
    elasticity: Array  # P x P: d log units of row / d log price of column
    competitor: Array  # P: d log units / d log competitor price
    trend: Array  # P: log growth per year
    week: Array  # C x 7: index, mean 1
    year: Array  # C x 366: index, mean 1
    first: Array  # P: first day on sale
    last: Array  # P: last day on sale
    closes: Array  # S: last day open


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices per day. `regular` is the shelf price without promotion (P x S x T), the others are P x T."""

    regular: Array
    reference: Array  # P x S
    competitor: Array
    cost: Array
    step_category: int
    step_day: int
    step: float


def make_market(seed: int, *, products: int, stores: int, days: Days) -> Market:
    """Draw products, stores and every lasting parameter."""
    rng = stream(seed, "market")
    named = max(1, round(products / 10))
    categories = np.array([_CATEGORIES[at] if at < len(_CATEGORIES) else f"category {at + 1}" for at in range(named)], dtype=object)
    category = np.sort(np.arange(products) % named)
    brand_at = rng.integers(0, _BRANDS_PER_CATEGORY, products)
    brand = np.array(
        [_BRANDS[(own * _BRANDS_PER_CATEGORY + at) % len(_BRANDS)] for own, at in zip(category, brand_at, strict=True)], dtype=object
    )
    tier = rng.normal(size=products)
    list_price = np.round(np.clip(np.exp(np.log(6.0) + 0.3 * rng.normal(size=named)[category] + 0.45 * tier), 1.2, 40.0), 1) - 0.01
    kind = np.arange(stores) % len(_FORMATS)
    region = np.arange(stores) % min(len(REGIONS), stores)
    size = np.array([_FORMATS[at][2] for at in kind]) * np.exp(0.2 * rng.normal(size=stores))
    level = np.exp(np.log(9.0) + 0.5 * rng.normal(size=products) - 0.15 * tier)
    base = np.clip(level[:, None] * size[None] * np.exp(0.15 * rng.normal(size=(products, stores))), 2.0, 40.0)
    first, last, closes = _lives(rng, products, stores, days)
    week, year = _seasons(rng, named)
    return Market(
        labels("P", products),
        category,
        categories,
        brand,
        list_price,
        np.round(list_price * rng.uniform(0.45, 0.62, products), 2),
        labels("S", stores, 2),
        region,
        kind,
        size,
        base,
        _elasticities(rng, category, brand_at, tier),
        rng.uniform(0.15, 0.45, products),
        rng.normal(0.03, 0.04, named)[category] + 0.03 * rng.normal(size=products),
        week,
        year,
        first,
        last,
        closes,
    )


def _lives(rng: np.random.Generator, products: int, stores: int, days: Days) -> tuple[Array, Array, Array]:
    """Return first and last day of each product and last day of each store: some launch late, some end, one store closes."""
    first, last, closes = np.zeros(products, int), np.full(products, len(days.dates) - 1), np.full(stores, len(days.dates) - 1)
    few = max(1, round(products * 0.03))
    if products >= 4:
        chosen = rng.permutation(products)
        first[chosen[:few]] = (days.history * rng.uniform(0.35, 0.6, few)).astype(int)
        last[chosen[few : 2 * few]] = (days.history * rng.uniform(0.55, 0.85, few)).astype(int)
    if stores >= 3:
        closes[-1] = int(days.history * rng.uniform(0.65, 0.8))
    return first, last, closes


def _elasticities(rng: np.random.Generator, category: Array, brand: Array, tier: Array) -> Array:
    """Return the P x P matrix: own on the diagonal, substitutes positive inside a category, halo negative across."""
    count = len(category)
    own = -(2.1 + 0.3 * rng.normal(size=category.max() + 1)[category] - 0.25 * tier + 0.3 * rng.normal(size=count))
    own = np.clip(own, -4.0, -0.9)
    same = (category[:, None] == category[None]) & ~np.eye(count, dtype=bool)
    weight = same * np.where(brand[:, None] == brand[None], 2.0, 1.0)
    total = np.maximum(weight.sum(1, keepdims=True), 1e-9)
    matrix = rng.uniform(0.25, 0.5, (count, 1)) * weight / total
    if category.max() > 0:
        for product in range(count):
            partner = rng.choice(np.flatnonzero(category != category[product]))
            matrix[partner, product] = rng.uniform(0.04, 0.10) * own[product]
    matrix[np.arange(count), np.arange(count)] = own
    return np.asarray(matrix)


def _seasons(rng: np.random.Generator, named: int) -> tuple[Array, Array]:
    """Return the weekly (C x 7) and yearly (C x 366) index of each category, each with mean 1."""
    shape = np.array([-0.12, -0.10, -0.05, 0.02, 0.18, 0.30, -0.20])
    week = np.exp(shape * rng.uniform(0.6, 1.3, (named, 1)) + 0.04 * rng.normal(size=(named, 7)))
    angle = 2 * np.pi * np.arange(366) / 365.25
    size, phase = rng.uniform(0.12, 0.35, (named, 1)), rng.uniform(0, 2 * np.pi, (named, 1))
    second, turn = rng.uniform(0.0, 0.12, (named, 1)), rng.uniform(0, 2 * np.pi, (named, 1))
    year = np.exp(size * np.cos(angle - phase) + second * np.cos(2 * angle - turn))
    return week / week.mean(1, keepdims=True), year / year.mean(1, keepdims=True)


def make_prices(seed: int, market: Market, days: Days, *, shock: Array, confounded: bool) -> Prices:
    """Draw regular prices: cost-driven changes, one category-wide step, and randomised price tests per product and store.

    With `confounded`, nobody tests: prices follow the hidden weekly demand shock (P x S x T, log) instead.
    """
    rng = stream(seed, "prices")
    count, span = len(market.products), len(days.dates)
    path = np.stack([_path(rng, span) for _ in range(count)])
    step_category, step_day, step = int(rng.integers(len(market.categories))), int(days.history * rng.uniform(0.4, 0.6)), 0.06
    path[market.category == step_category, step_day:] += step
    level = np.array([_FORMATS[at][1] for at in market.format])
    reference = np.round(market.list_price[:, None] * level[None], 2)
    blocks = -(-span // _TEST_DAYS)
    tried = np.where(
        rng.random((count, len(level), blocks)) < 0.15, rng.choice([-0.10, -0.05, 0.05, 0.10], (count, len(level), blocks)), 0.0
    )
    test = np.repeat(tried, _TEST_DAYS, axis=2)[:, :, :span]
    test[:, :, days.history :] = 0.0  # the plan holds no test
    moved = 0.5 * shock if confounded else np.log1p(test)
    regular = np.round(reference[:, :, None] * np.exp(path[:, None] + moved), 2)
    wander = np.zeros((count, span))
    for month in range(0, span, 28):  # the competitor is looked at every four weeks
        before = wander[:, [max(month - 1, 0)]]
        wander[:, month:] = 0.6 * before + 0.04 * rng.normal(size=(count, 1))
    rival = np.round(market.list_price[:, None] * np.exp(0.7 * path + wander), 2)
    return Prices(regular, reference, rival, np.round(market.unit_cost[:, None] * np.exp(0.8 * path), 2), step_category, step_day, step)


def _path(rng: np.random.Generator, span: int) -> Array:
    """Return one product's log price path: a step every two to five months."""
    path, at = np.zeros(span), int(rng.integers(30, 120))
    while at < span:
        path[at:] += np.clip(rng.normal(0.012, 0.03), -0.08, 0.08)
        at += int(rng.integers(60, 150))
    return path


def listed(market: Market, days: Days) -> Array:
    """Return P x S x T: the product is in the range and the store has not closed down."""
    day = np.arange(len(days.dates))
    ranged = (day >= market.first[:, None]) & (day <= market.last[:, None])
    return np.asarray(ranged[:, None] & (day <= market.closes[:, None])[None])


def product_table(market: Market, days: Days) -> dict[str, Array]:
    """Return the products table: late launches have a launch date inside the history."""
    launch = np.where(market.first > 0, days.dates[market.first], days.dates[0] - np.timedelta64(400, "D"))
    names = market.categories[market.category]
    text = np.array(
        [f"{brand} {name} no. {number + 1}" for number, (brand, name) in enumerate(zip(market.brand, names, strict=True))], dtype=object
    )
    return {
        "product": market.products,
        "category": names,
        "brand": market.brand,
        "unit_cost": market.unit_cost,
        "list_price": market.list_price,
        "launch": launch,
        "description": text,
    }


def store_table(market: Market) -> dict[str, Array]:
    """Return the stores table."""
    kinds = np.array([_FORMATS[at][0] for at in market.format], dtype=object)
    return {
        "store": market.stores,
        "region": np.array(REGIONS, dtype=object)[market.region],
        "format": kinds,
        "size": np.round(800.0 * market.size),
    }


def price_table(market: Market, prices: Prices, days: Days) -> dict[str, Array]:
    """Return a row per product and store whenever a price, the competitor's price or the cost changes, plan included."""
    span = days.history + days.plan
    live = listed(market, days)[:, :, :span]
    seen = np.stack(np.broadcast_arrays(prices.regular[:, :, :span], prices.competitor[:, None, :span], prices.cost[:, None, :span]))
    new = np.ones(live.shape, bool)
    new[:, :, 1:] = (seen[..., 1:] != seen[..., :-1]).any(0) | ~live[:, :, :-1]
    day, product, store = np.nonzero(np.moveaxis(new & live, 2, 0))
    found = {name: seen[at, product, store, day] for at, name in enumerate(("price", "competitor_price", "unit_cost"))}
    return {"date": days.dates[day], "product": market.products[product], "store": market.stores[store], **found}
