"""Where the next money goes: spend per channel and period under a budget, with locks, limits and rules. Arrays in, a plan out.

The plan is the spend that makes most of mean(value) - risk x sd(value - today's value), over the model's own draws, by sequential
quadratic programming (SciPy's SLSQP) on the model's own slopes: what carries over from before the first period and behind the last one is
counted, and what today's plan brings is exactly what the model answers for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tradewind.core.errors import LearnFailed
from tradewind.core.plan import Planned, Respond
from tradewind.core.table import Array
from tradewind.planning._spend_say import say
from tradewind.planning._spend_value import Value, value_of
from tradewind.planning._spend_wishes import Wishes, read

INFEASIBLE = 2  # linprog's word for it
CLOSE = 1e-6  # of the budget: nearer to a limit than this counts as at it


def plan(respond: Respond, wishes: Mapping[str, Any]) -> Planned:
    """Return the spend per channel that earns most.

    `wishes`: `asked` (rows of channel, spend per period and optionally date: the plan to start from; None: as usual), `budget` (money of
    the whole time; None: as much as today), `lock` (channel -> money of the whole time that must not change) and `limits`, by name:
    `periods`, `change` (most a channel may move, 0.5: by half), `channels` (name -> [low, high] money of the whole time), `rules` (list of
    {"weights": {channel: number}, "at_most" or "at_least": number}), `phasing` ("as planned", "even", "free"), `per_period` (most of the
    mean spend of a channel in one period, with free phasing), `target_roi` (return that must be reached; the budget is then the most that
    may be spent) and `risk` (0: the mean alone; 1: a standard deviation less). Raises BadValue, NotFound, LearnFailed.
    """
    wish = read(respond, wishes)
    before = value_of(respond, wish.today)
    spend = _best(respond, wish, before)
    found = wish.plan(spend)
    mix = None if wish.mix is None else value_of(respond, wish.mix)
    return say(wish, before, found, value_of(respond, found), binding(wish, spend, respond), mix=mix)


def _best(respond: Respond, wish: Wishes, before: Value) -> Array:
    """Return the levers (n,) of the best plan found from two starts: today's, and the one that the next unit's return points to."""
    from scipy.optimize import minimize

    _refuse_impossible(wish)
    free = wish.high - wish.low > CLOSE * wish.unit
    fixed = np.where(free, 0.0, wish.low)
    if not free.any():
        return fixed
    scale = max(float(abs(before.total.mean())), 1e-9)
    memory: dict[bytes, tuple[float, Array, float, Array]] = {}

    def told(scaled: Array) -> tuple[float, Array, float, Array]:
        """Return the value and its slope by the free levers, and what the target asks for and its slope; remembered."""
        key = scaled.tobytes()
        if key not in memory:
            levers = fixed.copy()
            levers[free] = scaled * wish.unit
            memory.clear()
            memory[key] = _told(respond, wish, before, levers, free)
        return memory[key]

    rules = [_rule(row, at_least, equal, (free, fixed, wish.unit)) for row, at_least, equal, _ in wish.rules]
    if wish.target is not None:
        size = wish.unit * wish.target
        rules.append({"type": "ineq", "fun": lambda x: told(x)[2] / size, "jac": lambda x: told(x)[3] * wish.unit / size})
    bounds = [(low / wish.unit, high / wish.unit) for low, high in zip(wish.low[free], wish.high[free], strict=True)]
    best: Array | None = None
    least = np.inf
    for begin in _starts(wish, before):
        found = minimize(
            lambda x: -told(x)[0] / scale,
            np.clip(begin, wish.low, wish.high)[free] / wish.unit,
            jac=lambda x: -told(x)[1] * wish.unit / scale,
            bounds=bounds,
            constraints=rules,
            method="SLSQP",
            options={"maxiter": 200, "ftol": 1e-9},
        )
        levers = fixed.copy()
        levers[free] = np.clip(found.x * wish.unit, wish.low[free], wish.high[free])
        over = _told(respond, wish, before, levers, free)[2]
        if wish.kept(levers, over) and found.fun < least:
            best, least = levers, float(found.fun)
    if best is None:
        raise LearnFailed("no plan keeps all limits", hint=f"what is asked for: {', '.join(wish.said)}; loosen one of them")
    return best


def _refuse_impossible(wish: Wishes) -> None:
    """Raise LearnFailed where the rules and bounds leave no plan at all, whatever media bring: no search need find that out."""
    from scipy.optimize import linprog

    unequal, equal = (
        [(sign * row, sign * at_least / wish.unit) for row, at_least, one, _ in wish.rules if one == same]
        for same, sign in ((False, -1.0), (True, 1.0))
    )
    done = linprog(
        np.zeros(len(wish.low)),
        A_ub=np.array([row for row, _ in unequal]) if unequal else None,
        b_ub=[bound for _, bound in unequal] if unequal else None,
        A_eq=np.array([row for row, _ in equal]) if equal else None,
        b_eq=[bound for _, bound in equal] if equal else None,
        bounds=list(zip(wish.low / wish.unit, wish.high / wish.unit, strict=True)),
    )
    if done.status == INFEASIBLE:
        raise LearnFailed("no plan keeps all limits", hint=f"what is asked for: {', '.join(wish.said)}; loosen one of them")


def _rule(row: Array, at_least: float, equal: bool, space: tuple[Array, Array, float]) -> dict[str, Any]:
    """Return a linear rule as the solver takes it, by the free levers in units."""
    free, fixed, unit = space
    part, bound = row[free], (at_least - float(row @ fixed)) / unit
    return {"type": "eq" if equal else "ineq", "fun": lambda scaled: part @ scaled - bound, "jac": lambda scaled: part}


def _told(respond: Respond, wish: Wishes, before: Value, levers: Array, free: Array) -> tuple[float, Array, float, Array]:
    value = value_of(respond, wish.plan(levers))
    slope = wish.by_lever(value.slope)[:, free] * wish.worth
    total, gain = value.total * wish.worth, (value.total - before.total) * wish.worth
    aim, by = float(total.mean()), slope.mean(0)
    target = wish.target or 0.0
    over, over_by = aim - target * float(levers.sum()), by - target
    spread = float(gain.std())
    if wish.risk > 0 and spread > 0:
        aim -= wish.risk * spread
        by = by - wish.risk * ((gain - gain.mean())[:, None] * slope).mean(0) / spread
    return aim, by, over, over_by


def _starts(wish: Wishes, before: Value) -> list[Array]:
    """Return today's levers, brought to the budget, and those moved towards what the next unit returns."""
    today = wish.levers_of(wish.today)
    total = wish.budget if wish.budget is not None else float(today.sum())
    level = today * total / max(float(today.sum()), 1e-9)
    marginal = wish.by_lever(before.slope).mean(0)
    towards = level * np.clip(marginal / max(float(marginal.mean()), 1e-12), 0.5, 1.5)
    return [level, towards * total / max(float(towards.sum()), 1e-9)]


def binding(wish: Wishes, levers: Array, respond: Respond) -> list[str]:
    """Return which limits hold the plan back, by name; empty where none does."""
    near = CLOSE * max(wish.unit, 1.0) * 100
    out = []
    for name, low, high, at, locked in zip(wish.names, wish.low, wish.high, levers, wish.locked, strict=True):
        if locked:
            out.append(f"{name} is locked")
        elif at <= low + near:
            out.append(f"{name} is at its lower limit")
        elif at >= high - near:
            out.append(f"{name} is at its upper limit")
    for row, at_least, equal, said in wish.rules:
        if equal or row @ levers - at_least <= near:
            out.append(said)
    if wish.target is not None:
        total = float(value_of(respond, wish.plan(levers)).total.mean()) * wish.worth
        if total - wish.target * float(levers.sum()) <= 1e-3 * max(total, 1e-9):
            out.append("the target return")
    return out
