"""Plan: what to spend, which price, which promotions, whom to offer what."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from numbers import Real
from typing import Any

from tradewind import models
from tradewind.actions import _ask
from tradewind.actions._door import action
from tradewind.core.answer import Answer, Fact
from tradewind.core.errors import BadValue
from tradewind.core.fact import prose
from tradewind.core.model import Model
from tradewind.core.plan import Planned
from tradewind.core.schema import TOO_LARGE
from tradewind.core.table import Array
from tradewind.workspace import Workspace


@action(permits="predict")
def plan(
    ws: Workspace,
    model: str,
    asked: Any = None,
    *,
    budget: float | None = None,
    lock: Mapping[str, float] | None = None,
    limits: Mapping[str, Any] | None = None,
    version: int | None = None,
) -> Answer:
    """Recommend what to do with a model's levers, on its own draws of what they would do; the version that was asked is named.

    `asked` are rows of what is planned for (the model's own columns), everything where left out. `budget` is money, `lock` fixes levers
    by name, `limits` are the planner's own by name: it says which there are. Raises BadValue for a model that plans nothing.
    """
    question = models.get(model)
    if not question.plans:
        raise BadValue(f"{model} plans nothing", hint=f"models that plan: {', '.join(_planning())}")
    number = version if version is not None else ws.deployment(model).route()
    rows = _ask.as_asked(question, asked) if asked is not None else None
    wishes = {"asked": rows, "budget": _money(budget), "lock": _ask.pairs(lock, "lock"), "limits": _ask.pairs(limits, "limits")}

    def respond(request: Mapping[str, Any]) -> Mapping[str, Array]:
        return _ask.respond(ws, model, number, request)

    made: Planned = importlib.import_module(f"tradewind.planning.{question.plans}").plan(respond, wishes)
    recipe = str(ws.version(model, number).body["recipe"])
    unsure = _unsure(question, recipe)
    facts = (Fact("rows", len(made.table)), *made.facts, *(Fact("note", one) for one in unsure))
    source = {"model": model, "version": number, "recipe": recipe, "planner": question.plans, "rows": len(made.table)}
    return Answer(facts, made.table, words=prose(made.words, *unsure), source=source)


def _planning() -> list[str]:
    found: list[Model] = [models.get(name) for name in models.names()]
    return [one.name for one in found if one.plans] or ["none yet"]


def _unsure(question: Model, recipe: str) -> list[str]:
    """Return what must be said of a plan by a recipe that serves only where it was named."""
    if not question.serves or recipe in question.serves:
        return []
    other = question.serves[0]
    return [f"this version is {recipe}, not {other}: it is made to foresee, not to say what levers do, so this is less sure than it says"]


def _money(budget: Any) -> float | None:
    if budget is None:
        return None
    if isinstance(budget, bool) or not isinstance(budget, Real) or not 0 <= float(budget) <= TOO_LARGE:
        raise BadValue(f"budget must be an amount of money from 0 to {TOO_LARGE:g}, not {budget!r}")
    return float(budget)
