"""Systems that lack a piece of the jail. A filter of our own plays the older kernel: its answer to the missing call is ENOSYS."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tradewind.workers import jail

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the jail is made of parts of Linux")

OLD_KERNEL = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
from tradewind.core.errors import NotIsolated
from tradewind.workers import jail, syscalls
from tradewind.workers.pool import Pool
missing = json.loads(sys.argv[2])
steps = [(0x20, 0, 0, 0)]
for number in missing:
    steps += [(0x15, 0, 1, number), (0x06, 0, 0, 0x00050000 | 38)]
steps += [(0x06, 0, 0, 0x7FFF0000)]
jail._prctl(38, 1)
if missing:
    jail.install(steps)
with Pool(spare=False) as pool:
    pool.hold("one", "serving_entries:open_any", dict)
    state = pool.held()["one"]
    said = {"report": dict(state.isolation), "reply": pool.call("one", b"echo on").decode()}
with Pool(spare=False, require_isolation=True) as pool:
    try:
        pool.hold("one", "serving_entries:open_any", dict)
        said["refused"] = ""
    except NotIsolated as error:
        said["refused"] = error.message
    said["held"] = list(pool.held())
print(json.dumps(said))
"""
LANDLOCK = [444, 445, 446]
SECCOMP = {"x86_64": 317, "aarch64": 277}.get(os.uname().machine)


def on_kernel_without(*missing: int) -> dict:
    done = subprocess.run(
        [sys.executable, "-c", OLD_KERNEL, str(Path(__file__).parent), json.dumps(missing)],
        capture_output=True,
        env={"PYTHONPATH": str(Path(jail.__file__).parents[2])},
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()[-2000:]
    return json.loads(done.stdout)


def test_with_everything_it_is_full() -> None:
    said = on_kernel_without()
    assert said["report"]["level"] == "full", said["report"]["why"]
    assert said["refused"] == ""
    assert said["held"] == ["one"]


def test_without_landlock_it_is_degraded_and_nothing_is_open_all_the_same() -> None:
    said = on_kernel_without(*LANDLOCK)
    report = said["report"]
    assert (report["level"], report["landlock_abi"], report["seccomp"]) == ("degraded", 0, True)
    assert "landlock" in report["why"]
    assert all(report["probes"].values())
    assert said["reply"] == "on"
    assert "landlock" in said["refused"]
    assert said["held"] == []


def test_without_a_filter_the_report_names_what_is_open() -> None:
    said = on_kernel_without(SECCOMP)
    report = said["report"]
    assert (report["level"], report["seccomp"]) == ("degraded", False)
    assert "seccomp" in report["why"]
    assert "open a socket" in report["why"]
    assert report["probes"]["read a file"]
    assert said["held"] == []


def test_without_anything_it_still_serves_and_says_so() -> None:
    said = on_kernel_without(*LANDLOCK, SECCOMP)
    assert said["report"]["level"] == "degraded"
    assert said["report"]["rlimits"] is True
    assert not said["report"]["probes"]["read a file"]
    assert said["reply"] == "on"
    assert "jail is incomplete" in said["refused"]


def test_the_self_test_sees_an_open_process() -> None:
    """In this very process nothing is locked, so the probes must say so (they are harmless)."""
    probes = jail.test_yourself()
    assert len(probes) == 8
    for name in (
        "read a file",
        "list a folder",
        "open a socket",
        "run a program",
        "make executable memory",
        "send a signal",
        "set a limit",
    ):
        assert not probes[name], name


@pytest.mark.parametrize("missing", ["no_new_privs", "landlock_abi", "rlimits", "seccomp"])
def test_full_needs_every_piece(missing: str) -> None:
    whole = {"no_new_privs": True, "landlock_abi": 7, "rlimits": True, "seccomp": True, "why": []}
    assert jail.judge(whole, {"x": True})["level"] == "full"
    assert jail.judge(whole | {missing: 0}, {"x": True})["level"] == "degraded"
    opened = jail.judge(whole, {"read a file": False})
    assert (opened["level"], opened["why"]) == ("degraded", "it can still read a file")


def test_another_system_is_degraded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jail.sys, "platform", "darwin")
    report = jail.enter(["/usr"])
    assert report["landlock_abi"] == 0
    assert "darwin" in report["why"][0]
