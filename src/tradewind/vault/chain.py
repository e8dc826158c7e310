"""The arithmetic of the ledger: how an event is hashed onto the one before it, and how a place in the chain is signed."""

from __future__ import annotations

import base64
import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NoReturn

from tradewind.core.errors import BadValue, Tampered
from tradewind.vault.keys import Keys

START = bytes(32)
WORD = "tradewind-checkpoint"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A signed place in the chain: after event `id` the hash was `hash`."""

    id: int
    hash: bytes
    at: str
    key_id: str
    signature: bytes

    @classmethod
    def sign(cls, number: int, value: bytes, at: str, keys: Keys) -> Checkpoint:
        """Sign a place in the chain."""
        return cls(number, value, at, keys.key_id, keys.sign(_signed(number, value, at)))

    @classmethod
    def read(cls, line: str) -> Checkpoint:
        """Read an exported line; raises BadValue."""
        try:
            word, edition, number, value, at, key_id, signature = line.split()
            if (word, edition) != (WORD, "1"):
                raise ValueError("another word")
            return cls(int(number), bytes.fromhex(value), at, key_id, base64.b64decode(signature, validate=True))
        except ValueError as error:
            raise BadValue("this is not a checkpoint line", hint=f"it starts with {WORD} 1 and has seven words") from error

    def line(self) -> str:
        """Write the checkpoint as one line to be printed, mailed or kept on another machine."""
        return f"{WORD} 1 {self.id} {self.hash.hex()} {self.at} {self.key_id} {base64.b64encode(self.signature).decode()}"

    def check(self, keys: Keys) -> None:
        """Check the signature; raises Tampered."""
        keys.check(self.key_id, _signed(self.id, self.hash, self.at), self.signature)


def link(before: bytes, number: int, texts: Sequence[bytes]) -> bytes:
    """Return the hash of an event: SHA-256 of 0x00, the hash before, the id, the lengths, and time, kind, actor and body in UTF-8."""
    at, kind, actor, body = texts
    head = b"%d|%d|%d|%d|" % (number, len(at), len(kind), len(actor))
    return hashlib.sha256(b"\0" + before + head + at + kind + actor + body).digest()


def moment(nanoseconds: int) -> str:
    """Write a time since 1970 as UTC, ISO 8601, microseconds."""
    return (_EPOCH + timedelta(microseconds=nanoseconds // 1000)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def walk(database: sqlite3.Connection, keys: Keys, tip: Checkpoint | None, anchor: Checkpoint | None) -> int:
    """Check every event against the one before it, and the chain against its signed places; return the number of events.

    Raises Tampered naming the first bad id. Where the whole chain was written anew from some event on, that is the first
    id after the last signed place that still fits.
    """
    marks = {mark.id: mark for mark in _marks(database)}
    if anchor is not None:
        anchor.check(keys)
    trusted_to, before, number = 0, START, 0
    events = database.execute(_EVENTS)
    for row_id, value, *texts in events:
        number += 1
        if row_id != number:
            _refuse(number, "is missing" if row_id > number else "is out of place")
        try:
            before = link(before, number, texts)
        except TypeError:
            _refuse(number, "has empty fields")
        if before != value:
            _refuse(number, "was changed")
        if number in marks:
            _fits(marks[number], before, keys, trusted_to)
            trusted_to = number
        if anchor is not None and number == anchor.id and anchor.hash != before:
            _refuse(trusted_to + 1, f"or a later one up to {number} was rewritten: the checkpoint you gave differs")
    beyond = max(
        [mark for mark in marks if mark > number] + [place.id for place in (anchor, tip) if place is not None and place.id > number],
        default=0,
    )
    if beyond:
        _refuse(number + 1, f"and all up to {beyond} are missing: a signed checkpoint has them")
    if number and tip is None:
        _refuse(trusted_to + 1, "is in doubt, and all after it: the signature over the end of the chain is gone")
    if tip is not None and tip.id < number:
        _refuse(tip.id + 1, "was added without a signature")
    if tip is not None:
        _fits(tip, before, keys, trusted_to)
    return number


_EVENTS = (
    """SELECT id, hash, CAST(at AS BLOB), CAST(kind AS BLOB), CAST(actor AS BLOB), CAST(body AS BLOB) FROM events NOT INDEXED ORDER BY id"""
)


def _marks(database: sqlite3.Connection) -> Iterator[Checkpoint]:
    for row in database.execute("SELECT id, hash, at, key_id, signature FROM checkpoints ORDER BY id"):
        yield Checkpoint(*row)


def _fits(mark: Checkpoint, value: bytes, keys: Keys, trusted_to: int) -> None:
    if mark.hash != value:
        _refuse(trusted_to + 1, f"or a later one up to {mark.id} was rewritten: the signed checkpoint {mark.id} differs")
    try:
        mark.check(keys)
    except Tampered as error:
        _refuse(trusted_to + 1, f"or a later one up to {mark.id} is in doubt: {error.message}")


def _refuse(number: int, what: str) -> NoReturn:
    raise Tampered(
        f"event {number} {what}",
        hint="restore the ledger from a backup; events before it are as they were written",
        fields=[{"pointer": f"/events/{number}", "message": what}],
    )


def _signed(number: int, value: bytes, at: str) -> bytes:
    return f"{WORD} 1 {number} {value.hex()} {at}".encode()
