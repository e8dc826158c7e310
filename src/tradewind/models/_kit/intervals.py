"""Pooled split-conformal bands: what actuals did around forecasts of like size, horizon, state and steadiness."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.core.errors import LearnFailed

Array = np.ndarray[Any, Any]
LEVELS: Mapping[str, float] = {
    "p50": 0.5,
    "lo50": 0.25,
    "hi50": 0.75,
    "lo80": 0.1,
    "hi80": 0.9,
    "lo90": 0.05,
    "hi90": 0.95,
    "lo95": 0.025,
    "hi95": 0.975,
}
"""Column -> probability that the actual lies below it."""
TAUS = np.array(list(LEVELS.values()))
BINS = 8  # sizes of forecast told apart at most
LEAST = 60  # actuals behind one bin
CELLS = 120  # actuals behind a pool of its own: fewer fall back to the next coarser pool


@dataclass(frozen=True, slots=True)
class Bands:
    """For each pool of rows a curve per probability: forecast size -> quantile of the actual, never falling.

    `knots` is (pools, bins) sizes, `values` (pools, bins, probabilities). `pool` finds the pool of (horizon, state, steadiness)
    after fall-back. `edges` part horizons (periods ahead), `calm` parts the steady series from the others.
    """

    edges: Array
    calm: Array
    pool: Array
    knots: Array
    values: Array

    def __call__(self, mean: Array, ahead: Array, state: Array, spread: Array) -> Array:
        """Return the quantiles (rows, LEVELS) of the actual behind each forecast mean."""
        cell = self.pool[np.searchsorted(self.edges, ahead, "right"), state.astype("i8"), np.searchsorted(self.calm, spread, "right")]
        knots, values = self.knots[cell], self.values[cell]
        at = np.clip((mean[:, None] > knots).sum(1), 1, knots.shape[1] - 1)
        row = np.arange(len(mean))
        high, top, low, base = knots[row, at], values[row, at], knots[row, at - 1], values[row, at - 1]
        share = np.where(high > low, (mean - low) / np.maximum(high - low, 1e-12), 1.0)
        bands = base + (top - base) * share[:, None]
        over = (mean > high) & (high > 0)  # past the largest size seen, bands grow in proportion
        bands[over] = top[over] * (mean[over] / high[over])[:, None]
        return ordered(np.maximum(bands, 0.0))

    def arrays(self, prefix: str = "bands/") -> dict[str, Array]:
        """Return the arrays by name, ready for a tensor file."""
        return {prefix + name: getattr(self, name) for name in ("edges", "calm", "pool", "knots", "values")}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array], prefix: str = "bands/") -> Bands:
        """Read the arrays back."""
        return cls(*(arrays[prefix + name] for name in ("edges", "calm", "pool", "knots", "values")))


def ordered(bands: Array) -> Array:
    """Return the bands with no bound on the wrong side of another."""
    order = np.argsort(TAUS)
    bands[:, order] = np.maximum.accumulate(bands[:, order], axis=1)
    return bands


def around(median: Array, bands: Array) -> Array:
    """Return the bands with this median, lower bounds moved below and upper ones above it where they are not."""
    middle = median[:, None]
    out: Array = np.where(TAUS > 0.5, np.maximum(bands, middle), np.where(TAUS < 0.5, np.minimum(bands, middle), middle))
    return out


def learn(truth: Array, mean: Array, ahead: Array, state: Array, spread: Array, *, horizon: int) -> Bands:
    """Learn bands of held-out actuals: all arrays have one entry per row, `state` is 0 or 1; raises LearnFailed.

    The quantile of n actuals at probability t is the ceil((n + 1) t)-th smallest, so that coverage holds for the next one
    (Vovk et al. 2005). Pools: horizon third x state x steadiness half; without horizon; without steadiness; all.
    """
    fine = np.isfinite(truth) & np.isfinite(mean)
    truth, mean, ahead, state, spread = (np.asarray(value, "f8")[fine] for value in (truth, mean, ahead, state, spread))
    if len(truth) < 2:
        raise LearnFailed("too few held-out actuals to set intervals", hint="load more history")
    edges = np.unique(np.array([horizon / 4, horizon / 1.8]).round()) if horizon >= 6 else np.empty(0)
    calm = np.array([np.median(spread)])
    where = (np.searchsorted(edges, ahead, "right"), (state > 0).astype("i8"), np.searchsorted(calm, spread, "right"))
    curves: list[tuple[Array, Array]] = []
    found: dict[tuple[int, ...], int] = {}

    def pool(*wanted: int) -> int:
        """Return the number of the finest pool with enough rows for (horizon, state, steadiness)."""
        for loose in ((), (0,), (0, 2), (0, 1, 2)):
            key = tuple(-1 if at in loose else value for at, value in enumerate(wanted))
            if key in found:
                return found[key]
            rows = np.logical_and.reduce([np.ones(len(truth), bool), *(where[at] == value for at, value in enumerate(key) if value >= 0)])
            if rows.sum() >= CELLS or len(loose) == 3:
                found[key] = len(curves)
                curves.append(_curve(truth[rows], mean[rows]))
                return found[key]
        raise AssertionError("the last pool holds every row")

    shape = (len(edges) + 1, 2, 2)
    pools = np.array([pool(*cell) for cell in np.ndindex(*shape)], "i4").reshape(shape)
    knots, values = (np.stack(part).astype("f4") for part in zip(*curves, strict=True))
    return Bands(edges, calm, pools, knots, values)


def _curve(truth: Array, mean: Array) -> tuple[Array, Array]:
    """Return BINS + 1 sizes, the first of them 0, and the quantiles at each; missing bins repeat the last one."""
    nothing = mean <= 1e-3 * max(float(mean.mean()), 1e-12)
    knots, values = [0.0], [_quantiles(np.sort(truth[nothing])) if nothing.sum() >= LEAST else np.zeros(len(TAUS))]
    truth, mean = truth[~nothing], mean[~nothing]
    count = int(np.clip(len(mean) // LEAST, 1, BINS)) if len(mean) else 0
    for rows in np.array_split(np.argsort(mean, kind="stable"), count) if count else ():
        size = float(mean[rows].mean())
        knots.append(size)
        values.append(_quantiles(np.sort(truth[rows] / mean[rows])) * size)
    knots += [knots[-1]] * (BINS - count)
    values += [values[-1]] * (BINS - count)
    return np.array(knots), np.maximum.accumulate(np.array(values), axis=0)


def _quantiles(rising: Array) -> Array:
    """Return the quantiles of sorted values, upper ones rounded up and lower ones rounded down to the next value."""
    place = (len(rising) + 1) * TAUS
    rank = np.where(TAUS > 0.5, np.ceil(place), np.floor(place)).astype("i8") - 1
    found: Array = rising[np.clip(rank, 0, len(rising) - 1)]
    return found


def coverage(truth: Array, low: Array, high: Array) -> float:
    """Return the share of known actuals that lie inside their bounds."""
    known = np.isfinite(truth)
    return float(((truth >= low) & (truth <= high))[known].mean()) if known.any() else float("nan")
