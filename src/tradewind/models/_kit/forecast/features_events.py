"""How near events are, and what those around do: known ahead."""

from __future__ import annotations

from typing import Any

import numpy as np

from tradewind.models._kit.forecast.occasions import Occasions
from tradewind.models._kit.panel import Panel

Array = np.ndarray[Any, Any]
FAR = 28.0  # periods: anything further away counts as this far


def events(panel: Panel) -> list[str]:
    """Return the columns that say when something is on."""
    return [name for name, kind in panel.kinds.items() if kind == "event"]


def near(panel: Panel, occasions: Occasions, start: int) -> tuple[Array, ...]:
    """Return what `features.View.near` is, (series or 1, periods) each; nothing before `start`."""
    found: tuple[Array, ...] = _event_distance(panel, start)
    if panel.grain.cycle == 1 or not events(panel):
        return found
    lift = occasions.lift(panel, start)
    return *found, np.concatenate([np.zeros((len(lift), start), "f4"), lift], 1)


def _event_distance(panel: Panel, start: int) -> tuple[Array, Array]:
    """Return periods since the last and until the next event, (series or 1, periods), at most FAR; nothing before `start`."""
    flags = [panel.ahead[name][:, start:] > 0 for name in events(panel)]
    if not flags:
        return np.zeros((1, 1), "f4"), np.zeros((1, 1), "f4")
    whole = flags[0]
    for one in flags[1:]:
        whole = whole | one
    position = np.arange(whole.shape[1])
    last = np.maximum.accumulate(np.where(whole, position, -(10**6)), 1)
    following = np.minimum.accumulate(np.where(whole, position, 10**6)[:, ::-1], 1)[:, ::-1]
    before = np.full((len(whole), start), FAR, "f4")
    since, until = np.minimum(position - last, FAR), np.minimum(following - position, FAR)
    return np.concatenate([before, since], 1, dtype="f4"), np.concatenate([before, until], 1, dtype="f4")
