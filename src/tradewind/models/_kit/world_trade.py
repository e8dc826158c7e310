"""The trading side of the sample company put together: calendar, market, promotions, demand, incidents, stock and sales."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.core.schema import Column, Role, Type
from tradewind.core.table import Array, Table
from tradewind.models._kit.world_days import REGIONS, Days, make_days
from tradewind.models._kit.world_market import Market, Prices, make_market, make_prices, price_table, product_table, store_table
from tradewind.models._kit.world_plant import Incident, incident_table, plan_incidents, plant
from tradewind.models._kit.world_promotions import AFTER, MECHANICS, Effects, account, apply, promotion_table, schedule, trade_spend
from tradewind.models._kit.world_sales import (
    Demand,
    Noise,
    draw,
    make_demand,
    make_noise,
    make_shocks,
    mean_table,
    sales_table,
    sell,
    stockout_table,
)


@dataclass(frozen=True, slots=True)
class Trade:
    """Everything on the shop floor; `wanted`, `sold` and `stock` are P x S x history."""

    days: Days
    market: Market
    noise: Noise
    prices: Prices
    effects: Effects
    demand: Demand
    costs: list[Array]
    incidents: list[Incident]
    anomaly_level: str
    wanted: Array
    sold: Array
    stock: Array


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked of the world; the meaning of each is in `world.make`."""

    seed: int
    start: str
    history: int
    plan: int
    products: int
    stores: int
    customers: int
    noise: float
    behaviour_noise: float
    anomalies: float
    anomaly_level: str
    stockouts: float
    promotions: float
    uplift: float
    reviews: int
    confounded: bool

    @property
    def regions(self) -> int:
        """Return the number of regions: one store each at least."""
        return min(len(REGIONS), self.stores)


def make_trade(wish: Wish) -> Trade:
    """Draw the shop floor: lasting facts, then the plan, then the true mean, then chance."""
    seed = wish.seed
    days = make_days(seed, start=np.datetime64(wish.start, "D"), history=wish.history, plan=wish.plan, tail=AFTER, regions=wish.regions)
    market = make_market(seed, products=wish.products, stores=wish.stores, days=days)
    noise = make_noise(seed, market, level=wish.noise)
    shocks = make_shocks(seed, market, days, noise)
    prices = make_prices(seed, market, days, shock=shocks[0][market.category], confounded=wish.confounded)
    effects = apply(seed, market, prices, days, schedule(seed, market, days, intensity=wish.promotions, confounded=wish.confounded))
    demand = make_demand(market, prices, effects, days)
    incidents = plan_incidents(seed, market, days, effects, rate=wish.anomalies, level=wish.anomaly_level)
    drawn = draw(seed, market, days, demand, noise=noise, shocks=shocks)
    wanted = plant(seed, drawn, market, effects, incidents)
    sold, stock = sell(seed, wanted, demand, outages=wish.stockouts)
    costs = trade_spend(seed, effects, prices, mean=demand.mean)
    return Trade(days, market, noise, prices, effects, demand, costs, incidents, wish.anomaly_level, wanted, sold, stock)


def trade_tables(trade: Trade) -> dict[str, dict[str, Array]]:
    """Return the business tables of the shop floor."""
    days, market = trade.days, trade.market
    return {
        "sales": sales_table(market, days, trade.effects, sold=trade.sold, stock=trade.stock),
        "prices": price_table(market, trade.prices, days),
        "promotions": promotion_table(trade.effects, market, days, trade.costs),
        "products": product_table(market, days),
        "stores": store_table(market),
        "events": days.events,
        "targets": _targets(days, trade.demand),
    }


def _targets(days: Days, demand: Demand) -> dict[str, Array]:
    """Return monthly targets of total units: 3 % over what could be expected."""
    span = slice(0, days.history + days.plan)
    month, inverse = np.unique(days.dates[span].astype("M8[M]"), return_inverse=True)
    units = np.bincount(inverse, weights=demand.mean[:, :, span].sum((0, 1)))
    return {"date": month.astype("M8[D]"), "metric": np.array(["units"] * len(month), dtype=object), "value": np.round(1.03 * units)}


def plain(columns: dict[str, Array]) -> Table:
    """Return a table of the truth; types are read off the columns."""
    kinds = {"M": Type.DATE, "O": Type.TEXT, "i": Type.INTEGER}
    table = Table.from_columns(columns)
    described = [Column(name, Role.INPUT, kinds.get(values.dtype.kind, Type.NUMBER)) for name, values in columns.items()]
    return Table(table.schema.with_columns(*described), columns=columns)


def trade_truth(trade: Trade) -> dict[str, Any]:
    """Return the truths of the shop floor by the names of `world.Truths`."""
    days, market, effects = trade.days, trade.market, trade.effects
    step = trade.prices
    shut = market.closes < days.history
    planned = slice(days.history, days.history + days.plan)
    return {
        "products": plain(_products(trade)),
        "elasticity": market.elasticity,
        "mechanics": plain(_mechanics()),
        "promotions": plain(account(effects, market, trade.prices, days, mean=trade.demand.mean, costs=trade.costs)),
        "week": plain(_index(market, market.week, "weekday")),
        "year": plain(_index(market, market.year, "day")),
        "events": plain(days.truth),
        "mean": plain(mean_table(market, days, trade.demand, slice(0, days.history))),
        "future": plain(mean_table(market, days, trade.demand, planned)),
        "stockouts": plain(stockout_table(market, days, wanted=trade.wanted, sold=trade.sold)),
        "anomalies": plain(incident_table(trade.incidents, market, days, effects, level=trade.anomaly_level)),
        "price_step": (str(market.categories[step.step_category]), str(days.dates[step.step_day]), step.step),
        "closed_stores": {str(market.stores[at]): str(days.dates[market.closes[at]]) for at in np.flatnonzero(shut)},
    }


def _products(trade: Trade) -> dict[str, Array]:
    market, effects = trade.market, trade.effects
    return {
        "product": market.products,
        "category": market.categories[market.category],
        "base": market.base.mean(1),
        "elasticity": np.diagonal(market.elasticity).copy(),
        "competitor": market.competitor,
        "display": effects.display,
        "feature": effects.feature,
        "pull_forward": effects.pull,
        "trend": market.trend,
        "dispersion": trade.noise.dispersion,
        "launched": trade.days.dates[market.first],
        "ended": trade.days.dates[market.last],
    }


def _mechanics() -> dict[str, Array]:
    return {
        "mechanic": np.array([one.name for one in MECHANICS], dtype=object),
        "take": np.array([one.take for one in MECHANICS]),
        "bonus": np.array([one.bonus for one in MECHANICS]),
    }


def _index(market: Market, index: Array, name: str) -> dict[str, Array]:
    named, length = index.shape
    return {"category": np.repeat(market.categories, length), name: np.tile(np.arange(length), named), "index": index.ravel()}
