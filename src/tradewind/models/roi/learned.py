"""What was learned of media: draws of everything, and the history that new spend adds to. numpy only."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tradewind.core.errors import Tampered
from tradewind.models._kit import tensors
from tradewind.models._kit.calendar import GRAINS, Clock

Array = np.ndarray[Any, Any]
_TEXTS = ("recipe", "carry", "curve", "name", "unit")
_LISTS = ("geos", "channels", "controls", "responds", "notes", "changed")
_ARRAYS = (
    "weights",
    "half",
    "slope",
    "beta",
    "gamma",
    "noise",
    "shock",
    "trend",
    "y",
    "money",
    "spend",
    "other",
    "scale",
    "centre",
    "width",
    "mean",
    "cov",
)


@dataclass(frozen=True, slots=True)
class Learned:
    """D draws, G geos, C channels, L lags, T periods (the first `cut` known, then the plan), K controls, q columns of the baseline."""

    recipe: str  # the engine that drew: ridge, fast, exact
    clock: Clock
    start: int
    cut: int
    carry: str
    curve: str
    name: str
    unit: str
    per: float  # money per outcome that returns are told in; 1 where it is not known
    geos: tuple[str, ...]
    channels: tuple[str, ...]
    controls: tuple[str, ...]
    responds: tuple[bool, ...]
    notes: tuple[str, ...]
    changed: tuple[str, ...]  # what an update changed
    weights: Array  # (D, C, L)
    half: Array  # (D, C), in scaled spend
    slope: Array  # (D, C)
    beta: Array  # (D, G, C): outcome a period at full effect
    gamma: Array  # (D, G, q): baseline, in outcome
    noise: Array  # (D, G): of each geo by itself
    shock: Array  # (D, G): of all geos together
    trend: Array  # (D, G): what a hinge may bring, in outcome
    y: Array  # (G, T)
    money: Array  # (G, T, C)
    spend: Array  # (G, T, C): as exposure had it
    other: Array  # (G, T, K): raw
    scale: Array  # (G, C): spend that counts as one
    centre: Array  # (C,): belief before the data, log return
    width: Array
    mean: Array  # (P,): posterior moments of the sampled parameters
    cov: Array
    params: Mapping[str, Any] = field(default_factory=dict)
    health: Mapping[str, Any] = field(default_factory=dict)

    @property
    def lags(self) -> int:
        """Return how many periods an effect may last."""
        return int(self.weights.shape[2])

    @property
    def year(self) -> slice:
        """Return the last year of history, or all of it."""
        return slice(max(0, self.cut - self.clock.grain.year), self.cut)

    @property
    def usual(self) -> Array:
        """Return the mean spend per period of the last year, (G, C)."""
        found: Array = self.money[:, self.year].mean(1)
        return found

    @property
    def share(self) -> Array:
        """Return each geo's share of a channel's spend, (G, C): of the last year, or of all of history where it was silent since."""
        late, ever = self.usual, self.money[:, : self.cut].sum(1)
        spent = np.where(late.sum(0) > 0, late, ever)
        found: Array = spent / spent.sum(0)
        return found


def dump(state: Learned) -> dict[str, bytes]:
    """Write the state: numbers as a tensor file, the rest as JSON."""
    arrays = {name: np.asarray(getattr(state, name)) for name in _ARRAYS}
    said = {name: getattr(state, name) for name in (*_TEXTS, *_LISTS, "start", "cut", "per", "params", "health")}
    said |= {"grain": state.clock.grain.name, "anchor": state.clock.anchor}
    return {"numbers.safetensors": tensors.save(arrays), "media.json": json.dumps(said, default=float).encode()}


def load(parts: Mapping[str, bytes]) -> Learned:
    """Read the state back; raises Tampered where it cannot be."""
    try:
        said = json.loads(parts["media.json"])
        arrays = tensors.load(parts["numbers.safetensors"])
        clock = Clock(GRAINS[said.pop("grain")], int(said.pop("anchor")))
        rest: dict[str, Any] = {name: tuple(said.pop(name)) for name in _LISTS}
        arrays.setdefault("shock", 0.0 * arrays["noise"])  # versions of before knew none
        rest |= {name: arrays[name] for name in _ARRAYS}
        return Learned(clock=clock, **rest, **said)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise Tampered("a media model cannot be read") from error
