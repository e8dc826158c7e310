"""What the engine asks of a way to learn: a panel in, something that answers questions about its future out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

from tradewind.core.model import Knob
from tradewind.models._kit.panel import Panel

Array = np.ndarray[Any, Any]
CELLS = 6000  # series times periods worked on at once: a worker's memory stays small
NONE = np.empty(0, "i8")


@dataclass(frozen=True, slots=True)
class Look:
    """A question laid out for a learner: some series with their past and plan, and the periods asked for.

    `panel` holds the asked series only, in the order of `series` (their numbers in the panel that was learned from); the user's own
    plan is written over the known one. `steps` are the sorted distinct periods ahead of `panel.cut`, 0 = the next one. `planned` are
    the columns that the user plans, and `kept` is what a learner made ready by `keep` of the same history under the known plan: what
    no planned column touches it need not work out again.
    """

    panel: Panel
    series: Array
    steps: Array
    horizon: int  # periods that were learned; steps beyond it are answered too, less surely
    planned: Collection[str] = ()
    kept: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)


def looks(panel: Panel, horizon: int) -> Iterator[Look]:
    """Yield looks at all series for the next periods under the known plan, some series at a time."""
    each = max(1, CELLS // horizon)
    for start in range(0, len(panel), each):
        series = np.arange(start, min(len(panel), start + each))
        yield Look(panel.planned(series, horizon + 1, NONE, NONE, {}), series, np.arange(horizon), horizon)


@dataclass(frozen=True, slots=True)
class Said:
    """What a learner says of a look: mean (series, steps) and quantiles (series, steps, len(TAUS)), both in units, never below zero.

    `percent` (series, steps) is a point learned for percentage errors, NaN where it is not known; None where none was learned.
    """

    mean: Array
    quantiles: Array
    percent: Array | None = None


class Learned(Protocol):
    """What a learner learned, without the history: it reads that from the look. Serving code: numpy and onnxruntime alone."""

    @property
    def reach(self) -> int:
        """Return how many periods of the past a look must hold."""
        ...

    def say(self, look: Look) -> Said:
        """Answer a look."""
        ...

    def moved(self, panel: Panel, place: Array) -> Learned:
        """Return what was learned for a panel with a later cut, without refitting.

        `place` says which series of the old panel each series is, -1 for a new one. Runs where training libraries may be imported.
        """
        ...

    def dump(self) -> dict[str, bytes]:
        """Write it as named bytes: ONNX, safetensors, JSON."""
        ...


@runtime_checkable
class Keeps(Protocol):
    """Learned things that can make ready, once, what an answer to any plan is worked out from."""

    def keep(self, panel: Panel, horizon: int) -> Mapping[str, Any]:
        """Return what `Look.kept` is to hold: of every series of the panel, for the next periods."""
        ...


class Learner(Protocol):
    """One way to learn a panel."""

    @property
    def name(self) -> str:
        """Return the recipe's name."""
        ...

    @property
    def knobs(self) -> tuple[Knob, ...]:
        """Return what can be turned."""
        ...

    def learn(self, panel: Panel, knobs: Mapping[str, Any], *, seed: int, horizon: int) -> Learned:
        """Learn from what lies before `panel.cut`; columns known ahead may be read past it. Raises LearnFailed."""
        ...

    def read(self, parts: Mapping[str, bytes], panel: Panel) -> Learned:
        """Read back what `dump` wrote, importing no training library; raises Incompatible and Tampered."""
        ...
