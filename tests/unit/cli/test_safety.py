"""Commands for proof, people, keys and copies."""

from __future__ import annotations

from pathlib import Path

import pytest


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
