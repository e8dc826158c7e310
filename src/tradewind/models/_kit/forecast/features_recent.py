"""What the last days and weeks say: how high a series stands, and how long the spells last in which it sells far more than usual."""

from __future__ import annotations

from typing import Any

import numpy as np

from tradewind.models._kit.calendar import Grain
from tradewind.models._kit.forecast.features_price import mean

Array = np.ndarray[Any, Any]
HIGH = 1.8  # times the usual sales: what lies above is a spell, for which no column need give a reason
LEAST_USUAL = 0.25  # shares of the scale: usual sales count as no less, or every sale of a slow series would be a spell
SMOOTHED = 3  # periods that a spell is judged by
FAR = 60.0  # periods: a spell that ended longer ago is as if there had been none
LEVEL = ("last_1", "last_3", "two_cycles", "middle_month", "middle", "high")
SPELLS = ("usual", "since_spell", "in_spell", "spells", "spell_length", "spell_height")
APART = ("free_middle", "free_last", "highest")


def names(grain: Grain) -> tuple[str, ...]:
    """Return what `lately` or, where periods hardly repeat, `apart` says, in order."""
    return APART if grain.cycle == 1 else (*LEVEL, *SPELLS)


def apart(near: Array, promoted: Array | None) -> list[Array]:
    """Return the middle and the last of sales without a promotion, and the highest of all: where weeks or months hardly repeat."""
    free = near if promoted is None else np.where(promoted > 0, np.nan, near)
    place = np.maximum.accumulate(np.where(np.isfinite(free), np.arange(free.shape[1]), -1), 1)[:, -1]
    last = np.where(place >= 0, free[np.arange(len(free)), np.maximum(place, 0)], np.nan)
    return [quantile(free, 0.5), last, np.max(np.nan_to_num(near), 1)]


def lately(shares: Array, grain: Grain) -> list[Array]:
    """Return how high sales stood of late, and what is known of their spells; each (series,), NaN where nothing is known.

    Where promotions are not recorded, a spell is what they look like: whether one is running, and how long they usually last, says
    more of the coming weeks than any mean.
    """
    month, level = shares[:, -4 * grain.cycle :], shares[:, -grain.level :]
    stood = [mean(shares[:, -periods:]) for periods in (1, SMOOTHED, 2 * grain.cycle)]
    stood += [quantile(month, 0.5), quantile(level, 0.5), quantile(level, 0.8)]
    usual = np.maximum(np.nan_to_num(quantile(shares[:, -2 * grain.level :], 0.5)), LEAST_USUAL)
    return stood + _spells(shares[:, -grain.year - SMOOTHED + 1 :], usual)


def _spells(shares: Array, usual: Array) -> list[Array]:
    known = np.isfinite(shares)
    summed = np.cumsum(np.where(known, shares, 0), 1, dtype="f8")
    number = np.cumsum(known, 1)
    smooth = (summed[:, SMOOTHED:] - summed[:, :-SMOOTHED]) / np.maximum(number[:, SMOOTHED:] - number[:, :-SMOOTHED], 1)
    high = smooth > HIGH * usual[:, None]
    width, often = high.shape[1], high.sum(1)
    last = np.where(often > 0, high[:, ::-1].argmax(1), FAR)
    low = np.where(often < width, (~high)[:, ::-1].argmax(1), width)
    began = (high[:, 1:] & ~high[:, :-1]).sum(1) + high[:, 0]
    height = np.where(often > 0, np.where(high, smooth, 0).sum(1) / np.maximum(often, 1) / usual, 1.0)
    found = (
        usual,
        np.minimum(last, FAR),
        np.where(last == 0, np.minimum(low, FAR), 0),
        often / width,
        often / np.maximum(began, 1),
        height,
    )
    return [np.where(known.any(1), value, np.nan) for value in found]


def quantile(values: Array, share: float) -> Array:
    """Return a quantile (the lower of two) of the known values of each row, NaN where there are none."""
    ordered = np.sort(values, 1)  # missing ones come last
    count = np.isfinite(values).sum(1)
    place = (np.maximum(count - 1, 0) * share).astype("i8")
    found: Array = ordered[np.arange(len(values)), place]
    return found
