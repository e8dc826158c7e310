"""The account of a promotion, on draws: base, gross, pulled forward, cannibalised, halo; units and margin."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from tradewind.models._kit.trade.book import DRAWS, Book, chance
from tradewind.models._kit.trade.levers import AFTER, CUT, PRICE, SIBLINGS, SISTERS
from tradewind.models.promotion.asking import Cells

Array = np.ndarray[Any, Any]
CHUNK = 128  # cells worked on at once: what their neighbours do stays in the processor's cache
STILL = 1e-6  # a log move smaller than this is none
PAST = 0.7  # share of the drift of a coming level that a past, smoothed level still has
PARTS = ("base", "gross", "pulled_forward", "cannibalised", "halo")
_SUMS = len(PARTS) + len(PARTS[1:]) + 2  # units by part, margin by part but base, units with chance, money given away


@dataclass(frozen=True, slots=True)
class Account:
    """Draws (DRAWS x E) per promotion: units by part, their margin, units sold with chance, and money given away."""

    units: dict[str, Array]
    margin: dict[str, Array]  # the same parts but base, at shelf price less cost
    sold: Array
    given: Array  # shelf price less price paid, on everything sold while it ran
    costed: Array  # E, bool: the margin of every part is known


@dataclass(frozen=True, slots=True)
class _Part:
    """Some of the cells: C entries each, and the draws of how each moves, C x DRAWS in single precision."""

    series: Array
    period: Array
    sign: Array  # 1 where the calendar holds the promotion, else -1
    lift: Array  # log lift
    move: Array  # the price move that would do the same, in logs; nothing where it is none
    level: Array  # what a level off its mean makes of sales

    @property
    def moving(self) -> Array:
        """Tell which cells move at all, C."""
        return np.asarray(self.move.any(1))


def account(book: Book, cells: Cells, *, shift: Array | None = None, doubt: Array | None = None) -> Account:
    """Return the account of every promotion; `shift` (C) moves the log base of each cell, with a standard deviation of `doubt` (C)."""
    total = np.zeros((len(cells.names), _SUMS, DRAWS))
    costed = np.ones(len(cells.names), bool)
    ends = _last_period(book, cells)
    for start in range(0, len(cells.event), CHUNK):
        part = slice(start, start + CHUNK)
        event = cells.event[part]
        sums, known = _chunk(book, cells, part, ends=ends[part], shift=shift, doubt=doubt)
        costed[event[~known]] = False
        edges = [0, *(np.flatnonzero(event[1:] != event[:-1]) + 1).tolist(), len(event)]
        for first, last in pairwise(edges):
            total[event[first]] += sums[first:last].sum(0)
    found = total.transpose(1, 2, 0)
    units = dict(zip(PARTS, found, strict=False))
    margin = dict(zip(PARTS[1:], found[len(PARTS) :], strict=False))
    return Account(units, margin, found[-2], found[-1], costed)


def own_lift(book: Book, cells: Cells, part: slice) -> tuple[Array, Array]:
    """Return draws of the log lift of each cell (C x DRAWS), and of its price-equivalent move."""
    series, kind = cells.series[part], cells.kind[part]
    moved = _column(np.log(np.maximum(cells.ratio[part], 1e-3)))
    price = book.drawn_of(PRICE, series)
    extra = book.drawn_of(CUT, series) * np.minimum(moved, 0)
    for name, shown in (("display", cells.display[part]), ("feature", cells.feature[part])):
        if shown.any():
            extra += book.drawn_of(name, series) * _column(shown)
    told = kind >= 0
    if told.any():
        extra[told] += book.drawn[kind[told], series[told]] * _column(cells.share[part][told])
    return price * moved + extra, moved + extra / np.minimum(price, -0.5)


def _column(values: Array) -> Array:
    """Return one number per cell beside its draws, in single precision: draws are many, and need no more."""
    return values.astype("f4")[:, None]


def _rise(values: Array) -> Array:
    """Return exp(values) - 1, worked out in place: the library's own function takes four times as long and differs by rounding."""
    np.exp(values, out=values)
    values -= 1
    return values


def mean_lift(book: Book, cells: Cells) -> Array:
    """Return the log lift of each cell at the mean coefficients."""
    series = cells.series
    moved = np.log(np.maximum(cells.ratio, 1e-3))

    def mean(name: str) -> Array:
        at = book.place(name)
        return book.series[series, at] if at >= 0 else np.zeros(len(series))

    told = cells.kind >= 0
    kind = np.where(told, book.series[series, np.maximum(cells.kind, 0)] * cells.share, 0.0) if len(book.names) else 0.0
    attention = mean("display") * cells.display + mean("feature") * cells.feature + kind
    return np.asarray(mean(PRICE) * moved + mean(CUT) * np.minimum(moved, 0.0) + attention)


def _chunk(book: Book, cells: Cells, part: slice, *, ends: Array, shift: Array | None, doubt: Array | None) -> tuple[Array, Array]:
    """Return the draws that are summed by promotion (C x _SUMS x DRAWS), and where the margin of all of it is known (C)."""
    series, period, event = cells.series[part], cells.period[part], cells.event[part]
    lift, move = own_lift(book, cells, part)
    move[np.abs(move).max(1) <= STILL] = 0
    stray = book.strays[series] * _column(np.where(period < book.cut, PAST, 1.0))
    if doubt is not None:
        stray += book.doubts[book.product[series]] * _column(doubt[part])
    one = _Part(series, period, np.where(cells.known[event], 1, -1).astype("f4"), lift, move, np.exp(stray, out=stray))
    plain = book.plain[series, period]
    base = one.level * _column(plain if shift is None else plain * np.exp(shift[part]))
    gross = base * _rise(lift.copy())
    pulled, pulled_margin = _pulled(book, one, ends)
    taken, taken_margin, taken_known = _siblings(book, one)
    halo, halo_margin, halo_known = _halo(book, one)
    whole = base + gross
    sold = whole * chance(book.variance[series], series, period)
    given = whole * _column(book.regular[series, period] * (1 - cells.ratio[part]))
    margins = (gross * _column(book.gain[series, period]), pulled_margin, taken_margin, halo_margin)
    sums = np.stack((base, gross, pulled, taken, halo, *margins, sold, given), 1)
    return sums, book.costed[series, period] & taken_known & halo_known


def _pulled(book: Book, one: _Part, ends: Array) -> tuple[Array, Array]:
    """Return what is missing after each cell: its own lift's share, by period, off what would have sold then."""
    after = np.minimum(book.drawn_of(AFTER, one.series), 0)
    if not len(book.fade) or not after.any() or np.abs(one.lift).max() < STILL:
        return np.zeros_like(after), np.zeros_like(after)
    gained = _rise(np.clip(one.lift, 0, 3))
    at = np.minimum(ends[:, None] + np.arange(1, len(book.fade) + 1), book.base.shape[1] - 1)  # C x periods after
    series, sign = one.series[:, None], one.sign[:, None]
    lost = _rise((after * gained)[:, None] * (-sign * book.fade.astype("f4"))[..., None])
    return _summed(-sign * book.expected[series, at], book.gain[series, at], lost, one.level)


def _summed(sold: Array, unit: Array, rise: Array, level: Array) -> tuple[Array, Array]:
    """Return units and margin (C x DRAWS) of neighbours that sell `sold` (C x M), earn `unit` each, and rise by `rise` (C x M x DRAWS)."""
    both = np.stack([sold, sold * unit], 1).astype("f4") @ rise
    both *= level[:, None]
    return both[:, 0], both[:, 1]


def _last_period(book: Book, cells: Cells) -> Array:
    """Return the last period of the promotion of each cell's series."""
    code = np.unique(cells.event * len(book.product) + cells.series, return_inverse=True)[1]
    ends = np.zeros(int(code.max(initial=-1)) + 1, "i8")
    np.maximum.at(ends, code, cells.period)
    found: Array = ends[code]
    return found


def _siblings(book: Book, one: _Part) -> tuple[Array, Array, Array]:
    """Return what the siblings of each cell gain (less than nothing: lose) while it runs, in units and margin, and where that is known."""
    target, close = book.siblings
    if not target.shape[1] or max(book.place(SIBLINGS), book.place(SISTERS)) < 0:
        return _nothing(one)
    beside, at = target[one.series], one.period[:, None]
    leans = book.leans.take(np.where(close[one.series], len(book.product), 0) + beside, 0)
    keep = (beside >= 0) & (book.living[beside] | (at < book.cut)) & one.moving[:, None]
    turn = -one.sign[:, None]
    usual = np.where(keep, book.expected[beside, at], 0) * turn
    leans *= (turn * one.move)[:, None]
    units, margin = _summed(usual, book.gain[beside, at], _rise(leans), one.level)
    return units, margin, np.asarray((book.costed[beside, at] | ~keep).all(1))


def _halo(book: Book, one: _Part) -> tuple[Array, Array, Array]:
    """Return what products outside the category gain in the same store, in units and margin, and where that is known.

    Few pairs are real in a draw: only these are worked out.
    """
    pairs, product, entries, draw, size = book.brings
    source = book.product[one.series]
    cell, pair = _runs(pairs[source], pairs[source + 1])
    target, at = book.grid[product[pair], book.store[one.series[cell]]], one.period[cell]
    keep = (target >= 0) & (book.living[target] | (at < book.cut)) & one.moving[cell]
    cell, pair, target, at = cell[keep], pair[keep], target[keep], at[keep]
    row, entry = _runs(entries[pair], entries[pair + 1])
    place = (cell * DRAWS)[row] + draw[entry]
    gained = book.expected[target, at][row] * np.expm1(size[entry] * one.move.ravel()[place])
    units, margin = (
        np.bincount(place, values, one.move.size).reshape(one.move.shape).astype("f4")
        for values in (gained, gained * book.gain[target, at][row])
    )
    return units, margin, np.bincount(cell, ~book.costed[target, at], len(source)) == 0


def _runs(first: Array, end: Array) -> tuple[Array, Array]:
    """Return the numbers from `first` up to `end` of every row, one after the other, and the row that each is of."""
    count = end - first
    row = np.repeat(np.arange(len(count)), count)
    return row, np.arange(len(row)) + (first - np.cumsum(count) + count)[row]


def _nothing(one: _Part) -> tuple[Array, Array, Array]:
    return np.zeros_like(one.move), np.zeros_like(one.move), np.ones(len(one.series), bool)
