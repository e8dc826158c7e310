"""Where the trend of a series turned or jumped: the best cut of its history into straight pieces."""

from __future__ import annotations

from typing import Any

import numpy as np

from tradewind.models._kit.forecast.stats_paths import filled

Array = np.ndarray[Any, Any]
LEAST = 6  # blocks in a piece
PRICE = 3.0  # of a cut, in noise variances times the logarithm of the number of blocks: two numbers and a place
MOST = 260  # blocks looked at
JUMP = 2.5  # standard errors that a step must have to be told


def turns(level: Array, known: Array, size: int) -> list[tuple[int, int, float, float]]:
    """Return (series, period, log step, its standard error) of every clear step; `level` is the log level, seasons taken out.

    Blocks of `size` periods are averaged; the cheapest cut into straight lines is found exactly (Jackson et al. 2005), each cut costing
    as much as a Bayes information criterion would ask for.
    """
    while level.shape[1] // size > MOST:
        size *= 2
    count = level.shape[1] // size
    if count < 3 * LEAST or not len(level):
        return []
    shift = level.shape[1] - count * size
    there = known[:, shift:].reshape(len(level), count, size)
    number = there.sum(2)
    value = np.where(there, level[:, shift:].reshape(there.shape), 0).sum(2) / np.maximum(number, 1)
    value = filled(np.where(number > 0, value, np.nan))
    noise = np.maximum(np.median(np.abs(np.diff(value, 2)), axis=1) / 0.6745 / np.sqrt(6), 1e-4)
    found = []
    for series, cuts in enumerate(_cuts(value / noise[:, None], PRICE * np.log(count))):
        edges = [0, *cuts, count]
        for place, cut in enumerate(cuts):
            own = value[series]
            step, error = _step(own[edges[place] : cut], own[cut : edges[place + 2]], float(noise[series]))
            if abs(step) > JUMP * error:
                found.append((series, shift + cut * size, step, error))
    return found


def _cuts(value: Array, price: float) -> list[list[int]]:
    """Return the cuts of every series, all series worked on at once."""
    series, count = value.shape
    at = np.arange(count, dtype="f8")
    fixed = [np.concatenate([[0.0], np.cumsum(part)]) for part in (np.ones(count), at, at**2)]
    sums = [np.concatenate([np.zeros((series, 1)), np.cumsum(part, 1)], 1) for part in (value, value * at, value**2)]
    best = np.full((series, count + 1), np.inf)
    best[:, 0] = -price
    back = np.zeros((series, count + 1), "i8")
    for end in range(LEAST, count + 1):
        stop = end - LEAST + 1
        n, t, tt = (part[end] - part[:stop] for part in fixed)
        v, vt, vv = (part[:, end : end + 1] - part[:, :stop] for part in sums)
        spread = np.maximum(tt - t * t / n, 1e-9)
        cost = best[:, :stop] + np.maximum(vv - v * v / n - (vt - t * v / n) ** 2 / spread, 0) + price
        back[:, end] = cost.argmin(1)
        best[:, end] = cost.min(1)
    found = []
    for row in back.tolist():
        cuts, end = [], row[count]
        while end > 0:
            cuts.append(end)
            end = row[end]
        found.append(cuts[::-1])
    return found


def _step(before: Array, after: Array, noise: float) -> tuple[float, float]:
    """Return the step between the ends of two straight lines and its standard error."""
    ends, variance = [], 0.0
    for part, where in ((before, len(before) - 0.5), (after, -0.5)):
        at = np.arange(len(part))
        spread = float(((at - at.mean()) ** 2).sum())
        slope = float(((at - at.mean()) * part).sum()) / spread
        ends.append(float(part.mean()) + slope * (where - float(at.mean())))
        variance += noise**2 * (1 / len(part) + (where - float(at.mean())) ** 2 / spread)
    return ends[1] - ends[0], float(np.sqrt(variance))
