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
EFFECTS = tuple(np.round(np.arange(0.0, 0.305, 0.01), 2))
LARGEST = 5.0  # of the outcome: an effect beyond it is not looked for


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """A test to be run: `treated` get the treatment for `length` periods, all others are left alone.

    `power` is the chance that `synth.effect` finds a lift of each of `effects` (a share of the outcome) with an interval of `level`
    percent that excludes zero; `detectable` is the lift it finds with the power asked for (infinite where none is).
    `alarms` is the share of past stretches, without any treatment, in which it would have found one.
    """

    treated: tuple[str, ...]
    length: int
    level: int
    effects: Array
    power: Array
    detectable: float
    error: float
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
    have; the set with the smallest is taken. `only` and `never` bound which units may be treated. Raises BadValue.
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
    first = sorted(tried, key=lambda one: _miss(whole.outcome, one, cuts[0]))[:FINALISTS]
    errors = [_analysed(whole.outcome, one, cuts, length, seed=seed) for one in first]
    best = int(np.argmin([np.sqrt((one[:, 1] ** 2).mean()) for one in errors]))
    sets = [first[best], *(one for number, one in enumerate(first) if number != best)]
    return _made(whole, sets, errors[best], length=length, level=level, power=power)


def _made(whole: given.Panel, sets: list[Array], seen: Array, *, length: int, level: int, power: float) -> Design:
    own = sets[0]
    error = float(np.sqrt((seen[:, 1] ** 2).mean()))
    freedom = float(max((len(whole.units) - len(own)) // len(own) - 1, 2))
    effects = np.array(EFFECTS)
    curve = np.array([_power(lift, error, freedom, level) for lift in effects])
    found = _smallest(error, freedom, level, power)
    alarms = float((np.abs(seen[:, 0]) > law.tail(freedom, level) * seen[:, 1]).mean())
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
    return Design(names, length, level, effects, curve, found, error, alarms, share, words, listed)


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
    _, _, spread = synth.predicted(aim, pool, at)
    return float(spread / aim.mean())


def _analysed(outcome: Array, own: Array, cuts: list[int], length: int, *, seed: int) -> Array:
    """Return lift found and standard error, as shares of the outcome, on each past stretch: (stretches, 2)."""
    made = []
    for at in cuts:
        aim, pool = outcome[: at + length, own].mean(1), np.delete(outcome[: at + length], own, 1)
        pool = pool[:, np.ptp(pool[:at], axis=0) > 0]
        found = synth.judged(aim, pool, at, count=len(own), seed=seed)
        middle = float(found.expected[at:].mean())
        made.append([float((aim[at:] - found.expected[at:]).mean()) / middle, found.error / middle])
    return np.array(made)


def _power(lift: float, error: float, freedom: float, level: int) -> float:
    from scipy.stats import t

    if error == 0:
        return float(lift != 0)
    edge, away = law.tail(freedom, level), lift / error
    return float(t.sf(edge - away, freedom) + t.cdf(-edge - away, freedom))


def _smallest(error: float, freedom: float, level: int, power: float) -> float:
    low, high = 0.0, LARGEST
    if _power(high, error, freedom, level) < power:
        return float("inf")
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (low, middle) if _power(middle, error, freedom, level) >= power else (middle, high)
    return high
