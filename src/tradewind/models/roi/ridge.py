"""The baseline: ridge regression on curves found by random search, bootstrapped in blocks. What most in-house models do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tradewind.core.model import Knob
from tradewind.core.table import Table
from tradewind.models.roi.beliefs import KNOBS
from tradewind.models.roi.learned import Learned
from tradewind.models.roi.recipe import MediaRecipe, continues

Array = np.ndarray[Any, Any]
DRAWS = 200
BLOCK = 8  # periods that are drawn together
NARROW = "a ridge regression answers: it foresees the outcome, but its returns are often far off and its intervals too narrow"
_TRIALS = Knob("trials", 300, 20, 5000, meaning="curves tried at random", tune=False)
_KNOBS = (*(knob for knob in KNOBS if knob.name in ("lags", "worth", "exposure", "curve", "carry", "basis", "belief")), _TRIALS)


def learn(table: Table, params: Mapping[str, Any], seed: int, before: Learned | None) -> Learned:
    """Return bootstrap draws of a ridge regression, geos added up; the curves are those that forecast the last fifth best."""
    from tradewind.models.roi import health
    from tradewind.models.roi.media import read, together
    from tradewind.models.roi.setup import setup, state_of

    media = read(table, exposure=bool(params["exposure"]))
    notes = [*health.gate(media), NARROW]
    if media.tests:
        notes.append(f"a ridge regression knows nothing of experiments: {len(media.tests)} left out")
    if len(media.geos) > 1:
        notes.append("this baseline adds the geos up into one")
        media = together(media)
    if before is not None:
        continues(before, media.channels, media.geos, media.start, media.cut)
    made = setup(media, {**params, "carry": "geometric"})
    problem = made.problem
    rng = np.random.default_rng([seed, 4])
    known = problem.weight[0] > 0
    y, base = problem.y[0][known], np.concatenate([problem.base[0], 0.1 * problem.trend[0]], 1)
    best = _search(problem, (y, base[known], known), int(params["trials"]), rng)
    weights, half, slope, sat = best
    drawn = [_fit(_resampled(y, base[known], sat[known], rng)) for _ in range(DRAWS)]
    beta, gamma, noise = (np.stack(each) for each in zip(*drawn, strict=True))
    level = made.level[0]
    gamma[:, -problem.trend.shape[-1] :] *= 0.1
    spread = np.full((DRAWS, 1), 0.1 * level)
    parts = (
        np.repeat(weights[None], DRAWS, 0),
        np.repeat(half[None], DRAWS, 0),
        np.repeat(slope[None], DRAWS, 0),
        beta[:, None] * level,
        gamma[:, None] * level,
        noise * level,
        0.0 * noise,
        spread,
    )
    state = state_of(made, parts, (np.zeros(0), np.zeros((0, 0))), recipe="ridge", health={}, notes=tuple(notes))
    return health.told(state, before, {})


def _search(problem: Any, rows: tuple[Array, Array, Array], trials: int, rng: np.random.Generator) -> tuple[Array, ...]:
    """Return weights (C, L), half (C,), slope (C,) and saturation (T, C) of the trial with the least error on the last fifth."""
    from tradewind.models.roi.curves import saturation, weights

    y, base, known = rows
    channels = problem.lag.shape[0]
    split = int(0.8 * len(y))
    least, best = np.inf, None
    for _ in range(trials):
        share = rng.uniform(0.02, 0.9, channels)
        half, slope = np.exp(rng.normal(0, 0.6, channels)), np.exp(rng.normal(0.1, 0.25, channels))
        weight = weights(np.log(share / (1 - share)), share, "geometric", problem.lag.shape[1])
        stock = np.einsum("cl,clt->tc", weight, problem.lag)
        sat = saturation(stock, half, slope, problem.curve)
        beta, gamma, _ = _fit((y[:split], base[:split], sat[known][:split], np.ones(split)))
        error = ((y[split:] - base[split:] @ gamma - sat[known][split:] @ beta) ** 2).mean()
        if error < least:
            least, best = error, (weight, half, slope, sat)
    assert best is not None
    return best


def _resampled(y: Array, base: Array, sat: Array, rng: np.random.Generator) -> tuple[Array, ...]:
    """Return rows and how often each was drawn, in blocks."""
    count = len(y)
    starts = rng.integers(0, count, -(-count // BLOCK))
    rows = (starts[:, None] + np.arange(BLOCK)).ravel()[:count] % count
    return y, base, sat, np.bincount(rows, minlength=count).astype(float)


def _fit(rows: tuple[Array, ...]) -> tuple[Array, Array, Array]:
    """Return media effects (none below zero), baseline and noise of a weighted ridge regression; the penalty is that of sigma 0.1."""
    y, base, sat, weight = rows
    x = np.concatenate([sat, base], 1)
    free = np.ones(x.shape[1], bool)
    media = sat.shape[1]
    coefficient = np.zeros(x.shape[1])
    penalty = np.full(x.shape[1], 0.01)
    for _ in range(media + 1):
        used = x[:, free]
        coefficient[:] = 0.0
        gram = (used * weight[:, None]).T @ used + np.diag(penalty[free])
        coefficient[free] = np.linalg.solve(gram, used.T @ (weight * y))
        below = np.flatnonzero(coefficient[:media] < 0)
        if len(below) == 0:
            break
        free[below] = False
    rest = y - x @ coefficient
    noise = np.sqrt((weight * rest**2).sum() / max(weight.sum() - free.sum(), 1))
    return coefficient[:media], coefficient[media:], np.array([noise])


RECIPE = MediaRecipe("ridge", _KNOBS, learn)
