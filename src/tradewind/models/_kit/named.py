"""Columns that a business table leaves open, found by the names they usually have, however these are written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

SOLD = (
    r"customer|order|revenue|sales|turnover|units"
    r"|kunde|bestell|umsatz|erl(ö|oe)s|absatz|client|commande|venta|vente|pedido|fatturat|ricav|receita|omzet|klant"
)
"""Names of what comes of selling, as a part of a pattern."""
WON = (
    "acquired",
    "new_customers",
    "customers",
    "conversions",
    "acquisitions",
    "signups",
    "sign_ups",
    "leads",
    "bookings",
    "orders",
    "neukunden",
    "anmeldungen",
    "bestellungen",
)
"""Names of the column of outcomes that counts customers won, the likeliest first."""
RIVALS = re.compile(r"competitor|competition|rival|industry|wettbewerb|konkurren|concurren|competid|competen|concorren", re.IGNORECASE)
"""Names of what others do: it moves with demand, and is no result of one's own spend or price."""

ADDS_UP = 0.005  # share of the total by which credited channels may miss it and still be its parts


def named(columns: Iterable[str], wanted: Sequence[str]) -> str | None:
    """Return the column that has the first of the wanted names, as it stands or in another writing: `New Customers` is `new_customers`."""
    there = list(columns)
    tight = {_tight(name): name for name in reversed(there)}
    for name in wanted:
        if name in there:
            return name
    return next((tight[_tight(name)] for name in wanted if _tight(name) in tight), None)


def whole(frame: Any, columns: Sequence[str]) -> str | None:
    """Return the only column, or the one that all others are parts of: `Sales` beside `Sales Direct` and `Sales Email`."""
    if len(columns) == 1:
        return columns[0]
    rest = set(columns) - parts(frame, columns)
    return rest.pop() if len(rest) == 1 else None


def parts(frame: Any, columns: Sequence[str]) -> set[str]:
    """Return the columns that are parts of another one: those that begin with its name, where together they add up to it."""
    begin = {name: [other for other in columns if other.startswith((f"{name} ", f"{name}_"))] for name in columns}
    return {part for name, own in begin.items() if len(own) > 1 and adds_up(frame, name, own) for part in own}


def adds_up(frame: Any, name: str, own: list[str]) -> bool:
    """Tell whether columns are the parts of a whole."""
    import polars as pl

    gap = frame.select(((pl.sum_horizontal(own) - pl.col(name)).abs().sum()) / pl.col(name).abs().sum()).item()
    return gap is not None and gap <= ADDS_UP


def _tight(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()
