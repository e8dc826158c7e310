"""What every recipe of segments does alike: answer, explain, move on with new behaviour, keep names through a refit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tradewind.core.errors import BadValue, EmptyTable, NotFound
from tradewind.core.model import Knob, settle
from tradewind.core.table import Array, Table
from tradewind.models._kit.clusters.agree import jaccards_between
from tradewind.models._kit.customers.attributes import as_learned
from tradewind.models._kit.unasked import without_effect
from tradewind.models.segments import MODEL
from tradewind.models.segments.naming import carried
from tradewind.models.segments.state import Segments

STAY = 0.15  # a customer moves only where the new middle is nearer by this share of the distance to the old one
WATCH, REFIT = 0.1, 0.25  # population stability index of the shares
MOST_NAMED = 5
KNOBS = (
    Knob("k", 0, 0, 20, meaning="number of segments; 0: the largest number from 3 to 9 that the data supports", tune=False),
    Knob("share", 0.03, 0.0, 0.3, meaning="smallest share of customers a segment may have", tune=False),
    Knob("bootstraps", 20, 5, 200, meaning="refits to resampled customers that stability is measured on", tune=False),
)


@dataclass(frozen=True, slots=True)
class Grouped:
    """A recipe of segments; `how` says how customers are assigned."""

    name: str
    how: str
    knobs: tuple[Knob, ...] = KNOBS

    def fit(self, table: Table, params: Mapping[str, Any], seed: int) -> Segments:
        """Learn from the last cut of the modelling table; raises EmptyTable, LearnFailed and BadValue."""
        from tradewind.models.segments.learn import cells, grouped

        wish = settle(self.knobs, params)
        now = latest(table)
        return cells(now, wish, seed) if self.how == "cells" else grouped(now, self.how, wish, seed)

    def predict(self, state: Segments, asked: Table) -> Table:
        """Return the segment of every asked customer; behaviour that is asked with stands in for what was seen."""
        raw, known, changed = rows_of(state, asked)
        chance, away = state.assign(raw)
        best = chance.argmax(1)
        home = np.where(known >= 0, state.home[np.maximum(known, 0)], best)
        best = np.where(changed, best, home)
        at = np.arange(len(best))
        other = chance.copy()
        other[at, best] = -1.0
        second = other.argmax(1) if other.shape[1] > 1 else best
        columns = {
            "customer": asked.column("customer").astype(str).astype(object),
            "segment": _words([f"S{number + 1}" for number in range(len(state.names))], best),
            "name": _words(state.names, best),
            "probability": chance[at, best],
            "second": _words(state.names, second),
            "second_probability": np.where(second == best, 0.0, chance[at, second]),
            "distance": away[at, best],
            "margin": _margin(away, best),
            "solid": _words(state.solid, best),
            "rule": _words(state.rules, best),
        }
        return Table.from_columns(columns, MODEL.gives)

    def expand(self, state: Segments, horizon: int | None, where: Mapping[str, Any]) -> Table:
        """Return every known customer, or those of one `segment` (label or name) or `customer`; raises NotFound and BadValue."""
        if horizon is not None:
            raise BadValue("segments are asked of customers, not of days ahead", hint="ask without horizon")
        keep = np.ones(len(state.people), bool)
        for name, value in where.items():
            if name == "customer":
                keep &= state.people == str(value)
            elif name in ("segment", "name"):
                labels = np.array([str(value) in (f"S{at + 1}", state.names[at]) for at in range(len(state.names))])
                keep &= labels[state.home]
            else:
                raise BadValue(f"customers cannot be chosen by {name!r}", hint="where: customer, segment or name")
        if not keep.any():
            raise NotFound(f"no known customer fits {dict(where)}", hint=f"segments: {', '.join(state.names)}")
        return Table.from_columns({"customer": state.people[keep]})

    def explain(self, state: Segments, asked: Table) -> Table:
        """Return one `driver_*` per input: how much nearer it brings the customer to the segment than to the average (squares)."""
        raw, known, changed = rows_of(state, asked)
        rows = state.inputs.scaled(raw)
        best = np.where((known >= 0) & ~changed, state.home[np.maximum(known, 0)], state.assign(raw)[0].argmax(1))
        gain = rows**2 - (rows - state.middles[best]) ** 2
        titles = [title.replace(" ", "_").replace("=", "is") for title in state.inputs.titles]
        return Table.from_columns({f"driver_{title}": gain[:, at] for at, title in enumerate(titles)})

    def update(self, state: Segments, table: Table) -> Segments:
        """Return the state with the customers as they are now: middles stay, and a customer moves only by a clear margin (STAY)."""
        now = latest(table)
        raw = state.inputs.raw(now)
        people = now.column("customer").astype(str).astype(object)
        chance, away = state.assign(raw)
        best = chance.argmax(1)
        before = np.array([state.place.get(name, -1) for name in people.tolist()])
        old = np.where(before >= 0, state.home[np.maximum(before, 0)], best)
        at = np.arange(len(best))
        clear = away[at, best] <= (1 - STAY) * away[at, old]
        home = np.where((best != old) & ~clear & (before >= 0), old, best)
        count = len(state.names)
        moves = np.bincount((old * count + home)[before >= 0], minlength=count * count).reshape(count, count).astype("f8")
        return replace(state, people=people, raw=raw, home=home, moves=moves)

    def changes(self, before: Segments, after: Segments) -> Table:
        """Return from, to, customers, and the share of those who were there with its 95 % interval (Wilson)."""
        rows = [(a, b) for a in range(len(after.names)) for b in range(len(after.names)) if after.moves[a, b]]
        count = np.array([after.moves[pair] for pair in rows], "f8")
        whole = np.array([after.moves[a].sum() for a, _ in rows], "f8")
        low, high = wilson(count, whole)
        came, went = ([after.names[pair[side]] for pair in rows] for side in (0, 1))
        columns = {"from": _texts(came), "to": _texts(went), "customers": count, "share": count / np.maximum(whole, 1.0)}
        return Table.from_columns(columns | {"lo95": low, "hi95": high})

    def remember(self, state: Segments, earlier: Segments) -> Segments:
        """Return a fresh segmentation with the names of the segments of an earlier one that live on in it, and the mapping."""
        if state.inputs.columns != earlier.inputs.columns or state.inputs.words != earlier.inputs.words:
            return state
        then = earlier.assign(state.raw)[0].argmax(1)
        overlap = jaccards_between(then, state.home, (len(earlier.names), len(state.names)))
        found, mapping = carried(state.names, earlier.names, overlap)
        return replace(state, names=found, mapping=tuple(mapping))

    def effects(self, state: Segments) -> Table:
        """Return the profile: one row per segment and fact with its mean and intervals, and the segment's share of customers."""
        count, facts = len(state.names), ("share of customers", *state.facts)
        size = state.profile["count"]
        share = size / max(float(size.sum()), 1.0)
        mean = np.column_stack([share, state.profile["mean"]])
        error = np.column_stack([np.sqrt(share * (1 - share) / max(float(size.sum()), 1.0)), state.profile["error"]])
        columns = {
            "segment": np.repeat(_texts(f"S{at + 1}" for at in range(count)), len(facts)),
            "name": np.repeat(_texts(state.names), len(facts)),
            "lever": np.tile(_texts(facts), count),
            "kind": np.tile(_texts(["mean"]), count * len(facts)),
            "effect": mean.ravel(),
        }
        for level, width in ((80, 1.2816), (95, 1.96)):
            columns |= {f"lo{level}": (mean - width * error).ravel(), f"hi{level}": (mean + width * error).ravel()}
        return Table.from_columns(columns)

    def notes(self, state: Segments, asked: Table) -> list[str]:
        """Return what the answer must say: whether the data supports segments, what moved, what a refit made of the old ones."""
        said = [*state.said, *without_effect(as_learned(asked, state.inputs.columns)[1])]
        if state.mapping:
            said.append(
                "since the version before: " + "; ".join(f"{old} -> {new} ({100 * part:.0f} % shared)" for old, new, part in state.mapping)
            )
        if state.moves.size and state.moves.sum():
            moved = 1 - np.trace(state.moves) / state.moves.sum()
            drift = stability_index(state.share, np.bincount(state.home, minlength=len(state.names)) / max(len(state.home), 1))
            verdict = "train again" if drift > REFIT else "watch them" if drift > WATCH else "stable"
            said.append(f"{100 * moved:.0f} % of known customers changed segment; the shares have moved by {drift:.2f} (PSI): {verdict}")
        return said

    def dump(self, state: Segments) -> Mapping[str, bytes]:
        """Write the state as named bytes."""
        return state.dump()

    def load(self, parts: Mapping[str, bytes]) -> Segments:
        """Read the state back."""
        return Segments.load(parts)


def latest(table: Table) -> Table:
    """Return the rows of the last cut; raises EmptyTable."""
    if len(table) == 0:
        raise EmptyTable("there is no customer to put into a segment", hint="load orders or customers")
    if "cut" not in table:
        return table
    cut = table.column("cut")
    return table.take(cut == cut.max())


def rows_of(state: Segments, asked: Table) -> tuple[Array, Array, Array]:
    """Return what is known of the asked customers in their own units, their row (-1: unknown), and whether the question changes it.

    Raises NotFound for a customer never seen, unless the question says everything that segments are made of.
    """
    asked, _ = as_learned(asked, state.inputs.columns)
    names = asked.column("customer").astype(str).tolist()
    known = np.array([state.place.get(name, -1) for name in names], int)
    raw = (
        np.where((known >= 0)[:, None], state.raw[np.maximum(known, 0)], np.nan) if len(state.people) else np.full((len(names), 0), np.nan)
    )
    changed = np.zeros(len(names), bool)
    for at, (column, word) in enumerate(zip(state.inputs.columns, state.inputs.words, strict=True)):
        if column in asked:
            given = asked.column(column)
            told = _is_word(given, word) if word else given.astype("f8")
            if np.isinf(told).any() or (told < 0).any():  # NaN, not told, is neither
                raise BadValue(f"{column} must be a finite number that is not below zero")
            changed |= ~np.isnan(told)
            raw[:, at] = np.where(np.isnan(told), raw[:, at], told)
    lost = (known < 0) & (np.isnan(raw).any(1) if raw.shape[1] else True)
    if lost.any():
        who = [names[at] for at in np.flatnonzero(lost)[:MOST_NAMED]]
        needed = ", ".join(dict.fromkeys(state.inputs.columns))
        hint = f"no purchase of theirs was loaded when this version was learned; update it, or ask with {needed}"
        raise NotFound(f"{int(lost.sum())} customers are unknown: {', '.join(who)}", hint=hint)
    return raw, known, changed


def _is_word(values: Array, word: str) -> Array:
    return np.array([np.nan if value is None else float(value == word) for value in values.tolist()])


def _margin(away: Array, best: Array) -> Array:
    """Return how much nearer the own middle is than the next one, 0 where another is nearer."""
    if away.shape[1] < 2:
        return np.ones(len(away))
    at = np.arange(len(away))
    other = away.copy()
    other[at, best] = np.inf
    following = other.min(1)
    return np.asarray(np.clip((following - away[at, best]) / np.maximum(following, 1e-12), 0.0, 1.0))


def _texts(values: Any) -> Array:
    listed = list(values)
    found = np.empty(len(listed), object)
    found[:] = listed
    return found


def _words(words: Any, at: Array) -> Array:
    return np.asarray(_texts(words)[at])


def wilson(count: Array, whole: Array, z: float = 1.96) -> tuple[Array, Array]:
    """Return the bounds of a share (Wilson 1927)."""
    whole = np.maximum(whole, 1.0)
    share = count / whole
    middle = (share + z**2 / (2 * whole)) / (1 + z**2 / whole)
    half = z * np.sqrt(share * (1 - share) / whole + z**2 / (4 * whole**2)) / (1 + z**2 / whole)
    return middle - half, middle + half


def stability_index(before: Array, after: Array) -> float:
    """Return the population stability index of two sets of shares: above .1 watch, above .25 act."""
    old, new = np.clip(before, 1e-4, None), np.clip(after, 1e-4, None)
    return float(((new - old) * np.log(new / old)).sum())
