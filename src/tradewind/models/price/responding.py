"""What the planner of prices is told: products, today's prices, and draws of how units answer to every price."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tradewind.core.errors import BadValue
from tradewind.models._kit.trade.book import Book
from tradewind.models._kit.trade.levers import SIBLINGS, SISTERS
from tradewind.models.price.answering import _signed
from tradewind.models.price.recommend import Market, Question, market
from tradewind.models.price.state import AHEAD, Priced

Array = np.ndarray[Any, Any]
_PLAIN = ("price", "cost", "floor", "ceiling", "move", "competitor_price", "display", "feature")


def responded(state: Priced, request: Mapping[str, Any]) -> dict[str, Array]:
    """Answer a request about "prices".

    `product` names the products, all that still sell where left out. Per product (P): `product`, `category`, `brand`, `price`, `cost`
    (NaN where unknown), `units` per period, `signed` (1 where demand is known to fall with its price), `lowest` and `highest` (prices ever
    seen, NaN where not known). `weight` is one number, of the second form. As draws x P: `own` and `own_second` (elasticity at today's
    price under either form), `siblings`, `sisters` and the same with `_second`: log change of a product's units per log (or relative)
    change of the mean price of its category's others, and of its brand's. `stays` (draws) is the share of the units leaving a product that
    other categories catch, by what they sell.
    """
    if request.get("about") != "prices":
        raise BadValue(f"price responds to prices, not to {request.get('about')!r}")
    book = state.book
    wanted = request.get("product")
    living = sorted(set(book.product[book.living].tolist()))
    names = [str(name) for name in wanted] if wanted is not None else [str(book.products[at]) for at in living]
    asks = [_question(book, name) for name in names]
    markets = [market(state, one) for one in asks]
    second = [market(state, one, second=True) for one in asks]
    costs = np.array([_weighted(one.cost, one) for one in markets])
    told = request.get("cost")
    if told is not None:
        given = np.asarray(told, "f8")
        costs = np.where(np.isfinite(given), given, costs)
    places = [one.product for one in asks]
    out = {
        "product": np.array(names, object),
        "category": np.array([str(book.categories[at]) for at in places], object),
        "brand": np.array([str(book.brands[at]) for at in places], object),
        "price": np.array([_weighted(one.now, one) for one in markets]),
        "cost": costs,
        "units": np.array([float(one.units.mean(0).sum()) for one in markets]),
        "weight": np.array([state.weight]),
        "signed": np.array([float(_signed(state, one.product, one.series)) for one in asks]),
        "stays": state.stays,
        "lowest": np.array([np.fmin.reduce(state.seen[one.series, 0]) for one in asks], "f8"),
        "highest": np.array([np.fmax.reduce(state.seen[one.series, 1]) for one in asks], "f8"),
    }
    for end, found, held in (("", markets, state.book), ("_second", second, state.second)):
        out[f"own{end}"] = np.stack([_mean(one.own * (one.scale if end else 1.0), one) for one in found], 1)
        for name in (SIBLINGS, SISTERS):
            out[f"{name}{end}"] = np.stack([_mean(held.draws_of(name, ask.series), one) for ask, one in zip(asks, found, strict=True)], 1)
    return out


def _question(book: Book, name: str) -> Question:
    series = book.series_of(name, None)
    periods = np.arange(min(AHEAD[book.clock.grain.name], book.base.shape[1]))
    return Question(int(book.product[series[0]]), series, periods, dict.fromkeys(_PLAIN, np.nan), "")


def _weighted(values: Array, one: Market) -> float:
    weight = one.units.mean(0)
    return float((values * weight).sum() / max(float(weight.sum()), 1e-12))


def _mean(values: Array, one: Market) -> Array:
    weight = one.units.mean(0)
    found: Array = (values * weight).sum(1) / max(float(weight.sum()), 1e-12)
    return found
