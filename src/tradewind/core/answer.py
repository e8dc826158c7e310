"""What the house says: facts, a table, a chart, words, and where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradewind.core import show
from tradewind.core.errors import NotFound
from tradewind.core.fact import Chart, Fact
from tradewind.core.table import Table

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Answer", "Chart", "Fact"]


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
        """Return the value of the fact of that name; raises NotFound."""
        for fact in self.facts:
            if fact.name == name:
                return fact.value
        raise NotFound(f"this answer has no fact {name!r}", hint=f"facts: {', '.join(fact.name for fact in self.facts) or 'none'}")

    def to_pandas(self) -> pd.DataFrame:
        """Return the table as a pandas frame; an answer without a table gives its facts."""
        return show.frame(self).to_pandas()

    def save(self, path: str | Path) -> Path:
        """Write the table to a .csv, .xlsx, .parquet or .json file; spreadsheet formulas are escaped."""
        return show.save(self, Path(path))

    def __repr__(self) -> str:
        return show.text(self)

    def _repr_html_(self) -> str:
        return show.html(self)
