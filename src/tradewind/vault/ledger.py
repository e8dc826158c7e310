"""The ledger: who did what when, in a chain that shows every later change."""

from __future__ import annotations

import atexit
import fcntl
import json
import os
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from tradewind.core.errors import BadValue, Busy, DiskFull, Incompatible, Tampered, TooBig, TradewindError, Unexpected
from tradewind.core.event import Event
from tradewind.vault import chain, files, seal
from tradewind.vault.chain import Checkpoint
from tradewind.vault.keys import Keys

FORMAT = 1
WAIT_S = 30.0
GROUP_S = 0.02
QUEUE = 20_000
STATED_EVERY = 1000
MAX_BODY = 1 << 20
MAX_NAME = 500

_SCHEMA = (
    """CREATE TABLE events (id INTEGER PRIMARY KEY, at TEXT NOT NULL, kind TEXT NOT NULL, actor TEXT NOT NULL, body TEXT NOT NULL,
       hash BLOB NOT NULL) STRICT""",
    "CREATE INDEX events_kind ON events (kind, id)",
    """CREATE TABLE checkpoints (id INTEGER PRIMARY KEY, hash BLOB NOT NULL, at TEXT NOT NULL, key_id TEXT NOT NULL,
       signature BLOB NOT NULL) STRICT""",
    """CREATE TABLE tip (one INTEGER PRIMARY KEY CHECK (one = 1), id INTEGER NOT NULL, hash BLOB NOT NULL, at TEXT NOT NULL,
       key_id TEXT NOT NULL, signature BLOB NOT NULL) STRICT""",
    *(
        f"CREATE TRIGGER {table}_{verb.lower()} BEFORE {verb} ON {table} BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
        for table in ("events", "checkpoints")
        for verb in ("UPDATE", "DELETE")
    ),
)
_TIP = "SELECT id, hash, at, key_id, signature FROM tip"
_LAST = "SELECT id, hash FROM events ORDER BY id DESC LIMIT 1"
_READ = """SELECT e.id, e.hash, b.hash, e.at, e.kind, e.actor, e.body FROM events e LEFT JOIN events b ON b.id = e.id - 1
           WHERE e.id > ? {kinds} ORDER BY e.id {order} LIMIT ?"""

Row = tuple[int, str, str, str]  # nanoseconds since 1970, kind, actor, body


class Ledger:
    """An append-only SQLite file (mode 0600, WAL), safe with several threads and processes.

    Each event carries SHA-256 over itself and the hash before it. Each commit signs the new end of the chain (`tip`), and no
    process extends a chain whose end does not carry a trusted signature; every thousand events a signed checkpoint stays.
    What cannot be seen from inside is a restore of the whole folder to an older state: for that, keep `checkpoint()` elsewhere.
    """

    def __init__(self, path: Path, keys: Keys) -> None:
        self._path = path
        self._keys = keys
        files.folder(path.parent)
        self._write_lock, self._read_lock = threading.RLock(), threading.Lock()
        with _told(path):
            with suppress(FileExistsError):  # an existing file is never opened here: closing it would drop SQLite's own locks
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            turn = files.folder(path.parent / "locks") / f"{path.stem}.turn"
            self._turn = os.open(turn, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            self._writer, self._reader = self._connect(), self._connect()
            _prepare(self._writer)
        self._seen: Checkpoint | None = None  # the last tip this process signed or checked
        self._queue: deque[Row] = deque()
        self._fault: TradewindError | None = None
        self._wake, self._over = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._group, name="ledger", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def append(self, event: Event) -> Event:
        """Write an event and return it with its id and time once it is on disk. Events noted before come first.

        Raises DiskFull, Busy (another process held the file for 30 s), BadValue for a body that is not plain JSON,
        and Tampered where the end of the chain was changed.
        """
        row = _row(event)
        with self._write_lock:
            number = self._commit(row)
        return replace(event, id=number, at=chain.moment(row[0]))

    def note(self, event: Event) -> None:
        """Write an event soon: within 50 ms, together with others; a crash may lose those last milliseconds.

        At most 20,000 wait. Past that the caller waits for the next commit, or gets the error that keeps it from happening.
        """
        if self._over.is_set():
            raise BadValue("the ledger is closed")
        self._queue.append(_row(event))
        if not self._wake.is_set():
            self._wake.set()
        if len(self._queue) > QUEUE:
            self.flush()

    def flush(self) -> None:
        """Return once everything noted is on disk; raises what keeps it from getting there."""
        with self._write_lock:
            if self._queue and not self._over.is_set():
                self._commit(None)

    def close(self) -> None:
        """Write what was noted and let go of the file."""
        atexit.unregister(self.close)
        if self._over.is_set():
            return
        try:
            self.flush()
        finally:
            with self._write_lock, self._read_lock:
                self._over.set()
                self._wake.set()
                self._reader.close()
                self._writer.close()
                os.close(self._turn)
            if threading.current_thread() is not self._thread:
                self._thread.join(1.0)

    def read(self, *kinds: str, after: int = 0, limit: int | None = None, newest: bool = False) -> list[Event]:
        """Return events of these kinds (all where none is named) with an id above `after`, oldest first; `newest` turns the order.

        Each is checked against its hash; raises Tampered.
        """
        chosen = f"AND e.kind IN ({','.join('?' * len(kinds))})" if kinds else ""
        query = _READ.format(kinds=chosen, order="DESC" if newest else "ASC")
        with self._read_lock, _told(self._path):
            rows = self._reader.execute(query, (_bound(after), *kinds, -1 if limit is None else _bound(limit))).fetchall()
        return [_event(*row) for row in rows]

    def head(self) -> int:
        """Return the id of the last event any process committed, 0 where there is none."""
        with self._read_lock:
            try:
                found = self._reader.execute("SELECT max(id) FROM events").fetchone()[0]
            except sqlite3.Error as error:
                raise _refusal(error, self._path) from error
        return int(found or 0)

    def verify(self, anchor: str | None = None) -> int:
        """Check the whole chain and return how many events it has; raises Tampered naming the first bad id.

        `anchor` is a line that `checkpoint` gave, kept elsewhere: with it a restore of the whole folder is seen too.
        """
        place = Checkpoint.read(anchor) if anchor else None
        self.flush()
        with _told(self._path):
            database = self._connect()
            try:
                database.execute("BEGIN")
                count = chain.walk(database, self._keys, _tip(database), place)
                _check_shape(database)
                return count
            finally:
                database.close()

    def checkpoint(self) -> str:
        """Sign and keep the end of the chain now; return it as one line to print or keep elsewhere."""
        with self._write_lock:
            self.flush()
            with _told(self._path), self._our_turn(), _transaction(self._writer):
                number, value = self._end()
                mark = Checkpoint.sign(number, value, chain.moment(time.time_ns()), self._keys)
                if number:
                    _state(self._writer, mark)
        return mark.line()

    def copy(self, path: Path) -> None:
        """Write the ledger as of now into a new file (mode 0600): what a backup holds."""
        self.flush()
        with _told(path):
            os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            source, target = self._connect(), sqlite3.connect(path)
            try:
                source.backup(target)
            finally:
                source.close()
                target.close()

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, timeout=WAIT_S, isolation_level=None, check_same_thread=False)
        database.execute("PRAGMA synchronous=FULL")
        return database

    def _commit(self, last: Row | None) -> int:
        """Write what is queued, then `last`, in one transaction; return the id of the last event. The queue keeps what fails."""
        waiting = list(self._queue)
        rows = waiting if last is None else [*waiting, last]
        try:
            with _told(self._path), self._our_turn(), _transaction(self._writer):
                number, value = self._end()
                linked = []
                for nanoseconds, kind, actor, body in rows:
                    at = chain.moment(nanoseconds)
                    number += 1
                    value = chain.link(value, number, [text.encode() for text in (at, kind, actor, body)])
                    linked.append((number, at, kind, actor, body, value))
                self._writer.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?, ?)", linked)
                tip = Checkpoint.sign(number, value, at, self._keys)
                self._writer.execute("REPLACE INTO tip VALUES (1, ?, ?, ?, ?, ?)", _fields(tip))
                if number // STATED_EVERY > (number - len(rows)) // STATED_EVERY:
                    _state(self._writer, tip)
        except TradewindError as error:
            self._fault = error
            raise
        self._seen, self._fault = tip, None
        for _ in waiting:
            self._queue.popleft()
        return number

    @contextmanager
    def _our_turn(self) -> Iterator[None]:
        """Wait until no other process writes. SQLite's own wait backs off to 100 ms, and a busy writer would starve the others."""
        if self._over.is_set():
            raise BadValue("the ledger is closed")
        until = time.monotonic() + WAIT_S
        while True:
            try:
                fcntl.flock(self._turn, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > until:
                    raise Busy(f"another process has held the ledger for {WAIT_S:.0f} s", hint="end it, or wait") from error
                time.sleep(0.0005)
        try:
            yield
        finally:
            fcntl.flock(self._turn, fcntl.LOCK_UN)

    def _end(self) -> tuple[int, bytes]:
        """Return id and hash of the last event, once the signature over it was checked; raises Tampered."""
        tip = _tip(self._writer)
        number, value = self._writer.execute(_LAST).fetchone() or (0, chain.START)
        if tip is None and number == 0:
            return number, value
        if tip is None or (tip.id, tip.hash) != (number, value):
            raise Tampered(
                "the end of the ledger was changed: nothing more is written to it",
                hint="tradewind audit --verify names the first bad record",
            )
        if tip != self._seen:
            tip.check(self._keys)
            self._seen = tip
        return number, value

    def _group(self) -> None:
        """Commit what was noted, every 20 ms while there is something."""
        while not self._over.is_set():
            self._wake.wait()
            self._wake.clear()
            self._over.wait(GROUP_S if self._fault is None else 1.0)
            with suppress(TradewindError):  # kept in the queue; flush and a full queue tell the caller
                self.flush()
            if self._queue:
                self._wake.set()


def _row(event: Event) -> Row:
    body = seal.canonical(event.body if isinstance(event.body, dict) else dict(event.body)).decode()
    if len(body) > MAX_BODY:
        raise TooBig(f"an event holds at most {MAX_BODY:,} characters", hint="keep digests in the ledger, and the data in blobs")
    for text in (event.kind, event.actor):
        if not isinstance(text, str) or not text or not text.isprintable() or len(text) > MAX_NAME:
            raise BadValue(f"an event needs a kind and an actor of 1 to {MAX_NAME} printable characters, not {text!r}"[:300])
    return time.time_ns(), event.kind, event.actor, body


def _event(number: int, value: bytes, before: bytes | None, *texts: str) -> Event:
    fitting = before is not None or number == 1
    if not fitting or chain.link(before or chain.START, number, [text.encode() for text in texts]) != value:
        raise Tampered(f"event {number} or the one before it was changed", hint="tradewind audit --verify names the first bad record")
    at, kind, actor, body = texts
    said: dict[str, Any] = json.loads(body)
    return Event(kind, actor, said, at, number)


def _fields(mark: Checkpoint) -> tuple[int, bytes, str, str, bytes]:
    return mark.id, mark.hash, mark.at, mark.key_id, mark.signature


def _state(database: sqlite3.Connection, mark: Checkpoint) -> None:
    database.execute("INSERT OR IGNORE INTO checkpoints VALUES (?, ?, ?, ?, ?)", _fields(mark))


def _tip(database: sqlite3.Connection) -> Checkpoint | None:
    row = database.execute(_TIP).fetchone()
    return Checkpoint(*row) if row else None


def _prepare(database: sqlite3.Connection) -> None:
    """Make the tables where the file is new; raises Incompatible for a newer format and Tampered for another kind of file."""
    until = time.monotonic() + WAIT_S
    while True:
        try:
            database.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError as error:  # the switch to WAL does not wait for others by itself
            if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED) or time.monotonic() > until:
                raise
            time.sleep(0.01)
    with _transaction(database):
        number = database.execute("PRAGMA user_version").fetchone()[0]
        if number > FORMAT:
            raise Incompatible(f"the ledger is of format {number}, this Tradewind reads {FORMAT}", hint="install a newer Tradewind")
        if number == 0:
            if database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                raise Tampered("the ledger file is a database of something else", hint="restore it from a backup")
            for statement in _SCHEMA:
                database.execute(statement)
            database.execute(f"PRAGMA user_version={FORMAT}")


def _check_shape(database: sqlite3.Connection) -> None:
    """Refuse a ledger whose tables, index or triggers are not the ones we made: a view could hide events."""
    found = {row[0] for row in database.execute("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL")}
    if found != set(_SCHEMA):
        raise Tampered("the ledger's tables or its append-only triggers were changed", hint="restore the ledger from a backup")
    wrong = database.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if wrong != "ok":
        raise Tampered(f"the ledger file is damaged: {wrong}", hint="restore the ledger from a backup")


@contextmanager
def _transaction(database: sqlite3.Connection) -> Iterator[None]:
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def _bound(number: int) -> int:
    """Return the number, or the nearest one that the ledger's driver can hold."""
    return max(min(number, 2**63 - 1), -(2**63))


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say the driver's errors in our words."""
    try:
        yield
    except sqlite3.Error as error:
        raise _refusal(error, path) from error
    except OSError as error:
        raise files.refusal(error, path) from error


def _refusal(error: sqlite3.Error, path: Path) -> TradewindError:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code == sqlite3.SQLITE_FULL:
        return DiskFull("no room left to write the ledger", hint="free some space and run the same command again; nothing was half written")
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return Busy(f"another process has held the ledger for {WAIT_S:.0f} s", hint="end it, or wait")
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_ERROR):
        return Tampered(f"{path.name} is damaged or not a ledger: {error}", hint="restore the ledger from a backup")
    return Unexpected(f"the ledger {path.name} cannot be used: {error}", hint="check the disk and the owner of the folder")
