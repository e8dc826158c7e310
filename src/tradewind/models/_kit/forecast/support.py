"""How far a planned price or promotion lies inside what a series has seen: 1 well inside, 0 far outside."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from tradewind.models._kit.asking import Asked
from tradewind.models._kit.panel import Panel

Array = np.ndarray[Any, Any]
NEAR = 0.1  # log price: prices no further apart count as seen
BEYOND = 300.0  # where on its stretch a price that is not known lies: after all others
STRETCH = 1000.0
TINY = 1e-30
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
    """Score each planned price: distance to the nearest price seen, and how often prices near it were seen.

    All series are looked up at once: every row of sorted log prices lies on a stretch of one line of its own.
    """
    out = np.ones(len(where.plan["price"]))
    said = np.isfinite(where.plan["price"])
    past = _past(panel, "price")
    row, place = np.unique(where.row[said] if len(past) > 1 else np.zeros(int(said.sum()), "i8"), return_inverse=True)
    known = past[row] > 0
    own = np.sort(np.where(known, np.log(np.where(known, past[row], 1.0)), BEYOND), 1)
    line = (own + STRETCH * np.arange(len(own))[:, None]).ravel()
    wanted = np.log(np.maximum(where.plan["price"][said], TINY)) + STRETCH * place
    start = place * past.shape[1]
    end = start + known.sum(1)[place]
    at = np.searchsorted(line, wanted)
    apart = np.minimum(
        np.where(at > start, wanted - line[np.maximum(at - 1, 0)], np.inf),
        np.where(at < end, line[np.minimum(at, len(line) - 1)] - wanted, np.inf),
    )
    beside = np.searchsorted(line, wanted + NEAR, "right").clip(start, end) - np.searchsorted(line, wanted - NEAR).clip(start, end)
    between = (at < end) & ((at > start) | (apart == 0))
    near = beside + between
    out[said] = np.exp(-((np.minimum(apart, 9.0) / NEAR) ** 2)) * near / (near + ENOUGH)
    return out


def _pulled(panel: Panel, where: Asked, name: str) -> Array:
    """Score a planned lever by how many past periods it was pulled in; not pulling it is known once it was let go a few times."""
    asked = where.plan[name]
    past = _past(panel, name) > 0
    row = where.row if len(past) > 1 else np.zeros(len(asked), "i8")
    pulled, idle = (count.astype("f8")[row] for count in (past.sum(1), (~past).sum(1)))
    found: Array = np.where(asked > 0, pulled / (pulled + ENOUGH), np.where(asked == 0, np.minimum(idle / ENOUGH, 1.0), 1.0))
    return found
