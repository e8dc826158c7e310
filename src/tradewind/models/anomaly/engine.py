"""What an engine is: it expects the next period of many series, and learns from what came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Day:
    """One period of some series: when, the figures (NaN: none), what else is known, and periods skipped since the last one.

    `whole` says that all series of the engine are in it, so that they can be compared with each other.
    """

    moment: Any
    value: Array
    inputs: Mapping[str, Array]
    whole: bool
    skipped: int = 0


@dataclass(frozen=True, slots=True)
class Said:
    """What was expected, in units of the engine: the figure is `value / unit`; `spread` as in `hidden.evidence`."""

    expected: Array
    spread: Array
    lift: Array
    unit: Array


@dataclass(frozen=True, slots=True)
class Past:
    """What was expected of the past, seen from before and after, in the user's unit, and how it was judged."""

    expected: Array
    spread: Array
    lift: Array
    unit: Array
    odds: Array
    chances: Array


class Engine(Protocol):
    """Expects and learns, series by series."""

    family: str  # counts | real | plain

    def take(self, rows: Array) -> Engine:
        """Return the engine of some series."""
        ...

    def put(self, rows: Array, part: Any) -> Engine:
        """Return the engine with some series moved on."""
        ...

    def ahead(self, day: Day) -> tuple[Said, Any]:
        """Say what is expected of a period before its figure is looked at."""
        ...

    def after(self, day: Day, said: Said, rest: Any, well: Array) -> Engine:
        """Return the engine after the period."""
        ...
