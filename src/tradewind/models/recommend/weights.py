"""EASE: what buying one item says for each other one, in closed form, and the same for items hardly anyone bought yet.

Steck (2019), "Embarrassingly shallow autoencoders for sparse data": with G = X'X + strength on the diagonal and P its inverse, the weight
of item i for item j is -P[i, j] / P[j, j], and none for itself. The inverse is taken by Cholesky (LAPACK potrf and potri).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.core.errors import LearnFailed
from tradewind.core.table import Array
from tradewind.models.recommend.log import Log, Seen

FEWEST_BUYERS = 5
RIDGE = 5.0  # of the map from attributes to weights
BANDS = 5  # price bands
RARE = 0.25  # share of known items, least bought first, whose weights newcomers are sized by


@dataclass(frozen=True, slots=True)
class Weights:
    """Sparse weights by source item: those of source i are `target[start[i]:start[i + 1]]`, `value[...]`."""

    start: Array
    target: Array
    value: Array  # float32
    known: Array  # per item: 1 learned from buyers, 2 from its attributes, 0 neither

    def flat(self, offset: Array, sources: Array) -> tuple[Array, Array, Array]:
        """Return for profile entries the offset + target and the value of each of their weights, and where each entry's weights end."""
        sizes = self.start[sources + 1] - self.start[sources]
        ends = np.cumsum(sizes)
        place = np.arange(int(ends[-1]) if len(ends) else 0)
        place += np.repeat(self.start[sources] - (ends - sizes), sizes)
        return np.repeat(offset, sizes) + self.target[place], self.value[place], ends


def solve(gram: Array, strength: float) -> Array:
    """Return the EASE weights (source, target) of a co-occurrence matrix, which is overwritten; raises LearnFailed."""
    from scipy.linalg import lapack

    size = len(gram)
    at = np.diag_indices(size)
    gram[at] += strength
    factor, failed = lapack.spotrf(gram.T, lower=1, overwrite_a=1)
    if failed == 0:
        inverse, failed = lapack.spotri(factor, lower=1, overwrite_c=1)
    if failed:
        raise LearnFailed("the co-occurrence of items cannot be inverted", hint="raise the knob strength")
    scale = -1 / np.diag(inverse)
    rows = np.tril(inverse, -1)
    rows += rows.T  # symmetric: row and column may be named either way, and rows lie together in memory
    rows *= scale[:, None]
    return np.asarray(rows.T)


def learn(log: Log, seen: Seen, *, strength: float, keep: int, most: int) -> Weights:
    """Return weights among the items that enough customers bought (the `most` popular ones), and of newcomers by their attributes."""
    width = len(log.items)
    able = np.flatnonzero(seen.buyers >= min(FEWEST_BUYERS, max(1, int(seen.buyers.max()))))
    if len(able) > most:
        able = np.sort(able[np.argsort(-seen.buyers[able], kind="stable")[:most]])
    gram = _gram(seen, able, width)
    dense = solve(gram, strength)
    known = np.zeros(width, "i1")
    known[able] = 1
    new = np.flatnonzero(known == 0)
    mapped, able_new = _newcomers(log, dense, able, new, seen)
    known[able_new] = 2
    parts = [_kept(dense, able, keep), _kept(mapped, able_new, keep)]
    source, target, value = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.argsort(source, kind="stable")
    sizes = np.zeros(width, "i8")
    sizes[able] = np.bincount(source, minlength=len(able))
    return Weights(np.concatenate([[0], np.cumsum(sizes)]), target[order].astype("i4"), value[order].astype("f4"), known)


def _gram(seen: Seen, able: Array, width: int) -> Array:
    from scipy.sparse import csr_matrix

    place = np.full(width, -1)
    place[able] = np.arange(len(able))
    owner = np.repeat(np.arange(len(seen.start) - 1), np.diff(seen.start))
    column = place[seen.item]
    fine = column >= 0
    bought = csr_matrix((np.ones(int(fine.sum()), "f4"), (owner[fine], column[fine])), shape=(len(seen.start) - 1, len(able)))
    gram: Array = np.asarray((bought.T @ bought).toarray(), "f4")
    return gram


def _newcomers(log: Log, dense: Array, able: Array, new: Array, seen: Seen) -> tuple[Array, Array]:
    """Return weights (source, newcomer) by a ridge map from attributes to columns, and the newcomers that have attributes.

    Columns are mapped at length one; a newcomer's is sized like those of the least bought known items, so that it can compete with them.
    """
    features = attributes(log)
    able_new = new[features[new].any(axis=1)] if len(new) else new
    if not len(able_new) or not features[able].any():
        return np.zeros((len(able), 0), "f4"), able_new[:0]
    length = np.sqrt((dense * dense).sum(0))
    unit = dense / np.where(length > 0, length, 1.0)
    known = features[able].astype("f4")
    square = known.T @ known + RIDGE * np.eye(known.shape[1], dtype="f4")
    slope = np.linalg.solve(square.astype("f8"), (known.T @ unit.T).astype("f8"))
    made = features[able_new] @ slope
    size = np.sqrt((made * made).sum(1, keepdims=True))
    rare = np.argsort(seen.buyers[able], kind="stable")[: max(1, int(RARE * len(able)))]
    made *= float(np.median(length[rare])) / np.where(size > 0, size, 1.0)
    return np.asarray(made.T, "f4"), able_new


def attributes(log: Log) -> Array:
    """Return (items, attributes) of 0 and 1: category, brand, and price band where there are several prices."""
    parts = []
    for values in (log.category, log.brand):
        names = sorted({value for value in values.tolist() if value is not None})
        parts.append(np.array([[value == name for name in names] for value in values.tolist()], "f8").reshape(len(values), len(names)))
    priced = np.isfinite(log.price)
    if parts[0].shape[1] + parts[1].shape[1] and len(np.unique(log.price[priced])) > BANDS:
        edges = np.quantile(log.price[priced], np.linspace(0, 1, BANDS + 1)[1:-1])
        band = np.searchsorted(edges, np.where(priced, log.price, np.inf))
        told = np.hstack(parts).any(axis=1)
        parts.append(np.eye(BANDS)[np.minimum(band, BANDS - 1)] * (priced & told)[:, None])
    return np.hstack(parts)


def _kept(dense: Array, columns: Array, keep: int) -> tuple[Array, Array, Array]:
    """Return source place, target and value of the `keep` largest weights into each target."""
    by_target = dense.T  # lies together in memory
    if by_target.shape[1] > keep and len(columns):
        size = np.abs(by_target)
        least = np.partition(size, size.shape[1] - keep, axis=1)[:, size.shape[1] - keep]
        held: Any = size >= np.maximum(least, 1e-12)[:, None]
    else:
        held = by_target != 0
    target, source = np.nonzero(held)
    return source, columns[target], by_target[target, source]
