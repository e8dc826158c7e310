"""Look at this machine and this workspace, and say what would get in the way and how to cure it."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tradewind.cli.call import MARK
from tradewind.core.errors import TradewindError

if TYPE_CHECKING:
    from tradewind.cli.call import Call
    from tradewind.core.answer import Answer

GB = 1 << 30
HOME = Path(__file__).parents[2]
"""The folder that holds the package, so that a fresh process finds the same one."""
OK, WARN, FAIL = "ok", "warn", "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at: its state (ok, warn, fail), what was found, and the cure where one is needed."""

    name: str
    state: str
    found: str
    cure: str = ""


def examine(call: Call, port: int) -> Answer:
    """Return one row per check; the fact `failed` counts those that stop work."""
    import numpy as np

    from tradewind.core.answer import Answer, Fact
    from tradewind.core.schema import Column, Role, Schema, Type
    from tradewind.core.table import Table

    folder = call.workspace
    checks = [python(), processor(), memory(), disk(folder), writable(folder), port_free(port), telemetry(), jail(), *workspace(call)]
    names = ("check", "state", "found", "cure")
    columns = {name: np.array(values, object) for name, values in zip(names, zip(*map(astuple, checks), strict=True), strict=True)}
    table = Table.from_columns(columns, Schema(tuple(Column(name, Role.OUTPUT, Type.TEXT) for name in names)))
    count = {state: sum(check.state == state for check in checks) for state in (OK, WARN, FAIL)}
    facts = (Fact("ok", count[OK], "checks"), Fact("warned", count[WARN], "checks"), Fact("failed", count[FAIL], "checks"))
    words = "everything is in order" if count[OK] == len(checks) else "see the column `cure`"
    return Answer(facts, table, words=words)


def python() -> Check:
    """Check the interpreter."""
    found = f"{platform.python_implementation()} {platform.python_version()} at {sys.executable}"
    fits = (3, 11) <= sys.version_info[:2] < (3, 14)
    return Check("python", OK if fits else FAIL, found, "" if fits else "install Python 3.11, 3.12 or 3.13")


def processor(info: Path = Path("/proc/cpuinfo")) -> Check:
    """Check the instruction set: polars and lightgbm wheels are built for AVX2 on x86-64."""
    machine = platform.machine()
    text = info.read_text("utf-8", "replace") if info.is_file() else ""
    flags = {flag for line in text.splitlines() if line.startswith(("flags", "Features")) for flag in line.partition(":")[2].split()}
    found = f"{machine}, {text.count('processor') or '?'} cores"
    if machine in ("x86_64", "AMD64") and flags and "avx2" not in flags:
        return Check("processor", WARN, f"{found}, no AVX2", "install polars-lts-cpu in place of polars, or use a machine made after 2013")
    if machine not in ("x86_64", "AMD64"):
        return Check("processor", WARN, found, "it should work: every wheel exists for ARM64, but Tradewind was never run there")
    return Check("processor", OK, found)


def memory(info: Path = Path("/proc/meminfo")) -> Check:
    """Check the memory that is free now."""
    if not info.is_file():
        return Check("memory", WARN, "cannot be read on this system", "have at least 4 GB")
    sizes = {line.partition(":")[0]: int(line.split()[1]) * 1024 for line in info.read_text("utf-8").splitlines() if line}
    free, total = sizes.get("MemAvailable", 0), sizes.get("MemTotal", 0)
    state = OK if free >= 2 * GB else WARN if free >= GB // 2 else FAIL
    return Check(
        "memory", state, f"{free / GB:.1f} of {total / GB:.1f} GB free", "" if state == OK else "training wants 2 GB: close other programs"
    )


def disk(folder: Path) -> Check:
    """Check the room left where the workspace is."""
    free = shutil.disk_usage(_there(folder)).free
    state = OK if free >= 2 * GB else WARN if free >= GB // 4 else FAIL
    return Check("disk", state, f"{free / GB:.1f} GB free", "" if state == OK else "free some space: every table and version is kept")


def writable(folder: Path) -> Check:
    """Check that the workspace can be written, by writing."""
    home = _there(folder).resolve()
    try:
        with tempfile.NamedTemporaryFile(dir=home) as file:
            file.write(b"x")
            file.flush()
    except OSError as error:
        return Check("write rights", FAIL, f"{home}: {error.strerror}", "chown it to you, or choose another folder: tradewind init DIR")
    return Check("write rights", OK, str(home))


def port_free(port: int) -> Check:
    """Check that the server's port is free."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return Check("port", WARN, f"{port}: {error.strerror}", "stop what listens there, or serve with --port")
    return Check("port", OK, f"{port} is free")


def telemetry() -> Check:
    """Check in a fresh process that onnxruntime is told to be silent before it can be imported."""
    early = "'onnxruntime' not in sys.modules"
    code = f"import sys, tradewind, os; sys.exit(not (os.environ.get('ORT_DISABLE_TELEMETRY') == '1' and {early}))"
    silent = subprocess.run([sys.executable, "-c", code], cwd=HOME, capture_output=True, check=False, timeout=60).returncode == 0
    version = importlib.metadata.version("onnxruntime")
    return Check(
        "telemetry",
        OK if silent else FAIL,
        f"onnxruntime {version}, {'off' if silent else 'NOT off'}",
        "" if silent else "reinstall Tradewind",
    )


def jail() -> Check:
    """Check how well a model process is locked in here, by starting one."""
    from tradewind.workers.pool import Pool

    try:
        with Pool() as pool:
            isolation = pool.isolation()
    except TradewindError as error:
        return Check("jail", FAIL, error.message, error.hint)
    full = isolation.get("level") == "full"
    cure = "" if full else f"{isolation.get('why') or 'the kernel lacks a part'}; Linux 5.13 or later with Landlock gives the full jail"
    return Check(
        "jail",
        OK if full else WARN,
        f"{isolation.get('level')}: Landlock ABI {isolation.get('landlock_abi')}, seccomp {isolation.get('seccomp')}",
        cure,
    )


def workspace(call: Call) -> Iterator[Check]:
    """Check keys and ledger, where there is a workspace."""
    folder = call.workspace
    if not (folder / MARK).is_file():
        yield Check("workspace", WARN, f"{folder.resolve()} is none", "tradewind init")
        return
    yield key_rights(folder / "keys")
    yield _tried("ledger", lambda: str(call.desk.audit(verify=True).words) or "the chain verifies")


def key_rights(keys: Path) -> Check:
    """Check that nobody else can read the keys."""
    open_to_others = [path for path in (keys, *sorted(keys.iterdir())) if stat.S_IMODE(path.stat().st_mode) & 0o077]
    if open_to_others:
        return Check("keys", FAIL, f"{open_to_others[0]} is open to others", f"chmod -R go-rwx {keys}")
    return Check("keys", OK, f"only you can read {keys}")


def _tried(name: str, look: Callable[[], str]) -> Check:
    try:
        return Check(name, OK, look())
    except TradewindError as error:
        return Check(name, FAIL, error.message, error.hint)


def _there(folder: Path) -> Path:
    """Return the folder, or the nearest one above that exists."""
    return next(path for path in (folder.resolve(), *folder.resolve().parents) if path.is_dir())
