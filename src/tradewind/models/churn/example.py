"""A company whose customers stop buying on known days, at known rates."""

from __future__ import annotations

import numpy as np

from tradewind.core.model import Example, Truth
from tradewind.core.table import Array, Table
from tradewind.models._kit.customers.orders import tidy
from tradewind.models._kit.customers.rank import auc
from tradewind.models._kit.world import World, make
from tradewind.models.churn.leaving import horizon_of

CUSTOMERS = 700
TABLES = ("orders", "interactions", "treatments")


def example(seed: int) -> Example:
    """Make the world; leaving is silence, so that orders alone must say it, and a retention test with a known effect was run."""
    world = make(seed=seed, years=2, products=20, stores=3, customers=CUSTOMERS, reviews=0, noise=0.5, anomalies=0.0, stockouts=0.0)
    tables = {name: world.tables[name] for name in TABLES}
    names, chance = _true(world)
    asked = Table.from_columns({"customer": names})
    gone = (chance > 0.999).astype("f8")
    return Example(
        tables,
        (
            Truth("mean chance to leave", asked, lambda answer: float(answer.column("probability").mean()), float(chance.mean()), 0.06),
            Truth("chance that one who left is ranked above one who did not", asked, lambda answer: auc(gone, _told(answer)), 1.0, 0.06),
            Truth("error of the chance to leave", asked, lambda answer: float(np.abs(_told(answer) - chance).mean()), 0.0, 0.12),
        ),
    )


def _told(answer: Table) -> Array:
    return answer.column("probability").astype("f8")


def _true(world: World) -> tuple[Array, Array]:
    """Return every customer and the true chance of no order within the horizon: certain for the lapsed, Poisson for the others."""
    orders = tidy(world.tables["orders"])
    span = (orders["date"].max() - orders["date"].min()).days  # type: ignore[operator, union-attr]
    horizon = horizon_of(orders, span)
    known = world.truth.customers
    active = np.isnat(known.column("left"))
    chance = np.where(active, np.exp(-known.column("rate") * horizon / 365.0), 1.0)
    bought = np.isin(known.column("customer"), orders["customer"].unique().to_numpy())
    return known.column("customer")[bought], chance[bought]
