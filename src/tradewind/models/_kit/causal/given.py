"""What is given to an estimator: arrays, frames or tables become checked numpy arrays, or a typed error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.core.errors import BadValue, EmptyTable, InvalidInput
from tradewind.core.table import Table

Array = np.ndarray[Any, Any]


def numbers(values: Any, name: str, *, rows: int | None = None, constant: bool = False) -> Array:
    """Return a column of finite numbers; raises BadValue where one is missing, or all are equal and `constant` is not allowed."""
    made = _plain(values, name)
    if made.ndim != 1:
        raise InvalidInput(f"{name} must be one column, not an array of shape {made.shape}")
    _long(len(made), name, rows)
    if not np.isfinite(made).all():
        gone = int((~np.isfinite(made)).sum())
        raise BadValue(f"{name} has {gone} missing or infinite values", hint="fill or drop those rows first, and say which you did")
    if not constant and np.ptp(made) == 0:
        raise BadValue(f"{name} is the same in every row: there is nothing to explain or to compare")
    return made


def flags(values: Any, name: str, *, rows: int | None = None) -> Array:
    """Return a column of zeros and ones in which both occur; raises BadValue."""
    made = numbers(values, name, rows=rows, constant=True)
    if not np.isin(made, (0.0, 1.0)).all():
        raise BadValue(f"{name} must be 0 or 1", hint="1 for those it was done to, 0 for the others")
    if np.ptp(made) == 0:
        which = "untreated" if made[0] else "treated"
        raise BadValue(f"{name} is {made[0]:.0f} in every row: there is no {which} one to compare with")
    return made


def matrix(values: Any, name: str, *, rows: int | None = None, missing: bool = False) -> tuple[Array, tuple[str, ...]]:
    """Return columns of numbers as (rows, columns) and their names, which are empty for a plain array.

    A frame or table is taken column by column. Missing values are allowed where `missing` is set, infinite ones never.
    """
    names = names_of(values)
    made = _plain(values, name)
    if made.ndim == 1:
        made = made[:, None]
    if made.ndim != 2 or made.shape[1] == 0:
        raise InvalidInput(f"{name} must be a table of numbers, one row per case")
    _long(len(made), name, rows)
    if np.isinf(made).any() or (not missing and np.isnan(made).any()):
        raise BadValue(f"{name} has missing or infinite values", hint="fill or drop those rows first, and say which you did")
    return made, names


def names_of(values: Any) -> tuple[str, ...]:
    """Return the column names of a table or frame; none of an array."""
    if isinstance(values, Table):
        return values.names
    columns = getattr(values, "columns", None)
    return () if columns is None else tuple(map(str, columns))


def labels(values: Any, name: str, *, rows: int | None = None) -> tuple[Array, Array]:
    """Return the number of each row's label and the sorted labels; raises BadValue where one is missing."""
    made = np.asarray(values)
    if made.ndim != 1:
        raise InvalidInput(f"{name} must be one column")
    _long(len(made), name, rows)
    if _gone(made).any():
        raise BadValue(f"{name} has missing values", hint="every row must say whose it is")
    known, number = np.unique(made.astype(str) if made.dtype == object else made, return_inverse=True)
    return number.reshape(-1), known


@dataclass(frozen=True, slots=True, eq=False)
class Panel:
    """An outcome by period and unit: `outcome` has shape (periods, units), periods in order of time."""

    outcome: Array
    times: Array
    units: Array

    def unit(self, name: Any) -> int:
        """Return the place of a unit; raises BadValue."""
        found = np.flatnonzero(self.units.astype(str) == str(name))
        if not len(found):
            raise BadValue(f"there is no unit {name!r}", hint=f"units: {', '.join(map(str, self.units[:12]))}")
        return int(found[0])

    def period(self, time: Any) -> int:
        """Return how many periods lie before a time; raises BadValue where none or all do."""
        at = int((self.times < np.asarray(time).astype(self.times.dtype)).sum())
        if at in (0, len(self.times)):
            raise BadValue(f"no period lies {'before' if at == 0 else 'at or after'} {time}", hint="periods on both sides are needed")
        return at


def panel(unit: Any, time: Any, outcome: Any) -> Panel:
    """Lay long rows out as one row per period and one column per unit.

    Raises BadValue for a missing value, two rows of one unit and period, and a period that some unit lacks: an estimator
    that filled the hole would invent the answer.
    """
    value = numbers(outcome, "outcome")
    who, units = labels(unit, "unit", rows=len(value))
    when, times = labels(time, "time", rows=len(value))
    if len(units) < 2:
        raise BadValue("there is one unit only: there is no control to compare it with")
    count = np.zeros((len(times), len(units)), "i8")
    np.add.at(count, (when, who), 1)
    if (count > 1).any():
        row, column = np.argwhere(count > 1)[0]
        raise BadValue(
            f"{int((count > 1).sum())} pairs of unit and time have several rows, such as {units[column]} at {times[row]}",
            hint="sum or drop duplicate rows first",
        )
    if (count == 0).any():
        row, column = np.argwhere(count == 0)[0]
        raise BadValue(
            f"{int((count == 0).sum())} pairs of unit and time have no row, such as {units[column]} at {times[row]}",
            hint="drop the unit or the period, or fill the gap with what is known",
        )
    made = np.empty(count.shape)
    made[when, who] = value
    return Panel(made, times, units)


def _plain(values: Any, name: str) -> Array:
    given: Any = values
    if isinstance(values, Table):
        given = np.stack([values.column(column) for column in values.names], 1) if len(values.names) else np.empty((len(values), 0))
    elif hasattr(values, "to_numpy"):
        given = values.to_numpy()
    try:
        return np.asarray(given, "f8")
    except (TypeError, ValueError) as error:
        raise BadValue(f"{name} must hold numbers", hint="turn text into numbers or flags first") from error


def _long(rows: int, name: str, wanted: int | None) -> None:
    if rows == 0:
        raise EmptyTable(f"{name} has no rows")
    if wanted is not None and rows != wanted:
        raise InvalidInput(f"{name} has {rows:,} rows where {wanted:,} are expected")


def _gone(values: Array) -> Array:
    if values.dtype.kind == "M":
        return np.isnat(values)
    if values.dtype.kind == "f":
        return np.isnan(values)
    if values.dtype == object:
        return np.array([value is None or (isinstance(value, float) and np.isnan(value)) for value in values], bool)
    return np.zeros(len(values), bool)
