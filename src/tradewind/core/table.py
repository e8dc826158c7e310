"""A table: columns under a schema, and the digest that names it."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from tradewind.core.bundle import join, pack_pairs, split, unpack_arrays
from tradewind.core.errors import BadValue, InvalidInput, MissingColumn
from tradewind.core.schema import Column, Role, Schema, Type

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

Array = np.ndarray[Any, Any]
LARGE = 100_000  # rows from which a table is not held in two forms
SHORT = 256  # rows up to which columns are looked at together
UNKNOWN = np.full(1, np.nan)
LARGEST = float(np.finfo("f8").max)
DAY_LONG = 10  # letters of a date without a time
COMPACT = re.compile(r"^(\d{4})(\d\d)(\d\d)$")  # 20260105 is no year
ZONED = re.compile(r"([T ]\d\d[\d:.]*)(?:Z|[+-]\d\d(?::?\d\d)?)$")
EXACT = 1e15  # numbers above it have no six decimals to round to


class Table:
    """Immutable columns under a schema, held as a polars frame or as numpy columns.

    A worker holds numpy columns only and never imports polars; everywhere else `frame` is there. Dates are `datetime64[D]`,
    timestamps `datetime64[us]`, text is `object` with None where missing, a missing number is NaN.
    """

    __slots__ = ("_columns", "_digest", "_frame", "schema")

    def __init__(self, schema: Schema, *, frame: pl.DataFrame | None = None, columns: Mapping[str, Array] | None = None) -> None:
        self.schema = schema
        self._frame = frame
        self._columns: dict[str, Array] = dict(columns or {})
        self._digest = ""

    @classmethod
    def from_frame(cls, frame: Any, schema: Schema | None = None) -> Table:
        """Make a table of a polars, pandas or Arrow frame; without a schema types are read off the columns."""
        made = _polars(frame)
        return cls(_described(tuple(made.columns), tuple(map(_kind, made.dtypes)), schema), frame=made)

    @classmethod
    def from_columns(cls, columns: Mapping[str, Array], schema: Schema | None = None) -> Table:
        """Make a table of numpy columns of one length."""
        if len({len(column) for column in columns.values()}) > 1:
            raise InvalidInput("the columns of a table differ in length")
        if schema is not None and (chosen := _picked(schema, tuple(columns))) is not None:
            return cls(chosen, columns=columns)
        known = {column.name: column for column in schema} if schema else {}
        described = tuple(known.get(name) or Column(name, type=_type_of(column)) for name, column in columns.items())
        return cls(Schema(described, tuple(name for name in schema.key if name in columns) if schema else ()), columns=columns)

    @classmethod
    def from_rows(cls, rows: Sequence[Mapping[str, Any]], schema: Schema) -> Table:
        """Make a table of rows; every value is checked against its column and all bad ones are named at once."""
        if not isinstance(rows, Sequence) or any(not isinstance(row, Mapping) for row in rows):
            raise InvalidInput("rows must be a list of objects", hint='send {"rows": [{"column": value}, ...]}')
        names = dict.fromkeys(name for row in rows for name in row)
        wrong: list[dict[str, str]] = []
        columns = {
            name: _typed([row.get(name) for row in rows], schema.get(name) or Column(name, type=_guess(rows, name)), wrong)
            for name in names
        }
        missing = [name for name in schema.required if name not in names]
        wrong += [{"pointer": f"/rows/*/{name}", "message": "is missing"} for name in missing]
        if wrong:
            kind = MissingColumn if missing else BadValue
            raise kind(f"{wrong[0]['pointer']}: {wrong[0]['message']}", hint="the answer lists every bad field", fields=wrong[:100])
        return cls.from_columns(columns, schema)

    @classmethod
    def from_bytes(cls, data: bytes) -> Table:
        """Read a table from the wire."""
        parts = split(data)
        return cls(_read_schema(parts["schema"]), columns=unpack_arrays(parts["columns"]))

    def to_bytes(self) -> bytes:
        """Write the table for the wire: numpy columns, no code."""
        kept, frame = self._columns, self._frame  # what is only in the frame is not kept twice
        pairs = ((name, kept[name] if name in kept or frame is None else _numpy(frame.get_column(name))) for name in self.names)
        return join({"schema": _written(self.schema), "columns": pack_pairs(pairs)})

    @property
    def names(self) -> tuple[str, ...]:
        """Return the column names in order."""
        return tuple(self._frame.columns) if self._frame is not None else tuple(self._columns)

    def __len__(self) -> int:
        if self._frame is not None:
            return self._frame.height
        return len(next(iter(self._columns.values()))) if self._columns else 0

    def __contains__(self, name: object) -> bool:
        return name in self._columns or name in self.names

    def __repr__(self) -> str:
        return f"Table({len(self)} rows: {', '.join(self.names)})"

    def _repr_html_(self) -> str:
        return self.frame._repr_html_()

    def __getitem__(self, key: Any) -> Any:
        """Return what the polars frame returns: `table["p50"]`, `table[:5]`, `table[["date", "p50"]]`."""
        return self.frame[key]

    def column(self, name: str) -> Array:
        """Return one column as a numpy array; raises MissingColumn."""
        if name not in self._columns:
            if self._frame is None or name not in self._frame.columns:
                raise MissingColumn(f'column "{name}" is missing', hint=f"there are: {', '.join(self.names)}")
            self._columns[name] = _numpy(self._frame[name])
        return self._columns[name]

    @property
    def frame(self) -> pl.DataFrame:
        """Return the table as a polars frame."""
        if self._frame is None:
            import polars as pl

            made = {name: _series(name, array) for name, array in self._columns.items()}
            self._frame = pl.DataFrame(list(made.values()))
            if len(self._frame) >= LARGE:
                self._columns = {}  # held once; what is asked for again is read off the frame
        return self._frame

    def to_pandas(self) -> pd.DataFrame:
        """Return the table as a pandas frame."""
        return self.frame.to_pandas()

    def to_rows(self) -> list[dict[str, Any]]:
        """Return the rows as plain data: dates as ISO text, NaN as None."""
        plain = [_plain(self.column(name)) for name in self.names]
        return [dict(zip(self.names, row, strict=True)) for row in zip(*plain, strict=True)]

    def dated(self, schema: Schema) -> Table:
        """Return the table with texts read as dates where the schema says dates, as `from_rows` reads them; raises BadValue."""
        told = [column for column in schema if column.type in (Type.DATE, Type.TIMESTAMP) and column.name in self.names]
        wrong: list[dict[str, str]] = []
        made = {one.name: _typed(self.column(one.name).tolist(), one, wrong) for one in told if self.column(one.name).dtype == object}
        if wrong:
            raise BadValue(f"{wrong[0]['pointer']}: {wrong[0]['message']}", hint="the answer lists every bad field", fields=wrong[:100])
        return self.with_columns(made, *(one for one in told if one.name in made)) if made else self

    def select(self, names: Iterable[str]) -> Table:
        """Return the table with these columns."""
        chosen = tuple(names)
        if self._frame is not None:
            return Table(self.schema.select(chosen), frame=self._frame.select(chosen))
        return Table.from_columns({name: self.column(name) for name in chosen}, self.schema)

    def with_columns(self, columns: Mapping[str, Array], *described: Column) -> Table:
        """Return the table with columns added or replaced."""
        merged = {name: self.column(name) for name in self.names} | dict(columns)
        return Table.from_columns(merged, self.schema.with_columns(*described))

    def take(self, keep: Array) -> Table:
        """Return the rows that a mask or an index chooses."""
        if self._frame is not None:
            index = np.flatnonzero(keep) if keep.dtype == bool else keep
            return Table(self.schema, frame=self._frame[index])
        return Table(self.schema, columns={name: array[keep] for name, array in self._columns.items()})

    def digest(self) -> str:
        """Name the table by its content (SHA-256, hexadecimal)."""
        if not self._digest:
            self._digest = hashlib.sha256(self.to_bytes()).hexdigest()
        return self._digest

    def checked(self, schema: Schema) -> Table:
        """Return the same table if it has what the schema requires, inside the stated ranges, else raise."""
        missing, numbers, low, high = _judged(schema, self.names)
        if missing:
            raise MissingColumn(f'column "{missing}" is missing', hint=f"there are: {', '.join(self.names)}")
        arrays = [self.column(column.name) for column in numbers]
        least, most = _ends(arrays)
        fine = (least >= low) & (most <= high)  # NaN and infinity never are
        for at in () if fine.all() else np.flatnonzero(~fine).tolist():
            _check_numbers(arrays[at], numbers[at])
        return self


def _ends(arrays: Sequence[Array]) -> tuple[Array, Array]:
    """Return the least and the largest value of every column, NaN where it has none; short ones are looked at together."""
    if arrays and 0 < len(arrays[0]) <= SHORT and all(values.dtype == np.float64 for values in arrays):
        block = np.array(arrays)
        return block.min(1), block.max(1)
    some = [values if len(values) and values.dtype.kind in "biuf" else UNKNOWN for values in arrays]
    return np.array([values.min() for values in some], "f8"), np.array([values.max() for values in some], "f8")


def _check_numbers(values: Array, column: Column) -> None:
    """Raise BadValue for what a column may not hold; NaN is fine where nothing is required."""
    if values.dtype.kind not in "biuf":
        raise BadValue(f'column "{column.name}" must hold numbers')
    if values.dtype.kind == "f" and np.isinf(values).any():
        raise BadValue(f'column "{column.name}" holds an infinite value')
    # a target may be missing: rows of the future plan have none
    if column.required and column.role is not Role.TARGET and values.dtype.kind == "f" and np.isnan(values).any():
        raise BadValue(f'column "{column.name}" has missing values')
    low, high = column.minimum, column.maximum
    if (low is not None and (values < low).any()) or (high is not None and (values > high).any()):
        raise BadValue(f'column "{column.name}" {_allowed(low, high)}')


def _allowed(low: float | None, high: float | None) -> str:
    """Say which numbers a column may hold."""
    if low is not None and high is not None:
        return f"must lie between {low:g} and {high:g}"
    return f"must be at least {low:g}" if low is not None else f"must be at most {high:g}"


@lru_cache(maxsize=256)
def _picked(schema: Schema, names: tuple[str, ...]) -> Schema | None:
    """Return the schema of columns by name, None where it does not know them all."""
    known, there = {column.name: column for column in schema}, frozenset(names)
    if not known.keys() >= there:
        return None
    return Schema(tuple(known[name] for name in names), tuple(name for name in schema.key if name in there))


@lru_cache(maxsize=256)
def _judged(schema: Schema, names: tuple[str, ...]) -> tuple[str, tuple[Column, ...], Array, Array]:
    """Return the first required column that is missing among the names, or "", and the columns that hold numbers with their range."""
    there = frozenset(names)
    missing = next((column.name for column in schema if column.required and column.name not in there), "")
    numbers = tuple(column for column in schema if column.type in (Type.NUMBER, Type.INTEGER) and column.name in there)
    low = np.array([-LARGEST if column.minimum is None else column.minimum for column in numbers])
    high = np.array([LARGEST if column.maximum is None else column.maximum for column in numbers])
    return missing, numbers, low, high


@lru_cache(maxsize=256)
def _written(schema: Schema) -> bytes:
    return json.dumps(schema.as_dict()).encode()


@lru_cache(maxsize=256)
def _read_schema(said: bytes) -> Schema:
    return Schema.from_dict(json.loads(said))


@lru_cache(maxsize=256)
def _described(names: tuple[str, ...], kinds: tuple[Type, ...], schema: Schema | None) -> Schema:
    """Return what the schema says of columns; what it does not know is described as read."""
    known = {column.name: column for column in schema or ()}
    chosen = tuple(
        known.get(name) or Column(name, Role.TIME if kind in (Type.DATE, Type.TIMESTAMP) else Role.INPUT, kind)
        for name, kind in zip(names, kinds, strict=True)
    )
    there = frozenset(names)
    return Schema(chosen, tuple(name for name in schema.key if name in there) if schema else ())


def _type_of(array: Array) -> Type:
    if array.dtype.kind == "M":
        return Type.DATE if np.datetime_data(array.dtype)[0] == "D" else Type.TIMESTAMP
    return {"b": Type.FLAG, "i": Type.INTEGER, "u": Type.INTEGER, "f": Type.NUMBER}.get(array.dtype.kind, Type.TEXT)


def _polars(frame: Any) -> pl.DataFrame:
    import polars as pl

    if isinstance(frame, pl.DataFrame):
        return frame
    if isinstance(frame, pl.LazyFrame):
        return frame.collect()
    if isinstance(frame, Table):
        return frame.frame
    try:
        if type(frame).__module__.startswith("pandas"):
            named = [name for name in getattr(getattr(frame, "index", None), "names", ()) if name is not None and name not in frame]
            made = pl.from_pandas(frame.reset_index(named) if named else frame)  # dates often are the index, which would be dropped
        elif hasattr(frame, "__arrow_c_stream__") or type(frame).__module__.startswith("pyarrow"):
            made = pl.DataFrame(pl.from_arrow(frame))
        else:
            made = pl.DataFrame(frame)
    except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
        raise InvalidInput(f"cannot read a table from {type(frame).__name__}: {error}", hint="give polars, pandas or Arrow") from error
    return made


@lru_cache(maxsize=64)
def _kind(dtype: pl.DataType) -> Type:
    import polars as pl

    if dtype == pl.Boolean:
        return Type.FLAG
    if dtype.is_temporal():
        return Type.DATE if dtype == pl.Date else Type.TIMESTAMP
    return Type.INTEGER if dtype.is_integer() else Type.NUMBER if dtype.is_numeric() else Type.TEXT


def _numpy(series: pl.Series) -> Array:
    import polars as pl

    dtype = series.dtype
    kind = type(dtype)  # comparing types with `==` costs more than reading thirty values
    if kind is pl.String:
        return _text(series.to_list())
    if kind is pl.Date:
        if series.null_count() == 0:
            return series.to_numpy().astype("M8[D]")
        return series.to_physical().cast(pl.Int64).fill_null(np.iinfo("i8").min).to_numpy().astype("i8").view("M8[D]")
    if kind is pl.Datetime:
        return series.dt.replace_time_zone(None).cast(pl.Datetime("us")).to_numpy().astype("M8[us]")
    if kind is pl.Boolean or dtype.is_numeric():
        return series.to_numpy() if series.null_count() == 0 else series.cast(pl.Float64).to_numpy()
    return _text(series.cast(pl.String).to_list())


def _text(values: list[str | None]) -> Array:
    array = np.empty(len(values), object)
    one: dict[str | None, str | None] = {}  # what is said a million times is held once
    array[:] = [one.setdefault(value, value) for value in values]
    return array


def _series(name: str, array: Array) -> pl.Series:
    import polars as pl

    if array.dtype.kind == "M" and np.datetime_data(array.dtype)[0] == "D":
        return pl.Series(name, array.astype("M8[ms]")).cast(pl.Date)
    if array.dtype.kind == "M":
        return pl.Series(name, array.astype("M8[us]"))
    if array.dtype == object:
        return pl.Series(name, array.tolist(), dtype=pl.String)
    if array.dtype.kind == "f":
        return pl.Series(name, array).fill_nan(None)
    return pl.Series(name, array)


def _plain(array: Array) -> list[Any]:
    if array.dtype.kind == "M":
        text = np.datetime_as_string(array).tolist()
        return [None if value == "NaT" else value for value in text]
    if array.dtype.kind == "f":
        values = array.astype("f8")
        values = np.where(np.abs(values) < EXACT, np.round(np.where(np.abs(values) < EXACT, values, 0.0), 6), values)
        return [None if gone else value for value, gone in zip(values.tolist(), np.isnan(values).tolist(), strict=True)]
    return list(array.tolist())


def _guess(rows: Sequence[Mapping[str, Any]], name: str) -> Type:
    value = next((row[name] for row in rows if row.get(name) is not None), None)
    if isinstance(value, bool | np.bool_):
        return Type.FLAG
    return Type.NUMBER if isinstance(value, Real) else Type.TEXT


def _typed(values: list[Any], column: Column, wrong: list[dict[str, str]]) -> Array:
    """Return the values as an array of the column's type; every bad value is added to `wrong`."""
    plain = _plainly(values, column)
    if plain is not None:
        return plain
    array: Array = np.empty(len(values), {Type.DATE: "M8[D]", Type.TIMESTAMP: "M8[us]", Type.TEXT: object}.get(column.type, "f8"))
    for at, value in enumerate(values):
        try:
            array[at] = _one(value, column)
        except (ValueError, TypeError, OverflowError) as error:
            wrong.append({"pointer": f"/rows/{at}/{column.name}", "message": str(error)})
            array[at] = None if array.dtype == object else np.datetime64("NaT") if array.dtype.kind == "M" else np.nan
    if column.type is Type.INTEGER and not np.isnan(array).any():
        return array.astype("i8")
    return array


def _plainly(values: list[Any], column: Column) -> Array | None:
    """Return the array where every value is of one plain kind and in range, or None: then each is looked at by itself."""
    kinds = set(map(type, values))
    array: Array
    try:
        if column.type is Type.TEXT and kinds == {str}:
            array = np.empty(len(values), object)
            array[:] = values
            return array
        if column.type is Type.DATE and kinds == {str}:
            array = np.array([value if len(value) == DAY_LONG else _unzoned(value) for value in values], "M8[D]")
            return None if np.isnat(array).any() else array
        if column.type is Type.NUMBER and kinds <= {int, float}:
            array = np.array(values, "f8")
            low, high = column.minimum, column.maximum
            fine = np.isfinite(array).all() and (low is None or array.min() >= low) and (high is None or array.max() <= high)
            return array if fine else None
    except (ValueError, OverflowError):
        return None
    return None


def _one(value: Any, column: Column) -> Any:
    kind = column.type
    if value is None:
        if column.required:
            raise ValueError("must not be empty")
        return None if kind is Type.TEXT else np.datetime64("NaT") if kind in (Type.DATE, Type.TIMESTAMP) else np.nan
    if kind is Type.TEXT:
        if isinstance(value, list | dict):
            raise ValueError("must be text")
        return str(value)
    if kind in (Type.DATE, Type.TIMESTAMP):
        return _when(value, "D" if kind is Type.DATE else "us")
    if isinstance(value, bool | np.bool_):
        return float(value)
    if not isinstance(value, Real):
        raise TypeError("must be a number")
    return _ranged(float(value), column)


def _when(value: Any, unit: str) -> np.datetime64:
    if isinstance(value, bool | int | float | list | dict):
        raise TypeError("must be a date as in 2026-11-30")
    text = COMPACT.sub(r"\1-\2-\3", str(value))
    try:
        if unit == "D":
            return np.datetime64(_unzoned(text), "D")
        if ZONED.search(text):
            return np.datetime64(datetime.fromisoformat(text).astimezone(UTC).replace(tzinfo=None), unit)  # type: ignore[no-any-return, call-overload]
        return np.datetime64(text, unit)  # type: ignore[call-overload, no-any-return]
    except ValueError as error:
        raise ValueError("must be a date as in 2026-11-30") from error


def _unzoned(text: str) -> str:
    """Return the text of a moment without its zone: its day is the one that is written, which no zone may shift."""
    return COMPACT.sub(r"\1-\2-\3", ZONED.sub(r"\1", text))


def _ranged(number: float, column: Column) -> float:
    if not np.isfinite(number):
        raise ValueError("must be a finite number")
    if column.minimum is not None and number < column.minimum:
        raise ValueError(f"must be at least {column.minimum:g}")
    if column.maximum is not None and number > column.maximum:
        raise ValueError(f"must be at most {column.maximum:g}")
    return number
