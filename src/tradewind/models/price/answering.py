"""From draws to the answer of a price question."""

from __future__ import annotations

from typing import Any

import numpy as np

from tradewind.core.errors import BadValue
from tradewind.core.table import Table
from tradewind.models._kit.intervals import LEVELS, quantiles
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

Array = np.ndarray[Any, Any]
OUTER = ("lo80", "hi80", "lo95", "hi95")


def answered(state: Priced, asked: Table) -> Table:
    """Return one row per question; columns of money only where every cost is known. Raises BadValue."""
    asks = questions(state, asked)
    rows = [_row(state, one) for one in asks]
    names = [name for name in rows[0] if all(name in row for row in rows)]
    columns: dict[str, Array] = {"product": state.book.products[[one.product for one in asks]]}
    for name in names:
        values = [row[name] for row in rows]
        columns[name] = np.array(values, object) if isinstance(values[0], str) else np.array(values, "f8")
    return Table.from_columns(columns, MODEL.gives)


def _row(state: Priced, one: Question) -> dict[str, Any]:
    first = market(state, one)
    costed = bool(np.isfinite(first.cost).all())
    tried = bool(np.isfinite(one.told["price"]))
    if not costed and not tried:
        name = state.book.products[one.product]
        raise BadValue(f"product {name!r} has no cost: no price can be called best", hint="give cost with the question, or load unit_cost")
    now = usual_price(first)
    signed = _signed(state, one)
    second = market(state, one, second=True) if costed else first
    if tried:
        ratio, verdict = one.told["price"] / now, "tried"
    elif signed:
        ratio = best(first, second, one)
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


def _signed(state: Priced, one: Question) -> bool:
    """Tell whether data say anything of how demand answers to this price, and that it falls with it."""
    if state.book.place(PRICE) < 0 or state.learned[one.product] < FEWEST_LEARNED:
        return False
    own = state.book.draws_of(PRICE, one.series).mean(1)
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
    unsigned = [str(state.book.products[one.product]) for one in asks if not _signed(state, one)]
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
    return said + unasked(MODEL.asks, asked)
