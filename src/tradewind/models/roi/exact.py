"""The same posterior drawn by NUTS (numpyro on JAX): for geos, for many channels, and wherever `fast` says it cannot be trusted."""

from __future__ import annotations

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
STEPS, CHAINS = 400, 2
_STEPS = Knob("steps", STEPS, 20, 5000, meaning="warm-up steps of each chain, and as many draws after them", tune=False)


def installed() -> bool:
    """Tell whether the sampler is there."""
    return importlib.util.find_spec("numpyro") is not None and importlib.util.find_spec("jax") is not None


def learn(table: Table, params: Mapping[str, Any], seed: int, before: Learned | None) -> Learned:
    """Return draws by NUTS; raises MissingExtra without the sampler."""
    from tradewind.models.roi import health
    from tradewind.models.roi.media import read

    if not installed():
        raise MissingExtra(MISSING, hint="pip install 'tradewind[bayes]'")
    media = read(table, exposure=bool(params["exposure"]))
    return sampled(media, params, seed, before, notes=health.gate(media))


def sampled(media: Any, params: Mapping[str, Any], seed: int, before: Learned | None, *, notes: Any = ()) -> Learned:
    """Return draws by NUTS of media arrays."""
    from tradewind.models.roi import health
    from tradewind.models.roi.setup import KEPT, learned, setup

    if before is not None:
        continues(before, media.channels, media.geos, media.start, media.cut)
    made = setup(media, params, previous=before if before is not None and len(before.mean) else None)
    chains, told = nuts(made.problem, seed, steps=int(params.get("steps", STEPS)))
    theta = chains.reshape(-1, chains.shape[-1])
    notes = list(notes)
    if told["r_hat"] > 1.05 or told["divergences"] > 0.01 * len(theta):
        notes.append(f"the sampler did not settle (r-hat {told['r_hat']:.2f}, {told['divergences']} divergences): raise the knob steps")
    chosen = np.random.default_rng([seed, 2]).choice(len(theta), min(KEPT, len(theta)), replace=False)
    moments = theta.mean(0), np.cov(theta.T) + 1e-9 * np.eye(theta.shape[1])
    return health.told(learned(made, theta[chosen], moments, seed, recipe="exact", health=told, notes=tuple(notes)), before, {})


def _double(jax: Any) -> Any:
    """Return the context of double precision, wherever this JAX keeps it."""
    if hasattr(jax, "enable_x64"):
        return jax.enable_x64(True)
    from jax.experimental import enable_x64

    return enable_x64()


def nuts(problem: Any, seed: int, *, steps: int) -> tuple[Array, dict[str, Any]]:
    """Return draws (chains, steps, size) and how the sampler did; double precision, chains one after the other.

    The sampler walks in u, theta = centre + root u, where root is that of the Laplace covariance: there the posterior is almost round.
    """
    import jax
    import jax.numpy as jnp
    from jax.scipy.linalg import solve_triangular
    from numpyro.diagnostics import effective_sample_size, split_gelman_rubin
    from numpyro.infer import MCMC, NUTS

    from tradewind.models.roi.posterior import log_posterior

    def lower(low: Any, right: Any) -> Any:
        return solve_triangular(low, right, lower=True)

    with _double(jax):
        density = jax.jit(lambda theta: log_posterior(problem, theta[None], jnp, lower)[0])
        centre, root = _round(problem, density)
        sampler = NUTS(potential_fn=lambda u: -density(centre + root @ u), target_accept_prob=0.9, max_tree_depth=8)
        run = MCMC(sampler, num_warmup=steps, num_samples=steps, num_chains=CHAINS, chain_method="sequential", progress_bar=False)
        begin = jnp.asarray(np.random.default_rng([seed, 3]).normal(size=(CHAINS, problem.size)) * 0.5)
        run.run(jax.random.PRNGKey(seed), init_params=begin, extra_fields=("diverging", "num_steps"))
        walked = np.asarray(run.get_samples(group_by_chain=True), "f8")
        fields = run.get_extra_fields()
        chains = np.asarray(centre) + walked @ np.asarray(root).T
        told = {
            "r_hat": float(np.max(split_gelman_rubin(chains))),
            "independent_draws": float(np.min(effective_sample_size(chains))),
            "divergences": int(np.asarray(fields["diverging"]).sum()),
            "steps_per_draw": float(np.mean(fields["num_steps"])),
        }
    return chains, told


def _round(problem: Any, density: Any) -> tuple[Array, Array]:
    """Return the mode and a root of the covariance there, no direction wider than the prior of a hierarchy's deviations allows."""
    import jax
    from scipy.optimize import minimize

    from tradewind.models.roi.setup import start

    slope = jax.jit(jax.value_and_grad(lambda theta: -density(theta)))

    def both(theta: Array) -> tuple[float, Array]:
        value, gradient = slope(theta)
        return float(value), np.asarray(gradient, "f8")

    found = minimize(both, start(problem), jac=True, method="L-BFGS-B", options={"maxiter": 500})
    step = 1e-4
    curve = np.array([both(found.x + step * one)[1] - both(found.x - step * one)[1] for one in np.eye(problem.size)]) / (2 * step)
    values, vectors = np.linalg.eigh((curve + curve.T) / 2)
    return np.asarray(found.x), vectors / np.sqrt(np.maximum(values, 0.7))


RECIPE = MediaRecipe("exact", (*KNOBS, _STEPS), learn)
