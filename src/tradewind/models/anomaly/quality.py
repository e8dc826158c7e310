"""Rules that need no model: a load that is missing, nothing sold while open, a day that was loaded twice or copied."""

from __future__ import annotations

from typing import Any

import numpy as np

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


def marks(
    value: Array,
    expected: Array,
    spread: Array,
    duplicated: Array | None = None,
    *,
    before: Array | None = None,
    holiday: Array | None = None,
) -> Array:
    """Return for each series and period the number in MARKS of the rule that it breaks, 0 for none.

    `before` are the figures of the time before, `holiday` tells on which periods an event is on: then shops may be closed.
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
    for at in range(value.shape[1]):
        if _copied(past, offset + at):
            out[np.isfinite(value[:, at]) & (value[:, at] != 0), at] = DOUBLE
    if duplicated is not None:
        out[(np.nan_to_num(duplicated) > 0) & (out == 0)] = DOUBLE
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


def _copied(past: Array, at: int) -> bool:
    """Tell whether a period repeats an earlier one figure by figure."""
    now = past[:, at]
    known = np.isfinite(now) & (now != 0)
    if known.sum() < FEWEST or len(np.unique(now[known])) < VARIED:
        return False
    back = past[:, max(0, at - BACK) : at]
    return bool(back.shape[1] and (back[known] == now[known, None]).all(0).any())
