"""What a forecaster remembers of its own forecasts: block by block what it said, and what came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tradewind.models._kit.forecast import recalibrate
from tradewind.models._kit.forecast.learner import Said
from tradewind.models._kit.forecast.recalibrate import Recalibration
from tradewind.models._kit.intervals import TAUS
from tradewind.models._kit.panel import Panel

Array = np.ndarray[Any, Any]
MOST_BLOCKS = 12
MOST_CELLS = 3_000_000  # series x blocks x steps that are kept; the oldest blocks go first, three stay
LEAST_BLOCKS = 3
SPREAD = float(2 * 1.2816)  # standard deviations between the 10 % and the 90 % quantile of a normal distribution
LOW, HIGH = (int(np.flatnonzero(tau == TAUS)[0]) for tau in (0.1, 0.9))


@dataclass(frozen=True, slots=True)
class Memory:
    """Blocks of forecasts, all of one horizon: (series, blocks, steps) arrays, NaN where nothing was said or nothing came yet.

    `starts` holds each block's first period number. `truth` is what sold, nothing where a series was out of stock. `transform` is where
    the actual lay in its raw forecast distribution, NaN where demand is not known, `smoothed` the same of a whole number, spread evenly
    over all that rounds to it: what quantiles of whole numbers are read off. The newest block may be open: `waiting` (series, steps,
    quantiles) is what was said of it, from which transforms are made as actuals arrive.
    """

    starts: Array
    truth: Array
    mean: Array
    spread: Array
    transform: Array
    smoothed: Array
    promoted: Array
    waiting: Array

    @property
    def horizon(self) -> int:
        """Return the steps of a block."""
        return int(self.truth.shape[2])

    @property
    def blocks(self) -> int:
        """Return how many blocks have an actual."""
        return int(np.isfinite(self.transform).any((0, 2)).sum())

    def arrays(self) -> dict[str, Array]:
        """Return the numbers by name, ready for a tensor file."""
        named = {name: getattr(self, name).astype("f4") for name in ("truth", "mean", "spread", "transform", "smoothed", "waiting")}
        named |= {"starts": self.starts.astype("i8"), "promoted": self.promoted.astype("u1")}
        return {f"memory/{name}": value for name, value in named.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> Memory:
        """Read the numbers back."""
        return cls(*(arrays[f"memory/{name}"] for name in cls.__slots__))


def nothing(series: int, horizon: int) -> Memory:
    """Return a memory without a block."""
    empty = np.full((series, 0, horizon), np.nan, "f4")
    waiting = np.full((series, 0, len(TAUS)), np.nan, "f4")
    return Memory(np.empty(0, "i8"), empty, empty, empty, empty, empty, empty.astype("u1"), waiting)


def open_block(memory: Memory, panel: Panel, said: Said, promoted: Array) -> Memory:
    """Add what is said now of the next `horizon` periods; `promoted` is (series, steps)."""
    more = _cut_to_size(memory, 1)

    def added(old: Array, new: Array) -> Array:
        return np.concatenate([old, new[:, None].astype(old.dtype)], 1)

    unknown = np.full(said.mean.shape, np.nan, "f4")
    spread = (said.quantiles[..., HIGH] - said.quantiles[..., LOW]) / SPREAD
    return Memory(
        np.append(more.starts, panel.first + panel.cut),
        added(more.truth, unknown),
        added(more.mean, said.mean),
        added(more.spread, spread),
        added(more.transform, unknown),
        added(more.smoothed, unknown),
        added(more.promoted, promoted > 0),
        said.quantiles.astype("f4"),
    )


def fill(memory: Memory, panel: Panel) -> Memory:
    """Write what came since into the open block; the panel's series are the memory's."""
    if not len(memory.starts) or not memory.waiting.shape[1]:
        return memory
    start = int(memory.starts[-1]) - panel.first
    known = max(0, min(memory.horizon, panel.cut - start))
    if start < 0 or not known:
        return memory
    came = np.full(memory.truth[:, -1].shape, np.nan, memory.truth.dtype)
    came[:, :known] = panel.target[:, start : start + known]
    truth = memory.truth.copy()
    truth[:, -1] = came
    if panel.out is not None:
        truth[:, -1, :known][panel.out[:, start : start + known]] = 0.0
    rng = np.random.default_rng(int(memory.starts[-1]))  # parts ties the same way every time
    tie, share = rng.random(came.shape), rng.random(came.shape)
    said, value = memory.waiting.astype("f8"), np.nan_to_num(came)
    transform, smoothed = memory.transform.copy(), memory.smoothed.copy()
    for out, lies in ((transform, recalibrate.transform(said, value, tie)), (smoothed, recalibrate.counted(said, value, share))):
        out[:, -1] = np.where(np.isfinite(came), lies, np.nan)
    filled = replace(memory, truth=truth, transform=transform, smoothed=smoothed)
    return replace(filled, waiting=memory.waiting[:, :0]) if known == memory.horizon else filled


def moved(memory: Memory, place: Array) -> Memory:
    """Return the memory of another panel: `place` says which old series each is, -1 for a new one."""

    def part(values: Array) -> Array:
        chosen = values[np.maximum(place, 0)].copy()
        chosen[place < 0] = 0 if chosen.dtype == np.uint8 else np.nan
        return chosen

    names = ("truth", "mean", "spread", "transform", "smoothed", "promoted", "waiting")
    return replace(memory, **{name: part(getattr(memory, name)) for name in names})


def joined(earlier: Memory, now: Memory) -> Memory:
    """Return the finished blocks of an earlier state, then those of this one."""
    if earlier.truth.shape[::2] != now.truth.shape[::2]:
        return now
    closed = earlier.starts < (now.starts.min() if len(now.starts) else np.inf)

    def both(name: str) -> Array:
        return np.concatenate([getattr(earlier, name)[:, closed], getattr(now, name)], 1)

    parts = {name: both(name) for name in ("truth", "mean", "spread", "transform", "smoothed", "promoted")}
    return _cut_to_size(replace(now, starts=np.concatenate([earlier.starts[closed], now.starts]), **parts), 0)


def bands(memory: Memory, *, whole: Array | None = None) -> Recalibration:
    """Learn the recalibration from everything that came; with `whole`, that of whole numbers from the series that sell such."""
    series, blocks, steps = memory.truth.shape
    shape = (series, blocks, steps)
    ahead = np.broadcast_to(np.arange(steps), shape)
    came: Array = np.any(np.isfinite(memory.transform), axis=(0, 2))
    age = np.broadcast_to((came[::-1].cumsum()[::-1] - 1)[None, :, None], shape)
    transforms = memory.transform if whole is None else np.where(whole[:, None, None], memory.smoothed, np.nan)
    flat = (value.reshape(-1) for value in (transforms, ahead, memory.mean, memory.promoted, age))
    each = recalibrate.worth(transforms[:, came].astype("f8", order="C"))  # to the last bit, whether the next block is open or not
    return recalibrate.learn(*flat, horizon=steps, each=each)


def _cut_to_size(memory: Memory, more: int) -> Memory:
    """Drop the oldest blocks that are over the limits once `more` are added."""
    series, blocks, steps = memory.truth.shape
    most = min(MOST_BLOCKS, max(LEAST_BLOCKS + 1, MOST_CELLS // max(series * steps, 1)))
    drop = max(0, blocks + more - most)
    parts = {name: getattr(memory, name)[:, drop:] for name in ("truth", "mean", "spread", "transform", "smoothed", "promoted")}
    return replace(memory, starts=memory.starts[drop:], **parts) if drop else memory
