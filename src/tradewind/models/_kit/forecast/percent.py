"""The point of least expected percentage error: what to say where one is judged by MAPE."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from tradewind.core.model import LEAST_MAPE
from tradewind.core.schema import Column, Role, Type
from tradewind.models._kit.intervals import TAUS

Array = np.ndarray[Any, Any]
NAME = LEAST_MAPE
ASKED = "percent"  # the knob, and the fact of a state that answers with the point
MEANING = "the point of least expected percentage error where anything is sold: lower than the median, not to be added up"
LEAST = 0.02  # of what a series usually sells: a smaller outcome weighs no more, and no smaller one is said
SLICES = 200
SPREAD: Array = np.stack([np.interp((np.arange(SLICES) + 0.5) / SLICES, TAUS, one) for one in np.eye(len(TAUS))])
"""What each quantile of TAUS adds to each of SLICES equally likely outcomes."""
TINY = 1e-9


def described(unit: str) -> Column:
    """Return the column of a table of answers."""
    return Column(NAME, Role.OUTPUT, Type.NUMBER, unit=unit, meaning=MEANING, minimum=0)


def weight(ratio: Array) -> Array:
    """Return what an absolute error weighs in percentage errors, from outcomes in units of what is usual."""
    found: Array = 1 / np.maximum(ratio, LEAST)
    return found


def least(quantiles: Array, whole: Array) -> Array:
    """Return the point that has the least expected percentage error, (rows,): the median where every outcome weighs 1 over itself.

    `quantiles` (rows, len(TAUS)) rise; between them outcomes are taken as evenly spread, beyond them as the outermost, and as whole
    numbers in the rows of `whole`. Nothing sold has no percentage error and does not count; where nothing else is expected it is zero.
    The optimum is the median of a density proportional to f(y) / y (Gneiting 2011, "Making and Evaluating Point Forecasts").
    """
    outcomes: Array = quantiles @ SPREAD
    outcomes[whole] = np.round(outcomes[whole])
    there = outcomes > TINY
    gathered = (there / np.where(there, outcomes, 1.0)).cumsum(1)
    found: Array = outcomes[np.arange(len(outcomes)), (gathered >= gathered[:, -1:] / 2).argmax(1)]
    return found


def together(points: Iterable[tuple[float, Array]]) -> Array:
    """Return the weighted geometric mean of several (weight, points); a point that is NaN is left out, NaN where all are."""
    logged: Any = 0.0
    weights: Any = 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        for share, point in points:
            known = np.isfinite(point)
            logged = logged + np.where(known, share * np.log(point), 0.0)
            weights = weights + share * known
        found: Array = np.exp(logged / weights)
    return found


def asked(states: Iterable[Any]) -> dict[str, int]:
    """Return the fact that an answer of several states has the point: where any of them was asked for it."""
    return {ASKED: 1} if any(ASKED in state.facts for state in states) else {}
