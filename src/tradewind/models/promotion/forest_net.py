"""A random forest and a neural network on what the structural panel found of past promotions: never on plain before-and-after labels."""

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
from tradewind.models.promotion.forest_state import Learned, relearned


class ForestNet:
    """Learn and serve the mean of forest and network."""

    name = "forest_net"
    knobs = (
        Knob("trees", 100, 20, 500, meaning="trees of the forest", tune=False),
        Knob("steps", 300, 20, 2000, meaning="most passes of the network over the promotions", tune=False),
    )

    def fit(self, table: Table, params: Mapping[str, Any], seed: int) -> Learned:
        """Learn from the promotions of the past; raises LearnFailed where they are too few."""
        from tradewind.models.promotion.forest_learn import learn

        return self.load(self.dump(learn(table, settle(self.knobs, params), seed)))  # single precision, as it serves: trees split at edges

    def predict(self, state: Learned, asked: Table) -> Table:
        """Return one row per promotion asked about."""
        cells, accounts = self.predict_draws(state, asked)
        return answered(state.book, cells, accounts)

    def predict_draws(self, state: Learned, asked: Table) -> tuple[Cells, Account]:
        """Return the cells and the account behind an answer."""
        cells = cells_of(state.book, asked)
        return cells, relearned(state, cells, account(state.book, cells))

    def expand(self, state: Learned, horizon: int | None, where: Mapping[str, Any]) -> Table:
        """Return the promotions of the calendar that fit, or the next period of every series where there is no calendar."""
        return serving.everything(state.book, horizon, where)

    def respond(self, state: Learned, request: Mapping[str, Any]) -> dict[str, Array]:
        """Return draws of what candidate promotions would earn; see `serving.responded`."""
        return serving.responded(state.book, request, lambda asked: self.predict_draws(state, asked))

    def warm(self, state: Learned) -> None:
        """Make a version ready to answer."""
        serving.warm(state.book)

    def notes(self, state: Learned, asked: Table) -> list[str]:
        """Return what the answer must say in words."""
        return serving.notes(state.book, asked)

    def dump(self, state: Learned) -> dict[str, bytes]:
        """Write the parts."""
        arrays = {name: getattr(state, name).astype("f8") for name in ("centre", "scale", "target", "error")}
        for at, trees in enumerate(state.forests):
            arrays |= trees.arrays(f"forest{at}/")
        for at, (weight, bias) in enumerate(state.layers):
            arrays |= {f"layer{at}/weight": weight.astype("f4"), f"layer{at}/bias": bias.astype("f4")}
        head = json.dumps({"layers": len(state.layers)}).encode()
        return {**state.book.dump(), "forest_net.safetensors": tensors.save(arrays), "forest_net.json": head}

    def load(self, parts: Mapping[str, bytes]) -> Learned:
        """Read the parts; raises Tampered."""
        book = Book.load(parts)
        try:
            arrays, count = tensors.load(parts["forest_net.safetensors"]), int(json.loads(parts["forest_net.json"])["layers"])
            forests = (Trees.from_arrays(arrays, "forest0/"), Trees.from_arrays(arrays, "forest1/"))
            layers = tuple((arrays[f"layer{at}/weight"], arrays[f"layer{at}/bias"]) for at in range(count))
            return Learned(book, forests, layers, *(arrays[name] for name in ("centre", "scale", "target", "error")))
        except (KeyError, ValueError, TypeError) as error:
            raise Tampered("the parts of a promotion model do not fit together") from error


RECIPE = ForestNet()
