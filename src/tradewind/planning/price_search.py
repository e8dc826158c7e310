"""The search for prices: analytic gradients over draws of two demand forms, SLSQP for prices at will, a MILP for endings and counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.core.table import Array

SOME = 32  # draws that the search itself looks at
STEPS = 120
GRID = 9  # prices per product where endings are free
MOST_CANDIDATES = 24
REACH = 1.5  # of today's price, the most that is planned unless it is locked: beyond it units fall at least in proportion to the price


@dataclass(frozen=True, slots=True)
class Field:
    """Products (P) today, and draws (D) of how log units answer to log prices: D x P x P under the first form, and the second."""

    names: Array
    price: Array
    cost: Array
    units: Array
    signed: Array  # bool
    matrix: Array
    matrix_second: Array
    weight: float  # of the second form in what is expected
    lowest: Array  # prices ever seen, NaN where not known
    highest: Array


@dataclass(frozen=True, slots=True)
class Limits:
    """What a plan may do. `fixed` is a price where it is not free, else NaN; volume and revenue are least shares of today's."""

    low: Array
    high: Array
    fixed: Array
    volume: float
    revenue: float
    ladders: tuple[tuple[int, int], ...]
    endings: tuple[float, ...]
    changes: int
    objective: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a plan promises, as shares of today's margin, revenue and units."""

    gain: float
    low: float
    high: float
    money: float
    chance: float
    chance_second: float
    revenue: float
    volume: float


def field_of(said: Mapping[str, Array]) -> Field:
    """Return the field of what the price model responded."""
    category, brand = said["category"].astype(str), said["brand"].astype(str)
    siblings = (category[:, None] == category[None]) & ~np.eye(len(category), dtype=bool)
    sisters = siblings & (brand[:, None] == brand[None]) & (brand != "")[:, None]
    shares = [group / np.maximum(group.sum(1, keepdims=True), 1) for group in (siblings, sisters)]
    price, cost, units_ = (said[name].astype("f8") for name in ("price", "cost", "units"))
    made = []
    for end in ("", "_second"):
        matrix = said[f"siblings{end}"][:, :, None] * shares[0] + said[f"sisters{end}"][:, :, None] * shares[1]
        places = np.arange(len(category))
        matrix[:, places, places] += said[f"own{end}"]
        made.append(matrix + _caught(matrix, units_, category, said["stays"]))
    seen = (said[name].astype("f8") for name in ("lowest", "highest"))
    return Field(said["product"], price, cost, units_, said["signed"] > 0.5, made[0], made[1], float(said["weight"][0]), *seen)


def _caught(matrix: Array, units: Array, category: Array, stays: Array) -> Array:
    """Return what other categories gain per move of each price (D x P x P): a share of what leaves, never more than siblings left over."""
    other = category[:, None] != category[None]  # target x source
    places = np.arange(len(units))
    leaves = np.maximum(-matrix[:, places, places], 0.0) * units
    left = np.maximum(leaves - np.maximum(np.einsum("p,dpq->dq", units, matrix) - matrix[:, places, places] * units, 0.0), 0.0)
    caught = np.minimum(stays[:, None] * leaves, left) / np.maximum(units @ other, 1e-9)  # spread by what each of them sells
    found: Array = caught[:, None, :] * other
    return found


def _moved(field: Field, price: Array, *, second: bool) -> Array:
    ratio = price / field.price
    return ratio - 1 if second else np.log(ratio)


def _sold(field: Field, price: Array, some: slice, *, second: bool) -> Array:
    """Return draws of units, D x P."""
    matrix = (field.matrix_second if second else field.matrix)[some]
    inside = np.minimum(price, REACH * field.price)
    own = np.diagonal(matrix, axis1=1, axis2=2) * (REACH if second else 1.0)
    beyond = np.minimum(own, -1.0) * (price / inside - 1)
    found: Array = field.units * np.exp(np.minimum(matrix @ _moved(field, inside, second=second), 5) + beyond)
    return found


def units(field: Field, price: Array) -> Array:
    """Return expected units of each product, both forms by their weight."""
    first, second = (_sold(field, price, slice(None), second=form).mean(0) for form in (False, True))
    return np.asarray((1 - field.weight) * first + field.weight * second)


def _share(field: Field, second: bool) -> float:
    return field.weight if second else 1 - field.weight


def _some(field: Field) -> slice:
    return slice(0, len(field.matrix), max(1, len(field.matrix) // SOME))


def values(field: Field, price: Array) -> tuple[Array, Array]:
    """Return margin, revenue and units as shares of today's (3), over draws of both forms, and their gradient by price (3 x P)."""
    total, slope = np.zeros(3), np.zeros((3, len(price)))
    some = _some(field)
    today = np.array([(field.units * (field.price - field.cost)).sum(), (field.units * field.price).sum(), field.units.sum()])
    for second in (False, True):
        matrix = (field.matrix_second if second else field.matrix)[some]
        sold = _sold(field, price, some, second=second)
        inner, share = 1 / field.price if second else 1 / price, _share(field, second)
        for at, unit in enumerate((price - field.cost, price, np.ones(len(price)))):
            total[at] += share * (sold * unit).sum(1).mean()
            slope[at] += share * np.einsum("dp,dpq->q", sold * unit, matrix) / len(sold) * inner
        slope[:2] += share * sold.mean(0)
    return total / today, slope / today[:, None]


def continuous(field: Field, limits: Limits, *, least: tuple[float, float] | None = None) -> Array:
    """Return prices that make most of the objective within the limits; today's where nothing better is found."""
    from scipy.optimize import minimize

    start = np.where(np.isfinite(limits.fixed), limits.fixed, np.clip(field.price, limits.low, limits.high))
    free = np.flatnonzero(np.isnan(limits.fixed))
    if not len(free):
        return start
    place = {"profit": 0, "revenue": 1, "volume": 2}[limits.objective]
    bounds = list(zip((limits.low / field.price)[free], (limits.high / field.price)[free], strict=True))

    def whole(x: Array) -> Array:
        made = start.copy()
        made[free] = x * field.price[free]
        return made

    def looked(x: Array) -> tuple[Array, Array]:
        found, slope = values(field, whole(x))
        return found, slope[:, free] * field.price[free]

    limit = [(2, max(limits.volume, least[0] if least else 0.0)), (1, max(limits.revenue, least[1] if least else 0.0))]
    rules: list[dict[str, Any]] = [
        {"type": "ineq", "fun": lambda x, at=at, bar=bar: looked(x)[0][at] - bar, "jac": lambda x, at=at: looked(x)[1][at]}
        for at, bar in limit
        if bar > 0
    ]
    rules += [{"type": "ineq", "fun": lambda x, one=one, two=two: whole(x)[two] - whole(x)[one]} for one, two in limits.ladders]
    done = minimize(
        lambda x: -looked(x)[0][place],
        (start / field.price)[free],
        jac=lambda x: -looked(x)[1][place],
        method="SLSQP",
        bounds=bounds,
        constraints=rules,
        options={"maxiter": STEPS, "ftol": 1e-7},
    )
    low, high = np.array(bounds).T
    found = whole(np.clip(done.x, low, high))
    kept = all(rule["fun"](np.clip(done.x, low, high)) >= -1e-4 for rule in rules)
    return found if kept and values(field, found)[0][place] > values(field, start)[0][place] else start


def discrete(field: Field, limits: Limits, price: Array) -> Array:
    """Return prices with allowed endings and at most so many changes, nearest in worth to the ones at will (HiGHS)."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    candidates = [_candidates(field, limits, price, at) for at in range(len(price))]
    owner = np.repeat(np.arange(len(price)), [len(one) for one in candidates])
    tried = np.concatenate(candidates)
    worth = _worth(field, price, owner, tried)
    place = {"profit": 0, "revenue": 1, "volume": 2}[limits.objective]
    count = len(tried)
    one_each = np.zeros((len(price), count))
    one_each[owner, np.arange(count)] = 1
    rules = [LinearConstraint(one_each, 1, 1)]
    moved = (np.abs(tried / field.price[owner] - 1) > 1e-9) & np.isnan(limits.fixed)[owner]
    rules.append(LinearConstraint(moved[None].astype(float), 0, limits.changes))
    today = np.array([(field.units * (field.price - field.cost)).sum(), (field.units * field.price).sum(), field.units.sum()])
    for at, bar in ((2, limits.volume), (1, limits.revenue)):
        if bar > 0:
            rules.append(LinearConstraint(worth[at][None], bar * today[at], np.inf))
    for low, high in limits.ladders:
        step = np.where(owner == high, tried, 0.0) - np.where(owner == low, tried, 0.0)
        rules.append(LinearConstraint(step[None], 0, np.inf))
    done = milp(-worth[place] / max(abs(today[place]), 1e-9), constraints=rules, integrality=np.ones(count), bounds=Bounds(0, 1))
    if done.x is None:
        return np.where(np.isfinite(limits.fixed), limits.fixed, field.price)
    chosen = np.round(done.x) > 0.5
    made = field.price.copy()
    made[owner[chosen]] = tried[chosen]
    return made


def _candidates(field: Field, limits: Limits, price: Array, at: int) -> Array:
    """Return the prices a product may take: today's, and those with an allowed ending (or an even grid) between its bounds."""
    if np.isfinite(limits.fixed[at]):
        return np.array([limits.fixed[at]])
    low, high = float(limits.low[at]), float(limits.high[at])
    if limits.endings:
        whole = np.arange(np.floor(low), np.ceil(high) + 1)
        found = (whole[:, None] + np.array(limits.endings)[None]).ravel()
        found = found[(found >= low - 1e-9) & (found <= high + 1e-9)]
        if len(found) > MOST_CANDIDATES:
            found = found[np.argsort(np.abs(found - price[at]))[:MOST_CANDIDATES]]
    else:
        found = np.append(np.linspace(low, high, GRID), price[at])
    today = [float(field.price[at])] if low - 1e-9 <= field.price[at] <= high + 1e-9 or not len(found) else []
    return np.unique(np.append(found, today))


def _worth(field: Field, price: Array, owner: Array, tried: Array) -> Array:
    """Return margin, revenue and units (3) of each candidate, the others' prices as they stand; what it does to siblings is its own."""
    some = _some(field)
    out = np.zeros((3, len(tried)))
    for second in (False, True):
        matrix = (field.matrix_second if second else field.matrix)[some]
        base = _sold(field, price, some, second=second)
        now = _moved(field, price, second=second)
        then = tried / field.price[owner]
        step = (then - 1 if second else np.log(then)) - now[owner]
        places = np.arange(len(tried))
        change = np.exp(np.clip(matrix[:, :, owner] * step, -5, 5))  # draws x product x candidate
        sold = base[:, :, None] * change
        own = sold[:, owner, places].mean(0)
        beside = (sold - base[:, :, None]).mean(0)
        beside[owner, places] = 0.0
        share = _share(field, second)
        out[0] += share * (own * (tried - field.cost[owner]) + beside.T @ (price - field.cost))
        out[1] += share * (own * tried + beside.T @ price)
        out[2] += share * (own + beside.sum(0))
    return out


def _margins(field: Field, price: Array, *, second: bool) -> Array:
    sold = _sold(field, price, slice(None), second=second)
    found: Array = (sold * (price - field.cost)).sum(1)
    return found


def unsure(field: Field, price: Array, sure: float) -> Array:
    """Tell which changed prices do not gain surely by themselves, the others as planned, under both forms."""
    out = np.zeros(len(price), bool)
    whole = [_margins(field, price, second=second) for second in (False, True)]
    for at in np.flatnonzero(np.abs(price / field.price - 1) > 1e-6).tolist():
        back = price.copy()
        back[at] = field.price[at]
        gained = [all_ - _margins(field, back, second=second) for all_, second in zip(whole, (False, True), strict=True)]
        out[at] = any((one > 0).mean() < sure for one in gained)
    return out


def chances(field: Field, price: Array, still: Array) -> tuple[float, float]:
    """Return the probability, under each form, that a plan earns more than other prices; 1 where both are the same."""
    if np.allclose(price, still):
        return 1.0, 1.0
    first, second = ((_margins(field, price, second=form) > _margins(field, still, second=form)).mean() for form in (False, True))
    return float(first), float(second)


def outcome(field: Field, price: Array) -> Outcome:
    """Return what a plan promises on all draws; the interval is the wider of both forms."""
    today = float((field.units * (field.price - field.cost)).sum())
    gained = [_margins(field, price, second=second) - today for second in (False, True)]
    sold = units(field, price)
    low, high = (f(float(np.quantile(one, level)) for one in gained) for f, level in ((min, 0.1), (max, 0.9)))
    money = float((1 - field.weight) * gained[0].mean() + field.weight * gained[1].mean())
    scale = abs(today) if abs(today) > 1e-9 else 1.0
    moved = bool((np.abs(price / field.price - 1) > 1e-9).any())
    chances = [float((one > 0).mean()) if moved else 0.0 for one in gained]
    revenue = float((sold * price).sum() / max(float((field.units * field.price).sum()), 1e-9) - 1)
    volume = float(sold.sum() / max(float(field.units.sum()), 1e-9) - 1)
    return Outcome(money / scale, low / scale, high / scale, money, chances[0], chances[1], revenue, volume)


def front(field: Field, limits: Limits, points: int) -> list[Outcome]:
    """Return outcomes that none other beats in margin, revenue and volume at once."""
    most = [values(field, continuous(field, _aimed(limits, aim)))[0] for aim in ("profit", "revenue", "volume")]
    rows = max(2, round(points / 3))
    found = []
    for volume in np.linspace(most[0][2], most[2][2], rows):
        for revenue in np.linspace(most[0][1], most[1][1], 3):
            price = continuous(field, _aimed(limits, "profit"), least=(float(volume) * 0.999, float(revenue) * 0.999))
            found.append(outcome(field, price))
    kept = [one for one in found if not any(_beats(other, one) for other in found)]
    return sorted({(one.gain, one.volume): one for one in kept}.values(), key=lambda one: -one.gain)


def _aimed(limits: Limits, objective: str) -> Limits:
    return Limits(
        limits.low, limits.high, limits.fixed, limits.volume, limits.revenue, limits.ladders, limits.endings, limits.changes, objective
    )


def _beats(one: Outcome, two: Outcome) -> bool:
    pairs = [(one.gain, two.gain), (one.revenue, two.revenue), (one.volume, two.volume)]
    return all(left >= right - 1e-9 for left, right in pairs) and any(left > right + 1e-6 for left, right in pairs)
