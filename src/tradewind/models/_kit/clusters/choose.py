"""How many groups the data supports: stability under resampling, a smallest share, and what independent columns would give."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np

from tradewind.core.table import Array
from tradewind.models._kit.clusters.agree import adjusted_rand, jaccards

STABLE = 0.8  # tenth percentile of the adjusted Rand index between the base grouping and bootstrap refits
SOLID, TENTATIVE = 0.75, 0.6  # mean Jaccard of a segment (Hennig 2007): solid, tentative, do not act on it
FURTHEST = 4.0  # standard deviations below the inertia of permuted columns
MOST_ROWS = 2500  # stability is measured on a sample of this many rows
NULLS = 10
HOPELESS = 0.1
Assign = Callable[[Array], Array]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One number of groups: how stable, how small its smallest group, how far beyond permuted columns."""

    k: int
    stability: float  # mean adjusted Rand index of refits
    p10: float
    jaccard: Array  # of each group, mean over refits
    share: float  # of the smallest group
    beyond: float  # standard deviations of inertia below the permuted reference
    middles: Array  # k x dimensions
    why: str = ""  # what speaks against it; empty: supported


@dataclass(frozen=True, slots=True)
class Choice:
    """What was tried, and the number of groups that is supported: 0 where none is."""

    k: int
    tried: tuple[Candidate, ...] = field(default_factory=tuple)

    def of(self, k: int) -> Candidate | None:
        """Return what was measured for one number of groups."""
        return next((one for one in self.tried if one.k == k), None)


def centres(rows: Array, k: int, seed: int, *, tries: int = 10, start: Array | None = None) -> tuple[Array, float]:
    """Return k-means centres and their inertia per row, begun at random or at `start`; k no larger than the number of different rows."""
    import warnings

    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different rows than groups: seen by the caller
        begin = {"n_init": tries} if start is None else {"n_init": 1, "init": start}
        made = KMeans(k, random_state=seed, **begin).fit(rows)
    return made.cluster_centers_, float(made.inertia_) / len(rows)


def nearest(rows: Array, middles: Array) -> Array:
    """Return the number of the closest centre of each row."""
    return np.asarray(distances(rows, middles).argmin(1))


def distances(rows: Array, middles: Array) -> Array:
    """Return the Euclidean distance of every row to every centre."""
    square = (rows**2).sum(1)[:, None] + (middles**2).sum(1) - 2 * rows @ middles.T
    return np.asarray(np.sqrt(np.maximum(square, 0.0)))


def choose(rows: Array, seed: int, *, least: int, most: int, share: float, bootstraps: int) -> Choice:
    """Return the largest k from `least` to `most` that is stable, has no group below `share` and beats permuted columns.

    Silhouettes are not asked: they prefer two groups whatever the data. Rows are standardised features.
    """
    rows = np.ascontiguousarray(sampled(rows, seed), "f8")
    return _chosen(rows.tobytes(), rows.shape[1], seed, span=(least, most), share=share, bootstraps=bootstraps)


def sampled(rows: Array, seed: int) -> Array:
    """Return at most MOST_ROWS of the rows."""
    if len(rows) <= MOST_ROWS:
        return rows
    return rows[np.random.default_rng(seed).choice(len(rows), MOST_ROWS, replace=False)]


@lru_cache(maxsize=8)  # several recipes of one training ask the same of the same rows
def _chosen(data: bytes, width: int, seed: int, *, span: tuple[int, int], share: float, bootstraps: int) -> Choice:
    rows = np.frombuffer(data).reshape(-1, width)
    rng = np.random.default_rng(seed)
    most = min(span[1], len(np.unique(rows.round(9), axis=0)) - 1, len(rows) // 10)
    permuted = [np.stack([rng.permutation(column) for column in rows.T], 1) for _ in range(NULLS)]
    tried = []
    for k in range(span[0], most + 1):
        reference = np.array([np.log(centres(one, k, seed, tries=1)[1]) for one in permuted])
        tried.append(_measured(rows, k, seed, reference, share=share, bootstraps=bootstraps))
    fine = [one.k for one in tried if not one.why]
    return Choice(max(fine, default=0), tuple(tried))


def _measured(rows: Array, k: int, seed: int, reference: Array, *, share: float, bootstraps: int) -> Candidate:
    middles, inertia = centres(rows, k, seed)
    beyond = float((reference.mean() - np.log(max(inertia, 1e-12))) / max(reference.std(ddof=1), 1e-3))
    smallest = float(np.bincount(nearest(rows, middles), minlength=k).min() / len(rows))
    why = ""
    if beyond < FURTHEST:
        why = f"columns shuffled at random group as tightly ({beyond:.1f} deviations apart, needed {FURTHEST:g})"
    elif smallest < share:
        why = f"its smallest group holds {100 * smallest:.1f} % of customers, less than {100 * share:.0f} %"
    if why:  # no refits are needed to know
        return Candidate(k, np.nan, np.nan, np.full(k, np.nan), smallest, beyond, middles, why)

    def refit(part: Array, number: int) -> Assign:
        again, _ = centres(part, k, seed + number, tries=2)
        return lambda all_rows: nearest(all_rows, again)

    found = stability(rows, nearest(rows, middles), refit, seed=seed, bootstraps=bootstraps)
    return replace(found, share=smallest, beyond=beyond, middles=middles)


def stability(rows: Array, base: Array, refit: Callable[[Array, int], Assign], *, seed: int, bootstraps: int) -> Candidate:
    """Return how far a grouping of rows (numbers from 0) survives refits to bootstrap samples of them."""
    rng = np.random.default_rng(seed + 1)
    agreed, overlap = [], []
    for number in range(bootstraps):
        other = refit(rows[rng.integers(0, len(rows), len(rows))], number)(rows)
        agreed.append(adjusted_rand(base, other))
        overlap.append(jaccards(base, other))
        if sum(one < STABLE for one in agreed) > HOPELESS * bootstraps + 1:
            break  # its tenth percentile can no longer reach what is needed
    p10, jaccard = float(np.quantile(agreed, 0.1)), np.mean(overlap, 0)
    why = ""
    if p10 < STABLE:
        why = f"refits to resampled customers agree too little (tenth percentile of the Rand index {p10:.2f}, needed {STABLE})"
    elif jaccard.min() < SOLID:
        why = f"one of its groups dissolves in refits (Jaccard {jaccard.min():.2f}, needed {SOLID})"
    share = float(np.bincount(base).min() / len(rows))
    return Candidate(len(jaccard), float(np.mean(agreed)), p10, jaccard, share, np.nan, np.zeros((0, rows.shape[1])), why)


def solidity(jaccard: float) -> str:
    """Return in words how far a segment may be acted on."""
    if not np.isfinite(jaccard):
        return "not to be acted on"
    return "solid" if jaccard >= SOLID else "tentative" if jaccard >= TENTATIVE else "not to be acted on"
