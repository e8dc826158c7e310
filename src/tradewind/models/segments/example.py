"""A company whose customers are of six known kinds."""

from __future__ import annotations

import numpy as np

from tradewind.core.model import Example, Truth
from tradewind.core.table import Array, Table
from tradewind.models._kit.clusters.agree import adjusted_rand, numbered, purity
from tradewind.models._kit.world import make

CUSTOMERS = 900


def example(seed: int) -> Example:
    """Make the world, its customers' kinds half as blurred as the sample company's; ten customers of each kind are labelled."""
    world = make(seed=seed, years=2, products=24, stores=3, customers=CUSTOMERS, reviews=0, noise=0.5, anomalies=0.0, stockouts=0.0)
    known = world.truth.customers
    kind, names = known.column("segment"), known.column("customer")
    labelled = labels(kind, 10, seed)
    people = world.tables["customers"]
    keep = [name for name in people.names if not (people.schema.get(name) or people.schema.columns[0]).sensitive]
    tables = {"orders": world.tables["orders"], "customers": people.select(keep).with_columns({"segment": labelled})}
    hidden = np.array([value is None for value in labelled.tolist()])
    asked = Table.from_columns({"customer": names[hidden]})
    true = numbered(kind[hidden])
    return Example(
        tables,
        (
            Truth("adjusted Rand index with the true kinds", asked, lambda answer: adjusted_rand(true, _said(answer)), 1.0, 0.2),
            Truth("share of customers in a segment of their own kind", asked, lambda answer: purity(true, _said(answer)), 1.0, 0.1),
        ),
    )


def labels(kind: Array, each: int, seed: int) -> Array:
    """Return the kind of `each` customers per kind, None for all others."""
    rng = np.random.default_rng(seed)
    found = np.full(len(kind), None, object)
    for name in sorted(set(kind.tolist())):
        rows = np.flatnonzero(kind == name)
        found[rng.choice(rows, min(each, len(rows)), replace=False)] = name
    return found


def _said(answer: Table) -> Array:
    return numbered(answer.column("segment"))
