"""Whom to offer what: the largest expected gain under a budget, by linear programme, with some left to chance to learn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.core.errors import BadValue, LearnFailed, TooBig
from tradewind.core.fact import Fact
from tradewind.core.plan import Planned, Respond
from tradewind.core.table import Array, Table
from tradewind.planning import offpolicy

MOST = 400_000  # pairs of customer and offer
LIMITS = ("offers", "per_customer", "explore", "seed")
TERMS = ("name", "item", "arm", "discount", "gives", "worth", "contact", "capacity", "lift")
DRAWS = 400
EVIDENCE = 1.645  # standard errors from which an offer counts as doing something


@dataclass(frozen=True, slots=True)
class Offer:
    """One offer: money per unit taken it gives away, worth of a response without it, money per contact, how many there are."""

    name: str
    gives: float
    worth: float
    contact: float
    capacity: float
    lift: float | None  # assumed factor on the odds, where it was never tried


def plan(respond: Respond, wishes: Mapping[str, Any]) -> Planned:
    """Return who is offered what, the best expected gain first.

    `wishes`: `asked` (rows of customers, everyone with a purchase where left out), `budget` (money that contacts and discounts may cost
    together, none where left out), `lock` (offer -> how many there are), and `limits`: `offers`, a list of offers; `per_customer` (1);
    `explore`, the share of customers who get an offer or none by lot (0.1); `seed` (0).

    An offer has a `name` and the `item` it is for or the `arm` it was tried as (its name where left out); `discount` (a share of the
    price) or `gives` (money), `worth` (money a response is worth, price - cost of the item where left out), `contact` (money per
    contact), `capacity`, and `lift` (assumed factor on the odds of a purchase) where it was never tried. Gain = chance with it x (worth -
    gives) - chance without it x worth - contact. `propensity` is the chance with which the row was chosen, and belongs into the log.
    Raises BadValue, TooBig.
    """
    limits = _limits(wishes)
    asked: Table | None = wishes.get("asked")
    people = list(dict.fromkeys(str(name) for name in asked.column("customer").tolist())) if asked is not None else None
    said = respond({"about": "offers", "offers": [_plain(offer) for offer in limits["offers"]], "customers": people})
    offers = [_offer(one, said, at, wishes.get("lock") or {}) for at, one in enumerate(limits["offers"])]
    chance, without = _chances(offers, said)
    if chance.size > MOST:
        raise TooBig(f"{chance.size:,} pairs of customer and offer; the limit is {MOST:,}", hint="plan for fewer customers")
    gain, cost = _money(offers, chance, without)
    lots = _lots(len(chance), len(offers), float(limits["explore"]), int(limits["seed"]))
    budget = wishes.get("budget")
    spent = float(sum(cost[at, lots[at]] for at in np.flatnonzero(lots >= 0) if lots[at] < len(offers)))
    if budget is not None and spent > budget:
        raise BadValue(f"exploring alone may cost {spent:,.2f}, more than the budget", hint="lower explore, or raise the budget")
    left = None if budget is None else budget - spent
    best = assign(gain, cost, budget=left, most=int(limits["per_customer"]), capacity=np.array([one.capacity for one in offers]))
    return _said(offers, said, best, lots, gain=gain, cost=cost, chance=chance, without=without, limits=limits)


def _limits(wishes: Mapping[str, Any]) -> dict[str, Any]:
    given = dict(wishes.get("limits") or {})
    strange = [name for name in given if name not in LIMITS]
    if strange:
        raise BadValue(f"the planner of offers has no limit {strange[0]!r}", hint=f"limits: {', '.join(LIMITS)}")
    made: dict[str, Any] = {"per_customer": 1, "explore": 0.1, "seed": 0} | given
    offers = made.get("offers")
    if not isinstance(offers, Sequence) or isinstance(offers, str) or not offers or not all(isinstance(one, Mapping) for one in offers):
        raise BadValue("there is nothing to offer", hint='limits={"offers": [{"name": "voucher", "worth": 20, "gives": 5}]}')
    for one in offers:
        odd = [name for name in one if name not in TERMS]
        if odd:
            raise BadValue(f"an offer has no {odd[0]!r}", hint=f"an offer has {', '.join(TERMS)}")
    names = [str(one.get("name", "")) for one in offers]
    if len(set(names)) < len(names) or not all(names):
        raise BadValue("each offer needs a name of its own")
    if not isinstance(made["explore"], int | float) or not 0 <= made["explore"] < 1:
        raise BadValue(f"explore is a share from 0 up to 1, not {made['explore']!r}")
    if not isinstance(made["per_customer"], int) or made["per_customer"] < 1:
        raise BadValue(f"per_customer must be a whole number of at least 1, not {made['per_customer']!r}")
    return made


def _plain(offer: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(offer[name]) for name in ("name", "item", "arm") if offer.get(name)}


def _offer(given: Mapping[str, Any], said: Mapping[str, Array], at: int, lock: Mapping[str, Any]) -> Offer:
    name = str(given["name"])
    for term in TERMS[3:]:
        value = given.get(term)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf")):
            raise BadValue(f"offer {name}: {term} must be a number of at least 0, not {value!r}")
    price, cost = float(said["price"][at]), float(said["cost"][at])
    worth = float(given["worth"]) if given.get("worth") is not None else price - cost
    if not np.isfinite(worth):
        raise BadValue(f"offer {name}: what a response is worth is not known", hint="give worth, or an item with a price and a unit cost")
    share = float(given.get("discount") or 0.0)
    if share > 1:
        raise BadValue(f"offer {name}: discount is a share of the price from 0 to 1, not {share:g}")
    if share and not np.isfinite(price):
        raise BadValue(f"offer {name}: a discount needs an item with a price", hint="say what it gives away in money: gives")
    gives = float(given["gives"]) if given.get("gives") is not None else share * (price if share else 0.0)
    stated = lock.get(name, given.get("capacity"))
    capacity = np.inf if stated is None else float(stated)
    lift = given.get("lift")
    return Offer(name, gives, worth, float(given.get("contact") or 0.0), capacity, None if lift is None else float(lift))


def _chances(offers: Sequence[Offer], said: Mapping[str, Array]) -> tuple[Array, Array]:
    """Return (customers, offers): the chance with each offer, and without it."""
    taken, anyway, silent = said["taken"], said["anyway"], said["without"]
    chance, without = np.array(taken, "f8"), np.array(anyway, "f8")
    for at, offer in enumerate(offers):
        tried = bool(np.isfinite(taken[:, at]).all()) and len(taken) > 0
        if tried and offer.lift is None:
            # a response in the log is what it was there: it is compared with the response without an offer, if that was logged
            without[:, at] = np.where(np.isfinite(silent), silent, anyway[:, at])
            continue
        if offer.lift is None:
            raise BadValue(
                f"offer {offer.name} was never tried, so nothing is known of what it does",
                hint="try it on a share of customers by lot, or give lift, the factor on the odds you assume",
            )
        odds = offer.lift * anyway[:, at] / np.maximum(1 - anyway[:, at], 1e-9)
        chance[:, at] = odds / (1 + odds)
    return chance, without


def _money(offers: Sequence[Offer], chance: Array, without: Array) -> tuple[Array, Array]:
    worth, gives, contact = (np.array([getattr(one, name) for one in offers]) for name in ("worth", "gives", "contact"))
    return chance * (worth - gives) - without * worth - contact, chance * gives + contact


def _lots(customers: int, offers: int, explore: float, seed: int) -> Array:
    """Return per customer -1, or by lot the number of an offer, or their count for none."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, offers + 1, customers)
    return np.where(rng.random(customers) < explore, drawn, -1)


def assign(gain: Array, cost: Array, *, budget: float | None, most: int, capacity: Array) -> Array:
    """Return (customers, offers) of 0 and 1 with the largest total gain: at most `most` per customer, `capacity` per offer, within budget.

    The linear programme (HiGHS) has few broken shares; those are rounded down and what is left is filled up by gain per money.
    """
    from scipy.optimize import linprog
    from scipy.sparse import csr_matrix, vstack

    chosen = np.zeros(gain.shape, bool)
    who, what = np.nonzero(gain > 0)
    if not len(who):
        return chosen
    worth, price = gain[who, what], cost[who, what]
    at = np.arange(len(who))
    ones = np.ones(len(who))
    rows = [csr_matrix((ones, (who, at)), shape=(len(gain), len(who)))]
    limits = [np.full(len(gain), float(most))]
    capped = np.flatnonzero(np.isfinite(capacity))
    for offer in capped:
        rows.append(csr_matrix((what == offer).astype("f8")[None, :]))
        limits.append(np.array([capacity[offer]]))
    if budget is not None:
        rows.append(csr_matrix(price[None, :]))
        limits.append(np.array([budget]))
    solved = linprog(-worth, A_ub=vstack(rows), b_ub=np.concatenate(limits), bounds=(0, 1), method="highs")
    if not solved.success:
        raise LearnFailed(f"the offers cannot be assigned: {solved.message}")
    share = np.asarray(solved.x)
    taken = share > 1 - 1e-6
    chosen[who[taken], what[taken]] = True
    spent = float(price[taken].sum())
    for one in np.argsort(-worth / np.maximum(price, 1e-9), kind="stable").tolist():
        if taken[one] or share[one] < 1e-9:
            continue
        fits = budget is None or spent + price[one] <= budget + 1e-9
        room = chosen[:, what[one]].sum() + 1 <= capacity[what[one]] and chosen[who[one]].sum() < most
        if fits and room:
            chosen[who[one], what[one]] = True
            spent += float(price[one])
    return chosen


def _said(
    offers: Sequence[Offer],
    said: Mapping[str, Array],
    best: Array,
    lots: Array,
    *,
    gain: Array,
    cost: Array,
    chance: Array,
    without: Array,
    limits: Mapping[str, Any],
) -> Planned:
    given = best.copy()
    drawn = lots >= 0
    given[drawn] = False
    by_lot = np.flatnonzero(drawn & (lots < len(offers)))
    given[by_lot, lots[by_lot]] = True
    who, what = np.nonzero(given)
    order = np.argsort(-gain[who, what], kind="stable")
    who, what = who[order], what[order]
    explore = float(limits["explore"])
    chosen = (1 - explore) * best[who, what] + explore / (len(offers) + 1)
    evidence = [_evidence(offer, said, at) for at, offer in enumerate(offers)]
    names = np.array([one.name for one in offers], object)
    table = Table.from_columns(
        {
            "customer": said["customers"][who],
            "offer": names[what],
            "probability": chance[who, what],
            "without": without[who, what],
            "gain": gain[who, what],
            "cost": cost[who, what],
            "by_lot": drawn[who].astype("f8"),
            "propensity": chosen,
            "evidence": np.array(evidence, object)[what],
        }
    )
    whole, spent = float(gain[who, what].sum()), float(cost[who, what].sum())
    low, high = _reach(offers, said, who, what, chance=chance, without=without)
    facts = [
        Fact("offered", len(np.unique(who)), "customers"),
        Fact("expected_gain", round(whole, 2), "money"),
        Fact("gain_lo80", round(low, 2), "money"),
        Fact("gain_hi80", round(high, 2), "money"),
        Fact("expected_cost", round(spent, 2), "money"),
        Fact("by_lot", int(drawn.sum()), "customers, offered or not by lot"),
        *(Fact(f"evidence_{one.name}", told) for one, told in zip(offers, evidence, strict=True)),
    ]
    policy = offpolicy.report(said, best, [one.name for one in offers], seed=int(limits["seed"]))
    words = (
        f"{len(np.unique(who)):,} customers are offered something, at an expected cost of {round(spent, 2):,} and a gain of "
        f"{round(whole, 2):,} over offering nothing ({round(low, 2):,} to {round(high, 2):,} with 80 %)."
    )
    return Planned(table, (*facts, *policy.facts), " ".join([words, *_doubts(offers, evidence), policy.words]).strip())


def _evidence(offer: Offer, said: Mapping[str, Array], at: int) -> str:
    """Tell what an offer's effect rests on: assumed, tried without a control group, not told from nothing, or tested."""
    if offer.lift is not None:
        return "assumed"
    base, error = said["base"]
    if not np.isfinite(base):
        return "no control group"
    effect = float(said["level"][at] - base)
    sure = abs(effect) > EVIDENCE * float(np.hypot(said["error"][at], error))
    return "tested" if sure else "not told from nothing"


def _doubts(offers: Sequence[Offer], evidence: Sequence[str]) -> list[str]:
    told = {
        "assumed": "rests on the lift you assume",
        "no control group": "was never compared with no offer",
        "not told from nothing": "cannot be told from no offer: test it on more customers before you pay for it",
    }
    return [f"{offer.name} {told[one]}." for offer, one in zip(offers, evidence, strict=True) if one in told]


def _reach(
    offers: Sequence[Offer], said: Mapping[str, Array], who: Array, what: Array, *, chance: Array, without: Array
) -> tuple[float, float]:
    """Return the 80 % interval of the total gain: what each arm does is as uncertain as its log odds are; assumed lifts have none."""
    rng = np.random.default_rng(0)
    base = np.nan_to_num(float(said["base"][1])) * rng.normal(size=DRAWS)
    totals = np.zeros(DRAWS)
    for at, offer in enumerate(offers):
        rows = who[what == at]
        tried = offer.lift is None
        step = np.nan_to_num(float(said["error"][at])) * rng.normal(size=DRAWS) if tried else np.zeros(DRAWS)
        with_it = _moved(chance[rows, at], step)
        before = _moved(without[rows, at], base if tried and np.isfinite(said["base"][0]) else np.zeros(DRAWS))
        totals += with_it * (offer.worth - offer.gives) - before * offer.worth - offer.contact * len(rows)
    low, high = np.quantile(totals, [0.1, 0.9])
    return float(low), float(high)


def _moved(chance: Array, step: Array) -> Array:
    """Return the sum of chances after each step of their log odds."""
    odds = chance / np.maximum(1 - chance, 1e-9)
    moved = odds[:, None] * np.exp(step)[None, :]
    return np.asarray((moved / (1 + moved)).sum(0))
