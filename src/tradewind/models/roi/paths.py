"""Spend over time turned into draws of what it brings: the one code that answers, effects and plans all call. numpy only.

A path is effective spend of one geo, (T, C), scaled; windows are slices of its periods.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.random import default_rng  # imported here: nothing can be once the worker is locked

from tradewind.models.roi import baseline
from tradewind.models.roi.curves import lagged, saturation, steepness
from tradewind.models.roi.learned import Learned

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Path:
    """Money, effective spend and controls of all geos from the first period of history to the last one that is asked of."""

    money: Array  # (G, T, C)
    spend: Array  # (G, T, C)
    other: Array  # (G, T, K)

    @property
    def periods(self) -> int:
        """Return how many periods there are."""
        return int(self.money.shape[1])


def path_of(state: Learned, periods: int) -> Path:
    """Return what was spent and what is planned, then the usual spend and the last year's mean of every control."""
    have = state.money.shape[1]
    length = max(periods, have)
    money = np.repeat(state.usual[:, None], length, 1)
    spend = money.copy()
    other = np.repeat(state.other[:, state.year].mean(1, keepdims=True), length, 1)
    known = slice(0, state.cut)
    money[:, known], spend[:, known] = state.money[:, known], state.spend[:, known]
    other[:, :have] = state.other
    planned = np.flatnonzero((state.money[:, state.cut :] > 0).any((0, 2))) + state.cut
    money[:, planned], spend[:, planned] = state.money[:, planned], state.spend[:, planned]
    return Path(money, spend, other)


def stocked(state: Learned, path: Path, geo: int, channel: int, window: slice) -> Array:
    """Return carried-over scaled spend, (D, window)."""
    first = max(0, window.start - state.lags)
    scaled = path.spend[geo, first : window.stop, channel : channel + 1] / state.scale[geo, channel]
    found: Array = state.weights[:, channel] @ lagged(scaled, state.lags)[0][:, window.start - first :]
    return found


def brought(state: Learned, stock: Array, geo: int, channel: int) -> Array:
    """Return outcome brought at carried-over spend (D, ...)."""
    ends = (slice(None), *[None] * (stock.ndim - 1))
    full = saturation(stock, state.half[:, channel][ends], state.slope[:, channel][ends], state.curve)
    found: Array = state.beta[:, geo, channel][ends] * full
    return found


def next_unit(state: Learned, stock: Array, geo: int, channel: int) -> Array:
    """Return what one more unit of carried-over money would bring at once (D, ...)."""
    ends = (slice(None), *[None] * (stock.ndim - 1))
    steep = steepness(stock, state.half[:, channel][ends], state.slope[:, channel][ends], state.curve)
    found: Array = state.beta[:, geo, channel][ends] * steep / state.scale[geo, channel]
    return found


def contributions(state: Learned, path: Path, window: slice) -> Array:
    """Return what each channel brings in each period, (D, G, window, C)."""
    geos, channels = len(state.geos), len(state.channels)
    out = np.empty((len(state.half), geos, window.stop - window.start, channels))
    for geo in range(geos):
        for channel in range(channels):
            out[:, geo, :, channel] = brought(state, stocked(state, path, geo, channel, window), geo, channel)
    return out


def without_media(state: Learned, path: Path, window: slice) -> Array:
    """Return draws of the outcome without media, noise left out, (D, G, window)."""
    controls = baseline.standardised_by(state.other[:, : state.cut], path.other)
    periods = window.stop
    trend = baseline.hinges(state.clock, state.cut, periods)[window]
    out = []
    for geo in range(len(state.geos)):
        fixed = baseline.fixed(state.clock, state.start, periods, controls[geo, :periods])[window]
        out.append(state.gamma[:, geo] @ np.concatenate([fixed, trend], 1).T)
    found = np.stack(out, 1)
    if periods > state.cut:
        later = baseline.turns(state.clock, state.cut, periods)[window]
        for at in range(later.shape[1]):
            found = found + (state.trend * normal(state, 1000 + at)[:, None])[..., None] * later[:, at]
    return found


def noise(state: Learned, window: slice) -> Array:
    """Return draws of what no model knows, (D, G, window): the same for the same period whenever it is asked."""
    geos = len(state.geos)
    drawn = [[normal(state, (at, geo)) for at in range(window.start, window.stop)] for geo in range(geos)]
    found: Array = state.noise[..., None] * np.array(drawn).transpose(2, 0, 1)
    if geos > 1:
        together = np.array([normal(state, (at, geos)) for at in range(window.start, window.stop)])
        found = found + state.shock[..., None] * together.T[:, None]
    return found


_EVEN: dict[int, Array] = {}


def normal(state: Learned, key: Any) -> Array:
    """Return D normal values, evenly spread and in an order of their own by key."""
    count = len(state.half)
    if count not in _EVEN:
        _EVEN[count] = np.array([NormalDist().inv_cdf((at + 0.5) / count) for at in range(count)])
    return default_rng(key).permutation(_EVEN[count])
