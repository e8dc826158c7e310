"""Recalibrate raw quantiles by what actuals did: split-conformal on probability integral transforms, by pool, newest blocks first."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tradewind.models._kit.intervals import LEVELS, TAUS

Array = np.ndarray[Any, Any]
GRID = np.concatenate([[0.0], 1 / (1 + np.exp(-np.linspace(-7, 7, 141))), [1.0]])
"""Probabilities at which the distribution of transforms is kept: dense in both tails."""
CELLS = np.gradient(GRID)  # how much of all probability each of them stands for
MOVED = GRID * (1 - GRID)  # what a move of all log odds by a little does to a distribution
MOST_MOVED, HALVINGS = 12.0, 40
FITTED = 20  # rounds in which cells and blocks are fitted to each other
SHARE = 80.0  # actuals after which a pool weighs as much as the coarser pool it is part of
FIRST = 20.0  # the same for all actuals against the raw quantiles
FADE = 0.85  # what a block weighs against the next newer one (weighted conformal prediction, Barber et al. 2023)
STUDENT = np.array([12.71, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201])  # 97.5 % of t with 1, 2, ... degrees
SIZES = 3
TAIL = float(np.log((1 - TAUS[-3]) / (1 - TAUS[-1])))
TINY = 1e-9
LOWS = [at for at, name in enumerate(LEVELS) if name.startswith("lo")]
HIGHS = [list(LEVELS).index(name.replace("lo", "hi")) for name in LEVELS if name.startswith("lo")]
SHOWN = np.array([*LEVELS.values(), *(int(name[2:]) / 100 for name in LEVELS if name.startswith("lo"))])
"""The probabilities of LEVELS, then how much each interval of LOWS and HIGHS covers."""
MIDDLE = list(LEVELS).index("p50")
MOST_LEVELS = 16  # choices of levels whose places are kept


def transform(quantiles: Array, truth: Array, tie: Array) -> Array:
    """Return where each truth lies in its forecast distribution, 0-1; `tie` in 0-1 parts what several quantiles share.

    Between known quantiles probability is linear in units, above them it decays exponentially, below them it falls to zero at zero.
    """
    low, high = quantiles[..., 0], quantiles[..., -1]
    truth = np.asarray(truth, "f8")
    under = (quantiles < truth[..., None] - TINY).sum(-1)
    upto = (quantiles <= truth[..., None] + TINY).sum(-1)
    count = len(TAUS)
    at = np.clip(upto, 1, count - 1)
    below = np.take_along_axis(quantiles, (at - 1)[..., None], -1)[..., 0]
    above = np.take_along_axis(quantiles, at[..., None], -1)[..., 0]
    inside = TAUS[at - 1] + (TAUS[at] - TAUS[at - 1]) * np.clip((truth - below) / np.maximum(above - below, TINY), 0, 1)
    over = 1 - (1 - TAUS[-1]) * np.exp(-np.maximum(truth - high, 0) / _width(quantiles))
    lower = TAUS[0] * np.clip(truth / np.maximum(low, TINY), 0, 1)
    found = np.where(upto == 0, lower, np.where(under >= count, over, inside))
    tied = upto > under
    first = np.where(truth <= TINY, 0.0, TAUS[np.clip(under, 0, count - 1)])  # nothing lies below zero
    last = TAUS[np.clip(upto - 1, 0, count - 1)]
    lies: Array = np.where(tied, first + tie * np.maximum(last - first, 0), found)
    return lies


def counted(quantiles: Array, truth: Array, share: Array) -> Array:
    """Return where whole numbers lie in forecast distributions that are rounded: by `share` (0-1) on all that rounds to each.

    The randomised probability integral transform of counts (Smith 1985; Czado, Gneiting and Held 2009).
    """
    upto = np.ones(1)
    over = transform(quantiles, truth + 0.5, upto)
    under = np.where(truth > TINY, transform(quantiles, np.maximum(truth - 0.5, 0.0), upto), 0.0)
    lies: Array = under + share * (over - under)
    return lies


@dataclass(frozen=True, slots=True)
class Places:
    """Where probabilities (rows, levels) lie among TAUS."""

    at: Array  # number of the next higher one
    share: Array  # how far towards it
    tails: Array  # levels that lie outside of TAUS in any row; what follows is of these
    high: Array  # above all of them
    over: Array  # for those: how many widths above the last quantile
    low: Array  # below all of them
    under: Array  # for those: what share of the first quantile

    @classmethod
    def of(cls, probability: Array) -> Places:
        """Look probabilities up."""
        at = np.clip((probability[..., None] > TAUS).sum(-1), 1, len(TAUS) - 1)
        share = (probability - TAUS[at - 1]) / (TAUS[at] - TAUS[at - 1])
        tails = np.flatnonzero(((probability > TAUS[-1]) | (probability < TAUS[0])).any(0))
        outer = probability[:, tails]
        rest = np.maximum(1 - outer, 1e-4) / (1 - TAUS[-1])
        over, under = -np.log(np.minimum(rest, 1.0)), np.clip(outer / TAUS[0], 0, 1)
        return cls(at, np.clip(share, 0, 1), tails, outer > TAUS[-1], over, outer < TAUS[0], under)

    def read(self, quantiles: Array, pool: Array) -> Array:
        """Return the units (rows, levels) of forecast distributions (rows, len(TAUS)); `pool` is the row of the places of each."""
        count = len(TAUS)
        place = self.at[pool] + (count * np.arange(len(quantiles)))[:, None]
        flat = quantiles.reshape(-1)
        below = flat.take(place - 1)
        found: Array = below + (flat.take(place) - below) * self.share[pool]
        if len(self.tails):
            above = quantiles[:, -1:] + self.over[pool] * _width(quantiles)[:, None]
            under = np.where(self.low[pool], quantiles[:, :1] * self.under[pool], found[:, self.tails])
            found[:, self.tails] = np.where(self.high[pool], above, under)
        return found


def inverse(quantiles: Array, probability: Array) -> Array:
    """Return the units at probabilities (rows, levels) of each forecast distribution; the reverse of `transform`."""
    return Places.of(probability).read(quantiles, np.arange(len(quantiles)))


def _width(quantiles: Array) -> Array:
    """Return the scale of the exponential tail above the last quantile."""
    middle = quantiles[..., len(TAUS) // 2]
    found: Array = np.maximum(
        (quantiles[..., -1] - quantiles[..., -3]) / TAIL, np.maximum(0.02 * middle, 1e-3 * np.maximum(quantiles[..., -1], 1e-3))
    )
    return found


@dataclass(frozen=True, slots=True)
class Recalibration:
    """For each pool (horizon third, size third, promotion state) the distribution of transforms, as probability at GRID."""

    edges: Array  # periods ahead that part horizons
    sizes: Array  # means that part sizes
    curves: Array  # (horizons, sizes, states, len(GRID))
    memo: dict[bytes, tuple[Places, Array]] = field(default_factory=dict, compare=False, repr=False)

    def __call__(self, quantiles: Array, ahead: Array, mean: Array, state: Array, levels: Array = TAUS) -> Array:
        """Return calibrated quantiles (rows, levels) of raw ones (rows, len(TAUS)); levels in any order."""
        places, back = self._places(levels)
        found = places.read(np.ascontiguousarray(quantiles), self._cell(ahead, mean, state))
        np.maximum(found, 0.0, out=found)
        np.maximum.accumulate(found, -1, out=found)
        return found.take(back, 1)

    def _places(self, levels: Array) -> tuple[Places, Array]:
        """Return where each pool reads rising levels off, and the place of each level in them; kept, for the same few come again."""
        key = levels.tobytes()
        kept = self.memo.get(key)
        if kept is None:
            if len(self.memo) >= MOST_LEVELS:
                self.memo.clear()
            order = np.argsort(levels, kind="stable")
            flat = self.curves.reshape(-1, len(GRID))
            places = Places.of(np.stack([_inverted(curve, levels[order]) for curve in flat]))
            kept = self.memo[key] = places, np.argsort(order, kind="stable")
        return kept

    def _cell(self, ahead: Array, mean: Array, state: Array) -> Array:
        far, size = self.edges.searchsorted(ahead, "right"), self.sizes.searchsorted(mean, "right")
        found: Array = (far * self.curves.shape[1] + size) * self.curves.shape[2] + (state > 0)
        return found

    def arrays(self, prefix: str) -> dict[str, Array]:
        """Return the numbers by name, ready for a tensor file."""
        return {prefix + "edges": self.edges, prefix + "sizes": self.sizes, prefix + "curves": self.curves.astype("f4")}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array], prefix: str) -> Recalibration:
        """Read the numbers back."""
        edges, sizes, curves = (arrays[prefix + name].astype("f8") for name in ("edges", "sizes", "curves"))
        return cls(edges, sizes, curves)


def intervals(calibrated: Callable[[Array], Array]) -> Array:
    """Return the columns of LEVELS (rows, len(LEVELS)) from a function of probabilities.

    An interval misses as often below as above, except where its lower bound is zero: nothing can lie below, so that all misses lie
    above, and the upper bound comes down until the interval covers what it says.
    """
    found = calibrated(SHOWN)
    zero = found[:, LOWS] <= TINY
    if zero.any():
        upper = np.maximum(found[:, len(LEVELS) :], found[:, MIDDLE, None])
        found[:, HIGHS] = np.where(zero, upper, found[:, HIGHS])
    return found[:, : len(LEVELS)]


def untouched() -> Recalibration:
    """Return the recalibration that leaves raw quantiles as they are: nothing came yet to judge them by."""
    return Recalibration(np.empty(0), np.empty(0), np.broadcast_to(GRID, (1, 1, 2, len(GRID))).copy())


def worth(transforms: Array) -> float:
    """Return how many actuals that know nothing of each other one actual is worth, above 0 and up to 1, from (series, blocks, steps).

    A forecast that starts too low stays too low: what misses in one block of one series hangs together, so its actuals say less than
    their number. The variance of their mean by blocks (a cluster-robust one), beside that of as many independent ones, is the design effect
    (Kish 1965); few blocks hardly know it, so it is drawn, with the weight of two, towards a block that is worth one actual.
    It weighs the shape of a distribution; that its blocks lie to one side is held against blocks themselves (`_agreed`).
    """
    known = np.isfinite(transforms)
    count, blocks = int(known.sum()), int(known.any(-1).sum())
    if count == 0:
        return 1.0
    away = np.where(known, transforms - transforms[known].mean(), 0.0)
    spread = float((away**2).sum()) / count
    if spread == 0:
        return blocks / count
    together = float((away.sum(-1) ** 2).sum()) / count**2  # times blocks / (blocks - 1), which cancels below
    of_mean = (2 * spread / blocks + blocks * together) / (blocks + 1)
    return float(np.clip(spread / of_mean / count, blocks / count, 1.0))


def learn(transforms: Array, ahead: Array, mean: Array, state: Array, age: Array, *, horizon: int, each: float = 1.0) -> Recalibration:
    """Learn from transforms of actuals that were forecast before they came; all arrays have one entry per actual.

    `age` counts blocks back from the newest; `each` is what an actual is worth (`worth`). A pool leans on the coarser pool it is part of
    (all; promotion state; with size; with horizon) the more, the fewer actuals it holds, and all of them on the raw quantiles. That the
    log odds of a pool are moved to one side is believed only as far as blocks agree on it (`_agreed`); the rest is told from all actuals.
    """
    fine = np.isfinite(transforms)
    if not fine.any():
        return untouched()
    u, ahead, mean, state, age = (np.asarray(value)[fine] for value in (transforms, ahead, mean, state, age))
    edges = np.unique(np.round(np.array([horizon / 4, horizon / 1.8]))) if horizon >= 6 else np.empty(0)
    sizes = np.unique(np.quantile(mean, np.arange(1, SIZES) / SIZES)) if len(u) >= 20 * SIZES else np.empty(0)
    ages, block = np.unique(age, return_inverse=True)
    cells = ((state > 0).astype("i8"), np.searchsorted(sizes, mean, "right"), np.searchsorted(edges, ahead, "right"), block)
    told = _told(u, cells, (2, len(sizes) + 1, len(edges) + 1, len(ages)))
    pooled = _Pooling(FADE ** ages.astype("f8"), each)
    whole = pooled(_Pool(GRID, 0.0, np.zeros(len(ages))), told, FIRST)
    curves = np.empty((*told.shape[2::-1], len(GRID)))
    for pulled, of_state in enumerate(told):
        by_state = pooled(whole, of_state, SHARE)
        for size, sized in enumerate(of_state):
            by_size = pooled(by_state, sized, SHARE)
            for far, one in enumerate(sized):
                curves[far, size, pulled] = pooled(by_size, one, SHARE).curve
    return Recalibration(edges, sizes, curves)


def _told(u: Array, cells: tuple[Array, ...], shape: tuple[int, ...]) -> Array:
    """Return how many transforms of each cell are at most GRID: (*shape, len(GRID))."""
    whole = (*shape, len(GRID))
    place = np.ravel_multi_index((*cells, np.searchsorted(GRID, u)), whole)
    found: Array = np.bincount(place, minlength=int(np.prod(whole))).reshape(whole).cumsum(-1)
    return found


@dataclass(frozen=True, slots=True)
class _Pool:
    """What is known of a pool of actuals."""

    shape: Array  # the distribution of its transforms, as probability at GRID, drawn towards the coarser pool's
    agreed: float  # how far it is moved to one side, as far as blocks agree
    moves: Array  # (blocks,) how far each block is

    @property
    def curve(self) -> Array:
        """Return the distribution that is calibrated by: all log odds of `shape` moved alike, until it is moved as far as agreed."""
        low, high, found = -MOST_MOVED, MOST_MOVED, self.shape
        for _ in range(HALVINGS):
            by = 0.5 * (low + high)
            found = self.shape / (self.shape + (1 - self.shape) * np.exp(-by))
            low, high = (by, high) if _move(found) < self.agreed else (low, by)
        return found


def _move(curve: Array) -> Array:
    """Return how far distributions of transforms, (..., len(GRID)), are moved to one side: what of MOVED there is in them."""
    found: Array = ((curve - GRID) * (MOVED * CELLS)).sum(-1) / float((MOVED**2 * CELLS).sum())
    return found


@dataclass(frozen=True, slots=True)
class _Pooling:
    """Makes pools: what a block weighs, and what an actual is worth."""

    fade: Array  # by block
    each: float

    def __call__(self, coarser: _Pool, told: Array, share: float) -> _Pool:
        """Return what is known of actuals that are part of a coarser pool, from their number up to GRID by cell and block."""
        told = told.reshape(-1, *told.shape[-2:])
        count = told[..., -1]
        weight = count.sum(0) * self.fade
        heard = float(weight.sum())
        if not heard:
            return coarser
        found = (told.sum(0) * self.fade[:, None]).sum(0) / heard
        total = heard * self.each
        moves = self._moves(_move(told / np.maximum(count, 1)[..., None]), count)
        agreed = coarser.agreed + heard / (heard + share) * _agreed(moves - coarser.moves, weight / heard)
        return _Pool((found * total + share * coarser.shape) / (total + share), agreed, moves)

    def _moves(self, move: Array, count: Array) -> Array:
        """Return how far each block is moved were its cells as often as on the whole, from (cells, blocks): cell plus block, fitted."""
        weight = count * self.fade
        block = np.zeros(count.shape[1])
        for _ in range(FITTED):
            cell = (weight * (move - block)).sum(1) / np.maximum(weight.sum(1), TINY)
            block = (count * (move - cell[:, None])).sum(0) / np.maximum(count.sum(0), 1)
        found: Array = (weight.sum(1) * cell).sum() / weight.sum() + block
        return found


def _agreed(blocks: Array, weight: Array) -> float:
    """Return the mean over blocks as far as it is more than blocks differ by chance; a block alone says nothing.

    What came over all series in one block came for a reason of that block: to which side it lay says little of the next one, however many
    series it held. The positive-part shrinkage of James and Stein (Efron and Morris 1973) with the variance between blocks, which few
    blocks hardly know: standard errors are counted as many as Student's t has in 95 % of means of as many blocks.
    """
    mean, square = float((weight * blocks).sum()), float((weight**2).sum())
    if square > 1 - TINY or abs(mean) < TINY:
        return 0.0
    error = float((weight * (blocks - mean) ** 2).sum()) / (1 - square) * square
    beyond = float(np.interp(1 / square - 1, np.arange(1, len(STUDENT) + 1), STUDENT)) ** 2
    return mean * max(0.0, 1 - beyond * error / mean**2)


def _inverted(curve: Array, levels: Array) -> Array:
    """Return the raw probability at which each wanted level is reached."""
    rising = np.maximum.accumulate(curve) + np.arange(len(curve)) * 1e-12
    found: Array = np.interp(levels, rising, GRID)
    return found
