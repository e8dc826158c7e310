"""EASE: what buying one item says for each other one, in closed form, and the same for items hardly anyone bought yet.

Steck (2019), "Embarrassingly shallow autoencoders for sparse data": with G = X'X + strength on the diagonal and P its inverse, the weight
of item i for item j is -P[i, j] / P[j, j], and none for itself. The inverse is taken by Cholesky (LAPACK potrf and potri).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np

from tradewind.core.errors import LearnFailed
from tradewind.core.table import Array
from tradewind.models.recommend import als, newcomers
from tradewind.models.recommend.log import Log, Seen

EXACT, ATTRIBUTED, FACTORED = 1, 2, 3
FEWEST_BUYERS = 5
BLOCK = 256  # rows and columns copied at once
KEPT = 64  # targets whose weights are chosen at once
MOST_KEPT = 2_400_000  # weights into the items past the most bought, so that a version stays small
PAIRS = 1_000_000  # pairs of items counted at once
LOST = 0.01  # of a vector of standard normal numbers, through the matrix and its inverse
PAIR = np.dtype([("target", "u4"), ("value", "f4")])


@dataclass(frozen=True)
class Weights:
    """Sparse weights by source item: those of source i are `target[start[i]:start[i + 1]]`, `value[...]`."""

    start: Array
    target: Array
    value: Array  # float32
    known: Array  # per item: EXACT, ATTRIBUTED, FACTORED, or 0 where there are none

    def likes(self, row: Array, source: Array, size: int) -> Array:
        """Return (size, items) float32: per row the sum of the weights of its sources, each named with its row, into every item."""
        width = len(self.start) - 1
        made = np.zeros((size, width), "f4")
        order = np.argsort(row, kind="stable")
        edges = np.searchsorted(row[order], np.arange(size + 1)).tolist()
        sources, rows = source[order].tolist(), self.rows
        for at, (low, high) in enumerate(pairwise(edges)):
            if low < high:
                said = np.concatenate([rows[one] for one in sources[low:high]]).view(PAIR)
                made[at] = np.bincount(said["target"], said["value"], width)
        return made

    @cached_property
    def rows(self) -> list[Array]:
        """Return the weights of each source, target and value in one number of eight bytes: a profile's are copied in one go."""
        both = np.empty(len(self.target), PAIR)
        both["target"], both["value"] = self.target, self.value
        ends = self.start.tolist()
        return [both.view("i8")[low:high] for low, high in pairwise(ends)]

    @cached_property
    def into(self) -> tuple[Array, Array, Array]:
        """Return the weights by target item: where those of each begin, their sources, and their values."""
        order = np.argsort(self.target, kind="stable")
        source = np.repeat(np.arange(len(self.start) - 1), np.diff(self.start))[order]
        size = np.bincount(self.target, minlength=len(self.start) - 1)
        return np.concatenate([[0], np.cumsum(size)]), source, self.value[order]


def runs(start: Array, chosen: Array) -> tuple[Array, Array]:
    """Return the places `start[i]` to `start[i + 1]` of every chosen i, one after the other, and how many each has."""
    begin = start[chosen]
    sizes = start[chosen + 1] - begin
    place = np.repeat(begin - (np.cumsum(sizes) - sizes), sizes)
    place += np.arange(len(place))
    return place, sizes


def solve(gram: Array, strength: float) -> Array:
    """Return the EASE weights (source, target) of a co-occurrence matrix; raises LearnFailed where it cannot be inverted.

    Of the matrix only the diagonal and what lies above it are read; it is overwritten. The inverse is tried on a vector: where the
    precision does not reach (a strength that is tiny beside what is bought most), it comes back off by more than LOST: a failure.
    """
    from scipy.linalg import blas, lapack

    kind = "s" if gram.dtype == np.float32 else "d"
    gram[np.diag_indices(len(gram))] += strength
    tried = np.random.default_rng(0).normal(size=len(gram)).astype(gram.dtype)
    wanted = getattr(blas, f"{kind}symv")(1.0, gram.T, tried, lower=1)
    rows, failed = getattr(lapack, f"{kind}potrf")(gram.T, lower=1, overwrite_a=1)
    if failed == 0:
        rows, failed = getattr(lapack, f"{kind}potri")(rows, lower=1, overwrite_c=1)
    rows = rows.T  # its rows lie together in memory, and what lies above the diagonal is set
    _mirror(rows)
    if failed or not float(np.abs(rows @ wanted - tried).max()) <= LOST:
        raise LearnFailed("the co-occurrence of items cannot be inverted", hint="raise the knob strength")
    diagonal = np.diag_indices(len(rows))
    scale = -1 / rows[diagonal]
    rows[diagonal] = 0
    rows *= scale[:, None]
    return np.asarray(rows.T)


def _mirror(rows: Array) -> None:
    """Copy what lies above the diagonal below it, block by block: whole rows by whole columns would miss the cache every time."""
    for start in range(0, len(rows), BLOCK):
        end = min(start + BLOCK, len(rows))
        corner = rows[start:end, start:end]
        corner[:] = np.triu(corner) + np.triu(corner, 1).T
        for other in range(end, len(rows), BLOCK):
            rows[other : other + BLOCK, start:end] = rows[start:end, other : other + BLOCK].T


def learn(log: Log, seen: Seen, *, strength: float, keep: int, most: int, factors: int = 0, seed: int = 0) -> Weights:
    """Return weights among the items that enough customers bought: exact ones for the `most` popular, by factors for those past them.

    Without `factors` the latter have none. Newcomers get weights by their attributes.
    """
    width = len(log.items)
    able = np.flatnonzero(seen.buyers >= min(FEWEST_BUYERS, max(1, int(seen.buyers.max()))))
    ranked = able[np.argsort(-seen.buyers[able], kind="stable")]
    head, tail = np.sort(ranked[:most]), np.sort(ranked[most:] if factors else ranked[:0])
    dense = _dense(seen, head, width, strength)
    known = np.zeros(width, "i1")
    known[head], known[tail] = EXACT, FACTORED
    new = np.flatnonzero(known == 0)
    few = max(min(keep, MOST_KEPT // max(len(tail) + len(new), 1)), 1)
    parts = [_largest(dense.T, head, keep)]
    for some, made in newcomers.columns(log, dense, head, new, seen.buyers):
        known[some] = ATTRIBUTED
        parts.append(_largest(made, some, few))
    parts = [(head[source], target, value) for source, target, value in parts]
    if len(tail):
        parts.append(_factored(seen, head, tail, width, keep=few, strength=strength, factors=factors, seed=seed))
    source, target, value = (np.concatenate(part) for part in zip(*parts, strict=True))
    order = np.argsort(source, kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(source, minlength=width))])
    return Weights(start, target[order].astype("i4"), value[order].astype("f4"), known)


def _factored(
    seen: Seen, head: Array, tail: Array, width: int, *, keep: int, strength: float, factors: int, seed: int
) -> tuple[Array, Array, Array]:
    """Return source, target and value of weights from the head into the tail, by factors of both."""
    from scipy.sparse import csr_matrix

    able = np.sort(np.concatenate([head, tail]))
    owner, column = _entries(seen, able, width)
    bought = csr_matrix((np.ones(len(owner), "f4"), (owner, column)), shape=(len(seen.start) - 1, len(able)))
    made = als.factors(bought, factors, seed)
    source, target, value = als.weights(
        bought, made, np.searchsorted(able, head), np.searchsorted(able, tail), keep=keep, strength=strength
    )
    return able[source], able[target], value


def _dense(seen: Seen, able: Array, width: int, strength: float) -> Array:
    """Return the weights in single precision, worked out in double where single is not enough."""
    try:
        return solve(_gram(seen, able, width), strength)
    except LearnFailed:
        return np.asarray(solve(_gram(seen, able, width, "f8"), strength).astype("f4"))


def _gram(seen: Seen, able: Array, width: int, kind: str = "f4") -> Array:
    """Return how many customers bought both of two items, on the diagonal and above it; what lies below is nought."""
    owner, column = _entries(seen, able, width)
    after = np.searchsorted(owner, owner, "right") - np.arange(len(owner))  # of the same customer, from this item on
    gram = np.zeros(len(able) * len(able), kind)
    one = gram.dtype.type(1)
    cuts = np.searchsorted(np.cumsum(after), np.arange(PAIRS, int(after.sum()), PAIRS))
    for part in np.split(np.arange(len(column)), cuts):
        size = after[part]
        second = np.repeat(part - (np.cumsum(size) - size), size) + np.arange(int(size.sum()))
        np.add.at(gram, np.repeat(column[part], size) * len(able) + column[second], one)
    return gram.reshape(len(able), len(able))


def _entries(seen: Seen, able: Array, width: int) -> tuple[Array, Array]:
    """Return customer and place among `able` of every pair of them, by customer and then by item."""
    place = np.full(width, -1)
    place[able] = np.arange(len(able))
    column = place[seen.item]
    fine = column >= 0
    return np.repeat(np.arange(len(seen.start) - 1), np.diff(seen.start))[fine], column[fine]


def _largest(by_target: Array, targets: Array, keep: int) -> tuple[Array, Array, Array]:
    """Return source place, target and value of the `keep` largest weights into each target, a row of `by_target`."""
    parts = [(np.zeros(0, "i8"), targets[:0], by_target[:0, 0])]
    for start in range(0, len(targets), KEPT):  # a few rows at once stay in the processor's cache
        some = by_target[start : start + KEPT]
        held: Any = some != 0
        if some.shape[1] > keep:
            size = np.abs(some)
            least = np.partition(size, size.shape[1] - keep, axis=1)[:, size.shape[1] - keep]
            held = size >= np.maximum(least, 1e-12)[:, None]
        target, source = np.nonzero(held)
        parts.append((source, targets[start + target], some[target, source]))
    source, target, value = (np.concatenate(part) for part in zip(*parts, strict=True))
    return source, target, value
