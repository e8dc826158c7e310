"""Whether a version is safe to serve: load it in its worker, measure, compare with its golden answers."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from tradewind.actions import _ask
from tradewind.core.bundle import join
from tradewind.core.model import Artifact
from tradewind.core.table import Table
from tradewind.registry import gates
from tradewind.workspace import Workspace


def safe(ws: Workspace, found: Artifact) -> list[gates.Gate]:
    """Return the gates of safety with what they found; the version is warm afterwards."""
    model = found.model
    began = time.perf_counter()
    name = ws.serve(model, found.version)
    loaded = time.perf_counter() - began
    asked = Table.from_bytes(found.parts["golden_asked"])
    answer = _ask.ask(ws, model, found.version, asked=asked)
    one = _ask.timed(lambda: ws.pool.call(name, _request(asked.take(np.arange(1)))))
    many = asked.take(np.resize(np.arange(len(asked)), 100))
    hundred = _ask.timed(lambda: ws.pool.call(name, _request(many)))
    measured: dict[str, Any] = {"load_s": loaded, "one_ms": one, "hundred_ms": hundred, "memory_mb": ws.pool.held()[name].rss_mb}
    golden = gates.golden(Table.from_bytes(found.parts["golden_answers"]), answer.table)
    isolation = ws.pool.held()[name].isolation
    _ask.warm(ws, model, found.version)
    return [golden, *gates.limits(measured), gates.isolation(isolation, required=bool(ws.options["require_isolation"]))]


def _request(asked: Table) -> bytes:
    return join({"head": _ask.PLAIN.head(), "asked": asked.to_bytes()})
