"""The same posterior drawn by Hamiltonian Monte Carlo on JAX's gradients: for geos, many channels, and where `fast` cannot be trusted."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from typing import Any

import numpy as np

from tradewind.core.errors import MissingExtra
from tradewind.core.model import Knob
from tradewind.core.table import Table
from tradewind.models.roi.beliefs import KNOBS
from tradewind.models.roi.learned import Learned
from tradewind.models.roi.recipe import MediaRecipe, continues

Array = np.ndarray[Any, Any]
MISSING = "the extra [bayes] is not installed"
CHAINS = 4
STEPS, BY_GEO = 500, 1000
SETTLED = 1.01  # r-hat up to which chains tell the same (Vehtari et al. 2021)
DOUBLINGS = 1  # of the draws, where the chains do not tell the same yet; what is left after them is said
_STEPS = Knob(
    "steps", 0, 0, 10_000, meaning="warm-up steps of each chain, and as many draws after them; 0: 500, with geos 1,000", tune=False
)


def installed() -> bool:
    """Tell whether the sampler is there."""
    return importlib.util.find_spec("jax") is not None


def learn(table: Table, params: Mapping[str, Any], seed: int, before: Learned | None) -> Learned:
    """Return draws by Hamiltonian Monte Carlo; raises MissingExtra without the sampler."""
    from tradewind.models.roi import health
    from tradewind.models.roi.carry import settled
    from tradewind.models.roi.media import read

    if not installed():
        raise MissingExtra(MISSING, hint="pip install 'tradewind[bayes]'")
    media = read(table, exposure=bool(params["exposure"]))
    params, late = settled(media, params, before)
    return sampled(media, params, seed, before, notes=[*health.gate(media), *late])


def sampled(media: Any, params: Mapping[str, Any], seed: int, before: Learned | None, *, notes: Any = ()) -> Learned:
    """Return draws by Hamiltonian Monte Carlo of media arrays."""
    from tradewind.models.roi import health
    from tradewind.models.roi.setup import kept, learned, setup

    if before is not None:
        continues(before, media.channels, media.geos, media.start, media.cut)
    made = setup(media, params, previous=before if before is not None and len(before.mean) else None)
    steps = int(params.get("steps", 0)) or (STEPS if len(media.geos) == 1 else BY_GEO)
    chains, told = walked(made.problem, seed, steps=steps)
    theta = chains.reshape(-1, chains.shape[-1])
    notes = list(notes)
    if told["r_hat"] > SETTLED or told["divergences"] > 0.01 * len(theta):
        notes.append(f"the sampler did not settle (r-hat {told['r_hat']:.3f}, {told['divergences']} divergences): raise the knob steps")
    chosen = np.random.default_rng([seed, 2]).choice(len(theta), min(kept(len(media.geos)), len(theta)), replace=False)
    moments = theta.mean(0), np.cov(theta.T) + 1e-9 * np.eye(theta.shape[1])
    return health.told(learned(made, theta[chosen], moments, seed, recipe="exact", health=told, notes=tuple(notes)), before, {})


def _double(jax: Any) -> Any:
    """Return the context of double precision, wherever this JAX keeps it."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    return importlib.import_module("jax.experimental").enable_x64()


def walked(problem: Any, seed: int, *, steps: int) -> tuple[Array, dict[str, Any]]:
    """Return draws (chains, draws, size) and how the walk went; gradients by JAX in double precision.

    The draws are doubled, at most DOUBLINGS times, until the chains tell the same.
    """
    import jax
    import jax.numpy as jnp
    from jax.scipy.linalg import solve_triangular

    from tradewind.models.roi.hmc import further, settled, walk
    from tradewind.models.roi.posterior import log_posterior

    def lower(low: Any, right: Any) -> Any:
        return solve_triangular(low, right, lower=True)

    def summed(theta: Any) -> tuple[Any, Any]:
        each = log_posterior(problem, theta, jnp, lower)
        return each.sum(), each

    with _double(jax):
        both = jax.jit(jax.value_and_grad(summed, has_aux=True))

        def slope(theta: Array) -> tuple[Array, Array]:
            (_, value), gradient = both(theta)
            return np.asarray(value), np.asarray(gradient)

        centre, root = _round(slope, problem)
        done = walk(slope, centre, root, seed, steps=steps, chains=CHAINS)
        for _ in range(DOUBLINGS):
            if settled(done.theta)[0] <= SETTLED:
                break
            done = further(slope, done, seed)
    ratio, worth = settled(done.theta)
    return done.theta, {
        "r_hat": ratio,
        "draws": CHAINS * done.theta.shape[1],
        "independent_draws": worth,
        "divergences": done.divergences,
        "steps_per_draw": done.steps,
    }


def _round(slope: Any, problem: Any) -> tuple[Array, Array]:
    """Return the mode and a root of the covariance there; the batch is as wide as the walk's, so that one compilation serves both."""
    from scipy.optimize import minimize

    from tradewind.models.roi.setup import start

    def one(theta: Array) -> tuple[float, Array]:
        value, gradient = slope(np.repeat(theta[None], CHAINS, 0))
        return -float(value[0]), -gradient[0]

    found = minimize(one, start(problem), jac=True, method="L-BFGS-B", options={"maxiter": 500})
    step = 1e-4
    curve = np.array([one(found.x + step * way)[1] - one(found.x - step * way)[1] for way in np.eye(problem.size)]) / (2 * step)
    values, vectors = np.linalg.eigh((curve + curve.T) / 2)
    return np.asarray(found.x), vectors / np.sqrt(np.maximum(values, 0.5))


RECIPE = MediaRecipe("exact", (*KNOBS, _STEPS), learn)
