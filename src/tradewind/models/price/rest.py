"""How much of what leaves a product stays in the shop: read from how its sales by chance go against those of the others.

A dear week of one product and a week in which it is liked less send the same customers to the same other products. Prices of a whole
assortment rarely move together, so a regression on them says little; what is left of every product's sales says much. Were nobody to go
anywhere else, the variance of a group's summed errors would be the sum of their variances; where a share s of what leaves a product is
caught by the group, it is (1 - s) squared of it. Errors that all products share (a busy week) hide it: the share is then too small.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tradewind.models._kit.trade.group import summed

Array = np.ndarray[Any, Any]
CLEAR = 2.0  # standard errors that a share must lie above none to count
MOST_ERROR = 1.5  # log units beyond which an error is an accident
FEWEST = 20  # periods of a shop without which nothing is said


def kept(residual: Array, units: Array, store: Array, group: Array, *, together: float) -> tuple[float, float]:
    """Return the share of what leaves a product that other groups of its store catch, and its standard error; zeros where none is clear.

    `residual` is n x T in logs, NaN where unknown; `units` what sold (n x T); `group` is each series' group (store and
    category), whose own share is left out here; `together` is how many stores' errors count as one.
    """
    known = np.isfinite(residual) & np.isfinite(units)
    gap = np.where(known, residual, 0.0)
    expected = np.where(known, units, 0.0) / np.exp(gap)
    moved = expected * np.exp(np.clip(gap, -MOST_ERROR, MOST_ERROR))
    ratio = moved.sum(1) / np.maximum(expected.sum(1), 1e-12)
    moved = moved - expected * ratio[:, None]  # units, not logs: what is conserved is people
    alone = float((moved**2).sum())
    periods = int(known.any(0).sum())
    if alone <= 0 or periods < FEWEST:
        return 0.0, 0.0
    codes = [np.unique(code, return_inverse=True)[1] for code in (group, store)]
    leaves = [float(np.sqrt((summed(moved, code, int(code.max()) + 1) ** 2).sum() / alone)) for code in codes]
    count = periods * max(len(np.unique(store)) / max(together, 1.0), 1.0)
    share = min(leaves[0], 1.0) - leaves[1]
    error = float(np.sqrt((leaves[0] ** 2 + leaves[1] ** 2) / (2 * count)))
    return (share, error) if share > CLEAR * error else (0.0, 0.0)
