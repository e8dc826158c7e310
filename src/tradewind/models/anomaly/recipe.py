"""The protocol around an engine: fit, predict, expand, update, dump and load of every recipe of this model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tradewind.core.errors import BadValue, EmptyTable, InvalidInput, NotFound
from tradewind.core.model import Knob
from tradewind.core.table import Table
from tradewind.models._kit.resting import regular_after
from tradewind.models._kit.unasked import given, without_effect
from tradewind.models.anomaly import MODEL, keep, odd_orders, quality
from tradewind.models.anomaly.answer import answer
from tradewind.models.anomaly.engine import Engine, Past
from tradewind.models.anomaly.grid import AT_LEAST, BEYOND, DAY, KEYS, VALUE, Grid, read, texts, time_of
from tradewind.models.anomaly.incidents import BACK
from tradewind.models.anomaly.lines import AT_LEAST as AT_LEAST_LINES
from tradewind.models.anomaly.lines import Orders, learn
from tradewind.models.anomaly.watch import RULED, Cells, Watch, begin, held_out, joined, moved_on, part_of, ruled, walk

Array = np.ndarray[Any, Any]
Learn = Callable[[Grid, Mapping[str, Any]], list[tuple[Array, Engine, Past]]]
BUDGET = Knob("budget", 0.03, 0.001, 0.2, meaning="share of usual figures that may raise an alert", tune=False)
RATE = Knob("rate", 0.1, 0.001, 0.3, log=True, meaning="how often an incident is thought to begin, before the figures are seen", tune=False)
FEW = 8  # asked rows up to which only what surrounds them is looked at
HELD, LONGEST, SHORTEST = 0.2, 120, 90  # share and periods held out, and periods that must be left to learn from
ONLY_LINES = {"order", "customer", "channel"}  # what a line has and no series
MOST_AHEAD = 400  # periods after the last known one, up to which a new figure is judged
FAR = 30  # periods after the last one known up to which what was usual then is taken to hold unsaid
LAST = 28  # periods that are shown where none are asked for


@dataclass(frozen=True, slots=True)
class Watching:
    """One recipe: how its engines learn, and everything they have in common."""

    name: str
    learn: Learn
    knobs: tuple[Knob, ...] = (BUDGET, RATE)
    causal: bool = False  # the past is judged as of its own days, not from both sides
    overfits: bool = False  # what it learned looks better than it is: the end of the past is held out once to tell by how much

    def fit(self, table: Table, params: Mapping[str, Any], seed: int) -> Watch:
        """Learn what is usual of every series, and judge their past; raises EmptyTable, MissingColumn and InvalidInput.

        Nothing but the forest over several figures of a place is drawn.
        """
        table, orders = odd_orders.told_apart(table)
        grid = _said(_enough(read(table)))
        said = {"budget": BUDGET.default, "rate": RATE.default} | dict(params)
        budget, rate = float(said["budget"]), float(said["rate"])
        periods = len(grid.moments)
        first = periods - min(int(HELD * periods), LONGEST)
        fresh = None
        if self.overfits and first >= SHORTEST:
            fresh = held_out(grid, self.learn(grid.known_until(first), said), first, rate=rate)
        state = begin(grid, self.learn(grid, said), budget=budget, rate=rate, seed=seed, causal=self.causal, fresh=fresh)
        return state if orders is None else self._with_lines(state, odd_orders.read(orders), seed)

    def _with_lines(self, state: Watch, orders: Orders, seed: int) -> Watch:
        """Return the watch with what is usual of single orders, which is the same for every recipe."""
        if len(orders) < AT_LEAST_LINES:
            return replace(state, notes=(*state.notes, f"{len(orders)} order lines are too few to call one odd"))
        return replace(state, lines=odd_orders.with_past(learn(orders, seed), orders, state.budget))

    def predict(self, state: Watch, asked: Table) -> Table:
        """Return a verdict per asked row: of the past as it is known, of later figures as of their own day.

        A row that names an order is judged by itself. Raises NotFound for a series that was never seen, or an order without figures that
        is not kept; BadValue for a period without a figure.
        """
        line = odd_orders.is_line(asked) if odd_orders.ORDER in asked else np.zeros(len(asked), bool)
        if not line.any():
            return _series_told(state, asked)
        if state.lines is None:
            raise NotFound("no orders were learned from", hint="load orders and train again, or ask without an order")
        orders = odd_orders.asked_of(state.lines, asked.take(line))
        told = odd_orders.answer(state.lines, orders, state.budget)
        if line.all():
            return Table.from_columns(told, MODEL.gives)
        return _beside(_series_told(state, asked.take(~line)), told, line)

    def expand(self, state: Watch, horizon: int | None, where: Mapping[str, Any]) -> Table:
        """Return the last periods of every series that fits; raises NotFound and BadValue."""
        if horizon is not None and horizon < 1:
            raise BadValue(f"horizon must be at least 1, not {horizon}")
        last = np.arange(len(state.cells.moments))[-(horizon or LAST) :]
        since = state.cells.moments[last[0]].astype("M8[D]")
        lines = None if state.lines is None else odd_orders.chosen(state.lines, since, where)
        only = state.lines is not None and bool(set(where) & ONLY_LINES)
        found = [table for table in (None if only else _shown(state, last, where), lines) if table is not None]
        if not found:
            raise NotFound(f"no series{' and no odd order' * (state.lines is not None)} fits", hint="give keys as the tables spell them")
        return _stacked(found)

    def update(self, state: Watch, table: Table) -> Watch:
        """Judge the periods after the last one known, without learning anew."""
        table, orders = odd_orders.told_apart(table)
        moved = moved_on(state, read(table))
        return moved if state.lines is None else replace(moved, lines=odd_orders.moved_on(state.lines, orders, state.budget))

    def dump(self, state: Watch) -> Mapping[str, bytes]:
        """Write the state as JSON and tensors."""
        return keep.dump(state)

    def load(self, parts: Mapping[str, bytes]) -> Watch:
        """Read the state back."""
        return keep.load(parts)

    def notes(self, state: Watch, asked: Table) -> list[str]:
        """Say what repairs were made, how far p-values can be told apart, and which asked figures are not judged as they were sent."""
        count = len(state.ranks.scores)
        said = list(state.notes)
        if 1 / (1 + count) > state.budget / 5:
            past, new = 1 / max(count, 1), 1 / (1 + count)
            said.append(f"the past is short: no p-value of a past figure is below {past:.3f}, of a new one below {new:.3f}")
        said += without_effect(key for key in KEYS if key in asked and key not in state.keys and given(asked.column(key)).any())
        return said + _asked_amiss(state, asked)


def _asked_amiss(state: Watch, asked: Table) -> list[str]:
    """Say which asked figures lie far after the last one known, and which are others than those known of their period."""
    asked = asked.take(~odd_orders.is_line(asked)) if odd_orders.ORDER in asked else asked
    if VALUE not in asked or not len(asked):
        return []
    series, moments, sent = _series(state, asked), _moments(state, asked), asked.column(VALUE).astype("f8")
    last = state.cells.moments[-1]
    later = moments > last
    said = []
    if state.beat.regular and later.any():
        far = int((state.beat.ahead(last, moments[later]) > FAR).sum())
        if far:
            said.append(f"{far} figures lie over {FAR} periods after the last one known ({str(last)[:10]}): what is usual is that of then")
    known = state.cells.value[series, np.searchsorted(state.cells.moments, np.minimum(moments, last))]
    other = ~later & (series < state.figures) & np.isfinite(sent) & ~np.isclose(sent, known, rtol=1e-5)
    if other.any():
        said.append(
            f"{int(other.sum())} figures are not those known of their period, which are judged: load them and train again to correct it"
        )
    return said


def _series_told(state: Watch, asked: Table) -> Table:
    """Return a verdict per asked period of a series."""
    series = _series(state, asked)
    moments = _moments(state, asked)
    later = moments > state.cells.moments[-1]
    cells, rows, at, names = state.cells, series, np.searchsorted(state.cells.moments, moments), np.arange(len(state.chances))
    if later.any():
        cells, rows, at, names = _walked(state, asked, series, moments, later)
    elif len(asked) <= max(FEW, len(names) // 4):
        cells, rows, at, names = _near(state, series, at)
    return answer(state, cells, rows, at, names)


def _beside(series: Table, told: Mapping[str, Array], line: Array) -> Table:
    """Return the answers on series and on lines in the order they were asked in."""
    columns: dict[str, Array] = {}
    for name in dict.fromkeys((*told, *series.names)):
        first, second = (series.column(name) if name in series else None), told.get(name)
        kind = second if second is not None else first
        if kind is None or kind.dtype == object:
            out = np.full(len(line), "", object)
        else:
            out = np.zeros(len(line), "M8[us]" if kind.dtype.kind == "M" else kind.dtype)
        for values, where in ((first, ~line), (second, line)):
            if values is not None:
                out[where] = values
        columns[name] = out
    if (columns["date"] == columns["date"].astype("M8[D]")).all():
        columns["date"] = columns["date"].astype("M8[D]")
    return Table.from_columns(columns, MODEL.gives)


def _shown(state: Watch, last: Array, where: Mapping[str, Any]) -> Table | None:
    """Return the periods `last` of every series that fits, as questions; None where none does. Raises BadValue."""
    fits = np.ones(len(state.chances), bool)
    for name, wanted in where.items():
        column = state.keys.get(name, state.labels.get(name))
        if column is None:
            raise BadValue(f"there is no {name!r} to choose by", hint=f"choose by {', '.join([*state.keys, *state.labels])}")
        values = {str(one) for one in (wanted if isinstance(wanted, list) else [wanted])}
        fits &= np.array([str(value) in values for value in column.tolist()])
    shown = np.isfinite(state.cells.value[:, last]) | (state.cells.mark[:, last] > 0)
    rows, at = np.nonzero(shown & fits[:, None])
    if not len(rows):
        return None
    columns = {name: state.keys[name][rows] for name in KEYS if name in state.keys}
    moments = state.cells.moments[last[at]]
    days = bool((moments == moments.astype("M8[D]")).all())
    return Table.from_columns(columns | {"date": moments.astype("M8[D]") if days else moments})


def _stacked(tables: list[Table]) -> Table:
    """Return questions below each other; a key that one has not is empty there."""
    names = dict.fromkeys(name for table in tables for name in table.names)
    parts = {name: [table.column(name) if name in table else np.full(len(table), "", object) for table in tables] for name in names}
    return Table.from_columns({name: np.concatenate(values) for name, values in parts.items()})


def _enough(grid: Grid) -> Grid:
    most = int(np.isfinite(grid.value).sum(1).max())
    if most < AT_LEAST:
        raise EmptyTable(f"the longest series has {most} figures", hint=f"give at least {AT_LEAST} before anything can be unusual")
    return grid


def _said(grid: Grid) -> Grid:
    """Return the grid with notes on figures that tell little: series that never change, counts below zero."""
    known = np.isfinite(grid.value)
    low = np.min(np.where(known, grid.value, np.inf), axis=1)
    still = int((known.any(1) & (low == np.max(np.where(known, grid.value, -np.inf), axis=1))).sum())
    below = int((np.where(known, grid.value, 0.0) < 0).sum())
    notes = [f"{still} series never change: any other figure is an incident to them"] if still else []
    notes += [f"{below} figures are below zero: where a series counts things they are taken as none"] if below else []
    return replace(grid, notes=(*grid.notes, *notes))


def _series(state: Watch, asked: Table) -> Array:
    """Return the place of each asked row's series; raises NotFound."""
    if len(asked) == 0:
        raise InvalidInput("no row was asked", hint="send a row per series and period")
    names = list(state.keys)
    keys = list(zip(*(texts(asked, name) for name in names), strict=True))
    if not any(name in asked for name in names) and len(state.chances) == 1:
        return np.zeros(len(asked), "i8")
    place = np.array([state.index.get(key, -1) for key in keys], "i8")
    if (place < 0).any():
        first = keys[int(np.argmin(place))]
        raise NotFound(
            f"the series {'/'.join(part or 'all' for part in first)} was never seen", hint=f"a series is named by {', '.join(names)}"
        )
    return place


def _moments(state: Watch, asked: Table) -> Array:
    """Return the asked moments; raises BadValue for one before the past or between two periods."""
    when = asked.column(time_of(asked)).astype("M8[us]")
    if np.isnat(when).any():
        raise BadValue("a date is missing", hint="every row needs the period it asks about")
    known = state.cells.moments
    at = np.minimum(np.searchsorted(known, when), len(known) - 1)
    if ((when <= known[-1]) & (known[at] != when)).any():
        wrong = when[(when <= known[-1]) & (known[at] != when)][0]
        raise BadValue(
            f"{str(wrong)[:19]} is no period that was seen", hint=f"periods run from {str(known[0])[:10]} to {str(known[-1])[:19]}"
        )
    return when


def _walked(state: Watch, asked: Table, series: Array, moments: Array, later: Array) -> tuple[Cells, Array, Array, Array]:
    """Judge the asked later figures in the order of time; return the verdicts with a little past before them."""
    single = later & (series < state.figures)
    if single.any() and (VALUE not in asked or not np.isfinite(asked.column(VALUE)[single].astype("f8")).all()):
        raise BadValue(
            "a period after the last one known needs its figure", hint=f'send "{VALUE}" with every row, or update the model first'
        )
    if single.any() and (np.abs(asked.column(VALUE)[single].astype("f8")) > BEYOND).any():
        raise BadValue(f"a figure beyond {BEYOND:.0e} must be a slip", hint="correct it, or leave its row out")
    names = _with_members(state, np.unique(series))
    row = np.searchsorted(names, series)
    new = np.unique(moments[later])
    if state.beat.regular:
        ahead = state.beat.ahead(state.cells.moments[-1], new)
        if int(ahead[-1]) > MOST_AHEAD:
            raise BadValue(
                f"{str(new[-1])[:10]} lies {int(ahead[-1])} periods after the last figure known, of {str(state.cells.moments[-1])[:10]}",
                hint=f"at most {MOST_AHEAD}: load what came in between and update the model, or look at the date",
            )
        whole = state.beat.after(state.cells.moments[-1], int(ahead[-1]))
        at = state.beat.ahead(state.cells.moments[-1], moments[later]) - 1
    else:
        whole, at = new, np.searchsorted(new, moments[later])
    told = series[later] < state.figures  # a figure that is given for all of them together says nothing
    part = part_of(state, names)
    blank = np.full((len(names), len(whole)), np.nan)
    inputs = {}
    for column in asked.names:
        if column not in KEYS and asked.column(column).dtype.kind in "biuf":
            inputs[column] = blank.copy()
            inputs[column][row[later], at] = asked.column(column)[later].astype("f8")
    value = inputs.pop(VALUE, blank)
    value[row[later & ~single]] = np.nan
    known = len(state.cells.moments)
    cells = _judged(part, state.cells.between(max(known - 2 * quality.WEEKS, 0), known).take(names), whole, value, inputs)
    first = max(known - max(BACK, quality.WEEKS) - 2, 0) if later.all() else 0  # all of the past is large, and only its end matters
    past = state.cells.between(first, known).take(names)
    holiday = np.isin(whole.astype("M8[D]"), part.holidays)
    fresh = joined(part, ruled(part, cells, past.value, holiday=holiday))
    if not np.isfinite(fresh.value[row[later & ~single], at[~told]]).all():
        raise BadValue("all figures of a period are judged from the figures themselves", hint="send a row for each of them beside it")
    if later.all() and not (fresh.p <= state.budget).any():
        return fresh, row, at, names  # without an alert, nothing needs to be followed back
    both = past.beside(fresh)
    place = np.searchsorted(state.cells.moments, moments) - first
    place[later] = known - first + at
    return both, row, place, names


def _judged(part: Watch, past: Cells, whole: Array, value: Array, inputs: Mapping[str, Array]) -> Cells:
    """Judge new figures one period after the other; a zero on a day on which its series rests is what was expected."""
    event = np.isin(whole.astype("M8[D]"), part.holidays)
    rest = regular_after(past.value, value, event) if part.beat.step == DAY else np.zeros(value.shape, bool)
    _, cells = walk(part, whole, np.where(rest, np.nan, value), inputs)
    if not rest.any():
        return cells
    said = {"value": 0.0, "expected": 0.0, "p": 1.0, "odds": -RULED}
    return replace(cells, **{name: np.where(rest, sure, getattr(cells, name)) for name, sure in said.items()})


def _with_members(state: Watch, names: Array) -> Array:
    """Return rows of the watch with the figures of those that stand for all figures of a place."""
    if state.together is None:
        return names
    members = state.together.members[np.isin(state.together.rows, names)]
    return np.union1d(names, members[members >= 0])


def _near(state: Watch, series: Array, at: Array) -> tuple[Cells, Array, Array, Array]:
    """Return the verdicts on the asked series only, some periods around; on all series where an alert must be told whose incident it is."""
    first = max(int(at.min()) - BACK - 2, 0)
    cells = state.cells.between(first, int(at.max()) + BACK + 2)
    if (state.cells.p[series, at] <= state.budget).any():
        return cells, series, at - first, np.arange(len(state.chances))
    names = _with_members(state, np.unique(series))
    return cells.take(names), np.searchsorted(names, series), at - first, names
