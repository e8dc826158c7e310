"""Run one training job in a process of its own and listen to it."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping

from tradewind.core import bundle
from tradewind.core.errors import DiskFull, TimedOut, TooBig, WorkerDied
from tradewind.core.model import SILENT, Progress
from tradewind.workers.frames import ERROR, PIECE, STEP
from tradewind.workers.spawn import Process, roots
from tradewind.workers.worker import rebuilt

_LOOK_S = 0.25  # how often the job's memory is looked at


def run(
    entry: str, parts: Mapping[str, bytes], *, progress: Progress = SILENT, memory_mb: int, deadline_s: float, threads: int = 2
) -> dict[str, bytes]:
    """Return what `job(parts, progress)` made. Raises what it raised, TimedOut, TooBig past its memory, or WorkerDied.

    Whatever ends the wait (also a listener that raises Cancelled, or Ctrl-C) ends the process and removes its folder.
    """
    try:
        home = tempfile.TemporaryDirectory(prefix="tradewind-job-", ignore_cleanup_errors=True)
    except OSError as error:
        raise DiskFull(f"the temporary folder of a job cannot be made: {error}", hint="free some space in the temporary folder") from error
    with home as folder:
        # this limit counts memory reserved; what training libraries reserve and never touch is about as much again
        config = {"entry": entry, "roots": roots(entry), "memory_mb": 2 * memory_mb + 1024, "folder": folder}
        process = Process("job", config, threads=threads, folder=folder)
        try:
            return _listen(process, parts, progress, memory_mb=memory_mb, deadline_s=deadline_s)
        finally:
            process.stop()


def _listen(process: Process, parts: Mapping[str, bytes], progress: Progress, *, memory_mb: int, deadline_s: float) -> dict[str, bytes]:
    watch = _Watch(process, deadline_s, memory_mb)
    try:
        watch.send(bundle.join(parts))
        while True:
            tag, body = watch.receive()
            if tag & ERROR:
                raise rebuilt(body)
            if tag & STEP:
                progress(*_step(body))  # may raise Cancelled
            elif tag & PIECE:
                for name, data in bundle.split(body).items():
                    progress.keep(name, data)
            elif tag:
                return bundle.split(body)
    except _Late as error:
        hint = "give it a longer deadline or less to do"
        raise TimedOut(f"the job was not done within {deadline_s:g} s and was stopped", hint=hint) from error
    except _Over as error:
        process.stop()
        raise WorkerDied(f"the job's process ended ({process.how_it_ended()})", hint=process.last_words()) from error


class _Late(Exception):
    pass


class _Over(Exception):
    pass


class _Watch:
    """The way to a job, with an eye on the clock and on its memory. A listener's own errors never pass for the job's."""

    __slots__ = ("_looked", "_memory_mb", "_process", "_until")

    def __init__(self, process: Process, deadline_s: float, memory_mb: int) -> None:
        self._process, self._memory_mb = process, memory_mb
        self._looked = time.monotonic()
        self._until = self._looked + deadline_s

    def send(self, data: bytes) -> None:
        try:
            self._process.channel.send(1, data, self._until)
        except TimeoutError as error:
            raise _Late from error
        except EOFError as error:
            raise _Over from error

    def receive(self) -> tuple[int, bytes]:
        while True:
            self._look()
            try:
                return self._process.channel.receive(min(self._until, time.monotonic() + _LOOK_S))
            except TimeoutError:
                continue
            except (EOFError, ValueError) as error:
                raise _Over from error

    def _look(self) -> None:
        now = time.monotonic()
        if now >= self._until:
            raise _Late
        if now - self._looked < _LOOK_S:
            return
        self._looked = now
        self._process.last_words()  # empties the pipe, so that the end of a long talk is kept
        if self._process.rss_mb() > self._memory_mb:
            message = f"the job used more than its {self._memory_mb} MB of memory and was stopped"
            raise TooBig(message, hint="give it more memory or fewer rows")


def _step(body: bytes) -> tuple[str, float, str]:
    try:
        stage, fraction, message = json.loads(body)
        return str(stage), float(fraction), str(message)
    except (ValueError, TypeError) as error:
        raise _Over from error
