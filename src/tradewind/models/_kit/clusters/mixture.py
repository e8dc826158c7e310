"""A Gaussian mixture that known members pull into place: expectation and maximisation in numpy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tradewind.core.table import Array

SHRINK = 0.3  # of each covariance towards its diagonal: few rows say little about correlations
FLOOR = 1e-3  # least variance in a dimension that is standardised


@dataclass(frozen=True, slots=True)
class Mixture:
    """`weight` (k), `mean` (k, d), `root` (k, d, d): the inverse Cholesky factor of each covariance."""

    weight: Array
    mean: Array
    root: Array

    def probability(self, rows: Array) -> Array:
        """Return the chance of every group for every row."""
        z = np.einsum("kij,nkj->nki", self.root, rows[:, None, :] - self.mean)
        volume = np.log(np.diagonal(self.root, axis1=1, axis2=2)).sum(1)
        said = np.log(self.weight) + volume - 0.5 * (z**2).sum(2)
        said -= said.max(1, keepdims=True)
        found = np.exp(said)
        return np.asarray(found / found.sum(1, keepdims=True))


def learned(rows: Array, start: Array, *, known: Array | None = None, rounds: int = 60) -> Mixture:
    """Return the mixture reached from a first grouping (numbers from 0); rows with `known` >= 0 stay in their group."""
    k = int(start.max()) + 1
    share = np.eye(k)[start]
    fixed = np.flatnonzero(known >= 0) if known is not None else np.zeros(0, int)
    before = np.inf
    made = _maximised(rows, share)
    for _ in range(rounds):
        share = made.probability(rows)
        if known is not None:
            share[fixed] = np.eye(k)[known[fixed]]
        made = _maximised(rows, share)
        now = float(np.abs(share).max(1).mean())
        if abs(now - before) < 1e-6:
            break
        before = now
    return made


def _maximised(rows: Array, share: Array) -> Mixture:
    width = rows.shape[1]
    count = share.sum(0) + 1e-9
    mean = share.T @ rows / count[:, None]
    roots = []
    for group in range(share.shape[1]):
        apart = rows - mean[group]
        spread = (share[:, group, None] * apart).T @ apart / count[group]
        spread = (1 - SHRINK) * spread + SHRINK * np.diag(np.diag(spread)) + FLOOR * np.eye(width)
        roots.append(np.linalg.inv(np.linalg.cholesky(spread)))
    return Mixture(count / count.sum(), mean, np.stack(roots))


def seeded(rows: Array, known: Array) -> Array:
    """Return each row's group by k-means begun at the middles of the known members."""
    from tradewind.models._kit.clusters.choose import centres, nearest

    k = int(known.max()) + 1
    start = np.stack([rows[known == group].mean(0) for group in range(k)])
    return nearest(rows, centres(rows, k, 0, start=start)[0])
