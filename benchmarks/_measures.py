"""The measures of the field, written as the published figures have them: NaN is left out, a mean runs over all series and periods."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks._result import Row, within

COVERAGE_BY = 0.03


def scale(past: np.ndarray, season: int) -> np.ndarray:
    """Return each series' mean absolute seasonal difference in its past, 1 where it has none (fev, `_seasonal_error_per_item`)."""
    steps = np.abs(past[:, season:] - past[:, :-season])
    known = np.isfinite(steps)
    count = known.sum(1)
    return np.where(count > 0, np.where(known, steps, 0).sum(1) / np.maximum(count, 1), 1.0)


def wape(truth: np.ndarray, said: np.ndarray, *, least: float = 0.0) -> float:
    """Return the mean absolute error over the mean outcome, which counts as at least `least`."""
    return float(np.nanmean(np.abs(truth - said)) / max(least, float(np.nanmean(np.abs(truth)))))


def mase(truth: np.ndarray, said: np.ndarray, scales: np.ndarray) -> float:
    """Return the mean absolute scaled error; what cannot be scaled is left out."""
    return _mean_known(np.abs(truth - said), scales)


def losses(truth: np.ndarray, quantiles: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """Return twice the pinball loss, averaged over levels; `quantiles` is (series, periods, levels)."""
    outcome = truth[..., None]
    return np.mean(2 * np.abs((outcome - quantiles) * ((outcome <= quantiles) - np.asarray(levels))), axis=2)


def sql(truth: np.ndarray, quantiles: np.ndarray, levels: Sequence[float], scales: np.ndarray) -> float:
    """Return the scaled quantile loss."""
    return _mean_known(losses(truth, quantiles, levels), scales)


def wql(truth: np.ndarray, quantiles: np.ndarray, levels: Sequence[float], *, least: float = 0.0) -> float:
    """Return the quantile loss over the mean outcome."""
    return float(np.nanmean(losses(truth, quantiles, levels)) / max(least, float(np.nanmean(np.abs(truth)))))


def mape(truth: np.ndarray, said: np.ndarray) -> float:
    """Return the mean absolute percentage error, in per cent, over what was observed."""
    seen = np.isfinite(truth)
    return 100 * float((np.abs(truth - said)[seen] / truth[seen]).mean())


def coverage(truth: np.ndarray, low: np.ndarray, high: np.ndarray) -> float:
    """Return the share of what came that lies inside its band, bounds included."""
    seen = np.isfinite(truth)
    return float(((truth >= low) & (truth <= high))[seen].mean())


def covered(name: str, truth: np.ndarray, bounds: dict[int, tuple[np.ndarray, np.ndarray]]) -> list[Row]:
    """Return a row per band: within three points of what it promises."""
    return [
        within(f"{name}: the {level} % interval covers", coverage(truth, low, high), level / 100, by=COVERAGE_BY)
        for level, (low, high) in bounds.items()
    ]


def _mean_known(errors: np.ndarray, scales: np.ndarray) -> float:
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = errors / scales[:, None]
    return float(scaled[np.isfinite(scaled)].mean())
