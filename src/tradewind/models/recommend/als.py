"""Implicit ALS: a few numbers per customer and per item whose products tell who buys what; for ranges that EASE's inverse cannot carry.

Hu, Koren and Volinsky (2008), in the form of Rendle, Krichene, Zhang and Koren (2022): with y the factors of items, those of a customer
with items I minimise sum over I of (1 - x y_i)^2 + all x (sum over all items of (x y_i)^2) + ridge x (|I| + all x items) x |x|^2.
Each side in turn is solved by a few steps of conjugate gradients (Takacs, Pilaszy and Tikk 2011), all rows at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tradewind.core.table import Array

ALL = 0.1  # weight of a pair that was not bought, beside one that was
RIDGE = 0.003
SWEEPS, STEPS = 4, 2
TINY = 1e-20
TARGETS = 256  # items whose weights are chosen at once
SIZED_BY = 4000  # customers at least, where there are so many
ENTRIES = 20_000  # pairs looked at together: few enough to stay in the processor's cache


def factors(bought: Any, size: int, seed: int) -> Array:
    """Return (items, size) float32 of a sparse matrix (customers, items) of ones."""
    rng = np.random.default_rng(seed)
    size = min(size, *bought.shape)
    back = bought.T.tocsr()
    start = back @ (bought @ rng.normal(size=(bought.shape[1], size)).astype("f4"))  # leans towards what is bought together
    items = np.linalg.qr(start)[0].astype("f4")
    people = np.zeros((bought.shape[0], size), "f4")
    for _ in range(SWEEPS):
        people = _solved(bought, items, people)
        items = _solved(back, people, items)
    return items


def _solved(bought: Any, fixed: Array, start: Array) -> Array:
    """Return the factors of the rows of `bought` given those of its columns, from where they were."""
    gram = (ALL * (fixed.T @ fixed)).astype("f4")
    row = np.repeat(np.arange(bought.shape[0]), np.diff(bought.indptr))
    ridge = (RIDGE * (np.diff(bought.indptr) + ALL * bought.shape[1])).astype("f4")[:, None]
    seen = bought.copy()

    def through(x: Array) -> Array:
        for at in range(0, len(row), ENTRIES):
            part = slice(at, at + ENTRIES)
            seen.data[part] = np.einsum("ij,ij->i", x[row[part]], fixed[bought.indices[part]])
        return np.asarray(seen @ fixed + x @ gram + ridge * x)

    made = start.copy()
    left = bought @ fixed - through(made)
    way, size = left.copy(), (left * left).sum(1, keepdims=True)
    for _ in range(STEPS):
        bent = through(way)
        step = size / np.maximum((way * bent).sum(1, keepdims=True), TINY)
        made += step * way
        left -= step * bent
        after = (left * left).sum(1, keepdims=True)
        way = left + after / np.maximum(size, TINY) * way
        size = after
    return np.asarray(made)


def weights(bought: Any, made: Array, sources: Array, targets: Array, *, keep: int, strength: float) -> tuple[Array, Array, Array]:
    """Return source, target and value of the `keep` largest weights from the sources into each target, none of which is a source.

    A customer's factors are nearly the sum over what she bought of B y_i, where B is the inverse of what all items weigh; so item i says
    y_i B y_j for item j. Each target's weights are then sized by the least squares that EASE minimises with `strength`, to be on its scale:
    buyers of the target are all looked at, what the weights say of the others in every nth customer.
    """
    from scipy.sparse import csr_matrix

    whole = ALL * (made.T @ made).astype("f8") + RIDGE * ALL * len(made) * np.eye(made.shape[1])
    said = np.linalg.inv(whole).astype("f4") @ made[sources].T
    columns = bought.tocsc()
    profiles = columns[:, sources].tocsr()
    nth = max(1, bought.shape[0] // SIZED_BY)
    some_profiles, back = profiles[::nth], profiles.T.tocsr()
    parts = [(targets[:0], targets[:0], made[:0, 0])]
    for at in range(0, len(targets), TARGETS):
        some = targets[at : at + TARGETS]
        score = made[some] @ said
        last = max(score.shape[1] - keep, 0)
        held: Any = score >= np.maximum(np.partition(score, last, axis=1)[:, last], TINY)[:, None]
        row, source = np.divmod(np.flatnonzero(held), score.shape[1])
        value = score[row, source]
        table = csr_matrix((value, (source, row)), shape=score.shape[::-1])
        over = np.asarray((back @ columns[:, some]).multiply(table).sum(0)).ravel()
        told = some_profiles @ table
        under = nth * np.bincount(told.indices, told.data**2, len(some)) + strength * np.bincount(row, value**2, len(some))
        size = over / np.maximum(under, TINY)
        parts.append((sources[source], some[row], (value * size[row]).astype("f4")))
    source, target, value = (np.concatenate(part) for part in zip(*parts, strict=True))
    return source, target, value
