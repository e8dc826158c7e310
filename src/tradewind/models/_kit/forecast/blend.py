"""Several learned models as one: the weighted mean of their means, and the pool of what they take for possible."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
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
OUTCOMES = 80  # equally likely outcomes of all members together: one of a tenth of the weight says eight of them


@dataclass(frozen=True, slots=True)
class Blend:
    """Learned members by name, each with its weight; the weights add up to one.

    Quantiles are those of the linear pool: what each member takes for possible counts by its weight, and where members contradict each
    other the pool is wider than any of them. Where series are few `together` (0-1) is said, the correlation of the members' errors: then
    medians are averaged, and distances from them add up as standard deviations of correlated errors do. So they are, as if members erred
    alike, where the point of least percentage error was asked for, which falls the more a distribution spreads.
    """

    members: Mapping[str, Learned]
    weights: Mapping[str, float]
    facts: Mapping[str, Any] = field(default_factory=dict)
    together: float | None = None

    @property
    def reach(self) -> int:
        """Return how many periods of the past a look must hold."""
        return max(member.reach for member in self.members.values())

    def say(self, look: Look) -> Said:
        """Answer a look."""
        said = [(self.weights[name], member.say(look)) for name, member in self.members.items()]
        mean: Array = np.asarray(sum(weight * one.mean for weight, one in said))
        parts = [(weight, one.quantiles) for weight, one in said]
        learned = any(one.percent is not None for _, one in said)
        points = [(weight, _point(one)) for weight, one in said] if learned else []
        quantiles = (
            pooled(parts) if self.together is None and not points else _correlated(parts, 1.0 if self.together is None else self.together)
        )
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
        return list(dict.fromkeys(said))  # two members may have the same to say

    def dump(self) -> dict[str, bytes]:
        """Write every member's parts under its name, and the weights."""
        meta = {
            "weights": dict(self.weights),
            "together": self.together,
            "facts": {name: value for name, value in self.facts.items() if name != "members"},
        }
        parts = {f"{name}.{part}": data for name, member in self.members.items() for part, data in member.dump().items()}
        return {"blend.json": json.dumps(meta).encode(), **parts}


def _point(said: Said) -> Array:
    """Return the point of least expected percentage error of a member: the one that it learned, or that of its own quantiles.

    NaN where nothing is expected to sell: that has no percentage error, and no say.
    """
    if said.percent is not None:
        return said.percent
    rows = said.quantiles.reshape(-1, len(TAUS)).astype("f8")
    found = percent.least(rows, np.zeros(len(rows), bool))
    return np.where(found > 0, found, np.nan).reshape(said.mean.shape)


def pooled(parts: Sequence[tuple[float, Array]]) -> Array:
    """Return the quantiles (..., len(TAUS)) of the weighted mixture of several (weight, rising quantiles); weights add up to one.

    Each member puts in as many of OUTCOMES equally likely outcomes as its weight, read off its quantiles; the mixture's quantiles lie
    between the two nearest of all of them in order. The linear opinion pool (Stone 1961), which is to be recalibrated (Ranjan and
    Gneiting 2010), as every forecast is.
    """
    if len(parts) == 1:
        return parts[0][1]
    spreads, low, share = _outcomes(tuple(weight for weight, _ in parts))
    ranked = np.concatenate([quantiles @ spread for (_, quantiles), spread in zip(parts, spreads, strict=True)], -1)
    ranked.sort(-1)
    below = ranked[..., low]
    found: Array = below + (ranked[..., low + 1] - below) * share
    return found


@lru_cache(maxsize=64)
def _outcomes(weights: tuple[float, ...]) -> tuple[tuple[Array, ...], Array, Array]:
    """Return what each quantile adds to each member's outcomes, and where among all outcomes TAUS lie: after which, and how far on."""
    wanted = OUTCOMES * np.array(weights)
    counts = np.maximum(np.floor(wanted), 1).astype("i8")
    counts[np.argsort(counts - wanted, kind="stable")[: max(OUTCOMES - int(counts.sum()), 0)]] += 1
    spreads = tuple(
        np.stack([np.interp((np.arange(count) + 0.5) / count, TAUS, one) for one in np.eye(len(TAUS))]).astype("f4")
        for count in counts.tolist()
    )
    whole = int(counts.sum())
    place = np.clip(TAUS * whole - 0.5, 0, whole - 1)
    low = np.minimum(place.astype("i8"), whole - 2)
    return spreads, low, (place - low).astype("f4")


def _correlated(parts: Sequence[tuple[float, Array]], together: float) -> Array:
    """Return mean medians, and distances from them as those of errors whose correlation is `together`."""
    weighted = [weight * quantiles for weight, quantiles in parts]
    squares: Array = np.asarray(sum((part - part[..., MIDDLE, None]) ** 2 for part in weighted))
    quantiles: Array = np.asarray(sum(weighted))
    middle = quantiles[..., MIDDLE, None]
    away = quantiles - middle
    found: Array = middle + np.sign(away) * np.sqrt(together * away**2 + (1 - together) * squares)
    return found


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
            return Blend(members, weights, meta["facts"], None if meta["together"] is None else float(meta["together"]))
        except (KeyError, ValueError, TypeError) as error:
            raise Incompatible("this ensemble cannot be read", hint="train the model again") from error


def blended(
    members: Mapping[str, Learned], weights: Mapping[str, float], facts: Mapping[str, Any], *, together: float | None = None
) -> Blend:
    """Return the blend of the members that have a weight."""
    chosen = {name: member for name, member in members.items() if weights.get(name, 0.0) > 0}
    whole = sum(weights[name] for name in chosen)
    if not chosen or whole <= 0:
        raise LearnFailed("an ensemble needs a member with a weight above zero")
    return Blend(chosen, {name: weights[name] / whole for name in chosen}, facts, together)
