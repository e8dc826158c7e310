"""The protocol over one way to draw: learning is handed in, answering is the same for all. numpy only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, cast

from tradewind.core.errors import BadValue
from tradewind.core.model import Knob
from tradewind.core.table import Array, Table
from tradewind.models.roi import answer, learned
from tradewind.models.roi.effects import effects, moved
from tradewind.models.roi.learned import Learned
from tradewind.models.roi.respond import respond

Learner = Callable[[Table, Mapping[str, Any], int, Learned | None], Learned]


@dataclass(frozen=True, slots=True)
class MediaRecipe:
    """A recipe of roi; `learner` takes the table, the knobs, the seed, and what was learned before where it moves on from there."""

    name: str
    knobs: tuple[Knob, ...]
    learner: Learner

    def fit(self, table: Table, params: Mapping[str, Any], seed: int) -> Learned:
        """Learn from a modelling table. Raises LearnFailed, BadValue, MissingColumn."""
        with _one_thread():
            return self.learner(table, params, seed, None)

    def update(self, state: Learned, table: Table) -> Learned:
        """Return the state moved on to the end of the table: what was learned before weighs half, its rows the other half.

        `table` holds the whole history. The posterior is p(before)^t x [prior x p(old rows)]^(1 - t) x p(new rows), t = 1/2, with the
        scaling of before; where nothing is approximated that is the posterior of all rows. Raises BadValue for a table that ends earlier.
        """
        with _one_thread():
            return self.learner(table, state.params, 0, state)

    def changes(self, before: Learned, after: Learned) -> Table:
        """Return how the return of each channel moved in an update."""
        return moved(before, after)

    def predict(self, state: Learned, asked: Table) -> Table:
        """Answer questions, one row each."""
        return answer.predict(state, asked)

    def expand(self, state: Learned, horizon: int | None, where: Mapping[str, Any]) -> Table:
        """Return the questions of the next periods."""
        return answer.expand(state, horizon, where)

    def respond(self, state: Learned, request: Mapping[str, Any]) -> Mapping[str, Array]:
        """Return draws of the outcome for the planner."""
        return respond(state, request)

    def effects(self, state: Learned) -> Table:
        """Return what each channel returned."""
        return effects(state)

    def standing(self, state: Learned) -> list[str]:
        """Return what must be said with whatever this version answers."""
        return [*state.notes, *state.changed]

    def notes(self, state: Learned, asked: Table) -> list[str]:
        """Return what the answer must say in words."""
        read = answer.read_asked(state, asked)
        out = self.standing(state)
        out.append(f"returns are in {state.unit} per money, spend and {state.name} per {state.clock.grain.name}")
        if read.ignored:
            out.append(f"not a control of this model, so without effect: {', '.join(read.ignored)}")
        _, beyond = answer.spends(state, read)
        over = sorted({str(name) for name, far in zip(asked.column("channel").tolist(), beyond.tolist(), strict=True) if far > 1.001})
        if over:
            out.append(f"spend above anything seen, the curve is extrapolated: {', '.join(over)}")
        return [*out, *answer.strange(state, asked)]

    def dump(self, state: Learned) -> Mapping[str, bytes]:
        """Write the state."""
        return learned.dump(state)

    def load(self, parts: Mapping[str, bytes]) -> Learned:
        """Read the state."""
        return learned.load(parts)


def _one_thread() -> AbstractContextManager[Any]:
    """Keep matrix products to one thread: they are small, and a second thread would wait at full cost (1.0 to .7 s, 2.0 to .7 CPU s).

    A library that is loaded later would not be held: SciPy's is loaded first, JAX factorises by it.
    """
    import scipy.linalg  # noqa: F401
    from threadpoolctl import threadpool_limits

    return cast("AbstractContextManager[Any]", threadpool_limits(1, user_api="blas"))


def continues(state: Learned, channels: tuple[str, ...], geos: tuple[str, ...], start: int, cut: int) -> None:
    """Raise BadValue where a table does not go on from what was learned."""
    if channels != state.channels or geos != state.geos:
        raise BadValue("the channels or geos changed since this version was trained", hint="train roi again")
    if start != state.start or cut < state.cut:
        raise BadValue(
            "the table does not hold the history this version was trained on",
            hint="load the whole history, with the new periods at its end",
        )
