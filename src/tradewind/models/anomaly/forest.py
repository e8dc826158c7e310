"""How easily a row is set apart: an isolation forest, grown by scikit-learn in fit and served from plain arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.models._kit.trees import Trees

Array = np.ndarray[Any, Any]
CHUNK = 5_000  # rows that go down the trees at once
COUNT, SAMPLE = 100, 256  # trees, and rows that each is grown on (Liu, Ting and Zhou 2008, 4.2)


@dataclass(frozen=True, slots=True)
class Forest:
    """Trees whose leaves hold the length of the path to them; `sample` rows were seen by each."""

    trees: Trees
    sample: int

    def odd(self, rows: Array) -> Array:
        """Return from 0 to 1 how easily each row is set apart: 2^(-path / usual path) (Liu, Ting and Zhou 2008, eq. 2)."""
        parts = [self.trees.predict(np.asarray(rows[at : at + CHUNK], "f4")) for at in range(0, len(rows), CHUNK)]
        path = np.concatenate([np.zeros(0), *parts]) / len(self.trees.roots)
        return np.asarray(2.0 ** (-path / max(float(_usual(np.array([self.sample]))[0]), 1e-9)))

    def arrays(self, prefix: str) -> dict[str, Array]:
        """Return the forest as arrays by name."""
        return self.trees.arrays(prefix) | {prefix + "sample": np.array([self.sample], "i8")}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array], prefix: str) -> Forest:
        """Read the arrays back; raises KeyError and Tampered."""
        return cls(Trees.from_arrays(arrays, prefix), int(arrays[prefix + "sample"][0]))


def grow(rows: Array, seed: int) -> Forest:
    """Grow a forest on finite rows (n, columns); the same seed grows the same."""
    from sklearn.ensemble import IsolationForest

    sample = min(SAMPLE, len(rows))
    grown = IsolationForest(n_estimators=COUNT, max_samples=sample, random_state=seed, n_jobs=1).fit(np.asarray(rows, "f4"))
    parts: dict[str, list[Array]] = {name: [] for name in ("feature", "threshold", "left", "right", "value", "cover")}
    roots, first = [], 0
    for one in grown.estimators_:
        tree = one.tree_
        inner = tree.children_left >= 0
        depth = np.zeros(tree.node_count)
        for node in np.flatnonzero(inner).tolist():  # children come after their parent
            depth[[tree.children_left[node], tree.children_right[node]]] = depth[node] + 1
        parts["feature"].append(np.where(inner, tree.feature, -1))
        parts["threshold"].append(np.where(inner, tree.threshold, 0.0))
        parts["left"].append(np.where(inner, tree.children_left + first, 0))
        parts["right"].append(np.where(inner, tree.children_right + first, 0))
        parts["value"].append(np.where(inner, 0.0, depth + _usual(tree.n_node_samples)))
        parts["cover"].append(tree.n_node_samples.astype("f8"))
        roots.append(first)
        first += tree.node_count
    joined = {name: np.concatenate(found) for name, found in parts.items()}
    whole = {name: joined[name].astype("i4") for name in ("feature", "left", "right")}
    numbers = {name: joined[name].astype("f8") for name in ("threshold", "value", "cover")}
    trees = Trees(roots=np.array(roots, "i4"), missing_left=np.zeros(first, "i1"), **whole, **numbers)
    return Forest(trees, sample)


def _usual(count: Array) -> Array:
    """Return the mean path of an unsuccessful search among `count` rows (eq. 1 there)."""
    n = np.maximum(np.asarray(count, "f8"), 1.0)
    many = 2 * (np.log(np.maximum(n - 1, 1)) + np.euler_gamma) - 2 * (n - 1) / n
    return np.where(n > 2, many, np.where(n == 2, 1.0, 0.0))
