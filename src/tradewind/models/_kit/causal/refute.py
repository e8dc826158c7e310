"""Attempts to refute an effect: causes that cannot be causes, places and times without one, and what a hidden cause would take.

Every function takes the estimator as a function of the one thing it changes, and returns a check to be put beside the effect
(`effect.checked(...)`): Sharma and Kiciman 2020 for the idea, Cinelli and Hazlett 2020 for the hidden cause.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from tradewind.core.effect import Check, Effect
from tradewind.core.errors import BadValue, InvalidInput
from tradewind.models._kit.causal import given

Array = np.ndarray[Any, Any]
LEVEL = 95  # percent: a placebo outside this interval is a false alarm
RARE = 0.01  # that many false alarms or more, by chance, once in a hundred


def permuted(estimate: Callable[[Array], Effect], treatment: Any, *, seed: int, groups: Any = None, draws: int = 20) -> Check:
    """Shuffle the treatment (within groups where they are given) and count how often an effect is found nonetheless."""
    cause = given.numbers(treatment, "treatment")
    own = np.zeros(len(cause), "i8") if groups is None else given.labels(groups, "groups", rows=len(cause))[0]
    random = np.random.default_rng(seed)
    order = np.argsort(own, kind="stable")
    found = []
    for _ in range(_some(draws)):
        shuffled = np.empty_like(cause)
        shuffled[order] = cause[np.lexsort((random.random(len(cause)), own))]
        found.append(estimate(shuffled))
    return _alarms("permutation", found, "shuffles of the treatment")


def in_time(estimate: Callable[[Any], Effect], starts: Sequence[Any]) -> Check:
    """Pretend the treatment began at other times, all before the true one (cut what comes after), and count the effects found."""
    return _placebo("placebo in time", estimate, starts, "false starts")


def in_space(estimate: Callable[[Any], Effect], units: Sequence[Any]) -> Check:
    """Pretend other units were treated (leave the treated out) and count the effects found."""
    return _placebo("placebo in space", estimate, units, "untreated units")


def random_cause(estimate: Callable[[Array], Effect], controls: Any, original: Effect, *, seed: int) -> Check:
    """Add a control that is pure noise: the effect may not move by more than one of its standard errors."""
    rows, _ = given.matrix(controls, "controls")
    noise = np.random.default_rng(seed).normal(size=(len(rows), 1))
    moved = estimate(np.c_[rows, noise]).estimate - original.estimate
    fine = abs(moved) <= original.standard_error
    return Check("random cause", bool(fine), f"a control of pure noise moves the effect by {moved:.3g}", moved)


def subset(estimate: Callable[[Array], Effect], groups: Any, original: Effect, *, seed: int, share: float = 0.8, draws: int = 5) -> Check:
    """Estimate on random parts (whole groups; `estimate` is given the rows kept as a mask): none may lie two of its errors away."""
    if not 0 < share < 1:
        raise BadValue("share must lie between 0 and 1")
    own, known = given.labels(groups, "groups")
    random = np.random.default_rng(seed)
    size = math.ceil(share * len(known))
    found = [estimate(np.isin(own, random.choice(len(known), size, replace=False))) for _ in range(_some(draws))]
    gaps = [abs(one.estimate - original.estimate) / one.standard_error if one.standard_error else 0.0 for one in found]
    worst = max(gaps)
    return Check("subset", worst <= 2, f"on {draws} random parts the effect moves by at most {worst:.2f} standard errors", worst)


def hidden_cause(original: Effect, freedom: float) -> Check:
    """Tell how strong a cause that nobody recorded would have to be to explain the whole effect away (the robustness value).

    `freedom` is the residual degrees of freedom. It only informs: whether so strong a cause is likely is not in the data.
    """
    if original.standard_error == 0 or freedom < 1:
        raise InvalidInput("a robustness value needs a standard error above zero and degrees of freedom")
    strength = (original.estimate / original.standard_error) ** 2 / freedom
    value = (math.sqrt(strength**2 + 4 * strength) - strength) / 2
    words = f"a hidden cause would have to explain {100 * value:.1f} % of what is left of both treatment and outcome"
    return Check("hidden cause", None, words, value)


def _placebo(name: str, estimate: Callable[[Any], Effect], places: Sequence[Any], words: str) -> Check:
    if not len(places):
        raise BadValue(f"{name} needs at least one place to pretend at")
    return _alarms(name, (estimate(place) for place in places), words)


def _alarms(name: str, found: Iterable[Effect], words: str) -> Check:
    """Fail where there are more false alarms than chance gives once in a hundred."""
    from scipy.stats import binom

    outside = [effect.excludes(0.0, level=LEVEL) for effect in found]
    many = sum(outside)
    p = float(binom.sf(many - 1, len(outside), 1 - LEVEL / 100))
    return Check(name, p > RARE, f"{many} of {len(outside)} {words} show an effect that cannot be there", many / len(outside))


def _some(draws: int) -> int:
    if draws < 1:
        raise BadValue("at least one draw is needed")
    return draws
