"""The serving end of every model: opened once in a jailed worker, then one request in, one reply out.

A request and a reply are bundles (`core.bundle`). Request: `head` = {"do": "predict", "horizon", "where", "explain", "by",
"quantiles"} and, unless everything is meant, `asked` = a table; or `head` = {"do": "effects"}; or `head` = {"do": "respond", "request"}
and `arrays`. Reply: `head` = {"ok": true, "recipe", "notes"} and `table`, or `arrays` where it responds; or `head` = {"error": {...}}.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tradewind import models
from tradewind.core.bundle import join, pack_arrays, split, unpack_arrays
from tradewind.core.errors import BadValue, Incompatible, TradewindError, Unexpected
from tradewind.core.model import SPANS, WHOLE, Effects, Expands, Explains, Quantiles, Recipe, Responds, State, Totals, Warms
from tradewind.core.schema import Role
from tradewind.core.table import SHORT, Array, Table

Server = Callable[[bytes], bytes]
DOINGS = ("predict", "effects", "respond")
MOST_LEVELS = 99
REPEATED = (Role.PAST, Role.STATIC)  # what an answer repeats of the data may be missing there


def prepare(model: str, recipe: str) -> None:
    """Import what answering needs while files can still be opened: nothing can be imported after the lock."""
    import numpy.ma  # noqa: F401 - numpy loads it late, from inside unique and median

    if models.get(model).graphs:
        import onnxruntime  # noqa: F401
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
    if isinstance(chosen, Warms):
        chosen.warm(state)

    def serve(request: bytes) -> bytes:
        try:
            parts = split(request)
            head = _head(parts)
            if head["do"] == "respond":
                return join({"head": b'{"ok": true}', "arrays": pack_arrays(_response(chosen, state, parts, head))})
            said, table = _answer(chosen, state, parts, head)
        except TradewindError as error:
            return join({"head": json.dumps({"error": error.as_dict()}).encode()})
        return join({"head": json.dumps({"ok": True, "recipe": name, **said}).encode(), "table": table.to_bytes()})

    return serve


def _response(recipe: Recipe, state: State, request: Mapping[str, bytes], head: Mapping[str, Any]) -> Mapping[str, Array]:
    if not isinstance(recipe, Responds):
        raise BadValue(f"{recipe.name} cannot say what levers would do", hint="plan with a version of another recipe")
    plain = head.get("request")
    if not isinstance(plain, dict):
        raise BadValue("a request to respond to must be plain data by name")
    given = unpack_arrays(request["arrays"]) if "arrays" in request else {}
    return recipe.respond(state, {**plain, **given})


def _answer(recipe: Recipe, state: State, request: Mapping[str, bytes], head: Mapping[str, Any]) -> tuple[dict[str, Any], Table]:
    if head["do"] == "effects":
        if not isinstance(recipe, Effects):
            raise BadValue(f"{recipe.name} cannot say what the levers do", hint="ask a version of another recipe")
        standing = getattr(recipe, "standing", None)
        return {"notes": standing(state) if standing is not None else []}, _finite(recipe.effects(state))
    by, levels = _by(head.get("by")), _levels(head.get("quantiles"))
    asked = _asked(recipe, state, request, head)
    table = _predicted(recipe, state, asked, head, levels) if not by else _totals(recipe, state, asked, head, by)
    notes = getattr(recipe, "notes", None)
    said = list(notes(state, asked)) if notes is not None else []
    return {"notes": [*_cut_off(asked, by), *said]}, table


def _predicted(recipe: Recipe, state: State, asked: Table, head: Mapping[str, Any], levels: Sequence[float]) -> Table:
    table = _finite(recipe.predict(state, asked))
    if levels:
        if not isinstance(recipe, Quantiles):
            raise BadValue(f"{recipe.name} cannot give quantiles of its own choice", hint="ask without quantiles")
        table = _beside(table, recipe.quantiles(state, asked, levels))
    if head.get("explain"):
        if not isinstance(recipe, Explains):
            raise BadValue(f"{recipe.name} cannot explain its answers", hint="ask without explain")
        table = _beside(table, recipe.explain(state, asked))
    return table


def _totals(recipe: Recipe, state: State, asked: Table, head: Mapping[str, Any], by: Sequence[str]) -> Table:
    if not isinstance(recipe, Totals):
        raise BadValue(f"{recipe.name} cannot say how sure it is of sums", hint="ask without by, and add up the means only")
    if head.get("explain") or head.get("quantiles"):
        raise BadValue("sums have no drivers and no quantiles of one's own choice", hint="ask for them without by")
    return _finite(recipe.total(state, asked, by))


def _cut_off(asked: Table, by: Sequence[str]) -> list[str]:
    """Say which sums of days over weeks or months lack days at the ends of the time asked: next to whole ones they look like a slump."""
    span, when = next((name for name in by if name in ("week", "month")), ""), asked.schema.time or "date"
    if not span or when not in asked or asked.column(when).dtype.kind != "M":
        return []
    days = np.unique(asked.column(when).astype("M8[D]"))
    if len(days) < 2 or np.diff(days).min() > np.timedelta64(1, "D"):
        return []
    ends = days[[0, -1]]
    month = ends.astype("M8[M]")
    begin = month.astype("M8[D]") if span == "month" else ends - (ends.astype("i8") + 3) % 7
    length = ((month + 1).astype("M8[D]") - begin).astype("i8") if span == "month" else np.array([7, 7])
    there = (np.minimum(begin + length, ends[1] + 1) - np.maximum(begin, ends[0])).astype("i8")
    parts = [f"of the {span} from {at} {has} of {whole} days" for at, has, whole in zip(begin, there, length, strict=True) if has < whole]
    return [f"sums at the ends are not whole: {' and '.join(dict.fromkeys(parts))} are asked"] if parts else []


def _beside(table: Table, more: Table) -> Table:
    """Return the table with the columns of another one that it lacks."""
    added = {name: more.column(name) for name in more.names if name not in table}
    return _finite(table.with_columns(added, *(column for column in more.schema if column.name in added)))


def _finite(table: Table) -> Table:
    """Return the table; raises Unexpected for a number that is none, or missing in a column that is said rather than repeated."""
    for name in _unsure(table):
        values = table.column(name)
        if values.dtype.kind != "f" or math.isfinite(np.add.reduce(values)):  # a sum is finite only where all its parts are
            continue
        described = table.schema.get(name)
        known = described is not None and described.role in REPEATED
        if not (np.isfinite(values) | (known & np.isnan(values))).all():
            raise Unexpected(f'the answer\'s column "{name}" holds a value that is not a number')
    return table


def _unsure(table: Table) -> Sequence[str]:
    """Return the names of columns worth a look of their own; short ones of plain numbers are looked at together first."""
    if not 0 < len(table) <= SHORT:
        return table.names
    plain = [name for name in table.names if table.column(name).dtype == np.float64]
    fine = math.isfinite(np.array([table.column(name) for name in plain]).sum())  # only where all its parts are
    return [name for name in table.names if name not in plain] if fine else table.names


def _by(said: Any) -> list[str]:
    """Read what is added up by; raises BadValue."""
    if said is None:
        return []
    if not isinstance(said, list) or not all(isinstance(name, str) and name for name in said):
        raise BadValue("by must be a list of names", hint='["store", "week"]')
    spans = [name for name in said if name in SPANS]
    if len(set(said)) != len(said) or len(spans) > 1 or (WHOLE in said and len(said) > 1):
        raise BadValue(
            f"by cannot be {', '.join(said)}", hint=f"each name once, at most one of {', '.join(SPANS)}, and {WHOLE!r} only by itself"
        )
    return said


def _levels(said: Any) -> list[float]:
    """Read the quantiles asked for; raises BadValue."""
    if said is None:
        return []
    numbers = isinstance(said, list) and all(isinstance(level, int | float) and 0 < level < 1 for level in said)
    if not numbers or len(said) > MOST_LEVELS or len(set(said)) != len(said):
        raise BadValue(f"quantiles must be at most {MOST_LEVELS} different numbers between 0 and 1", hint="[0.1, 0.5, 0.975]")
    return [float(level) for level in said]


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
