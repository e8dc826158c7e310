"""What a fitted panel of trade is when it serves: baselines by period, coefficients with their uncertainty, the calendar."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.random import default_rng  # while it may still be imported: a worker opens no file later

from tradewind.core.errors import BadValue, Tampered
from tradewind.models._kit import tensors
from tradewind.models._kit.calendar import GRAINS, Clock
from tradewind.models._kit.trade.levers import SIBLINGS, SISTERS
from tradewind.models._kit.trade.shrink import Shrunk, draws

Array = np.ndarray[Any, Any]
DRAWS = 200
LATELY = 8  # periods without a sale, after which a series is taken to sell no more
NOISES = 509  # columns of chance that are drawn once
_TEXT = ("products", "stores", "categories", "brands", "names", "promotions", "mechanics")


@dataclass(frozen=True)
class Book:
    """Series (n) x periods (T), products (P), effect columns (K). Money and units are per period.

    `base` is the log mean at the shelf price with no promotion anywhere; `context` what the known calendar adds to a series from
    its own earlier promotions and from its siblings; `lift` the log lift of its own known promotions.
    """

    head: Mapping[str, Any]  # grain, anchor, first, cut, form, takes, together
    products: Array
    stores: Array
    categories: Array  # P, text
    brands: Array  # P, text
    names: Array  # K, text
    promotions: Array  # E, text
    mechanics: Array  # per entry of the calendar, text
    product: Array
    store: Array
    base: Array  # n x T
    context: Array
    lift: Array
    regular: Array
    cost: Array  # n x T; NaN where unknown
    sold: Array  # n x cut, NaN where unknown
    usual: Array  # n
    smear: Array  # n: mean over median
    variance: Array  # n
    drift: Array  # 2: standard deviation of a coming level, common to a product and of a series' own
    fade: Array
    series: Array  # n x K
    own: Array
    carry: Array
    mean: Array  # P x K
    spread: Array  # P x K x K
    common: Array  # P x K: standard deviation, inside `spread`, that all products share
    kin: Array  # K: standard deviation, beside `spread`, of an error that products of a category make together
    halo: Array  # pairs x 5: source product, target product, chance that it is real, mean and standard deviation if it is
    calendar: Array  # entries x 8: event, series, start and end day, discount, display, feature, spend

    @cached_property
    def clock(self) -> Clock:
        """Return the clock of the periods."""
        return Clock(GRAINS[self.head["grain"]], int(self.head["anchor"]))

    @property
    def cut(self) -> int:
        """Return the number of past periods."""
        return int(self.head["cut"])

    @property
    def first(self) -> int:
        """Return the number of the first period."""
        return int(self.head["first"])

    @cached_property
    def drawn(self) -> Array:
        """Return coefficient draws, K x n x DRAWS: the same ones for every question, and whole rows of them for one series."""
        found = Shrunk(self.series, self.own, self.carry, self.mean, self.spread, self.common, np.zeros(0), np.zeros(0), np.zeros(0))
        category = np.unique(self.categories.astype(str), return_inverse=True)[1]
        return draws(found, self.product, DRAWS, 0, kin=(self.kin, category))

    @property
    def beta(self) -> Array:
        """Return the same draws as DRAWS x n x K."""
        return self.drawn.transpose(2, 1, 0)

    @cached_property
    def levels(self) -> Array:
        """Return draws of how far a coming level lies off, DRAWS x n, in logs."""
        rng = default_rng(1)
        half = DRAWS // 2
        common = rng.standard_normal((half, len(self.products))) * self.drift[0]
        move = common[:, self.product] + rng.standard_normal((half, len(self.product))) * self.drift[1]
        return np.concatenate([move, -move]).astype("f4")

    @cached_property
    def group(self) -> tuple[Array, Array, Array, Array]:
        """Return each series' group of siblings and of sisters, and how many others are in each."""
        category = np.unique(self.categories.astype(str), return_inverse=True)[1][self.product]
        brand = np.unique(self.brands.astype(str), return_inverse=True)[1][self.product]
        siblings = self.store * (category.max() + 1) + category
        sisters = np.where(self.brands[self.product] == "", -1 - np.arange(len(self.product)), siblings * (brand.max() + 1) + brand)
        count = [np.unique(values, return_inverse=True, return_counts=True) for values in (siblings, sisters)]
        return siblings, sisters, count[0][2][count[0][1]] - 1, count[1][2][count[1][1]] - 1

    @cached_property
    def members(self) -> dict[int, Array]:
        """Return the series of each group of siblings."""
        siblings = self.group[0]
        order = np.argsort(siblings, kind="stable")
        edges = np.flatnonzero(np.diff(siblings[order])) + 1
        return {int(siblings[part[0]]): part for part in np.split(order, edges)}

    @cached_property
    def brought(self) -> Array:
        """Return draws of what each pair of `halo` is worth, DRAWS x pairs: nothing where it is not real in that draw."""
        rng = default_rng(3)
        shape = (DRAWS, len(self.halo))
        real = rng.random(shape, "f4") < self.halo[:, 2]
        size = self.halo[:, 3] + self.halo[:, 4] * rng.standard_normal(shape, "f4")
        return np.asarray(np.where(real, np.minimum(size, 0.0), 0.0), "f4")

    @cached_property
    def strays(self) -> Array:
        """Return `levels` with the series first, n x DRAWS."""
        return np.ascontiguousarray(self.levels.T)

    @cached_property
    def doubts(self) -> Array:
        """Return draws of what two models of a product disagree on, P x DRAWS, in standard deviations."""
        half = default_rng(6).standard_normal((DRAWS // 2, len(self.products))).astype("f4")
        return np.ascontiguousarray(np.concatenate([half, -half]).T)

    @cached_property
    def plain(self) -> Array:
        """Return the units expected without a promotion of its own, n x T, before a level that may lie off."""
        return np.asarray(np.exp(self.base + self.context) * self.smear[:, None])

    @cached_property
    def expected(self) -> Array:
        """Return the same with the promotions of the calendar, n x T."""
        return np.asarray(np.exp(self.base + self.context + self.lift) * self.smear[:, None])

    @cached_property
    def gain(self) -> Array:
        """Return the margin of a unit at the shelf price, n x T; nothing where it is unknown."""
        return np.asarray(np.where(self.costed, self.regular - self.cost, 0))

    @cached_property
    def costed(self) -> Array:
        """Tell where the margin of a unit is known, n x T."""
        return np.asarray(np.isfinite(self.regular - self.cost))

    @cached_property
    def siblings(self) -> tuple[Array, Array]:
        """Return the siblings of each series in its store (n x M, -1 where there are no more), and which of them are sisters too."""
        siblings, sister, _, _ = self.group
        members = [self.members[at] for at in siblings.tolist()]
        target = _padded([rows[rows != at] for at, rows in enumerate(members)])
        return target, (sister[target] == sister[:, None]) & (target >= 0)

    @cached_property
    def leans(self) -> Array:
        """Return draws of what a series sells more per log move of one sibling, 2n x DRAWS: for siblings, then for sisters."""
        _, _, others, sisters = self.group
        every = np.arange(len(self.product))
        wide = self.drawn_of(SIBLINGS, every) / np.maximum(others, 1).astype("f4")[:, None]
        close = self.drawn_of(SISTERS, every) / np.maximum(sisters, 1).astype("f4")[:, None]
        return np.concatenate([wide, wide + close])

    @cached_property
    def brings(self) -> tuple[Array, Array, Array, Array, Array]:
        """Return `brought` without what is nothing, pairs in order of their source product.

        First pair of each product (P + 1) and the target product of each pair; first entry of each pair (pairs + 1), and draw and size
        of each entry.
        """
        order = np.argsort(self.halo[:, 0], kind="stable")
        source, target = self.halo[order, :2].T.astype("i8")
        drawn = self.brought[:, order].T
        pair, draw = np.nonzero(drawn)
        pairs, entries = np.searchsorted(source, np.arange(len(self.products) + 1)), np.searchsorted(pair, np.arange(len(order) + 1))
        return pairs, target, entries, draw, drawn[pair, draw]

    @cached_property
    def entries(self) -> dict[str, Array]:
        """Return the entries of the calendar of each promotion that it holds."""
        found: dict[str, list[int]] = {}
        names = self.promotions.tolist()
        for at, event in enumerate(self.calendar[:, 0].astype("i8").tolist()):
            found.setdefault(str(names[event]), []).append(at)
        return {name: np.array(places) for name, places in found.items()}

    @cached_property
    def grid(self) -> Array:
        """Return series by product and store, P x stores; -1 where there is none."""
        made = np.full((len(self.products), len(self.stores)), -1)
        made[self.product, self.store] = np.arange(len(self.product))
        return made

    def place(self, name: str) -> int:
        """Return the column of an effect, -1 where it was not learned."""
        return self.places.get(name, -1)

    @cached_property
    def places(self) -> dict[str, int]:
        """Return the column of each effect."""
        return {name: at for at, name in enumerate(self.names.tolist())}

    def drawn_of(self, name: str, series: Array) -> Array:
        """Return the draws of one effect for some series, len(series) x DRAWS; zeros where it was not learned."""
        at = self.place(name)
        return self.drawn[at][series] if at >= 0 else np.zeros((len(series), DRAWS), "f4")

    def draws_of(self, name: str, series: Array) -> Array:
        """Return the draws of one effect for some series, DRAWS x len(series); zeros where it was not learned."""
        return self.drawn_of(name, series).T

    def period(self, dates: Array) -> Array:
        """Return the place of each date among the periods."""
        return self.clock.number(dates.astype("M8[D]")) - self.first

    def series_of(self, product: str, store: str | None) -> Array:
        """Return the series of a product in a store, or in every store that still sells it; raises BadValue."""
        found = np.flatnonzero(self.products == product)
        if not len(found):
            raise BadValue(f"product {product!r} was never sold", hint="ask about a product that the model learned from")
        rows = self.product == found[0]
        if store is not None:
            rows &= self.stores[self.store] == store
            if not rows.any():
                raise BadValue(f"product {product!r} was never sold in store {store!r}", hint="leave the store out for all of them")
            return np.flatnonzero(rows)
        living = rows & self.living
        return np.flatnonzero(living if living.any() else rows)

    @cached_property
    def living(self) -> Array:
        """Tell which series sold in the last periods."""
        return np.asarray(np.isfinite(self.sold[:, -LATELY:]).any(1))

    def dump(self) -> dict[str, bytes]:
        """Write the book as named parts."""
        plain = dict(self.head) | {name: getattr(self, name).tolist() for name in _TEXT}
        arrays = {field.name: getattr(self, field.name) for field in fields(self) if field.name not in (*_TEXT, "head")}
        kept = {name: value.astype("f4" if value.dtype.kind == "f" else "i4") for name, value in arrays.items()}
        kept["calendar"] = arrays["calendar"].astype("f8")
        return {"book.json": json.dumps(plain).encode(), "book.safetensors": tensors.save(kept)}

    @classmethod
    def load(cls, parts: Mapping[str, bytes]) -> Book:
        """Read the parts back; raises Tampered."""
        try:
            plain = json.loads(parts["book.json"])
            text = {name: _objects(plain.pop(name)) for name in _TEXT}
            arrays = tensors.load(parts["book.safetensors"])
            made = cls(head=plain, **text, **{name: arrays[name] for name in (f.name for f in fields(cls)) if name not in (*_TEXT, "head")})
        except (KeyError, ValueError, TypeError) as error:
            raise Tampered("the parts of a trade model do not fit together") from error
        return made


@lru_cache(maxsize=1)
def _noise() -> Array:
    half = default_rng(4).standard_normal((DRAWS // 2, NOISES)).astype("f4")
    return np.ascontiguousarray(np.concatenate([half, -half]).T)


def chance(variance: Array, series: Array, period: Array) -> Array:
    """Return draws of what chance makes of expected sales, C x DRAWS, mean 1; the same for a series and period whatever else is asked."""
    noise = _noise()[(series * 31 + period) % NOISES]
    found: Array = np.exp(np.sqrt(variance)[:, None] * noise - 0.5 * variance[:, None])
    return found


def _padded(rows: list[Array]) -> Array:
    """Return rows of unequal length as one array, -1 where a row has no more."""
    made = np.full((len(rows), max(map(len, rows), default=0)), -1, "i4")
    for at, row in enumerate(rows):
        made[at, : len(row)] = row
    return made


def _objects(values: list[Any]) -> Array:
    made = np.empty(len(values), object)
    made[:] = values
    return made
