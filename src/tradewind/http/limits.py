"""How much one client may ask: bytes, rows, requests a second, seconds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from tradewind.core.errors import TooBig

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Scope = MutableMapping[str, Any]

MEBI = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What one server allows. Rates are requests a second per key."""

    body: int = 32 * MEBI
    upload: int = 1024 * MEBI
    rows: int = 100_000
    rate: float = 0.0  # 0 is no limit; twice the rate may come at once
    login_rate: float = 0.5
    login_burst: float = 10.0
    waiting: int = 256  # predictions that may wait for a thread
    threads: int = 8
    patience_s: float = 20.0  # for a request line and headers, and between two pieces of a body
    background: int = 8 * MEBI  # a larger upload is loaded as a job
    session_s: float = 12 * 3600.0
    sockets: int = 200

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Limits:
        """Return the limits that a workspace's settings name, the rest by default."""
        return cls(
            rate=float(options.get("rate_per_s", 0.0)),
            body=int(options.get("body_mb", 32)) * MEBI,
            upload=int(options.get("upload_mb", 1024)) * MEBI,
        )


class Buckets:
    """Meter requests per key: a token bucket kept as one number, the time at which the bucket is full again.

    This is the seam for several machines: a shared store implements `take` and nothing else.
    """

    __slots__ = ("_full_at", "_keep", "_room", "_step")

    def __init__(self, rate: float, burst: float, *, keep: int = 10_000) -> None:
        self._step = 1.0 / rate
        self._room = burst / rate
        self._keep = keep
        self._full_at: dict[str, float] = {}

    def take(self, key: str, now: float) -> float:
        """Take one request; return 0, or the seconds to wait before the next try."""
        full_at = max(self._full_at.get(key, 0.0), now) + self._step
        if full_at - now > self._room + 1e-9:
            return full_at - now - self._room
        self._full_at[key] = full_at
        if len(self._full_at) > self._keep:
            self._full_at = {name: when for name, when in self._full_at.items() if when > now}
        return 0.0


def too_big(limit: int) -> TooBig:
    """Return the error for a body over its limit."""
    return TooBig(
        f"the request body is over {limit // MEBI} MB" if limit >= MEBI else f"the request body is over {limit} bytes",
        hint="send less at a time, or load the file by the command line",
    )


def counted(receive: Receive, limit: int) -> Receive:
    """Return a receive that raises TooBig once more than `limit` bytes have come, whatever the headers promised."""
    seen = 0

    async def limited() -> Message:
        nonlocal seen
        message = await receive()
        if message["type"] == "http.request":
            seen += len(message.get("body", b""))
            if seen > limit:
                raise too_big(limit)
        return message

    return limited
