"""What a series should have sold: log-linear in calendar, prices, promotions and events, around a level that moves.

expected = exp(level + x b + shared). The level is a kernel mean of actual over effects. The coefficients are those of the partially
linear model of Robinson (1988): figures and columns lose their own kernel mean before they are regressed, so a slow level cannot hide
a price step. A series' coefficients are drawn towards its group's, the group's towards everybody's (ridge on iterated weighted least
squares of a negative binomial). `shared` is what moved the other series of the group. Days that look like an incident count less.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
TIGHT: dict[str, tuple[float, float]] = {
    "week": (1, 100),
    "year": (10, 1000),
    "price": (1, 15),
    "cut": (1, 15),
    "rival": (1, 50),
    "sibling": (4, 100),
    "lever": (20, 300),
    "number": (20, 100),
    "after": (4, 100),
    "event": (10, 4000),
}
"""How hard a kind of coefficient is drawn: everybody's to zero, a series' to its group's."""
GROUP = 10.0  # a group is drawn to everybody that much harder than a series to its group
SLOW = 30.0  # half-life in days of the level that coefficients are learned around
LEVEL = 21.0  # half-life of the level that is expected
GAP = 3  # days on each side of a day that its own expectation leaves out
FLOOR = 0.1  # least weight of a day that looks like an incident: a lasting shift becomes the level in the end
MOST_SHARED = 0.4
FADE = 0.9  # of what a promotion brought, how much is still in cupboards a day later


@dataclass(frozen=True, slots=True)
class Fitted:
    """What was learned of the past: coefficients (S, p), level and expectation (S, T), spread (S,)."""

    beta: Array
    level: Array
    expected: Array
    spread: Array


def smooth(x: Array, weight: Array, half: float) -> Array:
    """Return the two-sided exponential kernel mean along time of x (S, T) or (S, T, p)."""
    keep = 0.5 ** (1 / half)
    rest = x.shape[2:]
    w = weight.reshape(*weight.shape, *(1,) * len(rest))
    up, down = np.zeros((len(x), *rest)), np.zeros((len(x), *(1,) * len(rest)))
    sums, weights = np.empty(x.shape), np.empty(w.shape)
    for day in range(x.shape[1]):
        up, down = up * keep + w[:, day] * x[:, day], down * keep + w[:, day]
        sums[:, day], weights[:, day] = up, down
    up, down = np.zeros_like(up), np.zeros_like(down)
    for day in range(x.shape[1] - 1, -1, -1):
        sums[:, day] += up
        weights[:, day] += down
        up, down = (up + w[:, day] * x[:, day]) * keep, (down + w[:, day]) * keep
    return np.asarray(sums / np.maximum(weights, 1e-6))


def level_of(y: Array, effect: Array, weight: Array, *, half: float, gap: int) -> Array:
    """Return the log level of every period: kernel mean of y over exp(effect), without `gap` periods on each side and its own."""
    base = np.exp(np.clip(effect, -12, 12)) * weight
    up, down = _around(y * weight, half, gap), _around(base, half, gap)
    whole = (y * weight).sum(1, keepdims=True) / np.maximum(base.sum(1, keepdims=True), 1e-9)
    pull = 0.04 * half * base.mean(1, keepdims=True)  # a little of the whole keeps the level of a silent stretch from zero
    return np.asarray(np.log(np.maximum((up + pull * whole) / np.maximum(down + pull, 1e-9), 1e-6)))


def _around(x: Array, half: float, gap: int) -> Array:
    """Return the two-sided exponential sum of what lies more than `gap` periods away (gap -1: all)."""
    keep = 0.5 ** (1 / half)
    ahead, back = np.zeros_like(x), np.zeros_like(x)
    run = np.zeros(len(x))
    for day in range(x.shape[1]):
        run = run * keep + x[:, day]
        ahead[:, day] = run
    run = np.zeros(len(x))
    for day in range(x.shape[1] - 1, -1, -1):
        run = run * keep + x[:, day]
        back[:, day] = run
    if gap < 0:
        return ahead + back - x
    skip = gap + 1
    out = np.zeros_like(x)
    out[:, skip:] += ahead[:, :-skip] * keep**skip
    out[:, :-skip] += back[:, skip:] * keep**skip
    return out


def shared_of(y: Array, mean: Array, known: Array, spread: Array, group: Array) -> Array:
    """Return what moved the others of the group together, as a log ratio: first of all series day by day, then of groups over a week."""
    everybody = _others(y, mean, known, spread, np.zeros_like(group), half=0.0)
    return everybody + _others(y, mean * np.exp(everybody), known, spread, group, half=2.5)


def _others(y: Array, mean: Array, known: Array, spread: Array, group: Array, *, half: float) -> Array:
    """Return the shrunken mean log ratio of the others, so that no series explains itself away; cut at two spreads each."""
    m = np.where(known, mean, 1.0)
    variance = 1 / np.maximum(m, 0.3) + spread[:, None]
    ratio = np.clip((y - m) / np.maximum(m, 1e-3), -2 * np.sqrt(variance), 2 * np.sqrt(variance))
    weight = known / variance
    out = np.zeros_like(m)
    for one in np.unique(group):
        rows = np.flatnonzero(group == one)
        if len(rows) < 4:
            continue
        own, weights = (weight * ratio)[rows], weight[rows]
        up, down = own.sum(0) - own, weights.sum(0) - weights
        loss = 1.0
        if half:
            up, down = _around(up, half, -1), _around(down, half, -1)
            keep = 0.5 ** (1 / half)
            loss = (1 + keep**2) / (1 - keep**2) / ((1 + keep) / (1 - keep))  # how much weaker a sum of weighted days is
        there = down > 1e-6
        mid = up / np.maximum(down, 1e-9)
        between = max(float((mid**2 - loss / np.maximum(down, 1e-9))[there].mean()) if there.any() else 0.0, 1e-7)
        out[rows] = mid * between / (between + loss / np.maximum(down, 1e-9))
    return np.asarray(np.clip(np.log1p(np.clip(out, -0.9, 2.0)), -MOST_SHARED, MOST_SHARED))


def spread_of(y: Array, mean: Array, weight: Array) -> Array:
    """Return per series the inverse size of a negative binomial (variance m + spread m^2), cut at three spreads, drawn to that of all."""
    known = weight > 0
    m = np.maximum(np.where(known, mean, 1.0), 1e-2)
    square = np.where(known, (y - m) ** 2, 0.0)
    count = known.sum(1)
    spread = np.full(len(y), 0.05)
    for _ in range(4):
        variance = m + spread[:, None] * m * m
        cut = 1.02 * np.minimum(square, 9 * variance)
        w = weight * (m * m / variance) ** 2
        own = (w * (cut - m) / (m * m)).sum(1) / np.maximum(w.sum(1), 1e-9)
        pooled = max(float(np.median(own)), 1e-5)
        spread = np.clip((own * count + pooled * 60) / (count + 60), 1e-5, 5.0)
    return spread


def pooled(x: Array, q: Array, weight: Array, kinds: list[str], group: Array) -> Array:
    """Return b (S, p) of q = x b: everybody's, then each group's drawn to it, then each series' drawn to its group's."""
    near = np.array([TIGHT[kind][0] for kind in kinds], "f8")
    tight = np.array([TIGHT[kind][1] for kind in kinds], "f8")
    weighted = x * weight[..., None].astype(x.dtype)
    left = np.matmul(weighted.transpose(0, 2, 1), x).astype("f8")
    right = np.matmul(weighted.transpose(0, 2, 1), q[..., None].astype(x.dtype))[..., 0].astype("f8")
    all_ = np.linalg.solve(left.sum(0) + np.diag(near), right.sum(0))
    beta = np.empty((len(x), len(kinds)))
    for one in np.unique(group):
        rows = np.flatnonzero(group == one)
        centre = np.linalg.solve(left[rows].sum(0) + np.diag(GROUP * tight), right[rows].sum(0) + GROUP * tight * all_)
        beta[rows] = np.linalg.solve(left[rows] + np.diag(tight), (right[rows] + tight * centre)[..., None])[..., 0]
    return beta


def afterglow(gain: Array, running: Array) -> Array:
    """Return what earlier promotions brought that still has to be used up, zero while one runs."""
    out = np.zeros_like(gain)
    stock = np.zeros(len(gain))
    for day in range(gain.shape[1]):
        out[:, day] = stock * ~(running[:, day] > 0.5)
        stock = (stock + gain[:, day] * (running[:, day] > 0.05)) * FADE
    return out / 10
