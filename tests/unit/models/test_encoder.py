"""The sentence encoder a user may supply: pinned by hash, read by pieces of words, and part of the sealed version."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

from tradewind import models
from tradewind.core.errors import BadValue, NotFound, Tampered
from tradewind.core.model import settle
from tradewind.core.table import Table
from tradewind.models.sentiment import encoder
from tradewind.models.sentiment.assemble import assemble
from tradewind.models.sentiment.example import example

VOCABULARY = {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3, "good": 4, "bad": 5, "un": 6, "##happy": 7, "!": 8}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Write a graph that looks up one vector of four numbers per token."""
    from onnx import TensorProto, helper, numpy_helper

    home = tmp_path_factory.mktemp("encoder")
    table = numpy_helper.from_array(np.eye(9, 4, dtype="f4") + np.arange(9, dtype="f4")[:, None] / 10, "table")
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, [None, None])
    mask = helper.make_tensor_value_info("attention_mask", TensorProto.INT64, [None, None])
    out = helper.make_tensor_value_info("vectors", TensorProto.FLOAT, [None, None, 4])
    graph = helper.make_graph([helper.make_node("Gather", ["table", "input_ids"], ["vectors"])], "toy", [ids, mask], [out], [table])
    data = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    (home / "model.onnx").write_bytes(data)
    (home / "tokenizer.json").write_text(json.dumps({"model": {"vocab": VOCABULARY}}))
    return home, hashlib.sha256(data).hexdigest()


def test_words_are_read_by_pieces(folder):
    made = encoder.supplied(*folder)
    assert made._numbers("Good! unhappy strange") == [2, 4, 8, 6, 7, 1, 3]
    vectors = made.vectors(["good", "bad bad"] * 20)
    assert vectors.shape == (40, 4) and np.allclose((vectors**2).sum(1), 1)
    np.testing.assert_allclose(vectors[:2], vectors[-2:])


def test_only_the_pinned_graph_is_used(folder):
    home, sha = folder
    with pytest.raises(BadValue, match="only with its hash"):
        encoder.supplied(home, "")
    with pytest.raises(Tampered, match="not the one"):
        encoder.supplied(home, "0" * 64)
    with pytest.raises(NotFound, match=r"model\.onnx"):
        encoder.supplied(home / "nowhere", sha)


def test_it_joins_the_inputs_and_is_sealed_with_the_version(folder):
    home, sha = folder
    recipe = models.recipe("sentiment", "linear")
    table = assemble(dict(example(5).tables))
    state = recipe.fit(table, settle(recipe.knobs, {"encoder": str(home), "encoder_sha256": sha}), 0)
    parts = recipe.dump(state)
    assert encoder.GRAPH in parts and state.dense.shape[0] == 4 + 4
    asked = Table.from_columns({"text": table.column("text")[:20]})
    again = recipe.predict(recipe.load(parts), asked)
    np.testing.assert_allclose(again.column("score"), recipe.predict(state, asked).column("score"), atol=1e-6)
