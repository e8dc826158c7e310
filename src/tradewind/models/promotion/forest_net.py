"""A random forest and a neural network on what the structural panel found of past promotions: never on plain before-and-after labels."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.core.errors import Tampered
from tradewind.core.model import Knob, settle
from tradewind.core.table import Array, Table
from tradewind.models._kit import tensors
from tradewind.models._kit.trade.book import DRAWS, Book
from tradewind.models._kit.trees import Trees
from tradewind.models.promotion import serving
from tradewind.models.promotion.account import PARTS, Account, account
from tradewind.models.promotion.answering import table as answered
from tradewind.models.promotion.asking import Cells, cells_of

LIFT, SHARE = (0.0, 2.5), (-1.0, 2.0)  # what a log lift, and the net share of gross, may be
MOVED = 0.005  # a price cut smaller than this is none


@dataclass(frozen=True, slots=True)
class Learned:
    """The book, both learners (of log lift and of net over gross), and how far off they were out of bag."""

    book: Book
    forests: tuple[Trees, Trees]
    layers: tuple[tuple[Array, Array], ...]
    centre: Array
    scale: Array
    target: Array  # 2 x 2: mean and standard deviation of each target
    error: Array  # 2


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


def features(book: Book, cells: Cells) -> Array:
    """Return one float32 row per promotion: depth, support, mechanic, length, base, price tier, stores, season."""
    count = len(cells.names)
    rows = np.maximum(np.bincount(cells.event, minlength=count), 1)

    def mean(values: Array) -> Array:
        return np.asarray(np.bincount(cells.event, values, minlength=count) / rows)

    series, period = cells.series, np.minimum(cells.period, book.base.shape[1] - 1)
    angle = 2 * np.pi * (book.first + period) / 52.18
    kinds = [mean((cells.kind == at) * 1.0) for at, name in enumerate(book.names.tolist()) if name.startswith("mechanic_")]
    columns = [
        mean(np.log(np.maximum(cells.ratio, 1e-3))),
        mean(cells.depth),
        mean(cells.display),
        mean(cells.feature),
        *kinds,
        mean(cells.share),
        np.log(np.bincount(cells.event, cells.share, minlength=count) + 1e-9),
        mean(book.base[series, period]),
        mean(np.log(np.maximum(book.usual[series], 1e-9))),
        mean(book.series[series, book.place("price")] if book.place("price") >= 0 else np.zeros(len(series))),
        mean(np.sin(angle)),
        mean(np.cos(angle)),
    ]
    return np.stack(columns, 1).astype("f4")


def predicted(state: Learned, rows: Array) -> Array:
    """Return log lift and net share of each promotion, 2 x E: the mean of forest and network."""
    forest = np.stack([trees.predict(rows) for trees in state.forests])
    value = ((rows - state.centre) / state.scale).astype("f8")
    for at, (weight, bias) in enumerate(state.layers):
        value = value @ weight + bias
        if at < len(state.layers) - 1:
            value = np.maximum(value, 0.0)
    net = value.T * state.target[:, 1:] + state.target[:, :1]
    mean = (forest + net) / 2
    return np.stack([np.clip(mean[0], *LIFT), np.clip(mean[1], *SHARE)])


def relearned(state: Learned, cells: Cells, accounts: Account) -> Account:
    """Return the account with gross and net as the learners say; what is lost and won elsewhere keeps its structural proportions."""
    count = len(cells.names)
    promoted = (cells.ratio < 1 - MOVED) | (cells.kind >= 0) | (cells.display > 0) | (cells.feature > 0)
    some = np.bincount(cells.event, promoted, minlength=count) > 0
    if not some.any():
        return accounts
    said = predicted(state, features(state.book, cells))
    half = np.random.default_rng(6).standard_normal((DRAWS // 2, 2))
    noise = np.concatenate([half, -half])
    lift = said[0] + state.error[0] * noise[:, :1]
    share = said[1] + state.error[1] * noise[:, 1:]
    base = accounts.units["base"]
    gross = np.where(some, base * np.expm1(lift), accounts.units["gross"])
    rest = gross * (share - 1)
    before = sum((accounts.units[part].mean(0) for part in PARTS[2:]), np.zeros(count))
    units, margin = {"base": base, "gross": gross}, {}
    for part in PARTS[1:]:
        mean = accounts.units[part].mean(0)
        unit = accounts.margin[part].mean(0) / np.where(np.abs(mean) > 1e-9, mean, np.inf)
        if part != "gross":
            portion = np.where(np.abs(before) > 1e-9, mean / np.where(np.abs(before) > 1e-9, before, 1.0), 0.0)
            units[part] = np.where(some, rest * portion, accounts.units[part])
        margin[part] = np.where(some & (np.abs(mean) > 1e-9), units[part] * unit, accounts.margin[part])
    whole = np.maximum(base + accounts.units["gross"], 1e-9)
    grown = (base + gross) / whole
    return Account(units, margin, accounts.sold * grown, accounts.given * grown, accounts.costed)


RECIPE = ForestNet()
