"""Lock the calling process in: no_new_privs, Landlock, resource limits, another user, seccomp.

A serving worker calls `enter` before it imports anything large, then `lock` before it sees a byte of a model. A training process
calls `enter` only. On a system that lacks a piece the report says which, and its level is "degraded".
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import struct
import sys
from collections.abc import Callable, Sequence
from typing import Any

from tradewind.workers import syscalls

NOBODY = 65534
"""The user and group a worker of root becomes: by convention it owns nothing."""

LIBRARIES = ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/lib", "/lib64", "/etc/ld.so.cache")
MACHINE_FACTS = ("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/sys/devices/system/cpu", "/dev/null", "/dev/urandom")

_NO_NEW_PRIVS, _DUMPABLE = 38, 4
_CREATE, _ADD, _RESTRICT = 444, 445, 446
_EXECUTE, _READ_FILE, _READ_FOLDER, _WRITE_FILE, _TRUNCATE = 1 << 0, 1 << 2, 1 << 3, 1 << 1, 1 << 14
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | 1 << 15  # the rights a rule on a plain file may name

Report = dict[str, Any]


def enter(reads: Sequence[str], *, writes: Sequence[str] = (), runs: Sequence[str] = ()) -> Report:
    """Give up new privileges for good and see only these paths: call it while there is a single thread.

    `runs` may be read and executed, `writes` is a folder where anything goes. Children inherit all of it.
    """
    report: Report = {"no_new_privs": False, "landlock_abi": 0, "rlimits": False, "seccomp": False, "uid": os.getuid(), "why": []}
    if not sys.platform.startswith("linux"):
        report["why"].append(f"{sys.platform} has neither Landlock nor seccomp")
        return report
    _attempt(report, "no_new_privs", lambda: _prctl(_NO_NEW_PRIVS, 1))
    _attempt(report, "landlock_abi", lambda: _confine(reads, writes, runs))
    return report


def lock(report: Report, *, memory_mb: int, cpu_s: int, drop: bool = True) -> Report:
    """Close every other way out and return the finished report; nothing can be opened, imported or started afterwards."""
    _attempt(report, "rlimits", lambda: limit(memory_mb=memory_mb, cpu_s=cpu_s, files=32, file_bytes=0))
    if drop and os.getuid() == 0:
        _attempt(report, "dropped", _become_nobody)
    report["uid"] = os.getuid()
    if sys.platform.startswith("linux"):
        _attempt(report, "dumpable_off", lambda: _prctl(_DUMPABLE, 0))
        _attempt(report, "seccomp", _filter)
    return judge(report, test_yourself())


def judge(report: Report, probes: dict[str, bool]) -> Report:
    """Add the outcome of the self-test and the level: "full" only if every piece is there and every probe was blocked."""
    open_ways = [name for name, blocked in probes.items() if not blocked]
    whole = all(report[piece] for piece in ("no_new_privs", "landlock_abi", "rlimits", "seccomp"))
    why = [*report["why"], *(f"it can still {name}" for name in open_ways)]
    return report | {"probes": probes, "level": "full" if whole and not open_ways else "degraded", "why": "; ".join(why)}


def limit(*, memory_mb: int, cpu_s: int | None = None, files: int | None = None, file_bytes: int | None = None) -> bool:
    """Set the resource limits of this process. RLIMIT_DATA counts private writable memory, reserved or used.

    The CPU limit is soft: the parent moves it on with every call, the worker itself cannot.
    """
    bounds = [(resource.RLIMIT_DATA, memory_mb << 20), (resource.RLIMIT_CORE, 0)]
    bounds += [(resource.RLIMIT_NOFILE, files)] if files is not None else []
    bounds += [(resource.RLIMIT_FSIZE, file_bytes)] if file_bytes is not None else []
    for name in ("RLIMIT_MEMLOCK", "RLIMIT_MSGQUEUE"):
        bounds += [(getattr(resource, name), 0)] if file_bytes is not None and hasattr(resource, name) else []
    for kind, value in bounds:
        hard = resource.getrlimit(kind)[1]
        lowest = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (lowest, lowest))
    if cpu_s is not None:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        soft = int(usage.ru_utime + usage.ru_stime) + cpu_s + 1
        resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))
    return True


def test_yourself() -> dict[str, bool]:
    """Try eight harmless things a jailed process must not be able to do; return name -> whether it was blocked."""
    libc = _libc()
    probes: dict[str, Callable[[], Any]] = {
        "read a file": lambda: os.close(os.open("/etc/passwd", os.O_RDONLY)),
        "write a file": lambda: os.close(os.open("/tmp", os.O_WRONLY | getattr(os, "O_TMPFILE", os.O_EXCL), 0o600)),  # noqa: S108
        "list a folder": lambda: os.listdir("/"),
        "open a socket": lambda: os.close(_checked(libc.socket(1, 2, 0))),  # of any family: none may be opened
        "run a program": lambda: os.execv("/nonexistent/program", ["program"]),  # noqa: S606
        "make executable memory": lambda: _checked(libc.mmap(None, ctypes.c_size_t(4096), 7, 0x22, -1, ctypes.c_long(0))),
        "send a signal": lambda: os.kill(os.getpid(), 0),
        "set a limit": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, resource.getrlimit(resource.RLIMIT_NOFILE)),
    }
    return {name: _blocked(probe) for name, probe in probes.items()}


def _blocked(probe: Callable[[], Any]) -> bool:
    try:
        probe()
    except ValueError:  # the resource module's word for EPERM on a hard limit
        return True
    except OSError as error:
        return error.errno in (errno.EPERM, errno.EACCES)
    return False


def _attempt(report: Report, piece: str, step: Callable[[], Any]) -> None:
    try:
        report[piece] = step()
    except (OSError, ValueError, KeyError, AttributeError) as error:
        report[piece] = False
        report["why"].append(f"{piece}: {error}")


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    libc.mmap.restype = ctypes.c_long
    return libc


def _checked(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def _prctl(option: int, value: int) -> bool:
    zero = ctypes.c_ulong(0)
    return _checked(_libc().prctl(option, ctypes.c_ulong(value), zero, zero, zero)) == 0


def _become_nobody() -> bool:
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)  # all threads; gives up every capability
    return True


def _confine(reads: Sequence[str], writes: Sequence[str], runs: Sequence[str]) -> int:
    """Apply a Landlock ruleset and return the kernel's ABI; see linux/landlock.h for the bits by ABI."""
    call = _libc().syscall
    abi = _checked(call(_CREATE, None, ctypes.c_size_t(0), ctypes.c_uint32(1)))
    rights = (1 << 13) - 1 | (1 << 13 if abi >= 2 else 0) | (_TRUNCATE if abi >= 3 else 0) | (1 << 15 if abi >= 5 else 0)
    wire = struct.pack("=QQQ", rights, 3, 3) if abi >= 6 else struct.pack("=QQ", rights, 3) if abi >= 4 else struct.pack("=Q", rights)
    ruleset = _checked(call(_CREATE, wire, ctypes.c_size_t(len(wire)), ctypes.c_uint32(0)))
    try:
        for paths, granted in ((reads, _READ_FILE | _READ_FOLDER), (runs, _EXECUTE | _READ_FILE | _READ_FOLDER), (writes, rights)):
            for path in paths:
                _permit(ruleset, path, granted & rights)
        _checked(call(_RESTRICT, ruleset, ctypes.c_uint32(0)))
    finally:
        os.close(ruleset)
    return abi


def _permit(ruleset: int, path: str, rights: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):  # nothing is granted for what is not there
        return
    try:
        granted = rights if os.path.isdir(path) else rights & _ON_FILES
        wire = struct.pack("=Qi", granted, place)
        _checked(_libc().syscall(_ADD, ruleset, 1, wire, ctypes.c_uint32(0)))
    finally:
        os.close(place)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_void_p))


def install(steps: list[syscalls.Step]) -> bool:
    """Apply a filter to every thread of this process, for good (SECCOMP_SET_MODE_FILTER with TSYNC)."""
    number = syscalls.SECCOMP[os.uname().machine]
    wire = ctypes.create_string_buffer(syscalls.assemble(steps))
    program = _Program(len(steps), ctypes.cast(wire, ctypes.c_void_p))
    left_out = _checked(_libc().syscall(number, ctypes.c_uint(1), ctypes.c_uint(1), ctypes.byref(program)))
    if left_out:
        raise OSError(errno.EAGAIN, f"thread {left_out} was not locked in")
    return True


def _filter() -> bool:
    return install(syscalls.program(os.uname().machine))
