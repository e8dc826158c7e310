"""What a planner asks and what it says: the nouns between `planning`, the workers and the actions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tradewind.core.fact import Fact
from tradewind.core.table import Array, Table

Respond = Callable[[Mapping[str, Any]], Mapping[str, Array]]
"""Ask the model that serves what levers would do: a request in, arrays by name out.

The request's values are plain data (text, numbers, lists of these, None) or numpy arrays; every request has "about", the kind of question,
and what else it holds is the model's own. Numbers come back as float arrays, names as object arrays of text. The first axis of an array of
draws is the draw, the same draws in the same order in every reply, so that differences between replies are draws of the difference.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Planned:
    """What a planner recommends: a row per lever, the numbers that matter, and the sentence that says them.

    `words` holds no number that is not a fact.
    """

    table: Table
    facts: tuple[Fact, ...] = ()
    words: str = ""
