"""How rare a score is: its rank among those of usual figures, and beyond them the tail that the largest of them have."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
LEVELS = (0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975)
MOST = 40_000  # past scores kept to rank a new one against
FEWEST, TOP = 20, 0.01  # scores, and share of them, that say how the tail goes on
FLAT = 0.1  # least mean excess of a distance, of the way from the middle to where the tail starts
RAREST = 1e-14  # below, scores of one minus that could not be told apart


@dataclass(frozen=True)
class Ranks:
    """Scores of usual figures in order, and quantiles of their distance from what was expected, in spreads."""

    scores: Array
    distances: Array  # at LEVELS
    logs: bool = False  # scores are log odds, or minus the log of a share

    def p(self, score: Array, *, own: Array | bool = False) -> Array:
        """Return the conformal p-value of scores (Vovk, Gammerman and Shafer 2005, 2.2); `own` are ranked against the others only."""
        above = len(self.scores) - np.searchsorted(self.scores, score, "left")
        return self._without(np.asarray((1 + above) / (1 + len(self.scores))), own)

    def _without(self, share: Array, own: Array | bool) -> Array:
        """Return the shares of scores seen as those among the others: a score is not one of those that look as odd as it does."""
        count = max(len(self.scores), 1)
        return np.where(own, np.maximum((share * (1 + len(self.scores)) - 1) / count, 1 / count), share)

    def rare(self, score: Array, *, own: Array | bool = False) -> Array:
        """Return the share of usual figures that score as high, told apart beyond the highest one seen too.

        Among the scores seen this is the conformal p-value, without its steps; `own` are ranked against the others only. The highest
        hundredth follow an exponential law of the same mean excess (peaks over a threshold; Davison and Smith 1990, with shape zero).
        Where scores are log odds the excess is at least one: odds of c come up by chance with a share of 1/c (Wald 1945, 3.2), and a
        few quiet scores do not prove less.
        """
        first, share, start, top, excess = self._tail
        inside = self._without(np.interp(score, first, share), own)
        beyond = self._without(np.asarray(top), own) * np.exp(-np.maximum(score - start, 0.0) / excess)
        return np.maximum(np.where(score > start, beyond, inside), RAREST)

    def odds(self, score: Array, budget: float, *, own: Array | bool = False) -> Array:
        """Return log(budget / share): zero where an alert at the budget begins, log 9 where one of nine such alerts would do so."""
        return np.asarray(np.log(budget) - np.log(self.rare(score, own=own)))

    @cached_property
    def _tail(self) -> tuple[Array, Array, float, float, float]:
        first, at = np.unique(self.scores, return_index=True)
        share = (1 + len(self.scores) - at) / (1 + len(self.scores))
        count = min(max(FEWEST, int(TOP * len(self.scores))), max(len(self.scores) // 2, 1))
        start = float(self.scores[-count])
        above = self.scores[self.scores > start]  # many may be as high as the start
        least = 1.0 if self.logs else FLAT * (start - float(np.median(self.scores))) + 1e-6
        excess = max(float((above - start).mean()), least) if len(above) else least
        return first, share, start, (1 + len(above)) / (1 + len(self.scores)), excess


def thinned(scores: Array) -> Array:
    """Return scores in order, at most MOST of them."""
    ordered = np.sort(scores)
    if len(ordered) <= MOST:
        return np.asarray(ordered)
    return np.asarray(ordered[np.linspace(0, len(ordered) - 1, MOST).round().astype("i8")])
