"""Rules that need no model: a load that is missing, nothing sold while open, a day that was loaded twice or copied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tradewind.models.anomaly.family import Batch

Array = np.ndarray[Any, Any]
MARKS = ("", "missing load", "zero while open", "duplicate")
MISSING, ZERO, DOUBLE = 1, 2, 3
LOADS = (MISSING, DOUBLE)  # what is wrong with a load, not with what happened
SILENT = 0.6  # share of the series that report on most days and are silent at once: then the load is missing, not the sale
BUSY = 12.0  # figures expected of a series from which on nothing at all is a fault
SURE = 3.0  # spreads by which nothing must lie below what was expected
WEEKS = 56  # periods of the past that are looked at
BACK = 14  # days in which the same figures again are a copy
FEWEST, VARIED = 5, 3  # series and different figures that must agree before a day is a copy
CHANCE = 1e-8  # of a copy, below which it is one: that every figure comes up again by itself
SAME, REAL = 0.2821, 1e-3  # chance that a whole number comes up again, times its spread; that a real figure does
MANY = 12  # even figures that hardly come up by chance, so that they need add up to less: part of a common movement was expected
TWICE, AT_LEAST, AT_MOST = 1.7, 1.35, 2.4  # what a day that was loaded twice adds up to, over what was expected
NEAR = 4.0  # spreads within which each of its figures lies from what was expected, times that
EVEN = 0.75  # share of even figures from which on an even one says nothing


def marks(
    value: Array,
    expected: Array,
    spread: Array,
    duplicated: Array | None = None,
    *,
    before: Array | None = None,
    holiday: Array | None = None,
    batches: Sequence[Batch] = (),
) -> Array:
    """Return for each series and period the number in MARKS of the rule that it breaks, 0 for none.

    `before` are the figures of the time before, `holiday` tells on which periods an event is on: then shops may be closed. `batches` are
    what is loaded together, all series where none is given: a day is copied or loaded twice in one of them or in all.
    """
    out = np.zeros(value.shape, "i1")
    past = value if before is None else np.concatenate([before, value], 1)
    offset = past.shape[1] - value.shape[1]
    usual = np.isfinite(past).mean(1) > 0.7
    empty = ~np.isfinite(value) | (value == 0)
    busy = usual[:, None] & (expected > BUSY)
    share = (empty & busy).sum(0) / np.maximum(busy.sum(0), 1)
    silent = (share >= SILENT) & (busy.sum(0) >= FEWEST)
    if silent.any():
        silent &= ~_closed(past, offset, value.shape[1])
    if holiday is not None:
        silent &= ~holiday
    out[busy & empty & silent[None]] = MISSING
    zero = (value == 0) & (expected - SURE * spread > 0) & (expected > BUSY) & (out == 0)
    out[zero] = ZERO
    every = np.arange(len(value))
    for batch in batches or (Batch(every, every),):
        low = batch.lowest
        twice = _copied(past[low], spread[low]) | _doubled(past[low], expected[low], spread[low])
        for at in np.flatnonzero(twice).tolist():
            rows = batch.rows[np.isfinite(value[batch.rows, at]) & (value[batch.rows, at] != 0)]
            out[rows, at] = DOUBLE
    if duplicated is not None:
        out[(np.nan_to_num(duplicated) > 0.5) & (out == 0)] = DOUBLE
    return out


def _closed(past: Array, offset: int, count: int) -> Array:
    """Tell which of the last periods fall where the week is usually silent: the same place was silent in half of the weeks before.

    In the first two weeks there are, those that follow tell.
    """
    silent = (~np.isfinite(past) | (past == 0)).mean(0) >= SILENT
    out = np.zeros(count, bool)
    for at in range(count):
        same = silent[(offset + at) % 7 : offset + at : 7][-8:]
        if len(same) < 2:
            same = np.append(same, silent[offset + at + 7 :: 7][:8])
        out[at] = len(same) > 1 and same.mean() >= 0.5
    return out


def _copied(past: Array, spread: Array) -> Array:
    """Tell which of the last periods, those with a `spread`, repeat an earlier one figure by figure, which chance would hardly do."""
    offset = past.shape[1] - spread.shape[1]
    now = past[:, offset:]
    known = np.isfinite(now) & (now != 0)
    whole = now == np.round(now)
    again = np.where(whole, np.minimum(SAME / np.maximum(spread, 1e-12), 1.0), np.where(spread > 0, REAL, 1.0))
    rare = (known.sum(0) >= FEWEST) & (np.where(known, np.log(again), 0.0).sum(0) < np.log(CHANCE))
    out = np.zeros(now.shape[1], bool)
    for at in np.flatnonzero(rare).tolist():
        here = known[:, at]
        back = past[here, max(0, offset + at - BACK) : offset + at]
        same = bool(back.shape[1]) and bool((back == now[here, at, None]).all(0).any())
        out[at] = same and len(np.unique(now[here, at])) >= VARIED
    return out


def _doubled(past: Array, expected: Array, spread: Array) -> Array:
    """Tell on which of the last periods all rows were loaded twice: every count is even, and all alike about twice what was expected.

    Counts that are even most of the time (packs of two) cannot tell.
    """
    now = past[:, past.shape[1] - spread.shape[1] :]
    known = np.isfinite(now) & (now != 0)
    counts = known & (now == np.round(now))
    seen = past[np.isfinite(past) & (past != 0)]
    if not len(seen) or float((seen % 2 == 0).mean()) > EVEN:
        return np.zeros(now.shape[1], bool)
    even = ((counts & (now % 2 == 0)) | ~known).all(0) & (known.sum(0) >= FEWEST)
    share = np.where(known, now, 0.0).sum(0) / np.maximum(np.where(known, expected, 0.0).sum(0), 1e-9)
    near = (~known | (np.abs(now - share * expected) <= NEAR * share * spread)).all(0)
    enough = share >= np.where(known.sum(0) >= MANY, AT_LEAST, TWICE)
    return np.asarray(even & near & enough & (share <= AT_MOST))
