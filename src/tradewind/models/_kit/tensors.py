"""Arrays as a safetensors file: eight bytes of length, a JSON header, raw little-endian numbers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from tradewind.core.errors import Tampered

Array = np.ndarray[Any, Any]
_KINDS = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U8": "|u1",
    "U16": "<u2",
    "BOOL": "|b1",
}
_NAMES = {np.dtype(kind): name for name, kind in _KINDS.items()}
MAX_HEADER = 1 << 24


def save(arrays: Mapping[str, Array]) -> bytes:
    """Write arrays in the safetensors format, in the order given."""
    header: dict[str, Any] = {}
    body: list[bytes] = []
    at = 0
    for name, array in arrays.items():
        data = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes()
        header[name] = {"dtype": _NAMES[array.dtype.newbyteorder("<")], "shape": list(array.shape), "data_offsets": [at, at + len(data)]}
        body.append(data)
        at += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return b"".join((len(text).to_bytes(8, "little"), text, *body))


def load(data: bytes) -> dict[str, Array]:
    """Read arrays of a safetensors file as read-only views; raises Tampered where lengths do not add up."""
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or size > MAX_HEADER or 8 + size > len(data):
        raise Tampered("a tensor file is cut short")
    try:
        header = json.loads(data[8 : 8 + size])
        header.pop("__metadata__", None)
        arrays = {str(name): _one(data, 8 + size, said) for name, said in header.items()}
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        raise Tampered("a tensor file cannot be read") from error
    if sum(array.nbytes for array in arrays.values()) != len(data) - 8 - size:
        raise Tampered("a tensor file has bytes that belong to no tensor")
    return arrays


def under(arrays: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    """Return the arrays whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): values for name, values in arrays.items() if name.startswith(prefix)}


def _one(data: bytes, start: int, said: Mapping[str, Any]) -> Array:
    kind = np.dtype(_KINDS[said["dtype"]])
    low, high = said["data_offsets"]
    shape = tuple(int(length) for length in said["shape"])
    count = int(np.prod(shape, dtype="f8")) if shape else 1
    if not 0 <= low <= high or start + high > len(data) or high - low != count * kind.itemsize or min(shape, default=0) < 0:
        raise ValueError("offsets do not fit")
    return np.frombuffer(data, kind, count, start + low).reshape(shape)
