"""What a spend plan must keep to, read from plain words and numbers."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.core.errors import BadValue, NotFound
from tradewind.core.plan import Respond
from tradewind.core.table import Array, Table

LIMITS = ("periods", "change", "channels", "rules", "phasing", "per_period", "target_roi", "risk")
PHASINGS = ("as planned", "even", "free")
PERIODS = 13
CHANGE = 0.5
PER_PERIOD = 2.0
_CAREFUL = {"none": 0.0, "careful": 1.0, "very careful": 2.0}


@dataclass(frozen=True, slots=True)
class Wishes:
    """P periods, C channels, n levers: a channel's money of the whole time, or with free phasing of each period."""

    channels: tuple[str, ...]
    dates: tuple[str, ...]
    today: Array  # (P, C)
    highest: Array  # (C,): ever spent in a period
    phase: Array  # (P, C): shares of a channel's money by period; columns sum to 1
    free: bool  # each period is a lever of its own
    low: Array  # (n,)
    high: Array
    locked: tuple[bool, ...]
    names: tuple[str, ...]  # of the levers
    rules: tuple[tuple[Array, float, bool, str], ...]  # row (n,), row @ levers >= number, equal instead of at least, name
    budget: float | None
    target: float | None
    risk: float
    worth: float  # money per outcome; 1 where it is not known
    known: bool  # whether it is
    outcome: str
    grain: str
    said: tuple[str, ...]
    notes: tuple[str, ...] = ()  # what must be said with the plan

    @property
    def unit(self) -> float:
        """Return the money that counts as one while a plan is sought."""
        return max(float(self.today.sum()), self.budget or 0.0, 1e-9)

    def plan(self, levers: Array) -> Array:
        """Return spend (P, C) of levers."""
        return levers.reshape(self.today.shape) if self.free else self.phase * levers

    def levers_of(self, spend: Array) -> Array:
        """Return the levers of a spend (P, C)."""
        return spend.ravel() if self.free else spend.sum(0)

    @property
    def mix(self) -> Array | None:
        """Return today's mix (P, C) at the budget asked for, which is not today's; None where no other budget was asked for."""
        total = float(self.today.sum())
        if self.target is not None or self.budget is None or abs(self.budget - total) <= 0.01 * total:
            return None
        return self.today * (self.budget / total)

    def by_lever(self, slope: Array) -> Array:
        """Return slopes (D, P, C) by lever, (D, n)."""
        return slope.reshape(len(slope), -1) if self.free else (slope * self.phase).sum(1)

    def kept(self, levers: Array, over: float) -> bool:
        """Tell whether levers keep all rules, and the target where there is one: by how much it is over."""
        near = 1e-4 * self.unit
        for row, at_least, equal, _ in self.rules:
            gap = float(row @ levers) - at_least
            if gap < -near or (equal and gap > near):
                return False
        return self.target is None or over >= -near * max(self.target, 1.0)


def read(respond: Respond, wishes: Mapping[str, Any]) -> Wishes:
    """Read wishes; every unknown name and impossible number is a BadValue or NotFound with what there is."""
    limits = dict(wishes.get("limits") or {})
    unknown = [name for name in limits if name not in LIMITS]
    if unknown:
        raise BadValue(f"a spend plan knows no limit {unknown[0]!r}", hint=f"limits: {', '.join(LIMITS)}")
    asked: Table | None = wishes.get("asked")
    periods = _periods(limits, asked)
    usual = respond({"about": "usual", "periods": periods})
    channels, dates = (tuple(map(str, usual[name])) for name in ("channels", "dates"))
    today = _today(np.asarray(usual["spend"], "f8"), asked, channels, dates)
    if today.sum() <= 0:
        raise BadValue("nothing was spent lately, so there is no plan to start from", hint="give asked: rows of channel and spend")
    worth = float(np.asarray(usual["worth"])[0])
    phase, free = _phased(limits, today)
    total = today.sum(0)
    budget, target = _goal(wishes.get("budget"), limits, total)
    lock = _named(wishes.get("lock") or {}, channels, "lock")
    held, upper = _held(usual, channels, {*(limits.get("channels") or ()), *lock})
    low, high, said = _bounds(limits, lock, total, budget if target is None else None, channels, held=held)
    rules = _rules(limits, channels)
    if budget is not None:
        rules.insert(0, _budget(budget, target is not None, low, high, upper))
    locked = tuple(name in lock for name in channels)
    names = channels
    if free:
        low, high, rules, locked, names = _by_period(limits, (low, high), rules, (channels, dates), locked)
    return Wishes(
        channels,
        dates,
        today,
        np.asarray(usual["highest"], "f8"),
        phase,
        free,
        low,
        high,
        locked,
        names,
        tuple(rules),
        budget,
        target,
        _risk(limits),
        worth if np.isfinite(worth) else 1.0,
        bool(np.isfinite(worth)),
        str(usual["name"][0]),
        str(usual["grain"][0]),
        tuple(said + upper + [rule[3] for rule in rules] + ([f"a return of {target:g}"] if target is not None else [])),
        (*upper, *map(str, usual.get("notes", ()))),
    )


def _goal(budget: float | None, limits: Mapping[str, Any], total: Array) -> tuple[float | None, float | None]:
    """Return the budget and the target: today's money where neither is asked for."""
    target = _number(limits, "target_roi", None, low=0.0)
    if budget is not None and budget <= 0:
        raise BadValue("a budget of nothing leaves nothing to plan")
    if target == 0:
        raise BadValue("a target_roi of nothing asks for nothing", hint="a target is above zero, in outcome or money per money spent")
    return (float(total.sum()) if budget is None and target is None else budget), target


def _phased(limits: Mapping[str, Any], today: Array) -> tuple[Array, bool]:
    """Return how a channel's money lies over the periods (P, C), and whether the plan may move it."""
    phasing = limits.get("phasing", PHASINGS[0])
    if phasing not in PHASINGS:
        raise BadValue(f"phasing must be one of {', '.join(PHASINGS)}, not {phasing!r}")
    total, even = today.sum(0), np.full(today.shape, 1 / len(today))
    phase = even if phasing == "even" else np.where(total > 0, today / np.where(total > 0, total, 1.0), even)
    return phase, phasing == "free"


def _number(limits: Mapping[str, Any], name: str, default: float | None, *, low: float) -> float | None:
    value = limits.get(name, default)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value < float("inf"):
        raise BadValue(f"{name} must be a number of at least {low:g}, not {value!r}")
    return float(value)


def _risk(limits: Mapping[str, Any]) -> float:
    value = limits.get("risk", 0.0)
    if isinstance(value, str):
        if value not in _CAREFUL:
            raise BadValue(f"risk must be a number or one of {', '.join(_CAREFUL)}, not {value!r}")
        return _CAREFUL[value]
    return _number(limits, "risk", 0.0, low=0.0) or 0.0


def _periods(limits: Mapping[str, Any], asked: Table | None) -> int:
    given = limits.get("periods")
    if given is not None and (isinstance(given, bool) or not isinstance(given, int) or given < 1):
        raise BadValue(f"periods must be a whole number of at least 1, not {given!r}")
    if asked is not None and "date" in asked and given is None:
        dates = np.unique(asked.column("date"))
        return max(int((~np.isnat(dates)).sum()), 1)
    return int(given or PERIODS)


def _today(usual: Array, asked: Table | None, channels: tuple[str, ...], dates: tuple[str, ...]) -> Array:
    """Return the plan to start from (P, C): rows without a date hold for every period; channels not asked about spend as usual."""
    out = usual.copy()
    if asked is None:
        return out
    if "channel" not in asked or "spend" not in asked:
        raise BadValue("a plan to start from has rows of channel and spend", hint='{"channel": "tv", "spend": 1000}')
    days = asked.column("date") if "date" in asked else np.full(len(asked), np.datetime64("NaT"))
    told: set[tuple[int, int | None]] = set()
    rows = list(zip(asked.column("channel").tolist(), asked.column("spend").astype("f8").tolist(), days, strict=True))
    for name, spend, day in sorted(rows, key=lambda row: not np.isnat(row[2])):  # what holds for every period first
        at = _place(str(name), channels, "asked")
        if not (np.isfinite(spend) and spend >= 0):
            raise BadValue(f"the spend of {name} must be zero or more")
        if np.isnat(day):
            _once(told, (at, None), name)
            out[:, at] = spend
            continue
        near = [place for place, date in enumerate(dates) if np.datetime64(date) <= day]
        if not near or day >= np.datetime64(dates[-1]) + _step(dates):
            raise BadValue(f"{day} does not lie in the periods planned for, {dates[0]} to {dates[-1]}")
        _once(told, (at, near[-1]), f"{name} in the period of {dates[near[-1]]}")
        out[near[-1], at] = spend
    return out


def _once(told: set[tuple[int, int | None]], place: tuple[int, int | None], what: str) -> None:
    if place in told:
        raise BadValue(
            f"the spend of {what} is asked more than once", hint="add its rows up: one row per channel, or per channel and period"
        )
    told.add(place)


def _step(dates: tuple[str, ...]) -> np.timedelta64:
    return np.datetime64(dates[1]) - np.datetime64(dates[0]) if len(dates) > 1 else np.timedelta64(31, "D")


def _place(name: str, channels: tuple[str, ...], where: str) -> int:
    if name not in channels:
        near = difflib.get_close_matches(name, channels, 3, 0.4) or channels
        raise NotFound(f"{where} names {name!r}, which is no channel", hint=f"channels: {', '.join(near)}")
    return channels.index(name)


def _named(given: Mapping[str, Any], channels: tuple[str, ...], where: str) -> dict[str, float]:
    for name, value in given.items():
        _place(str(name), channels, where)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
            raise BadValue(f"{where} of {name} must be money of zero or more, not {value!r}")
    return {str(name): float(value) for name, value in given.items()}


def _held(usual: Mapping[str, Array], channels: tuple[str, ...], named: set[str]) -> tuple[Array, list[str]]:
    """Return which channels take no larger share (C,), as their return is an upper bound and nobody set their limits, and the words."""
    responds = np.asarray(usual.get("responds", np.zeros(len(channels)))) > 0
    held = responds & ~np.isin(channels, list(named))
    why = "is not given a larger share: its spend follows demand, so its return is an upper bound"
    return held, [f"{name} {why}" for name, one in zip(channels, held, strict=True) if one]


def _bounds(
    limits: Mapping[str, Any], lock: Mapping[str, float], total: Array, budget: float | None, channels: tuple[str, ...], *, held: Array
) -> tuple[Array, Array, list[str]]:
    """Return the least and most money of each channel. The usual limits move with the budget; a silent channel may take a tenth of it.

    A channel that is held (C,) takes no larger share than today's.
    """
    change = _number(limits, "change", CHANGE, low=0.0) or 0.0
    level = 1.0 if budget is None else budget / float(total.sum())
    low = np.maximum(total * level * (1 - change), 0.0)
    bounded = limits.get("channels") or {}
    if not isinstance(bounded, Mapping):
        raise BadValue(f"channels must be limits by name, not {bounded!r}", hint='{"tv": [1000, 5000]}')
    up = np.where(held, 0.0, change)
    high = np.where(total > 0, total * level * (1 + up), 0.1 * float(total.sum()) * level * np.minimum(up, 1.0))
    said = [f"no channel moves by more than {change:.0%}"]
    for name, pair in bounded.items():
        at = _place(str(name), channels, "channels")
        amounts = isinstance(pair, list | tuple) and all(isinstance(one, int | float) and not isinstance(one, bool) for one in pair)
        if not amounts or len(pair) != 2:
            raise BadValue(f"the limits of {name} must be two amounts of money", hint='{"tv": [1000, 5000]}')
        if not 0 <= pair[0] <= pair[1] < float("inf"):
            raise BadValue(f"the limits of {name} must rise from zero or more, not {pair[0]} to {pair[1]}")
        low[at], high[at] = pair
        said.append(f"{name} between {pair[0]:g} and {pair[1]:g}")
    for name, value in lock.items():
        at = channels.index(name)
        low[at] = high[at] = value
        said.append(f"{name} locked at {value:g}")
    if lock and budget is not None and "channels" not in limits:  # what is locked away from its share leaves the rest to the others
        others = np.array([name not in lock for name in channels])
        rest, usual = budget - sum(lock.values()), float(total[others].sum())
        if rest > 0 and usual > 0:
            low[others] = total[others] * rest / usual * max(1 - change, 0.0)
            risen = np.where(
                held, np.minimum(rest / usual, level), rest / usual * (1 + up)
            )  # what is held takes nothing of what others gave up
            high[others] = np.where(total > 0, total * risen, high)[others]
            low[others] = np.minimum(low, high)[others]
    return low, high, said


def _budget(budget: float, most: bool, low: Array, high: Array, upper: list[str]) -> tuple[Array, float, bool, str]:
    """Return the budget as a rule; raises BadValue where the limits, and what `upper` says of channels, leave no room for it."""
    count = len(low)
    if low.sum() > budget * (1 + 1e-9):
        raise BadValue(
            f"the least that may be spent is {low.sum():,.0f}, more than the budget of {budget:,.0f}", hint="unlock a channel or raise it"
        )
    if not most and high.sum() < budget * (1 - 1e-9):
        raise BadValue(
            f"the most that may be spent is {high.sum():,.0f}, less than the budget of {budget:,.0f}",
            hint="; ".join(["widen the limits or lower it", *upper, *(["limits or a lock of its own set it free"] if upper else [])]),
        )
    return (-np.ones(count), -budget, False, "the budget") if most else (np.ones(count), budget, True, "the budget")


def _rules(limits: Mapping[str, Any], channels: tuple[str, ...]) -> list[tuple[Array, float, bool, str]]:
    out = []
    rules = limits.get("rules") or []
    if not isinstance(rules, list | tuple):
        raise BadValue(f"rules must be a list, not {rules!r}", hint='[{"weights": {"tv": 1, "radio": 1}, "at_most": 5000}]')
    for number, rule in enumerate(rules, start=1):
        if not isinstance(rule, Mapping) or not isinstance(rule.get("weights"), Mapping) or not rule["weights"]:
            raise BadValue("a rule needs weights of channels", hint='{"weights": {"tv": 1, "radio": 1}, "at_most": 5000}')
        row = np.zeros(len(channels))
        for name, weight in rule["weights"].items():
            row[_place(str(name), channels, "a rule")] = _amount(weight, f"the weight of {name} in a rule")
        if ("at_most" in rule) == ("at_least" in rule):
            raise BadValue("a rule says either at_most or at_least")
        side = -1.0 if "at_most" in rule else 1.0
        bound = _amount(rule["at_most"] if side < 0 else rule["at_least"], "what a rule bounds by")
        out.append((side * row, side * bound, False, str(rule.get("name", f"rule {number}"))))
    return out


def _amount(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
        raise BadValue(f"{what} must be a number, not {value!r}", hint='as in {"weights": {"tv": 1, "radio": 1}, "at_most": 5000}')
    return float(value)


def _by_period(
    limits: Mapping[str, Any],
    bounds: tuple[Array, Array],
    rules: list[tuple[Array, float, bool, str]],
    labels: tuple[tuple[str, ...], tuple[str, ...]],
    locked: tuple[bool, ...],
) -> tuple[Array, Array, list[tuple[Array, float, bool, str]], tuple[bool, ...], tuple[str, ...]]:
    """Return bounds and rules with each period a lever: a channel's limits become rules of its sum."""
    (low, high), (channels, dates) = bounds, labels
    periods, count = len(dates), len(channels)
    most = _number(limits, "per_period", PER_PERIOD, low=1.0) or PER_PERIOD
    wide = [(np.tile(row, periods), bound, equal, said) for row, bound, equal, said in rules]
    for at, name in enumerate(channels):
        row = np.zeros((periods, count))
        row[:, at] = 1.0
        if locked[at] or high[at] - low[at] < 1e-9:
            wide.append((row.ravel(), float(low[at]), True, f"{name} is locked"))
            continue
        wide.append((row.ravel(), float(low[at]), False, f"{name} is at its lower limit"))
        wide.append((-row.ravel(), -float(high[at]), False, f"{name} is at its upper limit"))
    tops = np.tile(most * np.maximum(high, low) / periods, periods)
    names = tuple(f"{name} of {date}" for date in dates for name in channels)
    return np.zeros(periods * count), tops, wide, (False,) * (periods * count), names
