"""What the key folder holds: one sealed file with the signing key, the wrapping keys and the trust list, and what opens it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from tradewind.core.errors import BadValue, Incompatible, Tampered

FORMAT = 1
RING = "keys.json"
KEK = "kek"
NEXT = "kek.next"
SCRYPT = {"n": 1 << 15, "r": 8, "p": 3}  # 32 MB, about 0.2 s: one of the settings OWASP's password storage page names
LOST = "put the right key back, or: tradewind recover with the printed recovery sheet"
SHORTEST = 8


@dataclass(frozen=True, slots=True)
class Ring:
    """The keys of a workspace. `wraps` are (id, key) pairs, the current one first; more than one during a rotation."""

    signing: bytes = field(repr=False)  # PKCS8 DER
    wraps: tuple[tuple[str, bytes], ...] = field(repr=False)
    trusted: Mapping[str, str]  # key id -> PEM


@dataclass(frozen=True, slots=True)
class Lock:
    """The key that opens the ring, and where it comes from: a file, the caller, or a passphrase."""

    source: str
    key: bytes = field(repr=False)
    how: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Name the key without telling it."""
        return name_of(self.key)


def name_of(key: bytes) -> str:
    """Name a secret key by 8 bytes of its hash."""
    return hashlib.sha256(b"tradewind key\0" + key).hexdigest()[:16]


def new_wrap() -> tuple[str, bytes]:
    """Make a wrapping key."""
    key = os.urandom(32)
    return name_of(key), key


def new_lock(passphrase: str | None, kek: bytes | None) -> Lock:
    """Make the lock the caller asks for: a passphrase, raw bytes, or a random key for a file. Raises BadValue."""
    if passphrase is not None and kek is not None:
        raise BadValue("give a passphrase or a key, not both")
    if passphrase is not None:
        if len(passphrase) < SHORTEST:
            raise BadValue(f"a passphrase needs at least {SHORTEST} characters", hint="several plain words are easy to keep")
        how = {"salt": os.urandom(16).hex(), **SCRYPT}
        return Lock("passphrase", _derive(passphrase, how), how)
    if kek is not None:
        return Lock("given", _checked(kek))
    return Lock("file", os.urandom(32))


def seal(ring: Ring, lock: Lock) -> bytes:
    """Write the ring as a file's bytes, encrypted under the lock."""
    head = {"format": FORMAT, "lock": {"source": lock.source, "id": lock.id, **lock.how}, "wraps": [name for name, _ in ring.wraps]}
    body = {
        "signing": ring.signing.hex(),
        "wraps": [[name, key.hex()] for name, key in ring.wraps],
        "trusted": dict(ring.trusted),
    }
    nonce = os.urandom(12)
    sealed = nonce + AESGCM(lock.key).encrypt(nonce, json.dumps(body).encode(), _bound(head))
    return json.dumps({**head, "body": base64.b64encode(sealed).decode()}, indent=1).encode()


def head(data: bytes) -> dict[str, Any]:
    """Return the open part of the ring's file; raises Tampered and Incompatible."""
    try:
        said = json.loads(data)
        number = int(said["format"])
        if number > FORMAT:
            raise Incompatible(f"the keys are of format {number}, this Tradewind reads {FORMAT}", hint="install a newer Tradewind")
        return {"format": number, "lock": dict(said["lock"]), "wraps": list(said["wraps"]), "body": str(said["body"])}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Tampered(f"the key file {RING} cannot be read", hint=LOST) from error


def unseal(data: bytes, folder: Path, passphrase: str | None, kek: bytes | None) -> tuple[Ring, Lock]:
    """Open the ring with what the caller has; raises Tampered where that is not the key it was closed with."""
    said = head(data)
    lock = _found(said["lock"], folder, passphrase, kek)
    return unlock(said, lock), lock


def unlock(said: Mapping[str, Any], lock: Lock) -> Ring:
    """Open a ring, whose head was read, with this lock; raises Tampered."""
    try:
        sealed = base64.b64decode(said["body"], validate=True)
        open_part = {key: value for key, value in said.items() if key != "body"}
        body = json.loads(AESGCM(lock.key).decrypt(sealed[:12], sealed[12:], _bound(open_part)))
        wraps = tuple((str(name), bytes.fromhex(key)) for name, key in body["wraps"])
        return Ring(bytes.fromhex(body["signing"]), wraps, dict(body["trusted"]))
    except InvalidTag as error:
        raise Tampered(f"the {_WORD[lock.source]} does not open this workspace, or {RING} was changed", hint=LOST) from error
    except (ValueError, KeyError, TypeError) as error:
        raise Tampered(f"the key file {RING} cannot be read", hint=LOST) from error


def read_file(path: Path) -> bytes | None:
    """Return the key in a key file, None where there is no file; a file that others may read is closed to them first."""
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            path.chmod(0o600)
        return bytes.fromhex(path.read_text("ascii").strip())
    except FileNotFoundError:
        return None
    except (ValueError, OSError) as error:
        raise Tampered(f"the key file {path.name} cannot be read", hint=LOST) from error


_WORD = {"file": "key file", "given": "key", "passphrase": "passphrase"}


def _found(said: Mapping[str, Any], folder: Path, passphrase: str | None, kek: bytes | None) -> Lock:
    source = str(said.get("source"))
    have = "passphrase" if passphrase is not None else "given" if kek is not None else "file"
    if source not in _WORD:
        raise Tampered(f"the key file {RING} cannot be read", hint=LOST)
    if have != source:
        wanted = {"file": "the key file", "given": "the setting kek", "passphrase": "the setting passphrase"}
        raise Tampered(
            f"this workspace is opened by {wanted[source]}, not by {wanted[have]}", hint="TRADEWIND_PASSPHRASE, TRADEWIND_KEK, or neither"
        )
    if passphrase is not None:
        how = {key: said.get(key) for key in ("salt", "n", "r", "p")}
        return Lock(source, _derive(passphrase, how), how)
    candidates: Iterable[bytes | None] = [_checked(kek)] if kek is not None else (read_file(folder / name) for name in (KEK, NEXT))
    for key in candidates:
        if key is not None and name_of(key) == said.get("id"):
            return Lock(source, key)
    raise Tampered(f"the {_WORD[source]} of this workspace is missing or is another one", hint=LOST)


def _derive(passphrase: str, how: Mapping[str, Any]) -> bytes:
    try:
        salt, cost, block, lanes = bytes.fromhex(how["salt"]), int(how["n"]), int(how["r"]), int(how["p"])
        if cost > 1 << 18 or block > 32 or lanes > 16:  # a changed file must not make us take all the memory
            raise ValueError("too costly")
        return Scrypt(salt=salt, length=32, n=cost, r=block, p=lanes).derive(passphrase.encode())
    except (ValueError, TypeError) as error:
        raise Tampered(f"the key file {RING} cannot be read", hint=LOST) from error


def _checked(kek: bytes) -> bytes:
    if len(kek) != 32:
        raise BadValue(f"a key-encryption key has 32 bytes, not {len(kek)}", hint="TRADEWIND_KEK is 64 hexadecimal digits")
    return bytes(kek)


def _bound(said: Mapping[str, Any]) -> bytes:
    return json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
