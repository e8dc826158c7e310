"""Boosted trees as plain arrays: prediction and exact Shapley values, in numpy alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property, lru_cache
from typing import Any

import numpy as np

from tradewind.core.errors import Tampered

Array = np.ndarray[Any, Any]
CHUNK = 50_000  # numbers held at once while Shapley values are summed: few enough to stay in the processor's cache
SPLITS = 8  # of a tree at most where what it adds is worked out ahead: which way a row goes fills a byte
MOST_AHEAD = 4_000_000  # numbers that may be worked out ahead


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
        child, ask, edge, place, busy = self.walk
        flat, first = rows.ravel(), np.arange(0, rows.size, rows.shape[1])[:, None]
        gone = bool(np.isnan(flat).any())
        found = np.repeat(self.roots[place.argsort()][None].astype("i8"), len(rows), 0)  # the deepest tree first
        for count in busy:
            at = found[:, :count]
            x = flat[first + ask[at]]
            right = x > edge[at]
            if gone:
                right |= np.isnan(x) & (self.missing_left[at] == 0)
            found[:, :count] = child[2 * at + right]
        total: Array = self.value[found[:, place]].sum(1, dtype="f8")
        return total

    @cached_property
    def walk(self) -> tuple[Array, Array, Array, Array, tuple[int, ...]]:
        """Return what a walk down all trees at once needs.

        Per node: both children, one after the other (a leaf's are itself), the feature it asks for, and its edge. Per tree its place when
        the deepest stands first. Per level how many trees reach below it.
        """
        inner, here = self.feature >= 0, np.arange(len(self.feature))
        child = np.stack([np.where(inner, side, here) for side in (self.left, self.right)], 1).astype("i8")
        level, nodes, depth = np.zeros(len(here), "i8"), self.roots[inner[self.roots]], 0
        while len(nodes):
            depth += 1
            nodes = child[nodes].ravel()
            level[nodes] = depth
            nodes = nodes[inner[nodes]]
        deep = np.maximum.reduceat(level, self.roots) if len(self.roots) else level
        place = np.argsort(np.argsort(-deep, kind="stable"), kind="stable")
        busy = tuple(int((deep > at).sum()) for at in range(depth))
        return child.ravel(), np.where(inner, self.feature, 0).astype("i8"), self.threshold, place, busy

    @cached_property
    def paths(self) -> _Paths:
        """Return every leaf's conditions, merged per feature."""
        return _paths(self)

    @cached_property
    def patterns(self) -> _Patterns | None:
        """Return what each outcome of a tree's splits is worth, worked out ahead; None where trees are too large for that."""
        return _patterns(self, self.paths)

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
        out = np.zeros((len(rows), int(groups.max()) + 1))
        way = self.patterns or self.paths
        step = max(1, CHUNK // max(1, way.width))
        for start in range(0, len(rows), step):
            out[start : start + step] = way.shapley(rows[start : start + step], groups, out.shape[1])
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
    tree: Array  # of each leaf
    asks: Array  # bits of the tree's splits that the entry goes through
    left: Array  # and of those that it goes left at
    expected: float
    depth: int

    @property
    def width(self) -> int:
        """Return how many numbers a row takes."""
        return len(self.feature)

    def shapley(self, rows: Array, groups: Array, count: int) -> Array:
        """Return (rows, count): values summed over groups."""
        x = rows.T[self.feature]
        low, high, missing = (said[:, None] for said in (self.low, self.high, self.missing))
        one = np.where(np.isnan(x), missing, (x > low) & (x <= high))
        return np.asarray(((groups[self.feature] == np.arange(count)[:, None]).astype("f8") @ self.added(one)).T)

    def added(self, one: Array) -> Array:
        """Return what each entry adds, where `one` (entries, rows) says whether its conditions hold."""
        summed = np.zeros(one.shape)
        points, weights = _gauss((self.depth + 1) // 2)
        zero, value = self.zero[:, None], self.value[:, None]
        for t, weight in zip((points + 1) / 2, weights / 2, strict=True):
            factor = t * one + (1 - t) * zero
            whole = np.multiply.reduceat(factor, self.starts, axis=0) * (weight * value)
            summed += whole[self.leaf] / factor
        return np.asarray(summed * (one - zero))


@dataclass(frozen=True, slots=True)
class _Patterns:
    """Of trees with few splits: one number per way a row may go at them, and per feature of the tree what it then adds."""

    feature: Array  # (trees x SPLITS) of each split; a tree with fewer has some that nothing passes
    threshold: Array
    missing: Array
    tree: Array  # of each pair of tree and feature
    named: Array  # the feature of each pair
    table: Array  # (ways, pairs)

    @property
    def width(self) -> int:
        """Return how many numbers a row takes."""
        return max(len(self.feature), len(self.named))

    def shapley(self, rows: Array, groups: Array, count: int) -> Array:
        """Return (rows, count): values summed over groups."""
        x = np.take(rows, self.feature, axis=1)
        left = x <= self.threshold
        if np.isnan(rows).any():
            left |= np.isnan(x) & self.missing
        way = np.packbits(left.reshape(-1), bitorder="little").reshape(len(rows), -1)  # SPLITS bits: a byte per tree
        pairs = len(self.named)
        place = np.take(way, self.tree, axis=1).astype("i8") * pairs + np.arange(pairs)
        cell = groups[self.named] + count * np.arange(len(rows))[:, None]
        return np.bincount(cell.ravel(), np.take(self.table, place).ravel(), len(rows) * count).reshape(-1, count)


@lru_cache(maxsize=64)
def _gauss(count: int) -> tuple[Array, Array]:
    """Return points and weights in (-1, 1) by Golub and Welsch (1969): numpy.polynomial costs a worker a fiftieth of its start."""
    at = np.arange(1.0, count)
    beside = at / np.sqrt(4 * at**2 - 1)
    points, vectors = np.linalg.eigh(np.diag(beside, 1) + np.diag(beside, -1))
    return points, 2 * vectors[0] ** 2


def _paths(trees: Trees) -> _Paths:
    inner = trees.feature >= 0
    here = np.flatnonzero(inner)
    parent = np.full(len(inner), -1)
    parent[trees.left[here]] = parent[trees.right[here]] = here
    tree = np.repeat(np.arange(len(trees.roots)), np.diff(np.append(trees.roots, len(inner))))
    leaves = np.flatnonzero(~inner & (parent >= 0))
    expected = float(trees.value[~inner & (parent < 0)].sum(dtype="f8"))
    steps: list[tuple[Array, Array]] = []  # leaf number and node, from the leaves up
    number, node = np.arange(len(leaves)), leaves
    while len(node):
        steps.append((number, node))
        up = parent[parent[node]] >= 0
        number, node = number[up], parent[node[up]]
    leaf, node = (np.concatenate([np.zeros(0, "i8"), *part]) for part in zip(*steps, strict=True)) if steps else (leaves, leaves)
    split = parent[node]
    feature = trees.feature[split].astype("i8")
    order = np.lexsort((feature, leaf))
    leaf, feature, node, split = leaf[order], feature[order], node[order], split[order]
    first = np.flatnonzero(np.diff(leaf, prepend=-1) | np.diff(feature, prepend=-1))
    left, edge = trees.left[split] == node, trees.threshold[split]
    share = trees.cover[node].astype("f8") / trees.cover[split]
    before = inner.cumsum() - inner
    bit = 1 << np.minimum(before[split] - before[trees.roots[tree[split]]], 62)  # of the splits of its tree
    starts = np.flatnonzero(np.diff(leaf[first], prepend=-1))
    value = trees.value[leaves].astype("f8")
    zero = _reduced(np.multiply, share, first)
    if len(starts):
        expected += float(value @ np.multiply.reduceat(zero, starts))
    return _Paths(
        starts,
        leaf[first],
        feature[first],
        _reduced(np.maximum, np.where(left, np.float32(-np.inf), edge), first),
        _reduced(np.minimum, np.where(left, edge, np.float32(np.inf)), first),
        _reduced(np.logical_and, (trees.missing_left[split] > 0) == left, first),
        zero,
        value,
        tree[leaves],
        _reduced(np.bitwise_or, bit, first),
        _reduced(np.bitwise_or, np.where(left, bit, 0), first),
        expected,
        int(np.diff(np.append(starts, len(first))).max(initial=1)),
    )


def _reduced(by: np.ufunc, values: Array, starts: Array) -> Array:
    return np.asarray(by.reduceat(values, starts)) if len(starts) else values


def _patterns(trees: Trees, paths: _Paths) -> _Patterns | None:
    inner = trees.feature >= 0
    before = np.append(0, inner.cumsum())
    ends = np.append(trees.roots[1:], len(inner))
    first, size = before[trees.roots], before[ends] - before[trees.roots]
    most = int(size.max(initial=0))
    if most > SPLITS or not len(paths.feature) or paths.width << most > MOST_AHEAD:
        return None
    turn = np.arange(int(size.sum())) - np.repeat(first, size)
    place = np.repeat(np.arange(len(size)), size) * SPLITS + turn
    feature, missing = np.zeros(len(size) * SPLITS, "i8"), np.zeros(len(size) * SPLITS, bool)
    threshold = np.full(len(size) * SPLITS, -np.inf, "f4")
    here = np.flatnonzero(inner)
    feature[place], threshold[place], missing[place] = trees.feature[here], trees.threshold[here], trees.missing_left[here] > 0
    pair, number = np.unique(paths.tree[paths.leaf] * (1 << 16) + paths.feature, return_inverse=True)
    order = np.argsort(number, kind="stable")
    starts = np.flatnonzero(np.diff(number[order], prepend=-1))
    parts, step = [], max(1, CHUNK // paths.width)
    for start in range(0, 1 << most, step):
        way = np.arange(start, min(start + step, 1 << most))
        added = paths.added((way & paths.asks[:, None]) == paths.left[:, None])
        parts.append(np.add.reduceat(added[order], starts, axis=0).T)
    table = np.ascontiguousarray(np.concatenate(parts))  # else every take of it begins with a copy
    return _Patterns(feature, threshold, missing, pair >> 16, pair & 0xFFFF, table)


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
