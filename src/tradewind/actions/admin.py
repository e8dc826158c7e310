"""Tokens, audit, health, keys and backups."""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from tradewind import models
from tradewind.actions._door import action
from tradewind.core.answer import Answer, Fact
from tradewind.core.errors import BadValue, NotFound, NotSignedIn
from tradewind.core.event import ROLES, Actor
from tradewind.core.table import Table
from tradewind.vault.archive import pack_folder
from tradewind.workspace import Workspace

PREFIX = "tw_"


@action(permits="admin")
def create_token(ws: Workspace, role: str, *, name: str = "", days: float = 90) -> Answer:
    """Make a token for the HTTP face. It is shown once; the ledger keeps its SHA-256 only."""
    if role not in ROLES:
        raise BadValue(f"there is no role {role!r}", hint=f"roles: {', '.join(ROLES)}")
    if not 0 < days <= 3660:
        raise BadValue(f"days must lie between 0 and 3660, not {days}")
    token = PREFIX + secrets.token_urlsafe(32)
    until = (dt.datetime.now(dt.UTC) + dt.timedelta(days=days)).isoformat(timespec="seconds")
    number = hashed(token)
    source = {"token": number, "role": role, "name": name or f"{role}-{number[:6]}", "until": until}
    return Answer(
        (Fact("token", token), Fact("role", role), Fact("until", until)),
        words="Keep this token safe: it is not shown again.",
        source=source,
    )


@action(permits="admin", quiet=True)
def tokens(ws: Workspace) -> Answer:
    """List tokens by their first digits; never the tokens themselves."""
    rows = [
        [key[:12], str(event.body["name"]), str(event.body["role"]), str(event.body["until"])]
        for key, event in ws.view.fresh(now=True).tokens.items()
    ]
    if not rows:
        return Answer(words="There is no token.", source={"tokens": 0})
    columns = {head: np.array([row[at] for row in rows], object) for at, head in enumerate(("token", "name", "role", "until"))}
    return Answer(table=Table.from_columns(columns), words=f"{len(rows)} tokens.", source={"tokens": len(rows)})


@action(permits="admin")
def revoke_token(ws: Workspace, token: str) -> Answer:
    """Revoke a token: the token itself, its name, or the first digits that the list shows."""
    known = ws.view.fresh(now=True).tokens
    found = [
        key
        for key, event in known.items()
        if token in (event.body["name"],) or key == hashed(token) or (len(token) >= 6 and key.startswith(token))
    ]
    if len(found) != 1:
        raise NotFound(f"{len(found)} tokens fit {token[:12]!r}", hint="tradewind token list shows them")
    return Answer(words=f"Token {found[0][:12]} is revoked.", source={"token": found[0]})


def hashed(token: str) -> str:
    """Return what the ledger keeps of a token; tokens are 256 random bits, so a plain hash is enough."""
    return hashlib.sha256(token.encode()).hexdigest()


def actor_of(ws: Workspace, token: str) -> Actor:
    """Return who holds a token; raises NotSignedIn where it is unknown, revoked or expired."""
    event = ws.view.fresh().tokens.get(hashed(token))
    if event is None:
        raise NotSignedIn("the token is unknown or revoked", hint="tradewind token create --role viewer")
    if dt.datetime.fromisoformat(str(event.body["until"])) < dt.datetime.now(dt.UTC):
        raise NotSignedIn("the token has expired", hint="tradewind token create --role viewer")
    return Actor(str(event.body["name"]), str(event.body["role"]))


@action(permits="admin", quiet=True)
def audit(ws: Workspace, *, verify: bool = False, after: int = 0, limit: int = 100, anchor: str | None = None) -> Answer:
    """Show the newest events; `verify` checks the whole chain; so does `anchor`, a checkpoint line kept elsewhere, against that line."""
    facts: list[Fact] = []
    words, verify = "", verify or anchor is not None
    if verify:
        count = ws.ledger.verify(anchor)
        facts = [Fact("events_checked", count), Fact("checkpoint", ws.ledger.checkpoint())]
        words = (
            f"All {count:,} events are as they were written. Keep the checkpoint line elsewhere: it proves later that nothing was cut off."
        )
    events = ws.ledger.read(after=after, limit=limit, newest=after == 0)
    rows = [
        [
            event.id,
            event.at,
            event.actor,
            event.kind,
            str(event.body.get("model") or event.body.get("action") or event.body.get("table") or ""),
        ]
        for event in events
    ]
    columns = {
        head: np.array([row[at] for row in rows], int if head == "id" else object)
        for at, head in enumerate(("id", "at", "actor", "kind", "about"))
    }
    return Answer(
        tuple(facts),
        Table.from_columns(columns) if rows else None,
        words=words or f"{len(rows)} events.",
        source={"events": len(rows), "verified": verify},
    )


@action(permits="read", quiet=True)
def status(ws: Workspace) -> Answer:
    """Say what serves, in which isolation, and how big the workspace is."""
    held = ws.pool.held()
    rows = []
    for model in models.names():
        serving = ws.deployment(model)
        worker = next((state for name, state in held.items() if name.startswith(f"{model}@{serving.stable}-")), None)
        rows.append(
            [
                model,
                serving.stable,
                serving.challenger,
                worker.rss_mb if worker else 0.0,
                str(worker.isolation["level"]) if worker else "not started",
            ]
        )
    heads = ("model", "serving", "challenger", "rss_mb", "isolation")
    kinds: tuple[type, ...] = (object, int, int, float, object)
    columns: dict[str, np.ndarray[Any, Any]] = {
        head: np.array([row[at] for row in rows], kind) for at, (head, kind) in enumerate(zip(heads, kinds, strict=True))
    }
    levels = {str(state.isolation["level"]) for state in held.values()}
    facts = (
        Fact("events", ws.ledger.head()),
        Fact("tables", len(ws.view.fresh().tables)),
        Fact("isolation", "degraded" if "degraded" in levels else "full" if levels else "not started"),
        Fact("free_disk_gb", round(shutil.disk_usage(ws.folder).free / 1e9, 1), "GB"),
    )
    return Answer(
        facts,
        Table.from_columns(columns),
        words=f"{sum(bool(row[1]) for row in rows)} of {len(rows)} models serve.",
        source={"models": len(rows)},
    )


@action(permits="admin", alone="keys")
def rotate(ws: Workspace) -> Answer:
    """Make a new key-encryption key and rewrap every data key; the sealed bytes stay as they are."""
    count = ws.blobs.rotate()
    return Answer(
        (Fact("rewrapped", count),),
        words=f"A new key-encryption key wraps {count} data keys. Print a new recovery sheet.",
        source={"rewrapped": count},
    )


@action(permits="admin")
def recovery(ws: Workspace) -> Answer:
    """Show the recovery code of the keys: whoever holds it can read and sign everything. Print it and lock it away."""
    return Answer((Fact("recovery", ws.keys.recovery()),), words="Print this code and keep it off this machine.", source={"shown": True})


@action(permits="admin", alone="load", wait_s=60)
def backup(ws: Workspace, path: str | Path, *, keys: bool = True) -> Answer:
    """Write the whole workspace into one file: still sealed. Without `keys` it needs the recovery code to be restored."""
    ws.ledger.flush()
    with ws.keys.steady():  # a rotation in between would pair old data keys with a new ring
        size = pack_folder(ws.folder, Path(path), ws.ledger, keys=keys)
    return Answer(
        (Fact("bytes", size),),
        words=f"The backup is in {path}." + ("" if keys else " It holds no keys."),
        source={"bytes": size, "keys": keys},
    )
