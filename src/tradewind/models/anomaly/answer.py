"""Verdicts as rows: score and band, whether it is an alert, which incident it belongs to, what it costs and what drives it."""

from __future__ import annotations

from typing import Any

import numpy as np

from tradewind.core.errors import Unexpected
from tradewind.core.table import Table
from tradewind.models.anomaly import MODEL, hidden, quality
from tradewind.models.anomaly.grid import KEYS
from tradewind.models.anomaly.incidents import Scene, incident_of, largest, scene_of
from tradewind.models.anomaly.watch import Cells, Watch

Array = np.ndarray[Any, Any]
EMPTY = 0.15  # share of what was expected below which nothing could be bought
BANDS = ("lo95", "lo90", "lo80", "lo50", "p50", "hi50", "hi80", "hi90", "hi95")
COMBINATION, RELATION = "combination", "relation"


def answer(watch: Watch, cells: Cells, rows: Array, at: Array, names: Array) -> Table:
    """Return one row per asked cell; `rows` index `cells`, `names` say which series of the watch each row of `cells` is."""
    pick = rows, at
    value, expected, spread, odds, p, mark = (getattr(cells, name)[pick] for name in ("value", "expected", "spread", "odds", "p", "mark"))
    series = names[rows]
    columns: dict[str, Array] = {name: watch.keys[name][series] for name in KEYS if name in watch.keys}
    moments = cells.moments[at]
    days = bool((cells.moments == cells.moments.astype("M8[D]")).all())
    columns["date"] = moments.astype("M8[D]") if days else moments
    columns |= {"units": value, "score": score(odds), "p_value": p, "q_value": cells.q[pick]}
    alert = cells.p <= watch.budget
    columns["alert"] = alert[pick].astype("i8")
    columns["mean"] = expected
    vectors = watch.together
    together = series >= watch.figures
    least = _least(watch)[series]
    for at_level, name in enumerate(BANDS):
        distance = np.full(len(rows), watch.ranks.distances[at_level])
        if vectors is not None:
            distance[together] = vectors.ranks.distances[at_level]
        columns[name] = np.maximum(expected + distance * spread, least)
    columns["mean"] = np.maximum(expected, least)
    gap = np.where(np.isfinite(value), value, 0.0) - expected
    columns["gap"] = gap
    columns |= _incidents(watch, cells, rows, at, names=names, alert=alert)
    kinds = np.array([*hidden.families(), COMBINATION], object)
    columns["kind"] = np.where(
        columns["alert"] > 0,
        np.where(mark > 0, np.array(quality.MARKS, object)[mark.astype("i8")], kinds[cells.kind[pick].astype("i8")]),
        "",
    )
    return Table.from_columns(columns, MODEL.gives)


def score(odds: Array) -> Array:
    """Return how odd a figure is, from 0 to 1: budget / (budget + share of usual figures that look as odd).

    One half where an alert at the budget begins; 0.9 for what is nine times as rare as the budget.
    """
    return np.asarray(1.0 / (1.0 + np.exp(-odds)))


def _least(watch: Watch) -> Array:
    """Return what each series cannot fall below: zero for counts and for distances."""
    least = np.full(len(watch.chances), -np.inf)
    for own, engine in watch.engines:
        least[own] = 0.0 if engine.family == "counts" else -np.inf
    least[watch.figures :] = 0.0
    return least


def _incidents(watch: Watch, cells: Cells, rows: Array, at: Array, *, names: Array, alert: Array) -> dict[str, Array]:
    """Return incident, severity, class and driver of the asked cells; empty and zero where there is no alert."""
    scene = scene_of(watch, cells, names, alert)
    incident, driver, of = (np.full(len(rows), "", object) for _ in range(3))
    severity = np.zeros(len(rows))
    for cell in np.flatnonzero(alert[rows, at]).tolist():
        row, day = int(rows[cell]), int(at[cell])
        found = incident_of(scene, row, day)
        incident[cell], severity[cell] = found.name, found.severity
        if names[row] >= watch.figures:
            of[cell] = RELATION
            driver[cell], severity[cell] = _combined(scene, row, day)
            continue
        share, top = largest(scene, row, day)
        of[cell] = _class(cells, found.owner if top is not None else row, day)  # a total is what its part is
        if of[cell] != "data" and top is not None and share > 0:
            driver[cell] = f"{_named(watch, int(names[top]))}: {min(share, 1.0):.0%} of the gap"
        elif of[cell] != "data" and found.owner != row:
            driver[cell] = f"part of {_named(watch, int(names[found.owner]))}"
        else:
            driver[cell] = _driver(cells, row, day, of[cell])
    return {"incident": incident, "severity": severity, "class": of, "driver": driver}


def _combined(scene: Scene, row: int, day: int) -> tuple[str, float]:
    """Say which figures a combination is odd by, and what these are away from what was expected of them."""
    watch, cells = scene.watch, scene.cells
    vectors = watch.together.within(scene.place) if watch.together is not None else None
    if vectors is None:
        raise Unexpected("a combination of figures was judged without its figures")
    days = slice(day, day + 1)
    z = vectors.misses(cells.value[:, days], cells.expected[:, days], cells.spread[:, days])
    said, rows = vectors.reason(row, z[int(np.flatnonzero(vectors.rows == row)[0]), 0])
    return said, float((np.abs(scene.gaps[rows, day]) * watch.worth[scene.names[rows]]).sum())


def _class(cells: Cells, row: int, day: int) -> str:
    mark, value, expected = int(cells.mark[row, day]), cells.value[row, day], cells.expected[row, day]
    if mark in quality.LOADS:
        return "data"
    if mark == quality.ZERO or (expected > 1 and 0 <= value < EMPTY * expected):
        return "supply"
    families = hidden.families()
    if families[int(cells.kind[row, day])] == hidden.UNFIRED or cells.promoted[row, day] > 0.5:
        return "promotion"
    return "demand"


def _driver(cells: Cells, row: int, day: int, of: str) -> str:
    """Say in a few words where an alert comes from, as far as the series itself tells."""
    if of == "data":
        return quality.MARKS[int(cells.mark[row, day])]
    less = cells.value[row, day] < cells.expected[row, day]
    if of == "promotion":
        return "the promotion brought less than before" if less else "the promotion brought more than before"
    if of == "supply":
        return "nothing or next to nothing could be bought"
    return "less wanted than usual" if less else "more wanted than usual"


def _named(watch: Watch, series: int) -> str:
    said = [f"{name} {watch.keys[name][series]}" for name in KEYS if name in watch.keys and watch.keys[name][series]]
    return ", ".join(said) or "everything"
