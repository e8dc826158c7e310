"""Train, evaluate, predict; list versions and show their cards."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from tradewind import models
from tradewind.actions import _ask, _learn, _update
from tradewind.actions._door import action
from tradewind.core.answer import Answer, Fact
from tradewind.core.errors import BadValue, InvalidInput
from tradewind.core.model import SILENT, Budget, Model, Progress, Trained
from tradewind.core.table import Table
from tradewind.registry import artifact
from tradewind.training.learn import decisive
from tradewind.workspace import Workspace

MOST_FOLDS = 50
SHORT = 5  # letters of a metric that is an abbreviation
MOST_SEARCH_S = 86_400.0


@action(permits="train", alone="train-{model}")
def train(
    ws: Workspace,
    model: str,
    table: str | None = None,
    *,
    budget: Budget | Mapping[str, Any] | None = None,
    params: Mapping[str, Mapping[str, Any]] | None = None,
    recipes: Sequence[str] | str | None = None,
    seed: int = 0,
    search_s: float = 0.0,
    grant: Sequence[str] = (),
    progress: Progress = SILENT,
) -> Answer:
    """Learn a model from what is loaded and keep it sealed as a new version; it serves only once promoted.

    `params` are knobs by recipe: `{"boosted": {"rounds": 400}}`. `search_s` are processor seconds to look for better knobs with, on
    history before the leaderboard's own blocks; every trial is an event. The leaderboard has the naive baseline and, where a version
    serves already, its recipe refitted on the same folds as `incumbent`. `budget` is `{"folds": 4, "memory_mb": 2000, "deadline_s": 600}`
    or less of it, within what the workspace's settings allow. `grant` names sensitive columns that may be learned from.
    """
    if not 0 <= search_s <= MOST_SEARCH_S:
        raise BadValue(f"search_s must lie between 0 and {MOST_SEARCH_S:g} processor seconds, not {search_s}")
    question = models.get(model)
    given = _learn.ready(ws, question, table, progress.part(0.0, 0.1), grant=_ask.names(grant))
    stable = ws.deployment(model).stable
    incumbent = artifact_facts(ws, model, stable) if stable else None
    wanted = _learn.wanted(question, recipes, params, seed, incumbent) | {"horizon": None, "search_s": float(search_s), "earlier": stable}
    done = _learn.taught(
        ws,
        question,
        given,
        wanted=wanted,
        budget=_budget(ws, budget),
        only_compare=False,
        earlier=_learn.earlier(ws, question, stable),
        progress=progress.part(0.1, 0.98),
    )
    trained, golden = _learn.learned(done)
    number = _learn.next_number(ws, model)
    made = artifact.make(
        question,
        trained,
        version=number,
        data={"tables": dict(given.sources), "granted": list(_ask.names(grant))},
        made=_learn.made_now(ws, given),
        golden=golden,
    )
    sealed = artifact.pack(made, ws.keys, file=question.file, card=card_text(model))
    blob = ws.blobs.put(sealed)
    progress("done", 1.0, f"version {number}")
    metric = decisive(question, {trained.recipe: trained.scores})
    base = _baseline(trained.leaderboard, question.recipes[0], metric)
    name = metric.upper() if len(metric) <= SHORT else metric.replace("_", " ")
    said = f"{model} version {number}: {trained.recipe} has {name} {trained.scores[metric]:.3f}, the baseline {base:.3f}."
    said += "" if recipes else _outdone(question, trained, metric)
    facts = tuple(Fact(name, round(float(value), 6)) for name, value in trained.scores.items())
    more = [Fact("intervals", str(trained.facts["intervals"]), "", "what they were set by")]
    more += [_learn.trials(done)] if search_s else []
    return Answer(
        (Fact("version", number), Fact("recipe", trained.recipe), *facts, *more, *given.facts),
        trained.leaderboard,
        words=said,
        source={"model": model, "version": number, "blob": blob, "recipe": trained.recipe, "bytes": len(sealed)},
    )


def _outdone(question: Model, trained: Trained, metric: str) -> str:
    """Say which recipe erred less than the one that was chosen, and why that does not decide."""
    board = trained.leaderboard
    errors = dict(zip(map(str, board.column("recipe")), board.column(metric).astype(float), strict=True))
    better = [name for name, error in errors.items() if error < errors.get(trained.recipe, 0.0) and name in question.recipes]
    if not better:
        return ""
    why = "which does not judge what levers do" if trained.recipe in question.serves else "though not clearly"
    return f" {better[0]} erred less on what was held out, {why}."


@action(permits="evaluate", alone="train-{model}")
def evaluate(
    ws: Workspace,
    model: str,
    *,
    folds: int = 3,
    horizon: int | None = None,
    recipes: Sequence[str] | str | None = None,
    seed: int = 0,
    progress: Progress = SILENT,
) -> Answer:
    """Backtest every recipe by rolling origin and keep nothing; one row per recipe, the baseline among them."""
    if horizon is not None and not 1 <= horizon <= _ask.MOST_AHEAD:
        raise BadValue(f"horizon must lie between 1 and {_ask.MOST_AHEAD}, not {horizon}")
    question = models.get(model)
    if horizon is not None and models.has(model, "judge"):
        raise BadValue(f"{model} is not examined by periods ahead", hint="ask without a horizon")
    given = _learn.ready(ws, question, None, progress.part(0.0, 0.1))
    wanted = _learn.wanted(question, recipes, None, seed, None) | {"horizon": horizon, "search_s": 0.0}
    budget = _budget(ws, Budget(folds=folds))
    done = _learn.taught(ws, question, given, wanted=wanted, budget=budget, only_compare=True, progress=progress.part(0.1, 1.0))
    board = Table.from_bytes(done["leaderboard"])
    facts = json.loads(done["facts"])
    said = tuple(Fact(name, value) for name, value in facts.items() if isinstance(value, int | float | str))
    ahead = f"{facts['folds']} origins, {facts['horizon']} periods ahead" if "horizon" in facts else f"{facts['folds']} exams"
    words = f"{model}: {ahead}, best first."
    return Answer(
        (*said, *given.facts),
        board,
        words=words,
        source={"model": model, "folds": facts["folds"], "horizon": facts.get("horizon"), "tables": dict(given.sources)},
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
    by: Sequence[str] | str | None = None,
    quantiles: Sequence[float] | float | None = None,
) -> Answer:
    """Ask the serving version: rows of questions, or the next `horizon` periods of every key that fits `where`.

    `key` decides which side of a split answers; `version` asks one version by number instead. `by` adds rows up, with bounds of
    the sum: by keys, static columns, one of date, week, month or total-period, or "total" for everything in one. `quantiles` are
    levels such as 0.1, given as columns such as q10.
    """
    question = models.get(model)
    number = version if version is not None else ws.deployment(model).route(key)
    sums, levels = _ask.names(by), _ask.levels(quantiles)
    if asked is not None:
        if horizon is not None or where is not None:
            raise InvalidInput("rows cannot be joined with horizon or where", hint="rows name their own dates and keys")
        wish = _ask.Wish(explain=explain, by=sums, quantiles=levels)
        return _ask.ask(ws, model, number, asked=_ask.as_asked(question, asked), wish=wish)
    wish = _ask.Wish(horizon, _ask.pairs(where, "where"), explain, sums, levels)
    kept = _ask.default(ws, model, number, wish)
    return kept if kept is not None else _ask.keep_default(ws, model, number, wish, _ask.ask(ws, model, number, wish=wish))


@action(permits="predict", quiet=True)
def effects(ws: Workspace, model: str, *, version: int | None = None) -> Answer:
    """Say what each lever does: one row per key and lever, an elasticity or the logarithm of a lift, with its intervals."""
    models.get(model)
    return _ask.effects(ws, model, version if version is not None else ws.deployment(model).route())


@action(permits="promote", alone="train-{model}")
def update(ws: Workspace, model: str, *, progress: Progress = SILENT) -> Answer:
    """Bring the serving version new actuals without refitting: forecast against actual, then it serves from there on.

    What is loaded now is compared with what the version forecast for it, intervals adapt, and the moved version serves at once as a
    new one if it is safe; `rollback` leads back. Raises BadValue where no actual is newer than the version knows.
    """
    return _update.update(ws, models.get(model), progress)


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


def _budget(ws: Workspace, asked: Budget | Mapping[str, Any] | None) -> Budget:
    """Return what was asked for, within what the workspace's settings allow; raises BadValue."""
    memory, deadline = int(ws.options["train_memory_mb"]), float(ws.options["train_deadline_s"])
    try:
        wanted = Budget(**asked) if isinstance(asked, Mapping) else asked or Budget()
    except TypeError as error:
        raise BadValue(f"budget: {error}", hint="budget={'folds': 4, 'memory_mb': 2000, 'deadline_s': 600}") from error
    for name, value in asdict(wanted).items():
        plain = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (plain and (value > 0 or name == "folds")):
            raise BadValue(f"{name} must be a number above zero, not {value!r}")
    if wanted.folds is not None and not 1 <= wanted.folds <= MOST_FOLDS:
        raise BadValue(f"folds must lie between 1 and {MOST_FOLDS}, not {wanted.folds}")
    return Budget(wanted.folds, min(wanted.memory_mb or memory, memory), min(wanted.deadline_s or deadline, deadline))


def _baseline(board: Table, name: str, metric: str) -> float:
    return float(board.column(metric)[board.column("recipe").tolist().index(name)])
