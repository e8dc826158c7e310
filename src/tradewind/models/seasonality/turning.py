"""Where the trend of a series turned or jumped: the best cut of its history into straight pieces."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
LEAST = 6  # blocks in a piece
PRICE = 3.0  # of a cut, in noise variances times the logarithm of the number of blocks: two numbers and a place
MOST = 260  # blocks looked at
JUMP = 2.5  # standard errors that a step must have to be told


def turns(level: Array, known: Array, size: int) -> list[tuple[int, float, float]]:
    """Return (period, log step, its standard error) of every clear step; `level` is the log level with what is left, seasons taken out.

    Blocks of `size` periods are averaged; the cheapest cut into straight lines is found exactly (Jackson et al. 2005), each cut costing
    as much as a Bayes information criterion would ask for.
    """
    count = len(level) // size
    while count > MOST:
        size *= 2
        count = len(level) // size
    if count < 3 * LEAST:
        return []
    shift = len(level) - count * size
    there = known[shift:].reshape(count, size)
    number = there.sum(1)
    value = np.where(there, level[shift:].reshape(count, size), 0).sum(1) / np.maximum(number, 1)
    fine = number > 0
    value = np.interp(np.arange(count), np.flatnonzero(fine), value[fine]) if fine.any() else value
    noise = np.median(np.abs(np.diff(value, 2))) / 0.6745 / np.sqrt(6)
    noise = max(float(noise), 1e-4)
    cuts = _cuts(value / noise, PRICE * np.log(count))
    found = []
    for place, cut in enumerate(cuts):
        low = cuts[place - 1] if place else 0
        high = cuts[place + 1] if place + 1 < len(cuts) else count
        step, error = _step(value[low:cut], value[cut:high], noise)
        if abs(step) > JUMP * error:
            found.append((shift + cut * size, step, error))
    return found


def _cuts(value: Array, price: float) -> list[int]:
    count = len(value)
    at = np.arange(count)
    sums = [np.concatenate([[0.0], np.cumsum(part)]) for part in (np.ones(count), at, at**2, value, value * at, value**2)]
    best = np.full(count + 1, np.inf)
    best[0] = -price
    back = np.zeros(count + 1, "i8")
    for end in range(LEAST, count + 1):
        starts = np.arange(0, end - LEAST + 1)
        n, t, tt, v, vt, vv = (part[end] - part[starts] for part in sums)
        spread = np.maximum(tt - t * t / n, 1e-9)
        slope = (vt - t * v / n) / spread
        cost = best[starts] + np.maximum(vv - v * v / n - slope**2 * spread, 0) + price
        back[end] = starts[int(cost.argmin())]
        best[end] = cost.min()
    cuts, end = [], count
    while back[end] > 0:
        end = int(back[end])
        cuts.append(end)
    return cuts[::-1]


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
