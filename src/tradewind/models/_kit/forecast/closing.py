"""Days on which nothing is ever sold, by all series or by one: weekly rest days, holidays, and what the plan says is closed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tradewind.models._kit import resting
from tradewind.models._kit.panel import CLOSED, EVENTS, Panel

Array = np.ndarray[Any, Any]
WEEKS = 8  # that weekly rest days are read off
LEAST_WEEKS = 4
MOST_DAYS = 3  # of a week that are rest days: where more have no figure, figures come rarely
STEADY = 0.75  # share of the other days on which a series has a figure if it keeps days of rest of its own
MOSTLY = 0.5  # share of series without a figure on an event that makes it a holiday: on any other day one series may lack its figure
Said = Mapping[str, Any]


def masked(panel: Panel) -> tuple[Panel, list[str]]:
    """Return the panel without the zeros of days closed, and what was taken as such.

    A few series are left as they are: what forecasts them one by one knows a week with zeros as it knows any other week.
    """
    if panel.grain.name != "day" or len(panel) < resting.FEWEST:
        return panel, []
    found = resting.closed(panel.target[:, : panel.cut], _event(panel))
    if not found.any():
        return panel, []
    target = panel.target.copy()
    target[:, : panel.cut][found] = np.nan
    out = found if panel.out is None else found | panel.out
    many = int(found.any(1).sum())
    note = f"{int(found.sum())} zeros of {many} series that never sell so little on other days were taken as days closed, not as demand"
    return replace(panel, target=target, out=out), [note]


def rested(panel: Panel) -> Panel:
    """Return the panel with zeros on its weekly days of rest: smoothing and its kin know such a week as any other, one with gaps less."""
    said = learn(panel)
    shared = sum(1 << day for day in said["weekdays"])
    if not shared and "rest" not in said:
        return panel
    bits = np.array([one | shared for one in said.get("rest", [0] * len(panel))], "i8")
    past, day = panel.target[:, : panel.cut], weekdays_of(panel, np.arange(panel.cut))
    gaps: Array = ((bits[:, None] >> day) & 1 > 0) & np.isnan(past)
    known = np.isfinite(past)
    target = panel.target.copy()
    target[:, : panel.cut][gaps & (known.cumsum(1) > 0)] = 0
    return replace(panel, target=target)


def _event(panel: Panel) -> Array:
    """Tell on which days of the past any event is on."""
    found = np.zeros(panel.cut, bool)
    for name, kind in panel.kinds.items():
        if kind == "event":
            found |= np.any(panel.ahead[name][:, : panel.cut] > 0, axis=0)
    return found


def learn(panel: Panel, earlier: Said | None = None, place: Array | None = None) -> dict[str, list[Any]]:
    """Return `weekdays` (0 is Monday) and `events` on which there was never a figure; events `earlier` knew and the panel lacks stay.

    A day of which nothing is known in any series is either closed or a gap in the data; one that recurs every week, or with every
    occurrence of an event, is taken as closed. Where single series keep days of their own, `rest` holds for each series which of the
    weekdays it rests on besides, as bits, and `feasts` for each event on which most are closed who is; `place` says which series of
    `earlier` each one was.
    """
    if panel.grain.name != "day":
        return {"weekdays": [], "events": []}
    there = np.isfinite(panel.target[:, : panel.cut])
    known: Array = np.any(there, axis=0)
    start = int(known.argmax())
    day = weekdays_of(panel, np.arange(panel.cut))
    late = np.arange(max(start, panel.cut - 7 * WEEKS), panel.cut)
    weekdays = [one for one in range(7) if (day[late] == one).sum() >= LEAST_WEEKS and not known[late][day[late] == one].any()]
    if len(weekdays) > MOST_DAYS:
        weekdays = []
    said: dict[str, list[Any]] = {"weekdays": weekdays, "events": []}
    rest = _own_rest(there[:, late], day[late], weekdays, there.argmax(1) - late[0])
    usual = (np.arange(panel.cut) >= start) & ~np.isin(day, weekdays)
    feasts: list[list[Any]] = []
    before, was = dict((earlier or {}).get("feasts", ())), np.arange(len(panel)) if place is None else place
    for name, kind in panel.kinds.items():
        if kind not in EVENTS:
            continue
        value = panel.ahead[name][:, : panel.cut] > 0
        came = usual & np.any(value, axis=0)
        if (came.any() and not known[came].any()) or (not came.any() and name in (earlier or {}).get("events", ())):
            said["events"].append(name)
        elif came.any() and len(value) == 1 and len(panel) > 1:
            feasts += _own_feasts(name, there[:, came], ((rest[:, None] >> day[came]) & 1) == 0)
        elif not came.any() and name in before:
            feasts.append([name, np.flatnonzero(np.isin(was, before[name])).tolist()])
    return said | ({"rest": rest.tolist()} if rest.any() else {}) | ({"feasts": feasts} if feasts else {})


def _own_rest(there: Array, day: Array, shared: list[int], begun: Array) -> Array:
    """Return for each series the weekdays that it rests on besides the `shared` ones, as bits; `begun` is its first figure's column."""
    rest, many = np.zeros(len(there), "i8"), np.full(len(there), len(shared))
    lived = np.arange(there.shape[1]) >= begun[:, None]
    worked = lived & ~np.isin(day, shared)
    for one in range(7):
        if one in shared:
            continue
        on = day == one
        resting = (lived[:, on].sum(1) >= LEAST_WEEKS) & ~there[:, on].any(1)
        rest |= resting << one
        many += resting
        worked[:, on] &= ~resting[:, None]
    steady = (there & worked).sum(1) >= STEADY * worked.sum(1)  # where figures are missing anyhow, a weekday without any is chance
    return np.where((many > MOST_DAYS) | ~steady, 0, rest)


def _own_feasts(name: str, there: Array, working: Array) -> list[list[Any]]:
    """Return the event and the series that were closed whenever it came on a working day of theirs, if most series were."""
    judged = working.any(1)
    closed = judged & ~(there & working).any(1)
    return [[name, np.flatnonzero(closed).tolist()]] if closed.sum() > MOSTLY * judged.sum() else []


def planned(panel: Panel, periods: int) -> Array:
    """Tell which of the next `periods` are closed by the plan: (1, periods), or (series, periods) where series differ."""
    at = panel.cut + np.arange(periods)
    if CLOSED not in panel.ahead:
        return np.zeros((1, periods), bool)
    found: Array = (panel.ahead[CLOSED][:, np.minimum(at, panel.width - 1)] >= 1) & (at < panel.width)
    return found


def shut(said: Said | None, panel: Panel, series: Array, periods: int) -> Array:
    """Tell which of the next `periods` are closed by what was learned: (1, periods), or (series, periods) where series differ.

    `panel` holds the plan of these series, in their order; `series` are their numbers when it was learned.
    """
    found = np.zeros((1, periods), bool)
    if not said or panel.grain.name != "day":
        return found
    at = np.minimum(panel.cut + np.arange(periods), panel.width - 1)
    inside = panel.cut + np.arange(periods) < panel.width
    day = weekdays_of(panel, panel.cut + np.arange(periods))
    if said["weekdays"]:
        found = found | np.isin(day, said["weekdays"])
    for name in said["events"]:
        found = found | ((panel.ahead[name].max(0)[at] > 0) & inside)
    if "rest" in said:
        found = found | (np.array(said["rest"])[series][:, None] >> day & 1 > 0)
    for name, closed in said.get("feasts", ()):
        found = found | (np.isin(series, closed)[:, None] & (panel.ahead[name][:, at] > 0) & inside)
    return found


def touches(said: Said | None) -> set[str]:
    """Return the columns of the plan that say whether a day is closed."""
    return {CLOSED, *(said or {}).get("events", ()), *(name for name, _ in (said or {}).get("feasts", ()))}


def notes(closed: Array, panel: Panel, ahead: Array) -> list[str]:
    """Say which asked days are answered with nothing because there was never a figure on such a day; `closed` tells of each row asked."""
    if not closed.any():
        return []
    days = np.unique(ahead[closed])
    first = panel.clock.date(np.array([panel.first + panel.cut + days[0]]))[0]
    where = "in any series" if all(closed[ahead == day].all() for day in days) else "in the series asked for"
    return [f"{len(days)} of the days asked for ({first} the first) are taken as closed: no past day like them has a figure {where}"]


def weekdays_of(panel: Panel, at: Array) -> Array:
    """Return the weekday of each column, 0 is Monday."""
    found: Array = (panel.clock.date(panel.first + at).astype("M8[D]").astype("i8") + 3) % 7
    return found
