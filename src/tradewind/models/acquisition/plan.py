"""A plan made whole: spend that is said in one row of a geo and date holds for every row of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tradewind.core.errors import BadValue
from tradewind.models._kit.asking import Asked
from tradewind.models._kit.forecast.spend import PREFIX
from tradewind.models._kit.panel import Panel

Array = np.ndarray[Any, Any]


def complete(panel: Panel, asked: Asked) -> Asked:
    """Return the question with planned spend carried to the other credited channels of the same geo and date. Raises BadValue.

    Where rows of one geo and date ask for several plans, each row keeps its own.
    """
    plan = {}
    for name, values in asked.plan.items():
        if name.startswith(PREFIX) and (values < 0).any():
            raise BadValue(f'column "{name}" must hold spend of zero or more', hint="leave a value out to keep the planned one")
        plan[name] = _shared(panel, asked, values) if name.startswith(PREFIX) and "channel" in panel.keys else values
    return replace(asked, plan=plan)


def _shared(panel: Panel, asked: Asked, values: Array) -> Array:
    series = asked.series[asked.row]
    geo = np.unique(panel.keys["geo"].astype(str), return_inverse=True)[1][series] if "geo" in panel.keys else np.zeros(len(series), "i8")
    place = geo * (int(asked.ahead.max()) + 1) + asked.ahead
    said = np.isfinite(values)
    low, high = np.full(int(place.max()) + 1, np.inf), np.full(int(place.max()) + 1, -np.inf)
    np.minimum.at(low, place[said], values[said])
    np.maximum.at(high, place[said], values[said])
    found: Array = np.where(~said & (low == high)[place], low[place], values)
    return found
