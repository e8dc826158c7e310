"""Days on which nothing is ever sold anywhere: weekly rest days and holidays, read off past days without a figure in any series."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tradewind.models._kit.panel import Panel

Array = np.ndarray[Any, Any]
WEEKS = 8  # that weekly rest days are read off
LEAST_WEEKS = 4
MOST_DAYS = 3  # of a week that are rest days: where more have no figure, figures come rarely
Said = Mapping[str, Any]


def learn(panel: Panel, earlier: Said | None = None) -> dict[str, list[Any]]:
    """Return `weekdays` (0 is Monday) and `events` on which there was never a figure; events `earlier` knew and the panel lacks stay.

    A day of which nothing is known in any series is either closed or a gap in the data; one that recurs every week, or with every
    occurrence of an event, is taken as closed.
    """
    if panel.grain.name != "day":
        return {"weekdays": [], "events": []}
    known: Array = np.any(np.isfinite(panel.target[:, : panel.cut]), axis=0)
    start = int(known.argmax())
    day = _weekdays(panel, np.arange(panel.cut))
    late = np.arange(max(start, panel.cut - 7 * WEEKS), panel.cut)
    weekdays = [one for one in range(7) if (day[late] == one).sum() >= LEAST_WEEKS and not known[late][day[late] == one].any()]
    if len(weekdays) > MOST_DAYS:
        weekdays = []
    usual = (np.arange(panel.cut) >= start) & ~np.isin(day, weekdays)
    events = []
    for name, kind in panel.kinds.items():
        if kind != "event":
            continue
        came = usual & np.any(panel.ahead[name][:, : panel.cut] > 0, axis=0)
        if (came.any() and not known[came].any()) or (not came.any() and name in (earlier or {}).get("events", ())):
            events.append(name)
    return {"weekdays": weekdays, "events": events}


def shut(said: Said | None, panel: Panel, ahead: Array) -> Array:
    """Tell which periods after the cut are closed; `panel` holds the plan."""
    found = np.zeros(len(ahead), bool)
    if not said or panel.grain.name != "day":
        return found
    at = panel.cut + ahead
    if said["weekdays"]:
        found |= np.isin(_weekdays(panel, at), said["weekdays"])
    for name in said["events"]:
        value = panel.ahead[name].max(0)
        found |= (at < len(value)) & (value[np.minimum(at, len(value) - 1)] > 0)
    return found


def notes(closed: Array, panel: Panel, ahead: Array) -> list[str]:
    """Say which asked days are answered with nothing because there was never a figure on such a day; `closed` tells of each day ahead."""
    asked = closed[ahead]
    if not asked.any():
        return []
    closed = np.flatnonzero(np.bincount(ahead[asked]))
    first = panel.clock.date(np.array([panel.first + panel.cut + closed[0]]))[0]
    return [
        f"{len(closed)} of the days asked for ({first} the first) are taken as closed: no past day like them has a figure in any series"
    ]


def _weekdays(panel: Panel, at: Array) -> Array:
    found: Array = (panel.clock.date(panel.first + at).astype("M8[D]").astype("i8") + 3) % 7
    return found
