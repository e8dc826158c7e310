"""What a recurrent network says once it is learned: serving code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tradewind.core.errors import Incompatible
from tradewind.models._kit.forecast import lstm_inputs, lstm_onnx, lstm_windows
from tradewind.models._kit.forecast.learner import Look, Said
from tradewind.models._kit.forecast.lstm_inputs import NEAR, Layout, View
from tradewind.models._kit.forecast.lstm_onnx import Net
from tradewind.models._kit.forecast.lstm_windows import Past
from tradewind.models._kit.panel import Panel

Array = np.ndarray[Any, Any]
Begun = tuple[Array, ...]  # what the network made of the past
AT_ONCE = 512  # series answered in one run: a worker's memory stays small
HIGHEST = np.float32(4.2)  # log1p of the largest share of the level that can be said
LOWEST = np.float32(-12)  # log of the smallest mean share
MOST_KEPT = 128  # series of a question whose past is kept for the next one
QUESTIONS = 32  # of which it is kept
NOTHING = np.empty(0, "f4")


@dataclass(frozen=True, slots=True)
class Learned:
    """The network as ONNX, and how its inputs are laid out."""

    layout: Layout
    net: Net
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reach(self) -> int:
        """Return how many periods of the past a look must hold."""
        return self.layout.back

    def say(self, look: Look) -> Said:
        """Answer a look; what the past says is kept for the next plan of the same series: a slider asks many times."""
        steps, count = int(look.steps[-1]) + 1, len(look.panel)
        if count <= MOST_KEPT:
            view = lstm_inputs.plan_of(look.panel, self.layout, steps)
            return self._said(look, view, slice(0, count), self._kept(look, steps), origin=NEAR)
        view = lstm_inputs.view_of(look.panel, self.layout, steps, start=look.panel.cut)
        parts = []
        for start in range(0, count, AT_ONCE):
            series = slice(start, min(start + AT_ONCE, count))
            parts.append(self._said(look, view, series, self._begun(view, series, steps), origin=self.layout.back))
        return Said(np.concatenate([part.mean for part in parts]), np.concatenate([part.quantiles for part in parts]))

    def _kept(self, look: Look, steps: int) -> tuple[Past, Begun]:
        kept: dict[Any, tuple[Past, Begun]] = look.memo.setdefault("lstm", {})
        key = look.panel.first + look.panel.cut, steps, look.series.tobytes()
        found = kept.get(key)
        if found is None:
            view = lstm_inputs.view_of(look.panel, self.layout, steps, start=look.panel.cut, ahead=False)
            found = self._begun(view, slice(0, len(look.panel)), steps)
            if len(kept) >= QUESTIONS:
                kept.clear()
            kept[key] = found
        return found

    def _begun(self, view: View, series: slice, steps: int) -> tuple[Past, Begun]:
        past = lstm_windows.past_of(view, series, self.layout.back, steps)
        return replace(past, encoder=NOTHING, fixed=NOTHING), self.net.begin(past.encoder, past.fixed)

    def _said(self, look: Look, view: View, series: slice, begun: tuple[Past, Begun], *, origin: int) -> Said:
        past, state = begun
        said = self.net.say(lstm_windows.decoder_of(view, past, series, origin), state)
        return in_units(said if len(look.steps) == len(said) else said[look.steps], past.level)

    def moved(self, panel: Panel, place: Array) -> Learned:
        """Return it as it is: nothing was learned about a series by its name."""
        return self

    def dump(self) -> dict[str, bytes]:
        """Write ONNX for the network, JSON for the rest."""
        meta = {"layout": self.layout.meta(), "facts": dict(self.facts)}
        return {**{f"lstm.{name}.onnx": model for name, model in self.net.models.items()}, "lstm.json": json.dumps(meta).encode()}


def in_units(said: Array, level: Array) -> Said:
    """Return mean and rising quantiles of the network's outputs (steps, series, outputs)."""
    turned = np.ascontiguousarray(said.swapaxes(0, 1))
    shares = np.minimum(np.maximum(turned[..., :-1], 0), HIGHEST)
    falls = (shares[..., 1:] < shares[..., :-1]).any(-1)
    if falls.any():
        shares[falls] = np.sort(shares[falls], -1)
    np.exp(shares, out=shares)
    shares -= 1
    shares *= level[:, None, None]
    mean = np.exp(np.minimum(np.maximum(turned[..., -1], LOWEST), HIGHEST))
    return Said(mean * level[:, None], shares)


def read(parts: Mapping[str, bytes]) -> Learned:
    """Read back what was dumped; raises Incompatible and Tampered."""
    try:
        meta = json.loads(parts["lstm.json"])
        layout, facts = Layout.from_meta(meta["layout"]), dict(meta["facts"])
        models = {name: parts[f"lstm.{name}.onnx"] for name in lstm_onnx.READS}
    except (KeyError, ValueError, TypeError) as error:
        raise Incompatible("this version of lstm cannot be read", hint="train the model again") from error
    return Learned(layout, lstm_onnx.opened(models), facts)
