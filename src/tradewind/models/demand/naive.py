"""The baseline: what sold in the same period of the last season, and bands from how wrong that was."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tradewind.core.errors import Incompatible, LearnFailed
from tradewind.core.model import Knob, settle
from tradewind.core.table import Table
from tradewind.models._kit import asking, intervals, tensors
from tradewind.models._kit.intervals import Bands
from tradewind.models._kit.panel import Panel, from_table
from tradewind.models.demand import MODEL, features
from tradewind.models.demand.calibrate import bands_of

Array = np.ndarray[Any, Any]
TRIES = 4  # seasons looked back for a known value
BLOCKS = 3


@dataclass(frozen=True, slots=True)
class State:
    """The end of the history, and the bands."""

    panel: Panel
    bands: Bands
    spread: Array
    horizon: int


@dataclass(frozen=True, slots=True)
class Naive:
    """The recipe."""

    name: str = "naive"
    knobs: tuple[Knob, ...] = (Knob("horizon", 0, 0, 366, meaning="periods ahead to set bands for; 0 = 30 days, 13 weeks, 12 months"),)

    def fit(self, table: Table, params: Mapping[str, Any], seed: int) -> State:
        """Keep the end of the panel, and set bands from its last blocks; raises LearnFailed for a past of one period."""
        knobs = settle(self.knobs, params)
        panel = from_table(table)
        horizon = min(int(knobs["horizon"]) or panel.grain.horizon, panel.grain.reach)
        spread = features.spread_of(panel)
        kept = panel.tail(max(features.reach_back(panel), panel.grain.season * TRIES))
        return State(kept, _first_bands(panel, spread, horizon), spread, horizon)

    def predict(self, state: State, asked: Table) -> Table:
        """Answer questions about the time after the last actual; raises NotFound, BadValue, MissingColumn."""
        where = asking.locate(state.panel, asked)
        steps, step = np.unique(where.ahead, return_inverse=True)
        panel = state.panel.planned(where.series, int(steps[-1]) + 2, where.row, where.ahead, where.plan)
        mean = repeat(panel.target, panel.cut, steps, panel.grain.season)[where.row, step]
        state_of = features.promoted(panel)
        pulled = (
            np.zeros(len(mean))
            if state_of is None
            else np.broadcast_to(state_of, (len(panel), panel.width))[where.row, panel.cut + where.ahead]
        )
        bands = state.bands(mean, np.minimum(where.ahead, state.horizon - 1), pulled, state.spread[where.series][where.row])
        return asking.answer(asked, MODEL.gives, mean, intervals.around(mean, bands))

    def expand(self, state: State, horizon: int | None, where: Mapping[str, Any]) -> Table:
        """Return the questions that "everything that fits, the next periods" stands for."""
        return asking.expand(state.panel, state.panel.grain.horizon if horizon is None else horizon, where)

    def calibrate(self, state: State, held: Table) -> State:
        """Set the bands from forecasts of periods that were not learned from."""
        return replace(state, bands=bands_of(state.panel, held, horizon=state.horizon))

    def notes(self, state: State, asked: Table) -> list[str]:
        """Say what a reader of the answer must know."""
        where = asking.locate(state.panel, asked)
        said = [f"column {name} was not there in training and changes nothing" for name in where.ignored]
        if where.plan:
            said.append("the naive recipe does not look at prices or promotions")
        history = np.isfinite(state.panel.target[where.series, : state.panel.cut]).sum(1)
        short = int((history < state.panel.grain.season).sum())
        if short:
            said.append(f"{short} series are shorter than one season: their mean level is repeated")
        return said

    def dump(self, state: State) -> dict[str, bytes]:
        """Write the state: safetensors for numbers, JSON for the rest."""
        numbers = state.panel.arrays() | state.bands.arrays() | {"spread": state.spread}
        meta = {"format": 1, "panel": state.panel.meta(), "horizon": state.horizon}
        return {"series.safetensors": tensors.save(numbers), "meta.json": json.dumps(meta, separators=(",", ":")).encode()}

    def load(self, parts: Mapping[str, bytes]) -> State:
        """Read the state back; raises Incompatible and Tampered."""
        try:
            meta = json.loads(parts["meta.json"])
            numbers = tensors.load(parts["series.safetensors"])
            if meta["format"] != 1:
                raise Incompatible(f"demand state of format {meta['format']} is not known here", hint="update Tradewind")
            return State(Panel.from_parts(meta["panel"], numbers), Bands.from_arrays(numbers), numbers["spread"], int(meta["horizon"]))
        except (KeyError, ValueError, TypeError) as error:
            raise Incompatible("this demand version cannot be read", hint="train the model again") from error


def repeat(target: Array, cut: int, steps: Array, season: int) -> Array:
    """Return for each step the value of the last season whose value is known, else the mean of the last season, else of all."""
    past = target[:, max(0, cut - season * TRIES) : cut]
    width = past.shape[1]
    known = np.isfinite(past)
    recent = past[:, -season:]
    level = _mean(recent)
    level = np.where(np.isnan(level), _mean(target[:, :cut]), level)
    out = np.repeat(np.nan_to_num(level)[:, None], len(steps), 1).astype("f8")
    for back in range(TRIES, 0, -1):  # the nearest season is written last and stands
        at = width + steps % season - season * back
        inside = at >= 0
        values, there = past[:, np.maximum(at, 0)], known[:, np.maximum(at, 0)] & inside
        out = np.where(there, values, out)
    return out


def _mean(values: Array) -> Array:
    known = np.isfinite(values)
    count = known.sum(1)
    found: Array = np.where(count > 0, np.where(known, values, 0).sum(1) / np.maximum(count, 1), np.nan)
    return found


def _first_bands(panel: Panel, spread: Array, horizon: int) -> Bands:
    """Set bands from the last blocks of the past, each forecast from what lay before it."""
    length = max(1, min(horizon, panel.cut // (BLOCKS + 1)))
    if panel.cut < 2:
        raise LearnFailed("one past period is too few to forecast from", hint="load more history")
    steps = np.arange(length)
    state = features.promoted(panel)
    found = []
    for block in range(1, BLOCKS + 1):
        origin = panel.cut - block * length
        if origin < 1:
            break
        truth = panel.target[:, origin : origin + length]
        pulled = np.zeros(truth.shape) if state is None else np.broadcast_to(state[:, origin : origin + length], truth.shape)
        mean = repeat(panel.target, origin, steps, panel.grain.season)
        found.append(
            np.stack([truth, mean, np.broadcast_to(steps, truth.shape), pulled, np.broadcast_to(spread[:, None], truth.shape)]).reshape(
                5, -1
            )
        )
    truth, mean, ahead, pulled, strayed = np.concatenate(found, 1)
    return intervals.learn(truth, mean, ahead, pulled, strayed, horizon=horizon)


RECIPE = Naive()
