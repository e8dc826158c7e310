"""Learn the recurrent network of a panel: train it, write it as ONNX, check the two agree, try it in eight bits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tradewind.core.errors import LearnFailed
from tradewind.models._kit import response
from tradewind.models._kit.forecast import lstm_inputs, lstm_onnx, lstm_windows, occasions, percent
from tradewind.models._kit.forecast.lstm_learned import Learned, in_units
from tradewind.models._kit.forecast.lstm_onnx import Net
from tradewind.models._kit.forecast.lstm_windows import Tensors
from tradewind.models._kit.intervals import TAUS
from tradewind.models._kit.panel import Panel

Array = np.ndarray[Any, Any]
LEAST_WINDOWS = 60
JUDGED = 400  # windows that eight bits are judged on, at most
HELD_BACK = 0.05  # of all windows that are not learned from, at most, so that eight bits can be judged on them
WORSE = 1.001  # pinball loss in eight bits over that in 32 that still counts as none lost
ONE_PASS = 2  # times the steps that are taken at most where it takes more of them to see every window once
COMPARED = 64  # windows that JAX and ONNX must agree on


def learn(panel: Panel, knobs: Mapping[str, Any], *, seed: int, horizon: int) -> Learned:
    """Learn a panel; raises LearnFailed where there is too little of it and where JAX is not installed."""
    try:
        import jax  # noqa: F401
        import optax  # noqa: F401

        from tradewind.models._kit.forecast import lstm_train
    except ImportError as error:
        raise LearnFailed("lstm needs JAX, which is not installed", hint="pip install 'tradewind[deep]'") from error
    effects = response.learn(panel)
    around = occasions.learn(panel, effects.without(panel))
    panel = lstm_inputs.steady(panel, effects, around)
    layout = lstm_inputs.layout_of(panel, horizon, int(knobs["encoder"]))
    view = lstm_inputs.view_of(panel, layout, horizon)
    pairs = lstm_windows.pairs_of(view, horizon)
    if len(pairs) < LEAST_WINDOWS:
        raise LearnFailed(
            f"{len(pairs)} windows of past and future are too few for a network", hint="load more history, or leave the recipe lstm out"
        )
    if not np.nan_to_num(panel.target[:, : panel.cut]).any():
        raise LearnFailed("every past sale is zero: there is nothing to learn", hint="look at the column that was read as the target")
    rng = np.random.default_rng(seed)
    count = min(JUDGED, int(HELD_BACK * len(pairs) / (2 * horizon - 1)))
    rest, series, origin = pairs.held_back(rng, count, horizon)
    drawn = lstm_windows.batches(view, rest, seed=seed, batch=int(knobs["batch"]), chunk=lstm_train.CHUNK, steps=horizon)
    first = next(drawn)
    wide = lstm_train.OUTPUTS + bool(knobs.get(percent.ASKED))
    encoder, decoder, fixed = (part.shape[-1] for part in first[:3])
    shape = lstm_train.Shape(encoder, decoder, fixed, int(knobs["hidden"]), float(knobs["dropout"]), wide)
    steps = int(np.clip(len(rest) // int(knobs["batch"]), int(knobs["steps"]), ONE_PASS * int(knobs["steps"])))
    weights, loss = lstm_train.train(drawn, shape, {**knobs, "steps": steps}, seed=seed, usual=layout.usual)
    net = lstm_onnx.opened(lstm_onnx.to_onnx(weights))
    some = lstm_windows.tensors(view, *rest.draw(rng, COMPARED), horizon)
    theirs = np.asarray(lstm_train.outputs(weights, some.encoder, some.decoder, some.fixed))
    gap = lstm_onnx.check_parity(net.say(some.decoder, net.begin(some.encoder, some.fixed)), theirs)
    facts: dict[str, Any] = {
        "windows": len(rest),
        "steps": steps,
        "levers": list(effects.names),
        "weights": int(sum(value.size for value in weights.values())),
        "loss": round(loss, 6),
        "parity": gap,
    }
    unseen = lstm_windows.tensors(view, series, origin, horizon)
    net, told = smaller(weights, net, unseen, lstm_windows.truth_of(view, series, origin, horizon))
    return Learned(layout, net, effects, around, facts | told)


def pinball(said: Array, level: Array, truth: Array) -> float:
    """Return the mean pinball loss of the network's outputs in shares of the level; `truth` is (steps, series)."""
    fine = np.isfinite(truth)
    quantiles = in_units(said, np.ones_like(level)).quantiles.swapaxes(0, 1)
    gap = (np.where(fine, truth, 0) / level)[..., None] - quantiles
    loss = np.maximum(TAUS * gap, (TAUS - 1) * gap).mean(-1)
    return float(loss[fine].mean()) if fine.any() else float("nan")


def smaller(weights: Mapping[str, Array], whole: Net, unseen: Tensors, truth: Array) -> tuple[Net, dict[str, Any]]:
    """Return the network with weights of eight bits where that loses nothing on windows not learned from, and what was found."""
    if not np.isfinite(truth).any():
        return whole, {"int8_kept": False, "int8_windows": 0}
    small = lstm_onnx.opened(lstm_onnx.to_onnx(weights, int8=True))
    loss, small_loss = (
        pinball(net.say(unseen.decoder, net.begin(unseen.encoder, unseen.fixed)), unseen.level, truth) for net in (whole, small)
    )
    kept = small_loss <= WORSE * loss
    told = {"int8_kept": kept, "int8_windows": truth.shape[1], "pinball_float32": round(loss, 6), "pinball_int8": round(small_loss, 6)}
    return small if kept else whole, told
