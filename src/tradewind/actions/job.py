"""What a training process runs: read the job, learn, hand back bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tradewind.core.model import Budget, Progress
from tradewind.core.table import Table
from tradewind.models import get, recipe
from tradewind.training.learn import Candidate, Lesson, compare, leaderboard, learn, manifest_facts


def job(parts: Mapping[str, bytes], progress: Progress) -> dict[str, bytes]:
    """Learn a model as the job says; return its parts, leaderboard and golden questions."""
    said = json.loads(parts["job"])
    model = get(said["model"])
    candidates = [Candidate(name, recipe(model.name, name), said["params"].get(name, {})) for name in said["recipes"]]
    now = said["incumbent"]
    if now and now["recipe"] in model.recipes:
        candidates.append(Candidate("incumbent", recipe(model.name, now["recipe"]), now["params"]))
    kept = {name.removeprefix("kept/"): data for name, data in parts.items() if name.startswith("kept/")}
    lesson = Lesson(
        model, tuple(candidates), Table.from_bytes(parts["table"]), Budget(**said["budget"]), said["seed"], said.get("horizon"), kept
    )
    if said["only_compare"]:
        board, _, facts = compare(lesson, progress=progress)
        return {"leaderboard": leaderboard(board).to_bytes(), "facts": json.dumps(facts).encode()}
    trained, golden = learn(lesson, progress=progress)
    done = {f"part/{name}": data for name, data in trained.parts.items()}
    done |= {f"golden_{name}": table.to_bytes() for name, table in golden.items()}
    return done | {"trained": manifest_facts(trained).encode(), "leaderboard": trained.leaderboard.to_bytes()}
