"""Exams set by a model's own judge: the same for every recipe, the best learns everything, an earlier run is not repeated."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tradewind import models
from tradewind.core.errors import LearnFailed
from tradewind.core.model import Budget, Exam, Goal, Marks, Progress
from tradewind.core.table import Table
from tradewind.registry.gates import goal
from tradewind.training import examine, score
from tradewind.training.learn import Lesson, leaderboard, winner
from tradewind.training.roll import Candidate


class Constant:
    """Answer the mean of what was learned, times a knob."""

    knobs: tuple[Any, ...] = ()

    def __init__(self, name: str, times: float, broken: bool = False) -> None:
        self.name, self.times, self.broken, self.fits = name, times, broken, 0

    def fit(self, table, params, seed):
        self.fits += 1
        if self.broken:
            raise LearnFailed("it cannot", hint="ask another")
        return float(table.column("y").mean()) * self.times

    def predict(self, state, asked):
        return Table.from_columns({"y": np.full(len(asked), state)})

    def dump(self, state):
        return {"mean.json": json.dumps(state).encode()}

    def load(self, parts):
        return json.loads(parts["mean.json"])


class Halves:
    """Learn from one half, be asked of the other."""

    def exams(self, table, *, folds, seed):
        rows = np.random.default_rng(seed).permutation(len(table))
        for part in np.array_split(rows, folds):
            held = np.isin(rows, part)
            yield Exam(table.take(rows[~held]), table.take(rows[held]).select(["x"]), table.take(rows[held]).select(["y"]))

    def marks(self, exams, answers):
        wrong = [np.abs(exam.truth.column("y") - said.column("y")) for exam, said in zip(exams, answers, strict=True)]
        return Marks({"mae": float(np.concatenate(wrong).mean())}, np.concatenate(wrong), np.arange(sum(map(len, wrong))))


class Listed(Halves):
    def exams(self, table, *, folds, seed):
        return list(super().exams(table, folds=folds, seed=seed))


def lesson(*recipes: Constant, **more: Any) -> Lesson:
    table = Table.from_columns({"x": np.arange(60.0), "y": 10 + np.sin(np.arange(60.0))})
    model = replace(models.get("demand"), goal=Goal("mae"), recipes=tuple(one.name for one in recipes))
    return Lesson(model, tuple(Candidate(one.name, one, {}) for one in recipes), table, Budget(folds=4), 5, **more)


def test_the_best_on_the_exams_learns_everything():
    good, poor = Constant("good", 1.0), Constant("poor", 2.0)
    trained, golden = examine.learn(lesson(poor, good), Listed())
    assert trained.recipe == "good" and good.fits == 5 and poor.fits == 4
    assert trained.leaderboard.column("recipe").tolist() == ["good", "poor"]
    assert trained.scores["mae"] < 1 and trained.scores["gain"] > 0.8 and trained.scores["gain_error"] < 0.1
    assert json.loads(trained.parts["mean.json"]) == pytest.approx(lesson(good).table.column("y").mean())
    assert golden["answers"].column("y")[0] == json.loads(trained.parts["mean.json"]) and golden["asked"].names == ("x",)


def test_one_that_cannot_learn_is_listed_with_the_reason_and_the_baseline_must():
    board, facts = examine.compare(lesson(Constant("base", 2.0), Constant("bad", 1.0, broken=True)), Listed())
    assert list(board) == ["base"] and facts["failed"] == {"bad": "it cannot (ask another)"}
    ranked = leaderboard(board, facts["failed"], metric="mae")
    assert ranked.column("note").tolist() == ["", "it cannot (ask another)"]
    with pytest.raises(LearnFailed, match="it cannot"):
        examine.compare(lesson(Constant("base", 1.0, broken=True)), Listed())


def test_finished_exams_are_not_sat_twice():
    pieces: dict[str, bytes] = {}
    first = examine.compare(lesson(Constant("base", 2.0), Constant("good", 1.0)), Listed(), progress=Progress(keep=pieces.__setitem__))
    again = Constant("base", 2.0), Constant("good", 1.0)
    second = examine.compare(lesson(*again, kept=pieces), Listed())
    assert len(pieces) == 8 and again[0].fits == again[1].fits == 0
    assert first[0]["good"]["mae"] == second[0]["good"]["mae"] and first[0]["good"]["seconds"] == second[0]["good"]["seconds"]


def test_nothing_to_ask_is_no_exam():
    class Empty(Halves):
        def exams(self, table, *, folds, seed):
            return []

    with pytest.raises(LearnFailed, match="nothing of this table"):
        examine.compare(lesson(Constant("base", 1.0)), Empty())


def test_what_an_earlier_version_knew_is_kept_by_its_own_recipe():
    class Keeper(Constant):
        def remember(self, state, earlier):
            return state + 1000 * earlier

    given = {"earlier": {"mean.json": b"3.0"}, "earlier_recipe": "good"}
    trained, _ = examine.learn(lesson(Constant("poor", 2.0), Keeper("good", 1.0), **given), Listed())
    assert json.loads(trained.parts["mean.json"]) > 3000
    other, _ = examine.learn(lesson(Constant("poor", 2.0), Keeper("good", 1.0), **{**given, "earlier_recipe": "poor"}), Listed())
    assert json.loads(other.parts["mean.json"]) < 20


def test_a_preferred_recipe_gives_way_only_to_one_that_is_clearly_better():
    base, close, far = Constant("base", 2.0), Constant("close", 1.003), Constant("far", 1.6)
    rival = Constant("rival", 1.0)
    for wanted, expected in ((close, "close"), (far, "rival")):
        given = lesson(base, rival, wanted)
        given = replace(given, model=replace(given.model, prefers=wanted.name))
        trained, _ = examine.learn(given, Listed())
        board = trained.leaderboard.column("recipe").tolist()
        assert trained.recipe == expected and board[0] == "rival"  # the leaderboard hides nothing


def apart(board):
    """Compare two rows of a board by their gains over the baseline."""
    return lambda one, other: (board[one]["gain"] - board[other]["gain"], max(board[one]["gain_error"], board[other]["gain_error"]))


def test_what_says_what_levers_do_serves_whatever_foresees_better():
    given = lesson(*(Constant(name, 1.0) for name in ("base", "first", "second", "rival")))
    given = replace(given, model=replace(given.model, serves=("first", "second")))
    metric = given.model.goal.metric

    def chosen(**errors: float) -> str:
        board = {name: {metric: value, "gain": 1 - value, "gain_error": 0.001} for name, value in errors.items()}
        return winner(given, board, ahead=apart(board)).label

    assert chosen(base=1.0, first=3.0, second=0.5, rival=0.1) == "first"
    assert chosen(base=1.0, second=3.0, rival=0.1) == "second"  # the first could not be learned
    assert chosen(base=1.0, rival=0.1) == "rival"


def test_two_recipes_are_compared_with_each_other_where_that_is_known():
    base, wanted, rival = Constant("base", 2.0), Constant("wanted", 1.1), Constant("rival", 1.0)
    given = lesson(base, wanted, rival)
    given = replace(given, model=replace(given.model, prefers="wanted"))
    metric = given.model.goal.metric
    board = {
        name: {metric: value, "gain": 1 - value, "gain_error": 0.1} for name, value in (("base", 1.0), ("wanted", 0.52), ("rival", 0.5))
    }

    def compared(error: float) -> str:
        return winner(given, board, ahead=lambda one, other: (0.04, error) if (one, other) == ("rival", "wanted") else (0.0, 0.0)).label

    assert winner(given, board, ahead=apart(board)).label == "wanted"  # by the wide error of two gains over the baseline
    assert (compared(0.015), compared(0.03)) == ("rival", "wanted")


def test_few_groups_make_no_recipe_clearly_better():
    rng = np.random.default_rng(0)
    clear = {}
    for count in (3, 30):
        groups = np.arange(count).repeat(4)
        won = []
        for _ in range(400):
            ours, theirs = (1 + rng.normal(0, 0.1, count).repeat(4) for _ in range(2))  # neither is better
            share, error = score.paired(theirs, ours, groups)
            won.append(share > 2 * error)
        clear[count] = float(np.mean(won))
    assert clear[3] < 0.05 and clear[30] < 0.05
    assert score.paired(np.ones(4), np.full(4, 0.5), np.zeros(4))[1] > 0.5


def test_a_recipe_that_was_named_is_learned_though_the_baseline_did_better():
    base, poor = Constant("base", 1.0), Constant("poor", 2.0)
    trained, _ = examine.learn(lesson(base, poor, named=("poor",)), Listed())
    assert trained.recipe == "poor" and trained.leaderboard.column("recipe").tolist() == ["base", "poor"]
    assert examine.learn(lesson(base, poor, named=("base",)), Listed())[0].recipe == "base"
    assert examine.learn(lesson(base, poor), Listed())[0].recipe == "base"


def test_a_named_recipe_that_cannot_be_learned_is_no_baseline():
    class Broken(Constant):
        def fit(self, table, params, seed):
            raise LearnFailed("nothing fits", hint="load more")

    with pytest.raises(LearnFailed, match=r"broken: nothing fits \(load more\)"):
        examine.learn(lesson(Constant("base", 1.0), Broken("broken", 2.0), named=("broken",)), Listed())


def test_roi_serves_its_posterior_and_the_gate_refuses_it_past_two_standard_errors():
    roi = models.get("roi")
    given = lesson(Constant("ridge", 1.0), Constant("fast", 1.0))
    given = replace(given, model=replace(roi, recipes=("ridge", "fast")))
    for gain, passes in ((-0.19, True), (-0.21, False)):
        board = {name: {"wape": 0.05 * (1 - more), "gain": more, "gain_error": 0.1} for name, more in (("ridge", 0.0), ("fast", gain))}
        assert winner(given, board, ahead=apart(board)).label == "fast"
        assert goal(roi, {"scores": board["fast"]}).passed is passes
