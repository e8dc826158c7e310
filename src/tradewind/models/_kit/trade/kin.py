"""How far the errors of products of one category go together: what their sum strays more than each by itself says."""

from __future__ import annotations

from typing import Any

import numpy as np

from tradewind.models._kit.trade.group import summed
from tradewind.models._kit.trade.shrink import SMALL, Shrunk

Array = np.ndarray[Any, Any]
LAGS = 6  # periods over which errors may go together in time


def kin(found: Shrunk, normal: Array, moves: Array, *, product: Array, category: Array, together: float, among: Array) -> Array:
    """Return the standard deviation (K,) of an error of each coefficient that all products of a category make together.

    It has two parts: what is not known of the category's mean that its products are drawn to, and errors of the data that go together.

    `normal` is n x K x K as in `shrink`, `moves` n x T x K what each period adds to the moment by what the fit leaves of it; `category` is
    by product. A period moves a product's coefficients by its influence; the long-run variance of these moves (Newey and West 1987) over a
    category, less that of its products one by one, is what goes together. Residuals are smaller than errors, so only the ratio of the
    two is taken from them, and what all products of the company share is already known. `among` is the standard deviation among products
    that was believed before any data.
    """
    products = len(found.product)
    count = np.bincount(category)
    pairs = float((count * (count - 1)).sum())
    if pairs <= 0:
        return np.zeros(normal.shape[1])
    weak = np.diag(1 / found.inside**2)
    inverse = np.linalg.inv(normal + weak)
    shared = summed(weak - weak @ inverse @ weak, product, products) / together
    spread = found.spread - found.common[:, :, None] ** 2 * np.eye(normal.shape[1])
    felt = summed(moves @ np.swapaxes(weak @ inverse, 1, 2), product, products) / together
    moved = felt @ np.swapaxes(spread, 1, 2)
    alone, whole = _long(moved).sum(0), _long(summed(moved, category, len(count))).sum(0)
    said = np.diagonal(spread @ shared @ spread, axis1=1, axis2=2).sum(0)
    both = np.maximum(whole - alone, 0.0) / np.maximum(alone, 1e-12) * said / pairs
    mean = _of_mean(found, shared, spread, category=category, among=among)
    return np.asarray(np.sqrt(np.maximum(both - (found.common**2).mean(0), 0.0) + mean))


def _of_mean(found: Shrunk, shared: Array, spread: Array, *, category: Array, among: Array) -> Array:
    """Return the variance (K,) that not knowing a category's mean adds to its products, as far as they lean on it.

    The category's mean is believed to lie half of `among` around the company's, as in `shrink`.
    """
    count = np.bincount(category)
    if (count >= 2).sum() < 2:  # no category has a mean of its own
        return np.zeros(len(among))
    seen = np.diagonal(np.linalg.inv(shared + SMALL * np.eye(len(among))), axis1=1, axis2=2)
    told = summed(1 / (found.among**2 + seen), category, len(count))
    variance = 1 / (1 / (0.5 * among) ** 2 + told)
    leans = np.clip(np.diagonal(spread, axis1=1, axis2=2) / found.among**2, 0, 1)
    each = (summed(leans, category, len(count)) / np.maximum(count, 1)[:, None]) ** 2 * variance
    return np.asarray(each[count >= 2].mean(0))


def _long(moved: Array) -> Array:
    """Return the long-run variance of sums over time, g x T x K to g x K, nearer lags counting more."""
    total = (moved**2).sum(1)
    for lag in range(1, min(LAGS, moved.shape[1] - 1) + 1):
        total = total + 2 * (1 - lag / (LAGS + 1)) * (moved[:, lag:] * moved[:, :-lag]).sum(1)
    return np.asarray(np.maximum(total, 0.0))
