"""What segments are made of: columns of the modelling table as standardised numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.core.errors import BadValue, LearnFailed
from tradewind.core.table import Array, Table
from tradewind.models._kit.customers.attributes import PREFIX
from tradewind.models.segments import BEHAVIOUR

FURTHEST = 5.0  # standard deviations beyond which nobody is set further apart
TWO_VALUED = 0.5  # weight of a yes or no: a full one would split every group in two
SKEWED = 2.0
MOST = 1e15


@dataclass(frozen=True, slots=True)
class Inputs:
    """One entry per dimension: its column, the word it stands for (text columns), its scale, mean, deviation and weight."""

    columns: tuple[str, ...]
    words: tuple[str, ...]
    logged: Array
    mean: Array
    deviation: Array
    weight: Array

    def matrix(self, table: Table) -> Array:
        """Return the rows as standardised numbers; what is missing, or a word never seen, stands in the middle."""
        return self.scaled(self.raw(table))

    def raw(self, table: Table) -> Array:
        """Return the rows in their own units, NaN where missing; raises BadValue for values below zero where logs are taken."""
        read = {name: table.column(name) for name in dict.fromkeys(self.columns)}
        found = np.empty((len(table), len(self.columns)))
        for place, (name, word) in enumerate(zip(self.columns, self.words, strict=True)):
            found[:, place] = _is(read[name], word) if word else read[name].astype("f8")
        if (found[:, self.logged] < 0).any():
            low = next(name for name, bad in zip(self.columns, (found < 0).any(0) & self.logged, strict=True) if bad)
            raise BadValue(f"{low} cannot be below zero")
        return found

    def scaled(self, raw: Array) -> Array:
        """Return raw rows as standardised numbers."""
        bounded = np.clip(raw, -MOST, MOST)
        value = np.where(self.logged, np.log1p(np.where(self.logged, np.maximum(bounded, 0), 0)), bounded)
        placed = np.clip((value - self.mean) / self.deviation, -FURTHEST, FURTHEST) * self.weight
        return np.where(np.isnan(placed), 0.0, placed)

    @property
    def titles(self) -> tuple[str, ...]:
        """Return each dimension's name as it is told."""
        return tuple(
            name.removeprefix(PREFIX) + (f" = {word}" if word else "") for name, word in zip(self.columns, self.words, strict=True)
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the inputs as plain data."""
        numbers = {name: getattr(self, name).tolist() for name in ("logged", "mean", "deviation", "weight")}
        return {"columns": list(self.columns), "words": list(self.words), **numbers}

    @classmethod
    def from_dict(cls, said: Mapping[str, Any]) -> Inputs:
        """Read the inputs back."""
        numbers = (np.array(said[name], "f8") for name in ("mean", "deviation", "weight"))
        return cls(tuple(said["columns"]), tuple(said["words"]), np.array(said["logged"], bool), *numbers)


def _is(values: Array, word: str) -> Array:
    return np.array([np.nan if value is None else float(value == word) for value in values.tolist()])


def learned(table: Table) -> Inputs:
    """Return the inputs of a modelling table: behaviour where there are orders, otherwise what the customers table says.

    Raises LearnFailed where every column has one value only.
    """
    wanted = [(name, "", True) for name in BEHAVIOUR if name in table] or _described(table)
    columns: list[str] = []
    words: list[str] = []
    logged: list[bool] = []
    numbers: list[tuple[float, float, float]] = []
    for name, word, skewed in wanted:
        values = _is(table.column(name), word) if word else table.column(name).astype("f8")
        take_log = skewed and name != "promoted"
        seen = np.log1p(np.maximum(values, 0)) if take_log else values
        if np.isnan(seen).all() or np.nanstd(seen) < 1e-9 * max(1.0, float(np.nanmax(np.abs(seen)))):
            continue
        columns, words, logged = [*columns, name], [*words, word], [*logged, take_log]
        numbers.append((float(np.nanmean(seen)), float(np.nanstd(seen)), TWO_VALUED if len(np.unique(seen[~np.isnan(seen)])) == 2 else 1.0))
    if not columns:
        raise LearnFailed("all customers look the same: no column tells them apart", hint="load orders, or more about customers")
    mean, deviation, weight = (np.array(part, "f8") for part in zip(*numbers, strict=True))
    return Inputs(tuple(columns), tuple(words), np.array(logged, bool), mean, deviation, weight)


def _described(table: Table) -> list[tuple[str, str, bool]]:
    """Return (column, word, whether its log is taken) of what the customers table says."""
    found: list[tuple[str, str, bool]] = []
    for name in (one for one in table.names if one.startswith(PREFIX)):
        values = table.column(name)
        if values.dtype == object:
            levels = sorted({value for value in values.tolist() if value is not None})
            found += [(name, word, False) for word in (levels[1:] if len(levels) == 2 else levels)]
            continue
        seen = values[~np.isnan(values)].astype("f8")
        spread = seen.std() if len(seen) else 0.0
        skew = float((((seen - seen.mean()) / spread) ** 3).mean()) if spread > 0 else 0.0
        found.append((name, "", bool(len(seen) and seen.min() >= 0 and skew > SKEWED)))
    return found
