"""A learned uplift: what treating each case adds, predicted with numpy alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np

from tradewind.core.errors import InvalidInput, MissingColumn, Tampered
from tradewind.models._kit.causal import given
from tradewind.models._kit.trees import Trees

Array = np.ndarray[Any, Any]
LEARNERS = ("s", "t", "dr")


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """Trees that rank by uplift, and the line that turns their score into an uplift the held-out rows bear out.

    The line is `average + slope * (score - centre)`, where `slope` lies in 0 to 1: without evidence that the score tells cases
    apart it is near 0 and everyone is given the average. `error` holds the standard errors of average and slope.
    """

    learner: str
    trees: tuple[Trees, ...]  # s: one that knows the arm; t: treated, untreated; dr: one
    line: Array  # average, slope, centre
    error: Array  # of average, of slope
    names: tuple[str, ...] = ()

    def score(self, features: Any) -> Array:
        """Return the raw score of each row, by which to rank: (rows,)."""
        rows = self._rows(features)
        if self.learner == "s":
            ends = [np.concatenate([rows, np.full((len(rows), 1), arm, "f4")], 1) for arm in (1, 0)]
            return self.trees[0].predict(ends[0]) - self.trees[0].predict(ends[1])
        if self.learner == "t":
            return self.trees[0].predict(rows) - self.trees[1].predict(rows)
        return self.trees[0].predict(rows)

    def predict(self, features: Any) -> Array:
        """Return what treating each row adds to its outcome: (rows,), in the outcome's unit."""
        average, slope, centre = self.line
        made: Array = average + slope * (self.score(features) - centre)
        return made

    def interval(self, features: Any, *, level: int = 90) -> tuple[Array, Array]:
        """Return the ends of the interval of the mean uplift of cases that score alike (not of one person's own)."""
        average, slope, centre = self.line
        away = self.score(features) - centre
        tail = NormalDist().inv_cdf(0.5 + level / 200) * np.hypot(self.error[0], self.error[1] * away)
        middle = average + slope * away
        return middle - tail, middle + tail

    def arrays(self, prefix: str = "") -> dict[str, Array]:
        """Return everything as plain arrays by name, ready for a tensor file."""
        made: dict[str, Array] = {
            "learner": np.array([LEARNERS.index(self.learner)], "u1"),
            "line": np.asarray(self.line, "f8"),
            "error": np.asarray(self.error, "f8"),
            "names": np.frombuffer("\n".join(self.names).encode(), "u1"),
        }
        for number, trees in enumerate(self.trees):
            made |= trees.arrays(f"trees{number}.")
        return {prefix + name: array for name, array in made.items()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array], prefix: str = "") -> State:
        """Read a state back from its arrays; raises Tampered where they do not fit together."""
        try:
            learner = LEARNERS[int(arrays[prefix + "learner"][0])]
            line, error = arrays[prefix + "line"], arrays[prefix + "error"]
            text = bytes(arrays[prefix + "names"]).decode()
            count = 2 if learner == "t" else 1
            trees = tuple(Trees.from_arrays(arrays, f"{prefix}trees{number}.") for number in range(count))
        except (KeyError, IndexError, ValueError) as fault:
            raise Tampered("the arrays of an uplift do not fit together") from fault
        if line.shape != (3,) or error.shape != (2,) or not (np.isfinite(line).all() and np.isfinite(error).all()):
            raise Tampered("the line of an uplift is damaged")
        return cls(learner, trees, line, error, tuple(text.split("\n")) if text else ())

    def _rows(self, features: Any) -> Array:
        rows, names = given.matrix(features, "features", missing=True)
        if self.names and names:
            gone = [name for name in self.names if name not in names]
            if gone:
                raise MissingColumn(f'column "{gone[0]}" is missing', hint=f"there are: {', '.join(names)}")
            rows = rows[:, [names.index(name) for name in self.names]]
        elif self.names and rows.shape[1] != len(self.names):
            raise InvalidInput(f"{rows.shape[1]} features where {len(self.names)} are expected", hint=", ".join(self.names))
        return rows.astype("f4")
