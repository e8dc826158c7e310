"""What each channel did over all of history: its return, the next unit's, how much of it is data, which to test next. numpy only."""

from __future__ import annotations

from typing import Any

import numpy as np

from tradewind.core.schema import Column, Role, Schema, Type
from tradewind.core.table import Table
from tradewind.models.roi.learned import Learned
from tradewind.models.roi.paths import brought, next_unit, path_of, stocked

Array = np.ndarray[Any, Any]
TEST_ERROR = 0.15  # of a lift test, as a share of the lift, that "which to test next" reckons with
_LEVELS = {"effect": 0.5, "lo80": 0.1, "hi80": 0.9, "lo90": 0.05, "hi90": 0.95, "lo95": 0.025, "hi95": 0.975}
EFFECTS = Schema(
    (
        Column("channel", Role.ENTITY, Type.TEXT),
        Column("geo", Role.ENTITY, Type.TEXT),
        Column("lever", Role.OUTPUT, Type.TEXT),
        Column("kind", Role.OUTPUT, Type.TEXT, meaning="roi, marginal_roi, contribution (share of the outcome)"),
        *(Column(name, Role.OUTPUT) for name in _LEVELS),
        Column("spend", Role.OUTPUT, unit="money", meaning="of the whole history"),
        Column("data_share", Role.OUTPUT, meaning="how much of what is known of the return came from the data: 0 is all belief"),
        Column("test_gain", Role.OUTPUT, unit="money", meaning="by how much a lift test would narrow what its spend returns"),
        Column("test_rank", Role.OUTPUT, meaning="1 is the channel to test next"),
    )
)


def totals(state: Learned) -> tuple[Array, Array, Array]:
    """Return draws of the outcome brought (D, G, C), of what the last percent brought (D, G, C), and spend (G, C), of all history.

    History begins where the outcome of a geo is known first: spend before that acts in it, and is not counted.
    """
    path = path_of(state, state.cut)
    geos, channels = len(state.geos), len(state.channels)
    got, step = np.zeros((2, len(state.half), geos, channels))
    spend = np.zeros((geos, channels))
    for geo in range(geos):
        window = slice(_began(state, geo), state.cut)
        spend[geo] = state.money[geo, window].sum(0)
        for channel in range(channels):
            stock = stocked(state, path, geo, channel, window)
            got[:, geo, channel] = brought(state, stock, geo, channel).sum(1)
            slope = next_unit(state, stock, geo, channel)
            step[:, geo, channel] = (slope * stock).sum(1) * state.scale[geo, channel]
    return got, step, spend


def _began(state: Learned, geo: int) -> int:
    return int(np.argmax(np.isfinite(state.y[geo, : state.cut])))


def returns(state: Learned) -> Array:
    """Return draws of each channel's return over the whole history, (D, C)."""
    got, _, spend = totals(state)
    found: Array = state.per * got.sum(1) / spend.sum(0)
    return found


def meter(state: Learned, draws: Array) -> Array:
    """Return how much of what is known of each return came from the data: 1 - variance after over variance before, log scale."""
    after = np.log(np.maximum(draws, 1e-12)).var(0)
    found: Array = np.clip(1 - after / state.width**2, 0.0, 1.0)
    return found


def worth_testing(draws: Array, spend: Array) -> Array:
    """Return by how much money a lift test would narrow the 80 % interval of each channel's contribution (C,).

    A test whose error is TEST_ERROR of the lift and a normal belief on the log scale: the variances add as precisions.
    """
    before = np.log(np.maximum(draws, 1e-12)).std(0)
    after = 1 / np.sqrt(1 / np.maximum(before, 1e-9) ** 2 + 1 / TEST_ERROR**2)
    wide = np.quantile(draws, 0.9, 0) - np.quantile(draws, 0.1, 0)
    found: Array = wide * spend * (1 - after / before)
    return found


def effects(state: Learned) -> Table:
    """Return a row per channel and kind; with geos, one per geo as well."""
    got, step, spend = totals(state)
    whole = np.nanmean(state.y[:, : state.cut], 1) * [state.cut - _began(state, geo) for geo in range(len(state.geos))]
    rows: list[dict[str, Any]] = []
    overall = state.per * got.sum(1) / spend.sum(0)
    data, gain = meter(state, overall), worth_testing(overall, spend.sum(0))
    rank = np.argsort(np.argsort(-gain)) + 1
    parts: list[tuple[str | None, Array, Array, Array, float]] = [(None, got.sum(1), step.sum(1), spend.sum(0), float(whole.sum()))]
    if len(state.geos) > 1:
        parts += [(name, got[:, at], step[:, at], spend[at], float(whole[at])) for at, name in enumerate(state.geos)]
    for geo, brought_, marginal, paid, outcome in parts:
        for at, channel in enumerate(state.channels):
            if paid[at] <= 0:
                continue
            kinds = {
                "roi": state.per * brought_[:, at] / paid[at],
                "marginal_roi": state.per * marginal[:, at] / paid[at],
                "contribution": brought_[:, at] / outcome,
            }
            for kind, draws in kinds.items():
                told = {name: float(np.quantile(draws, level)) for name, level in _LEVELS.items()}
                rest = {"spend": float(paid[at]), "data_share": data[at], "test_gain": gain[at], "test_rank": float(rank[at])}
                rows.append({"channel": channel, "geo": geo, "lever": "spend", "kind": kind, **told, **rest})
    return Table.from_rows(rows, EFFECTS)


def moved(old: Learned, new: Learned) -> Table:
    """Return a row per channel: its return before an update and after it, and whether it stayed inside the 80 % interval of before."""
    was, now = returns(old), returns(new)
    before, after = np.median(was, 0), np.median(now, 0)
    low, high = np.quantile(was, [0.1, 0.9], axis=0)
    inside = np.where((low <= after) & (after <= high), "yes", "no").astype(object)
    columns = {"channel": np.array(new.channels, object), "before": before, "lo80_before": low, "hi80_before": high, "after": after}
    return Table.from_columns({**columns, "inside": inside})


def words(state: Learned) -> list[str]:
    """Return what a user must be told of the learned returns in words."""
    draws = returns(state)
    share = meter(state, draws)
    out = []
    believed = [name for name, one in zip(state.channels, share, strict=True) if one < 0.3]
    if believed:
        out.append(f"mostly belief, little data: {', '.join(believed)}; a lift test would settle it")
    if len(state.channels) > 1:
        spend = state.money[:, : state.cut].sum((0, 1))
        out.append(f"test next: {state.channels[int(np.argmax(worth_testing(draws, spend)))]}")
    off = (np.log(np.maximum(draws / state.per, 1e-12)).mean(0) - state.centre) / state.width
    odd = [name for name, one in zip(state.channels, off, strict=True) if abs(one) > 2]
    if odd:
        out.append(f"the data and the belief disagree about {', '.join(odd)}")
    much = [name for name, one, known in zip(state.channels, off, state.responds, strict=True) if one > 2 and not known]
    if much:
        out.append(
            f"far more than was believed is found for {', '.join(much)}: where it is paid when people look anyway, as brand search is, "
            "mark it in a column responds_to_demand of marketing; else test it before more is spent on it"
        )
    return out
