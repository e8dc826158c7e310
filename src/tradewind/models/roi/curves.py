"""What spend turns into: carry-over over time, then saturation. Learning, answering and planning all call these.

`xp` is numpy or jax.numpy: the two recipes that sample share every formula. Axes: D draws, C channels, L lags, T periods.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
ADSTOCKS = ("geometric", "delayed", "weibull")
SATURATIONS = ("hill", "logistic")
TINY = 1e-9
_HALF = float(np.log(3.0)) / 2  # tanh of it is a half


def weights(first: Any, second: Any, kind: str, length: int, xp: Any = np) -> Any:
    """Return carry-over weights (..., C, L) that sum to one; `first` and `second` are unbounded parameters (..., C).

    geometric: a^l, a = logistic(first). delayed: a^((l - peak)^2), peak = exp(second) (Jin et al. 2017, Google). weibull: its density
    at l + 1 with scale = (L / 2) logistic(first) + 1/2 and shape exp(second) (as in Robyn).
    """
    lag = xp.arange(length) * 1.0
    share = 1 / (1 + xp.exp(-first))[..., None]
    if kind == "geometric":
        raw = share**lag
    elif kind == "delayed":
        raw = share ** ((lag - xp.exp(second)[..., None]) ** 2) + TINY
    else:
        at = (lag + 1) / (length / 2 * share + 0.5)
        shape = xp.exp(second)[..., None]
        raw = at ** (shape - 1) * xp.exp(-(at**shape)) + TINY
    return raw / raw.sum(-1, keepdims=True)


def lagged(spend: Array, length: int) -> Array:
    """Return spend (T, C) as (C, L, T): row l holds what was spent l periods before."""
    periods, channels = spend.shape
    out = np.zeros((channels, length, periods))
    for lag in range(min(length, periods)):
        out[:, lag, lag:] = spend[: periods - lag].T
    return out


def saturation(stock: Any, half: Any, slope: Any, kind: str, xp: Any = np) -> Any:
    """Return the share of full effect at a carried-over spend; `half` is the spend of half effect.

    hill: x^s / (h^s + x^s). logistic: (1 - e^(-v x)) / (1 + e^(-v x)) with v = log 3 / h.
    """
    if kind == "logistic":
        return xp.tanh(_HALF * stock / half)
    power = slope * (xp.log(xp.maximum(stock, 1e-7)) - xp.log(half))
    return 1 / (1 + xp.exp(-xp.clip(power, -50.0, 50.0)))


def steepness(stock: Any, half: Any, slope: Any, kind: str, xp: Any = np) -> Any:
    """Return the derivative of `saturation` by the carried-over spend."""
    there = saturation(stock, half, slope, kind, xp)
    if kind == "logistic":
        return (1 - there**2) * _HALF / half
    return slope * there * (1 - there) / xp.maximum(stock, 1e-7)
