"""Time to leaving: the chance to leave in each period, given that one stayed until then (discrete-time hazard)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tradewind.core.table import Array
from tradewind.models._kit.customers import boosted, logistic
from tradewind.models._kit.trees import Trees

LANDMARK = np.array([0, 30, 60, 90, 180, 365, 730], "f8")
MONTHS = np.array([0, 1, 2, 3, 4, 6, 8, 10, 12, 15, 18, 21, 24, 30, 36, 42, 48, 54, 60, 66, 73, 84, 96, 120, 180, 240]) * 30.4375
LONGEST = 3652.0  # days; later than that nothing is said
MOST_ROWS = 75_000  # person-periods that trees are learned on
SMOOTH = 5.0  # periods at the mean hazard that each period's own is drawn towards
TREES = 150


@dataclass(frozen=True)
class Hazard:
    """`edges` are the ends of K periods in days; without a design everyone has the `plain` hazard of each period."""

    edges: Array
    plain: Array
    used: Array = field(default_factory=lambda: np.zeros(0, "i8"))  # columns of the matrix
    design: logistic.Design | None = None
    weights: Array = field(default_factory=lambda: np.zeros(0))
    forest: boosted.Forest | None = None

    def chances(self, matrix: Array) -> Array:
        """Return the chance to leave in every period for rows of the matrix: (rows, K)."""
        count, periods = len(matrix), len(self.plain)
        if self.design is None or self.forest is None:
            return np.tile(self.plain, (count, 1))
        rows = matrix[:, self.used]
        base = self.design.rows(rows) @ self.weights[: -periods - 1] + self.weights[-1]
        linear = logistic.sigmoid(base[:, None] + self.weights[-periods - 1 : -1])
        long = np.empty((count, periods, rows.shape[1] + 1), "f4")
        long[:, :, :-1], long[:, :, -1] = rows[:, None], np.arange(periods)
        grown = self.forest.chance(long.reshape(count * periods, -1)).reshape(count, periods)
        return np.asarray(np.sqrt(linear * np.maximum(grown, 1e-12)))

    def hazards(self, matrix: Array) -> Array:
        """Return the cumulative hazard at 0 and at the end of every period: (rows, K + 1)."""
        step = -np.log1p(-np.minimum(self.chances(matrix), 1 - 1e-9))
        return np.concatenate([np.zeros((len(step), 1)), step.cumsum(1)], axis=1)

    def parts(self) -> tuple[dict[str, Array], dict[str, bytes]]:
        """Return the arrays and the graphs by name."""
        arrays = {"hazard/edges": self.edges, "hazard/plain": self.plain, "hazard/used": self.used, "hazard/weights": self.weights}
        if self.design is None or self.forest is None:
            return arrays, {}
        return arrays | self.design.arrays("hazard/design/") | self.forest.trees.arrays("hazard/trees/"), {"hazard.onnx": self.forest.graph}

    @classmethod
    def from_parts(cls, arrays: Mapping[str, Array], parts: Mapping[str, bytes]) -> Hazard:
        """Read it back."""
        plain = (arrays["hazard/edges"], arrays["hazard/plain"], arrays["hazard/used"])
        if "hazard.onnx" not in parts:
            return cls(*plain)
        design = logistic.Design.from_arrays(arrays, "hazard/design/")
        forest = boosted.Forest(Trees.from_arrays(arrays, "hazard/trees/"), parts["hazard.onnx"])
        return cls(*plain, design, arrays["hazard/weights"], forest)


def at(edges: Array, hazards: Array, days: Array) -> Array:
    """Return the cumulative hazard at `days` (rows, or one per row and column); past the last period its last rate goes on."""
    days = np.atleast_2d(days)
    place = np.minimum(np.maximum(np.searchsorted(edges, days, side="left") - 1, 0), len(edges) - 2)
    into = (days - edges[place]) / (edges[place + 1] - edges[place])
    row = np.arange(len(hazards))[:, None]
    low, high = hazards[row, place], hazards[row, place + 1]
    return np.asarray(low + into * (high - low))


def when(edges: Array, hazards: Array, levels: Array) -> Array:
    """Return (levels, rows): the day each row's cumulative hazard reaches a level, LONGEST at most; 0 where it does before the first."""
    row, level = np.arange(len(hazards)), levels[:, None]
    past = (hazards < levels[:, None, None]).sum(2)
    place = np.minimum(np.maximum(past, 1), len(edges) - 1)  # the first end of a period at or past the level
    low, high = hazards[row, place - 1], hazards[row, place]
    into = (level - low) / np.maximum(high - low, 1e-12)
    return np.asarray(np.minimum(np.maximum(edges[place - 1] + into * (edges[place] - edges[place - 1]), 0.0), LONGEST))


def edges_for(duration: Array, *, tenure: bool) -> Array:
    """Return the ends of periods up to the longest time seen."""
    whole = MONTHS if tenure else LANDMARK
    last = int(np.searchsorted(whole, duration.max(initial=1.0), side="left"))
    return whole[: max(last, 2) + 1]


def learned(matrix: Array, duration: Array, event: Array, seed: int, *, edges: Array, words: Array, used: Array | None) -> Hazard:
    """Return the hazard; `used` names the columns it may look at, None: everyone the same. A duration of 0 has no period.

    A logistic regression on splines and a small forest, both on person-periods, the mean of their logarithms.
    """
    row, period, gone = _periods(duration, event, edges)
    count = len(edges) - 1
    whole = np.bincount(period, minlength=count).astype("f8")
    ended = np.bincount(period, weights=gone, minlength=count)
    mean = ended.sum() / max(whole.sum(), 1.0)
    plain = (ended + SMOOTH * mean) / (whole + SMOOTH)
    if used is None or ended.sum() < 30 or not len(used):
        return Hazard(edges, plain)
    part = matrix[:, used]
    design = logistic.design(part, words[used])
    seen, left = np.zeros((2, len(part), count))
    seen[row, period], left[row, period] = 1.0, gone
    weights = logistic.fitted(design.rows(part), left, seen=seen)
    if len(row) > MOST_ROWS:
        keep = np.sort(np.random.default_rng(seed).choice(len(row), MOST_ROWS, replace=False))
        row, period, gone = row[keep], period[keep], gone[keep]
    long = np.column_stack([part[row], period.astype("f4")])
    small: dict[str, Any] = {
        "num_leaves": 5,
        "learning_rate": 0.06,
        "min_data_in_leaf": max(20, min(300, len(row) // 50)),
        "lambda_l2": 20.0,
    }
    more: dict[str, Any] = {"feature_fraction": 0.5, "bagging_fraction": 1.0, "bagging_freq": 0}
    forest, _ = boosted.fitted(long, gone, seed, words=np.append(words[used], 0), trees=TREES, **small, **more)
    return Hazard(edges, plain, used, design, weights, forest)


def _periods(duration: Array, event: Array, edges: Array) -> tuple[Array, Array, Array]:
    """Return row, period and whether it ended there, for every period that a row is known in.

    One that is last known in the first half of a period says nothing of it.
    """
    count = len(edges) - 1
    last = np.clip(np.searchsorted(edges, duration, side="left") - 1, -1, count - 1)
    middle = (edges[:-1] + edges[1:]) / 2
    short = (event == 0) & (last >= 0) & (duration < middle[np.maximum(last, 0)])
    ended = (event == 1) & (duration <= edges[-1])
    number = np.where(duration > 0, last + 1 - short, 0)
    row = np.repeat(np.arange(len(duration)), number)
    start = np.repeat(number.cumsum() - number, number)
    period = np.arange(len(row)) - start
    gone = ((period == last[row]) & ended[row]).astype("f8")
    return row, period, gone
