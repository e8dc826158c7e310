"""How many cases a randomised test needs, and what it can find: the same levels as `evidence` tests at."""

from __future__ import annotations

import math
from statistics import NormalDist

from tradewind.core.errors import BadValue

LEVEL = 0.05  # false alarms of a verdict, shared evenly by its two questions
POWER = 0.8


def sample_size(
    effect: float,
    *,
    rate: float | None = None,
    deviation: float | None = None,
    share: float = 0.5,
    power: float = POWER,
    level: float = LEVEL,
) -> int:
    """Return how many cases, both arms together, find an average effect of that size with that power.

    Give `rate` for an outcome of yes or no (its share among the untreated) or `deviation` (standard deviation) for an amount.
    `share` of the cases are treated. Half of `level` is spent on this question, two-sided, as `uplift.evidence` does. Formula:
    n = (z_level + z_power)^2 (v1 / share + v0 / (1 - share)) / effect^2 (Fleiss 1981, unpooled). Raises BadValue.
    """
    treated, untreated = _variances(effect, rate, deviation)
    whole = _tails(share, power, level) ** 2 * (treated / share + untreated / (1 - share)) / effect**2
    return max(4, math.ceil(whole))


def detectable(
    n: int,
    *,
    rate: float | None = None,
    deviation: float | None = None,
    share: float = 0.5,
    power: float = POWER,
    level: float = LEVEL,
) -> float:
    """Return the smallest average effect that `n` cases find with that power; the outcome's variance is taken as unchanged."""
    if n < 4:
        raise BadValue(f"{n} cases are too few for a test")
    spread = 0.0 if rate is None else math.sqrt(max(rate * (1 - rate), 0.0))
    error = (spread if deviation is None else deviation) / math.sqrt(n * share * (1 - share))
    _variances(1e-9, rate, deviation)
    return _tails(share, power, level) * error


def _variances(effect: float, rate: float | None, deviation: float | None) -> tuple[float, float]:
    if not math.isfinite(effect) or effect == 0:
        raise BadValue("the effect to be found must be a number other than 0", hint="the smallest effect that would pay")
    if (rate is None) == (deviation is None):
        raise BadValue("give either rate (yes or no) or deviation (an amount), not both and not neither")
    if deviation is not None:
        if not (math.isfinite(deviation) and deviation > 0):
            raise BadValue("deviation must be above 0")
        return deviation**2, deviation**2
    assert rate is not None
    if not (0 < rate < 1 and 0 < rate + effect < 1):
        raise BadValue("rate and rate + effect must lie between 0 and 1", hint="an effect of 2 points on 10 percent: effect=0.02, rate=0.1")
    after = rate + effect
    return after * (1 - after), rate * (1 - rate)


def _tails(share: float, power: float, level: float) -> float:
    if not (0 < share < 1 and 0 < level < 1 and level / 4 < power < 1):
        raise BadValue("share, power and level must lie between 0 and 1")
    normal = NormalDist()
    return normal.inv_cdf(1 - level / 4) + normal.inv_cdf(power)
