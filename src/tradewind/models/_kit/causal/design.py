"""A test by place: which places to treat, and what it would find, judged by the very analysis it will get."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.core.errors import BadValue
from tradewind.models._kit.causal import given, law, synth

Array = np.ndarray[Any, Any]
WINDOWS = 3  # stretches of the past on which a candidate is tried, the latest first
FINALISTS = 3
CALM = 3.0  # stretches that count for misses being as large as their errors say, and for errors as steady as their freedom says
NODES, SHARES = np.polynomial.hermite_e.hermegauss(7)
EFFECTS = tuple(np.round(np.arange(0.0, 0.305, 0.01), 2))
LARGEST = 5.0  # of the outcome: an effect beyond it is not looked for


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """A test to be run: `treated` get the treatment for `length` periods, all others are left alone.

    `power` is the chance that `synth.effect` finds a lift of each of `effects` (a share of the outcome) with an interval of `level`
    percent that excludes zero; `detectable` is the lift it finds with the power asked for (infinite where none is).
    `alarms` is the share of past stretches, without any treatment, in which it would have found one. `strain` is how many times further
    sets chosen like this one then strayed, in the stretch after they were chosen, than their standard error said.
    """

    treated: tuple[str, ...]
    length: int
    level: int
    effects: Array
    power: Array
    detectable: float
    error: float
    strain: float
    alarms: float
    share: float
    words: str
    candidates: tuple[tuple[tuple[str, ...], float], ...]

    def power_at(self, lift: float) -> float:
        """Return the power at a lift between those listed."""
        return float(np.interp(lift, self.effects, self.power))


def geo(
    unit: Any,
    time: Any,
    outcome: Any,
    *,
    count: int,
    length: int,
    seed: int,
    power: float = 0.8,
    level: int = 90,
    tries: int = 40,
    only: Sequence[Any] = (),
    never: Sequence[Any] = (),
) -> Design:
    """Choose `count` units for a test of `length` periods.

    Of `tries` random sets (all there are where they are fewer) those that the others predict best, on stretches they were not fitted
    on, go through the whole analysis on the latest `WINDOWS` stretches of the past, which gives the standard error the test will
    have; the set with the smallest is taken. Who is chosen for a small error was lucky too, so what is promised is drawn half the way to
    the other finalists, and allows for how far sets that would have been chosen before each stretch strayed in it, and for the error being
    another one in each stretch. `only` and `never` bound which units may be treated. Raises BadValue.
    """
    whole = given.panel(unit, time, outcome)
    if not 0 < power < 1 or length < 1 or count < 1 or tries < 1:
        raise BadValue("power must lie between 0 and 1; length, count and tries must be at least 1")
    if (whole.outcome < 0).any() or (whole.outcome.mean(0) <= 0).any():
        raise BadValue("a design in percent needs outcomes that are not negative")
    cuts = _cuts(len(whole.times), length)
    allowed = _allowed(whole, only, never)
    if len(allowed) < count or len(whole.units) - count < synth.FEWEST_DONORS:
        raise BadValue(
            f"{count} of {len(allowed)} allowed units cannot be treated and {synth.FEWEST_DONORS} left alone", hint="treat fewer units"
        )
    tried = _sets(allowed, count, tries, seed)
    first = _finalists(whole.outcome, tried, cuts[0])
    seen = [np.array([_analysed(whole.outcome, one, at, length, seed=seed) for at in cuts]) for one in first]
    then = [np.stack([one[0] for one in seen])]
    for at in cuts[1:]:
        then.append(np.array([_analysed(whole.outcome, one, at, length, seed=seed) for one in _finalists(whole.outcome, tried, at)]))
    errors = np.array([np.sqrt((one[:, 1] ** 2).mean()) for one in seen])
    order = np.argsort(errors)
    error = float(np.sqrt(errors[order[0]] * errors.mean()))
    freedom = float(max((len(whole.units) - count) // count - 1, 2))
    sets = [first[number] for number in order.tolist()]
    judge = _Law(error, freedom, level, _strain(then, freedom), _unsteady(np.array(seen)[:, :, 1], freedom))
    return _made(whole, sets, seen[order[0]], judge, length=length, power=power)


@dataclass(frozen=True, slots=True)
class _Law:
    """How a test is judged: the standard error it will have, an interval of `level` percent, and how much further misses stray.

    The error of the test itself will be another one, by a deviation of `unsteady` in its logarithm: it comes from how the others do in
    that very stretch.
    """

    error: float
    freedom: float
    level: int
    strain: float
    unsteady: float

    def power(self, lift: float) -> float:
        """Return the chance that the interval excludes zero, over the errors that the test may have (Gauss-Hermite)."""
        from scipy.stats import t

        if self.error == 0:
            return float(lift != 0)
        edge, away = law.tail(self.freedom, self.level), lift / self.error * np.exp(-self.unsteady * NODES)
        chance = t.sf((edge - away) / self.strain, self.freedom) + t.cdf((-edge - away) / self.strain, self.freedom)
        return float(chance @ SHARES / SHARES.sum())

    def smallest(self, power: float) -> float:
        """Return the least lift that is found with that power, infinite where none is."""
        low, high = 0.0, LARGEST
        if self.power(high) < power:
            return float("inf")
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (low, middle) if self.power(middle) >= power else (middle, high)
        return high


def _strain(then: Sequence[Array], freedom: float) -> float:
    """Return how many times further sets strayed than their error said; never below one. `then` holds lift and error by stretch.

    The finalists of one stretch share what happened in it, so each stretch counts once, beside `CALM` that went as they should.
    """
    usual = freedom / max(freedom - 2, 1.0)  # variance of Student's law
    squares = [float(np.mean((one[:, 0] / np.where(one[:, 1] > 0, one[:, 1], np.inf)) ** 2)) / usual for one in then]
    return float(max(np.sqrt((sum(squares) + CALM) / (len(squares) + CALM)), 1.0))


def _unsteady(errors: Array, freedom: float) -> float:
    """Return the deviation of the logarithm of a coming stretch's error about that of past ones; `errors` is (sets, stretches).

    The sets share what happened in a stretch, so each stretch counts once, beside `CALM` whose errors are as steady as so many placebos
    that know nothing of each other would make them: a variance of 1 / (2 freedom).
    """
    if (errors <= 0).any():
        return 0.0
    count = errors.shape[1]
    away = np.log(errors) - np.log(errors).mean(1, keepdims=True)
    variance = (float((away**2).mean(0).sum()) + CALM / (2 * freedom)) / (count - 1 + CALM)
    return float(np.sqrt(variance * (1 + 1 / count)))


def _finalists(outcome: Array, tried: Sequence[Array], at: int) -> list[Array]:
    """Return the sets that the others predicted best before `at`."""
    return sorted(tried, key=lambda one: _miss(outcome, one, at))[:FINALISTS]


def _made(whole: given.Panel, sets: list[Array], seen: Array, judge: _Law, *, length: int, power: float) -> Design:
    own, effects = sets[0], np.array(EFFECTS)
    curve = np.array([judge.power(lift) for lift in effects])
    found = judge.smallest(power)
    alarms = float((np.abs(seen[:, 0]) > law.tail(judge.freedom, judge.level) * seen[:, 1]).mean())
    names = tuple(str(whole.units[number]) for number in own)
    share = float(whole.outcome[:, own].sum() / whole.outcome.sum())
    words = (
        f"Treat {', '.join(names)} ({100 * share:.1f} % of the outcome) for {length} periods: a lift of {100 * found:.1f} % is found "
        f"{100 * power:.0f} times in a hundred. In {round(alarms * len(seen))} of {len(seen)} past stretches it would have seen one "
        "that was not there."
    )
    listed = tuple(
        (tuple(str(whole.units[number]) for number in one), _miss(whole.outcome, one, len(whole.times) - length)) for one in sets
    )
    return Design(names, length, judge.level, effects, curve, found, judge.error, judge.strain, alarms, share, words, listed)


def _cuts(periods: int, length: int) -> list[int]:
    cuts = [periods - length * (number + 1) for number in range(WINDOWS)]
    kept = [cut for cut in cuts if cut >= max(synth.FEWEST_BEFORE, 2 * length)]
    if not kept:
        raise BadValue(
            f"{periods} periods of history are too few to plan a test of {length}",
            hint=f"at least {max(synth.FEWEST_BEFORE, 2 * length) + length}, or a shorter test",
        )
    return kept


def _allowed(whole: given.Panel, only: Sequence[Any], never: Sequence[Any]) -> Array:
    chosen = {whole.unit(name) for name in only} if len(only) else set(range(len(whole.units)))
    moving = {number for number in range(len(whole.units)) if np.ptp(whole.outcome[:, number]) > 0}
    return np.array(sorted((chosen & moving) - {whole.unit(name) for name in never}), "i8")


def _sets(allowed: Array, count: int, tries: int, seed: int) -> list[Array]:
    from itertools import combinations
    from math import comb

    if comb(len(allowed), count) <= tries:
        return [np.array(one, "i8") for one in combinations(allowed.tolist(), count)]
    random = np.random.default_rng(seed)
    made: dict[tuple[int, ...], Array] = {}
    while len(made) < tries:
        drawn = np.sort(random.choice(allowed, count, replace=False))
        made[tuple(drawn.tolist())] = drawn
    return list(made.values())


def _miss(outcome: Array, own: Array, at: int) -> float:
    """Return how far off the others predict the set on stretches before `at`, as a share of it."""
    aim = outcome[:at, own].mean(1)
    pool = np.delete(outcome[:at], own, 1)
    pool = pool[:, np.ptp(pool, axis=0) > 0]
    return float(synth.predicted(aim, pool, at).spread / aim.mean())


def _analysed(outcome: Array, own: Array, at: int, length: int, *, seed: int) -> Array:
    """Return lift found and standard error, as shares of the outcome, on the past stretch from `at` on."""
    aim, pool = outcome[: at + length, own].mean(1), np.delete(outcome[: at + length], own, 1)
    pool = pool[:, np.ptp(pool[:at], axis=0) > 0]
    found = synth.judged(aim, pool, at, count=len(own), seed=seed)
    middle = float(found.expected[at:].mean())
    return np.array([float((aim[at:] - found.expected[at:]).mean()) / middle, found.error / middle])
