"""Law: any edit, deletion, insertion or exchange in the ledger is seen, and the first bad event is named."""

import random
import sqlite3
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tradewind.core.errors import Tampered
from tradewind.core.event import Event
from tradewind.vault import chain
from tradewind.vault.keys import Keys
from tradewind.vault.ledger import Ledger

EVENTS, CASES = 30, 600
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=30)
BODY = st.dictionaries(
    TEXT, st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT | st.lists(TEXT), max_size=4
)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return Keys.open(tmp_path_factory.mktemp("keys") / "keys")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(bodies=st.lists(BODY, max_size=5), noted=st.lists(st.booleans(), min_size=5, max_size=5))
def test_whatever_is_written_is_read_and_verifies(tmp_path: Path, keys: Keys, bodies: list[dict], noted: list[bool]) -> None:
    ledger = Ledger(tmp_path / "free.db", keys)
    start = ledger.head()
    for body, quiet in zip(bodies, noted, strict=False):
        (ledger.note if quiet else ledger.append)(Event("any", "ann", body))
    ledger.flush()
    assert [event.body for event in ledger.read(after=start)] == bodies
    assert ledger.verify(ledger.checkpoint()) == start + len(bodies)
    ledger.close()


@settings(max_examples=500, deadline=None)
@given(
    one=st.lists(st.binary(max_size=8), min_size=4, max_size=4),
    two=st.lists(st.binary(max_size=8), min_size=4, max_size=4),
    number=st.integers(1, 9),
)
def test_two_events_never_share_what_is_hashed(one: list[bytes], two: list[bytes], number: int) -> None:
    same = chain.link(chain.START, number, one) == chain.link(chain.START, number, two)
    assert same == (one == two)
    assert chain.link(chain.START, number, one) != chain.link(chain.START, number + 1, one)


def test_every_kind_of_tampering_names_the_first_bad_event(tmp_path: Path, keys: Keys) -> None:
    ledger = Ledger(tmp_path / "ledger.db", keys)
    for number in range(1, EVENTS + 1):
        ledger.append(Event("train", "ann", {"n": number, "model": "demand"}))
        if number % 10 == 0:
            ledger.checkpoint()
    database = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
    for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        database.execute(f"DROP TRIGGER {name}")
    dice, done = random.Random(4), Counter[str]()
    for case in range(CASES):
        database.execute("BEGIN")
        what, bad = tampered(database, dice)
        tip = chain.Checkpoint(*database.execute("SELECT id, hash, at, key_id, signature FROM tip").fetchone())
        with pytest.raises(Tampered) as told:
            chain.walk(database, keys, tip, None)
        assert told.value.fields[0]["pointer"] == f"/events/{bad}", (case, what, told.value.message)
        database.execute("ROLLBACK")
        done[what] += 1
    database.close()
    assert done.total() == CASES and min(done.values()) > 50 and len(done) == 6
    with pytest.raises(Tampered, match="triggers"):
        ledger.verify()
    ledger.close()


def tampered(database: sqlite3.Connection, dice: random.Random) -> tuple[str, int]:
    """Do one bad thing and return what, and the first event that is not as it was written."""
    what = dice.choice(("edit", "delete", "insert", "reorder", "truncate", "rewrite"))
    one, two = sorted(dice.sample(range(1, EVENTS + 1), 2))
    if what == "edit":
        column = dice.choice(("at", "kind", "actor", "body"))
        text = database.execute(f"SELECT {column} FROM events WHERE id = ?", (one,)).fetchone()[0]
        place = dice.randrange(len(text))
        letter = "x" if text[place] != "x" else "y"
        database.execute(f"UPDATE events SET {column} = ? WHERE id = ?", (text[:place] + letter + text[place + 1 :], one))
    elif what == "delete":
        database.execute("DELETE FROM events WHERE id = ?", (one,))
    elif what == "insert":
        database.execute("UPDATE events SET id = -id WHERE id >= ?", (one,))
        database.execute("UPDATE events SET id = 1 - id WHERE id < 0")
        database.execute("INSERT INTO events SELECT ?, at, kind, 'bob', body, hash FROM events WHERE id = ?", (one, one + 1))
    elif what == "reorder":
        for start, end in ((one, 1000), (two, one), (1000, two)):
            database.execute("UPDATE events SET id = ? WHERE id = ?", (end, start))
    elif what == "truncate":
        database.execute("DELETE FROM events WHERE id >= ?", (one,))
    else:  # the whole chain is written anew from there on: the last signed place before it is the last that fits
        database.execute("UPDATE events SET actor = 'bob' WHERE id = ?", (one,))
        rows = database.execute("SELECT id, hash, at, kind, actor, body FROM events ORDER BY id").fetchall()
        before = rows[one - 2][1] if one > 1 else chain.START
        for number, _, *texts in rows[one - 1 :]:
            before = chain.link(before, number, [text.encode() for text in texts])
            database.execute("UPDATE events SET hash = ? WHERE id = ?", (before, number))
        return what, (one - 1) // 10 * 10 + 1
    return what, one
