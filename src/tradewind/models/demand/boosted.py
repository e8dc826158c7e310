"""One gradient-boosted model for all series and horizons: units = scale * exp(effect of own levers + trees)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tradewind.core.errors import TooBig
from tradewind.core.model import Knob, settle
from tradewind.core.schema import Column, Role, Type
from tradewind.core.table import Table
from tradewind.models._kit import asking
from tradewind.models._kit.intervals import LEVELS
from tradewind.models._kit.panel import Panel
from tradewind.models.demand import MODEL, features, learn
from tradewind.models.demand.calibrate import bands_of
from tradewind.models.demand.notes import notes
from tradewind.models.demand.plan import complete
from tradewind.models.demand.state import State, dump, load

Array = np.ndarray[Any, Any]
MOST_EXPLAINED = 2000
MOST_KEPT = 128  # series whose history is kept between questions, and questions it is kept of
CHUNK = 3000  # rows worked on at once: a worker's memory stays small
P50, LO50, HI50 = (list(LEVELS).index(name) for name in ("p50", "lo50", "hi50"))


@dataclass(frozen=True, slots=True)
class Boosted:
    """The recipe."""

    name: str = "boosted"
    knobs: tuple[Knob, ...] = (
        Knob("rounds", 200, 20, 2000, log=True, meaning="trees"),
        Knob("leaves", 31, 4, 255, log=True, meaning="leaves per tree"),
        Knob("learning_rate", 0.06, 0.005, 0.5, log=True, meaning="how much each tree may say"),
        Knob("rows", 200_000, 1_000, 5_000_000, log=True, meaning="training rows at most"),
        Knob("power", 1.2, 1.01, 1.9, meaning="how fast the variance of sales grows with their mean"),
        Knob("volume", 0.7, 0.0, 1.0, meaning="how much more big series count: 0 not at all, 1 by their units"),
        Knob("horizon", 0, 0, 366, meaning="periods ahead to learn; 0 = 30 days, 13 weeks, 12 months"),
        Knob("threads", 2, 1, 64, meaning="threads to learn with; the result is the same"),
    )

    def fit(self, table: Table, params: Mapping[str, Any], seed: int) -> State:
        """Learn from a panel; raises LearnFailed where there is too little history."""
        return learn.fit(table, settle(self.knobs, params), seed)

    def predict(self, state: State, asked: Table) -> Table:
        """Answer questions about the time after the last actual; raises NotFound, BadValue, MissingColumn."""
        if len(asked) <= CHUNK:
            return self._answered(state, asked)
        return asking.in_chunks(state.panel, asked, CHUNK, lambda part: self._answered(state, part))

    def _answered(self, state: State, asked: Table) -> Table:
        where, found = _look(state, asked)
        mean = _mean(state, found)
        bands = state.bands(mean, np.minimum(where.ahead, state.horizon - 1), found.promoted, state.spread[where.series][where.row])
        median = np.maximum(state.scores["median"](found.values), 0) * np.exp(found.effect) * found.scale
        bands[:, P50] = np.clip((median + bands[:, P50]) / 2, bands[:, LO50], bands[:, HI50])
        _widen(bands, where.ahead, state.horizon)
        return asking.answer(asked, MODEL.gives, mean, bands)

    def expand(self, state: State, horizon: int | None, where: Mapping[str, Any]) -> Table:
        """Return the questions that "everything that fits, the next periods" stands for."""
        return asking.expand(state.panel, state.panel.grain.horizon if horizon is None else horizon, where)

    def calibrate(self, state: State, held: Table) -> State:
        """Set the bands from forecasts of periods that were not learned from."""
        return replace(state, bands=bands_of(state.panel, held, horizon=state.horizon))

    def explain(self, state: State, asked: Table) -> Table:
        """Split each mean into drivers in units; they add up to the mean. Raises TooBig past 2,000 rows."""
        if len(asked) > MOST_EXPLAINED:
            raise TooBig(f"{len(asked)} rows are too many to explain at once", hint=f"ask for at most {MOST_EXPLAINED}")
        return _explain(state, asked)

    def notes(self, state: State, asked: Table) -> list[str]:
        """Say what a reader of the answer must know: fallbacks taken, plans ignored, prices never seen."""
        kept, located = state.memo.get("asked", (None, None))
        where = located if kept is asked else asking.locate(state.panel, asked)
        return notes(state.panel, where, horizon=state.horizon)

    def dump(self, state: State) -> dict[str, bytes]:
        """Write the state: ONNX for the trees, safetensors for numbers, JSON for the rest."""
        return dump(state)

    def load(self, parts: Mapping[str, bytes]) -> State:
        """Read the state back; raises Incompatible and Tampered."""
        return load(parts)


@dataclass(frozen=True, slots=True)
class _Found:
    """Features and their units for the asked rows, in their order."""

    values: Array
    scale: Array
    effect: Array
    promoted: Array
    panel: Panel


def _look(state: State, asked: Table) -> tuple[asking.Asked, _Found]:
    located = asking.locate(state.panel, asked)
    state.memo["asked"] = asked, located
    where = complete(state.panel, located)
    steps, step = np.unique(where.ahead, return_inverse=True)
    panel = state.panel.planned(where.series, int(steps[-1]) + 2, where.row, where.ahead, where.plan)
    view = features.View.of(panel, state.response, where.series, start=panel.cut)
    rows = features.rows(view, panel.cut, steps, _history(state, view, where.series, steps))
    values = np.ascontiguousarray(rows.values[where.row, step])
    values[:, 0] = np.minimum(values[:, 0], state.horizon)
    return where, _Found(values, rows.scale[where.row], rows.effect[where.row, step], rows.promoted[where.row, step], panel)


def _history(state: State, view: features.View, series: Array, steps: Array) -> features.Past:
    """Return what the history says of some series, kept for the next plan of the same ones: a slider asks many times."""
    key = series.tobytes(), steps.tobytes()
    found: features.Past | None = state.memo.get(key)
    if found is None:
        found = features.history_of(view, view.panel.cut, steps)
        if len(series) <= MOST_KEPT:
            if len(state.memo) > MOST_KEPT:
                state.memo.clear()
            state.memo[key] = found
    return found


def _mean(state: State, found: _Found) -> Array:
    units: Array = np.exp(np.clip(state.scores["mean"](found.values) + found.effect, -30, 30)) * found.scale
    return units


def _widen(bands: Array, ahead: Array, horizon: int) -> None:
    """Widen the bands past the learned horizon with the square root of time, as for a random walk."""
    far = ahead >= horizon
    if far.any():
        middle = bands[far, :1]
        bands[far] = np.maximum(middle + (bands[far] - middle) * np.sqrt((ahead[far] + 1) / horizon)[:, None], 0)


def _explain(state: State, asked: Table) -> Table:
    _, found = _look(state, asked)
    groups = np.array([features.GROUPS.index(name.split(":")[0]) for name in state.features])
    logged = state.trees.shapley(found.values, np.append(groups, len(features.GROUPS) - 1))
    logged[:, features.GROUPS.index("price")] += found.effect
    base = np.exp(np.clip(state.trees.expected, -30, 30)) * found.scale
    whole = _mean(state, found)
    total = logged.sum(1)
    # a product of factors has no unique sum: the logarithmic mean is the one that is symmetric and exact
    rate = np.where(np.abs(total) > 1e-9, (whole - base) / np.where(np.abs(total) > 1e-9, total, 1.0), base)
    drivers = {"driver_level": base} | {f"driver_{name}": logged[:, at] * rate for at, name in enumerate(features.GROUPS)}
    keys = {name: asked.column(name) for name in (*state.panel.keys, asked.schema.time or "date") if name in asked}
    described = tuple(Column(name, Role.OUTPUT, Type.NUMBER, unit="units") for name in drivers)
    return Table.from_columns(keys | drivers, MODEL.gives.with_columns(*described))


RECIPE = Boosted()
