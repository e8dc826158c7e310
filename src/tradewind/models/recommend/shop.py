"""What every recipe keeps: the range, who bought what, and who was contacted lately; and the profiles of those who ask."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tradewind.core.errors import Tampered
from tradewind.core.table import Array
from tradewind.models._kit.tensors import load as load_tensors
from tradewind.models._kit.tensors import save as save_tensors
from tradewind.models.recommend.log import NEVER, Log, Seen

CONTACT_DAYS = 30
_NAMES = ("customers", "items", "category", "brand")
_SMALL = {
    "start": "i4",
    "item": "i4",
    "count": "i4",
    "last": "i4",
    "orders": "i4",
    "latest": "i4",
    "buyers": "i4",
    "lately": "i4",
    "week": "i4",
}


@dataclass(frozen=True, slots=True)
class Crowd:
    """What is the same for every customer, worked out once: per item."""

    inputs: Array = field(default_factory=lambda: np.zeros((4, 0)))  # trend, log buyers lately, ever, and in the last week
    popular: Array = field(default_factory=lambda: np.zeros(0, "i8"))  # items, the lately most bought first
    share: Array = field(default_factory=lambda: np.zeros(0, "f4"))  # popularity 0-1
    ties: Array = field(default_factory=lambda: np.zeros(0, "f4"))  # what decides among equally frequent items
    gone: Array = field(default_factory=lambda: np.zeros(0, bool))  # known to be out of stock


def crowd_of(seen: Seen, stock: Array) -> Crowd:
    """Work out what holds for every customer."""
    share = (seen.lately + 0.1 * seen.buyers + 0.01) / (seen.lately.max() + 0.1 * seen.buyers.max() + 0.01)
    ties = 1e-3 * seen.lately / max(seen.lately.max(), 1) + 1e-6 * seen.buyers / max(seen.buyers.max(), 1)
    told = np.stack([seen.trend, np.log1p(seen.lately), np.log1p(seen.buyers), np.log1p(seen.week)])
    popular = np.argsort(-seen.lately, kind="stable")
    return Crowd(told, popular, share.astype("f4"), ties.astype("f4"), stock <= 0)


@dataclass(frozen=True, slots=True)
class Shop:
    """The range and its customers as of a day."""

    customers: Array
    items: Array
    category: Array
    brand: Array
    price: Array
    cost: Array
    stock: Array
    contacts: Array  # per customer: offers in the 30 days before
    seen: Seen
    crowd: Crowd = field(default_factory=Crowd)
    place: dict[str, int] = field(default_factory=dict)  # item -> number
    person: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "crowd", crowd_of(self.seen, self.stock))
        self.place.update({name: at for at, name in enumerate(self.items.tolist())})
        self.person.update({name: at for at, name in enumerate(self.customers.tolist())})

    def dump(self) -> dict[str, bytes]:
        """Write names as JSON and numbers as tensors."""
        names = {name: getattr(self, name).tolist() for name in _NAMES}
        numbers = {"day": np.array([self.seen.day]), "span": np.array([self.seen.span])}
        numbers |= {name: getattr(self.seen, name).astype(kind) for name, kind in _SMALL.items()}
        numbers |= {name: getattr(self, name).astype("f4") for name in ("price", "cost", "stock")}
        numbers["contacts"] = self.contacts.astype("i4")
        return {"names.json": json.dumps(names, ensure_ascii=False).encode(), "shop.safetensors": save_tensors(numbers)}

    @classmethod
    def load(cls, parts: Mapping[str, bytes]) -> Shop:
        """Read it back; raises Tampered where lengths do not fit."""
        try:
            names = {name: _objects(values) for name, values in json.loads(parts["names.json"]).items()}
            numbers = load_tensors(parts["shop.safetensors"])
            past: dict[str, Any] = {name: numbers[name].astype("i8") for name in _SMALL}
            facts: dict[str, Any] = {name: names[name] for name in _NAMES}
            facts |= {name: numbers[name].astype("f8") for name in ("price", "cost", "stock")}
            seen = Seen(day=int(numbers["day"][0]), span=float(numbers["span"][0]), **past)
            made = cls(
                **facts,
                contacts=numbers["contacts"].astype("i8"),
                seen=seen,
            )
        except (KeyError, ValueError, TypeError, AttributeError, IndexError) as error:
            raise Tampered("the range of a recommend version cannot be read") from error
        if len(seen.start) != len(made.customers) + 1 or len(seen.buyers) != len(made.items) or int(seen.start[-1]) != len(seen.item):
            raise Tampered("the customers and items of a recommend version do not fit together")
        return made


def of(log: Log, seen: Seen) -> Shop:
    """Return the shop of a log as of a day."""
    contacts = np.zeros(len(log.customers), "i8")
    if log.offers is not None:
        place = {name: at for at, name in enumerate(log.customers.tolist())}
        days = log.offers.column("date").astype("M8[D]").astype("i8")
        for name, day in zip(log.offers.column("customer").tolist(), days.tolist(), strict=True):
            if name in place and seen.day - CONTACT_DAYS <= day < seen.day:
                contacts[place[name]] += 1
    facts: dict[str, Any] = {name: getattr(log, name) for name in ("customers", "items", "category", "brand", "price", "cost", "stock")}
    return Shop(**facts, contacts=contacts, seen=seen)


@dataclass(frozen=True, slots=True)
class Profiles:
    """What is known of several customers: entries (row, item) with orders and last day, and per row how they buy.

    Entries of the basket at hand have a count of nought: they speak for others but are never offered.
    """

    size: int
    row: Array
    item: Array
    count: Array
    last: Array
    orders: Array  # per row
    latest: Array
    person: Array  # per row: number of the customer, -1 where unknown

    def take(self, rows: Array) -> Profiles:
        """Return some rows, in order."""
        new = np.full(self.size, -1)
        new[rows] = np.arange(len(rows))
        keep = new[self.row] >= 0
        of_entry = {name: getattr(self, name)[keep] for name in ("item", "count", "last")}
        of_row = {name: getattr(self, name)[rows] for name in ("orders", "latest", "person")}
        return Profiles(len(rows), new[self.row[keep]], **of_entry, **of_row)


def profiles(shop: Shop, people: Array, baskets: Sequence[Sequence[int]] | None = None) -> Profiles:
    """Return the profiles of customers by number (-1: unknown), each with the items of a basket on top."""
    seen = shop.seen
    known = np.maximum(people, 0)
    sizes = np.where(people >= 0, seen.start[known + 1] - seen.start[known], 0)
    row = np.repeat(np.arange(len(people)), sizes)
    place = np.repeat(seen.start[known] - (np.cumsum(sizes) - sizes), sizes) + np.arange(len(row))
    item, count, last = seen.item[place], seen.count[place], seen.last[place]
    if baskets is not None and any(baskets):
        extra = [(at, one) for at, basket in enumerate(baskets) for one in basket]
        rows, items = (np.array(part, "i8") for part in zip(*extra, strict=True))
        row, item = np.concatenate([row, rows]), np.concatenate([item, items])
        count, last = np.concatenate([count, np.zeros(len(rows), "i8")]), np.concatenate([last, np.full(len(rows), seen.day)])
        key = row * len(shop.items) + item
        _, first = np.unique(key[::-1], return_index=True)  # the basket's entry stands for one the customer has already
        kept = np.sort(len(key) - 1 - first)
        row, item, count, last = row[kept], item[kept], count[kept], last[kept]
    orders = np.where(people >= 0, seen.orders[known], 0)
    here = np.array([bool(basket) for basket in baskets]) if baskets is not None else np.zeros(len(people), bool)
    latest = np.where(people >= 0, seen.latest[known], np.where(here, seen.day, NEVER))  # who has a basket at hand is here now
    return Profiles(len(people), row, item, count, last, orders, latest, people)


def _objects(values: Sequence[str | None]) -> Array:
    made = np.empty(len(values), object)
    made[:] = values
    return made
