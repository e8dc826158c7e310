"""The half of every recipe that answers: dates in, components with their intervals out. Numpy alone."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from tradewind.core.errors import BadValue, EmptyTable, MissingColumn, NotFound
from tradewind.core.table import Table
from tradewind.models._kit.intervals import LEVELS, TAUS
from tradewind.models.seasonality import COMPONENTS, MODEL, state, tell
from tradewind.models.seasonality.seasons import AHEAD, JOINED, LOWEST, phase
from tradewind.models.seasonality.state import Components

Array = np.ndarray[Any, Any]
BOUNDS = {"_lo80": -1.2816, "_hi80": 1.2816, "_lo95": -1.96, "_hi95": 1.96}
NORMAL = np.array([NormalDist().inv_cdf(float(tau)) for tau in TAUS])
MOST, LEAST = 60_000, 28  # rows of a question that nobody put bounds to, and periods of each series that it has at least
FAR = 5  # years away from the history that can be asked


@dataclass(frozen=True, slots=True)
class Answering:
    """What all recipes of seasonality have in common."""

    def predict(self, state: Components, asked: Table) -> Table:
        """Answer dates with the figure and its components; raises EmptyTable, MissingColumn, NotFound and BadValue."""
        series, numbers = located(state, asked)
        parts = parts_of(state, series, numbers, asked)
        none = np.zeros(len(series)), np.zeros(len(series))
        logged, error = (np.stack([parts.get(name, none)[at] for name in COMPONENTS]) for at in (0, 1))
        mean = np.exp(np.clip(logged.sum(0), -30, 30))
        keys = {name: asked.column(name) for name in asked.names if name in state.keys or name == (asked.schema.time or "date")}
        columns: dict[str, Array] = {**keys, "mean": mean}
        columns |= bands(state, series, mean, np.sqrt((error**2).sum(0)))
        away = np.array([0.0, *BOUNDS.values()])
        told = np.exp(np.clip(logged[..., None] + error[..., None] * away, -30, 30))
        for place, name in enumerate(COMPONENTS):
            columns |= {name + end: told[place, :, at] for at, end in enumerate(("", *BOUNDS))}
        seasonal = [place for place, name in enumerate(COMPONENTS) if name not in ("trend", "plan")]
        columns["season"] = np.exp(logged[seasonal].sum(0))
        return Table.from_columns(columns, MODEL.gives)

    def dump(self, state: Components) -> dict[str, bytes]:
        """Write components as safetensors and JSON."""
        return _dump(state)

    def load(self, parts: Mapping[str, bytes]) -> Components:
        """Read components back; raises Incompatible and Tampered."""
        return state.load(parts)

    def expand(self, state: Components, horizon: int | None, where: Mapping[str, Any]) -> Table:
        """Return a question per series that fits `where` and period of the year to come. Raises NotFound and BadValue.

        Without a horizon a year, or less of it where there are very many series.
        """
        count = AHEAD[state.clock.grain.name] if horizon is None else horizon
        if not 1 <= count <= FAR * 8784:
            raise BadValue(f"a horizon of {count} {state.clock.grain.name}s cannot be answered", hint="ask for a year or two")
        fits = np.ones(len(state), bool)
        for name, wanted in where.items():
            if name not in state.keys:
                raise NotFound(f"series have no {name!r}", hint=f"choose by: {', '.join(state.keys)}")
            values = {str(value) for value in (wanted if isinstance(wanted, list | tuple | set) else [wanted])}
            fits &= np.isin(state.keys[name].astype(str), sorted(values))
        if not fits.any():
            names = [name for name in state.keys if name != "series"]
            for key in (tuple(told.split(JOINED)) for told in state.facts["left"]):
                if all(str(where[name]) == own for name, own in zip(names, key, strict=True) if name in where):
                    raise _too_little(state, key)
            raise NotFound(f"no series has {', '.join(f'{name} {value}' for name, value in where.items())}", hint=_there(state))
        chosen = np.flatnonzero(fits)
        count = count if horizon is not None else max(min(count, MOST // len(chosen)), min(count, LEAST))
        columns = {name: np.repeat(value[chosen], count) for name, value in state.keys.items() if name != "series"}
        columns["date"] = np.tile(state.clock.date(state.last + 1 + np.arange(count)), len(chosen))
        return Table.from_columns(columns)

    def effects(self, state: Components) -> Table:
        """Return indices, strengths, event windows, levers, steps of the trend and the best windows to spend, each with its interval."""
        return tell.effects(state)

    def notes(self, state: Components, asked: Table) -> list[str]:
        """Say what cannot be told, what was repaired, and what the best windows rest on."""
        series, numbers = located(state, asked)
        return [*tell.notes(state, series, numbers), *tell.planned(state, series, asked), *tell.unused(state, asked)]


def _dump(made: Components) -> dict[str, bytes]:
    return state.dump(made)


def located(made: Components, asked: Table) -> tuple[Array, Array]:
    """Return the series and the period number of each question; what was asked last is remembered."""
    kept, found = made.memo.get("asked", (None, None))
    if kept is not asked:
        found = _located(made, asked)
        made.memo["asked"] = asked, found
    series, numbers = found
    return series, numbers


def _located(made: Components, asked: Table) -> tuple[Array, Array]:
    if len(asked) == 0:
        raise EmptyTable("nothing is asked", hint='give rows such as {"date": "2026-12-01"}')
    when = asked.schema.time or "date"
    if when not in asked:
        raise MissingColumn('column "date" is missing', hint=f"there are: {', '.join(asked.names)}")
    dates = asked.column(when)
    if dates.dtype.kind != "M" or np.isnat(dates).any():
        raise BadValue('column "date" must hold dates', hint="write dates as in 2026-11-30")
    numbers = made.clock.number(dates)
    year = made.clock.number(np.array(["2001-01-01"], "M8[D]"))[0] - made.clock.number(np.array(["2000-01-01"], "M8[D]"))[0]
    if (numbers < made.first - FAR * year).any() or (numbers > made.last + FAR * year).any():
        raise BadValue(
            f"seasons are told for {FAR} years around the history", hint=f"it ends on {made.clock.date(np.array([made.last]))[0]}"
        )
    names = [name for name in made.keys if name != "series"]
    given = []
    for name in names:
        if name in asked:
            given.append([str(value) for value in asked.column(name).tolist()])
        elif len(set(made.keys[name].tolist())) == 1:
            given.append([str(made.keys[name][0])] * len(asked))
        else:
            raise MissingColumn(f'column "{name}" is missing', hint=f"every question names its {' and '.join(names)}")
    if not names:
        return np.zeros(len(asked), "i8"), numbers
    index = made.memo.get("index")
    if index is None:
        index = {key: at for at, key in enumerate(zip(*(made.keys[name].tolist() for name in names), strict=True))}
        made.memo["index"] = index
    wanted = list(zip(*given, strict=True))
    missing = next((key for key in wanted if key not in index), None)
    if missing is not None:
        near = difflib.get_close_matches(missing[0], [key[0] for key in index], 3, 0.4)
        if JOINED.join(missing) in made.facts["left"]:
            raise _too_little(made, missing)
        raise NotFound(f"nothing is known of {', '.join(missing)}", hint=f"like it: {', '.join(near)}" if near else _there(made))
    return np.array([index[key] for key in wanted], "i8"), numbers


def _too_little(made: Components, key: tuple[str, ...]) -> NotFound:
    why = made.facts["left"][JOINED.join(key)]
    return NotFound(f"too little is known of {', '.join(key)}: it has {why}", hint="train again when there are more, or ask for another")


def _there(made: Components) -> str:
    name, values = next(iter(made.keys.items()))
    return f"there are {name}: {', '.join(values[:5].tolist())}"


def parts_of(made: Components, series: Array, numbers: Array, asked: Table) -> dict[str, tuple[Array, Array]]:
    """Return component -> logarithm and standard error, one per row."""
    found = {"trend": made.trend_at(series, numbers)}
    for season in made.seasons:
        at = phase(season, made.clock, numbers)
        found[season.name] = made.index[season.name][series, at].astype("f8"), made.index_error[season.name][series, at].astype("f8")
    total, square, plan = np.zeros(len(series)), np.zeros(len(series)), np.zeros(len(series))
    pulled = np.zeros((len(series), len(made.levers)))
    for place, name in enumerate(made.names):
        value = column_at(made, name, series, numbers, asked)
        if name in made.levers:
            pulled[:, made.levers.index(name)] = value
            plan += made.coefficient[series, place] * value
        else:
            total += made.coefficient[series, place] * value
            square += (made.coefficient_error[series, place] * value) ** 2
    # levers that were pulled together are known together, however little of it is known to be whose
    both = np.einsum("ri,rij,rj->r", pulled, made.together[series].astype("f8"), pulled)
    return found | {"event": (total, np.sqrt(square)), "plan": (plan, np.sqrt(np.maximum(both, 0)))}


def column_at(made: Components, name: str, series: Array, numbers: Array, asked: Table) -> Array:
    """Return a column at the asked rows: as asked, else as known, else none."""
    whole = made.column[name]
    at = numbers - made.first
    inside = (at >= 0) & (at < whole.shape[1])
    rows = series if len(whole) > 1 else np.zeros(len(series), "i8")
    value = np.where(inside, whole[rows, np.clip(at, 0, whole.shape[1] - 1)], 0.0).astype("f8")
    if name in made.levers and name in asked:
        said, kind = asked.column(name).astype("f8"), made.facts["kinds"][name]
        if (said < 0).any():
            raise BadValue(f'column "{name}" must hold numbers of zero or more', hint="leave a value out to keep the known one")
        if kind == "price" and (said == 0).any():
            raise BadValue(f'column "{name}" must lie above zero', hint="leave a value out to keep the known one")
        none = made.centre[name][series, 0].astype("f8")
        moved = np.log(np.maximum(said, LOWEST) / np.maximum(none, LOWEST)) if kind == "price" else said - none
        value = np.where(np.isfinite(said), np.nan_to_num(moved), value)
    return value


def bands(made: Components, series: Array, mean: Array, error: Array) -> dict[str, Array]:
    """Return median and bounds: what past figures did around what was said of them, and how unsure that is itself."""
    own = made.noise[series, None] * made.shape[None]
    own = np.sign(own) * np.sqrt(own**2 + (NORMAL[None] * error[:, None]) ** 2)
    middle = list(TAUS).index(0.5)
    own = np.sort(own, 1)
    whole = np.maximum(mean[:, None] * (1 + own), 0)
    out = {name: whole[:, int(np.argmin(np.abs(TAUS - level)))] for name, level in LEVELS.items()}
    out["p50"] = whole[:, middle]
    return out
