"""Log-linear ridge per series: seasons, events and levers by regression, what is left by smoothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from tradewind.models._kit.calendar import Clock, Grain
from tradewind.models._kit.forecast import stats_paths
from tradewind.models._kit.panel import LASTING, Panel

Array = np.ndarray[Any, Any]
GROUPS = ("event", "lever", "number")
"""Kinds of columns known ahead that are taken or left together; a price goes with the levers, an event that lasts with the events."""
GROUP = {"price": "lever", LASTING: "event"}
LAMBDAS = 10.0 ** np.arange(-4.5, 1.6, 0.5)
CAUTION = 1.4  # each coefficient is charged more than one actual: residuals hang together (Kim and Gu 2004, section 3)
MEMORY = 5.0  # years after which an actual counts half
CHUNK = 128  # series worked on at once
MOST_EFFECT = 2.5  # a column's part in logs: no lever does more than twelvefold
ABOVE = 0.7  # how far past the highest sale ever seen a forecast may go, in logs
SEASONS: Mapping[str, tuple[tuple[float, int, float], ...]] = {
    "hour": ((24.0, 8, 2.0), (168.0, 10, 2.0)),
    "day": ((7.0, 3, 2.0), (365.25, 6, 1.4)),
    "week": ((365.25 / 7, 8, 1.4),),
    "month": ((12.0, 6, 1.4),),
    "quarter": ((4.0, 2, 1.5),),
}
"""Grain -> (periods in a season, waves, seasons of history that it takes to learn it)."""
_PLAIN = ("names", "start")


@dataclass(frozen=True, slots=True)
class Ridge:
    """One regression per series: log(units / level + offset) = seasons + columns + `rest`, the smoothed and continued remainder.

    `beta` is (series, seasons + columns). `rest` is (series, horizon) and stays where it ends after that.
    """

    names: tuple[str, ...]  # columns known ahead
    start: int  # number of the first period after the cut
    beta: Array
    centre: Array  # (series, columns): what counts as no effect
    low: Array  # (series, columns): the least and the most that was seen, after centring
    high: Array
    level: Array  # units; zero for a series that never sold
    offset: Array
    most: Array  # the highest logarithm a forecast may have
    rest: Array

    def arrays(self, prefix: str) -> dict[str, Array]:
        """Return the numbers by name, ready for a tensor file."""
        return {prefix + part.name: getattr(self, part.name) for part in fields(self) if part.name not in _PLAIN}

    def meta(self) -> dict[str, Any]:
        """Return the rest, as plain JSON data."""
        return {"names": list(self.names), "start": self.start}

    @classmethod
    def from_parts(cls, meta: Mapping[str, Any], arrays: Mapping[str, Array], prefix: str) -> Ridge:
        """Read the ridge back."""
        numbers = {part.name: arrays[prefix + part.name] for part in fields(cls) if part.name not in _PLAIN}
        return cls(tuple(map(str, meta["names"])), int(meta["start"]), **numbers)


def columns(panel: Panel, groups: tuple[str, ...] = GROUPS) -> list[str]:
    """Return the columns known ahead of some groups that moved before the cut; a discount is left out where there is a price."""
    found = []
    for name, kind in panel.kinds.items():
        past = panel.ahead[name][:, : panel.cut]
        known = np.isfinite(past)
        if GROUP.get(kind, kind) in groups and known.any():
            low, high = np.where(known, past, np.inf).min(1), np.where(known, past, -np.inf).max(1)
            if (high > low).any():
                found.append(name)
    return [name for name in found if name != "discount" or "price" not in found]


def fit(panel: Panel, *, horizon: int, groups: tuple[str, ...] = GROUPS) -> Ridge:
    """Fit every series by itself, with the columns known ahead of some groups."""
    names = columns(panel, groups)
    starts = range(0, max(len(panel), 1), CHUNK)
    parts = [_fitted(panel, np.arange(at, min(at + CHUNK, len(panel))), names, horizon) for at in starts]
    arrays = {name: np.concatenate([part[name] for part in parts]).astype("f4") for name in parts[0]}
    return Ridge(tuple(names), panel.first + panel.cut, **arrays)


def say(ridge: Ridge, places: Array, panel: Panel, steps: Array) -> Array:
    """Return the median (series, steps) at `panel.cut + steps`; `places` are the ridge's places of the panel's series."""
    numbers = panel.first + panel.cut + steps
    waves = seasons_at(panel.clock, numbers)
    beta = ridge.beta[places].astype("f8")
    logged = np.matmul(beta[:, : waves.shape[1]], waves.T)
    rows = np.arange(len(places))
    for at, name in enumerate(ridge.names):
        if name in panel.ahead:
            value = _said(panel, name, rows, panel.cut + steps) - ridge.centre[places, at : at + 1]
            low, high = ridge.low[places, at : at + 1], ridge.high[places, at : at + 1]
            room = 0.5 * (high - low)  # half a range past what was seen; further out nothing is known
            moved = np.nan_to_num(np.clip(value, low - room, high + room))
            logged += np.clip(moved * beta[:, waves.shape[1] + at : waves.shape[1] + at + 1], -MOST_EFFECT, MOST_EFFECT)
    logged += ridge.rest[places][:, np.clip(numbers - ridge.start, 0, ridge.rest.shape[1] - 1)]
    level, offset, most = (part[places, None].astype("f8") for part in (ridge.level, ridge.offset, ridge.most))
    found: Array = np.maximum(level * (np.exp(np.clip(logged, -30, most)) - offset), 0)
    return found


def scales(past: Array) -> tuple[Array, Array]:
    """Return level and offset of each series: what a logarithm is taken of is units / level + offset.

    A series that comes near zero gets an offset of one, so that a zero is a small number and no abyss; the others nearly none.
    """
    known = np.isfinite(past)
    level = np.where(known, past, 0).sum(1) / np.maximum(known.sum(1), 1)
    level = np.where(level > 0, level, 1.0)
    lowest = np.where(known, past, np.inf).min(1, initial=np.inf) / level
    return level, np.where(lowest > 0.1, 0.02, np.where(lowest > 0.02, 0.2, 1.0))


def seasons_at(clock: Clock, numbers: Array) -> Array:
    """Return cosines and sines of the seasons at period numbers, (periods, waves)."""
    out = []
    for length, waves, _ in SEASONS[clock.grain.name]:
        for wave in range(1, waves + 1):
            angle = 2 * np.pi * wave * numbers / length
            out.append(np.cos(angle))
            if wave * 2 < length:
                out.append(np.sin(angle))
    return np.stack(out, 1)


def season_freedom(grain: Grain, span: Array) -> Array:
    """Return how freely each wave may move, (series, waves): not at all where the history does not hold its season."""
    out = []
    for length, waves, asked in SEASONS[grain.name]:
        for wave in range(1, waves + 1):
            out += [np.where(span / length >= asked, 1 / np.sqrt(wave), 0.0)] * (2 if wave * 2 < length else 1)
    return np.stack(out, 1)


def _said(panel: Panel, name: str, rows: Array, at: Array) -> Array:
    value = panel.ahead[name]
    value = (value if len(value) == 1 else value[rows])[:, at].astype("f8")
    value = np.log(np.maximum(value, 1e-6)) if panel.kinds[name] == "price" else value
    return np.broadcast_to(value, (len(rows), len(at)))


def _fitted(panel: Panel, rows: Array, names: list[str], horizon: int) -> dict[str, Array]:
    past = panel.target[rows, : panel.cut].astype("f8")
    known = np.isfinite(past)
    level, offset = scales(past)
    logged = np.log(np.where(known, past, 0) / level[:, None] + offset[:, None])
    waves = seasons_at(panel.clock, panel.numbers()[: panel.cut])
    trend = (np.arange(panel.cut) - panel.cut + 1)[:, None] / panel.grain.year
    held = columns_of(panel, rows, names, known)
    shared = np.broadcast_to(np.concatenate([waves, trend], 1), (len(rows), panel.cut, waves.shape[1] + 1))
    span = panel.cut - np.where(known.any(1), known.argmax(1), panel.cut)
    freedom = np.concatenate([season_freedom(panel.grain, span), np.full((len(rows), 1), 0.5), held.freedom], 1)
    memory = 0.5 ** (np.arange(panel.cut, 0, -1) / (MEMORY * panel.grain.year))
    beta = _solved(np.concatenate([shared, held.moved], 2), logged, known * memory, freedom)
    beta = np.delete(beta, waves.shape[1], 1)  # the trend was there to be kept out of the seasons; smoothing continues it
    said = beta[:, : waves.shape[1]] @ waves.T + np.matmul(held.moved, beta[:, waves.shape[1] :, None])[:, :, 0]
    left = stats_paths.filled(np.where(known, logged - said, np.nan), stats_paths.beginning(panel.grain))
    return {
        "beta": beta,
        "centre": held.centre,
        "low": held.moved.min(1),
        "high": held.moved.max(1),
        "level": np.where(np.where(known, past, 0).sum(1) > 0, level, 0.0),
        "offset": offset,
        "most": np.where(known, logged, -30).max(1, initial=-30) + ABOVE,
        "rest": stats_paths.smoothing(left, known, 1, horizon),
    }


@dataclass(frozen=True, slots=True)
class _Columns:
    moved: Array  # (series, periods, columns), from the centre; zero where nothing is known
    centre: Array
    freedom: Array


def columns_of(panel: Panel, rows: Array, names: list[str], known: Array) -> _Columns:
    """Return the columns of the past from their usual value, each free to move by what its own spread allows."""
    moved = np.zeros((*known.shape, len(names)))
    centre, freedom = np.zeros((len(rows), len(names))), np.zeros((len(rows), len(names)))
    for at, name in enumerate(names):
        value = _said(panel, name, rows, np.arange(panel.cut))
        seen = known & np.isfinite(value)
        count = np.maximum(seen.sum(1), 1)
        if panel.kinds[name] in ("price", "number"):
            centre[:, at] = np.where(seen, value, 0).sum(1) / count
        moved[:, :, at] = np.where(seen, value - centre[:, at : at + 1], 0)
        mean = moved[:, :, at].sum(1) / count
        spread = np.sqrt(np.maximum((moved[:, :, at] ** 2).sum(1) / count - mean**2, 0))
        freedom[:, at] = np.where(spread > 1e-6, 1 / np.maximum(spread, 1e-6), 0)
    return _Columns(moved, centre, freedom)


def _solved(design: Array, logged: Array, weight: Array, freedom: Array) -> Array:
    """Return coefficients without the intercept, the penalty of each series chosen by generalised cross-validation."""
    total = np.maximum(weight.sum(1), 1e-9)
    count = np.maximum((weight > 0).sum(1), 1)
    design = design * freedom[:, None, :]
    mean = np.matmul(weight[:, None, :], design)[:, 0] / total[:, None]
    middle = (logged * weight).sum(1) / total
    root = np.sqrt(weight)
    design = (design - mean[:, None, :]) * root[:, :, None]
    aim = (logged - middle[:, None]) * root
    gram = np.matmul(design.swapaxes(1, 2), design) / total[:, None, None]
    cross = np.matmul(aim[:, None, :], design)[:, 0] / total[:, None]
    values, vectors = np.linalg.eigh(gram)
    values = np.maximum(values, 0)
    turned = np.matmul(cross[:, None, :], vectors)[:, 0]
    share = 1 / (values + LAMBDAS[:, None, None] / np.sqrt(count)[:, None])
    used = (values * share).sum(2) + 1
    left = (aim**2).sum(1) / total - (turned**2 * share * (2 - values * share)).sum(2)
    room = np.maximum(1 - CAUTION * used / count, 1e-3)
    best = (np.maximum(left, 1e-12) / room**2).argmin(0)
    beta: Array = np.matmul(vectors, (turned * share[best, np.arange(len(best))])[:, :, None])[:, :, 0]
    return beta * freedom
