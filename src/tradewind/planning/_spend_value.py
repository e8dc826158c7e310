"""What a plan of spend brings, as draws."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tradewind.core.plan import Respond
from tradewind.core.table import Array


@dataclass(frozen=True, slots=True)
class Value:
    """What a plan brings, D draws: inside its periods, behind them, by channel, and by how much per unit of each spend."""

    outcome: Array  # (D,)
    after: Array  # (D,)
    by_channel: Array  # (D, C)
    slope: Array  # (D, P, C)

    @property
    def total(self) -> Array:
        """Return everything it brings."""
        found: Array = self.outcome + self.after
        return found


def value_of(respond: Respond, spend: Array) -> Value:
    """Ask the model what a plan (P, C) brings."""
    got = respond({"about": "spend", "spend": np.ascontiguousarray(spend)})
    return Value(*(np.asarray(got[name], "f8") for name in ("outcome", "after", "by_channel", "slope")))
