"""The keys of a workspace: sign, check, wrap, rotate, recover."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from cryptography.exceptions import InvalidSignature, InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tradewind.core.errors import BadValue, Busy, NotFound, Tampered
from tradewind.vault import files, ring, sheet
from tradewind.vault.ring import KEK, NEXT, RING, Lock, Ring

GUARD = "guard"
ALGORITHM = ec.ECDSA(hashes.SHA256())
Stamp = tuple[int, int, int]
Change = Callable[[bytes, bytes], bytes]
"""(wrapped data key, context) -> the same data key wrapped under the current wrapping key."""


class Keys:
    """The opened keys of one folder (mode 0700, files 0600). Another process's rotation or trust is seen at the next use.

    `kek` opens `keys.json`; that holds the signing key (ECDSA P-256), the wrapping keys and the public keys that are trusted.
    """

    def __init__(self, folder: Path, held: Ring, lock: Lock, seen: Stamp) -> None:
        self._folder = folder
        self._take(held, lock, seen)

    @classmethod
    def open(cls, folder: Path, *, passphrase: str | None = None, kek: bytes | None = None) -> Keys:
        """Open the keys, making them at first use; raises Tampered where they were made with another kek or passphrase."""
        folder = files.folder(folder)
        if not (folder / RING).exists():
            with _guard(folder, alone=True):
                if not (folder / RING).exists():
                    if (folder / KEK).exists():
                        raise Tampered(f"the key file {RING} is gone", hint=ring.LOST)
                    _commit(folder, Ring(_new_signing(), (ring.new_wrap(),), {}), ring.new_lock(passphrase, kek))
        files.sweep(folder)
        with _guard(folder, alone=True):
            seen = _stamp(folder)
            held, lock = ring.unseal(_ring_bytes(folder), folder, passphrase, kek)
            if lock.source == "file" and not _has(folder, lock.key):
                os.replace(folder / NEXT, folder / KEK)  # a rotation was cut after its commit
            if lock.source != "file":
                (folder / KEK).unlink(missing_ok=True)  # likewise
            return cls(folder, held, lock, seen)

    @classmethod
    def recover(cls, folder: Path, code: str, *, passphrase: str | None = None, kek: bytes | None = None) -> Keys:
        """Rebuild lost keys from a recovery sheet, closed with a new lock. The trust list of imports has to be given again.

        Raises BadValue for a mistyped code and for a sheet that was printed before the last rotation.
        """
        wrap, scalar = sheet.read(code)
        folder = files.folder(folder)
        with _guard(folder, alone=True):
            if (folder / RING).exists():
                before = (folder / RING).read_bytes()
                with suppress(Tampered):
                    _same_age(before, wrap)
                files.write(folder / f"{RING}.lost", before)
            private = ec.derive_private_key(int.from_bytes(scalar, "big"), ec.SECP256R1())
            _commit(folder, Ring(_private_bytes(private), ((ring.name_of(wrap), wrap),), {}), ring.new_lock(passphrase, kek))
        return cls.open(folder, passphrase=passphrase, kek=kek)

    @property
    def trusted(self) -> tuple[str, ...]:
        """List the key ids whose signatures count; the own one first."""
        return tuple(self._public)

    def sign(self, payload: bytes) -> bytes:
        """Sign bytes with ECDSA P-256 and SHA-256 (DER)."""
        return self._private.sign(payload, ALGORITHM)

    def check(self, key_id: str, payload: bytes, signature: bytes) -> None:
        """Check a signature; raises Tampered where it does not fit or the key is not trusted."""
        self._refresh()
        if key_id not in self._public:
            raise Tampered(f"signed by a key that is not trusted here: {key_id[:16]}", hint="trust the signer's public key first")
        try:
            self._public[key_id].verify(signature, payload, ALGORITHM)
        except InvalidSignature as error:
            raise Tampered("a signature does not fit what it signs", hint="restore the file from a backup") from error

    def named(self, hint: str) -> str:
        """Return the id of the trusted key with this hint (SHA-256 of its PEM, as OpenSSF bundles name keys); raises Tampered."""
        self._refresh()
        if hint not in self._hints:
            raise Tampered(f"signed by a key that is not trusted here: {hint[:16]}", hint="trust the signer's public key first")
        return self._hints[hint]

    def public_pem(self) -> bytes:
        """Return the public key that others verify our signatures with."""
        return _pem(self._private.public_key())

    def trust(self, pem: bytes) -> str:
        """Let signatures of another key count from now on; returns its id. Raises BadValue for anything but a P-256 public key."""
        public = _public(pem)
        with _guard(self._folder, alone=True):
            self._refresh()
            self._commit(replace(self._ring, trusted={**self._ring.trusted, _id(public): _pem(public).decode()}), self._lock)
        return _id(public)

    def distrust(self, key_id: str) -> None:
        """Take a key off the trust list; raises NotFound."""
        with _guard(self._folder, alone=True):
            self._refresh()
            if key_id not in self._ring.trusted:
                raise NotFound(f"no such trusted key: {key_id[:16]}", hint="the own key cannot be taken off")
            self._commit(replace(self._ring, trusted={name: pem for name, pem in self._ring.trusted.items() if name != key_id}), self._lock)

    def wrap(self, data_key: bytes, context: bytes) -> bytes:
        """Encrypt a data key under the current wrapping key: key id (8 bytes), nonce (12), ciphertext and tag."""
        self._refresh()
        name, key = self._ring.wraps[0]
        nonce = os.urandom(12)
        return bytes.fromhex(name) + nonce + AESGCM(key).encrypt(nonce, data_key, b"wrap|" + context)

    def unwrap(self, wrapped: bytes, context: bytes) -> bytes:
        """Return the data key; raises Tampered."""
        name = wrapped[:8].hex()
        if name not in self._wraps:
            self._refresh()
        if name not in self._wraps:
            raise Tampered(
                "a data key is wrapped under a key this workspace does not have", hint="it was rotated away, or the file is from elsewhere"
            )
        try:
            return AESGCM(self._wraps[name]).decrypt(wrapped[8:20], wrapped[20:], b"wrap|" + context)
        except (InvalidTag, ValueError) as error:
            raise Tampered("a wrapped data key was changed", hint="restore it from a backup") from error

    @contextmanager
    def steady(self, *, alone: bool = False) -> Iterator[None]:
        """Hold off rotations, of this and of other processes, while something is wrapped and written; `alone` holds off those too."""
        with _guard(self._folder, alone=alone):
            yield

    def rotate(self, rewrap: Callable[[Change], None], *, passphrase: str | None = None, kek: bytes | None = None) -> None:
        """Replace the wrapping key, and what opens the ring, and let `rewrap` pass every wrapped data key through the change.

        The data is not touched. Cut short at any step, everything stays readable and the next call carries on. The old key is
        refused afterwards. A key file is replaced; a passphrase or given key stays unless a new one is given.
        """
        with _guard(self._folder, alone=True):
            self._refresh()
            keep = passphrase is None and kek is None and self._lock.source != "file"
            lock = self._lock if keep else ring.new_lock(passphrase, kek)
            if len(self._ring.wraps) == 1:
                self._commit(replace(self._ring, wraps=(ring.new_wrap(), *self._ring.wraps)), self._lock)
            rewrap(self._change)
            self._commit(replace(self._ring, wraps=self._ring.wraps[:1]), lock)

    def recovery(self) -> str:
        """Return a printable sheet that brings the keys back when the key folder or the passphrase is lost."""
        self._refresh()
        if len(self._ring.wraps) > 1:
            raise Busy("a key rotation is not finished", hint="tradewind rotate")
        scalar = self._private.private_numbers().private_value.to_bytes(sheet.SECRET, "big")
        return sheet.write(self._ring.wraps[0][1], scalar, self.key_id)

    def _change(self, wrapped: bytes, context: bytes) -> bytes:
        if wrapped[:8].hex() == self._ring.wraps[0][0]:
            return wrapped
        return self.wrap(self.unwrap(wrapped, context), context)

    def _commit(self, held: Ring, lock: Lock) -> None:
        _commit(self._folder, held, lock)
        self._take(held, lock, _stamp(self._folder))

    def _refresh(self) -> None:
        """Read the ring again where another process has written it."""
        seen = _stamp(self._folder)  # before reading: a write in between is then seen at the next use
        if seen == self._seen:
            return
        data = _ring_bytes(self._folder)
        said = ring.head(data)
        if said["lock"].get("id") == self._lock.id:
            self._take(ring.unlock(said, self._lock), self._lock, seen)
        elif said["lock"].get("source") == "file":
            self._take(*ring.unseal(data, self._folder, None, None), seen)
        else:
            raise Tampered("the key that opens this workspace was changed meanwhile", hint="open the workspace again with the new one")

    def _take(self, held: Ring, lock: Lock, seen: Stamp) -> None:
        private = _private(held.signing)
        public = {_id(private.public_key()): private.public_key()}
        public |= {_id(key): key for key in (_public(pem.encode()) for pem in held.trusted.values())}
        self._ring, self._lock, self._seen = held, lock, seen
        self._wraps, self._private, self._public = dict(held.wraps), private, public
        self._hints: Mapping[str, str] = {hashlib.sha256(_pem(key)).hexdigest(): name for name, key in public.items()}
        self.key_id = next(iter(public))
        self.hint = next(iter(self._hints))


def _commit(folder: Path, held: Ring, lock: Lock) -> None:
    """Write the ring so that it can be opened at every moment: new key file beside the old, ring, then the names swap."""
    fresh_file = lock.source == "file" and not _has(folder, lock.key)
    if fresh_file:
        files.write(folder / NEXT, lock.key.hex().encode() + b"\n")
    files.write(folder / RING, ring.seal(held, lock))
    if fresh_file:
        os.replace(folder / NEXT, folder / KEK)
        files.settle(folder)
    elif lock.source != "file" and (folder / KEK).exists():
        os.unlink(folder / KEK)
        files.settle(folder)


@contextmanager
def _guard(folder: Path, *, alone: bool) -> Iterator[None]:
    try:
        handle = os.open(folder / GUARD, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise files.refusal(error, folder / GUARD) from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
    finally:
        os.close(handle)


def _has(folder: Path, key: bytes) -> bool:
    with suppress(Tampered):
        return ring.read_file(folder / KEK) == key
    return False


def _stamp(folder: Path) -> Stamp:
    try:
        found = os.stat(folder / RING)
    except FileNotFoundError as error:
        raise Tampered(f"the key file {RING} is gone", hint=ring.LOST) from error
    return found.st_mtime_ns, found.st_ino, found.st_size


def _ring_bytes(folder: Path) -> bytes:
    try:
        return (folder / RING).read_bytes()
    except OSError as error:
        raise Tampered(f"the key file {RING} cannot be read", hint=ring.LOST) from error


def _same_age(before: bytes, wrap: bytes) -> None:
    """Refuse a sheet older than the last rotation: with it nothing sealed since could be read."""
    wraps = ring.head(before)["wraps"]
    if ring.name_of(wrap) not in wraps:
        raise BadValue("this recovery sheet is older than the last key rotation", hint="use the newest sheet")


def _new_signing() -> bytes:
    return _private_bytes(ec.generate_private_key(ec.SECP256R1()))


def _private_bytes(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def _private(der: bytes) -> ec.EllipticCurvePrivateKey:
    key = serialization.load_der_private_key(der, None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise Tampered("the signing key is not of the kind we make", hint=ring.LOST)
    return key


def _public(pem: bytes) -> ec.EllipticCurvePublicKey:
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadValue("this is not a public key in PEM", hint="openssl ec -in key.pem -pubout") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise BadValue("only ECDSA P-256 keys are trusted", hint="openssl ecparam -name prime256v1 -genkey")
    return key


def _pem(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _id(key: ec.EllipticCurvePublicKey) -> str:
    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).hexdigest()
