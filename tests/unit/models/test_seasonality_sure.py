"""How sure seasonality is: indices and shifts of monthly series hold the truth as often as their intervals say."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from tradewind.core.table import Table
from tradewind.data.align import align
from tradewind.models import recipe
from tradewind.models.seasonality import learned as work
from tradewind.models.seasonality.assemble import assemble

MONTHS = np.array([1.1, 0.9, 0.95, 0.95, 1.0, 1.05, 1.1, 0.8, 0.95, 1.0, 1.1, 1.35])
SERIES, YEARS = 20, 5


def learned(name, *, dip=False):
    """Return what is told of twenty series of five years of months whose season never moves."""
    rng = np.random.default_rng(11)
    at = np.arange(12 * YEARS)
    parts = []
    for series in range(SERIES):
        value = 1e5 * 1.006**at * MONTHS[at % 12] * np.exp(0.03 * rng.normal(size=len(at)))
        value[31] *= 0.7 if dip else 1.0
        dates = [dt.date(2020 + k // 12, k % 12 + 1, 1) for k in at.tolist()]
        parts.append(pl.DataFrame({"date": dates, "geo": [f"g{series:02d}"] * len(at), "revenue": value}))
    made = recipe("seasonality", name)
    return made.effects(made.fit(align(assemble({"outcomes": Table.from_frame(pl.concat(parts))}))[0], {}, 0)).frame


@pytest.mark.parametrize("name", ["regression", "stl", "classical"])
def test_no_shift_is_claimed_where_there_is_none(name):
    said = learned(name).filter(pl.col("kind") == "days later")
    assert len(said) == SERIES * YEARS
    assert ((said["lo95"] > 0) | (said["hi95"] < 0)).mean() <= 0.10


@pytest.mark.parametrize("name", ["regression", "stl", "classical"])
@pytest.mark.parametrize("dip", [False, True])
def test_months_hold_the_truth_as_often_as_said(name, dip):
    truth = np.tile(np.log(MONTHS / MONTHS.mean()), SERIES)
    said = learned(name, dip=dip).filter(pl.col("lever") == "year", pl.col("kind") == "log index")
    for level, least in ((95, 0.87), (80, 0.68)):
        inside = (said[f"lo{level}"].to_numpy() <= truth) & (truth <= said[f"hi{level}"].to_numpy())
        assert inside.mean() >= least
    assert (said["hi95"] - said["lo95"]).mean() < 0.2


def test_a_year_that_came_late_is_told_with_what_is_left_of_it():
    months = pl.date_range(dt.date(2020, 1, 1), dt.date(2024, 12, 1), "1mo", eager=True)
    given = work.given(align(assemble({"outcomes": Table.from_frame(pl.DataFrame({"date": months, "revenue": np.full(60, 100.0)}))}))[0])
    index = np.log(MONTHS / MONTHS.mean())[None]
    slope = (np.roll(index, -1, 1) - np.roll(index, 1, 1)) / 61  # logs a day
    left = 0.01 * np.random.default_rng(0).normal(size=(1, 60))
    left[:, 24:36] -= 12 * slope
    told = {year: (days, error) for _, year, days, error in work.shifts(given, index, left, np.ones(1))}
    assert told[2022][0] == pytest.approx(12, abs=2.5) and told[2022][0] > 4 * told[2022][1]
    assert all(abs(days) < 2.5 * error for year, (days, error) in told.items() if year != 2022)


def test_errors_known_from_few_figures_are_wider():
    np.testing.assert_allclose([1.96 * work.few(free) for free in (5, 15, 60)], [2.571, 2.131, 2.000], rtol=0.01)  # Student's t, 97.5 %


@pytest.mark.parametrize("days", [21, 60, 200])
def test_a_trend_seen_for_days_is_not_carried_on_for_months(days):
    made, seen = recipe("seasonality", "regression"), []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        dates = [dt.date(2024, 1, 1) + dt.timedelta(days=at) for at in range(days)]
        frame = pl.DataFrame({"date": dates, "product": ["a"] * days, "units": rng.poisson(100, days).astype(float)})
        state = made.fit(align(assemble({"sales": Table.from_frame(frame)}))[0], {}, 0)
        trend, error = state.trend_at(np.array([0]), np.array([state.last + 365]))
        seen.append((float(np.exp(trend[0])), abs(float(trend[0]) - np.log(100)) <= 1.2816 * float(error[0])))
    assert min(level for level, _ in seen) > 60 and max(level for level, _ in seen) < 160
    assert np.mean([inside for _, inside in seen]) >= 0.6
