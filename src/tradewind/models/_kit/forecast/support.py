"""How far a planned price or promotion lies inside what a series has seen: 1 well inside, 0 far outside."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from tradewind.models._kit.asking import Asked
from tradewind.models._kit.panel import Panel

Array = np.ndarray[Any, Any]
NEAR = 0.1  # log price: prices no further apart count as seen
ENOUGH = 4.0  # past periods after which a price or a promotion counts as half known


def seen(panel: Panel, series: Array) -> tuple[Array, Array]:
    """Return the lowest and the highest past price of some series."""
    price = _past(panel, "price")[series if len(panel.ahead["price"]) > 1 else np.zeros(len(series), "i8")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a series without a price has none to compare with
        return np.nanmin(price, 1), np.nanmax(price, 1)


def of(panel: Panel, where: Asked) -> dict[str, Array]:
    """Return the column `support` where the question plans a price or a promotion; `panel` holds the asked series only."""
    parts = []
    if "price" in where.plan and "price" in panel.ahead:
        parts.append(_price(panel, where))
    for name, kind in panel.kinds.items():
        if kind == "lever" and name in where.plan:
            parts.append(_pulled(panel, where, name))
    return {"support": np.minimum.reduce(parts)} if parts else {}


def _past(panel: Panel, name: str) -> Array:
    return panel.ahead[name][:, : panel.cut]


def _price(panel: Panel, where: Asked) -> Array:
    """Score each planned price: distance to the nearest price seen, and how often prices near it were seen."""
    asked = where.plan["price"]
    past = _past(panel, "price")
    out = np.ones(len(asked))
    said = np.flatnonzero(np.isfinite(asked))
    said = said[np.argsort(where.row[said], kind="stable")]
    for rows in np.split(said, np.flatnonzero(np.diff(where.row[said])) + 1) if len(said) else ():
        own = past[where.row[rows[0]] if len(past) > 1 else 0]
        own = np.log(own[own > 0])
        if not len(own):
            out[rows] = 0.0
            continue
        prices, back = np.unique(np.log(asked[rows]), return_inverse=True)
        apart = np.abs(prices[:, None] - own)
        between = (own.min() <= prices) & (prices <= own.max())
        near = (apart <= NEAR).sum(1) + between
        out[rows] = (np.exp(-((apart.min(1) / NEAR) ** 2)) * near / (near + ENOUGH))[back]
    return out


def _pulled(panel: Panel, where: Asked, name: str) -> Array:
    """Score a planned lever by how many past periods it was pulled in; not pulling it is known once it was let go a few times."""
    asked = where.plan[name]
    past = _past(panel, name) > 0
    row = where.row if len(past) > 1 else np.zeros(len(asked), "i8")
    pulled, idle = (count.astype("f8")[row] for count in (past.sum(1), (~past).sum(1)))
    found: Array = np.where(asked > 0, pulled / (pulled + ENOUGH), np.where(asked == 0, np.minimum(idle / ENOUGH, 1.0), 1.0))
    return found
