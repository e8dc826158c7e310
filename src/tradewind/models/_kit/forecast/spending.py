"""Recipes that know what is spent: plans that were not made are named, drivers are told in units, effects with their intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tradewind.core.errors import BadValue, TooBig
from tradewind.core.model import State as AnyState
from tradewind.core.schema import Column, Role, Schema, Type
from tradewind.core.table import Table
from tradewind.models._kit.forecast import percent
from tradewind.models._kit.forecast.blend import Blend, Blender, blended
from tradewind.models._kit.forecast.driven import Driven
from tradewind.models._kit.forecast.explain import MOST_EXPLAINED
from tradewind.models._kit.forecast.learner import Look
from tradewind.models._kit.forecast.recipe import Forecaster, State, begin, cells
from tradewind.models._kit.forecast.spend import DEVIATIONS, PREFIX

Array = np.ndarray[Any, Any]
ASSUMED = "assumed_"
"""Prefix of the column that is 1 where a channel's spend was not planned and is a forecast itself."""


@dataclass(frozen=True, slots=True)
class Spending(Forecaster):
    """A forecast recipe of a KPI that spend drives."""

    def fit(self, table: Table, params: Mapping[str, Any], seed: int) -> State:
        """Learn from a panel; raises LearnFailed where there is too little history."""
        state = Forecaster.fit(self, table, params, seed)
        return replace(state, facts={**state.facts, "assumed": assumed(table)})

    def update(self, state: State, table: Table) -> State:
        """Move on to the end of a table without refitting. Raises Incompatible and BadValue."""
        moved = Forecaster.update(self, state, table)
        return replace(moved, facts={**moved.facts, "assumed": assumed(table)})

    def notes(self, state: State, asked: Table) -> list[str]:
        """Say what a reader of the answer must know: beside the usual, which spend is a forecast and no plan."""
        return [*_unplanned(state, asked), *Forecaster.notes(self, state, asked)]

    def explain(self, state: State, asked: Table) -> Table:
        """Split each mean into what would come without spend and what each channel adds; they add up. Raises TooBig."""
        if len(asked) > MOST_EXPLAINED:
            raise TooBig(f"{len(asked)} rows are too many to explain at once", hint=f"ask for at most {MOST_EXPLAINED}")
        where, look = self.look(state, asked)
        row, step = cells(where, look)
        drivers = {f"driver_{name}": value[row, step] for name, value in _added(state.learned, look).items()}
        drivers = {"driver_without_spend": state.learned.say(look).mean[row, step] - sum(drivers.values()), **drivers}
        keys = {name: asked.column(name) for name in (*state.panel.keys, asked.schema.time or "date") if name in asked}
        described = tuple(Column(name, Role.OUTPUT, Type.NUMBER, unit="customers") for name in drivers)
        return Table.from_columns(keys | drivers, self.gives.with_columns(*described))

    def effects(self, state: State) -> Table:
        """Return the elasticity of the total to each channel's spend with its intervals; channels that were dropped are there too."""
        driven = _driven(state.learned)
        if driven is None:
            raise BadValue("this version does not look at spend", hint="train the recipe spend")
        spend = driven.spend
        names = np.array([name.removeprefix(PREFIX) for name in spend.tried], object)
        effect, error = spend.effect, np.where(np.isfinite(spend.error), spend.error, 1.0)
        used = np.isin(np.array(spend.tried, object), np.array(spend.names, object)).astype("f8")
        columns: dict[str, Array] = {"lever": names, "kind": np.full(len(names), "elasticity", object), "effect": effect, "used": used}
        for width, deviations in DEVIATIONS.items():
            columns |= {f"lo{width}": effect - deviations * error, f"hi{width}": effect + deviations * error}
        described = [Column("lever", Role.ENTITY, Type.TEXT), Column("kind", Role.OUTPUT, Type.TEXT)]
        described += [Column(name, Role.OUTPUT, Type.NUMBER) for name in columns if name not in ("lever", "kind")]
        return Table.from_columns(columns, Schema(tuple(described), ("lever",)))


@dataclass(frozen=True, slots=True)
class SpendingEnsemble(Spending):
    """A recipe of several recipes: trained one by one, weighed together."""

    @property
    def members(self) -> tuple[str, ...]:
        """Return the names of the recipes it may be made of."""
        assert isinstance(self.learner, Blender)
        return tuple(learner.name for learner in self.learner.learners)

    def blend(self, states: Mapping[str, AnyState], weights: Mapping[str, float], why: str = "", *, together: float | None = None) -> State:
        """Return one state of several of the same panel; raises LearnFailed."""
        first: State = next(iter(states.values()))
        facts = {"why": why} if why else {}
        learned = blended({name: state.learned for name, state in states.items()}, weights, facts, together=together)
        widest: State = max(states.values(), key=lambda state: state.panel.cut)
        made = begin(widest.panel, learned, min(state.horizon for state in states.values()))
        told = {**first.facts, **made.facts, **percent.asked(states.values()), "members": dict(learned.weights)}
        return replace(made, whole=first.whole, known=widest.known, seen=widest.seen, facts=told)


def assumed(table: Table) -> dict[str, str]:
    """Return for each channel the first date whose spend is a forecast and no plan."""
    when = table.column(table.schema.time or "date")
    found = {}
    for name in table.names:
        if name.startswith(ASSUMED):
            rows = np.nan_to_num(table.column(name).astype("f8")) > 0
            if rows.any():
                found[name.removeprefix(ASSUMED)] = str(when[rows].min().astype("M8[D]"))
    return found


def _unplanned(state: State, asked: Table) -> list[str]:
    when = asked.column(asked.schema.time or "date")
    last = when.max().astype("M8[D]")
    used = [name.removeprefix(PREFIX) for name in state.panel.ahead if name.startswith(PREFIX)]
    late: dict[str, list[str]] = {}
    for channel, first in sorted(state.facts.get("assumed", {}).items()):
        said = asked.column(PREFIX + channel) if PREFIX + channel in asked else np.empty(0, object)
        given = said.dtype.kind in "biuf" and bool(np.isfinite(said.astype("f8")).all())
        if channel in used and not given and np.datetime64(first) <= last:
            late.setdefault(first, []).append(channel)
    return [f"no spend is planned for {', '.join(names)} from {first}: the usual of late is taken" for first, names in sorted(late.items())]


def _driven(learned: Any) -> Driven | None:
    """Return the part of something learned that looks at spend."""
    if isinstance(learned, Driven):
        return learned if learned.spend.tried else None
    if isinstance(learned, Blend):
        return next((found for member in learned.members.values() if (found := _driven(member)) is not None), None)
    return None


def _added(learned: Any, look: Look) -> dict[str, Array]:
    """Return what each channel adds to the mean, (series, steps): a product has no unique sum, so in proportion to the logarithms."""
    if isinstance(learned, Blend):
        out: dict[str, Array] = {}
        for name, member in learned.members.items():
            for channel, value in _added(member, look).items():
                out[channel] = out.get(channel, 0.0) + learned.weights[name] * value
        return out
    if not isinstance(learned, Driven) or not learned.spend.names:
        return {}
    parts = learned.parts(look)
    whole = parts.sum(0)
    mean = learned.say(look).mean
    rate = np.where(np.abs(whole) > 1e-9, mean * -np.expm1(-whole) / np.where(np.abs(whole) > 1e-9, whole, 1.0), mean)
    return {name.removeprefix(PREFIX): part * rate for name, part in zip(learned.spend.names, parts, strict=True)}
