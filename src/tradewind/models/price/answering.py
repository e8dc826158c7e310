"""From draws to the answer of a price question."""

from __future__ import annotations

from typing import Any

import numpy as np

from tradewind.core.errors import BadValue
from tradewind.core.table import Table
from tradewind.models._kit.intervals import LEVELS, quantiles
from tradewind.models._kit.trade import stopped
from tradewind.models._kit.trade.levers import PRICE
from tradewind.models._kit.unasked import unasked
from tradewind.models.price import MODEL
from tradewind.models.price.recommend import (
    FEWEST_LEARNED,
    SIGNED,
    Question,
    best,
    chance_of,
    gains,
    market,
    questions,
    sold,
    usual_price,
)
from tradewind.models.price.state import Priced
from tradewind.models.price.unpriced import NO_PRICE, unpriced

Array = np.ndarray[Any, Any]
OUTER = ("lo80", "hi80", "lo95", "hi95")
SAME = 1e-5  # of a price, up to which it is one that was seen


def answered(state: Priced, asked: Table) -> Table:
    """Return one row per question; columns of money only where every cost is known. Raises BadValue."""
    asks = questions(state, asked)
    rows = _rows(state, asked)
    names = [name for name in rows[0] if all(name in row for row in rows)]
    columns: dict[str, Array] = {"product": state.book.products[[one.product for one in asks]]}
    for name in names:
        values = [row[name] for row in rows]
        columns[name] = np.array(values, object) if isinstance(values[0], str) else np.array(values, "f8")
    return Table.from_columns(columns, MODEL.gives)


def _rows(state: Priced, asked: Table) -> list[dict[str, Any]]:
    """Answer every question, once for the answer and what is to be said of it; raises BadValue."""
    kept, whose, found = state.memo.get("answered", (None, None, []))
    if kept is not asked or whose is not state:
        found = [_row(state, one) for one in questions(state, asked)]
        state.memo["answered"] = asked, state, found
    return list(found)


def _row(state: Priced, one: Question) -> dict[str, Any]:
    first = market(state, one)
    costed = bool(np.isfinite(first.cost).all())
    tried = bool(np.isfinite(one.told["price"]))
    name = str(state.book.products[one.product])
    now = usual_price(first)
    if not np.isfinite(now):
        raise BadValue(f"product {name!r} has no price: nothing can be said of one", hint="load sales with prices, or prices")
    if not costed and not tried:
        raise BadValue(f"product {name!r} has no cost: no price can be called best", hint="give cost with the question, or load unit_cost")
    signed = _signed(state, one.product, one.series)
    second = market(state, one, second=True) if costed else first
    if tried:
        ratio, verdict = one.told["price"] / now, "tried"
    elif signed:
        ratio = best(first, second, one, name)
        verdict = "keep" if abs(ratio - 1) < 1e-9 else "change"
    else:
        ratio, verdict = 1.0, "unsure"
    units = sold(first, ratio, "log")
    total = (units * chance_of(state.book, one)).sum(1)
    revenue = (units * (first.now * ratio)).sum(1)
    said: dict[str, Any] = {"price": now * ratio, "price_now": now, "mean": float(units.sum(1).mean())}
    said["revenue"] = float(revenue.mean())
    own = (first.own * first.units).sum(1) / np.maximum(first.units.sum(1), 1e-12)
    drawn = {"": total, "revenue_": revenue, "elasticity_": own}
    if costed:
        margin = (units * (first.now * ratio - first.cost)).sum(1)
        gain = gains(first, ratio, "log")
        other = gains(second, ratio, "exponential")
        drawn |= {"margin_": margin, "gain_": gain}
        said |= {"margin": float(margin.mean()), "gain": float(gain.mean())}
        said |= {"chance": float((gain > 0).mean()), "chance_second": float((other > 0).mean())}
    said |= _quantiles(drawn)
    said["elasticity"] = said.pop("elasticity_p50")
    said |= {"learned": float(np.clip(state.learned[one.product], 0, 1)), "verdict": verdict}
    return said


def left_out(state: Priced) -> dict[str, str]:
    """Return the products that still sell and get no recommendation, each with the reason."""
    return unpriced(state, lambda series: _signed(state, int(state.book.product[series[0]]), series))


def today(state: Priced) -> Table:
    """Return today's price of every product that still sells, to be tried; raises BadValue where none is known."""
    book = state.book
    lacking = left_out(state)
    names = [str(book.products[at]) for at in sorted(set(book.product[book.living].tolist()))]
    names = [name for name in names if lacking.get(name) != NO_PRICE]
    if not names:
        raise BadValue("no product that still sells has a price", hint="load sales with prices, or prices")
    plain = questions(state, Table.from_columns({"product": np.array(names, object)}))
    return Table.from_columns({"product": np.array(names, object), "price": np.array([usual_price(market(state, one)) for one in plain])})


def _signed(state: Priced, product: int, series: Array) -> bool:
    """Tell whether data say anything of how demand answers to this price, and that it falls with it."""
    if state.book.place(PRICE) < 0 or state.learned[product] < FEWEST_LEARNED:
        return False
    own = state.book.draws_of(PRICE, series).mean(1)
    return bool((own < 0).mean() >= SIGNED)


def _quantiles(drawn: dict[str, Array]) -> dict[str, float]:
    """Return all bounds of the units, the outer bounds and the median of everything else."""
    found = quantiles(np.stack(list(drawn.values())), LEVELS.values())
    said: dict[str, float] = {}
    for at, prefix in enumerate(drawn):
        for place, name in enumerate(LEVELS):
            if not prefix or name in OUTER or (name == "p50" and prefix == "elasticity_"):
                said[prefix + name] = float(found[place, at])
    return said


def notes(state: Priced, asked: Table) -> list[str]:
    """Return what an answer must say of what it rests on."""
    said = [
        "A change is recommended only where it gains with a probability of 80 % under two forms of demand; test it in some stores first."
    ]
    asks = questions(state, asked)
    products = sorted({one.product for one in asks})
    prior = [str(state.book.products[at]) for at in products if state.learned[at] < FEWEST_LEARNED]
    if prior:
        said.append(f"Prices of {len(prior)} products hardly moved, so nothing is recommended for them: {', '.join(prior[:5])}.")
    unsigned = [str(state.book.products[one.product]) for one in asks if not _signed(state, one.product, one.series)]
    unsigned = sorted(set(unsigned) - set(prior))
    if unsigned:
        said.append(
            f"Where {', '.join(unsigned[:5])} cost more they sold no less: prices seem to follow demand, so none can be called best."
            " Vary the price by chance in some stores."
        )
    if state.rest[0] > 0:
        share = f"{100 * state.rest[0]:.0f} % of what leaves a product"
        said.append(f"About {share} is bought in other categories of the store, and counts in the gain.")
    if not np.isfinite(state.book.cost).all():
        said.append("Siblings without a known cost do not count in the gain.")
    gone = stopped.words(state.book, np.concatenate([one.series for one in asks]))
    return [*said, *gone, *_unseen(state, asks, _rows(state, asked)), *_absent(state, asks), *unasked(MODEL.asks, asked)]


def _unseen(state: Priced, asks: list[Question], rows: list[dict[str, Any]]) -> list[str]:
    """Say which prices, tried or recommended, lie outside of all that a product ever had in these stores."""
    said: dict[str, None] = {}
    for one, row in zip(asks, rows, strict=True):
        low, high = np.fmin.reduce(state.seen[one.series, 0]), np.fmax.reduce(state.seen[one.series, 1])
        if row["price"] < low * (1 - SAME) or row["price"] > high * (1 + SAME):
            name = str(state.book.products[one.product])
            said.setdefault(f"{name} at {row['price']:.6g} (seen from {low:.6g} to {high:.6g})")
    if not said:
        return []
    return [f"Of {len(said)} prices outside of all that were seen demand is a guess: {', '.join(list(said)[:5])}."]


def _absent(state: Priced, asks: list[Question]) -> list[str]:
    """Say which products get no recommendation, where recommendations for several are asked."""
    tried = any(np.isfinite(one.told["price"]) for one in asks)
    absent = left_out(state)
    if tried and len(absent) == len(set(state.book.product[state.book.living].tolist())):
        return [f"No price is recommended for any product, so only prices that are given are tried: {_reasons(absent)}."]
    there = {str(state.book.products[one.product]) for one in asks}
    why = {name: reason for name, reason in absent.items() if name not in there}
    if tried or len(asks) < 2:
        return []
    if not why:
        return []
    return [f"No price is recommended for {len(why)} products, left out where all are asked: {_reasons(why)}."]


def _reasons(why: dict[str, str]) -> str:
    return ", ".join(f"{name} ({reason})" for name, reason in list(why.items())[:5])
