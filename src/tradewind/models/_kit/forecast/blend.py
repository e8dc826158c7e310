"""Several learned models as one: the weighted mean of their means and medians, and as much spread as their errors go together."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tradewind.core.errors import Incompatible, LearnFailed, TradewindError
from tradewind.core.model import Knob, settle
from tradewind.models._kit.asking import Asked
from tradewind.models._kit.forecast import percent
from tradewind.models._kit.forecast.learner import Keeps, Learned, Learner, Look, Said
from tradewind.models._kit.intervals import TAUS
from tradewind.models._kit.panel import Panel

Array = np.ndarray[Any, Any]
MIDDLE = int(np.flatnonzero(TAUS == 0.5)[0])


@dataclass(frozen=True, slots=True)
class Blend:
    """Learned members by name, each with its weight; the weights add up to one.

    `together` (0-1) is the correlation of the members' errors. At one, quantiles are averaged level by level (Vincent), which is right
    only where all members err alike; at less, distances from the median add up as standard deviations of correlated errors do.
    """

    members: Mapping[str, Learned]
    weights: Mapping[str, float]
    facts: Mapping[str, Any] = field(default_factory=dict)
    together: float = 1.0

    @property
    def reach(self) -> int:
        """Return how many periods of the past a look must hold."""
        return max(member.reach for member in self.members.values())

    def say(self, look: Look) -> Said:
        """Answer a look."""
        mean: Any = 0.0
        quantiles: Any = 0.0
        squares: Any = 0.0
        points: list[tuple[float, Array]] = []
        for name, member in self.members.items():
            said = member.say(look)
            mean = mean + self.weights[name] * said.mean
            part = self.weights[name] * said.quantiles
            quantiles = quantiles + part
            points += [(self.weights[name], said.percent)] if said.percent is not None else []
            if self.together < 1:
                squares = squares + (part - part[..., MIDDLE, None]) ** 2
        if self.together < 1:
            middle = quantiles[..., MIDDLE, None]
            away = quantiles - middle
            quantiles = middle + np.sign(away) * np.sqrt(self.together * away**2 + (1 - self.together) * squares)
        return Said(mean, quantiles, percent.together(points) if points else None)

    def keep(self, panel: Panel, horizon: int) -> dict[str, Any]:
        """Make ready what each member can."""
        kept: dict[str, Any] = {}
        for member in self.members.values():
            kept |= member.keep(panel, horizon) if isinstance(member, Keeps) else {}
        return kept

    def moved(self, panel: Panel, place: Array) -> Blend:
        """Return it for another panel, member by member."""
        return replace(self, members={name: member.moved(panel, place) for name, member in self.members.items()})

    def notes(self, panel: Panel, where: Asked) -> list[str]:
        """Say who answers and why, and what each of them has to say."""
        shares = " + ".join(f"{name} {self.weights[name]:.0%}" for name in self.members)
        why = str(self.facts.get("why", ""))
        said = [f"answered by {shares}" + (f": {why}" if why else "")]
        for member in self.members.values():
            own = getattr(member, "notes", None)
            said += own(panel, where) if own is not None else []
        return said

    def dump(self) -> dict[str, bytes]:
        """Write every member's parts under its name, and the weights."""
        meta = {
            "weights": dict(self.weights),
            "together": self.together,
            "facts": {name: value for name, value in self.facts.items() if name != "members"},
        }
        parts = {f"{name}.{part}": data for name, member in self.members.items() for part, data in member.dump().items()}
        return {"blend.json": json.dumps(meta).encode(), **parts}


@dataclass(frozen=True, slots=True)
class Blender:
    """The learner: all members that can be learned, in equal parts; training finds better weights by rolling origin."""

    learners: tuple[Learner, ...]
    name: str = "ensemble"
    knobs: tuple[Knob, ...] = ()

    def learn(self, panel: Panel, knobs: Mapping[str, Any], *, seed: int, horizon: int) -> Blend:
        """Learn every member; one that cannot be learned is left out and named. Raises LearnFailed where none can."""
        members: dict[str, Learned] = {}
        failed: dict[str, str] = {}
        passed = {percent.ASKED: knobs[percent.ASKED]} if percent.ASKED in knobs else {}
        for learner in self.learners:
            try:
                members[learner.name] = learner.learn(panel, {**settle(learner.knobs, {}), **passed}, seed=seed, horizon=horizon)
            except TradewindError as error:
                failed[learner.name] = error.message
        if not members:
            raise LearnFailed("no member of the ensemble can be learned", hint="; ".join(f"{name}: {why}" for name, why in failed.items()))
        return blended(members, dict.fromkeys(members, 1.0), {"failed": failed} if failed else {})

    def read(self, parts: Mapping[str, bytes], panel: Panel) -> Blend:
        """Read back what was dumped; raises Incompatible and Tampered."""
        known = {learner.name: learner for learner in self.learners}
        try:
            meta = json.loads(parts["blend.json"])
            members = {}
            for name in meta["weights"]:
                own = {part.removeprefix(f"{name}."): data for part, data in parts.items() if part.startswith(f"{name}.")}
                members[name] = known[name].read(own, panel)
            weights = {name: float(weight) for name, weight in meta["weights"].items()}
            return Blend(members, weights, meta["facts"], float(meta["together"]))
        except (KeyError, ValueError, TypeError) as error:
            raise Incompatible("this ensemble cannot be read", hint="train the model again") from error


def blended(members: Mapping[str, Learned], weights: Mapping[str, float], facts: Mapping[str, Any], *, together: float = 1.0) -> Blend:
    """Return the blend of the members that have a weight."""
    chosen = {name: member for name, member in members.items() if weights.get(name, 0.0) > 0}
    whole = sum(weights[name] for name in chosen)
    if not chosen or whole <= 0:
        raise LearnFailed("an ensemble needs a member with a weight above zero")
    return Blend(chosen, {name: weights[name] / whole for name in chosen}, facts, together)
