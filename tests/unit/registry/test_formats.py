import io
import json
import pickle
import zipfile

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from safetensors.numpy import save

from tradewind.core.bundle import join, pack_arrays
from tradewind.core.errors import Unreadable
from tradewind.core.table import Table
from tradewind.registry import formats


def model(domain: str = "", functions: bool = False) -> onnx.ModelProto:
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])
    taken = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 2])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"], domain=domain)], "g", [given], [taken])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid(domain, 17)])
    if functions:
        node = helper.make_node("Relu", ["a"], ["b"])
        made.functions.append(helper.make_function("own", "F", ["a"], ["b"], [node], [helper.make_opsetid("", 17)]))
    return made


ONNX = model().SerializeToString()
TABLE = Table.from_columns({"day": np.array(["2026-11-21"], "M8[D]"), "units": np.array([1.5]), "store": np.array(["ä"], object)})


@pytest.mark.parametrize(
    ("data", "media"),
    [
        (ONNX, formats.ONNX),
        (save({"w": np.ones((3, 2), "f4"), "b": np.zeros(3, "f8")}), formats.TENSORS),
        (save({"w": np.ones(1, "f4")}, {"made": "here"}), formats.TENSORS),
        (save({}), formats.TENSORS),
        (b'{"trees": [1, 2]}', formats.JSON),
        (b"[]", formats.JSON),
        (TABLE.to_bytes(), formats.COLUMNS),
        (pack_arrays({"x": np.arange(5)}), formats.COLUMNS),
        (pack_arrays({}), formats.COLUMNS),
        (join({"meta": b"{}", "arrays": pack_arrays({"x": np.arange(5)}), "net": save({"w": np.ones(2, "f4")})}), formats.COLUMNS),
    ],
)
def test_what_holds_no_code_is_told_by_content(data: bytes, media: str) -> None:
    assert formats.kind(data) == media


def archive() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as zipped:
        zipped.writestr("archive/data.pkl", pickle.dumps([1]))
    return made.getvalue()


def arrays() -> bytes:
    made = io.BytesIO()
    np.save(made, np.array([{"a": 1}], object), allow_pickle=True)
    return made.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0",
        bytes(8),
        b"import os",
        b"#!/bin/sh\n",
        b"\x7fELF" + bytes(60),
        b"MZ" + bytes(60),
        b"tree\nversion=v4\nnum_class=1\n",
        *(pickle.dumps({"model": [1.0, 2.0]}, protocol) for protocol in range(6)),
        archive(),
        arrays(),
        b"\x89HDF\r\n\x1a\n",
        b'{"half": ',
        b"{'single': 1}",
        b"[" * 100_000,
        ONNX[:-3],
        ONNX + b"\x80",
        ONNX + pickle.dumps([1]),
        ONNX + ONNX,
        model("evil.ops").SerializeToString(),
        model(functions=True).SerializeToString(),
        save({"w": np.ones(3, "f4")}) + b"more",
        save({"w": np.ones(3, "f4")})[:-1],
        join({"data": pickle.dumps([1])}),
        join({"a": b"{}", "b": join({"c": archive()})}),
        join({}),
        (40).to_bytes(8, "little") + b'{"w":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}' + bytes(4),
    ],
)
def test_anything_else_is_refused_whatever_it_is_called(data: bytes) -> None:
    with pytest.raises(Unreadable):
        formats.kind(data)


def test_a_bundle_in_a_bundle_in_a_bundle_has_an_end() -> None:
    data = b"{}"
    for _ in range(50):
        data = join({"inner": data})
    with pytest.raises(Unreadable):
        formats.kind(data)


def test_overlapping_tensors_are_refused() -> None:
    head = {"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}, "b": {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]}}
    text = json.dumps(head).encode()
    with pytest.raises(Unreadable):
        formats.kind(len(text).to_bytes(8, "little") + text + bytes(12))


def test_a_card_is_text() -> None:
    assert formats.text("# Für Händler\n\tja".encode()) == "# Für Händler\n\tja"
    for data in (b"\xff\xfe", b"a\0b", pickle.dumps([1]), b"\x1b[31m"):
        with pytest.raises(Unreadable):
            formats.text(data)
