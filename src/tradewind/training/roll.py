"""Take one candidate through the folds: fitted once and moved on with what came, or fitted anew where too much did."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tradewind.core.bundle import join, pack_arrays, split, unpack_arrays
from tradewind.core.errors import LearnFailed
from tradewind.core.model import Blends, Progress, Recipe, Remembers, State, Updates, settle
from tradewind.core.table import Array
from tradewind.training.split import Fold

STALE = 1 / 8  # share of the history that may come after a fit before the next fold is fitted anew


@dataclass(frozen=True, slots=True)
class Candidate:
    """A recipe with its knobs, under the name the leaderboard shows."""

    label: str
    recipe: Recipe
    params: Mapping[str, Any]


@dataclass(slots=True)
class Run:
    """What a candidate said of rows it had not seen, one entry per fold, and its state at each fold's cutoff, oldest first."""

    columns: list[dict[str, Array]] = field(default_factory=list)
    states: dict[int, State] = field(default_factory=dict)
    seconds: float = 0.0

    def keep_last(self) -> None:
        """Let go of all states but the last one."""
        self.states = {block: state for block, state in self.states.items() if block == max(self.states)}

    def joined(self) -> dict[str, Array]:
        """Return all folds' columns together."""
        return {name: np.concatenate([columns[name] for columns in self.columns]) for name in self.columns[0]} if self.columns else {}


Fit = Callable[[Fold], State]


def fitting(candidate: Candidate, seed: int) -> Fit:
    """Return how a candidate is fitted to what a fold has seen."""
    return lambda fold: candidate.recipe.fit(fold.seen, settle(candidate.recipe.knobs, candidate.params), seed)


def roll(candidate: Candidate, folds: Sequence[Fold], fit: Fit, *, kept: Mapping[str, bytes], progress: Progress, keep: bool = True) -> Run:
    """Return what the candidate says at every fold; pieces of an earlier run are not done twice. Raises what fitting raises."""
    run = Run()
    way = _Way(candidate, fit, kept, progress if keep else None)
    for place, fold in enumerate(folds):
        progress("validate", place / len(folds), f"{candidate.label}, block {fold.block + 1} of {len(folds)}")
        piece = f"{candidate.label}/{fold.block}/{fold.cutoff}/{_digest(candidate)}"
        if piece in kept:
            columns = unpack_arrays(kept[piece])
            run.seconds += float(columns.pop("seconds")[0])
            run.columns.append(columns)
            continue
        began = time.process_time()
        state = way.to(folds[: place + 1])
        columns = _said(candidate, state, fold)
        spent = time.process_time() - began
        run.states[fold.block] = state
        run.columns.append(columns)
        run.seconds += spent
        if keep:
            progress.keep(piece, pack_arrays(columns | {"seconds": np.array([spent])}))
    return run


def reached(candidate: Candidate, run: Run, folds: Sequence[Fold], fit: Fit, *, kept: Mapping[str, bytes]) -> State:
    """Return a candidate's state at the last of these folds, made again where an earlier run only left what it said."""
    at = folds[-1].block
    if at not in run.states:
        run.states[at] = _Way(candidate, fit, kept, None).to(folds)
    return run.states[at]


class _Way:
    """The states of a candidate on its way through the folds."""

    def __init__(self, candidate: Candidate, fit: Fit, kept: Mapping[str, bytes], progress: Progress | None) -> None:
        self._candidate, self._fit, self._kept, self._progress = candidate, fit, kept, progress
        self._state: State = None
        self._at = -1  # place of the fold the state stands at
        self._fitted = 0  # periods that were known when it was last fitted

    def to(self, folds: Sequence[Fold]) -> State:
        """Return the state at the last of these folds."""
        for place in range(self._at + 1, len(folds)):
            self._state = self._next(folds[place], len(folds) - 1 == place)
            self._at = place
        return self._state

    def _next(self, fold: Fold, wanted: bool) -> State:
        recipe = self._candidate.recipe
        if not isinstance(recipe, Updates):
            return self._fit(fold) if wanted else None
        if self._state is None:
            return self._fresh(fold)
        if isinstance(recipe, Blends):  # its members have moved by themselves
            fresh = self._fresh(fold)
            return recipe.remember(fresh, self._state) if isinstance(recipe, Remembers) else fresh
        moved = recipe.update(self._state, fold.seen)
        if fold.known - self._fitted <= STALE * self._fitted:
            return moved
        fresh = self._fresh(fold)
        return recipe.remember(fresh, moved) if isinstance(recipe, Remembers) else fresh

    def _fresh(self, fold: Fold) -> State:
        self._fitted = fold.known
        name = f"fit/{self._candidate.label}/{fold.block}/{fold.cutoff}/{_digest(self._candidate)}"
        if name in self._kept:
            return self._candidate.recipe.load(split(self._kept[name]))
        state = self._fit(fold)
        if self._progress is not None:
            self._progress.keep(name, join(self._candidate.recipe.dump(state)))
        return state


def _digest(candidate: Candidate) -> str:
    """Return what tells one choice of knobs from another: a search that was resumed may have chosen others."""
    return hashlib.sha256(json.dumps(dict(candidate.params), sort_keys=True).encode()).hexdigest()[:12]


def _said(candidate: Candidate, state: State, fold: Fold) -> dict[str, Array]:
    answer = candidate.recipe.predict(state, fold.asked)
    columns = {name: fold.asked.column(name) for name in fold.asked.names}
    columns |= {name: answer.column(name) for name in answer.names if name not in columns}
    columns |= {"truth": fold.truth, "block": np.full(len(fold.truth), fold.block), "horizon": fold.ahead}
    if not np.isfinite(columns["p50"].astype("f8")).all():
        raise LearnFailed(f"{candidate.label} gave a forecast that is not a number")
    return columns
