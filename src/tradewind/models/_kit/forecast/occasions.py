"""What the time does to sales, told from all series at once: named events to the days around them, and the year."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tradewind.core.errors import Incompatible
from tradewind.models._kit.forecast import seasons
from tradewind.models._kit.forecast.seasons import NONE, Seasons
from tradewind.models._kit.panel import Panel

Array = np.ndarray[Any, Any]
BEFORE, AFTER = 10, 4  # days before an event and after it that it may reach
WEEKS = 4  # to both sides: the same weekday of these is what a day is held against
ROUNDS = 4  # of taking what events do out of what days are held against
LOUDEST = 0.1  # spread of a quiet day's sum about its usual one: sums of series that stray more tell nothing that can be trusted
WIDTH = 0.15  # how large log effects usually are: what few and noisy series show is drawn to none by it


@dataclass(frozen=True, slots=True)
class Occasions:
    """Per event the log effect on each of BEFORE days before it, on its own days, and on each of AFTER days after it; and the seasons."""

    effects: Mapping[str, tuple[float, ...]]
    seasons: Seasons = NONE

    def lift(self, panel: Panel, start: int = 0) -> Array:
        """Return the log effect of all events on each day from `start` on, (series or 1, periods), each of the nearest of its name.

        Events that lie before `start` are not seen: ask from AFTER days before what is wanted.
        """
        found: Array = np.zeros((1, panel.width - start), "f4")
        for name, effect in self.effects.items():
            if name in panel.ahead:
                found = found + np.array((*effect, 0.0), "f4")[_places(panel.ahead[name][:, start:])]
        return found

    def meta(self) -> dict[str, Any]:
        """Return it as plain JSON data."""
        return {"events": {name: list(effect) for name, effect in self.effects.items()}, "seasons": self.seasons.meta()}

    @classmethod
    def from_meta(cls, meta: Mapping[str, Any]) -> Occasions:
        """Read it back; raises Incompatible, and KeyError, ValueError and TypeError, which the reader of the parts wraps."""
        effects = {str(name): tuple(float(value) for value in effect) for name, effect in meta["events"].items()}
        if any(len(effect) != BEFORE + 1 + AFTER for effect in effects.values()):
            raise Incompatible("an event reaches other days than are known here", hint="train the model again")
        return cls(effects, Seasons.from_meta(meta["seasons"]))


def learn(panel: Panel, steady: Array) -> Occasions:
    """Learn events, and seasons of what these leave, from `steady`: sales without what own levers do, (series, periods)."""
    found = _of_events(panel, steady)
    rest = steady * np.exp(-found.lift(panel)) if found.effects else steady
    return replace(found, seasons=seasons.learn(panel, rest))


def _of_events(panel: Panel, steady: Array) -> Occasions:
    """Learn what events do.

    A day of all series with the same events is held against the mean of its weekday in the weeks around it, and the log of the ratio is
    regressed on where the day lies about each event (ridge: a normal prior of width WIDTH on every effect, so that events that always
    come together share what they do). Only sums of series that stray little on quiet days are looked at: a single day of few series says
    more of itself than of its event. What events do is taken out of the weeks around, round by round.
    """
    names = [name for name, kind in panel.kinds.items() if kind == "event"]
    cut, cycle = panel.cut, panel.grain.cycle
    if not names or cycle == 1 or cut < (2 * WEEKS + 1) * cycle:
        return Occasions({})
    sold = steady[:, :cut].astype("f4")
    places = [_places(panel.ahead[name])[:, :cut] for name in names]
    group = _alike(places, len(panel))
    effects: Array = np.zeros((len(names), BEFORE + 1 + AFTER))
    for _ in range(ROUNDS):
        lift = _told(names, effects).lift(panel)[:, :cut]
        usual = _usual(sold * np.exp(-lift), cycle)
        known = np.isfinite(sold) & np.isfinite(usual)
        came, wanted = np.where(known, sold, 0), np.where(known, usual, 0)
        curve, slope = np.eye(effects.size) / WIDTH**2, np.zeros(effects.size)
        for number in range(int(group.max()) + 1):
            rows = group == number
            up, down = came[rows].sum(0), wanted[rows].sum(0)
            days = np.flatnonzero((up > 0) & (down > 0))
            if len(days) < 2 * WEEKS:
                continue
            first = int(np.argmax(rows))
            near = np.stack([place[first if len(place) > 1 else 0, days] for place in places])
            apart = np.log(up[days] / down[days])
            design = np.zeros((len(days), effects.size))
            for event, at in enumerate(near):
                told = np.flatnonzero(at < effects.shape[1])
                design[told, event * effects.shape[1] + at[told]] = 1
            quiet = apart[(near == effects.shape[1]).all(0)]
            noise = float((1.4826 * np.median(np.abs(quiet - np.median(quiet)))) ** 2) if len(quiet) >= 2 * WEEKS else 1.0
            if noise > LOUDEST**2:
                continue
            curve += design.T @ design / max(noise, 1e-4)
            slope += design.T @ apart / max(noise, 1e-4)
        effects = np.linalg.solve(curve, slope).reshape(effects.shape)
    return _told(names, effects) if effects.any() else Occasions({})


def _told(names: list[str], effects: Array) -> Occasions:
    return Occasions({name: tuple(float(value) for value in effect) for name, effect in zip(names, effects, strict=True)})


def _alike(places: list[Array], count: int) -> Array:
    """Return the number of each series' group: those of one have the same events on the same days."""
    own = [np.unique(place, axis=0, return_inverse=True)[1].reshape(-1) for place in places if len(place) > 1]
    if not own:
        return np.zeros(count, "i8")
    return np.unique(np.stack(own, 1), axis=0, return_inverse=True)[1].reshape(-1)


def _places(flags: Array) -> Array:
    """Return where each day lies about the nearest event: 0 is BEFORE days before it, BEFORE its own days, the last number is far away."""
    on = flags > 0
    position = np.arange(on.shape[1])
    last = np.maximum.accumulate(np.where(on, position, -(10**6)), 1)
    following = np.minimum.accumulate(np.where(on, position, 10**6)[:, ::-1], 1)[:, ::-1]
    since, until = position - last, following - position
    far = BEFORE + 1 + AFTER
    found: Array = np.where(since == 0, BEFORE, np.where(until <= BEFORE, BEFORE - until, np.where(since <= AFTER, BEFORE + since, far)))
    return found


def _usual(sold: Array, cycle: int) -> Array:
    """Return the mean of the same weekday in the weeks around each day, NaN where there is none."""
    width = sold.shape[1]
    total, often = np.zeros(sold.shape, "f4"), np.zeros(sold.shape, "f4")
    for week in range(1, WEEKS + 1):
        shift = week * cycle
        if shift >= width:
            break
        for to, of in ((slice(shift, None), slice(0, -shift)), (slice(0, -shift), slice(shift, None))):
            part = sold[:, of]
            fine = np.isfinite(part)
            total[:, to] += np.where(fine, part, 0)
            often[:, to] += fine
    return np.where(often > 0, total / np.maximum(often, 1), np.nan).astype("f4")
