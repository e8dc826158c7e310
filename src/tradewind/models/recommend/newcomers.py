"""Weights into items that hardly anyone bought yet, by a ridge map from attributes to what is known of the others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tradewind.core.table import Array
from tradewind.models.recommend.log import Log

RIDGE = 5.0
BANDS = 5  # price bands
RARE = 0.25  # share of known items, least bought first, whose weights newcomers are sized by
MOST = 1000  # attributes that known items have, the most common first: the map is a matrix of them
AT_ONCE = 256  # newcomers: the weights of all of them together would be a matrix of the whole range


def columns(log: Log, dense: Array, able: Array, new: Array, buyers: Array) -> Iterator[tuple[Array, Array]]:
    """Yield newcomers that have attributes, some at a time, and their weights (newcomer, source): of what `able` items say for them.

    `dense` are the weights (source, target) among the able. Their columns are mapped at length one; a newcomer's is sized like those of
    the least bought known items, so that it can compete with them.
    """
    features = attributes(log)
    new = new[np.diff(features.indptr)[new] > 0]
    known = features[able]
    often = np.bincount(known.indices, minlength=known.shape[1])
    chosen = np.sort(np.argsort(-often, kind="stable")[: min(MOST, int((often > 0).sum()))])
    if not len(new) or not len(chosen):
        return
    known = known[:, chosen]
    length = np.sqrt((dense * dense).sum(0))
    unit = dense / np.where(length > 0, length, 1.0)
    square = (known.T @ known).toarray() + RIDGE * np.eye(len(chosen), dtype="f4")
    slope = np.linalg.solve(square.astype("f8"), (known.T @ unit.T).astype("f8")).astype("f4")
    rare = np.argsort(buyers[able], kind="stable")[: max(1, int(RARE * len(able)))]
    usual = float(np.median(length[rare]))
    for at in range(0, len(new), AT_ONCE):
        some = new[at : at + AT_ONCE]
        made = features[some][:, chosen] @ slope
        size = np.sqrt((made * made).sum(1, keepdims=True))
        yield some, made * (usual / np.where(size > 0, size, 1.0)).astype("f4")


def attributes(log: Log) -> Any:
    """Return a sparse matrix (items, attributes) of ones: category, brand, and price band where there are several prices."""
    from scipy.sparse import csr_matrix, hstack

    def ones(item: Array, code: Array, width: int) -> Any:
        return csr_matrix((np.ones(len(item), "f4"), (item, code)), shape=(len(log.items), width))

    parts = []
    for values in (log.category, log.brand):
        named = np.flatnonzero([value is not None for value in values.tolist()])
        names, code = np.unique(values[named].astype(str), return_inverse=True)
        parts.append(ones(named, code, len(names)))
    told = np.diff(hstack(parts, "csr").indptr) > 0
    priced = np.isfinite(log.price)
    if told.any() and len(np.unique(log.price[priced])) > BANDS:
        edges = np.quantile(log.price[priced], np.linspace(0, 1, BANDS + 1)[1:-1])
        banded = np.flatnonzero(priced & told)
        parts.append(ones(banded, np.searchsorted(edges, log.price[banded]), BANDS))
    return hstack(parts, "csr")
