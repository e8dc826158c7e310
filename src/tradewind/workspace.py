"""The workspace: a folder, opened by somebody. What it holds is folded from the ledger, never stored elsewhere."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tradewind.core.answer import Answer
from tradewind.core.errors import NotFound, NotReady
from tradewind.core.event import Actor, Event
from tradewind.core.model import Artifact
from tradewind.core.table import Table
from tradewind.data import keep
from tradewind.registry import artifact
from tradewind.registry.deployment import Deployment
from tradewind.vault.blobs import Blobs
from tradewind.vault.keys import Keys
from tradewind.vault.ledger import Ledger
from tradewind.vault.lock import alone
from tradewind.workers.pool import Pool

SERVER = "tradewind.models.run:open_server"
DEPLOY = ("promote", "rollback", "split", "update")
FOLDED = ("load", "forget", "train", "import", "create_token", "revoke_token", *DEPLOY)
FRESH_S = 0.05
MOST_KEPT = 500_000  # rows of kept answers: some hundred megabytes with their JSON


class View:
    """What the ledger says now: newest tables, versions, deployments, tokens. Follows other processes within 50 ms."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._at = 0
        self._looked = 0.0
        self.tables: dict[str, list[Event]] = {}
        self.versions: dict[str, dict[int, Event]] = {}
        self.tokens: dict[str, Event] = {}
        self.tried: dict[tuple[str, int], Event] = {}
        self._deploys: dict[str, list[Event]] = {}
        self._deployments: dict[str, Deployment] = {}

    def fresh(self, *, now: bool = False) -> View:
        """Fold what was appended since the last look; `now` looks even if that was a moment ago."""
        if now or time.monotonic() - self._looked > FRESH_S:
            with self._lock:
                self._looked = time.monotonic()
                if self._ledger.head() > self._at:
                    for event in self._ledger.read(*FOLDED, after=self._at):
                        self._fold(event)
                        self._at = event.id
        return self

    def deployment(self, model: str) -> Deployment:
        """Return who serves a model."""
        return self._deployments.get(model) or Deployment(model)

    @contextmanager
    def trying(self, event: Event) -> Iterator[None]:
        """Know a version before the event that makes it stands, in this process only: what is tried before it is written down."""
        place = str(event.body["model"]), int(event.body["version"])
        self.tried[place] = event
        try:
            yield
        finally:
            del self.tried[place]

    def _fold(self, event: Event) -> None:
        body = event.body
        if event.kind in ("train", "import", "update"):
            self.versions.setdefault(body["model"], {})[int(body["version"])] = event
        match event.kind:
            case "load" | "forget":
                for name, digest in body.get("tables", {}).items():
                    history = self.tables.setdefault(name, [])
                    if not history or history[-1].body["tables"][name] != digest:
                        history.append(event)
            case "create_token":
                self.tokens[body["token"]] = event
            case "revoke_token":
                self.tokens.pop(body["token"], None)
            case "promote" | "rollback" | "split" | "update":
                history = self._deploys.setdefault(body["model"], [])
                history.append(event)
                self._deployments[body["model"]] = Deployment.of(history, body["model"])


class Answers:
    """Default answers by version and question: the newest few thousand, in memory only, and never more than MOST_KEPT rows."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._kept: OrderedDict[Any, Answer] = OrderedDict()
        self._rows = 0

    def get(self, key: Any) -> Answer | None:
        """Return the kept answer, or None."""
        answer = self._kept.get(key)
        if answer is not None:
            with self._lock:
                if key in self._kept:
                    self._kept.move_to_end(key)
        return answer

    def put(self, key: Any, answer: Answer) -> Answer:
        """Keep an answer; the least recently used goes first."""
        with self._lock:
            self._rows += _rows(answer) - _rows(self._kept.pop(key, None))
            self._kept[key] = answer
            while self._kept and (len(self._kept) > self._limit or self._rows > MOST_KEPT):
                self._rows -= _rows(self._kept.popitem(last=False)[1])
        return answer


def unnamed(header: str) -> str:
    """Return what the ledger holds of a header: in a file without headers, the first line is taken for them and may name a customer."""
    return hashlib.sha256(header.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Workspace:
    """The open things that every action works with."""

    folder: Path
    actor: Actor
    keys: Keys
    blobs: Blobs
    ledger: Ledger
    pool: Pool
    view: View
    answers: Answers
    options: Mapping[str, Any] = field(default_factory=dict)  # plain settings that actions need: country, zone, limits

    def lock(self, name: str, *, wait_s: float = 0.0) -> AbstractContextManager[None]:
        """Hold a lock of this workspace; raises Busy."""
        return alone(self.folder / "locks", name, wait_s=wait_s)

    def table_digest(self, name: str, version: int | None = None) -> str | None:
        """Return the digest of a table's newest (or n-th, from 1) state, or None where it was never loaded."""
        history = self.view.fresh().tables.get(name, [])
        if version is not None and not 1 <= version <= len(history):
            raise NotFound(f"table {name!r} has no version {version}", hint=f"it has {len(history)}")
        return str(history[(version or len(history)) - 1].body["tables"][name]) if history else None

    def table(self, name: str, *, version: int | None = None, **which: Any) -> Table:
        """Return a table; `which` are columns, where, since, until. Raises NotFound."""
        digest = self.table_digest(name, version)
        if digest is None:
            raise NotFound(f"table {name!r} is not loaded", hint=f"tradewind load FILE --table {name}")
        return keep.restore(self.blobs, digest, **which)

    def headers(self, tables: Sequence[str], names: Iterable[str]) -> dict[str, str]:
        """Return name -> our column for names that were headers of files of these tables; the first table and the newest file decide."""
        history = self.view.fresh().tables
        loads = [event for name in reversed(tables) for event in history.get(name, [])]
        known = {said: ours for event in loads for said, ours in event.body.get("columns", {}).items()}
        return {name: known[said] or name for name in names if (said := unnamed(name)) in known}

    def version(self, model: str, number: int | None = None) -> Event:
        """Return the event that made a version (the newest where no number is given); raises NotFound."""
        if number is not None and (model, number) in self.view.tried:
            return self.view.tried[model, number]
        made = self.view.fresh().versions.get(model, {})
        if not made:
            raise NotReady(f"{model} has never been trained here", hint=f"tradewind train {model}")
        if number is not None and number not in made:
            raise NotFound(f"{model} has no version {number!r}", hint=f"versions: {', '.join(map(str, sorted(made)))}")
        return made[number if number is not None else max(made)]

    def artifact(self, model: str, number: int | None = None) -> Artifact:
        """Return a version, verified; raises Tampered, also where the ledger names another."""
        event = self.version(model, number)
        found = artifact.unpack(self.blobs.get(str(event.body["blob"])), self.keys)
        artifact.same(found, str(event.body["model"]), int(event.body["version"]))
        return found

    def deployment(self, model: str) -> Deployment:
        """Return who serves a model."""
        return self.view.fresh().deployment(model)

    def seat(self, model: str, number: int) -> str:
        """Return the name a version is held under: it says which bytes are meant, not their number alone."""
        return f"{model}@{number}-{str(self.version(model, number).body['blob'])[:12]}"

    def serve(self, model: str, number: int) -> str:
        """Hold a version in a jailed worker and return the name it is held under."""
        event, name = self.version(model, number), self.seat(model, number)
        self.pool.hold(name, SERVER, lambda: _served(self.artifact(model, number)), words=(model, str(event.body["recipe"])))
        return name


def _rows(answer: Answer | None) -> int:
    return len(answer.table) if answer is not None and answer.table is not None else 0


def _served(found: Artifact) -> dict[str, bytes]:
    return {"manifest": artifact.canonical(found.manifest), **found.parts}
