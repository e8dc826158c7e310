"""What stands beside a series on the shelf: how much of it is promoted, and what it costs. Known ahead, as the plan is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tradewind.models._kit.asking import Asked
from tradewind.models._kit.forecast.features import promoted
from tradewind.models._kit.forecast.features_price import logged
from tradewind.models._kit.panel import BESIDE, RIVALS, RIVALS_PRICE, Panel

Array = np.ndarray[Any, Any]
PROMOTION, PRICE = "rivals_promotion", "rivals_price"
ALIKE = ("category", "subcategory", "brand")  # what likens the products of a shelf: the first that is known


def beside(panel: Panel, old: Panel | None = None) -> Panel:
    """Return the panel with what is known ahead of the other series of a shelf: the share promoted, and their mean price.

    The columns are of the kinds RIVALS (a share, 0 to 1) and RIVALS_PRICE (a geometric mean), called after what likens a shelf, such
    as "category_rivals_price". They are left out where no series has a neighbour, or where all series do the same. Shelves are those
    that an `old` panel was learned with, whatever else is known by now.
    """
    alike = next((f"{name}_" for name in ALIKE if name in panel.labels), "") if old is None else _alike(old)
    shelf = shelf_of(panel, alike)
    if shelf is None:
        return panel
    ahead, kinds = dict(panel.ahead), dict(panel.kinds)
    state, price = promoted(panel), panel.ahead.get("price")
    if state is not None and len(state) == len(panel):
        ahead[alike + PROMOTION], kinds[alike + PROMOTION] = _of_others(state, shelf, empty=0.0), RIVALS
    if price is not None and len(price) == len(panel):
        ahead[alike + PRICE], kinds[alike + PRICE] = np.exp(_of_others(logged(price), shelf, empty=np.nan)), RIVALS_PRICE
    return replace(panel, ahead=ahead, kinds=kinds)


def shelf_of(panel: Panel, alike: str | None = None) -> Array | None:
    """Return which series stand beside each other, as numbers: of one store, and of one kind where that is known; None where none do."""
    alike = _alike(panel) if alike is None else alike
    texts = [part for part in (panel.keys.get("store"), panel.labels.get(alike.removesuffix("_"))) if part is not None]
    found = np.zeros(len(panel), "i8")
    for one in texts:
        found = np.unique(found * len(panel) + np.unique(one.astype(str), return_inverse=True)[1], return_inverse=True)[1]
    return found if (np.bincount(found) > 1).any() else None


def notes(shelf: Array | None, where: Asked) -> list[str]:
    """Say that plans which are asked together do not hear of each other, where two of one shelf are."""
    if shelf is None or not where.plan or len(where.series) < 2:
        return []
    planned = np.logical_or.reduce([np.isfinite(values) for values in where.plan.values()])
    series = np.unique(where.series[where.row[planned]])
    if (np.bincount(shelf[series]) < 2).all():
        return []
    return ["rivals count as planned before: what is asked here of one product does not change another of its shelf"]


def _alike(panel: Panel) -> str:
    """Return what the columns of a panel liken its shelves by."""
    return next((name.rpartition("rivals_")[0] for name, kind in panel.kinds.items() if kind in BESIDE), "")


def _of_others(values: Array, shelf: Array, *, empty: float) -> Array:
    """Return the mean of the other series of each shelf, (series, periods); `empty` where there is none. Worked out shelf by shelf."""
    found = np.empty(values.shape, "f4")
    order = np.argsort(shelf, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(shelf[order])) + 1):
        own = values[rows]
        known = np.isfinite(own)
        held = np.where(known, own, np.float32(0))
        left = known.sum(0) - known
        found[rows] = np.where(left > 0, (held.sum(0) - held) / np.maximum(left, 1), empty)
    return found
