"""A small chain of shops whose price response, promotion lift and coming sales are known."""

from __future__ import annotations

from typing import Any

import numpy as np

from tradewind.core.model import Example, Truth
from tradewind.core.table import Table
from tradewind.models._kit.world import World, make

Array = np.ndarray[Any, Any]
TABLES = ("sales", "prices", "promotions", "products", "stores", "events")
DAYS = 28
CHEAPER = 0.9
DEPTH = 0.2
KIND = "price_cut"


def example(seed: int) -> Example:
    """Make the world and its truths; the sales noise is half of the sample company's."""
    world = make(seed=seed, years=2, products=10, stores=3, customers=0, reviews=0, noise=0.5, anomalies=0.0, stockouts=0.0)
    tables = {name: world.tables[name] for name in TABLES}
    return Example(tables, (_elasticity(world), _lift(world), _total(world)))


def _elasticity(world: World) -> Truth:
    """Ask every living series at its usual price and at a tenth less; compare with the mean own-price elasticity."""
    series = _living(world)
    price = _usual_prices(world, series)
    asked, half = _twice(world, series, {"price": (price, price * CHEAPER)})
    true = np.mean([_of_product(world, "elasticity")[product] for product, _ in series])
    return Truth("own-price elasticity", asked, lambda answer: _log_ratio(answer, half) / np.log(CHEAPER), float(true), 0.4)


def _lift(world: World) -> Truth:
    """Ask every living series without and with a price cut of 20 %; compare with the mean log lift."""
    series = _living(world)
    none, all_ = np.zeros(len(series)), np.ones(len(series))
    asked, half = _twice(world, series, {"promotion": (none, all_), "discount": (none, all_ * DEPTH), f"mechanic_{KIND}": (none, all_)})
    kinds = world.truth.mechanics
    row = kinds.column("mechanic").tolist().index(KIND)
    taken, bonus = float(kinds.column("take")[row]), float(kinds.column("bonus")[row])
    elasticity = _of_product(world, "elasticity")
    true = np.mean([elasticity[product] * np.log(1 - taken * DEPTH) + bonus for product, _ in series])
    return Truth("log lift of a 20 % price cut", asked, lambda answer: _log_ratio(answer, half), float(true), 0.25)


def _total(world: World) -> Truth:
    """Ask for the next 28 days as planned; compare their sum with the oracle's."""
    future = world.truth.future
    series = set(_living(world))
    near = future.column("date") < _first_day(world) + DAYS
    keep = near & np.array([key in series for key in zip(future.column("product").tolist(), future.column("store").tolist(), strict=True)])
    told = future.take(keep)
    value = float(told.column("mean").sum())
    return Truth("units of the next 28 days", told.select(["product", "store", "date"]), _sum_of_means, value, 0.08 * value)


def _sum_of_means(answer: Table) -> float:
    return float(answer.column("mean").sum())


def _log_ratio(answer: Table, half: int) -> float:
    """Return the mean over series of the log ratio of the second half's units to the first's."""
    mean = answer.column("mean").reshape(2, half // DAYS, DAYS).sum(2)
    return float(np.log(mean[1] / mean[0]).mean())


def _twice(world: World, series: list[tuple[str, str]], plans: dict[str, tuple[Array, Array]]) -> tuple[Table, int]:
    """Return the questions of every series and day under the first plan, then under the second, and how many one half has."""
    days = np.tile(_first_day(world) + np.arange(DAYS), len(series))
    product, store = (np.repeat(np.array(part, object), DAYS) for part in zip(*series, strict=True))
    columns = {"product": np.tile(product, 2), "store": np.tile(store, 2), "date": np.tile(days, 2)}
    columns |= {name: np.concatenate([np.repeat(first, DAYS), np.repeat(second, DAYS)]) for name, (first, second) in plans.items()}
    return Table.from_columns(columns), len(days)


def _first_day(world: World) -> Any:
    return np.datetime64(world.end, "D") + 1


def _living(world: World) -> list[tuple[str, str]]:
    """Return the series that sell on the last day and are expected to sell on all planned days."""
    future, sales = world.truth.future, world.tables["sales"]
    last = _first_day(world) + DAYS - 1
    coming = _keys(future, future.column("date") == last)
    return sorted(coming & _keys(sales, sales.column("date") == _first_day(world) - 1))


def _keys(table: Table, rows: Array) -> set[tuple[str, str]]:
    return set(zip(table.column("product")[rows].tolist(), table.column("store")[rows].tolist(), strict=True))


def _usual_prices(world: World, series: list[tuple[str, str]]) -> Array:
    """Return the last regular price of each series."""
    prices = world.tables["prices"]
    past = prices.column("date") < _first_day(world)
    rows = zip(*(prices.column(name)[past].tolist() for name in ("date", "product", "store", "price")), strict=True)
    last = {(product, store): price for _, product, store, price in sorted(rows)}
    return np.array([last[key] for key in series])


def _of_product(world: World, name: str) -> dict[str, float]:
    products = world.truth.products
    return dict(zip(products.column("product").tolist(), products.column(name).tolist(), strict=True))
