"""Named bytes as one run of bytes, and numpy columns as named bytes.

This is what crosses a pipe to a worker and what a sealed version is made of. Layout: 8 bytes little-endian length of a JSON
index `[[name, size], ...]`, the index, then the parts one after the other. Reading checks every length, so a damaged run of
bytes is an error and never a short part.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Any, TypeVar

import numpy as np

from tradewind.core.errors import Tampered

MAX_INDEX = 1 << 24
LONG = 256  # entries from which it pays to look whether a column repeats itself
SMALL = "f8 as i1"
SAME = "one text"  # a short column of nothing else
BESIDE = "f8 beside"
"""Short columns of plain numbers lie one after the other in one part: an answer of one row has dozens of them."""
NUMBERS = "numbers"
_FLOAT = np.dtype("<f8")
FEW = 64  # parts up to which an index that was written is kept
SHORT_HEAD = 1 << 12  # bytes up to which what was read of a head is kept: messages of one kind begin alike
_written = json.JSONEncoder(separators=(",", ":")).encode  # made once: `json.dumps` makes one for every call
T = TypeVar("T")
Described = tuple[str, str, tuple[int, ...]]  # name, kind and shape of a column


def join(parts: Mapping[str, bytes]) -> bytes:
    """Write named parts as one run of bytes, in the order given."""
    make = _kept_written if len(parts) <= FEW else _index
    return b"".join((make(tuple(parts), tuple(map(len, parts.values()))), *parts.values()))


def _index(names: tuple[str, ...], sizes: tuple[int, ...]) -> bytes:
    """Return the index of a bundle behind its length."""
    index = _written(list(zip(names, sizes, strict=True))).encode()
    return len(index).to_bytes(8, "little") + index


def split(data: bytes | memoryview) -> dict[str, bytes]:
    """Read named parts back; raises Tampered where lengths or names do not add up."""
    view = memoryview(data)
    size = int.from_bytes(view[:8], "little")
    if len(view) < 8 or size > MAX_INDEX or 8 + size > len(view):
        raise Tampered("a bundle is cut short")
    try:
        index = _at_hand(bytes(view[8 : 8 + size]), _read_index, _kept_index)
    except (ValueError, TypeError, RecursionError) as error:
        raise Tampered("a bundle's index cannot be read") from error
    parts: dict[str, bytes] = {}
    at = 8 + size
    for name, length in index:
        if name in parts or length < 0 or at + length > len(view):
            raise Tampered(f"a bundle's part {name!r} is doubled or cut short")
        parts[name] = bytes(view[at : at + length])
        at += length
    if at != len(view):
        raise Tampered("a bundle has bytes after its last part")
    return parts


def _at_hand(said: bytes, read: Callable[[bytes], T], kept: Callable[[bytes], T]) -> T:
    """Read bytes, or return what was read of the same ones before where they are few."""
    return kept(said) if len(said) <= SHORT_HEAD else read(said)


def _read_index(said: bytes) -> tuple[tuple[str, int], ...]:
    return tuple((str(name), int(length)) for name, length in json.loads(said))


def _describe(head: tuple[Described, ...]) -> bytes:
    return _written(head).encode()


def _read_head(said: bytes) -> tuple[Described, ...]:
    return tuple((name, kind, tuple(shape)) for name, kind, shape in json.loads(said))


_kept_index, _kept_head = lru_cache(maxsize=256)(_read_index), lru_cache(maxsize=256)(_read_head)
_kept_written, _kept_described = lru_cache(maxsize=256)(_index), lru_cache(maxsize=256)(_describe)


def pack_arrays(arrays: Mapping[str, np.ndarray[Any, Any]]) -> bytes:
    """Write arrays of one row count or many; numbers raw, dates as integers, text as UTF-8 with offsets.

    Long columns that repeat themselves are written short: text as codes of what differs, small whole numbers as bytes.
    """
    return pack_pairs(arrays.items())


def pack_pairs(pairs: Iterable[tuple[str, np.ndarray[Any, Any]]]) -> bytes:
    """Write named arrays as `pack_arrays` does, each looked at once: a large table need not be held twice."""
    head: list[Described] = []
    parts: dict[str, bytes] = {"": b""}
    short: list[bytes] = []
    for number, (name, array) in enumerate(pairs):
        if array.dtype == _FLOAT and array.size < LONG:
            head.append((name, BESIDE, array.shape))
            short.append(array.tobytes())
            continue
        kind, body = _pack(np.ascontiguousarray(array))
        head.append((name, kind, array.shape))
        for suffix, data in body.items():
            parts[f"{number}{suffix}"] = data
    if short:
        parts[NUMBERS] = b"".join(short)
    parts[""] = (_kept_described if len(head) <= FEW else _describe)(tuple(head))
    return join(parts)


def unpack_arrays(data: bytes | memoryview) -> dict[str, np.ndarray[Any, Any]]:
    """Read arrays back; numeric arrays are read-only views of `data`."""
    parts = split(data)
    try:
        head = _at_hand(parts[""], _read_head, _kept_head)
        beside = _beside([shape for _, kind, shape in head if kind == BESIDE], parts.get(NUMBERS, b""))
        return {
            name: next(beside) if kind == BESIDE else _unpack(kind, shape, parts, str(number))
            for number, (name, kind, shape) in enumerate(head)
        }
    except (KeyError, IndexError, ValueError, TypeError, RecursionError) as error:
        raise Tampered("packed columns cannot be read") from error


def _pack(array: np.ndarray[Any, Any]) -> tuple[str, dict[str, bytes]]:
    if array.dtype.kind == "M":
        unit = np.datetime_data(array.dtype)[0]
        return f"M8[{unit}]", {"": array.view("i8").astype("<i8").tobytes()}
    if array.dtype == np.float64 and array.size >= LONG and _small(array):
        return SMALL, {"": array.astype("i1").tobytes()}
    if array.dtype.kind in "biuf" and array.dtype.str[0] != ">":
        return array.dtype.str, {"": array.tobytes()}
    if array.dtype.kind in "biuf":
        return array.dtype.newbyteorder("<").str, {"": array.astype(array.dtype.newbyteorder("<")).tobytes()}
    flat = array.ravel().tolist()
    if len(flat) >= LONG and set(map(type, flat)) <= {str, type(None)}:
        index = {value: code for code, value in enumerate(dict.fromkeys(flat))}
        if len(index) < len(flat) // 2:
            codes = np.fromiter(map(index.__getitem__, flat), "<u4", len(flat))
            _, body = _text(list(index))
            return "label", {"": codes.tobytes(), **{f"u{suffix}": data for suffix, data in body.items()}}
    return (SAME, {"": flat[0].encode()}) if _same(flat) else _text(flat)


def _same(flat: list[Any]) -> bool:
    """Tell whether a short column says one text in every row."""
    return 0 < len(flat) < LONG and type(flat[0]) is str and flat.count(flat[0]) == len(flat)


def _small(array: np.ndarray[Any, Any]) -> bool:
    """Tell whether all numbers are whole and fit a byte."""
    return bool(np.abs(array).max() <= 127 and (array == np.rint(array)).all())  # NaN is neither


def _text(flat: list[Any]) -> tuple[str, dict[str, bytes]]:
    if set(map(type, flat)) <= {str} and (whole := "".join(flat)).isascii():  # a letter is a byte: written in one piece
        sizes, data = map(len, flat), whole.encode()
    else:
        pieces = [b"" if value is None else str(value).encode() for value in flat]
        sizes, data = map(len, pieces), b"".join(pieces)
    body = {"": data, "o": np.array([0, *accumulate(sizes)], "<i8").tobytes()}
    if None in flat:
        body["n"] = np.array([value is None for value in flat], "u1").tobytes()
    return "text", body


def _beside(shapes: list[tuple[int, ...]], body: bytes) -> Iterator[np.ndarray[Any, Any]]:
    """Yield the arrays that lie one after the other; raises ValueError where they do not fill the part."""
    whole, at = np.frombuffer(body, "<f8"), 0
    if sum(map(math.prod, shapes)) != len(whole):
        raise ValueError("columns do not fill the part they lie in")
    for shape in shapes:
        end = at + math.prod(shape)
        yield whole[at:end].reshape(shape)
        at = end


def _unpack(kind: str, shape: tuple[int, ...], parts: Mapping[str, bytes], key: str) -> np.ndarray[Any, Any]:
    if kind == "label":
        codes = np.frombuffer(parts[key], "<u4")  # one that is damaged points nowhere
        found: np.ndarray[Any, Any] = _texts(parts, key + "u")[codes]
        return found.reshape(shape)
    if kind == "text":
        return _texts(parts, key).reshape(shape)
    body = parts[key]
    if kind == SAME:
        if math.prod(shape) >= LONG:  # a few bytes must not become a large array
            raise ValueError("a column of one text is short")
        return np.full(shape, body.decode(), object)
    if kind == SMALL:
        return np.frombuffer(body, "i1").astype("f8").reshape(shape)
    if kind.startswith("M8"):
        return np.frombuffer(body, "<i8").view(kind).reshape(shape)
    return np.frombuffer(body, kind).reshape(shape)


def _texts(parts: Mapping[str, bytes], key: str) -> np.ndarray[Any, Any]:
    body = parts[key]
    offsets = np.frombuffer(parts[key + "o"], "<i8").tolist()
    values: list[str | None]
    if body.isascii():  # read once, and cut: several times as fast
        whole = body.decode()
        values = [whole[a:b] for a, b in pairwise(offsets)]
    else:
        values = [body[a:b].decode() for a, b in pairwise(offsets)]
    if key + "n" in parts:
        gone = parts[key + "n"]
        values = [None if gone[at] else value for at, value in enumerate(values)]
    array = np.empty(len(values), object)
    array[:] = values
    return array
