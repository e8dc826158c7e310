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
LEAST = 0.25  # of the typical spread: no series is taken to be steadier
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
    time before. The error is learned from placebos: every donor is treated in turn (`judged`). Raises BadValue for no donor, too
    little time before, duplicate rows, gaps, a treated series that is constant.
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
    found = judged(aim, pool, at, count=count, seed=seed)
    expected = found.expected
    gap = float((aim[at:] - expected[at:]).mean())
    method = f"ridge-augmented synthetic control, {pool.shape[1]} donors, {at} periods before"
    said = (
        _in_space(gap, found),
        _in_time(aim, pool, at, count=count, seed=seed),
        _without_heaviest(aim, pool, gap, found),
        _fit(aim, found),
    )
    made = law.student(gap, found.error, freedom=found.freedom, method=method, n=len(aim), assumptions=ASSUMED, checks=said)
    of_period = np.r_[np.full(at, found.spread), found.spread * np.sqrt((found.ratios**2).mean(0))]
    bound = law.tail(found.freedom, 90) * of_period
    weights = found.weights
    named = {str(whole.units[number]): float(share) for number, share in zip(kept, weights, strict=True) if abs(share) > 1e-4}
    lift, total = law.share_of(made, float(aim[at:].mean())), made.scaled((len(aim) - at) * count)
    return Synthetic(made, lift, total, whole.times, aim, expected, expected - bound, expected + bound, at, named)


def _moving(pool: Array, others: Array, at: int) -> tuple[Array, Array]:
    """Drop donors that never moved before the start."""
    keep = np.ptp(pool[:at], axis=0) > 0
    _enough(1, int(keep.sum()), at)
    return pool[:, keep], others[keep]


@dataclass(frozen=True, slots=True, eq=False)
class Predicted:
    """What a series would have done, and the donors' weights; how far off held-out stretches before the start were (RMS), all and each."""

    expected: Array
    weights: Array
    spread: float
    stretches: Array


def predicted(aim: Array, pool: Array, at: int) -> Predicted:
    """Predict a series from the donors, by what was before `at`."""
    left, right, scale = _alike(aim, pool, at)
    share = _simplex(left[:at], right[:at])
    rest = left - right @ share
    penalty, miss, parts = _chosen(left[:at], right[:at])
    weights = share + _ridge(rest[:at], right[:at], (penalty,))[:, 0]
    expected: Array = (right @ weights) * scale + aim[:at].mean()
    return Predicted(expected, weights, miss * scale, parts * scale)


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """A prediction with what placebos say of its error.

    `ratios` are the placebos' misses after the start in units of their own spread: (placebos, periods after). `spread` is how far
    off held-out stretches before the start were (RMS), drawn to what is typical of the donors.
    """

    at: int
    expected: Array
    weights: Array
    spread: float
    ratios: Array
    freedom: float

    @property
    def error(self) -> float:
        """Return the standard error of the mean miss after the start."""
        return self.spread * float(np.sqrt((self.ratios.mean(1) ** 2).mean()))


def judged(aim: Array, pool: Array, at: int, *, count: int, seed: int) -> Judged:
    """Predict a series from the donors, and learn the error by treating donors in turn.

    Where `count` units were treated together, groups of as many donors are drawn: the mean of several moves less by itself. A
    placebo's miss is measured by how well it was predicted before, since places differ; but a spread is itself estimated, and who is
    chosen for a small one is less steady than it looks, so each is drawn to the typical one as far as `_counts` says.
    """
    own = predicted(aim, pool, at)
    gaps, spreads, stretches = [], [], []
    for group in _groups(pool.shape[1], count, seed):
        series = pool[:, group].mean(1)
        one = predicted(series, np.delete(pool, group, 1), at)
        size = _measure(series, pool, at)
        gaps.append((series[at:] - one.expected[at:]) / size)
        spreads.append(one.spread / size)
        stretches.append(one.stretches / size)
    size = _measure(aim, pool, at)
    relative = np.array([*spreads, own.spread / size])
    known = relative[:-1][relative[:-1] > 0]
    typical = float(np.exp(np.log(known).mean())) if len(known) else float(relative[-1])
    counts = _counts(relative, np.array([*stretches, own.stretches / size]), LEAST * typical)
    drawn = np.maximum(relative, LEAST * typical) ** counts * typical ** (1 - counts)
    ratios = np.array(gaps) / drawn[:-1, None] if typical > 0 else np.zeros((len(gaps), len(aim) - at))
    freedom = float(max(pool.shape[1] // count - 1, 2))
    return Judged(at, own.expected, own.weights, size * float(drawn[-1]), ratios, freedom)


def _counts(spreads: Array, stretches: Array, least: float) -> float:
    """Return how much a place's own spread counts beside the typical one, 0 to 1, on the scale of logarithms.

    Empirical Bayes (Efron and Morris 1973): the share of the variance among places that is not the chance of so few stretches, which
    their differences inside a place tell. So few places tell their variance badly, and a place is often taken for being steady, so it is
    counted one standard error lower. `spreads` is (places,), `stretches` (places, stretches); none counts as less than `least`.
    """
    if least <= 0:
        return 1.0
    among = float(np.log(np.maximum(spreads, least)).var(ddof=1)) / (1 + np.sqrt(2 / (len(spreads) - 1)))
    chance = float(np.log(np.maximum(stretches, least)).var(1, ddof=1).mean()) / stretches.shape[1]
    return max(1 - chance / among, 0.0) if among > 0 else 0.0


def _measure(series: Array, pool: Array, at: int) -> float:
    """Return what a series' spread is a share of: its mean before the start, or how much it moved where means are not positive."""
    return float(series[:at].mean() if _positive(series, pool, at) else series[:at].std())


def _groups(donors: int, count: int, seed: int) -> list[Array]:
    size = min(count, donors - FEWEST_DONORS) if donors > FEWEST_DONORS else 1
    if size == 1:
        return [np.array([number]) for number in range(donors)]
    random = np.random.default_rng(seed)
    return [np.sort(random.choice(donors, size, replace=False)) for _ in range(max(donors, GROUPS))]


def _alike(aim: Array, pool: Array, at: int) -> tuple[Array, Array, float]:
    """Return all series as deviations from their mean before the start, relative to it where every mean is positive."""
    middle, middles = float(aim[:at].mean()), pool[:at].mean(0)
    if _positive(aim, pool, at):
        return aim / middle - 1, pool / middles - 1, middle
    return aim - middle, pool - middles, 1.0


def _positive(aim: Array, pool: Array, at: int) -> bool:
    return bool(aim[:at].mean() > 0 and (pool[:at].mean(0) > 0).all() and aim.min() >= 0 and pool.min() >= 0)


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


def _chosen(left: Array, right: Array) -> tuple[float, float, Array]:
    """Return the penalty that predicts later stretches best from what came before them, and the RMS of its misses: of all, and of each."""
    at = len(left)
    cuts = sorted({round(at * part) for part in (0.5, 0.625, 0.75, 0.875)} | {at})
    found = []
    for begin, end in pairwise(cuts):
        middle, middles = left[:begin].mean(), right[:begin].mean(0)
        one, others = left - middle, right - middles
        share = _simplex(one[:begin], others[:begin])
        rest = one - others @ share
        extra = _ridge(rest[:begin], others[:begin], PENALTIES)
        found.append(((rest[begin:end, None] - others[begin:end] @ extra) ** 2).sum(0))
    missed, lengths = np.stack(found), np.diff(cuts)
    best = int(np.argmin(missed.sum(0)))
    return PENALTIES[best], float(np.sqrt(missed[:, best].sum() / lengths.sum())), np.sqrt(missed[:, best] / lengths)


def _in_space(gap: float, found: Judged) -> Check:
    ratios = np.abs(found.ratios.mean(1))
    many = int((ratios >= abs(gap) / found.spread).sum()) if found.spread else 0
    p = (1 + many) / (1 + len(ratios))
    return Check("placebo in space", None, f"{many} of {len(ratios)} placebos among the donors show as much (p = {p:.2f})", p)


def _in_time(aim: Array, pool: Array, at: int, *, count: int, seed: int) -> Check:
    begin = max(at - (len(aim) - at), (at + 1) // 2)
    moving = np.ptp(pool[:begin], axis=0) > 0
    if begin < FEWEST_BEFORE or np.ptp(aim[:begin]) == 0 or moving.sum() < FEWEST_DONORS:
        return Check("placebo in time", None, "too little before the start: it cannot be checked")
    found = judged(aim[:at], pool[:at, moving], begin, count=count, seed=seed)
    gap = float((aim[begin:at] - found.expected[begin:]).mean())
    p = law.chance(gap, found.error, found.freedom)
    return Check("placebo in time", p >= DOUBT, f"a start {at - begin} periods too early shows {gap:.3g} (p = {p:.2f})", p)


def _without_heaviest(aim: Array, pool: Array, gap: float, found: Judged) -> Check:
    if pool.shape[1] <= FEWEST_DONORS:
        return Check("without the heaviest donor", None, "too few donors to leave one out")
    expected = predicted(aim, np.delete(pool, int(np.argmax(np.abs(found.weights))), 1), found.at).expected
    moved = float((aim[found.at :] - expected[found.at :]).mean()) - gap
    words = f"leaving out the donor with the largest weight moves the effect by {moved:.3g}"
    return Check("without the heaviest donor", bool(abs(moved) <= found.error), words, moved)


def _fit(aim: Array, found: Judged) -> Check:
    share = found.spread / float(aim[: found.at].std())
    words = f"held-out misses before the start are {share:.2f} of the series' own spread"
    return Check("fit before", share < 1.0, words, share)
