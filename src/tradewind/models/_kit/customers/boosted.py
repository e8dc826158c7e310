"""Small boosted trees: learned by LightGBM, scored as ONNX after a parity gate, explained by their own arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from tradewind.core.errors import LearnFailed
from tradewind.core.table import Array
from tradewind.models._kit.customers.logistic import sigmoid
from tradewind.models._kit.onnx_trees import session, to_onnx
from tradewind.models._kit.trees import Trees, from_lightgbm

PARITY = 1e-5
ROWS = 1000  # the gate compares at least this many rows


@dataclass(frozen=True)
class Forest:
    """Trees whose sum is a log-odds, or the logarithm of an amount."""

    trees: Trees
    graph: bytes
    _: int = field(default=0, repr=False)

    @cached_property
    def _session(self) -> Callable[[Array], Array]:
        return session(self.graph)

    def open(self, *, reasons: bool) -> None:
        """Start the session and, where reasons are told, work out what they are read from, so that no question waits for it."""
        _ = self._session, reasons and (self.trees.patterns or self.trees.paths)

    def raw(self, rows: Array) -> Array:
        """Return the sum of the trees for rows of float32."""
        return self._session(np.ascontiguousarray(rows, "f4"))

    def chance(self, rows: Array) -> Array:
        """Return the sum as a probability."""
        return sigmoid(self.raw(rows))


def fitted(
    rows: Array, target: Array, seed: int, *, words: Array, trees: int = 300, objective: str = "binary", **more: Any
) -> tuple[Forest, Any]:
    """Return a forest and the booster it came from; raises LearnFailed where the export is not the same. No class weights."""
    import lightgbm as lgb

    chosen = {
        "objective": objective,
        "learning_rate": 0.03,
        "num_leaves": 7,
        "min_data_in_leaf": max(5, min(40, len(rows) // 50)),
        "bagging_fraction": 0.8,
        "bagging_freq": 1,
        "feature_fraction": 0.4,
        "lambda_l2": 5.0,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbose": -1,
        "seed": seed,
    } | more
    data = lgb.Dataset(np.ascontiguousarray(rows, "f4"), target, free_raw_data=False)
    booster = lgb.train(chosen, data, num_boost_round=trees)
    arrays = from_lightgbm(booster)
    made = Forest(arrays, to_onnx(arrays, rows.shape[1]))
    _gate(made, booster, rows, words, seed, chance=objective == "binary")
    return made, booster


def _gate(made: Forest, booster: Any, rows: Array, words: Array, seed: int, *, chance: bool) -> None:
    """Compare what will be served with what was learned on rows as they are, and with missing, extreme and unknown values."""
    rng = np.random.default_rng(seed)
    tried = rows[rng.integers(0, len(rows), 2 * ROWS)].astype("f4").copy()
    spoilt = rng.random((ROWS, rows.shape[1]))
    harsh = tried[ROWS:]
    harsh[spoilt < 0.15] = np.nan
    harsh[(spoilt >= 0.15) & (spoilt < 0.22)] = np.float32(3e38)
    harsh[(spoilt >= 0.22) & (spoilt < 0.29)] = np.float32(-3e38)
    unseen = (words > 0)[None] & (spoilt >= 0.29) & (spoilt < 0.4)
    harsh[unseen] = np.nan  # a word that was never seen is read as missing
    theirs = np.asarray(booster.predict(tried, raw_score=True, num_threads=1), "f8")
    ours = made.raw(tried)
    gap = (
        float(np.abs(sigmoid(ours) - sigmoid(theirs)).max())
        if chance
        else float((np.abs(ours - theirs) / np.maximum(1, np.abs(theirs))).max())
    )
    if not gap <= PARITY:
        raise LearnFailed(f"the exported trees differ from the learned ones by {gap:.2g}", hint="this is a fault of ours; please report it")
