"""How benchmarks run things: the command line in a child that is measured, real data, temporary workspaces."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
SURROUNDINGS = dict(os.environ)  # noqa: TID251 - children get what we were given
ABSENT = "the real data is not here; it is looked for in ../shared/data beside the repository"


@dataclass(frozen=True, slots=True)
class Ran:
    """A child that ended: its exit status, wall seconds, peak memory with its own children, what it wrote, and its CPU seconds."""

    status: int
    seconds: float
    peak_mb: float
    out: str
    err: str
    cpu_s: float  # of its own children too, as far as it waited for them

    @property
    def data(self) -> dict[str, Any]:
        """Return the JSON document it printed."""
        return dict(json.loads(self.out))

    def fact(self, name: str) -> Any:
        """Return a fact of the answer it printed."""
        return next(fact["value"] for fact in self.data["answer"]["facts"] if fact["name"] == name)


class Failed(Exception):
    """A command that a benchmark needs did not end well."""


def child(words: list[str], *, cwd: Path | None = None, env: dict[str, str] | None = None, check: bool = True) -> Ran:
    """Run a command, measure it, and return what it wrote; raises Failed where it ends badly and `check` is set."""
    surroundings = {
        **SURROUNDINGS,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{SURROUNDINGS['PATH']}",
        "PYTHONPATH": str(ROOT / "src"),
        **(env or {}),
    }
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        process = subprocess.Popen(words, stdout=out, stderr=err, cwd=cwd, env=surroundings)
        _, raw, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(raw)
        out.seek(0)
        err.seek(0)
        cpu = used.ru_utime + used.ru_stime
        ran = Ran(process.returncode, seconds, used.ru_maxrss / 1024, out.read().decode(), err.read().decode(), cpu)
    if check and ran.status:
        raise Failed(f"{' '.join(words)} ended with {ran.status}: {(ran.err or ran.out).strip()[-600:]}")
    return ran


def tradewind(*words: str, cwd: Path | None = None, check: bool = True) -> Ran:
    """Type a command of the command line with --json."""
    return child([sys.executable, "-m", "tradewind", *words, "--json"], cwd=cwd, check=check)


@contextmanager
def temporary() -> Iterator[Path]:
    """Give a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="tradewind-bench-") as folder:
        yield Path(folder)


def median(values: list[float]) -> float:
    """Return the middle value."""
    return sorted(values)[len(values) // 2]


def quantile(values: list[float], share: float) -> float:
    """Return the value that `share` of all do not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def machine() -> str:
    """Describe where this ran."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return f"{os.cpu_count()} cores, {memory:.0f} GB, Python {sys.version.split()[0]}, load {os.getloadavg()[0]:.1f}"


def own_peak_mb() -> float:
    """Return this process's own peak memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
