"""A what-if made whole: a promotion that is planned or called off changes the price and the support that go with it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tradewind.models._kit.asking import Asked
from tradewind.models._kit.panel import Panel, carry

Array = np.ndarray[Any, Any]


def complete(panel: Panel, asked: Asked) -> Asked:
    """Return the question with what follows from its plan written out.

    A promotion of 0 takes discount, kind and support away with it. Where discount or promotion is said and the price is not, the
    price is the last one without promotion, less the discount said.
    """
    plan = dict(asked.plan)
    if "promotion" not in plan and "discount" not in plan:
        return asked
    rows = len(asked.row)
    nothing = np.full(rows, np.nan, "f4")
    promotion, discount = plan.get("promotion", nothing), plan.get("discount", nothing)
    off = promotion == 0
    for name, kind in panel.kinds.items():
        if kind == "lever" and name != "promotion" and off.any():
            said = plan.get(name, nothing)
            plan[name] = np.where(off & np.isnan(said), np.float32(0), said)
    deep = discount > 0
    if "promotion" in panel.ahead and deep.any():
        plan["promotion"] = np.where(deep & np.isnan(promotion), np.float32(1), promotion)
    if "price" in panel.ahead and (off | np.isfinite(discount)).any():
        said = plan.get("price", nothing)
        follows = np.isnan(said) & (off | np.isfinite(discount))
        usual = _usual(panel, asked.series)[asked.row]
        plan["price"] = np.where(follows, usual * (1 - np.nan_to_num(discount)), said).astype("f4")
    return replace(asked, plan=plan)


def _usual(panel: Panel, series: Array) -> Array:
    """Return each series' last price without promotion before the cut."""
    whole = panel.ahead["price"]
    price = np.broadcast_to(whole, (len(panel), panel.width))[series][:, : panel.cut]
    pulled = np.zeros(price.shape, bool)
    for name in ("promotion", "discount"):
        if name in panel.ahead:
            pulled |= np.broadcast_to(panel.ahead[name], (len(panel), panel.width))[series][:, : panel.cut] > 0
    free = carry(np.where(pulled, np.nan, price))[:, -1]
    return np.where(np.isnan(free), price[:, -1], free)
