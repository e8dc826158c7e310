"""What a version may be made of, told by content and never by name: ONNX, safetensors, JSON, packed columns; text for the card."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Iterator
from typing import Any

from tradewind.core.bundle import split, unpack_arrays
from tradewind.core.errors import TradewindError, Unreadable

ONNX, TENSORS, JSON, COLUMNS, TEXT = (
    "application/onnx",
    "application/x-safetensors",
    "application/json",
    "application/x-tradewind-columns",
    "text/markdown",
)
DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
SIZES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1}
DEEPEST = 3

# ModelProto of onnx.proto3: field number -> wire type (0 varint, 2 length and bytes)
_MODEL = {1: 0, 2: 2, 3: 2, 4: 2, 5: 0, 6: 2, 7: 2, 8: 2, 14: 2, 20: 2, 25: 2, 26: 2}
_GRAPH, _OPSET, _FUNCTION = 7, 8, 25


def kind(data: bytes) -> str:
    """Return the media type of a part; raises Unreadable for anything that is not one of the formats that hold no code."""
    for media, fits in ((COLUMNS, _is_columns), (TENSORS, _is_tensors), (JSON, _is_json), (ONNX, _is_onnx)):
        if fits(data):
            return media
    raise Unreadable("a part is neither ONNX, safetensors, JSON nor packed columns", hint="no other format is ever loaded")


def text(data: bytes) -> str:
    """Return a card's text; raises Unreadable where it is not UTF-8 text."""
    try:
        said = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Unreadable("the card is not UTF-8 text") from error
    if any(ord(letter) < 32 and letter not in "\t\r\n" for letter in said):
        raise Unreadable("the card holds control characters", hint="write it as plain markdown")
    return said


def _is_columns(data: bytes, depth: int = 0) -> bool:
    """Tell packed columns, or a bundle of allowed parts: a table is one of JSON and columns."""
    if len(data) < 8 or 8 + int.from_bytes(data[:8], "little") > len(data):
        return False
    try:
        parts = split(data)
        if "" in parts:
            return bool(unpack_arrays(data)) or parts[""] == b"[]"
    except (TradewindError, ValueError, OverflowError, MemoryError, RecursionError):
        return False
    return (
        bool(parts)
        and depth < DEEPEST
        and all(_is_columns(part, depth + 1) or _is_tensors(part) or _is_json(part) for part in parts.values())
    )


def _is_tensors(data: bytes) -> bool:
    size = int.from_bytes(data[:8], "little")
    if len(data) < 8 or not 2 <= size <= min(len(data) - 8, 1 << 24):
        return False
    try:
        header = json.loads(data[8 : 8 + size])
        header.pop("__metadata__", None)
        spans = sorted((*map(int, said["data_offsets"]), _bytes_of(said)) for said in header.values())
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return False
    at = 0
    for low, high, length in spans:
        if low != at or high - low != length:
            return False
        at = high
    return 8 + size + at == len(data)


def _bytes_of(said: dict[str, Any]) -> int:
    shape = [int(length) for length in said["shape"]]
    if any(length < 0 for length in shape):
        raise ValueError("a negative length")
    return SIZES[said["dtype"]] * math.prod(shape)


def _is_json(data: bytes) -> bool:
    if data[:1] not in (b"{", b"["):
        return False
    try:
        json.loads(data)
    except (ValueError, RecursionError):
        return False
    return True


def _is_onnx(data: bytes) -> bool:
    """Tell an ONNX model whose operators are all of known domains and that defines no functions of its own."""
    try:
        fields = list(_fields(data))
        if any(_MODEL.get(number) != wire for number, wire, _ in fields):
            return False
        numbers = [number for number, _, _ in fields]
        domains = {_domain(value) for number, _, value in fields if number == _OPSET}
    except (ValueError, struct.error, UnicodeDecodeError):
        return False
    return numbers.count(_GRAPH) == 1 and 1 in numbers and bool(domains) and domains <= DOMAINS and _FUNCTION not in numbers


def _domain(data: bytes) -> str:
    return next((value.decode() for number, _, value in _fields(data) if number == 1), "")


def _fields(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Walk one level of a protobuf message; raises ValueError where it does not add up."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            _, at = _varint(data, at)
            yield number, wire, b""
        elif wire == 2:
            size, at = _varint(data, at)
            if at + size > len(data):
                raise ValueError("cut short")
            yield number, wire, data[at : at + size]
            at += size
        else:
            raise ValueError("a wire type that a model does not use")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("cut short")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number without an end")
