"""Models that want the machine, inside a worker."""

import time

import pytest

from tradewind.core.errors import TimedOut, TradewindError
from tradewind.workers.pool import Pool

onnx = pytest.importorskip("onnx")
from onnx import TensorProto as T  # noqa: E402
from onnx import helper as h  # noqa: E402


def model(graph) -> bytes:
    return h.make_model(graph, opset_imports=[h.make_opsetid("", 15)], ir_version=8).SerializeToString()


def bomb() -> bytes:
    """Return a model of 66 bytes or so that asks for 64 GB."""
    shape = h.make_tensor("s", T.INT64, [2], [1 << 20, 1 << 14])
    return model(
        h.make_graph([h.make_node("ConstantOfShape", ["s"], ["y"])], "g", [], [h.make_tensor_value_info("y", T.FLOAT, None)], [shape])
    )


def loop() -> bytes:
    """Return a model whose loop never ends."""
    ends = [
        h.make_tensor_value_info("i", T.INT64, []),
        h.make_tensor_value_info("c", T.BOOL, []),
        h.make_tensor_value_info("v", T.FLOAT, [1]),
    ]
    outs = [h.make_tensor_value_info("c2", T.BOOL, []), h.make_tensor_value_info("v2", T.FLOAT, [1])]
    body = h.make_graph([h.make_node("Identity", ["c"], ["c2"]), h.make_node("Identity", ["v"], ["v2"])], "b", ends, outs)
    node = h.make_node("Loop", ["", "t", "v0"], ["y"], body=body)
    start = [h.make_tensor("t", T.BOOL, [], [True]), h.make_tensor("v0", T.FLOAT, [1], [0.0])]
    return model(h.make_graph([node], "g", [], [h.make_tensor_value_info("y", T.FLOAT, [1])], start))


def outside(path: str) -> bytes:
    """Return a model whose weights lie in a file of the machine."""
    weights = onnx.TensorProto()
    weights.name, weights.data_type, weights.data_location = "w", T.UINT8, T.EXTERNAL
    weights.dims.extend([64])
    place = weights.external_data.add()
    place.key, place.value = "location", path
    return model(h.make_graph([h.make_node("Identity", ["w"], ["y"])], "g", [], [h.make_tensor_value_info("y", T.UINT8, [64])], [weights]))


def test_a_small_model_that_asks_for_64_gb_is_an_error_of_its_own(pool: Pool) -> None:
    data = bomb()
    assert len(data) < 100
    with pytest.raises(TradewindError, match=r"(?i)alloc|memory"):
        pool.hold("bomb", "onnx_entry:open_onnx", lambda: {"model": data})
        pool.call("bomb", b"")


def test_an_endless_model_is_stopped(pool: Pool) -> None:
    pool.hold("loop", "onnx_entry:open_onnx", loop_parts)
    for _ in range(2):
        began = time.monotonic()
        with pytest.raises(TimedOut):
            pool.call("loop", b"", deadline_s=0.7)
        assert time.monotonic() - began < 3


def loop_parts() -> dict[str, bytes]:
    return {"model": loop()}


@pytest.mark.parametrize(
    "data", [b"", b"not a model", outside("/etc/passwd"), outside("../../../etc/passwd")], ids=["empty", "text", "absolute", "up"]
)
def test_a_bad_model_is_refused(pool: Pool, data: bytes) -> None:
    with pytest.raises(TradewindError, match=r"(?i)onnx|protobuf|model|external"):
        pool.hold("bad", "onnx_entry:open_onnx", lambda: {"model": data})
    assert pool.held() == {}
