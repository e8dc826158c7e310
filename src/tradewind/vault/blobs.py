"""Blobs: immutable bytes at rest, named by their content, each sealed under a key of its own."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tradewind.core.errors import NotFound, Tampered
from tradewind.vault import files, seal
from tradewind.vault.keys import Change, Keys

_DIGEST = re.compile("[0-9a-f]{64}")
BODY = ".blob"
KEY = ".key"


class Blobs:
    """A folder of sealed blobs: `ab/abcd....blob` (ciphertext) with `ab/abcd....key` (its wrapped data key) beside it.

    The name is the SHA-256 of the plaintext, so whoever can list the folder can tell that a file he already has is in it.
    The key is written first: both files there is a blob, a key alone is a put or a drop that was cut short.
    """

    def __init__(self, folder: Path, keys: Keys) -> None:
        self._folder = files.folder(folder)
        self._keys = keys
        for shard in self._shards():
            files.sweep(shard)

    def put(self, data: bytes) -> str:
        """Keep bytes and return their name; nothing happens where they are kept already. Raises DiskFull."""
        digest = hashlib.sha256(data).hexdigest()
        if self.has(digest):
            return digest
        body, key = self._paths(digest)
        files.folder(body.parent)
        context = bytes.fromhex(digest)
        with self._keys.steady():
            data_key = self._data_key(key, context)
            files.write(body, seal.encrypt(data, data_key, context))
        return digest

    def get(self, digest: str) -> bytes:
        """Return the bytes of that name; raises NotFound, and Tampered where they are not what was put."""
        body, key = self._paths(digest)
        context = bytes.fromhex(digest)
        sealed, wrapped = _read(body), _read(key)
        if sealed is None and wrapped is None:
            raise NotFound(f"there is no blob {digest[:12]}", hint="it was dropped, or belongs to another workspace")
        if sealed is None or wrapped is None:
            raise Tampered(f"half of blob {digest[:12]} is missing", hint="restore it from a backup")
        try:
            data = seal.decrypt(sealed, self._keys.unwrap(wrapped, context), context)
        except Tampered as error:
            raise Tampered(f"blob {digest[:12]}: {error.message}", hint=error.hint) from error
        if hashlib.sha256(data).digest() != context:
            raise Tampered(f"blob {digest[:12]} is not what its name says", hint="restore it from a backup")
        return data

    def has(self, digest: str) -> bool:
        """Tell whether a blob is kept."""
        body, key = self._paths(digest)
        return body.exists() and key.exists()

    def drop(self, digest: str) -> None:
        """Forget a blob for good: its ciphertext goes, then its key is overwritten. Copies in backups stay readable there."""
        body, key = self._paths(digest)
        with self._keys.steady(alone=True):
            try:
                body.unlink(missing_ok=True)
                with suppress(FileNotFoundError):
                    _shred(key)
                if body.parent.is_dir():
                    files.settle(body.parent)
            except OSError as error:
                raise files.refusal(error, body) from error

    def digests(self) -> list[str]:
        """List the blobs, in order of name."""
        return sorted(body.stem for shard in self._shards() for body in shard.glob(f"*{BODY}") if body.with_suffix(KEY).exists())

    def verify(self) -> int:
        """Read every blob; return how many. Raises Tampered for the first bad one, a half one, or a file that is none of ours."""
        count = 0
        for path in sorted(self._folder.rglob("*")):
            shard = path.parent == self._folder
            named = len(path.stem) == 2 if shard else _DIGEST.fullmatch(path.stem) and path.suffix in (BODY, KEY)
            if not named or path.is_symlink() or path.is_dir() != shard or (not shard and path.parent.name != path.stem[:2]):
                if not path.name.startswith(files.TEMPORARY):
                    raise Tampered(f"{path.name} does not belong among the blobs", hint="remove it, and find out who put it there")
            elif path.suffix == BODY:
                self.get(path.stem)
                count += 1
        return count

    def rotate(self, *, passphrase: str | None = None, kek: bytes | None = None) -> int:
        """Rotate the keys and rewrap every data key; return how many. See `Keys.rotate`."""
        self._keys.rotate(self.rewrap, passphrase=passphrase, kek=kek)
        return len(self.digests())

    def rewrap(self, change: Change) -> None:
        """Pass every wrapped data key through a change of wrapping key; the blobs themselves are not touched."""
        for shard in self._shards():
            for key in sorted(shard.glob(f"*{KEY}")):
                wrapped = key.read_bytes()
                if not key.with_suffix(BODY).exists():
                    key.unlink()  # no put is under way during a rotation: this one was cut short
                    continue
                fresh = change(wrapped, bytes.fromhex(key.stem))
                if fresh != wrapped:
                    files.write(key, fresh, sync=False)
            files.settle(shard)

    def _paths(self, digest: str) -> tuple[Path, Path]:
        if not _DIGEST.fullmatch(digest):
            raise NotFound(f"{digest[:80]!r} is not the name of a blob")
        stem = self._folder / digest[:2] / digest
        return stem.with_suffix(BODY), stem.with_suffix(KEY)

    def _shards(self) -> Iterator[Path]:
        return (path for path in sorted(self._folder.iterdir()) if path.is_dir() and not path.is_symlink())

    def _data_key(self, key: Path, context: bytes) -> bytes:
        """Return the data key beside a blob that is not there yet, making it where nobody has.

        Two processes that put the same bytes must end with one key: whoever comes second takes the first one's.
        """
        data_key = os.urandom(32)
        if files.write(key, self._keys.wrap(data_key, context), fresh=True, sync=False):
            return data_key
        try:
            return self._keys.unwrap(key.read_bytes(), context)
        except Tampered:  # nothing is sealed with it: its blob is not there
            files.write(key, self._keys.wrap(data_key, context), sync=False)
            return data_key


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Tampered(f"{path.name} cannot be read: {error.strerror}", hint="check the disk, or restore it from a backup") from error


def _shred(key: Path) -> None:
    """Take a key away in one step, then overwrite it."""
    gone = key.with_name(f"{files.TEMPORARY}{key.stem[:16]}")
    os.replace(key, gone)
    with gone.open("r+b", buffering=0) as handle:
        handle.write(bytes(os.fstat(handle.fileno()).st_size))
        os.fsync(handle.fileno())
    gone.unlink()
