"""The baseline: how far a figure lies from the median of the same weekday."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tradewind.models.anomaly import habit, hidden
from tradewind.models.anomaly.engine import Engine, Past
from tradewind.models.anomaly.grid import Grid
from tradewind.models.anomaly.recipe import Watching


def _learn(grid: Grid, params: Mapping[str, Any]) -> list[tuple[Any, Engine, Past]]:
    rows = np.arange(len(grid))
    return [(rows, *habit.learn(grid, rows, hidden.chain(float(params["rate"]), counts=False)))]


RECIPE = Watching("naive", _learn, causal=True)
