"""The families that the `stats` learner chooses from, and how each is run on a panel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tradewind.models._kit.calendar import Grain
from tradewind.models._kit.forecast import ridge, stats_paths
from tradewind.models._kit.forecast.stats_paths import Outside
from tradewind.models._kit.panel import Panel
from tradewind.models._kit.response import Response

Array = np.ndarray[Any, Any]
LONGEST = 1500  # periods of the past that are looked at


@dataclass(frozen=True, slots=True)
class Family:
    """One way to continue series. `cost` is CPU-seconds per series and 100 periods, as measured: of months, and of days."""

    way: str  # ridge | scanpro | smoothing | repeat | rate | outside
    kinds: tuple[int, ...]  # codes of profile.CLASSES it is made for
    groups: tuple[str, ...] = ()  # of columns known ahead, for a ridge
    levers: bool = False  # runs on sales that the levers' effect was taken out of, and puts the plan's effect in
    outside: Outside | None = None
    cost: tuple[float, float] = (0.0, 0.0)  # none for the quick ones


DENSE, SPARSE, ANY = (0, 1), (2, 3), (0, 1, 2, 3)
FAMILIES: Mapping[str, Family] = {
    "smoothing": Family("smoothing", ANY),
    "smoothing, levers": Family("smoothing", ANY, levers=True),
    "last year": Family("repeat", DENSE),
    "last year, levers": Family("repeat", DENSE, levers=True),
    "ridge": Family("ridge", ANY),
    "ridge, events": Family("ridge", ANY, groups=("event",)),
    "ridge, levers": Family("ridge", ANY, groups=("lever", "number")),
    "ridge, all": Family("ridge", ANY, groups=ridge.GROUPS),
    "scanpro": Family("scanpro", DENSE),
    "rate": Family("rate", SPARSE),
    "rate, levers": Family("rate", SPARSE, levers=True),
    "croston": Family("outside", SPARSE, outside=Outside("CrostonSBA", seasonal=False)),
    "tsb": Family("outside", SPARSE, outside=Outside("TSB", (("alpha_d", 0.1), ("alpha_p", 0.1)), seasonal=False)),
    "imapa": Family("outside", SPARSE, outside=Outside("IMAPA", seasonal=False)),
    "adida": Family("outside", SPARSE, outside=Outside("ADIDA", seasonal=False)),
    "mstl": Family("outside", DENSE, outside=Outside("MSTL"), cost=(0.0035, 0.060)),
    "ets": Family("outside", DENSE, outside=Outside("AutoETS", (("model", "AAZ"), ("damped", True))), cost=(0.009, 0.016)),
    "theta": Family("outside", DENSE, outside=Outside("DynamicOptimizedTheta"), cost=(0.0032, 0.008)),
    "ces": Family("outside", DENSE, outside=Outside("AutoCES"), cost=(0.0023, 0.004)),
}
"""In the order in which slow ones are given CPU time."""


def made_for(name: str, *, year: bool) -> tuple[int, ...]:
    """Return the kinds of series that a family is run for; `year` says that a year repeats which no other family can hold yet."""
    family = FAMILIES[name]
    if family.way == "repeat":
        return family.kinds if year else ()
    return tuple(kind for kind in family.kinds if not year or kind not in DENSE)


def cost(name: str, panel: Panel) -> float:
    """Return the CPU-seconds that a family takes for one series of the panel's length."""
    return FAMILIES[name].cost[panel.grain.cycle > 1] * min(panel.cut, LONGEST) / 100


def run(name: str, panel: Panel, horizon: int, response: Response) -> Array:
    """Return the path (series, horizon) of a family that is no regression, without the levers' effect on what is to come."""
    family = FAMILIES[name]
    past = panel.target[:, max(0, panel.cut - LONGEST) : panel.cut].astype("f8")
    if family.levers:
        past = past * np.exp(-effect(panel, response, np.arange(len(panel)), np.arange(-past.shape[1], 0)))
    known = np.isfinite(past)
    values = stats_paths.filled(past, stats_paths.beginning(panel.grain))
    if family.way == "rate" or (family.outside is not None and not family.outside.seasonal):
        found = _rates(family, values, known, panel.grain, horizon)
    else:
        found = _curves(family, values, known, panel, horizon)
    return np.where(np.where(known, past, 0).sum(1, keepdims=True) > 0, np.maximum(found, 0), 0)


def _curves(family: Family, values: Array, known: Array, panel: Panel, horizon: int) -> Array:
    """Run a family on logarithms, or on the sales themselves for series that come near zero."""
    level, offset = ridge.scales(np.where(known, values, np.nan))
    plain = (offset >= 1)[:, None]
    logged = np.where(plain, values, np.log(values / level[:, None] + offset[:, None]))
    if family.way == "repeat":
        path = stats_paths.repeated(logged, known, panel.grain, horizon)
    elif family.outside is None:
        path = stats_paths.smoothing(logged, known, stats_paths.season_of(panel.grain, values.shape[1]), horizon)
    else:
        path = family.outside(logged, known, panel.grain, horizon)
    most = logged.max(1, initial=0.0)[:, None] + ridge.ABOVE
    back = level[:, None] * (np.exp(np.clip(np.where(plain, 0, path), -30, np.where(plain, 0, most))) - offset[:, None])
    found: Array = np.where(plain, path, back)
    return found


def _rates(family: Family, values: Array, known: Array, grain: Grain, horizon: int) -> Array:
    """Run a family of rates on sales without their cycle, and put the cycle back."""
    width, cycle = values.shape[1], max(grain.cycle, 1)
    index = stats_paths.index_of(values, known, cycle)
    steady = values / np.maximum(index[:, np.arange(width) % cycle], 0.05)
    if family.outside is None:
        recent, there = steady[:, -grain.level :], known[:, -grain.level :]
        count = there.sum(1)
        whole = (steady * known).sum(1) / np.maximum(known.sum(1), 1)
        rate = np.where(count > 0, (recent * there).sum(1) / np.maximum(count, 1), whole)
        path = np.repeat(rate[:, None], horizon, 1)
    else:
        path = family.outside(steady, known, grain, horizon)
    found: Array = path * index[:, (width + np.arange(horizon)) % cycle]
    return found


def effect(panel: Panel, response: Response, series: Array, steps: Array) -> Array:
    """Return what the levers do to log sales at `panel.cut + steps`, (series, steps); `series` are their places in the response."""
    at = panel.cut + steps
    total = np.zeros((len(series), len(steps)))
    for part in response.effect({name: panel.ahead[name][:, at] for name in response.names}, series).values():
        total += np.nan_to_num(part)
    return np.clip(total, -3, 3)


def of(response: Response, rows: Array) -> Response:
    """Return the response of some series."""
    own = {name: getattr(response, name)[rows] for name in ("coefficient", "centre", "covariance", "usual")}
    return replace(response, **own)
