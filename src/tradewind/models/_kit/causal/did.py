"""Difference in differences and its event study: treated units against units that were never treated, any starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.core.effect import Check, Effect
from tradewind.core.errors import BadValue
from tradewind.models._kit.causal import given, law

Array = np.ndarray[Any, Any]
OWN_SPREAD = 5  # treated units from which on their own spread is trusted
DOUBT = 0.05
ASSUMED = (
    "without the treatment the treated would have moved in parallel with the untreated",
    "nobody acted on the treatment before it began, and it did not spill over to the untreated",
)


@dataclass(frozen=True, slots=True)
class EventStudy:
    """The effect by time since the start: `lags` counts periods (0 is the first treated one), `effects` belongs to them.

    Lag -1 is what the others are compared with and is not listed.
    """

    lags: tuple[int, ...]
    effects: tuple[Effect, ...]
    parallel: Check


def effect(unit: Any, time: Any, outcome: Any, starts: Mapping[Any, Any]) -> Effect:
    """Return the mean effect per treated unit and period.

    Rows are long: one per unit and time. `starts` says when each treated unit's treatment began; the others are the controls. Each
    treated unit's change from all its periods before to all after is compared with the same change of the controls, so
    staggered starts do not contaminate each other (never-treated controls: Callaway and Sant'Anna 2021; all periods
    before as the base: Borusyak et al. 2024). The error is between units (Welch); with fewer than five treated units their
    spread is taken to be the controls'. Raises BadValue for duplicate rows, gaps, no control, no period before or after.
    """
    whole = given.panel(unit, time, outcome)
    begun, controls = _parts(whole, starts)
    changes = [_change(whole.outcome, at) for at in begun.values()]
    estimate, error, freedom = _two_samples([change[who] for who, change in zip(begun, changes, strict=True)], changes, controls)
    checks = (_parallel(whole.outcome, begun, controls), _in_time(whole.outcome, begun, controls))
    return law.student(
        estimate,
        error,
        freedom=freedom,
        method=f"difference in differences, {len(begun)} treated against {len(controls)} units",
        n=len(begun) + len(controls),
        assumptions=ASSUMED,
        checks=checks,
    )


def event_study(unit: Any, time: Any, outcome: Any, starts: Mapping[Any, Any], *, before: int = 8, after: int = 8) -> EventStudy:
    """Return the effect at every lag from `before` periods ahead of the start to `after` periods from it on.

    Arguments and errors as for `effect`. A lag's change is taken from the last period before the start; a lag that some treated unit
    lacks rests on the others, and `n` counts them with the controls.
    """
    if before < 2 or after < 1:
        raise BadValue("an event study needs at least two periods before and one after")
    whole = given.panel(unit, time, outcome)
    begun, controls = _parts(whole, starts)
    lags, effects = [], []
    for lag in range(-before, after):
        there = {who: at for who, at in begun.items() if 0 <= at + lag < len(whole.times)}
        if lag == -1 or not there:
            continue
        changes = [whole.outcome[at + lag] - whole.outcome[at - 1] for at in there.values()]
        own = [change[who] for who, change in zip(there, changes, strict=True)]
        estimate, error, freedom = _two_samples(own, changes, controls)
        method = f"event study, lag {lag:+d}, {len(there)} treated"
        lags.append(lag)
        effects.append(law.student(estimate, error, freedom=freedom, method=method, n=len(there) + len(controls), assumptions=ASSUMED))
    return EventStudy(tuple(lags), tuple(effects), _parallel(whole.outcome, begun, controls))


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """The mean of the treated units by period, and what the controls say it would have been, with 90 percent bounds."""

    times: Array
    observed: Array
    expected: Array
    lo90: Array
    hi90: Array
    start: int


def course(unit: Any, time: Any, outcome: Any, treated: Sequence[Any], start: Any) -> Course:
    """Return the path of units treated together beside the one they would have taken in parallel with the others.

    Each period is compared with the mean of all before the start, as `effect` compares the mean of all after. Errors as for `effect`.
    """
    whole = given.panel(unit, time, outcome)
    begun, controls = _parts(whole, dict.fromkeys(treated, start))
    at = next(iter(begun.values()))
    own = list(begun)
    away = whole.outcome - whole.outcome[:at].mean(0)
    gaps, reach = np.empty(len(away)), np.empty(len(away))
    for period, change in enumerate(away):
        gaps[period], error, freedom = _two_samples(change[own].tolist(), [change] * len(own), controls)
        reach[period] = law.tail(freedom, 90) * error
    observed = whole.outcome[:, own].mean(1)
    expected = observed - gaps
    return Course(whole.times, observed, expected, expected - reach, expected + reach, at)


def _parts(whole: given.Panel, starts: Mapping[Any, Any]) -> tuple[dict[int, int], Array]:
    """Return the first treated period of each treated unit, and the units never treated."""
    if not starts:
        raise BadValue("no unit is treated", hint='say {"unit": first treated time}')
    begun = {whole.unit(name): whole.period(start) for name, start in starts.items()}
    controls = np.array([number for number in range(len(whole.units)) if number not in begun], "i8")
    if len(controls) < 2:
        raise BadValue(
            f"{len(controls)} units were never treated: at least two controls are needed",
            hint="with one unit alone use the structural impact",
        )
    return begun, controls


def _change(outcome: Array, at: int) -> Array:
    made: Array = outcome[at:].mean(0) - outcome[:at].mean(0)
    return made


def _two_samples(own: list[float], changes: list[Array], controls: Array) -> tuple[float, float, float]:
    """Return the mean gap between treated and control changes, its error and the degrees of freedom."""
    other = np.mean([change[controls] for change in changes], 0)
    gaps = np.array([value - change[controls].mean() for value, change in zip(own, changes, strict=True)])
    of_controls = float(other.var(ddof=1))
    if len(gaps) < OWN_SPREAD:
        error = float(np.sqrt(of_controls * (1 / len(gaps) + 1 / len(other))))
        return float(gaps.mean()), error, float(len(other) - 1)
    parts = np.array([gaps.var(ddof=1) / len(gaps), of_controls / len(other)])
    if parts.sum() == 0:
        return float(gaps.mean()), 0.0, float(len(gaps) + len(other) - 2)
    freedom = float(parts.sum() ** 2 / (parts**2 / np.array([len(gaps) - 1, len(other) - 1])).sum())
    return float(gaps.mean()), float(np.sqrt(parts.sum())), max(freedom, 1.0)


def _parallel(outcome: Array, begun: dict[int, int], controls: Array) -> Check:
    """Compare the slopes before the start: a treated unit that was already drifting away would look treated."""
    there = {who: at for who, at in begun.items() if at >= 3}
    if not there:
        return Check("parallel before", None, "fewer than three periods before the start: it cannot be checked")
    slopes = []
    for at in there.values():
        step = np.arange(at) - (at - 1) / 2
        slopes.append(step @ outcome[:at] / (step @ step))
    own = [slope[who] for who, slope in zip(there, slopes, strict=True)]
    estimate, error, freedom = _two_samples(own, slopes, controls)
    p = law.chance(estimate, error, freedom)
    words = f"before the start the treated drifted by {estimate:.3g} per period against the others (p = {p:.2f})"
    return Check("parallel before", p >= DOUBT, words, p)


def _in_time(outcome: Array, begun: dict[int, int], controls: Array) -> Check:
    """Pretend that the treatment began halfway through the time before it."""
    there = {who: at for who, at in begun.items() if at >= 4}
    if not there:
        return Check("placebo in time", None, "fewer than four periods before the start: it cannot be checked")
    changes = [_change(outcome[:at], at // 2) for at in there.values()]
    own = [change[who] for who, change in zip(there, changes, strict=True)]
    estimate, error, freedom = _two_samples(own, changes, controls)
    p = law.chance(estimate, error, freedom)
    return Check("placebo in time", p >= DOUBT, f"a start halfway before the true one shows {estimate:.3g} (p = {p:.2f})", p)
