"""What the house says: facts, a table, a chart, words, and where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradewind.core.table import Table

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Fact:
    """One number (or name) with its unit and what it means."""

    name: str
    value: float | int | str | bool | None
    unit: str = ""
    meaning: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the fact as plain data, empty parts left out."""
        said: dict[str, Any] = {"name": self.name, "value": self.value}
        return said | {key: text for key, text in (("unit", self.unit), ("meaning", self.meaning)) if text}


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture to be drawn from a table: `kind` names the drawing, `options` its titles and columns."""

    kind: str
    table: Table
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """The result of every action. `words` holds no number that is not a Fact; `source` says what made it.

    `memo` keeps renderings (JSON, HTML) of this very answer, so that a cached answer is written once.
    """

    facts: tuple[Fact, ...] = ()
    table: Table | None = None
    chart: Chart | None = None
    words: str = ""
    source: Mapping[str, Any] = field(default_factory=dict)
    memo: dict[str, Any] = field(default_factory=dict, repr=False)

    def fact(self, name: str) -> Any:
        """Return the value of the fact of that name; raises KeyError."""
        for fact in self.facts:
            if fact.name == name:
                return fact.value
        raise KeyError(name)

    def to_pandas(self) -> pd.DataFrame:
        """Return the table as a pandas frame; an answer without a table gives its facts."""
        from tradewind.core import show

        return show.frame(self).to_pandas()

    def save(self, path: str | Path) -> Path:
        """Write the table to a .csv, .xlsx, .parquet or .json file; spreadsheet formulas are escaped."""
        from tradewind.core import show

        return show.save(self, Path(path))

    def __repr__(self) -> str:
        from tradewind.core import show

        return show.text(self)

    def _repr_html_(self) -> str:
        from tradewind.core import show

        return show.html(self)
