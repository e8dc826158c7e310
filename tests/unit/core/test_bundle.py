from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tradewind.core.bundle import join, pack_arrays, split, unpack_arrays
from tradewind.core.errors import Tampered


@given(st.dictionaries(st.text(max_size=20), st.binary(max_size=200), max_size=6))
def test_parts_come_back_as_they_were(parts: dict[str, bytes]) -> None:
    assert split(join(parts)) == parts


@given(st.binary(min_size=1, max_size=30), st.integers(0, 60))
def test_a_bundle_cut_short_is_refused(data: bytes, cut: int) -> None:
    whole = join({"a": data, "b": b"rest"})
    with pytest.raises(Tampered):
        split(whole[: min(cut, len(whole) - 1)])


def test_bytes_after_the_end_are_refused() -> None:
    with pytest.raises(Tampered):
        split(join({"a": b"1"}) + b"x")


def test_a_doubled_name_is_refused() -> None:
    index = b'[["a",1],["a",1]]'
    with pytest.raises(Tampered):
        split(len(index).to_bytes(8, "little") + index + b"12")


def test_arrays_of_every_kind_come_back() -> None:
    text = np.empty(3, object)
    text[:] = ["é", None, "x" * 50]
    arrays = {
        "number": np.array([1.5, np.nan, -2]),
        "whole": np.array([1, 2, 3]),
        "flag": np.array([True, False, True]),
        "day": np.array(["2024-02-29", "NaT", "1970-01-01"], "M8[D]"),
        "time": np.array(["2024-02-29T12:00:00.5", "NaT", "1970-01-01"], "M8[us]"),
        "text": text,
        "grid": np.arange(6, dtype="f4").reshape(2, 3),
        "none": np.zeros((0, 4), "f4"),
    }
    for name, array in unpack_arrays(pack_arrays(arrays)).items():
        assert array.dtype == arrays[name].dtype and array.shape == arrays[name].shape
        if array.dtype == object:
            assert array.tolist() == arrays[name].tolist()
        else:
            np.testing.assert_array_equal(array, arrays[name])
