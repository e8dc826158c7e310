"""Bands from held-out forecasts of a panel: what both recipes of demand do with `held`."""

from __future__ import annotations

from typing import Any

import numpy as np

from tradewind.core.errors import MissingColumn
from tradewind.core.table import Table
from tradewind.models._kit import intervals
from tradewind.models._kit.intervals import Bands
from tradewind.models._kit.panel import Panel
from tradewind.models.demand.features import promoted, spread_of

Array = np.ndarray[Any, Any]


def bands_of(panel: Panel, held: Table, *, horizon: int) -> Bands:
    """Learn bands from `held`: keys, date, truth, mean, block, horizon; raises MissingColumn and LearnFailed."""
    for name in ("truth", "mean", "block", "horizon"):
        if name not in held:
            raise MissingColumn(f'column "{name}" is missing', hint="held-out forecasts carry truth, mean, block and horizon")
    series = _series(panel, held)
    known = series >= 0
    at = panel.clock.number(held.column(held.schema.time or "date")) - panel.first
    state = np.where(known, _state(panel, series, at), 0.0)
    said = _planned(held, panel)
    state = np.maximum(state, said)
    spread = np.where(known, spread_of(panel)[series], 9.0)
    return intervals.learn(held.column("truth"), held.column("mean"), held.column("horizon") - 1, state, spread, horizon=horizon)


def _series(panel: Panel, held: Table) -> Array:
    """Return each row's series, -1 for one the panel does not hold."""
    names = [name for name in panel.keys if name in held]
    if not names:
        return np.zeros(len(held), "i8")
    index = {key: at for at, key in enumerate(zip(*(panel.keys[name].tolist() for name in names), strict=True))}
    return np.array(
        [index.get(tuple(map(str, key)), -1) for key in zip(*(held.column(name).tolist() for name in names), strict=True)], "i8"
    )


def _state(panel: Panel, series: Array, at: Array) -> Array:
    state = promoted(panel)
    if state is None:
        return np.zeros(len(series))
    inside = (at >= 0) & (at < panel.width)
    row = np.zeros(len(series), "i8") if len(state) == 1 else series
    return np.where(inside, state[row, np.clip(at, 0, panel.width - 1)], 0.0)


def _planned(held: Table, panel: Panel) -> Array:
    """Return 1 where the held-out question itself carries a promotion."""
    levers = [name for name, kind in panel.kinds.items() if kind == "lever" and name in held]
    if not levers:
        return np.zeros(len(held))
    pulled: Array = np.max([np.nan_to_num(held.column(name).astype("f8")) > 0 for name in levers], 0).astype("f8")
    return pulled
