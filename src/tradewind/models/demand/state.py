"""What the boosted recipe learned: in memory, and as named bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tradewind.core.errors import Incompatible
from tradewind.models._kit import onnx_trees, tensors
from tradewind.models._kit.intervals import Bands
from tradewind.models._kit.onnx_trees import Score
from tradewind.models._kit.panel import Panel
from tradewind.models._kit.response import Response
from tradewind.models._kit.trees import Trees

Array = np.ndarray[Any, Any]
AIMS = ("mean", "median")
FORMAT = 1


@dataclass(frozen=True, slots=True)
class State:
    """What was learned, and the end of the history it answers from."""

    panel: Panel
    response: Response
    trees: Trees  # of the mean: what explanations walk through
    models: Mapping[str, bytes]  # "mean" and "median", as ONNX
    scores: Mapping[str, Score]
    bands: Bands
    spread: Array
    features: tuple[str, ...]
    horizon: int
    facts: Mapping[str, Any]
    memo: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)  # of questions just asked: a what-if repeats them


def dump(state: State) -> dict[str, bytes]:
    """Write the state: ONNX for the trees, safetensors for numbers, JSON for the rest."""
    numbers = (
        state.panel.arrays() | state.response.arrays() | state.trees.arrays("trees/") | state.bands.arrays() | {"spread": state.spread}
    )
    meta = {
        "format": FORMAT,
        "panel": state.panel.meta(),
        "levers": list(state.response.names),
        "features": list(state.features),
        "horizon": state.horizon,
        "facts": dict(state.facts),
    }
    models = {f"{aim}.onnx": model for aim, model in state.models.items()}
    return {**models, "series.safetensors": tensors.save(numbers), "meta.json": json.dumps(meta, separators=(",", ":")).encode()}


def load(parts: Mapping[str, bytes]) -> State:
    """Read the state back; raises Incompatible and Tampered."""
    try:
        meta = json.loads(parts["meta.json"])
        if meta["format"] != FORMAT:
            raise Incompatible(f"demand state of format {meta['format']} is not known here", hint="update Tradewind")
        numbers = tensors.load(parts["series.safetensors"])
        models = {aim: parts[f"{aim}.onnx"] for aim in AIMS}
        return State(
            Panel.from_parts(meta["panel"], numbers),
            Response.from_parts(meta["levers"], numbers),
            Trees.from_arrays(numbers, "trees/"),
            models,
            {aim: onnx_trees.session(model) for aim, model in models.items()},
            Bands.from_arrays(numbers),
            numbers["spread"],
            tuple(meta["features"]),
            int(meta["horizon"]),
            meta["facts"],
        )
    except (KeyError, ValueError, TypeError) as error:
        raise Incompatible("this demand version cannot be read", hint="train the model again") from error
