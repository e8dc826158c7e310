"""What a decomposition is told by: indices, strengths, event windows, steps, shifts, the best windows to spend, and what it cannot say."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from tradewind.core.schema import Column, Role, Schema, Type
from tradewind.core.table import Table
from tradewind.models._kit.unasked import given, without_effect
from tradewind.models.seasonality.seasons import AHEAD, BLOCK, Season, phase, told
from tradewind.models.seasonality.state import STILL, Components

Array = np.ndarray[Any, Any]
MOST_SERIES = 60  # series told one by one
DEVIATIONS = {80: 1.2816, 95: 1.96}
BEST = 0.15  # share of the coming year that counts as its best windows
WINDOWS = 3
FURTHER = 0.1  # of the range seen, by which a number may lie outside of it unsaid
SMOOTHED = {"hour": 672, "day": 28, "week": 4, "month": 1, "quarter": 1}
Row = tuple[int, str, str, str, float, float]
"""Series (-1: all together), lever, at, kind, effect in its unit, standard error."""


def effects(made: Components) -> Table:
    """Return one row per series and thing told, with intervals; past 60 series only what holds for all together."""
    rows: list[Row] = [(-1, *_event(name), float(value), float(error)) for name, (value, error) in made.facts.get("pooled", {}).items()]
    for series in range(len(made)) if len(made) <= MOST_SERIES else ():
        rows += _of_series(made, series)
    bounds = {
        f"{side}{width}": np.array([row[4] + sign * away * row[5] for row in rows])
        for width, away in DEVIATIONS.items()
        for side, sign in (("lo", -1), ("hi", 1))
    }
    strong = np.array([row[3] == "strength" for row in rows], bool)
    bounds = {name: np.where(strong, np.clip(value, 0, 1), value) for name, value in bounds.items()}
    columns: dict[str, Array] = {
        name: np.array([value[row[0]] if row[0] >= 0 else "all" for row in rows], object) for name, value in made.keys.items()
    }
    columns |= {name: np.array([row[at] for row in rows], object) for at, name in ((1, "lever"), (2, "at"), (3, "kind"))}
    columns |= {"effect": np.array([row[4] for row in rows], "f8"), **bounds}
    texts = [name for name, value in columns.items() if value.dtype == object]
    described = [Column(name, Role.OUTPUT if name == "kind" else Role.ENTITY, Type.TEXT) for name in texts]
    described += [Column(name, Role.OUTPUT, Type.NUMBER) for name in columns if name not in texts]
    return Table.from_columns(columns, Schema(tuple(described), tuple(name for name in texts if name != "kind")))


def _event(name: str) -> tuple[str, str, str]:
    label, _, window = name.partition(", ")
    return (label, window, "log lift") if window else (name, "", "elasticity" if name == "price" else "log lift")


def _of_series(made: Components, series: int) -> list[Row]:
    rows: list[Row] = []
    blocks = max(made.trend.shape[1] / BLOCK[made.clock.grain.name], 5.0)
    for name, value in made.strength.items():
        strong = float(value[series])
        rows.append((series, name, "", "strength", strong, 2 * np.sqrt(strong) * (1 - strong) / np.sqrt(blocks - 3)))
    for season in made.seasons:
        rows += [(series, season.name, at, "log index", value, error) for at, value, error in indices(made, season, series)]
    for place, name in enumerate(made.names):
        rows.append((series, *_event(name), float(made.coefficient[series, place]), float(made.coefficient_error[series, place])))
    for row, number, step, error in made.turns:
        if row == series:
            rows.append((series, "trend", str(made.clock.date(np.array([number]))[0]), "log step", step, error))
    rows += [
        (series, "year", str(year), "days later", days, error) for row, year, days, error in made.facts.get("shifts", []) if row == series
    ]
    rows += [(series, "spend", at, "log index", value, error) for at, value, error in best(made, series)]
    return rows


def indices(made: Components, season: Season, series: int) -> list[tuple[str, float, float]]:
    """Return each phase by its name with its log index and standard error; a year is told by its months."""
    value, error = made.index[season.name][series].astype("f8"), made.index_error[season.name][series].astype("f8")
    if season.phases != 366:
        return [(told(season, at), float(value[at]), float(error[at])) for at in range(season.phases)]
    ends = np.array([0, 31, 60, 91, 121, 152, 182, 213, 244, 274, 305, 335, 366])
    months = pairwise(ends.tolist())
    return [
        (told(season, at), float(np.log(np.exp(value[low:high]).mean())), float(error[low:high].mean()))
        for at, (low, high) in enumerate(months)
    ]


def best(made: Components, series: int) -> list[tuple[str, float, float]]:
    """Return the best windows of the coming year by the index alone: mean log index and its standard error.

    None without a year, or where no day of it is better than another.
    """
    if not any(season.name == "year" for season in made.seasons):
        return []
    if ("best", series) not in made.memo:
        made.memo["best", series] = _best(made, series)
    kept: list[tuple[str, float, float]] = made.memo["best", series]
    return kept


def _best(made: Components, series: int) -> list[tuple[str, float, float]]:
    count = AHEAD[made.clock.grain.name]
    numbers = made.last + 1 + np.arange(count)
    value, error = np.zeros(count), np.zeros(count)
    for season in made.seasons:
        if season.name == "year":
            at = phase(season, made.clock, numbers)
            value, error = value + made.index["year"][series, at], error + made.index_error["year"][series, at] ** 2
    for place, name in enumerate(made.names):
        if name not in made.levers:
            whole = made.column[name]
            at = numbers - made.first
            there = np.where(at < whole.shape[1], whole[series if len(whole) > 1 else 0, np.minimum(at, whole.shape[1] - 1)], 0.0)
            value = value + made.coefficient[series, place] * there
    width = SMOOTHED[made.clock.grain.name]
    around = np.convolve(np.pad(value, width // 2, mode="edge"), np.ones(width) / width, "same")[width // 2 : width // 2 + count]
    if np.ptp(around) < STILL:
        return []
    high = around >= np.quantile(around, 1 - BEST)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], high.astype(int), [0]])))
    found = []
    for low, end in zip(edges[::2], edges[1::2], strict=True):
        dates = made.clock.date(numbers[[low, end - 1]])
        found.append((f"{dates[0]} to {dates[1]}", float(np.log(np.exp(value[low:end]).mean())), float(np.sqrt(error[low:end].mean()))))
    return sorted(found, key=lambda row: -row[1])[:WINDOWS]


def notes(made: Components, series: Array, numbers: Array) -> list[str]:
    """Say what cannot be told, what was repaired, and what the best windows rest on."""
    grain = made.clock.grain.name
    said = list(made.facts.get("notes", []))
    for name in made.facts.get("untold", []):
        said.append(
            f"{made.facts['periods']} {grain}s cannot tell a season of the {name}: its index is one, and no window of the {name} is named"
        )
    if made.names:
        width = min(value.shape[1] for value in made.column.values())
        if (numbers - made.first >= width).any():
            last = made.clock.date(np.array([made.first + width - 1]))[0]
            said.append(f"events and plans are known to {last}: after it there are none unless the question says so")
    if (numbers > made.last).any():
        said.append("after the last figure the trend goes on ever more slowly; its band widens with time")
    if any(season.name == "year" for season in made.seasons):
        chosen = np.unique(series)
        if len(chosen) == 1 and (windows := best(made, int(chosen[0]))):
            names = "; ".join(f"{at} ({100 * (np.exp(value) - 1):+.0f} %)" for at, value, _ in windows)
            said.append(f"best windows to spend in the year to come: {names}")
        said.append("windows to spend are by the seasonal index alone: what one more unit of spend brings then is not known here")
    steps = [turn for turn in made.turns if turn[0] in set(np.unique(series).tolist())] if len(np.unique(series)) <= 3 else []
    for row, number, step, _ in steps[:5]:
        when = made.clock.date(np.array([number]))[0]
        said.append(f"the trend{_whose(made, row)} steps by {100 * (np.exp(step) - 1):+.0f} % around {when}")
    if steps and "year" in made.facts.get("untold", []):
        said.append("what looks like a step may be a high or a low season: this history cannot tell them apart")
    return said


def _whose(made: Components, row: int) -> str:
    """Name a series in the middle of a sentence; nothing where there is only one."""
    if len(made) < 2:
        return ""
    return f" of {'/'.join(str(value[row]) for value in made.keys.values())}"


def planned(made: Components, series: Array, asked: Table) -> list[str]:
    """Say what the levers of a question count over, which of them count for nothing, and which lie outside of what was seen."""
    said = []
    for name in ("price", "promotion", *(name for name in made.levers if name not in ("price", "promotion"))):
        value = asked.column(name).astype("f8") if name in asked else np.zeros(0)
        there = np.isfinite(value)
        if not there.any():
            continue
        if name not in made.levers:
            said.append(f"{name} was not there in training, or never moved: a planned one changes nothing")
            continue
        none, low, high = made.centre[name][series[there]].astype("f8").T
        unknown = int((~np.isfinite(none)).sum())
        if unknown:
            said.append(f"{unknown} of {len(none)} questions are of series without any known {name}: a planned one changes nothing there")
        if made.facts["kinds"][name] == "price" and unknown < len(none):
            at = int(np.flatnonzero(np.isfinite(none))[0])
            said.append(f"a planned {name} counts over the usual one, such as {none[at]:g}{_several(made, none[at])}")
        away = FURTHER * (high - low) if made.facts["kinds"][name] == "number" else 0.01 * high
        outside = (value[there] < low - away) | (value[there] > high + away)
        if outside.any():
            at = int(np.flatnonzero(outside)[0])
            example = f"such as {value[there][at]:g}, seen {low[at]:g} to {high[at]:g}"
            said.append(
                f"{int(outside.sum())} of {len(none)} planned values of {name} lie outside what was seen ({example}): take them as a guess"
            )
    return said


def unused(made: Components, asked: Table) -> list[str]:
    """Say which keys and columns of a question this version does not know, so that they change nothing."""
    known = {"date", "price", "promotion", *made.keys, *made.levers}
    return without_effect(name for name in asked.names if name not in known and given(asked.column(name)).any())


def _several(made: Components, usual: float) -> str:
    return " (several products together: 1 is their usual level)" if "category" in made.keys and usual == 1 else ""
