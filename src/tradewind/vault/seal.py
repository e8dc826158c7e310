"""Seal bytes: encrypt them in chunks, and sign a set of files so that any change is seen.

Signatures are OpenSSF Model Signing bundles (DSSE over an in-toto statement), so that `model_signing verify key` accepts them.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import struct
from collections.abc import Mapping
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from tradewind.core.errors import BadValue, Tampered, TooBig
from tradewind.vault.keys import Keys

CHUNK = 1 << 20
MAGIC = b"TWE1"
PREFIX = 7
TAG = 16
MAX_BUNDLE = 1 << 24
PAYLOAD = "application/vnd.in-toto+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "https://model_signing/signature/v1.0"
OURS = "tradewind"

_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


def canonical(data: Any) -> bytes:
    """Write plain data as JSON in one way only: sorted keys, no spaces, UTF-8, no NaN (after RFC 8785). Raises BadValue."""
    try:
        return _encode(data).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise BadValue(f"this cannot be written as JSON: {error}", hint="plain numbers, text, lists and objects only; no NaN") from error


def digest(data: bytes) -> str:
    """Name bytes by their content (SHA-256, hexadecimal)."""
    return hashlib.sha256(data).hexdigest()


def encrypt(data: bytes, data_key: bytes, context: bytes) -> bytes:
    """Encrypt with AES-256-GCM in chunks of 1 MiB; context, place and "is the last" are authenticated with each chunk.

    Layout: `TWE1`, 7 random bytes, then chunk + tag. Nonce = random bytes, chunk number (4 bytes), last flag (the STREAM construction).
    """
    if len(data) > CHUNK << 20:
        raise TooBig("one blob holds at most 1 TiB")
    cipher = AESGCM(data_key)
    prefix = os.urandom(PREFIX)
    view = memoryview(data)
    count = max(1, -(-len(data) // CHUNK))
    sealed = [MAGIC, prefix]
    for number in range(count):
        nonce, bound = _place(prefix, context, number, number == count - 1)
        sealed.append(cipher.encrypt(nonce, view[number * CHUNK : (number + 1) * CHUNK], bound))
    return b"".join(sealed)


def decrypt(sealed: bytes, data_key: bytes, context: bytes) -> bytes:
    """Undo `encrypt`; raises Tampered for a wrong key or context and for any changed, moved, cut or added byte."""
    head = len(MAGIC) + PREFIX
    body = memoryview(sealed)[head:]
    if sealed[: len(MAGIC)] != MAGIC or len(body) < TAG:
        raise Tampered("sealed bytes are cut short or not ours")
    cipher = AESGCM(data_key)
    prefix = bytes(sealed[len(MAGIC) : head])
    count = -(-len(body) // (CHUNK + TAG))
    plain = []
    for number in range(count):
        nonce, bound = _place(prefix, context, number, number == count - 1)
        try:
            plain.append(cipher.decrypt(nonce, body[number * (CHUNK + TAG) : (number + 1) * (CHUNK + TAG)], bound))
        except (InvalidTag, ValueError) as error:
            raise Tampered(f"sealed bytes were changed in chunk {number}", hint="restore them from a backup") from error
    return plain[0] if count == 1 else b"".join(plain)


def sign_files(files: Mapping[str, bytes], keys: Keys, *, name: str, claims: Mapping[str, Any]) -> bytes:
    """Sign named files as one OpenSSF model-signing bundle; `claims` ride in the predicate."""
    resources = [{"algorithm": "sha256", "digest": digest(files[file]), "name": file} for file in sorted(files)]
    statement = {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": _root(resources)}}],
        "predicateType": PREDICATE,
        "predicate": {
            "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": False, "ignore_paths": []},
            "resources": resources,
            OURS: dict(claims),
        },
    }
    payload = canonical(statement)
    return canonical(_bundle(payload, keys.sign(_pae(payload)), keys.hint))


def verify_files(files: Mapping[str, bytes], bundle: bytes, keys: Keys) -> dict[str, Any]:
    """Return the claims of a bundle with `name` and `key_id`, once signature and every file agree; raises Tampered.

    The key decides the algorithm, the envelope never does. A file that is not listed is refused, whatever the bundle ignores.
    """
    try:
        payload, signature, hint = _opened(bundle)
        key_id = keys.named(hint)
        keys.check(key_id, _pae(payload), signature)
        name, resources, claims = _stated(payload)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Tampered(
            f"a signature cannot be read ({type(error).__name__})", hint="get the folder again from whoever signed it"
        ) from error
    if claims is not None and bundle != canonical(_bundle(payload, signature, hint)):
        raise Tampered("a signature was rewritten after signing")
    for file in sorted(set(files) ^ set(resources)):
        raise Tampered(f"{file} was {'added' if file in files else 'removed'} after signing", hint="only signed files may be there")
    for file, wanted in resources.items():
        if digest(files[file]) != wanted:
            raise Tampered(f"{file} was changed after signing", hint="get it again from whoever signed it, or from a backup")
    return {**(claims or {}), "name": name, "key_id": key_id}


def _place(prefix: bytes, context: bytes, number: int, last: bool) -> tuple[bytes, bytes]:
    where = struct.pack(">I?", number, last)
    return prefix + where, context + b"|" + where


def _pae(payload: bytes) -> bytes:
    """Return what DSSE signs: type and payload with their lengths (secure-systems-lab/dsse, protocol.md)."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD), PAYLOAD.encode(), len(payload), payload)


def _root(resources: list[dict[str, str]]) -> str:
    return hashlib.sha256(b"".join(bytes.fromhex(resource["digest"]) for resource in resources)).hexdigest()


def _bundle(payload: bytes, signature: bytes, hint: str) -> dict[str, Any]:
    return {
        "mediaType": BUNDLE,
        "verificationMaterial": {"publicKey": {"hint": hint}, "tlogEntries": []},
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": PAYLOAD,
            "signatures": [{"sig": base64.b64encode(signature).decode(), "keyid": ""}],
        },
    }


def _opened(bundle: bytes) -> tuple[bytes, bytes, str]:
    """Return payload, signature and key hint of a bundle; raises ValueError, KeyError or TypeError."""
    if len(bundle) > MAX_BUNDLE:
        raise ValueError("too long")
    said = json.loads(bytes(bundle).decode("utf-8"), object_pairs_hook=_once)
    envelope, material = said["dsseEnvelope"], said["verificationMaterial"]
    if said["mediaType"] != BUNDLE or envelope["payloadType"] != PAYLOAD or len(envelope["signatures"]) != 1:
        raise ValueError("not one signature over an in-toto statement")
    if set(said) != {"mediaType", "verificationMaterial", "dsseEnvelope"} or set(envelope) != {"payload", "payloadType", "signatures"}:
        raise ValueError("unknown fields")
    return _bytes(envelope["payload"]), _bytes(envelope["signatures"][0]["sig"]), str(material["publicKey"]["hint"])


def _stated(payload: bytes) -> tuple[str, dict[str, str], dict[str, Any] | None]:
    """Return subject name, file -> digest, and our claims (None where another tool signed); raises like `_opened`."""
    said = json.loads(payload, object_pairs_hook=_once)
    predicate = said["predicate"]
    form = predicate["serialization"]
    if said["_type"] != STATEMENT or said["predicateType"] != PREDICATE or form["method"] != "files" or form["hash_type"] != "sha256":
        raise ValueError("not a statement about files")
    (subject,) = said["subject"]
    resources = predicate["resources"]
    if any(resource["algorithm"] != "sha256" or len(resource["digest"]) != 64 for resource in resources) or subject["digest"] != {
        "sha256": _root(resources)
    }:
        raise ValueError("digests do not add up")
    named = {str(resource["name"]): str(resource["digest"]) for resource in resources}
    if len(named) != len(resources):
        raise ValueError("a file is listed twice")
    return str(subject["name"]), named, dict(predicate[OURS]) if OURS in predicate else None


def _bytes(text: str) -> bytes:
    """Read base64 in its one proper spelling."""
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode() != text or not data:
        raise binascii.Error("not canonical base64")
    return data


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Build an object of a JSON text, refusing a key that comes twice."""
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key comes twice")
    return made
