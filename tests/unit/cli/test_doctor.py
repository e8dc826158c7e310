"""The doctor finds what is wrong and says the cure."""

from __future__ import annotations

import errno
import shutil
import socket
import tempfile
from types import SimpleNamespace

import pytest

from tradewind.cli import doctor
from tradewind.cli.doctor import FAIL, OK, WARN
from tradewind.core.errors import Tampered


def test_this_machine_runs_the_tests_so_its_python_is_fine():
    assert doctor.python().state == OK
    assert doctor.telemetry().state == OK


def test_an_old_processor_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor.platform, "machine", lambda: "x86_64")
    info = tmp_path / "cpuinfo"
    info.write_text("processor : 0\nflags : sse sse2 avx\nprocessor : 1\nflags : sse sse2 avx\n")
    found = doctor.processor(info)
    assert found.state == WARN
    assert "polars-lts-cpu" in found.cure
    info.write_text("processor : 0\nflags : sse avx avx2\n")
    assert doctor.processor(info).state == OK


@pytest.mark.parametrize(("free_kb", "state"), [(8_000_000, OK), (1_000_000, WARN), (100_000, FAIL)])
def test_memory(tmp_path, free_kb, state):
    info = tmp_path / "meminfo"
    info.write_text(f"MemTotal: 8000000 kB\nMemAvailable: {free_kb} kB\n")
    assert doctor.memory(info).state == state


@pytest.mark.parametrize(("free", "state"), [(50 << 30, OK), (1 << 30, WARN), (1 << 20, FAIL)])
def test_disk(tmp_path, monkeypatch, free, state):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    assert doctor.disk(tmp_path / "not" / "there" / "yet").state == state


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    assert doctor.writable(tmp_path).state == OK

    def refuse(**_):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", refuse)
    found = doctor.writable(tmp_path)
    assert found.state == FAIL
    assert "Read-only" in found.found


def test_a_taken_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert doctor.port_free(port).state == WARN
    assert doctor.port_free(port).state == OK


def test_keys_that_others_can_read(tmp_path):
    keys = tmp_path / "keys"
    keys.mkdir(mode=0o700)
    (keys / "kek").touch(mode=0o600)
    assert doctor.key_rights(keys).state == OK
    (keys / "kek").chmod(0o640)
    found = doctor.key_rights(keys)
    assert found.state == FAIL
    assert "chmod" in found.cure


def test_a_failure_is_exit_status_1_and_json_holds_every_check(desk, tradewind_, tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "jail", lambda: doctor.Check("jail", OK, "full"))
    (tmp_path / "keys").mkdir(mode=0o700)
    assert tradewind_("doctor", "--port", "0").status == 0
    desk.error = Tampered("event 7 was changed")
    said = tradewind_("doctor", "--port", "0")
    assert said.status == 1
    assert "event 7 was changed" in said.out


def test_outside_of_a_workspace_the_machine_is_checked_alone(desk, tradewind_, tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "jail", lambda: doctor.Check("jail", OK, "full"))
    said = tradewind_("doctor", "--port", "0", "-w", str(tmp_path / "none"))
    assert said.status == 0
    assert "tradewind init" in said.out
    assert desk.folders == []
