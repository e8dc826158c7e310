"""The structural panel with boosted trees beside it: trees correct what would sell, the structure says what a promotion changes.

What trees see beyond the structural form moves base and promoted sales alike, so that a correlation is never taken for a lift. Their
weight is the one that was best on the last periods, which neither had seen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tradewind.core.errors import Tampered
from tradewind.core.model import Knob, settle
from tradewind.core.table import Array, Table
from tradewind.models._kit import tensors
from tradewind.models._kit.trade.book import Book
from tradewind.models._kit.trees import Trees
from tradewind.models.promotion import serving
from tradewind.models.promotion.account import Account, account
from tradewind.models.promotion.answering import table as answered
from tradewind.models.promotion.asking import Cells, cells_of
from tradewind.models.promotion.average_state import HELD, Averaged, Beside, shift_of


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
        shift, doubt = shift_of(state, cells)
        return cells, account(state.book, cells, shift=shift, doubt=doubt)

    def expand(self, state: Averaged, horizon: int | None, where: Mapping[str, Any]) -> Table:
        """Return the promotions of the calendar that fit, or the next period of every series where there is no calendar."""
        return serving.everything(state.book, horizon, where)

    def respond(self, state: Averaged, request: Mapping[str, Any]) -> dict[str, Array]:
        """Return draws of what candidate promotions would earn; see `serving.responded`."""
        return serving.responded(state.book, request, lambda asked: self.predict_draws(state, asked))

    def warm(self, state: Averaged) -> None:
        """Make a version ready to answer."""
        serving.warm(state.book)
        _ = state.trees.walk

    def effects(self, state: Averaged) -> Table:
        """Return per product what each lever does, with intervals."""
        return serving.effects(state.book)

    def notes(self, state: Averaged, asked: Table) -> list[str]:
        """Return what the answer must say in words."""
        share = f"Boosted trees count for {100 * state.weight:.0f} % of the level, chosen on {HELD} held-out periods."
        return [*serving.notes(state.book, asked), share]

    def dump(self, state: Averaged) -> dict[str, bytes]:
        """Write the parts."""
        beside = {"others": state.beside.others.astype("f4"), "paid": state.beside.paid.astype("f4")}
        arrays = {
            **beside,
            "members": state.beside.members.astype("i4"),
            "centre": state.centre.astype("f4"),
            **state.trees.arrays("trees/"),
        }
        head = {"weight": state.weight, "skill": dict(state.skill)}
        return {**state.book.dump(), "trees.safetensors": tensors.save(arrays), "average.json": json.dumps(head).encode()}

    def load(self, parts: Mapping[str, bytes]) -> Averaged:
        """Read the parts; raises Tampered."""
        book = Book.load(parts)
        try:
            head, arrays = json.loads(parts["average.json"]), tensors.load(parts["trees.safetensors"])
            trees = Trees.from_arrays(arrays, "trees/")
            beside = Beside(arrays["others"], arrays["members"], arrays["paid"])
            return Averaged(book, trees, float(head["weight"]), beside, arrays["centre"], head["skill"])
        except (KeyError, ValueError, TypeError) as error:
            raise Tampered("the parts of a promotion model do not fit together") from error


RECIPE = Average()
