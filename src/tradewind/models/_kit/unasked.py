"""What a question has that nobody asked for."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from tradewind.core.schema import Schema
from tradewind.core.table import Array, Table


def unasked(asks: Schema, asked: Table) -> list[str]:
    """Return what to say of columns that a model does not ask for: one sentence, or none."""
    strange = [name for name in asked.names if name not in asks]
    return [f"what is asked has columns that change nothing here: {', '.join(strange)}"] if strange else []


def given(values: Array) -> Array:
    """Return where a column of a question holds a value: not nothing, and no empty text."""
    if values.dtype.kind in "fM":
        return np.asarray(np.isfinite(values))
    return np.array([value not in (None, "") for value in values.tolist()], bool)


def without_effect(names: Iterable[str]) -> list[str]:
    """Return one note per column of a question that nothing was learned of."""
    return [f"column {name} was not there in training and changes nothing" for name in names]
