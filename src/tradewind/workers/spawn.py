"""Start a child process that inherits two pipes and nothing else: no environment, no terminal, no open file."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tradewind.core.errors import InvalidInput, NotFound, WorkerDied
from tradewind.workers.frames import MAX_BYTES, Channel

_BOOT = "import sys,json;c=json.loads(sys.argv[1]);sys.path+=c['roots'];from tradewind.workers.{main} import main;main(c)"
_FLAGS = ("-I", "-S", "-B")  # no user site, no PYTHON* variables, no .pth files, no writing of byte code
_PIPE_BYTES = 1 << 20
_TAIL = 4096
_KILL, _SYS_RESOURCE = 5, 24  # linux/capability.h
_ENVIRONMENT = {
    "ORT_DISABLE_TELEMETRY": "1",
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "MALLOC_ARENA_MAX": "2",
    "OMP_WAIT_POLICY": "PASSIVE",  # threads that wait must not spin: measured four times slower training on a busy machine
}


class Process:
    """A running child: its channel, and what it last wrote on stderr."""

    __slots__ = ("_ending", "_errors", "_popen", "_tail", "channel", "pid")

    def __init__(self, main: str, config: Mapping[str, Any], *, threads: int, folder: str = "/", max_bytes: int = MAX_BYTES) -> None:
        ours, theirs = _pipes(), _pipes()
        errors, their_errors = os.pipe()
        ends = (theirs[0], ours[1], their_errors)
        try:
            os.set_blocking(errors, False)
            os.set_blocking(their_errors, False)  # a child that writes a lot loses words, it never waits for us
            told = json.dumps({**config, "reads": theirs[0], "writes": ours[1]})
            self._popen = subprocess.Popen(
                [sys.executable, *_FLAGS, "-c", _BOOT.format(main=main), told],
                stdin=subprocess.DEVNULL,
                stdout=their_errors,
                stderr=their_errors,
                pass_fds=ends[:2],
                cwd=folder,
                env=_environment(threads, folder),
                start_new_session=True,  # Ctrl-C in the terminal is for the parent; it decides what ends
            )
        except OSError as error:
            for end in (ours[0], theirs[1], errors):
                os.close(end)
            raise WorkerDied(
                f"a model process cannot be started: {error}", hint="are there too many processes or too little memory?"
            ) from error
        finally:
            for end in ends:
                os.close(end)
        self.pid = self._popen.pid
        self.channel = Channel(ours[0], theirs[1], deadlines=True, max_bytes=max_bytes)
        self._errors = Channel(errors, -1, deadlines=False)  # only to close it when nobody holds the process any more
        self._tail = b""
        self._ending = threading.Lock()

    def stop(self) -> None:
        """Kill the process and whatever it started, and wait for it: no zombie stays. May be called by several threads, and again."""
        with self._ending:
            if self._popen.returncode is None:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.pid, signal.SIGKILL)
                self._popen.kill()
                self._popen.wait()

    def over(self) -> bool:
        """Tell whether the process has ended, without waiting; one that has is no zombie afterwards."""
        with self._ending:
            return self._popen.poll() is not None

    def last_words(self) -> str:
        """Return the end of what the process wrote on stderr, on one line."""
        with contextlib.suppress(OSError):
            while chunk := os.read(self._errors.reads, 1 << 16):
                self._tail = (self._tail + chunk)[-_TAIL:]
        lines = [line.strip() for line in self._tail.decode(errors="replace").splitlines() if line.strip()]
        return " | ".join(lines[-3:])[-500:]

    def how_it_ended(self) -> str:
        """Say in words how a stopped process ended."""
        code = self._popen.returncode
        if code is None or code >= 0:
            return f"exit status {code}"
        with contextlib.suppress(ValueError):
            return signal.Signals(-code).name
        return f"signal {-code}"

    def rss_mb(self) -> float:
        """Return the memory it holds now; 0 where the system does not say."""
        try:
            pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        except (OSError, IndexError, ValueError):
            return 0.0
        return pages * resource.getpagesize() / 2**20

    def allow_cpu(self, seconds: int) -> None:
        """Let the process use this many CPU seconds from now on; it cannot move that limit itself."""
        with contextlib.suppress(OSError, ValueError, IndexError, AttributeError):
            fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
            used = (int(fields[11]) + int(fields[12])) // os.sysconf("SC_CLK_TCK")
            hard = resource.prlimit(self.pid, resource.RLIMIT_CPU)[1]
            soft = used + seconds + 1
            resource.prlimit(self.pid, resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def may_move_limits() -> bool:
    """Tell whether we may set limits of a worker of another user: root in a container often lacks the capability."""
    return os.getuid() != 0 or _capable(_SYS_RESOURCE)


def may_end_others() -> bool:
    """Tell whether we can still kill a worker once it is another user: if not, it has to stay the one we are."""
    return os.getuid() == 0 and _capable(_KILL)


def _capable(capability: int) -> bool:
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return not sys.platform.startswith("linux")  # elsewhere root is root
    held = next((line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), "0")
    return bool(int(held, 16) >> capability & 1)


def roots(entry: str) -> list[str]:
    """Return the folders a child imports from: installed packages, our own source, and where the entry's package lies.

    Never the whole of sys.path: its first place is often the user's working folder.
    """
    installed = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    found = dict.fromkeys([str(Path(__file__).parents[2]), _home(entry), *installed])
    return [path for path in found if Path(path).is_dir()]


def split_entry(entry: str) -> tuple[str, str]:
    """Return module and function of "package.module:function"; raises InvalidInput."""
    module, colon, function = entry.partition(":")
    if not colon or not function.isidentifier() or not all(word.isidentifier() for word in module.split(".")):
        raise InvalidInput(f"{entry!r} is not an entry", hint='write "package.module:function"')
    return module, function


def _home(entry: str) -> str:
    package = split_entry(entry)[0].partition(".")[0]
    spec = importlib.util.find_spec(package)
    places = list(spec.submodule_search_locations or ()) if spec else []
    if places:
        return str(Path(places[0]).resolve().parent)
    if spec is None or not spec.has_location or spec.origin is None:
        raise NotFound(f"there is no module {package!r} to run", hint="is it installed where Tradewind is?")
    return str(Path(spec.origin).resolve().parent)


def _environment(threads: int, folder: str) -> dict[str, str]:
    counted = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS", "NUMEXPR_MAX_THREADS")
    return {**_ENVIRONMENT, **dict.fromkeys(counted, str(threads)), "HOME": folder, "TMPDIR": folder}


def _pipes() -> tuple[int, int]:
    reads, writes = os.pipe()
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with contextlib.suppress(OSError):  # over the user's allowance for pipes: the default size works too
            fcntl.fcntl(writes, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    return reads, writes
