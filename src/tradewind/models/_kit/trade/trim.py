"""Which periods and promotions are accidents and are left out, and how much the others tell."""

from __future__ import annotations

from typing import Any

import numpy as np

from tradewind.models._kit.trade.group import summed
from tradewind.models._kit.trade.panel import Panel

Array = np.ndarray[Any, Any]
TRIM = 3.5  # robust standard deviations beyond which a period, or a whole promotion, counts as an accident
ROBUST = 1.4826  # standard deviation of a normal over its middle absolute deviation
FEWEST_EVENTS = 10  # promotions without which none of them can be called strange


def trimmed(panel: Panel, gap: Array, target: Array) -> tuple[Array, Array]:
    """Return the target without accidents, and how much each of its cells tells.

    An accident is a period far outside the usual (a spike, empty shelves, a promotion that nobody saw), or a promotion that went wrong in
    all its stores at once, such as one that was planned and never ran. Usual is the middle absolute deviation of the series, which
    accidents do not widen, and not less than half of that of all. What promotions do beyond what is fitted is shared by their stores:
    their periods tell less, by how much more their errors go together than those of other periods.
    """
    middle = np.nanmedian(np.abs(gap), 1, keepdims=True)
    edge = TRIM * ROBUST * np.maximum(middle, 0.5 * np.nanmedian(middle))
    run = panel.run[:, : gap.shape[1]]
    kept = np.where((np.abs(gap) <= edge) & ~_strange(gap, run, ROBUST * float(np.nanmedian(middle))), target, np.nan)
    left = np.where(np.isfinite(kept), gap, np.nan)
    plain, promoted = (together_of(np.where(part, left, np.nan), panel.product) for part in (run < 0, run >= 0))
    return kept, np.where(run >= 0, min(plain / promoted, 1.0), 1.0)


def _strange(gap: Array, run: Array, noise: float) -> Array:
    """Tell which cells (n x T) are of promotions whose mean error lies far outside that of the others."""
    known = np.isfinite(gap) & (run >= 0)
    if not known.any():
        return np.zeros(gap.shape, bool)
    count = np.bincount(run[known], minlength=int(run.max()) + 1)
    mean = np.bincount(run[known], gap[known], minlength=len(count)) / np.maximum(count, 1)
    seen = count > 0
    if seen.sum() < FEWEST_EVENTS:
        return np.zeros(gap.shape, bool)
    chance = noise**2 / np.maximum(count, 1)
    shared = max((ROBUST * float(np.median(np.abs(mean[seen])))) ** 2 - float(np.median(chance[seen])), 0.0)
    far = np.abs(mean) > TRIM * np.sqrt(shared + chance)
    return np.asarray(known & far[np.maximum(run, 0)])


def mean_of(values: Array) -> Array:
    """Return the mean of what is known of each row, 0 where nothing is."""
    known = np.isfinite(values)
    found: Array = np.where(known, values, 0.0).sum(1) / np.maximum(known.sum(1), 1)
    return found


def together_of(gap: Array, product: Array) -> float:
    """Return by how much errors of one product's stores in one period go together: the design effect of their mean."""
    known = np.isfinite(gap)
    filled = np.where(known, gap, 0.0)
    products = int(product.max()) + 1
    total, squares, count = (summed(values, product, products) for values in (filled, filled**2, known * 1.0))
    many = count >= 2
    if not many.any():
        return 1.0
    return float(max(1.0, (total[many] ** 2).sum() / max(squares[many].sum(), 1e-12)))
