"""The naive engine: the median of the last figures in the same place of the week, and the median distance from it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tradewind.models.anomaly import hidden
from tradewind.models.anomaly.engine import Day, Past, Said
from tradewind.models.anomaly.grid import DAY, Beat, Grid
from tradewind.models.anomaly.series import robust

Array = np.ndarray[Any, Any]
LAST = 8  # figures of the same place that are remembered


@dataclass(frozen=True)
class Habit:
    """Per series: the last figures of every place of the week (S, places, LAST), and the usual distance from their median."""

    count: int
    kept: Array
    spread: Array

    family = "plain"

    def take(self, rows: Array) -> Habit:
        """Return the engine of some series."""
        return replace(self, kept=self.kept[rows], spread=self.spread[rows])

    def put(self, rows: Array, part: Habit) -> Habit:
        """Return the engine with some series moved on."""
        kept = self.kept.copy()
        kept[rows] = part.kept
        return replace(self, kept=kept, count=part.count)

    def ahead(self, day: Day) -> tuple[Said, Any]:
        """Say what is expected of one period: the median of the same place, or of all places while it is unknown."""
        place = (self.count + day.skipped) % self.kept.shape[1]
        expected = _median(self.kept[:, place])
        every = _median(self.kept.reshape(len(self.kept), -1))
        expected = np.where(np.isfinite(expected), expected, np.where(np.isfinite(every), every, 0.0))
        return Said(expected, self.spread, np.zeros(len(expected)), np.ones(len(expected))), place

    def after(self, day: Day, said: Said, rest: Any, well: Array) -> Habit:
        """Return the engine after the period."""
        kept = self.kept.copy()
        known = np.isfinite(day.value)
        kept[known, rest, :-1] = kept[known, rest, 1:]
        kept[known, rest, -1] = day.value[known]
        return replace(self, kept=kept, count=self.count + 1 + day.skipped)


def _median(kept: Array) -> Array:
    """Return the median of each row without its gaps; NaN where all is gap."""
    ordered = np.sort(kept, 1)  # gaps come last
    count = np.isfinite(kept).sum(1)
    rows = np.arange(len(kept))
    low, high = ordered[rows, np.maximum(count - 1, 0) // 2], ordered[rows, np.minimum(count // 2, kept.shape[1] - 1)]
    return np.asarray(np.where(count > 0, 0.5 * (low + np.where(count > 0, high, 0.0)), np.nan))


def places_of(beat: Beat) -> int:
    """Return how many places a week or a day has at this beat."""
    if beat.step == DAY:
        return 7
    return int(DAY // beat.step) if 0 < beat.step < DAY and DAY // beat.step <= 24 else 1


def learn(grid: Grid, rows: Array, chain: hidden.Chain) -> tuple[Habit, Past]:
    """Learn the usual distance; return the engine as it stood at the first period, and the past."""
    value = grid.value[rows]
    empty = np.full((len(rows), places_of(grid.beat), LAST), np.nan)
    engine = Habit(0, empty, np.ones(len(rows)))
    expected = np.empty(value.shape)
    moving = engine
    for day in range(value.shape[1]):
        one = Day(grid.moments[day], value[:, day], {}, whole=True)
        said, rest = moving.ahead(one)
        expected[:, day] = said.expected
        moving = moving.after(one, said, rest, np.ones(len(rows)))
    spread = np.maximum(robust(value - expected), np.maximum(1e-3 * np.nanmax(np.abs(value), 1), 1e-9))
    odds = np.abs(value - expected) / spread[:, None]
    first = np.array([np.nanmedian(one) for one in value])
    engine = replace(engine, spread=spread)
    engine.kept[:, :, -1] = first[:, None]
    chances = np.zeros((*value.shape, len(chain) + 1), "f4")
    chances[..., 0] = 1
    zero = np.zeros(value.shape)
    return engine, Past(expected, np.repeat(spread[:, None], value.shape[1], 1), zero, np.ones(len(rows)), odds, chances)
