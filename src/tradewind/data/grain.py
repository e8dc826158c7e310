"""How far apart the rows of a series are: minutes, hours, days, weeks, months, quarters or years."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

DAY = 1440  # minutes
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MOST = 0.9  # share of the steps (or of the weekdays) that must agree


@dataclass(frozen=True, slots=True)
class Grain:
    """A regular grid of moments: `name`, its `step` (minutes, or months where `monthly`) and where it begins.

    `phase` is the minute (or the day for months: 0 = first, -1 = last of the month) that every moment falls on.
    """

    name: str
    step: int
    phase: int = 0
    monthly: bool = False

    def index(self, moments: Array) -> Array:
        """Return the number of the period that each moment (datetime64) lies in."""
        if self.monthly:
            return moments.astype("M8[M]").astype("i8") // self.step
        return (moments.astype("M8[m]").astype("i8") - self.phase) // self.step

    def moment(self, index: Array) -> Array:
        """Return the moment of each period: datetime64[D], or [us] where the grain is finer than a day."""
        if self.monthly:
            first = (index * self.step).astype("M8[M]").astype("M8[D]")
            if self.phase >= 0:
                return first
            return ((index + 1) * self.step).astype("M8[M]").astype("M8[D]") - np.timedelta64(1, "D")
        moments = (index * self.step + self.phase).astype("M8[m]")
        return moments.astype("M8[D]") if self.step % DAY == 0 and self.phase % DAY == 0 else moments.astype("M8[us]")

    def on_grid(self, moments: Array) -> Array:
        """Tell which moments are a grid moment."""
        made = self.moment(self.index(moments))
        return np.asarray(made == moments.astype(made.dtype))


def detect(moments: Array, series: Array) -> Grain:
    """Find the grain of rows sorted by series and time; `series` numbers the series of each row."""
    same = series[1:] == series[:-1]
    minutes = moments.astype("M8[m]").astype("i8")
    steps = np.diff(minutes)[same]
    steps = steps[steps > 0]
    if steps.size == 0:
        return Grain("day", DAY)
    values, counts = np.unique(steps, return_counts=True)
    common = int(values[np.argmax(counts)])
    if common < DAY:
        return _finer(minutes, values, counts, common)
    return _months(moments, values, counts) or _weeks(moments, values, counts) or Grain("day", DAY)


def _finer(minutes: Array, values: Array, counts: Array, common: int) -> Grain:
    regular = counts[values % common == 0].sum() >= MOST * counts.sum()
    step = common if regular else int(np.gcd.reduce(values))
    name = "hour" if step == 60 else "minute" if step == 1 else f"{step // 60} hours" if step % 60 == 0 else f"{step} minutes"
    return Grain(name, step, int(np.bincount(minutes % step).argmax()))


def _months(moments: Array, values: Array, counts: Array) -> Grain | None:
    days = moments.astype("M8[D]")
    months = days.astype("M8[M]")
    first = bool((days == months.astype("M8[D]")).all())
    last = bool((days == (months + 1).astype("M8[D]") - 1).all())
    if not (first or last) or values[0] < 28 * DAY:
        return None
    spacing = np.unique(months).astype("i8")
    step = int(np.gcd.reduce(np.diff(spacing))) if len(spacing) > 1 else 1
    typical = float(np.average(values, weights=counts)) / DAY
    step = 12 if step % 12 == 0 and typical > 300 else 3 if step % 3 == 0 and typical > 80 else 1
    name = {1: "month", 3: "quarter", 12: "year"}[step]
    if step > 1 and (np.unique(months.astype("i8") % step).size > 1 or int(months[0].astype("i8")) % step != (0 if first else step - 1)):
        return Grain("month", 1, 0 if first else -1, monthly=True)
    return Grain(name, step, 0 if first else -1, monthly=True)


def _weeks(moments: Array, values: Array, counts: Array) -> Grain | None:
    if counts[values % (7 * DAY) == 0].sum() < MOST * counts.sum():
        return None
    weekday = (moments.astype("M8[D]").astype("i8") + 3) % 7
    found = np.bincount(weekday, minlength=7)
    anchor = int(found.argmax())
    if found[anchor] < MOST * weekday.size:
        return None
    return Grain("week", 7 * DAY, ((anchor - 3) % 7) * DAY)


def anchor(grain: Grain) -> str:
    """Name the weekday of a weekly grid, or which end of the month a monthly one stands on."""
    if grain.name == "week":
        return WEEKDAYS[(grain.phase // DAY + 3) % 7]
    if grain.monthly:
        return "first day" if grain.phase >= 0 else "last day"
    return ""
