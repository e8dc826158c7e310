"""Commands for proof, people, keys and copies."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import pytest

import tradewind
from tradewind.core.errors import Tampered


@pytest.mark.parametrize(
    ("words", "call"),
    [
        ("verify", ("verify", (None,), {"version": None})),
        ("verify demand --version 2", ("verify", ("demand",), {"version": 2})),
        ("audit --verify --after 5 --limit 7 --anchor LINE", ("audit", (), {"verify": True, "after": 5, "limit": 7, "anchor": "LINE"})),
        ("token create --role admin --name ada --days 7", ("create_token", ("admin",), {"name": "ada", "days": 7})),
        ("token list", ("tokens", (), {})),
        ("token revoke tw_123", ("revoke_token", ("tw_123",), {})),
        ("rotate", ("rotate", (), {})),
        ("recovery", ("recovery", (), {})),
        ("backup all.tar", ("backup", (Path("all.tar"),), {"keys": True})),
        ("token create", ("create_token", ("admin",), {"name": "", "days": 90})),
        ("backup all.tar --no-keys", ("backup", (Path("all.tar"),), {"keys": False})),
    ],
)
def test_the_action_gets_what_was_typed(desk, tradewind_, words, call):
    assert tradewind_(*words.split()).status == 0
    assert desk.calls == [call]


def test_restore_opens_what_it_restored(desk, tradewind_):
    assert tradewind_("restore", "all.tar", "new", "--recovery", "CODE").status == 0
    assert desk.calls == [("restore", (Path("all.tar"), Path("new")), {"recovery": "CODE"}), ("status", (), {})]
    assert desk.closed == 1


def test_keys_that_are_lost_come_back_from_the_printed_code(tradewind_, tmp_path, monkeypatch):
    monkeypatch.setenv("TRADEWIND_PASSPHRASE", "ein gutes Geheimnis")
    folder = tmp_path / "shop"
    with tradewind.open(folder) as desk:
        desk.load({"date": ["2024-01-01"], "product": ["a"], "units": [1.0]}, table="sales")
        code = desk.recovery().fact("recovery")
    shutil.rmtree(folder / "keys")
    with pytest.raises(Tampered, match="has lost its keys") as told:
        tradewind.open(folder)
    assert "tradewind recover " in told.value.hint
    monkeypatch.setattr("sys.stdin", io.StringIO(code))
    assert tradewind_("-w", str(folder), "recover").status == 0
    with tradewind.open(folder) as desk:
        assert len(desk.show("sales").table) == 1
    assert tradewind_("-w", str(tmp_path / "none"), "recover", code).status == 5
