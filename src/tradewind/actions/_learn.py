"""From business tables to a trained version: assemble, align, learn in a process of its own."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tradewind.actions import _ask
from tradewind.core.answer import Fact
from tradewind.core.errors import BadValue, NotFound
from tradewind.core.event import Event
from tradewind.core.model import Budget, Model, Progress, Trained, settle
from tradewind.core.schema import Role
from tradewind.core.table import Table
from tradewind.core.version import VERSION
from tradewind.data.align import align
from tradewind.data.slips import without_slips
from tradewind.models import has, part, recipe, repaired
from tradewind.training.learn import trained_from
from tradewind.training.search import TRIAL
from tradewind.training.split import grain, periods
from tradewind.workspace import Workspace

JOB = "tradewind.actions.job:job"
NO_HOLIDAYS = "no country is set and no events are loaded: tradewind init --country DE, or country in tradewind.toml"


@dataclass(frozen=True, slots=True)
class Ready:
    """A modelling table as bytes, what was repaired on the way, and which table states it came from.

    Bytes, because a process of its own learns from them: this one need not hold a large table meanwhile.
    """

    data: bytes
    facts: tuple[Fact, ...]
    sources: Mapping[str, str]


def ready(ws: Workspace, question: Model, table: str | None, progress: Progress, *, grant: Sequence[str] = ()) -> Ready:
    """Return the modelling table of a model, assembled from what is loaded; raises NotFound where what it needs is missing.

    Sensitive columns are left out unless they are needed by name or granted; `table` stands in for the model's main table.
    """
    found, sources = _loaded(ws, question, table)
    found, withheld = _withheld(found, grant)
    found, slips = without_slips(found)
    progress("assemble", 0.0, ", ".join(found))
    options = {name: str(ws.options.get(name, "")) for name in ("country", "subdivision")}
    made = part(question.name, "assemble", "assemble")(found, **options)
    facts: tuple[Fact, ...] = (Fact("granted", ", ".join(grant), "", "sensitive columns that may be learned from"),) if grant else ()
    if withheld:
        facts += (Fact("withheld", ", ".join(withheld), "", "sensitive columns that were not granted"),)
    facts += (*slips, *repaired(question.name)(made))
    if not question.regular:
        return Ready(made.checked(question.needs).to_bytes(), facts, sources)
    progress("align", 0.5, f"{len(made)} rows")
    aligned, repairs = align(made)
    known = bool(options["country"]) or "events" in found
    del made, found
    if not known and grain(periods(aligned, aligned.schema.of(Role.TARGET)[0])) == "day":
        facts += (Fact("holidays", "none", "", NO_HOLIDAYS),)
    return Ready(aligned.checked(question.needs).to_bytes(), (*facts, *repairs), sources)


def _loaded(ws: Workspace, question: Model, table: str | None) -> tuple[dict[str, Table], dict[str, str]]:
    """Return the loaded tables a model can learn from, and their digests."""
    main, *others = question.tables
    sources: dict[str, str] = {}
    found: dict[str, Table] = {}
    for name in (main, *others):
        digest = ws.table_digest(table if table and name == main else name)
        if digest is not None:
            sources[name] = digest
            found[name] = ws.table(table if table and name == main else name)
    wanted = question.either or (main,)
    if not any(name in found for name in wanted):
        said = table or " or ".join(wanted)
        raise NotFound(f"table {said!r} is not loaded; {question.name} learns from it", hint=f"tradewind load FILE --table {wanted[0]}")
    return found, sources


def _withheld(found: Mapping[str, Table], grant: Sequence[str]) -> tuple[dict[str, Table], list[str]]:
    """Return the tables without optional sensitive columns that were not granted, and their names; raises BadValue for a strange grant."""
    sensitive = {column.name for table in found.values() for column in table.schema if column.sensitive and not column.required}
    strange = [name for name in grant if name not in sensitive]
    if strange:
        raise BadValue(
            f"{', '.join(strange)} cannot be granted: no loaded table of this model has it as a sensitive column",
            hint=f"sensitive here: {', '.join(sorted(sensitive)) or 'none'}",
        )
    gone = sensitive - set(grant)
    kept = {name: table.select([one for one in table.names if one not in gone]) for name, table in found.items()}
    return kept, sorted(gone)


def earlier(ws: Workspace, question: Model, number: int) -> dict[str, bytes]:
    """Return the parts of the version that serves, for a recipe that keeps something of it; a forecast keeps nothing that way."""
    if not number or not has(question.name, "judge"):
        return {}
    held = ws.artifact(question.name, number)
    return {f"earlier/{name}": data for name, data in held.parts.items() if name not in held.manifest["golden"]}


def taught(
    ws: Workspace,
    question: Model,
    given: Ready,
    *,
    wanted: Mapping[str, Any],
    budget: Budget,
    only_compare: bool,
    progress: Progress,
    earlier: Mapping[str, bytes] | None = None,
) -> dict[str, bytes]:
    """Run the learning in a process of its own; pieces and trials that an earlier, stopped run finished are not done twice.

    A piece is a blob and an event until the work is done; a trial of a knob search is an event of its own that stays.
    """
    job = {"model": question.name, "budget": asdict(budget), "only_compare": only_compare, **wanted}
    data = given.data
    seen = hashlib.sha256(data)
    seen.update(json.dumps(job, sort_keys=True).encode() + VERSION.encode())
    key = seen.hexdigest()
    pieces = {str(event.body["piece"]): str(event.body["blob"]) for event in ws.ledger.read("piece") if event.body["job"] == key}
    kept = {f"kept/{name}": ws.blobs.get(blob) for name, blob in pieces.items() if ws.blobs.has(blob)}
    trials = [dict(event.body) for event in ws.ledger.read("trial") if event.body["job"] == key]
    if kept or trials:
        progress("resume", 0.0, f"{len(kept) + len(trials)} finished pieces of an earlier run")

    def keep(name: str, piece: bytes) -> None:
        if name.startswith(TRIAL):
            trials.append({"job": key, "model": question.name, **json.loads(piece)})
            ws.ledger.append(Event("trial", ws.actor.name, trials[-1]))
            return
        pieces[name] = ws.blobs.put(piece)
        ws.ledger.append(Event("piece", ws.actor.name, {"job": key, "piece": name, "blob": pieces[name]}))

    done = ws.pool.run(
        JOB,
        {"job": json.dumps(job).encode(), "table": data, "trials": json.dumps(trials).encode(), **kept, **(earlier or {})},
        progress=Progress(lambda step: progress(step.stage, step.fraction, step.message), keep),
        memory_mb=int(budget.memory_mb or 0),
        deadline_s=float(budget.deadline_s or 0),
    )
    for blob in pieces.values():
        ws.blobs.drop(blob)
    return done | {"trials": json.dumps(trials).encode()}


def wanted(
    question: Model, recipes: Sequence[str] | str | None, params: Mapping[str, Any] | None, seed: int, incumbent: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return what a job is asked to try; the baseline always comes along, to be compared with.

    Raises BadValue for an unknown recipe or knob, for a value that a knob cannot have, and for a seed that is none.
    """
    baseline, *rest = question.recipes
    named = _ask.names(recipes)
    chosen = [name for name in (rest if recipes is None else named) if name != baseline]
    for name in chosen:
        if name not in question.recipes:
            raise BadValue(f"{question.name} has no recipe {name!r}", hint=f"recipes: {', '.join(question.recipes)}")
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise BadValue(f"seed must be a whole number from 0 on, not {seed!r}")
    return {
        "recipes": [baseline, *chosen],
        "routed": recipes is None,
        "named": list(named),
        "params": _knobs(question, {} if params is None else params),
        "seed": seed,
        "incumbent": incumbent,
    }


def _knobs(question: Model, params: Any) -> dict[str, dict[str, Any]]:
    """Return knobs by recipe as given, each looked at now: in the job a recipe that cannot be turned so would only drop out."""
    if not isinstance(params, Mapping) or not all(isinstance(turned, Mapping) for turned in params.values()):
        raise BadValue(f"params must be knobs by recipe, not {params!r}", hint='params={"boosted": {"rounds": 400}}')
    for name, turned in params.items():
        if name not in question.recipes:
            raise BadValue(f"{question.name} has no recipe {name!r}", hint=f"recipes: {', '.join(question.recipes)}")
        try:
            settle(recipe(question.name, name).knobs, turned)
        except BadValue as error:
            raise BadValue(f"{name}: {error.message}", hint=error.hint) from error
    return {name: dict(turned) for name, turned in params.items()}


def learned(done: Mapping[str, bytes]) -> tuple[Trained, dict[str, bytes]]:
    """Read a finished job: what was trained, and its golden questions and answers as parts."""
    parts = {name.removeprefix("part/"): data for name, data in done.items() if name.startswith("part/")}
    golden = {name: data for name, data in done.items() if name.startswith("golden")}
    return trained_from(done["trained"].decode(), parts, Table.from_bytes(done["leaderboard"])), golden


def trials(done: Mapping[str, bytes]) -> Fact:
    """Return how many sets of knobs a finished job tried; why there can be none is said too."""
    count = len(json.loads(done["trials"]))
    none = "no knob was tried: there is no knob to turn, or too little history before the blocks of the leaderboard"
    return Fact("trials", count, "", "sets of knobs that were tried, each an event" if count else none)


def next_number(ws: Workspace, model: str) -> int:
    """Return the number of the next version; call it under the lock of training."""
    return max(ws.view.fresh(now=True).versions.get(model, {0: None})) + 1


def made_now(ws: Workspace, given: Ready) -> dict[str, Any]:
    """Return who made a version of what, and when."""
    return {
        "by": ws.actor.name,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "tradewind": VERSION,
        "tables": dict(given.sources),
        "repairs": [fact.as_dict() for fact in given.facts],
    }
