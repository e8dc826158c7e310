"""Learn: every recipe on the same folds, the best refitted on everything and given honest intervals."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tradewind.core.bundle import pack_arrays, unpack_arrays
from tradewind.core.errors import Cancelled, LearnFailed, TradewindError
from tradewind.core.model import SILENT, Budget, Calibrates, Model, Progress, Recipe, State, Trained, settle
from tradewind.core.schema import Role
from tradewind.core.table import Array, Table
from tradewind.training import score
from tradewind.training.split import Fold, described, grain, horizon_of, periods, rolling_origin

SEASON = {"day": 7, "week": 52, "month": 12}
GOLDEN = 32
BLOCKS = 3  # fewer say too little about seasons to set intervals by; the recipe's own then stand


@dataclass(frozen=True, slots=True)
class Candidate:
    """A recipe with its knobs, under the name the leaderboard shows."""

    label: str
    recipe: Recipe
    params: Mapping[str, Any]


@dataclass(slots=True)
class Held:
    """What a candidate said of rows it had not seen, one entry per fold."""

    columns: list[dict[str, Array]] = field(default_factory=list)
    seconds: float = 0.0

    def joined(self) -> dict[str, Array]:
        """Return all folds' columns together."""
        return {name: np.concatenate([columns[name] for columns in self.columns]) for name in self.columns[0]} if self.columns else {}


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


def learn(lesson: Lesson, *, progress: Progress = SILENT) -> tuple[Trained, dict[str, Table]]:
    """Validate every candidate, refit the winner, calibrate it; also return golden questions and answers.

    Raises LearnFailed where no candidate can be fitted or there is too little history.
    """
    board, held, facts = compare(lesson, progress=progress.part(0.0, 0.8))
    winner = _winner(lesson, board)
    progress("fit", 0.82, f"{winner.label} on everything")
    state = _calibrated(winner, _fit(winner, lesson.table, lesson.seed), held[winner.label].joined())
    progress("check", 0.97, "golden questions")
    parts = dict(winner.recipe.dump(state))
    golden = _golden(winner, parts, held[winner.label].joined(), lesson)
    scores = {name: float(value) for name, value in board[winner.label].items() if np.isfinite(value)}
    trained = Trained(winner.recipe.name, settle(winner.recipe.knobs, winner.params), parts, leaderboard(board), scores, facts)
    progress("done", 1.0, winner.label)
    return trained, golden


def compare(lesson: Lesson, *, progress: Progress = SILENT) -> tuple[dict[str, dict[str, Any]], dict[str, Held], dict[str, Any]]:
    """Score every candidate on the same folds; return label -> metrics, label -> what it said, and facts of the data."""
    target = lesson.table.schema.of(Role.TARGET)[0]
    dates = periods(lesson.table, target)
    if len(dates) < 4:
        raise LearnFailed(
            f"{len(dates)} periods of history are too few to learn and to validate", hint="load at least 4 periods, better two seasons"
        )
    folds = min(lesson.budget.folds, max(1, len(dates) // 4))
    horizon = horizon_of(dates, lesson.horizon, folds)
    held: dict[str, Held] = {candidate.label: Held() for candidate in lesson.candidates}
    failed: dict[str, str] = {}
    scales: list[Array] = []
    steps = folds * len(lesson.candidates)
    for fold in rolling_origin(lesson.table, folds=folds, horizon=horizon):
        scales.append(_scales(fold, target, SEASON[grain(dates)]))
        for place, candidate in enumerate(lesson.candidates):
            if candidate.label in failed:
                continue
            progress(
                "validate", (fold.block * len(lesson.candidates) + place) / steps, f"{candidate.label}, block {fold.block + 1} of {folds}"
            )
            try:
                _hold(lesson, candidate, fold, held[candidate.label], progress)
            except Cancelled:
                raise
            except TradewindError as error:
                if place == 0:
                    raise
                failed[candidate.label] = error.message
    facts = described(lesson.table) | {"folds": folds, "horizon": horizon, "seed": lesson.seed}
    facts["intervals"] = (
        f"from {folds} held-out blocks" if folds >= BLOCKS else "the recipe's own: too little history for three held-out blocks"
    )
    if failed:
        facts["failed"] = failed
    board = _board(lesson, {label: kept for label, kept in held.items() if label not in failed}, np.concatenate(scales))
    return board, held, facts


def leaderboard(board: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return the leaderboard as a table, best first."""
    rows = sorted(({"recipe": label, **metrics} for label, metrics in board.items()), key=lambda row: row["wape"])
    names = list(rows[0])
    columns = {name: np.array([row[name] for row in rows], object if isinstance(rows[0][name], str) else float) for name in names}
    return Table.from_columns(columns)


def _fit(candidate: Candidate, table: Table, seed: int) -> State:
    return candidate.recipe.fit(table, settle(candidate.recipe.knobs, candidate.params), seed)


def _calibrated(candidate: Candidate, state: State, held: Mapping[str, Array]) -> State:
    if held and isinstance(candidate.recipe, Calibrates) and len(np.unique(held["block"])) >= BLOCKS:
        return candidate.recipe.calibrate(state, Table.from_columns(held))
    return state


def _hold(lesson: Lesson, candidate: Candidate, fold: Fold, held: Held, progress: Progress) -> None:
    """Fit a candidate at an origin and keep what it says of the block after it; a finished piece is not done twice."""
    piece = f"{candidate.label}/{fold.block}/{fold.cutoff}"
    if piece in lesson.kept:
        columns = unpack_arrays(lesson.kept[piece])
        held.columns.append({name: array for name, array in columns.items() if name != "seconds"})
        held.seconds += float(columns["seconds"][0])
        return
    began = time.process_time()
    answer = candidate.recipe.predict(_fit(candidate, fold.seen, lesson.seed), fold.asked)
    spent = time.process_time() - began
    columns = {name: fold.asked.column(name) for name in fold.asked.names}
    columns |= {name: answer.column(name) for name in answer.names if name not in columns}
    columns |= {"truth": fold.truth, "block": np.full(len(fold.truth), fold.block), "horizon": fold.ahead}
    if not np.isfinite(columns["p50"].astype("f8")).all():
        raise LearnFailed(f"{candidate.label} gave a forecast that is not a number")
    held.columns.append(columns)
    held.seconds += spent
    progress.keep(piece, pack_arrays(columns | {"seconds": np.array([spent])}))


def _board(lesson: Lesson, held: Mapping[str, Held], scale: Array) -> dict[str, dict[str, Any]]:
    baseline = lesson.candidates[0].label
    base = held[baseline].joined()
    groups = _groups(base, lesson.table)
    board: dict[str, dict[str, Any]] = {}
    for candidate in lesson.candidates:
        if candidate.label not in held:
            continue
        said = held[candidate.label].joined()
        truth, p50, mean = (said[name].astype("f8") for name in ("truth", "p50", "mean"))
        saved, error = score.gain(np.abs(base["truth"] - base["p50"]), np.abs(truth - p50), groups)
        board[candidate.label] = {
            "wape": score.wape(truth, p50),
            "mase": score.mase(truth, p50, scale),
            "bias": score.bias(truth, mean),
            **_covers(said),
            "gain": saved,
            "gain_error": error,
            "seconds": held[candidate.label].seconds,
            "rows": float(len(truth)),
        }
    return board


def _covers(said: Mapping[str, Array]) -> dict[str, float]:
    """Return the coverage of bands that were set from what lay before each block."""
    truth = said["truth"]
    found = {}
    for level in (80, 95):
        known = f"lo{level}" in said
        found[f"coverage_{level}"] = score.coverage(truth, said[f"lo{level}"], said[f"hi{level}"]) if known else float("nan")
    return found


def _groups(said: Mapping[str, Array], table: Table) -> Array:
    keys = [name for name in table.schema.of(Role.ENTITY) if name in said]
    labels = ["\x1f".join(map(str, key)) for key in zip(said["block"].tolist(), *(said[name].tolist() for name in keys), strict=True)]
    return np.array(labels)


def _scales(fold: Fold, target: str, season: int) -> Array:
    """Return the in-sample seasonal-naive error of each asked row's series."""
    import polars as pl

    keys = [name for name in fold.asked.names if name != fold.seen.schema.time]
    time = fold.seen.schema.time or "date"
    seen = fold.seen.frame.filter(pl.col(time) <= pl.lit(fold.cutoff.item())).sort([*keys, time])
    change = (pl.col(target) - pl.col(target).shift(season).over(keys) if keys else pl.col(target) - pl.col(target).shift(season)).abs()
    if not keys:
        return np.full(len(fold.asked), seen.select(change.mean()).item() or np.nan, "f8")
    scale = seen.with_columns(change.alias("_scale")).group_by(keys).agg(pl.col("_scale").mean())
    return fold.asked.frame.join(scale, on=keys, how="left", maintain_order="left")["_scale"].cast(pl.Float64).fill_null(np.nan).to_numpy()


def _winner(lesson: Lesson, board: Mapping[str, Mapping[str, Any]]) -> Candidate:
    able = {candidate.label: candidate for candidate in lesson.candidates if candidate.label in board and candidate.label != "incumbent"}
    metric = lesson.model.goal.metric
    usable = [label for label in able if np.isfinite(board[label][metric])]
    if not usable:
        raise LearnFailed(
            f"no {metric} can be computed: nothing happened in the held-out blocks", hint="load newer data, or ask for fewer folds"
        )
    return able[min(usable, key=lambda label: board[label][metric])]


def _golden(candidate: Candidate, parts: Mapping[str, bytes], held: Mapping[str, Array], lesson: Lesson) -> dict[str, Table]:
    """Return questions and the answers that the dumped parts give to them: what a worker must reproduce before it serves."""
    state = candidate.recipe.load(parts)
    expand = getattr(candidate.recipe, "expand", None)
    if expand is None:
        raise LearnFailed(f"{candidate.label} cannot say what it can be asked")
    asked: Table = expand(state, None, {})
    rows = np.unique(np.linspace(0, len(asked) - 1, GOLDEN).astype(int))
    asked = asked.take(rows)
    return {"asked": asked, "answers": candidate.recipe.predict(state, asked)}


def manifest_facts(trained: Trained) -> str:
    """Write a trained outcome's plain facts as JSON: what crosses the process boundary."""
    return json.dumps(
        {"recipe": trained.recipe, "params": dict(trained.params), "scores": dict(trained.scores), "facts": dict(trained.facts)}
    )


def trained_from(said: str, parts: Mapping[str, bytes], board: Table) -> Trained:
    """Read a trained outcome back."""
    plain = json.loads(said)
    return Trained(plain["recipe"], plain["params"], parts, board, plain["scores"], plain["facts"])
