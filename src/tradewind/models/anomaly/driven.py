"""All series together, with what drives them: prices, promotions, events and calendar; series below zero are decomposed instead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tradewind.models.anomaly import drivers, hidden, series
from tradewind.models.anomaly.engine import Engine, Past
from tradewind.models.anomaly.grid import DAY, Grid
from tradewind.models.anomaly.recipe import Watching

Array = np.ndarray[Any, Any]
NEGATIVE = 0.01  # share of figures below zero from which on a series does not count things (returns aside)
LEVELS = ("product", "store")


def _learn(grid: Grid, params: Mapping[str, Any]) -> list[tuple[Any, Engine, Past]]:
    """Part the series by what they are: counts by drivers, levels apart; anything below zero or finer than a day by itself."""
    rate = float(params["rate"])
    known = np.isfinite(grid.value)
    below = (np.where(known, grid.value, 0.0) < 0).sum(1) > NEGATIVE * np.maximum(known.sum(1), 1)
    fine = not grid.beat.regular or 0 < grid.beat.step < DAY
    real = np.flatnonzero(below | fine)
    found: list[tuple[Any, Engine, Past]] = []
    for rows in _levels(grid, np.flatnonzero(~(below | fine))):
        found.append((rows, *drivers.learn(grid, rows, hidden.chain(rate, counts=True), groups(grid, rows))))
    if len(real):
        found.append((real, *series.learn(grid, real, hidden.chain(rate, counts=False))))
    return found


def _levels(grid: Grid, rows: Array) -> list[Array]:
    """Part rows by which keys they name: totals and their parts are not each other's siblings. Wide levels go in blocks."""
    level = sum(
        (
            np.array([bool(key) for key in grid.keys[name][rows].tolist()], "i8") << at
            for at, name in enumerate(LEVELS)
            if name in grid.keys
        ),
        np.zeros(len(rows), "i8"),
    )
    group = groups(grid, rows)
    parts = []
    for one in np.unique(level):
        own = np.flatnonzero(level == one)
        own = own[np.argsort(group[own], kind="stable")]
        count = -(-len(own) // drivers.BLOCK)
        parts += [rows[np.sort(block)] for block in np.array_split(own, count)]
    return parts


def groups(grid: Grid, rows: Array) -> Array:
    """Return the group of each series: its category in its store, or its metric."""
    texts = [""] * len(rows)
    for name in ("metric", "category", "store"):
        column = grid.keys.get(name, grid.labels.get(name))
        if column is not None:
            texts = [f"{text}|{value}" for text, value in zip(texts, column[rows].tolist(), strict=True)]
    return np.unique(np.array(texts, str), return_inverse=True)[1].astype("i8")


RECIPE = Watching("driven", _learn, overfits=True)
