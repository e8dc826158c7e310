"""What an asked row wants and forbids: read once, applied to every item before the best are taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isfinite

import numpy as np

from tradewind.core.errors import BadValue
from tradewind.core.table import Array, Table
from tradewind.models.recommend import SHELVES
from tradewind.models.recommend.shop import Shop

USUAL = 10
MOST = 1000
_TEXTS = ("customer", "basket", "shelf", "include", "exclude", "pin")
_NUMBERS = ("k", "in_stock", "margin_floor", "cap_category", "cap_brand", "rest_days", "contacts_max", "diversity", "explore")


@dataclass(frozen=True, slots=True)
class Wish:
    """One asked row."""

    customer: str
    person: int  # -1: unknown
    basket: tuple[int, ...]
    strange: tuple[str, ...]  # basket items that are not of the range
    k: int
    shelf: str
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    pin: tuple[int, ...] = ()
    numbers: dict[str, float] = field(default_factory=dict)

    def plain(self) -> bool:
        """Tell whether nothing but how many and from which shelf was said."""
        return not (self.include or self.exclude or self.pin or self.numbers)


def read(shop: Shop, asked: Table) -> list[Wish]:
    """Return the wishes of every row; raises BadValue for a row that asks nobody, strange rules and numbers out of range."""
    texts = {name: _texts(asked, name) for name in _TEXTS}
    numbers = {name: asked.column(name).astype("f8").tolist() for name in _NUMBERS if name in asked}
    wishes = []
    for at, said in enumerate(zip(*texts.values(), strict=True)):
        given = {name: values[at] for name, values in numbers.items() if isfinite(values[at])}
        wishes.append(_wish(shop, at, dict(zip(texts, said, strict=True)), given))
    return wishes


def _wish(shop: Shop, at: int, said: dict[str, str], given: dict[str, float]) -> Wish:
    customer, shelf = said["customer"], said["shelf"] or SHELVES[0]
    basket = _parts(said["basket"])
    if not customer and not basket:
        raise BadValue(f"row {at} names neither a customer nor a basket", hint="give one of them")
    if shelf not in SHELVES:
        raise BadValue(f"row {at}: there is no shelf {shelf!r}", hint=f"shelves: {', '.join(SHELVES)}")
    k = given.pop("k", float(USUAL))
    if not 1 <= k <= MOST or k != int(k):
        raise BadValue(f"row {at}: k must be a whole number from 1 to {MOST}, not {k:g}")
    include, exclude, pins = (_parts(said[name]) for name in ("include", "exclude", "pin"))
    for rule, parts in (("include", include), ("exclude", exclude)):
        for part in parts:
            _known(shop, part, at, rule)
    strange = [name for name in pins if name not in shop.place]
    if strange:
        raise BadValue(f"row {at}: pinned items that are not of the range: {', '.join(strange[:5])}")
    return Wish(
        customer,
        shop.person.get(customer, -1),
        tuple(dict.fromkeys([shop.place[name] for name in basket if name in shop.place])),
        tuple([name for name in basket if name not in shop.place]),
        int(k),
        shelf,
        include,
        exclude,
        tuple(dict.fromkeys([shop.place[name] for name in pins])),
        given,
    )


def _known(shop: Shop, part: str, at: int, rule: str) -> None:
    kind, _, name = part.partition(":")
    if kind in ("category", "brand") and name:
        if name not in set(getattr(shop, kind).tolist()):
            raise BadValue(f"row {at}: {rule} names a {kind} {name!r} that the range does not have")
    elif part not in shop.place:
        raise BadValue(f"row {at}: {rule} names an item {part!r} that is not of the range", hint="or a category:... or a brand:...")


def allowed(shop: Shop, wish: Wish, row: Array) -> tuple[Array, dict[str, int]]:
    """Return which items may be offered, and how many each rule took away, in order; `row` has the days since each was bought (or -1)."""
    open_ = np.ones(len(shop.items), bool)
    taken: dict[str, int] = {}

    def strike(why: str, bad: Array) -> None:
        gone = open_ & bad
        if gone.any():
            taken[why] = int(gone.sum())
            open_[gone] = False

    numbers = wish.numbers
    if wish.include:
        strike("not included", ~_named(shop, wish.include))
    if wish.exclude:
        strike("excluded", _named(shop, wish.exclude))
    if numbers.get("in_stock", 1.0) > 0:
        strike("out of stock", shop.crowd.gone)
    if "margin_floor" in numbers:
        with np.errstate(invalid="ignore", divide="ignore"):
            margin = (shop.price - shop.cost) / shop.price
        strike("below the margin floor, or of unknown cost", ~(margin >= numbers["margin_floor"]))
    if "rest_days" in numbers:
        strike(f"bought within {numbers['rest_days']:g} days", (row >= 0) & (row <= numbers["rest_days"]))
    if "contacts_max" in numbers and wish.person >= 0 and shop.contacts[wish.person] >= numbers["contacts_max"]:
        strike("contacted often enough already", np.ones(len(open_), bool))
    return open_, taken


def _named(shop: Shop, parts: Sequence[str]) -> Array:
    found = np.zeros(len(shop.items), bool)
    for part in parts:
        kind, _, name = part.partition(":")
        if kind in ("category", "brand") and name:
            found |= getattr(shop, kind) == name
        else:
            found[shop.place[part]] = True
    return found


def choose(shop: Shop, wish: Wish, score: Array, young: Array) -> tuple[list[int], str]:
    """Return the items of one row, best first, and why there are fewer than asked ("" where there are not).

    `score` is -inf where an item may not be offered; `young` marks items few have bought. Pinned items come first; then places are
    filled one by one under the caps and held back for likeness, the last ones kept for young items where `explore` says so.
    """
    numbers = wish.numbers
    order = np.argsort(-score, kind="stable")
    order = order[np.isfinite(score[order])]
    tray = Tray(shop, score, {kind: int(numbers[f"cap_{kind}"]) for kind in ("category", "brand") if f"cap_{kind}" in numbers})
    for item in wish.pin[: wish.k]:
        tray.put(item)
    kept = int(numbers.get("explore", 0.0) * wish.k)
    spread = numbers.get("diversity", 0.0)
    tray.fill(order, wish.k - kept, spread)
    if kept:
        tray.fill(order[young[order]], wish.k, spread)
        tray.fill(order, wish.k, spread)
    capped = bool(tray.caps) and len(tray.chosen) < wish.k and len(order) > len(tray.chosen)
    return tray.chosen, "the caps leave no more" if capped else ""


@dataclass(slots=True)
class Tray:
    """Items chosen so far, and how many of each category and brand there may be."""

    shop: Shop
    score: Array
    caps: dict[str, int]
    chosen: list[int] = field(default_factory=list)
    held: dict[tuple[str, str], int] = field(default_factory=dict)

    def _kinds(self, item: int) -> list[tuple[str, str]]:
        return [(kind, getattr(self.shop, kind)[item]) for kind in self.caps if getattr(self.shop, kind)[item] is not None]

    def fits(self, item: int) -> bool:
        """Tell whether an item is not there yet and no cap is reached."""
        return item not in self.chosen and all(self.held.get(kind, 0) < self.caps[kind[0]] for kind in self._kinds(item))

    def put(self, item: int) -> None:
        """Add an item."""
        self.chosen.append(item)
        for kind in self._kinds(item):
            self.held[kind] = self.held.get(kind, 0) + 1

    def fill(self, order: Array, until: int, spread: float) -> None:
        """Take items in order of score; with a spread, each time the one that is best after what it shares with those taken."""
        if spread > 0:
            self._spread(order[: 20 * max(until, 1)], until, spread)
            return
        for item in order.tolist():
            if len(self.chosen) >= until:
                return
            if self.fits(item):
                self.put(item)

    def _spread(self, pool: Array, until: int, spread: float) -> None:
        if not len(pool):
            return
        low, high = float(self.score[pool].min()), float(self.score[pool].max())
        worth = (self.score[pool] - low) / max(high - low, 1e-9)
        like = np.zeros(len(pool))
        for item in self.chosen:
            like = np.maximum(like, _alike(self.shop, pool, item))
        while len(self.chosen) < until and len(pool):
            best = int(np.argmax((1 - spread) * worth - spread * like))
            item = int(pool[best])
            keep = np.arange(len(pool)) != best
            pool, worth, like = pool[keep], worth[keep], like[keep]
            if self.fits(item):
                self.put(item)
                like = np.maximum(like, _alike(self.shop, pool, item))


def _alike(shop: Shop, pool: Array, item: int) -> Array:
    same = np.zeros(len(pool))
    for kind, weight in (("category", 0.7), ("brand", 0.3)):
        values = getattr(shop, kind)
        if values[item] is not None:
            same += weight * (values[pool] == values[item])
    return same


def _texts(asked: Table, name: str) -> list[str]:
    if name not in asked:
        return [""] * len(asked)
    return ["" if value is None else str(value) for value in asked.column(name).tolist()]


def _parts(said: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in said.split(";") if part.strip()) if said else ()
