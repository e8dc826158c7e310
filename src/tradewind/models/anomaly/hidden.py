"""Was that an incident? A hidden chain over the days: all well, or one of several kinds of incident, each with a size.

Every day of a series is in one state. "Well" means that the figure is what was expected, up to its usual spread; every other state
multiplies (counts) or shifts (real figures) the expectation. States come in two lengths: a point, gone by the next day, and a run,
which lasts. The posterior of "not well" weighs a single wild day and a week of small misses by the same measure, so one score serves
point, level shift, variance and the promotion that did not fire. Rabiner 1989, "A tutorial on hidden Markov models", eq. 19-27.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
FACTORS = (0.02, 0.3, 0.55, 0.77, 1.3, 1.6, 2.2, 4.0)  # of counts: from "nothing sold" to "four times as much"
SHIFTS = (-12.0, -6.0, -3.0, -1.5, 1.5, 3.0, 6.0, 12.0)  # of real figures, in usual spreads
POINT, RUN, LONG = 0.08, 0.86, 0.95  # chance to stay one period more
LOUD = 2.5  # how much wider a figure spreads while its variance is up
SURE = 30.0  # most that one day may say, as a log likelihood ratio
FREEDOM = 6.0  # degrees of freedom of the Student t of real figures
SPIKE, DROP, SHIFT, VARIANCE, UNFIRED = "spike", "drop", "shift", "variance", "promotion"


@dataclass(frozen=True, slots=True)
class Chain:
    """The states but "well": chance to begin and to stay, what kind each is, and whether sizes are factors or shifts."""

    begin: Array  # (K,)
    stay: Array  # (K,)
    kinds: tuple[str, ...]
    sizes: Array  # (K,); NaN where a state has no size of its own
    counts: bool

    def __len__(self) -> int:
        return len(self.kinds)


@lru_cache(maxsize=16)
def chain(rate: float, *, counts: bool) -> Chain:
    """Return the chain whose incidents begin on a share `rate` of the days, all states alike."""
    sizes = FACTORS if counts else SHIFTS
    middle = 1.0 if counts else 0.0
    kinds = [SPIKE if size > middle else DROP for size in sizes] + [SHIFT] * len(sizes) + [VARIANCE, UNFIRED]
    stay = [POINT] * len(sizes) + [RUN] * len(sizes) + [LONG, RUN]
    prior = np.array([1.0] * (2 * len(sizes)) + [0.3, 4.0 * counts])
    return Chain(rate * prior / prior.sum(), np.array(stay), tuple(kinds), np.array([*sizes, *sizes, np.nan, np.nan]), counts)


def evidence(said: Chain, value: Array, expected: Array, spread: Array, lift: Array | None = None) -> Array:
    """Return the log likelihood ratio of every state against "well": shape of `value` plus (K,); zero where nothing is known.

    Counts: `spread` is the inverse size of a negative binomial, variance m + spread m^2. Real figures: `spread` is the scale of a
    Student t, and the outermost sizes stand for all beyond them. `lift` is the log lift that the running promotion should have, 0
    where none runs.
    """
    known = np.isfinite(value) & np.isfinite(expected)
    y, mean = np.where(known, value, 0.0), np.where(known, expected, 1.0)
    half = len(FACTORS if said.counts else SHIFTS)
    fired = 2 * half + 1
    out = np.zeros((*value.shape, len(said)), "f4")
    if said.counts:
        y, mean = np.maximum(y, 0.0), np.maximum(mean, 1e-3)
        size = 1.0 / np.maximum(spread, 1e-6)
        for at in _blocks(half, value.ndim):
            out[..., at] = _counted(y[..., None], mean[..., None], size[..., None], said.sizes[at])
        if lift is not None:
            gone = np.exp(-np.maximum(lift, 0.0))
            out[..., fired] = np.where(lift > 0.08, _counted(y, mean, size, gone), -SURE)
        else:
            out[..., fired] = -SURE
    else:
        z = (y - mean) / spread
        for at in _blocks(half, value.ndim):
            out[..., at] = _shifted(z[..., None], said.sizes[at])
        out[..., 0], out[..., half - 1] = _shifted(z, np.minimum(z, said.sizes[0])), _shifted(z, np.maximum(z, said.sizes[half - 1]))
        out[..., fired] = -SURE
    out[..., half : 2 * half] = out[..., :half]
    if said.counts:
        out[..., 2 * half] = _louder(y, mean, spread)
    else:
        out[..., 2 * half] = -np.log(LOUD) + 0.5 * (FREEDOM + 1) * (np.log1p(z * z / FREEDOM) - np.log1p(z * z / LOUD**2 / FREEDOM))
    np.clip(out, -SURE, SURE, out=out)
    out[~known] = 0.0
    return out


def _blocks(count: int, dimensions: int) -> list[slice]:
    """Return the states that are weighed at once: all of them for one day, one after the other for a whole past, which is large."""
    return [slice(0, count)] if dimensions == 1 else [slice(at, at + 1) for at in range(count)]


def _counted(y: Array, mean: Array, size: Array, factor: Array | float) -> Array:
    """Return log NB(y | factor mean) - log NB(y | mean): the gamma functions cancel."""
    return np.asarray(y * np.log(factor) - (y + size) * np.log1p((factor - 1) * mean / (size + mean)))


def _louder(y: Array, mean: Array, spread: Array) -> Array:
    """Return log NB(y | mean, a variance of LOUD^2 times as much) - log NB(y | mean): a long right tail is no wider spread."""
    size = 1.0 / np.maximum(spread, 1e-6)
    wide = mean / (LOUD**2 * (1 + mean / size) - 1)
    return np.asarray(_negative_binomial(y, mean, wide) - _negative_binomial(y, mean, size))


def _negative_binomial(y: Array, mean: Array, size: Array) -> Array:
    """Return the log probability of counts, but for what does not depend on the size."""
    return np.asarray(_log_gamma(y + size) - _log_gamma(size) + size * np.log(size) - (y + size) * np.log(size + mean))


def _log_gamma(x: Array) -> Array:
    """Return log gamma(x) of x > 0 to 3e-7, by Stirling's series at x + 5; scipy's would take a worker longer to load than to answer."""
    rise = x * (x + 1) * (x + 2) * (x + 3) * (x + 4)
    far = x + 5
    return np.asarray((far - 0.5) * np.log(far) - far + 0.5 * np.log(2 * np.pi) + 1 / (12 * far) - 1 / (360 * far**3) - np.log(rise))


def _shifted(z: Array, shift: Array) -> Array:
    """Return log t(z - shift) - log t(z)."""
    return np.asarray(0.5 * (FREEDOM + 1) * (np.log1p(z * z / FREEDOM) - np.log1p((z - shift) ** 2 / FREEDOM)))


def start(series: int, said: Chain) -> Array:
    """Return the chances of (well, each state) before the first day: all well."""
    return np.tile(np.r_[1.0, np.zeros(len(said))], (series, 1))


def step(said: Chain, before: Array, ratio: Array) -> Array:
    """Return the chances after one more day: `before` (S, K+1), `ratio` (S, K) its evidence."""
    now = _moved(said, before)
    now[:, 1:] *= np.exp(ratio)
    now /= now.sum(1, keepdims=True)
    return now


def _moved(said: Chain, before: Array) -> Array:
    now = np.empty_like(before)
    well, ill = before[:, :1], before[:, 1:]
    now[:, :1] = well * (1 - said.begin.sum()) + (ill * (1 - said.stay)).sum(1, keepdims=True)
    now[:, 1:] = ill * said.stay + well * said.begin
    return now


def forward(said: Chain, ratio: Array, first: Array | None = None) -> Array:
    """Return the chances after every day, knowing the days so far: (S, T, K+1) of `ratio` (S, T, K)."""
    series, days, _ = ratio.shape
    now = start(series, said) if first is None else first
    out = np.empty((series, days, len(said) + 1), "f8")
    for day in range(days):
        now = step(said, now, ratio[:, day])
        out[:, day] = now
    return out


def both(said: Chain, ratio: Array) -> Array:
    """Return the chances of every day, knowing all days before and after it."""
    ahead = forward(said, ratio)
    later = np.ones((len(ratio), len(said) + 1))
    out = np.empty_like(ahead)
    out[:, -1] = ahead[:, -1]
    for day in range(ratio.shape[1] - 2, -1, -1):
        seen = later.copy()
        seen[:, 1:] *= np.exp(ratio[:, day + 1])
        later = np.empty_like(seen)
        later[:, 0] = seen[:, 0] * (1 - said.begin.sum()) + seen[:, 1:] @ said.begin
        later[:, 1:] = seen[:, 1:] * said.stay + seen[:, :1] * (1 - said.stay)
        later /= later.max(1, keepdims=True)
        out[:, day] = ahead[:, day] * later
    out /= out.sum(-1, keepdims=True)
    return out


def odds(chances: Array) -> Array:
    """Return the log odds of an incident against all well."""
    ill = np.maximum(chances[..., 1:].sum(-1), 1e-300)
    return np.asarray(np.log(ill) - np.log(np.maximum(chances[..., 0], 1e-300)))


def kind(said: Chain, chances: Array) -> Array:
    """Return the number in `families` of the likeliest kind of incident."""
    return np.asarray((chances[..., 1:] @ _of_kind(said.kinds)).argmax(-1))


@lru_cache(maxsize=4)
def _of_kind(kinds: tuple[str, ...]) -> Array:
    """Return which states are of which kind, (K, kinds)."""
    return np.array([[float(one == name) for name in families()] for one in kinds])


def families() -> tuple[str, ...]:
    """Return the kinds of incident."""
    return (SPIKE, DROP, SHIFT, VARIANCE, UNFIRED)


def told(said: Chain) -> Mapping[str, Any]:
    """Return the chain as plain data."""
    return {"rate": float(said.begin.sum()), "counts": said.counts}
