import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tradewind.core.errors import BadValue, DiskFull, Incompatible, Tampered, TooBig
from tradewind.core.event import Event
from tradewind.vault import chain
from tradewind.vault import ledger as module
from tradewind.vault.keys import Keys
from tradewind.vault.ledger import Ledger


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys.open(tmp_path / "keys")


@pytest.fixture
def ledger(tmp_path: Path, keys: Keys) -> Iterator[Ledger]:
    opened = Ledger(tmp_path / "ledger.db", keys)
    yield opened
    opened.close()


def fill(ledger: Ledger, count: int = 12) -> None:
    for number in range(1, count + 1):
        ledger.append(Event("promote" if number % 3 == 0 else "train", "ann", {"model": "demand", "version": number}))


def bare_walk(path: Path) -> None:
    """Read every event and hash its text: the least that a check of the chain can cost on this machine."""
    with sqlite3.connect(path) as database:
        for row in database.execute("SELECT id, at, kind, actor, body FROM events ORDER BY id"):
            hashlib.sha256("\n".join(map(str, row)).encode()).hexdigest()


def edit(path: Path, *statements: str) -> None:
    """Change the file as somebody with write access would, past the append-only triggers."""
    database = sqlite3.connect(path)
    kept = [row[0] for row in database.execute("SELECT sql FROM sqlite_master WHERE type = 'trigger'")]
    for name in [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")]:
        database.execute(f"DROP TRIGGER {name}")
    for statement in statements:
        database.execute(statement)
    for trigger in kept:
        database.execute(trigger)
    database.commit()
    database.close()


def forge(path: Path, start: int) -> None:
    """Write the chain anew from an event on, as somebody would who knows how it is made but has no key."""
    database = sqlite3.connect(path)
    rows = database.execute("SELECT id, at, kind, actor, body FROM events ORDER BY id").fetchall()
    before = chain.START if start == 1 else database.execute("SELECT hash FROM events WHERE id = ?", (start - 1,)).fetchone()[0]
    changes = []
    for number, *texts in rows[start - 1 :]:
        before = chain.link(before, number, [text.encode() for text in texts])
        changes.append(f"UPDATE events SET hash = x'{before.hex()}' WHERE id = {number}")
    database.close()
    edit(path, *changes)


def first_bad(told: pytest.ExceptionInfo[Tampered]) -> int:
    return int(told.value.fields[0]["pointer"].removeprefix("/events/"))


def test_events_come_back_as_they_were_written(ledger: Ledger, tmp_path: Path) -> None:
    body = {"ünï": ["日本", 1, 2.5, None, True], "nested": {"b": 1, "a": "\u0000 \n ' \""}}
    written = ledger.append(Event("load", "Zoë O'Neil", body, at="1999", id=77))
    assert (written.id, written.body, written.kind, written.actor) == (1, body, "load", "Zoë O'Neil")
    assert written.at.startswith("20") and written.at.endswith("Z") and len(written.at) == 27
    assert ledger.read() == [written] and ledger.head() == 1 and ledger.verify() == 1
    assert (tmp_path / "ledger.db").stat().st_mode & 0o777 == 0o600
    assert {file.stat().st_mode & 0o077 for file in tmp_path.glob("ledger.db*")} == {0}


def test_read_chooses(ledger: Ledger) -> None:
    assert ledger.read() == [] and ledger.head() == 0 and ledger.verify() == 0
    fill(ledger)
    assert [event.id for event in ledger.read("promote")] == [3, 6, 9, 12]
    assert [event.id for event in ledger.read("promote", after=3, limit=2)] == [6, 9]
    assert [event.id for event in ledger.read("promote", "train", newest=True, limit=3)] == [12, 11, 10]
    assert [event.id for event in ledger.read(after=10)] == [11, 12]
    assert ledger.read(after=10**20) == [] and len(ledger.read(after=-(10**20), limit=10**20)) == 12
    assert ledger.read("nothing") == [] and ledger.read(after=99) == [] and ledger.read(limit=0) == []


@pytest.mark.parametrize(
    "event",
    [
        Event("train", "ann", {"score": float("nan")}),
        Event("train", "ann", {"what": object()}),
        Event("train", "ann", {"text": "\ud800"}),
        Event("", "ann"),
        Event("train", ""),
        Event("train", "a\nb"),
        Event("train", "\ud800"),
        Event("train", "a" * 501),
        Event("train", 7),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_written_is_refused_at_once(ledger: Ledger, event: Event) -> None:
    for write in (ledger.append, ledger.note):
        with pytest.raises(BadValue):
            write(event)
    ledger.append(Event("fine", "ann"))
    assert ledger.verify() == 1


def test_a_huge_event_is_refused(ledger: Ledger) -> None:
    with pytest.raises(TooBig):
        ledger.append(Event("load", "ann", {"text": "x" * (1 << 21)}))


def test_noted_events_are_written_within_50_ms_and_in_order(ledger: Ledger) -> None:
    for number in range(500):
        ledger.note(Event("predict", "ann", {"n": number}))
    until = time.monotonic() + 5
    while ledger.head() < 500 and time.monotonic() < until:
        time.sleep(0.002)
    assert [event.body["n"] for event in ledger.read("predict")] == list(range(500))
    began = time.monotonic()
    ledger.note(Event("predict", "ann", {"n": 500}))
    while ledger.head() < 501 and time.monotonic() < began + 5:
        time.sleep(0.001)
    assert time.monotonic() - began < 1.0  # 20 ms by design; the rest is a busy machine
    ledger.note(Event("predict", "ann", {"n": 501}))
    assert ledger.append(Event("promote", "ann")).id == 503
    assert ledger.verify() == 503


def test_closing_writes_what_was_noted(tmp_path: Path, keys: Keys) -> None:
    opened = Ledger(tmp_path / "ledger.db", keys)
    for number in range(50):
        opened.note(Event("predict", "ann", {"n": number}))
    opened.close()
    opened.close()
    for write in (opened.append, opened.note):
        with pytest.raises(BadValue):
            write(Event("late", "ann"))
    again = Ledger(tmp_path / "ledger.db", keys)
    assert again.verify() == 50
    again.close()


def test_the_end_of_a_program_writes_what_was_noted(tmp_path: Path, keys: Keys) -> None:
    code = """
import sys
from pathlib import Path
from tradewind.core.event import Event
from tradewind.vault.keys import Keys
from tradewind.vault.ledger import Ledger
ledger = Ledger(Path(sys.argv[1]) / "ledger.db", Keys.open(Path(sys.argv[1]) / "keys"))
for number in range(40):
    ledger.note(Event("predict", "ann", {"n": number}))
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    again = Ledger(tmp_path / "ledger.db", keys)
    assert again.verify() == 40
    again.close()


def test_a_full_disk_is_said_and_nothing_noted_is_lost(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(ledger)
    pages = ledger._writer.execute("PRAGMA page_count").fetchone()[0]
    ledger._writer.execute(f"PRAGMA max_page_count={pages}")
    with pytest.raises(DiskFull) as told:
        for _ in range(50):
            ledger.append(Event("load", "ann", {"text": "x" * 2000}))
    assert told.value.hint
    count = ledger.head()
    monkeypatch.setattr(module, "QUEUE", 5)
    with pytest.raises(DiskFull):
        for number in range(8):
            ledger.note(Event("predict", "ann", {"n": number, "text": "x" * 4000}))
    noted = len(ledger._queue)
    assert noted >= 5
    with pytest.raises(DiskFull):
        ledger.flush()
    ledger._writer.execute("PRAGMA max_page_count=100000")
    ledger.flush()
    assert ledger.head() == count + noted == ledger.verify()


@pytest.mark.parametrize(
    ("statements", "bad"),
    [
        (["UPDATE events SET body = replace(body, '5', '6') WHERE id = 5"], 5),
        (["UPDATE events SET actor = 'bob' WHERE id = 1"], 1),
        (["UPDATE events SET at = '2020-01-01T00:00:00.000000Z' WHERE id = 12"], 12),
        (["UPDATE events SET kind = 'train' WHERE id = 6"], 6),
        (["UPDATE events SET hash = zeroblob(32) WHERE id = 4"], 4),
        (["DELETE FROM events WHERE id = 7"], 7),
        (["DELETE FROM events WHERE id = 1"], 1),
        (["DELETE FROM events WHERE id >= 10"], 10),
        (["DELETE FROM events WHERE id >= 10", "DELETE FROM tip"], 10),
        (["DELETE FROM tip"], 10),
        (["DELETE FROM events WHERE id > 8", "DELETE FROM checkpoints"], 9),
        (["DELETE FROM events"], 1),
        (["INSERT INTO events SELECT 13, at, kind, actor, body, hash FROM events WHERE id = 12"], 13),
        (["UPDATE events SET id = -id WHERE id > 4", "UPDATE events SET id = 1 - id WHERE id < 0"], 5),
        (
            [
                "UPDATE events SET id = 100 WHERE id = 3",
                "UPDATE events SET id = 3 WHERE id = 9",
                "UPDATE events SET id = 9 WHERE id = 100",
            ],
            3,
        ),
        (["INSERT INTO events SELECT 0, at, kind, actor, body, hash FROM events WHERE id = 1"], 1),
        (["UPDATE events SET kind = substr(kind || actor, 1, 6), actor = 'nn' WHERE id = 2"], 2),
    ],
)
def test_verify_names_the_first_bad_event(ledger: Ledger, tmp_path: Path, statements: list[str], bad: int) -> None:
    fill(ledger, 9)
    ledger.checkpoint()
    fill(ledger, 3)
    edit(tmp_path / "ledger.db", *statements)
    with pytest.raises(Tampered, match=f"event {bad}") as told:
        ledger.verify()
    assert first_bad(told) == bad


def test_a_chain_written_anew_does_not_fit_its_signatures(ledger: Ledger, tmp_path: Path) -> None:
    fill(ledger, 6)
    ledger.checkpoint()
    fill(ledger, 6)
    path = tmp_path / "ledger.db"
    edit(path, "UPDATE events SET actor = 'bob' WHERE id = 9")
    forge(path, 9)
    with pytest.raises(Tampered, match="signed checkpoint") as told:
        ledger.verify()
    assert first_bad(told) == 7  # the first event after the last signed place that fits
    with pytest.raises(Tampered):
        ledger.append(Event("promote", "ann"))


def test_a_signature_of_somebody_else_does_not_count(ledger: Ledger, tmp_path: Path) -> None:
    fill(ledger, 6)
    other = Keys.open(tmp_path / "other")
    path = tmp_path / "ledger.db"
    edit(path, "UPDATE events SET actor = 'bob' WHERE id = 2")
    forge(path, 2)
    database = sqlite3.connect(path)
    value = database.execute("SELECT hash FROM events WHERE id = 6").fetchone()[0]
    mark = chain.Checkpoint.sign(6, value, "2026-01-01T00:00:00.000000Z", other)
    database.execute("UPDATE tip SET hash = ?, at = ?, key_id = ?, signature = ?", (value, mark.at, mark.key_id, mark.signature))
    database.commit()
    database.close()
    for use in (ledger.verify, lambda: ledger.append(Event("promote", "ann"))):
        with pytest.raises(Tampered, match="not trusted"):
            use()


def test_a_cut_end_is_not_written_over(tmp_path: Path, keys: Keys) -> None:
    opened = Ledger(tmp_path / "ledger.db", keys)
    fill(opened)
    opened.close()
    edit(tmp_path / "ledger.db", "DELETE FROM events WHERE id > 10")
    again = Ledger(tmp_path / "ledger.db", keys)
    with pytest.raises(Tampered, match="nothing more is written"):
        again.append(Event("promote", "ann"))
    assert again.head() == 10
    again.close()


def test_a_changed_event_is_refused_when_read(ledger: Ledger, tmp_path: Path) -> None:
    fill(ledger)
    edit(tmp_path / "ledger.db", "UPDATE events SET body = replace(body, '6', '7') WHERE id = 6")
    with pytest.raises(Tampered):
        ledger.read("promote")
    assert [event.id for event in ledger.read(limit=5)] == [1, 2, 3, 4, 5]


def test_an_older_copy_of_everything_is_seen_with_an_anchor(tmp_path: Path, keys: Keys) -> None:
    path = tmp_path / "ledger.db"
    opened = Ledger(path, keys)
    fill(opened, 5)
    opened.copy(tmp_path / "old.db")
    fill(opened, 4)
    anchor = opened.checkpoint()
    fill(opened, 1)
    assert opened.verify(anchor) == 10
    opened.close()
    old = Ledger(tmp_path / "old.db", keys)
    assert old.verify() == 5
    with pytest.raises(Tampered) as told:
        old.verify(anchor)
    assert first_bad(told) == 6
    fill(old, 8)
    with pytest.raises(Tampered, match="checkpoint you gave"):
        old.verify(anchor)
    old.close()


@pytest.mark.parametrize("line", ["", "x", "tradewind-checkpoint 2 a b c d e", "tradewind-checkpoint 1 1 zz at key AAAA", "ü" * 10])
def test_what_is_no_checkpoint_line_is_said(ledger: Ledger, line: str) -> None:
    with pytest.raises(BadValue):
        ledger.verify(line or " ")


def test_a_changed_checkpoint_line_is_refused(ledger: Ledger) -> None:
    fill(ledger)
    word, edition, number, value, *rest = ledger.checkpoint().split()
    with pytest.raises(Tampered):
        ledger.verify(" ".join([word, edition, str(int(number) - 1), value, *rest]))


def test_triggers_keep_honest_programs_honest_and_their_absence_is_seen(ledger: Ledger, tmp_path: Path) -> None:
    fill(ledger)
    database = sqlite3.connect(tmp_path / "ledger.db")
    for statement in ("UPDATE events SET actor = 'bob'", "DELETE FROM events", "DELETE FROM checkpoints"):
        database.rollback()
        ledger.checkpoint()
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            database.execute(statement)
    database.rollback()
    database.execute("DROP TRIGGER events_delete")
    database.commit()
    database.close()
    with pytest.raises(Tampered, match="triggers"):
        ledger.verify()


def test_a_view_that_hides_events_is_seen(ledger: Ledger, tmp_path: Path) -> None:
    fill(ledger)
    database = sqlite3.connect(tmp_path / "ledger.db")
    database.executescript("ALTER TABLE events RENAME TO hidden; CREATE VIEW events AS SELECT * FROM hidden;")
    database.close()
    with pytest.raises(Tampered):
        ledger.verify()


@pytest.mark.parametrize("data", [b"not a database" * 100, bytes(8192)])
def test_what_is_no_ledger_is_refused(tmp_path: Path, keys: Keys, data: bytes) -> None:
    (tmp_path / "ledger.db").write_bytes(data)
    with pytest.raises(Tampered):
        Ledger(tmp_path / "ledger.db", keys)


def test_another_database_and_a_newer_format_are_refused(tmp_path: Path, keys: Keys) -> None:
    for name, statement, kind in (("a.db", "CREATE TABLE shop (x)", Tampered), ("b.db", "PRAGMA user_version=9", Incompatible)):
        database = sqlite3.connect(tmp_path / name)
        database.execute(statement)
        database.commit()
        database.close()
        with pytest.raises(kind):
            Ledger(tmp_path / name, keys)


WRITER = """
import sys
import time
from pathlib import Path
from tradewind.core.event import Event
from tradewind.vault.keys import Keys
from tradewind.vault.ledger import Ledger
root, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
ledger = Ledger(root / "ledger.db", Keys.open(root / "keys"))
print("open", flush=True)
input()
for number in range(count):
    ledger.append(Event("train", name, {"n": number}))
    for more in range(3):
        ledger.note(Event("predict", name, {"n": number * 3 + more}))
    if number % 10 == 0:
        print(number, flush=True)
        time.sleep(0.005)  # lets the other one in, on a busy machine too
ledger.close()
"""


def writer(root: Path, name: str, count: int) -> subprocess.Popen[str]:
    """Start a process that writes once it is told `go`."""
    words = [sys.executable, "-c", WRITER, str(root), name, str(count)]
    process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "open\n"
    return process


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_two_processes_append_to_one_chain(tmp_path: Path, keys: Keys) -> None:
    both = [writer(tmp_path, name, 150) for name in ("ann", "bob")]
    for process in both:
        go(process)
    for process in both:
        process.communicate(timeout=120)
    assert [process.returncode for process in both] == [0, 0]
    ledger = Ledger(tmp_path / "ledger.db", keys)
    assert ledger.verify() == 2 * 150 * 4 == ledger.head()
    for name in ("ann", "bob"):
        for kind, count in (("train", 150), ("predict", 450)):
            mine = [event.body["n"] for event in ledger.read(kind) if event.actor == name]
            assert mine == list(range(count))
    actors = [event.actor for event in ledger.read("train")]
    assert sum(one != two for one, two in pairwise(actors)) > 2, "they did not run at once"
    ledger.close()


def test_threads_share_one_ledger(ledger: Ledger) -> None:
    def write(name: str) -> None:
        for number in range(40):
            ledger.append(Event("train", name, {"n": number}))
            ledger.note(Event("predict", name, {"n": number}))

    threads = [threading.Thread(target=write, args=(f"t{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        ledger.head(), ledger.read("train", newest=True, limit=3)
    assert ledger.verify() == 320


@pytest.mark.parametrize("pause", [0.0, 0.03, 0.08])
def test_kill_9_in_the_middle_leaves_a_chain_that_verifies(tmp_path: Path, keys: Keys, pause: float) -> None:
    process = writer(tmp_path, "ann", 100_000)
    assert process.stdout is not None and process.stdin is not None
    go(process)
    for _ in range(3):
        told = process.stdout.readline()
    time.sleep(pause)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    process.stdin.close()
    ledger = Ledger(tmp_path / "ledger.db", keys)
    assert ledger.verify() >= int(told)
    trained = [event.body["n"] for event in ledger.read("train")]
    assert trained == list(range(len(trained))) and len(trained) > int(told)
    ledger.append(Event("promote", "ann"))
    ledger.verify()
    ledger.close()


def test_the_writers_pace_is_that_of_a_hot_path(ledger: Ledger, tmp_path: Path) -> None:
    def spent(call: Any, times: int) -> float:
        best = 1e9
        for _ in range(5):
            began = time.process_time()
            for _ in range(times):
                call()
            best = min(best, (time.process_time() - began) / times)
        return best

    fill(ledger, 3)
    assert spent(ledger.head, 300) < 20e-6
    event = Event("predict", "ann", {"model": "demand", "version": 3, "ms": 1.25})
    for _ in range(80):
        for _ in range(1000):
            ledger.note(event)
        ledger.flush()
    assert ledger.verify() == 80_003
    whole, bare = spent(ledger.verify, 1), spent(lambda: bare_walk(tmp_path / "ledger.db"), 1)
    assert whole < 4 * bare, f"{whole:.2f} s beside {bare:.2f} s for reading and hashing the same rows"
