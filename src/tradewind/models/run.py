"""The serving end of every model: opened once in a jailed worker, then one request in, one reply out.

A request and a reply are bundles (`core.bundle`). Request: `head` = {"do": "predict", "horizon", "where", "explain"} and, unless
everything is meant, `asked` = a table. Reply: `head` = {"ok": true, "recipe", "notes"} and `table`; or `head` = {"error": {...}}.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tradewind import models
from tradewind.core.bundle import join, split
from tradewind.core.errors import BadValue, Incompatible, TradewindError, Unexpected
from tradewind.core.model import Expands, Explains, Recipe, State
from tradewind.core.table import Table

Server = Callable[[bytes], bytes]
DOINGS = ("predict",)


def prepare(model: str, recipe: str) -> None:
    """Import what answering needs while files can still be opened: nothing can be imported after the lock."""
    import onnxruntime  # noqa: F401

    models.get(model)
    models.recipe(model, recipe)


def open_server(parts: Mapping[str, bytes]) -> Server:
    """Load a version from its manifest and parts; return the function that answers requests. Raises Incompatible."""
    try:
        manifest = json.loads(parts["manifest"])
        model, name = str(manifest["model"]), str(manifest["recipe"])
    except (KeyError, TypeError, ValueError) as error:
        raise Incompatible("a version without a readable manifest cannot be served", hint="train the model again") from error
    chosen = models.recipe(model, name)
    state = chosen.load({part: data for part, data in parts.items() if part != "manifest"})

    def serve(request: bytes) -> bytes:
        try:
            said, table = _answer(chosen, state, split(request))
        except TradewindError as error:
            return join({"head": json.dumps({"error": error.as_dict()}).encode()})
        return join({"head": json.dumps({"ok": True, "recipe": name, **said}).encode(), "table": table.to_bytes()})

    return serve


def _answer(recipe: Recipe, state: State, request: Mapping[str, bytes]) -> tuple[dict[str, Any], Table]:
    head = _head(request)
    asked = _asked(recipe, state, request, head)
    table = recipe.predict(state, asked)
    for name in table.names:
        values = table.column(name)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise Unexpected(f'the answer\'s column "{name}" holds a value that is not a number')
    if head.get("explain"):
        if not isinstance(recipe, Explains):
            raise BadValue(f"{recipe.name} cannot explain its answers", hint="ask without explain")
        drivers = recipe.explain(state, asked)
        added = {name: drivers.column(name) for name in drivers.names if name not in table}
        described = [column for column in drivers.schema if column.name in added]
        table = table.with_columns(added, *described)
    notes = getattr(recipe, "notes", None)
    return {"notes": notes(state, asked) if notes is not None else []}, table


def _head(request: Mapping[str, bytes]) -> dict[str, Any]:
    try:
        head = json.loads(request["head"])
    except (KeyError, ValueError) as error:
        raise BadValue("a request without a readable head", hint='send {"head": {"do": "predict", ...}}') from error
    if not isinstance(head, dict) or head.get("do") not in DOINGS:
        raise BadValue("this worker was asked for what it cannot do", hint=f"it can: {', '.join(DOINGS)}")
    return head


def _asked(recipe: Recipe, state: State, request: Mapping[str, bytes], head: Mapping[str, Any]) -> Table:
    if "asked" in request:
        return Table.from_bytes(request["asked"])
    if not isinstance(recipe, Expands):
        raise BadValue(f"{recipe.name} cannot answer without rows", hint="send the rows that are asked about")
    horizon, where = head.get("horizon"), head.get("where") or {}
    if horizon is not None and (isinstance(horizon, bool) or not isinstance(horizon, int)):
        raise BadValue(f"horizon must be a whole number, not {horizon!r}")
    if not isinstance(where, dict):
        raise BadValue("where must name columns and values", hint='{"product": "P1"}')
    return recipe.expand(state, horizon, where)
