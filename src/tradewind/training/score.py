"""How good a forecast is: one function a metric, all on rows nobody learned from.

Definitions: WAPE = sum|y - p50| / sum|y|; MASE = mean|y - p50| over the in-sample mean |y_t - y_(t-season)| of the same
series (Hyndman and Koehler 2006); MAPE = mean of |y - point| / y where y > 0; bias = sum(mean - y) / sum|y|; coverage = share of y
inside a band; pinball = mean quantile loss over the stated quantiles, over mean |y|.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tradewind.core.table import Array

BANDS = {50: (0.25, 0.75), 80: (0.1, 0.9), 90: (0.05, 0.95), 95: (0.025, 0.975)}
QUANTILES = {0.5: "p50", **{tau: f"{side}{level}" for level, taus in BANDS.items() for side, tau in zip(("lo", "hi"), taus, strict=True)}}
"""Probability -> the column of a table of answers that holds that quantile."""


def wape(truth: Array, said: Array) -> float:
    """Return the weighted absolute percentage error as a fraction; NaN where nothing was sold."""
    total = float(np.abs(truth).sum())
    return float(np.abs(truth - said).sum()) / total if total > 0 else float("nan")


def mape(truth: Array, said: Array) -> float:
    """Return the mean absolute percentage error as a fraction, over rows where anything was sold; NaN where nothing was."""
    sold = truth > 0
    return float((np.abs(truth - said)[sold] / truth[sold]).mean()) if sold.any() else float("nan")


def bias(truth: Array, mean: Array) -> float:
    """Return the relative bias of the mean forecast; above zero is too high."""
    total = float(np.abs(truth).sum())
    return float((mean - truth).sum()) / total if total > 0 else float("nan")


def mase(truth: Array, said: Array, scale: Array) -> float:
    """Return the mean absolute scaled error over rows whose series has a scale above zero."""
    usable = np.isfinite(scale) & (scale > 0)
    return float((np.abs(truth - said)[usable] / scale[usable]).mean()) if usable.any() else float("nan")


def coverage(truth: Array, low: Array, high: Array) -> float:
    """Return the share of outcomes inside the band, bounds included."""
    return float(((truth >= low) & (truth <= high)).mean())


def pinball(truth: Array, quantiles: Mapping[float, Array]) -> float:
    """Return the mean quantile loss over the given quantiles, relative to the mean outcome."""
    scale = float(np.abs(truth).mean())
    losses = [2 * np.maximum(level * (truth - said), (level - 1) * (truth - said)).mean() for level, said in quantiles.items()]
    return float(np.mean(losses)) / scale if scale > 0 else float("nan")


def gain(theirs: Array, ours: Array, groups: Array) -> tuple[float, float]:
    """Return the share of a baseline's absolute error that is saved, and its standard error.

    `theirs` and `ours` are absolute errors per row. The error is that of a ratio estimator over groups (series x block), as
    rows of one series and block err together (Cochran 1977, section 6.4). One group tells nothing of it: it is then as large as the
    share, so that what one stretch of time says is never clear.
    """
    _, place = np.unique(groups, return_inverse=True)
    total = float(theirs.sum())
    if total <= 0:
        return 0.0, 0.0
    saved, base = np.bincount(place, weights=theirs - ours), np.bincount(place, weights=theirs)
    share = float(saved.sum()) / total
    count = len(saved)
    left = saved - share * base
    error = float(np.sqrt((left**2).sum() / (count - 1) * count)) / total if count > 1 else abs(share)
    return share, error


def paired(theirs: Array, ours: Array, groups: Array) -> tuple[float, float]:
    """Return what `gain` does for two that both may serve; few groups tell its error badly, so it is as much wider as Student's t is."""
    from scipy.special import stdtrit

    share, error = gain(theirs, ours, groups)
    return share, error * float(stdtrit(max(len(np.unique(groups)) - 1, 1), 0.975)) / 1.96
