"""What a policy would have earned on the customers of a past log: inverse propensity, self-normalised, and doubly robust.

Dudik, Langford, Li (2011), "Doubly robust policy evaluation and learning"; Swaminathan and Joachims (2015) for the self-normalised one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tradewind.core.fact import Fact
from tradewind.core.table import Array

FEWEST = 50  # logged customers who are in the plan
DRAWS = 400
NONE = ""
LEAST = 0.01  # propensities are not taken to be smaller


@dataclass(frozen=True, slots=True)
class Report:
    """Facts and the sentence that says them; both empty where the log says nothing of the plan."""

    facts: tuple[Fact, ...] = ()
    words: str = ""


def report(said: Mapping[str, Array], best: Array, names: Sequence[str], *, seed: int) -> Report:
    """Return the response rate of a plan on the logged customers, beside the rate that was logged.

    A customer without an offer in the plan counts as the control arm. Propensities that were not logged are the arms' shares: right only
    where offers were made by lot, and then the words say so.
    """
    logged = said["log_customer"].tolist()
    place = {name: at for at, name in enumerate(said["customers"].tolist())}
    rows = np.array([at for at, name in enumerate(logged) if name in place], int)
    if len(rows) < FEWEST:
        return Report()
    control = str(said["control"][0]) if len(said["control"]) else NONE
    wanted, sure = _wanted(best, [place[logged[at]] for at in rows], names, control)
    arms = said["log_arm"][rows]
    outcome, chance = said["log_outcome"][rows], said["log_propensity"][rows]
    shares = {arm: float((said["log_arm"] == arm).mean()) for arm in set(said["log_arm"].tolist())}
    chance = np.where(chance > 0, chance, [shares[arm] for arm in arms])
    fine = np.array([arm in shares for arm in wanted]) & sure
    if int(fine.sum()) < FEWEST:
        return Report()
    weight = (arms == wanted)[fine] / np.maximum(chance[fine], LEAST)
    here, there = (_model(said, rows[fine], arm[fine], names) for arm in (arms, wanted))
    y = outcome[fine]
    found = _estimates(y, weight, here, there)
    rng = np.random.default_rng(seed)
    draws = []
    for _ in range(DRAWS):
        pick = rng.integers(0, len(y), len(y))
        draws.append(_estimates(y[pick], weight[pick], here[pick], there[pick]))
    facts = [Fact("policy_logged", round(float(y.mean()), 4), "responses per logged customer")]
    for name, value, column in zip(("ips", "snips", "dr"), found, np.array(draws).T, strict=True):
        low, high = np.quantile(column, [0.05, 0.95])
        facts += [Fact(f"policy_{name}", round(value, 4)), Fact(f"policy_{name}_lo90", round(float(low), 4))]
        facts.append(Fact(f"policy_{name}_hi90", round(float(high), 4)))
    told = {fact.name: fact.value for fact in facts}
    words = (
        f"On the log, customers responded with {told['policy_logged']}; under this plan it would have been {told['policy_dr']} "
        f"({told['policy_dr_lo90']} to {told['policy_dr_hi90']}, doubly robust)."
    )
    guess = "" if (said["log_propensity"][rows] > 0).all() else " Propensities were not logged: this holds only if offers were made by lot."
    return Report(tuple(facts), words + guess)


def _wanted(best: Array, places: Sequence[int], names: Sequence[str], control: str) -> tuple[Array, Array]:
    """Return the arm the plan gives each logged customer, and whether it is one arm."""
    rows = best[places]
    wanted = np.where(rows.any(1), np.array(names, object)[rows.argmax(1)], control)
    return wanted, (rows.sum(1) <= 1) & (wanted != NONE)


def _model(said: Mapping[str, Array], rows: Array, arms: Array, names: Sequence[str]) -> Array:
    """Return what the model says of giving each row its arm; nought where it knows nothing."""
    made = np.nan_to_num(said["log_without"][rows])
    for at, name in enumerate(names):
        chosen = arms == name
        made[chosen] = np.nan_to_num(said["log_taken"][rows[chosen], at])
    return made


def _estimates(y: Array, weight: Array, here: Array, there: Array) -> tuple[float, float, float]:
    ips = float((weight * y).mean())
    total = float(weight.sum())
    return ips, float((weight * y).sum() / total) if total > 0 else 0.0, float((there + weight * (y - here)).mean())
