"""A small chain of shops whose promotions are known to the unit: what they lift, borrow, take from siblings and bring along."""

from __future__ import annotations

import numpy as np

from tradewind.core.model import Example, Truth
from tradewind.core.table import Array, Table
from tradewind.models._kit.world import World, make

TABLES = ("sales", "promotions", "prices", "products", "stores", "events")


def example(seed: int) -> Example:
    """Make the world and its truths; the sales noise is half of the sample company's."""
    world = make(seed=seed, years=2, products=10, stores=3, customers=0, reviews=0, noise=0.5, anomalies=0.0, stockouts=0.0)
    asked, future = _future(world)
    truths = (
        _total(asked, future, "net", "mean", 0.25),
        _total(asked, future, "gross", "gross", 0.2),
        _pulled(asked, future),
    )
    return Example({name: world.tables[name] for name in TABLES}, truths)


def _future(world: World) -> tuple[Table, dict[str, Array]]:
    """Return the planned promotions of products that still sell, and their truths."""
    known = world.truth.promotions
    alive = set(world.tables["sales"].column("product")[world.tables["sales"].column("date") == np.datetime64(world.end, "D")].tolist())
    chosen = (known.column("start") > np.datetime64(world.end, "D")) & np.isin(known.column("product"), list(alive))
    names = ("promotion", "net", "gross", "pulled_forward", "cost", "roi")
    return Table.from_columns({"promotion": known.column("promotion")[chosen]}), {name: known.column(name)[chosen] for name in names}


def _total(asked: Table, future: dict[str, Array], name: str, column: str, by: float) -> Truth:
    value = float(future[name].sum())
    return Truth(
        f"{name} units of all planned promotions", asked, lambda answer: float(answer.column(column).sum()), value, by * abs(value)
    )


def _pulled(asked: Table, future: dict[str, Array]) -> Truth:
    """Compare the share of the lift that is pulled forward."""
    value = float(-future["pulled_forward"].sum() / future["gross"].sum())
    return Truth("share pulled forward", asked, _share, value, 0.12)


def _share(answer: Table) -> float:
    return float(-answer.column("pulled_forward").sum() / max(float(answer.column("gross").sum()), 1e-9))
