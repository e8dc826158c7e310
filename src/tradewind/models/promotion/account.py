"""The account of a promotion, on draws: base, gross, pulled forward, cannibalised, halo; units and margin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import default_rng  # while it may still be imported: a worker opens no file later

from tradewind.models._kit.trade.book import DRAWS, Book, chance
from tradewind.models._kit.trade.design import AFTER, CUT, PRICE, SIBLINGS, SISTERS
from tradewind.models._kit.trade.group import summed
from tradewind.models.promotion.asking import Cells

Array = np.ndarray[Any, Any]
CHUNK = 600  # cells worked on at once
STILL = 1e-6  # a log move smaller than this is none
PAST = 0.7  # share of the drift of a coming level that a past, smoothed level still has
PARTS = ("base", "gross", "pulled_forward", "cannibalised", "halo")


@dataclass(frozen=True, slots=True)
class Account:
    """Draws (DRAWS x E) per promotion: units by part, their margin, units sold with chance, and money given away."""

    units: dict[str, Array]
    margin: dict[str, Array]  # the same parts but base, at shelf price less cost
    sold: Array
    given: Array  # shelf price less price paid, on everything sold while it ran
    costed: Array  # E, bool: the margin of every part is known


def account(book: Book, cells: Cells, *, shift: Array | None = None, doubt: Array | None = None) -> Account:
    """Return the account of every promotion; `shift` (C) moves the log base of each cell, with a standard deviation of `doubt` (C)."""
    count = len(cells.names)
    units = {part: np.zeros((DRAWS, count)) for part in PARTS}
    margin = {part: np.zeros((DRAWS, count)) for part in PARTS[1:]}
    sold, given, costed = np.zeros((DRAWS, count)), np.zeros((DRAWS, count)), np.ones(count, bool)
    for start in range(0, len(cells.event), CHUNK):
        part = slice(start, start + CHUNK)
        moved = [values[part] if values is not None else None for values in (shift, doubt)]
        one = _chunk(book, cells, part, moved[0], moved[1])
        event = cells.event[part]
        for name in PARTS:
            _add(units[name], event, one.units[name])
        for name in PARTS[1:]:
            _add(margin[name], event, one.margin[name])
        _add(sold, event, one.sold)
        _add(given, event, one.given)
        np.logical_and.at(costed, event, one.costed)
    return Account(units, margin, sold, given, costed)


def _add(total: Array, event: Array, values: Array) -> None:
    first, last = int(event.min()), int(event.max())
    total[:, first : last + 1] += summed(values.T, event - first, last - first + 1).T


def own_lift(book: Book, cells: Cells, part: slice) -> tuple[Array, Array]:
    """Return draws of the log lift of each cell (DRAWS x C), and of its price-equivalent move."""
    series = cells.series[part]
    moved = np.log(np.maximum(cells.ratio[part], 1e-3)).astype("f4")
    price, cut = book.draws_of(PRICE, series), book.draws_of(CUT, series)
    display, feature = (book.draws_of(name, series) for name in ("display", "feature"))
    attention = display * _single(cells.display[part]) + feature * _single(cells.feature[part])
    kind = cells.kind[part]
    told = kind >= 0
    if told.any():
        attention[:, told] += book.beta[:, series[told], kind[told]] * _single(cells.share[part][told])
    extra = cut * np.minimum(moved, 0) + attention
    return price * moved + extra, moved + extra / np.minimum(price, -0.5)


def _single(values: Array) -> Array:
    """Return numbers in single precision: draws are many, and need no more."""
    return values.astype("f4")


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


def _chunk(book: Book, cells: Cells, part: slice, shift: Array | None, doubt: Array | None) -> Account:
    series, period = cells.series[part], cells.period[part]
    lift, move = own_lift(book, cells, part)
    stray = book.levels[:, series] * _single(np.where(period < book.cut, PAST, 1.0))
    if doubt is not None:
        half = default_rng(6).standard_normal((DRAWS // 2, len(book.products))).astype("f4")
        stray = stray + np.concatenate([half, -half])[:, book.product[series]] * _single(doubt)
    level = np.exp(stray)
    log_base = book.base[series, period] + book.context[series, period] + (_single(shift) if shift is not None else 0)
    base = level * np.exp(log_base) * book.smear[series]
    gross = base * np.expm1(lift)
    shelf = book.regular[series, period]
    unit = shelf - book.cost[series, period]
    sold = (base + gross) * chance(book.variance[series], series, period)
    pulled, pulled_margin = _pulled(book, cells, part, lift, level)
    taken, taken_margin, taken_known = _siblings(book, cells, part, move, level)
    halo, halo_margin, halo_known = _halo(book, cells, part, move)
    known = np.isfinite(unit) & taken_known & halo_known
    unit = np.nan_to_num(unit)
    units = {"base": base, "gross": gross, "pulled_forward": pulled, "cannibalised": taken, "halo": halo}
    margin = {"gross": gross * unit, "pulled_forward": pulled_margin, "cannibalised": taken_margin, "halo": halo_margin}
    given = (base + gross) * (shelf * (1 - cells.ratio[part]))
    return Account(units, margin, sold, given, known)


def _pulled(book: Book, cells: Cells, part: slice, lift: Array, level: Array) -> tuple[Array, Array]:
    """Return what is missing after each cell: its own lift's share, by period, off what would have sold then."""
    series = cells.series[part]
    after = book.draws_of(AFTER, series)
    units, margin = np.zeros_like(lift), np.zeros_like(lift)
    if not len(book.fade) or not after.any() or np.abs(lift).max() < STILL:
        return units, margin
    width = book.base.shape[1]
    gained = np.expm1(np.clip(lift, 0.0, 3.0))
    ends = _last_period(cells, part)
    sign = _single(np.where(cells.known[cells.event[part]], 1, -1))
    for lag, share in enumerate(book.fade.tolist(), 1):
        at = np.minimum(ends + lag, width - 1)
        usual = level * np.exp(book.base[series, at] + book.context[series, at] + book.lift[series, at]) * book.smear[series]
        lost = -sign * usual * np.expm1(-sign * np.minimum(after, 0.0) * share * gained)
        units += lost
        margin += lost * np.nan_to_num(book.regular[series, at] - book.cost[series, at])
    return units, margin


def _last_period(cells: Cells, part: slice) -> Array:
    """Return the last period of the promotion of each cell's series."""
    ends: dict[tuple[int, int], int] = {}
    event, series, period = cells.event[part].tolist(), cells.series[part].tolist(), cells.period[part].tolist()
    for key, at in zip(zip(event, series, strict=True), period, strict=True):
        ends[key] = max(ends.get(key, at), at)
    return np.array([ends[key] for key in zip(event, series, strict=True)])


def _siblings(book: Book, cells: Cells, part: slice, move: Array, level: Array) -> tuple[Array, Array, Array]:
    """Return what the siblings of each cell gain (less than nothing: lose) while it runs, in units and margin."""
    units, margin = np.zeros_like(move), np.zeros_like(move)
    known = np.ones(move.shape[1], bool)
    if book.place(SIBLINGS) < 0 and book.place(SISTERS) < 0:
        return units, margin, known
    group, sister, others, sisters = book.group
    series, period = cells.series[part], cells.period[part]
    sign = _single(np.where(cells.known[cells.event[part]], -1, 1))
    rows = [book.members[int(group[one])] for one in series.tolist()]
    cell = np.repeat(np.arange(len(series)), [len(row) for row in rows])
    target = np.concatenate(rows)
    keep = (target != series[cell]) & (book.living[target] | (period[cell] < book.cut))
    keep &= (np.abs(move).max(0) > STILL)[cell]
    cell, target = cell[keep], target[keep]
    if not len(cell):
        return units, margin, known
    at = period[cell]
    weight = book.draws_of(SIBLINGS, target) / _single(np.maximum(others[target], 1))
    same = (sister[target] == sister[series[cell]]).astype("f4")
    weight = weight + book.draws_of(SISTERS, target) * same / _single(np.maximum(sisters[target], 1))
    usual = np.exp(book.base[target, at] + book.context[target, at] + book.lift[target, at]) * book.smear[target]
    turn = sign[cell]
    gained = (usual * turn) * np.expm1(turn * weight * move[:, cell])
    unit = book.regular[target, at] - book.cost[target, at]
    known &= np.bincount(cell, ~np.isfinite(unit), minlength=len(series)) == 0
    starts = np.flatnonzero(np.r_[True, np.diff(cell) > 0])
    places = cell[starts]
    units[:, places] = np.add.reduceat(gained, starts, axis=1) * level[:, places]
    margin[:, places] = np.add.reduceat(gained * np.nan_to_num(unit), starts, axis=1) * level[:, places]
    return units, margin, known


def _halo(book: Book, cells: Cells, part: slice, move: Array) -> tuple[Array, Array, Array]:
    """Return what products outside the category gain in the same store."""
    units, margin = np.zeros_like(move), np.zeros_like(move)
    known = np.ones(move.shape[1], bool)
    series, period = cells.series[part], cells.period[part]
    product = book.product[series]
    cell, pair = np.nonzero((book.halo[:, 0] == product[:, None]) & (np.abs(move).max(0) > STILL)[:, None])
    if not len(cell):
        return units, margin, known
    target = book.grid[book.halo[pair, 1].astype(int), book.store[series[cell]]]
    keep = (target >= 0) & (book.living[target] | (period[cell] < book.cut))
    cell, pair, target = cell[keep], pair[keep], target[keep]
    if not len(cell):
        return units, margin, known
    at = period[cell]
    usual = np.exp(book.base[target, at] + book.context[target, at] + book.lift[target, at]) * book.smear[target]
    gained = usual * np.expm1(book.brought[:, pair] * move[:, cell])
    unit = book.regular[target, at] - book.cost[target, at]
    known &= np.bincount(cell, ~np.isfinite(unit), minlength=len(series)) == 0
    starts = np.flatnonzero(np.r_[True, np.diff(cell) > 0])
    units[:, cell[starts]] = np.add.reduceat(gained, starts, axis=1)
    margin[:, cell[starts]] = np.add.reduceat(gained * np.nan_to_num(unit), starts, axis=1)
    return units, margin, known
