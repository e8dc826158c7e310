"""How much better than chance a ranking treats: the Qini area from doubly robust scores, with its bootstrap."""

from __future__ import annotations

from typing import Any

import numpy as np

from tradewind.core.errors import InvalidInput

Array = np.ndarray[Any, Any]
HELD = 2_000_000  # numbers held at once while resampling


def area(score: Array, gain: Array, fold: Array) -> float:
    """Return the area between the uplift curve and the chord of treating at random, per case.

    `gain` is each case's doubly robust score of its own uplift. Cases are ranked by `score` within their fold, since the scores
    of two folds come of two models; equal scores share a rank. With q the share of the fold ranked higher, it is the mean of
    gain x (1/2 - q): the Qini as a rank-weighted average (Radcliffe 2007; Yadlowsky et al. 2021).
    """
    return float(_areas(score, gain, fold, np.ones((1, len(score))))[0])


def resampled(scores: Array, gain: Array, fold: Array, *, groups: Array, draws: int, seed: int) -> Array:
    """Return the areas of several scores (learners, rows) on the same bootstrap draws of whole groups: (draws, learners)."""
    if scores.ndim != 2 or scores.shape[1] != len(gain):
        raise InvalidInput("scores must have one row per learner and one column per case")
    random = np.random.default_rng(seed)
    number = np.unique(groups, return_inverse=True)[1].reshape(-1)
    count = int(number.max()) + 1
    step = max(1, HELD // len(gain))
    made = []
    for start in range(0, draws, step):
        size = min(step, draws - start)
        weight = random.multinomial(count, np.full(count, 1 / count), size)[:, number].astype("f8")
        made.append(np.stack([_areas(score, gain, fold, weight) for score in scores], 1))
    return np.concatenate(made)


def curve(score: Array, gain: Array, fold: Array, *, points: int = 20) -> tuple[Array, Array]:
    """Return shares treated, best first, and what treating them adds per case of all: the two axes of an uplift curve."""
    rank = np.empty(len(score))
    for number in np.unique(fold):
        here = np.flatnonzero(fold == number)
        rank[here[np.argsort(-score[here], kind="stable")]] = (np.arange(len(here)) + 1) / len(here)
    share = np.linspace(0, 1, points + 1)
    return share, np.array([float(np.where(rank <= one + 1e-12, gain, 0).sum()) / len(gain) for one in share])


def _areas(score: Array, gain: Array, fold: Array, weight: Array) -> Array:
    """Return the area under each row of weights: (draws,)."""
    whole = np.zeros(len(weight))
    for number in np.unique(fold):
        here = np.flatnonzero(fold == number)
        order = here[np.argsort(-score[here], kind="stable")]
        first = np.flatnonzero(np.r_[True, np.diff(score[order]) != 0])
        inside = np.add.reduceat(weight[:, order], first, axis=1)
        summed = np.add.reduceat(weight[:, order] * gain[order], first, axis=1)
        total = np.maximum(inside.sum(1, keepdims=True), 1e-12)
        place = (np.cumsum(inside, 1) - inside / 2) / total
        whole += (summed * (0.5 - place)).sum(1)
    made: Array = whole / weight.sum(1)
    return made
