"""Recipes that can say why: drivers of each answer in units, and what each lever does, with its uncertainty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tradewind.core.errors import BadValue, TooBig
from tradewind.core.model import State as AnyState
from tradewind.core.schema import Column, Role, Schema, Type
from tradewind.core.table import Table
from tradewind.models._kit.forecast import boosted_serve, features, percent
from tradewind.models._kit.forecast.blend import Blend, Blender, blended
from tradewind.models._kit.forecast.learner import Look
from tradewind.models._kit.forecast.recipe import Forecaster, State, begin, cells, open_rows
from tradewind.models._kit.panel import EVENTS, STAY, Panel
from tradewind.models._kit.response import INTERVALS, Response

Array = np.ndarray[Any, Any]
MOST_EXPLAINED = 2000
UNKNOWN = 1.0  # standard error of the log lift of a product that was never promoted


@dataclass(frozen=True, slots=True)
class Explained(Forecaster):
    """A recipe that says what drove each answer."""

    def explain(self, state: State, asked: Table) -> Table:
        """Split each mean into drivers in units; they add up to the mean. Raises TooBig past 2,000 rows.

        With boosted trees by their Shapley values; without them by taking the plan away step by step: events, promotions, price.
        """
        if len(asked) > MOST_EXPLAINED:
            raise TooBig(f"{len(asked)} rows are too many to explain at once", hint=f"ask for at most {MOST_EXPLAINED}")
        where, look = self.look(state, asked)
        row, step = cells(where, look)
        learned = _trees_in(state)
        if learned is None:
            drivers = _by_plan(state, look, row, step)
        else:
            rows = learned.rows(look)
            score = learned.scores["mean"](rows.values[row, step])
            own = np.exp(np.clip(score, -30, 30)) * rows.units()[row, step]
            drivers = _drivers(learned, rows, row, step, own)
            if state.learned is not learned:  # what the other members say differently has no driver of its own
                drivers["driver_other_recipes"] = state.learned.say(look).mean[row, step] - own
        open_ = open_rows(state, look, where)
        drivers = {name: value * open_ for name, value in drivers.items()}
        keys = {name: asked.column(name) for name in (*state.panel.keys, asked.schema.time or "date") if name in asked}
        described = tuple(Column(name, Role.OUTPUT, Type.NUMBER, unit="units") for name in drivers)
        return Table.from_columns(keys | drivers, self.gives.with_columns(*described))


@dataclass(frozen=True, slots=True)
class Boosted(Explained):
    """A recipe whose answers come, wholly or in part, from boosted trees: effects of levers are read off these."""

    def effects(self, state: State) -> Table:
        """Return what each lever does to the sales of each product: the change of log sales per unit of log price or per lever."""
        learned = _trees_of(state)
        return _effects(state.panel, learned)


@dataclass(frozen=True, slots=True)
class Ensemble(Boosted):
    """A recipe of several recipes: trained one by one, weighed together."""

    @property
    def members(self) -> tuple[str, ...]:
        """Return the names of the recipes it may be made of."""
        return tuple(learner.name for learner in self._blender().learners)

    def blend(self, states: Mapping[str, AnyState], weights: Mapping[str, float], why: str = "", *, together: float | None = None) -> State:
        """Return one state of several of the same panel; raises LearnFailed."""
        first: State = next(iter(states.values()))
        horizon = min(state.horizon for state in states.values())
        facts = {"why": why} if why else {}
        learned = blended({name: state.learned for name, state in states.items()}, weights, facts, together=together)
        widest: State = max(states.values(), key=lambda state: state.panel.cut)
        made = begin(self.prepares(widest.panel, None), learned, horizon)
        told = {**first.facts, **percent.asked(states.values()), "members": dict(learned.weights)}
        return replace(made, whole=first.whole, known=widest.known, seen=widest.seen, facts=told)

    def _blender(self) -> Blender:
        found = self.learner
        assert isinstance(found, Blender)
        return found


def _trees_in(state: State) -> boosted_serve.Learned | None:
    """Return the boosted trees that a state answers with, if there are any."""
    learned = state.learned
    if isinstance(learned, Blend):
        learned = learned.members.get("boosted", learned)
    return learned if isinstance(learned, boosted_serve.Learned) else None


def _trees_of(state: State) -> boosted_serve.Learned:
    learned = _trees_in(state)
    if learned is None:
        raise BadValue("this version has no boosted trees, and effects are read off those", hint="train the recipe boosted")
    return learned


def _by_plan(state: State, look: Look, row: Array, step: Array) -> dict[str, Array]:
    """Return what the plan adds to an answer without any: price at its usual level, then as planned, then promotions, then events."""
    panel = look.panel
    neutral = dict(panel.ahead)
    for name, kind in panel.kinds.items():
        value = panel.ahead[name].copy()
        value[:, panel.cut :] = value[:, : panel.cut].mean(1, keepdims=True) if kind in STAY else 0.0
        neutral[name] = value
    drivers: dict[str, Array] = {}
    before = np.zeros(len(row))
    for label, kinds in (("level", ()), ("price", ("price", "number")), ("promotion", ("lever",)), ("events", EVENTS)):
        for name, kind in panel.kinds.items():
            if kind in kinds:
                neutral[name] = panel.ahead[name]
        now = state.learned.say(replace(look, panel=replace(panel, ahead=dict(neutral)), kept={})).mean[row, step]
        drivers[f"driver_{label}"] = now - before
        before = now
    return drivers


def _drivers(learned: boosted_serve.Learned, rows: features.Rows, row: Array, step: Array, own: Array) -> dict[str, Array]:
    """Return each driver's units; they add up to `own`."""
    kinds = [name.split(":")[0] for name in learned.names]
    groups = np.array([features.GROUPS.index(features.REPORTED.get(kind, kind)) for kind in kinds])
    logged = learned.trees.shapley(rows.values[row, step], np.append(groups, len(features.GROUPS) - 1))
    logged[:, features.GROUPS.index("price")] += rows.effect[row, step]
    logged[:, features.GROUPS.index("season")] += rows.season[row, step]
    base = np.exp(np.clip(learned.trees.expected, -30, 30)) * rows.scale[row]
    total = logged.sum(1)
    # a product of factors has no unique sum: the logarithmic mean is the one that is symmetric and exact
    rate = np.where(np.abs(total) > 1e-9, (own - base) / np.where(np.abs(total) > 1e-9, total, 1.0), base)
    said = {name: logged[:, at] * rate for at, name in enumerate(features.GROUPS) if name == "price" or (groups == at).any()}
    return {"driver_level": base} | {f"driver_{name}": value for name, value in said.items()}


def _effects(panel: Panel, learned: boosted_serve.Learned) -> Table:
    key, product = next(iter(panel.keys.items()))
    texts, place = np.unique(product.astype(str), return_inverse=True)
    rows: list[tuple[str, Array, Array]] = []
    for lever, (value, error) in _levers(learned.response).items():
        rows.append((lever, *_of_products(value, error, place)))
    levers = np.repeat(np.array([lever for lever, _, _ in rows], object), len(texts))
    effect, own = (np.concatenate([row[at] for row in rows]) if rows else np.empty(0) for at in (1, 2))
    kind = np.where(levers == "price", "elasticity", "log lift").astype(object)
    columns: dict[str, Array] = {key: np.tile(texts.astype(object), len(rows)), "lever": levers, "kind": kind, "effect": effect}
    for width, deviations in zip(INTERVALS, learned.response.deviations.tolist(), strict=True):
        columns |= {f"lo{width}": effect - deviations * own, f"hi{width}": effect + deviations * own}
    described = [Column(name, Role.ENTITY, Type.TEXT) for name in (key, "lever")] + [Column("kind", Role.OUTPUT, Type.TEXT)]
    described += [Column(name, Role.OUTPUT, Type.NUMBER) for name in columns if name not in (key, "lever", "kind")]
    return Table.from_columns(columns, Schema(tuple(described), (key, "lever")))


def _levers(response: Response) -> dict[str, tuple[Array, Array]]:
    """Return per lever what it does to each series, and the standard error of that.

    `promotion` is a whole promotion as it usually was, beyond its price: the mean over past promoted periods of kind, display and
    leaflet together. The price of it is the elasticity's.
    """
    coefficient, covariance = response.coefficient.astype("f8"), response.covariance.astype("f8")
    error = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
    found = {lever: (coefficient[:, at], error[:, at]) for at, lever in enumerate(response.names)}
    others = [at for at, lever in enumerate(response.names) if lever != "price"]
    if len(others) < 2:
        return found
    usual = response.usual.astype("f8")
    variance = np.einsum("si,sij,sj->s", usual, covariance, usual)  # kinds and displays run together, and so do their errors
    lift, whole = (usual * coefficient).sum(1), np.where(usual.any(1), np.sqrt(np.maximum(variance, 0)), np.inf)
    return {lever: value for lever, value in found.items() if lever != "promotion"} | {"promotion": (lift, whole)}


def _of_products(value: Array, error: Array, place: Array) -> tuple[Array, Array]:
    """Return each product's effect, the mean over its series, and its standard error; without a promotion in the past it is unknown."""
    known = np.isfinite(error)
    count = np.maximum(np.bincount(place, known), 1)
    mean = np.bincount(place, np.where(known, value, 0.0)) / count
    own = np.bincount(place, np.where(known, error, 0.0)) / count
    return mean, np.where(np.bincount(place, known) > 0, own, UNKNOWN)
