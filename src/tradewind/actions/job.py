"""What a training process runs: read the job, learn or move on, hand back bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tradewind.core.model import Blends, Budget, Model, Progress
from tradewind.core.table import Table
from tradewind.models import get, has, module, part, recipe
from tradewind.models._kit.causal import design as designs
from tradewind.models._kit.causal import measure as measures
from tradewind.training import examine
from tradewind.training.learn import INCUMBENT, Lesson, compare, leaderboard, learn, manifest_facts
from tradewind.training.renew import renew, renew_plain
from tradewind.training.roll import Candidate
from tradewind.training.search import Trial


def job(parts: dict[str, bytes], progress: Progress) -> dict[str, bytes]:
    """Learn a model as the job says; return its parts, leaderboard and golden questions. Takes the table out of `parts`."""
    said = json.loads(parts["job"])
    model = get(said["model"])
    table = Table.from_bytes(parts.pop("table"))
    names, route, skipped = _routed(model, said, table)
    candidates = [Candidate(name, recipe(model.name, name), said["params"].get(name, {})) for name in names]
    now = said["incumbent"]
    if now and now["recipe"] in model.recipes:
        candidates.append(Candidate(INCUMBENT, recipe(model.name, now["recipe"]), now["params"]))
    lesson = Lesson(
        model,
        tuple(candidates),
        table,
        Budget(**said["budget"]),
        said["seed"],
        _horizon(said),
        kept={name.removeprefix("kept/"): data for name, data in parts.items() if name.startswith("kept/")},
        search_s=said["search_s"],
        trials=tuple(Trial.from_dict(trial) for trial in json.loads(parts["trials"])),
        skipped=skipped,
        said=route,
        earlier={name.removeprefix("earlier/"): data for name, data in parts.items() if name.startswith("earlier/")},
        earlier_recipe=now["recipe"] if now else "",
        named=tuple(said["named"]),
    )
    judge = module(model.name, "judge") if has(model.name, "judge") else None
    if said["only_compare"]:
        if judge is not None:
            board, facts = examine.compare(lesson, judge, progress=progress)
        else:
            board, _, facts = compare(lesson, progress=progress)
        absent = facts.get("failed", {}) | skipped
        ranked = leaderboard(board, absent, metric=model.goal.metric)
        return {"leaderboard": ranked.to_bytes(), "facts": json.dumps(facts).encode()}
    trained, golden = examine.learn(lesson, judge, progress=progress) if judge is not None else learn(lesson, progress=progress)
    done = {f"part/{name}": data for name, data in trained.parts.items()}
    done |= {f"golden_{name}": table.to_bytes() for name, table in golden.items()}
    return done | {"trained": manifest_facts(trained).encode(), "leaderboard": trained.leaderboard.to_bytes()}


def _horizon(said: Mapping[str, Any]) -> int | None:
    """Return the periods ahead to validate on: as asked, else as far as the knobs say recipes learn, else what is usual."""
    learned = [int(params.get("horizon", 0)) for params in said["params"].values()]
    return said.get("horizon") or max(learned, default=0) or None


def _routed(model: Model, said: Mapping[str, Any], table: Table) -> tuple[list[str], dict[str, str], dict[str, str]]:
    """Return the recipes to try, facts of the route, and why others are not tried; what the user named is tried as it stands.

    Where one is named that is made of others, and none of these, the route chooses them.
    """
    made_of = _made_of(model, said["named"])
    names = [name for name in model.recipes if name in said["recipes"] or name in made_of]
    if not (said["routed"] or made_of) or not has(model.name, "route"):
        return names, {}, {}
    chosen = part(model.name, "route", "route")(table)
    kept = [name for name in names if name in chosen.recipes or name in said["params"] or name in said["named"]]
    skipped = {name: f"not tried on the route {chosen.name}: {chosen.why}" for name in names if name not in kept}
    return kept, {"route": chosen.name, "route_why": chosen.why}, skipped


def _made_of(model: Model, named: Sequence[str]) -> set[str]:
    """Return the recipes that named ones are made of, where none of these was named."""
    found: set[str] = set()
    for name in named:
        made = recipe(model.name, name)
        members = set(made.members) if isinstance(made, Blends) else set()
        found |= set() if members & set(named) else members
    return found


def update(parts: Mapping[str, bytes], progress: Progress) -> dict[str, bytes]:
    """Move a version on to the actuals of the table; return its parts, golden questions, and forecast against actual."""
    said = json.loads(parts["job"])
    held = {name.removeprefix("part/"): data for name, data in parts.items() if name.startswith("part/")}
    chosen = recipe(said["model"], said["recipe"])
    table = Table.from_bytes(parts["table"])
    if said["known_to"] is None:
        done = renew_plain(chosen, held, table, asked=Table.from_bytes(parts["asked"]), progress=progress)
    else:
        done = renew(chosen, held, table, known_to=np.datetime64(said["known_to"]), progress=progress)
    made = {f"part/{name}": data for name, data in done.parts.items()}
    made |= {f"golden_{name}": table.to_bytes() for name, table in done.golden.items()}
    plain = {"compared": json.dumps(dict(done.compared)).encode(), "facts": json.dumps(dict(done.facts)).encode()}
    return made | plain | {"table": done.table.to_bytes()}


def measure(parts: Mapping[str, bytes], progress: Progress) -> dict[str, bytes]:
    """Estimate what a test or an event did, on a table that is laid out for it."""
    said = json.loads(parts["job"])
    progress("measure", 0.1, ", ".join(said["treated"]))
    return measures.measure(Table.from_bytes(parts["table"]), said.pop("treated"), said.pop("starts"), **said).parts()


def design(parts: Mapping[str, bytes], progress: Progress) -> dict[str, bytes]:
    """Plan a test by place: the best set of places for each length, with what it would find."""
    said = json.loads(parts["job"])
    table = Table.from_bytes(parts["table"])
    columns = table.column("unit"), table.column("date"), table.column("outcome")
    made: list[dict[str, Any]] = []
    lengths = said.pop("lengths")
    for at, length in enumerate(lengths):
        progress("design", at / len(lengths), f"{length} periods")
        found = designs.geo(*columns, length=length, **said)
        made.append({"treated": found.treated, "length": length, "detectable": found.detectable, "error": found.error})
        made[-1] |= {"share": found.share, "alarms": found.alarms, "lifts": found.effects.tolist(), "power": found.power.tolist()}
    return {"designs": json.dumps(made).encode()}
