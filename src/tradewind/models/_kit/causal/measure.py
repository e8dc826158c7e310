"""What a test or an event did: the estimator that fits what there is, on a table that is laid out for it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.core.effect import Effect
from tradewind.core.errors import BadValue, EmptyTable
from tradewind.core.table import Table
from tradewind.models._kit.causal import did, impact, law, synth

Array = np.ndarray[Any, Any]
METHODS = ("auto", "synthetic", "differences", "impact")
ALL_ALONE = "nothing was left alone: what would have been is read off the past of the series itself"


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """An effect per treated unit and period, the same as a share of what was expected, and the sum over all treated units and periods.

    `path` has, for the sum of the treated units, `date`, `observed`, `expected`, `lo90`, `hi90` and `treated` (0 before the start).
    `shares` says how much of what was seen before the start each treated unit had.
    """

    effect: Effect
    lift: Effect | None
    total: Effect
    method: str
    why: str
    controls: int
    path: Table
    shares: Mapping[str, float]

    def parts(self) -> dict[str, bytes]:
        """Return it as bytes by name: what a process hands back."""
        said = {
            "effect": self.effect.as_dict(),
            "lift": None if self.lift is None else self.lift.as_dict(),
            "total": self.total.as_dict(),
            "method": self.method,
            "why": self.why,
            "controls": self.controls,
            "shares": dict(self.shares),
        }
        return {"said": json.dumps(said).encode(), "path": self.path.to_bytes()}

    @classmethod
    def of(cls, parts: Mapping[str, bytes]) -> Measured:
        """Read what `parts` wrote."""
        said = json.loads(parts["said"])
        lift = None if said["lift"] is None else Effect.from_dict(said["lift"])
        effect, total = Effect.from_dict(said["effect"]), Effect.from_dict(said["total"])
        path = Table.from_bytes(parts["path"])
        return cls(effect, lift, total, said["method"], said["why"], said["controls"], path, said["shares"])


def measure(
    table: Table,
    treated: Sequence[str],
    starts: int,
    *,
    method: str = "auto",
    donors: Sequence[str] = (),
    season: int = 0,
    unit: str = "",
    seed: int = 0,
) -> Measured:
    """Estimate what happened to the treated units from period number `starts` on.

    `table` is laid out: `date`, `unit`, `outcome`, every unit in every period. Nobody named means that all were treated, and their sum is
    measured. `donors` are the units to compare with, all others where none is named; `season` is a season's length in periods, for the
    structural impact; `unit` is that of the outcome. Raises BadValue, EmptyTable.
    """
    if method not in METHODS:
        raise BadValue(f"there is no method {method!r}", hint=f"methods: {', '.join(METHODS)}")
    who, when, value = table.column("unit").astype(str), table.column("date"), table.column("outcome")
    units, times = np.unique(who), np.unique(when)
    if not 0 < starts < len(times):
        there = "no whole period of the test" if starts >= len(times) else "no period before the test"
        raise EmptyTable(f"{there} is in the table", hint=f"it has {len(times):,} periods from {times[0]} to {times[-1]}")
    own = sorted(set(map(str, treated)))
    _comparable(own, list(map(str, donors)))
    others = [name for name in (donors or units.tolist()) if name not in own] if own else []
    unknown = sorted({*own, *others} - set(units.tolist()))
    if unknown:
        raise BadValue(f"there is no unit {unknown[0]!r} to compare", hint=f"units: {', '.join(units[:12].tolist())}")
    chosen, why = _chosen(method, len(others), starts)
    keep = np.isin(who, [*own, *others]) if own else np.ones(len(who), bool)
    case = _Case(who[keep], when[keep], value[keep], tuple(own), tuple(others), times[starts], season, seed)
    effect, lift, total, path = {"synthetic": _mixed, "differences": _parallel, "impact": _alone}[chosen](case)
    said = [one.scaled(1.0, unit=unit) for one in (effect, total)]
    return Measured(said[0], lift, said[1], chosen, why, len(others), _path(case, path), _shares(case))


def _comparable(own: Sequence[str], donors: Sequence[str]) -> None:
    """Raise BadValue where a donor is treated itself, or where all is treated and nothing is left to compare with."""
    both = sorted(set(own) & set(donors))
    if both:
        raise BadValue(f"{both[0]} cannot be compared with itself", hint="a donor is a place that was left alone")
    if donors and not own:
        raise BadValue("donors are named, but not where it was done", hint="name the treated places; without them all are treated")


@dataclass(frozen=True, slots=True, eq=False)
class _Case:
    """Long rows (`who`, `when`, `value`) of the treated (`own`; none means all) and of those they are compared with."""

    who: Array
    when: Array
    value: Array
    own: tuple[str, ...]
    others: tuple[str, ...]
    start: Any
    season: int
    seed: int

    @property
    def count(self) -> int:
        """Return how many series are treated; all together are one."""
        return max(len(self.own), 1)

    def series(self, names: Sequence[str]) -> Array:
        """Return the sum of these units by period."""
        kept = np.isin(self.who, names)
        times = np.unique(self.when)
        made: Array = np.bincount(np.searchsorted(times, self.when[kept]), self.value[kept], len(times))
        return made


Found = tuple[Effect, Effect | None, Effect, tuple[Array, Array, Array, Array, Array]]
"""Effect per unit and period, lift, total; dates, observed, expected, lo90 and hi90 of the mean treated unit."""


def _chosen(method: str, others: int, before: int) -> tuple[str, str]:
    """Return the method and why it was taken."""
    if method != "auto":
        return method, "as asked"
    if others < 2:
        return "impact", ALL_ALONE if not others else "one unit alone was left: it helps to say what would have been"
    if others >= synth.FEWEST_DONORS and before >= synth.FEWEST_BEFORE:
        return "synthetic", f"{others} units were left alone, and {before} periods before the start say how to mix them"
    return "differences", f"{others} units and {before} periods before the start are too few to mix"


def _mixed(case: _Case) -> Found:
    made = synth.effect(case.who, case.when, case.value, case.own, case.start, donors=case.others, seed=case.seed)
    return made.effect, made.lift, made.total, (made.times, made.observed, made.expected, made.lo90, made.hi90)


def _parallel(case: _Case) -> Found:
    made = did.effect(case.who, case.when, case.value, dict.fromkeys(case.own, case.start))
    path = did.course(case.who, case.when, case.value, case.own, case.start)
    after = path.observed[path.start :]
    lift, total = law.share_of(made, float(after.mean())), made.scaled(len(after) * case.count)
    return made, lift, total, (path.times, path.observed, path.expected, path.lo90, path.hi90)


def _alone(case: _Case) -> Found:
    times, aim = np.unique(case.when), case.series(case.own or np.unique(case.who).tolist()) / case.count
    first = max(len(times) - impact.MOST, 0)  # what is long past says little, and the exact covariance is large
    times, at = times[first:], int((times[first:] < case.start).sum())
    beside = np.stack([case.series([name]) for name in case.others], 1)[first:] if case.others else None
    made = impact.effect(aim[first:], at, controls=beside, season=case.season if at >= 2 * case.season else 0)
    return made.effect, made.lift, made.total.scaled(case.count), (times, made.observed, made.expected, made.lo90, made.hi90)


def _path(case: _Case, path: tuple[Array, Array, Array, Array, Array]) -> Table:
    dates, *values = path
    made = {name: case.count * value for name, value in zip(("observed", "expected", "lo90", "hi90"), values, strict=True)}
    return Table.from_columns({"date": dates, **made, "treated": (dates >= case.start).astype("i8")})


def _shares(case: _Case) -> dict[str, float]:
    """Return each treated unit's share of their sum before the start; even ones where the sum is not above zero."""
    before = case.when < case.start
    names = case.own or tuple(np.unique(case.who).tolist())
    sums = {name: float(case.value[(case.who == name) & before].sum()) for name in names}
    whole = sum(sums.values())
    if whole <= 0 or min(sums.values()) < 0:
        return dict.fromkeys(names, 1 / len(names))
    return {name: one / whole for name, one in sums.items()}


def experiments(found: Measured, places: Sequence[str], spend_change: float | None, **words: str) -> list[dict[str, Any]]:
    """Return rows of the `experiments` table: `words` are name, channel, start, end.

    Several places share the lift by what they had before, and the errors are such that together they say as much as the one they come from:
    with shares s and error e each has the error s e sqrt(k), since the sum of (s / error)^2 must be 1 / e^2. `spend_change` is the share by
    which the test moved spend in the treated places (0.5 is half more); the table compares with what was spent, so the row says what going
    back to the usual spend would have done. Without it the channel is taken to have run in the test only. Raises BadValue where it was
    switched off: a window without spend says nothing of spend.
    """
    total = found.total
    if spend_change is not None and not -1 < spend_change < math.inf:
        raise BadValue(
            f"a test that moved spend by {spend_change:g} leaves no spend in its window to learn from", hint="above -1: -0.5 halves"
        )
    if spend_change == 0:
        raise BadValue("a test that moved no spend says nothing of spend", hint="0.5 is half more, -0.5 is half of it")
    back = {} if spend_change is None else {"spend_change": -spend_change / (1 + spend_change)}
    whole = total if spend_change is None else total.scaled(-1.0)
    if not places:
        return [whole.experiment(**words) | back]
    rows = []
    for place in (one for one in places if found.shares[one] > 0):
        share = found.shares[place]
        row = whole.experiment(**words | {"name": words["name"] if len(places) == 1 else f"{words['name']} {place}"})
        parted = {"lift": share * row["lift"], "standard_error": share * row["standard_error"] * math.sqrt(len(places))}
        rows.append(row | parted | {"geo": place} | back)
    return rows
