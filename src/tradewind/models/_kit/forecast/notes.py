"""What an answer must not keep to itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from tradewind.core.table import Table
from tradewind.models._kit.asking import Asked
from tradewind.models._kit.forecast import support
from tradewind.models._kit.panel import Panel

Array = np.ndarray[Any, Any]
FEW = 3  # blocks below which bands say little about seasons
LATELY = 5  # gaps between actuals that show how often they come now
RARER = 3  # times as long as usual: a gap that is no accident
FAR_ABOVE = 10  # times the second highest actual


def cleaned(table: Table, panel: Panel, target: str) -> list[str]:
    """Say what was done with actuals that cannot be learned from as they are."""
    amount = table.column(target).astype("f8")
    below, endless = int((amount < 0).sum()), int(np.isinf(amount).sum())
    said = [f"{below} actuals lie below zero and count as nothing sold"] if below else []
    said += [f"{endless} actuals are no finite number and are left out"] if endless else []
    gaps = np.diff(np.flatnonzero(np.isfinite(panel.target[:, : panel.cut]).any(0)))
    if len(gaps) > LATELY and np.median(gaps[-LATELY:]) >= RARER * np.median(gaps):
        every, grain = f"{np.median(gaps[-LATELY:]):g} {panel.grain.name}s", panel.grain.name
        said.append(f"lately actuals come every {every} only: each is still taken as one {grain}, and the time between as unknown")
    return said


def notes(panel: Panel, where: Asked, *, horizon: int, blocks: int) -> list[str]:
    """Return what a reader of the answer must know: fallbacks taken, plans ignored, prices never seen."""
    grain = panel.grain
    said = [f"column {name} was not there in training and changes nothing" for name in where.ignored]
    longest = int(where.ahead.max()) + 1
    planned = panel.width - panel.cut
    if longest > horizon:
        said.append(f"past {horizon} {grain.name}s ahead the model repeats what it learned for {horizon}; its bands widen")
    if longest > max(planned, 1) and panel.ahead:
        last = panel.clock.date(np.array([panel.first + panel.width - 1]))[0]
        said.append(
            f"the plan is known to {last}: after it prices stay, and there is no promotion and no event unless the question says so"
        )
    if blocks < FEW:
        said.append(f"the bands rest on {blocks} held-out blocks and the model's own spread: too little history for {FEW}")
    return said + _histories(panel, where, longest) + _support(panel, where)


def _histories(panel: Panel, where: Asked, longest: int) -> list[str]:
    """Say which series have too little behind them, or nothing but zeros."""
    grain, said = panel.grain, []
    past = panel.target[where.series, : panel.cut]
    history = np.isfinite(past).sum(1)
    none = history == 0
    if none.any():
        said.append(f"{int(none.sum())} series never sold: their level comes from series with the same attributes")
    short = (history < longest) & ~none
    if short.any():
        said.append(f"{int(short.sum())} series have a shorter history than the time asked for: they lean on what other series do")
    empty = (np.nan_to_num(past).max(1, initial=0) == 0) & ~none
    if empty.any():
        said.append(f"{int(empty.sum())} series have sold nothing in the history that is kept: expect next to nothing")
    ended = ~panel.alive[where.series] & ~none
    if ended.any():
        said.append(f"{int(ended.sum())} series have had no actual for {grain.quiet} {grain.name}s: they start from their last level")
    began = np.where(none, past.shape[1] - 1, np.isfinite(past).argmax(1))
    thin = (history < 0.5 * (past.shape[1] - began)) & ~none
    if thin.any():
        said.append(f"{int(thin.sum())} series have an actual in fewer than half of their {grain.name}s: the others are left out")
    return said + _spikes(panel, where, past)


def _spikes(panel: Panel, where: Asked, past: Array) -> list[str]:
    """Say which series have one actual far above all others."""
    if past.shape[1] < 2:
        return []
    value = np.nan_to_num(past)
    second, highest = np.partition(value, -2, axis=1)[:, -2:].T
    rows = np.flatnonzero((second > 0) & (highest > FAR_ABOVE * second))
    if not len(rows):
        return []
    at = int(value[rows[0]].argmax())
    example = f"such as {highest[rows[0]]:g} on {panel.clock.date(np.array([panel.first + at]))[0]}"
    return [f"{len(rows)} series have one actual more than {FAR_ABOVE} times any other ({example}): it was learned from as it is"]


def _support(panel: Panel, where: Asked) -> list[str]:
    """Say where a plan lies outside what the series has seen."""
    return _prices(panel, where) + _levers(panel, where)


def _levers(panel: Panel, where: Asked) -> list[str]:
    """Say where a lever is planned not to be pulled that always was."""
    said = []
    for name, kind in panel.kinds.items():
        if kind != "lever" or name not in where.plan:
            continue
        always: Array = np.all(panel.ahead[name][:, : panel.cut] > 0, axis=1)
        always = always[where.series] if len(always) > 1 else np.repeat(always, len(where.series))
        count = len(np.unique(where.row[(where.plan[name] == 0) & always[where.row]]))
        if count:
            said.append(f"{name} was on in every past {panel.grain.name} of {count} series: what they sell without it is a guess")
    return said


def _prices(panel: Panel, where: Asked) -> list[str]:
    if "price" not in where.plan or "price" not in panel.ahead:
        return []
    asked = where.plan["price"]
    low, high = (value[where.row] for value in support.seen(panel, where.series))
    outside = (asked < low * 0.99) | (asked > high * 1.01)
    if not outside.any():
        return []
    at = int(np.flatnonzero(outside)[0])
    example = f"such as {asked[at]:g}, seen {low[at]:g} to {high[at]:g}"
    return [f"{int(outside.sum())} of {len(asked)} planned prices lie outside what was seen ({example}): read them as a guess"]
