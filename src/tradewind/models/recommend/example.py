"""A shop where every customer's weekly chance to buy each item is known: four tastes, ten items each, two of them offers tested."""

from __future__ import annotations

import numpy as np

from tradewind.core.model import Example, Truth
from tradewind.core.table import Array, Table

CUSTOMERS, TASTES, EACH, DAYS = 240, 4, 10, 196
START = np.datetime64("2025-01-01")
VISITS = 0.12  # a day
AFTER = 28


def example(seed: int) -> Example:
    """Make the shop: a customer comes with a chance of 12 % a day and takes items by taste; the newest item of each taste is unsold."""
    rng = np.random.default_rng(seed)
    items = np.array([f"I{taste}{at:02d}" for taste in range(TASTES) for at in range(EACH)], object)
    people = np.array([f"C{at:03d}" for at in range(CUSTOMERS)], object)
    taste = np.arange(CUSTOMERS) % TASTES
    kind = np.repeat(np.arange(TASTES), EACH)
    love = rng.gamma(0.6, 1.0, (CUSTOMERS, len(items))) * np.where(kind[None, :] == taste[:, None], 0.35, 0.012)
    chance = np.clip(love, 0, 0.9)
    chance[:, EACH - 1 :: EACH] = 0.0  # the last item of each taste is new: nobody bought it yet
    tables = {"orders": _orders(rng, people, items, chance), "products": _products(items, kind), "treatments": _offers(rng, people)}
    return Example(tables, _truths(people, items, taste, chance), _asked(people, items))


def _orders(rng: np.random.Generator, people: Array, items: Array, chance: Array) -> Table:
    visit = rng.random((len(people), DAYS)) < VISITS
    who, day = np.nonzero(visit)
    taken = rng.random((len(who), len(items))) < chance[who]
    order, what = np.nonzero(taken)
    columns = {
        "order": np.array([f"O{one:05d}" for one in order.tolist()], object),
        "date": START + day[order],
        "customer": people[who[order]],
        "product": items[what],
        "quantity": np.ones(len(order)),
        "unit_price": 2.0 + what % EACH,
    }
    return Table.from_columns(columns)


def _products(items: Array, kind: Array) -> Table:
    category = np.array([f"taste {one}" for one in kind.tolist()], object)
    price = 2.0 + np.arange(len(items)) % EACH
    stock = np.where(np.arange(len(items)) == 3, 0.0, 50.0)
    columns = {"product": items, "category": category, "list_price": price, "unit_cost": 0.6 * price, "stock": stock}
    return Table.from_columns(columns)


def _offers(rng: np.random.Generator, people: Array) -> Table:
    """Return a randomised test: a voucher raises the chance to respond from 20 to 40 %."""
    arm = np.where(rng.random(len(people)) < 0.5, "voucher", "control").astype(object)
    taken = rng.random(len(people)) < np.where(arm == "voucher", 0.4, 0.2)
    date = np.full(len(people), START + DAYS - 20)
    half = np.full(len(people), 0.5)
    return Table.from_columns({"customer": people, "date": date, "arm": arm, "outcome": taken.astype("f8"), "propensity": half})


def _asked(people: Array, items: Array) -> Table:
    chosen = people[:12]
    basket = np.full(12, None, object)
    basket[0] = f"{items[0]}; {items[1]}"
    shelf = np.array(["any", "again", "discover"] * 4, object)
    return Table.from_columns({"customer": chosen, "basket": basket, "shelf": shelf, "k": np.full(12, 5.0)})


def _truths(people: Array, items: Array, taste: Array, chance: Array) -> tuple[Truth, ...]:
    place = {name: at for at, name in enumerate(people.tolist())}
    number = {name: at for at, name in enumerate(items.tolist())}
    true = 1 - (1 - VISITS * chance) ** AFTER

    def asked(shelf: str, k: int) -> Table:
        return Table.from_columns({"customer": people, "shelf": np.full(len(people), shelf, object), "k": np.full(len(people), float(k))})

    def pairs(answer: Table) -> tuple[Array, Array]:
        who = np.array([place[name] for name in answer.column("customer").tolist()])
        return who, np.array([number[name] for name in answer.column("item").tolist()])

    def right(answer: Table) -> float:
        who, what = pairs(answer)
        return float((what // EACH == taste[who]).mean())

    def gap(answer: Table) -> float:
        return float((answer.column("probability") - true[pairs(answer)]).mean())

    def ranked(answer: Table) -> float:
        """Return the true chances of what is offered as a share of the best that could have been."""
        best = np.sort(np.where(np.arange(len(items)) == 3, 0.0, true), axis=1)[:, ::-1][:, :5].sum()
        return float(true[pairs(answer)].sum() / best)

    new = Table.from_columns(
        {"basket": items[0 : 4 * EACH : EACH], "k": np.full(TASTES, 5.0), "shelf": np.full(TASTES, "discover", object)}
    )

    def first(answer: Table) -> float:
        what = np.array([number[name] for name in answer.column("item").tolist()])
        return float((what // EACH == answer.column("asked")).mean())

    return (
        Truth("share of five best chances that is offered", asked("any", 5), ranked, 1.0, 0.2),
        Truth("mean chance said less true chance, five of any", asked("any", 5), gap, 0.0, 0.06),
        Truth("share of the second new item that is of the customer's taste", asked("discover", 1), right, 1.0, 0.25),
        Truth("share of a new customer's offers that are of her one item's taste", new, first, 1.0, 0.15),
    )
