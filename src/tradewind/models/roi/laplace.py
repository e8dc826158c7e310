"""Draws of the posterior without a sampler: its mode, a wide t around it, Pareto-smoothed weights.

Vehtari, Simpson, Gelman, Yao, Gabry (2024), "Pareto smoothed importance sampling"; the shape by Zhang and Stephens (2009).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
FREEDOM = 6  # of the t distribution proposed from
TRUST = 0.7  # a shape above it means the weights cannot be trusted


@dataclass(frozen=True, slots=True)
class Drawn:
    """Draws (D, size) of equal weight, what shape the tail of the weights had, and how many independent draws they are worth."""

    theta: Array
    shape: float
    worth: float
    mean: Array
    cov: Array


def draw(density: Callable[[Array], Array], start: Array, seed: int, *, proposals: int = 6000, keep: int = 600, rounds: int = 2) -> Drawn:
    """Return draws of a log density that takes (..., size): from two starts, moved twice to where the weights are."""
    rng = np.random.default_rng(seed)
    centre = mode(density, start, rng)
    root = _root(density, centre)
    for turn in range(rounds + 1):
        count = proposals if turn == rounds else proposals // 2
        theta, logs = _propose(rng, centre, root, count)
        target = np.concatenate([density(theta[at : at + 500]) for at in range(0, count, 500)])
        target = np.where(np.isfinite(target), target, -1e300)
        weight, shape = smooth(target - logs)
        if turn < rounds:
            cut = np.minimum(weight, np.quantile(weight, 0.999))
            centre, cov = _moments(theta, cut / cut.sum())
            root = np.linalg.cholesky(cov + 1e-6 * np.eye(len(centre))) * 1.05
    mean, cov = _moments(theta, weight)
    return Drawn(theta[_systematic(weight, keep, rng)], shape, float(1 / (weight**2).sum()), mean, cov)


def smooth(logs: Array) -> tuple[Array, float]:
    """Return weights that sum to one, their largest replaced by quantiles of the Pareto fitted to them, and its shape."""
    logs = logs - logs.max()
    count = len(logs)
    tail = int(min(0.2 * count, 3 * np.sqrt(count)))
    order = np.argsort(logs)
    cut = np.exp(logs[order[-tail - 1]])
    over = np.exp(logs[order[-tail:]]) - cut
    shape, scale = _pareto(over)
    at = (np.arange(tail) + 0.5) / tail
    placed = scale * np.expm1(-shape * np.log1p(-at)) / shape + cut
    logs = logs.copy()
    logs[order[-tail:]] = np.minimum(np.log(np.maximum(placed, 1e-300)), 0.0)
    weight = np.exp(logs)
    return weight / weight.sum(), shape


def _pareto(over: Array) -> tuple[float, float]:
    """Return shape and scale of the generalised Pareto of sorted excesses, the shape drawn a little to a half."""
    count = len(over)
    over = np.maximum(over, 1e-300)
    quarter = over[int(count / 4 + 0.5) - 1]
    grid = 30 + int(np.sqrt(count))
    at = 1 - np.sqrt(grid / (np.arange(1, grid + 1) - 0.5))
    at = at / (3 * quarter) + 1 / over[-1]
    shape = np.log1p(-at[:, None] * over).mean(1)
    fit = count * (np.log(-at / shape) - shape - 1)
    share = 1 / np.exp(np.clip(fit - fit[:, None], -700, 700)).sum(1)
    best = (at * share).sum() / share.sum()
    found = float(np.log1p(-best * over).mean())
    scale = -found / best
    found = (count * found + 10 * 0.5) / (count + 10)
    return (found if abs(found) > 1e-9 else 1e-9), float(scale)


def _slopes(density: Callable[[Array], Array], at: Array, step: float = 1e-5) -> tuple[float, Array]:
    size = len(at)
    points = np.concatenate([at[None], at + step * np.eye(size), at - step * np.eye(size)])
    found = -density(points)
    return float(found[0]), (found[1 : size + 1] - found[size + 1 :]) / (2 * step)


def mode(density: Callable[[Array], Array], start: Array, rng: np.random.Generator) -> Array:
    """Return where a log density that takes (S, size) is highest, found from two starts."""
    from scipy.optimize import minimize

    best = None
    for turn in range(2):
        begin = start if turn == 0 else start + rng.normal(0, 0.5, len(start))
        found = minimize(lambda at: _slopes(density, at), begin, jac=True, method="L-BFGS-B", options={"maxiter": 400})
        if best is None or found.fun < best.fun:
            best = found
    assert best is not None
    return np.asarray(best.x)


def _root(density: Callable[[Array], Array], mode: Array) -> Array:
    """Return a root of the covariance at the mode, flat directions cut at a variance of five."""
    step = 1e-3
    rows = [(_slopes(density, mode + step * one)[1] - _slopes(density, mode - step * one)[1]) / (2 * step) for one in np.eye(len(mode))]
    curve = (np.array(rows) + np.array(rows).T) / 2
    values, vectors = np.linalg.eigh(curve)
    root: Array = vectors / np.sqrt(np.maximum(values, 0.2)) * 1.1
    return root


def _propose(rng: np.random.Generator, centre: Array, root: Array, count: int) -> tuple[Array, Array]:
    size = len(centre)
    normal = rng.normal(size=(count, size))
    looser = rng.chisquare(FREEDOM, count) / FREEDOM
    squares = (normal**2).sum(1) / looser
    return centre + (normal @ root.T) / np.sqrt(looser)[:, None], -(FREEDOM + size) / 2 * np.log1p(squares / FREEDOM)


def _moments(theta: Array, weight: Array) -> tuple[Array, Array]:
    mean = weight @ theta
    gap = theta - mean
    return mean, (gap * weight[:, None]).T @ gap


def _systematic(weight: Array, count: int, rng: np.random.Generator) -> Array:
    """Return `count` places drawn by weight with the least noise, in random order."""
    places = np.searchsorted(np.cumsum(weight), (np.arange(count) + rng.random()) / count)
    return rng.permutation(np.minimum(places, len(weight) - 1))
