"""Each series by itself: season, level at its own pace, and the hidden chain over what is left. No covariates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tradewind.models.anomaly import hidden, series
from tradewind.models.anomaly.engine import Engine, Past
from tradewind.models.anomaly.grid import Grid
from tradewind.models.anomaly.recipe import Watching


def _learn(grid: Grid, params: Mapping[str, Any]) -> list[tuple[Any, Engine, Past]]:
    rows = np.arange(len(grid))
    return [(rows, *series.learn(grid, rows, hidden.chain(float(params["rate"]), counts=False)))]


RECIPE = Watching("decompose", _learn)
