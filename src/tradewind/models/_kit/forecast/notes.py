"""What an answer must not keep to itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from tradewind.core.table import Table
from tradewind.models._kit.asking import Asked
from tradewind.models._kit.forecast.support import Seen
from tradewind.models._kit.panel import Panel
from tradewind.models._kit.unasked import without_effect

Array = np.ndarray[Any, Any]
FEW = 3  # blocks below which bands say little about seasons
LATELY = 5  # gaps between actuals that show how often they come now
RARER = 3  # times as long as usual: a gap that is no accident
FAR_ABOVE = 10  # times the second highest actual
MOVES = 0.08  # median move of a price, within as long as is asked for, from which on it is no plan that stays
NEVER = np.iinfo("i8").min


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


@dataclass(frozen=True, slots=True)
class Known:
    """What can be said of each series whatever is asked of it."""

    history: Array  # actuals
    empty: Array  # nothing was sold in any of them that is kept
    ended: Array  # there was none lately
    thin: Array  # there is one in fewer than half of the periods
    spike: Array  # the number of the period of one actual far above all others, NEVER where there is none
    highest: Array
    odd: Array  # any of this is to be said, or there is no actual

    @classmethod
    def of(cls, panel: Panel, kept: Panel) -> Known:
        """Look at every series of a panel with its whole history, of which a part is kept to answer from."""
        past = panel.target[:, : panel.cut]
        known, late = np.isfinite(past), kept.target[:, : kept.cut]
        history = known.sum(1)
        none = history == 0
        empty = (np.nan_to_num(late).max(1, initial=0) == 0) & np.isfinite(late).any(1)
        began = np.where(none, past.shape[1] - 1, known.argmax(1))
        thin = (history < 0.5 * (past.shape[1] - began)) & ~none
        ended, (at, highest) = ~panel.alive & ~none, _spikes(past)
        spike = np.where(at >= 0, panel.first + at, NEVER)
        return cls(history, empty, ended, thin, spike, highest, none | empty | ended | thin | (at >= 0))

    def arrays(self, start: str) -> dict[str, Array]:
        """Return the numbers by name, ready for a tensor file."""
        return {start + part.name: getattr(self, part.name) for part in fields(self)}

    @classmethod
    def from_arrays(cls, numbers: Mapping[str, Array], start: str) -> Known:
        """Read it back; raises KeyError."""
        return cls(**{part.name: numbers[start + part.name] for part in fields(cls)})


def _spikes(past: Array) -> tuple[Array, Array]:
    if past.shape[1] < 2:
        return np.full(len(past), -1), np.zeros(len(past))
    value = np.nan_to_num(past)
    second, highest = np.partition(value, -2, axis=1)[:, -2:].T.copy()
    return np.where((second > 0) & (highest > FAR_ABOVE * second), value.argmax(1), -1), highest


def notes(panel: Panel, where: Asked, known: Known, seen: Seen, *, horizon: int, blocks: int) -> list[str]:
    """Return what a reader of the answer must know: fallbacks taken, plans ignored, prices never seen.

    `known` and `seen` are of the panel's series.
    """
    grain = panel.grain
    said = [f"column {name} is known only after the fact and changes nothing" for name in where.ignored if name in panel.past]
    said += without_effect(name for name in where.ignored if name not in panel.past)
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
    said += _unplanned(panel, where, seen, longest) + _moved(panel, where, seen, longest) + _unpriced(panel, where, longest)
    return said + _histories(panel, where, known, longest) + _levers(panel, where, seen) + _prices(where, seen)


def _histories(panel: Panel, where: Asked, known: Known, longest: int) -> list[str]:
    """Say which series have too little behind them, nothing but zeros, or one actual far above all others."""
    grain, said, series = panel.grain, [], where.series
    history = known.history[series]
    if not known.odd[series].any() and int(history.min()) >= longest:
        return []
    none = int((history == 0).sum())
    if none:
        said.append(f"{none} series never sold: their level comes from series with the same attributes")
    short = int(((history < longest) & (history > 0)).sum())
    if short:
        said.append(f"{short} series have a shorter history than the time asked for: they lean on what other series do")
    empty, ended, thin = (int(part[series].sum()) for part in (known.empty, known.ended, known.thin))
    if empty:
        said.append(f"{empty} series have sold nothing in the history that is kept: expect next to nothing")
    if ended:
        said.append(f"{ended} series have had no actual for {grain.quiet} {grain.name}s: they start from their last level")
    if thin:
        said.append(f"{thin} series have an actual in fewer than half of their {grain.name}s: the others are left out")
    spiked = series[known.spike[series] != NEVER]
    if len(spiked):
        at = panel.clock.date(known.spike[spiked[:1]])[0]
        example = f"such as {known.highest[spiked[0]]:g} on {at}"
        count = len(spiked)
        said.append(f"{count} series have one actual more than {FAR_ABOVE} times any other ({example}): it was learned from as it is")
    return said


def _unplanned(panel: Panel, where: Asked, seen: Seen, longest: int) -> list[str]:
    """Say where no lever is planned in all the time asked for that was often pulled before: it is more likely forgotten than given up."""
    if not seen.pulled or not where.plan.keys().isdisjoint(("price", *seen.pulled)):
        return []
    for name in seen.pulled:
        plan = panel.ahead[name][:, panel.cut : panel.cut + longest]
        if (plan[where.series] if len(plan) > 1 else plan).any():
            return []
    share = {name: count / np.maximum(count + seen.idle[name], 1) for name, count in seen.pulled.items()}
    usual = {name: float(value[where.series].mean()) for name, value in share.items()}
    name = max(usual, key=lambda lever: usual[lever])
    if usual[name] * longest < 1:
        return []
    often = f"{100 * usual[name]:.0f} % of past {panel.grain.name}s"
    return [f"no {name} is planned in the time asked for, and there was one in {often}: neither mean nor bands count on any"]


def _moved(panel: Panel, where: Asked, seen: Seen, longest: int) -> list[str]:
    """Say where nobody tells promotions and the plan goes back from a price at which sales ended: it is more likely a cut than to stay.

    A price above all that was seen is no going back: it was loaded as a plan.
    """
    if "promotion" in seen.pulled or "price" in where.plan or "price" not in panel.ahead or not panel.cut:
        return []
    price, dearest = panel.ahead["price"][:, panel.cut - 1 : panel.cut + longest], seen.high
    price, dearest = (part[np.unique(where.series)] if len(part) > 1 else part for part in (price, dearest))
    highest = np.nan_to_num(price).max(1)
    back = np.flatnonzero((highest > 1.05 * price[:, 0]) & (highest <= 1.01 * dearest))
    if not len(back):
        return []
    example = f"such as {price[back[0], 0]:.4g} to {highest[back[0]]:.4g}"
    return [
        f"{len(back)} series go back from the price at which sales ended to a higher one ({example}): ask with a price to say otherwise"
    ]


def _unpriced(panel: Panel, where: Asked, longest: int) -> list[str]:
    """Say where the price moved all the time, as one that is a mean of many does, and is taken to stay: bands know nothing of its moves."""
    back = min(longest, panel.cut // 2)
    if "price" in where.plan or "price" not in panel.ahead or not back:
        return []
    price = panel.ahead["price"][:, : panel.cut + longest]
    price = price[np.unique(where.series)] if len(price) > 1 else price
    past, stays = price[:, : panel.cut], (price[:, panel.cut :] == price[:, panel.cut - 1, None]).all(1)
    moved = np.nan_to_num(np.abs(past[:, back:] / past[:, :-back] - 1))
    usual = np.median(moved, 1)
    loose = stays & (usual >= MOVES)
    if not loose.any():
        return []
    much = f"{100 * np.median(usual[loose]):.0f} % within {back} {panel.grain.name}{'' if back == 1 else 's'}"
    return [f"the price of {int(loose.sum())} series usually moved by {much}, and none is planned: mean and bands count on the last one"]


def _levers(panel: Panel, where: Asked, seen: Seen) -> list[str]:
    """Say where a lever is planned not to be pulled that always was, or to be pulled that never was."""
    said = []
    for name in seen.idle:
        if name in where.plan:
            never_idle, never_pulled = (seen.rows(count == 0, where) for count in (seen.idle[name], seen.pulled[name]))
            count = len(np.unique(where.row[(where.plan[name] == 0) & never_idle]))
            if count:
                said.append(f"{name} was on in every past {panel.grain.name} of {count} series: what they sell without it is a guess")
            count = len(np.unique(where.row[(where.plan[name] > 0) & never_pulled]))
            if count:
                said.append(f"{name} was never on in the past of {count} series: what it does there cannot be told from it")
    return said


def _prices(where: Asked, seen: Seen) -> list[str]:
    """Say where a price lies outside what the series has seen."""
    if "price" not in where.plan or seen.prices is None:
        return []
    asked = where.plan["price"]
    low, high = seen.rows(seen.low, where), seen.rows(seen.high, where)
    outside = (asked < low * 0.99) | (asked > high * 1.01)
    if not outside.any():
        return []
    at = int(np.flatnonzero(outside)[0])
    example = f"such as {asked[at]:g}, seen {low[at]:g} to {high[at]:g}"
    said = [f"{int(outside.sum())} of {len(asked)} planned prices lie outside what was seen ({example}): read them as a guess"]
    still = len(np.unique(where.row[outside & (high <= low * (1 + 1e-9))]))
    if still:
        said.append(f"the price of {still} series never moved: what another one does there cannot be told from their past")
    return said
