"""Four worlds of thirty products whose demand is a nested logit: not the form that is fitted, so a promise can be held to what comes."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import polars as pl

PRODUCTS, NEST = 30, 5
PEOPLE, WITHIN = 100_000.0, 0.35  # customers a week; how alike the products of a nest are
BAND, LEAST_VOLUME, LEAST_REVENUE = 0.1, 0.97, 0.98


@dataclass(frozen=True, slots=True)
class Kind:
    """How a world is made: weeks of history, size of demand shocks and of price moves, share of promoted weeks, spread of tastes."""

    name: str
    weeks: int
    shock: float
    moves: float
    promoted: float
    spread: float
    near_best: bool


KINDS = (
    Kind("rarely changed prices", 52, 0.4, 0.03, 0.0, 0.10, near_best=False),
    Kind("few promotions", 52, 0.4, 0.02, 0.04, 0.15, near_best=False),
    Kind("near-optimal, rich variation", 60, 0.25, 0.05, 0.12, 0.25, near_best=True),
    Kind("near-optimal, poor variation", 60, 0.4, 0.02, 0.04, 0.25, near_best=True),
)


@dataclass(frozen=True, slots=True)
class Shop:
    """A world: its true demand, today's prices, and the tables a user would load."""

    worth: np.ndarray  # how much each product is liked
    dislike: np.ndarray  # of a price
    cost: np.ndarray
    price: np.ndarray
    middle: float
    sales: pl.DataFrame
    products: pl.DataFrame

    def sold(self, price: np.ndarray, shock: np.ndarray | float = 0.0) -> np.ndarray:
        """Return the true mean units of a week at these prices: a nested logit with an outside good."""
        return _sold(self.worth, self.dislike, self.middle, price, shock)

    def profit(self, price: np.ndarray) -> float:
        """Return the true profit of a week."""
        return float(((price - self.cost) * self.sold(price)).sum())


def _sold(worth: np.ndarray, dislike: np.ndarray, middle: float, price: np.ndarray, shock: np.ndarray | float) -> np.ndarray:
    nest = np.arange(PRODUCTS) // NEST
    raised = np.exp((worth + 4 - dislike * price / middle * 2.2 + shock) / (1 - WITHIN))
    total = np.bincount(nest, raised)
    chosen = total ** (1 - WITHIN)
    return PEOPLE * raised / total[nest] * (chosen / (1 + chosen.sum()))[nest]


def make(kind: Kind, seed: int) -> Shop:
    """Return one world; the same seed gives the same one."""
    rng = np.random.default_rng([77, seed, KINDS.index(kind)])
    cost, worth = np.exp(rng.normal(0.8, 0.3, PRODUCTS)), rng.normal(0, 0.8, PRODUCTS)
    dislike = np.exp(rng.normal(np.log(1.1), kind.spread, PRODUCTS))
    price = cost * np.exp(rng.normal(np.log(1.55), 0.15, PRODUCTS))
    middle = float(price.mean())
    if kind.near_best:
        price = price * np.exp(best(worth, dislike, middle, cost, price, band=0.5, held=False) + rng.normal(0, 0.05, PRODUCTS))
        middle = float(price.mean())  # tastes are about prices against the usual one, and that has moved with them
    shape = (kind.weeks, PRODUCTS)
    shock = rng.normal(0, kind.shock, shape)
    cut = np.where(rng.random(shape) < kind.promoted, np.log(1 - rng.choice([0.1, 0.2, 0.3], shape)), 0.0)
    paid = np.exp(np.log(price) + kind.moves * rng.normal(size=shape) + cut)
    units = np.stack([_sold(worth, dislike, middle, paid[week], shock[week]) for week in range(kind.weeks)])
    units = units * np.exp(rng.normal(0, 0.1, shape))
    names = [f"P{at:02d}" for at in range(PRODUCTS)]
    first = dt.date(2024, 1, 1)
    rows = [
        (first + dt.timedelta(weeks=week), names[at], units[week, at], paid[week, at])
        for week in range(kind.weeks)
        for at in range(PRODUCTS)
    ]
    sales = pl.DataFrame(rows, schema=["date", "product", "units", "price"], orient="row")
    products = pl.DataFrame(
        {"product": names, "category": [f"nest {at // NEST}" for at in range(PRODUCTS)], "unit_cost": cost, "list_price": price}
    )
    return Shop(worth, dislike, cost, price, middle, sales, products)


def best(
    worth: np.ndarray, dislike: np.ndarray, middle: float, cost: np.ndarray, price: np.ndarray, *, band: float, held: bool
) -> np.ndarray:
    """Return the log moves that truly make most profit, within a band; `held` keeps volume and revenue."""
    from scipy.optimize import minimize

    base = _sold(worth, dislike, middle, price, 0.0)
    start = float(((price - cost) * base).sum())

    def at(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        now = price * np.exp(x)
        return now, _sold(worth, dislike, middle, now, 0.0)

    def gain(x: np.ndarray) -> float:
        now, units = at(x)
        return -float(((now - cost) * units).sum()) / start

    rules = [
        {"type": "ineq", "fun": lambda x: at(x)[1].sum() / base.sum() - LEAST_VOLUME},
        {"type": "ineq", "fun": lambda x: (at(x)[0] * at(x)[1]).sum() / (price * base).sum() - LEAST_REVENUE},
    ]
    edge = (-band, band) if not held else (np.log(1 - band), np.log(1 + band))
    options = {"maxiter": 100}
    return minimize(
        gain, np.zeros(PRODUCTS), method="SLSQP", bounds=[edge] * PRODUCTS, constraints=rules if held else (), options=options
    ).x
