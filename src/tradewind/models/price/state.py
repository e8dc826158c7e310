"""What price knows when it serves: two forms of demand over the periods ahead."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.random import default_rng  # while it may still be imported: a worker opens no file later

from tradewind.core.errors import BadValue, Tampered
from tradewind.core.table import Table
from tradewind.models._kit import tensors
from tradewind.models._kit.trade.book import DRAWS, LATELY, Book
from tradewind.models._kit.trade.levers import PRICE, SIBLINGS, SISTERS

if TYPE_CHECKING:
    from tradewind.models._kit.trade.panel import Panel

Array = np.ndarray[Any, Any]
WEIGHTS = (0.1, 0.9)  # of the second form, least and most
AHEAD = {"day": 91, "week": 13, "month": 3, "quarter": 1}
"""Periods that an answer without a date is the mean of: a quarter of a year."""


@dataclass(frozen=True)
class Priced:
    """The books of both forms, from the first period ahead on, and what today's prices are."""

    book: Book  # constant elasticity
    second: Book  # elasticity in proportion to the price
    rival: Array  # n: log of the last competitor price, NaN where unknown
    learned: Array  # P: share of what is believed of the own elasticity that data say
    weight: float  # of the second form: how much better it fits, never all or nothing
    rest: tuple[float, float]  # share of what leaves a product that other categories of the shop catch, and its standard error
    seen: Array  # n x 2: lowest and highest price up to the last sale; NaN where none was, or in a version that did not keep them
    memo: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)  # the last question as it was read

    @cached_property
    def stays(self) -> Array:
        """Return draws of the share of what leaves a product that other categories of its store catch, DRAWS."""
        half = default_rng(5).standard_normal(DRAWS // 2)
        found: Array = np.clip(self.rest[0] + self.rest[1] * np.concatenate([half, -half]), 0.0, 1.0)
        return found

    @cached_property
    def beside(self) -> tuple[Array, Array]:
        """Return what siblings in a series' store earn more per period as its price moves: DRAWS x n per log, and per square of it."""
        return _beside(self, self.book, second=False)

    @cached_property
    def beside_second(self) -> tuple[Array, Array]:
        """Return the same under the second form, per relative move."""
        return _beside(self, self.second, second=True)

    def dump(self) -> dict[str, bytes]:
        """Write the parts."""
        parts = self.book.dump()
        other = self.second.dump()
        slim = tensors.load(other["book.safetensors"])
        kept = {
            name: slim[name]
            for name in ("series", "own", "carry", "mean", "spread", "common", "base", "context", "lift", "smear", "variance")
        }
        parts["second.safetensors"] = tensors.save(kept)
        names = json.loads(other["book.json"])["names"]
        parts["price.json"] = json.dumps({"names": names, "weight": self.weight, "rest": list(self.rest)}).encode()
        parts["price.safetensors"] = tensors.save(
            {"rival": self.rival.astype("f4"), "learned": self.learned.astype("f4"), "seen": self.seen.astype("f4")}
        )
        return parts

    @classmethod
    def load(cls, parts: Mapping[str, bytes]) -> Priced:
        """Read the parts; raises Tampered."""
        book = Book.load(parts)
        try:
            more, other = tensors.load(parts["price.safetensors"]), tensors.load(parts["second.safetensors"])
            head = json.loads(parts["price.json"])
            names = np.array(head["names"], object)
            second = replace(book, head={**book.head, "form": "exponential"}, names=names, **other)
            share, error = head["rest"]
            seen = more.get("seen", np.full((len(book.product), 2), np.nan))
            made = cls(book, second, more["rival"], more["learned"], float(head["weight"]), (float(share), float(error)), seen)
        except (KeyError, ValueError, TypeError) as error:
            raise Tampered("the parts of a price model do not fit together") from error
        _ = made.beside, made.beside_second, made.book.levels  # what every answer needs is worked out before the first one
        return made


def _beside(state: Priced, book: Book, *, second: bool) -> tuple[Array, Array]:
    """Return the first two terms of the exponential in which siblings answer to a move, in money of the next quarter's mean period."""
    count = len(book.product)
    slope, bend = np.zeros((2, DRAWS, count), "f4")
    _, sister, others, sisters = book.group
    span = slice(0, AHEAD[book.clock.grain.name])
    unit = np.nan_to_num(state.book.regular[:, span] - state.book.cost[:, span])
    sold = np.exp(book.base[:, span] + book.context[:, span] + book.lift[:, span]) * (book.smear * book.living)[:, None]
    earned = (sold * unit).mean(1)
    scale = state.book.regular[:, span].mean(1) / book.usual if second else np.ones(count)
    wide = book.draws_of(SIBLINGS, np.arange(count)) / np.maximum(others, 1)
    close = book.draws_of(SISTERS, np.arange(count)) / np.maximum(sisters, 1)
    for rows in book.members.values():
        same = (sister[rows][:, None] == sister[rows][None]) & ~np.eye(len(rows), dtype=bool)  # target x source
        weight = wide[:, rows, None] * ~np.eye(len(rows), dtype=bool) + close[:, rows, None] * same
        slope[:, rows] = np.einsum("t,dts->ds", earned[rows], weight) * scale[rows]
        bend[:, rows] = np.einsum("t,dts->ds", earned[rows] / 2, weight**2) * scale[rows] ** 2
    if state.rest[0] > 0:
        slope += _caught(state, book, sold.mean(1), earned, scale)
    return slope, bend


def _caught(state: Priced, book: Book, sold: Array, earned: Array, scale: Array) -> Array:
    """Return what other categories of the store earn more per move of each price (DRAWS x n): their share of the units that leave."""
    inside = [np.zeros((2, code.max() + 1)) for code in (book.store, book.group[0])]
    for total, code in zip(inside, (book.store, book.group[0]), strict=True):
        for at, values in enumerate((sold, earned)):
            np.add.at(total[at], code, values)
    units, margin = inside[0][:, book.store] - inside[1][:, book.group[0]]
    own = np.maximum(-book.draws_of(PRICE, np.arange(len(book.product))), 0.0) * scale
    found: Array = state.stays[:, None] * own * sold * margin / np.maximum(units, 1e-9)
    return found


def ahead_of(book: Book) -> Book:
    """Return the book of the periods ahead only: what came before is not asked."""
    cut = book.cut
    head = {**book.head, "first": book.first + cut, "cut": 0}
    return replace(
        book,
        head=head,
        base=book.base[:, cut:],
        context=book.context[:, cut:],
        lift=book.lift[:, cut:],
        regular=book.regular[:, cut:],
        cost=book.cost[:, cut:],
        sold=book.sold[:, -LATELY:],
        calendar=np.zeros((0, 8)),
        mechanics=np.zeros(0, object),
        promotions=np.zeros(0, object),
        halo=np.zeros((0, 5)),
    )


def learned(table: Table, way: str) -> Priced:
    """Return the state of a modelling table; `way` is how coefficients are drawn together: bayes, ols or pooled.

    Raises BadValue where no price is known at all, EmptyTable, LearnFailed.
    """
    from tradewind.models._kit.trade.bind import bind
    from tradewind.models._kit.trade.fit import learn
    from tradewind.models._kit.trade.panel import panel_of
    from tradewind.models.price.rest import kept

    panel = panel_of(table)
    refuse_unpriced(panel.regular)
    first, second = learn(panel, way=way), learn(panel, form="exponential", way=way)
    books = [ahead_of(bind(panel, fit, halo=False)) for fit in (first, second)]
    rival = np.log(np.maximum(panel.competitor[:, panel.cut - 1], 1e-9))
    better = float(np.clip(second.likelihood - first.likelihood, -50, 50))
    rest = kept(first.residual, panel.units[:, : panel.cut], panel.store, books[0].group[0], together=first.together)
    return Priced(books[0], books[1], rival, first.known, float(np.clip(1 / (1 + np.exp(-better)), *WEIGHTS)), rest, _seen(panel))


def refuse_unpriced(prices: Array) -> None:
    """Raise BadValue where none of the prices is known."""
    if not np.isfinite(prices).any():
        raise BadValue(
            "no price is known: nothing can be learned of prices",
            hint="load sales with a price above zero; a price below zero is read as missing",
        )


def _seen(panel: Panel) -> Array:
    """Return the lowest and the highest price of each series up to the last sale, paid or on the shelf, n x 2; NaN where none was."""
    both = np.concatenate([panel.price[:, : panel.cut], panel.regular[:, : panel.cut]], 1)
    both = np.where(np.isfinite(both) & (both > 0), both, np.nan)
    found: Array = np.stack([np.fmin.reduce(both, 1), np.fmax.reduce(both, 1)], 1)
    return found
