"""From an estimate and its error to an effect with Student's intervals, and the p-value that belongs to it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tradewind.core.effect import LEVELS, Check, Effect
from tradewind.core.errors import LearnFailed


def student(
    estimate: float,
    error: float,
    *,
    freedom: float,
    method: str,
    n: int,
    unit: str = "",
    assumptions: Sequence[str] = (),
    checks: Sequence[Check] = (),
) -> Effect:
    """Return an effect whose intervals are Student's with that many degrees of freedom; raises LearnFailed without a finite error."""
    if not (math.isfinite(estimate) and math.isfinite(error)) or freedom < 1:
        raise LearnFailed(f"{method} gave no number", hint="too few rows, or columns that repeat each other")
    intervals = {level: (estimate - tail(freedom, level) * error, estimate + tail(freedom, level) * error) for level in LEVELS}
    return Effect(estimate, error, intervals, method, n, unit, tuple(assumptions), tuple(checks))


def share_of(made: Effect, observed: float) -> Effect | None:
    """Return a mean effect as a share of what was expected without it: the observed mean less the effect.

    The bounds are those of effect / (observed - effect). None where the expected outcome, or an end of its interval, is not above zero.
    """
    expected = observed - made.estimate
    if expected <= 0 or any(observed - high <= 0 for _, high in made.intervals.values()):
        return None
    ends = {level: (low / (observed - low), high / (observed - high)) for level, (low, high) in made.intervals.items()}
    error = made.standard_error * observed / expected**2
    return Effect(made.estimate / expected, error, ends, made.method, made.n, "share", made.assumptions, made.checks)


def tail(freedom: float, level: float) -> float:
    """Return how many standard errors a two-sided interval of that level, in percent, reaches to either side."""
    from scipy.stats import t

    return float(t.ppf(0.5 + level / 200, freedom))


def chance(estimate: float, error: float, freedom: float) -> float:
    """Return the probability of an estimate this far from zero, to either side, if there were no effect."""
    from scipy.stats import t

    return 1.0 if estimate == 0 else 0.0 if error == 0 else float(2 * t.sf(abs(estimate) / error, freedom))
