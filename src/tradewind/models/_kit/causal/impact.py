"""Structural impact: what one series would have done, from its own level, its season, and series that were left alone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from tradewind.core.effect import Check, Effect
from tradewind.core.errors import BadValue, LearnFailed, TooBig
from tradewind.models._kit.causal import given, law

Array = np.ndarray[Any, Any]
MOST = 1500  # periods: beyond it the exact covariance is too large for a small machine
DRIFTS = tuple(np.r_[0.0, np.logspace(-4, 1.5, 23)])  # variance of the level's step, of the noise's
FACTORS = 5
PLACEBOS, CALM = 10, 2.0  # controls on which the error is tried, and how many count for its being as large as it says
FARTHEST = 3.0  # standard errors that a control may stray
FEWEST = 4  # controls without which it cannot be tried
DOUBT = 0.05
ASSUMED = (
    "the level goes on wandering as it did before, and nothing else happened to it when the treatment began",
    "the series used as controls were not touched by the treatment",
)


@dataclass(frozen=True, slots=True, eq=False)
class Impact:
    """The effect of something that began at one time on one series.

    `effect` is the mean effect per period, `lift` its share of what was expected, `total` the sum over the periods since.
    `expected` with `lo90`, `hi90` is the path without the treatment; `drift` is the variance of the level's step against the noise's.
    """

    effect: Effect
    lift: Effect | None
    total: Effect
    observed: Array
    expected: Array
    lo90: Array
    hi90: Array
    drift: float
    factors: int


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    """A path without the treatment: its mean and joint covariance after the start, on the scale it was fitted."""

    inside: Array
    ahead: Array
    covariance: Array
    freedom: float
    drift: float
    score: float
    noise: float


def effect(outcome: Any, start: int, *, controls: Any = None, season: int = 0, logs: bool | None = None) -> Impact:
    """Estimate what happened to a series from period number `start` on, counted from 0 in order of time.

    A local level with noise, Fourier terms of a season of `season` periods, and up to five principal components of the control
    series (chosen by BIC), as in structural time series (Harvey 1989; Brodersen et al. 2015). The drift is found by restricted likelihood
    and the path is the best linear unbiased prediction (universal kriging, Cressie 1993), so its bounds hold the error of
    the coefficients too. Control series predicted from the others in the same way tell how much further such predictions stray than they
    say, and widen the bounds. `logs` works on logarithms and is on where everything is positive. Raises BadValue for missing values, a
    constant series, too few periods; TooBig beyond 1,500 periods.
    """
    value = given.numbers(outcome, "outcome")
    if len(value) > MOST:
        raise TooBig(f"{len(value):,} periods are too many", hint=f"at most {MOST:,}: sum to weeks, or drop what is long past")
    if not 0 < start < len(value):
        raise BadValue(f"start {start} leaves no period on one side", hint=f"between 1 and {len(value) - 1}")
    others = np.empty((len(value), 0)) if controls is None else given.matrix(controls, "controls", rows=len(value))[0]
    if np.ptp(value[:start]) == 0:
        raise BadValue("the series is constant before the start: there is nothing to learn from")
    positive = bool((value > 0).all() and (others > 0).all())
    if logs and not positive:
        raise BadValue("logarithms need values above zero", hint="leave logs out")
    scale = np.log if positive and logs is not False else np.asarray
    aim, side = scale(value), _factors(scale(others), start)
    waves = _waves(len(value), season)
    best, count = _best(aim, waves, side, start)
    best = replace(best, covariance=best.covariance * _strain(scale(others), waves, start) ** 2)
    return _said(
        value, best, count, start, logs=scale is np.log, checks=(_in_time(aim, waves, side[:, :count], start), _fitted(aim, best, start))
    )


def _factors(others: Array, start: int) -> Array:
    """Return the principal components of the control series, each scaled by its spread before the start."""
    others = others[:, np.ptp(others[:start], axis=0) > 0] if others.shape[1] else others
    if not others.shape[1]:
        return others
    scaled = (others - others[:start].mean(0)) / others[:start].std(0)
    _, _, turn = np.linalg.svd(scaled[:start], full_matrices=False)
    made: Array = scaled @ turn[:FACTORS].T
    return made


def _waves(count: int, season: int) -> Array:
    if season < 2:
        return np.empty((count, 0))
    turns = 2 * np.pi * np.arange(count)[:, None] * np.arange(1, min(3, season // 2) + 1) / season
    made = np.concatenate([np.sin(turns), np.cos(turns)], 1)
    return made[:, np.ptp(np.round(made, 9), axis=0) > 0]


def _best(aim: Array, waves: Array, side: Array, start: int) -> tuple[_Fit, int]:
    """Return the fit with the number of factors that has the smallest BIC."""
    made = []
    for count in range(side.shape[1] + 1):
        design = np.c_[np.ones(len(aim)), waves, side[:, :count]]
        if start < design.shape[1] + 5:
            break
        made.append((_krige(aim, design, start), count))
    if not made:
        raise BadValue(
            f"{start} periods before the start are too few to learn from", hint=f"at least {6 + waves.shape[1]}; or leave the season out"
        )
    return min(made, key=lambda one: one[0].score + one[1] * np.log(start))


def _krige(aim: Array, design: Array, start: int) -> _Fit:
    """Fit drift and coefficients before the start, predict what comes after with its joint covariance."""
    step = np.minimum.outer(np.arange(len(aim)), np.arange(len(aim))).astype("f8")
    size, turn = _turned(start)
    turned, columns = turn.T @ aim[:start], turn.T @ design[:start]
    scores = [_likelihood(turned, columns, 1 + drift * np.maximum(size, 0)) for drift in DRIFTS]
    drift = DRIFTS[int(np.argmin([one[0] for one in scores]))]
    _, score, noise = scores[DRIFTS.index(drift)]
    weight = 1 / (1 + drift * np.maximum(size, 0))
    gram = np.linalg.inv(columns.T @ (columns * weight[:, None]))
    beta = gram @ (columns.T @ (weight * turned))
    across = drift * (turn.T @ step[:start])  # covariance of what is seen with everything
    smooth = across.T @ (weight * (turned - columns @ beta))
    later = across[:, start:]
    open_ = design[start:] - later.T @ (weight[:, None] * columns)
    whole = drift * step[start:, start:] + np.eye(len(aim) - start) - later.T @ (weight[:, None] * later) + open_ @ gram @ open_.T
    path = design @ beta + smooth
    return _Fit(path[:start], path[start:], noise * whole, float(start - design.shape[1]), drift, score, noise)


@lru_cache(maxsize=4)
def _turned(start: int) -> tuple[Array, Array]:
    """Return the eigenvalues and eigenvectors of the covariance of a level that wandered for `start` periods."""
    size, turn = np.linalg.eigh(np.minimum.outer(np.arange(start), np.arange(start)).astype("f8"))
    return size, turn


def _likelihood(turned: Array, columns: Array, spread: Array) -> tuple[float, float, float]:
    """Return minus twice the restricted and the full log likelihood, and the noise's variance, all other parameters profiled out."""
    root = 1 / np.sqrt(spread)
    left, right = turned * root, columns * root[:, None]
    beta, _, rank, _ = np.linalg.lstsq(right, left, rcond=None)
    if rank < columns.shape[1]:
        raise LearnFailed("the controls repeat each other before the start", hint="drop controls that are copies, or leave the season out")
    rest = float(((left - right @ beta) ** 2).sum())
    free = len(turned) - columns.shape[1]
    logs = float(np.log(spread).sum())
    restricted = free * np.log(max(rest, 1e-300) / free) + logs + float(np.linalg.slogdet(right.T @ right)[1])
    return restricted, len(turned) * np.log(max(rest, 1e-300) / len(turned)) + logs, rest / free


def _said(value: Array, best: _Fit, count: int, start: int, *, logs: bool, checks: tuple[Check, ...]) -> Impact:
    after = len(value) - start
    tail = law.tail(best.freedom, 90)
    spread = np.r_[np.full(start, np.sqrt(best.noise)), np.sqrt(np.diag(best.covariance))]
    path = np.r_[best.inside, best.ahead] + (best.noise / 2 if logs else 0.0)  # the mean of a lognormal lies above its median
    whole, low, high = (np.exp(one) if logs else one for one in (path, path - tail * spread, path + tail * spread))
    expected = whole[start:]
    share = expected / expected.sum() if logs else np.full(after, 1 / after)
    error = float(np.sqrt(share @ best.covariance @ share))
    method = f"structural impact, local level, {count} factors of the controls, {start} periods before"
    observed, middle = float(value[start:].mean()), float(expected.mean())
    said: dict[str, Any] = {"freedom": best.freedom, "method": method, "n": len(value), "assumptions": ASSUMED, "checks": checks}
    if not logs:
        made = law.student(observed - middle, error, **said)
        return Impact(made, law.share_of(made, observed), made.scaled(after), value, whole, low, high, best.drift, count)
    ratio = law.student(float(np.log(observed / middle)), error, **said)
    lifted = {level: (float(np.expm1(least)), float(np.expm1(most))) for level, (least, most) in ratio.intervals.items()}
    lift = Effect(observed / middle - 1, error * observed / middle, lifted, method, len(value), "share", ASSUMED, checks)
    gaps = {level: (observed - observed / (1 + least), observed - observed / (1 + most)) for level, (least, most) in lifted.items()}
    made = Effect(observed - middle, error * middle, gaps, method, len(value), "", ASSUMED, checks)
    return Impact(made, lift, made.scaled(after), value, whole, low, high, best.drift, count)


def _strain(others: Array, waves: Array, start: int) -> float:
    """Return how many times further control series stray from what the other controls say than its error allows; never below one.

    Nothing was done to them. The noise of a place is never quite that of a local level, and factors are chosen by how well they fit.
    `CALM` more are taken to stray as they should. None counts as further than `FARTHEST` errors: a control with an event of its own must
    not speak for all.
    """
    moving = np.flatnonzero(np.ptp(others[:start], axis=0) > 0)
    if len(moving) < FEWEST:
        return 1.0
    missed = []
    for number in moving[np.linspace(0, len(moving) - 1, min(len(moving), PLACEBOS)).astype(int)].tolist():
        try:
            fit, _ = _best(others[:, number], waves, _factors(np.delete(others, number, 1), start), start)
        except LearnFailed:
            continue
        gap = float((others[start:, number] - fit.ahead).mean())
        missed.append(min(abs(gap) / max(float(np.sqrt(fit.covariance.mean())), 1e-150), FARTHEST) ** 2)
    return float(max(np.sqrt((sum(missed) + CALM) / (len(missed) + CALM)), 1.0))


def _in_time(aim: Array, waves: Array, side: Array, start: int) -> Check:
    """Pretend that the treatment began three quarters through the time before it."""
    begin = start - max(1, min(len(aim) - start, start // 4))
    design = np.c_[np.ones(start), waves[:start], side[:start]]
    if begin < design.shape[1] + 5:
        return Check("placebo in time", None, "too few periods before the start: it cannot be checked")
    try:
        fit = _krige(aim[:start], design, begin)
    except LearnFailed:
        return Check("placebo in time", None, "the controls repeat each other over the shorter time: it cannot be checked")
    found = float((aim[begin:start] - fit.ahead).mean())
    p = law.chance(found, float(np.sqrt(fit.covariance.mean())), fit.freedom)
    return Check("placebo in time", p >= DOUBT, f"a start {start - begin} periods too early shows {found:.3g} (p = {p:.2f})", p)


def _fitted(aim: Array, best: _Fit, start: int) -> Check:
    """Test whether the one-period misses before the start still hang together."""
    rest = aim[:start] - best.inside
    rest = rest - rest.mean()
    total = float(rest @ rest)
    hang = float(rest[1:] @ rest[:-1]) / total if total > 0 else 0.0
    limit = 3 / np.sqrt(start)
    return Check("misses hang together", bool(hang <= limit), f"neighbouring misses before the start correlate by {hang:.2f}", hang)
