"""The baseline: what sold in the same period of the last season, surrounded by what followed such sales before."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.core.errors import Incompatible, LearnFailed
from tradewind.core.model import Knob
from tradewind.models._kit import tensors
from tradewind.models._kit.calendar import Grain
from tradewind.models._kit.forecast.learner import Look, Said
from tradewind.models._kit.intervals import TAUS
from tradewind.models._kit.panel import Panel

Array = np.ndarray[Any, Any]
FORMAT = 1
TRIES = 4  # seasons looked back for a known value
BACK = 3  # seasons ahead told apart
BINS = 6  # sizes of forecast told apart, relative to the level
LEAST = 40  # pairs behind one size
MOST = 400_000  # pairs that are looked at
UPPER = len(TAUS) // 2


@dataclass(frozen=True, slots=True)
class Repeated:
    """For each number of seasons ahead a curve: forecast over level -> quantiles of the actual over level.

    `knots` is (BACK, BINS + 1) sizes, `values` (BACK, BINS + 1, probabilities). `whole` says that all sales are whole numbers.
    """

    grain: Grain
    knots: Array
    values: Array
    whole: bool

    @property
    def reach(self) -> int:
        """Return how many periods of the past a look must hold."""
        return max(self.grain.season * TRIES, self.grain.level)

    def say(self, look: Look) -> Said:
        """Repeat the last season, and surround it; the median is the repeated value itself."""
        panel, season = look.panel, self.grain.season
        mean = repeat(panel.target, panel.cut, look.steps, season)
        level = _level(panel.target[:, : panel.cut], self.grain)[:, None]
        ahead = np.minimum(look.steps // season, BACK - 1)
        size = mean / np.maximum(level, 1e-9)
        quantiles = np.empty((*mean.shape, len(TAUS)))
        for back in np.unique(ahead):
            at = ahead == back
            quantiles[:, at] = _read_off(size[:, at], self.knots[back], self.values[back])
        quantiles *= level[..., None]
        quantiles = np.rint(quantiles) if self.whole else quantiles
        quantiles[..., :UPPER] = np.minimum(quantiles[..., :UPPER], mean[..., None])
        quantiles[..., UPPER + 1 :] = np.maximum(quantiles[..., UPPER + 1 :], mean[..., None])
        quantiles[..., UPPER] = mean
        return Said(mean, np.maximum(quantiles, 0))

    def moved(self, panel: Panel, place: Array) -> Repeated:
        """Return itself: the history is in the look."""
        return self

    def dump(self) -> dict[str, bytes]:
        """Write the curves as safetensors, the rest as JSON."""
        meta = {"format": FORMAT, "whole": self.whole}
        numbers = {"knots": self.knots.astype("f4"), "values": self.values.astype("f4")}
        return {"naive.safetensors": tensors.save(numbers), "naive.json": json.dumps(meta).encode()}


@dataclass(frozen=True, slots=True)
class Naive:
    """The learner."""

    name: str = "naive"
    knobs: tuple[Knob, ...] = ()

    def learn(self, panel: Panel, knobs: Mapping[str, Any], *, seed: int, horizon: int) -> Repeated:
        """Learn how far sales were from those a season before; raises LearnFailed where nothing is known."""
        past = panel.target[:, : panel.cut]
        if not np.isfinite(past).any():
            raise LearnFailed("there is no sale to learn from", hint="every period is empty or marked as not available")
        grain = panel.grain
        knots, values = np.zeros((BACK, BINS + 1)), np.zeros((BACK, BINS + 1, len(TAUS)))
        pooled: tuple[Array, Array] | None = None
        for back in range(BACK):
            size, came = _pairs(past, grain, grain.season * (back + 1), seed)
            if len(size) < LEAST:  # the history is too short for that many seasons: what fewer of them did stands
                size, came = pooled if pooled is not None else _neighbours(past, grain, seed)
            pooled = size, came
            knots[back], values[back] = _curve(size, came)
        known = past[np.isfinite(past)]
        return Repeated(grain, knots, values, bool((known == np.rint(known)).all()))

    def read(self, parts: Mapping[str, bytes], panel: Panel) -> Repeated:
        """Read back what was dumped; raises Incompatible and Tampered."""
        try:
            return _read(parts, panel)
        except (KeyError, ValueError, TypeError) as error:
            raise Incompatible("the naive forecast of this version cannot be read", hint="train the model again") from error


def _read(parts: Mapping[str, bytes], panel: Panel) -> Repeated:
    meta, numbers = json.loads(parts["naive.json"]), tensors.load(parts["naive.safetensors"])
    knots, values = numbers["knots"], numbers["values"]
    if meta["format"] != FORMAT or knots.shape != (BACK, BINS + 1) or values.shape != (*knots.shape, len(TAUS)):
        raise ValueError("another format")
    return Repeated(panel.grain, knots, values, bool(meta["whole"]))


def repeat(target: Array, cut: int, steps: Array, season: int) -> Array:
    """Return for each step the value of the last season whose value is known, else the mean of the last season, else of all."""
    past = target[:, max(0, cut - season * TRIES) : cut]
    width = past.shape[1]
    known = np.isfinite(past)
    level = _mean(past[:, -season:])
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


def _level(past: Array, grain: Grain) -> Array:
    """Return the recent level of each series, that of all its past where nothing recent is known."""
    recent = _mean(past[:, -grain.level :])
    found: Array = np.nan_to_num(np.where(np.isnan(recent) | (recent <= 0), _mean(past), recent)).astype("f8")
    return found


def _pairs(past: Array, grain: Grain, lag: int, seed: int) -> tuple[Array, Array]:
    """Return known pairs of (forecast, actual) that lie `lag` apart, over the level before the forecast was made."""
    width = past.shape[1]
    if width <= lag:
        return np.empty(0), np.empty(0)
    known = np.isfinite(past)
    value = np.where(known, past, 0).astype("f8")
    total, count = (np.concatenate([np.zeros((len(past), 1)), np.cumsum(part, 1)], 1) for part in (value, known))
    end = np.arange(lag, width) - lag + 1  # an origin right after the value that is repeated
    start = np.maximum(end - grain.level, 0)
    level = (total[:, end] - total[:, start]) / np.maximum(count[:, end] - count[:, start], 1)
    fine = known[:, lag:] & known[:, :-lag] & (level > 0)
    size, came = (value[:, :-lag] / np.maximum(level, 1e-9))[fine], (value[:, lag:] / np.maximum(level, 1e-9))[fine]
    if len(size) > MOST:
        chosen = np.random.default_rng(seed).choice(len(size), MOST, replace=False)
        size, came = size[chosen], came[chosen]
    return size, came


def _neighbours(past: Array, grain: Grain, seed: int) -> tuple[Array, Array]:
    """Return pairs one period apart: all that a history shorter than a season can say."""
    size, came = _pairs(past, grain, 1, seed)
    return (size, came) if len(size) >= 2 else (np.ones(2), np.array([0.5, 1.5]))


def _curve(size: Array, came: Array) -> tuple[Array, Array]:
    """Return sizes of forecast and the quantiles of what came at each; sizes that are not needed repeat the last one."""
    none = size <= 0
    knots, values = [], []
    if none.sum() >= LEAST:
        knots.append(0.0)
        values.append(np.quantile(came[none], TAUS))
    rest, after = (size[~none], came[~none]) if knots else (size, came)
    order = np.argsort(rest, kind="stable")
    for rows in np.array_split(order, int(np.clip(len(rest) // LEAST, 1, BINS))) if len(rest) else ():
        knots.append(float(rest[rows].mean()))
        values.append(np.quantile(after[rows], TAUS))
    short = BINS + 1 - len(knots)
    return np.array(knots + knots[-1:] * short), np.array(values + values[-1:] * short)


def _read_off(size: Array, knots: Array, values: Array) -> Array:
    """Return the quantiles at sizes of forecast: straight lines between the knots, in proportion past the last one."""
    at = np.clip(np.searchsorted(knots, size), 1, len(knots) - 1)
    low, high = knots[at - 1], knots[at]
    share = np.clip(np.where(high > low, (size - low) / np.maximum(high - low, 1e-12), 1.0), 0, 1)[..., None]
    found = values[at - 1] + (values[at] - values[at - 1]) * share
    over = np.where((size > knots[-1]) & (knots[-1] > 0), size / max(float(knots[-1]), 1e-12), 1.0)
    grown: Array = found * over[..., None]
    return grown


LEARNER = Naive()
