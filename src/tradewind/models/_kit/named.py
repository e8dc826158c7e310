"""Columns that a business table leaves open, found by the names they usually have, however these are written."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def named(columns: Iterable[str], wanted: Sequence[str]) -> str | None:
    """Return the column that has the first of the wanted names, as it stands or in another writing: `New Customers` is `new_customers`."""
    there = list(columns)
    tight = {_tight(name): name for name in reversed(there)}
    for name in wanted:
        if name in there:
            return name
    return next((tight[_tight(name)] for name in wanted if _tight(name) in tight), None)


def _tight(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()
