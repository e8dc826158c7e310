"""What forest and network hold when they serve, what they look at, and how an account is told again by them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import default_rng  # while it may still be imported: a worker opens no file later

from tradewind.core.table import Array
from tradewind.models._kit.trade.book import DRAWS, Book
from tradewind.models._kit.trees import Trees
from tradewind.models.promotion.account import PARTS, Account
from tradewind.models.promotion.asking import Cells

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
    half = default_rng(6).standard_normal((DRAWS // 2, 2))
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
