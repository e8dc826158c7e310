"""All figures of a period together: a day on which each looks usual, and the combination does not.

What is judged is the vector of misses (figure less expectation, in usual spreads). Two measures of it: the squared error of putting it
together again from its main principal components (Jackson and Mudholkar 1979, eq. 2.1), and how easily an isolation forest sets its
components apart. Both are turned into shares of usual periods that look as odd and added as logs (Fisher 1932, 21.1); that sum is ranked
against the sums of past periods, each judged by what was learned without its part of the past.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tradewind.models.anomaly.forest import Forest, grow
from tradewind.models.anomaly.ranks import LEVELS, Ranks, thinned

Array = np.ndarray[Any, Any]
ALL = "all figures"  # the metric that stands for every figure of a place
FEWEST, AT_LEAST = 2, 60  # figures of a vector, and usual vectors to learn from
PARTS = 3  # parts of the past that are judged by what the others teach
FAR = 8.0  # spreads beyond which a miss counts no more
LESS = 0.25  # weight of the forest beside the distance
SMALL = 0.05  # least variance of a component: finer agreement is not trusted
TOLD = 3  # figures that a reason names


@dataclass(frozen=True)
class Law:
    """How misses go together: principal axes (M, M) and their variances, how many of them are kept, and the forest."""

    axes: Array
    variance: Array
    kept: int
    forest: Forest

    def error(self, z: Array) -> Array:
        """Return the root mean square of what the kept components leave over of each vector (n, M)."""
        return np.asarray(np.sqrt((self.left(z) ** 2).mean(1)))

    def left(self, z: Array) -> Array:
        """Return what the kept components leave over, figure by figure."""
        main = self.axes[:, : self.kept]
        return np.asarray(z - (z @ main) @ main.T)

    def apart(self, z: Array) -> Array:
        """Return how easily the forest sets each vector apart."""
        return self.forest.odd((z @ self.axes) / np.sqrt(self.variance))


@dataclass(frozen=True)
class Together:
    """The vectors of a watch: `members` (G, M) are rows of its figures (-1: none), `rows` (G,) the rows that stand for all of them."""

    names: tuple[str, ...]
    members: Array
    rows: Array
    middle: Array  # (G, M) usual miss
    wide: Array  # (G, M) usual spread of misses
    law: Law
    error: Ranks  # of past vectors
    apart: Ranks
    ranks: Ranks  # of both together; distances are those of the error
    usual: tuple[float, float]  # mean and spread of the error

    def within(self, place: Array) -> Together | None:
        """Return the vectors whose row and figures are all in a part of the watch; `place` says where each of its rows is (-1: not)."""
        inside = np.where(self.members >= 0, place[self.members], -1)
        keep = (place[self.rows] >= 0) & (inside >= 0).any(1)
        if not keep.any():
            return None
        return replace(self, members=inside[keep], rows=place[self.rows[keep]], middle=self.middle[keep], wide=self.wide[keep])

    def misses(self, value: Array, expected: Array, spread: Array) -> Array:
        """Return the misses (G, T, M) in usual spreads; zero where a figure is missing, NaN where too few are there."""
        at = np.maximum(self.members, 0)
        z = (value[at] - expected[at]) / np.maximum(spread[at], 1e-12)
        z = np.where((self.members >= 0)[..., None], z, np.nan).transpose(0, 2, 1)
        return _clipped((z - self.middle[:, None]) / self.wide[:, None])

    def judge(self, z: Array) -> tuple[Array, Array]:
        """Return the error and the score of vectors (..., M); NaN and zero where one is not known."""
        flat = z.reshape(-1, z.shape[-1])
        known: Array = np.asarray(np.isfinite(flat).all(1))
        error, score = np.full(len(flat), np.nan), np.zeros(len(flat))
        if known.any():
            error[known] = self.law.error(flat[known])
            score[known] = fisher(self.error.rare(error[known]), self.apart.rare(self.law.apart(flat[known])))
        return error.reshape(z.shape[:-1]), score.reshape(z.shape[:-1])

    def reason(self, row: int, z: Array) -> tuple[str, Array]:
        """Say which figures a vector (M,) is odd by, and their rows; too low or too high beside what the others say."""
        left = self.law.left(z[None])[0]
        share = left**2 / max(float((left**2).sum()), 1e-12)
        group = int(np.flatnonzero(self.rows == row)[0])
        order = [at for at in np.argsort(-share)[:TOLD].tolist() if share[at] >= 0.1 and self.members[group, at] >= 0]
        said = [f"{self.names[at]} too {'high' if left[at] > 0 else 'low'} ({share[at]:.0%})" for at in order]
        return ", ".join(said) + " beside the others", self.members[group, order]


def fisher(distance: Array, forest: Array) -> Array:
    """Return the sum of the logs of two shares, as a score; the forest's counts LESS, for it sees shape and not how far (Good 1955)."""
    return np.asarray(-np.log(distance) - LESS * np.log(forest))


def _clipped(z: Array) -> Array:
    """Return misses within FAR, zero where one is missing, NaN where fewer than FEWEST are known."""
    known = np.isfinite(z)
    enough = known.sum(-1, keepdims=True) >= FEWEST
    return np.where(enough, np.clip(np.where(known, z, 0.0), -FAR, FAR), np.nan)


def places(keys: Mapping[str, Array]) -> tuple[tuple[str, ...], Array, list[tuple[str, ...]]]:
    """Return the figures, the rows (G, M) of each place that has several, and the other keys of each; empty where there are no vectors."""
    if "metric" not in keys:
        return (), np.zeros((0, 0), "i8"), []
    metrics = keys["metric"].tolist()
    names = tuple(sorted(set(metrics) - {""}))
    others = [name for name in keys if name != "metric"]
    found: dict[tuple[str, ...], Array] = {}
    for at, key in enumerate(zip(metrics, *(keys[name].tolist() for name in others), strict=True)):
        if key[0]:
            found.setdefault(key[1:], np.full(len(names), -1, "i8"))[names.index(key[0])] = at
    several = {key: rows for key, rows in found.items() if (rows >= 0).sum() >= FEWEST}
    return names, np.array(list(several.values()), "i8").reshape(-1, len(names)), list(several)


def learn(z: Array, names: tuple[str, ...], members: Array, first: int, seed: int) -> Together | None:
    """Learn how misses (G, T, M) of usual periods go together; `first` is the row of the first vector. None where they are too few."""
    known = np.isfinite(z)
    several = known.sum(-1, keepdims=True) >= FEWEST
    used = np.where(several, z, np.nan)
    if several.sum() < AT_LEAST:
        return None
    middle, wide = _usual(used)
    flat = _clipped((used - middle[:, None]) / wide[:, None])
    there = np.asarray(np.isfinite(flat).all(-1))
    part = np.broadcast_to(np.arange(z.shape[1]) * PARTS // z.shape[1], there.shape)[there]
    rows = flat[there]
    error, apart = np.zeros(len(rows)), np.zeros(len(rows))
    for one in np.unique(part):
        out = part == one
        if out.all():
            return None
        law = _law(rows[~out], seed)
        error[out], apart[out] = law.error(rows[out]), law.apart(rows[out])
    usual = float(error.mean()), max(float(error.std()), 1e-9)
    none = np.zeros(len(LEVELS))
    ranked, easily = Ranks(thinned(error), none), Ranks(thinned(apart), none)
    both = fisher(ranked.rare(error), easily.rare(apart))
    distances = np.quantile((error - usual[0]) / usual[1], LEVELS)
    whole = Ranks(thinned(both), distances, logs=True)
    places = first + np.arange(len(members))
    return Together(names, members, places, middle, wide, _law(rows, seed), ranked, easily, whole, usual)


def _usual(z: Array) -> tuple[Array, Array]:
    """Return the median and robust spread of each figure's misses, (G, M) of (G, T, M); zero and one where nothing is known."""
    there: Array = np.asarray(np.isfinite(z).any(1))
    filled = np.where(there[:, None], z, 0.0)
    middle = np.nanmedian(filled, 1)
    wide = 1.4826 * np.nanmedian(np.abs(filled - middle[:, None]), 1)
    return middle, np.where(wide > 1e-9, wide, 1.0)


def _law(rows: Array, seed: int) -> Law:
    """Learn axes of the correlations, and the forest over the components; components of more than usual variance are kept."""
    cut = np.clip(rows, -4, 4)
    scale = np.maximum(np.sqrt((cut**2).mean(0)), 1e-9)
    variance, axes = np.linalg.eigh(cut.T @ cut / len(cut) / np.outer(scale, scale))
    order = np.argsort(-variance)
    variance, axes = np.maximum(variance[order], SMALL), axes[:, order]
    axes = axes * np.sign(axes[np.abs(axes).argmax(0), np.arange(len(axes))])  # a sign of its own would differ between machines
    kept = int(np.clip((variance > 1.0).sum(), 1, len(variance) - 1))
    return Law(axes, variance, kept, grow((rows @ axes) / np.sqrt(variance), seed))
