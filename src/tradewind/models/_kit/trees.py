"""Boosted trees as plain arrays: prediction and exact Shapley values, in numpy alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.polynomial.legendre import leggauss

from tradewind.core.errors import Tampered

Array = np.ndarray[Any, Any]
CHUNK = 2_000_000  # numbers held at once while Shapley values are summed


@dataclass(frozen=True)
class Trees:
    """All nodes of all trees in one run of arrays; the answer is the sum of one leaf per tree.

    `feature` is -1 at a leaf; a row goes left where its value <= `threshold`, or is missing and `missing_left` is set.
    `left` and `right` are node numbers, `value` is the leaf's, `cover` counts the training rows that came by.
    """

    roots: Array
    feature: Array
    threshold: Array
    left: Array
    right: Array
    missing_left: Array
    value: Array
    cover: Array

    def arrays(self, prefix: str = "") -> dict[str, Array]:
        """Return the arrays by name, ready for a tensor file."""
        return {prefix + field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array], prefix: str = "") -> Trees:
        """Read the arrays back; raises Tampered where a node number leads outside or backwards."""
        made = cls(**{field.name: arrays[prefix + field.name] for field in fields(cls)})
        inner = made.feature >= 0
        here = np.flatnonzero(inner)
        for child in (made.left[inner], made.right[inner]):
            if (child <= here).any() or (child >= len(made.feature)).any():
                raise Tampered("a tree leads back to itself")
        return made

    @property
    def numbers(self) -> Array:
        """Return the number of the tree that each node is of."""
        found: Array = np.repeat(np.arange(len(self.roots)), np.diff(np.append(self.roots, len(self.feature))))
        return found

    def asking(self, features: Array) -> Array:
        """Tell which trees ask for any of some features, (trees,)."""
        hit = np.isin(self.feature, features)
        found: Array = np.bincount(self.numbers, hit, len(self.roots)) > 0
        return found

    def take(self, chosen: Array) -> tuple[Trees, Array]:
        """Return the trees that a mask chooses, and the numbers here of the nodes they keep."""
        nodes = np.flatnonzero(chosen[self.numbers])
        fewer = np.cumsum(~chosen[self.numbers])[nodes]  # nodes left out before each
        part = {field.name: getattr(self, field.name)[nodes] for field in fields(self) if field.name != "roots"}
        inner = part["feature"] >= 0
        for side in ("left", "right"):
            part[side] = np.where(inner, part[side] - fewer, part[side]).astype(part[side].dtype)
        place = np.empty(len(self.feature), "i8")
        place[nodes] = np.arange(len(nodes))
        return Trees(place[self.roots[chosen]].astype(self.roots.dtype), **part), nodes

    def predict(self, rows: Array) -> Array:
        """Return the raw sum of leaves for each row of a float32 matrix."""
        at = np.repeat(self.roots[None].astype("i8"), len(rows), 0)
        index = np.arange(len(rows))[:, None]
        while True:
            feature = self.feature[at]
            inner = feature >= 0
            if not inner.any():
                break
            x = rows[index, np.maximum(feature, 0)]
            go = np.where(np.isnan(x), self.missing_left[at] > 0, x <= self.threshold[at])
            at = np.where(inner, np.where(go, self.left[at], self.right[at]), at)
        total: Array = self.value[at].sum(1, dtype="f8")
        return total

    @cached_property
    def paths(self) -> _Paths:
        """Return every leaf's conditions, merged per feature."""
        return _paths(self)

    @property
    def expected(self) -> float:
        """Return the mean raw answer over the training rows: what the Shapley values start from."""
        return self.paths.expected

    def shapley(self, rows: Array, groups: Array) -> Array:
        """Return exact path-dependent Shapley values, summed over `groups` (one group number per feature).

        Equals LightGBM's `pred_contrib` (Lundberg et al. 2018). The Shapley value of a product of per-feature factors is the
        integral over t in (0, 1) of the product of the others' t*one + (1-t)*zero (Owen's multilinear extension): a polynomial,
        so Gauss-Legendre points give it exactly. Returns (rows, groups).
        """
        paths = self.paths
        out = np.zeros((len(rows), int(groups.max()) + 1))
        step = max(1, CHUNK // max(1, len(paths.feature)))
        for start in range(0, len(rows), step):
            out[start : start + step] = paths.shapley(rows[start : start + step], groups, out.shape[1])
        return out


@dataclass(frozen=True, slots=True)
class _Paths:
    """One entry per leaf and feature on its path; the entries of a leaf lie together."""

    starts: Array  # first entry of each leaf
    leaf: Array  # leaf number of each entry
    feature: Array
    low: Array
    high: Array
    missing: Array
    zero: Array  # share of training rows that pass this feature's splits
    value: Array  # of each leaf
    expected: float
    depth: int

    def shapley(self, rows: Array, groups: Array, count: int) -> Array:
        x = rows[:, self.feature]
        one = np.where(np.isnan(x), self.missing, (x > self.low) & (x <= self.high)).astype("f8")
        summed = np.zeros_like(one)
        points, weights = _gauss((self.depth + 1) // 2)
        for t, weight in zip((points + 1) / 2, weights / 2, strict=True):
            factor = t * one + (1 - t) * self.zero
            whole = np.multiply.reduceat(factor, self.starts, axis=1) * (weight * self.value)
            summed += whole[:, self.leaf] / factor
        summed *= one - self.zero
        group = groups[self.feature]
        order = np.argsort(group, kind="stable")
        there, starts = np.unique(group[order], return_index=True)
        found = np.zeros((len(rows), count))
        if len(there):
            found[:, there] = np.add.reduceat(summed[:, order], starts, axis=1)
        return found


@lru_cache(maxsize=64)
def _gauss(count: int) -> tuple[Array, Array]:
    points, weights = leggauss(count)
    return points, weights


def _paths(trees: Trees) -> _Paths:
    entries: list[tuple[int, int, float, float, bool, float]] = []
    starts: list[int] = []
    values: list[float] = []
    expected, depth = 0.0, 1
    todo: list[tuple[int, dict[int, tuple[float, float, bool, float]]]] = [(int(root), {}) for root in trees.roots[::-1]]
    while todo:
        node, path = todo.pop()
        feature = int(trees.feature[node])
        if feature < 0:
            if path:
                starts.append(len(entries))
                entries.extend((len(values), name, *said) for name, said in path.items())
                values.append(float(trees.value[node]))
                depth = max(depth, len(path))
            expected += float(trees.value[node]) * float(np.prod([said[3] for said in path.values()]))
            continue
        low, high, missing, zero = path.get(feature, (-np.inf, np.inf, True, 1.0))
        edge, nan_left = float(trees.threshold[node]), bool(trees.missing_left[node])
        whole = float(trees.cover[node])
        for child, said in (
            (trees.left[node], (low, min(high, edge), missing and nan_left)),
            (trees.right[node], (max(low, edge), high, missing and not nan_left)),
        ):
            todo.append((int(child), path | {feature: (*said, zero * float(trees.cover[child]) / whole)}))
    columns = list(zip(*entries, strict=True)) if entries else [()] * 6
    kinds = ("i8", "i8", "f4", "f4", "?", "f8")
    leaf, name, low_, high_, missing_, zero_ = (np.array(column, kind) for column, kind in zip(columns, kinds, strict=True))
    return _Paths(np.array(starts, "i8"), leaf, name, low_, high_, missing_, zero_, np.array(values), expected, depth)


def from_lightgbm(booster: Any, *, start: float = 0.0) -> Trees:
    """Read the trees of a LightGBM booster that was just trained in this process (never of bytes).

    `start` is where a training with an objective of its own began; the first tree's leaves take it up.
    """
    nodes: list[tuple[int, float, int, int, int, float, float]] = []
    roots: list[int] = []
    for tree in booster.dump_model()["tree_info"]:
        roots.append(len(nodes))
        _walk(tree["tree_structure"], nodes)
    feature, threshold, left, right, missing, value, cover = zip(*nodes, strict=True)
    first = roots[1] if len(roots) > 1 else len(nodes)
    raised = np.array(value) + np.where((np.arange(len(nodes)) < first) & (np.array(feature) < 0), start, 0.0)
    return Trees(
        np.array(roots, "i4"),
        np.array(feature, "i2"),
        np.array(threshold, "f4"),
        np.array(left, "i4"),
        np.array(right, "i4"),
        np.array(missing, "u1"),
        raised.astype("f4"),
        np.array(cover, "f4"),
    )


def leaf_numbers(booster: Any) -> Array:
    """Return the booster's own number of every leaf, node by node as in `from_lightgbm`, -1 at an inner node."""
    found: list[int] = []

    def walk(node: dict[str, Any]) -> None:
        if "split_feature" not in node:
            found.append(int(node.get("leaf_index", 0)))
            return
        found.append(-1)
        walk(node["left_child"])
        walk(node["right_child"])

    for tree in booster.dump_model()["tree_info"]:
        walk(tree["tree_structure"])
    return np.array(found, "i4")


def _walk(node: dict[str, Any], nodes: list[tuple[int, float, int, int, int, float, float]]) -> int:
    at = len(nodes)
    if "split_feature" not in node:
        nodes.append((-1, 0.0, 0, 0, 0, float(node["leaf_value"]), float(node.get("leaf_count", 1))))
        return at
    edge = _floor(float(node["threshold"]))
    # where no value was missing in training, LightGBM reads a missing one as zero
    missing = int(node["default_left"]) if node["missing_type"] == "NaN" else int(edge >= 0)
    nodes.append((0, 0.0, 0, 0, 0, 0.0, 0.0))
    left, right = _walk(node["left_child"], nodes), _walk(node["right_child"], nodes)
    nodes[at] = (int(node["split_feature"]), edge, left, right, missing, 0.0, float(node["internal_count"]))
    return at


def _floor(threshold: float) -> float:
    """Return the largest float32 that is not above the threshold: the same rows of float32 go left."""
    highest = float(np.finfo("f4").max)
    if abs(threshold) > highest:  # LightGBM writes 1e300 where only missing values part
        return highest if threshold > 0 else -np.inf
    edge = np.float32(threshold)
    return float(np.nextafter(edge, np.float32(-np.inf))) if float(edge) > threshold else float(edge)
