"""Write a file whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tradewind.core.errors import DiskFull, NotAllowed, TradewindError, Unexpected

TEMPORARY = ".tmp-"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write(path: Path, data: bytes, *, fresh: bool = False, sync: bool = True) -> bool:
    """Put bytes at a path: temporary file, fsync, rename, fsync of the folder; mode 0600.

    `fresh` never replaces: it returns False where the path is taken already. `sync=False` leaves the folder's fsync to a
    later call. Raises DiskFull and NotAllowed; the path then holds what it held before.
    """
    try:
        with _written(path.parent, data) as temporary:
            if not fresh:
                os.replace(temporary, path)
            elif not _linked(temporary, path):
                return False
        if sync:
            settle(path.parent)
    except OSError as error:
        raise refusal(error, path) from error
    return True


def folder(path: Path) -> Path:
    """Make a folder (mode 0700) that outlives a crash, and return it."""
    if not path.is_dir():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.mkdir(mode=0o700, exist_ok=True)
            settle(path.parent)
        except OSError as error:
            raise refusal(error, path) from error
    return path


def settle(path: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sweep(path: Path) -> int:
    """Remove temporary files whose writer is gone; return how many. A living writer holds a lock on its file."""
    gone = 0
    for left in path.glob(TEMPORARY + "*"):
        try:
            handle = os.open(left, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.unlink(left)
            gone += 1
        except OSError:
            pass
        finally:
            os.close(handle)
    return gone


def refusal(error: OSError, path: Path) -> TradewindError:
    """Say in our words why the disk refused."""
    if error.errno in _FULL:
        return DiskFull(
            f"no room left to write {path.name}", hint="free some space and run the same command again; nothing was half written"
        )
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return NotAllowed(f"cannot write {path}: {error.strerror}", hint="the folder must belong to the user who runs tradewind")
    return Unexpected(f"cannot write {path}: {error.strerror}", hint="check the disk")


@contextmanager
def _written(parent: Path, data: bytes) -> Iterator[Path]:
    """Give a temporary file that holds the data, on disk and locked until it has its name: no sweeper takes it. It is gone afterwards."""
    temporary, handle = _begun(parent)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(handle, view) :]
        os.fsync(handle)
        yield temporary
    finally:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        os.close(handle)


def _begun(parent: Path) -> tuple[Path, int]:
    """Return a new temporary file and its handle, which holds the lock."""
    while True:
        temporary = parent / f"{TEMPORARY}{secrets.token_hex(8)}"
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            if os.fstat(handle).st_nlink:
                return temporary, handle
        except OSError:
            os.close(handle)
            with suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
        os.close(handle)  # a sweeper came between the creation and the lock


def _linked(temporary: Path, path: Path) -> bool:
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    return True
