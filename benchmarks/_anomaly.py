"""What the anomaly benchmarks share: average precision, other detectors, and NAB's way of scoring."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmarks._run import DATA

Array = np.ndarray[Any, Any]
MERLION = DATA / "anomalies" / "merlion_synthetic" / "synthetic_anomaly"
NAB = DATA / "anomalies" / "nab"
PROBATION = 0.15  # share of a NAB file that is not judged, at most of 5,000 records


def average_precision(wrong: Array, score: Array) -> float:
    """Return the mean precision at the wrong figures' scores; figures of one score are found together."""
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(wrong[order])
    last = np.searchsorted(-score[order], -score[wrong], "right")
    return float((hits[last - 1] / last).mean())


def best_f1(wrong: Array, score: Array) -> float:
    """Return the highest F1 over all thresholds."""
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(wrong[order])
    count = np.arange(1, len(score) + 1)
    ends = np.r_[np.diff(score[order]) != 0, True]
    return float((2 * hits / (count + wrong.sum()))[ends].max())


def false_share(wrong: Array, score: Array, budget: float) -> float:
    """Return the share of false ones among the highest scores that a budget allows."""
    count = max(int(budget * len(score)), 1)
    chosen = np.argsort(-score, kind="stable")[:count]
    return float(1 - wrong[chosen].mean())


def filled(value: Array) -> Array:
    """Return a series with its gaps interpolated, for detectors that cannot do with gaps."""
    known = np.isfinite(value)
    return np.interp(np.arange(len(value)), np.flatnonzero(known), value[known])


def distances(rest: Array) -> Array:
    """Return the distance from the median in robust spreads."""
    middle = np.median(rest)
    return np.abs(rest - middle) / (1.4826 * np.median(np.abs(rest - middle)) + 1e-9)


def robust_stl(value: Array, period: int) -> Array:
    """Return the distance of what robust STL leaves over."""
    return distances(np.asarray(_stl(filled(value), period).resid))


def _stl(value: Array, period: int) -> Any:
    """Return robust STL, its loess evaluated at every tenth of a window and interpolated between, as in R's `stl`."""
    from statsmodels.tsa.seasonal import STL

    trend, low = max(int(0.15 * period), 1), max(period // 10, 1)
    return STL(value, period=period, robust=True, trend_jump=trend, low_pass_jump=low).fit()


def isolation_forest(columns: Array) -> Array:
    """Return how easily an isolation forest sets each row apart."""
    from sklearn.ensemble import IsolationForest

    return np.asarray(-IsolationForest(n_estimators=100, random_state=0, n_jobs=1).fit(columns).score_samples(columns))


def seasonal_esd(value: Array, period: int) -> Array:
    """Return the distances of Twitter's S-H-ESD: median and seasonal part of STL removed, then robust spreads."""
    whole = filled(value)
    return distances(whole - np.asarray(_stl(whole, period).seasonal) - np.median(whole))


@dataclass(frozen=True, slots=True)
class Labelled:
    """A NAB file: moments, figures, and the windows of its anomalies as first and last record."""

    name: str
    moments: Array
    value: Array
    windows: tuple[tuple[int, int], ...]

    @property
    def probation(self) -> int:
        """Return how many records are not judged."""
        return min(int(PROBATION * len(self.value)), int(PROBATION * 5000))


def nab_files() -> list[Labelled]:
    """Read every NAB file that is here."""
    import polars as pl

    said = json.loads((NAB / "combined_windows.json").read_text("utf-8"))
    found = []
    for path in sorted((NAB / "data").glob("*/*.csv")):
        name = f"{path.parent.name}/{path.name}"
        frame = pl.read_csv(path)
        moments = frame["timestamp"].str.to_datetime("%Y-%m-%d %H:%M:%S").to_numpy().astype("M8[us]")
        windows = []
        for first, last in said[name]:
            inside = np.flatnonzero((moments >= np.datetime64(first[:19])) & (moments <= np.datetime64(last[:19])))
            windows.append((int(inside[0]), int(inside[-1])))
        found.append(Labelled(name, moments, frame["value"].to_numpy().astype("f8"), tuple(windows)))
    return found


def _sigmoid(place: Array) -> Array:
    return np.asarray(np.where(place > 3.0, -1.0, 2 / (1 + np.exp(5 * np.minimum(place, 3.0))) - 1.0))


def nab_score(files: list[Labelled], alarms: Callable[[int], Array], *, false: float = 0.11) -> float:
    """Return NAB's normalised score of alarms under the standard profile (Lavin and Ahmad 2015, section 3; NAB's sweeper.py).

    In a window only the first alarm counts, by how early it is: sigmoid of its place, -1 at the first record to 0 at the last, over that
    of the first. A missed window costs 1. An alarm outside costs `false` times the sigmoid of its distance from the last window's end in
    window lengths, -1 at most or where there was no window. 100 is every window's first record and nothing else, 0 is saying nothing.
    """
    total = best = none = 0.0
    for at, file in enumerate(files):
        on = np.flatnonzero(alarms(at))
        on = on[on >= file.probation]
        outside = np.ones(len(on), bool)
        for first, last in file.windows:
            inside = on[(on >= first) & (on <= last)]
            outside &= ~((on >= first) & (on <= last))
            best, none = best + 1.0, none - 1.0
            length = last - first + 1
            place = -(last - inside[:1] + 1) / length
            total += float(_sigmoid(place)[0] / _sigmoid(np.array(-1.0))) if len(inside) else -1.0
        ends = np.array([last for _, last in file.windows], "i8")
        lengths = np.array([last - first + 1 for first, last in file.windows], "f8")
        before = np.searchsorted(ends, on[outside], "left") - 1
        for record, window in zip(on[outside].tolist(), before.tolist(), strict=True):
            far = (record - ends[window]) / max(lengths[window] - 1, 1) if window >= 0 else np.inf
            total += false * float(_sigmoid(np.array(far)))
    return 100 * (total - none) / (best - none)


def over(score: Array, limit: float) -> Array:
    """Return an alarm wherever the score reaches the limit."""
    return np.asarray(score >= limit)


def best_nab(files: list[Labelled], scores: list[Array], alarms: Callable[[Array, float], Array] = over) -> tuple[float, float]:
    """Return the best score over thresholds and the threshold that has it; `alarms` makes alarms of scores and a threshold."""
    every = np.concatenate([score[file.probation :] for score, file in zip(scores, files, strict=True)])
    tried = np.unique(np.r_[np.quantile(every, np.r_[np.linspace(0.5, 0.9, 9), 1 - np.logspace(-1, -4.5, 70)]), every.max() + 1])
    found = [(nab_score(files, lambda at, limit=limit: alarms(scores[at], limit)), float(limit)) for limit in tried]
    return max(found)


def random_scores(files: list[Labelled], seed: int) -> list[Array]:
    """Return NAB's random detector."""
    rng = np.random.default_rng(seed)
    return [rng.random(len(file.value)) for file in files]


def windowed_gaussian(files: list[Labelled], window: int = 6400, step: int = 100) -> list[Array]:
    """Return NAB's windowed Gaussian detector: one minus the tail of a normal distribution of all records so far, later of a window.

    The window grows up to `window` records, then moves by `step` at a time.
    """
    from scipy.stats import norm

    found = []
    for file in files:
        sums, squares = np.cumsum(file.value), np.cumsum(file.value**2)
        at = np.arange(1, len(file.value))
        last = np.where(at <= window, at, window + (at - window) // step * step)  # records the distribution is fitted to end here
        first = np.maximum(last - window, 0)
        count = last - first
        low, low_square = np.r_[0.0, sums][first], np.r_[0.0, squares][first]
        mean = (sums[last - 1] - low) / count
        spread = np.sqrt(np.maximum((squares[last - 1] - low_square) / count - mean**2, 1e-12))
        found.append(np.r_[0.0, 1 - 2 * norm.sf(np.abs(file.value[1:] - mean) / spread)])
    return found
