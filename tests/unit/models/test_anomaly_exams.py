"""The exams of a training: enough incidents to tell recipes apart, also where there is one short series."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tradewind import models
from tradewind.core.errors import BadValue
from tradewind.core.model import settle
from tradewind.core.table import Table
from tradewind.models.anomaly import MODEL, judge
from tradewind.models.anomaly.assemble import assemble
from tradewind.models.anomaly.inject import plant

Array = np.ndarray[Any, Any]
DAYS = np.arange(np.datetime64("2024-01-01"), np.datetime64("2024-07-01"))


def usual() -> Array:
    week = np.where((DAYS.astype("i8") + 3) % 7 >= 5, 1.4, 1.0)
    return np.random.default_rng(0).poisson(60 * week).astype("f8")


def sales(units: Array, days: Array = DAYS) -> Table:
    product = np.empty(len(days), object)
    product[:] = "A"
    return Table.from_columns({"date": days, "product": product, "units": units})


def verdicts(exam: Any, score: Array) -> Table:
    value = exam.asked.column("units")
    return Table.from_columns({"score": score, "alert": (score > 0.5).astype("i8"), "lo80": value - 1, "hi80": value + 1})


@pytest.mark.parametrize("count", [45, 100, 181])
def test_one_short_series_is_examined_often_enough_to_tell_recipes_apart(count: int) -> None:
    found = judge.exams(assemble({"sales": sales(usual()[:count], DAYS[:count])}), folds=3, seed=0)
    assert len(found) == 3 * judge.MOST_ROUNDS
    value = {float(day): float(units) for day, units in zip(DAYS.astype("i8"), usual(), strict=True)}
    planted = []
    for exam in found:
        wrong = exam.truth.column("wrong") > 0.5
        clean = [value[day] for day in exam.asked.column("date")[~wrong].astype("M8[D]").astype("i8").tolist()]
        assert exam.asked.column("units")[~wrong].tolist() == clean, "nothing but incidents was changed"
        planted.append(int(wrong.sum()))
    assert sum(planted) >= 8
    marks = judge.marks(found, [verdicts(exam, exam.truth.column("wrong")) for exam in found])
    assert 3 <= len(np.unique(marks.groups)) <= len(found)


def test_exams_on_one_stretch_err_together_and_a_small_incident_is_smaller() -> None:
    found = judge.exams(assemble({"sales": sales(usual())}), folds=3, seed=0)
    marks = judge.marks(found, [verdicts(exam, np.zeros(len(exam.truth))) for exam in found])
    assert len(np.unique(marks.groups)) == 3
    value = np.full((40, 300), 1000.5)
    far = [np.abs(plant(value, np.zeros(value.shape), 100, rate=4, seed=1, size=size).value - value).sum() for size in (1.0, 0.5)]
    assert far[1] == pytest.approx(far[0] / 2)


@pytest.mark.parametrize("recipe", MODEL.recipes)
def test_a_figure_beyond_reckoning_is_left_out_and_said_and_a_new_one_refused(recipe: str) -> None:
    units = usual()
    units[170] = 1e300
    table = assemble({"sales": sales(units)})
    chosen = models.recipe("anomaly", recipe)
    state = chosen.fit(table, settle(chosen.knobs, {}), 0)
    told = chosen.predict(state, chosen.expand(state, len(DAYS), {}))
    assert DAYS[170] not in told.column("date").tolist() and len(told) == len(DAYS) - 1
    assert any("must be a slip" in note for note in chosen.notes(state, told))
    assert all(np.isfinite(told.column(name)).all() for name in ("score", "mean", "lo95", "hi95", "severity"))
    with pytest.raises(BadValue, match="must be a slip"):
        asked = {"date": DAYS[-1:] + 1, "product": table.column("product")[:1], "units": np.array([1e300])}
        chosen.predict(state, Table.from_columns(asked))
    for exam in judge.exams(table, folds=3, seed=0):
        seen = chosen.fit(exam.seen, settle(chosen.knobs, {}), 0)
        assert np.isfinite(chosen.predict(seen, exam.asked).column("lo95")).all()
        assert exam.asked.column("units").max() < 1e18
