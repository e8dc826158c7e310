"""Learning with small recipes whose quality is known by construction."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from tradewind.core.bundle import pack_arrays, unpack_arrays
from tradewind.core.errors import Cancelled, LearnFailed
from tradewind.core.model import Budget, Goal, Knob, Model, Progress
from tradewind.core.schema import Column, Role, Schema, Type
from tradewind.core.table import Table
from tradewind.training.learn import Candidate, Lesson, compare, learn, manifest_facts, trained_from

KEYS = (Column("date", Role.TIME, Type.DATE, True), Column("product", Role.ENTITY, Type.TEXT, True))
SCHEMA = Schema((*KEYS, Column("units", Role.TARGET, required=True)))
GIVES = Schema((*KEYS, Column("mean", Role.OUTPUT), Column("p50", Role.OUTPUT, required=True)))
MODEL = Model("toy", "How much?", "forecast", "toy", ("sales",), Schema(KEYS), SCHEMA, GIVES, Goal("wape"), ("flat", "weekly"))


def table(days: int = 84) -> Table:
    dates = np.datetime64("2024-01-01") + np.arange(days)
    frames = [
        pl.DataFrame({"date": pl.Series(dates).cast(pl.Date), "product": [name] * days, "units": level * (1 + np.arange(days) % 7)})
        for name, level in (("a", 1.0), ("b", 3.0))
    ]
    return Table.from_frame(pl.concat(frames), SCHEMA)


class Shape:
    """Mean per weekday (or overall) of each product."""

    knobs = (Knob("scale", 1.0, 0.1, 10.0, meaning="multiplies the forecast"),)

    def __init__(self, name: str, *, weekly: bool, fails: bool = False) -> None:
        self.name, self.weekly, self.fails, self.fits = name, weekly, fails, 0

    def fit(self, seen: Table, params: Mapping[str, Any], seed: int) -> dict[str, Any]:
        self.fits += 1
        if self.fails:
            raise LearnFailed("cannot")
        known = seen.frame.filter(pl.col("units").is_not_null())
        by = ["product", pl.col("date").dt.weekday().alias("day")] if self.weekly else ["product"]
        means = known.group_by(by).agg(pl.col("units").mean()).to_dicts()
        last = known["date"].max()
        return {"means": {f"{row['product']}{row.get('day', '')}": row["units"] * params["scale"] for row in means}, "last": str(last)}

    def predict(self, state: dict[str, Any], asked: Table) -> Table:
        days = (asked.column("date").astype("i8") + 3) % 7 + 1
        said = [state["means"][f"{name}{day if self.weekly else ''}"] for name, day in zip(asked.column("product"), days, strict=True)]
        return Table.from_columns(
            {"product": asked.column("product"), "date": asked.column("date"), "mean": np.array(said), "p50": np.array(said)}, GIVES
        )

    def dump(self, state: dict[str, Any]) -> dict[str, bytes]:
        return {"state.json": json.dumps(state).encode()}

    def load(self, parts: Mapping[str, bytes]) -> dict[str, Any]:
        return dict(json.loads(parts["state.json"]))

    def expand(self, state: dict[str, Any], horizon: int | None, where: Mapping[str, Any]) -> Table:
        dates = np.datetime64(state["last"]) + 1 + np.arange(horizon or 7)
        return Table.from_columns({"product": np.repeat(np.array(["a", "b"], object), len(dates)), "date": np.tile(dates, 2)})


def lesson(*recipes: Shape, kept: Mapping[str, bytes] | None = None, days: int = 84, **params: Any) -> Lesson:
    candidates = tuple(Candidate(recipe.name, recipe, params) for recipe in recipes)
    return Lesson(MODEL, candidates, table(days), Budget(), 0, 7, kept or {})


def test_the_better_recipe_wins_and_the_baseline_is_beside_it() -> None:
    trained, golden = learn(lesson(Shape("flat", weekly=False), Shape("weekly", weekly=True)))
    assert trained.recipe == "weekly"
    assert trained.scores["wape"] == pytest.approx(0, abs=1e-9)
    assert trained.scores["gain"] == pytest.approx(1)
    assert trained.leaderboard.column("recipe").tolist() == ["weekly", "flat"]
    assert trained.facts["horizon"] == 7 and trained.facts["folds"] == 3
    again = Shape("weekly", weekly=True)
    said = again.predict(again.load(trained.parts), golden["asked"])
    np.testing.assert_allclose(said.column("p50"), golden["answers"].column("p50"))


def test_where_nothing_beats_the_baseline_the_baseline_wins() -> None:
    trained, _ = learn(lesson(Shape("weekly", weekly=True), Shape("flat", weekly=False)))
    assert trained.recipe == "weekly" and trained.scores["gain"] == 0


def test_a_recipe_that_fails_is_said_and_passed_over() -> None:
    board, _, facts = compare(lesson(Shape("flat", weekly=False), Shape("broken", weekly=True, fails=True)))
    assert list(board) == ["flat"] and facts["failed"] == {"broken": "cannot"}


def test_a_baseline_that_fails_is_an_error() -> None:
    with pytest.raises(LearnFailed, match="cannot"):
        compare(lesson(Shape("flat", weekly=False, fails=True)))


def test_a_stopped_run_goes_on_where_it_stopped() -> None:
    kept: dict[str, bytes] = {}

    def keep(name: str, data: bytes) -> None:
        kept[name] = data
        if len(kept) == 4:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        compare(lesson(Shape("flat", weekly=False), Shape("weekly", weekly=True)), progress=Progress(keep=keep))
    flat, weekly = Shape("flat", weekly=False), Shape("weekly", weekly=True)
    whole = Shape("flat", weekly=False), Shape("weekly", weekly=True)
    resumed, _, _ = compare(lesson(flat, weekly, kept=kept))
    fresh, _, _ = compare(lesson(*whole))
    assert flat.fits + weekly.fits == 2, "four of the six pieces were done before"
    assert resumed["weekly"]["wape"] == fresh["weekly"]["wape"] and resumed["flat"]["wape"] == fresh["flat"]["wape"] > 0


def test_a_kept_piece_is_plain_columns() -> None:
    kept: dict[str, bytes] = {}
    compare(lesson(Shape("flat", weekly=False)), progress=Progress(keep=kept.__setitem__))
    columns = unpack_arrays(next(iter(kept.values())))
    assert {"truth", "p50", "block", "horizon", "seconds"} <= set(columns)
    assert pack_arrays(columns) == next(iter(kept.values()))


def test_too_little_history_is_said() -> None:
    with pytest.raises(LearnFailed, match="too few"):
        compare(lesson(Shape("flat", weekly=False), days=3))


def test_the_incumbent_is_scored_but_cannot_win() -> None:
    weekly = Shape("weekly", weekly=True)
    given = Lesson(MODEL, (Candidate("flat", Shape("flat", weekly=False), {}), Candidate("incumbent", weekly, {})), table(), Budget(), 0, 7)
    trained, _ = learn(given)
    assert trained.recipe == "flat" and "incumbent" in trained.leaderboard.column("recipe").tolist()


def test_plain_facts_cross_the_process_boundary() -> None:
    trained, _ = learn(lesson(Shape("flat", weekly=False), Shape("weekly", weekly=True)))
    again = trained_from(manifest_facts(trained), trained.parts, trained.leaderboard)
    assert (again.recipe, again.scores, again.facts) == (trained.recipe, trained.scores, trained.facts)


class Pointed(Shape):
    """A shape that also says a point for percentage errors: its median times a factor."""

    def __init__(self, name: str, *, weekly: bool, times: float) -> None:
        super().__init__(name, weekly=weekly)
        self.times = times

    def predict(self, state: dict[str, Any], asked: Table) -> Table:
        said = super().predict(state, asked)
        return said.with_columns({"least_mape": said.column("p50") * self.times})


def test_where_all_say_the_point_for_percentages_its_error_chooses_what_serves() -> None:
    flat, weekly = Pointed("flat", weekly=False, times=0.5), Pointed("weekly", weekly=True, times=4.0)
    trained, _ = learn(lesson(flat, weekly))
    assert trained.recipe == "flat" and trained.scores["mape"] < 1
    names, mapes = trained.leaderboard.column("recipe").tolist(), trained.leaderboard.column("mape").tolist()
    assert names == ["flat", "weekly"] and mapes[0] == trained.scores["mape"] and mapes[1] == pytest.approx(3)
    plain, _ = learn(lesson(flat, Shape("weekly", weekly=True)))
    assert plain.recipe == "weekly" and "mape" not in plain.scores


def test_what_serves_now_without_such_a_point_does_not_change_what_chooses() -> None:
    given = lesson(Pointed("flat", weekly=False, times=0.5), Pointed("weekly", weekly=True, times=4.0))
    serves = Candidate("incumbent", Shape("weekly", weekly=True), {})
    trained, _ = learn(replace(given, candidates=(*given.candidates, serves)))
    assert trained.recipe == "flat" and trained.leaderboard.column("recipe").tolist()[0] == "flat"
    assert np.isnan(trained.leaderboard.column("mape")[trained.leaderboard.column("recipe").tolist().index("incumbent")])


def test_a_forecast_recipe_that_was_named_is_learned_though_another_did_better() -> None:
    given = lesson(Shape("weekly", weekly=True), Shape("flat", weekly=False))
    assert learn(given)[0].recipe == "weekly"
    assert learn(replace(given, named=("flat",)))[0].recipe == "flat"
