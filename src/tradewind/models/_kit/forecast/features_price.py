"""What prices say: against the usual one, the last one, those of rivals, and what sold at prices like it; what rivals promote."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
STEPS_OF_PRICE = np.linspace(-0.7, 0.35, 22)  # log price against the usual one: what sold at like prices is kept by these
BLUR = 0.06  # log price: how far apart prices are still alike
PULL = 1.0  # periods that "nothing different" counts for where few like prices were seen


def mean(values: Array) -> Array:
    """Return the mean of the known values along the last axis, NaN where there are none."""
    known = values == values  # noqa: PLR0124 - the quickest test for NaN
    total = np.where(known, values, 0).sum(-1)
    count = known.sum(-1)
    found: Array = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return found


def logged(price: Array) -> Array:
    """Return the logarithm, NaN where there is no price."""
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Array = np.log(price)
    return found


def usual(price: Array, origin: int, wide: int) -> Array:
    """Return the mean log price before the origin, (series or 1, 1)."""
    return mean(logged(price[:, max(0, origin - wide) : origin]))[:, None]


def gaps(price: Array, usual: Array, at: Array) -> list[Array]:
    """Return planned log prices against the usual one and against those a period before."""
    now = logged(price[:, at])
    return [now - usual, now - logged(price[:, at - 1])]


def price_beside(ahead: Mapping[str, Array], name: str, usual: Mapping[str, Array], at: Array) -> list[Array]:
    """Return the log price of rivals against their usual one, and how far the own price has moved away from that."""
    beside = logged(ahead[name][:, at]) - usual[name]
    return [beside, logged(ahead["price"][:, at]) - usual["price"] - beside]


def share_beside(ahead: Mapping[str, Array], name: str, usual: Mapping[str, Array], at: Array) -> list[Array]:
    """Return the share of rivals that is promoted, and against what it usually was."""
    share = ahead[name][:, at]
    return [share, share - usual[name]]


def usual_share(share: Array, origin: int, cycle: int) -> Array:
    """Return the mean share of four cycles, at least 26 periods, before the origin, (series or 1, 1)."""
    return mean(share[:, max(0, origin - max(4 * cycle, 26)) : origin])[:, None]


def curve_of(price: Array, shares: Array, origin: int, wide: int) -> Array:
    """Return the log of what sold at each of STEPS_OF_PRICE against the usual, never less at a lower price, (series, steps).

    Past periods are sorted into steps of log price against the usual one, blurred, and drawn towards no difference where they are few;
    a running maximum from high prices to low ones keeps the direction.
    """
    past = logged(price[:, max(0, origin - shares.shape[1]) : origin])
    usual = mean(past[:, -wide:])[:, None]
    sold = shares[:, shares.shape[1] - past.shape[1] :]
    count = len(sold)
    apart = np.broadcast_to(past - usual, sold.shape)
    known = np.isfinite(apart) & np.isfinite(sold)
    step = np.clip(np.round((apart - STEPS_OF_PRICE[0]) / (STEPS_OF_PRICE[1] - STEPS_OF_PRICE[0])), 0, len(STEPS_OF_PRICE) - 1)
    cell = (np.arange(count)[:, None] * len(STEPS_OF_PRICE) + np.nan_to_num(step)).astype("i8")[known]
    size = count * len(STEPS_OF_PRICE)
    often = np.bincount(cell, minlength=size).reshape(count, -1)
    summed = np.bincount(cell, sold[known], minlength=size).reshape(count, -1)
    blur = np.exp(-(((STEPS_OF_PRICE[:, None] - STEPS_OF_PRICE) / BLUR) ** 2) / 2)
    whole = summed.sum(1, keepdims=True) / np.maximum(often.sum(1, keepdims=True), 1)
    ratio = np.log(np.maximum((summed @ blur + PULL * whole) / np.maximum((often @ blur + PULL) * whole, 1e-9), 1e-2))
    return np.maximum.accumulate(ratio[:, ::-1], 1)[:, ::-1]


def read_off(price: Array, curve: Array, usual: Array, at: Array) -> Array:
    """Return what the curve says at the planned prices, NaN where there is none."""
    planned = np.broadcast_to(logged(price[:, at]) - usual, (len(curve), len(at)))
    place = (np.nan_to_num(planned) - STEPS_OF_PRICE[0]) / (STEPS_OF_PRICE[1] - STEPS_OF_PRICE[0])
    low = np.clip(np.floor(place), 0, len(STEPS_OF_PRICE) - 2).astype("i8")
    share = np.clip(place - low, 0, 1)
    row = np.arange(len(curve))[:, None]
    found: Array = np.where(np.isfinite(planned), curve[row, low] * (1 - share) + curve[row, low + 1] * share, np.nan)
    return found
