"""A whole workspace as one file, and back. Everything in it stays sealed."""

from __future__ import annotations

import io
import tarfile
import tempfile
from contextlib import suppress
from pathlib import Path, PurePosixPath

from tradewind.core.errors import InvalidInput, NotFound, Unreadable
from tradewind.vault.files import refusal
from tradewind.vault.ledger import Ledger

LEFT_OUT = ("locks", "ledger.db", "ledger.db-wal", "ledger.db-shm")
MOST_FILES = 1_000_000


def pack_folder(folder: Path, path: Path, ledger: Ledger, *, keys: bool) -> int:
    """Write a workspace into a tar file and return its size in bytes; the ledger is copied as of one moment.

    Blobs never change once written, so those that the copied ledger names are whole. A file of that name is replaced only by a whole
    one. Raises DiskFull, and InvalidInput where no file can be.
    """
    if path.resolve().is_relative_to(folder.resolve()):
        raise InvalidInput("a backup cannot lie inside the workspace it saves", hint="name a file somewhere else")
    if not path.resolve().parent.is_dir() or path.is_dir():
        raise InvalidInput(f"no file {path} can be written", hint="name a file in a folder that is there")
    left_out = LEFT_OUT if keys else (*LEFT_OUT, "keys")
    made = path.with_name(f".tmp-{path.name}")
    try:
        made.unlink(missing_ok=True)
        made.touch(0o600)  # nobody else reads it while it grows: it may hold the keys
        with tempfile.TemporaryDirectory() as spare, tarfile.open(made, "w") as tar:
            copy = Path(spare) / "ledger.db"
            ledger.copy(copy)
            tar.add(copy, "ledger.db")
            for file in sorted(folder.rglob("*")):
                inside = file.relative_to(folder)
                if file.is_file() and inside.parts[0] not in left_out and not file.name.startswith(".tmp-"):
                    tar.add(file, str(inside), recursive=False)
        made.replace(path)
        return path.stat().st_size
    except OSError as error:
        with suppress(OSError):
            made.unlink(missing_ok=True)
        raise refusal(error, path) from error


def unpack_folder(path: Path, folder: Path) -> int:
    """Unpack a backup into a new or empty folder and return the number of files.

    Raises NotFound, Unreadable, and InvalidInput for a folder in use or a name that leaves the folder.
    """
    if not path.is_file():
        raise NotFound(f"there is no backup at {path}")
    if folder.exists() and any(folder.iterdir()):
        raise InvalidInput(f"{folder} is not empty", hint="restore into a new folder")
    try:
        with tarfile.open(path, "r:") as tar:
            members = tar.getmembers()
            if len(members) > MOST_FILES:
                raise Unreadable(f"{path} holds {len(members):,} files", hint="it is not a backup of a workspace")
            for member in members:
                inside = PurePosixPath(member.name)
                if not member.isfile() or inside.is_absolute() or ".." in inside.parts:
                    raise Unreadable(f"{path} holds {member.name!r}, which no backup holds")
            folder.mkdir(parents=True, exist_ok=True)
            tar.extractall(folder, members=[_plain(member) for member in members], filter="data")
    except (tarfile.TarError, EOFError, io.UnsupportedOperation) as error:
        raise Unreadable(f"{path} is damaged or no backup", hint="use a file that `tradewind backup` wrote") from error
    return len(members)


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    return member.replace(mode=0o600, uid=None, gid=None, uname=None, gname=None, deep=False)  # type: ignore[arg-type]
