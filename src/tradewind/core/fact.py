"""One number the house states, and a picture to be drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tradewind.core.table import Table


@dataclass(frozen=True, slots=True)
class Fact:
    """One number (or name) with its unit and what it means."""

    name: str
    value: float | int | str | bool | None
    unit: str = ""
    meaning: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the fact as plain data, empty parts left out."""
        finite = not isinstance(self.value, float) or math.isfinite(self.value)
        said: dict[str, Any] = {"name": self.name, "value": self.value if finite else None}
        return said | {key: text for key, text in (("unit", self.unit), ("meaning", self.meaning)) if text}


def prose(*said: str) -> str:
    """Join what is said as sentences: all but the first, which may begin with a name, with a capital; each with an end."""
    whole = [one.strip() for one in said if one.strip()]
    ended = [one if one.endswith((".", "!", "?", ":")) else one + "." for one in whole]
    return " ".join(ended[:1] + [one[:1].upper() + one[1:] for one in ended[1:]])


@dataclass(frozen=True, slots=True)
class Chart:
    """A picture to be drawn from a table: `kind` names the drawing, `options` its titles and columns."""

    kind: str
    table: Table
    options: Mapping[str, Any] = field(default_factory=dict)
