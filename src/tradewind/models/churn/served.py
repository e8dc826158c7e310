"""What every recipe of churn does alike: answer, explain, choose customers, move on with what came."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tradewind.core.errors import BadValue, NotFound
from tradewind.core.model import Knob, settle
from tradewind.core.table import Array, Table
from tradewind.models._kit.customers.attributes import PREFIX, as_learned
from tradewind.models._kit.unasked import without_effect
from tradewind.models.churn import MODEL, answers
from tradewind.models.churn.state import Leaving, with_rhythm

MOST_NAMED = 5
KNOBS = (
    Knob("offer_cost", 5.0, 0.0, 1e6, meaning="what an offer to keep a customer costs", tune=False),
    Knob("saved", 0.3, 0.01, 1.0, meaning="share of leavers that the offer keeps: an assumption until a test says it", tune=False),
)


@dataclass(frozen=True, slots=True)
class Served:
    """A recipe of churn; `how` says by what the chance to leave is told."""

    name: str
    how: str
    knobs: tuple[Knob, ...] = KNOBS

    def fit(self, table: Table, params: Mapping[str, Any], seed: int) -> Leaving:
        """Learn from the rows whose outcome is known; raises EmptyTable, LearnFailed and BadValue."""
        from tradewind.models.churn.learn import learned

        return learned(table, self.how, settle(self.knobs, params), seed)

    def predict(self, state: Leaving, asked: Table) -> Table:
        """Return what is to be said of every asked customer; columns that are asked with stand in for what was seen."""
        matrix, known, changed = rows_of(state, asked)
        usual = (known >= 0) & ~changed & bool(state.kept)
        told, added = _usual(state, known[usual]) if usual.any() else ({}, np.zeros(0))
        if not usual.all():
            rest = matrix[~usual]
            fresh, more = answers.everything(state, rest), answers.contributions(state, rest)
            if usual.any():
                fresh = {name: _merged(usual, told[name], values) for name, values in fresh.items()}
                more = _merged(usual, added, more)
            told, added = fresh, more
        up, down = answers.reasons(state, matrix, added)
        columns = {"customer": asked.column("customer").astype(str).astype(object), "probability": told.pop("probability")}
        act = {"act": answers.ACTS[told.pop("act").astype(int)]} if "act" in told else {}
        return Table.from_columns(columns | {"up": up, "down": down} | told | act, MODEL.gives)

    def expand(self, state: Leaving, horizon: int | None, where: Mapping[str, Any]) -> Table:
        """Return every customer who can still leave, or one `customer`; raises NotFound and BadValue."""
        if horizon is not None:
            raise BadValue("churn answers for 30, 90, 180 and 365 days at once", hint="ask without horizon")
        keep = np.ones(len(state.people), bool)
        for name, value in where.items():
            if name != "customer":
                raise BadValue(f"customers cannot be chosen by {name!r}", hint="where: customer")
            keep &= state.people == str(value)
        if not keep.any():
            raise NotFound(f"no known customer fits {dict(where)}", hint="customers who left, or never bought, are not asked about")
        return Table.from_columns({"customer": state.people[keep]})

    def explain(self, state: Leaving, asked: Table) -> Table:
        """Return one `driver_*` per business concept: what it adds to the log-odds of leaving by the trees. Associated, not causing."""
        if state.forest is None:
            raise BadValue(f"{self.name} has no reasons", hint="ask a version of the recipe averaged")
        matrix, _, _ = rows_of(state, asked)
        labels, of = state.concepts
        added = state.forest.trees.shapley(matrix, of)
        return Table.from_columns({f"driver_{label.replace(' ', '_')}": added[:, at] for at, label in enumerate(labels)})

    def update(self, state: Leaving, table: Table) -> Leaving:
        """Return the state with the customers as they are now; nothing is refitted."""
        from tradewind.models.churn.learn import asked_rows, whole_matrix

        now = asked_rows(table)
        matrix = whole_matrix(state.columns, state.buying, now)
        moved = replace(state, people=now.column("customer").astype(str).astype(object), matrix=matrix)
        reasons = answers.contributions(moved, matrix) if state.forest is not None else moved.reasons
        return replace(moved, reasons=reasons, kept=answers.kept(moved))

    def changes(self, before: Leaving, after: Leaving) -> Table:
        """Return customers, mean chance to leave and expected leavers, before and after."""
        rows = [(len(one.people), float(answers.chance(one, one.matrix).mean()) if len(one.people) else 0.0) for one in (before, after)]
        count, mean = (np.array([row[at] for row in rows], "f8") for at in (0, 1))
        when = np.array(["before", "after"], object)
        return Table.from_columns({"when": when, "customers": count, "probability": mean, "expected_leavers": count * mean})

    def notes(self, state: Leaving, asked: Table) -> list[str]:
        """Return what the answer must say: how leaving is seen, what evidence there is for acting, what of the question says nothing."""
        asked, lost = as_learned(asked, state.columns.names)
        words = [
            f"{name.removeprefix(PREFIX)} was never {word!r} in training: taken as it was seen before, or as unknown"
            for name, word in state.columns.never_seen(asked)
        ]
        return [*state.said, *without_effect(lost), *words]

    def dump(self, state: Leaving) -> Mapping[str, bytes]:
        """Write the state as named bytes."""
        return state.dump()

    def load(self, parts: Mapping[str, bytes]) -> Leaving:
        """Read the state back."""
        return Leaving.load(parts)


def rows_of(state: Leaving, asked: Table) -> tuple[Array, Array, Array]:
    """Return the matrix of the asked customers, their row (-1: unknown), and whether the question changes it.

    Raises NotFound for customers never seen of whom the question says nothing.
    """
    asked, _ = as_learned(asked, state.columns.names)
    names = asked.column("customer").astype(str).tolist()
    known = np.array([state.place.get(name, -1) for name in names], int)
    if (known >= 0).all() and not any(name in asked for name in state.columns.names):
        return state.matrix[known], known, np.zeros(len(names), bool)
    base = state.columns.matrix(asked)
    told = ~np.isnan(base)
    lost = (known < 0) & ~told.any(1)
    if lost.any():
        who = [names[at] for at in np.flatnonzero(lost)[:MOST_NAMED]]
        hint = "they left, never bought, or came after this version was learned: update it, or ask with their columns"
        raise NotFound(f"{int(lost.sum())} customers are unknown: {', '.join(who)}", hint=hint)
    if not len(state.people):
        return base, known, np.ones(len(names), bool)
    before = np.where((known >= 0)[:, None], state.matrix[np.maximum(known, 0)], np.float32(np.nan))
    changed = (known < 0) | (told & (base != before)).any(1)
    matrix = np.where(told, base, before)
    return np.where(changed[:, None], with_rhythm(state.columns, state.buying, matrix), before), known, changed


def _usual(state: Leaving, at: Array) -> tuple[dict[str, Array], Array]:
    """Return the answers of known customers as they were worked out ahead, and what each column adds."""
    added = state.reasons[at].astype("f8") if len(state.reasons) else np.zeros((len(at), state.matrix.shape[1]))
    return {name: values[at].astype("f8") for name, values in state.kept.items()}, added


def _merged(usual: Array, kept: Array, fresh: Array) -> Array:
    """Return one array of the rows that were kept and those that were worked out."""
    found = np.zeros((len(usual), *fresh.shape[1:]))
    found[~usual], found[usual] = fresh, kept
    return found
