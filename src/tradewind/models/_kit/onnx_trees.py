"""Boosted trees as an ONNX graph, written node by node, and the session that runs one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.core.errors import LearnFailed, Tampered
from tradewind.models._kit.trees import Trees

Array = np.ndarray[Any, Any]
Score = Callable[[Array], Array]


def to_onnx(trees: Trees, features: int, *, values: Array | None = None, base: Array | None = None) -> bytes:
    """Return a model "rows" (n, features) float32 -> "score" (n, targets): one TreeEnsembleRegressor that sums leaves.

    `values` (nodes, targets) are what each leaf adds, where that is more than the trees' own one value; `base` is added to every row.
    """
    from onnx import TensorProto, helper

    said = trees.value[:, None] if values is None else values
    targets = said.shape[1]
    tree = trees.numbers
    start = trees.roots[tree]
    inner = trees.feature >= 0
    number = np.arange(len(trees.feature)) - start
    leaves = np.repeat(np.flatnonzero(~inner), targets)
    node = helper.make_node(
        "TreeEnsembleRegressor",
        ["rows"],
        ["score"],
        domain="ai.onnx.ml",
        n_targets=targets,
        aggregate_function="SUM",
        post_transform="NONE",
        nodes_treeids=tree.tolist(),
        nodes_nodeids=number.tolist(),
        nodes_modes=["BRANCH_LEQ" if split else "LEAF" for split in inner.tolist()],
        nodes_featureids=np.maximum(trees.feature, 0).tolist(),
        nodes_values=trees.threshold.tolist(),
        nodes_truenodeids=np.where(inner, trees.left - start, 0).tolist(),
        nodes_falsenodeids=np.where(inner, trees.right - start, 0).tolist(),
        nodes_missing_value_tracks_true=trees.missing_left.tolist(),
        nodes_hitrates=[1.0] * len(trees.feature),
        target_treeids=tree[leaves].tolist(),
        target_nodeids=number[leaves].tolist(),
        target_ids=np.tile(np.arange(targets), int((~inner).sum())).tolist(),
        target_weights=said[~inner].reshape(-1).tolist(),
        **({"base_values": base.tolist()} if base is not None else {}),
    )
    rows = helper.make_tensor_value_info("rows", TensorProto.FLOAT, [None, features])
    score = helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, targets])
    graph = helper.make_graph([node], "trees", [rows], [score])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    written: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="tradewind").SerializeToString()
    return written


def session(model: bytes) -> Score:
    """Return a function (n, features) float32 -> (n,), or (n, targets) where there are several, float64, on one thread; raises Tampered."""
    return _opened(model)[0]


def _opened(model: bytes) -> tuple[Score, int]:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        made = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        name, gives, targets = made.get_inputs()[0].name, [made.get_outputs()[0].name], int(made.get_outputs()[0].shape[1])
    except Exception as error:
        raise Tampered("an ONNX model cannot be read") from error

    def score(rows: Array) -> Array:
        answer: Array = made.run(gives, {name: rows})[0]
        return (answer[:, 0] if targets == 1 else answer).astype("f8")

    return score, targets


HALVES = ("still", "moving")


@dataclass(frozen=True, slots=True)
class Walk:
    """Trees in two halves, those that ask for some features and those that do not: where only these change the others need no walk."""

    still: Score
    moving: Score

    def __call__(self, rows: Array) -> Array:
        """Return the sum of all trees, as `session` does."""
        return self.still(rows) + self.moving(rows)


def halved(trees: Trees, features: int, asked: Array, *, values: Array | None = None) -> dict[str, bytes]:
    """Return the models "still" and "moving" of HALVES, the latter of trees that ask for features `asked`; one without trees is left out.

    `values` as in `to_onnx`.
    """
    moving = trees.asking(asked)
    found = {}
    for half, chosen in zip(HALVES, (~moving, moving), strict=True):
        if chosen.any():
            part, nodes = trees.take(chosen)
            found[half] = to_onnx(part, features, values=None if values is None else values[nodes])
    return found


def walk(models: Mapping[str, bytes]) -> Walk:
    """Return the halves ready to be walked; raises Tampered."""
    opened = {half: _opened(model) for half, model in models.items()}
    if not opened:
        raise Tampered("there is no tree to walk")
    targets = next(iter(opened.values()))[1]

    def none(rows: Array) -> Array:
        return np.zeros(len(rows) if targets == 1 else (len(rows), targets))

    return Walk(*(opened.get(half, (none, targets))[0] for half in HALVES))


def check_parity(score: Score, wanted: Callable[[Array], Array], rows: Array, *, tolerance: float = 1e-4) -> float:
    """Return the largest relative difference on rows plus missing and extreme ones; raises LearnFailed past the tolerance."""
    harsh = rows[:64].copy()
    harsh[0::4] = np.nan
    harsh[1::4] = np.float32(3e38)
    harsh[2::4] = np.float32(-3e38)
    harsh[3::4, ::2] = np.nan
    tried = np.concatenate([rows, harsh]).astype("f4")
    ours, theirs = score(tried), np.asarray(wanted(tried), "f8")
    gap = float((np.abs(ours - theirs) / np.maximum(np.abs(theirs), 1.0)).max())
    if not gap <= tolerance:
        raise LearnFailed(f"the exported trees differ from the learned ones by {gap:.2g}", hint="this is a fault of ours; please report it")
    return gap
