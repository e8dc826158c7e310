"""The columns that are learned from, as one matrix of float32: numbers as they are, words as the number of their level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.core.errors import BadValue
from tradewind.core.table import Array, Table

LARGEST = 3e38


@dataclass(frozen=True, slots=True)
class Columns:
    """`levels` holds the words of a text column in order, and nothing for a number."""

    names: tuple[str, ...]
    levels: tuple[tuple[str, ...], ...]

    def matrix(self, table: Table) -> Array:
        """Return (rows, columns) float32; what is missing, absent or a word never seen is NaN. Raises BadValue for infinite numbers."""
        found = np.full((len(table), len(self.names)), np.nan, "f4")
        for name in table.names:
            if name not in self.names:
                continue
            at = self.names.index(name)
            values, levels = table.column(name), self.levels[at]
            if levels:
                place = {word: float(number) for number, word in enumerate(levels)}
                found[:, at] = [place.get(str(value), np.nan) if value is not None else np.nan for value in values.tolist()]
                continue
            numbers = values.astype("f8") if values.dtype != object else _numbers(values, name)
            if np.isinf(numbers).any():
                raise BadValue(f"{name} holds an infinite value")
            found[:, at] = np.minimum(np.maximum(numbers, -LARGEST), LARGEST)
        return found

    def never_seen(self, table: Table) -> list[tuple[str, str]]:
        """Return the columns of a table that hold a word nothing was learned of, with the first such word."""
        found = []
        for name, levels in zip(self.names, self.levels, strict=True):
            if levels and name in table:
                strange = (str(value) for value in table.column(name).tolist() if value is not None and str(value) not in levels)
                found += [(name, word) for word in [next(strange, None)] if word is not None]
        return found

    @property
    def words(self) -> Array:
        """Return how many levels each column has: 0 for a number."""
        return np.array([len(levels) for levels in self.levels])

    def as_dict(self) -> dict[str, Any]:
        """Return the columns as plain data."""
        return {"names": list(self.names), "levels": [list(one) for one in self.levels]}

    @classmethod
    def from_dict(cls, said: Mapping[str, Any]) -> Columns:
        """Read the columns back."""
        return cls(tuple(said["names"]), tuple(tuple(one) for one in said["levels"]))


def _numbers(values: Array, name: str) -> Array:
    try:
        return np.array([np.nan if value is None else float(value) for value in values.tolist()])
    except ValueError as error:
        raise BadValue(f"{name} must hold numbers") from error


def learned(table: Table, names: Sequence[str]) -> Columns:
    """Return the named columns that have more than one value, with the levels of their words."""
    kept: list[str] = []
    levels: list[tuple[str, ...]] = []
    for name in names:
        values = table.column(name)
        if values.dtype == object:
            found = sorted({str(value) for value in values.tolist() if value is not None})
            if len(found) < 2:
                continue
            kept, levels = [*kept, name], [*levels, tuple(found)]
            continue
        seen = values.astype("f8")
        seen = seen[np.isfinite(seen)]
        if len(seen) and seen.min() < seen.max():
            kept, levels = [*kept, name], [*levels, ()]
    return Columns(tuple(kept), tuple(levels))
