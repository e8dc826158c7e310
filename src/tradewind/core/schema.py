"""What a column is: described once, used everywhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

TOO_LARGE = 1e18  # no price, spend or figure is that large: it is a slip


class Role(StrEnum):
    """What a column does in a table."""

    TIME = "time"
    ENTITY = "entity"  # part of the key: which series, customer, product
    TARGET = "target"
    LEVER = "lever"  # known ahead and ours to set: price, promotion, planned spend
    KNOWN = "known"  # known ahead, not ours to set: calendar, holidays, weather forecast
    PAST = "past"  # known only after the fact
    STATIC = "static"  # fixed per entity
    AVAILABLE = "available"  # 0 where the target could not happen: closed, out of stock
    EVENT = "event"  # a named thing that happens on a date, known ahead
    INPUT = "input"  # anything else that may be learned from
    OUTPUT = "output"  # what a model gives


class Type(StrEnum):
    """What kind of value a column holds."""

    DATE = "date"
    TIMESTAMP = "timestamp"
    NUMBER = "number"
    INTEGER = "integer"
    FLAG = "flag"
    TEXT = "text"


JSON_TYPES: dict[Type, dict[str, Any]] = {
    Type.DATE: {"type": "string", "format": "date"},
    Type.TIMESTAMP: {"type": "string", "format": "date-time"},
    Type.NUMBER: {"type": "number"},
    Type.INTEGER: {"type": "integer"},
    Type.FLAG: {"type": "boolean"},
    Type.TEXT: {"type": "string"},
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, role, type, unit and meaning.

    `minimum` and `maximum` are inclusive. `sensitive` columns are never used by a model unless granted.
    """

    name: str
    role: Role = Role.INPUT
    type: Type = Type.NUMBER
    required: bool = False
    unit: str = ""
    meaning: str = ""
    synonyms: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    sensitive: bool = False

    def json_schema(self) -> dict[str, Any]:
        """Return the column as a JSON schema property."""
        said: dict[str, Any] = dict(JSON_TYPES[self.type])
        if self.meaning or self.unit:
            said["description"] = self.meaning + (f" ({self.unit})" if self.unit else "")
        if self.minimum is not None:
            said["minimum"] = self.minimum
        if self.maximum is not None:
            said["maximum"] = self.maximum
        return said

    def as_dict(self) -> dict[str, Any]:
        """Return the column as plain data, defaults left out."""
        said: dict[str, Any] = {"name": self.name, "role": str(self.role), "type": str(self.type)}
        plain = Column(self.name)
        for key in ("required", "unit", "meaning", "minimum", "maximum", "sensitive"):
            if getattr(self, key) != getattr(plain, key):
                said[key] = getattr(self, key)
        if self.synonyms:
            said["synonyms"] = list(self.synonyms)
        return said

    @classmethod
    def from_dict(cls, said: dict[str, Any]) -> Column:
        """Read a column back from plain data."""
        rest = {key: value for key, value in said.items() if key not in ("role", "type", "synonyms")}
        return cls(role=Role(said["role"]), type=Type(said["type"]), synonyms=tuple(said.get("synonyms", ())), **rest)


@dataclass(frozen=True, slots=True)
class Schema:
    """The columns of a table, and which of them name a row."""

    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()

    def __hash__(self) -> int:
        """Return a hash of the names alone: what is kept by schema is looked up with every question."""
        return hash((*[column.name for column in self.columns], self.key))

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

    def __contains__(self, name: object) -> bool:
        return any(column.name == name for column in self.columns)

    @property
    def names(self) -> tuple[str, ...]:
        """Return the column names in order."""
        return tuple(column.name for column in self.columns)

    def get(self, name: str) -> Column | None:
        """Return the column of that name, or None."""
        return next((column for column in self.columns if column.name == name), None)

    def of(self, *roles: Role) -> tuple[str, ...]:
        """Return the names of the columns that have one of these roles."""
        return tuple(column.name for column in self.columns if column.role in roles)

    @property
    def time(self) -> str | None:
        """Return the name of the time column, if there is one."""
        found = self.of(Role.TIME)
        return found[0] if found else None

    @property
    def required(self) -> tuple[str, ...]:
        """Return the names of the columns that must be there."""
        return tuple(column.name for column in self.columns if column.required)

    def select(self, names: Iterable[str]) -> Schema:
        """Return the schema of these columns; a name it does not know becomes an input column."""
        chosen = tuple(self.get(name) or Column(name) for name in names)
        return Schema(chosen, tuple(name for name in self.key if any(column.name == name for column in chosen)))

    def with_columns(self, *columns: Column) -> Schema:
        """Return the schema with these columns added, or replaced where the name is there already."""
        new = {column.name: column for column in columns}
        kept = tuple(new.pop(column.name, column) for column in self.columns)
        return replace(self, columns=kept + tuple(new.values()))

    def json_schema(self) -> dict[str, Any]:
        """Return the JSON schema of one row."""
        return {
            "type": "object",
            "properties": {column.name: column.json_schema() for column in self.columns},
            "required": list(self.required),
        }

    def as_dict(self) -> dict[str, Any]:
        """Return the schema as plain data."""
        return {"columns": [column.as_dict() for column in self.columns], "key": list(self.key)}

    @classmethod
    def from_dict(cls, said: dict[str, Any]) -> Schema:
        """Read a schema back from plain data."""
        return cls(tuple(Column.from_dict(column) for column in said["columns"]), tuple(said.get("key", ())))
