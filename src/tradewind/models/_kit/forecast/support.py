"""How far a planned price or promotion lies inside what a series has seen: 1 well inside, 0 far outside."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.models._kit.asking import Asked
from tradewind.models._kit.panel import Panel

Array = np.ndarray[Any, Any]
NEAR = 0.1  # log price: prices no further apart count as seen
BEYOND = 300.0  # where on its stretch a price that is not known lies: after all others
STRETCH = 1000.0
TINY = 1e-30
MOST = 128  # prices of a series that are kept
ENOUGH = 4.0  # past periods after which a price or a promotion counts as half known


@dataclass(frozen=True, slots=True)
class Seen:
    """What series have seen of price and levers in their whole history; a matrix of one row stands for all of them."""

    prices: Array | None  # (series, at most MOST): log prices in order, BEYOND where there is none
    known: Array  # (series,): how many of them there are
    low: Array  # (series,): the lowest and the highest price, NaN where there is none
    high: Array
    pulled: Mapping[str, Array]  # of each lever: past periods in which it was pulled, (series,)
    idle: Mapping[str, Array]  # and in which it was not

    @classmethod
    def of(cls, panel: Panel) -> Seen:
        """Look back at the columns of a panel, from the first actual of each series on: before it nothing was seen."""
        lived = np.maximum.accumulate(np.isfinite(panel.target[:, : panel.cut]), 1)
        prices, none = None, np.empty(0)
        known = low = high = none
        if "price" in panel.ahead:
            past = np.where(lived, panel.ahead["price"][:, : panel.cut], np.nan)
            there = past > 0
            prices, known = _thinned(np.sort(np.where(there, np.log(np.where(there, past, 1.0)), BEYOND), 1), there.sum(1))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)  # a series without a price has none to compare with
                low, high = np.nanmin(past, 1), np.nanmax(past, 1)
        levers = {name: panel.ahead[name][:, : panel.cut] > 0 for name, kind in panel.kinds.items() if kind == "lever"}
        pulled = {name: (lived & past).sum(1) for name, past in levers.items()}
        return cls(prices, known, low, high, pulled, {name: (lived & ~past).sum(1) for name, past in levers.items()})

    def arrays(self, start: str) -> dict[str, Array]:
        """Return the numbers by name, ready for a tensor file."""
        named = {"prices": self.prices, "known": self.known, "low": self.low, "high": self.high} if self.prices is not None else {}
        named |= {f"pulled/{name}": value for name, value in self.pulled.items()} | {
            f"idle/{name}": value for name, value in self.idle.items()
        }
        return {start + name: value for name, value in named.items() if value is not None}

    @classmethod
    def from_arrays(cls, numbers: Mapping[str, Array], start: str) -> Seen:
        """Read it back; raises KeyError."""
        found = {name.removeprefix(start): value for name, value in numbers.items() if name.startswith(start)}
        pulled, idle = ({name.removeprefix(of): found[name] for name in found if name.startswith(of)} for of in ("pulled/", "idle/"))
        if "prices" not in found:
            return cls(None, np.empty(0), np.empty(0), np.empty(0), pulled, idle)
        return cls(found["prices"], found["known"], found["low"], found["high"], pulled, idle)

    def rows(self, values: Array, where: Asked) -> Array:
        """Return a value of each series for each asked row."""
        found: Array = values[where.series[where.row]] if len(values) > 1 else np.repeat(values, len(where.row), 0)
        return found


def _thinned(prices: Array, known: Array) -> tuple[Array, Array]:
    """Return at most MOST of the ordered prices of each series, the lowest and the highest among them."""
    if prices.shape[1] <= MOST:
        return prices, known
    at = np.rint(np.linspace(0, 1, MOST) * (np.maximum(known, MOST)[:, None] - 1)).astype("i8")
    return np.take_along_axis(prices, at, 1), np.minimum(known, MOST)


def of(seen: Seen, where: Asked) -> dict[str, Array]:
    """Return the column `support` where the question plans a price or a promotion; `where.series` are rows of what was seen."""
    parts = []
    if "price" in where.plan and seen.prices is not None:
        parts.append(_price(seen, seen.prices, where))
    parts += [_pulled(seen, where, name) for name in seen.pulled if name in where.plan]
    return {"support": np.minimum.reduce(parts)} if parts else {}


def _price(seen: Seen, prices: Array, where: Asked) -> Array:
    """Score each planned price: distance to the nearest price seen, and how often prices near it were seen.

    All series are looked up at once: every row of sorted log prices lies on a stretch of one line of its own.
    """
    out = np.ones(len(where.plan["price"]))
    said = np.isfinite(where.plan["price"])
    row, place = (where.series, where.row[said]) if len(prices) > 1 else (np.zeros(1, "i8"), np.zeros(int(said.sum()), "i8"))
    line = (prices[row] + STRETCH * np.arange(len(row))[:, None]).ravel()
    wanted = np.log(np.maximum(where.plan["price"][said], TINY)) + STRETCH * place
    start = place * prices.shape[1]
    end = start + seen.known[row][place]
    at = np.searchsorted(line, wanted)
    apart = np.minimum(
        np.where(at > start, wanted - line[np.maximum(at - 1, 0)], np.inf),
        np.where(at < end, line[np.minimum(at, len(line) - 1)] - wanted, np.inf),
    )
    low, high = line.searchsorted(wanted - NEAR), line.searchsorted(wanted + NEAR, "right")
    beside = high.clip(start, end) - low.clip(start, end)
    between = (at < end) & ((at > start) | (apart == 0))
    near = beside + between
    out[said] = np.exp(-((np.minimum(apart, 9.0) / NEAR) ** 2)) * near / (near + ENOUGH)
    return out


def _pulled(seen: Seen, where: Asked, name: str) -> Array:
    """Score a planned lever by how many past periods it was pulled in; not pulling it is known once it was let go a few times."""
    asked = where.plan[name]
    pulled, idle = (seen.rows(count, where).astype("f8") for count in (seen.pulled[name], seen.idle[name]))
    found: Array = np.where(asked > 0, pulled / (pulled + ENOUGH), np.where(asked == 0, np.minimum(idle / ENOUGH, 1.0), 1.0))
    return found
