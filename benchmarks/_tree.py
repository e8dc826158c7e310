"""The memory of a process with all its descendants, watched while they run. Linux only: it reads /proc."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path

EVERY_S = 0.2
PROC = Path("/proc")


class Watched:
    """Watch the descendants of this process; `peak_mb` is their largest sum, shared pages counted once where the kernel tells."""

    def __init__(self) -> None:
        self.peak_mb = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Watched:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(EVERY_S):
            self.peak_mb = max(self.peak_mb, sum(memory_mb(pid) for pid in descendants(os.getpid())))


def descendants(pid: int) -> Iterator[int]:
    """Yield the processes that a process started, and those that they started."""
    parents: dict[int, list[int]] = {}
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            try:
                after_name = (folder / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it ended while we looked
                continue
            parents.setdefault(int(after_name[1]), []).append(int(folder.name))
    waiting = parents.get(pid, [])
    while waiting:
        found = waiting.pop()
        yield found
        waiting.extend(parents.get(found, []))


def memory_mb(pid: int) -> float:
    """Return the proportional memory of a process; its whole resident memory where that is all the kernel tells."""
    for file, name in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
        try:
            lines = (PROC / str(pid) / file).read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            if line.startswith(name):
                return int(line.split()[1]) / 1024
    return 0.0
