"""What would have happened without media: level, seasons, trend and controls, for any period past or coming."""

from __future__ import annotations

from typing import Any

import numpy as np

from tradewind.models._kit.calendar import Clock

Array = np.ndarray[Any, Any]
YEAR = {"hour": 24 * 365.25, "day": 365.25, "week": 52.18, "month": 12.0, "quarter": 4.0}
STILL = 1e-9  # deviation over the mean up to which a control never moves


def standardised_by(past: Array, other: Array) -> Array:
    """Return controls less their past mean over their past deviation, by geo; one that never moved in a geo says nothing there: 0."""
    middle, wide = past.mean(1, keepdims=True), past.std(1, keepdims=True)
    out: Array = (other - middle) / np.where(wide > STILL * np.maximum(np.abs(middle), 1e-3), wide, np.inf)
    return out


def fixed(clock: Clock, start: int, periods: int, controls: Array) -> Array:
    """Return the columns of the baseline (T, q), each times its prior scale: level .4, seasons .2, weekdays .15, controls .3.

    `controls` is (T, K), standardised.
    """
    at = np.arange(periods)
    turn = 2 * np.pi * at / YEAR[clock.grain.name]
    waves = [wave(order * turn) for order in (1, 2) for wave in (np.sin, np.cos)]
    parts = [0.4 * np.ones((periods, 1)), 0.2 * np.stack(waves, 1)]
    if clock.grain.name == "day":
        weekday = (start + at + 3) % 7
        parts.append(0.15 * (weekday[:, None] == np.arange(6)))
    if clock.grain.name == "hour":
        parts += [0.15 * (((start + at) % 24)[:, None] == np.arange(23)), 0.15 * ((((start + at) // 24 + 3) % 7)[:, None] == np.arange(6))]
    parts.append(0.3 * controls)
    return np.concatenate(parts, 1)


def knots(clock: Clock, cut: int) -> Array:
    """Return the periods at which the trend may turn: about twice a year, evenly."""
    count = max(int(cut // (YEAR[clock.grain.name] / 2)), 1)
    found: Array = np.linspace(0, cut, count + 1)[:-1]
    return found


def hinges(clock: Clock, cut: int, periods: int) -> Array:
    """Return how far each period lies behind each knot (T, h), three for the whole history."""
    behind: Array = np.maximum(np.arange(periods)[:, None] - knots(clock, cut), 0) / cut * 3
    return behind


def turns(clock: Clock, cut: int, periods: int) -> Array:
    """Return the same for knots after the end of history, whose slopes nobody knows yet."""
    step = cut / len(knots(clock, cut))
    later = np.arange(cut, max(periods, cut + 1), step)
    behind: Array = np.maximum(np.arange(periods)[:, None] - later, 0) / cut * 3
    return behind
