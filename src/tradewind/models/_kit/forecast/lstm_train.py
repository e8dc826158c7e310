"""Train the recurrent network with JAX: a cell with a gradient of its own, masked pinball loss, AdamW in one cycle, averaged weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from tradewind.core.errors import LearnFailed
from tradewind.models._kit.forecast.percent import LEAST
from tradewind.models._kit.intervals import TAUS

Array = np.ndarray[Any, Any]
Weights = dict[str, Any]
OUTPUTS = len(TAUS) + 1  # every quantile, then the mean; one more for a point for percentage errors
EMBEDDED = 16
HIGHEST = 4.2  # log of the largest mean share that can be said: about 65 times the level
MOST_SHARE = 60.0  # a sale of more than this many times the level counts as this many
CHUNK = 10  # steps per call of the compiled function: memory is asked of the system once for all of them
PERCENT_COUNTS = 0.3  # the same of percentage errors, where they are learned
MEAN_COUNTS = 0.3  # how much the loss of the mean counts beside that of the quantiles
AVERAGED = 0.98  # of the running mean of the weights that stays at every step: it is the mean that is kept
FLOOR = 0.05  # share of the learning rate at the end and the beginning of the cycle


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes that a compiled training step is made for."""

    encoder: int  # features per patch
    decoder: int  # features per step ahead
    fixed: int
    hidden: int
    dropout: float
    outputs: int = OUTPUTS


def weights_of(shape: Shape, seed: int) -> dict[str, Array]:
    """Draw the weights to start from; gates stand in the order input, forget, output, candidate."""
    rng = np.random.default_rng(seed)
    hidden = shape.hidden

    def drawn(rows: int, columns: int, near: float = 1.0) -> Array:
        edge = near * np.sqrt(3.0 / rows)
        return rng.uniform(-edge, edge, (rows, columns)).astype("f4")

    out: dict[str, Array] = {"embed": drawn(shape.fixed, EMBEDDED), "embed_bias": np.zeros(EMBEDDED, "f4")}
    for name, width in (("encoder", shape.encoder), ("decoder", shape.decoder)):
        bias = np.zeros(4 * hidden, "f4")
        bias[hidden : 2 * hidden] = 1.0  # remember, to begin with
        out |= {
            f"{name}_input": drawn(width + EMBEDDED, 4 * hidden),
            f"{name}_hidden": drawn(hidden, 4 * hidden),
            f"{name}_bias": bias,
        }
    out |= {"mix": drawn(hidden + shape.decoder, hidden), "mix_bias": np.zeros(hidden, "f4")}
    bias = np.full(shape.outputs, 0.6, "f4")
    bias[OUTPUTS:] = 0.0
    return out | {"out": drawn(hidden, shape.outputs, 0.5), "out_bias": bias}


@lru_cache(maxsize=4)
def _recurrence(hidden: int) -> Callable[..., Any]:
    """Return the layer over time: (rows, row weights, hidden weights, bias per series, state, cell) -> (states, last state, last cell).

    Written with its own gradient: the weights' gradients are one product over all periods, not one per period. None is given
    for the rows, which are data.
    """
    import jax
    import jax.numpy as jnp

    slope = np.repeat(np.array([0.5, 1.0], "f4"), (3 * hidden, hidden))  # a sigmoid is a tanh of half, halved and lifted
    shift = 1 - slope

    barrier: Any = jax.lax.optimization_barrier

    def forward(*given: Any) -> Any:
        rows, wi, wh, bias, state, cell = given

        def step(carried: Any, now: Any) -> Any:
            gates = jnp.tanh((now @ wi + carried[0] @ wh + bias) * slope) * slope + shift
            i, f, o, g = jnp.split(gates, 4, -1)
            cell = f * carried[1] + i * g
            state = o * jnp.tanh(cell)
            return (state, cell), (state, cell, gates)

        (last, end), kept = jax.lax.scan(step, (state, cell), rows)
        return (kept[0], last, end), (rows, wh, state, cell, kept)

    def backward(saved: Any, given: Any) -> Any:
        rows, wh, state, cell, (states, cells, gates) = saved
        before = jnp.concatenate([cell[None], cells[:-1]])

        def step(carried: Any, now: Any) -> Any:
            grad, cell, last, gates = now
            i, f, o, g = jnp.split(gates, 4, -1)
            bent = jnp.tanh(cell)
            up = carried[0] + grad
            down = carried[1] + up * o * (1 - bent * bent)
            parts = (down * g * i * (1 - i), down * last * f * (1 - f), up * bent * o * (1 - o), down * i * (1 - g * g))
            raw = barrier(jnp.concatenate(parts, -1))  # else worked out again inside the product
            return (raw @ wh.T, down * f, carried[2] + raw), raw

        start = given[1], given[2], jnp.zeros(gates.shape[1:], gates.dtype)
        (to_state, to_cell, to_bias), raw = jax.lax.scan(step, start, (given[0], cells, before, gates), reverse=True)
        flat = raw.reshape(-1, 4 * hidden)
        seen = jnp.concatenate([state[None], states[:-1]]).reshape(-1, hidden)
        return jnp.zeros_like(rows), rows.reshape(-1, rows.shape[-1]).T @ flat, seen.T @ flat, to_bias, to_state, to_cell

    layer = jax.custom_vjp(lambda *given: forward(*given)[0])
    layer.defvjp(forward, backward)
    return layer


def outputs(weights: Weights, encoder: Any, decoder: Any, fixed: Any, *, drop: Any = None) -> Any:
    """Return log1p of each quantile's share and the log of the mean's, (steps, series, outputs), perhaps that of a point for percentages.

    `drop` are what the decoder's states are multiplied with while learning. The embedding of a series stands beside every row; as
    it is the same in all of them, its product with the weights is worked out once.
    """
    import jax
    import jax.numpy as jnp

    hidden = weights["encoder_hidden"].shape[0]
    layer = _recurrence(hidden)
    embedded = jnp.tanh(fixed @ weights["embed"] + weights["embed_bias"])

    def run(name: str, rows: Any, state: Any, cell: Any) -> Any:
        own, shared = jnp.split(weights[f"{name}_input"], [rows.shape[-1]])
        return layer(rows, own, weights[f"{name}_hidden"], embedded @ shared + weights[f"{name}_bias"], state, cell)

    zero = jnp.zeros((fixed.shape[0], hidden), fixed.dtype)
    _, state, cell = run("encoder", encoder, zero, zero)
    states, _, _ = run("decoder", decoder, state, cell)
    if drop is not None:
        states = states * drop
    both = jnp.concatenate([states, decoder], -1).reshape(-1, hidden + decoder.shape[-1])
    mixed = jax.nn.relu(both @ weights["mix"] + weights["mix_bias"])
    return (mixed @ weights["out"] + weights["out_bias"]).reshape(*states.shape[:2], -1)


def loss_of(said: Any, level: Any, truth: Any, usual: Any, volume: Any) -> Any:
    """Return the masked pinball loss of all quantiles in logs plus the Poisson deviance of the mean, in shares of the level.

    Where there is one output more it adds its percentage error, of periods with a sale.

    A quantile of a log is the log of the quantile, and in logs the few highest sales do not drown the rest. Series count by their level
    to the power `volume`, between an eighth and eight times the usual one.
    """
    import jax.numpy as jnp

    taus = jnp.asarray(TAUS, said.dtype)
    fine = jnp.isfinite(truth)
    share = jnp.where(fine, jnp.minimum(jnp.nan_to_num(truth) / level, MOST_SHARE), 0.0)
    weight = fine * jnp.clip((level / usual) ** volume, 0.125, 8.0)
    gap = jnp.log1p(share)[..., None] - said[..., : len(TAUS)]
    pinball = jnp.maximum(taus * gap, (taus - 1) * gap).mean(-1)
    log_mean = jnp.clip(said[..., len(TAUS)], -12.0, HIGHEST)
    deviance = jnp.exp(log_mean) - share * log_mean
    loss = ((pinball + MEAN_COUNTS * deviance) * weight).sum() / jnp.maximum(weight.sum(), 1e-6)
    if said.shape[-1] == OUTPUTS:
        return loss
    sold = share > 0
    missed = jnp.abs(share - jnp.exp(jnp.clip(said[..., -1], -12.0, HIGHEST))) / jnp.maximum(share, LEAST)
    return loss + PERCENT_COUNTS * (missed * sold).sum() / jnp.maximum(sold.sum(), 1)


@lru_cache(maxsize=4)
def _compiled(shape: Shape, batch: int) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    """Return the function of several steps, what it begins with, and how its weights, one long row, are told apart again.

    One row compiles in less time than a table of matrices. What differs from panel to panel is handed over at every call.
    """
    import jax
    import jax.numpy as jnp
    import optax
    from jax.flatten_util import ravel_pytree

    rule = optax.chain(optax.clip_by_global_norm(1.0), optax.scale_by_adam(b2=0.99))
    drawn_once = weights_of(shape, 0)
    _, apart = ravel_pytree(drawn_once)
    pulled = np.concatenate([np.full(value.size, value.ndim > 1, "f4") for _, value in sorted(drawn_once.items())])

    def step(carried: Any, drawn: Any, settings: Any) -> Any:
        weights, mean, state, key, at = carried
        usual, volume, decay = settings
        (encoder, decoder, fixed, level, truth), rate = drawn
        key, own = jax.random.split(key)
        keep = 1.0 - shape.dropout
        drop = jax.random.bernoulli(own, keep, (1, batch, shape.hidden)) / keep if shape.dropout else None

        def loss(weights: Any) -> Any:
            return loss_of(outputs(apart(weights), encoder, decoder, fixed, drop=drop), level, truth, usual, volume)

        value, gradient = jax.value_and_grad(loss)(weights)
        moved, state = rule.update(gradient, state, weights)
        weights = weights - rate * (moved + decay * pulled * weights)
        stays = jnp.minimum(AVERAGED, (1 + at) / (10 + at))  # where the net began is soon forgotten
        return (weights, stays * mean + (1 - stays) * weights, state, key, at + 1), value

    @jax.jit
    def several(carried: Any, drawn: Any, rates: Any, settings: Any) -> Any:
        carried, values = jax.lax.scan(lambda carried, drawn: step(carried, drawn, settings), carried, (drawn, rates))
        return carried, jnp.mean(values)

    def begin(seed: int) -> Any:
        weights, _ = ravel_pytree(weights_of(shape, seed))
        return weights, weights, rule.init(weights), jax.random.key(seed), np.float32(0)

    return several, begin, apart


def rates(steps: int, highest: float) -> Array:
    """Return the learning rate of every step: up over the first quarter, down along a cosine."""
    at = (np.arange(steps) + 0.5) / steps
    up = np.minimum(at / 0.25, 1.0)
    down = 0.5 * (1 + np.cos(np.pi * np.clip((at - 0.25) / 0.75, 0, 1)))
    return (highest * np.where(at < 0.25, FLOOR + (1 - FLOOR) * up, np.maximum(down, 1e-3))).astype("f4")


def train(
    drawn: Iterator[tuple[Array, ...]], shape: Shape, knobs: Mapping[str, Any], *, seed: int, usual: float
) -> tuple[dict[str, Array], float]:
    """Return the running mean of the weights after the steps of `knobs`, and the loss of the last of them; raises LearnFailed."""
    steps = max(CHUNK, int(knobs["steps"]) // CHUNK * CHUNK)
    run, begin, apart = _compiled(shape, int(knobs["batch"]))
    settings = tuple(np.float32(value) for value in (usual, knobs["volume"], knobs["decay"]))
    carried = begin(seed)
    rate = rates(steps, float(knobs["learning_rate"]))
    late: list[float] = []
    for at in range(0, steps, CHUNK):
        carried, loss = run(carried, next(drawn), rate[at : at + CHUNK], settings)
        late.append(float(loss))
        if not np.isfinite(late[-1]):
            raise LearnFailed("the network's loss is no number any more", hint="lower the knob learning_rate of lstm")
    return {name: np.asarray(value) for name, value in apart(carried[1]).items()}, float(np.mean(late[-max(1, len(late) // 10) :]))
