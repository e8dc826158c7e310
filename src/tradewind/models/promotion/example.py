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
    asked, known = _asked(world)
    truths = (_total(asked, known, "net", column="mean"), _total(asked, known, "gross", column="gross"), _pulled(asked, known))
    return Example({name: world.tables[name] for name in TABLES}, truths)


def _asked(world: World) -> tuple[Table, dict[str, Array]]:
    """Return the promotions of the last year and the planned ones of products that still sell, and their truths."""
    known = world.truth.promotions
    alive = set(world.tables["sales"].column("product")[world.tables["sales"].column("date") == np.datetime64(world.end, "D")].tolist())
    since = np.datetime64(world.end, "D") - 365
    chosen = (known.column("start") > since) & np.isin(known.column("product"), list(alive))
    names = ("net", "gross", "pulled_forward")
    return Table.from_columns({"promotion": known.column("promotion")[chosen]}), {name: known.column(name)[chosen] for name in names}


def _total(asked: Table, known: dict[str, Array], name: str, *, column: str) -> Truth:
    value = float(known[name].sum())
    return Truth(
        f"{name} units of a year of promotions", asked, lambda answer: float(answer.column(column).sum()), value, 0.15 * abs(value)
    )


def _pulled(asked: Table, known: dict[str, Array]) -> Truth:
    """Compare the share of the lift that is pulled forward."""
    value = float(-known["pulled_forward"].sum() / known["gross"].sum())
    return Truth("share pulled forward", asked, _share, value, 0.08)


def _share(answer: Table) -> float:
    return float(-answer.column("pulled_forward").sum() / max(float(answer.column("gross").sum()), 1e-9))
