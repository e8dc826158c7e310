"""What the benchmarks of customer models share: learning a model whatever it scores, asking it, and timing what its worker does."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from benchmarks._result import Row, at_most
from benchmarks._run import DATA, median, quantile
from tradewind import models
from tradewind.core.model import Budget
from tradewind.core.table import Table

CUSTOMERS = DATA / "customers"
REASON = "benchmark"


@dataclass(frozen=True, slots=True)
class Taught:
    """What serves now, the leaderboard, how long training took, and the size of the sealed version."""

    recipe: str
    board: pl.DataFrame
    seconds: float
    sealed_mb: float

    def shown(self, metric: str) -> str:
        """Write a metric of every recipe."""
        return ", ".join(f"{row['recipe']} {row[metric]:.3f}" for row in self.board.iter_rows(named=True) if row[metric] == row[metric])


def taught(desk: Any, model: str, *, folds: int | None = None, seed: int = 0, **options: Any) -> Taught:
    """Train a model and let it serve whatever it scores."""
    began = time.perf_counter()
    answer = desk.train(model, seed=seed, budget=Budget(folds=folds), **options)
    spent = time.perf_counter() - began
    desk.promote(model, force=True, reason=REASON)
    return Taught(str(answer.source["recipe"]), answer.table.frame, spent, answer.source["bytes"] / 1e6)


def artifact_parts(desk: Any, model: str) -> tuple[str, Mapping[str, bytes]]:
    """Return the recipe and the parts of the version that serves."""
    made = desk.artifact(model, desk.deployment(model).stable)
    return str(made.manifest["recipe"]), made.parts


def timings(desk: Any, model: str, questions: Sequence[Table], hundred: Sequence[Table], *, sealed_mb: float) -> list[Row]:
    """Return the bars of serving: what one thread of the worker does for one question and for a hundred, loading, and size."""
    name, parts = artifact_parts(desk, model)
    recipe = models.recipe(model, name)
    began = time.perf_counter()
    state = recipe.load(dict(parts))
    load = time.perf_counter() - began
    one = _times(lambda asked: recipe.predict(state, asked), questions)
    many = _times(lambda asked: recipe.predict(state, asked), hundred)
    whole = _times(lambda asked: desk.predict(model, asked), questions)
    return [
        at_most(f"{model}: one item, p50 of the work in the worker", median(one.wall), 2.0, unit="ms", baseline=one.tail()),
        at_most(f"{model}: 100 items", median(many.wall), 30.0, unit="ms", baseline=many.tail()),
        Row(f"{model}: one item through the desk, door, ledger and jailed worker", f"{median(whole.wall):.2f} ms", whole.tail()),
        at_most(f"{model}: sealed", sealed_mb, 30.0, unit="MB"),
        at_most(f"{model}: load", load, 0.5, unit="s"),
    ]


@dataclass(frozen=True, slots=True)
class Spent:
    """Milliseconds of every question: by the clock, and of this process's processor."""

    wall: list[float]
    cpu: list[float]

    def tail(self) -> str:
        """Write the slow end, and what the processor did."""
        return f"p99 {quantile(self.wall, 0.99):.2f} ms, processor p50 {median(self.cpu):.2f} ms, of {len(self.wall)}"


def _times(call: Callable[[Table], Any], asked: Sequence[Table]) -> Spent:
    wall, cpu = [], []
    for one in asked:
        began, used = time.perf_counter(), time.process_time()
        call(one)
        wall.append(1000 * (time.perf_counter() - began))
        cpu.append(1000 * (time.process_time() - used))
    first = len(asked) // 5  # these fill memos and pages
    return Spent(wall[first:], cpu[first:])
