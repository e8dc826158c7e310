"""Customers of the sample company: six behaviours, tastes, why they leave, memberships, and a retention test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tradewind.core.schema import Column, Role, Type
from tradewind.core.table import Array
from tradewind.models._kit.world_chance import labels, only, stream
from tradewind.models._kit.world_days import Days
from tradewind.models._kit.world_market import Market

TASTES = 4
_FULL = 730.0  # the behaviours are stated for a window of two years


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One kind of customer: share, orders a year, money per order, chance that an order is on promotion, products bought."""

    name: str
    share: float
    rate: float
    spend: float
    promoted: float
    breadth: float
    uplift: float  # what a retention offer adds to the chance of a response


BEHAVIOURS = (
    Behaviour("champions", 0.08, 26.0, 150.0, 0.15, 25.0, -0.05),
    Behaviour("loyal small-basket", 0.22, 20.0, 35.0, 0.20, 10.0, 0.04),
    Behaviour("bargain hunters", 0.20, 8.0, 45.0, 0.85, 12.0, 0.15),
    Behaviour("big occasional", 0.12, 3.0, 320.0, 0.15, 14.0, 0.08),
    Behaviour("lapsed", 0.23, 10.0, 70.0, 0.30, 10.0, 0.02),
    Behaviour("new", 0.15, 12.0, 70.0, 0.30, 6.0, 0.12),
)
LAPSED, NEW = 4, 5

CAUSES = ("price", "service", "competitor", "moved")
MEMBER_CAUSES = ("contract", "payment", "complaints", "late deliveries", "fee rise", "no longer shopping", "other")
"""Why a membership ends; `other` is the base hazard."""

COLUMNS = (
    Column("region", Role.STATIC, Type.TEXT),
    Column("home_store", Role.STATIC, Type.TEXT),
    Column("age_band", Role.STATIC, Type.TEXT, sensitive=True),
    Column("plan", Role.STATIC, Type.TEXT, meaning="membership: none, monthly or yearly"),
    Column("payment", Role.STATIC, Type.TEXT),
    Column("fee", Role.STATIC, Type.NUMBER, unit="money per month"),
    Column("complaints", Role.STATIC, Type.NUMBER, meaning="in the first 90 days"),
    Column("late_deliveries", Role.STATIC, Type.NUMBER, meaning="in the first 90 days"),
)


@dataclass(frozen=True, slots=True)
class People:
    """Customers, N of them. Days are counted from the start of the world; `left` and `cancelled` are -1 where it did not happen."""

    names: Array
    kind: Array  # index into BEHAVIOURS
    rate: Array  # orders a year
    spend: Array  # money per order
    promoted: Array  # chance that an order is on promotion
    breadth: Array  # different products ever bought
    joined: Array  # day of the first possible order
    leaves: Array  # last day of orders
    left: Array
    cause: Array  # index into CAUSES, -1
    store: Array
    taste: Array  # N x TASTES
    affinity: Array  # N x P: taste score of each product, popularity included
    factors: Array  # P x TASTES
    plan: Array
    payment: Array
    fee: Array
    complaints: Array
    late: Array
    cancelled: Array
    member_cause: Array  # index into MEMBER_CAUSES, -1
    hazard: Array  # monthly chance to cancel in the last month seen
    age: Array


def make_people(seed: int, market: Market, days: Days, *, count: int, noise: float) -> People:
    """Draw the customers. `noise` 1.0 is the reference overlap of the six behaviours; 0.5 is easy, 1.5 is hard."""
    rng = stream(seed, "people")
    scale = days.history / _FULL
    kind = rng.choice(len(BEHAVIOURS), count, p=[one.share for one in BEHAVIOURS])
    table = np.array([(one.rate, one.spend, one.promoted, one.breadth) for one in BEHAVIOURS])[kind].T
    rate, spend = (table[at] * np.exp(0.35 * noise * rng.normal(size=count)) for at in (0, 1))
    promoted = np.clip(table[2] + 0.12 * noise * rng.normal(size=count), 0.01, 0.99)
    breadth = rng.poisson(table[3] * np.exp(0.3 * noise * rng.normal(size=count))) + 1
    end = float(days.history)
    joined = np.where(kind == NEW, rng.uniform(end - 90 * scale, end - 10 * scale, count), rng.uniform(0, 360 * scale, count))
    stop = joined + 60 * scale + rng.random(count) * np.maximum(end - 200 * scale - joined - 60 * scale, 1.0)
    leaves = np.where(kind == LAPSED, stop, end)
    complaints = rng.poisson(np.where(kind == LAPSED, 0.7, 0.3))
    late = rng.poisson(np.where(kind == LAPSED, 0.6, 0.4))
    cause = _causes(rng, kind == LAPSED, promoted, complaints, late)
    taste, factors = rng.normal(size=(count, TASTES)), rng.normal(size=(len(market.products), TASTES))
    affinity = 0.8 * taste @ factors.T + 0.7 * rng.normal(size=len(market.products))
    plan = np.where(rng.random(count) < 0.45, "none", np.where(rng.random(count) < 0.6, "monthly", "yearly")).astype(object)
    payment = rng.choice(np.array(["card", "direct debit", "invoice"], dtype=object), count, p=[0.5, 0.3, 0.2])
    members = _members(seed, days, plan=plan, payment=payment, joined=joined, leaves=leaves, complaints=complaints, late=late)
    open_stores = np.flatnonzero(market.closes >= days.history)
    ages = rng.choice(np.array(["18-29", "30-44", "45-59", "60+"], dtype=object), count, p=[0.2, 0.3, 0.3, 0.2])
    return People(
        *(labels("C", count, 5), kind, rate, spend, promoted, breadth, joined, leaves),
        *(np.where(kind == LAPSED, leaves.astype(int), -1), cause, rng.choice(open_stores, count), taste, affinity, factors),
        *(plan, payment, np.where(plan == "none", 0.0, np.where(plan == "monthly", 7.9, 5.9)), complaints, late, *members, ages),
    )


def _causes(rng: np.random.Generator, gone: Array, promoted: Array, complaints: Array, late: Array) -> Array:
    """Return why each lapsed customer left: bargain seekers for the price, the badly served for the service."""
    weight = np.stack([0.3 + 2.0 * promoted, 0.3 + 0.9 * complaints + 0.5 * late, np.full(len(gone), 0.6), np.full(len(gone), 0.3)], axis=1)
    at = (rng.random((len(gone), 1)) * weight.sum(1, keepdims=True) > weight.cumsum(1)).sum(1)
    return np.where(gone, at, -1)


def _members(
    seed: int, days: Days, *, plan: Array, payment: Array, joined: Array, leaves: Array, complaints: Array, late: Array
) -> tuple[Array, Array, Array]:
    """Simulate memberships month by month (discrete-time hazard, logit additive) and return day, cause and last hazard."""
    rng = stream(seed, "members")
    count, rise = len(plan), days.history * 0.55  # the fee goes up once
    steady = np.stack([0.9 * (plan == "monthly"), 0.5 * (payment == "invoice"), 0.5 * complaints, 0.35 * late], axis=1)
    cancelled, cause, hazard = np.full(count, -1), np.full(count, -1), np.zeros(count)
    for month in range(3, int(days.history / 30.4) + 1):
        day = joined + month * 30.4
        parts = np.column_stack([steady, 0.8 * ((day >= rise) & (day < rise + 61)), 1.2 * (day > leaves)])
        chance = 1 / (1 + np.exp(4.6 + 0.03 * min(month, 24) - parts.sum(1)))
        alive = (plan != "none") & (cancelled < 0) & (day < days.history)
        hazard = np.where(alive, chance, hazard)
        gone = alive & (rng.random(count) < chance)
        weight = np.column_stack([np.expm1(parts), np.ones(count)])
        at = (rng.random((count, 1)) * weight.sum(1, keepdims=True) > weight.cumsum(1)).sum(1)
        cancelled, cause = np.where(gone, day.astype(int), cancelled), np.where(gone, at, cause)
    return cancelled, cause, hazard


def customer_table(seed: int, people: People, market: Market, days: Days, *, region: Array) -> dict[str, Array]:
    """Return the customers table; `churned` is the day a membership was cancelled."""
    churned = only(np.datetime_as_string(days.dates[np.maximum(people.cancelled, 0)]), people.cancelled >= 0)
    consent = stream(seed, "consent").random(len(people.names)) < 0.8
    return {
        "customer": people.names,
        "joined": days.dates[people.joined.astype(int)],
        "churned": churned,
        "consent": consent,
        "region": region[people.store],
        "home_store": market.stores[people.store],
        "age_band": people.age,
        "plan": people.plan,
        "payment": people.payment,
        "fee": people.fee,
        "complaints": people.complaints.astype("f8"),
        "late_deliveries": people.late.astype("f8"),
    }


def treatment_table(seed: int, people: People, days: Days, *, effect: float) -> tuple[dict[str, Array], Array]:
    """Return a randomised retention test (half get a voucher) and each customer's true uplift in the chance to respond."""
    rng = stream(seed, "treatments")
    day = int(days.history * 0.6)
    count = len(people.names)
    gain = effect * (np.array([one.uplift for one in BEHAVIOURS])[people.kind] + 0.04 * np.tanh(people.taste[:, 0]))
    plain = 1 / (1 + np.exp(1.1 - 0.5 * people.taste[:, 1] - 0.6 * np.log(people.rate / 10.0)))
    with_offer = np.clip(plain + gain, 0.01, 0.99)
    treated = rng.random(count) < 0.5
    responded = rng.random(count) < np.where(treated, with_offer, plain)
    seen = people.joined < day
    arm = np.where(treated, "voucher", "control").astype(object)
    rows = {"customer": people.names, "date": np.full(count, days.dates[day]), "arm": arm, "outcome": responded.astype("f8")}
    return {name: values[seen] for name, values in rows.items()}, with_offer - plain


def people_truth(people: People, days: Days, *, uplift: Array) -> dict[str, Array]:
    """Return what is true of every customer: segment, its parameters, why and when she left, uplift."""

    def dated(day: Array) -> Array:
        return np.where(day >= 0, days.dates[np.maximum(day, 0)], np.datetime64("NaT", "D"))

    def named(names: tuple[str, ...], at: Array) -> Array:
        return np.array([*names, None], dtype=object)[at]

    found = {
        "customer": people.names,
        "segment": named(tuple(one.name for one in BEHAVIOURS), people.kind),
        "rate": people.rate,
        "spend": people.spend,
        "promoted": people.promoted,
        "breadth": people.breadth.astype("f8"),
        "left": dated(people.left),
        "cause": named(CAUSES, people.cause),
        "cancelled": dated(people.cancelled),
        "member_cause": named(MEMBER_CAUSES, people.member_cause),
        "hazard": people.hazard,
        "uplift": uplift,
    }
    return found | {f"taste_{at}": people.taste[:, at] for at in range(TASTES)}
