"""What an offer does: the chance that it is taken, learned from offers made before, and the chance that the item is bought anyway."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.core.errors import BadValue, Tampered
from tradewind.core.table import Array
from tradewind.models.recommend import ranker
from tradewind.models.recommend.log import Log
from tradewind.models.recommend.ranker import Ranker
from tradewind.models.recommend.shop import Shop, profiles
from tradewind.models.recommend.weights import Weights

CONTROL = ("control", "none", "no", "holdout", "0")
FEWEST = 30  # offers of an arm whose outcome is known
PRIOR = 0.05  # ridge on what a customer's habits say
ROWS = 256


@dataclass(frozen=True, slots=True)
class Redeem:
    """Log odds that an offer is taken: one number per arm tried before, plus what the customer's habits add; and the log itself."""

    arms: tuple[str, ...] = ()
    level: tuple[float, ...] = ()
    error: tuple[float, ...] = ()  # standard error of the level
    slope: tuple[float, ...] = ()
    middle: tuple[float, ...] = ()  # habits of the average customer of the log: levels are hers
    log: tuple[tuple[str, str, float, float], ...] = ()  # customer, arm, outcome, propensity (0: not logged)

    def dump(self) -> bytes:
        """Write it as JSON."""
        said = {"arms": self.arms, "level": self.level, "error": self.error, "slope": self.slope, "middle": self.middle, "log": self.log}
        return json.dumps(said).encode()

    @classmethod
    def load(cls, data: bytes) -> Redeem:
        """Read it back; raises Tampered."""
        try:
            said = json.loads(data)
            rows = tuple((str(a), str(b), float(c), float(d)) for a, b, c, d in said["log"])
            numbers = {name: tuple(map(float, said[name])) for name in ("level", "error", "slope", "middle")}
            return cls(tuple(map(str, said["arms"])), **numbers, log=rows)
        except (KeyError, TypeError, ValueError) as error:
            raise Tampered("what a recommend version knows of offers cannot be read") from error

    @property
    def control(self) -> str:
        """Return the arm that is no offer, or ""."""
        return next((arm for arm in self.arms if arm.lower() in CONTROL), "")


def habits(shop: Shop, people: Array) -> Array:
    """Return (n, 3): log orders, log days of silence, log items, of customers by number; nought for unknown ones."""
    past = shop.seen
    known = np.maximum(people, 0)
    orders = np.log1p(past.orders[known])
    quiet = np.log1p(np.minimum(past.day - past.latest[known], 999))
    items = np.log1p(past.start[known + 1] - past.start[known])
    return np.asarray(np.stack([orders, quiet, items], axis=1) * (people >= 0)[:, None])


def learn(log: Log, shop: Shop, seed: int) -> Redeem:
    """Learn from the offers made before: arms with too few known outcomes are left out; without any there is nothing to tell.

    Habits are those of today, not of the day of the offer: what they say is used to rank customers, not to measure an effect.
    """
    del seed
    if log.offers is None:
        return Redeem()
    arm = np.array([str(value) if value is not None else "" for value in log.offers.column("arm").tolist()], object)
    outcome = log.offers.column("outcome").astype("f8")
    chance = np.nan_to_num(log.offers.column("propensity").astype("f8"))
    who = log.offers.column("customer").tolist()
    fine = np.isfinite(outcome) & (arm != "")
    counts = {name: int((fine & (arm == name)).sum()) for name in sorted(set(arm[fine].tolist()))}
    arms = tuple(name for name, count in counts.items() if count >= FEWEST)
    if not arms:
        return Redeem()
    rows = np.flatnonzero(fine & np.isin(arm, arms))
    people = np.array([shop.person.get(str(who[at]), -1) for at in rows])
    taken = (outcome[rows] > 0).astype("f8")
    one = (arm[rows, None] == np.array(arms, object)).astype("f8")
    more = habits(shop, people)
    middle = more.mean(0)
    level, error, slope = _logistic(one, more - middle, taken)
    kept = tuple((str(who[at]), str(arm[at]), float(taken[turn]), float(chance[at])) for turn, at in enumerate(rows.tolist()))
    return Redeem(arms, tuple(level), tuple(error), tuple(slope), tuple(middle.tolist()), kept)


def _logistic(one: Array, more: Array, taken: Array) -> tuple[list[float], list[float], list[float]]:
    """Return levels of arms, their standard errors, and slopes, by Newton's method with a ridge on the slopes."""
    rows = np.hstack([one, more])
    penalty = np.diag(np.r_[np.full(one.shape[1], 1e-3), np.full(more.shape[1], PRIOR * len(rows) / 10)])
    found = np.zeros(rows.shape[1])
    for _ in range(30):
        chance = 1 / (1 + np.exp(-np.clip(rows @ found, -30, 30)))
        bend = rows.T @ (rows * (chance * (1 - chance))[:, None]) + penalty
        step = np.linalg.solve(bend, rows.T @ (taken - chance) - penalty @ found)
        found += step
        if float(np.abs(step).max()) < 1e-8:
            break
    error = np.sqrt(np.diag(np.linalg.inv(bend)))
    arms = one.shape[1]
    return found[:arms].tolist(), error[:arms].tolist(), found[arms:].tolist()


def respond(shop: Shop, learned: Ranker, held: Weights | None, redeem: Redeem, request: Mapping[str, Any]) -> Mapping[str, Array]:
    """Answer {"about": "offers", "offers": [...], "customers": [...] or None}.

    An offer has a `name` and an `item` or the `arm` it was tried as. Returned are `customers` and, per customer and offer, `taken` (the
    chance that it is taken; NaN for an arm never tried) and `anyway` (the chance that its item is bought without it), per offer `price`
    and `cost` of its item, `level` and `error` (log odds that it is taken, and its standard error; NaN for none). Of the arm that was no
    offer: its name `control`, its log odds and error `base`, and the chance of a response `without` any offer. And the log of the past:
    `log_customer`, `log_arm`, `log_outcome`, `log_propensity`, with what the model says of it, `log_taken` and `log_without`.
    Raises BadValue.
    """
    if request.get("about") != "offers":
        raise BadValue(f"recommend can be asked about offers, not {request.get('about')!r}")
    asked = _read(shop, redeem, request.get("offers"))
    people = _people(shop, request.get("customers"))
    anyway = np.zeros((len(people), len(asked)))
    for at in range(0, len(people), ROWS):
        anyway[at : at + ROWS] = _bought_anyway(shop, learned, held, people[at : at + ROWS], asked)
    taken = _taken(shop, redeem, people, asked)
    places = [item for _, item, _ in asked]
    told = np.array([shop.person.get(name, -1) for name, *_ in redeem.log], "i8")
    return {
        "customers": shop.customers[people],
        "taken": taken,
        "anyway": anyway,
        "price": np.array([shop.price[item] if item >= 0 else np.nan for item in places]),
        "cost": np.array([shop.cost[item] if item >= 0 else np.nan for item in places]),
        "error": np.array([redeem.error[redeem.arms.index(arm)] if arm else np.nan for *_, arm in asked]),
        "log_customer": _objects([name for name, *_ in redeem.log]),
        "log_arm": _objects([arm for _, arm, _, _ in redeem.log]),
        "log_outcome": np.array([row[2] for row in redeem.log], "f8"),
        "log_propensity": np.array([row[3] for row in redeem.log], "f8"),
        "log_taken": _taken(shop, redeem, told, asked),
        "log_without": _without(shop, redeem, told),
        "without": _without(shop, redeem, people),
        "level": np.array([redeem.level[redeem.arms.index(arm)] if arm else np.nan for *_, arm in asked]),
        "base": np.array([redeem.level[redeem.arms.index(redeem.control)], redeem.error[redeem.arms.index(redeem.control)]])
        if redeem.control
        else np.full(2, np.nan),
        "control": _objects([redeem.control]),
    }


def _read(shop: Shop, redeem: Redeem, said: Any) -> list[tuple[str, int, str]]:
    """Return name, item (-1: none) and arm ("": never tried) of each offer."""
    if not isinstance(said, Sequence) or isinstance(said, str) or not said:
        raise BadValue("offers must be a list of at least one offer", hint='[{"name": "voucher", "item": "P001"}]')
    found = []
    for offer in said:
        name, item, arm = str(offer.get("name", "")), str(offer.get("item") or ""), str(offer.get("arm") or offer.get("name", ""))
        if not name:
            raise BadValue("an offer needs a name")
        if item and item not in shop.place:
            raise BadValue(f"offer {name}: there is no item {item!r} in the range")
        found.append((name, shop.place.get(item, -1), arm if arm in redeem.arms else ""))
    return found


def _people(shop: Shop, said: Any) -> Array:
    if said is None:
        return np.flatnonzero(shop.seen.orders > 0)
    names = [str(name) for name in said]
    strange = [name for name in names if name not in shop.person]
    if strange:
        raise BadValue(
            f"{len(strange)} customers are not known, such as {strange[0]}", hint="leave them out: they have no history to go by"
        )
    return np.array([shop.person[name] for name in dict.fromkeys(names)], "i8")


def _bought_anyway(shop: Shop, learned: Ranker, held: Weights | None, people: Array, asked: Sequence[tuple[str, int, str]]) -> Array:
    made = np.zeros((len(people), len(asked)))
    with_item = [at for at, (_, item, _) in enumerate(asked) if item >= 0]
    if not with_item:
        return made
    who = profiles(shop, people)
    spread = ranker.grid(shop, held, who)
    rows, turn = (part.reshape(-1) for part in np.meshgrid(np.arange(len(people)), np.array(with_item), indexing="ij"))
    items = np.array([item for _, item, _ in asked])[turn]
    made[rows, turn] = learned.chance(ranker.inputs(shop, who, spread, rows, items), spread.count[rows, items] > 0)
    return made


def _taken(shop: Shop, redeem: Redeem, people: Array, asked: Sequence[tuple[str, int, str]]) -> Array:
    made = np.full((len(people), len(asked)), np.nan)
    more = habits(shop, people)
    for at, (*_, arm) in enumerate(asked):
        if arm:
            made[:, at] = _chance(redeem, arm, more)
    return made


def _without(shop: Shop, redeem: Redeem, people: Array) -> Array:
    return _chance(redeem, redeem.control, habits(shop, people)) if redeem.control else np.full(len(people), np.nan)


def _chance(redeem: Redeem, arm: str, more: Array) -> Array:
    logit = redeem.level[redeem.arms.index(arm)] + (more - np.array(redeem.middle)) @ np.array(redeem.slope)
    return np.asarray(1 / (1 + np.exp(-logit)))


def _objects(values: Sequence[Any]) -> Array:
    made = np.empty(len(values), object)
    made[:] = values
    return made
