"""The recovery sheet: the keys of a workspace as a code on paper."""

from __future__ import annotations

import base64
import binascii
import hashlib

from tradewind.core.errors import BadValue

VERSION = 1
SECRET = 32
CHECK = 5
_READ_AS = str.maketrans("018", "OIB")  # base32 has no 0, 1 and 8: people write them for O, I and B


def write(wrap: bytes, signing: bytes, key_id: str) -> str:
    """Print a wrapping key and a signing key (32 bytes each) as seven lines of four groups, with a checksum."""
    payload = bytes([VERSION]) + wrap + signing
    code = base64.b32encode(payload + hashlib.sha256(payload).digest()[:CHECK]).decode()
    groups = [code[at : at + 4] for at in range(0, len(code), 4)]
    lines = ["-".join(groups[at : at + 4]) for at in range(0, len(groups), 4)]
    head = [
        "# Tradewind recovery sheet. Whoever has it can read and sign everything: keep it on paper, locked away.",
        f"# signing key {key_id}",
        "# print a new one after each key rotation",
    ]
    return "\n".join([*head, *lines]) + "\n"


def read(code: str) -> tuple[bytes, bytes]:
    """Return wrapping key and signing key of a sheet or its bare code; raises BadValue for a typing mistake."""
    typed = "".join(line for line in code.splitlines() if not line.lstrip().startswith("#"))
    plain = "".join(letter for letter in typed.upper().translate(_READ_AS) if letter not in "- \t\r\n")
    try:
        data = base64.b32decode(plain)
    except (binascii.Error, ValueError) as error:
        raise BadValue("this is not a recovery code", hint="type the seven lines of four groups as printed") from error
    payload, check = data[:-CHECK], data[-CHECK:]
    if len(payload) != 1 + 2 * SECRET or payload[0] != VERSION or hashlib.sha256(payload).digest()[:CHECK] != check:
        raise BadValue("the recovery code has a typing mistake or a missing line", hint="compare it with the sheet, group by group")
    return payload[1 : 1 + SECRET], payload[1 + SECRET :]
