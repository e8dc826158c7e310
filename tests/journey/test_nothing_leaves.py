"""A full train and predict under a guard of the kernel: opening any internet socket kills the process, writing outside fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

GUARD = """
import ctypes, os, struct, sys
from pathlib import Path
from tradewind.workers import jail, syscalls

def no_internet():
    # socket(AF_INET or AF_INET6, ...) -> the process is killed, children too: they inherit the filter
    machine = os.uname().machine
    number = {"x86_64": 41, "aarch64": 198}[machine]
    step = lambda code, yes, no, value: struct.pack("HBBI", code, yes, no, value)
    kill, allow = 0x80000000, 0x7FFF0000
    program = b"".join([
        step(0x20, 0, 0, 0), step(0x15, 0, 4, number), step(0x20, 0, 0, 16),
        step(0x15, 1, 0, 2), step(0x15, 0, 1, 10), step(0x06, 0, 0, kill), step(0x06, 0, 0, allow)])
    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    assert libc.syscall(syscalls.SECCOMP[machine], 1, 0, ctypes.byref(Program(7, program))) == 0

def guard(*writable):
    roots = "/usr /lib /lib64 /bin /etc /proc /sys /dev /root /opt /home".split()
    reads = [path for path in (*roots, sys.prefix, sys.base_prefix, os.environ["TW_SOURCE"]) if os.path.exists(path)]
    report = jail.enter(reads, runs=reads, writes=list(writable))
    assert report["landlock_abi"], report
    no_internet()
"""

WALK = """
import tradewind as tw
from tradewind.models._kit.world import make
guard(sys.argv[1], "/dev/shm", "/dev/null")
desk = tw.open(Path(sys.argv[1]) / "shop", country="DE")
for name, table in make(seed=3, years=1.2, products=4, stores=2, customers=60).tables.items():
    desk.load(table, table=name)
desk.train("demand")
desk.promote("demand", force=True, reason="a test")
print(len(desk.predict("demand", horizon=30).table))
desk.close()
"""


def run(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    home = folder / "home"
    home.mkdir()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ORT_")}
    environment |= {
        "HOME": str(home),
        "TMPDIR": str(folder),
        "TW_SOURCE": str(ROOT),
        "PYTHONPATH": str(ROOT / "src"),
        "XDG_CACHE_HOME": str(home),
    }
    return subprocess.run(
        [sys.executable, "-c", GUARD + code, str(folder)], capture_output=True, text=True, env=environment, timeout=280, check=False
    )


pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the guard is made of Landlock and seccomp")


def test_the_guard_kills_an_internet_socket(tmp_path: Path) -> None:
    done = run("guard(sys.argv[1])\nimport socket\nsocket.socket(socket.AF_INET, socket.SOCK_DGRAM)\nprint('open')", tmp_path)
    assert done.returncode == -31 and "open" not in done.stdout, done


def test_the_guard_refuses_a_write_outside(tmp_path: Path) -> None:
    done = run("guard(sys.argv[1])\nPath('/var/tmp/tradewind-guard').write_text('x')", tmp_path)
    assert "PermissionError" in done.stderr and not Path("/var/tmp/tradewind-guard").exists()


def test_train_and_predict_open_no_socket_and_write_nowhere_else(tmp_path: Path) -> None:
    done = run(WALK, tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout.split()[-1]) >= 30
    assert not [path for path in (tmp_path / "home").rglob("*") if path.is_file()], "something was written into the home folder"
