"""Learn: every recipe on the same folds, the best refitted on everything and given honest intervals."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from tradewind.core.errors import Cancelled, LearnFailed, TradewindError
from tradewind.core.model import LEAST_MAPE, SILENT, Blends, Budget, Model, Progress, Remembers, State, Trained, Updates, settle
from tradewind.core.schema import Role
from tradewind.core.table import Array, Table
from tradewind.training import score
from tradewind.training.renew import golden
from tradewind.training.roll import Candidate, Run, fitting, reached, roll
from tradewind.training.search import Trial, early, search
from tradewind.training.split import Fold, described, grain, horizon_of, periods, rolling_origin
from tradewind.training.weigh import Weighed, weigh

INCUMBENT = "incumbent"  # the label of what serves now, compared and never chosen
CLEAR = 2.0  # standard errors of a gain that make one recipe clearly better than another
SEASON = {"day": 7, "week": 52, "month": 12}
BLOCKS = 3  # fewer say too little about seasons to set intervals by
MOST_BLOCKS = 6  # more of them say little more
SMALL_PART = 8  # blocks of history per block held out, where more than BLOCKS are


@dataclass(frozen=True, slots=True)
class Lesson:
    """What learning is given."""

    model: Model
    candidates: tuple[Candidate, ...]  # the first is the baseline
    table: Table
    budget: Budget
    seed: int = 0
    horizon: int | None = None
    kept: Mapping[str, bytes] = field(default_factory=dict)  # finished pieces of an earlier, stopped run
    search_s: float = 0.0  # processor seconds for a knob search
    trials: tuple[Trial, ...] = ()  # of an earlier, stopped run
    skipped: Mapping[str, str] = field(default_factory=dict)  # recipes that were not tried, and why
    said: Mapping[str, str] = field(default_factory=dict)  # facts that go with what is learned
    earlier: Mapping[str, bytes] = field(default_factory=dict)  # parts of the version that serves
    earlier_recipe: str = ""
    named: tuple[str, ...] = ()  # recipes that the user named: one of them is learned; any of the candidates where none is named


@dataclass(slots=True)
class Compared:
    """What a comparison found: metrics by label, what each said, the weights of a blend, facts of the data."""

    board: dict[str, dict[str, Any]]
    runs: dict[str, Run]
    facts: dict[str, Any]
    folds: tuple[Fold, ...]
    weighed: Weighed = field(default_factory=lambda: Weighed({}, ""))


def learn(lesson: Lesson, *, progress: Progress = SILENT) -> tuple[Trained, dict[str, Table]]:
    """Validate every candidate, refit the winner, calibrate it; also return golden questions and answers.

    Raises LearnFailed where no candidate can be fitted or there is too little history.
    """
    begin = 0.0
    unsearched: dict[str, str] = {}
    if lesson.search_s > 0:
        lesson, unsearched = _searched(lesson, progress.part(0.0, 0.3))
        begin = 0.3
    found = compared(lesson, progress=progress.part(begin, 0.75))
    if unsearched:
        found.facts["unsearched"] = unsearched
    best = winner(lesson, found.board, ahead=partial(_ahead, found.runs, lesson.table), failed=found.facts.get("failed", {}))
    state = _whole(lesson, best, found, progress.part(0.75, 0.97))
    progress("check", 0.97, "golden questions")
    parts = dict(best.recipe.dump(state))
    asked = golden(best.recipe, parts)
    scores = {name: float(value) for name, value in found.board[best.label].items() if name != "note" and np.isfinite(value)}
    absent = found.facts.get("failed", {}) | dict(lesson.skipped)
    board = leaderboard(found.board, absent, metric=decisive(lesson.model, found.board))
    trained = Trained(best.recipe.name, settle(best.recipe.knobs, best.params), parts, board, scores, found.facts)
    progress("done", 1.0, best.label)
    return trained, asked


def compare(lesson: Lesson, *, progress: Progress = SILENT) -> tuple[dict[str, dict[str, Any]], dict[str, Run], dict[str, Any]]:
    """Score every candidate on the same folds; return label -> metrics, label -> what it said, and facts of the data."""
    found = compared(lesson, progress=progress)
    return found.board, found.runs, found.facts


def compared(lesson: Lesson, *, progress: Progress = SILENT) -> Compared:
    """Score every candidate on the same folds: those learned from the table first, then those made of them."""
    folds, facts = _folds(lesson)
    target = lesson.table.schema.of(Role.TARGET)[0]
    scale = np.concatenate([_scales(fold, target, SEASON[facts["grain"]]) for fold in folds])
    runs: dict[str, Run] = {}
    failed: dict[str, str] = {}
    singles = [candidate for candidate in lesson.candidates if not isinstance(candidate.recipe, Blends)]
    blends = [candidate for candidate in lesson.candidates if isinstance(candidate.recipe, Blends)]
    for place, candidate in enumerate(singles):
        part = progress.part(0.9 * place / len(singles), 0.9 * (place + 1) / len(singles))
        try:
            runs[candidate.label] = roll(candidate, folds, fitting(candidate, lesson.seed), kept=lesson.kept, progress=part)
            if not any(candidate.label in blend.recipe.members for blend in blends if isinstance(blend.recipe, Blends)):
                runs[candidate.label].keep_last()  # nothing will be made of the earlier ones, and each holds a panel
        except Cancelled:
            raise
        except TradewindError as error:
            if candidate is lesson.candidates[0]:
                raise
            failed[candidate.label] = error.told()
    found = Compared({}, runs, facts, folds)
    for candidate in blends:
        _blend(lesson, candidate, found, progress.part(0.9, 1.0))
    if failed:
        facts["failed"] = failed
    found.board = _board(lesson, runs, scale)
    return found


def _folds(lesson: Lesson) -> tuple[tuple[Fold, ...], dict[str, Any]]:
    dates = periods(lesson.table, lesson.table.schema.of(Role.TARGET)[0])
    if len(dates) < 4:
        raise LearnFailed(
            f"{len(dates)} periods of history are too few to learn and to validate", hint="load at least 4 periods, better two seasons"
        )
    folds = lesson.budget.folds
    if folds is None:
        folds = int(np.clip(len(dates) // (SMALL_PART * horizon_of(dates, lesson.horizon, BLOCKS)), BLOCKS, MOST_BLOCKS))
    folds = min(folds, max(1, len(dates) // 4))
    horizon = horizon_of(dates, lesson.horizon, folds)
    facts = described(lesson.table) | {"folds": folds, "horizon": horizon, "seed": lesson.seed, "grain": grain(dates)}
    facts["intervals"] = (
        f"from {folds} held-out blocks"
        if folds >= BLOCKS
        else f"from {folds} held-out blocks and the recipe's own spread: too little history"
    )
    return tuple(rolling_origin(lesson.table, folds=folds, horizon=horizon)), facts


def _blend(lesson: Lesson, candidate: Candidate, found: Compared, progress: Progress) -> None:
    """Weigh a blend's members on the folds and take it through them as one."""
    recipe = candidate.recipe
    assert isinstance(recipe, Blends)
    singles = {one.label: one for one in lesson.candidates if one.label in found.runs and one.label in recipe.members}
    if not singles:
        return
    held = {label: found.runs[label].joined() for label in singles}
    chosen = weigh(held, _groups(next(iter(held.values())), lesson.table))
    if candidate.label == lesson.model.recipes[-1] or not found.weighed.weights:
        found.weighed = chosen
    by_cutoff = {fold.block: fold for fold in found.folds}

    def made(fold: Fold) -> State:
        upto = tuple(by_cutoff[block] for block in sorted(by_cutoff) if block <= fold.block)
        states = {
            label: reached(singles[label], found.runs[label], upto, fitting(singles[label], lesson.seed), kept=lesson.kept)
            for label in chosen.weights
        }
        return recipe.blend(states, chosen.weights, chosen.why, together=chosen.together)

    run = roll(candidate, found.folds, made, kept={}, progress=progress, keep=False)
    run.seconds += sum(found.runs[label].seconds for label in chosen.weights)
    found.runs[candidate.label] = run


def _whole(lesson: Lesson, winner: Candidate, found: Compared, progress: Progress) -> State:
    """Return the winner learned from everything, with what its rolled twin saw of its own errors."""
    recipe = winner.recipe
    if isinstance(recipe, Blends):
        states: dict[str, State] = {}
        singles = {one.label: one for one in lesson.candidates if one.label in found.weighed.weights}
        for place, (label, single) in enumerate(singles.items()):
            progress("fit", place / len(singles), f"{label} on everything")
            states[label] = single.recipe.fit(lesson.table, settle(single.recipe.knobs, single.params), lesson.seed)
        best = found.weighed
        state = recipe.blend(states, best.weights, best.why, together=best.together)
    else:
        progress("fit", 0.0, f"{winner.label} on everything")
        state = recipe.fit(lesson.table, settle(recipe.knobs, winner.params), lesson.seed)
    if not isinstance(recipe, Updates) or not isinstance(recipe, Remembers):
        return state
    rolled = reached(winner, found.runs[winner.label], found.folds, fitting(winner, lesson.seed), kept=lesson.kept)
    return recipe.remember(state, rolled)


def _searched(lesson: Lesson, progress: Progress) -> tuple[Lesson, dict[str, str]]:
    """Return the lesson with the best knobs found on blocks before the leaderboard's own, and which recipes could not be searched."""
    folds, facts = _folds(lesson)
    tried = [
        candidate
        for candidate in lesson.candidates
        if not isinstance(candidate.recipe, Blends) and any(k.tune for k in candidate.recipe.knobs)
    ]
    tried = [candidate for candidate in tried if candidate.label != INCUMBENT]
    table = early(lesson.table, folds=len(folds), horizon=facts["horizon"])
    chosen: dict[str, Mapping[str, Any]] = {}
    unsearched: dict[str, str] = {}
    for place, candidate in enumerate(tried):
        part = progress.part(place / len(tried), (place + 1) / len(tried))
        try:
            chosen[candidate.label], _ = search(
                candidate.recipe,
                table,
                horizon=facts["horizon"],
                folds=2,
                seconds=lesson.search_s / len(tried),
                seed=lesson.seed,
                fixed=candidate.params,
                before=lesson.trials,
                progress=part,
            )
        except Cancelled:
            raise
        except TradewindError as error:
            unsearched[candidate.label] = error.message
    candidates = tuple(replace(one, params=chosen.get(one.label, one.params)) for one in lesson.candidates)
    return replace(lesson, candidates=candidates), unsearched


def decisive(model: Model, board: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the metric that decides: MAPE where all were asked for the point of least percentage error, else the goal's."""
    return "mape" if board and all("mape" in metrics for metrics in board.values()) else model.goal.metric


def leaderboard(board: Mapping[str, Mapping[str, Any]], absent: Mapping[str, str] | None = None, *, metric: str = "wape") -> Table:
    """Return the leaderboard as a table, best first; recipes that could not be learned or were not tried come last, with the reason."""
    rows = sorted(({"recipe": label, **metrics} for label, metrics in board.items()), key=lambda row: (np.isnan(row[metric]), row[metric]))
    names = list(rows[0])
    rows += [{name: float("nan") for name in names} | {"recipe": label, "note": why} for label, why in (absent or {}).items()]
    columns = {name: np.array([row[name] for row in rows], object if name in ("recipe", "note") else float) for name in names}
    return Table.from_columns(columns)


def _board(lesson: Lesson, runs: Mapping[str, Run], scale: Array) -> dict[str, dict[str, Any]]:
    base = runs[lesson.candidates[0].label].joined()
    groups = _groups(base, lesson.table)
    board: dict[str, dict[str, Any]] = {}
    by_percent = all(LEAST_MAPE in columns for label, run in runs.items() if label != INCUMBENT for columns in run.columns)
    for label in (candidate.label for candidate in lesson.candidates if candidate.label in runs):
        said = runs[label].joined()
        truth, p50, mean = (said[name].astype("f8") for name in ("truth", "p50", "mean"))
        saved, error = score.gain(np.abs(base["truth"] - base["p50"]), np.abs(truth - p50), groups)
        unknown = np.full(len(truth), np.nan)
        board[label] = {
            **({"mape": score.mape(truth, said.get(LEAST_MAPE, unknown).astype("f8"))} if by_percent else {}),
            "wape": score.wape(truth, p50),
            "mase": score.mase(truth, p50, scale),
            "bias": score.bias(truth, mean),
            **_covers(said),
            "gain": saved,
            "gain_error": error,
            "seconds": runs[label].seconds,
            "rows": float(len(truth)),
            "note": "",
        }
    return board


def _covers(said: Mapping[str, Array]) -> dict[str, float]:
    """Return pinball loss and coverage of bands that were set from what lay before each block."""
    truth = said["truth"]
    found = {}
    for level in (80, 95):
        known = f"lo{level}" in said
        found[f"coverage_{level}"] = score.coverage(truth, said[f"lo{level}"], said[f"hi{level}"]) if known else float("nan")
    known_at = {tau: said[name].astype("f8") for tau, name in score.QUANTILES.items() if name in said}
    return {"pinball": score.pinball(truth.astype("f8"), known_at), **found}


def _groups(said: Mapping[str, Array], table: Table) -> Array:
    keys = [name for name in table.schema.of(Role.ENTITY) if name in said]
    labels = ["\x1f".join(map(str, key)) for key in zip(said["block"].tolist(), *(said[name].tolist() for name in keys), strict=True)]
    return np.array(labels)


def _scales(fold: Fold, target: str, season: int) -> Array:
    """Return the in-sample seasonal-naive error of each asked row's series."""
    import polars as pl

    known = fold.seen
    time = known.schema.time or "date"
    keys = [name for name in fold.asked.names if name != time]
    seen = known.frame.filter(pl.col(time) <= pl.lit(fold.cutoff.item())).sort([*keys, time])
    change = (pl.col(target) - pl.col(target).shift(season).over(keys) if keys else pl.col(target) - pl.col(target).shift(season)).abs()
    if not keys:
        return np.full(len(fold.asked), seen.select(change.mean()).item() or np.nan, "f8")
    scale = seen.with_columns(change.alias("_scale")).group_by(keys).agg(pl.col("_scale").mean())
    return fold.asked.frame.join(scale, on=keys, how="left", maintain_order="left")["_scale"].cast(pl.Float64).fill_null(np.nan).to_numpy()


def _ahead(runs: Mapping[str, Run], table: Table, one: str, other: str) -> tuple[float, float]:
    """Return the share of another's error that one saves, and its standard error, wider where few groups told it.

    Errors are in percent where both were asked for them.
    """
    ours, theirs = runs[one].joined(), runs[other].joined()
    truth, groups = ours["truth"].astype("f8"), _groups(ours, table)
    if LEAST_MAPE in ours and LEAST_MAPE in theirs:
        sold = truth > 0
        left, had = (np.abs(truth - said[LEAST_MAPE].astype("f8"))[sold] / truth[sold] for said in (ours, theirs))
        return score.paired(had, left, groups[sold])
    left, had = (np.abs(truth - said["p50"].astype("f8")) for said in (ours, theirs))
    return score.paired(had, left, groups)


def winner(
    lesson: Lesson,
    board: Mapping[str, Mapping[str, Any]],
    *,
    ahead: Callable[[str, str], tuple[float, float]],
    failed: Mapping[str, str] | None = None,
) -> Candidate:
    """Return the candidate with the best decisive metric, the incumbent aside; raises LearnFailed where none has one.

    Where recipes were named, only one of these is returned: LearnFailed says why (`failed`) where none of them could be learned. What
    is held out cannot judge what levers do: where a model says which recipes serve, the first of them is returned, however it did, and
    the gates see whether it did well enough. A recipe that the model prefers gives way only to one that is better by over two standard
    errors of their difference, which `ahead` tells row by row.
    """
    able = {candidate.label: candidate for candidate in lesson.candidates if candidate.label in board and candidate.label != INCUMBENT}
    if lesson.named:
        able = {label: candidate for label, candidate in able.items() if label in lesson.named}
        if not able:
            said, hint = _unlearned(lesson, failed or {})
            raise LearnFailed(said, hint=hint)
    metric = decisive(lesson.model, board)
    usable = [label for label in able if np.isfinite(board[label][metric])]
    if not usable:
        raise LearnFailed(
            f"no {metric} can be computed: nothing happened in the held-out blocks", hint="load newer data, or ask for fewer folds"
        )
    best, wanted = min(usable, key=lambda label: board[label][metric]), lesson.model.prefers
    serves = next((label for label in lesson.model.serves if label in usable), None)
    if serves is not None:
        best = serves
    elif wanted in usable and best != wanted:
        more, error = ahead(best, wanted)
        best = best if more > CLEAR * error else wanted
    return able[best]


def _unlearned(lesson: Lesson, failed: Mapping[str, str]) -> tuple[str, str]:
    """Return why none of the named recipes could be learned, and what to do."""
    made = "it is made of other recipes, and none of these was named"
    why = "; ".join(f"{name}: {failed.get(name, made)}" for name in lesson.named)
    return f"no recipe that was named could be learned: {why}", "name another recipe, or none to have one chosen"


def manifest_facts(trained: Trained) -> str:
    """Write a trained outcome's plain facts as JSON: what crosses the process boundary."""
    return json.dumps(
        {"recipe": trained.recipe, "params": dict(trained.params), "scores": dict(trained.scores), "facts": dict(trained.facts)}
    )


def trained_from(said: str, parts: Mapping[str, bytes], board: Table) -> Trained:
    """Read a trained outcome back."""
    plain = json.loads(said)
    return Trained(plain["recipe"], plain["params"], parts, board, plain["scores"], plain["facts"])
