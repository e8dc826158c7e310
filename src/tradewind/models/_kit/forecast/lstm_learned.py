"""What a recurrent network says once it is learned: serving code."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tradewind.core.errors import Incompatible
from tradewind.models._kit import tensors
from tradewind.models._kit.forecast import lstm_inputs, lstm_onnx, lstm_windows
from tradewind.models._kit.forecast.learner import Look, Said, looks
from tradewind.models._kit.forecast.lstm_inputs import NEAR, Layout, View
from tradewind.models._kit.forecast.lstm_onnx import Net
from tradewind.models._kit.forecast.lstm_windows import Past
from tradewind.models._kit.forecast.occasions import Occasions
from tradewind.models._kit.intervals import TAUS
from tradewind.models._kit.panel import Panel
from tradewind.models._kit.response import Response

Array = np.ndarray[Any, Any]
Begun = tuple[Array, ...]  # what the network made of the past
AT_ONCE = 512  # series answered in one run: a worker's memory stays small
HIGHEST = np.float32(4.2)  # log1p of the largest share of the level that can be said
LOWEST = np.float32(-12)  # log of the smallest mean share
MOST_KEPT = 128 << 20  # bytes of the decoder's rows that are kept ready


@dataclass(frozen=True, slots=True)
class Kept:
    """What the network is run on: the decoder's rows (steps, series, features), what plans are worked out with, and its state."""

    decoder: Array
    own: int  # how many of the decoder's features, the first, are the past's
    past: Past
    begun: Begun

    def of(self, series: Array, steps: int) -> Kept:
        """Return it of some series and the first steps, to be written to."""
        embedded, state, cell = self.begun
        begun = embedded[series], state[:, series], cell[:, series]
        return Kept(self.decoder[:steps].take(series, 1), self.own, self.past.of(series), begun)

    @classmethod
    def joined(cls, parts: Sequence[Kept]) -> Kept:
        """Put together what was made of a few series at a time."""
        begun = tuple(np.concatenate([part.begun[at] for part in parts], min(at, 1)) for at in range(3))
        decoder, past = np.concatenate([part.decoder for part in parts], 1), Past.joined([part.past for part in parts])
        return cls(decoder, parts[0].own, past, begun)


@dataclass(frozen=True, slots=True)
class Learned:
    """The network as ONNX, how its inputs are laid out, and what levers do: units = what it says times exp(effect of the own price)."""

    layout: Layout
    net: Net
    response: Response
    occasions: Occasions
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reach(self) -> int:
        """Return how many periods of the past a look must hold."""
        return self.layout.back

    def say(self, look: Look) -> Said:
        """Answer a look."""
        steps = int(look.steps[-1]) + 1
        kept: Kept | None = look.kept.get("lstm")
        met = any(name in look.planned for name in self.occasions.effects)  # what leads up to an event may lie in the past, too
        if kept is not None and (met or steps > len(kept.decoder)):
            kept = None
        planned = self._touched(look.planned)
        if kept is None:
            view = lstm_inputs.view_of(
                lstm_inputs.steady(look.panel, self.response, self.occasions, look.series), self.layout, steps, start=look.panel.cut
            )
        else:
            view = lstm_inputs.plan_of(
                lstm_inputs.lifted(look.panel, self.response, self.occasions, look.series), self.layout, steps, planned
            )
        at = np.minimum(look.panel.cut + look.steps, look.panel.width - 1)
        effect = np.exp(lstm_inputs.beside(look.panel, self.response, self.occasions, look.series, at))
        parts = []
        for start in range(0, len(look.panel), AT_ONCE):
            part = slice(start, min(start + AT_ONCE, len(look.panel)))
            if kept is None:
                made = self._fresh(view, part, steps)
            else:
                made = kept.of(look.series[part], steps)
                lstm_windows.replan(made.decoder, view, made.past, own=made.own, series=part, origin=NEAR, planned=planned)
            said = self.net.say(made.decoder, made.begun)
            parts.append(in_units(said if len(look.steps) == len(said) else said[look.steps], made.past.level, effect[part]))
        return _joined(parts)

    def _touched(self, planned: Collection[str]) -> Collection[str]:
        """Return the columns that a plan of some changes: these, and what all levers do together."""
        pulled = any(name in planned for name in self.response.names if name != "price")
        return {*planned, lstm_inputs.LIFT} if pulled else planned

    def _fresh(self, view: View, series: slice, steps: int) -> Kept:
        past = lstm_windows.past_of(view, series, self.layout.back, steps)
        decoder = lstm_windows.decoder_of(view, past, series, self.layout.back)
        return Kept(decoder, past.rows.shape[-1], past, self.net.begin(past.encoder, past.fixed))

    def keep(self, panel: Panel, horizon: int) -> dict[str, Any]:
        """Make ready what the decoder reads of every series under the known plan; nothing where it takes too much room."""
        parts, taken = [], 0
        for look in looks(panel, horizon):
            panel = lstm_inputs.steady(look.panel, self.response, self.occasions, look.series)
            view = lstm_inputs.view_of(panel, self.layout, horizon, start=look.panel.cut)
            parts.append(self._fresh(view, slice(0, len(look.panel)), horizon))
            taken += parts[-1].decoder.nbytes
            if taken > MOST_KEPT:
                return {}
        return {"lstm": Kept.joined(parts)}

    def moved(self, panel: Panel, place: Array) -> Learned:
        """Return it for another panel: a new series takes the response of its product, or the average one."""
        return replace(self, response=self.response.moved(panel, place))

    def dump(self) -> dict[str, bytes]:
        """Write ONNX for the network, safetensors for what levers do, JSON for the rest."""
        meta = {
            "layout": self.layout.meta(),
            "levers": list(self.response.names),
            "occasions": self.occasions.meta(),
            "facts": dict(self.facts),
        }
        models = {f"lstm.{name}.onnx": model for name, model in self.net.models.items()}
        return {**models, "lstm.safetensors": tensors.save(self.response.arrays()), "lstm.json": json.dumps(meta).encode()}


def in_units(said: Array, level: Array, effect: Array | float = 1.0) -> Said:
    """Return what the network's outputs (steps, series, outputs) say in units, times `effect` (series, steps): quantiles rise."""
    turned = np.ascontiguousarray(said.swapaxes(0, 1))
    shares = np.minimum(np.maximum(turned[..., : len(TAUS)], 0), HIGHEST)
    shares.sort(-1)  # quicker than looking for those that fall
    np.exp(shares, out=shares)
    shares -= 1
    units = level[:, None] * effect
    shares *= units[..., None]
    rest = np.exp(np.minimum(np.maximum(turned[..., len(TAUS) :], LOWEST), HIGHEST)) * units[..., None]
    return Said(rest[..., 0], shares, rest[..., 1] if rest.shape[-1] > 1 else None)


def _joined(parts: Sequence[Said]) -> Said:
    if len(parts) == 1:
        return parts[0]
    points = [part.percent for part in parts if part.percent is not None]
    mean, quantiles = np.concatenate([part.mean for part in parts]), np.concatenate([part.quantiles for part in parts])
    return Said(mean, quantiles, np.concatenate(points) if points else None)


def read(parts: Mapping[str, bytes]) -> Learned:
    """Read back what was dumped; raises Incompatible and Tampered."""
    try:
        meta = json.loads(parts["lstm.json"])
        layout, facts = Layout.from_meta(meta["layout"]), dict(meta["facts"])
        effects = Response.from_parts(meta["levers"], tensors.load(parts["lstm.safetensors"]))
        around = Occasions.from_meta(meta["occasions"])
        models = {name: parts[f"lstm.{name}.onnx"] for name in lstm_onnx.READS}
    except (KeyError, ValueError, TypeError) as error:
        raise Incompatible("this version of lstm cannot be read", hint="train the model again") from error
    return Learned(layout, lstm_onnx.opened(models), effects, around, facts)
