"""Orders and views of the sample company's card holders."""

from __future__ import annotations

import numpy as np

from tradewind.core.table import Array
from tradewind.models._kit.world_chance import labels, stream
from tradewind.models._kit.world_days import Days
from tradewind.models._kit.world_market import Market, listed
from tradewind.models._kit.world_people import People
from tradewind.models._kit.world_promotions import Effects

_WAIT = 14  # a bargain hunter moves an order by up to two weeks to meet a promotion


def make_orders(seed: int, people: People, market: Market, days: Days, effects: Effects) -> dict[str, Array]:
    """Draw every order line. An order "on promotion" is moved to a day on which one of the customer's products is promoted."""
    rng = stream(seed, "orders")
    shelves = _repertoires(rng, people, market)
    size = np.minimum(people.breadth, len(market.products))
    number = np.maximum(1, rng.poisson(people.rate * (people.leaves - people.joined) / 365))
    who = np.repeat(np.arange(len(number)), number)
    day = (people.joined[who] + rng.random(len(who)) * (people.leaves - people.joined)[who]).astype(int)
    day = _open_day(np.clip(day, 0, days.history - 1), days)
    value = (people.spend[who] * np.exp(0.5 * rng.normal(size=len(who))))[:, None]
    live = listed(market, days)
    wants = rng.random(len(who)) < people.promoted[who]
    day, slot = _meet(rng, who, day, wants, people=people, shelves=shelves, size=size, running=effects.running, days=days)
    lines = 1 + rng.poisson(np.maximum(size / number - 1, 0.0)[who] + 0.6)
    order = np.repeat(np.arange(len(who)), lines)
    product = _products(rng, order, who[order], shelves=shelves, size=size)
    product = _avoid(
        rng, product, who[order], day[order], bargain=slot[order] >= 0, people=people, shelves=shelves, size=size, running=effects.running
    )
    leading = np.r_[True, order[1:] != order[:-1]] & (slot[order] >= 0)
    product = np.where(leading, shelves[who[order], np.maximum(slot[order], 0)], product)
    away = ~live[product, people.store[who[order]], day[order]]
    product = np.where(away, shelves[who[order], 0], product)
    share = (value / lines[:, None])[order, 0]
    return _lines(rng, order, who, day, product=product, share=share, people=people, market=market, days=days, effects=effects)


def _repertoires(rng: np.random.Generator, people: People, market: Market) -> Array:
    """Return N x P: each customer's products in order of liking (Gumbel draw); the first is one that never leaves the range."""
    score = people.affinity + rng.gumbel(size=people.affinity.shape)
    lasting = (market.first == 0) & (market.last == market.last.max())
    best = np.where(lasting, score, -np.inf).argmax(1)
    score[np.arange(len(best)), best] = np.inf
    return np.argsort(-score, axis=1, kind="stable")


def _open_day(day: Array, days: Days) -> Array:
    later = np.where(days.closed[day], day + 1, day)
    return np.where(later >= days.history, day - 1, later)


def _meet(
    rng: np.random.Generator,
    who: Array,
    day: Array,
    wants: Array,
    *,
    people: People,
    shelves: Array,
    size: Array,
    running: Array,
    days: Days,
) -> tuple[Array, Array]:
    """Return the day of each order and the place in the repertoire of its promoted product (-1 where it has none)."""
    day, slot = day.copy(), np.full(len(day), -1)
    places = np.arange(int(size.max()))
    for move in sorted(range(-_WAIT, _WAIT + 1), key=abs):
        todo = np.flatnonzero(wants & (slot < 0))
        moved = day[todo] + move
        fine = (moved >= people.joined[who[todo]]) & (moved < days.history) & ~days.closed[np.clip(moved, 0, days.history - 1)]
        todo, moved = todo[fine], moved[fine]
        if not len(todo):
            continue
        mine = shelves[who[todo]][:, places]
        on = (running[mine, people.store[who[todo]][:, None], moved[:, None]] >= 0) & (places < size[who[todo]][:, None])
        hit = on.any(1)
        pick = np.where(on, rng.random(on.shape), -1.0).argmax(1)
        slot[todo[hit]], day[todo[hit]] = pick[hit], moved[hit]
    return day, slot


def _products(rng: np.random.Generator, order: Array, who: Array, *, shelves: Array, size: Array) -> Array:
    """Return the product of each line: every product of the repertoire once at a random time, favourites again and again."""
    key = rng.random(len(order))
    by_customer = np.lexsort((key, who))
    first = np.r_[True, who[by_customer][1:] != who[by_customer][:-1]]
    start = np.maximum.accumulate(np.where(first, np.arange(len(who)), 0))
    rank = np.empty(len(who), int)
    rank[by_customer] = np.arange(len(who)) - start
    again = (size[who] * rng.random(len(who)) ** 2).astype(int)
    return np.asarray(shelves[who, np.where(rank < size[who], rank, again)])


def _avoid(
    rng: np.random.Generator,
    product: Array,
    who: Array,
    day: Array,
    *,
    bargain: Array,
    people: People,
    shelves: Array,
    size: Array,
    running: Array,
) -> Array:
    """Return the lines of ordinary orders with products that are not on promotion that day, as far as the repertoire allows."""
    product = product.copy()
    for _ in range(6):
        bad = np.flatnonzero(~bargain & (running[product, people.store[who], day] >= 0))
        product[bad] = shelves[who[bad], (size[who[bad]] * rng.random(len(bad))).astype(int)]
    return product


def _lines(
    rng: np.random.Generator,
    order: Array,
    who: Array,
    day: Array,
    *,
    product: Array,
    share: Array,
    people: People,
    market: Market,
    days: Days,
    effects: Effects,
) -> dict[str, Array]:
    """Return the orders table: numbered by date, one line per product, amount = quantity x price paid that day."""
    dated = np.lexsort((np.arange(len(day)), day))
    place = np.empty(len(day), int)
    place[dated] = np.arange(len(day))
    key, inverse = np.unique(place[order] * len(market.products) + product, return_inverse=True)
    source, item = dated[key // len(market.products)], key % len(market.products)
    at = (item, people.store[who[source]], day[source])
    price = effects.paid[at]
    money = np.bincount(inverse, weights=share, minlength=len(key))
    quantity = np.maximum(1, np.rint(money / price))
    promotion = np.array([*effects.names, None], dtype=object)[effects.running[at]]
    channel = np.where(rng.random(len(day)) < 0.35, "online", "store").astype(object)[source]
    return {
        "order": labels("O", len(day), 6)[key // len(market.products)],
        "date": days.dates[day[source]],
        "customer": people.names[who[source]],
        "product": market.products[item],
        "quantity": quantity,
        "amount": np.round(quantity * price, 2),
        "unit_price": price,
        "promotion": promotion,
        "channel": channel,
    }


def make_views(seed: int, people: People, market: Market, days: Days) -> dict[str, Array]:
    """Draw views and baskets while the customer is active, by taste; a basket counts 3, a view 1."""
    rng = stream(seed, "views")
    number = rng.poisson(np.clip(people.rate, 2.0, 40.0))
    who = np.repeat(np.arange(len(number)), number)
    chance = np.exp(people.affinity - people.affinity.max(1, keepdims=True)).cumsum(1)
    product = (rng.random(len(who))[:, None] * chance[who, -1:] > chance[who]).sum(1)
    moment = people.joined[who] + rng.random(len(who)) * (people.leaves - people.joined)[who]
    seen = (moment >= market.first[product]) & (moment <= market.last[product]) & (moment < days.history)
    who, product, moment = who[seen], product[seen], moment[seen]
    basket = rng.random(len(who)) < 0.25
    time = days.dates[0].astype("M8[us]") + (moment * 86_400).astype("m8[s]")
    order = np.lexsort((product, who, time))
    rows = {
        "customer": people.names[who],
        "item": market.products[product],
        "time": time,
        "kind": np.where(basket, "basket", "view").astype(object),
    }
    return {name: values[order] for name, values in rows.items()} | {"value": np.where(basket, 3.0, 1.0)[order]}
