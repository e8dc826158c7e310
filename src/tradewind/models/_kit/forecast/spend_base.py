"""The base that spend is measured on top of: seasons, a slow trend, events and other levers, taken out of both sides."""

from __future__ import annotations

from typing import Any

import numpy as np

from tradewind.models._kit.forecast import ridge
from tradewind.models._kit.panel import Panel

Array = np.ndarray[Any, Any]
BEND = {"hour": 336, "day": 91, "week": 26, "month": 12, "quarter": 8}
"""Periods between the knots of the trend: slower than a flight of advertising."""
SEASON, TREND, COLUMN = 0.3, 0.5, 1.0
"""Prior standard deviations, in logs: of the first wave, of the bends of the trend, of one spread of a column."""
ROUNDS = 2


def base_of(panel: Panel) -> tuple[Array, Array]:
    """Return the base's columns (series or 1, periods, columns) and their prior standard deviations (series or 1, columns)."""
    at = np.arange(panel.cut)
    waves = ridge.seasons_at(panel.clock, panel.numbers()[: panel.cut])
    free = ridge.season_freedom(panel.grain, np.array([panel.cut])) * SEASON
    step = BEND[panel.grain.name]
    knots = np.arange(step, max(panel.cut - step // 2, step), step)
    bends = np.maximum(at[:, None] - knots[None], 0) / step
    shared = np.concatenate([np.ones((panel.cut, 1)), (at / max(panel.cut, 1))[:, None], bends, waves], 1)
    prior = np.concatenate([[10.0, 3.0], np.full(len(knots), TREND), free[0]])
    names = ridge.columns(panel)
    if not names:
        return shared[None], prior[None]
    own = ridge.columns_of(panel, np.arange(len(panel)), names, np.isfinite(panel.target[:, : panel.cut]))
    whole = np.concatenate([np.broadcast_to(shared, (len(panel), *shared.shape)), own.moved], 2)
    return whole, np.concatenate([np.broadcast_to(prior, (len(panel), len(prior))), own.freedom * COLUMN], 1)


def taken_out(base: tuple[Array, Array], known: Array, logged: Array, x: Array) -> tuple[Array, Array]:
    """Return `logged` (series, periods) and `x` (..., series, periods) whitened against the base, over each series' noise.

    Both are multiplied by the symmetric root of the inverse covariance of base and noise together, so plain sums of squares of what
    comes back are generalised least squares.
    """
    design, prior = base
    y_out, x_out = np.zeros_like(logged), np.zeros_like(x)
    for row in range(len(logged)):
        there = known[row]
        z = design[row if len(design) > 1 else 0][there] * prior[row if len(prior) > 1 else 0]
        left, values, _ = np.linalg.svd(z, full_matrices=False)
        y, own = logged[row, there], x[..., row, there]
        noise = 0.15**2
        for _ in range(ROUNDS):
            # inverse of (noise I + Z Z') in the directions of Z: 1 / (noise + value^2); elsewhere 1 / noise
            shrunk = values**2 / (values**2 + noise)
            gap = y - left @ (shrunk * (left.T @ y))
            noise = max(float((gap**2).sum()) / max(len(y) - float(shrunk.sum()), 1.0), 1e-6)
        drop = 1 - np.sqrt(noise / (values**2 + noise))
        y_out[row, there] = (y - left @ (drop * (left.T @ y))) / np.sqrt(noise)
        x_out[..., row, there] = (own - (own @ left * drop) @ left.T) / np.sqrt(noise)
    return y_out, x_out
