"""The recipe protocol around a learner: one state, one way to answer, to take in actuals and to set intervals for all of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np

from tradewind.core.errors import BadValue, Incompatible, LearnFailed
from tradewind.core.model import Knob, settle
from tradewind.core.schema import Column, Role, Schema, Type
from tradewind.core.table import Table
from tradewind.models._kit import asking, tensors
from tradewind.models._kit.asking import Asked
from tradewind.models._kit.forecast import closing, percent, recalibrate, rivals, support, totals
from tradewind.models._kit.forecast import memory as memories
from tradewind.models._kit.forecast.features import promoted
from tradewind.models._kit.forecast.learner import CELLS, Keeps, Learned, Learner, Look, Said, looks
from tradewind.models._kit.forecast.memory import Memory
from tradewind.models._kit.forecast.notes import Known, cleaned, notes
from tradewind.models._kit.forecast.recalibrate import Recalibration
from tradewind.models._kit.forecast.support import Seen
from tradewind.models._kit.intervals import LEVELS, TAUS
from tradewind.models._kit.panel import BESIDE, Panel, from_table

Array = np.ndarray[Any, Any]
FORMAT = 4
CLOSED = 0.9  # share of a block's periods after which its actuals count as all in
MOST_CATCH_UP = 12  # blocks that are replayed where an update comes late
HORIZON = Knob("horizon", 0, 0, 366, meaning="periods ahead to learn; 0 = 30 days, 13 weeks, 12 months", tune=False)
PERCENT = Knob(
    percent.ASKED, 0, 0, 1, meaning="1: also answer the point of least expected percentage error, for who is judged by MAPE", tune=False
)
MEDIAN = list(LEVELS).index("p50")
HALF = np.array([0.5])
Completes = Callable[[Panel, Asked], Asked]
Prepares = Callable[[Panel, Panel | None], Panel]
"""Adds to a panel what else is known ahead, as an old one was learned with where there is one."""


@dataclass(frozen=True, slots=True)
class State:
    """What was learned, the end of the history it answers from, and how its forecasts have done."""

    panel: Panel
    learned: Learned
    memory: Memory
    bands: Recalibration  # of bounds
    counts: Recalibration  # of quantiles of whole numbers
    horizon: int
    whole: Array  # series whose sales are whole numbers
    known: Known  # what the whole history says, of which the panel keeps the end
    seen: Seen
    facts: Mapping[str, Any]
    memo: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)


def _as_asked(_: Panel, asked: Asked) -> Asked:
    return asked


def _as_it_is(panel: Panel, _: Panel | None = None) -> Panel:
    return panel


@dataclass(frozen=True, slots=True)
class Forecaster:
    """A recipe: a learner, what a model gives, how a plan is made whole before it is answered, and what else of a panel is known ahead."""

    gives: Schema
    learner: Learner
    completes: Completes = _as_asked
    target: str = "units"
    prepares: Prepares = _as_it_is

    @property
    def name(self) -> str:
        """Return the recipe's name."""
        return self.learner.name

    @property
    def knobs(self) -> tuple[Knob, ...]:
        """Return what can be turned."""
        return (*self.learner.knobs, HORIZON, PERCENT)

    def fit(self, table: Table, params: Mapping[str, Any], seed: int) -> State:
        """Learn from a panel; raises LearnFailed where there is too little history."""
        knobs = settle(self.knobs, params)
        panel, said = self._read(table, None)
        del table  # what learns reads the panel: a table that nobody else holds is as large as all the rest
        if panel.cut < 2:
            raise LearnFailed("one past period is too few to forecast from", hint="load more history")
        horizon = min(int(knobs["horizon"]) or panel.grain.horizon, panel.grain.reach)
        learned = self.learner.learn(panel, knobs, seed=seed, horizon=horizon)
        state = begin(panel, learned, horizon)
        return replace(state, facts={**state.facts, "cleaned": said, **({percent.ASKED: 1} if knobs[percent.ASKED] else {})})

    def _read(self, table: Table, old: Panel | None) -> tuple[Panel, list[str]]:
        """Return the panel of a table, days closed left out, and what was repaired or taken for granted in it."""
        panel = from_table(table, target=self.target)
        said = cleaned(table, panel, self.target)
        panel, guessed = closing.masked(panel)
        return self.prepares(panel, old), said + guessed

    def predict(self, state: State, asked: Table) -> Table:
        """Answer questions about the time after the last actual; raises NotFound, BadValue, MissingColumn."""
        if len(asked) <= CELLS:
            return self._answered(state, asked)
        return asking.in_chunks(state.panel, asked, CELLS, lambda part: self._answered(state, part))

    def _answered(self, state: State, asked: Table) -> Table:
        where, look, said = self._said(state, asked)
        raw = _raw(state, look, said, where)
        bands = recalibrate.intervals(lambda levels: _calibrated(state, raw, levels))
        middle = _quantiles(state, raw, HALF)[:, 0]
        bands[:, MEDIAN] = np.minimum(np.maximum(middle, bands[:, MEDIAN + 1]), bands[:, MEDIAN + 2])
        open_ = open_rows(state, look, where)
        mean = raw.mean * open_
        bands *= open_[:, None]
        extra = support.of(state.seen, where)
        if percent.ASKED in state.facts:
            points = [(0.5, _least(state, raw))]
            if said.percent is not None:
                points.append((0.5, said.percent[cells(where, look)]))
            extra[percent.NAME] = percent.together(points) * open_
        gives = _beside(self.gives, tuple(extra)) if extra else self.gives
        return asking.answer(asked, gives, mean, bands, extra)

    def quantiles(self, state: State, asked: Table, levels: Sequence[float]) -> Table:
        """Return one column per level, q10 for 0.1; whole numbers for series that sell whole units. Raises BadValue."""
        if not levels or not all(0 < level < 1 for level in levels):
            raise BadValue("a quantile lies between 0 and 1", hint="such as 0.1, 0.5, 0.9")
        names = [f"q{round(level * 100, 4):g}" for level in levels]

        def answered(part: Table) -> Table:
            where, look, said = self._said(state, part)
            found = _quantiles(state, _raw(state, look, said, where), np.array(levels, "f8"))
            found = found * open_rows(state, look, where)[:, None]
            keys = {name: part.column(name) for name in part.names if name in state.panel.keys or name == (part.schema.time or "date")}
            described = tuple(Column(name, Role.OUTPUT, Type.NUMBER, minimum=0) for name in names)
            return Table.from_columns(keys | {name: found[:, at] for at, name in enumerate(names)}, self.gives.with_columns(*described))

        return answered(asked) if len(asked) <= CELLS else asking.in_chunks(state.panel, asked, CELLS, answered)

    def total(self, state: State, asked: Table, by: Sequence[str]) -> Table:
        """Return sums by group with bounds from summed residual paths; raises NotFound and BadValue."""
        return totals.total(state.panel, state.memory, state.horizon, self._spread_out(state, asked), by)

    def _spread_out(self, state: State, asked: Table) -> totals.Paths:
        """Return mean and spread of every asked row, with where it belongs."""
        parts: list[totals.Paths] = []

        def answered(part: Table) -> Table:
            where, look, said = self._said(state, part)
            row, step = cells(where, look)
            spread = (said.quantiles[row, step, memories.HIGH] - said.quantiles[row, step, memories.LOW]) / memories.SPREAD
            open_ = open_rows(state, look, where)
            found = totals.Paths(where.series[where.row], where.ahead, said.mean[row, step] * open_, spread * open_)
            parts.append(found)
            return Table.from_columns({"mean": found.mean})

        answered(asked) if len(asked) <= CELLS else asking.in_chunks(state.panel, asked, CELLS, answered)
        return totals.Paths(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("series", "ahead", "mean", "spread")))

    def expand(self, state: State, horizon: int | None, where: Mapping[str, Any]) -> Table:
        """Return the questions that "everything that fits, the next periods" stands for."""
        return asking.expand(state.panel, state.panel.grain.horizon if horizon is None else horizon, where)

    def notes(self, state: State, asked: Table) -> list[str]:
        """Say what a reader of the answer must know: fallbacks taken, plans ignored, prices never seen."""
        where = self._located(state, asked)
        own = getattr(state.learned, "notes", None)
        said = notes(state.panel, where, state.known, state.seen, horizon=state.horizon, blocks=_blocks(state))
        said += state.facts.get("cleaned", []) + closing.notes(_guessed_shut(state, where), state.panel, where.ahead)
        said += rivals.notes(_shelf(state), where)
        return said + (own(state.panel, where) if own is not None else [])

    def warm(self, state: State) -> None:
        """Make ready what answers to any plan are worked out from: once, where a version is going to be asked often."""
        _closed(state), _pulled(state), _blocks(state), _shelf(state)
        if isinstance(state.learned, Keeps):
            state.memo["kept"] = state.learned.keep(state.panel, state.horizon)

    def update(self, state: State, table: Table) -> State:
        """Move on to the end of a table: what came is held against what was said, and intervals follow; nothing is refitted.

        Series that are new to the state are answered from then on. Raises Incompatible and BadValue.
        """
        whole, said = self._read(table, state.panel)
        del table
        panel = whole.like(state.panel)
        old_end, end = state.panel.first + state.panel.cut, panel.first + panel.cut
        if end < old_end:
            raise BadValue("the table ends before what this version knows", hint="load newer actuals, then update")
        place = panel.place_in(state.panel)
        stops = list(range(old_end + state.horizon, end, state.horizon))[-MOST_CATCH_UP:]
        moved = state
        for stop in (*stops, end):
            now = panel if stop == end else panel.until(stop - panel.first)
            moved = _moved(moved, now, place)
            place = np.arange(len(panel))
        return replace(moved, facts={**moved.facts, "cleaned": said})

    def remember(self, state: State, earlier: State) -> State:
        """Return a freshly learned state with what an earlier one saw of its own errors, up to the fresh one's end."""
        place = state.panel.place_in(earlier.panel)
        memory = memories.joined(memories.fill(memories.moved(earlier.memory, place), state.panel), state.memory)
        return replace(state, memory=memory, bands=memories.bands(memory), counts=memories.bands(memory, whole=state.whole))

    def dump(self, state: State) -> dict[str, bytes]:
        """Write the state: models as ONNX, numbers as safetensors, the rest as JSON."""
        numbers = state.panel.arrays() | state.memory.arrays() | {"whole": state.whole.astype("u1")}
        numbers |= state.bands.arrays("bands/") | state.counts.arrays("counts/")
        numbers |= state.known.arrays("known/") | state.seen.arrays("seen/")
        meta = {"format": FORMAT, "panel": state.panel.meta(), "horizon": state.horizon, "facts": dict(state.facts)}
        own = {f"learned.{name}": data for name, data in state.learned.dump().items()}
        return {**own, "series.safetensors": tensors.save(numbers), "meta.json": json.dumps(meta, separators=(",", ":")).encode()}

    def load(self, parts: Mapping[str, bytes]) -> State:
        """Read the state back; raises Incompatible and Tampered."""
        try:
            meta = json.loads(parts["meta.json"])
            if meta["format"] != FORMAT:
                raise Incompatible(f"a forecast state of format {meta['format']} is not known here", hint="train the model again")
            numbers = tensors.load(parts["series.safetensors"])
            panel = Panel.from_parts(meta["panel"], numbers)
            own = {name.removeprefix("learned."): data for name, data in parts.items() if name.startswith("learned.")}
            bands, counts = (Recalibration.from_arrays(numbers, prefix) for prefix in ("bands/", "counts/"))
            learned, memory = self.learner.read(own, panel), Memory.from_arrays(numbers)
            known, seen = Known.from_arrays(numbers, "known/"), Seen.from_arrays(numbers, "seen/")
            return State(panel, learned, memory, bands, counts, int(meta["horizon"]), numbers["whole"] > 0, known, seen, meta["facts"])
        except (KeyError, ValueError, TypeError) as error:
            raise Incompatible("this version cannot be read", hint="train the model again") from error

    def _located(self, state: State, asked: Table) -> Asked:
        kept, located = state.memo.get("asked", (None, None))
        if kept is not asked:
            located = asking.locate(state.panel, asked)
            state.memo["asked"] = asked, located
        found: Asked = located
        return found

    def look(self, state: State, asked: Table) -> tuple[Asked, Look]:
        """Return where the questions lie, their plan made whole, and what a learner has to look at."""
        where = self.completes(state.panel, self._located(state, asked))
        steps = np.flatnonzero(np.bincount(where.ahead))
        panel = state.panel.planned(where.series, int(steps[-1]) + 2, where.row, where.ahead, where.plan)
        return where, Look(panel, where.series, steps, state.horizon, tuple(where.plan), state.memo.get("kept", {}))

    def _said(self, state: State, asked: Table) -> tuple[Asked, Look, Said]:
        where, look = self.look(state, asked)
        return where, look, state.learned.say(look)


@lru_cache(maxsize=32)
def _beside(gives: Schema, extra: tuple[str, ...]) -> Schema:
    """Return what is given with a point for percentage errors, in units of the mean, and columns of shares, 0 to 1."""
    mean = gives.get("mean")
    shares = (Column(name, Role.OUTPUT, Type.NUMBER, minimum=0, maximum=1) for name in extra if name != percent.NAME)
    return gives.with_columns(*shares, *([percent.described(mean.unit if mean else "")] if percent.NAME in extra else []))


def begin(panel: Panel, learned: Learned, horizon: int) -> State:
    """Return the state of something just learned: it says its first block, nothing came yet."""
    whole = _whole(panel)
    kept = panel.tail(max(learned.reach, panel.grain.level))
    memory = memories.nothing(len(panel), horizon)
    facts = {"series": len(panel), "closing": closing.learn(panel), **getattr(learned, "facts", {})}
    state = State(kept, learned, memory, recalibrate.untouched(), recalibrate.untouched(), horizon, whole, *_told(panel, kept), facts)
    return replace(state, memory=_opened(state))


def _told(panel: Panel, kept: Panel) -> tuple[Known, Seen]:
    """Return what the whole history says of every series whatever is asked, before all but its end is let go."""
    return Known.of(panel, kept), Seen.of(panel)


def _opened(state: State) -> Memory:
    steps = np.arange(state.horizon)
    panel = state.panel
    parts = [state.learned.say(look) for look in looks(panel, state.horizon)]
    said = Said(np.concatenate([part.mean for part in parts]), np.concatenate([part.quantiles for part in parts]))
    return memories.open_block(state.memory, panel, said, _promoted(panel, np.arange(len(panel)), steps))


def _promoted(panel: Panel, series: Array, steps: Array) -> Array:
    """Return 1 where a lever but the price is pulled, (series, steps); past the plan there is none."""
    found = np.zeros((len(series), len(steps)), "f4")
    state = promoted(panel)
    inside = panel.cut + steps < panel.width
    if state is not None:
        rows = state if len(state) == 1 else state[series]
        found[:, inside] = rows[:, panel.cut + steps[inside]] > 0
    return found


def _moved(state: State, panel: Panel, place: Array) -> State:
    """Return the state at a later cut of a panel with the same columns."""
    memory = memories.fill(memories.moved(state.memory, place), panel)
    whole = np.where(place >= 0, state.whole[np.maximum(place, 0)], bool(state.whole.mean() > 0.5))
    learned = state.learned.moved(panel, place)
    kept = panel.tail(max(learned.reach, panel.grain.level))
    facts = {**state.facts, "closing": closing.learn(panel, state.facts.get("closing"), place), "series": len(panel)}
    facts["newcomers"] = int((place < 0).sum()) + int(state.facts.get("newcomers", 0))
    bands, counts = memories.bands(memory), memories.bands(memory, whole=whole)
    moved = State(kept, learned, memory, bands, counts, state.horizon, whole, *_told(panel, kept), facts)
    began = int(memory.starts[-1]) if len(memory.starts) else -(10**9)
    if panel.first + panel.cut - began < CLOSED * state.horizon:
        return moved
    closed = replace(memory, waiting=memory.waiting[:, :0])
    moved = replace(moved, memory=closed)
    return replace(moved, memory=_opened(moved))


def _pulled(state: State) -> Array | None:
    """Return where a lever but the price is pulled in the known plan, (series or 1, periods after the cut); looked at once."""
    if "pulled" not in state.memo:
        state.memo["pulled"] = promoted(state.panel, slice(state.panel.cut, None))
    found: Array | None = state.memo["pulled"]
    return found


def _shelf(state: State) -> Array | None:
    """Return which series stand beside each other, where that was learned; looked at once."""
    if "shelf" not in state.memo:
        learned = any(kind in BESIDE for kind in state.panel.kinds.values())
        state.memo["shelf"] = rivals.shelf_of(state.panel) if learned else None
    found: Array | None = state.memo["shelf"]
    return found


def _blocks(state: State) -> int:
    """Return how many blocks of the memory have an actual; counted once."""
    found: int | None = state.memo.get("blocks")
    if found is None:
        found = state.memo["blocks"] = state.memory.blocks
    return found


def _closed(state: State) -> tuple[Array, Array]:
    """Return which periods after the cut are closed under the known plan, and which by what was read off alone; looked at once."""
    found: tuple[Array, Array] | None = state.memo.get("closed")
    if found is None:
        panel, reach = state.panel, state.panel.grain.reach
        learned, said = closing.shut(state.facts.get("closing"), panel, np.arange(len(panel)), reach), closing.planned(panel, reach)
        found = state.memo["closed"] = learned | said, learned & ~said
    return found


def _of_rows(closed: Array, row: Array, ahead: Array) -> Array:
    """Return what is said of periods, or of series and periods, at each row."""
    found: Array = closed[0, ahead] if len(closed) == 1 else closed[row, ahead]
    return found


def _guessed_shut(state: State, where: Asked) -> Array:
    """Tell which asked rows are taken as closed though neither plan nor question says so."""
    found = _of_rows(_closed(state)[1], where.series[where.row], where.ahead)
    return found if where.open is None else found & np.isnan(where.open)


def open_rows(state: State, look: Look, where: Asked) -> Array:
    """Tell which asked rows lie on days that are open under the question's plan; what the question itself says of a row stands."""
    said = state.facts.get("closing")
    if closing.touches(said).isdisjoint(where.plan):
        shut = _of_rows(_closed(state)[0], where.series[where.row], where.ahead)
    else:
        periods = int(where.ahead.max()) + 1
        closed = closing.shut(said, look.panel, where.series, periods) | closing.planned(look.panel, periods)
        shut = _of_rows(closed, where.row, where.ahead)
    return ~shut if where.open is None else np.where(np.isnan(where.open), ~shut, where.open > 0)


def cells(where: Asked, look: Look) -> tuple[Array, Array]:
    """Return the row and the step of every question in what a learner says of a look."""
    return where.row, np.searchsorted(look.steps, where.ahead)


@dataclass(frozen=True, slots=True)
class _Raw:
    """What a learner said of every asked row, and what its calibration depends on."""

    mean: Array
    quantiles: Array  # (rows, len(TAUS))
    ahead: Array
    pulled: Array  # 1 where a lever but the price is pulled
    whole: Array  # rows of series that sell whole units


def _raw(state: State, look: Look, said: Said, where: Asked) -> _Raw:
    row, step = cells(where, look)
    if any(look.panel.kinds.get(name) == "lever" for name in where.plan):
        pulled, place = promoted(look.panel, slice(look.panel.cut, None)), row
    else:
        pulled, place = _pulled(state), where.series[row]
    state_of = np.zeros(len(row))
    if pulled is not None:
        known = where.ahead < pulled.shape[1]  # past the plan there is none
        state_of[known] = pulled[place[known] if len(pulled) > 1 else 0, where.ahead[known]]
    quantiles = said.quantiles[row, step].astype("f8")
    return _Raw(said.mean[row, step], quantiles, where.ahead, state_of, state.whole[where.series][where.row])


def _quantiles(state: State, raw: _Raw, levels: Array) -> Array:
    """Return quantiles of what is sold: whole numbers where a series sells whole units."""
    whole = raw.whole
    counted = np.ceil(_calibrated(state, raw, levels, counts=True) - 0.5) + 0.0 if whole.any() else np.empty(0)  # half a unit is none
    if whole.all():
        return counted
    found = _calibrated(state, raw, levels)
    return np.where(whole[:, None], counted, found) if whole.any() else found


def _least(state: State, raw: _Raw) -> Array:
    """Return the point of least expected percentage error of calibrated quantiles of every asked row."""
    found = _calibrated(state, raw, TAUS)
    if raw.whole.any():
        found = np.where(raw.whole[:, None], _calibrated(state, raw, TAUS, counts=True), found)
    return percent.least(found, raw.whole)


def _calibrated(state: State, raw: _Raw, levels: Array, *, counts: bool = False) -> Array:
    """Return calibrated quantiles of every asked row; past the learned horizon they widen with the square root of time."""
    ahead = np.minimum(raw.ahead, state.horizon - 1)
    found = (state.counts if counts else state.bands)(raw.quantiles, ahead, raw.mean, raw.pulled, levels)
    far = raw.ahead >= state.horizon
    if far.any():
        middle = raw.quantiles[:, len(TAUS) // 2][far, None]
        wider = np.sqrt((raw.ahead[far] + 1) / state.horizon)[:, None]
        found[far] = np.maximum(middle + (found[far] - middle) * wider, 0)
    return found


def _whole(panel: Panel) -> Array:
    """Tell which series sell whole units: every known past value is a whole number."""
    past = panel.target[:, : panel.cut]
    known = np.isfinite(past)
    found: Array = np.all(np.where(known, past == np.round(past), True), axis=1)
    return found
