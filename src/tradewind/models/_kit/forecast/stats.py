"""Statistical forecasts: for each series the mean of the few families that did best on its own last blocks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tradewind.core.errors import Incompatible, LearnFailed
from tradewind.core.model import Knob, settle
from tradewind.models._kit import response as responses
from tradewind.models._kit import tensors
from tradewind.models._kit.asking import Asked
from tradewind.models._kit.forecast import closing, ridge, scanpro, scanpro_learn, stats_choice, stats_pool, stats_spread
from tradewind.models._kit.forecast.learner import Look, Said
from tradewind.models._kit.forecast.profile import CLASSES, profile
from tradewind.models._kit.forecast.ridge import Ridge
from tradewind.models._kit.forecast.scanpro import Scanpro
from tradewind.models._kit.forecast.stats_choice import Choice, Mix, Terms
from tradewind.models._kit.forecast.stats_pool import FAMILIES
from tradewind.models._kit.forecast.stats_spread import Spread
from tradewind.models._kit.panel import Panel
from tradewind.models._kit.response import Response

Array = np.ndarray[Any, Any]
FORMAT = 2
_REGRESSIONS: Mapping[str, type[Ridge] | type[Scanpro]] = {"ridge": Ridge, "scanpro": Scanpro}
NONE = np.empty(0, "i8")


@dataclass(frozen=True, slots=True)
class Fitted:
    """One regression and the series it was fitted to, by their numbers."""

    name: str
    rows: Array
    found: Ridge | Scanpro

    def say(self, places: Array, panel: Panel, steps: Array) -> Array:
        """Return its path of a look's series, which are at these of its places."""
        if isinstance(self.found, Scanpro):
            return scanpro.say(self.found, places, panel, steps)
        return ridge.say(self.found, places, panel, steps)


@dataclass(frozen=True, slots=True)
class Stats:
    """What was learned: paths to add up, regressions to work out again for every plan, and the spread around them.

    `plain` (series, horizon) is the weighted sum of the paths that no plan can change, `lifted` that of the paths that the levers
    multiply.
    """

    mix: Mix
    plain: Array
    lifted: Array
    response: Response
    regressions: tuple[Fitted, ...]
    spread: Spread
    cycle: int  # periods that are repeated past the horizon
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def horizon(self) -> int:
        """Return how far the paths reach."""
        return int(self.plain.shape[1])

    @property
    def reach(self) -> int:
        """Return how many periods of the past a look must hold: the paths are all there is."""
        return 1

    def say(self, look: Look) -> Said:
        """Answer a look: paths by look-up, levers and regressions from the look's plan."""
        series, steps = look.series, look.steps
        at = self._within(steps)
        path = self.plain[series][:, at].astype("f8")
        lifted = self.lifted[series][:, at]
        if self.response.names and lifted.any():
            path += lifted * np.exp(stats_pool.effect(look.panel, self.response, series, steps))
        for one in self.regressions:
            place = np.searchsorted(one.rows, series)
            mine = np.flatnonzero((place < len(one.rows)) & (one.rows[np.minimum(place, len(one.rows) - 1)] == series))
            if len(mine):
                weight = self.mix.weights[series[mine], self.mix.names.index(one.name)]
                path[mine] += weight[:, None] * one.say(place[mine], look.panel.take(mine), steps)
        mean, quantiles = self.spread(path, series, np.minimum(steps, self.horizon - 1))
        return Said(mean, quantiles)

    def _within(self, steps: Array) -> Array:
        """Return the places of steps in the paths; past their end the last cycle is repeated."""
        far = self.horizon - self.cycle + (steps - self.horizon) % self.cycle
        found: Array = np.where(steps < self.horizon, steps, far)
        return found

    def moved(self, panel: Panel, place: Array) -> Stats:
        """Fit the chosen families again at the new cut; a new series, or one that sells for the first time, gets what its kind uses."""
        panel = closing.rested(panel)
        found = profile(panel)
        kind = found.classes.astype("i8")
        old = np.maximum(place, 0)
        new = (place < 0) | (self.spread.kind[old] == CLASSES.index("silent"))
        kind = np.where(new, kind, self.spread.kind[old].astype("i8"))
        weights = np.where(new[:, None], self.mix.usual[kind], self.mix.weights[old])
        weights[kind == CLASSES.index("silent")] = 0
        spread = self.spread.moved(panel, old, new, kind, found.whole_of)
        return _fitted(panel, responses.learn(panel), Mix(self.mix.names, weights, self.mix.usual), spread, self.facts)

    def notes(self, panel: Panel, where: Asked) -> list[str]:
        """Say which fallbacks were taken for the series that are asked for."""
        said = []
        silent = int((self.spread.kind[where.series] == CLASSES.index("silent")).sum())
        if silent:
            said.append(f"{silent} series never sold: their forecast is zero")
        if not self.facts.get("validated", 1):
            said.append("too little history to choose between statistical families: each kind of series has its plainest one")
        if len(where.ahead) and int(where.ahead.max()) >= self.horizon:
            said.append(f"past {self.horizon} {panel.grain.name}s ahead statistical paths repeat their last {self.cycle}")
        return said

    def dump(self) -> dict[str, bytes]:
        """Write paths, weights, regressions and spread as safetensors, names as JSON."""
        numbers = {"weights": self.mix.weights, "usual": self.mix.usual, "plain": self.plain, "lifted": self.lifted}
        numbers |= self.response.arrays() | self.spread.arrays()
        for one in self.regressions:
            numbers |= one.found.arrays(f"{one.name}/") | {f"{one.name}/rows": one.rows.astype("i8")}
        meta = {
            "format": FORMAT,
            "names": list(self.mix.names),
            "levers": list(self.response.names),
            "regressions": {one.name: one.found.meta() for one in self.regressions},
            "cycle": self.cycle,
            "facts": dict(self.facts),
        }
        return {"stats.safetensors": tensors.save(numbers), "stats.json": json.dumps(meta, separators=(",", ":")).encode()}


def _misfits(one: Fitted, names: tuple[str, ...], series: int) -> bool:
    outside = len(one.rows) > 0 and not 0 <= int(one.rows.min()) <= int(one.rows.max()) < series
    return outside or one.name not in names or len(one.rows) != len(one.found.level)


def _read(parts: Mapping[str, bytes], panel: Panel) -> Stats:
    meta, numbers = json.loads(parts["stats.json"]), tensors.load(parts["stats.safetensors"])
    if meta["format"] != FORMAT:
        raise Incompatible(f"statistical forecasts of format {meta['format']} are not known here", hint="train the model again")
    plain, lifted, weights = numbers["plain"], numbers["lifted"], numbers["weights"]
    cycle = int(meta["cycle"])
    names = tuple(map(str, meta["names"]))
    regressions = tuple(
        Fitted(name, numbers[f"{name}/rows"], _REGRESSIONS[FAMILIES[name].way].from_parts(said, numbers, f"{name}/"))
        for name, said in meta["regressions"].items()
    )
    fits = plain.shape == lifted.shape and len(plain) == len(weights) == len(panel) and weights.shape[1] == len(names)
    if not fits or not 1 <= cycle <= plain.shape[1] or any(_misfits(one, names, len(panel)) for one in regressions):
        raise ValueError("paths and series do not fit")
    response = Response.from_parts(meta["levers"], numbers)
    spread = Spread.from_arrays(numbers, plain.shape[1])
    return Stats(Mix(names, weights, numbers["usual"]), plain, lifted, response, regressions, spread, cycle, meta["facts"])


def _fitted(panel: Panel, response: Response, mix: Mix, spread: Spread, facts: Mapping[str, Any]) -> Stats:
    """Fit every family to the series that use it, and add the paths up."""
    horizon = spread.horizon
    whole = panel.planned(np.arange(len(panel)), horizon, NONE, NONE, {})
    plain, lifted = (np.zeros((len(panel), horizon)) for _ in range(2))
    regressions = []
    for at, name in enumerate(mix.names):
        rows = np.flatnonzero(mix.weights[:, at] > 0)
        if not len(rows):
            continue
        family, part = FAMILIES[name], whole.take(rows)
        if family.way == "ridge":
            regressions.append(Fitted(name, rows, ridge.fit(part, horizon=horizon, groups=family.groups)))
            continue
        if family.way == "scanpro":
            regressions.append(Fitted(name, rows, scanpro_learn.fit(scanpro_learn.learn(whole, spread.count).of(rows), part, horizon)))
            continue
        path = stats_pool.run(name, part, horizon, stats_pool.of(response, rows))
        (lifted if family.levers else plain)[rows] += mix.weights[rows, at : at + 1] * path
    grain = panel.grain
    cycle = next((length for length in (grain.season, grain.cycle) if length <= horizon), 1)
    return Stats(mix, plain.astype("f4"), lifted.astype("f4"), response, tuple(regressions), spread, cycle, facts)


VALIDATED = (
    Knob("blocks", 3, 1, 8, meaning="held-out blocks that families are chosen on", tune=False),
    Knob("sampled", 200, 10, 5000, meaning="series of a kind that are validated at most", tune=False),
)


@dataclass(frozen=True, slots=True)
class Statistics:
    """The learner of some families."""

    name: str
    families: tuple[str, ...]
    knobs: tuple[Knob, ...]

    def learn(self, panel: Panel, knobs: Mapping[str, Any], *, seed: int, horizon: int) -> Stats:
        """Choose families on the last blocks before the cut and fit them; raises LearnFailed where nothing is known."""
        own = settle(self.knobs, {knob.name: knobs[knob.name] for knob in self.knobs if knob.name in knobs})
        panel = closing.rested(panel)
        found = profile(panel)
        if not found.rows:
            raise LearnFailed("there is no sale to learn from", hint="every period is empty or marked as not available")
        kind = found.classes.astype("i8")
        whole = panel.planned(np.arange(len(panel)), horizon, NONE, NONE, {})
        if "scanpro" in self.families and not scanpro_learn.tells(whole):
            raise LearnFailed("no price is known that ever moved", hint="train the recipe stats instead")
        counted = stats_spread.own_scale(panel, found.whole_of)[0]
        terms = Terms(horizon, self.families, **own, seed=seed)
        response = responses.learn(panel)
        chosen = stats_choice.choose(whole, kind, counted, response, terms)
        spread = stats_spread.learn(panel, chosen.held, kind, found.whole_of, horizon=horizon)
        return _fitted(panel, response, chosen.mix, spread, _facts(chosen, kind))

    def read(self, parts: Mapping[str, bytes], panel: Panel) -> Stats:
        """Read back what was dumped; raises Incompatible and Tampered."""
        try:
            return _read(parts, panel)
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise Incompatible("the statistical forecasts of this version cannot be read", hint="train the model again") from error


def _facts(chosen: Choice, kind: Array) -> dict[str, Any]:
    totals = chosen.mix.weights.sum(0)
    used = {name: round(float(total), 1) for name, total in zip(chosen.mix.names, totals, strict=True) if total > 0}
    kinds = {name: int((kind == code).sum()) for code, name in enumerate(CLASSES) if (kind == code).any()}
    return {"families": used, "kinds": kinds, "validated": chosen.validated}


LEARNER = Statistics(
    "stats",
    tuple(name for name in FAMILIES if name != "scanpro"),
    (
        Knob("members", 3, 1, 6, meaning="families whose mean is taken, at most"),
        Knob("near", 1.08, 1.0, 2.0, meaning="how much worse than the best family another may be and still count"),
        *VALIDATED,
        Knob(
            "seconds",
            30.0,
            0.0,
            3600.0,
            meaning="CPU-seconds that slow families may take: mstl, ets, theta, ces; 0 leaves them out",
            tune=False,
        ),
    ),
)
SCANPRO = Statistics("scanpro", ("scanpro", "rate", "rate, levers"), VALIDATED)
"""Regressions over all stores of a product; series that rarely sell have rates."""
