"""Single orders: whether a quantity, a price or an amount is odd for its product, its customer and its channel.

Each figure is compared, as a logarithm, with the median of its product, moved by what is usual of the customer (quantity) or of the
channel and its offers (price), in robust spreads that lean on those of all products. Each distance becomes a share of usual lines that
are as far; the rarest counts, and beside it how easily an isolation forest sets the distances apart. What new lines are ranked against
was judged by what had been learned without them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from tradewind.models.anomaly.forest import Forest, grow
from tradewind.models.anomaly.ranks import LEVELS, Ranks, thinned
from tradewind.models.anomaly.together import fisher

Array = np.ndarray[Any, Any]
FIGURES = ("quantity", "unit_price", "amount")
COLUMNS = ("order", "product", "customer", "channel", "terms", "date")
BY = ("customer", "terms", "")  # what moves the usual figure besides the product
AT_LEAST = 200  # lines that must be there before any is odd
PARTS, CHECKED = 3, 20_000  # parts of the past judged by what the others teach, and lines of it that are
LEAN, SHY = 10.0, 3.0  # lines that a product's spread leans on all, and a customer's or channel's shift on none
WIDE, NORMAL = 0.9, 1.645  # share of a product's lines that lie within as many spreads
LEAST = 0.02  # least spread, as a share: prices are rounded
FAR = 12.0  # spreads beyond which the forest sees no difference
MOST = 7.0  # largest log distance: a thousandfold


@dataclass(frozen=True)
class Orders:
    """Lines as columns: texts, days, and figures (NaN: not said). `amount` here is what was charged over quantity x unit price."""

    order: Array
    product: Array
    customer: Array
    channel: Array
    terms: Array  # channel, and whether something was on offer
    date: Array
    figures: Mapping[str, Array]

    def __len__(self) -> int:
        return len(self.order)

    def take(self, keep: Array) -> Orders:
        """Return some of the lines."""
        columns = {name: getattr(self, name)[keep] for name in COLUMNS}
        return replace(self, figures={name: value[keep] for name, value in self.figures.items()}, **columns)

    def beside(self, more: Orders) -> Orders:
        """Return the lines with others after them."""
        columns = {name: np.concatenate([getattr(self, name), getattr(more, name)]) for name in COLUMNS}
        figures = {name: np.concatenate([value, more.figures[name]]) for name, value in self.figures.items()}
        return replace(self, figures=figures, **columns)


@dataclass(frozen=True)
class Usual:
    """What is usual of one figure: level and spread by product, shift by customer or terms; the last entry is for the unknown."""

    level: Array
    spread: Array
    shift: Array


@dataclass(frozen=True)
class Baselines:
    """What is usual of every figure, and whose entry is where."""

    names: Mapping[str, Array]  # product, customer, terms -> known names
    usual: Mapping[str, Usual]

    @cached_property
    def index(self) -> dict[str, dict[str, int]]:
        """Return the place of each name."""
        return {kind: {name: at for at, name in enumerate(names.tolist())} for kind, names in self.names.items()}

    def codes(self, kind: str, names: Array) -> Array:
        """Return the place of names, the last one where unknown."""
        book = self.index[kind]
        return np.array([book.get(name, len(book)) for name in names.tolist()], "i8")

    def measured(self, orders: Orders) -> tuple[Array, Array, Array]:
        """Return distance, usual figure and spread, (n, figures) each; the last two as logarithms."""
        product = self.codes("product", orders.product)
        middle, spread = np.empty((len(orders), len(FIGURES))), np.empty((len(orders), len(FIGURES)))
        for at, (name, by) in enumerate(zip(FIGURES, BY, strict=True)):
            usual = self.usual[name]
            moved = usual.shift[self.codes(by, getattr(orders, by))] if by else 0.0
            middle[:, at], spread[:, at] = usual.level[product] + moved, usual.spread[product]
        x = np.stack([logs(orders.figures[name]) for name in FIGURES], 1)
        return np.clip(x - middle, -MOST, MOST) / spread, middle, spread


def logs(value: Array) -> Array:
    """Return logarithms; NaN where nothing is said, minus infinity for nothing."""
    with np.errstate(divide="ignore"):
        return np.where(np.isfinite(value), np.log(np.maximum(value, 0.0)), np.nan)


@dataclass(frozen=True)
class Verdicts:
    """What is thought of lines: score and share of usual lines as odd, which figure is the oddest, what was usual of each."""

    score: Array
    p: Array
    odd: Array  # number in FIGURES
    z: Array
    middle: Array
    spread: Array


@dataclass(frozen=True)
class Lines:
    """What was learned of orders, and the oddest ones of the past."""

    base: Baselines
    columns: tuple[Ranks, ...]  # of the distance of each figure
    forest: Forest
    rarest: Ranks  # of the rarest figure
    apart: Ranks  # of the forest
    ranks: Ranks  # of the whole score
    past: Orders
    last: Any  # the last day learned from

    def judge(self, orders: Orders) -> Verdicts:
        """Return what is thought of lines, each by itself."""
        z, middle, spread = self.base.measured(orders)
        shares = _shares(z, self.columns)
        score = fisher(self.rarest.rare(-np.log(shares.min(1))), self.apart.rare(self.forest.odd(_seen(z))))
        return Verdicts(score, self.ranks.p(score), shares.argmin(1), z, middle, spread)


def _shares(z: Array, columns: tuple[Ranks, ...]) -> Array:
    """Return for each figure the share of usual lines that lie as far away; one where it is not said."""
    found = [np.where(np.isfinite(z[:, at]), ranks.rare(_far(np.nan_to_num(z[:, at]))), 1.0) for at, ranks in enumerate(columns)]
    return np.stack(found, 1)


def _far(z: Array) -> Array:
    """Return how far away, at least one spread: what lies within is never odd, however alike all others are."""
    return np.asarray(np.maximum(np.abs(z), 1.0))


def _seen(z: Array) -> Array:
    return np.asarray(np.clip(np.nan_to_num(z), -FAR, FAR))


def learn(orders: Orders, seed: int) -> Lines:
    """Learn what is usual of lines; AT_LEAST of them are needed."""
    rng = np.random.default_rng(seed)
    code = np.unique(orders.order, return_inverse=True)[1]
    part = rng.integers(0, PARTS, int(code.max()) + 1)[code]
    checked = np.sort(rng.choice(len(orders), min(CHECKED, len(orders)), replace=False))
    z, apart = np.zeros((len(checked), len(FIGURES))), np.zeros(len(checked))
    for one in range(PARTS):
        asked = part[checked] == one
        rest = orders.take(part != one)
        if not asked.any() or not len(rest):
            continue
        base = baselines(rest)
        z[asked] = base.measured(orders.take(checked[asked]))[0]
        apart[asked] = grow(_seen(base.measured(_some(rest, rng))[0]), seed).odd(_seen(z[asked]))
    none = np.zeros(len(LEVELS))
    columns = tuple(_distances(z[:, at]) for at in range(len(FIGURES)))
    score = -np.log(_shares(z, columns).min(1))
    rarest, easily = Ranks(thinned(score), none, logs=True), Ranks(thinned(apart), none)
    score = fisher(rarest.rare(score), easily.rare(apart))
    base = baselines(orders)
    forest = grow(_seen(base.measured(_some(orders, rng))[0]), seed)
    return Lines(
        base, columns, forest, rarest, easily, Ranks(thinned(score), none, logs=True), orders.take(np.zeros(0, "i8")), orders.date.max()
    )


def _some(orders: Orders, rng: np.random.Generator) -> Orders:
    return orders.take(rng.choice(len(orders), CHECKED, replace=False)) if len(orders) > CHECKED else orders


def _distances(z: Array) -> Ranks:
    known = z[np.isfinite(z)] if np.isfinite(z).any() else np.zeros(1)
    return Ranks(thinned(_far(known)), np.quantile(known, LEVELS))


def baselines(orders: Orders) -> Baselines:
    """Learn level, spread and shifts of every figure."""
    names = {kind: np.unique(getattr(orders, kind).astype(str)).astype(object) for kind in ("product", "customer", "terms")}
    blank = Baselines(names, {})
    code = {kind: blank.codes(kind, getattr(orders, kind)) for kind in names}
    usual = {}
    for name, by in zip(FIGURES, BY, strict=True):
        x = logs(orders.figures[name])
        x = np.where(np.isfinite(x), x, np.nan)
        other, size = (code[by], len(names[by])) if by else (np.zeros(len(orders), "i8"), 0)
        usual[name] = _usual(x, code["product"], len(names["product"]), other, size)
    return Baselines(names, usual)


def _usual(x: Array, product: Array, count: int, other: Array, size: int) -> Usual:
    """Return what is usual of one figure: levels of `count` products, and shifts of `size` others (0: none)."""
    level, n = medians(product, x, count)
    seen = n > 0
    middle = float(np.median(level[seen])) if seen.any() else 0.0
    level = np.where(seen, level, middle)
    rest = x - level[product]
    shift = np.zeros(size + 1)
    if size:
        moved, many = medians(other, rest, size)
        shift[:-1] = np.where(many > 0, moved, 0.0) * many / (many + SHY)
        rest = rest - shift[other]
    wide = 1.4826 * medians(product, np.abs(rest), count)[0]
    # a price that is mostly the same has no median distance, and still changes
    wide = np.maximum(wide, medians(product, np.abs(rest), count, share=WIDE)[0] / NORMAL)
    pooled = 1.4826 * float(np.median(np.abs(rest[np.isfinite(rest)]))) if np.isfinite(rest).any() else 1.0
    between = 1.4826 * float(np.median(np.abs(level - middle))) if seen.any() else 0.0
    spread = np.sqrt((n * np.where(seen, wide, 0.0) ** 2 + LEAN * pooled**2) / (n + LEAN))
    return Usual(np.r_[level, middle], np.maximum(np.r_[spread, np.hypot(pooled, between)], LEAST), shift)


def medians(code: Array, x: Array, count: int, *, share: float = 0.5) -> tuple[Array, Array]:
    """Return the median (or another quantile) of each group's known figures (NaN: none), and how many they are."""
    known = np.isfinite(x)
    order = np.lexsort((x[known], code[known]))
    group, value = code[known][order], x[known][order]
    n = np.bincount(group, minlength=count)
    first = np.searchsorted(group, np.arange(count))
    some = n > 0
    out = np.full(count, np.nan)
    low, high = np.floor(share * (n - 1)).astype("i8"), np.ceil(share * (n - 1)).astype("i8")
    out[some] = 0.5 * (value[(first + low)[some]] + value[(first + high)[some]])
    return out, n
