"""The columns of the decomposition: trend, seasons, windows around events, prices and promotions, each with its prior."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.models._kit.panel import EVENTS, Panel
from tradewind.models.seasonality.seasons import BEND, LOWEST, USUAL, YEARLY, Season, basis, of_history, phase

Array = np.ndarray[Any, Any]
WINDOWS = ((-8, -4), (-3, -1), (0, 0), (1, 3))
"""Days around an event that are told apart: early, just before, on, after."""
NAMES = ("early", "before", "on", "after")
EVENT, AROUND, LEVER, PRICE = 0.3, 0.15, 0.7, 2.0
"""Prior standard deviations of an event, of the days around it, of a whole promotion, and of an elasticity."""
WIDELY = 0.9  # share of sales from which on an event is held everywhere
LEVEL, SLOPE = 5.0, 1.0
BENDS = (0.02, 0.07, 0.2)
"""How freely the trend may bend at a knot, in logs a knot: what suits a series best is chosen."""


@dataclass(frozen=True, slots=True)
class Design:
    """`shared` (periods, columns) are the same for all series: trend first, then seasons; `own` (series or 1, periods) follow by name.

    `prior` are standard deviations of all of them; those of the bends stand at `bends`.
    """

    shared: Array
    trend: int  # how many of the shared columns are the trend
    seasons: tuple[Season, ...]
    places: dict[str, slice]  # season -> its columns
    names: tuple[str, ...]
    levers: tuple[str, ...]
    columns: dict[str, Array]  # over history and plan
    centre: dict[str, Array]  # of each lever, (series, 3): what counts as none, the lowest and the highest seen
    prior: Array
    bends: slice
    slow: Array  # places of the bends and of the year

    def own(self, rows: Array, periods: int) -> Array:
        """Return the columns of some series, (rows, periods, columns)."""
        out = np.zeros((len(rows), periods, len(self.names)))
        for at, name in enumerate(self.names):
            value = self.columns[name][:, :periods]
            out[:, :, at] = value if len(value) == 1 else value[rows]
        return out


def design_of(panel: Panel, periods: int) -> Design:
    """Lay out the columns for a history of so many periods; windows and levers that never moved in it are left out."""
    grain = panel.grain.name
    seasons, _ = of_history(grain, periods)
    at = np.arange(periods)
    step = YEARLY[grain] if any(season.name == "year" for season in seasons) else BEND[grain]
    knots = np.arange(step, max(periods - step // 2, 1), step)
    trend = np.concatenate([np.ones((periods, 1)), (at / step)[:, None], np.maximum(at[:, None] - knots, 0) / step], 1)
    parts, prior, places = [trend], [LEVEL, SLOPE, *np.full(len(knots), BENDS[1])], {}
    numbers = panel.first + at
    for season in seasons:
        columns, free = basis(season)
        start = len(prior)
        places[season.name] = slice(start, start + len(free))
        parts.append(columns[phase(season, panel.clock, numbers)])
        prior += free.tolist()
    column = windows(panel)
    levers, centres = [], {}
    for name, kind in panel.kinds.items():
        if kind not in EVENTS:
            levers.append(name)
            column[name] = lever_of(panel, name, centre := centre_of(panel, name))
            centres[name] = centre
    moved = {name: value for name, value in column.items() if np.ptp(value[:, :periods], 1).max(initial=0) > 1e-9}
    prior += [_freedom(panel, name, lever=name in levers) for name in moved]
    return Design(
        np.concatenate(parts, 1),
        trend.shape[1],
        seasons,
        places,
        tuple(moved),
        tuple(name for name in levers if name in moved),
        moved,
        {name: value for name, value in centres.items() if name in moved},
        np.array(prior),
        slice(2, 2 + len(knots)),
        np.r_[2 : 2 + len(knots), places.get("year", slice(0, 0))],
    )


def _freedom(panel: Panel, name: str, *, lever: bool) -> float:
    if lever:
        return PRICE if panel.kinds[name] == "price" else LEVER
    return EVENT if name.endswith((", on", ", before")) else AROUND


def centre_of(panel: Panel, name: str) -> Array:
    """Return what counts as none of a lever, and the lowest and highest value of the history, (series, 3) in the lever's own unit.

    None is the usual price where the table says it, else the median one; of a number the mean; of a share or flag zero. NaN where a
    series has no value at all.
    """
    past = np.broadcast_to(panel.ahead[name].astype("f8")[:, : panel.cut], (len(panel), panel.cut))
    began = np.isfinite(panel.target[:, : panel.cut]).argmax(1)
    past = np.where(np.arange(panel.cut) >= began[:, None], past, np.nan)
    kind = panel.kinds[name]
    known = np.isfinite(past) & ((past > 0) | (kind != "price"))
    ends = np.where(known, past, np.inf).min(1), np.where(known, past, -np.inf).max(1)
    none = np.zeros(len(panel))
    if kind == "price":
        none = np.array(
            [np.quantile(row[there], 0.5, method="lower") if there.any() else np.nan for row, there in zip(past, known, strict=True)]
        )
        if name == "price" and USUAL in panel.static:
            said = panel.static[USUAL].astype("f8")
            none = np.where(np.isfinite(said) & (said > 0), said, none)
    elif kind == "number":
        none = np.where(known, past, 0).sum(1) / np.maximum(known.sum(1), 1)
    found = np.stack([none, *ends], 1)
    return np.where(known.any(1)[:, None], found, np.nan)


def lever_of(panel: Panel, name: str, centre: Array) -> Array:
    """Return a lever from what counts as none: a price by its logarithm, a share or flag from zero, a number from its mean."""
    value, none = panel.ahead[name].astype("f8"), centre[:, :1]
    if panel.kinds[name] == "price":
        value, none = np.log(np.maximum(value, LOWEST)), np.log(np.maximum(none, LOWEST))
    if panel.kinds[name] in ("price", "number"):
        value = value - none
    found: Array = np.nan_to_num(value)
    return found


def windows(panel: Panel) -> dict[str, Array]:
    """Return a column per event and window: the days before and after it where periods are days, the event alone elsewhere."""
    out: dict[str, Array] = {}
    events = [name for name, kind in panel.kinds.items() if kind in EVENTS]
    held = np.logical_or.reduce([panel.ahead[name] >= WIDELY for name in events]) if events else np.zeros((1, 1), bool)
    for name in events:
        value = panel.ahead[name].astype("f8")
        label = name.removeprefix("event_")
        if panel.grain.name != "day":
            out[f"{label}, on"] = value
            continue
        for (low, high), words in zip(WINDOWS, NAMES, strict=True):
            found = np.zeros_like(value)
            for away in range(low, high + 1):
                found = np.maximum(found, _shifted(value, away))
            # a day of another event is that event's: Easter Monday is no day after Good Friday
            out[f"{label}, {words}"] = np.where((value > 0) | held, 0, found) if words != "on" else value
    return out


def _shifted(value: Array, away: int) -> Array:
    """Return the column `away` periods after each event (before it where below zero)."""
    out = np.zeros_like(value)
    if away == 0:
        out[:] = value
    elif away > 0:
        out[:, away:] = value[:, :-away]
    else:
        out[:, :away] = value[:, -away:]
    return out
