import json

import numpy as np
import pytest
import safetensors.numpy as reference

from tradewind.core.errors import Tampered
from tradewind.models._kit import tensors

ARRAYS = {
    "a": np.arange(12, dtype="f4").reshape(3, 4),
    "b": np.array([1, 2, 255], "u1"),
    "c": np.array([[True, False]]),
    "d": np.array(-1.5),
    "e": np.zeros((0, 3), "i8"),
    "f": np.arange(5, dtype="i2"),
    "g": np.array([np.nan, np.inf], "f8"),
}


def same(left, right):
    assert left.keys() == right.keys()
    for name, value in left.items():
        assert right[name].dtype == value.dtype and right[name].shape == value.shape
        np.testing.assert_array_equal(right[name], value)


def test_arrays_are_chosen_by_a_prefix():
    same(tensors.under({"x/a": ARRAYS["a"], "xy": ARRAYS["b"], "x/": ARRAYS["c"]}, "x/"), {"a": ARRAYS["a"], "": ARRAYS["c"]})


def test_our_file_is_read_by_the_reference():
    same(ARRAYS, reference.load(tensors.save(ARRAYS)))


def test_the_references_file_is_read_by_us():
    same(ARRAYS, tensors.load(reference.save(ARRAYS)))


def test_metadata_is_passed_over():
    same({"a": ARRAYS["a"]}, tensors.load(reference.save({"a": ARRAYS["a"]}, {"made": "by"})))


def test_views_are_read_only():
    with pytest.raises(ValueError):
        tensors.load(tensors.save(ARRAYS))["a"][0, 0] = 1


@pytest.mark.parametrize("cut", [0, 4, 8, 20, -1])
def test_a_cut_file_is_refused(cut):
    with pytest.raises(Tampered):
        tensors.load(tensors.save(ARRAYS)[:cut])


def test_bytes_too_many_are_refused():
    with pytest.raises(Tampered):
        tensors.load(tensors.save(ARRAYS) + b"x")


@pytest.mark.parametrize(
    "said",
    [
        {"dtype": "F32", "shape": [3], "data_offsets": [0, 8]},
        {"dtype": "F99", "shape": [2], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [-2], "data_offsets": [0, 8]},
        {"dtype": "F32", "shape": [2], "data_offsets": [4, 12]},
        {"dtype": "F32", "shape": [2], "data_offsets": [8, 0]},
        {"dtype": "F32", "shape": [2**62, 2**62], "data_offsets": [0, 8]},
        ["F32"],
        7,
    ],
)
def test_a_header_that_lies_is_refused(said):
    header = json.dumps({"a": said}).encode()
    with pytest.raises(Tampered):
        tensors.load(len(header).to_bytes(8, "little") + header + bytes(8))


def test_single_byte_changes_never_crash():
    whole = tensors.save(ARRAYS)
    size = int.from_bytes(whole[:8], "little")
    for at in range(8 + size):
        changed = bytearray(whole)
        changed[at] ^= 0x41
        try:
            tensors.load(bytes(changed))
        except Tampered:
            continue
