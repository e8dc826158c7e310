"""The search for prices: analytic gradients over draws of two demand forms, SLSQP for prices at will, a MILP for endings and counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.core.table import Array

SOME = 32  # draws that the search itself looks at
STEPS = 120
GRID = 9  # prices per product where endings are free
MOST_CANDIDATES = 24
AGREED = 1 / 3  # share of what the log forms promise that the form in shares must see too
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
    group: Array  # number of the category of each product: customers of one choose among its products
    shares: float = 0.0  # weight of the form in shares in what is expected; the two log forms have the rest


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
    chance_shares: float
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
    lowest, highest = (said[name].astype("f8") for name in ("lowest", "highest"))
    group = np.unique(category, return_inverse=True)[1]
    return Field(
        said["product"], price, cost, units_, said["signed"] > 0.5, made[0], made[1], float(said["weight"][0]), lowest, highest, group
    )


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


@dataclass(frozen=True, slots=True)
class _Choosing:
    """What customers of one category do, in draws: its products are `here`, all others `away`."""

    here: Array
    away: Array
    size: float  # units of the category today
    whole: Array  # log units of the category by each price of its own (D x n)
    pull: Array  # log attraction of each product by its own price (D x n)
    share: Array  # of each product in the category (D x n)
    beside: Array  # log units by each price of other categories (D x rest)


def _choosing(field: Field, matrix: Array, moved: Array) -> Iterator[_Choosing]:
    """Yield each category as it is where customers choose among its products, at prices moved by so much in logs.

    A category sells what its price index has it sell, and its products share that by attraction. Near today's prices a product answers as
    under the first form; but who goes to a cheaper sibling leaves another one, while forms in logs make customers where some prices fall
    and others rise.
    """
    for number in np.unique(field.group):
        here, away = np.flatnonzero(field.group == number), np.flatnonzero(field.group != number)
        size = float(field.units[here].sum())
        part = field.units[here] / max(size, 1e-12)
        inner = matrix[:, here[:, None], here]
        whole = np.minimum(np.einsum("p,dpq->d", part, inner), 0.0)[:, None] * part  # all prices of it together, by what each sells
        own = np.diagonal(inner, axis1=1, axis2=2)
        pull = np.minimum((own - whole) / np.maximum(1 - part, 1e-9), 0.0) if len(here) > 1 else own - whole
        liked = part * np.exp(np.clip(pull * moved[here], -20, 20))
        share = liked / np.maximum(liked.sum(1, keepdims=True), 1e-12)
        yield _Choosing(here, away, size, whole, pull, share, matrix[:, here[0], away])


def _shared(field: Field, price: Array, some: slice) -> Array:
    """Return draws of units (D x P) where customers choose among the products of a category."""
    inside = np.minimum(price, REACH * field.price)
    matrix, moved = field.matrix[some], np.log(inside / field.price)
    sold = np.zeros(matrix.shape[:2])
    for one in _choosing(field, matrix, moved):
        grown = np.clip(one.whole @ moved[one.here] + one.beside @ moved[one.away], -5, 5)
        sold[:, one.here] = one.share * one.size * np.exp(grown)[:, None]
    found: Array = sold * np.exp(_beyond(matrix, price, inside))
    return found


def _shared_slopes(field: Field, price: Array, some: slice) -> Array:
    """Return draws of the log slopes of these units by log price (D x P x P)."""
    matrix = field.matrix[some]
    slope = np.zeros_like(matrix)
    for one in _choosing(field, matrix, np.log(np.minimum(price, REACH * field.price) / field.price)):
        among = (one.whole - one.pull * one.share)[:, None, :] + one.pull[:, None, :] * np.eye(len(one.here))
        slope[:, one.here[:, None], one.here] = among
        slope[:, one.here[:, None], one.away] = one.beside[:, None, :]
    return slope


def _beyond(matrix: Array, price: Array, inside: Array) -> Array:
    """Return the log units (D x P) that are lost beyond the reach: there they fall at least in proportion to the price."""
    found: Array = np.minimum(np.diagonal(matrix, axis1=1, axis2=2), -1.0) * (price / inside - 1)
    return found


def _looked(field: Field, price: Array, some: slice) -> list[tuple[float, Array, Array, bool]]:
    """Return of each form that counts its weight, draws of units, their slopes, and whether these are by relative change."""
    found = []
    for second in (False, True):
        matrix = (field.matrix_second if second else field.matrix)[some]
        found.append((_weight(field, second=second), _sold(field, price, some, second=second), matrix, second))
    if field.shares:
        found.append((field.shares, _shared(field, price, some), _shared_slopes(field, price, some), False))
    return found


def _weight(field: Field, *, second: bool) -> float:
    """Return the weight of a form in logs in what is expected."""
    return (1 - field.shares) * (field.weight if second else 1 - field.weight)


def units(field: Field, price: Array) -> Array:
    """Return expected units of each product, all forms by their weight."""
    return np.asarray(sum(share * sold.mean(0) for share, sold in _all_sold(field, price, every=bool(field.shares))))


def _all_sold(field: Field, price: Array, *, every: bool) -> list[tuple[float, Array]]:
    """Return of each form its weight in what is expected and all draws of units: of the form in shares only where `every` one is asked."""
    found = [(_weight(field, second=second), _sold(field, price, slice(None), second=second)) for second in (False, True)]
    return [*found, (field.shares, _shared(field, price, slice(None)))] if every else found


def _some(field: Field) -> slice:
    return slice(0, len(field.matrix), max(1, len(field.matrix) // SOME))


def values(field: Field, price: Array) -> tuple[Array, Array]:
    """Return margin, revenue and units as shares of today's (3), over draws of all forms, and their gradient by price (3 x P)."""
    total, slope = np.zeros(3), np.zeros((3, len(price)))
    some = _some(field)
    today = np.array([(field.units * (field.price - field.cost)).sum(), (field.units * field.price).sum(), field.units.sum()])
    for share, sold, matrix, second in _looked(field, price, some):
        inner = 1 / field.price if second else 1 / price
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
    for share, base, matrix, second in _looked(field, price, some):
        now = _moved(field, price, second=second)
        then = tried / field.price[owner]
        step = (then - 1 if second else np.log(then)) - now[owner]
        places = np.arange(len(tried))
        change = np.exp(np.clip(matrix[:, :, owner] * step, -5, 5))  # draws x product x candidate
        sold = base[:, :, None] * change
        own = sold[:, owner, places].mean(0)
        beside = (sold - base[:, :, None]).mean(0)
        beside[owner, places] = 0.0
        out[0] += share * (own * (tried - field.cost[owner]) + beside.T @ (price - field.cost))
        out[1] += share * (own * tried + beside.T @ price)
        out[2] += share * (own + beside.sum(0))
    return out


def _margins(field: Field, price: Array, *, every: bool = True) -> list[tuple[float, Array]]:
    """Return the weight of each form and draws of the margin under it: of every form, or of those that count."""
    return [(share, (sold * (price - field.cost)).sum(1)) for share, sold in _all_sold(field, price, every=every or field.shares > 0)]


def unsure(field: Field, price: Array, sure: float) -> Array:
    """Tell which changed prices do not gain surely by themselves, the others as planned, under every form that counts."""
    out = np.zeros(len(price), bool)
    whole = _margins(field, price, every=False)
    for at in np.flatnonzero(np.abs(price / field.price - 1) > 1e-6).tolist():
        back = price.copy()
        back[at] = field.price[at]
        out[at] = any((all_ > part).mean() < sure for (_, all_), (_, part) in zip(whole, _margins(field, back, every=False), strict=True))
    return out


def agreed(field: Field, price: Array, sure: float) -> bool:
    """Tell whether a plan gains surely where customers choose among siblings too, and at least AGREED of what the log forms promise."""
    first, second, shared = (margin - (field.units * (field.price - field.cost)).sum() for _, margin in _margins(field, price))
    promised = (1 - field.weight) * first.mean() + field.weight * second.mean()
    return bool((shared > 0).mean() >= sure and shared.mean() >= AGREED * promised)


def chances(field: Field, price: Array, still: Array) -> list[float]:
    """Return the probability, under each form that counts, that a plan earns more than other prices; 1 where both are the same."""
    both = zip(_margins(field, price, every=False), _margins(field, still, every=False), strict=True)
    return [1.0 if np.allclose(price, still) else float((one > other).mean()) for (_, one), (_, other) in both]


def outcome(field: Field, price: Array) -> Outcome:
    """Return what a plan promises on all draws; the interval is the widest of all forms."""
    today = float((field.units * (field.price - field.cost)).sum())
    weighed = [(share, margin - today) for share, margin in _margins(field, price)]
    gained = [one for _, one in weighed]
    sold = units(field, price)
    low, high = (f(float(np.quantile(one, level)) for one in gained) for f, level in ((min, 0.1), (max, 0.9)))
    money = float(sum(share * one.mean() for share, one in weighed))
    scale = abs(today) if abs(today) > 1e-9 else 1.0
    moved = bool((np.abs(price / field.price - 1) > 1e-9).any())
    first, second, shared = (float((one > 0).mean()) if moved else 0.0 for one in gained)
    revenue = float((sold * price).sum() / max(float((field.units * field.price).sum()), 1e-9) - 1)
    volume = float(sold.sum() / max(float(field.units.sum()), 1e-9) - 1)
    return Outcome(money / scale, low / scale, high / scale, money, first, second, shared, revenue, volume)


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
