"""How price is examined: what sold in the last periods, at the prices and with the support these had."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tradewind.core.errors import LearnFailed
from tradewind.core.model import Exam, Marks
from tradewind.core.table import Table
from tradewind.models._kit.trade.exam import blocks, hidden, keys, marked, plans

FEWEST = 10  # periods that must be left to learn from
BLOCK = 4


def exams(table: Table, *, folds: int, seed: int) -> list[Exam]:
    """Return blocks of the last periods, newest last, asked at the prices paid."""
    found = []
    for cutoff, end in blocks(table, folds, block=BLOCK, fewest=FEWEST):
        made = plans(table, hidden(table, cutoff, end), cutoff, end, seed)
        made = _priced(made) if made is not None else None
        if made is not None:
            found.append(made)
    if not found:
        raise LearnFailed("no series sold before and after any cutoff", hint="load a longer history")
    return found


def _priced(exam: Exam) -> Exam | None:
    """Return the exam without rows that have no price, or whose series had none before; None where nothing is left.

    A price that nobody knows cannot be asked about, and without one a recommendation would be asked for: that is no sale.
    """
    if "price" not in exam.asked:
        return exam
    seen = exam.seen
    before = np.zeros(len(seen), bool)
    for name in ("regular", "price"):
        if name in seen:
            before |= np.isfinite(seen.column(name).astype("f8"))
    known = set(keys(seen, np.flatnonzero(before)))
    price = exam.asked.column("price").astype("f8")
    asked = keys(exam.asked, np.arange(len(price)))
    rows = np.flatnonzero((price > 0) & np.isfinite(price) & np.array([key in known for key in asked], bool))
    return Exam(exam.seen, exam.asked.take(rows), exam.truth.take(rows)) if len(rows) else None


def marks(exams: Sequence[Exam], answers: Sequence[Table]) -> Marks:
    """Return errors of the logarithm of units, their absolute error, and how often the interval holds."""
    return marked(exams, {name: np.concatenate([answer.column(name) for answer in answers]) for name in ("mean", "p50", "lo80", "hi80")})
