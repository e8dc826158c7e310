"""Move the serving version on to what is known now: compare, adapt, try, serve."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from tradewind import models
from tradewind.actions import _ask, _learn
from tradewind.actions._safe import safe
from tradewind.core.answer import Answer, Fact
from tradewind.core.errors import BadValue, Busy, GoalMissed, NotFound
from tradewind.core.event import Event
from tradewind.core.fact import prose
from tradewind.core.model import Artifact, Model, Progress, Trained, Updates
from tradewind.core.table import Table
from tradewind.registry import artifact
from tradewind.registry.gates import Gate
from tradewind.training.renew import newest
from tradewind.workspace import Workspace

JOB = "tradewind.actions.job:update"


def update(ws: Workspace, question: Model, progress: Progress) -> Answer:
    """Compare, adapt, try and describe; the event that is written of the answer is what makes it serve."""
    model = question.name
    was = ws.view.fresh(now=True).deployment(model).stable
    if not was:
        raise NotFound(f"no version of {model} serves, so there is none to update", hint=f"tradewind train {model}, then promote {model}")
    old = ws.artifact(model, was)
    given = _learn.ready(ws, question, None, progress.part(0.0, 0.2), grant=tuple(old.manifest["data"].get("granted", ())))
    _refuse(question, old, Table.from_bytes(given.data), revised=dict(given.sources) != old.manifest["data"]["tables"])
    done = _moved(ws, old, given.data, progress.part(0.2, 0.8))
    made = _made(ws, question, old, given, done)
    blob = ws.blobs.put(artifact.pack(made, ws.keys, file=question.file, card=str(old.manifest.get("card", ""))))
    source = {"model": model, "version": made.version, "updated_from": was, "blob": blob, "recipe": str(old.manifest["recipe"])}
    progress("check", 0.85, f"version {made.version}")
    try:
        passed = _tried(ws, made, source)
    except BaseException:
        ws.blobs.drop(blob)
        raise
    progress("done", 1.0, f"version {made.version} serves")
    return _answer(question, made, passed, done, source)


def _refuse(question: Model, old: Artifact, table: Table, *, revised: bool) -> None:
    """Raise BadValue where the recipe cannot move on, or there is nothing to move on to."""
    name = str(old.manifest["recipe"])
    if not isinstance(models.recipe(question.name, name), Updates):
        raise BadValue(f"the recipe {name} of version {old.version} cannot be updated", hint=f"tradewind train {question.name}")
    known = known_to(old)
    if known is None:
        if old.manifest["facts"].get("digest") == table.digest():
            raise BadValue(f"version {old.version} knows what is loaded", hint=f"load newer {question.tables[0]} first")
        return
    if newest(table) <= known:
        rest = "what was loaded since comes in with the next newer one" if revised else f"version {old.version} knows what is loaded"
        again = f"; or take it in at once: tradewind train {question.name}" if revised else ""
        raise BadValue(
            f"there is no actual newer than {known}: {rest}",
            hint=f"load newer {question.tables[0]} first: tradewind load FILE --table {question.tables[0]}{again}",
        )


def known_to(old: Artifact) -> np.datetime64 | None:
    """Return the date of the last actual that a version knows; None for one that is no forecast on a grid."""
    span = old.manifest["facts"].get("span")
    return np.datetime64(span[1]) if span else None


def _moved(ws: Workspace, old: Artifact, table: bytes, progress: Progress) -> dict[str, bytes]:
    known = known_to(old)
    job = {"model": old.model, "recipe": old.manifest["recipe"], "known_to": str(known) if known is not None else None}
    parts = {f"part/{name}": data for name, data in old.parts.items() if name not in old.manifest["golden"]}
    return ws.pool.run(
        JOB,
        {"job": json.dumps(job).encode(), "table": table, "asked": old.parts["golden_asked"], **parts},
        progress=progress,
        memory_mb=int(ws.options["train_memory_mb"]),
        deadline_s=float(ws.options["train_deadline_s"]),
    )


def _made(ws: Workspace, question: Model, old: Artifact, given: _learn.Ready, done: Mapping[str, bytes]) -> Artifact:
    """Return the moved version: recipe, knobs and scores as they were, state and lineage new."""
    said, parts, golden = old.manifest, _named(done, "part/"), {name: data for name, data in done.items() if name.startswith("golden_")}
    facts = {**said["facts"], **json.loads(done["facts"])}
    trained = Trained(said["recipe"], said["params"], parts, _board(said["leaderboard"]), said["scores"], facts)
    return artifact.make(
        question,
        trained,
        version=_learn.next_number(ws, question.name),
        data={**said["data"], "tables": dict(given.sources)},
        made=_learn.made_now(ws, given),
        golden=golden,
        updated_from=old.version,
    )


def _named(done: Mapping[str, bytes], head: str) -> dict[str, bytes]:
    return {name.removeprefix(head): data for name, data in done.items() if name.startswith(head)}


def _board(said: Mapping[str, list[Any]]) -> Table:
    return Table.from_columns({name: np.array(values, object if isinstance(values[0], str) else float) for name, values in said.items()})


def _tried(ws: Workspace, made: Artifact, source: Mapping[str, Any]) -> list[Gate]:
    """Hold the version, measure it and keep it warm; raises GoalMissed where it is not safe, Busy where another one serves by now."""
    model, number = made.model, made.version
    with ws.lock(f"deploy-{model}", wait_s=30), ws.view.trying(Event("update", ws.actor.name, source)):
        if ws.view.fresh(now=True).deployment(model).stable != source["updated_from"]:
            raise Busy(f"another version of {model} began to serve meanwhile", hint=f"tradewind update {model} moves that one on")
        try:
            passed = safe(ws, made)
            missed = [gate.words for gate in passed if not gate.passed]
            if missed:
                raise GoalMissed(
                    f"{model} is not updated: " + "; ".join(missed), hint=f"version {source['updated_from']} serves on; train again"
                )
        except BaseException:
            _ask.let_go(ws, model)
            raise
        _ask.let_go(ws, model, keep=(number,))
    return passed


_MEANING = {
    "wape": "absolute error of the forecast that was, over the actuals",
    "bias": "the mean forecast less the actuals, over the actuals",
    "coverage_80": "share of the actuals inside their 80 % interval",
    "coverage_95": "share of the actuals inside their 95 % interval",
}


def _answer(question: Model, made: Artifact, passed: list[Gate], done: Mapping[str, bytes], source: Mapping[str, Any]) -> Answer:
    said = json.loads(done["compared"])
    facts = [Fact("version", made.version), Fact("updated_from", source["updated_from"])]
    facts += [Fact(name, said[name], "", _MEANING[name]) for name in _MEANING if name in said]
    facts += [Fact(name, said[name]) for name in ("rows", "from", "to") if name in said]
    facts += [Fact("note", note) for note in said["notes"]]
    words = f"{question.name} version {made.version} serves: version {source['updated_from']} moved on"
    if "to" in said:
        words += f" to {said['to']} without refitting. Its forecast is compared with {said['rows']:,} actuals."
    else:
        words += f" to {said['rows']:,} rows of what is loaded now, without refitting."
    return Answer(
        (*facts, *(gate.fact for gate in passed)),
        Table.from_bytes(done["table"]),
        words=prose(words, *said["notes"]),
        source={**source, "gates": {gate.name: gate.passed for gate in passed}, "tables": made.manifest["data"]["tables"]},
    )
