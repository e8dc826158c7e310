"""Learn what is no forecast on a grid: every recipe sits the exams that the model's own judge sets, the best learns everything."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from tradewind.core.bundle import join, split
from tradewind.core.errors import Cancelled, LearnFailed, TradewindError
from tradewind.core.model import SILENT, Exam, Judge, Marks, Progress, Recipe, Remembers, State, Trained, settle
from tradewind.core.table import Array, Table
from tradewind.training import score
from tradewind.training.learn import Lesson, leaderboard, winner
from tradewind.training.renew import golden_of
from tradewind.training.roll import Candidate

FOLDS = 3


def learn(lesson: Lesson, judge: Judge, *, progress: Progress = SILENT) -> tuple[Trained, dict[str, Table]]:
    """Examine every candidate, teach the winner everything; also return golden questions and answers.

    Raises LearnFailed where no candidate can be learned.
    """
    board, facts, exams, marks = _examined(lesson, judge, progress.part(0.0, 0.8))
    chosen = winner(lesson, board, ahead=partial(_ahead, marks), failed=facts.get("failed", {}))
    progress("fit", 0.8, f"{chosen.label} on everything")
    state = chosen.recipe.fit(lesson.table, settle(chosen.recipe.knobs, chosen.params), lesson.seed)
    state = _remembered(lesson, chosen.recipe, state, facts)
    progress("check", 0.97, "golden questions")
    parts = dict(chosen.recipe.dump(state))
    scores = {name: float(value) for name, value in board[chosen.label].items() if name != "note" and np.isfinite(value)}
    ranked = leaderboard(board, facts.get("failed", {}) | dict(lesson.skipped), metric=lesson.model.goal.metric)
    trained = Trained(chosen.recipe.name, settle(chosen.recipe.knobs, chosen.params), parts, ranked, scores, facts)
    asked = golden_of(chosen.recipe, parts, exams[-1].asked)
    progress("done", 1.0, chosen.label)
    return trained, asked


def _remembered(lesson: Lesson, recipe: Recipe, state: State, facts: dict[str, Any]) -> State:
    """Return the state with what the version that serves knew and this recipe keeps, such as names; said where that cannot be read."""
    if not lesson.earlier or lesson.earlier_recipe != recipe.name or not isinstance(recipe, Remembers):
        return state
    try:
        return recipe.remember(state, recipe.load(lesson.earlier))
    except TradewindError as error:
        facts["remembered"] = f"nothing of the version that serves: {error.message}"
        return state


def compare(lesson: Lesson, judge: Judge, *, progress: Progress = SILENT) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Examine every candidate; return label -> metrics, and facts of the data."""
    return _examined(lesson, judge, progress)[:2]


def _examined(
    lesson: Lesson, judge: Judge, progress: Progress
) -> tuple[dict[str, dict[str, Any]], dict[str, Any], Sequence[Exam], Mapping[str, Marks]]:
    exams = judge.exams(lesson.table, folds=lesson.budget.folds or FOLDS, seed=lesson.seed)
    if not exams or not all(len(exam.asked) for exam in exams):
        raise LearnFailed(f"nothing of this table can be held out to examine {lesson.model.name}", hint="load more history, or more rows")
    facts: dict[str, Any] = {"rows": len(lesson.table), "folds": len(exams), "seed": lesson.seed, "digest": lesson.table.digest()}
    facts["intervals"] = "said by the recipe, and judged on what was held out"
    marks: dict[str, Marks] = {}
    seconds: dict[str, float] = {}
    failed: dict[str, str] = {}
    for place, candidate in enumerate(lesson.candidates):
        part = progress.part(place / len(lesson.candidates), (place + 1) / len(lesson.candidates))
        try:
            answers, seconds[candidate.label] = _sat(candidate, exams, lesson, part)
            marks[candidate.label] = judge.marks(exams, answers)
        except Cancelled:
            raise
        except TradewindError as error:
            if candidate is lesson.candidates[0]:
                raise
            failed[candidate.label] = error.told()
    if failed:
        facts["failed"] = failed
    if lesson.search_s > 0:
        facts["unsearched"] = {one.label: f"knobs of {lesson.model.name} are chosen by its recipes" for one in lesson.candidates}
    return _board(marks, seconds, lesson.candidates[0].label), facts | dict(lesson.said), exams, marks


def _sat(candidate: Candidate, exams: Sequence[Exam], lesson: Lesson, progress: Progress) -> tuple[list[Table], float]:
    """Return a candidate's answers to every exam and the processor seconds they took; finished ones of an earlier run are kept."""
    answers: list[Table] = []
    seconds = 0.0
    for place, exam in enumerate(exams):
        progress("validate", place / len(exams), f"{candidate.label}, exam {place + 1} of {len(exams)}")
        piece = f"exam/{candidate.label}/{place}/{_digest(candidate, exam)}"
        if piece in lesson.kept:
            held = split(lesson.kept[piece])
            spent = float(held["seconds"])
            answers.append(Table.from_bytes(held["answer"]))
        else:
            began = time.process_time()
            answers.append(_answered(candidate, exam, lesson.seed))
            spent = time.process_time() - began
            progress.keep(piece, join({"answer": answers[-1].to_bytes(), "seconds": repr(spent).encode()}))
        seconds += spent
    return answers, seconds


def _answered(candidate: Candidate, exam: Exam, seed: int) -> Table:
    recipe = candidate.recipe
    state: State = recipe.fit(exam.seen, settle(recipe.knobs, candidate.params), seed)
    return recipe.predict(recipe.load(dict(recipe.dump(state))), exam.asked)  # what is examined is what would serve


def _digest(candidate: Candidate, exam: Exam) -> str:
    said = json.dumps(dict(candidate.params), sort_keys=True) + exam.seen.digest() + exam.asked.digest()
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def _board(marks: Mapping[str, Marks], seconds: Mapping[str, float], baseline: str) -> dict[str, dict[str, Any]]:
    base = marks[baseline]
    board: dict[str, dict[str, Any]] = {}
    for label, mark in marks.items():
        saved, error = _gain(base, mark)
        board[label] = {name: float(value) for name, value in mark.metrics.items()} | {
            "gain": saved,
            "gain_error": error,
            "seconds": seconds[label],
            "rows": float(len(mark.loss)),
            "note": "",
        }
    return board


def _ahead(marks: Mapping[str, Marks], one: str, other: str) -> tuple[float, float]:
    """Return the share of another's loss that one saves, row by row, and its standard error, wider where few groups told it."""
    theirs, ours = (np.asarray(marks[label].loss, "f8") for label in (other, one))
    return score.paired(theirs, ours, marks[other].groups)


def _gain(base: Marks, mark: Marks) -> tuple[float, float]:
    if len(base.loss) != len(mark.loss):
        raise LearnFailed(f"two recipes were judged on {len(base.loss)} and {len(mark.loss)} rows: their losses cannot be compared")
    theirs: Array = np.asarray(base.loss, "f8")
    return score.gain(theirs, np.asarray(mark.loss, "f8"), mark.groups)
