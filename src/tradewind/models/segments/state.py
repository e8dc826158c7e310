"""What a segmentation is, in memory and at rest: middles, how customers are assigned, names, profiles, and every known customer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cached_property
from typing import Any

import numpy as np

from tradewind.core.bundle import pack_arrays, unpack_arrays
from tradewind.core.table import Array
from tradewind.models._kit import tensors
from tradewind.models._kit.clusters.choose import distances
from tradewind.models._kit.clusters.mixture import Mixture
from tradewind.models._kit.clusters.network import Network
from tradewind.models.segments.inputs import Inputs


@dataclass(frozen=True)
class Segments:
    """`how` is cells, centres, mixture or network. Arrays of K segments, of N known customers (`raw` in their own units), of D inputs."""

    how: str
    inputs: Inputs
    middles: Array  # K x D, standardised
    names: tuple[str, ...]
    rules: tuple[str, ...]
    solid: tuple[str, ...]
    people: Array  # N ids
    raw: Array  # N x D
    home: Array  # N: the segment each is in, kept until she has clearly moved
    share: Array  # K: of customers when it was learned
    profile: Mapping[str, Array]  # mean, error and count, K x facts
    facts: tuple[str, ...]  # what the profile speaks of
    said: tuple[str, ...]  # what every answer must say
    numbers: Mapping[str, Any] = field(default_factory=dict)  # spread, what was tried, measured stability
    parameters: Mapping[str, Array] = field(default_factory=dict)  # of the mixture, the network or the cells
    moves: Array = field(default_factory=lambda: np.zeros((0, 0)))  # K x K: customers from, to, at the last update
    mapping: tuple[tuple[str, str, float], ...] = ()  # name before a refit, name now, overlap

    @cached_property
    def place(self) -> dict[str, int]:
        """Return the row of every known customer."""
        return {name: at for at, name in enumerate(self.people.tolist())}

    @cached_property
    def assigner(self) -> Any:
        """Return what says how likely each segment is: a mixture, a network, or None."""
        kind = {"mixture": Mixture, "network": Network}.get(self.how)
        return kind(**{one.name: self.parameters[one.name] for one in fields(kind)}) if kind else None

    def assign(self, raw: Array) -> tuple[Array, Array]:
        """Return the chance of every segment and the distance to every middle, for rows in their own units."""
        rows = self.inputs.scaled(raw)
        if self.how == "cells":
            cell = self._cell(raw)
            return np.eye(len(self.names))[cell], distances(rows, self.middles)
        away = distances(rows, self.middles)
        if self.assigner is not None:
            return self.assigner.probability(rows), away
        said = -(away**2) / (2 * float(self.numbers["spread"]))
        said -= said.max(1, keepdims=True)
        chance = np.exp(said)
        return chance / chance.sum(1, keepdims=True), away

    def _cell(self, raw: Array) -> Array:
        if len(self.names) == 1:
            return np.zeros(len(raw), int)
        score = [1 + np.searchsorted(self.parameters[f"edges_{at}"], raw[:, at], side="right") for at in range(3)]
        parts = len(self.parameters["edges_0"]) + 1
        recent = parts + 1 - score[0]  # long ago is a low score
        often = (score[1] + score[2] + 1) // 2
        return np.asarray(self.parameters["cells"][recent - 1, often - 1])

    def dump(self) -> dict[str, bytes]:
        """Write the state as JSON, tensors and packed columns."""
        plain = {name: list(getattr(self, name)) for name in ("names", "rules", "solid", "facts", "said", "mapping")}
        text = json.dumps({"how": self.how, "inputs": self.inputs.as_dict(), "numbers": dict(self.numbers), **plain})
        arrays = {name: getattr(self, name) for name in ("middles", "home", "share", "moves")} | {"raw": self.raw.astype("f4")}
        arrays |= {f"profile/{name}": values for name, values in self.profile.items()}
        arrays |= {f"parameter/{name}": values for name, values in self.parameters.items()}
        return {
            "segments.json": text.encode(),
            "arrays.safetensors": tensors.save(arrays),
            "people": pack_arrays({"customer": self.people}),
        }

    @classmethod
    def load(cls, parts: Mapping[str, bytes]) -> Segments:
        """Read the state back."""
        said = json.loads(parts["segments.json"])
        arrays = tensors.load(parts["arrays.safetensors"])
        plain: dict[str, Any] = {name: tuple(said[name]) for name in ("names", "rules", "solid", "facts", "said")}
        plain |= {name: arrays[name] for name in ("middles", "home", "share", "moves")}
        made = cls(
            how=said["how"],
            inputs=Inputs.from_dict(said["inputs"]),
            people=unpack_arrays(parts["people"])["customer"],
            numbers=said["numbers"],
            profile=tensors.under(arrays, "profile/"),
            parameters=tensors.under(arrays, "parameter/"),
            mapping=tuple((str(a), str(b), float(c)) for a, b, c in said["mapping"]),
            raw=arrays["raw"].astype("f8"),
            **plain,
        )
        assert len(made.place) == len(made.people)  # made now: the first question should not wait for it
        return made
