"""What boosted trees learned, and how they answer: units = scale * exp(effect of own price + trees)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tradewind.models._kit import tensors
from tradewind.models._kit.forecast import features, percent
from tradewind.models._kit.forecast.learner import CELLS, Look, Said, looks
from tradewind.models._kit.forecast.levels import Levels
from tradewind.models._kit.forecast.occasions import Occasions
from tradewind.models._kit.intervals import TAUS
from tradewind.models._kit.onnx_trees import Score, Walk
from tradewind.models._kit.panel import Panel
from tradewind.models._kit.response import Response
from tradewind.models._kit.trees import Trees

Array = np.ndarray[Any, Any]
AIMS = ("mean", "quantiles")
PERCENT = "percent"  # the third aim, where it was asked for
FLOOR = 0.1  # added to sales in units of their level before the logarithm is taken
PULL = 1 / 3  # of the way that quantiles go to where the trees of the mean see their middle
OUTCOMES: Array = percent.SPREAD.mean(1)  # what each quantile adds to the mean of the outcomes between them
MOST_KEPT = 128 << 20  # bytes of features that are kept ready


@dataclass(frozen=True, slots=True)
class Ready:
    """Features of every series under the known plan, and what the two halves of the trees of each aim say of them."""

    kept: features.Kept
    scores: Mapping[str, tuple[Array, Array]]


@dataclass(frozen=True, slots=True)
class Pull:
    """How the mean of the outcomes that quantiles leave room for stands to the trees' mean: in logarithms, on rows learned from.

    `usual` is the middle of that. The trees of the mean were grown with weights of units ** `volume`, `weight` in the mean: series that
    counted less than that are pulled less.
    """

    usual: float
    weight: float
    volume: float

    def of(self, quantiles: Array, logged: Array, units: Array) -> Array:
        """Return by what quantiles (series, steps, levels) are multiplied, (series, steps); `logged` is the mean in logs of `units`.

        Two structures of trees, grown for different losses, err apart: their mean errs less than the one (Bates and Granger 1969).
        """
        apart = logged - np.log(np.maximum(quantiles @ OUTCOMES, 1e-6)) - self.usual
        share = PULL * np.minimum(units**self.volume / self.weight, 1)
        found: Array = np.exp(share * np.minimum(np.maximum(apart, -1), 1))
        return found


def bounded(logged: Array) -> Array:
    """Return logarithms whose exponential is a number."""
    return np.minimum(np.maximum(logged, -30), 30)


def quantiles_of(shapes: Array, scores: Array) -> Array:
    """Return quantiles in units of what one score stands for, (rows, levels), as the trees give them: they may cross."""
    found: Array = np.maximum(np.exp(bounded(shapes[0] + scores @ shapes[1:])) - FLOOR, 0)
    return found


def _ready(look: Look) -> Ready | None:
    found: Ready | None = look.kept.get("boosted")
    return found if found is not None and int(look.steps[-1]) < found.kept.rows.effect.shape[1] else None


@dataclass(frozen=True, slots=True)
class Learned:
    """Trees of the mean, trees whose leaves hold every quantile, perhaps trees for percentage errors, and what price does."""

    response: Response
    levels: Levels
    occasions: Occasions
    trees: Trees  # of the mean: what explanations walk through
    models: Mapping[str, Mapping[str, bytes]]  # of each aim, as ONNX, in two halves
    scores: Mapping[str, Walk]
    cold: Array  # quantiles over the mean of a series without any history
    shapes: Array  # where quantiles start, then how they move per score of the trees, (1 + scores, levels)
    names: tuple[str, ...]
    horizon: int
    reach: int
    facts: Mapping[str, Any] = field(default_factory=dict)
    pull: Pull | None = None  # None in versions that were learned before there was one

    def say(self, look: Look) -> Said:
        """Answer a look."""
        rows = self.rows(look)
        shape = rows.effect.shape
        flat = rows.values.reshape(-1, rows.values.shape[-1])
        units = rows.units()
        middle = bounded(self._score("mean", look, flat).reshape(shape))
        mean = np.exp(middle) * units
        found = quantiles_of(self.shapes, self._score("quantiles", look, flat)).reshape(*shape, len(TAUS))
        found.sort(-1)
        quantiles = found * (units if self.pull is None else units * self.pull.of(found, middle, units))[..., None]
        new = ~np.isfinite(look.panel.target[:, : look.panel.cut]).any(1)
        if new.any():
            quantiles[new] = mean[new][..., None] * self.cold
        if PERCENT not in self.scores:
            return Said(mean, quantiles)
        point = np.maximum(self._score(PERCENT, look, flat).reshape(shape), percent.LEAST) * units
        point[new] = np.nan  # learned of series that sold before
        return Said(mean, quantiles, point)

    def rows(self, look: Look) -> features.Rows:
        """Return the features of a look."""
        ready = _ready(look)
        if ready is None:
            return self._fresh(look)[0]
        return features.replanned(
            ready.kept, look.panel, self.response, self.occasions, series=look.series, steps=look.steps, planned=look.planned
        )

    def _score(self, aim: str, look: Look, flat: Array) -> Array:
        """Return the sum of the trees of each row; where at most the price is planned, no tree is walked that does not ask for it."""
        ready, walk = _ready(look), self.scores[aim]
        if ready is None or any(name != "price" for name in look.planned):
            return walk(flat)
        (still, moving), cells = ready.scores[aim], ready.kept.cells(look.series, look.steps)
        shape = len(flat), *still.shape[2:]
        found: Array = still[cells].reshape(shape)
        found += walk.moving(flat) if look.planned else moving[cells].reshape(shape)  # what was taken by number is a copy
        return found

    def _fresh(self, look: Look) -> tuple[features.Rows, features.Past]:
        panel = look.panel
        view = features.View.of(panel, self.response, self.levels.of(panel), self.occasions, look.series, start=panel.cut)
        past = features.history_of(view, panel.cut, look.steps)
        rows = features.rows(view, panel.cut, look.steps, past)
        rows.values[:, :, 0] = np.minimum(rows.values[:, :, 0], self.horizon)
        return rows, past

    def keep(self, panel: Panel, horizon: int) -> dict[str, Any]:
        """Make ready features and trees of every series under the known plan; nothing where they take too much room."""
        if len(panel) * horizon * len(self.names) * 4 > MOST_KEPT:
            return {}
        kept = features.Kept.of([self._fresh(look) for look in looks(panel, horizon)])
        flat = kept.rows.values.reshape(-1, len(self.names))

        def walked(half: Score) -> Array:
            found = np.concatenate([half(flat[at : at + CELLS]) for at in range(0, len(flat), CELLS)])
            return found.reshape(len(panel), horizon, *found.shape[1:])

        return {"boosted": Ready(kept, {aim: (walked(walk.still), walked(walk.moving)) for aim, walk in self.scores.items()})}

    def moved(self, panel: Panel, place: Array) -> Learned:
        """Return it for another panel: a new series takes the response of its product, or the average one."""
        return replace(self, response=self.response.moved(panel, place))

    def dump(self) -> dict[str, bytes]:
        """Write ONNX for the trees, safetensors for numbers, JSON for the rest."""
        numbers = self.response.arrays() | self.trees.arrays("trees/") | {"cold": self.cold, "shapes": self.shapes}
        meta = {
            "levers": list(self.response.names),
            "halves": {aim: list(halves) for aim, halves in self.models.items()},
            "names": list(self.names),
            "horizon": self.horizon,
            "reach": self.reach,
            "levels": self.levels.meta(),
            "occasions": self.occasions.meta(),
            "facts": dict(self.facts),
            "pull": None if self.pull is None else [self.pull.usual, self.pull.weight, self.pull.volume],
        }
        models = {f"boosted.{aim}.{half}.onnx": model for aim, halves in self.models.items() for half, model in halves.items()}
        return {**models, "boosted.safetensors": tensors.save(numbers), "boosted.json": json.dumps(meta).encode()}
