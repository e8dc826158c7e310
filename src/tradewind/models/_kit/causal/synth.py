"""Ridge-augmented synthetic control: what treated places would have done, from a mixture of places that were left alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from tradewind.core.effect import Check, Effect
from tradewind.core.errors import BadValue
from tradewind.models._kit.causal import given, law

Array = np.ndarray[Any, Any]
PENALTIES = (0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)  # of the mean squared length of a donor
SUM_TO_ONE = 100.0  # weight of the equation that the simplex weights add up to one
FEWEST_BEFORE, FEWEST_DONORS = 8, 3
DOUBT = 0.05
GROUPS = 40  # placebo groups drawn where several units were treated
ASSUMED = (
    "the donors were not touched by the treatment",
    "what moved treated and donors together before goes on doing so",
    "nothing else happened to the treated alone when the treatment began",
)


@dataclass(frozen=True, slots=True, eq=False)
class Synthetic:
    """A synthetic control and what it says.

    `effect` is the mean effect per treated unit and period, `lift` the same as a share of what was expected (None where that may be
    zero), `total` the sum over all treated units and periods. `observed`, `expected` and the bounds `lo90`, `hi90` are means of the
    treated units by period, `start` is the place of the first treated period, `weights` are the donors' shares.
    """

    effect: Effect
    lift: Effect | None
    total: Effect
    times: Array
    observed: Array
    expected: Array
    lo90: Array
    hi90: Array
    start: int
    weights: dict[str, float]


def effect(
    unit: Any, time: Any, outcome: Any, treated: Sequence[Any], start: Any, *, donors: Sequence[Any] | None = None, seed: int = 0
) -> Synthetic:
    """Estimate what a treatment of one or several units, beginning together, has done.

    Rows are long: one per unit and time. Every series is taken as its share of its own mean before the start (or its distance from
    it, where means are not positive), the donors are mixed by weights that are not negative and add up to one (Abadie et al. 2010), and a
    ridge regression takes up what the mixture misses (Ben-Michael et al. 2021), its penalty chosen on later stretches of the
    time before. The error is learned from placebos: every donor is treated in turn, and its miss is measured by how well
    it was predicted before. Raises BadValue for no donor, no time before, duplicate rows, gaps, a constant treated series.
    """
    whole = given.panel(unit, time, outcome)
    own = np.array(sorted({whole.unit(name) for name in treated}), "i8")
    at = whole.period(start)
    others = np.array([number for number in range(len(whole.units)) if number not in set(own.tolist())], "i8")
    if donors is not None:
        others = np.array([number for number in {whole.unit(name) for name in donors} if number not in set(own.tolist())], "i8")
        others.sort()
    _enough(len(own), len(others), at)
    aim = whole.outcome[:, own].mean(1)
    return _built(whole, aim, others, at, count=len(own), seed=seed)


def _enough(own: int, donors: int, before: int) -> None:
    if own == 0:
        raise BadValue("no unit is treated", hint="name the treated units")
    if donors < FEWEST_DONORS:
        raise BadValue(f"{donors} donors are too few: there is nothing to mix", hint=f"at least {FEWEST_DONORS} untreated units")
    if before < FEWEST_BEFORE:
        raise BadValue(f"{before} periods before the start are too few to learn from", hint=f"at least {FEWEST_BEFORE}")


def _built(whole: given.Panel, aim: Array, others: Array, at: int, *, count: int, seed: int) -> Synthetic:
    if np.ptp(aim[:at]) == 0:
        raise BadValue("the treated series is constant before the start: there is nothing to learn from")
    pool, kept = _moving(whole.outcome[:, others], others, at)
    expected, weights, spread = predicted(aim, pool, at)
    missed = placebos(pool, at, count=count, seed=seed)
    ratios = missed.mean(1)
    freedom = float(max(pool.shape[1] // count - 1, 2))
    gap = float((aim[at:] - expected[at:]).mean())
    method = f"ridge-augmented synthetic control, {pool.shape[1]} donors, {at} periods before"
    error = spread * _size(ratios)
    said = (
        _in_space(gap / spread if spread else 0.0, ratios),
        _in_time(aim, pool, at, count=count, seed=seed),
        _without_heaviest(aim, pool, at, gap, error=error),
        _fit(aim, pool, at),
    )
    made = law.student(gap, error, freedom=freedom, method=method, n=len(aim), assumptions=ASSUMED, checks=said)
    of_period = np.r_[np.full(at, spread), spread * np.sqrt((missed**2).mean(0))]
    bound = law.tail(freedom, 90) * of_period
    named = {str(whole.units[number]): float(share) for number, share in zip(kept, weights, strict=True) if abs(share) > 1e-4}
    lift, total = law.share_of(made, float(aim[at:].mean())), made.scaled((len(aim) - at) * count)
    return Synthetic(made, lift, total, whole.times, aim, expected, expected - bound, expected + bound, at, named)


def _size(values: Array) -> float:
    return float(np.sqrt((values**2).mean()))


def _moving(pool: Array, others: Array, at: int) -> tuple[Array, Array]:
    """Drop donors that never moved before the start."""
    keep = np.ptp(pool[:at], axis=0) > 0
    _enough(1, int(keep.sum()), at)
    return pool[:, keep], others[keep]


def predicted(aim: Array, pool: Array, at: int) -> tuple[Array, Array, float]:
    """Return the expected series, the donors' weights, and how far off held-out stretches before the start were (RMS)."""
    left, right, scale = _alike(aim, pool, at)
    share = _simplex(left[:at], right[:at])
    rest = left - right @ share
    penalty, miss = _chosen(left[:at], right[:at])
    weights = share + _ridge(rest[:at], right[:at], (penalty,))[:, 0]
    expected: Array = (right @ weights) * scale + aim[:at].mean()
    return expected, weights, miss * scale


def placebos(pool: Array, at: int, *, count: int, seed: int) -> Array:
    """Treat donors in turn; return their misses after the start in units of their held-out miss before: (placebos, periods after).

    Where `count` units were treated together, groups of as many donors are drawn: the mean of several moves less by itself.
    """
    made = []
    for group in _groups(pool.shape[1], count, seed):
        aim = pool[:, group].mean(1)
        expected, _, spread = predicted(aim, np.delete(pool, group, 1), at)
        if spread > 0:
            made.append((aim[at:] - expected[at:]) / spread)
    return np.array(made) if made else np.zeros((1, len(pool) - at))


def _groups(donors: int, count: int, seed: int) -> list[Array]:
    size = min(count, donors - FEWEST_DONORS) if donors > FEWEST_DONORS else 1
    if size == 1:
        return [np.array([number]) for number in range(donors)]
    random = np.random.default_rng(seed)
    return [np.sort(random.choice(donors, size, replace=False)) for _ in range(max(donors, GROUPS))]


def _alike(aim: Array, pool: Array, at: int) -> tuple[Array, Array, float]:
    """Return all series as deviations from their mean before the start, relative to it where every mean is positive."""
    middle, middles = float(aim[:at].mean()), pool[:at].mean(0)
    if middle > 0 and (middles > 0).all() and aim.min() >= 0 and pool.min() >= 0:
        return aim / middle - 1, pool / middles - 1, middle
    return aim - middle, pool - middles, 1.0


def _simplex(left: Array, right: Array) -> Array:
    from scipy.optimize import nnls

    force = SUM_TO_ONE * max(float(np.abs(right).max()), 1e-12)
    made, _ = nnls(np.vstack([right, np.full((1, right.shape[1]), force)]), np.r_[left, force])
    return np.asarray(made)


def _ridge(rest: Array, right: Array, penalties: Sequence[float]) -> Array:
    """Return the ridge coefficients for each penalty: (donors, penalties)."""
    size, turn = np.linalg.eigh(right @ right.T)
    size = np.maximum(size, 0.0)
    strength = np.array(penalties) * float(size.sum()) / right.shape[1]
    made: Array = right.T @ (turn @ ((turn.T @ rest)[:, None] / (size[:, None] + strength)))
    return made


def _chosen(left: Array, right: Array) -> tuple[float, float]:
    """Return the penalty that predicts later stretches best from what came before them, and the RMS of its misses."""
    at = len(left)
    cuts = sorted({round(at * part) for part in (0.5, 0.625, 0.75, 0.875)} | {at})
    missed = np.zeros(len(PENALTIES))
    for begin, end in pairwise(cuts):
        middle, middles = left[:begin].mean(), right[:begin].mean(0)
        one, others = left - middle, right - middles
        share = _simplex(one[:begin], others[:begin])
        rest = one - others @ share
        extra = _ridge(rest[:begin], others[:begin], PENALTIES)
        missed += ((rest[begin:end, None] - others[begin:end] @ extra) ** 2).sum(0)
    best = int(np.argmin(missed))
    return PENALTIES[best], float(np.sqrt(missed[best] / (at - cuts[0])))


def _in_space(own: float, ratios: Array) -> Check:
    many = int((np.abs(ratios) >= abs(own)).sum())
    p = (1 + many) / (1 + len(ratios))
    return Check("placebo in space", None, f"{many} of {len(ratios)} placebos among the donors show as much (p = {p:.2f})", p)


def _in_time(aim: Array, pool: Array, at: int, *, count: int, seed: int) -> Check:
    begin = max(at - (len(aim) - at), (at + 1) // 2)
    if begin < FEWEST_BEFORE:
        return Check("placebo in time", None, "too few periods before the start: it cannot be checked")
    expected, _, spread = predicted(aim[:at], pool[:at], begin)
    missed = placebos(pool[:at], begin, count=count, seed=seed).mean(1)
    found = float((aim[begin:at] - expected[begin:]).mean())
    p = law.chance(found, spread * _size(missed), max(pool.shape[1] // count - 1, 2))
    return Check("placebo in time", p >= DOUBT, f"a start {at - begin} periods too early shows {found:.3g} (p = {p:.2f})", p)


def _without_heaviest(aim: Array, pool: Array, at: int, gap: float, *, error: float) -> Check:
    if pool.shape[1] <= FEWEST_DONORS:
        return Check("without the heaviest donor", None, "too few donors to leave one out")
    _, weights, _ = predicted(aim, pool, at)
    expected, _, _ = predicted(aim, np.delete(pool, int(np.argmax(np.abs(weights))), 1), at)
    moved = float((aim[at:] - expected[at:]).mean()) - gap
    words = f"leaving out the donor with the largest weight moves the effect by {moved:.3g}"
    return Check("without the heaviest donor", bool(abs(moved) <= error), words, moved)


def _fit(aim: Array, pool: Array, at: int) -> Check:
    _, _, spread = predicted(aim, pool, at)
    share = spread / float(aim[:at].std())
    words = f"held-out misses before the start are {share:.2f} of the series' own spread"
    return Check("fit before", share < 1.0, words, share)
