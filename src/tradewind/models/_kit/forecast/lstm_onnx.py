"""The recurrent network as two ONNX graphs, written node by node, and the sessions that run them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.core.errors import LearnFailed, Tampered

Array = np.ndarray[Any, Any]
READS = {"encoder": ("encoder", "fixed"), "decoder": ("decoder", "embedded", "state", "cell")}
GIVES = {"encoder": ["embedded", "state", "cell"], "decoder": ["said"]}


@dataclass(frozen=True, slots=True)
class Net:
    """The network ready to run: first what the past says, which can be kept between questions, then what is ahead."""

    models: Mapping[str, bytes]
    begin: Callable[[Array, Array], tuple[Array, ...]]  # encoder, fixed -> embedded, state, cell
    say: Callable[[Array, tuple[Array, ...]], Array]  # decoder, what `begin` gave -> (steps, series, outputs)


def to_onnx(weights: Mapping[str, Array], *, int8: bool = False) -> dict[str, bytes]:
    """Return the models "encoder" and "decoder" of READS and GIVES; patches, steps and series may be any number.

    With `int8` matrices are kept in eight bits. What flows between them is float32 in either case: eight bits there would take their
    scale from all series of a question, and the answer for one would depend on which others are asked beside it.
    """
    from onnx import helper

    hidden, embedded = len(weights["encoder_hidden"]), weights["embed"].shape[1]
    encoder = [
        helper.make_node("MatMul", ["fixed", "embed"], ["raw"]),
        helper.make_node("Add", ["raw", "embed_bias"], ["summed"]),
        helper.make_node("Tanh", ["summed"], ["embedded"]),
        *_beside(helper, "encoder"),
        _lstm(helper, "encoder", ["", ""], ["", "state", "cell"], hidden),
    ]
    decoder = [
        *_beside(helper, "decoder"),
        _lstm(helper, "decoder", ["state", "cell"], ["states"], hidden),
        helper.make_node("Squeeze", ["states", "one"], ["flat"]),
        helper.make_node("Concat", ["flat", "decoder"], ["all"], axis=2),
        helper.make_node("MatMul", ["all", "mix"], ["mixed"]),
        helper.make_node("Add", ["mixed", "mix_bias"], ["lifted"]),
        helper.make_node("Relu", ["lifted"], ["kept"]),
        helper.make_node("MatMul", ["kept", "out"], ["last"]),
        helper.make_node("Add", ["last", "out_bias"], ["said"]),
    ]
    shapes = {
        name: [length, "series", weights[f"{name}_input"].shape[0] - embedded]
        for name, length in (("encoder", "patches"), ("decoder", "steps"))
    }
    shapes |= {"fixed": ["series", len(weights["embed"])], "embedded": ["series", embedded], "said": ["steps", "series", None]}
    shapes |= {"state": [1, "series", hidden], "cell": [1, "series", hidden]}
    kept = {"encoder": _kept(weights, "encoder", ("embed",)), "decoder": _kept(weights, "decoder", ("mix", "out"))}
    return {name: _model(name, nodes, kept[name], shapes, int8=int8) for name, nodes in (("encoder", encoder), ("decoder", decoder))}


def _kept(weights: Mapping[str, Array], name: str, others: tuple[str, ...]) -> dict[str, Array]:
    turned = {part: _gates(weights[f"{name}_{part}"]) for part in ("input", "hidden", "bias")}
    kept = {part: weights[part] for other in others for part in (other, f"{other}_bias")}
    kept[f"{name}_W"], kept[f"{name}_R"] = turned["input"].T[None], turned["hidden"].T[None]
    kept[f"{name}_B"] = np.concatenate([turned["bias"], np.zeros_like(turned["bias"])])[None]
    return kept


def _model(name: str, nodes: list[Any], kept: Mapping[str, Array], shapes: Mapping[str, list[Any]], *, int8: bool) -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    given, gives = (
        [helper.make_tensor_value_info(part, TensorProto.FLOAT, shapes[part]) for part in side[name]] for side in (READS, GIVES)
    )
    tensors = [numpy_helper.from_array(np.array([value], "i8"), part) for part, value in (("zero", 0), ("one", 1))]
    for part, value in kept.items():
        if int8 and value.ndim > 1 and not part.endswith("_B"):
            stored, turned_back = _eight_bits(helper, numpy_helper, part, value)
            tensors, nodes = tensors + stored, turned_back + nodes
        else:
            tensors.append(numpy_helper.from_array(np.ascontiguousarray(value, "f4"), part))
    graph = helper.make_graph(nodes, name, given, gives, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="tradewind")
    written: bytes = model.SerializeToString()
    return written


def _gates(weights: Array) -> Array:
    """Return the gates in ONNX order, input, output, forget, candidate, from input, forget, output, candidate."""
    i, f, o, g = np.split(weights, 4, -1)
    return np.concatenate([i, o, f, g], -1)


def _beside(helper: Any, name: str) -> list[Any]:
    """Return the nodes that put the embedding of each series beside every row of an input."""
    return [
        helper.make_node("Unsqueeze", ["embedded", "zero"], [f"{name}_beside"]),
        helper.make_node("Shape", [name], [f"{name}_shape"]),
        helper.make_node("Slice", [f"{name}_shape", "zero", "one"], [f"{name}_length"]),
        helper.make_node("Concat", [f"{name}_length", "one", "one"], [f"{name}_times"], axis=0),
        helper.make_node("Tile", [f"{name}_beside", f"{name}_times"], [f"{name}_embedded"]),
        helper.make_node("Concat", [name, f"{name}_embedded"], [f"{name}_rows"], axis=2),
    ]


def _lstm(helper: Any, name: str, start: list[str], out: list[str], hidden: int) -> Any:
    parts = [f"{name}_rows", f"{name}_W", f"{name}_R", f"{name}_B", "", *start]
    while parts and not parts[-1]:
        parts.pop()
    return helper.make_node("LSTM", parts, out, hidden_size=hidden)


def _eight_bits(helper: Any, numpy_helper: Any, name: str, value: Array) -> tuple[list[Any], list[Any]]:
    """Return the tensors of a matrix as eight-bit numbers and one scale per column, and the nodes that turn them back.

    The nodes read nothing but constants: onnxruntime works them out once, when the model is opened.
    """
    axis = 1 if value.ndim == 3 else 0  # of the inputs that one output sums
    scale = np.maximum(np.abs(value).max(axis=2 if axis else 0, keepdims=True), 1e-12) / 127
    whole = np.round(value / scale).astype("i1")
    tensors = [numpy_helper.from_array(whole, f"{name}_int8"), numpy_helper.from_array(scale.astype("f4"), f"{name}_scale")]
    cast = helper.make_node("Cast", [f"{name}_int8"], [f"{name}_float"], to=1)
    return tensors, [cast, helper.make_node("Mul", [f"{name}_float", f"{name}_scale"], [name])]


def opened(models: Mapping[str, bytes]) -> Net:
    """Return the network ready to run on one thread; raises Tampered."""
    sessions = {name: _session(name, models[name]) for name in READS}

    def begin(encoder: Array, fixed: Array) -> tuple[Array, ...]:
        return tuple(sessions["encoder"].run(GIVES["encoder"], {"encoder": encoder, "fixed": fixed}))

    def say(decoder: Array, begun: tuple[Array, ...]) -> Array:
        embedded, state, cell = begun
        given = {"decoder": decoder, "embedded": embedded, "state": state, "cell": cell}
        answer: Array = sessions["decoder"].run(GIVES["decoder"], given)[0]
        return answer

    return Net(models, begin, say)


def _session(name: str, model: bytes) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        made = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        reads, gives = {given.name for given in made.get_inputs()}, [given.name for given in made.get_outputs()]
    except Exception as error:
        raise Tampered("an ONNX model cannot be read") from error
    if reads != set(READS[name]) or gives != GIVES[name]:
        raise Tampered("an ONNX model is not the network it should be")
    return made


def check_parity(ours: Array, theirs: Array, *, tolerance: float = 1e-4) -> float:
    """Return the largest relative difference of two outputs; raises LearnFailed past the tolerance."""
    gap = float((np.abs(ours - theirs) / np.maximum(np.abs(theirs), 1.0)).max())
    if not gap <= tolerance:
        raise LearnFailed(
            f"the exported network differs from the learned one by {gap:.2g}", hint="this is a fault of ours; please report it"
        )
    return gap
