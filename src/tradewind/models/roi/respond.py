"""Draws of the outcome on plans of spend: what the planner optimises over. numpy only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tradewind.core.errors import BadValue
from tradewind.models.roi.learned import Learned
from tradewind.models.roi.paths import Path, brought, next_unit, path_of, stocked

Array = np.ndarray[Any, Any]


def respond(state: Learned, request: Mapping[str, Any]) -> dict[str, Array]:
    """Answer the planner; raises BadValue.

    about "usual", periods P: `channels`, `dates` (text, P), `spend` (P, C) as planned or usual, `highest` (C,) ever spent in a period,
    `worth` (1,) money per outcome, NaN where it is not known, `name` of the outcome, `grain`, `responds` (C,): 1 where spend follows
    demand, so that its return is an upper bound, `notes`: what must be said with every answer.
    about "spend", spend (P, C): `outcome` (D,) the media bring in these periods (what was spent before them carries over into them),
    `after` (D,) what carries over behind them, `slope` (D, P, C) of both by spend, `by_channel` (D, C) of the outcome.
    """
    about = request.get("about")
    if about == "usual":
        return _usual(state, int(request.get("periods", 13)))
    if about == "spend":
        return _brought(state, np.asarray(request["spend"], "f8"))
    raise BadValue(f"roi cannot respond about {about!r}", hint='about: "usual", "spend"')


def _usual(state: Learned, periods: int) -> dict[str, Array]:
    if not 1 <= periods <= 2 * state.clock.grain.year:
        raise BadValue(
            f"a plan of {periods} periods cannot be made", hint=f"plan 1 to {2 * state.clock.grain.year} {state.clock.grain.name}s"
        )
    path = path_of(state, state.cut + periods)
    dates = state.clock.date(state.start + state.cut + np.arange(periods))
    known = state.unit == "money"
    return {
        "channels": np.array(state.channels, object),
        "dates": np.array([str(date) for date in dates], object),
        "spend": path.money[:, state.cut : state.cut + periods].sum(0),
        "highest": state.money[:, : state.cut].sum(0).max(0),
        "worth": np.array([state.per if known else np.nan]),
        "name": np.array([state.name], object),
        "grain": np.array([state.clock.grain.name], object),
        "responds": np.array(state.responds, "f8"),
        "notes": np.array([*state.notes, *state.changed], object),
    }


def _brought(state: Learned, plan: Array) -> dict[str, Array]:
    if plan.ndim != 2 or plan.shape[1] != len(state.channels) or not np.isfinite(plan).all() or (plan < 0).any():
        raise BadValue("a plan must be spends of zero or more, a row per period and a column per channel")
    periods, channels = plan.shape
    cut, lags = state.cut, state.lags
    path = path_of(state, cut + periods + lags)
    effective = path.spend[:, : cut + periods + lags - 1].copy()
    effective[:, cut:] = 0.0
    effective[:, cut : cut + periods] = plan * state.share[:, None]
    path = Path(path.money, effective, path.other)
    window = slice(cut, cut + periods + lags - 1)
    draws = len(state.half)
    by_channel, after, slope = np.zeros((draws, channels)), np.zeros(draws), np.zeros((draws, periods, channels))
    for geo in range(len(state.geos)):
        for channel in range(channels):
            share = state.share[geo, channel]
            if share <= 0:
                continue
            stock = stocked(state, path, geo, channel, window)
            got = brought(state, stock, geo, channel)
            by_channel[:, channel] += got[:, :periods].sum(1)
            after += got[:, periods:].sum(1)
            steep = next_unit(state, stock, geo, channel)
            for lag in range(lags):
                slope[:, :, channel] += share * state.weights[:, channel, lag, None] * steep[:, lag : lag + periods]
    return {"outcome": by_channel.sum(1), "after": after, "slope": slope, "by_channel": by_channel}
