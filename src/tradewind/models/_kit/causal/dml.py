"""Double machine learning: the effect of one thing beside many that moved with it, learned on groups and judged on others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.core.effect import Check, Effect
from tradewind.core.errors import BadValue
from tradewind.models._kit.causal import given, law
from tradewind.models._kit.causal.learners import Boost, folds

Array = np.ndarray[Any, Any]
FEW_GROUPS = 20  # below it errors by cluster are known to be too small
EXPLAINED = 0.995  # of the treatment's variance: nothing is left that moved by itself
ASSUMED = (
    "what moved both treatment and outcome is among the controls, or stays the same within a group",
    "a control is not itself changed by the treatment",
    "where the effect differs between cases this is its mean, weighted to where the treatment moved by itself",
)


@dataclass(frozen=True, slots=True)
class _Round:
    effect: float
    error: float
    explained: float
    fitted: float
    outside: float


def effect(
    outcome: Any,
    treatment: Any,
    controls: Any,
    *,
    seed: int,
    groups: Any = None,
    within: bool | None = None,
    count: int = 5,
    repeats: int = 1,
    learner: Boost | None = None,
) -> Effect:
    """Return what one more unit of `treatment` adds to `outcome`, all `controls` held still.

    The partially linear model of Chernozhukov et al. (2018): outcome and treatment are each predicted from the controls on folds
    that leave whole `groups` out (stores, customers), and the residuals are regressed on each other, with errors by group.
    `within` also controls each group's own means of treatment and controls, so that what is constant within a group cannot
    confound (Mundlak 1978; Clarke and Polselli 2023); it is on where the treatment varies inside the groups. A treatment of 0 and 1 is
    predicted as a chance. `repeats` draws the folds anew and takes medians. Raises BadValue for missing values, a constant column,
    fewer groups than folds, or a treatment that the controls determine.
    """
    value = given.numbers(outcome, "outcome")
    cause = given.numbers(treatment, "treatment", rows=len(value))
    rows, _ = given.matrix(controls, "controls", rows=len(value))
    own = np.arange(len(value)) if groups is None else given.labels(groups, "groups", rows=len(value))[0]
    if repeats < 1 or count < 2:
        raise BadValue("at least two folds and one repeat are needed")
    inside = _varies(cause, own) if within is None else within
    if inside and groups is None:
        raise BadValue("within needs groups", hint="say which rows are of one store or customer")
    seen = np.c_[rows, _means(np.c_[cause, rows], own)] if inside else rows
    grown = learner or Boost()
    rounds = [_once(value, cause, seen, own, count=count, seed=seed + 101 * number, learner=grown) for number in range(repeats)]
    estimate = float(np.median([one.effect for one in rounds]))
    error = float(np.sqrt(np.median([one.error**2 + (one.effect - estimate) ** 2 for one in rounds])))
    clusters = int(own.max()) + 1
    method = f"double machine learning, {count} folds of {'rows' if groups is None else 'groups'}" + (", within groups" if inside else "")
    checks = _checks(rounds, clusters, binary=_binary(cause))
    return law.student(estimate, error, freedom=clusters - 1, method=method, n=len(value), assumptions=ASSUMED, checks=checks)


def _once(value: Array, cause: Array, rows: Array, own: Array, *, count: int, seed: int, learner: Boost) -> _Round:
    binary = _binary(cause)
    fold = folds(own, count, seed)
    said = np.zeros((2, len(value)))
    for number in range(count):
        seen, asked = fold != number, fold == number
        if np.ptp(cause[seen]) == 0:
            raise BadValue(
                "some folds see one value of the treatment only", hint="too few groups were treated: use fewer folds or more groups"
            )
        for at, (target, chance) in enumerate(((value, False), (cause, binary))):
            said[at, asked] = learner.grow(rows[seen], target[seen], seed, chance=chance).predict(rows[asked], num_threads=1)
    left, moved = value - said[0], cause - said[1]
    explained = 1 - float(moved @ moved) / float(((cause - cause.mean()) ** 2).sum())
    if explained > EXPLAINED:
        raise BadValue(
            "the controls determine the treatment: nothing is left that moved by itself",
            hint="drop the control that restates the treatment, or use data in which it was varied",
        )
    strength = float(moved @ moved)
    effect = float(moved @ left) / strength
    clusters = int(own.max()) + 1
    summed = np.bincount(own, moved * (left - effect * moved))
    error = float(np.sqrt((summed**2).sum() * clusters / (clusters - 1))) / strength
    fitted = 1 - float(left @ left) / float(((value - value.mean()) ** 2).sum())
    outside = float(((said[1] < 0.01) | (said[1] > 0.99)).mean()) if binary else 0.0
    return _Round(effect, error, explained, fitted, outside)


def _binary(cause: Array) -> bool:
    return bool(np.isin(cause, (0.0, 1.0)).all())


def _varies(cause: Array, own: Array) -> bool:
    """Tell whether at least half of the treatment's variance lies inside groups of several rows."""
    size = np.bincount(own)
    if size.max() < 2 or len(size) == len(cause):
        return False
    away = cause - (np.bincount(own, cause) / size)[own]
    return bool((away @ away) >= 0.5 * ((cause - cause.mean()) ** 2).sum())


def _means(columns: Array, own: Array) -> Array:
    size = np.bincount(own)
    return np.stack([(np.bincount(own, column) / size)[own] for column in columns.T], 1)


def _checks(rounds: list[_Round], clusters: int, *, binary: bool) -> tuple[Check, ...]:
    explained = float(np.median([one.explained for one in rounds]))
    outside = float(np.median([one.outside for one in rounds]))
    made = [
        Check(
            "groups",
            None if clusters < FEW_GROUPS else True,
            f"{clusters} independent groups" + ("; below twenty the error is likely too small" if clusters < FEW_GROUPS else ""),
            float(clusters),
        ),
        Check("treatment moved by itself", explained < 0.95, f"the controls explain {100 * explained:.0f} % of the treatment", explained),
        Check("outcome explained", None, f"the controls explain {100 * rounds[0].fitted:.0f} % of the outcome", rounds[0].fitted),
    ]
    if binary:
        words = f"{100 * outside:.0f} % of the rows were almost surely treated or almost surely not"
        made.append(Check("overlap", outside < 0.10, words, outside))
    return tuple(made)
