"""Where the next money goes: spend per channel and period under a budget, with locks and limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tradewind.core.errors import NotReady
from tradewind.core.plan import Planned, Respond


def plan(respond: Respond, wishes: Mapping[str, Any]) -> Planned:
    """Return the spend per channel that earns most.

    `wishes`: `asked` (Table or None: the plan to start from, rows of channel, spend and optionally date), `budget` (money for the whole
    time or None: as today), `lock` (channel -> spend of the whole time that must not change), `limits` (see `read_wishes`).
    """
    raise NotReady("the spend planner is being built")
