"""What the averaged recipe holds when it serves, and what its trees look at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tradewind.core.table import Array
from tradewind.models._kit.trade.book import Book
from tradewind.models._kit.trees import Trees
from tradewind.models.promotion.account import mean_lift
from tradewind.models.promotion.asking import Cells

if TYPE_CHECKING:
    from tradewind.models._kit.trade.panel import Panel

HELD = 8  # last periods on which the weight is chosen
WEIGHTS = tuple(round(0.1 * step, 1) for step in range(11))
MOST_SHIFT = 1.0
BESIDE = 12  # products of a category whose prices trees look at one by one
EARLIEST = 26  # periods that must be left to learn from before the held ones
YEAR = {"day": 365.25, "week": 52.18, "month": 12.0, "quarter": 4.0}


@dataclass(frozen=True, slots=True)
class Beside:
    """What stands on the shelf beside each series: the mean of its siblings' moves, and the prices of its category one by one."""

    others: Array  # n x T: mean log price signal of the siblings
    members: Array  # n x M: series of the category's best-selling products in the same store, itself among them; -1 is none
    paid: Array  # n x T: log price


@dataclass(frozen=True, slots=True)
class Averaged:
    """The book, the trees, how much the trees count, and what they look at beside the question."""

    book: Book
    trees: Trees
    weight: float  # of the trees
    beside: Beside
    centre: Array  # n: mean log units
    skill: Mapping[str, float]


def shift_of(state: Averaged, cells: Cells) -> tuple[Array, Array]:
    """Return by how much trees move the log base of each cell, and how unsure that is: two models that differ, each with its weight."""
    if state.weight <= 0:
        return np.zeros(len(cells.event)), np.zeros(len(cells.event))
    gap = np.clip(trees_log(state, cells) - structural_log(state.book, cells), -MOST_SHIFT, MOST_SHIFT)
    return state.weight * gap, np.sqrt(state.weight * (1 - state.weight)) * np.abs(gap)


def structural_log(book: Book, cells: Cells) -> Array:
    """Return the structural log mean of each cell."""
    found: Array = book.base[cells.series, cells.period] + book.context[cells.series, cells.period] + mean_lift(book, cells)
    return found


def trees_log(state: Averaged, cells: Cells) -> Array:
    """Return what the trees say of each cell, in logs."""
    book = state.book
    rows = features(book, cells, state.beside, state.centre)
    found: Array = state.trees.predict(rows) + state.centre[cells.series]
    return found


def features(book: Book, cells: Cells, beside: Beside, centre: Array) -> Array:
    """Return what the trees look at, one float32 row per cell: who, at what price, beside whom, under what support, when."""
    series, period = cells.series, np.minimum(cells.period, book.cut - 1)
    regular, usual = book.regular[series, cells.period], book.usual[series]
    angle = 2 * np.pi * (book.first + cells.period) / YEAR[book.clock.grain.name]
    kinds = [at for at, name in enumerate(book.names.tolist()) if name.startswith("mechanic_") or name == "promotion"]
    levers = [(cells.kind == at) * cells.share for at in kinds]
    columns = [
        book.product[series],
        book.store[series],
        np.log(np.maximum(regular * cells.ratio / usual, 1e-6)),
        np.log(np.maximum(cells.ratio, 1e-6)),
        np.log(np.maximum(usual, 1e-6)),
        beside.others[series, cells.period],
        cells.display,
        cells.feature,
        *levers,
        centre[series],
        np.sin(angle),
        np.cos(angle),
        period,
    ]
    member = beside.members[series].T
    prices = np.where(member >= 0, beside.paid[np.maximum(member, 0), cells.period], 0.0)
    own = np.log(np.maximum(regular * cells.ratio, 1e-6))  # as asked, whatever the calendar says
    return np.stack([*columns, *np.where(member == series, own, prices)], 1).astype("f4")


def beside_of(panel: Panel, book: Book, paid: Array, usual: Array) -> Beside:
    """Return what stands beside each series, in the order of units sold in the company, so that a column is one product in every store."""
    from tradewind.models._kit.trade.design import groups_of, others

    logged = np.log(np.maximum(np.nan_to_num(paid, nan=1.0), 1e-6))
    moved = np.nan_to_num(np.log(np.maximum(paid, 1e-6) / usual[:, None]))
    total = np.bincount(panel.product, np.nan_to_num(panel.sold[:, : panel.cut]).sum(1), minlength=len(panel.products))
    order = np.argsort(-total, kind="stable")
    category = panel.category.astype(str)
    members = np.full((len(panel), BESIDE), -1)
    for name in np.unique(category).tolist():
        chosen = order[category[order] == name][:BESIDE]
        rows = np.flatnonzero(category[panel.product] == name)
        members[rows, : len(chosen)] = book.grid[chosen[None, :], panel.store[rows, None]]
    used = int((members >= 0).any(0).sum())
    return Beside(others(moved, groups_of(panel)[0]), members[:, :used], logged)
