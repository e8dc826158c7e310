"""Which prices to change: profit, revenue and volume at once, under the limits of the trade, or the sentence "change nothing"."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tradewind.core.errors import BadValue
from tradewind.core.fact import Fact
from tradewind.core.plan import Planned, Respond
from tradewind.core.table import Array, Table
from tradewind.planning import price_search
from tradewind.planning.price_search import Field, Limits, Outcome

SURE = 0.8  # the least probability of a gain, under all forms, with which anything is recommended
SHARES = 0.5  # weight of the form in shares where it does not bear out a plan by the forms in logs
MOST = 400  # products planned at once
KNOWN = (
    "move",
    "volume",
    "revenue",
    "margin_floor",
    "endings",
    "frozen",
    "ladders",
    "index",
    "changes",
    "objective",
    "front",
    "chance",
)
OBJECTIVES = ("profit", "revenue", "volume")
ROUNDS = 5
MOVE = 0.1  # the largest change where none is stated
NEAR = 1e-4  # of a price, up to which a bound is kept
NEAR_SHARE = 0.005  # of today's volume or revenue, up to which a least share is kept
SAME = 1e-5  # of a price, up to which it is one that was seen


def plan(respond: Respond, wishes: Mapping[str, Any]) -> Planned:
    """Return today's and the recommended price of every product, or the front of what can be had.

    `wishes`: `asked` (rows of product with floor, ceiling, cost, competitor_price; only these may move), `lock` (product -> price),
    `limits`: `move` (largest change, 0.1), `volume` and `revenue` (least share of today's), `margin_floor` (least (price - cost) /
    price), `endings` (the last digits allowed, such as [0.99, 0.49]), `frozen` (products), `ladders` (pairs of products: the first may
    not cost more than the second), `index` (most a price may be of the competitor's), `changes` (how many prices may move),
    `objective` (profit, revenue, volume), `front` (number of points: the table is then the front itself), `chance` (at least 0.8).
    """
    if wishes.get("budget") is not None:
        raise BadValue("prices are planned without a budget", hint="limits are by name: " + ", ".join(KNOWN))
    asked, lock, given = wishes.get("asked"), dict(wishes.get("lock") or {}), dict(wishes.get("limits") or {})
    named = set(lock) | ({str(name) for name in asked.column("product").tolist()} if asked is not None else set())
    field, absent = _field(respond, asked, named)
    absent |= _unpayable(field, named - set(lock), _number(given, "move", MOVE, low=0.0, high=0.5))
    limits = _limits(field, asked, lock, {**given, "frozen": [*_several(given, "frozen"), *(absent & set(field.names.tolist()))]})
    points = _whole(given, "front", 0)
    if points:
        return _front(field, limits, points)
    done = _recommended(field, limits, _number(given, "chance", SURE, low=SURE, high=0.999))
    return _told(_confessed(done, field, limits), field, absent)


def _field(respond: Respond, asked: Table | None, named: set[str]) -> tuple[Field, set[str]]:
    """Return the field, and the products that nothing is planned for; raises BadValue where one of them was `named`, or nothing is left.

    A product without a cost stays at its price and earns nothing; one without a price is no part of the field.
    """
    said = dict(respond({"about": "prices"}))
    priced = np.isfinite(said["price"].astype("f8"))
    absent = {str(name) for name in said["product"][~priced].tolist()}
    said = {name: values if name in ("stays", "weight") else values[..., priced] for name, values in said.items()}
    names = said["product"].tolist()
    cost = said["cost"].astype("f8").copy()
    if asked is not None and "cost" in asked:
        told = dict(zip(asked.column("product").tolist(), asked.column("cost").astype("f8").tolist(), strict=True))
        cost = np.array([told[name] if np.isfinite(told.get(name, np.nan)) else own for name, own in zip(names, cost, strict=True)])
    if len(names) > MOST:
        raise BadValue(f"{len(names)} products are too many for one plan", hint=f"at most {MOST}: plan by category")
    without = ~np.isfinite(cost)
    absent |= {str(name) for name in said["product"][without].tolist()}
    missing = sorted(absent & named) or (sorted(absent) if without.all() else [])
    if missing:
        raise BadValue(
            f"{len(missing)} products have no cost or no price, so none can be planned for them: {', '.join(missing[:5])}",
            hint="load unit_cost and prices, or give cost with the rows",
        )
    return price_search.field_of({**said, "cost": np.where(without, said["price"].astype("f8"), cost)}), absent


def _unpayable(field: Field, named: set[str], move: float) -> set[str]:
    """Return the products whose cost lies above every price within the largest move; those `named` are refused later, by their limits."""
    rows = field.signed & (field.cost > field.price * (1 + move) + 1e-9)
    return {str(name) for name in field.names[rows].tolist()} - named


def _limits(field: Field, asked: Table | None, lock: Mapping[str, Any], given: Mapping[str, Any]) -> Limits:
    strange = [name for name in given if name not in KNOWN]
    if strange:
        raise BadValue(f"there is no limit {strange[0]!r}", hint=f"limits: {', '.join(KNOWN)}")
    count = len(field.names)
    place = {name: at for at, name in enumerate(field.names.tolist())}
    move = _number(given, "move", MOVE, low=0.0, high=0.5)
    low, high = field.price * (1 - move), field.price * (1 + move)
    free = field.signed.copy()
    if asked is not None:
        rows = _asked_about(place, asked)
        chosen = np.zeros(count, bool)
        chosen[rows] = True
        free &= chosen
        for name, bound, way in (("floor", low, np.maximum), ("ceiling", high, np.minimum)):
            if name in asked:
                told = asked.column(name).astype("f8")
                bound[rows] = np.where(np.isfinite(told), way(bound[rows], told), bound[rows])
        if "index" in given and "competitor_price" in asked:
            rival = asked.column("competitor_price").astype("f8") * _number(given, "index", 1.0, low=0.1, high=10.0)
            high[rows] = np.where(np.isfinite(rival), np.minimum(high[rows], rival), high[rows])
    if "index" in given and (asked is None or "competitor_price" not in asked):
        raise BadValue("an index needs competitor prices", hint="give rows with product and competitor_price")
    floor = _number(given, "margin_floor", 0.0, low=0.0, high=0.95)
    low = np.maximum(low, field.cost / (1 - floor))
    for name in given["frozen"]:
        free[_place(place, name)] = False
    fixed = np.where(free, np.nan, field.price)
    for name, value in lock.items():
        fixed[_place(place, name)] = _money(value, f"the locked price of {name}")
    crossed = np.isnan(fixed) & (low > high + 1e-9)
    if crossed.any():
        names = ", ".join(field.names[crossed].tolist()[:5])
        raise BadValue(f"no price fits all limits of {names}", hint="floor, ceiling, move, index and margin_floor exclude each other there")
    objective = given.get("objective", "profit")
    if objective not in OBJECTIVES:
        raise BadValue(f"there is no objective {objective!r}", hint=", ".join(OBJECTIVES))
    pairs = tuple((_place(place, pair[0]), _place(place, pair[1])) for pair in _pairs(_several(given, "ladders")))
    return Limits(
        low,
        high,
        fixed,
        _number(given, "volume", 0.0, low=0.0, high=1.5),
        _number(given, "revenue", 0.0, low=0.0, high=1.5),
        pairs,
        tuple(_money(one, "an ending") % 1 for one in _several(given, "endings")),
        _whole(given, "changes", count, high=count),
        objective,
    )


def _asked_about(place: Mapping[str, int], asked: Table) -> list[int]:
    """Return the places of the products asked about; raises BadValue for one that cannot be planned, or is asked about twice."""
    names = [str(name) for name in asked.column("product").tolist()]
    twice = sorted(name for name, often in Counter(names).items() if often > 1)
    if twice:
        raise BadValue(
            f"{len(twice)} products are asked about more than once: {_some(twice)}",
            hint="one row each: a price is planned for all stores",
        )
    return [_place(place, name) for name in names]


def _several(given: Mapping[str, Any], name: str) -> list[Any]:
    """Return the values of a limit that takes several; one by itself is a list of one."""
    value = given.get(name)
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple | set | frozenset | np.ndarray) else [value]


def _pairs(given: Any) -> list[tuple[str, str]]:
    found = [tuple(pair) if isinstance(pair, list | tuple) else () for pair in given]
    if any(len(pair) != 2 for pair in found):
        raise BadValue("a ladder is a pair of products", hint='[["small", "large"]]: the first may not cost more than the second')
    return [(str(pair[0]), str(pair[1])) for pair in found]


def _place(place: Mapping[str, int], name: Any) -> int:
    if str(name) not in place:
        raise BadValue(f"product {name!r} cannot be planned", hint="only products that still sell can")
    return place[str(name)]


def _money(value: Any, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise BadValue(f"{what} must be above zero, not {value!r}")
    return float(value)


def _number(given: Mapping[str, Any], name: str, usual: float, *, low: float = 0.0, high: float = 1000.0) -> float:
    value = given.get(name, usual)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise BadValue(f"{name} must be a number from {low:g} to {high:g}, not {value!r}")
    return float(value)


def _whole(given: Mapping[str, Any], name: str, usual: int, *, high: int = 1000) -> int:
    value = _number(given, name, usual, low=0, high=high)
    if value != int(value):
        raise BadValue(f"{name} must be a whole number, not {value:g}")
    return int(value)


@dataclass(frozen=True, slots=True)
class _Kept:
    limits: Limits
    price: Array
    outcome: Outcome


def _recommended(field: Field, limits: Limits, sure: float) -> Planned:
    """Search by the forms in logs; where customers who choose among siblings would not bear the plan out, by these as much."""
    price, planned = _settled(field, limits, sure)
    if limits.objective != "profit" or np.allclose(price, field.price) or price_search.agreed(field, price, sure):
        return planned
    return _settled(replace(field, shares=SHARES), limits, sure)[1]


def _settled(field: Field, limits: Limits, sure: float) -> tuple[Array, Planned]:
    """Search, then put back every price whose change does not gain surely, and search again; at last the whole plan must gain surely."""
    kept = _searched(field, limits)
    for _ in range(ROUNDS if limits.objective == "profit" else 0):
        weak = price_search.unsure(field, kept.price, sure) & np.isnan(kept.limits.fixed)
        if not weak.any():
            break
        fixed = np.where(weak, field.price, kept.limits.fixed)
        kept = _searched(field, replace(limits, fixed=fixed))
    still = np.where(np.isfinite(limits.fixed), limits.fixed, field.price)
    if min(price_search.chances(field, kept.price, still)) < sure:
        return still, _said(field, still, price_search.outcome(field, still), asked=kept.outcome, objective=limits.objective)
    return kept.price, _said(field, kept.price, kept.outcome)


def _searched(field: Field, limits: Limits) -> _Kept:
    price = price_search.continuous(field, limits)
    if limits.endings or limits.changes < len(field.names):
        price = price_search.discrete(field, limits, price)
    return _Kept(limits, price, price_search.outcome(field, price))


def _said(field: Field, price: Array, outcome: Outcome, *, asked: Outcome | None = None, objective: str = "profit") -> Planned:
    changed = np.abs(price / field.price - 1) > 1e-6
    units = price_search.units(field, price)
    table = Table.from_columns(
        {
            "product": field.names,
            "price_now": field.price,
            "price": price,
            "change": price / field.price - 1,
            "units_now": field.units,
            "units": units,
            "margin_now": field.units * (field.price - field.cost),
            "margin": units * (price - field.cost),
            "verdict": np.where(changed, "change", np.where(field.signed, "keep", "unsure")).astype(object),
        }
    )
    facts = _facts(outcome, int(changed.sum()))
    if not changed.any():
        words = "Do not change any price: no change gains surely enough under all forms of demand."
        if asked is not None and objective != "profit":
            words = f"Do not change any price: those with the most {objective} earn too little. The limit front shows what can be had."
        more = (Fact("chance_refused", round(asked.chance, 4), "", "of the best plan found, which was not sure enough"),) if asked else ()
        return Planned(table, (*facts, *more), words)
    least = min(outcome.chance, outcome.chance_second, outcome.chance_shares)  # of the forms of demand, the one that sees least
    words = (
        f"Change {int(changed.sum())} prices: margin {100 * outcome.gain:+.1f} % per period"
        f" ({100 * outcome.low:+.1f} to {100 * outcome.high:+.1f} %), with a chance of {100 * least:.0f} % to gain."
    )
    return Planned(table, facts, words)


def _confessed(planned: Planned, field: Field, limits: Limits) -> Planned:
    """Return the plan with the limits that it does not keep: those that locks, the guard or each other leave no room for."""
    price, names = planned.table.column("price"), field.names
    free = np.isnan(limits.fixed)
    sides = (
        ("below", free & (price < limits.low * (1 - NEAR)), limits.low),
        ("above", free & (price > limits.high * (1 + NEAR)), limits.high),
    )
    missed = [
        f"{names[at]} stays at {price[at]:.6g}, {side} the {bound[at]:.6g} that its limits ask for"
        for side, rows, bound in sides
        for at in np.flatnonzero(rows).tolist()
    ]
    missed += [
        f"{names[one]} costs {price[one]:.6g}, more than {names[two]} at {price[two]:.6g}"
        for one, two in limits.ladders
        if price[one] > price[two] * (1 + NEAR)
    ]
    moved = {fact.name: float(fact.value or 0.0) for fact in planned.facts if fact.name in ("volume_change", "revenue_change")}
    for name, least in (("volume", limits.volume), ("revenue", limits.revenue)):
        reached = 1 + moved[f"{name}_change"]
        if reached < least - NEAR_SHARE:
            missed.append(f"{name} is {reached:.3g} of today's, not {least:.3g}")
    fact = Fact("limits_missed", len(missed), "limits", "that were asked for and that this plan does not keep")
    words = planned.words + (f" Not kept: {'; '.join(missed[:5])}{' and others' if len(missed) > 5 else ''}." if missed else "")
    return Planned(planned.table, (*planned.facts, fact), words)


def _told(planned: Planned, field: Field, absent: set[str]) -> Planned:
    """Return the plan without rows of products that nothing is planned for, and say who they are and where prices were never seen."""
    rows = np.flatnonzero([str(name) not in absent for name in planned.table.column("product").tolist()])
    table, words, facts = planned.table.take(rows), planned.words, list(planned.facts)
    place = {name: at for at, name in enumerate(field.names.tolist())}
    at = np.array([place[name] for name in table.column("product").tolist()], int)
    price, moved = table.column("price"), np.abs(table.column("change")) > 1e-6
    sides = {
        "above the highest": moved & (price > field.highest[at] * (1 + SAME)),
        "below the lowest": moved & (price < field.lowest[at] * (1 - SAME)),
    }
    for side, outside in sides.items():
        facts.append(Fact(f"{side.split()[0]}_seen", int(outside.sum()), "prices", f"that lie {side} price ever seen"))
        if outside.any():
            names = _some(table.column("product")[outside].tolist())
            words += f" {int(outside.sum())} of the new prices lie {side} price ever seen there, where demand is a guess: {names}."
    facts.append(Fact("left_out", len(absent), "products", "without a cost or a price, or whose cost no allowed price covers"))
    if absent:
        words += f" Nothing is planned for {len(absent)} products without a cost or a price, or whose cost no allowed price covers:"
        words += f" {_some(sorted(absent))}."
    return Planned(table, tuple(facts), words)


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (" and others" if len(names) > 5 else "")


def _facts(outcome: Outcome, changed: int) -> tuple[Fact, ...]:
    return (
        Fact("changes", changed, "prices"),
        Fact("gain", round(outcome.gain, 6), "share", "of today's margin per period, promised"),
        Fact("gain_lo80", round(outcome.low, 6), "share"),
        Fact("gain_hi80", round(outcome.high, 6), "share"),
        Fact("gain_money", round(outcome.money, 4), "money", "per period"),
        Fact("chance", round(outcome.chance, 4), "", "that the plan gains"),
        Fact("chance_second", round(outcome.chance_second, 4), "", "the same under a second form of demand"),
        Fact("chance_shares", round(outcome.chance_shares, 4), "", "the same where customers choose among the products of a category"),
        Fact("revenue_change", round(outcome.revenue, 6), "share"),
        Fact("volume_change", round(outcome.volume, 6), "share"),
    )


def _front(field: Field, limits: Limits, points: int) -> Planned:
    """Return the front: the most profit for a rising least volume and revenue, dominated points left out."""
    found = price_search.front(field, limits, points)
    columns = {name: np.array([getattr(one, name) for one in found]) for name in ("gain", "revenue", "volume", "chance", "chance_second")}
    renamed = {"gain": "margin_change", "revenue": "revenue_change", "volume": "volume_change"}
    columns = {renamed.get(name, name): values for name, values in columns.items()}
    table = Table.from_columns({"point": np.arange(1, len(found) + 1), **columns})
    best = max(found, key=lambda one: one.gain)
    words = f"{len(found)} points that no other beats in margin, revenue and volume at once; the most margin is {100 * best.gain:+.1f} %."
    facts = (Fact("points", len(found)), Fact("margin_most", round(best.gain, 6), "share"))
    return Planned(table, facts, words)
