"""Log-linear demand of each product on its shelf: own levers, bent and together, and every lever of each rival; what is left is smoothed.

The regression of scanner panels (SCAN*PRO: Wittink, Addona, Hawkes and Porter 1988; with the prices of all brands: Montgomery 1997), one
set of coefficients per product over all its stores. It owes nothing to the response that trees and network share, so it errs apart from
them, and a mean with it errs less.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from tradewind.core.errors import Incompatible
from tradewind.models._kit.forecast.ridge import MOST_EFFECT
from tradewind.models._kit.forecast.seasons import Seasons
from tradewind.models._kit.panel import Panel

Array = np.ndarray[Any, Any]
Pairs = tuple[tuple[int, int], ...]
"""(lever, ALONE) for a lever, (lever, lever) for a bent one, (lever, other) for two together."""
ALONE = -1
FLOOR = 0.1  # added to sales in units of their level before the logarithm is taken
_PLAIN = ("names", "terms", "start", "cycle", "seasons")


@dataclass(frozen=True, slots=True)
class Scanpro:
    """log(units / level + FLOOR) = own terms + what rivals are planned to do + the season + `rest`, the remainder smoothed and continued.

    Past their end rivals do nothing, and the last `cycle` periods of `rest` are repeated.
    """

    names: tuple[str, ...]  # own levers
    terms: Pairs
    start: int  # number of the first period after the cut
    cycle: int  # periods of `rest` that repeat
    seasons: Seasons
    beta: Array  # (series, terms)
    centre: Array  # (series, levers): log price that counts as no effect, 0 for any other lever
    low: Array  # (series, levers): the least and the most that was seen, after centring
    high: Array
    level: Array  # units; zero for a series that never sold
    most: Array  # the highest logarithm a forecast may have
    rest: Array  # (series, horizon)
    rivals: Array  # (series, horizon)

    def arrays(self, prefix: str) -> dict[str, Array]:
        """Return the numbers by name, ready for a tensor file."""
        return {prefix + part.name: getattr(self, part.name) for part in fields(self) if part.name not in _PLAIN}

    def meta(self) -> dict[str, Any]:
        """Return the rest, as plain JSON data."""
        terms = [list(pair) for pair in self.terms]
        return {"names": list(self.names), "terms": terms, "start": self.start, "cycle": self.cycle, "seasons": self.seasons.meta()}

    @classmethod
    def from_parts(cls, meta: Mapping[str, Any], arrays: Mapping[str, Array], prefix: str) -> Scanpro:
        """Read it back; raises Incompatible where its parts do not fit each other."""
        numbers = {part.name: arrays[prefix + part.name] for part in fields(cls) if part.name not in _PLAIN}
        names, terms = tuple(map(str, meta["names"])), tuple((int(one), int(two)) for one, two in meta["terms"])
        (series, horizon), cycle = numbers["rest"].shape, int(meta["cycle"])
        wanted: dict[str, tuple[int, ...]] = dict.fromkeys(("centre", "low", "high"), (series, len(names)))
        wanted |= {"beta": (series, len(terms)), "rivals": (series, horizon), "level": (series,), "most": (series,)}
        fits = all(0 <= one < len(names) and ALONE <= two < len(names) for one, two in terms) and 1 <= cycle <= horizon
        if not fits or any(numbers[name].shape != shape for name, shape in wanted.items()):
            raise Incompatible("the parts of a regression do not fit each other", hint="train the model again")
        return cls(names, terms, int(meta["start"]), cycle, Seasons.from_meta(meta["seasons"]), **numbers)


def say(fitted: Scanpro, places: Array, panel: Panel, steps: Array) -> Array:
    """Return the median (series, steps) at `panel.cut + steps`, of counts the mean; `places` are its places of the panel's series."""
    at = panel.cut + steps
    values = []
    for number, name in enumerate(fitted.names):
        centre, low, high = (part[places, number, None] for part in (fitted.centre, fitted.low, fitted.high))
        values.append(np.nan_to_num(within(said(panel, name, at) - centre, low, high)))
    horizon = fitted.rest.shape[1]
    step = np.maximum(panel.first + at - fitted.start, 0)
    near = np.where(step < horizon, step, horizon - fitted.cycle + (step - horizon) % fitted.cycle)
    logged = fitted.rest[places][:, near] + np.where(step < horizon, fitted.rivals[places][:, near], 0)
    logged = logged + fitted.seasons.lift(panel, at) + combined(values, fitted.terms, fitted.beta[places])
    bounded = np.clip(logged, -30, fitted.most[places, None]).astype("f8")
    found: Array = np.maximum(fitted.level[places, None] * (np.exp(bounded) - FLOOR), 0)
    return found


def said(panel: Panel, name: str, at: Array | slice) -> Array:
    """Return a lever at some periods, (series, periods): of a price its logarithm."""
    value = panel.ahead[name][:, at].astype("f8")
    value = np.log(np.maximum(value, 1e-6)) if name == "price" else value
    return np.broadcast_to(value, (len(panel), value.shape[1]))


def within(moved: Array, low: Array, high: Array) -> Array:
    """Return values no further than half a range past what was seen: beyond that nothing is known."""
    room = 0.5 * (high - low)
    found: Array = np.clip(moved, low - room, high + room)
    return found


def term(values: Sequence[Array], pair: tuple[int, int]) -> Array:
    """Return a term from the levers' values."""
    one, two = pair
    if two == ALONE:
        return values[one]
    found: Array = values[one] * (np.abs(values[one]) if one == two else values[two])
    return found


def combined(values: Sequence[Array], terms: Pairs, beta: Array) -> Array:
    """Return what own levers do to log sales, (series, periods), for coefficients (series or 1, terms); 0 without any lever."""
    total: Any = np.float32(0)
    for at, pair in enumerate(terms):
        total = total + term(values, pair) * beta[:, at : at + 1]
    found: Array = np.clip(total, -MOST_EFFECT, MOST_EFFECT)
    return found
