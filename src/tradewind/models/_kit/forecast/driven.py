"""A learner around another one: what spend did is taken out of the past before it learns, and put into what it says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tradewind.core.errors import Incompatible, LearnFailed
from tradewind.core.model import Knob
from tradewind.models._kit import tensors
from tradewind.models._kit.asking import Asked
from tradewind.models._kit.forecast import spend as spends
from tradewind.models._kit.forecast.learner import Learned, Learner, Look, Said
from tradewind.models._kit.forecast.spend import Spend
from tradewind.models._kit.panel import Panel

Array = np.ndarray[Any, Any]
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Driven:
    """What spend does, and what was learned of the past without it."""

    spend: Spend
    inner: Learned

    @property
    def reach(self) -> int:
        """Return how many periods of the past a look must hold."""
        return max(self.inner.reach, max(spends.MEMORY.values()) if self.spend.names else 1)

    def say(self, look: Look) -> Said:
        """Answer a look: what would come without spend, times what the plan adds."""
        said = self.inner.say(replace(look, panel=calm(look.panel, self.spend.of(look.series))))
        raised = np.exp(self.parts(look).sum(0))
        point = said.percent
        return Said(said.mean * raised, said.quantiles * raised[..., None], point if point is None else point * raised)

    def parts(self, look: Look) -> Array:
        """Return each channel's part of the logarithm of a look, (channels, series, steps)."""
        return self.spend.of(look.series).parts(look.panel, look.panel.cut + look.steps)

    def moved(self, panel: Panel, place: Array) -> Driven:
        """Return it for a later panel, without refitting."""
        moved = self.spend.moved(panel, place)
        return Driven(moved, self.inner.moved(calm(panel, moved), place))

    def notes(self, panel: Panel, where: Asked) -> list[str]:
        """Say which channels earned their place, which did not, and where a plan lies outside what was seen."""
        label = len(spends.PREFIX)
        said = []
        dropped = [name[label:] for name in self.spend.tried if name not in self.spend.names]
        if dropped:
            said.append(f"spend of {', '.join(dropped)} made no held-out block better: changing its plan changes nothing here")
        for name in self.spend.names:
            most = panel.ahead[name][:, : panel.cut].max(1)
            most = most[where.series] if len(most) > 1 else np.repeat(most, len(where.series))
            beyond = int((where.plan[name] > 1.2 * most[where.row]).sum()) if name in where.plan else 0
            if beyond:
                said.append(f"{beyond} planned values of {name} lie above anything lately spent: what they add is read off a curve")
        own = getattr(self.inner, "notes", None)
        return said + (own(panel, where) if own is not None else [])

    def dump(self) -> dict[str, bytes]:
        """Write spend as safetensors and JSON, the rest as the inner learner writes it."""
        meta = {"format": FORMAT, **self.spend.meta()}
        parts = {f"inner.{name}": data for name, data in self.inner.dump().items()}
        return {**parts, "spend.safetensors": tensors.save(self.spend.arrays()), "spend.json": json.dumps(meta).encode()}


@dataclass(frozen=True, slots=True)
class Driving:
    """The learner. Without `driven`, spend is hidden and nothing else: the twin that spend has to beat."""

    name: str
    inner: Learner
    driven: bool = True

    @property
    def knobs(self) -> tuple[Knob, ...]:
        """Return what can be turned: the inner learner's knobs."""
        return self.inner.knobs

    def learn(self, panel: Panel, knobs: Mapping[str, Any], *, seed: int, horizon: int) -> Driven:
        """Learn what spend does, then the rest; raises LearnFailed where spend is meant and none is known."""
        if self.driven and not spends.columns(panel):
            raise LearnFailed("no spend is known that ever changed", hint="load marketing spend by channel, then train again")
        found = spends.learn(panel, seed=seed) if self.driven else spends.nothing(panel)
        return Driven(found, self.inner.learn(calm(panel, found), knobs, seed=seed, horizon=horizon))

    def read(self, parts: Mapping[str, bytes], panel: Panel) -> Driven:
        """Read back what was dumped; raises Incompatible and Tampered."""
        try:
            found = _read(parts, len(panel))
        except (KeyError, ValueError, TypeError) as error:
            raise Incompatible("the spend response of this version cannot be read", hint="train the model again") from error
        own = {name.removeprefix("inner."): data for name, data in parts.items() if name.startswith("inner.")}
        return Driven(found, self.inner.read(own, spends.without(panel)))


def _read(parts: Mapping[str, bytes], series: int) -> Spend:
    meta = json.loads(parts["spend.json"])
    if meta["format"] != FORMAT:
        raise Incompatible(f"spend of format {meta['format']} is not known here", hint="train the model again")
    found = Spend.from_parts(meta, tensors.load(parts["spend.safetensors"]))
    if found.beta.shape != (series, len(found.names)):
        raise ValueError("spend and series do not fit")
    return found


def calm(panel: Panel, spend: Spend) -> Panel:
    """Return the panel as it would have been without spend: its columns gone, what they added taken out of the past."""
    bare = spends.without(panel)
    if not spend.names:
        return bare
    target = panel.target.astype("f4", copy=True)
    target[:, : panel.cut] *= np.exp(-spend.parts(panel, np.arange(panel.cut)).sum(0))
    return replace(bare, target=target)
