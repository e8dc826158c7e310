"""A small load generator: HTTP/1.1 with kept connections on raw sockets, loopback only, one thread."""

from __future__ import annotations

import json
import selectors
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

MOST_BYTES = 64 << 20
PATIENCE_S = 30.0


@dataclass(slots=True)
class Load:
    """What came back: seconds of every answered request, and a line for every one that failed."""

    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    spent: float = 0.0


class Connection:
    """One kept connection; `ask` blocks, `send` and `take` are for many at once."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._got = bytearray()
        self.sent = 0.0

    def fileno(self) -> int:
        """Return the number that a selector watches."""
        return self._socket.fileno()

    def send(self, request: bytes) -> None:
        """Send one request."""
        self._got.clear()
        self.sent = time.perf_counter()
        self._socket.sendall(request)

    def take(self) -> tuple[int, bytes] | None:
        """Read what is there; return status and body once the answer is whole."""
        piece = self._socket.recv(1 << 18)
        if not piece:
            raise ConnectionError("the server hung up")
        self._got += piece
        if len(self._got) > MOST_BYTES:
            raise ConnectionError("the answer is too long")
        end = self._got.find(b"\r\n\r\n")
        if end < 0:
            return None
        head = bytes(self._got[:end]).lower()
        place = head.find(b"content-length:")
        length = int(head[place + 15 :].split(b"\r\n", 1)[0]) if place >= 0 else 0
        if len(self._got) < end + 4 + length:
            return None
        return int(head[9:12]), bytes(self._got[end + 4 : end + 4 + length])

    def ask(self, request: bytes) -> tuple[int, bytes]:
        """Send one request and wait for the whole answer."""
        self.send(request)
        while True:
            answer = self.take()
            if answer is not None:
                return answer

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()


def post(path: str, body: object, token: str = "") -> bytes:
    """Write a POST of a JSON body."""
    data = json.dumps(body).encode()
    bearer = f"Authorization: Bearer {token}\r\n" if token else ""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{bearer}Content-Type: application/json\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


def one_by_one(port: int, requests: Sequence[bytes]) -> Load:
    """Ask one after the other over one connection."""
    load = Load()
    connection = Connection(port)
    start = time.perf_counter()
    for request in requests:
        status, body = connection.ask(request)
        load.seconds.append(time.perf_counter() - connection.sent)
        if status != 200:
            load.failures.append(f"{status}: {body[:200]!r}")
    load.spent = time.perf_counter() - start
    connection.close()
    return load


def together(port: int, requests: Sequence[bytes], *, connections: int, until: Callable[[float], bool]) -> Load:
    """Keep `connections` busy with the requests in turn until `until(seconds so far)` says enough."""
    load = Load()
    chosen = selectors.DefaultSelector()
    start = time.perf_counter()
    turn = 0
    open_ones = [Connection(port) for _ in range(connections)]
    for connection in open_ones:
        chosen.register(connection, selectors.EVENT_READ)
        connection.send(requests[turn % len(requests)])
        turn += 1
    waiting = len(open_ones)
    while waiting:
        ready = chosen.select(PATIENCE_S)
        if not ready:
            load.failures += [f"no answer for {PATIENCE_S} s"] * waiting
            break
        now = time.perf_counter()
        enough = until(now - start)
        for key, _ in ready:
            connection = key.fileobj
            assert isinstance(connection, Connection)
            try:
                answer = connection.take()
                if answer is None:
                    continue
                load.seconds.append(time.perf_counter() - connection.sent)
                if answer[0] != 200:
                    load.failures.append(f"{answer[0]}: {answer[1][:200]!r}")
                if enough:
                    chosen.unregister(connection)
                    waiting -= 1
                else:
                    connection.send(requests[turn % len(requests)])
                    turn += 1
            except OSError as error:
                load.failures.append(str(error))
                chosen.unregister(connection)
                waiting -= 1
    load.spent = time.perf_counter() - start
    for connection in open_ones:
        connection.close()
    return load
