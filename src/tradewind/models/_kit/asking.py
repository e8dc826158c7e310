"""From a table of questions to places in a panel, and from numbers back to a table of answers."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from tradewind.core.errors import BadValue, EmptyTable, MissingColumn, NotFound
from tradewind.core.schema import Role, Schema
from tradewind.core.table import Table
from tradewind.models._kit.calendar import slug
from tradewind.models._kit.intervals import LEVELS
from tradewind.models._kit.panel import BESIDE, CLOSED, EVENTS, RIVALS, Panel

Array = np.ndarray[Any, Any]
OPEN = "open"  # the column of a question that says whether anything can be sold


@dataclass(frozen=True, slots=True)
class Asked:
    """Where each question points: the series that are asked for, and per row its place in them and how far ahead (0 = next).

    A series stands in `series` once per plan: rows that ask the same period twice are plans of their own.

    `plan` holds what the user plans: column -> values per row, NaN where the row leaves the known plan alone. `open` says of each row
    whether anything can be sold: 0 for no, NaN where the question leaves that open; None where no row says so.
    """

    series: Array
    row: Array
    ahead: Array
    plan: Mapping[str, Array]
    ignored: tuple[str, ...]
    open: Array | None = None


def locate(panel: Panel, asked: Table) -> Asked:
    """Find the questions in the panel; raises EmptyTable, MissingColumn, NotFound and BadValue."""
    if len(asked) == 0:
        raise EmptyTable("nothing is asked", hint='give rows such as {"product": "P1", "date": "2026-12-01"}, or a horizon')
    when = asked.schema.time or "date"
    if when not in asked:
        raise MissingColumn('column "date" is missing', hint=f"there are: {', '.join(asked.names)}")
    series = _find(panel, asked)
    ahead = _steps(panel, asked.column(when))
    chosen, row = _gathered(panel, series, ahead)
    plan, ignored = _plan(panel, asked, when)
    return Asked(chosen, row, ahead, plan, ignored, _opened(panel, asked, plan))


def _gathered(panel: Panel, series: Array, ahead: Array) -> tuple[Array, Array]:
    """Return the asked series, each once per plan, and the place of each row in them."""
    starts = np.flatnonzero(series[1:] != series[:-1]) + 1
    if not len(starts) and _rising(ahead, starts):
        return series[:1], np.zeros(len(series), "i8")
    chosen, place = np.unique(series[np.append(0, starts)], return_inverse=True)
    if len(chosen) == len(place) and _rising(ahead, starts):  # rows of one series stand together, one for each period: the usual case
        return chosen, np.repeat(place, np.diff(starts, prepend=0, append=len(series)))
    chosen, row = np.unique(series + len(panel) * _turn(series, ahead), return_inverse=True)
    return chosen % len(panel), row


def _rising(ahead: Array, starts: Array) -> bool:
    """Tell whether the periods rise between the starts."""
    rises = ahead[1:] > ahead[:-1]
    rises[starts - 1] = True
    return bool(rises.all())


def _turn(series: Array, ahead: Array) -> Array:
    """Return for each row how many rows before it asked the same series and period."""
    place = series * (int(ahead.max()) + 1) + ahead
    order = np.argsort(place, kind="stable")
    sorted_ = place[order]
    starts = np.flatnonzero(np.append(True, sorted_[1:] != sorted_[:-1]))
    turn = np.empty(len(place), "i8")
    turn[order] = np.arange(len(place)) - np.repeat(starts, np.diff(np.append(starts, len(place))))
    return turn


def _steps(panel: Panel, dates: Array) -> Array:
    if dates.dtype.kind != "M" or np.isnat(dates).any():
        raise BadValue('column "date" must hold dates', hint="write dates as in 2026-11-30")
    ahead = panel.clock.number(dates) - panel.first - panel.cut
    if (ahead < 0).any():
        last = panel.clock.date(np.array([panel.first + panel.cut - 1]))[0]
        at = int(np.argmin(ahead))
        raise BadValue(f"{dates[at]} is not in the future of this model: it knows sales up to {last}", hint=f"ask for dates after {last}")
    check_horizon(panel, int(ahead.max()) + 1)
    return ahead


def check_horizon(panel: Panel, horizon: int) -> None:
    """Raise BadValue for a horizon that is no horizon."""
    if not 1 <= horizon <= panel.grain.reach:
        raise BadValue(
            f"a horizon of {horizon} {panel.grain.name}s cannot be answered",
            hint=f"ask for 1 to {panel.grain.reach} {panel.grain.name}s after the last sale",
        )


def _find(panel: Panel, asked: Table) -> Array:
    names = list(panel.keys)
    if names == ["series"] and "series" not in asked:
        return np.zeros(len(asked), "i8")
    given = []
    for name in names:
        if name not in asked:
            if len(set(panel.keys[name].tolist())) > 1:
                raise MissingColumn(f'column "{name}" is missing', hint=f"every question names its {' and '.join(names)}")
            given.append([panel.keys[name][0]] * len(asked))
        else:
            given.append(asked.column(name).tolist())
    place: dict[tuple[Any, ...], int] = {}  # rows of one series mostly come many at a time: each key is looked up once
    for key in dict.fromkeys(zip(*given, strict=True)):
        texts = tuple(map(str, key))
        if texts not in panel.index:
            raise NotFound(f"no sales are known of {_said(names, texts)}", hint=_close(panel, names, texts))
        place[key] = panel.index[texts]
    if len(place) == 1:
        return np.full(len(asked), next(iter(place.values())), "i8")
    return np.fromiter(map(place.__getitem__, zip(*given, strict=True)), "i8", len(asked))


def _said(names: list[str], key: tuple[str, ...]) -> str:
    return ", ".join(f"{name} {value!r}" for name, value in zip(names, key, strict=True))


def _close(panel: Panel, names: list[str], key: tuple[str, ...]) -> str:
    for name, value in zip(names, key, strict=True):
        there = sorted(set(panel.keys[name].tolist()))
        if value not in there:
            near = difflib.get_close_matches(value, there, 3, 0.4) or there[:3]
            return f"{name}s like it: {', '.join(near)}"
    return f"each is known, but not together: this {names[0]} was never sold at this {names[-1]}"


def _plan(panel: Panel, asked: Table, when: str) -> tuple[dict[str, Array], tuple[str, ...]]:
    plan: dict[str, Array] = {}
    ignored: list[str] = []
    for name in asked.names:
        if name in (when, OPEN) or name in panel.keys:
            continue
        values = asked.column(name)
        said = {} if name in panel.kinds else _spoken(panel, name, values)
        if said:
            plan |= said
            continue
        if panel.kinds.get(name, RIVALS) in BESIDE:
            if values.dtype.kind not in "biuf" or np.isfinite(values.astype("f8")).any():
                ignored.append(name)
            continue
        numbers = values.astype("f4") if values.dtype.kind in "biuf" else _numbers(name, values)
        if numbers.min() > 0 and numbers.max() < np.inf:  # all there, and fine as a column of any kind
            plan[name] = numbers
            continue
        kind = panel.kinds[name]
        if np.isinf(numbers).any() or (kind != "number" and (numbers < 0).any()):
            raise BadValue(f'column "{name}" must hold numbers of zero or more', hint="leave a value out to keep the planned one")
        if kind == "price" and (numbers == 0).any():
            raise BadValue(f'column "{name}" must lie above zero', hint="leave a value out to keep the planned one")
        if np.isfinite(numbers).any():
            plan[name] = numbers
    return plan, tuple(ignored)


def _numbers(name: str, values: Array) -> Array:
    """Return a planned column in which nothing stands, NaN; raises BadValue for a text, which is no number."""
    texts = [text for text in values.tolist() if text is not None and str(text) not in ("", "nan", "NaT")]
    if texts:
        raise BadValue(f'column "{name}" must hold numbers, not "{texts[0]}"', hint="leave a value out to keep the planned one")
    return np.full(len(values), np.nan, "f4")


def _spoken(panel: Panel, name: str, values: Array) -> dict[str, Array]:
    """Return the flags of events that a column of texts became when it was learned, NaN where no text is; none where it became none.

    A question may hold none but the text for no holiday, and that may be a number: 0.
    """
    start = f"{slug(name)}_"
    flags = [flag for flag, kind in panel.kinds.items() if kind in EVENTS and flag.startswith(start)]
    if not flags or not (values.dtype == object or (values.dtype.kind in "iuf" and start != "event_")):
        return {}
    said = [text if isinstance(text, str) else "" if text is None else f"{text:g}" for text in values.tolist()]
    texts = np.array([start + slug(text) if text not in ("", "nan") else "" for text in said], object)
    return {flag: np.where(texts == "", np.nan, texts == flag).astype("f4") for flag in flags}


def _opened(panel: Panel, asked: Table, plan: dict[str, Array]) -> Array | None:
    """Read whether each row is open, and plan its closing where the panel knows of such; raises BadValue."""
    if OPEN not in asked:
        return None
    values = asked.column(OPEN)
    said = values.astype("f4") if values.dtype.kind in "biuf" else np.full(len(values), np.inf)
    if not (np.isnan(said) | ((said >= 0) & (said <= 1))).all():
        raise BadValue(f'column "{OPEN}" must hold 0 (closed) to 1 (open)', hint="leave a value out to keep what is known")
    if CLOSED in panel.kinds:
        plan[CLOSED] = 1 - said
    return said


def in_chunks(panel: Panel, asked: Table, size: int, answered: Callable[[Table], Table]) -> Table:
    """Answer about `size` rows at a time and put the answers back in order; the rows of one series stay together."""
    series = _find(panel, asked)
    order = np.argsort(series, kind="stable")
    starts = np.flatnonzero(np.diff(series[order], prepend=-1))
    cuts = [0]
    for start in starts.tolist():
        if start - cuts[-1] >= size:
            cuts.append(start)
    parts = [answered(asked.take(order[a:b])) for a, b in pairwise([*cuts, len(order)])]
    back = np.argsort(order, kind="stable")
    columns = {name: np.concatenate([part.column(name) for part in parts])[back] for name in parts[0].names}
    return Table.from_columns(columns, parts[0].schema)


def expand(panel: Panel, horizon: int, where: Mapping[str, Any]) -> Table:
    """Return one question per living series that fits `where` and period up to the horizon; raises NotFound and BadValue."""
    check_horizon(panel, horizon)
    fits: Array = panel.alive
    for name, wanted in where.items():
        values = {str(value) for value in (wanted if isinstance(wanted, list | tuple | set) else [wanted])}
        if name not in panel.keys and name not in panel.labels:
            raise NotFound(f"series have no {name!r}", hint=f"choose by: {', '.join([*panel.keys, *panel.labels])}")
        has = panel.keys[name] if name in panel.keys else panel.labels[name]
        fitting = np.logical_or.reduce([has == value for value in sorted(values)] or [np.zeros(len(has), bool)])
        fits = np.logical_and(fits, fitting)
        if not fitting.any():
            near = difflib.get_close_matches(next(iter(sorted(values)), ""), [str(value) for value in set(has.tolist())], 3, 0.3)
            raise NotFound(f"no series has {name} {', '.join(sorted(values))}", hint=f"there are: {', '.join(near)}" if near else "")
    chosen = np.flatnonzero(fits)
    if len(chosen) == 0:
        raise NotFound(
            "no living series fits", hint="series without sales lately are left out here: ask with rows that name each and its dates"
        )
    dates = panel.clock.date(panel.first + panel.cut + np.arange(horizon))
    columns = {name: np.repeat(value[chosen], horizon) for name, value in panel.keys.items()}
    columns["date"] = np.tile(dates, len(chosen))
    return Table.from_columns(columns)


def answer(asked: Table, gives: Schema, mean: Array, bands: Array, extra: Mapping[str, Array] | None = None) -> Table:
    """Return the table of answers: the keys asked for, mean, median and bounds (`bands` is (rows, len(LEVELS)))."""
    keys = {name: asked.column(name) for name in asked.names if (column := gives.get(name)) is not None and column.role is not Role.OUTPUT}
    columns: dict[str, Array] = {**keys, "mean": mean}
    columns |= {name: bands[:, at] for at, name in enumerate(LEVELS)}
    return Table.from_columns(columns | dict(extra or {}), gives)
