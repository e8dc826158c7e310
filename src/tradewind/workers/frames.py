"""Messages over a pair of pipes: 8 bytes length, 8 bytes tag, then the bytes. The tag is a request's number plus a kind."""

from __future__ import annotations

import os
import select
import struct
import time

HEAD = struct.Struct("<QQ")
ERROR = 1 << 63
STEP = 1 << 62
PIECE = 1 << 61
NUMBER = PIECE - 1
"""Tag bits: an error, a progress step, a finished piece of a job, and the request's number."""

MAX_BYTES = 1 << 32
MAX_REPLY = 1 << 28
"""The longest message at all, and the longest one a serving worker may send: it is not trusted with our memory."""

_CHUNK = 1 << 16
_JOIN_BELOW = 1 << 16  # small messages leave in one write; for large ones a copy costs more than a second call


class Channel:
    """The two ends of one side. A side with deadlines has non-blocking ends; one thread at a time may send, one may receive.

    Raises EOFError when the other side is gone, TimeoutError past `until` (a moment of time.monotonic), ValueError when what comes
    is not a message. A receive that timed out can be called again and goes on where it was; a send cannot.
    """

    __slots__ = ("_buffer", "_in", "_max_bytes", "_out", "reads", "writes")

    def __init__(self, reads: int, writes: int, *, deadlines: bool, max_bytes: int = MAX_BYTES) -> None:
        self.reads, self.writes = reads, writes
        self._max_bytes = max_bytes
        self._buffer = bytearray()
        self._in = self._out = None
        if deadlines:
            os.set_blocking(reads, False)
            os.set_blocking(writes, False)
            self._in, self._out = select.poll(), select.poll()
            self._in.register(reads, select.POLLIN)
            self._out.register(writes, select.POLLOUT)

    def send(self, tag: int, data: bytes, until: float | None = None) -> None:
        """Write one message."""
        head = HEAD.pack(len(data), tag)
        if len(data) < _JOIN_BELOW:
            self._write(memoryview(head + data), until)
        else:
            self._write(memoryview(head), until)
            self._write(memoryview(data), until)

    def receive(self, until: float | None = None) -> tuple[int, bytes]:
        """Read the next message as tag and bytes."""
        buffer = self._buffer
        while True:
            have = len(buffer)
            if have >= HEAD.size:
                size, tag = HEAD.unpack_from(buffer)
                if size > self._max_bytes:
                    raise ValueError(f"a message of {size} bytes is over the limit")
                end = HEAD.size + size
                if have >= end:
                    body = bytes(memoryview(buffer)[HEAD.size : end])
                    del buffer[:end]
                    return tag, body
                self._read(min(max(end - have, _CHUNK), 1 << 20), until)
            else:
                self._read(_CHUNK, until)

    def close(self) -> None:
        """Close both ends; call it only when no thread uses them."""
        reads, writes, self.reads, self.writes = self.reads, self.writes, -1, -1
        for end in (reads, writes):
            if end >= 0:
                os.close(end)

    def __del__(self) -> None:
        self.close()

    def _read(self, size: int, until: float | None) -> None:
        if self._in is not None and not self._in.poll(_left(until)):
            raise TimeoutError
        try:
            chunk = os.read(self.reads, size)
        except BlockingIOError:  # another reader was quicker: look again
            return
        if not chunk:
            raise EOFError
        self._buffer += chunk

    def _write(self, data: memoryview, until: float | None) -> None:
        while data:
            try:
                data = data[os.write(self.writes, data) :]
            except BlockingIOError:
                if self._out is not None and not self._out.poll(_left(until)):
                    raise TimeoutError from None
            except BrokenPipeError as error:
                raise EOFError from error


def _left(until: float | None) -> float | None:
    return None if until is None else max((until - time.monotonic()) * 1000, 0)
