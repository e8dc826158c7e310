"""Which promotions to run: a calendar filled from candidates, for the most margin after spend, under budget, slots and overlap."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tradewind.core.errors import BadValue
from tradewind.core.fact import Fact
from tradewind.core.plan import Planned, Respond
from tradewind.core.table import Array, Table

KNOWN = ("slots", "overlap", "count", "depth", "gap", "chance")
MOST = 2000  # candidates
COLUMNS = ("promotion", "product", "store", "start", "end", "mechanic", "discount", "price", "display", "feature", "cost")


def plan(respond: Respond, wishes: Mapping[str, Any]) -> Planned:
    """Return every candidate with whether it is in the calendar.

    `wishes`: `asked` (candidates: product, start, end and what else a promotion has; left out, the planned ones nobody ran yet),
    `budget` (trade spend of all), `lock` (promotion -> 1 in, 0 out), `limits`: `slots` (at once in any week), `overlap` (at once in a
    category), `count` (of all), `depth` (largest discount), `gap` (days between two of one product), `chance` (least probability of
    a gain). Gains of different promotions are added up: what one does to the other is not in the sum. Raises BadValue.
    """
    asked, budget = wishes.get("asked"), wishes.get("budget")
    lock, limits = dict(wishes.get("lock") or {}), dict(wishes.get("limits") or {})
    strange = [name for name in limits if name not in KNOWN]
    if strange:
        raise BadValue(f"there is no limit {strange[0]!r}", hint=f"limits: {', '.join(KNOWN)}")
    given = _candidates(respond, asked)
    said = respond({"about": "candidates", **given})
    depth = _depth(given, said)
    fixed = _fixed(said, lock, limits, depth)
    chosen, binding = _filled(said, budget, limits, fixed)
    return _said(said, chosen, budget, binding)


def _candidates(respond: Respond, asked: Table | None) -> dict[str, Array]:
    if asked is None:
        names = respond({"about": "calendar"})["promotion"]
        if not len(names):
            raise BadValue("no promotion is planned that nobody ran yet", hint="give candidates: rows of product, start, end, discount")
        return {"promotion": names}
    if len(asked) > MOST:
        raise BadValue(f"{len(asked)} candidates are too many", hint=f"at most {MOST} rows")
    return {name: _plain(asked.column(name)) for name in COLUMNS if name in asked}


def _plain(values: Array) -> Array:
    """Return a column as it can be sent: dates as days since 1970."""
    return values.astype("M8[D]") if values.dtype.kind == "M" else values


def _depth(given: Mapping[str, Array], said: Mapping[str, Array]) -> Array:
    """Return the largest stated discount of each candidate."""
    out = np.zeros(len(said["promotion"]))
    if "discount" not in given:
        return out
    names = given["promotion"] if "promotion" in given else np.array([str(row + 1) for row in range(len(given["discount"]))], object)
    place = {name: at for at, name in enumerate(said["promotion"].tolist())}
    for row, (name, value) in enumerate(zip(names.tolist(), given["discount"].astype("f8").tolist(), strict=True)):
        at = place.get(name if name is not None else str(row + 1))
        if at is not None and np.isfinite(value):
            out[at] = max(out[at], value)
    return out


def _fixed(said: Mapping[str, Array], lock: Mapping[str, Any], limits: Mapping[str, Any], depth: Array) -> Array:
    """Return 1 for what must be in, 0 for what must not, NaN for what is free."""
    names = said["promotion"].tolist()
    out = np.full(len(names), np.nan)
    chance = (said["gain"] > 0).mean(0)
    deepest = _number(limits, "depth", 1.0, low=0.0, high=1.0) + 1e-9
    out[depth > deepest] = 0.0
    out[chance < _number(limits, "chance", 0.5, low=0.0, high=1.0)] = 0.0
    for name, value in lock.items():
        if name not in names:
            raise BadValue(f"{name!r} is no candidate", hint=f"such as {', '.join(names[:3])}")
        if value not in (0, 1):
            raise BadValue(f"the lock of {name!r} must be 1 (in) or 0 (out), not {value!r}")
        at = names.index(name)
        if value and depth[at] > deepest:
            raise BadValue(f"{name!r} is locked in, and is deeper than the limit of {deepest:.0%}", hint="raise depth, or let it out")
        out[at] = float(value)
    return out


def _filled(said: Mapping[str, Array], budget: float | None, limits: Mapping[str, Any], fixed: Array) -> tuple[Array, list[str]]:
    """Return what is chosen (HiGHS), and which limits bind; raises BadValue where the locks break a limit."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    gain, spend = said["gain"].mean(0), said["spend"].astype("f8")
    rules = _rules(said, limits)
    if budget is not None:
        rules["budget"] = (spend[None], np.array([float(budget)]))
    count = len(gain)
    low, high = np.where(fixed == 1, 1.0, 0.0), np.where(fixed == 0, 0.0, 1.0)
    made = [LinearConstraint(rows, -np.inf, most) for rows, most in rules.values() if len(rows)]
    scale = max(float(np.abs(gain).max(initial=0.0)), 1e-9)
    done = milp(-gain / scale, constraints=made, integrality=np.ones(count), bounds=Bounds(low, high))
    if done.x is None:
        raise BadValue("no calendar fits all limits", hint="loosen the locks, the budget or the slots")
    chosen = done.x > 0.5
    left = (fixed != 0) & ~chosen & (gain > 0)
    binding = [name for name, (rows, most) in rules.items() if len(rows) and _binds(rows, most, chosen, left)]
    return chosen, binding


def _binds(rows: Array, most: Array, chosen: Array, left: Array) -> bool:
    """Tell whether some candidate worth having was left out because of a limit."""
    room = most - rows @ chosen
    return bool(((rows[:, left] > room[:, None] + 1e-9) & (rows[:, left] > 0)).any())


def _rules(said: Mapping[str, Array], limits: Mapping[str, Any]) -> dict[str, tuple[Array, Array]]:
    start, end = said["start"].astype("i8"), said["end"].astype("i8")
    count = len(start)
    gap = int(_number(limits, "gap", 0, low=0, high=365))
    rules: dict[str, tuple[Array, Array]] = {"one at a time per product": _at_once(start, end + gap, said["product"].astype(str), 1)}
    if "slots" in limits:
        rules["slots"] = _at_once(start, end, np.full(count, "all"), int(_number(limits, "slots", 1, low=0, high=1e6)))
    if "overlap" in limits:
        rules["overlap"] = _at_once(start, end, said["category"].astype(str), int(_number(limits, "overlap", 1, low=0, high=1e6)))
    if "count" in limits:
        rules["count"] = (np.ones((1, count)), np.array([_number(limits, "count", count, low=0, high=1e6)]))
    return rules


def _at_once(start: Array, end: Array, group: Array, most: int) -> tuple[Array, Array]:
    """Return rows that allow at most so many of a group on any day: one row per group and start day suffices."""
    rows = []
    for name in np.unique(group).tolist():
        inside = group == name
        for day in np.unique(start[inside]).tolist():
            row = inside & (start <= day) & (end >= day)
            if row.sum() > most:
                rows.append(row.astype("f8"))
    unique = np.unique(np.array(rows), axis=0) if rows else np.zeros((0, len(start)))
    return unique, np.full(len(unique), float(most))


def _number(given: Mapping[str, Any], name: str, usual: float, *, low: float, high: float) -> float:
    value = given.get(name, usual)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise BadValue(f"{name} must be a number from {low:g} to {high:g}, not {value!r}")
    return float(value)


def _said(said: Mapping[str, Array], chosen: Array, budget: float | None, binding: list[str]) -> Planned:
    gain = said["gain"]
    low, high = np.quantile(gain, [0.1, 0.9], axis=0)
    chance = (gain > 0).mean(0)
    table = Table.from_columns(
        {
            "promotion": said["promotion"],
            "product": said["product"],
            "mechanic": said["mechanic"],
            "start": said["start"].astype("i8").astype("M8[D]"),
            "end": said["end"].astype("i8").astype("M8[D]"),
            "spend": said["spend"].astype("f8"),
            "units": said["units"].mean(0),
            "gain": gain.mean(0),
            "gain_lo80": low,
            "gain_hi80": high,
            "chance": chance,
            "verdict": np.where(chosen, "run", "leave").astype(object),
        }
    )
    total = gain[:, chosen].sum(1)
    spent = float(said["spend"][chosen].sum())
    facts = [
        Fact("candidates", len(chosen)),
        Fact("chosen", int(chosen.sum())),
        Fact("gain", round(float(total.mean()), 4), "money", "margin of net incremental units less spend"),
        Fact("gain_lo80", round(float(np.quantile(total, 0.1)), 4), "money"),
        Fact("gain_hi80", round(float(np.quantile(total, 0.9)), 4), "money"),
        Fact("chance", round(float((total > 0).mean()), 4), "", "that the calendar gains"),
        Fact("spend", round(spent, 4), "money"),
    ]
    facts += [Fact("budget", float(budget), "money")] if budget is not None else []
    facts += [Fact("note", note) for note in _notes(said, chosen)]
    facts += [Fact("binding", ", ".join(binding), "", "limits that keep out what would gain")] if binding else []
    if not chosen.any():
        return Planned(table, tuple(facts), "Run none of them: no candidate is expected to earn more than it costs within the limits.")
    words = (
        f"Run {int(chosen.sum())} of {len(chosen)} promotions: {total.mean():,.0f} more margin after {spent:,.0f} of spend"
        f" ({np.quantile(total, 0.1):,.0f} to {np.quantile(total, 0.9):,.0f})."
    )
    return Planned(table, tuple(facts), words + (f" {binding[0].capitalize()} keeps out more." if binding else ""))


def _notes(said: Mapping[str, Array], chosen: Array) -> list[str]:
    """Say what the model left out, and which chosen promotions are deeper than any it has seen."""
    notes = [str(note) for note in said.get("notes", ())]
    deep = np.flatnonzero(chosen & (said["beyond"] > 0)).tolist() if "beyond" in said else []
    if deep:
        names = [f"{said['promotion'][at]} ({100 * said['beyond'][at]:.0f} %)" for at in deep[:5]]
        most = f"{100 * float(said['deepest'][0]):.0f} %"
        notes.append(f"No depth so large was ever seen (largest seen {most}): {', '.join(names)}{', ...' if len(deep) > 5 else ''}.")
    return notes
