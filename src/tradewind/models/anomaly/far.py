"""Is a figure within what its series has been so far? A second chain over the distance from the long-run middle, beside the level's.

A level follows what lasts, and so loses sight of it: after a dip of twenty periods the dip is the level. The middle of all figures so
far does not. Figures that hang together say the less of it: the evidence of each is weighed by (1 - r) / (1 + r), r the correlation of
neighbours (what one figure of an autoregression is worth in a mean, Bayley and Hammersley 1946). So a series that wanders is judged by
its level alone, and one that stands still by both.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tradewind.models.anomaly import hidden

Array = np.ndarray[Any, Any]
LONG = 5000.0  # figures that the middle remembers
CUT = 3.0  # spreads by which one figure may move the middle
WIDE = 4.0  # spreads that one figure may add to the spread
ALIKE = 0.999  # most that neighbours are taken to hang together


@dataclass(frozen=True, slots=True)
class Far:
    """Per series: the long-run middle and spread, how neighbours hang together, and the chances of the chain."""

    rate: float
    seen: float
    middle: Array  # (S,)
    wide: Array  # (S,)
    pair: Array  # (S,) mean product of neighbouring distances
    square: Array  # (S,) mean square of distances
    last: Array  # (S,) the distance before
    chances: Array  # (S, K+1)

    @property
    def chain(self) -> hidden.Chain:
        """Return the states a series can be in."""
        return hidden.chain(self.rate, counts=False)

    def take(self, rows: Array) -> Far:
        """Return that of some series."""
        return replace(self, **{name: getattr(self, name)[rows] for name in PER_SERIES})

    def put(self, rows: Array, part: Far) -> Far:
        """Return this with some series moved on."""
        moved = {name: getattr(self, name).copy() for name in PER_SERIES}
        for name, value in moved.items():
            value[rows] = getattr(part, name)
        return replace(self, seen=part.seen, **moved)

    def after(self, value: Array) -> Far:
        """Return this after one more figure per series, its season taken off; NaN where there is none."""
        known = np.isfinite(value)
        z = np.where(known, (value - self.middle) / self.wide, np.nan)
        ratio = hidden.evidence(self.chain, z, np.zeros(len(z)), np.ones(len(z))) * _worth(self.pair, self.square)[:, None]
        gain = np.where(known, 1.0 / min(self.seen + 1.0, LONG), 0.0)
        cut = np.where(known, np.clip(z, -CUT, CUT), 0.0)
        size = np.where(known, np.minimum(np.abs(z), WIDE), 0.8)
        return replace(
            self,
            seen=self.seen + 1.0,
            middle=self.middle + gain * cut * self.wide,
            wide=self.wide * (1 + gain * (1.25 * size - 1)),
            pair=self.pair + gain * (cut * self.last - self.pair),
            square=self.square + gain * (cut * cut - self.square),
            last=np.where(known, cut, self.last),
            chances=hidden.step(self.chain, self.chances, ratio),
        )


PER_SERIES = ("middle", "wide", "pair", "square", "last", "chances")


def learn(rest: Array, least: Array, rate: float) -> tuple[Far, Array]:
    """Learn from figures (S, T) without their season; return it as it stood at the first one, and chances (S, T, K+1) from both sides."""
    known = np.isfinite(rest)
    middle = np.array([np.median(one[there]) if there.any() else 0.0 for one, there in zip(rest, known, strict=True)])
    away = np.where(known, np.abs(rest - middle[:, None]), np.nan)
    usual = np.array([1.4826 * np.median(one[there]) if there.any() else 0.0 for one, there in zip(away, known, strict=True)])
    usual = np.maximum(usual, least)
    count = np.maximum(known.sum(1), 1)
    wide = np.maximum(1.25 * np.minimum(np.where(known, away, 0.0), WIDE * usual[:, None]).sum(1) / count, least)
    z = (rest - middle[:, None]) / wide[:, None]
    cut = np.where(known, np.clip(z, -CUT, CUT), 0.0)
    square = (cut**2).sum(1) / count
    pair = (cut[:, 1:] * cut[:, :-1]).sum(1) / count
    said = hidden.chain(rate, counts=False)
    ratio = hidden.evidence(said, z, np.zeros(z.shape), np.ones(z.shape)) * _worth(pair, square)[:, None, None]
    first = Far(rate, max(rest.shape[1] / 4, 20.0), middle, wide, pair, square, np.zeros(len(rest)), hidden.start(len(rest), said))
    return first, hidden.both(said, ratio)


def _worth(pair: Array, square: Array) -> Array:
    """Return what a figure's evidence is worth where neighbours hang together."""
    alike = np.clip(pair / np.maximum(square, 1e-12), 0.0, ALIKE)
    return np.asarray((1 - alike) / (1 + alike))
