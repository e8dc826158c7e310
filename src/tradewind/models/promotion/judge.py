"""How promotion is examined: what sold under promotions that ran after a cutoff, or under every plan where promotions have no names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tradewind.core.errors import LearnFailed
from tradewind.core.model import Exam, Marks
from tradewind.core.table import Array, Table

BLOCK = 6  # periods of one exam
FEWEST = 30  # periods that must be left to learn from
FEWEST_EVENTS = 8  # in an exam, else every plan of a period is asked
MOST_ROWS = 4000
WHOLE = 0.99  # share of a period that counts as all of it


def exams(table: Table, *, folds: int, seed: int) -> list[Exam]:
    """Return blocks of the last periods, newest last; each is asked with the calendar and shelf prices known, and nothing else."""
    dates, units = table.column("date").astype("M8[D]"), table.column("units").astype("f8")
    known = np.unique(dates[np.isfinite(units)])
    blocks = min(folds, (len(known) - FEWEST) // BLOCK)
    if blocks < 1:
        raise LearnFailed(f"{len(known)} periods are too few to hold any out", hint=f"at least {FEWEST + BLOCK} periods of sales")
    found = []
    for place in range(blocks, 0, -1):
        cutoff = known[len(known) - place * BLOCK]
        end = known[len(known) - (place - 1) * BLOCK - 1]
        made = _exam(table, dates, units, cutoff, end, seed)
        if made is not None:
            found.append(made)
    if not found:
        raise LearnFailed("nothing that was promoted can be held out", hint="load promotions, or a longer history")
    return found


def marks(exams: Sequence[Exam], answers: Sequence[Table]) -> Marks:
    """Return errors of the logarithm of own units, their absolute error, and how often the interval holds."""
    truth = np.concatenate([exam.truth.column("units") for exam in exams])
    group = np.concatenate([exam.truth.column("date").astype("M8[D]").astype("i8") for exam in exams])
    said = {name: np.concatenate([answer.column(name) for answer in answers]) for name in ("units", "units_p50", "units_lo80", "units_hi80")}
    loss = (np.log1p(said["units_p50"]) - np.log1p(truth)) ** 2
    inside = (said["units_lo80"] <= truth) & (truth <= said["units_hi80"])
    metrics = {
        "rmsle": float(np.sqrt(loss.mean())),
        "wape": float(np.abs(said["units"] - truth).sum() / max(truth.sum(), 1e-9)),
        "bias": float(said["units"].sum() / max(truth.sum(), 1e-9) - 1),
        "coverage_80": float(inside.mean()),
    }
    return Marks(metrics, loss, group)


def _exam(table: Table, dates: Array, units: Array, cutoff: Any, end: Any, seed: int) -> Exam | None:
    inside = dates <= end
    seen = table.take(inside)
    ahead = dates[inside] >= cutoff
    hidden: dict[str, Array] = {"units": np.where(ahead, np.nan, units[inside])}
    if "price" in table:
        hidden["price"] = np.where(ahead, np.nan, table.column("price").astype("f8")[inside])
    for column in table.schema:
        if column.role.value == "input" and column.name in table and table.column(column.name).dtype.kind == "f":
            hidden[column.name] = np.where(ahead, np.nan, table.column(column.name)[inside])
    told = Table.from_columns({name: seen.column(name) for name in seen.names} | hidden, table.schema)
    block = (dates >= cutoff) & (dates <= end) & np.isfinite(units)
    named = _named(table, block, units, dates, cutoff, end)
    if named is not None:
        return Exam(told, named[0], named[1])
    return _plans(table, told, block, units, seed)


def _named(table: Table, block: Array, units: Array, dates: Array, cutoff: Any, end: Any) -> tuple[Table, Table] | None:
    """Return the promotions that ran in whole periods of the block, and what sold under them."""
    if "event" not in table:
        return None
    said = table.column("event")
    there = np.array([name is not None for name in said.tolist()], bool)
    names, code = np.unique(said[there].astype(str), return_inverse=True)
    count = len(names)
    whole = table.column("promotion").astype("f8")[there] >= WHOLE
    fine = block[there] & whole
    scale = np.maximum(table.column("open").astype("f8")[there], 1e-3) if "open" in table else np.ones(len(code))
    usable = np.ones(count, bool)
    np.logical_and.at(usable, code, fine)
    sold = np.bincount(code, np.where(fine, np.nan_to_num(units[there]) / scale, 0.0), minlength=count)
    start = np.full(count, np.iinfo("i8").max)
    np.minimum.at(start, code, dates[there].astype("i8"))
    chosen = np.flatnonzero(usable)
    if len(chosen) < FEWEST_EVENTS:
        return None
    asked = Table.from_columns({"promotion": names[chosen].astype(object)})
    return asked, Table.from_columns({"units": sold[chosen], "date": start[chosen].astype("M8[D]")})


def _plans(table: Table, told: Table, block: Array, units: Array, seed: int) -> Exam | None:
    """Ask for every series and period of the block at the price and the support it had."""
    known = {key for key in _keys(told, np.isfinite(told.column("units")))}
    rows = np.flatnonzero(block)
    rows = rows[[key in known for key in _keys(table, rows)]]
    if len(rows) == 0:
        return None
    if len(rows) > MOST_ROWS:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MOST_ROWS, replace=False))
    promoted = table.column("promotion").astype("f8")[rows] > 0
    columns: dict[str, Array] = {"product": table.column("product")[rows], "date": table.column("date").astype("M8[D]")[rows]}
    if "store" in table:
        columns["store"] = table.column("store")[rows]
    kind = table.column("mechanic")[rows] if "mechanic" in table else np.full(len(rows), None, object)
    columns["mechanic"] = np.array([str(name or "promotion") if on else None for name, on in zip(kind.tolist(), promoted, strict=True)], object)
    for name in ("price", "display", "feature"):
        if name in table:
            columns[name] = table.column(name).astype("f8")[rows]
    scale = np.maximum(table.column("open").astype("f8")[rows], 1e-3) if "open" in table else np.ones(len(rows))
    truth = Table.from_columns({"units": units[rows] / scale, "date": columns["date"]})
    return Exam(told, Table.from_columns(columns), truth)


def _keys(table: Table, rows: Array) -> list[tuple[str, str]]:
    product = table.column("product")[rows].tolist()
    store = table.column("store")[rows].tolist() if "store" in table else [""] * len(product)
    return list(zip(product, store, strict=True))
