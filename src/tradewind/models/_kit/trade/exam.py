"""Held-out periods of a trade table: what is hidden, what is asked, and how answers in units are marked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tradewind.core.errors import LearnFailed
from tradewind.core.model import Exam, Marks
from tradewind.core.schema import Role
from tradewind.core.table import Array, Table

BLOCK = 6  # periods of one exam
FEWEST = 26  # periods that must be left to learn from
MOST_ROWS = 4000


def blocks(table: Table, folds: int, *, block: int = BLOCK, fewest: int = FEWEST) -> list[tuple[Any, Any]]:
    """Return first and last date of the last periods in blocks, oldest first; raises LearnFailed where there are too few."""
    dates, units = table.column("date").astype("M8[D]"), table.column("units").astype("f8")
    known = np.unique(dates[np.isfinite(units)])
    count = min(folds, (len(known) - fewest) // block)
    if count < 1:
        raise LearnFailed(f"{len(known)} periods are too few to hold any out", hint=f"at least {fewest + block} periods of sales")
    return [(known[len(known) - place * block], known[len(known) - (place - 1) * block - 1]) for place in range(count, 0, -1)]


def hidden(table: Table, cutoff: Any, end: Any) -> Table:
    """Return the table up to `end` as it was known before `cutoff`: shelf prices and the calendar stay, what came of them is gone."""
    dates = table.column("date").astype("M8[D]")
    inside = dates <= end
    seen = table.take(inside)
    ahead = dates[inside] >= cutoff
    gone = {"units", "price", *(column.name for column in table.schema if column.role is Role.INPUT)}
    columns = {name: seen.column(name) for name in seen.names}
    for name in gone & set(seen.names):
        if columns[name].dtype.kind == "f":
            columns[name] = np.where(ahead, np.nan, columns[name])
    return Table.from_columns(columns, table.schema)


def plans(table: Table, told: Table, cutoff: Any, end: Any, seed: int) -> Exam | None:
    """Ask for every series and period of a block at the price and the support it had; None where there is nothing to ask."""
    dates, units = table.column("date").astype("M8[D]"), table.column("units").astype("f8")
    block = (dates >= cutoff) & (dates <= end) & np.isfinite(units)
    known = set(keys(told, np.isfinite(told.column("units").astype("f8"))))
    rows = np.flatnonzero(block)
    rows = rows[np.array([key in known for key in keys(table, rows)], bool)] if len(rows) else rows
    if len(rows) == 0:
        return None
    if len(rows) > MOST_ROWS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MOST_ROWS, replace=False))
    promoted = table.column("promotion").astype("f8")[rows] > 0 if "promotion" in table else np.zeros(len(rows), bool)
    columns: dict[str, Array] = {"product": table.column("product")[rows], "date": dates[rows]}
    if "store" in table:
        columns["store"] = table.column("store")[rows]
    kind = table.column("mechanic")[rows].tolist() if "mechanic" in table else [None] * len(rows)
    columns["mechanic"] = np.array([str(name or "promotion") if on else None for name, on in zip(kind, promoted, strict=True)], object)
    for name in ("price", "display", "feature"):
        if name in table:
            columns[name] = table.column(name).astype("f8")[rows]
    scale = np.maximum(table.column("open").astype("f8")[rows], 1e-3) if "open" in table else np.ones(len(rows))
    return Exam(told, Table.from_columns(columns), Table.from_columns({"units": units[rows] / scale, "date": dates[rows]}))


def keys(table: Table, rows: Array) -> list[tuple[str, str]]:
    """Return product and store of some rows."""
    product = table.column("product")[rows].tolist()
    store = table.column("store")[rows].tolist() if "store" in table else [""] * len(product)
    return list(zip(product, store, strict=True))


def marked(exams: Sequence[Exam], said: dict[str, Array]) -> Marks:
    """Return errors of the logarithm of units, their absolute error, and how often the interval holds.

    `said` has `mean`, `p50`, `lo80`, `hi80` of units, joined over the exams.
    """
    truth = np.concatenate([exam.truth.column("units") for exam in exams])
    group = np.concatenate([exam.truth.column("date").astype("M8[D]").astype("i8") for exam in exams])
    loss = (np.log1p(said["p50"]) - np.log1p(truth)) ** 2
    inside = (said["lo80"] <= truth) & (truth <= said["hi80"])
    metrics = {
        "rmsle": float(np.sqrt(loss.mean())),
        "wape": float(np.abs(said["mean"] - truth).sum() / max(truth.sum(), 1e-9)),
        "bias": float(said["mean"].sum() / max(truth.sum(), 1e-9) - 1),
        "coverage_80": float(inside.mean()),
    }
    return Marks(metrics, loss, group)
