"""Hold jailed workers by name, ask them, replace those that die."""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from tradewind.core.errors import NotFound, NotReady, WorkerDied
from tradewind.core.model import SILENT, Progress
from tradewind.workers import run as jobs
from tradewind.workers.child import ECHO
from tradewind.workers.spawn import Process, split_entry
from tradewind.workers.worker import Gone, Parts, Worker, spawn

_TRIES = 6  # how often a request may lose its worker through the fault of another request
_STRIKES = 2  # how often through its own


@dataclass(frozen=True, slots=True)
class WorkerState:
    """What is held under one name. Memory and calls are summed over its processes, the rest is of the first one.

    `isolation` is the report of the jail; `started` is seconds since 1970.
    """

    pid: int
    rss_mb: float
    isolation: Mapping[str, Any]
    started: float
    calls: int


@dataclass(slots=True, eq=False)
class _Seat:
    """A name, how to fill it, and who sits there."""

    name: str
    entry: str
    parts: Parts
    words: tuple[str, ...]
    workers: list[Worker] = field(default_factory=list)
    filling: threading.Lock = field(default_factory=threading.Lock)
    active: int = 0
    past_calls: int = 0


class Pool:
    """Workers by name. Every method may be called from any thread; one pool per process."""

    def __init__(
        self, *, memory_mb: int = 2048, deadline_s: float = 10.0, require_isolation: bool = False, per_version: int = 1, spare: bool = True
    ) -> None:
        self._memory_mb, self._deadline_s = memory_mb, deadline_s
        self._require_isolation, self._per_version, self._spare = require_isolation, per_version, spare
        self._seats: dict[str, _Seat] = {}
        self._spares: dict[str, Process] = {}
        self._changed = threading.Condition()  # guards the two above and every seat's `active`
        self._closed = False
        self._end = weakref.finalize(self, _stop_all, self._seats, self._spares)

    def hold(self, name: str, entry: str, parts: Parts, *, words: Sequence[str] = ()) -> None:
        """Start the workers of a name unless they are there; returns when they can answer.

        `entry` is "package.module:function"; the function gets what `parts()` returns, inside the jail, and returns the server of requests.
        If the module has a function `prepare`, it is called with `words` before the lock: what it does not import can never be imported.
        Raises what the entry raises, NotIsolated, WorkerDied or TimedOut; then nothing is held under the name.
        """
        with self._changed:
            self._refuse_if_closed()
            seat = self._seats.get(name)
            if seat is not None and len(seat.workers) == self._per_version and not any(worker.dead for worker in seat.workers):
                return
            if seat is None:
                split_entry(entry)
                seat = self._seats[name] = _Seat(name, entry, parts, tuple(words))
            seat.active += 1
        try:
            self._fill(seat)
        finally:
            with self._changed:
                seat.active -= 1
                if not seat.workers and not seat.active and self._seats.get(name) is seat:
                    del self._seats[name]
                self._changed.notify_all()

    def call(self, name: str, request: bytes, *, deadline_s: float | None = None) -> bytes:
        """Ask the worker held under a name and return its reply.

        Raises NotFound, what the model code raised, TimedOut (its worker is killed), or WorkerDied when the request ended two workers.
        """
        limit_s = self._deadline_s if deadline_s is None else deadline_s
        with self._changed:
            seat = self._seats.get(name)
            if seat is None:
                raise NotFound(f"no worker is held under {name!r}", hint="hold it first")
            seat.active += 1
        try:
            return self._ask(seat, request, limit_s)
        finally:
            with self._changed:
                seat.active -= 1
                if not seat.active:
                    self._changed.notify_all()

    def drop(self, name: str) -> None:
        """Let go of a name: new calls find nothing, calls in flight are answered first, then its processes end."""
        with self._changed:
            seat = self._seats.pop(name, None)
            if seat is None:
                return
            while seat.active:
                self._changed.wait()
        for worker in seat.workers:
            worker.stop()

    def held(self) -> dict[str, WorkerState]:
        """Return what is held now, by name. A name whose worker ended and was not asked since is not in it."""
        with self._changed:
            seats = list(self._seats.values())
        states = ((seat.name, _state(seat)) for seat in seats)
        return {name: state for name, state in states if state is not None}

    def isolation(self) -> dict[str, Any]:
        """Return the jail's report on this machine, from a worker started for it that holds no model."""
        worker = Worker(spawn(ECHO, memory_mb=self._memory_mb), (), dict, require_isolation=False)
        worker.stop()
        return dict(worker.isolation)

    def run(
        self, entry: str, parts: Mapping[str, bytes], *, progress: Progress = SILENT, memory_mb: int, deadline_s: float, threads: int = 2
    ) -> dict[str, bytes]:
        """Run a training job in a process of its own; see `workers.run`."""
        return jobs.run(entry, parts, progress=progress, memory_mb=memory_mb, deadline_s=deadline_s, threads=threads)

    def close(self) -> None:
        """End every process. Calls in flight end with WorkerDied."""
        with self._changed:
            self._closed = True
        self._end()

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, seat: _Seat, request: bytes, limit_s: float) -> bytes:
        strikes, words = 0, ""
        for _ in range(_TRIES):
            worker = self._worker(seat)
            try:
                return worker.call(request, limit_s)
            except Gone as gone:
                strikes, words = strikes + gone.blamed, str(gone)
                if strikes == _STRIKES:
                    break
        raise WorkerDied(f"the worker of {seat.name} ended while it was asked, and so did its replacement", hint=words)

    def _worker(self, seat: _Seat) -> Worker:
        """Return a living worker of the seat, the one with the least to do."""
        alive = [worker for worker in seat.workers if not worker.dead]
        if len(alive) < self._per_version:
            alive = self._fill(seat)  # one that ended again at once says so when it is asked
        if len(alive) == 1:
            return alive[0]
        return min(alive, key=Worker.in_flight)

    def _fill(self, seat: _Seat) -> list[Worker]:
        """Start what is missing and return who sits there; threads that come meanwhile wait for it."""
        with seat.filling:
            alive = [worker for worker in seat.workers if not worker.dead and not worker.process.over()]
            missing = self._per_version - len(alive)
            if missing <= 0:
                return alive
            seat.past_calls += sum(worker.calls for worker in seat.workers if worker not in alive)
            seat.workers = list(alive)
            parts = cache(seat.parts)
            for _ in range(missing):
                alive.append(self._start(seat, parts))
                seat.workers = list(alive)
        if self._closed:  # closed while the worker was on its way
            _stop_all({seat.name: seat}, {})
        self._restock(seat.entry)
        return alive

    def _start(self, seat: _Seat, parts: Parts) -> Worker:
        with self._changed:
            self._refuse_if_closed()
            spare = self._spares.pop(seat.entry, None)
        if spare is not None:
            with contextlib.suppress(WorkerDied):  # it may have ended while it waited: a fresh one will tell
                return Worker(spare, seat.words, parts, require_isolation=self._require_isolation)
        fresh = spawn(seat.entry, memory_mb=self._memory_mb)
        return Worker(fresh, seat.words, parts, require_isolation=self._require_isolation)

    def _restock(self, entry: str) -> None:
        """Keep one process per entry that has imported everything and waits, so that the next worker is there at once."""
        if not self._spare:
            return
        if entry in self._spares:
            return
        try:
            fresh = spawn(entry, memory_mb=self._memory_mb)
        except WorkerDied:  # no room for one more process: the next worker starts cold
            return
        with self._changed:
            wanted = not self._closed and entry not in self._spares
            if wanted:
                self._spares[entry] = fresh
        if not wanted:
            fresh.stop()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise NotReady("the pool of workers is closed")


def _state(seat: _Seat) -> WorkerState | None:
    alive = [worker for worker in seat.workers if not worker.dead and not worker.process.over()]
    if not alive:
        return None
    memory = sum(worker.process.rss_mb() for worker in alive)
    calls = seat.past_calls + sum(worker.calls for worker in seat.workers)
    return WorkerState(alive[0].process.pid, round(memory, 1), alive[0].isolation, alive[0].started, calls)


def _stop_all(seats: dict[str, _Seat], spares: dict[str, Process]) -> None:
    for seat in list(seats.values()):
        for worker in list(seat.workers):
            worker.stop()
    for spare in list(spares.values()):
        spare.stop()
    seats.clear()
    spares.clear()
