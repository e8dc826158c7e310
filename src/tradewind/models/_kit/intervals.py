"""The probabilities that every forecast is worked out at, and those a table of answers shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
LEVELS: Mapping[str, float] = {
    "p50": 0.5,
    "lo50": 0.25,
    "hi50": 0.75,
    "lo80": 0.1,
    "hi80": 0.9,
    "lo90": 0.05,
    "hi90": 0.95,
    "lo95": 0.025,
    "hi95": 0.975,
}
"""Column -> probability that the actual lies below it."""
TAUS: Array = np.array([0.025, 0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95, 0.975])
"""The probabilities of every quantile that is worked with, rising; `LEVELS` are those a table of answers shows."""


def quantiles(draws: Array, levels: Iterable[float]) -> Array:
    """Return quantiles over the last axis, levels first, between the two nearest draws: as numpy does, which takes ten times as long."""
    ranked = np.sort(draws, axis=-1)
    at = np.array(list(levels)) * (ranked.shape[-1] - 1)
    low = at.astype("i8")
    below, above = ranked[..., low], ranked[..., np.minimum(low + 1, ranked.shape[-1] - 1)]
    return np.moveaxis(below + (above - below) * (at - low), -1, 0)
