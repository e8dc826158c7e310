import errno
import io
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tradewind.core.errors import DiskFull, InvalidInput, NotFound, Tampered, TradewindError, Unreadable
from tradewind.core.event import Event
from tradewind.vault import archive
from tradewind.vault.blobs import Blobs
from tradewind.vault.keys import Keys
from tradewind.vault.ledger import Ledger


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    return tmp_path / "shop"


@pytest.fixture
def opened(shop: Path) -> Iterator[tuple[Keys, Blobs, Ledger]]:
    keys = Keys.open(shop / "keys")
    ledger = Ledger(shop / "ledger.db", keys)
    yield keys, Blobs(shop / "blobs", keys), ledger
    ledger.close()


@pytest.mark.parametrize("with_keys", [True, False])
def test_a_backup_comes_back(opened: tuple[Keys, Blobs, Ledger], shop: Path, tmp_path: Path, with_keys: bool) -> None:
    keys, blobs, ledger = opened
    digest = blobs.put(b"sales" * 1000)
    ledger.note(Event("load", "ann", {"blob": digest}))
    size = archive.pack_folder(shop, tmp_path / "backup.tar", ledger, keys=with_keys)
    assert size == (tmp_path / "backup.tar").stat().st_size and (tmp_path / "backup.tar").stat().st_mode & 0o077 == 0
    assert b"sales" * 13 not in (tmp_path / "backup.tar").read_bytes()
    ledger.append(Event("later", "ann"))
    back = tmp_path / "back"
    archive.unpack_folder(tmp_path / "backup.tar", back)
    assert (back / "keys").exists() == with_keys
    again = Keys.open(back / "keys") if with_keys else Keys.recover(back / "keys", keys.recovery())
    assert again.key_id == keys.key_id and Blobs(back / "blobs", again).get(digest) == b"sales" * 1000
    copy = Ledger(back / "ledger.db", again)
    assert copy.verify() == 1 and copy.read("load")[0].body == {"blob": digest}
    copy.close()


def test_a_backup_without_keys_is_closed_to_others(opened: tuple[Keys, Blobs, Ledger], shop: Path, tmp_path: Path) -> None:
    _, blobs, ledger = opened
    digest = blobs.put(b"sales")
    archive.pack_folder(shop, tmp_path / "backup.tar", ledger, keys=False)
    archive.unpack_folder(tmp_path / "backup.tar", tmp_path / "back")
    with pytest.raises(Tampered):
        Blobs(tmp_path / "back" / "blobs", Keys.open(tmp_path / "back" / "keys")).get(digest)


def test_what_is_no_backup_is_refused(opened: tuple[Keys, Blobs, Ledger], shop: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        archive.pack_folder(shop, shop / "backup.tar", opened[2], keys=True)
    with pytest.raises(NotFound):
        archive.unpack_folder(tmp_path / "gone.tar", tmp_path / "back")
    (tmp_path / "bad.tar").write_bytes(b"x" * 2000)
    with pytest.raises(Unreadable):
        archive.unpack_folder(tmp_path / "bad.tar", tmp_path / "back")
    archive.pack_folder(shop, tmp_path / "good.tar", opened[2], keys=True)
    with pytest.raises(InvalidInput, match="not empty"):
        archive.unpack_folder(tmp_path / "good.tar", shop)


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil-tradewind", "a/../../evil", "link"])
def test_a_backup_cannot_write_elsewhere(tmp_path: Path, name: str) -> None:
    with tarfile.open(tmp_path / "evil.tar", "w") as tar:
        member = tarfile.TarInfo(name)
        if name == "link":
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(member)
        else:
            member.size = 1
            tar.addfile(member, io.BytesIO(b"x"))
    with pytest.raises(TradewindError):
        archive.unpack_folder(tmp_path / "evil.tar", tmp_path / "back")
    assert not (tmp_path / "evil").exists() and not (tmp_path / "back").exists()


def test_a_backup_that_cannot_be_finished_leaves_the_one_before(
    opened: tuple[Keys, Blobs, Ledger], shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "backup.tar"
    archive.pack_folder(shop, file, opened[2], keys=True)
    before = file.read_bytes()

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tarfile.TarFile, "add", full)
    with pytest.raises(DiskFull):
        archive.pack_folder(shop, file, opened[2], keys=True)
    assert file.read_bytes() == before
    assert not [one for one in tmp_path.iterdir() if one.name.startswith(".tmp-")]


def test_a_backup_needs_a_folder_that_is_there(opened: tuple[Keys, Blobs, Ledger], shop: Path, tmp_path: Path) -> None:
    for file in (tmp_path / "none" / "backup.tar", tmp_path):
        with pytest.raises(InvalidInput, match=r"can be written|cannot lie inside"):
            archive.pack_folder(shop, file, opened[2], keys=True)
    assert tmp_path.is_dir()
