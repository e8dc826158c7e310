"""Whom treating helps: S, T and DR learners, tested on rows they have not seen; without evidence it says so, and what a test would need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np

from tradewind.core.effect import Check, Effect
from tradewind.core.errors import BadValue
from tradewind.models._kit.causal import given, qini
from tradewind.models._kit.causal.learners import Boost, as_trees, folds
from tradewind.models._kit.causal.uplift_power import LEVEL, detectable, sample_size
from tradewind.models._kit.causal.uplift_state import LEARNERS, State

__all__ = ["Evidence", "State", "detectable", "evidence", "fit", "sample_size"]

Array = np.ndarray[Any, Any]
FEWEST = 50  # cases in an arm
DRAWS = 400
PIECES, FIRST = 6, 2  # a ranking is learned on the pieces before and judged on the next, from the third on
SMALL = Boost(rounds=100, leaves=6, rate=0.05)  # as measured best on e-mail tests: uplift is a faint signal
UNBALANCED = 0.001  # the arms of a random test differ this much once in a thousand
ASSUMED = (
    "who was treated was drawn by chance, with the probability given (the share treated where none is given)",
    "treating one case does not change the outcome of another",
)


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """What held-out rows say: does treating work on average, and does the ranking find whom it helps.

    `verdict` is "target" (treat by rank), "treat all", "treat none" or "not enough evidence". `average` is the mean uplift,
    `targeting` the Qini area of the best learner per case, `chance` the probability of a ranking this good without any
    difference between cases, the choice among learners counted in. `needed` is the size of a test, both arms together, that finds
    an average effect of `worthwhile`; `detectable` is the effect that as many cases as these would find.
    """

    verdict: str
    words: str
    average: Effect
    targeting: Effect
    chance: float
    learner: str
    areas: Mapping[str, float]
    line: Array
    error: Array
    curve: tuple[Array, Array]
    worthwhile: float
    needed: int
    detectable: float

    @property
    def enough(self) -> bool:
        """Tell whether there is evidence for any verdict at all."""
        return self.verdict != "not enough evidence"

    @property
    def targets(self) -> bool:
        """Tell whether there is evidence that the ranking finds whom treating helps."""
        return self.verdict == "target"


@dataclass(frozen=True, slots=True, eq=False)
class _Cases:
    rows: Array
    names: tuple[str, ...]
    arm: Array
    outcome: Array
    chance: Array  # of being treated
    groups: Array
    told: bool  # the chance was given, not counted


def fit(
    features: Any,
    arm: Any,
    outcome: Any,
    *,
    seed: int,
    propensity: Any = None,
    groups: Any = None,
    learner: str = "",
    found: Evidence | None = None,
) -> State:
    """Learn what treating adds to the outcome, by case.

    `features` is a table, frame or array of numbers (missing ones allowed), `arm` 1 for the treated and 0 for the others,
    `outcome` a number per case of which more is better (1 for stayed). `propensity` is the chance each case had of being treated,
    `groups` says which rows are one customer. Without `learner` the best on held-out rows is taken; `found` spares finding the
    evidence again. Formulas: Künzel et al. 2019 (S, T), Kennedy 2023 (DR). Raises BadValue, InvalidInput.
    """
    if learner and learner not in LEARNERS:
        raise BadValue(f"there is no learner {learner!r}", hint=f"learners: {', '.join(LEARNERS)}")
    cases = _cases(features, arm, outcome, propensity, groups)
    tried = (learner,) if learner else LEARNERS
    said = found or evidence(features, arm, outcome, seed=seed, propensity=propensity, groups=groups, learners=tried)
    if learner and said.learner != learner:
        raise BadValue(f"the evidence is of the learner {said.learner!r}, not of {learner!r}")
    every = np.ones(len(cases.outcome), bool)
    grown = {"s": _grow_s, "t": _grow_t, "dr": _grow_dr}[said.learner](cases, every, seed)
    made = State(said.learner, tuple(map(as_trees, grown)), said.line, said.error, cases.names)
    line = np.array([*said.line[:2], made.score(cases.rows).mean()])  # the centre of these trees, not of the folds' own
    return replace(made, line=line)


def evidence(
    features: Any,
    arm: Any,
    outcome: Any,
    *,
    seed: int,
    propensity: Any = None,
    groups: Any = None,
    learners: Sequence[str] = LEARNERS,
    worthwhile: float | None = None,
    level: float = LEVEL,
) -> Evidence:
    """Test on rows not learned from whether treating works, and whether a ranking finds whom it helps.

    Arguments as for `fit`. Half of `level` is spent on each question, so that both together raise at most `level` false alarms.
    `worthwhile` is the smallest average effect that would pay; a tenth of the mean outcome without treatment where it is not
    given. The average is the mean doubly robust score (Robins et al. 1994); the ranking is learned forwards, piece by piece, and
    judged by its Qini area against a bootstrap in which the best learner must beat the best by chance (Westfall and Young 1993).
    """
    if not learners or any(name not in LEARNERS for name in learners):
        raise BadValue(f"learners must be among {', '.join(LEARNERS)}")
    cases = _cases(features, arm, outcome, propensity, groups)
    piece = folds(cases.groups, PIECES, seed, strata=cases.arm * 2 + (cases.outcome > np.median(cases.outcome)))
    average = _average(cases, _gains(cases, piece // 2, seed))
    rows, scores, gain = _judged(cases, piece, tuple(learners), seed)
    fold, own = piece[rows], cases.groups[rows]
    areas = np.array([qini.area(score, gain, fold) for score in scores])
    drawn = qini.resampled(scores, gain, fold, groups=own, draws=DRAWS, seed=seed + 1)
    spread = np.maximum(drawn.std(0, ddof=1), 1e-12)
    best = int(np.argmax(areas / spread))
    highest = ((drawn - drawn.mean(0)) / spread).max(1)
    chance = float((1 + (highest >= areas[best] / spread[best]).sum()) / (1 + DRAWS))
    targeting = Effect.normal(
        float(areas[best]), float(spread[best]), method=f"Qini area, {learners[best]} learner", n=len(gain), assumptions=ASSUMED
    )
    line, error = _line(scores[best], gain, fold, own, average=average)
    size = _size(cases, worthwhile, level)
    verdict = _verdict(average, chance, level)
    words = _words(verdict, average, targeting, size)
    named = {name: float(value) for name, value in zip(learners, areas, strict=True)}
    curve = qini.curve(scores[best], gain, fold)
    return Evidence(verdict, words, average, targeting, chance, learners[best], named, line, error, curve, *size)


def _cases(features: Any, arm: Any, outcome: Any, propensity: Any, groups: Any) -> _Cases:
    value = given.numbers(outcome, "outcome")
    count = len(value)
    treated = given.flags(arm, "arm", rows=count)
    rows, names = given.matrix(features, "features", rows=count, missing=True)
    own = np.arange(count) if groups is None else given.labels(groups, "groups", rows=count)[0]
    for number, name in ((1, "treated"), (0, "untreated")):
        if (treated == number).sum() < FEWEST:
            raise BadValue(
                f"{int((treated == number).sum())} {name} cases are too few to learn from",
                hint=f"at least {FEWEST} in each arm; `sample_size` says how many a test needs",
            )
    for number in (0, 1):
        if np.ptp(value[treated == number]) == 0:
            raise BadValue(f"the outcome is the same for every case of arm {number}: there is nothing to learn from")
    if propensity is None:
        return _Cases(rows.astype("f4"), names, treated, value, np.full(count, treated.mean()), own, False)
    told = (
        np.full(count, float(propensity))
        if np.ndim(propensity) == 0
        else given.numbers(propensity, "propensity", rows=count, constant=True)
    )
    if not ((told > 0.01) & (told < 0.99)).all():
        raise BadValue(
            "propensity must lie between 0.01 and 0.99: cases that are always or never treated say nothing of the other arm",
            hint="drop the cases that could not have been in both arms",
        )
    return _Cases(rows.astype("f4"), names, treated, value, told, own, True)


def _gains(cases: _Cases, fold: Array, seed: int) -> Array:
    """Return every row's doubly robust score, its arms' means learned on the other folds."""
    gain = np.zeros(len(fold))
    for number in np.unique(fold):
        asked = fold == number
        ends = [booster.predict(cases.rows[asked], num_threads=1) for booster in _grow_t(cases, ~asked, seed)]
        gain[asked] = _robust(cases, asked, ends[0], ends[1])
    return gain


def _judged(cases: _Cases, piece: Array, learners: tuple[str, ...], seed: int) -> tuple[Array, Array, Array]:
    """Return the rows judged, each learner's score of them, and their robust scores, all learned on earlier pieces alone.

    Were every piece judged by what all others taught, two pieces would teach each other: what chance puts into both is counted
    twice, and the bootstrap, which cannot see it, would raise false alarms. Learning forwards only, no pair counts twice.
    """
    scores = np.zeros((len(learners), len(piece)))
    gain = np.zeros(len(piece))
    for number in range(FIRST, PIECES):
        seen, asked = piece < number, piece == number
        ends = [booster.predict(cases.rows[asked], num_threads=1) for booster in _grow_t(cases, seen, seed)]
        gain[asked] = _robust(cases, asked, ends[0], ends[1])
        for at, name in enumerate(learners):
            scores[at, asked] = ends[0] - ends[1] if name == "t" else _scored(name, cases, seen, asked, seed=seed)
    rows = np.flatnonzero(piece >= FIRST)
    return rows, scores[:, rows], gain[rows]


def _scored(name: str, cases: _Cases, seen: Array, asked: Array, *, seed: int) -> Array:
    rows = cases.rows[asked]
    if name == "dr":
        made: Array = _grow_dr(cases, seen, seed)[0].predict(rows, num_threads=1)
        return made
    (booster,) = _grow_s(cases, seen, seed)
    ends = [booster.predict(np.c_[rows, np.full(len(rows), arm, "f4")], num_threads=1) for arm in (1, 0)]
    return np.asarray(ends[0] - ends[1])


def _grow_s(cases: _Cases, seen: Array, seed: int) -> tuple[Any, ...]:
    return (SMALL.grow(np.c_[cases.rows, cases.arm.astype("f4")][seen], cases.outcome[seen], seed),)


def _grow_t(cases: _Cases, seen: Array, seed: int) -> tuple[Any, ...]:
    chosen = [seen & (cases.arm == arm) for arm in (1, 0)]
    return tuple(SMALL.grow(cases.rows[one], cases.outcome[one], seed) for one in chosen)


def _grow_dr(cases: _Cases, seen: Array, seed: int) -> tuple[Any, ...]:
    """Grow trees of the doubly robust scores, each half's taken from arms that were learned on the other half."""
    half = folds(cases.groups[seen], 2, seed + 7, strata=cases.arm[seen])
    at = np.flatnonzero(seen)
    gain = np.zeros(len(at))
    for number in (0, 1):
        learned = np.zeros(len(seen), bool)
        learned[at[half != number]] = True
        asked = np.zeros(len(seen), bool)
        asked[at[half == number]] = True
        ends = [booster.predict(cases.rows[asked], num_threads=1) for booster in _grow_t(cases, learned, seed)]
        gain[half == number] = _robust(cases, asked, ends[0], ends[1])
    return (SMALL.grow(cases.rows[seen], gain, seed),)


def _robust(cases: _Cases, asked: Array, treated: Array, untreated: Array) -> Array:
    arm, value, chance = cases.arm[asked], cases.outcome[asked], cases.chance[asked]
    made: Array = treated - untreated + arm * (value - treated) / chance - (1 - arm) * (value - untreated) / (1 - chance)
    return made


def _average(cases: _Cases, gain: Array) -> Effect:
    centred = gain - gain.mean()
    error = float(np.sqrt((np.bincount(cases.groups, centred) ** 2).sum())) / len(gain)
    balance = _balance(cases)
    return Effect.normal(
        float(gain.mean()), error, method="doubly robust mean of held-out rows", n=len(gain), assumptions=ASSUMED, checks=(balance,)
    )


def _balance(cases: _Cases) -> Check:
    """Test whether the arms differ in their features by more than chance: a Wald test of all mean differences together."""
    if cases.told:
        return Check("balance of the arms", None, "the probability of being treated was given, so the arms may differ")
    from scipy.stats import chi2

    rows = cases.rows.astype("f8")
    rows = np.where(np.isnan(rows), np.nanmean(np.where(np.isnan(rows).all(0), 0.0, rows), 0), rows)
    rows = rows[:, np.ptp(rows, axis=0) > 0]
    if not rows.shape[1]:
        return Check("balance of the arms", None, "the features are the same for all")
    whole = (rows - rows.mean(0)) / rows.std(0)
    gap = whole[cases.arm == 1].mean(0) - whole[cases.arm == 0].mean(0)
    spread = sum(np.cov(whole[cases.arm == arm].T).reshape(len(gap), -1) / (cases.arm == arm).sum() for arm in (0, 1))
    rank = int(np.linalg.matrix_rank(spread, hermitian=True))
    chance = float(chi2.sf(gap @ np.linalg.pinv(spread, hermitian=True) @ gap, rank))
    fine = chance >= UNBALANCED
    words = (
        "the arms are alike, as chance would have it"
        if fine
        else "the arms differ by more than chance: who was treated was not drawn at random, so give the propensity"
    )
    return Check("balance of the arms", fine, words, chance)


def _line(score: Array, gain: Array, fold: Array, groups: Array, *, average: Effect) -> tuple[Array, Array]:
    """Regress the robust scores on the ranking score (Chernozhukov et al. 2018): average, slope in 0 to 1, centre; their errors."""
    number = np.unique(fold, return_inverse=True)[1].reshape(-1)
    size = np.bincount(number)
    away = score - (np.bincount(number, score) / size)[number]
    total = float(away @ away)
    if total <= 1e-12 * max(1.0, float(score @ score)):
        return np.array([average.estimate, 0.0, score.mean()]), np.array([average.standard_error, 0.0])
    slope = float(away @ gain) / total
    rest = away * (gain - gain.mean() - slope * away)
    of_slope = float(np.sqrt((np.bincount(groups, rest) ** 2).sum())) / total
    return np.array([average.estimate, np.clip(slope, 0.0, 1.0), score.mean()]), np.array([average.standard_error, of_slope])


def _size(cases: _Cases, worthwhile: float | None, level: float) -> tuple[float, int, float]:
    """Return the effect worth finding, the cases a test of it needs, and the effect that as many cases as these find."""
    untreated = cases.outcome[cases.arm == 0]
    share = float(cases.arm.mean())
    binary = bool(np.isin(cases.outcome, (0.0, 1.0)).all())
    middle, spread = float(untreated.mean()), float(cases.outcome.std())
    known: dict[str, float] = {"rate": middle} if binary else {"deviation": spread}
    wanted = worthwhile if worthwhile is not None else 0.1 * (abs(middle) or spread)
    if binary and worthwhile is None and not middle + wanted < 1:
        wanted = 0.1 * (1 - middle)
    return wanted, sample_size(wanted, level=level, **known), detectable(len(cases.outcome), share=share, level=level, **known)


def _verdict(average: Effect, chance: float, level: float) -> str:
    if not average.sound:
        return "not enough evidence"
    if chance < level / 2:
        return "target"
    tail = NormalDist().inv_cdf(1 - level / 4)
    if abs(average.estimate) > tail * average.standard_error:
        return "treat all" if average.estimate > 0 else "treat none"
    return "not enough evidence"


def _words(verdict: str, average: Effect, targeting: Effect, size: tuple[float, int, float]) -> str:
    low, high = average.intervals[90]
    mean = f"treating adds {average.estimate:.3g} on average ({low:.3g} to {high:.3g})"
    test = f"A randomised test that finds an effect of {size[0]:.3g} in four of five tries needs {size[1]:,} cases, half of them treated."
    if not average.sound:
        return f"Not enough evidence: {average.checks[0].words}. {test}"
    if verdict == "target":
        return f"The ranking finds whom treating helps; {mean}. Treat by rank."
    if verdict == "not enough evidence":
        return f"Not enough evidence that treating works or whom it helps; {mean}. {test}"
    way = "everyone alike" if verdict == "treat all" else "no one"
    return f"No evidence for targeting: treat {way}; {mean}. {test}"
