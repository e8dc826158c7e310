"""Zeros that nobody's demand explains: of series that sell a lot on every other day, on the days they keep closed.

A table rarely says when a store was closed; it has a zero there. Learned as demand, such zeros pull down every level and mean around
them. A zero can be told from a poor day only where sales never come near it, so only such series are looked at.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
BUSY = 12.0  # units of a usual day from which on a day without any is no chance
NEVER_NEAR = 0.15  # of a usual day, which nineteen of twenty days exceed
WEEKS = 4  # before and after that are looked at for the same weekday
LEAST_WEEKS = 3
SAME = 0.75  # share of those weeks without a sale
AROUND, WORKED = 10, 0.35  # days before and after, and what share of them must have sold: else it is no week with a rest day
SHARED = 0.6  # share of the series at work that sell nothing: a holiday
FEWEST = 5
RUN = 7  # days in a row without a sale, and then sales again: a closed store


def busy(value: Array) -> Array:
    """Tell which series (rows) sell so much on every day with sales that a zero stands apart; `value` is (series, days), NaN unknown."""
    sold = np.where(value > 0, value, np.nan)
    found = np.zeros(len(value), bool)
    enough = np.isfinite(sold).sum(1) >= AROUND
    if enough.any():
        low, middle = np.nanquantile(sold[enough], (0.05, 0.5), axis=1)
        whole = np.all((sold[enough] == np.round(sold[enough])) | np.isnan(sold[enough]), axis=1)
        found[enough] = (low >= NEVER_NEAR * middle) & ((middle >= BUSY) | ~whole)
    return found


def weekly(value: Array) -> Array:
    """Tell which zeros lie on a weekday on which the series sold nothing in most weeks around; the weeks between were worked."""
    zero, known = value == 0, np.isfinite(value)
    alike, judged = np.zeros(value.shape, "i2"), np.zeros(value.shape, "i2")
    for week in (*range(-WEEKS, 0), *range(1, WEEKS + 1)):
        to, of = _moved(value.shape[1], 7 * week)
        alike[:, to] += zero[:, of]
        judged[:, to] += known[:, of]
    worked = _around(value > 0) >= WORKED
    return np.asarray(zero & busy(value)[:, None] & (judged >= LEAST_WEEKS) & (alike >= SAME * judged) & worked)


def regular(value: Array, event: Array) -> Array:
    """Tell which zeros lie on weekly rest days, or on days of an `event` (days,) on which most series at work sold nothing."""
    rest = weekly(value)
    zero, share, _ = _at_work(value, rest)
    return np.asarray(rest | (zero & (share >= SHARED) & event))


def regular_after(past: Array, value: Array, event: Array) -> Array:
    """Tell the same of the zeros of new days after a `past` whose own days of rest may be unknown; `event` is of the new days."""
    tail = np.nan_to_num(past[:, -7 * (WEEKS + 4) :])
    on = np.concatenate([np.zeros(tail.shape[1], bool), event])
    return regular(np.concatenate([tail, value], 1), on)[:, tail.shape[1] :]


def closed(value: Array, event: Array) -> Array:
    """Tell which zeros are days closed: regular ones, days on which most of several series sold nothing, and longer pauses that ended."""
    rest = weekly(value)
    zero, share, many = _at_work(value, rest)
    shared = (share >= SHARED) & (event | (many >= FEWEST))
    return np.asarray(rest | (zero & shared) | (zero & _paused((value == 0) | np.isnan(value))))


def _at_work(value: Array, rest: Array) -> tuple[Array, Array, Array]:
    """Return the zeros of busy series at work, the share of these that sold nothing on each day, and how many are at work."""
    often = busy(value)[:, None]
    zero = (value == 0) & often & ~rest
    working = often & np.isfinite(value) & ~rest & (_around(value > 0) >= WORKED)
    many = working.sum(0)
    return zero, (zero & working).sum(0) / np.maximum(many, 1), many


def _moved(length: int, by: int) -> tuple[slice, slice]:
    """Return where days lie that have another one `by` days later, and where that one lies."""
    return slice(max(0, -by), max(0, length - max(0, by))), slice(max(0, by), max(0, length + min(0, by)))


def _around(sold: Array) -> Array:
    """Return the share of days that sold from AROUND days before to AROUND days after each one."""
    summed = np.concatenate([np.zeros((len(sold), 1), "i4"), sold.cumsum(1, dtype="i4")], 1)
    at = np.arange(sold.shape[1])
    low, high = np.maximum(at - AROUND, 0), np.minimum(at + AROUND + 1, sold.shape[1])
    found: Array = (summed[:, high] - summed[:, low]) / (high - low)
    return found


def _paused(silent: Array) -> Array:
    """Tell which days lie in a run of at least RUN silent ones that began after and ended before another day."""
    length = silent.shape[1]
    at = np.arange(length)
    last = np.maximum.accumulate(np.where(silent, -1, at), 1)
    following = np.minimum.accumulate(np.where(silent, length, at)[:, ::-1], 1)[:, ::-1]
    return np.asarray(silent & (last >= 0) & (following < length) & (following - last > RUN))
