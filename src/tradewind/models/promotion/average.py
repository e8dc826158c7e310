"""The structural panel with boosted trees beside it: trees correct what would sell, the structure says what a promotion changes.

What trees see beyond the structural form moves base and promoted sales alike, so that a correlation is never taken for a lift. Their
weight is the one that was best on the last periods, which neither had seen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tradewind.core.errors import Tampered
from tradewind.core.model import Knob, settle
from tradewind.core.table import Array, Table
from tradewind.models._kit import tensors
from tradewind.models._kit.trade.book import Book
from tradewind.models._kit.trees import Trees
from tradewind.models.promotion import serving
from tradewind.models.promotion.account import Account, account, mean_lift
from tradewind.models.promotion.answering import table as answered
from tradewind.models.promotion.asking import Cells, cells_of

if TYPE_CHECKING:
    from tradewind.models._kit.trade.panel import Panel

HELD = 8  # last periods on which the weight is chosen
WEIGHTS = tuple(round(0.1 * step, 1) for step in range(11))
MOST_SHIFT = 1.0
EARLIEST = 26  # periods that must be left to learn from before the held ones
YEAR = {"day": 365.25, "week": 52.18, "month": 12.0, "quarter": 4.0}


@dataclass(frozen=True, slots=True)
class Averaged:
    """The book, the trees, how much the trees count, and what they look at beside the question."""

    book: Book
    trees: Trees
    weight: float  # of the trees
    others: Array  # n x T: mean log price signal of the siblings
    centre: Array  # n: mean log units
    skill: Mapping[str, float]


class Average:
    """Learn and serve the structural panel and its boosted correction."""

    name = "average"
    knobs = (
        Knob("trees", 120, 20, 600, meaning="boosted trees", tune=False),
        Knob("leaves", 63, 7, 255, meaning="leaves of one tree", tune=False),
        Knob("rate", 0.1, 0.01, 0.5, meaning="how much of each tree is taken", tune=False),
    )

    def fit(self, table: Table, params: Mapping[str, Any], seed: int) -> Averaged:
        """Learn both, and their weight on the last periods, held out."""
        from tradewind.models.promotion.average_learn import learn

        return self.load(self.dump(learn(table, settle(self.knobs, params), seed)))  # single precision, as it serves: trees split at edges

    def predict(self, state: Averaged, asked: Table) -> Table:
        """Return one row per promotion asked about."""
        cells, accounts = self.predict_draws(state, asked)
        return answered(state.book, cells, accounts)

    def predict_draws(self, state: Averaged, asked: Table) -> tuple[Cells, Account]:
        """Return the cells and the account behind an answer."""
        cells = cells_of(state.book, asked)
        return cells, account(state.book, cells, shift=shift_of(state, cells))

    def expand(self, state: Averaged, horizon: int | None, where: Mapping[str, Any]) -> Table:
        """Return the promotions of the calendar that fit, or the next period of every series where there is no calendar."""
        return serving.everything(state.book, horizon, where)

    def respond(self, state: Averaged, request: Mapping[str, Any]) -> dict[str, Array]:
        """Return draws of what candidate promotions would earn; see `serving.responded`."""
        return serving.responded(state.book, request, lambda asked: self.predict_draws(state, asked))

    def effects(self, state: Averaged) -> Table:
        """Return per product what each lever does, with intervals."""
        return serving.effects(state.book)

    def notes(self, state: Averaged, asked: Table) -> list[str]:
        """Return what the answer must say in words."""
        share = f"Boosted trees count for {100 * state.weight:.0f} % of the level, chosen on {HELD} held-out periods."
        return [*serving.notes(state.book, asked), share]

    def dump(self, state: Averaged) -> dict[str, bytes]:
        """Write the parts."""
        arrays = {"others": state.others.astype("f4"), "centre": state.centre.astype("f4"), **state.trees.arrays("trees/")}
        head = {"weight": state.weight, "skill": dict(state.skill)}
        return {**state.book.dump(), "trees.safetensors": tensors.save(arrays), "average.json": json.dumps(head).encode()}

    def load(self, parts: Mapping[str, bytes]) -> Averaged:
        """Read the parts; raises Tampered."""
        book = Book.load(parts)
        try:
            head, arrays = json.loads(parts["average.json"]), tensors.load(parts["trees.safetensors"])
            trees = Trees.from_arrays(arrays, "trees/")
            return Averaged(book, trees, float(head["weight"]), arrays["others"], arrays["centre"], head["skill"])
        except (KeyError, ValueError, TypeError) as error:
            raise Tampered("the parts of a promotion model do not fit together") from error


def shift_of(state: Averaged, cells: Cells) -> Array:
    """Return by how much trees move the log base of each cell."""
    if state.weight <= 0:
        return np.zeros(len(cells.event))
    gap = trees_log(state, cells) - structural_log(state.book, cells)
    found: Array = state.weight * np.clip(gap, -MOST_SHIFT, MOST_SHIFT)
    return found


def structural_log(book: Book, cells: Cells) -> Array:
    """Return the structural log mean of each cell."""
    found: Array = book.base[cells.series, cells.period] + book.context[cells.series, cells.period] + mean_lift(book, cells)
    return found


def trees_log(state: Averaged, cells: Cells) -> Array:
    """Return what the trees say of each cell, in logs."""
    book = state.book
    rows = features(book, cells, state.others, state.centre)
    found: Array = state.trees.predict(rows) + state.centre[cells.series]
    return found


def features(book: Book, cells: Cells, others: Array, centre: Array) -> Array:
    """Return what the trees look at, one float32 row per cell: who, at what price, beside whom, under what support, when."""
    series, period = cells.series, np.minimum(cells.period, book.cut - 1)
    regular, usual = book.regular[series, cells.period], book.usual[series]
    angle = 2 * np.pi * (book.first + cells.period) / YEAR[book.clock.grain.name]
    kinds = [(cells.kind == at) * cells.share for at in range(len(book.names))]
    levers = [value for value, name in zip(kinds, book.names.tolist(), strict=True) if name.startswith("mechanic_") or name == "promotion"]
    columns = [
        book.product[series],
        book.store[series],
        np.log(np.maximum(regular * cells.ratio / usual, 1e-6)),
        np.log(np.maximum(cells.ratio, 1e-6)),
        np.log(np.maximum(usual, 1e-6)),
        others[series, cells.period],
        cells.display,
        cells.feature,
        *levers,
        centre[series],
        np.sin(angle),
        np.cos(angle),
        period,
    ]
    return np.stack(columns, 1).astype("f4")


def others_of(panel: Panel, paid: Array, usual: Array) -> Array:
    """Return the mean log price of each series' siblings against their usual, n x T."""
    from tradewind.models._kit.trade.design import groups_of, others

    moved = np.nan_to_num(np.log(np.maximum(paid, 1e-6) / usual[:, None]))
    return others(moved, groups_of(panel)[0])


RECIPE = Average()
