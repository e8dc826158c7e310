"""One jailed serving worker as its parent sees it: start it, ask it from many threads at once, end it."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from tradewind.core import bundle
from tradewind.core.errors import NotIsolated, TimedOut, TradewindError, Unexpected, WorkerDied, from_dict
from tradewind.workers.frames import ERROR, MAX_REPLY, NUMBER
from tradewind.workers.spawn import Process, may_end_others, may_move_limits, roots

START_S = 30.0
"""How long a worker may take to import, lock and open its model."""

_CPU_FIXED_S = 3600

Parts = Callable[[], Mapping[str, bytes]]
"""What a model is opened from; asked for once its process is on its way."""


class Gone(Exception):
    """The worker ended before it answered. `blamed`: this was the request it was working on."""

    def __init__(self, words: str, *, blamed: bool) -> None:
        super().__init__(words)
        self.blamed = blamed


class _Waiter:
    """One request in flight. Its gate opens when there is something to look at: a reply, an end, or the turn to read."""

    __slots__ = ("error", "gate", "gone", "reply")

    def __init__(self) -> None:
        self.gate = threading.Lock()
        self.gate.acquire()
        self.reply: bytes | None = None
        self.error = False
        self.gone: tuple[str, bool] | None = None  # last words, blamed

    def wake(self) -> None:
        if self.gate.locked():
            try:
                self.gate.release()
            except RuntimeError:  # two threads woke it at once
                return

    def done(self) -> bool:
        return self.reply is not None or self.gone is not None


def spawn(entry: str, *, memory_mb: int) -> Process:
    """Start a process that imports the entry's module and waits to be opened."""
    config = {"entry": entry, "roots": roots(entry), "memory_mb": memory_mb, "cpu_s": _cpu_at_first(), "drop": may_end_others()}
    return Process("child", config, threads=1, max_bytes=MAX_REPLY)


class Worker:
    """A worker that serves. Requests are pipelined: the process works on them in the order they were sent.

    There is no reader thread: of the threads that wait, one reads for all, and hands that task on when its own reply is in.
    """

    def __init__(self, process: Process, words: Sequence[str], parts: Parts, *, require_isolation: bool) -> None:
        self.process = process
        self.started = time.time()
        self.calls = 0
        self.dead = False
        self._channel = process.channel
        self._sending = threading.Lock()
        self._reading = threading.Lock()
        self._book = threading.Lock()  # guards what follows
        self._waiting: dict[int, _Waiter | None] = {}  # in the order sent; None: nobody waits any more
        self._next = 1
        self._allowed_s, self._allowed_at = 0.0, 0.0
        try:
            self.isolation = self._open(words, parts, require_isolation)
        except BaseException:
            process.stop()
            raise

    def _open(self, words: Sequence[str], parts: Parts, require_isolation: bool) -> dict[str, Any]:
        channel, until = self._channel, time.monotonic() + START_S
        with self._not_ready():
            channel.send(0, json.dumps(list(words)).encode(), until)
        data = bundle.join(parts())  # read while the process imports
        with self._not_ready():
            report: dict[str, Any] = json.loads(_unwrap(*channel.receive(until)))
            if require_isolation and report["level"] != "full":
                raise NotIsolated(
                    f"the jail is incomplete here: {report['why']}",
                    hint="use a Linux kernel with Landlock and seccomp, or unset require_isolation",
                )
            channel.send(1, data, until)
            _unwrap(*channel.receive(until))
        self._next = 2
        return report

    @contextmanager
    def _not_ready(self) -> Iterator[None]:
        """Say what it means that the process ends, or says nothing, before it is ready."""
        try:
            yield
        except TimeoutError as error:
            raise TimedOut(f"a model did not open within {START_S:g} s; its worker was stopped") from error
        except (EOFError, ValueError) as error:
            self.process.stop()
            raise WorkerDied(
                f"a worker ended before it was ready ({self.process.how_it_ended()})", hint=self.process.last_words()
            ) from error

    def call(self, request: bytes, limit_s: float) -> bytes:
        """Return the reply. Raises TimedOut, the error the model code raised, or Gone."""
        until = time.monotonic() + limit_s
        number, waiter = self._send(request, until, limit_s)
        try:
            self._wait(waiter, until)
        except TimeoutError as error:
            self._give_up(number)
            raise TimedOut(
                f"no answer within {limit_s:g} s; the work was stopped", hint="ask for less at once, or raise deadline_s in tradewind.toml"
            ) from error
        except BaseException:
            self.stop()  # interrupted in the middle of a message: the rest of it would be taken for the next reply
            raise
        if waiter.gone is not None:
            raise Gone(waiter.gone[0], blamed=waiter.gone[1])
        assert waiter.reply is not None
        if waiter.error:
            raise rebuilt(waiter.reply)
        return waiter.reply

    def stop(self) -> None:
        """Kill the process; requests in flight end with Gone."""
        self.process.stop()
        self._bury()

    def in_flight(self) -> int:
        """Return how many requests it has to answer."""
        return len(self._waiting)

    def _send(self, request: bytes, until: float, limit_s: float) -> tuple[int, _Waiter]:
        waiter = _Waiter()
        if not self._sending.acquire(timeout=limit_s):
            self.stop()
            raise TimedOut(f"the worker took no request within {limit_s:g} s and was stopped")
        try:
            with self._book:
                if self.dead:
                    raise Gone("the worker had ended", blamed=False)
                number = self._next
                self._next += 1
                self._waiting[number] = waiter
                self.calls += 1
            self._roll(until, limit_s)
            self._channel.send(number, request, until)
        except TimeoutError as error:  # half a message is in the pipe
            self.stop()
            raise TimedOut(f"the worker took no request within {limit_s:g} s and was stopped") from error
        except EOFError:
            self._bury()
        except Gone:
            raise
        except BaseException:
            self.stop()
            raise
        finally:
            self._sending.release()
        return number, waiter

    def _roll(self, until: float, limit_s: float) -> None:
        """Move the CPU limit on, about once a second: a worker that nobody waits for any more ends by itself."""
        now = until - limit_s
        if now - self._allowed_at > 1 or limit_s > self._allowed_s:
            self._allowed_at, self._allowed_s = now, limit_s
            self.process.allow_cpu(_cpu_for(limit_s))

    def _wait(self, waiter: _Waiter, until: float) -> None:
        while not waiter.done():
            if self._reading.acquire(blocking=False):
                try:
                    self._read(waiter, until)
                finally:
                    self._reading.release()
                    self._hand_on()
            elif not waiter.gate.acquire(timeout=max(until - time.monotonic(), 0)):
                raise TimeoutError

    def _read(self, waiter: _Waiter, until: float) -> None:
        """Deliver replies to whoever waits for them until our own is in."""
        try:
            while not waiter.done():
                tag, reply = self._channel.receive(until)
                with self._book:
                    asked = tag & NUMBER in self._waiting
                    other = self._waiting.pop(tag & NUMBER, None)
                if not asked:
                    raise ValueError("a reply to nothing that was asked")
                if other is not None:
                    other.error, other.reply = bool(tag & ERROR), reply
                    other.wake()
        except (EOFError, ValueError):
            self.stop()

    def _hand_on(self) -> None:
        """Wake one thread that still waits, so that there is always one that reads; no work goes on that nobody waits for."""
        with self._book:
            heir = next((other for other in self._waiting.values() if other is not None), None)
            unattended = heir is None and bool(self._waiting)
        if heir is not None:
            heir.wake()
        elif unattended:
            self.stop()

    def _give_up(self, number: int) -> None:
        """Stop waiting. The worker dies only if it is this request it works on, or one that was given up before."""
        with self._book:
            if number not in self._waiting:  # answered or buried a moment ago
                return
            self._waiting[number] = None
            stuck = next(iter(self._waiting.values())) is None
        if stuck:
            self.stop()

    def _bury(self) -> None:
        self.process.stop()
        with self._book:
            self.dead = True
            left = list(self._waiting.values())
            self._waiting.clear()
        words = " ".join(part for part in (self.process.how_it_ended(), self.process.last_words()) if part)
        for place, waiter in enumerate(left):
            if waiter is not None:
                waiter.gone = (words, place == 0)
                waiter.wake()


def _cpu_for(seconds: float) -> int:
    return math.ceil(4 * seconds) + 10  # several threads may work at once; the clock on the wall is the sharp limit


def _cpu_at_first() -> int:
    """Return the CPU seconds of a worker before its limit is moved on; where we may not move it, it is replaced when they are used up."""
    return _cpu_for(START_S) if may_move_limits() else _CPU_FIXED_S


def _unwrap(tag: int, body: bytes) -> bytes:
    if tag & ERROR:
        raise rebuilt(body)
    return body


def rebuilt(body: bytes) -> TradewindError:
    """Return the error a worker sent; what is not one counts as a fault of ours. The worker is not trusted."""
    try:
        said = json.loads(body)
        fields = [{str(key)[:200]: str(text)[:1000] for key, text in field.items()} for field in said.get("fields", ())[:100]]
        words = {key: str(said.get(key, ""))[:4000] for key in ("error", "message", "hint")}
    except (ValueError, TypeError, AttributeError, KeyError):
        return Unexpected("a worker sent an error that cannot be read")
    return from_dict({**words, "fields": fields})
