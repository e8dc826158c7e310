"""Which families serve which series: the best few of each series on its own last blocks, drawn towards its kind."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.models._kit import response as responses
from tradewind.models._kit.forecast import ridge, scanpro, scanpro_learn, stats_paths, stats_pool
from tradewind.models._kit.forecast.profile import CLASSES
from tradewind.models._kit.forecast.scanpro_learn import Found
from tradewind.models._kit.forecast.stats_pool import FAMILIES
from tradewind.models._kit.forecast.stats_spread import Held
from tradewind.models._kit.panel import Panel
from tradewind.models._kit.response import Response

Array = np.ndarray[Any, Any]
LEAST_PAST = 4  # actuals before a block that make it worth looking at
KIND_BLOCKS = 30.0  # blocks of its kind that weigh as much as a series' own
FALLBACK = ("smoothing", "smoothing", "rate", "rate", "rate")
"""The family of each kind where nothing can be validated."""


@dataclass(frozen=True, slots=True)
class Mix:
    """Weights of the families: (series, families) that sum to one, all zero for a series that never sold.

    `usual` (classes, families) serve series that nothing is known of.
    """

    names: tuple[str, ...]
    weights: Array
    usual: Array


@dataclass(frozen=True, slots=True)
class Choice:
    """The mix that was chosen, and what it said of held-out blocks of the series that were validated."""

    mix: Mix
    held: Held
    validated: int


@dataclass(frozen=True, slots=True)
class Terms:
    """How families are chosen."""

    horizon: int
    families: Collection[str]
    blocks: int = 3
    sampled: int = 200  # series of a kind that are validated at most
    members: int = 3  # families averaged at most
    near: float = 1.08  # how much worse than the best one of them may be
    seconds: float = 30.0  # CPU-seconds that slow families may take
    seed: int = 0


def choose(panel: Panel, kind: Array, counted: Array, response: Response, terms: Terms) -> Choice:
    """Choose families on held-out blocks of the panel's past, or by kind alone where there are none."""
    chosen = _sample(kind, terms)
    length = max(1, min(terms.horizon, panel.cut // (3 * terms.blocks)))
    origins = [panel.cut - block * length for block in range(terms.blocks, 0, -1)]
    origins = [origin for origin in origins if origin >= LEAST_PAST]
    year = "last year" in terms.families and stats_paths.repeats(panel.target[:, : panel.cut].astype("f8"), panel.grain)
    names = _affordable(panel, kind, response, terms, len(chosen), year=year)
    if not origins or not len(chosen):
        return _by_kind(kind, names, Held(np.empty(0, "i8"), *(np.empty((0, 0, 1)) for _ in range(2))))
    sample = panel.take(chosen)
    said = np.full((len(names), len(chosen), len(origins), length), np.nan)
    truth = np.stack([sample.target[:, origin : origin + length].astype("f8") for origin in origins], 1)
    for place, origin in enumerate(origins):
        known = sample.until(origin)
        moved = responses.learn(known) if response.names else response
        beside = scanpro_learn.learn(panel.until(origin), counted) if "scanpro" in names else None  # rivals that are not validated, too
        for at, name in enumerate(names):
            rows = np.flatnonzero(np.isin(kind[chosen], stats_pool.made_for(name, year=year)))
            shelf = None if beside is None else beside.of(chosen[rows])
            said[at, rows, place] = path(name, known.take(rows), length, stats_pool.of(moved, rows), shelf)
        few = np.isfinite(known.target[:, :origin]).sum(1) < LEAST_PAST
        truth[few, place] = np.nan
    errors = _errors(said, truth, counted[chosen])
    usual = _usual(errors, kind[chosen])
    weights = np.zeros((len(panel), len(names)))
    by_kind = np.array([_mix(row, terms) for row in usual])
    by_kind[~by_kind.any(1), names.index("smoothing") if "smoothing" in names else 0] = 1  # kinds that only a later table may bring
    weights[:] = by_kind[kind]
    blocks = np.isfinite(truth).any(2).sum(1)[:, None]
    drawn = (np.where(blocks > 0, errors, 0) * blocks + KIND_BLOCKS * usual[kind[chosen]]) / (blocks + KIND_BLOCKS)
    weights[chosen] = [_mix(row, terms) for row in drawn]
    weights[kind == CLASSES.index("silent")] = 0
    held = Held(chosen, truth, np.einsum("sf,fsbh->sbh", weights[chosen], np.nan_to_num(said)))
    return Choice(Mix(names, weights.astype("f4"), by_kind.astype("f4")), held, len(chosen))


def path(name: str, panel: Panel, horizon: int, response: Response, beside: Found | None) -> Array:
    """Return what one family says of the next periods, the plan's levers included; `beside` is what scanpro learned of these series."""
    family = FAMILIES[name]
    places, steps = np.arange(len(panel)), np.arange(horizon)
    if family.way == "ridge":
        return ridge.say(ridge.fit(panel, horizon=horizon, groups=family.groups), places, panel, steps)
    if family.way == "scanpro":
        assert beside is not None
        return scanpro.say(scanpro_learn.fit(beside, panel, horizon), places, panel, steps)
    found = stats_pool.run(name, panel, horizon, response)
    return found * np.exp(stats_pool.effect(panel, response, places, steps)) if family.levers else found


def _sample(kind: Array, terms: Terms) -> Array:
    """Return the series that are validated: all, or some of each kind drawn by the seed."""
    draw = np.random.default_rng(terms.seed)
    parts = []
    for code in range(len(CLASSES) - 1):
        mine = np.flatnonzero(kind == code)
        parts.append(np.sort(draw.choice(mine, terms.sampled, replace=False)) if len(mine) > terms.sampled else mine)
    return np.sort(np.concatenate(parts))


def _affordable(panel: Panel, kind: Array, response: Response, terms: Terms, sampled: int, *, year: bool) -> tuple[str, ...]:
    """Return the families that fit the panel; slow ones in their order as far as the seconds go, by what they were seen to cost."""
    events, levers = bool(ridge.columns(panel, ("event",))), bool(ridge.columns(panel, ("lever", "number")))
    there: Mapping[str, bool] = {"ridge, events": events, "ridge, levers": levers, "ridge, all": events and levers}
    left, names = terms.seconds, []
    for name, family in FAMILIES.items():
        fitting = int(np.isin(kind, stats_pool.made_for(name, year=year)).sum())
        if name not in terms.families or not fitting or not there.get(name, True) or (family.levers and not response.names):
            continue
        cost = stats_pool.cost(name, panel) * (min(sampled, fitting) * terms.blocks + fitting)
        if cost <= left:
            left -= cost
            names.append(name)
    return tuple(names)


def _errors(said: Array, truth: Array, counted: Array) -> Array:
    """Return the error of each series and family relative to its sales: root mean square for counts, whose path is a mean."""
    gap = said - truth
    fine = np.isfinite(gap)
    gap = np.where(fine, gap, 0)
    known = np.isfinite(truth)
    scale = np.maximum(np.where(known, truth, 0).mean((1, 2)), 1e-9)
    number = np.maximum(fine.sum((2, 3)), 1)
    absolute, square = np.abs(gap).sum((2, 3)) / number, np.sqrt((gap**2).sum((2, 3)) / number)
    error = np.where(counted > 0, square, absolute) / np.maximum(scale, 1e-9)
    most = np.where(np.where(known, truth, 0).sum((1, 2)) > 0, error, 0.0)  # nothing sold: nothing to tell families apart by
    usable = fine.any((2, 3)) | ~known.any((1, 2))
    found: Array = np.where(usable, most, np.inf).T
    return found


def _usual(errors: Array, kind: Array) -> Array:
    """Return the error of each family by kind, (classes, families): means over series, the worst twentieth cut."""
    out = np.full((len(CLASSES), errors.shape[1]), np.inf)
    for code in range(len(CLASSES)):
        mine = errors[kind == code]
        if len(mine):
            fine = np.isfinite(mine).all(0)
            out[code, fine] = np.minimum(mine[:, fine], np.quantile(mine[:, fine], 0.95, axis=0)).mean(0)
    return out


def _mix(errors: Array, terms: Terms) -> Array:
    """Return equal weights of the best families, those that are much worse than the best left out; none where all are unknown."""
    weight = np.zeros(len(errors))
    order = np.argsort(errors, kind="stable")[: terms.members]
    picked = [at for at in order if np.isfinite(errors[at]) and errors[at] <= errors[order[0]] * terms.near]
    weight[picked] = 1 / max(len(picked), 1)
    return weight


def _by_kind(kind: Array, names: Sequence[str], held: Held) -> Choice:
    every = tuple(dict.fromkeys([*names, *FALLBACK]))
    usual = np.zeros((len(CLASSES), len(every)), "f4")
    for code, name in enumerate(FALLBACK):
        usual[code, every.index(name)] = 1
    weights = usual[kind].copy()
    weights[kind == CLASSES.index("silent")] = 0
    return Choice(Mix(every, weights, usual), held, 0)
