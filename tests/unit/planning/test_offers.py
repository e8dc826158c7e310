"""Offers under a budget: the programme finds the best assignment, limits hold, lots are logged, and the log is read back without bias."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tradewind.core.errors import BadValue
from tradewind.core.table import Table
from tradewind.planning import offers, offpolicy

PEOPLE = 400


def texts(values):
    values = list(values)
    made = np.empty(len(values), object)
    made[:] = values
    return made


def world(seed, *, effect=1.0, size=PEOPLE, logged=True):
    """Return what a model would respond: arm `gift` adds `effect` to log odds that differ by customer; and the truth."""
    rng = np.random.default_rng(seed)
    names = texts(f"C{at}" for at in range(size))
    base = rng.normal(-1.0, 0.8, size)
    plain, gift = 1 / (1 + np.exp(-base)), 1 / (1 + np.exp(-base - effect))
    share = np.clip(0.3 + 0.3 * np.tanh(base), 0.1, 0.9)  # who responds anyway was given more gifts
    arm = np.where(rng.random(size) < share, "gift", "control").astype(object)
    outcome = (rng.random(size) < np.where(arm == "gift", gift, plain)).astype(float)

    def respond(request):
        number = len(request["offers"])
        taken = np.stack([gift if one["name"] == "gift" else np.full(size, np.nan) for one in request["offers"]], axis=1)
        nought = np.full(number, np.nan)
        return {
            "customers": names,
            "taken": taken,
            "anyway": np.tile(plain[:, None], number),
            "price": np.full(number, 10.0),
            "cost": np.full(number, 6.0),
            "level": np.where([one["name"] == "gift" for one in request["offers"]], effect - 1.0, np.nan),
            "error": np.where([one["name"] == "gift" for one in request["offers"]], 0.1, np.nan),
            "base": np.array([-1.0, 0.1]),
            "without": plain,
            "control": texts(["control"]),
            "log_customer": names if logged else texts([]),
            "log_arm": arm if logged else texts([]),
            "log_outcome": outcome if logged else nought[:0],
            "log_propensity": np.where(arm == "gift", share, 1 - share) if logged else nought[:0],
            "log_taken": taken if logged else taken[:0],
            "log_without": plain if logged else plain[:0],
        }

    return respond, plain, gift


def wishes(budget=None, asked=None, lock=None, **limits):
    limits = {"offers": [{"name": "gift", "worth": 10.0, "gives": 2.0, "contact": 0.1}], "explore": 0.0} | limits
    return {"asked": asked, "budget": budget, "lock": lock or {}, "limits": limits}


def test_the_assignment_is_the_best_there_is():
    rng = np.random.default_rng(0)
    for _ in range(20):
        gain, cost = rng.normal(0.5, 1, (4, 2)), rng.uniform(0.5, 1.5, (4, 2))
        best = 0.0
        for choice in itertools.product((0, 1, 2), repeat=4):
            chosen = [(at, one - 1) for at, one in enumerate(choice) if one]
            if sum(cost[pair] for pair in chosen) <= 2.5 and sum(one == 1 for _, one in chosen) <= 1:
                best = max(best, sum(gain[pair] for pair in chosen))
        found = offers.assign(gain, cost, budget=2.5, most=1, capacity=np.array([np.inf, 1.0]))
        assert (found.sum(1) <= 1).all() and found[:, 1].sum() <= 1 and cost[found].sum() <= 2.5 + 1e-9
        assert gain[found].sum() >= best - max(gain.max(), 0)  # rounding a broken share down costs one offer at most


def test_budget_capacity_and_locks_hold():
    respond, plain, gift = world(1)
    made = offers.plan(respond, wishes(budget=50.0))
    told = {fact.name: fact.value for fact in made.facts}
    assert told["expected_cost"] <= 50.0 and told["offered"] == len(made.table) > 0
    assert told["gain_lo80"] < told["expected_gain"] < told["gain_hi80"]
    assert len(offers.plan(respond, wishes(lock={"gift": 7})).table) == 7
    gain = gift * 8.0 - plain * 10.0 - 0.1
    free = offers.plan(respond, wishes())
    assert len(free.table) == int((gain > 0).sum()), "without limits, exactly those who pay are offered something"
    np.testing.assert_allclose(free.table.column("gain").sum(), gain[gain > 0].sum(), rtol=1e-6)


def test_lots_are_drawn_and_their_propensity_is_right():
    respond, _, _ = world(2, logged=False)
    counts = np.zeros(PEOPLE)
    stated = np.zeros(PEOPLE)
    for seed in range(60):
        table = offers.plan(respond, wishes(explore=0.4, seed=seed)).table
        at = np.array([int(name[1:]) for name in table.column("customer").tolist()])
        counts[at] += 1
        stated[at] = table.column("propensity")
    offered = stated > 0
    assert abs(counts[offered].mean() / 60 - stated[offered].mean()) < 0.02
    assert set(np.round(stated[offered], 6)) == {0.2, 0.8}


def test_the_log_is_read_without_bias():
    gaps = {name: [] for name in ("logged", "snips", "dr")}
    for seed in range(12):
        respond, plain, gift = world(seed + 10, size=1500)
        said = respond({"offers": [{"name": "gift"}]})
        best = np.zeros((1500, 1), bool)
        best[:, 0] = np.arange(1500) % 2 == 0
        true = float(np.where(best[:, 0], gift, plain).mean())
        told = {fact.name: fact.value for fact in offpolicy.report(said, best, ["gift"], seed=0).facts}
        for name in gaps:
            gaps[name].append(told[f"policy_{name}"] - true)
        assert told["policy_dr_lo90"] < told["policy_dr"] < told["policy_dr_hi90"]
    for name in ("snips", "dr"):
        assert abs(np.mean(gaps[name])) < 0.02


def test_what_is_not_known_is_said():
    respond, _, _ = world(3, effect=0.05)
    made = offers.plan(respond, wishes())
    assert "gift cannot be told from no offer" in made.words
    facts = {fact.name: fact.value for fact in made.facts}
    assert facts["evidence_gift"] == "not told from nothing"
    assumed = offers.plan(respond, wishes(offers=[{"name": "new", "item": "I1", "discount": 0.1, "lift": 3.0}]))
    assert "rests on the lift you assume" in assumed.words and set(assumed.table.column("evidence").tolist()) == {"assumed"}
    quiet, _, _ = world(3, logged=False)
    assert "policy_dr" not in {fact.name for fact in offers.plan(quiet, wishes()).facts}


def test_asked_customers_are_passed_on():
    seen = {}
    respond, _, _ = world(4)

    def listening(request):
        seen.update(request)
        return respond(request)

    offers.plan(listening, wishes(asked=Table.from_columns({"customer": texts(["C1", "C2", "C1"])})))
    assert seen["customers"] == ["C1", "C2"] and seen["about"] == "offers"


@pytest.mark.parametrize(
    ("limits", "match"),
    [
        ({"offers": []}, "nothing to offer"),
        ({"offers": [{"worth": 3}]}, "name of its own"),
        ({"offers": [{"name": "a", "colour": 1}]}, "has no 'colour'"),
        ({"offers": [{"name": "a"}]}, "never tried"),
        ({"offers": [{"name": "gift", "discount": 3}]}, "share of the price"),
        ({"offers": [{"name": "gift", "contact": -1}]}, "at least 0"),
        ({"explore": 1.0}, "explore"),
        ({"per_customer": 0}, "per_customer"),
        ({"moon": 1}, "no limit 'moon'"),
    ],
)
def test_bad_wishes_are_named(limits, match):
    respond, _, _ = world(5)
    with pytest.raises(BadValue, match=match):
        offers.plan(respond, wishes(**limits))


def test_exploring_beyond_the_budget_is_refused():
    respond, _, _ = world(6)
    with pytest.raises(BadValue, match="exploring alone"):
        offers.plan(respond, wishes(budget=0.5, explore=0.5))
