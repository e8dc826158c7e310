"""One gradient-boosted model for all series and horizons: units = scale * exp(effect of own price + trees)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tradewind.core.errors import Incompatible
from tradewind.core.model import Knob
from tradewind.models._kit import onnx_trees, tensors
from tradewind.models._kit.forecast import features
from tradewind.models._kit.forecast.boosted_serve import AIMS, PERCENT, Learned, Pull
from tradewind.models._kit.forecast.levels import Levels
from tradewind.models._kit.forecast.occasions import Occasions
from tradewind.models._kit.panel import Panel
from tradewind.models._kit.response import Response
from tradewind.models._kit.trees import Trees


@dataclass(frozen=True, slots=True)
class Boosted:
    """The learner."""

    name: str = "boosted"
    knobs: tuple[Knob, ...] = (
        Knob("rounds", 130, 20, 1000, log=True, meaning="trees of the mean, and as many of the quantiles"),
        Knob("leaves", 20, 4, 127, log=True, meaning="leaves per tree"),
        Knob("learning_rate", 0.1, 0.01, 0.5, log=True, meaning="how much each tree may say"),
        Knob("rows", 200_000, 1_000, 5_000_000, log=True, meaning="training rows at most", tune=False),
        Knob("power", 1.2, 1.01, 1.9, meaning="how fast the variance of sales grows with their mean"),
        Knob("volume", 0.7, 0.0, 1.0, meaning="how much more big series count for the mean: 0 not at all, 1 by their units"),
        Knob("threads", 2, 1, 64, meaning="threads to learn with; the result is the same", tune=False),
    )

    def learn(self, panel: Panel, knobs: Mapping[str, Any], *, seed: int, horizon: int) -> Learned:
        """Learn from a panel; raises LearnFailed."""
        from tradewind.models._kit.forecast import boosted_train

        return boosted_train.learn(panel, knobs, seed=seed, horizon=horizon)

    def read(self, parts: Mapping[str, bytes], panel: Panel) -> Learned:
        """Read back what was dumped; raises Incompatible and Tampered."""
        try:
            meta = json.loads(parts["boosted.json"])
            if list(meta["names"]) != features.names(panel):
                raise Incompatible("these boosted trees were learned from other features than today's", hint="train the model again")
            numbers = tensors.load(parts["boosted.safetensors"])
            aims = (*AIMS, PERCENT) if PERCENT in meta["halves"] else AIMS
            models = {aim: {half: parts[f"boosted.{aim}.{half}.onnx"] for half in meta["halves"][aim]} for aim in aims}
            return Learned(
                Response.from_parts(meta["levers"], numbers),
                Levels.from_meta(meta["levels"]),
                Occasions.from_meta(meta["occasions"]),
                Trees.from_arrays(numbers, "trees/"),
                models,
                {aim: onnx_trees.walk(halves) for aim, halves in models.items()},
                numbers["cold"],
                numbers["shapes"],
                tuple(meta["names"]),
                int(meta["horizon"]),
                int(meta["reach"]),
                meta["facts"],
                Pull(*map(float, meta["pull"])) if meta.get("pull") else None,
            )
        except (KeyError, ValueError, TypeError) as error:
            raise Incompatible("these boosted trees cannot be read", hint="train the model again") from error


LEARNER = Boosted()
