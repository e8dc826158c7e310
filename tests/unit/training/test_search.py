"""The search finds what is better by construction, keeps to its budget, and never looks at the blocks that decide."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
import pytest

from tradewind.core.errors import Cancelled, LearnFailed
from tradewind.core.model import Knob, Progress
from tradewind.core.schema import Column, Role, Schema, Type
from tradewind.core.table import Table
from tradewind.training.search import OVER, Trial, best, early, search, searched

SCHEMA = Schema(
    (
        Column("date", Role.TIME, Type.DATE, True),
        Column("product", Role.ENTITY, Type.TEXT, True),
        Column("units", Role.TARGET, required=True),
    )
)


def table(days: int = 120) -> Table:
    dates = np.datetime64("2024-01-01") + np.arange(days)
    frame = pl.DataFrame({"date": pl.Series(dates).cast(pl.Date), "product": ["a"] * days, "units": 10.0 + np.arange(days) % 3})
    return Table.from_frame(frame, SCHEMA)


def work(seconds: float) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


class Scaled:
    """The mean times a knob; best at 1. `shape` "bad" fails and "void" says nothing."""

    name = "scaled"
    knobs = (
        Knob("scale", 1.6, 0.5, 2.0, meaning="1 is right"),
        Knob("shape", "good", choices=("good", "bad", "void"), meaning="two of them fail"),
        Knob("fast", True, meaning="nothing"),
        Knob("trees", 10, 1, 100, log=True, meaning="nothing"),
        Knob("fixed", 1.0, 0.0, 2.0, meaning="opted out", tune=False),
        Knob("free", 1.0, meaning="without a range"),
        Knob("threads", 1, 1, 8, meaning="never"),
        Knob("horizon", 0, 0, 99, meaning="never"),
    )

    def __init__(self, seconds: float = 0.01) -> None:
        self.seconds, self.fits, self.last = seconds, 0, ""

    def fit(self, seen: Table, params: Mapping[str, Any], seed: int) -> float:
        self.fits += 1
        units = seen.column("units").astype("f8")
        self.last = max(self.last, str(seen.column("date").max()))
        work(self.seconds)
        if params["shape"] == "bad":
            raise ZeroDivisionError("a library's own error")
        return float("nan") if params["shape"] == "void" else float(np.nanmean(units)) * params["scale"]

    def predict(self, state: float, asked: Table) -> Table:
        return Table.from_columns({"p50": np.full(len(asked), state)})

    def dump(self, state: float) -> dict[str, bytes]:
        return {}

    def load(self, parts: Mapping[str, bytes]) -> float:
        return 0.0


def test_better_knobs_are_found_and_every_trial_is_handed_out() -> None:
    kept: dict[str, bytes] = {}
    found, trials = search(Scaled(), table(), horizon=7, folds=2, seconds=1.5, progress=Progress(keep=kept.__setitem__))
    assert abs(found["scale"] - 1.0) < 0.15 and found["shape"] == "good"
    assert (found["fixed"], found["free"], found["threads"], found["horizon"]) == (1.0, 1.0, 1, 0)
    assert trials[0].params["scale"] == 1.6, "the default is the first trial"
    assert [Trial.from_dict(json.loads(data)) for data in kept.values()] == trials
    assert list(kept) == [f"trial/scaled/{at}" for at in range(len(trials))]
    assert {trial.state for trial in trials} >= {"done", "failed"}
    failed = next(trial for trial in trials if trial.state == "failed" and trial.params["shape"] == "bad")
    assert failed.value is None and "ZeroDivisionError: a library's own error" in failed.error


@pytest.mark.parametrize("seconds", [0.3, 1.0])
def test_it_keeps_to_its_budget_of_processor_seconds(seconds: float) -> None:
    began = time.process_time()
    _, trials = search(Scaled(0.02), table(), horizon=7, folds=3, seconds=seconds)
    done = [trial for trial in trials if trial.state == "done"]
    assert sum(trial.seconds for trial in trials) >= seconds * 0.5
    spent = 0.0
    for trial in trials:
        spent += trial.seconds
        assert trial not in done or spent <= OVER * seconds, "a trial that ends past it does not count"
    assert time.process_time() - began < OVER * seconds + 1.0


class Slow(Scaled):
    """Every other scale than the default takes a second a block."""

    def fit(self, seen: Table, params: Mapping[str, Any], seed: int) -> float:
        work(0.0 if params["scale"] == 1.6 else 1.0)
        return super().fit(seen, params, seed)


def test_a_slow_trial_is_given_up_after_a_block() -> None:
    slow = Slow()
    found, trials = search(slow, table(), horizon=7, folds=4, seconds=0.5, fixed={"shape": "good", "fast": True, "trees": 10})
    assert [trial.state for trial in trials] == ["done", "pruned"]
    assert slow.fits == 4 + 1 and found["scale"] == 1.6, "it would have been better, but it does not count"


def test_where_nothing_beats_the_given_knobs_they_are_returned() -> None:
    found, trials = search(Scaled(), table(), horizon=7, folds=2, seconds=0.4, fixed={"scale": 1.0, "shape": "good"})
    assert len(trials) > 1 and found == dict(trials[0].params)
    assert all(trial.params["scale"] == 1.0 for trial in trials), "what the user chose is not searched"


def test_knobs_that_are_not_searched() -> None:
    assert [knob.name for knob in searched(Scaled.knobs, {"fast": False})] == ["scale", "shape", "trees"]
    given = {knob.name: knob.default for knob in Scaled.knobs if knob.name in ("scale", "shape", "fast", "trees")}
    recipe = Scaled()
    found, trials = search(recipe, table(), horizon=7, folds=2, seconds=9, fixed=given)
    assert (found["scale"], trials, recipe.fits) == (1.6, [], 0), "nothing to search costs nothing"


def test_a_resumed_search_does_not_repeat_its_trials_nor_its_budget() -> None:
    kept: list[Trial] = []

    def keep(name: str, data: bytes) -> None:
        kept.append(Trial.from_dict(json.loads(data)))
        if len(kept) == 5:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        search(Scaled(), table(), horizon=7, folds=2, seconds=1.0, seed=3, progress=Progress(keep=keep))
    assert len(kept) == 5
    _, trials = search(Scaled(), table(), horizon=7, folds=2, seconds=1.0, seed=3, before=kept)
    assert trials[:5] == kept and [trial.number for trial in trials] == list(range(len(trials)))
    assert len({json.dumps(dict(trial.params)) for trial in trials}) == len(trials)
    recipe = Scaled()
    found, again = search(recipe, table(), horizon=7, folds=2, seconds=sum(trial.seconds for trial in trials), seed=3, before=trials)
    assert (again, recipe.fits, found) == (trials, 0, best(trials, {}))


def test_trials_of_another_recipe_do_not_count() -> None:
    other = Trial("other", 0, {"scale": 1.0}, 0.0, 99.0, "done")
    _, trials = search(Scaled(), table(), horizon=7, folds=2, seconds=0.1, before=[other])
    assert trials and other not in trials


def test_the_same_seed_tries_the_same_knobs() -> None:
    first, second = (search(Scaled(0.0), table(), horizon=7, folds=2, seconds=0.2, seed=5)[1] for _ in range(2))
    shared = min(len(first), len(second), 8)
    assert shared >= 3 and [trial.params for trial in first[:shared]] == [trial.params for trial in second[:shared]]


def test_knobs_that_always_fail_end_the_search() -> None:
    found, trials = search(Scaled(0.0), table(), horizon=7, folds=2, seconds=99, fixed={"shape": "bad"})
    assert {trial.state for trial in trials} == {"failed"} and len(trials) < 20 and found["shape"] == "bad"


def test_a_small_space_is_tried_once_each() -> None:
    fixed = {"scale": 1.0, "trees": 10, "shape": "good"}
    _, trials = search(Scaled(0.0), table(), horizon=7, folds=2, seconds=99, fixed=fixed)
    assert sorted(trial.params["fast"] for trial in trials) == [False, True]


def test_no_block_of_the_leaderboard_is_looked_at() -> None:
    whole, recipe = table(), Scaled()
    cut = early(whole, folds=3, horizon=10)
    assert len(cut) == 120 - 30 and str(cut.column("date").max()) == "2024-03-30"
    search(recipe, cut, horizon=10, folds=2, seconds=0.1)
    assert recipe.last == "2024-03-30"


def test_too_little_history_is_said() -> None:
    with pytest.raises(LearnFailed, match="too few"):
        search(Scaled(), early(table(40), folds=3, horizon=10), horizon=10, folds=2, seconds=1)
