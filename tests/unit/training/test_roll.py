"""Through the folds: one fit and updates while the history is little older, a new fit where it is, pieces that are not done twice."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
import pytest

from tradewind.core.errors import LearnFailed
from tradewind.core.model import SILENT, Knob, Progress
from tradewind.core.schema import Column, Role, Schema, Type
from tradewind.core.table import Table
from tradewind.training.roll import Candidate, fitting, reached, roll
from tradewind.training.split import Fold, rolling_origin

SCHEMA = Schema((Column("date", Role.TIME, Type.DATE), Column("product", Role.ENTITY, Type.TEXT), Column("units", Role.TARGET)))
HORIZON = 5


def folds(days: int, count: int = 4) -> tuple[Fold, ...]:
    dates = np.datetime64("2024-01-01") + np.arange(days)
    frame = pl.DataFrame({"date": pl.Series(dates).cast(pl.Date), "product": ["a"] * days, "units": np.arange(days, dtype="f8")})
    return tuple(rolling_origin(Table.from_frame(frame, SCHEMA), folds=count, horizon=HORIZON))


class Plain:
    """Repeats the last value and cannot be moved on; counts how often it was fitted."""

    name = "last"
    knobs: tuple[Knob, ...] = ()

    def __init__(self, answer: float | None = None) -> None:
        self.fits: list[float] = []
        self.updates: list[float] = []
        self.answer = answer

    def _end(self, table: Table) -> float:
        known = table.column("units").astype("f8")
        return float(known[np.isfinite(known)][-1])

    def fit(self, table: Table, params: Mapping[str, Any], seed: int) -> dict[str, Any]:
        self.fits.append(self._end(table))
        return {"last": self.fits[-1], "blocks": 0}

    def predict(self, state: dict[str, Any], asked: Table) -> Table:
        said = np.full(len(asked), state["last"] if self.answer is None else self.answer)
        return Table.from_columns({"product": asked.column("product"), "date": asked.column("date"), "mean": said, "p50": said})

    def dump(self, state: dict[str, Any]) -> dict[str, bytes]:
        return {"state.json": json.dumps(state).encode()}

    def load(self, parts: Mapping[str, bytes]) -> dict[str, Any]:
        return dict(json.loads(parts["state.json"]))


class Last(Plain):
    """Can be moved on, and remembers how many blocks it was."""

    def update(self, state: dict[str, Any], table: Table) -> dict[str, Any]:
        self.updates.append(self._end(table))
        return {"last": self.updates[-1], "blocks": state["blocks"] + 1}

    def remember(self, state: dict[str, Any], earlier: dict[str, Any]) -> dict[str, Any]:
        return {**state, "blocks": earlier["blocks"]}


def through(recipe: Plain, days: int, *, kept: Mapping[str, bytes] | None = None, progress: Progress = SILENT) -> Any:
    candidate = Candidate("last", recipe, {})
    return candidate, roll(candidate, folds(days), fitting(candidate, 0), kept=kept or {}, progress=progress)


def test_a_long_history_is_fitted_once_and_moved_on() -> None:
    recipe = Last()
    _, run = through(recipe, 400)
    assert recipe.fits == [379] and recipe.updates == [384, 389, 394]
    assert [columns["p50"][0] for columns in run.columns] == [379, 384, 389, 394]
    assert [state["blocks"] for state in run.states.values()] == [0, 1, 2, 3]


def test_a_short_history_is_fitted_anew_and_keeps_what_it_saw() -> None:
    recipe = Last()
    _, run = through(recipe, 50)
    assert recipe.fits == [29, 34, 39], "5 new periods are more than an eighth of 35, and no more than that of 40"
    assert [columns["p50"][0] for columns in run.columns] == [29, 34, 39, 44]
    assert [state["blocks"] for state in run.states.values()] == [0, 1, 2, 3], "a new fit remembers the blocks before it"


def test_a_recipe_that_cannot_move_on_is_fitted_at_every_fold() -> None:
    recipe = Plain()
    through(recipe, 400)
    assert recipe.fits == [379, 384, 389, 394]


def test_what_was_said_lies_beside_what_came() -> None:
    _, run = through(Last(), 400)
    joined = run.joined()
    assert joined["truth"].tolist() == list(range(380, 400))
    assert joined["horizon"].tolist() == [1, 2, 3, 4, 5] * 4 and joined["block"].tolist() == np.repeat(np.arange(4), 5).tolist()
    assert run.seconds >= 0


def test_pieces_of_an_earlier_run_are_not_done_twice() -> None:
    kept: dict[str, bytes] = {}
    _, first = through(Last(), 400, progress=Progress(keep=kept.__setitem__))
    again = Last()
    candidate, second = through(again, 400, kept=kept)
    assert not again.fits and not again.updates
    np.testing.assert_array_equal(second.joined()["p50"], first.joined()["p50"])
    state = reached(candidate, second, folds(400), fitting(candidate, 0), kept=kept)
    assert state == {"last": 394, "blocks": 3}
    assert not again.fits and len(again.updates) == 3, "the fit was kept, the way from it is walked again"


def test_a_run_that_stopped_goes_on_from_its_last_piece() -> None:
    kept: dict[str, bytes] = {}
    through(Last(), 400, progress=Progress(keep=kept.__setitem__))
    part = {name: data for name, data in kept.items() if "/2/" not in name and "/3/" not in name}
    assert 0 < len(part) < len(kept)
    again = Last()
    _, run = through(again, 400, kept=part)
    assert not again.fits and [columns["p50"][0] for columns in run.columns] == [379, 384, 389, 394]


def test_pieces_of_other_knobs_are_not_taken() -> None:
    kept: dict[str, bytes] = {}
    through(Last(), 400, progress=Progress(keep=kept.__setitem__))

    class Turned(Last):
        knobs = (Knob("size", 1, 1, 9),)

    again = Turned()
    candidate = Candidate("last", again, {"size": 2})
    roll(candidate, folds(400), fitting(candidate, 0), kept=kept, progress=SILENT)
    assert again.fits == [379]


def test_a_forecast_that_is_no_number_is_refused() -> None:
    with pytest.raises(LearnFailed, match="not a number"):
        through(Last(float("nan")), 400)
