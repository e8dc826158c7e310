"""The learners beneath the estimators: small boosted trees, and folds that keep what belongs together in one piece."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.core.errors import BadValue
from tradewind.models._kit.trees import Trees, from_lightgbm

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Boost:
    """How a set of boosted trees is grown; `smallest` is the least number of rows in a leaf, by the size of the data where it is 0."""

    rounds: int = 120
    leaves: int = 15
    rate: float = 0.08
    smallest: int = 0

    def grow(self, rows: Array, target: Array, seed: int, *, chance: bool = False) -> Any:
        """Return a LightGBM booster of the target's mean, or of the chance of a 1 where `chance` is set."""
        import lightgbm as lgb

        settings = {
            "objective": "binary" if chance else "regression",
            "learning_rate": self.rate,
            "num_leaves": self.leaves,
            "min_data_in_leaf": self.smallest or int(np.clip(len(rows) // 100, 5, 300)),
            "seed": seed,
            "num_threads": 1,
            "verbosity": -1,
            "deterministic": True,
            "force_row_wise": True,
        }
        return lgb.train(settings, lgb.Dataset(rows, target, params={"verbosity": -1}), self.rounds)


def as_trees(booster: Any) -> Trees:
    """Return a booster's trees as arrays, whose sum of leaves is its prediction."""
    return from_lightgbm(booster)


def folds(groups: Array, count: int, seed: int, *, strata: Array | None = None) -> Array:
    """Return each row's fold; all rows of a group share one, and folds are even within each stratum.

    Raises BadValue where there are fewer groups than folds.
    """
    known, number = np.unique(groups, return_inverse=True)
    number = number.reshape(-1)
    if len(known) < count:
        raise BadValue(f"{len(known)} groups cannot make {count} folds", hint="give more groups, or ask for fewer folds")
    random = np.random.default_rng(seed)
    first = np.zeros(len(known), "i8")
    if strata is not None:
        first[number[::-1]] = np.unique(strata, return_inverse=True)[1].reshape(-1)[::-1]
    order = np.lexsort((random.random(len(known)), first))
    place = np.empty(len(known), "i8")
    place[order] = np.arange(len(known)) % count
    made: Array = place[number]
    return made
