"""A small chain of shops in which it is known what broke: which days, how much, in which store, and which orders hold a slip."""

from __future__ import annotations

from typing import Any

import numpy as np

from tradewind.core.model import Example, Truth
from tradewind.core.table import Table
from tradewind.models._kit.world import World, make
from tradewind.models.anomaly.inject import plant_lines
from tradewind.models.anomaly.judge import precisions

Array = np.ndarray[Any, Any]
TABLES = ("sales", "prices", "promotions", "products", "stores", "events")
LATEST = 300  # days that are asked about
PRECISION, CAUGHT, PAID = 0.65, 1.0, 1.0
SLIPS, RIGHT = 0.01, 0.75  # share of order lines with a slip in them; how precisely these are found


def example(seed: int) -> Example:
    """Make the world and its truths; the sales noise is half of the sample company's, and the shelf is never empty."""
    world = make(seed=seed, years=1.6, products=10, stores=5, customers=400, reviews=0, noise=0.5, anomalies=10.0, stockouts=0.0)
    tables = {name: world.tables[name] for name in TABLES}
    asked = _asked(world)
    wrong, zero = _known(world, asked)
    orders, slipped = _slipped(world, seed)
    tables["orders"] = orders
    truths = _found(asked, wrong), _emptied(asked, zero), _priced(world, asked, wrong), _odd(orders, slipped)
    return Example(tables, truths, asked)


def _asked(world: World) -> Table:
    """Ask for every product, all stores together, on the latest days it sold."""
    sales = world.tables["sales"]
    days = sales.column("date")
    latest = np.unique(days)[-LATEST]
    pairs = sorted(set(zip(sales.column("product")[days >= latest].tolist(), days[days >= latest].tolist(), strict=True)))
    product = np.empty(len(pairs), object)
    product[:] = [pair[0] for pair in pairs]
    store = np.full(len(pairs), "", object)
    return Table.from_columns({"product": product, "store": store, "date": np.array([pair[1] for pair in pairs], "M8[D]")})


def _slipped(world: World, seed: int) -> tuple[Table, Array]:
    """Return the orders with slips in them, and which lines these are."""
    orders = world.tables["orders"]
    figures = (orders.column(name).astype("f8") for name in ("quantity", "unit_price", "amount"))
    quantity, price, amount, kinds = plant_lines(*figures, share=SLIPS, seed=seed)
    return orders.with_columns({"quantity": quantity, "unit_price": price, "amount": amount}), kinds >= 0


def _odd(orders: Table, slipped: Array) -> Truth:
    """Compare the ranking of all order lines with the slips."""
    names = ("order", "product", "customer", "channel", "date", "quantity", "unit_price", "amount")
    asked = Table.from_columns({name: orders.column(name) for name in names} | {"offer": orders.column("promotion")})
    return Truth(
        "average precision of order lines with a slip",
        asked,
        lambda told: float(precisions(slipped, told.column("score")).mean()),
        RIGHT,
        0.15,
    )


def _known(world: World, asked: Table) -> tuple[Array, Array]:
    """Return which asked days belong to an incident, and which to one without any sale."""
    found: dict[tuple[str, Any], str] = {}
    table = world.truth.anomalies
    for product, start, end, kind in zip(*(table.column(name).tolist() for name in ("product", "start", "end", "kind")), strict=True):
        for day in np.arange(np.datetime64(start), np.datetime64(end) + 1):
            found[product, day.astype("M8[D]").item()] = kind
    said = [found.get(pair, "") for pair in zip(asked.column("product").tolist(), asked.column("date").tolist(), strict=True)]
    return np.array([bool(kind) for kind in said]), np.array([kind == "zero" for kind in said])


def _found(asked: Table, wrong: Array) -> Truth:
    """Compare the ranking of all days with the incidents."""
    return Truth(
        "average precision of the days of incidents",
        asked,
        lambda told: float(precisions(wrong, told.column("score")).mean()),
        PRECISION,
        0.15,
    )


def _emptied(asked: Table, zero: Array) -> Truth:
    """Every day on which nothing at all was sold must raise an alert of class supply."""

    def share(told: Table) -> float:
        of = told.column("class")
        return float(np.mean([name == "supply" for name in of[zero].tolist()]))

    return Truth("days without a sale reported as supply", asked, share, CAUGHT, 0.1)


def _priced(world: World, asked: Table, wrong: Array) -> Truth:
    """Compare the units lost or won on the days of incidents with the true mean."""
    mean = world.truth.mean
    sums: dict[tuple[str, Any], float] = {}
    for product, day, units in zip(*(mean.column(name).tolist() for name in ("product", "date", "mean")), strict=True):
        sums[product, day] = sums.get((product, day), 0.0) + units
    true = np.array([sums[pair] for pair in zip(asked.column("product").tolist(), asked.column("date").tolist(), strict=True)])

    def ratio(told: Table) -> float:
        return float(told.column("mean")[wrong].sum() / true[wrong].sum())

    return Truth("expected units on the days of incidents, over the true mean", asked, ratio, PAID, 0.06)
