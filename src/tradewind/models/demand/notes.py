"""What an answer must not keep to itself."""

from __future__ import annotations

import numpy as np

from tradewind.models._kit.asking import Asked
from tradewind.models._kit.panel import Panel


def notes(panel: Panel, where: Asked, *, horizon: int) -> list[str]:
    """Return what a reader of the answer must know: fallbacks taken, plans ignored, prices never seen."""
    grain = panel.grain
    said = [f"column {name} was not there in training and changes nothing" for name in where.ignored]
    longest = int(where.ahead.max()) + 1
    planned = panel.width - panel.cut
    if longest > horizon:
        said.append(f"past {horizon} {grain.name}s ahead the model repeats what it learned for {horizon}; its bands widen")
    if longest > max(planned, 1) and panel.ahead:
        last = panel.clock.date(np.array([panel.first + panel.width - 1]))[0]
        said.append(
            f"the plan is known to {last}: after it prices stay, and there is no promotion and no event unless the question says so"
        )
    history = np.isfinite(panel.target[where.series, : panel.cut]).sum(1)
    if (history < longest).any():
        said.append(
            f"{int((history < longest).sum())} series have a shorter history than the time asked for: they lean on what other series do"
        )
    ended = ~panel.alive[where.series]
    if ended.any():
        said.append(f"{int(ended.sum())} series have had no actual for {grain.quiet} {grain.name}s: they start from their last level")
    return said + _support(panel, where)


def _support(panel: Panel, where: Asked) -> list[str]:
    """Say where a planned price lies outside what the series has seen."""
    if "price" not in where.plan:
        return []
    asked = where.plan["price"]
    seen = panel.ahead["price"][:, : panel.cut]
    seen = np.broadcast_to(seen, (len(panel), panel.cut))[where.series]
    low, high = np.nanmin(seen, 1)[where.row], np.nanmax(seen, 1)[where.row]
    outside = (asked < low * 0.99) | (asked > high * 1.01)
    if not outside.any():
        return []
    at = int(np.flatnonzero(outside)[0])
    example = f"such as {asked[at]:g}, seen {low[at]:g} to {high[at]:g}"
    return [f"{int(outside.sum())} of {len(asked)} planned prices lie outside what was seen ({example}): read them as a guess"]
