"""Many penalised log-linear regressions at once, their errors by a bootstrap over blocks of time.

Quasi-likelihood with variance in proportion to the mean (McCullagh and Nelder 1989, chapter 9), by iterated weighted least squares;
residuals far out count less (Huber's weights). The bootstrap draws blocks of standardised residuals, the same blocks for every series, and
takes one Newton step from each draw: what errs together in time and across series stays together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.models.seasonality.design import BENDS, Design

Array = np.ndarray[Any, Any]
STEPS, PLAIN = 7, 4
FAR = 3.0  # standardised residuals beyond it count less
CHUNK = 48  # series worked on at once
DRAWS = 200
THIN, PARTS = 0.5, 8  # share of known periods below which a series draws from its own ones alone, in so many blocks at least
CAUTION = 1.4  # each coefficient is charged more than one figure


@dataclass(frozen=True, slots=True)
class Fitted:
    """`beta` (series, columns), its draws (series, DRAWS, columns), standardised residuals (series, periods) with NaN where unknown."""

    beta: Array
    draws: Array
    left: Array
    wider: Array  # (series,) by how much figures stray more than those that were fitted


def fit(design: Design, figures: Array, *, block: int, seed: int) -> Fitted:
    """Fit figures over their level, (series, periods), NaN where unknown."""
    blocks = _blocks(figures.shape[1], block, seed)
    parts = [
        _fit(design, figures[at : at + CHUNK], np.arange(at, min(at + CHUNK, len(figures))), blocks, block)
        for at in range(0, len(figures), CHUNK)
    ]
    return Fitted(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("beta", "draws", "left", "wider")))


def _blocks(periods: int, block: int, seed: int) -> Array:
    """Return the periods whose residuals each draw puts in the place of each period, (DRAWS, periods): blocks with wrap-around."""
    count = -(-periods // block)
    starts = np.random.default_rng(seed).integers(0, periods, (DRAWS, count))
    return ((starts[:, :, None] + np.arange(block)).reshape(DRAWS, -1)[:, :periods]) % periods


@dataclass(slots=True)
class _Work:
    """Some series at work: columns, figures (zero where unknown), what is said of them, and how far each is trusted."""

    x: Array
    y: Array
    known: Array
    mean: Array
    loose: Array
    huber: Array
    prior: Array
    block: int


def _fit(design: Design, figures: Array, rows: Array, blocks: Array, block: int) -> Fitted:
    series, periods = figures.shape
    shared = np.broadcast_to(design.shared, (series, *design.shared.shape))
    x = np.concatenate([shared, design.own(rows, periods)], 2)
    known = np.isfinite(figures)
    y = np.where(known, figures, 0.0)
    start = np.where(known, 0.5 * y + 0.5, 1.0)  # between the figures and their level
    prior = np.broadcast_to(design.prior, (series, x.shape[2])).copy()
    work = _Work(x, y, known, start, np.full(series, 0.1), known.astype("f8"), prior, block)
    for step in range(STEPS):
        _, work.mean, used, _ = _step(work, first=step == 0)
        work.loose, far = _spread(y, known, work.mean, used)
        if step >= PLAIN:  # an event must be known before its days can be called outliers
            work.huber = far
            work.prior[:, design.slow] = design.prior[design.slow] / np.sqrt(_together(work))[:, None]
    work.prior = _bent(work, design)
    for _ in range(2):
        beta, work.mean, used, inverse = _step(work, first=False)
        work.loose, work.huber = _spread(y, known, work.mean, used)
    return _drawn(work, beta, used, inverse, blocks)


def _bent(work: _Work, design: Design) -> Array:
    """Return the priors with the freedom of the trend that generalised cross-validation prefers for each series."""
    best, chosen = np.full(len(work.y), np.inf), work.prior
    given, count = work.prior.copy(), np.maximum(work.known.sum(1), 1)
    for bend in BENDS:
        work.prior = given.copy()
        work.prior[:, design.bends] *= bend / BENDS[1]
        _, mean, used, _ = _step(work, first=False)
        error = (work.huber * (work.y - mean) ** 2 / np.maximum(mean, 1e-9)).sum(1) / count
        error = error / np.maximum(1 - CAUTION * used / count, 0.05) ** 2
        chosen = np.where((error < best)[:, None], work.prior, chosen)
        best = np.minimum(error, best)
    return chosen


def _drawn(work: _Work, beta: Array, used: Array, inverse: Array, blocks: Array) -> Fitted:
    """Return the fit with draws of its coefficients: residuals by blocks, and what the priors leave open as well."""
    count = work.known.sum(1)
    free = np.sqrt(np.maximum(count, 1) / np.maximum(count - used, 1))
    left = np.where(work.known, (work.y - work.mean) / np.sqrt(np.maximum(work.loose[:, None] * work.mean, 1e-12)), np.nan)
    share = np.maximum(count, 1) / left.shape[1]
    thin = np.where(share < THIN, 1.0, 1 / np.sqrt(share))  # a block of no figures would say that there is no error
    parted = np.sqrt(1 / (1 - work.block / max(left.shape[1], 2 * work.block)))  # what is left adds up to none over all blocks
    capped = np.nan_to_num(np.clip(left, -FAR, FAR)) * (free * thin * parted)[:, None]
    root = work.x * (np.sqrt(work.mean / work.loose[:, None]) * work.known)[:, :, None]
    draws = np.empty((len(beta), DRAWS, beta.shape[1]), "f4")
    chance = np.random.default_rng(blocks[:, 0]).normal(size=(beta.shape[1], DRAWS))
    for row in range(len(beta)):
        drawn = blocks if share[row] >= THIN else _own_blocks(np.flatnonzero(work.known[row]), blocks, work.block)
        moved = inverse[row] @ (root[row].T @ capped[row][drawn].T + chance / work.prior[row][:, None])
        draws[row] = (beta[row][:, None] + moved).T
    return Fitted(beta, draws, left, free)


def _own_blocks(there: Array, blocks: Array, block: int) -> Array:
    """Return draws like `blocks` from some periods alone: those of a series that is known for a small part of the time."""
    size = int(np.clip(len(there) // PARTS, 1, block))
    count = -(-blocks.shape[1] // size)
    starts = np.random.default_rng(blocks[:, 0]).integers(0, max(len(there), 1), (len(blocks), count))
    at = (starts[:, :, None] + np.arange(size)).reshape(len(blocks), -1)[:, : blocks.shape[1]]
    found: Array = there[at % max(len(there), 1)]
    return found


def _step(work: _Work, *, first: bool) -> tuple[Array, Array, Array, Array]:
    """Take one step; return coefficients, means, how many coefficients are really used, and the inverse of the curvature."""
    mean = work.mean
    weight = work.huber * mean / work.loose[:, None]
    gap = 0.0 if first else np.where(work.known, (work.y - mean) / np.maximum(mean, 1e-9), 0.0)
    aim = np.log(np.maximum(mean, 1e-9)) + gap
    weighted = work.x * weight[:, :, None]
    gram = np.matmul(weighted.swapaxes(1, 2), work.x)
    penalised = gram.copy()
    at = np.arange(work.x.shape[2])
    penalised[:, at, at] += 1 / work.prior**2
    inverse = np.linalg.inv(penalised)
    beta = np.matmul(inverse, np.matmul(weighted.swapaxes(1, 2), aim[:, :, None]))[:, :, 0]
    said = np.exp(np.clip(np.matmul(work.x, beta[:, :, None])[:, :, 0], -12, 6))
    used = np.einsum("sij,sji->s", inverse, gram)
    return beta, said, used, inverse


def _together(work: _Work) -> Array:
    """Return how much larger the variance of sums over a block is than if figures erred apart: what slow columns are up against."""
    left = np.where(work.known, (work.y - work.mean) / np.sqrt(np.maximum(work.loose[:, None] * work.mean, 1e-12)), 0.0)
    left = np.clip(left, -FAR, FAR)
    starts = np.arange(0, left.shape[1], work.block)
    sums, count = np.add.reduceat(left, starts, 1), np.add.reduceat(work.known.astype("f8"), starts, 1)
    found: Array = np.clip((sums**2).sum(1) / np.maximum(count.sum(1), 1), 1.0, work.block)
    return found


def _spread(y: Array, known: Array, mean: Array, used: Array) -> tuple[Array, Array]:
    """Return variance over mean, and Huber's weights."""
    gap = np.where(known, (y - mean) / np.sqrt(np.maximum(mean, 1e-9)), 0.0)
    free = np.maximum(known.sum(1) - used, 1)
    rough = np.sqrt((gap**2).sum(1) / free)
    clipped = np.clip(gap, -FAR * rough[:, None], FAR * rough[:, None])
    loose = np.maximum((clipped**2).sum(1) / free, 1e-5)
    apart = np.abs(gap) / np.sqrt(loose)[:, None]
    return loose, known * np.minimum(1.0, FAR / np.maximum(apart, 1e-9))
