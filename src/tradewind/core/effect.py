"""What something did: an estimate with its uncertainty, what it rests on, and what was tried to refute it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

from tradewind.core.errors import BadValue
from tradewind.core.fact import Fact

LEVELS = (50, 80, 90, 95)  # in percent: the interval columns of every answer


@dataclass(frozen=True, slots=True)
class Check:
    """One attempt to refute an effect: `passed` is None where it only informs or could not be made, and `words` says why."""

    name: str
    passed: bool | None
    words: str
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Effect:
    """An effect of something done: a test, a promotion, a change of price, a campaign.

    `intervals` maps each level of `LEVELS` to its lower and upper end; they need not be symmetric. `n` counts what the estimate
    rests on (rows, or the independent units where rows repeat; `method` says which). Raises BadValue where the numbers do not fit.
    """

    estimate: float
    standard_error: float
    intervals: Mapping[int, tuple[float, float]]
    method: str
    n: int
    unit: str = ""
    assumptions: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()

    def __post_init__(self) -> None:
        if not (math.isfinite(self.estimate) and math.isfinite(self.standard_error) and self.standard_error >= 0):
            raise BadValue("an effect needs a finite estimate and a standard error that is not negative")
        if set(self.intervals) != set(LEVELS):
            raise BadValue(f"an effect needs its intervals at {', '.join(map(str, LEVELS))} percent")
        if any(math.isnan(low) or math.isnan(high) or low > high for low, high in self.intervals.values()):
            raise BadValue("the lower end of an interval is above its upper end, or one of them is missing")

    @classmethod
    def normal(
        cls,
        estimate: float,
        standard_error: float,
        *,
        method: str,
        n: int,
        unit: str = "",
        assumptions: Sequence[str] = (),
        checks: Sequence[Check] = (),
    ) -> Effect:
        """Make an effect whose error is normal: what an experiment reports as lift and standard error."""
        tails = {level: NormalDist().inv_cdf(0.5 + level / 200) * standard_error for level in LEVELS}
        intervals = {level: (estimate - tail, estimate + tail) for level, tail in tails.items()}
        return cls(estimate, standard_error, intervals, method, n, unit, tuple(assumptions), tuple(checks))

    @property
    def sound(self) -> bool:
        """Tell whether no check has failed."""
        return all(check.passed is not False for check in self.checks)

    def excludes(self, value: float = 0.0, *, level: int = 95) -> bool:
        """Tell whether a value lies outside the interval of a level; raises BadValue for a level that is not stated."""
        if level not in self.intervals:
            raise BadValue(f"no interval of {level} percent", hint=f"levels: {', '.join(map(str, LEVELS))}")
        low, high = self.intervals[level]
        return value < low or value > high

    def distance(self, other: Effect | float) -> float:
        """Return how many standard errors lie between this effect and another, or a plain number."""
        value, error = (other.estimate, other.standard_error) if isinstance(other, Effect) else (float(other), 0.0)
        gap, spread = abs(self.estimate - value), math.hypot(self.standard_error, error)
        return 0.0 if gap == 0 else gap / spread if spread > 0 else math.inf

    def scaled(self, factor: float, *, unit: str = "") -> Effect:
        """Return the effect in another unit: units into money, a whole test into a week."""
        ends = {level: (low * factor, high * factor) for level, (low, high) in self.intervals.items()}
        turned = {level: (min(pair), max(pair)) for level, pair in ends.items()}
        error = self.standard_error * abs(factor)
        return replace(self, estimate=self.estimate * factor, standard_error=error, intervals=turned, unit=unit or self.unit)

    def checked(self, *checks: Check) -> Effect:
        """Return the effect with further checks beside those it has."""
        return replace(self, checks=(*self.checks, *checks))

    def row(self) -> dict[str, float]:
        """Return mean and interval columns: mean, lo50, hi50, ..., lo95, hi95."""
        ends = {f"{end}{level}": value for level in LEVELS for end, value in zip(("lo", "hi"), self.intervals[level], strict=True)}
        return {"mean": self.estimate, "standard_error": self.standard_error, **ends}

    def experiment(self, name: str, channel: str, start: str, end: str) -> dict[str, Any]:
        """Return the effect as a row of the `experiments` table, by which media models are calibrated; dates as in 2026-11-30."""
        return {
            "name": name,
            "channel": channel,
            "start": start,
            "end": end,
            "lift": self.estimate,
            "standard_error": self.standard_error,
        }

    def facts(self, name: str = "effect") -> tuple[Fact, ...]:
        """Return the estimate, its 90 percent interval and every check as facts; a check that failed says so in words."""
        low, high = self.intervals[90]
        said = [
            Fact(name, self.estimate, self.unit, f"by {self.method} on {self.n:,}"),
            Fact(f"{name} lo90", low, self.unit, "the lower end of the 90 percent interval"),
            Fact(f"{name} hi90", high, self.unit, "the upper end of the 90 percent interval"),
        ]
        states = {True: "passed", False: "failed", None: "only told"}
        return (*said, *(Fact(f"check: {check.name}", states[check.passed], "", check.words) for check in self.checks))

    def as_dict(self) -> dict[str, Any]:
        """Return the effect as plain data."""
        return {
            "estimate": self.estimate,
            "standard_error": self.standard_error,
            "intervals": {str(level): list(pair) for level, pair in self.intervals.items()},
            "method": self.method,
            "n": self.n,
            "unit": self.unit,
            "assumptions": list(self.assumptions),
            "checks": [{"name": one.name, "passed": one.passed, "words": one.words, "value": one.value} for one in self.checks],
        }

    @classmethod
    def from_dict(cls, said: Mapping[str, Any]) -> Effect:
        """Read an effect back from plain data; raises BadValue where a part is missing or of the wrong kind."""
        try:
            return cls(
                float(said["estimate"]),
                float(said["standard_error"]),
                {int(level): (float(pair[0]), float(pair[1])) for level, pair in said["intervals"].items()},
                str(said["method"]),
                int(said["n"]),
                str(said.get("unit", "")),
                tuple(map(str, said.get("assumptions", ()))),
                tuple(Check(one["name"], one["passed"], one["words"], one.get("value")) for one in said.get("checks", ())),
            )
        except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            raise BadValue("this is not an effect written as plain data") from error
