"""How a decomposition is examined: stretches of the history are hidden, and what the components say of them is held against what came."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from tradewind.core.errors import LearnFailed
from tradewind.core.model import Exam, Marks
from tradewind.core.schema import Role
from tradewind.core.table import Array, Table
from tradewind.models._kit.calendar import clock_of
from tradewind.models.seasonality.learned import amounts
from tradewind.models.seasonality.seasons import LEAST

STRETCH = {"hour": 72, "day": 14, "week": 3, "month": 2, "quarter": 1}
"""Periods hidden together."""
SHARE = 0.15  # of the history that one exam hides
FEWEST = 12  # periods


def exams(table: Table, *, folds: int, seed: int) -> list[Exam]:
    """Hide other stretches in each exam, the last one always among them; raises LearnFailed for too short a history or no amounts."""
    amounts(table)
    time = table.schema.time or "date"
    known = np.isfinite(table.column("units").astype("f8"))
    dates = np.unique(table.column(time)[known])
    if len(dates) < FEWEST:
        raise LearnFailed(f"{len(dates)} periods are too few to hide some and tell them", hint=f"load at least {FEWEST}")
    length = STRETCH[clock_of(dates).grain.name]
    count = max(1, round(SHARE * len(dates) / length))
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(folds):
        edges = np.linspace(length, len(dates) - length, count + 1).astype(int)
        starts = [int(rng.integers(low, max(high - length, low + 1))) for low, high in pairwise(edges.tolist())]
        hidden = {int(at) for start in [*starts, len(dates) - length] for at in range(start, min(start + length, len(dates)))}
        found.append(_exam(table, time, known, dates[sorted(hidden)]))
    return found


def _exam(table: Table, time: str, known: Array, hidden: Array) -> Exam:
    rows = np.isin(table.column(time), hidden)
    figures = table.column("units").astype("f8")
    seen = table.with_columns({"units": np.where(rows, np.nan, figures)}, *(column for column in table.schema if column.name == "units"))
    keys = [name for name in table.schema.of(Role.ENTITY) if name in table]
    levers = [name for name in table.schema.of(Role.LEVER) if name in table]
    asked = table.take(rows & known & _enough(seen, keys))
    if len(asked) == 0:
        raise LearnFailed(f"no series has the {LEAST} figures outside of what an exam hides", hint="load a longer history")
    return Exam(seen, asked.select([*keys, time, *levers]), asked.select([*keys, time, "units"]))


def _enough(seen: Table, keys: list[str]) -> Array:
    """Return which rows are of series that can be learned from what is seen: the others are left out, and are not asked."""
    import polars as pl

    figure = pl.col("units").cast(pl.Float64)
    known = figure.is_finite().fill_null(value=False)
    enough = ((known.sum() >= LEAST) & (figure.filter(known).clip(0).sum() > 0)).alias("_enough")
    found: Array = seen.frame.select(enough.over(keys) if keys else enough)["_enough"].to_numpy()
    return found if keys else np.repeat(found, len(seen))


def marks(exams: Sequence[Exam], answers: Sequence[Table]) -> Marks:
    """Return WAPE of the median, bias of the mean and coverage; a stretch of a series errs together. Raises LearnFailed for all zeros."""
    truth = np.maximum(np.concatenate([exam.truth.column("units").astype("f8") for exam in exams]), 0)  # below zero is none, as learned
    if truth.sum() <= 0:
        raise LearnFailed("every hidden figure is zero: nothing that is said of it can be held against it", hint="load a longer history")
    said = {
        name: np.concatenate([answer.column(name).astype("f8") for answer in answers])
        for name in ("p50", "mean", "lo80", "hi80", "lo95", "hi95")
    }
    loss = np.abs(truth - said["p50"])
    total = float(truth.sum())
    metrics = {"wape": float(loss.sum()) / total, "bias": float((said["mean"] - truth).sum()) / total}
    for level in (80, 95):
        metrics[f"coverage_{level}"] = float(((truth >= said[f"lo{level}"]) & (truth <= said[f"hi{level}"])).mean())
    return Marks(metrics, loss, np.concatenate([_groups(exam, place) for place, exam in enumerate(exams)]))


def _groups(exam: Exam, place: int) -> Array:
    time = exam.truth.schema.time or "date"
    dates = exam.truth.column(time).astype("M8[D]").astype("i8") // 28
    keys = [exam.truth.column(name).tolist() for name in exam.truth.names if name not in (time, "units")]
    return np.array(["\x1f".join(map(str, row)) for row in zip([place] * len(dates), dates.tolist(), *keys, strict=True)])
