import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tradewind.core.errors import DiskFull, NotAllowed, Unexpected
from tradewind.vault import files


def test_write_is_whole_private_and_leaves_nothing_behind(tmp_path: Path) -> None:
    files.write(tmp_path / "a", b"one")
    files.write(tmp_path / "a", b"two")
    assert (tmp_path / "a").read_bytes() == b"two"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["a"]


def test_fresh_never_replaces(tmp_path: Path) -> None:
    assert files.write(tmp_path / "a", b"one", fresh=True)
    assert not files.write(tmp_path / "a", b"two", fresh=True)
    assert (tmp_path / "a").read_bytes() == b"one"
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("step", ["write", "fsync", "replace"])
def test_a_full_disk_is_said_and_the_old_bytes_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, number: int) -> None:
    files.write(tmp_path / "a", b"old")

    def full(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, step, full)
    with pytest.raises(DiskFull) as told:
        files.write(tmp_path / "a", b"new")
    monkeypatch.undo()
    assert told.value.hint
    assert (tmp_path / "a").read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a"]


def test_a_file_size_limit_of_the_system_is_a_full_disk(tmp_path: Path) -> None:
    code = """
import resource, signal, sys
from pathlib import Path
from tradewind.core.errors import DiskFull
from tradewind.vault import files
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    files.write(Path(sys.argv[1]) / "a", bytes(5000))
except DiskFull:
    print("full")
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout == "full\n"
    assert os.listdir(tmp_path) == []


def test_other_refusals_are_said_too(tmp_path: Path) -> None:
    assert isinstance(files.refusal(PermissionError(errno.EACCES, "no"), tmp_path), NotAllowed)
    assert isinstance(files.refusal(OSError(errno.EROFS, "read only"), tmp_path), NotAllowed)
    assert isinstance(files.refusal(OSError(errno.EIO, "io"), tmp_path), Unexpected)
    with pytest.raises(Unexpected):
        files.write(tmp_path / "gone" / "a", b"x")


def test_sweep_takes_the_dead_writers_files_and_leaves_the_living(tmp_path: Path) -> None:
    import fcntl

    (tmp_path / ".tmp-dead").write_bytes(b"half")
    (tmp_path / "kept").write_bytes(b"whole")
    living = os.open(tmp_path / ".tmp-living", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(living, fcntl.LOCK_EX)
    assert files.sweep(tmp_path) == 1
    assert sorted(os.listdir(tmp_path)) == [".tmp-living", "kept"]
    os.close(living)
    assert files.sweep(tmp_path) == 1


def test_a_write_survives_a_sweep_between_creation_and_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    true_lock, swept = fcntl.flock, []

    def late(handle: int, how: int) -> None:
        if not swept:
            swept.append(1)
            for left in tmp_path.glob(".tmp-*"):
                left.unlink()
        true_lock(handle, how)

    monkeypatch.setattr(files.fcntl, "flock", late)
    files.write(tmp_path / "a", b"data")
    assert swept and (tmp_path / "a").read_bytes() == b"data"


@pytest.mark.parametrize("fresh", [False, True])
def test_a_write_survives_a_sweep_before_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fresh: bool) -> None:
    name = "link" if fresh else "replace"
    true_step, swept = getattr(os, name), []

    def late(temporary: Path, path: Path) -> None:
        swept.append(files.sweep(tmp_path))
        true_step(temporary, path)

    monkeypatch.setattr(files.os, name, late)
    assert files.write(tmp_path / "a", b"data", fresh=fresh)
    assert swept == [0] and os.listdir(tmp_path) == ["a"]
