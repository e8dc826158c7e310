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
    parts = [_fit(design, figures[at : at + CHUNK], np.arange(at, min(at + CHUNK, len(figures))), blocks, block) for at in range(0, len(figures), CHUNK)]
    return Fitted(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("beta", "draws", "left", "wider")))


def _blocks(periods: int, block: int, seed: int) -> Array:
    """Return the periods whose residuals each draw puts in the place of each period, (DRAWS, periods): blocks with wrap-around."""
    count = -(-periods // block)
    starts = np.random.default_rng(seed).integers(0, periods, (DRAWS, count))
    return ((starts[:, :, None] + np.arange(block)).reshape(DRAWS, -1)[:, :periods]) % periods


def _fit(design: Design, figures: Array, rows: Array, blocks: Array, block: int) -> Fitted:
    series, periods = figures.shape
    shared = np.broadcast_to(design.shared, (series, *design.shared.shape))
    x = np.concatenate([shared, design.own(rows, periods)], 2)
    known = np.isfinite(figures)
    y = np.where(known, figures, 0.0)
    mean = np.where(known, 0.5 * y + 0.5, 1.0)  # a start between the figures and their level
    beta = np.zeros((series, x.shape[2]))
    loose, huber = np.full(series, 0.1), known.astype("f8")
    prior = np.broadcast_to(design.prior, beta.shape).copy()
    for step in range(STEPS):
        beta, mean, used, _ = _step(x, y, known, mean, huber, loose, prior, first=step == 0)
        loose, far = _spread(y, known, mean, used)
        huber = far if step >= PLAIN else huber  # an event must be known before its days can be called outliers
        if step >= PLAIN:
            prior[:, design.slow] = design.prior[design.slow] / np.sqrt(_together(y, known, mean, loose, block))[:, None]
    best = np.full(series, np.inf)
    start = beta.copy(), mean.copy(), loose, huber
    for bend in BENDS:  # how freely the trend bends is chosen by generalised cross-validation
        tried = prior.copy()
        tried[:, design.bends] *= bend / BENDS[1]
        own_beta, own_mean, own_used, _ = _step(x, y, known, start[1], start[3], start[2], tried, first=False)
        error = (huber * (y - own_mean) ** 2 / np.maximum(own_mean, 1e-9)).sum(1) / np.maximum(known.sum(1), 1)
        room = np.maximum(1 - CAUTION * own_used / np.maximum(known.sum(1), 1), 0.05)
        better = error / room**2 < best
        best = np.where(better, error / room**2, best)
        prior = np.where(better[:, None], tried, prior)
    for _ in range(2):
        beta, mean, used, inverse = _step(x, y, known, mean, huber, loose, prior, first=False)
        loose, huber = _spread(y, known, mean, used)
    free = np.sqrt(np.maximum(known.sum(1), 1) / np.maximum(known.sum(1) - used, 1))
    left = np.where(known, (y - mean) / np.sqrt(np.maximum(loose[:, None] * mean, 1e-12)), np.nan)
    capped = np.nan_to_num(np.clip(left, -FAR, FAR)) * free[:, None]
    root = x * (np.sqrt(mean / loose[:, None]) * known)[:, :, None]
    draws = np.empty((series, DRAWS, x.shape[2]), "f4")
    chance = np.random.default_rng(blocks[:, 0]).normal(size=(x.shape[2], DRAWS))
    for row in range(series):
        moved = inverse[row] @ (root[row].T @ capped[row][blocks].T + chance / prior[row][:, None])  # what the priors leave open as well
        draws[row] = (beta[row][:, None] + moved).T
    return Fitted(beta, draws, left, free)


def _step(
    x: Array, y: Array, known: Array, mean: Array, huber: Array, loose: Array, prior: Array, *, first: bool
) -> tuple[Array, Array, Array, Array]:
    """Take one step; return coefficients, means, how many coefficients are really used, and the inverse of the curvature."""
    weight = huber * mean / loose[:, None]
    logged = np.log(np.maximum(mean, 1e-9))
    aim = logged + np.where(known, (y - mean) / np.maximum(mean, 1e-9), 0.0) * (0.0 if first else 1.0)
    weighted = x * weight[:, :, None]
    gram = np.matmul(weighted.swapaxes(1, 2), x)
    penalised = gram.copy()
    at = np.arange(x.shape[2])
    penalised[:, at, at] += 1 / prior**2
    inverse = np.linalg.inv(penalised)
    beta = np.matmul(inverse, np.matmul(weighted.swapaxes(1, 2), aim[:, :, None]))[:, :, 0]
    said = np.exp(np.clip(np.matmul(x, beta[:, :, None])[:, :, 0], -12, 6))
    used = np.einsum("sij,sji->s", inverse, gram)
    return beta, said, used, inverse


def _together(y: Array, known: Array, mean: Array, loose: Array, block: int) -> Array:
    """Return how much larger the variance of sums over a block is than if figures erred apart: what slow columns are up against."""
    left = np.where(known, (y - mean) / np.sqrt(np.maximum(loose[:, None] * mean, 1e-12)), 0.0)
    left = np.clip(left, -FAR, FAR)
    starts = np.arange(0, y.shape[1], block)
    sums, count = np.add.reduceat(left, starts, 1), np.add.reduceat(known.astype("f8"), starts, 1)
    return np.clip((sums**2).sum(1) / np.maximum(count.sum(1), 1), 1.0, block)


def _spread(y: Array, known: Array, mean: Array, used: Array) -> tuple[Array, Array]:
    """Return variance over mean, and Huber's weights."""
    gap = np.where(known, (y - mean) / np.sqrt(np.maximum(mean, 1e-9)), 0.0)
    free = np.maximum(known.sum(1) - used, 1)
    rough = np.sqrt((gap**2).sum(1) / free)
    clipped = np.clip(gap, -FAR * rough[:, None], FAR * rough[:, None])
    loose = np.maximum((clipped**2).sum(1) / free, 1e-5)
    apart = np.abs(gap) / np.sqrt(loose)[:, None]
    return loose, known * np.minimum(1.0, FAR / np.maximum(apart, 1e-9))
