"""What a version must pass before it serves: pure checks of what was measured."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.core.answer import Fact
from tradewind.core.model import Model
from tradewind.core.table import Table

INCUMBENT = "incumbent"
PARITY = 1e-4
LIMITS: Mapping[str, tuple[float, str, str]] = {
    "load_s": (5.0, "s", "from sealed bytes to the first answer"),
    "one_ms": (50.0, "ms", "one question, without HTTP"),
    "hundred_ms": (500.0, "ms", "a hundred questions at once, without HTTP"),
    "memory_mb": (512.0, "MB", "resident memory of the worker"),
}


@dataclass(frozen=True, slots=True)
class Gate:
    """One check: whether it passed, the number it looked at, and what is to be said of it.

    `may_force` gates may be passed over with a reason: they are a matter of judgement, the others of safety.
    """

    name: str
    passed: bool
    fact: Fact
    words: str = ""
    may_force: bool = False


def judge(model: Model, manifest: Mapping[str, Any], *, compare_incumbent: bool) -> list[Gate]:
    """Return the gates about quality: the model's goal and, where another version serves, the comparison with it."""
    return [goal(model, manifest), *([incumbent(model, manifest)] if compare_incumbent else [])]


def goal(model: Model, manifest: Mapping[str, Any]) -> Gate:
    """Check the goal: a fixed bound on the metric, or a gain on the naive baseline of so many standard errors."""
    scores, wanted = manifest.get("scores", {}), model.goal
    if wanted.at_most is not None:
        found = _number(scores.get(wanted.metric))
        said = f"{wanted.metric} is {found:.4g}, the goal is at most {wanted.at_most:g}"
        return Gate(
            "goal", found <= wanted.at_most, Fact("goal", _said(found), "", f"{wanted.metric}, lower is better"), said, may_force=True
        )
    gain, error = _number(scores.get("gain")), _number(scores.get("gain_error"))
    passed = bool((gain > 0 or wanted.by_errors < 0) and gain >= wanted.by_errors * error)
    said = f"the gain on the naive baseline is {gain:.4g}, its standard error {error:.4g}; {wanted.by_errors:g} of them are asked"
    return Gate("goal", passed, Fact("goal", _said(gain), "", "gain on the naive baseline on the same folds"), said, may_force=True)


def incumbent(model: Model, manifest: Mapping[str, Any]) -> Gate:
    """Check that the version is not worse than the one that serves, refitted on the same folds (a row of the leaderboard)."""
    metric = model.goal.metric
    board = manifest.get("leaderboard", {})
    names = list(board.get("recipe", []))
    if INCUMBENT not in names:
        said = "it was not compared with the version that serves: it was trained before that one did"
        return Gate("incumbent", False, Fact("incumbent", None, "", said), said, may_force=True)
    theirs, mine = _number(board[metric][names.index(INCUMBENT)]), _number(manifest.get("scores", {}).get(metric))
    said = f"{metric} is {mine:.4g}, the version that serves has {theirs:.4g} on the same folds"
    fact = Fact("incumbent", _said(mine - theirs), "", f"{metric} less that of the version that serves")
    return Gate("incumbent", bool(mine <= theirs), fact, said, may_force=True)


def golden(expected: Table, got: Table | None, *, tolerance: float = PARITY) -> Gate:
    """Check that a worker reproduces the golden answers; numbers may differ by `tolerance` of their column's largest."""
    worst, where = (math.inf, "no table") if got is None else _difference(expected, got)
    said = f"golden answers differ by {worst:.2g} ({where}), {tolerance:g} is allowed"
    return Gate("golden", worst <= tolerance, Fact("golden", _said(worst), "", "largest difference from the golden answers"), said)


def limits(measured: Mapping[str, float], *, at_most: Mapping[str, float] | None = None) -> list[Gate]:
    """Check time and memory as measured on this machine, each against its limit."""
    found = []
    for name, (limit, unit, meaning) in LIMITS.items():
        bound, value = (at_most or {}).get(name, limit), _number(measured.get(name))
        said = f"{name} is {value:.4g} {unit}, at most {bound:g} is allowed"
        found.append(Gate(name, value <= bound, Fact(name, _said(value), unit, meaning), said))
    return found


def isolation(found: Mapping[str, Any], *, required: bool) -> Gate:
    """Check the jail: anything but full isolation is refused where the workspace insists on it."""
    level = str(found.get("level", "unknown"))
    fact = Fact("isolation", level, "", "what holds the worker in")
    return Gate("isolation", level == "full" or not required, fact, f"the worker's isolation is {level}")


def _difference(expected: Table, got: Table) -> tuple[float, str]:
    """Return the largest relative difference and the column it is in; infinite where shapes or texts differ."""
    worst, where = 0.0, "none"
    if not len(expected) or not expected.names:
        return math.inf, "there are none to compare with"
    for name in expected.names:
        if name not in got or len(got) != len(expected):
            return math.inf, f"{name} is missing or has another length"
        ours, theirs = expected.column(name), got.column(name)
        if ours.dtype.kind not in "biuf" or theirs.dtype.kind not in "biuf":
            if ours.astype(str).tolist() != theirs.astype(str).tolist():
                return math.inf, name
            continue
        apart = _apart(ours.astype("f8"), theirs.astype("f8"))
        if apart > worst:
            worst, where = apart, name
    return worst, where


def _apart(ours: np.ndarray[Any, Any], theirs: np.ndarray[Any, Any]) -> float:
    if not np.array_equal(np.isfinite(ours), np.isfinite(theirs)):
        return math.inf
    known = np.isfinite(ours)
    scale = float(np.max(np.abs(ours[known]), initial=0.0)) or 1.0
    return float(np.max(np.abs(ours[known] - theirs[known]), initial=0.0)) / scale


def _number(value: Any) -> float:
    """Return a measured number; what was not measured is not a number, and no gate lets that pass."""
    return float(value) if isinstance(value, int | float | np.number) else math.nan


def _said(value: float) -> float | None:
    return round(value, 6) if math.isfinite(value) else None
