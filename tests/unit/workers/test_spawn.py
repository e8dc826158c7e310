import resource
import sys
from pathlib import Path

import pytest

from tradewind.core.errors import InvalidInput, NotFound
from tradewind.workers import spawn


def test_roots_hold_packages_and_source_but_never_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "shop"
    data.mkdir()
    monkeypatch.chdir(data)
    monkeypatch.setattr(sys, "path", ["", str(data), *sys.path])
    found = spawn.roots("tradewind.workers.child:open_echo")
    assert str(Path(spawn.__file__).parents[2]) in found
    assert any(path.endswith("site-packages") for path in found)
    assert "" not in found
    assert str(data) not in found


def test_roots_hold_the_home_of_the_entry() -> None:
    assert str(Path(__file__).parent) in spawn.roots("serving_entries:open_any")


@pytest.mark.parametrize("entry", ["", ":", "a", "a:", ":b", "a:b c", "a-b:c", "../a:b", "a:b:c", "a..b:c"])
def test_what_is_not_an_entry(entry: str) -> None:
    with pytest.raises(InvalidInput):
        spawn.split_entry(entry)


def test_a_module_that_is_not_there() -> None:
    with pytest.raises(NotFound):
        spawn.roots("no_such_module_anywhere:open")


def test_how_a_process_ended_is_said_in_words() -> None:
    config = {
        "entry": "serving_entries:open_any",
        "roots": spawn.roots("serving_entries:open_any"),
        "memory_mb": 512,
        "cpu_s": 10,
        "drop": False,
    }
    process = spawn.Process("child", config, threads=1)
    assert not process.over()
    process.stop()
    process.stop()
    assert process.over()
    assert process.how_it_ended() == "SIGKILL"
    assert process.rss_mb() == 0
    process.allow_cpu(10)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="another process's limits are moved on Linux only")
def test_the_cpu_limit_of_a_process_is_moved() -> None:
    config = {
        "entry": "serving_entries:open_any",
        "roots": spawn.roots("serving_entries:open_any"),
        "memory_mb": 512,
        "cpu_s": 10,
        "drop": False,
    }
    process = spawn.Process("child", config, threads=1)  # not locked yet: still the same user
    try:
        process.allow_cpu(50)
        assert 51 <= resource.prlimit(process.pid, resource.RLIMIT_CPU)[0] < 60
        process.allow_cpu(90)
        assert 91 <= resource.prlimit(process.pid, resource.RLIMIT_CPU)[0] < 100
    finally:
        process.stop()


@pytest.mark.parametrize(
    ("uid", "status", "may"),
    [(1000, "", True), (0, "CapEff:\t000001fffeffffff\n", False), (0, "CapEff:\t000001ffffffffff\n", True), (0, "", False)],
)
def test_who_may_move_limits(uid: int, status: str, may: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spawn.os, "getuid", lambda: uid)
    monkeypatch.setattr(spawn.Path, "read_text", lambda path: status)
    assert spawn.may_move_limits() == may


@pytest.mark.parametrize(
    ("uid", "status", "may"),
    [(1000, "CapEff:\t0\n", False), (0, "CapEff:\t00000000000000c0\n", False), (0, "CapEff:\t00000000000000e0\n", True)],
)
def test_a_worker_changes_user_only_if_it_can_still_be_killed(uid: int, status: str, may: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spawn.os, "getuid", lambda: uid)
    monkeypatch.setattr(spawn.Path, "read_text", lambda path: status)
    assert spawn.may_end_others() == may
