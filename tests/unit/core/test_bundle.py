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


def test_short_columns_of_numbers_lie_in_one_part_and_must_fill_it() -> None:
    arrays = {"one": np.array([1.5]), "none": np.zeros(0), "grid": np.arange(6.0).reshape(2, 3)[:, ::2], "two": np.array([np.nan, -0.0])}
    parts = split(pack_arrays(arrays))
    assert sorted(parts) == ["", "numbers"]
    for name, array in unpack_arrays(join(parts)).items():
        assert array.shape == arrays[name].shape and array.tobytes() == arrays[name].tobytes()
    for damaged in (parts["numbers"][:-8], parts["numbers"] + bytes(8), parts["numbers"][:-1]):
        with pytest.raises(Tampered):
            unpack_arrays(join(parts | {"numbers": damaged}))


LONG_COLUMNS = {
    "text": np.array(["a", None, "", "ü", "a"] * 2000, object),
    "unlike": np.array([str(at) for at in range(9000)], object),
    "mixed": np.array([1, True, "1", 1.0] * 2000, object),
    "flags": np.array([0.0, 1.0, 127.0, -127.0] * 2000),
    "large": np.array([0.0, 128.0] * 4000),
    "holes": np.array([0.0, np.nan] * 4000),
    "endless": np.array([0.0, np.inf] * 4000),
    "parts": np.array([0.5, 1.0] * 4000),
    "single": np.array([0.0, 1.0] * 4000, "f4"),
    "grid": np.zeros((100, 60)),
}


@pytest.mark.parametrize("name", LONG_COLUMNS)
def test_long_columns_come_back_as_they_were(name):
    sent = LONG_COLUMNS[name]
    got = unpack_arrays(pack_arrays({name: sent}))[name]
    assert got.dtype == sent.dtype and got.shape == sent.shape
    if sent.dtype == object:
        assert got.tolist() == [None if value is None else str(value) for value in sent.tolist()]
    else:
        assert np.array_equal(got, sent, equal_nan=True)


def test_what_repeats_itself_is_written_short_and_held_once():
    packed = pack_arrays({"text": LONG_COLUMNS["text"], "flags": LONG_COLUMNS["flags"]})
    assert len(packed) < 10_000 * 4 + 8000 + 500
    got = unpack_arrays(packed)["text"]
    assert len({id(value) for value in got.tolist()}) == 4


def test_a_code_that_points_nowhere_is_damage():
    packed = bytearray(pack_arrays({"text": LONG_COLUMNS["text"]}))
    at = packed.index(np.array([0, 1, 2, 3, 0], "<u4").tobytes())
    packed[at : at + 4] = np.array([77], "<u4").tobytes()
    with pytest.raises(Tampered):
        unpack_arrays(packed)


@given(st.lists(st.one_of(st.none(), st.text(max_size=8), st.text("abc", max_size=8)), max_size=12))
def test_text_of_any_kind_comes_back(values: list[str | None]) -> None:
    sent = np.empty(len(values), object)
    sent[:] = values
    packed = pack_arrays({"text": sent})
    assert unpack_arrays(packed)["text"].tolist() == values
    text = [(value or "").encode() for value in values]
    if len(set(values)) == 1 and values[0] is not None:  # said once
        assert split(packed)["0"] == text[0] and "0o" not in split(packed)
        return
    assert split(packed)["0"] == b"".join(text) and np.frombuffer(split(packed)["0o"], "<i8")[-1] == sum(map(len, text))


def test_a_column_of_one_text_cannot_grow_large() -> None:
    packed = pack_arrays({"text": np.array(["P1"] * 30, object)})
    assert unpack_arrays(packed)["text"].tolist() == ["P1"] * 30
    parts = split(packed)
    for shape in ("[300]", "[20,20]", "[1e12]", "[-3]"):
        with pytest.raises(Tampered):
            unpack_arrays(join({**parts, "": parts[""].replace(b"[30]", shape.encode())}))


def test_what_was_read_of_a_head_is_not_kept_for_another() -> None:
    one, two = (pack_arrays({"a": np.arange(3.0), name: np.arange(3)}) for name in ("b", "c"))
    for _ in range(2):
        assert list(unpack_arrays(one)) == ["a", "b"] and list(unpack_arrays(two)) == ["a", "c"]
    with pytest.raises(Tampered):
        unpack_arrays(one[:-1])
    assert unpack_arrays(one)["b"].tolist() == [0, 1, 2]
