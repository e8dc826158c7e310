"""Train, evaluate, predict; list versions and show their cards."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tradewind import models
from tradewind.actions import _ask, _learn
from tradewind.actions._door import action
from tradewind.core.answer import Answer, Fact
from tradewind.core.errors import BadValue
from tradewind.core.model import SILENT, Budget, Progress
from tradewind.core.table import Table
from tradewind.registry import artifact
from tradewind.workspace import Workspace

MOST_FOLDS = 50


@action(permits="train", alone="train-{model}")
def train(
    ws: Workspace,
    model: str,
    table: str | None = None,
    *,
    budget: Budget | None = None,
    params: Mapping[str, Mapping[str, Any]] | None = None,
    recipes: Sequence[str] | None = None,
    seed: int = 0,
    progress: Progress = SILENT,
) -> Answer:
    """Learn a model from what is loaded and keep it sealed as a new version; it serves only once promoted.

    `params` are knobs by recipe: `{"boosted": {"trees": 400}}`. The leaderboard has the naive baseline and, where a version
    serves already, its recipe refitted on the same folds as `incumbent`.
    """
    question = models.get(model)
    given = _learn.ready(ws, question, table, progress.part(0.0, 0.1))
    stable = ws.deployment(model).stable
    incumbent = artifact_facts(ws, model, stable) if stable else None
    wanted = _learn.wanted(question, recipes, params, seed, incumbent) | {"horizon": None}
    done = _learn.taught(
        ws, question, given, wanted=wanted, budget=_budget(ws, budget), only_compare=False, progress=progress.part(0.1, 0.98)
    )
    trained, golden = _learn.learned(done)
    number = max(ws.view.fresh(now=True).versions.get(model, {0: None})) + 1
    made = artifact.make(
        question, trained, version=number, data={"tables": dict(given.sources)}, made=_learn.made_now(ws, given), golden=golden
    )
    sealed = artifact.pack(made, ws.keys, file=question.file, card=card_text(model))
    blob = ws.blobs.put(sealed)
    progress("done", 1.0, f"version {number}")
    base = _baseline(trained.leaderboard, question.recipes[0])
    said = f"{model} version {number}: {trained.recipe} has WAPE {trained.scores['wape']:.3f}, the baseline {base:.3f}."
    facts = tuple(Fact(name, round(float(value), 6)) for name, value in trained.scores.items())
    bands = Fact("intervals", str(trained.facts["intervals"]), "", "what they were set by")
    return Answer(
        (Fact("version", number), Fact("recipe", trained.recipe), *facts, bands, *given.facts),
        trained.leaderboard,
        words=said,
        source={"model": model, "version": number, "blob": blob, "recipe": trained.recipe, "bytes": len(sealed)},
    )


@action(permits="evaluate", alone="train-{model}")
def evaluate(
    ws: Workspace,
    model: str,
    *,
    folds: int = 3,
    horizon: int | None = None,
    recipes: Sequence[str] | None = None,
    seed: int = 0,
    progress: Progress = SILENT,
) -> Answer:
    """Backtest every recipe by rolling origin and keep nothing; one row per recipe, the baseline among them."""
    if horizon is not None and not 1 <= horizon <= _ask.MOST_AHEAD:
        raise BadValue(f"horizon must lie between 1 and {_ask.MOST_AHEAD}, not {horizon}")
    question = models.get(model)
    given = _learn.ready(ws, question, None, progress.part(0.0, 0.1))
    wanted = _learn.wanted(question, recipes, None, seed, None) | {"horizon": horizon}
    budget = _budget(ws, Budget(folds=folds))
    done = _learn.taught(ws, question, given, wanted=wanted, budget=budget, only_compare=True, progress=progress.part(0.1, 1.0))
    board = Table.from_bytes(done["leaderboard"])
    facts = json.loads(done["facts"])
    said = tuple(Fact(name, value) for name, value in facts.items() if isinstance(value, int | float | str))
    words = f"{model}: {facts['folds']} origins, {facts['horizon']} periods ahead, best first."
    return Answer(
        (*said, *given.facts),
        board,
        words=words,
        source={"model": model, "folds": facts["folds"], "horizon": facts["horizon"], "tables": dict(given.sources)},
    )


@action(permits="predict", quiet=True)
def predict(
    ws: Workspace,
    model: str,
    asked: Any = None,
    *,
    horizon: int | None = None,
    where: Mapping[str, Any] | None = None,
    explain: bool = False,
    key: str = "",
    version: int | None = None,
) -> Answer:
    """Ask the serving version: rows of questions, or the next `horizon` periods of every key that fits `where`.

    `key` decides which side of a split answers; `version` asks one version by number instead.
    """
    question = models.get(model)
    number = version if version is not None else ws.deployment(model).route(key)
    if asked is not None:
        return _ask.ask(ws, model, number, asked=_ask.as_asked(question, asked), horizon=None, where={}, explain=explain)
    chosen = dict(where or {})
    kept = _ask.default(ws, model, number, horizon=horizon, where=chosen, explain=explain)
    if kept is not None:
        return kept
    answer = _ask.ask(ws, model, number, asked=None, horizon=horizon, where=chosen, explain=explain)
    return _ask.keep_default(ws, (model, number, horizon, explain, _ask.question_key(chosen)), answer)


@action(permits="read", quiet=True)
def versions(ws: Workspace, model: str | None = None) -> Answer:
    """List versions: who made them, how they scored, which one serves."""
    rows = []
    for name in [model] if model else models.names():
        models.get(name)
        serving = ws.deployment(name)
        for number, event in sorted(ws.view.fresh(now=True).versions.get(name, {}).items()):
            state = "serving" if number == serving.stable else "challenger" if number == serving.challenger else ""
            rows.append([name, number, str(event.body.get("recipe", "")), state, event.actor, event.at, str(event.body["blob"])])
    if not rows:
        return Answer(words="No version is trained yet.", source={"versions": 0})
    heads = ("model", "version", "recipe", "state", "by", "at", "blob")
    columns = {head: np.array([row[at] for row in rows], int if head == "version" else object) for at, head in enumerate(heads)}
    return Answer(table=Table.from_columns(columns), words=f"{len(rows)} versions.", source={"versions": len(rows)})


@action(permits="read", quiet=True)
def card(ws: Workspace, model: str, *, version: int | None = None) -> Answer:
    """Show a model's card, and of the version that serves (or the one named) its leaderboard and lineage."""
    question = models.get(model)
    text = card_text(model)
    if version is None and not ws.view.fresh().versions.get(model):
        return Answer((Fact("question", question.question),), words=text, source={"model": model})
    number = version if version is not None else ws.deployment(model).stable or max(ws.view.versions[model])
    manifest = ws.artifact(model, number).manifest
    facts = tuple(Fact(name, value) for name, value in manifest["scores"].items())
    board = Table.from_columns(
        {name: np.array(values, object if isinstance(values[0], str) else float) for name, values in manifest["leaderboard"].items()}
    )
    return Answer(
        (Fact("version", number), Fact("question", question.question), *facts),
        board,
        words=text,
        source={"model": model, "version": number, "lineage": manifest["data"]},
    )


def card_text(model: str) -> str:
    """Return the text of a model's card."""
    from pathlib import Path

    home = Path(str(models.module(model).__file__)).parent / "card.md"
    return home.read_text("utf-8")


def artifact_facts(ws: Workspace, model: str, number: int) -> dict[str, Any]:
    """Return the recipe and knobs of a version: what a newcomer is compared with."""
    manifest = ws.artifact(model, number).manifest
    return {"recipe": manifest["recipe"], "params": manifest["params"]}


def _budget(ws: Workspace, asked: Budget | None) -> Budget:
    """Return what was asked for, within what the workspace's settings allow."""
    memory, deadline = int(ws.options["train_memory_mb"]), float(ws.options["train_deadline_s"])
    wanted = asked or Budget()
    if not 1 <= wanted.folds <= MOST_FOLDS:
        raise BadValue(f"folds must lie between 1 and {MOST_FOLDS}, not {wanted.folds}")
    return Budget(wanted.folds, min(wanted.memory_mb or memory, memory), min(wanted.deadline_s or deadline, deadline))


def _baseline(board: Table, name: str) -> float:
    return float(board.column("wape")[board.column("recipe").tolist().index(name)])
