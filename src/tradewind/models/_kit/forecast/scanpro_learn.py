"""Learn the regressions of `scanpro`: which levers and rivals count, sums of products by stretch of time, coefficients from them."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from itertools import combinations, pairwise
from typing import Any

import numpy as np

from tradewind.models._kit.forecast import rivals, seasons, stats_paths
from tradewind.models._kit.forecast.ridge import ABOVE, MOST_EFFECT
from tradewind.models._kit.forecast.scanpro import ALONE, FLOOR, Pairs, Scanpro, combined, said, term, within
from tradewind.models._kit.forecast.seasons import Seasons
from tradewind.models._kit.panel import Panel
from tradewind.models._kit.response import WINDOW

Array = np.ndarray[Any, Any]
MOST_OWN = 4  # own levers, the price among them
MOST_RIVALS = 12  # products beside one, those that sell most
MOST_OF_RIVALS = 1.5  # logs: what all of them together do at most
LEAST_PERIODS = 26
STRETCHES = 4  # of time, each told from the others: what a store sells in a week its sisters sell, too
DRAWN = tuple((10.0 ** np.arange(0.5, 5.1, 0.5)).tolist())  # rows that a coefficient of nothing more than usual counts for
JUDGED = 60  # products that this is chosen by


@dataclass(frozen=True, slots=True)
class Found:
    """The coefficients of every series of a panel, and what acts on each of its periods, in log sales, (series, periods)."""

    names: tuple[str, ...]
    terms: Pairs
    seasons: Seasons
    beta: Array  # (series, terms)
    centre: Array  # (series, levers), as the next two: see Scanpro
    low: Array
    high: Array
    own: Array
    rivals: Array
    counted: Array  # (series,): above zero where sales are counts

    def of(self, rows: Array) -> Found:
        """Return it of some series."""
        parts = {part.name: getattr(self, part.name)[rows] for part in fields(self) if part.name not in ("names", "terms", "seasons")}
        return replace(self, **parts)


def fit(found: Found, panel: Panel, horizon: int) -> Scanpro:
    """Smooth what is left of the panel's past and continue it; `found` is of the same series, the panel's plan reaches the horizon.

    Counts are continued at their mean, all others at their median, as `stats_spread` takes them.
    """
    past = panel.target[:, : panel.cut].astype("f8")
    known = np.isfinite(past)
    level, logged = _logged(past)
    acts = found.own + found.rivals + found.seasons.lift(panel)
    left = stats_paths.filled(np.where(known, logged - acts[:, : panel.cut], np.nan), stats_paths.beginning(panel.grain))
    cycle = stats_paths.season_of(panel.grain, panel.cut)
    rest = stats_paths.smoothing(left, known, cycle, horizon)
    rest += np.where(found.counted, _smear(left, known, panel), 0.0)[:, None]
    most = np.where(known, logged, -30).max(1, initial=-30) + ABOVE
    sold = np.where(np.where(known, past, 0).sum(1) > 0, level, 0.0)
    rivals = found.rivals[:, panel.cut : panel.cut + horizon]
    parts = (found.beta, found.centre, found.low, found.high, sold, most, rest, rivals)
    numbers = (part.astype("f4") for part in parts)
    repeated = cycle if cycle <= horizon else 1
    return Scanpro(found.names, found.terms, panel.first + panel.cut, repeated, found.seasons, *numbers)


def _smear(left: Array, known: Array, panel: Panel) -> Array:
    """Return by how much the log of a mean lies above the mean of logs, from what is left of each series around its level (Duan 1983)."""
    apart = _steady(left, known, panel)
    count = np.maximum(known.sum(1), 1)
    found: Array = np.log(np.where(known, np.exp(np.minimum(apart, MOST_EFFECT)), 0).sum(1) / count + (known.sum(1) == 0))
    return np.clip(found, 0, 1)


def tells(panel: Panel) -> bool:
    """Tell whether a price is known that moved for long enough."""
    return panel.cut >= LEAST_PERIODS and "price" in _names(panel)


def learn(panel: Panel, counted: Array) -> Found:
    """Learn each product's coefficients from what lies before the cut; `counted` is above zero for series of counts, (series,).

    What moves slowly is taken out first (the mean of a moving window, and of each phase of a cycle), so that seasons are not put down
    to a lever. Own terms of products are drawn towards those of all, those of series towards their product's, rivals' towards none; by
    how much is what tells those stretches of time best that were not learned from.
    """
    names = _names(panel)
    own, rivals = np.zeros((2, len(panel), panel.width), "f4")
    out = np.zeros((len(panel), 0))
    shelf = _Shelf.of(panel, names)
    if names:
        product = _products(panel)
        of_products, mine = _coefficients(_sums(panel, shelf, product))
        sides = zip(mine, shelf.low, shelf.high, strict=True)
        out = np.array([_falling(one, shelf.terms, names, low, high) for one, low, high in sides])
        own += combined(shelf.values, shelf.terms, out)
        for one, beta in enumerate(of_products):
            rows = np.flatnonzero(product == one)
            rivals[rows] = shelf.of_rivals(rows, beta[len(shelf.terms) :])
    year = seasons.learn(panel, panel.target * np.exp(-own - rivals))
    return Found(tuple(names), shelf.terms, year, out, shelf.centre, shelf.low, shelf.high, own, rivals, counted)


@dataclass(frozen=True, slots=True)
class _Shelf:
    """What every series does, from its usual: `values` of each lever (series, periods), and who stands beside it."""

    names: list[str]
    terms: Pairs
    values: list[Array]
    known: Array  # (series, periods before the cut): where sales and levers are known
    centre: Array
    low: Array
    high: Array
    beside: Array  # (series, rivals): the same product in the same column, -1 where it is not there

    @classmethod
    def of(cls, panel: Panel, names: list[str]) -> _Shelf:
        """Look at a panel."""
        known: Array = np.isfinite(panel.target[:, : panel.cut])
        product = _products(panel)
        moved = []
        centre, low, high = np.zeros((3, len(panel), len(names)))
        for at, name in enumerate(names):
            value = said(panel, name, slice(None))
            seen = np.isfinite(value[:, : panel.cut])
            if name == "price":
                centre[:, at] = np.where(seen, value[:, : panel.cut], 0).sum(1) / np.maximum(seen.sum(1), 1)
            moved.append(value - centre[:, at : at + 1])
            low[:, at], high[:, at] = _range(np.where(seen, moved[at][:, : panel.cut], 0), product)
            known = known & seen
        sides = zip(moved, low.T, high.T, strict=True)
        values = [np.nan_to_num(within(value, least[:, None], most[:, None])).astype("f4") for value, least, most in sides]
        return cls(names, _terms(names), values, known, centre, low, high, _beside(panel))

    @property
    def columns(self) -> int:
        """Return how many coefficients a product has: own terms, then each rival's levers."""
        return len(self.terms) + int(self.beside.shape[1]) * len(self.names)

    def design(self, rows: Array, width: int) -> list[Array]:
        """Return the columns of some series of one product before a period, each (series, periods)."""
        mine = [value[rows, :width] for value in self.values]
        return [term(mine, pair) for pair in self.terms] + list(self._rivals(rows, slice(0, width)))

    def of_rivals(self, rows: Array, beta: Array) -> Array:
        """Return what the levers of rivals do, (series, periods)."""
        total = np.zeros((len(rows), self.values[0].shape[1]))
        for column, one in zip(self._rivals(rows, slice(None)), beta, strict=True):
            total += column * one
        found: Array = np.clip(total, -MOST_OF_RIVALS, MOST_OF_RIVALS)
        return found

    def _rivals(self, rows: Array, at: slice) -> list[Array]:
        columns = []
        for place in self.beside[rows].T:
            there = (place >= 0)[:, None]
            columns += [np.where(there, value[place, at], 0) for value in self.values]
        return columns


def _range(past: Array, product: Array) -> tuple[Array, Array]:
    """Return the least and the most that was seen of a lever, (series,): where it never moved of the product, then of all."""
    low, high = past.min(1), past.max(1)
    for group in (product, np.zeros_like(product)):
        least, most = np.full(int(group.max()) + 1, np.inf), np.full(int(group.max()) + 1, -np.inf)
        np.minimum.at(least, group, low)
        np.maximum.at(most, group, high)
        still = high <= low
        low, high = np.where(still, least[group], low), np.where(still, most[group], high)
    return low, high


def _names(panel: Panel) -> list[str]:
    """Return the own levers that moved in the past: the price, then those that moved most."""
    moved: dict[str, float] = {}
    for name, kind in panel.kinds.items():
        if name == "price" or (kind == "lever" and (name != "discount" or "price" not in panel.ahead)):
            past = panel.ahead[name][:, : panel.cut]
            known = np.isfinite(past)
            count = np.maximum(known.sum(1, keepdims=True), 1)
            apart = np.where(known, past - np.where(known, past, 0).sum(1, keepdims=True) / count, 0)
            most = max(float(np.where(known, np.abs(past), 0).max(initial=0)), 1e-9)
            if (np.where(known, past, -np.inf).max(1) > np.where(known, past, np.inf).min(1)).any():
                moved[name] = float((apart**2).mean()) / most**2
    return sorted(moved, key=lambda name: (name != "price", -moved[name]))[:MOST_OWN]


def _terms(names: list[str]) -> Pairs:
    bent = [(0, 0)] if names[:1] == ["price"] else []
    return (*((at, ALONE) for at in range(len(names))), *bent, *combinations(range(len(names)), 2))


def _products(panel: Panel) -> Array:
    found: Array = np.unique(next(iter(panel.keys.values())).astype(str), return_inverse=True)[1]
    return found


def _beside(panel: Panel) -> Array:
    """Return who stands beside each series: see _Shelf; no column where nobody does."""
    alike = next((f"{name}_" for name in rivals.ALIKE if name in panel.labels), "")
    shelf = rivals.shelf_of(panel, alike)
    if shelf is None:
        return np.full((len(panel), 0), -1, "i8")
    for name in list(panel.keys)[1:]:  # a rival is one of the same channel, or whatever else tells series apart
        shelf = np.unique(shelf * len(panel) + np.unique(panel.keys[name].astype(str), return_inverse=True)[1], return_inverse=True)[1]
    product = _products(panel)
    count = int(product.max()) + 1
    where = np.full((int(shelf.max()) + 1, count), -1, "i8")
    where[shelf, product] = np.arange(len(panel))
    sold = np.append(np.nan_to_num(panel.target[:, : panel.cut]).sum(1), 0)  # the last: of nobody
    found = np.full((len(panel), MOST_RIVALS), -1, "i8")
    for one in range(count):
        rows = np.flatnonzero(product == one)
        there = where[shelf[rows]]
        there[:, one] = -1
        chosen = np.flatnonzero((there >= 0).any(0))
        chosen = np.sort(chosen[np.argsort(-sold[there[:, chosen]].sum(0), kind="stable")[:MOST_RIVALS]])
        found[rows, : len(chosen)] = there[:, chosen]
    return found[:, (found >= 0).any(0)]


def _logged(past: Array) -> tuple[Array, Array]:
    """Return the level of each series, (series,), and log sales against it; NaN where not known."""
    known = np.isfinite(past)
    level = np.where(known, past, 0).sum(1) / np.maximum(known.sum(1), 1)
    level = np.where(level > 0, level, 1.0)
    return level, np.log(np.maximum(past, 0) / level[:, None] + FLOOR)


def _steady(values: Array, known: Array, panel: Panel) -> Array:
    """Return values without what moves slowly and without the cycle; zero where not known."""
    width, window, cycle = values.shape[1], WINDOW[panel.grain.name], panel.grain.cycle
    at = np.arange(width)
    low, high = np.maximum(at - window // 2, 0), np.minimum(at + window // 2 + 1, width)

    def around(part: Array) -> Array:
        total = np.concatenate([np.zeros((len(part), 1)), np.cumsum(part, 1)], 1)
        found: Array = total[:, high] - total[:, low]
        return found

    held = np.where(known, values, 0).astype("f8")
    held = np.where(known, held - around(held) / np.maximum(around(known), 1), 0)
    for start in range(cycle if cycle > 1 else 0):
        there, phase = known[:, start::cycle], held[:, start::cycle]
        held[:, start::cycle] = np.where(there, phase - (phase.sum(1) / np.maximum(there.sum(1), 1))[:, None], 0)
    return held


@dataclass(frozen=True, slots=True)
class _Sums:
    """Sums of products over rows, by stretch of time, in units of each column's usual spread (`scale` is one over it).

    `square` (products, stretches, columns, columns) and `cross` (products, stretches, columns) are of products; `each` (series,
    stretches, own terms, columns) and `came` (series, stretches, own terms) of single series, whose `product` is a number.
    """

    square: Array
    cross: Array
    each: Array
    came: Array
    product: Array
    scale: Array

    @property
    def own(self) -> int:
        """Return how many columns, the first, are own terms."""
        return int(self.came.shape[2])

    def solved(self, chosen: slice, left_out: int | None, drawn: tuple[float, float]) -> Array:
        """Return coefficients of some products without one stretch of time, (products, columns), in units of the spread.

        `drawn` are the rows that the usual own terms, and nothing for rivals, count for.
        """
        kept, mine = _without(left_out), slice(0, self.own)
        whole, came = self.square[:, kept, mine, mine].sum((0, 1)), self.cross[:, kept, mine].sum((0, 1))
        square, cross = self.square[chosen][:, kept].sum(1), self.cross[chosen][:, kept].sum(1)
        usual = np.zeros(square.shape[-1])
        usual[mine] = np.linalg.solve(whole + drawn[0] * np.eye(self.own), came)
        pull = np.diag(np.repeat(drawn, (self.own, len(usual) - self.own)))
        found: Array = usual + np.linalg.solve(square + pull, (cross - square @ usual)[..., None])[..., 0]
        return found

    def missed(self, chosen: slice, drawn: tuple[float, float]) -> float:
        """Return the squared errors of stretches of time that were left out, but for a constant."""
        total = 0.0
        for at in range(STRETCHES):
            beta = self.solved(chosen, at, drawn)
            total += float(np.einsum("gi,gij,gj->", beta, self.square[chosen, at], beta) - 2 * (beta * self.cross[chosen, at]).sum())
        return total

    def apart(self, beta: Array, left_out: int | None, drawn: float) -> Array:
        """Return by how much own terms of each series differ from its product's `beta`, (series, own terms), drawn towards nothing."""
        kept = _without(left_out)
        each = self.each[:, kept].sum(1)
        left = self.came[:, kept].sum(1) - np.einsum("sik,sk->si", each, beta[self.product])
        found: Array = np.linalg.solve(each[:, :, : self.own] + drawn * np.eye(self.own), left[..., None])[..., 0]
        return found

    def gained(self, betas: list[Array], drawn: float) -> float:
        """Return by how much such differences change the squared errors of stretches of time that were left out."""
        total = 0.0
        for at, beta in enumerate(betas):
            apart = self.apart(beta, at, drawn)
            each = self.each[:, at]
            left = self.came[:, at] - np.einsum("sik,sk->si", each, beta[self.product])
            total += float(np.einsum("si,sij,sj->", apart, each[:, :, : self.own], apart) - 2 * (apart * left).sum())
        return total


def _without(left_out: int | None) -> list[int]:
    return [at for at in range(STRETCHES) if at != left_out]


def _coefficients(sums: _Sums) -> tuple[Array, Array]:
    """Return coefficients of products, (products, columns), and own terms of series, (series, own terms).

    All are drawn as tells left-out stretches of time best.
    """
    chosen, whole = slice(None, None, -(-len(sums.square) // JUDGED)), slice(None)
    both = min(DRAWN, key=lambda rows: sums.missed(chosen, (rows, rows)))
    own = min(DRAWN, key=lambda rows: sums.missed(chosen, (rows, both)))
    betas = [sums.solved(whole, at, (own, both)) for at in range(STRETCHES)]
    gains = {rows: sums.gained(betas, rows) for rows in DRAWN}
    beta = sums.solved(whole, None, (own, both))
    mine = beta[sums.product, : sums.own]
    if min(gains.values()) < 0:
        mine = mine + sums.apart(beta, None, min(gains, key=gains.__getitem__))
    return beta * sums.scale, mine * sums.scale[: sums.own]


def _sums(panel: Panel, shelf: _Shelf, product: Array) -> _Sums:
    edges = np.linspace(0, panel.cut, STRETCHES + 1).astype("i8").tolist()
    size, own, products = shelf.columns, len(shelf.terms), int(product.max()) + 1
    square, cross = np.zeros((products, STRETCHES, size, size)), np.zeros((products, STRETCHES, size))
    each, came = np.zeros((len(panel), STRETCHES, own, size)), np.zeros((len(panel), STRETCHES, own))
    for one in range(products):
        rows = np.flatnonzero(product == one)
        known = shelf.known[rows]
        aim = _steady(_logged(panel.target[rows, : panel.cut].astype("f8"))[1], known, panel)
        design = np.stack([_steady(column.astype("f8"), known, panel) for column in shelf.design(rows, panel.cut)], 2)
        for at, (low, high) in enumerate(pairwise(edges)):
            part, sold = design[:, low:high], aim[:, low:high]
            turned = part[..., :own].swapaxes(1, 2)
            each[rows, at], came[rows, at] = turned @ part, (turned @ sold[..., None])[..., 0]
            flat = part.reshape(-1, size)
            square[one, at], cross[one, at] = flat.T @ flat, flat.T @ sold.reshape(-1)
    spread = np.sqrt(np.einsum("gkii->i", square) / max(float(shelf.known.sum()), 1.0))
    for at in range(len(shelf.names) if size > own else 0):  # a lever of one rival is as free as that of another
        alike = slice(own + at, None, len(shelf.names))
        spread[alike] = np.sqrt((spread[alike] ** 2).mean())
    scale = np.where(spread > 1e-9, 1 / np.maximum(spread, 1e-9), 0.0)
    mine = scale[:own]
    return _Sums(square * scale[:, None] * scale, cross * scale, each * mine[:, None] * scale, came * mine, product, scale)


def _falling(beta: Array, terms: Pairs, names: list[str], low: Array, high: Array) -> Array:
    """Return own coefficients under which a higher price never sells more, at no price and with no lever within reach."""
    if names[0] != "price":
        return beta
    low, high = 1.5 * low - 0.5 * high, 1.5 * high - 0.5 * low  # as far as `within` goes
    steeper = np.zeros(len(terms))  # what each term adds to the slope at most
    for at, (one, two) in enumerate(terms):
        if (one, two) == (0, 0):
            steeper[at] = max(2 * beta[at] * max(abs(low[0]), abs(high[0])), 0.0)
        elif one == 0 and two != ALONE:
            steeper[at] = max(beta[at] * low[two], beta[at] * high[two], 0.0)
    more = float(steeper.sum())
    if beta[0] + more <= 0:
        return beta
    share = float(np.clip(-beta[0] / more, 0, 1)) if more > 0 else 0.0
    out = np.where(steeper > 0, beta * share, beta)
    out[0] = min(beta[0], 0.0)
    return out
