"""A small chain of shops whose price response is known, own and of siblings."""

from __future__ import annotations

import numpy as np

from tradewind.core.model import Example, Truth
from tradewind.core.table import Array, Table
from tradewind.models._kit.world import World, make

TABLES = ("sales", "promotions", "prices", "products", "stores", "events")
CHEAPER = 0.9


def example(seed: int) -> Example:
    """Make the world and its truths; the sales noise is half of the sample company's."""
    world = make(seed=seed, years=2, products=10, stores=3, customers=0, reviews=0, noise=0.5, anomalies=0.0, stockouts=0.0)
    return Example({name: world.tables[name] for name in TABLES}, (_elasticity(world), _cheaper(world)))


def _living(world: World) -> tuple[Array, Array]:
    """Return the products that sell on the last day, and their true own elasticities."""
    sales, truth = world.tables["sales"], world.truth.products
    alive = sorted(set(sales.column("product")[sales.column("date") == np.datetime64(world.end, "D")].tolist()))
    known = dict(zip(truth.column("product").tolist(), truth.column("elasticity").tolist(), strict=True))
    return np.array(alive, object), np.array([known[name] for name in alive])


def _elasticity(world: World) -> Truth:
    """Compare the mean own elasticity."""
    products, true = _living(world)
    asked = Table.from_columns({"product": products})
    return Truth("own-price elasticity", asked, lambda answer: float(answer.column("elasticity").mean()), float(true.mean()), 0.3)


def _cheaper(world: World) -> Truth:
    """Try a tenth less for every product in one store; compare the log change of units with the truth."""
    products, true = _living(world)
    prices = world.tables["prices"]
    store = str(world.tables["stores"].column("store")[0])
    here = (prices.column("store") == store) & (prices.column("date") <= np.datetime64(world.end, "D"))
    last = dict(zip(prices.column("product")[here].tolist(), prices.column("price")[here].tolist(), strict=True))
    now = np.array([last[name] for name in products.tolist()])
    columns = {
        "product": np.tile(products, 2),
        "store": np.full(2 * len(products), store, object),
        "price": np.concatenate([now, CHEAPER * now]),
    }
    value = float((true * np.log(CHEAPER)).mean())
    return Truth("log change of units at a tenth less", Table.from_columns(columns), _log_change, value, 0.06)


def _log_change(answer: Table) -> float:
    before, after = answer.column("mean").reshape(2, -1)
    return float(np.log(after / before).mean())
