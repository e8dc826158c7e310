"""How many groups the data supports: stability under resampling, a smallest share, and what independent columns would give."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tradewind.core.table import Array
from tradewind.models._kit.clusters.agree import adjusted_rand, jaccards

STABLE = 0.8  # tenth percentile of the adjusted Rand index between the base grouping and bootstrap refits
SOLID, TENTATIVE = 0.75, 0.6  # mean Jaccard of a segment (Hennig 2007): solid, tentative, do not act on it
FURTHEST = 4.0  # standard deviations below the inertia of permuted columns
MOST_ROWS = 2500  # stability is measured on a sample of this many rows
NULLS = 10
HOPELESS = 0.1


@dataclass(frozen=True, slots=True)
class Candidate:
    """One number of groups: how stable, how small its smallest group, how far beyond permuted columns."""

    k: int
    stability: float  # mean adjusted Rand index of refits
    p10: float
    jaccard: Array  # of each group, mean over refits
    share: float  # of the smallest group
    beyond: float  # standard deviations of inertia below the permuted reference
    why: str = ""  # what speaks against it; empty: supported


@dataclass(frozen=True, slots=True)
class Choice:
    """What was tried, and the number of groups that is supported: 0 where none is."""

    k: int
    tried: tuple[Candidate, ...] = field(default_factory=tuple)

    def of(self, k: int) -> Candidate | None:
        """Return what was measured for one number of groups."""
        return next((one for one in self.tried if one.k == k), None)


def centres(rows: Array, k: int, seed: int, *, tries: int = 10) -> tuple[Array, float]:
    """Return k-means centres and their inertia per row; k no larger than the number of different rows."""
    import warnings

    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer different rows than groups: seen by the caller
        made = KMeans(k, n_init=tries, random_state=seed).fit(rows)
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
    rng = np.random.default_rng(seed)
    if len(rows) > MOST_ROWS:
        rows = rows[rng.choice(len(rows), MOST_ROWS, replace=False)]
    most = min(most, len(np.unique(rows.round(9), axis=0)) - 1, len(rows) // 10)
    permuted = [np.stack([rng.permutation(column) for column in rows.T], 1) for _ in range(NULLS)]
    tried = []
    for k in range(least, most + 1):
        reference = np.array([np.log(centres(one, k, seed, tries=1)[1]) for one in permuted])
        tried.append(_measure(rows, k, seed, reference, share=share, bootstraps=bootstraps))
    fine = [one.k for one in tried if not one.why]
    return Choice(max(fine, default=0), tuple(tried))


def measure(rows: Array, middles: Array, seed: int, bootstraps: int) -> Candidate:
    """Return how stable a given grouping is under refits to bootstrap samples started anew."""
    rng = np.random.default_rng(seed)
    if len(rows) > MOST_ROWS:
        rows = rows[rng.choice(len(rows), MOST_ROWS, replace=False)]
    return _stability(rows, middles, seed, bootstraps, np.inf)


def _measure(rows: Array, k: int, seed: int, reference: Array, *, share: float, bootstraps: int) -> Candidate:
    middles, inertia = centres(rows, k, seed)
    beyond = float((reference.mean() - np.log(max(inertia, 1e-12))) / max(reference.std(ddof=1), 1e-3))
    smallest = np.bincount(nearest(rows, middles), minlength=k).min() / len(rows)
    if beyond < FURTHEST or smallest < share:  # no refits are needed to know
        why = f"columns shuffled at random group as tightly ({beyond:.1f} deviations)" if beyond < FURTHEST else _small(smallest, share)
        return Candidate(k, np.nan, np.nan, np.full(k, np.nan), float(smallest), beyond, why)
    return _stability(rows, middles, seed, bootstraps, beyond)


def _small(smallest: float, share: float) -> str:
    return f"its smallest group holds {100 * smallest:.1f} % of customers, less than {100 * share:.0f} %"


def _stability(rows: Array, middles: Array, seed: int, bootstraps: int, beyond: float) -> Candidate:
    rng = np.random.default_rng(seed + 1)
    k, base = len(middles), nearest(rows, middles)
    agreed, overlap = [], []
    for number in range(bootstraps):
        again, _ = centres(rows[rng.integers(0, len(rows), len(rows))], k, seed + number, tries=2)
        other = nearest(rows, again)
        agreed.append(adjusted_rand(base, other))
        overlap.append(jaccards(base, other))
        if sum(one < STABLE for one in agreed) > HOPELESS * bootstraps + 1:
            break  # its tenth percentile can no longer reach what is needed
    p10, jaccard = float(np.quantile(agreed, 0.1)), np.mean(overlap, 0)
    why = ""
    if p10 < STABLE:
        why = f"refits to resampled customers agree too little (tenth percentile of ARI {p10:.2f}, needed {STABLE})"
    elif jaccard.min() < SOLID:
        why = f"one of its groups dissolves in refits (Jaccard {jaccard.min():.2f}, needed {SOLID})"
    return Candidate(k, float(np.mean(agreed)), p10, jaccard, float(np.bincount(base).min() / len(rows)), beyond, why)
