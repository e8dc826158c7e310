import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tradewind.core.errors import DiskFull, NotFound, Tampered
from tradewind.vault.blobs import Blobs
from tradewind.vault.keys import Keys


@pytest.fixture
def blobs(tmp_path: Path) -> Blobs:
    return Blobs(tmp_path / "blobs", Keys.open(tmp_path / "keys"))


def paths(tmp_path: Path, digest: str) -> tuple[Path, Path]:
    stem = tmp_path / "blobs" / digest[:2] / digest
    return stem.with_suffix(".blob"), stem.with_suffix(".key")


@pytest.mark.parametrize("data", [b"", b"x", b"sales" * 100_000, bytes(1 << 20)], ids=len)
def test_bytes_come_back_under_the_name_of_their_content(blobs: Blobs, tmp_path: Path, data: bytes) -> None:
    digest = blobs.put(data)
    assert digest == hashlib.sha256(data).hexdigest()
    assert blobs.get(digest) == data and blobs.has(digest) and blobs.digests() == [digest] and blobs.verify() == 1
    assert Blobs(tmp_path / "blobs", Keys.open(tmp_path / "keys")).get(digest) == data
    assert {file.stat().st_mode & 0o777 for file in paths(tmp_path, digest)} == {0o600}


def test_putting_twice_writes_once(blobs: Blobs, tmp_path: Path) -> None:
    digest = blobs.put(b"data")
    before = [file.read_bytes() for file in paths(tmp_path, digest)]
    assert blobs.put(b"data") == digest
    assert [file.read_bytes() for file in paths(tmp_path, digest)] == before


@pytest.mark.parametrize("name", ["0" * 64, "", "..", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n"])
def test_what_is_not_there_is_said(blobs: Blobs, name: str) -> None:
    with pytest.raises(NotFound):
        blobs.get(name)


def test_a_dropped_blob_is_gone_for_good(blobs: Blobs, tmp_path: Path) -> None:
    digest, other = blobs.put(b"forget me"), blobs.put(b"keep me")
    blob, key = paths(tmp_path, digest)
    sealed, wrapped = blob.read_bytes(), key.read_bytes()
    again = os.open(key, os.O_RDONLY)  # the bytes of the deleted key file itself
    blobs.drop(digest)
    assert os.pread(again, 1000, 0) == bytes(len(wrapped))
    os.close(again)
    assert not blobs.has(digest) and blobs.digests() == [other]
    with pytest.raises(NotFound):
        blobs.get(digest)
    blob.write_bytes(sealed)  # the ciphertext comes back from somewhere: nobody can read it
    with pytest.raises(Tampered):
        blobs.get(digest)
    blobs.drop(digest)
    blobs.drop("0" * 64)
    assert blobs.put(b"forget me") == digest and blobs.get(digest) == b"forget me"


def test_files_of_two_blobs_cannot_be_swapped(blobs: Blobs, tmp_path: Path) -> None:
    one, two = blobs.put(b"a" * 100), blobs.put(b"b" * 100)
    for which in ((0,), (1,), (0, 1)):
        kept = {file: file.read_bytes() for digest in (one, two) for file in paths(tmp_path, digest)}
        for at in which:
            paths(tmp_path, one)[at].write_bytes(kept[paths(tmp_path, two)[at]])
        with pytest.raises(Tampered):
            blobs.get(one)
        for file, data in kept.items():
            file.write_bytes(data)
    assert blobs.get(one) == b"a" * 100


def test_verify_names_what_does_not_belong(blobs: Blobs, tmp_path: Path) -> None:
    digest = blobs.put(b"data")
    blob, _ = paths(tmp_path, digest)
    for stray in (blob.parent / "notes.txt", tmp_path / "blobs" / "zzz", blob.with_suffix(".bak"), blob.parent / f"{'f' * 64}.blob"):
        stray.write_bytes(b"x")
        with pytest.raises(Tampered):
            blobs.verify()
        stray.unlink()
    assert blobs.verify() == 1
    blob.write_bytes(blob.read_bytes()[:-1])
    with pytest.raises(Tampered, match=digest[:12]):
        blobs.verify()


def test_rotation_rewraps_and_leaves_the_blobs_byte_identical(blobs: Blobs, tmp_path: Path) -> None:
    names = [blobs.put(os.urandom(1000)) for _ in range(20)]
    plain = [blobs.get(name) for name in names]
    before = {file: file.read_bytes() for name in names for file in paths(tmp_path, name)}
    assert blobs.rotate() == 20
    for file, data in before.items():
        assert (file.read_bytes() == data) == (file.suffix == ".blob")
    again = Blobs(tmp_path / "blobs", Keys.open(tmp_path / "keys"))
    assert [again.get(name) for name in names] == plain
    for file, data in before.items():
        file.write_bytes(data)
    with pytest.raises(Tampered, match="does not have"):
        again.get(names[0])


def test_a_full_disk_leaves_no_blob(blobs: Blobs, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    kept = blobs.put(b"before")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(DiskFull):
        blobs.put(b"too much")
    monkeypatch.undo()
    assert blobs.digests() == [kept]
    assert blobs.get(blobs.put(b"too much")) == b"too much"


def test_leftovers_of_the_dead_are_swept(blobs: Blobs, tmp_path: Path) -> None:
    digest = blobs.put(b"data")
    (paths(tmp_path, digest)[0].parent / ".tmp-dead").write_bytes(b"half")
    Blobs(tmp_path / "blobs", Keys.open(tmp_path / "keys"))
    assert sorted(file.suffix for file in paths(tmp_path, digest)[0].parent.iterdir()) == [".blob", ".key"]


def test_no_window_of_plaintext_lies_in_the_folder(blobs: Blobs, tmp_path: Path) -> None:
    secret = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(4000))
    text = b"store_7;2026-11-21;promotion 3 for 2;units 120;margin 0.31;" * 500
    blobs.put(secret), blobs.put(text)
    blobs.rotate()
    found = b"\0".join(file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    windows = {secret[at : at + 64] for at in range(0, len(secret) - 64, 64)} | {text[at : at + 64] for at in range(59)}
    assert len(found) > len(secret) + len(text)
    assert not any(found[at : at + 64] in windows for at in range(len(found) - 63))
    for window in windows:
        assert window not in found


def test_processes_that_put_the_same_bytes_end_with_one_readable_blob(blobs: Blobs, tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from tradewind.vault.blobs import Blobs
from tradewind.vault.keys import Keys
root = Path(sys.argv[1])
blobs = Blobs(root / "blobs", Keys.open(root / "keys"))
for number in range(60):
    blobs.put(b"%d" % number * 100)
"""
    both = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path)]) for _ in range(3)]
    for _ in range(5):
        blobs.rotate()
    assert [process.wait(timeout=120) for process in both] == [0, 0, 0]
    assert blobs.verify() == 60


@pytest.mark.parametrize("damage", [None, b"", b"x" * 80])
def test_a_key_that_a_cut_put_left_is_used_or_replaced(blobs: Blobs, tmp_path: Path, damage: bytes | None) -> None:
    digest = blobs.put(b"data")
    blob, key = paths(tmp_path, digest)
    wrapped = key.read_bytes()
    blob.unlink()
    if damage is not None:
        key.write_bytes(damage)
    assert not blobs.has(digest) and blobs.digests() == []
    with pytest.raises(Tampered, match="half"):
        blobs.get(digest)
    assert blobs.put(b"data") == digest and blobs.get(digest) == b"data"
    assert (key.read_bytes() == wrapped) == (damage is None)
    blob.unlink()
    assert blobs.rotate() == 0 and not key.exists()


def test_the_second_of_two_writers_takes_the_key_of_the_first(blobs: Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = blobs.put(b"data")
    first = [file.read_bytes() for file in paths(tmp_path, digest)]
    monkeypatch.setattr(Blobs, "has", lambda self, name: False)  # what the second saw when it began
    blobs.put(b"data")
    second = [file.read_bytes() for file in paths(tmp_path, digest)]
    assert second[1] == first[1] and second[0] != first[0]
    assert blobs.get(digest) == b"data"
