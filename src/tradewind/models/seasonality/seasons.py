"""Which seasons a grain has, which of them a history can tell, and where in its season a period lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.models._kit.calendar import Clock

Array = np.ndarray[Any, Any]
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December")


@dataclass(frozen=True, slots=True)
class Season:
    """One season: in how many phases it is told, how long it is in periods, how many of it must be known.

    `waves` 0 is one effect per phase.
    """

    name: str
    phases: int
    length: float
    needed: float
    waves: int
    freedom: float  # prior standard deviation in logs; of waves: of the first one


YEAR = 365.25
JOINED = "\x1f"  # between the keys of a series
LEAST = 8
"""Figures below which there is nothing to take apart."""
RANGE = "range"
"""Column that says which share of usual sales was on sale."""
LOWEST = 1e-6  # of a price, that has a logarithm
USUAL = "usual_price"
"""Column that says which price of a series counts as none."""
SEASONS: Mapping[str, tuple[Season, ...]] = {
    "hour": (
        Season("day", 24, 24.0, 7.0, 0, 0.7),
        Season("week", 7, 168.0, 4.0, 0, 0.5),
        Season("year", 366, 24 * YEAR, 1.9, 8, 0.3),
    ),
    "day": (Season("week", 7, 7.0, 4.0, 0, 0.5), Season("year", 366, YEAR, 1.9, 8, 0.3)),
    "week": (Season("year", 366, YEAR / 7, 1.9, 10, 0.3),),
    "month": (Season("year", 12, 12.0, 1.9, 0, 0.5),),
    "quarter": (Season("year", 4, 4.0, 1.9, 0, 0.5),),
}
BEND: Mapping[str, int] = {"hour": 672, "day": 56, "week": 8, "month": 6, "quarter": 4}
YEARLY: Mapping[str, int] = {"hour": 2190, "day": 91, "week": 13, "month": 6, "quarter": 4}
"""Periods between two knots of the trend; beside a season of the year it has to be slower than that."""
BLOCK: Mapping[str, int] = {"hour": 168, "day": 28, "week": 6, "month": 6, "quarter": 4}
"""Periods that are drawn together in the bootstrap: errors inside them hang together."""
AHEAD: Mapping[str, int] = {"hour": 672, "day": 366, "week": 53, "month": 12, "quarter": 4}
"""Periods after the last figure that are told by default."""


def of_history(grain: str, periods: int) -> tuple[tuple[Season, ...], tuple[Season, ...]]:
    """Return the seasons that so many periods can tell, and those they cannot."""
    can = tuple(season for season in SEASONS[grain] if periods >= season.needed * season.length)
    return can, tuple(season for season in SEASONS[grain] if season not in can)


def phase(season: Season, clock: Clock, numbers: Array) -> Array:
    """Return the phase of each period, 0 to phases - 1; a day of the year as in a leap year, so that 1 March is always the same."""
    dates = clock.date(np.asarray(numbers, "i8"))
    if season.name == "day":
        return np.asarray(numbers, "i8") % 24
    days = dates.astype("M8[D]")
    if season.name == "week":
        return (days.astype("i8") + 3) % 7
    months = days.astype("M8[M]")
    if season.phases == 12:
        return months.astype("i8") % 12
    if season.phases == 4:
        return months.astype("i8") % 12 // 3
    days = days + 3 if clock.grain.name == "week" else days  # a week is where its middle is
    months = days.astype("M8[M]")
    starts = np.array([0, 31, 60, 91, 121, 152, 182, 213, 244, 274, 305, 335])
    found: Array = starts[months.astype("i8") % 12] + (days - months.astype("M8[D]")).astype("i8")
    return found


def basis(season: Season) -> tuple[Array, Array]:
    """Return the season's columns at every phase, (phases, columns), and their prior standard deviations."""
    if season.waves == 0:
        return np.vstack([np.eye(season.phases - 1), -np.ones(season.phases - 1)]), np.full(season.phases - 1, season.freedom)
    angle = 2 * np.pi * np.arange(season.phases)[:, None] * np.arange(1, season.waves + 1) / season.phases
    columns = np.stack([np.cos(angle), np.sin(angle)], 2).reshape(season.phases, -1)
    return columns, np.repeat(season.freedom / np.arange(1, season.waves + 1) ** 1.5, 2)


def centred(logged: Array) -> Array:
    """Return log indices (..., phases) whose index has the mean one."""
    found: Array = logged - np.log(np.exp(logged).mean(-1, keepdims=True))
    return found


def told(season: Season, at: int) -> str:
    """Name a phase."""
    if season.name == "week":
        return WEEKDAYS[at]
    if season.name == "day":
        return f"{at:02d}:00"
    return f"Q{at + 1}" if season.phases == 4 else MONTHS[at]
