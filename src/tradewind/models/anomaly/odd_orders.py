"""Orders as rows: read from tables, judged, said in words and money."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tradewind.core.errors import BadValue, NotFound
from tradewind.core.table import Table
from tradewind.models.anomaly.grid import texts, time_of
from tradewind.models.anomaly.lines import BY, FIGURES, Lines, Orders, Verdicts
from tradewind.models.anomaly.watch import false_alarms

Array = np.ndarray[Any, Any]
ORDER = "order"
CHOICES = (ORDER, "product", "customer", "channel")
KEPT, LOOKED = 5_000, 100_000  # odd lines of the past that are kept, and latest lines among which they are looked for
BANDS = ("lo95", "lo90", "lo80", "lo50", "p50", "hi50", "hi80", "hi90", "hi95")
SAID = {"quantity": "quantity", "unit_price": "unit price", "amount": "amount"}
CLASS = "order"


def told_apart(table: Table) -> tuple[Table, Table | None]:
    """Part the rows of a table: those of series, and those of orders (None: there are none)."""
    if ORDER not in table:
        return table, None
    line = is_line(table)
    return table.take(~line), table.take(line) if line.any() else None


def is_line(table: Table) -> Array:
    """Tell which rows name an order."""
    return np.array([bool(text) for text in texts(table, ORDER)], bool)


def read(table: Table) -> Orders:
    """Lay rows out as lines: a unit price that is not said is amount over quantity; of returns the size counts."""
    figures = {name: table.column(name).astype("f8") if name in table else np.full(len(table), np.nan) for name in FIGURES}
    quantity, price, amount = (np.abs(figures[name]) for name in FIGURES)
    with np.errstate(divide="ignore", invalid="ignore"):
        paid = np.where(quantity > 0, amount / quantity, np.nan)
        price = np.where(np.isfinite(price), price, paid)
        ratio = np.where(np.isfinite(figures["unit_price"]) & (figures["unit_price"] != 0), paid / price, np.nan)
    found = {"quantity": np.where(quantity > 0, quantity, np.nan), "unit_price": price, "amount": ratio}
    names = {name: _text(texts(table, name)) for name in CHOICES}
    offers = texts(table, "offer")
    terms = [f"{channel}, on offer" if offer else channel for channel, offer in zip(names["channel"].tolist(), offers, strict=True)]
    return Orders(**names, terms=_text(terms), date=table.column(time_of(table)).astype("M8[us]").astype("M8[D]"), figures=found)


def _text(values: list[str]) -> Array:
    out = np.empty(len(values), object)
    out[:] = values
    return out


def with_past(lines: Lines, orders: Orders, budget: float) -> Lines:
    """Return what was learned with the odd lines among the latest of `orders` kept, the oddest if they are many."""
    latest = orders.take(np.sort(np.argsort(orders.date, kind="stable")[-LOOKED:]))
    said = lines.judge(latest)
    odd = np.flatnonzero(said.p <= budget)
    odd = np.sort(odd[np.argsort(-said.score[odd], kind="stable")[:KEPT]])
    return replace(lines, past=lines.past.beside(latest.take(odd)), last=max(lines.last, orders.date.max()))


def moved_on(lines: Lines, table: Table | None, budget: float) -> Lines:
    """Return what was learned with the odd ones among later lines kept; nothing is learned anew."""
    if table is None:
        return lines
    orders = read(table)
    later = orders.take(orders.date > lines.last)
    return with_past(lines, later, budget) if len(later) else lines


def asked_of(lines: Lines, asked: Table) -> Orders:
    """Return the asked lines: with the figures sent, else as kept; raises BadValue and NotFound."""
    if np.isnat(asked.column(time_of(asked)).astype("M8[us]")).any():
        raise BadValue("a date is missing", hint="every row needs the day of its order")
    orders = read(asked)
    bare = ~np.any([np.isfinite(value) for value in orders.figures.values()], 0)
    if not bare.any():
        return orders
    place = {key: at for at, key in enumerate(zip(lines.past.order.tolist(), lines.past.product.tolist(), strict=True))}
    keys = list(zip(orders.order[bare].tolist(), orders.product[bare].tolist(), strict=True))
    for key in keys:
        if key not in place:
            raise NotFound(f"order {key[0]} is not among the odd ones that are kept", hint='send its "quantity", "unit_price" or "amount"')
    known = lines.past.take(np.array([place[key] for key in keys], "i8"))
    figures = {name: value.copy() for name, value in orders.figures.items()}
    said = {name: getattr(orders, name).copy() for name in ("customer", "channel", "terms")}
    for name, value in figures.items():
        value[bare] = known.figures[name]
    for name, value in said.items():
        value[bare] = getattr(known, name)
    return replace(orders, figures=figures, **said)


def chosen(lines: Lines, since: Any, where: Mapping[str, Any]) -> Table | None:
    """Return the kept lines from a day on that fit, as questions; None where no line does or can."""
    if not set(where) <= set(CHOICES):
        return None
    fits = lines.past.date >= since
    for name, wanted in where.items():
        values = {str(one) for one in (wanted if isinstance(wanted, list) else [wanted])}
        fits &= np.array([str(value) in values for value in getattr(lines.past, name).tolist()], bool)
    if not fits.any():
        return None
    return Table.from_columns({name: getattr(lines.past, name)[fits] for name in (ORDER, "product", "date")})


def answer(lines: Lines, orders: Orders, budget: float) -> dict[str, Array]:
    """Return the columns of the answer for lines."""
    said = lines.judge(orders)
    rows = np.arange(len(orders))
    middle, spread = said.middle[rows, said.odd], said.spread[rows, said.odd]
    quantity = np.where(np.isfinite(orders.figures["quantity"]), orders.figures["quantity"], 0.0)
    price = np.where(np.isfinite(orders.figures["unit_price"]), orders.figures["unit_price"], 0.0)
    factor = np.where(said.odd == 2, quantity * price, 1.0)  # a ratio is said as the amount it makes
    value = np.stack([orders.figures[name] for name in FIGURES], 1)[rows, said.odd] * factor
    usual = np.exp(middle) * factor
    alert = said.p <= budget
    bands = {}
    for at, name in enumerate(BANDS):
        distance = np.array([ranks.distances[at] for ranks in lines.columns])[said.odd]
        bands[name] = np.exp(middle + distance * spread) * factor
    money = np.array([price, quantity, np.ones(len(rows))])[said.odd, rows]
    gap = np.where(np.isfinite(value), value, usual) - usual
    return {
        ORDER: orders.order,
        "metric": np.array(FIGURES, object)[said.odd],
        "product": orders.product,
        "store": np.full(len(rows), "", object),
        "date": orders.date,
        "units": value,
        "score": 1.0 / (1.0 + np.exp(-lines.ranks.odds(said.score, budget))),
        "p_value": said.p,
        "q_value": false_alarms(said.p[:, None], np.ones((len(rows), 1), bool))[:, 0],
        "alert": alert.astype("i8"),
        "mean": usual,
        **bands,
        "gap": gap,
        "incident": np.where(alert, np.array([f"order {name}" for name in orders.order.tolist()], object), ""),
        "severity": np.where(alert, np.abs(gap) * money, 0.0),
        "class": np.where(alert, CLASS, "").astype(object),
        "kind": np.where(alert, np.array([f"odd {SAID[FIGURES[at]]}" for at in said.odd.tolist()], object), ""),
        "driver": _text([_reason(orders, said, row, bands, value) if alert[row] else "" for row in rows.tolist()]),
    }


def _reason(orders: Orders, said: Verdicts, row: int, bands: Mapping[str, Array], value: Array) -> str:
    """Say which figure is odd, what is usual, and for whom."""
    figure = FIGURES[said.odd[row]]
    by = BY[said.odd[row]]
    who = f"product {orders.product[row]}" + (f", {by} {getattr(orders, by)[row]}" if by and getattr(orders, by)[row] else "")
    low, high = bands["lo90"][row], bands["hi90"][row]
    return f"{SAID[figure]} {value[row]:.4g}: usually {low:.4g} to {high:.4g} ({who}), {abs(said.z[row, said.odd[row]]):.1f} spreads away"
