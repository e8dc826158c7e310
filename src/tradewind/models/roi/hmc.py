"""Hamiltonian Monte Carlo where the posterior was made almost round: all chains walk together, one batched gradient a step.

A general sampler such as numpyro's NUTS spends 8 to 15 seconds compiling its own loops and finds its scales by wandering. Here both are
known beforehand: the walk is in u, theta = centre + root u, with the root of the covariance at the mode, then of the warm-up's own draws.
Jittered path lengths (Neal 2011), step size by dual averaging (Hoffman and Gelman 2014).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Slope = Callable[[Array], tuple[Array, Array]]  # (chains, size) -> log density (chains,) and its gradient (chains, size)
ACCEPT = 0.95
SHORTER = 0.75  # of the step settled on, for the draws that are kept: narrow places were not all met in the warm-up
PATH = np.pi / 2  # of a round posterior, the length after which a draw has forgotten where it came from
LONGEST = 64  # steps of one path
FAR = 1000.0  # error of the energy above which a path has diverged


@dataclass(frozen=True, slots=True)
class Walked:
    """Draws (chains, draws, size), how many paths diverged after the warm-up, the mean steps of a path, and how to walk on."""

    theta: Array
    divergences: int
    steps: float
    space: tuple[Array, Array]
    size: float


def walk(slope: Slope, centre: Array, root: Array, seed: int, *, steps: int, chains: int) -> Walked:
    """Return as many draws of each chain as warm-up steps were taken; half way through these the scales are learned anew."""
    rng = np.random.default_rng([seed, 3])
    at = centre + 0.7 * rng.normal(size=(chains, len(centre))) @ root.T
    first = _run(slope, at, (centre, root), rng, count=max(steps // 2, 10), size=0.5, adapt=True)
    late = first[0][:, first[0].shape[1] // 3 :].reshape(-1, len(centre))
    if len(late) > 5 * len(centre):
        centre, cov = late.mean(0), np.cov(late.T)
        held = 5.0 * len(centre) / len(late)  # few draws: the scales of before count more
        root = np.linalg.cholesky((cov + held * (root @ root.T)) / (1 + held))
    second = _run(slope, first[0][:, -1], (centre, root), rng, count=max(steps - steps // 2, 10), size=first[1], adapt=True)
    size = SHORTER * second[1]
    drawn, _, far, taken = _run(slope, second[0][:, -1], (centre, root), rng, count=steps, size=size, adapt=False)
    return Walked(drawn, far, taken, (centre, root), size)


def further(slope: Slope, done: Walked, seed: int) -> Walked:
    """Return a walk with as many draws again, from where it stood; nothing is adapted any more, so that all draws count alike."""
    count = done.theta.shape[1]
    rng = np.random.default_rng([seed, 3, count])
    drawn, _, far, taken = _run(slope, done.theta[:, -1], done.space, rng, count=count, size=done.size, adapt=False)
    return replace(done, theta=np.concatenate([done.theta, drawn], 1), divergences=done.divergences + far, steps=(done.steps + taken) / 2)


def _run(
    slope: Slope, at: Array, space: tuple[Array, Array], rng: np.random.Generator, *, count: int, size: float, adapt: bool
) -> tuple[Array, float, int, float]:
    """Return draws (chains, count, size), the step size settled on, divergences and mean steps."""
    centre, root = space
    u = np.linalg.solve(root, (at - centre).T).T
    value, gradient = _scaled(slope, centre, root, u)
    out: Array = np.empty((len(u), count, len(centre)))
    tuned = _Tuned(size)
    far = taken = 0
    for turn in range(count):
        step = tuned.now if adapt else size
        paths = int(np.clip(np.ceil(PATH / step * rng.uniform(0.4, 1.2)), 1, LONGEST))
        speed = np.asarray(rng.normal(size=u.shape))
        moved, pushed, gradient_, value_ = u, speed, gradient, value
        for _ in range(paths):
            pushed = pushed + 0.5 * step * gradient_
            moved = moved + step * pushed
            value_, gradient_ = _scaled(slope, centre, root, moved)
            pushed = pushed + 0.5 * step * gradient_
        with np.errstate(all="ignore"):  # a path that flew off is turned down below
            error = (value_ - 0.5 * (pushed**2).sum(1)) - (value - 0.5 * (speed**2).sum(1))
        error = np.where(np.isfinite(error), error, -np.inf)
        chance = np.exp(np.minimum(error, 0.0))
        taken += paths
        far += int((error < -FAR).sum())
        go = rng.random(len(u)) < chance
        u = np.where(go[:, None], moved, u)
        value, gradient = np.where(go, value_, value), np.where(go[:, None], gradient_, gradient)
        out[:, turn] = centre + u @ root.T
        if adapt:
            tuned.saw(float(chance.mean()))
    return out, tuned.settled if adapt else size, far, taken / count


def _scaled(slope: Slope, centre: Array, root: Array, u: Array) -> tuple[Array, Array]:
    with np.errstate(all="ignore"):
        value, gradient = slope(centre + u @ root.T)
    return np.where(np.isfinite(value), value, -np.inf), np.nan_to_num(gradient @ root, nan=0.0, posinf=0.0, neginf=0.0)


class _Tuned:
    """A step size that comes to accept ACCEPT of all moves."""

    def __init__(self, size: float) -> None:
        self._log = self._mean = float(np.log(size))
        self._gap, self._turn = 0.0, 0
        self._pull = float(np.log(2 * size))

    @property
    def now(self) -> float:
        """Return the size to try next."""
        return float(np.exp(self._log))

    @property
    def settled(self) -> float:
        """Return the size settled on."""
        return float(np.exp(self._mean))

    def saw(self, chance: float) -> None:
        """Take in how often the last move was accepted."""
        self._turn += 1
        share = 1 / (self._turn + 10)
        self._gap = (1 - share) * self._gap + share * (ACCEPT - chance)
        self._log = self._pull - float(np.sqrt(self._turn)) / 0.05 * self._gap
        weight = self._turn**-0.75
        self._mean = weight * self._log + (1 - weight) * self._mean


def settled(chains: Array) -> tuple[float, float]:
    """Return the largest split r-hat and the smallest number of independent draws over all parameters of (chains, draws, size).

    Gelman et al. (2013), Geyer's initial positive sequence.
    """
    count, draws, size = chains.shape
    half = draws // 2
    parts = np.concatenate([chains[:, :half], chains[:, half : 2 * half]])
    within = parts.var(1, ddof=1).mean(0)
    between = half * parts.mean(1).var(0, ddof=1)
    ratio = np.sqrt(((half - 1) / half * within + between / half) / np.maximum(within, 1e-300))
    worth = np.inf
    for at in range(size):
        x = chains[:, :, at] - chains[:, :, at].mean(1, keepdims=True)
        power = np.abs(np.fft.rfft(x, 2 * draws, axis=1)) ** 2
        cov = np.fft.irfft(power, axis=1)[:, :draws].mean(0) / draws
        total = cov[0] + chains[:, :, at].mean(1).var(ddof=1) if count > 1 else cov[0]
        rho = 1 - (cov[0] - cov) / max(total, 1e-300)
        pairs = rho[: draws // 2 * 2].reshape(-1, 2).sum(1)
        last = int(np.argmax(pairs < 0)) if (pairs < 0).any() else len(pairs)
        worth = min(worth, count * draws / max(2 * pairs[:last].sum() - 1, 1.0 / np.log10(count * draws)))
    return float(ratio.max()), float(worth)
