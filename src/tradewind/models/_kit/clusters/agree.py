"""How far two groupings of the same rows agree: adjusted Rand index, purity, Jaccard, and the matching of one to the other."""

from __future__ import annotations

import numpy as np

from tradewind.core.table import Array


def crossed(first: Array, second: Array) -> Array:
    """Return the table of counts of two groupings, given as whole numbers from 0; -1 is in no group and is left out."""
    known = (first >= 0) & (second >= 0)
    first, second = first[known], second[known]
    shape = (int(first.max(initial=-1)) + 1, int(second.max(initial=-1)) + 1)
    return np.bincount(first * shape[1] + second, minlength=shape[0] * shape[1]).reshape(shape).astype("f8")


def adjusted_rand(first: Array, second: Array) -> float:
    """Return the adjusted Rand index (Hubert and Arabie 1985): 1 the same grouping, 0 no more than chance."""
    counts = crossed(first, second)
    whole = counts.sum()

    def pairs(of: Array) -> float:
        return float((of * (of - 1)).sum() / 2)

    together, left, right = pairs(counts), pairs(counts.sum(1)), pairs(counts.sum(0))
    chance = left * right / max(whole * (whole - 1) / 2, 1.0)
    most = (left + right) / 2
    return 1.0 if most == chance else (together - chance) / (most - chance)


def purity(truth: Array, groups: Array) -> float:
    """Return the share of rows that are of the commonest true kind of their group. It rises with the number of groups."""
    counts = crossed(truth, groups)
    return float(counts.max(0).sum() / max(counts.sum(), 1.0))


def mutual(first: Array, second: Array) -> float:
    """Return the normalised mutual information, arithmetic mean of the entropies."""
    share = crossed(first, second)
    share = share / max(share.sum(), 1.0)
    left, right = share.sum(1), share.sum(0)

    def entropy(of: Array) -> float:
        return float(-(of[of > 0] * np.log(of[of > 0])).sum())

    shared = entropy(left) + entropy(right) - entropy(share.ravel())
    return shared / max((entropy(left) + entropy(right)) / 2, 1e-12)


def jaccards(base: Array, other: Array) -> Array:
    """Return for each group of `base` its largest Jaccard overlap with a group of `other`."""
    counts = crossed(base, other)
    union = counts.sum(1, keepdims=True) + counts.sum(0, keepdims=True) - counts
    return np.asarray((counts / np.maximum(union, 1.0)).max(1))


def matched(distance: Array) -> Array:
    """Return for each row the column it is matched to one to one at the least total, -1 where there are too few columns."""
    from scipy.optimize import linear_sum_assignment

    found = np.full(len(distance), -1)
    rows, columns = linear_sum_assignment(distance)
    found[rows] = columns
    return found


def numbered(values: Array) -> Array:
    """Return values as whole numbers from 0, in sorted order; None becomes -1."""
    known = np.array([value is not None and str(value) != "nan" for value in values.tolist()], bool)
    found = np.full(len(values), -1)
    if known.any():
        found[known] = np.unique(values[known].astype(str), return_inverse=True)[1]
    return found


def jaccards_between(first: Array, second: Array, shape: tuple[int, int]) -> Array:
    """Return the Jaccard overlap of every group of one grouping with every group of another, `shape` = their numbers of groups."""
    counts = np.bincount(first * shape[1] + second, minlength=shape[0] * shape[1]).reshape(shape).astype("f8")
    union = counts.sum(1, keepdims=True) + counts.sum(0, keepdims=True) - counts
    return np.asarray(counts / np.maximum(union, 1.0))
