"""Columns that a business table leaves open, found by the names they usually have, however these are written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

SOLD = (
    r"customer|order|revenue|sales|turnover|units"
    r"|kunde|bestell|umsatz|erl(ö|oe)s|absatz|client|commande|venta|vente|pedido|fatturat|ricav|receita|omzet|klant"
)
"""Names of what comes of selling, as a part of a pattern."""
RIVALS = re.compile(r"competitor|competition|rival|industry|wettbewerb|konkurren|concurren|competid|competen|concorren", re.IGNORECASE)
"""Names of what others do: it moves with demand, and is no result of one's own spend or price."""


def named(columns: Iterable[str], wanted: Sequence[str]) -> str | None:
    """Return the column that has the first of the wanted names, as it stands or in another writing: `New Customers` is `new_customers`."""
    there = list(columns)
    tight = {_tight(name): name for name in reversed(there)}
    for name in wanted:
        if name in there:
            return name
    return next((tight[_tight(name)] for name in wanted if _tight(name) in tight), None)


def whole(columns: Sequence[str]) -> str | None:
    """Return the only column, or the one that all others are parts of: `Sales` beside `Sales Direct` and `Sales Email`."""
    return next((name for name in columns if all(other == name or other.startswith(f"{name} ") for other in columns)), None)


def _tight(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()
