"""What may move sales in a panel of trade: own price and promotion, what they leave behind, siblings, competitor, season."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tradewind.models._kit.trade.group import summed
from tradewind.models._kit.trade.levers import COMPETITOR, CUT, PRICE, change
from tradewind.models._kit.trade.panel import Panel

Array = np.ndarray[Any, Any]
LAGS = {"day": 0, "week": 5, "month": 1, "quarter": 0}
"""Periods after a promotion over which it is still felt."""
YEAR = {"day": 365.25, "week": 365.25 / 7, "month": 12.0, "quarter": 4.0}
FREEZE = {"day": 91, "week": 13, "month": 3, "quarter": 1}  # a trend is carried this far ahead, then it stays
CYCLES = 1.9  # years of history without which a season cannot be told from a trend
DEEP = 0.02  # a log price cut smaller than this is no promotion
LIFTS = ("promotion", "display", "feature")


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices without gaps: what is paid, the shelf price, each series' usual price, and how much of a discount is passed on."""

    paid: Array  # n x T
    regular: Array
    usual: Array  # n
    takes: dict[str, float]  # by mechanic; "" for any


@dataclass(frozen=True, slots=True)
class Design:
    """Columns n x T x K by name."""

    names: tuple[str, ...]
    values: Array

    def place(self, name: str) -> int:
        """Return the column of that name, -1 where there is none."""
        return self.names.index(name) if name in self.names else -1

    def with_column(self, name: str, values: Array) -> Design:
        """Return the design with one more column, or the column replaced."""
        if name in self.names:
            made = self.values.copy()
            made[..., self.place(name)] = values
            return replace(self, values=made)
        return Design((*self.names, name), np.concatenate([self.values, values[..., None]], 2))


def is_lift(name: str) -> bool:
    """Tell whether a column is attention of a promotion beyond its price."""
    return name in LIFTS or name.startswith("mechanic_")


def prices_of(panel: Panel) -> Prices:
    """Fill prices: where no price was seen, the shelf price less what the stated discount passes on by its mechanic."""
    takes: dict[str, float] = {}
    share = sum((value for name, value in panel.levers.items() if name == "promotion" or name.startswith("mechanic_")), np.zeros(1))
    with np.errstate(invalid="ignore", divide="ignore"):
        taken = (1 - panel.price / panel.regular) / panel.discount
    seen = np.isfinite(taken) & (panel.discount > 0.01) & (share > 0.99)
    takes[""] = float(np.clip(np.median(taken[seen]), 0, 1)) if seen.sum() >= 3 else 1.0
    passed = np.full(panel.price.shape, takes[""])
    for name, value in panel.levers.items():
        if name.startswith("mechanic_"):
            own = seen & (value > 0.99)
            takes[name] = float(np.clip(np.median(taken[own]), 0, 1)) if own.sum() >= 3 else takes[""]
            passed = np.where(value > 0, takes[name], passed)
    planned = panel.regular * (1 - passed * panel.discount * np.clip(share, 0, 1))
    paid = np.where(np.isfinite(panel.price), panel.price, planned)
    regular = np.where(np.isfinite(panel.regular), panel.regular, paid)
    past = np.log(np.maximum(regular[:, : panel.cut], 1e-9))
    known = np.isfinite(panel.units[:, : panel.cut]) & np.isfinite(past)
    usual = np.exp(np.where(known, past, 0).sum(1) / np.maximum(known.sum(1), 1))
    return Prices(paid, regular, usual, takes)


def own_columns(panel: Panel, prices: Prices, form: str, *, short: int = 0) -> Design:
    """Return the columns that need no coefficient of another: price, attention, competitor, season, weekday, trend and extras.

    `short` is by how many periods the history may fall short of what a season needs.
    """
    found: dict[str, Array] = {}
    ratio = prices.paid / prices.usual[:, None]
    if _moves(np.log(np.maximum(ratio, 1e-9)), panel):
        found[PRICE] = change(ratio, form)
    cut = np.minimum(prices.paid / prices.regular, 1.0)
    if (
        panel.listed
        and _moves(np.log(prices.regular / prices.usual[:, None]), panel, least=0.01)
        and (np.log(cut[:, : panel.cut]) < -DEEP).any()
    ):
        found[CUT] = change(cut, form)
    for name, value in panel.levers.items():
        if _moves(value, panel):
            found[name] = value
    if np.isfinite(panel.competitor).any():
        rival = np.log(np.maximum(panel.competitor, 1e-9))
        rival = rival - np.nanmean(rival[:, : panel.cut], 1, keepdims=True) if np.isfinite(rival).all() else np.zeros(rival.shape)
        if _moves(rival, panel):
            found[COMPETITOR] = rival
    shape = (len(panel), panel.width)
    for name, path in _time(panel, short).items():
        found[name] = np.broadcast_to(path, shape)
    for name, value in panel.extras.items():
        if _moves(value, panel):
            found[f"extra_{name}"] = value
    return Design(tuple(found), np.stack([np.nan_to_num(value) for value in found.values()], 2) if found else np.zeros((*shape, 0)))


def _moves(values: Array, panel: Panel, *, least: float = 1e-6) -> bool:
    past = np.where(np.isfinite(panel.units[:, : panel.cut]), values[:, : panel.cut], np.nan)
    spread = np.nanmax(past, 1, initial=-np.inf) - np.nanmin(past, 1, initial=np.inf)
    return bool((spread[np.isfinite(spread)] > least).any())


def _time(panel: Panel, short: int) -> dict[str, Array]:
    grain = panel.clock.grain.name
    at = np.arange(panel.width)
    year = YEAR[grain]
    whole = (panel.cut + short) / year >= CYCLES
    found: dict[str, Array] = {"trend": (np.minimum(at, panel.cut + FREEZE[grain]) - panel.cut / 2) / year} if whole else {}
    for wave in (1, 2) if whole else ():
        angle = 2 * np.pi * wave * (panel.first + at) / year
        found |= {f"season_sin{wave}": np.sin(angle), f"season_cos{wave}": np.cos(angle)}
    if grain == "day":
        weekday = (panel.first + at + 3) % 7
        found |= {f"weekday_{day}": (weekday == day) - 1 / 7 for day in range(6)}
    return found


def promo_lift(design: Design, beta: Array, prices: Prices, form: str) -> Array:
    """Return the log lift of own promotion, n x T: its price cut and its attention, not the shelf price."""
    total = np.zeros(design.values.shape[:2])
    at = design.place(PRICE)
    if at >= 0:
        shelf = change(prices.regular / prices.usual[:, None], form)
        total += beta[:, at : at + 1] * np.nan_to_num(design.values[..., at] - shelf)
    for at, name in enumerate(design.names):
        if name == CUT or is_lift(name):
            total += beta[:, at : at + 1] * design.values[..., at]
    return total


def signal(design: Design, beta: Array) -> Array:
    """Return each series' price-equivalent move, n x T: its price, plus attention over its own elasticity."""
    at = design.place(PRICE)
    if at < 0:
        return np.zeros(design.values.shape[:2])
    own = np.minimum(beta[:, at : at + 1], -0.5)
    total = design.values[..., at].copy()
    for place, name in enumerate(design.names):
        if name == CUT or is_lift(name):
            total += beta[:, place : place + 1] / own * design.values[..., place]
    return np.asarray(total)


def released(lift: Array, run: Array) -> Array:
    """Return the lift of each promotion in multiples of a usual period, summed over it and laid on its last period."""
    gained = np.expm1(np.clip(lift, 0.0, 3.0))
    going = gained > 0.02
    out = np.zeros_like(gained)
    held = np.zeros(len(gained))
    width = gained.shape[1]
    for at in range(width):
        held = np.where(going[:, at], held + gained[:, at], 0.0)
        after = np.zeros(len(gained), bool)
        if at + 1 < width:
            same = (run[:, at] == run[:, at + 1]) & going[:, at + 1]
            after = same
        ends = going[:, at] & ~after
        out[ends, at] = held[ends]
        held = np.where(ends, 0.0, held)
    return np.asarray(out)


def lagged(values: Array, lags: int) -> Array:
    """Return values 1 to `lags` periods later, n x T x lags."""
    out = np.zeros((*values.shape, lags))
    for lag in range(1, lags + 1):
        out[:, lag:, lag - 1] = values[:, :-lag]
    return out


def groups_of(panel: Panel) -> tuple[Array, Array]:
    """Return each series' group of siblings (store and category) and of sisters (its brand among them); -1 is no brand."""
    category = np.unique(panel.category.astype(str), return_inverse=True)[1][panel.product]
    brand = np.unique(panel.brand.astype(str), return_inverse=True)[1][panel.product]
    siblings = panel.store * (category.max() + 1) + category
    sisters = siblings * (brand.max() + 1) + brand
    return siblings, np.where(panel.brand[panel.product] == "", -1, sisters)


def others(values: Array, group: Array) -> Array:
    """Return the mean over the other members of each series' group, n x T; 0 where it has none."""
    inside = group >= 0
    code = np.unique(np.where(inside, group, group.max() + 1), return_inverse=True)[1]
    total = summed(values, code, int(code.max()) + 1)
    count = np.bincount(code)[code] - 1
    made = (total[code] - values) / np.maximum(count, 1)[:, None]
    return np.where((inside & (count > 0))[:, None], made, 0.0)
