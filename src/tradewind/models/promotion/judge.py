"""How promotion is examined: what sold under promotions that ran after a cutoff, or under every plan where promotions have no names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tradewind.core.errors import LearnFailed
from tradewind.core.model import Exam, Marks
from tradewind.core.table import Table
from tradewind.models._kit.trade.exam import blocks, hidden, marked, plans

FEWEST_EVENTS = 8  # in an exam, else every plan of a period is asked
WHOLE = 0.99  # share of a period that counts as all of it
SAID = {"mean": "units", "p50": "units_p50", "lo80": "units_lo80", "hi80": "units_hi80"}


def exams(table: Table, *, folds: int, seed: int) -> list[Exam]:
    """Return blocks of the last periods, newest last; each is asked with the calendar and shelf prices known, and nothing else."""
    found = []
    for cutoff, end in blocks(table, folds):
        told = hidden(table, cutoff, end)
        made = _named(table, told, cutoff, end) or plans(table, told, cutoff, end, seed)
        if made is not None:
            found.append(made)
    if not found:
        raise LearnFailed("nothing that was promoted can be held out", hint="load promotions, or a longer history")
    return found


def marks(exams: Sequence[Exam], answers: Sequence[Table]) -> Marks:
    """Return errors of the logarithm of own units, their absolute error, and how often the interval holds."""
    return marked(exams, {name: np.concatenate([answer.column(column) for answer in answers]) for name, column in SAID.items()})


def _named(table: Table, told: Table, cutoff: Any, end: Any) -> Exam | None:
    """Return the promotions that ran in whole periods of the block, and what sold under them; None where there are too few."""
    if "event" not in table:
        return None
    dates, units = table.column("date").astype("M8[D]"), table.column("units").astype("f8")
    said = table.column("event")
    there = np.array([name is not None for name in said.tolist()], bool)
    names, code = np.unique(said[there].astype(str), return_inverse=True)
    count = len(names)
    block = (dates >= cutoff) & (dates <= end) & np.isfinite(units)
    fine = block[there] & (table.column("promotion").astype("f8")[there] >= WHOLE)
    usable = np.ones(count, bool)
    np.logical_and.at(usable, code, fine)
    scale = np.maximum(table.column("open").astype("f8")[there], 1e-3) if "open" in table else np.ones(len(code))
    sold = np.bincount(code, np.where(fine, np.nan_to_num(units[there]) / scale, 0.0), minlength=count)
    start = np.full(count, np.iinfo("i8").max)
    np.minimum.at(start, code, dates[there].astype("i8"))
    chosen = np.flatnonzero(usable)
    if len(chosen) < FEWEST_EVENTS:
        return None
    asked = Table.from_columns({"promotion": names[chosen].astype(object)})
    return Exam(told, asked, Table.from_columns({"units": sold[chosen], "date": start[chosen].astype("M8[D]")}))
