"""Seasonality: parts that multiply to the whole, events apart from seasons, what cannot be told is not told, bad input."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from tradewind.core.errors import BadValue, EmptyTable, Incompatible, LearnFailed, MissingColumn, NotFound, TradewindError
from tradewind.core.table import Table
from tradewind.data.align import align
from tradewind.models import module, part, recipe
from tradewind.models._kit.calendar import GRAINS, Clock
from tradewind.models.seasonality import turning
from tradewind.models.seasonality.assemble import assemble
from tradewind.models.seasonality.seasons import SEASONS, of_history, phase

START = dt.date(2023, 1, 2)
MADE = recipe("seasonality", "regression")


def rows(values, step=1, start=START, skip=()):
    dates = [start + dt.timedelta(days=step * at) for at in range(len(values))]
    keep = [at for at, date in enumerate(dates) if date.weekday() not in skip]
    frame = pl.DataFrame({"date": [dates[at] for at in keep], "product": ["a"] * len(keep), "units": [float(values[at]) for at in keep]})
    return align(assemble({"sales": Table.from_frame(frame)}))[0]


def wave(count, season=365.25, size=0.3):
    return 100 * np.exp(size * np.cos(2 * np.pi * np.arange(count) / season))


@pytest.fixture(scope="module")
def example():
    found = part("seasonality", "example", "example")(7)
    table = align(assemble(dict(found.tables)))[0]
    return table, MADE.fit(table, {}, 0)


def test_components_multiply_to_the_mean(example):
    _, state = example
    said = MADE.predict(state, MADE.expand(state, 60, {}))
    product = np.prod([said.column(name) for name in ("trend", "day", "week", "year", "event", "plan")], axis=0)
    np.testing.assert_allclose(product, said.column("mean"), rtol=1e-5)
    np.testing.assert_allclose(said.column("season"), said.column("week") * said.column("year") * said.column("event"), rtol=1e-5)


def test_a_price_and_a_promotion_are_a_plan_and_no_season(example):
    _, state = example
    asked = MADE.expand(state, 14, {"category": "drinks"})
    plain = MADE.predict(state, asked)
    deal = MADE.predict(state, asked.with_columns({"price": np.full(14, 0.8), "promotion": np.ones(14)}))
    assert (plain.column("plan") == 1).all() and (deal.column("plan") > 1.3).all()
    np.testing.assert_allclose(deal.column("season"), plain.column("season"))
    with pytest.raises(BadValue, match="price"):
        MADE.predict(state, asked.with_columns({"price": np.full(14, -1.0)}))


def test_a_moving_holiday_leaves_no_mark_on_the_year(example):
    _, state = example
    asked = Table.from_columns({"category": np.array(["food"] * 5, object), "date": np.arange("2024-04-07", "2024-04-12", dtype="M8[D]")})
    said = MADE.predict(state, asked)
    assert (said.column("event") == 1).all()
    assert np.ptp(said.column("year")) < 0.03


def test_what_is_told_has_intervals_and_names(example):
    _, state = example
    told = MADE.effects(state).frame
    assert {"strength", "log index", "log lift", "elasticity", "days later"} <= set(told["kind"])
    assert (told["lo95"] <= told["lo80"]).all() and (told["hi80"] <= told["hi95"]).all() and (told["lo80"] <= told["hi80"]).all()
    windows = told.filter(pl.col("lever") == "spend", pl.col("category") == "drinks")
    assert "-06-" in windows["at"][0] and windows["effect"][0] > 0.15
    assert any("index alone" in note for note in MADE.notes(state, MADE.expand(state, 3, {})))


def test_fourteen_months_tell_no_year():
    state = MADE.fit(rows(wave(425)), {}, 0)
    asked = MADE.expand(state, 10, {})
    assert (MADE.predict(state, asked).column("year") == 1).all()
    assert any("cannot tell a season of the year" in note for note in MADE.notes(state, asked))
    assert "year" not in MADE.effects(state).frame["lever"].to_list()


@pytest.mark.parametrize(("step", "count", "season"), [(1, 1100, 365.25), (7, 160, 52.18)])
def test_the_year_is_found_at_every_grain(step, count, season):
    state = MADE.fit(rows(wave(count, season), step), {}, 0)
    said = MADE.predict(state, MADE.expand(state, round(season), {})).column("year")
    assert said.max() / said.min() == pytest.approx(np.exp(0.6), rel=0.08)
    strong = MADE.effects(state).frame.filter(pl.col("kind") == "strength", pl.col("lever") == "year")["effect"].item()
    assert strong > 0.9


def test_a_step_of_the_trend_is_told_where_it_is():
    values = wave(800) * np.where(np.arange(800) >= 400, 1.5, 1.0) * np.exp(0.02 * np.random.default_rng(0).normal(size=800))
    state = MADE.fit(rows(values), {}, 0)
    assert len(state.turns) >= 1
    number, step = max(((turn[1], turn[2]) for turn in state.turns), key=lambda turn: turn[1:])
    assert abs(number - state.first - 400) <= 35 and step == pytest.approx(np.log(1.5), abs=0.15)


def test_a_straight_line_has_no_step():
    rng = np.random.default_rng(1)
    line = 0.01 * np.arange(300) + 0.05 * rng.normal(size=(3, 300))
    assert turning.turns(line, np.ones((3, 300), bool), 1) == []


def test_a_constant_series_has_seasons_of_one():
    state = MADE.fit(rows([50] * 800), {}, 0)
    asked = MADE.expand(state, 30, {})
    np.testing.assert_allclose(MADE.predict(state, asked).column("mean"), 50, rtol=0.01)
    assert any("never change" in note for note in MADE.notes(state, asked))
    assert not any("best windows" in note for note in MADE.notes(state, asked))


def test_what_never_moves_has_no_strength_and_no_best_window():
    state = MADE.fit(rows([50] * 800), {}, 0)
    told = MADE.effects(state).frame
    assert told.filter(pl.col("kind") == "strength")["effect"].to_list() == [0, 0, 0]
    assert "spend" not in told["lever"].to_list()
    assert not any("best windows" in note for note in MADE.notes(state, MADE.expand(state, 30, {})))


def test_a_step_says_whose_it_is_and_what_else_it_may_be():
    values = np.repeat([100.0, 160.0], 200) * np.exp(0.02 * np.random.default_rng(0).normal(size=400))
    dates = [START + dt.timedelta(days=at) for at in range(400)]
    frame = pl.concat(pl.DataFrame({"date": dates, "product": [name] * 400, "units": values}) for name in ("tea", "rice"))
    state = MADE.fit(align(assemble({"sales": Table.from_frame(frame)}))[0], {}, 0)
    notes = MADE.notes(state, MADE.expand(state, 3, {}))
    assert any("the trend of tea steps by" in note for note in notes) and any("the trend of rice steps by" in note for note in notes)
    assert any("may be a high or a low season" in note for note in notes)
    alone = MADE.fit(rows(values), {}, 0)
    assert any("the trend steps by" in note for note in MADE.notes(alone, MADE.expand(alone, 3, {})))


def test_nothing_but_zeros_and_one_point_are_typed_errors():
    with pytest.raises(LearnFailed, match="every figure is zero"):
        MADE.fit(rows([0] * 100), {}, 0)
    with pytest.raises(TradewindError):
        MADE.fit(rows([5]), {}, 0)
    with pytest.raises(EmptyTable):
        assemble(
            {
                "sales": Table.from_frame(
                    pl.DataFrame(
                        {"date": [], "product": [], "units": []}, schema={"date": pl.Date, "product": pl.String, "units": pl.Float64}
                    )
                )
            }
        )
    with pytest.raises(MissingColumn, match="units"):
        assemble({"sales": Table.from_frame(pl.DataFrame({"date": [START], "product": ["a"]}))})
    with pytest.raises(NotFound):
        assemble({})


def test_days_without_sundays_are_gaps_and_the_index_says_so():
    state = MADE.fit(rows(wave(800), skip=(6,)), {}, 0)
    asked = MADE.expand(state, 14, {})
    said = MADE.predict(state, asked)
    np.testing.assert_allclose(said.column("week"), 1, atol=0.05)
    assert any("Sunday" in note for note in MADE.notes(state, asked))


def test_negative_figures_are_said_to_be_taken_as_none():
    values = wave(120)
    values[5] = -4
    state = MADE.fit(rows(values), {}, 0)
    assert any("below zero" in note for note in MADE.notes(state, MADE.expand(state, 2, {})))


def test_an_hour_that_comes_twice_and_one_that_is_missing():
    hours = [dt.datetime(2024, 3, 1) + dt.timedelta(hours=at) for at in range(24 * 40)]
    kept = [hour for hour in hours if hour != dt.datetime(2024, 3, 31, 2)] + [dt.datetime(2024, 3, 20, 2)]
    units = [50.0 + 20 * np.cos(2 * np.pi * hour.hour / 24) for hour in kept]
    frame = pl.DataFrame({"date": kept, "product": ["a"] * len(kept), "units": units})
    state = MADE.fit(align(assemble({"sales": Table.from_frame(frame)}))[0], {}, 0)
    said = MADE.predict(state, MADE.expand(state, 24, {})).column("day")
    assert said.max() / said.min() == pytest.approx(70 / 30, rel=0.05)


def test_a_leap_day_and_a_week_53_have_a_place():
    season, clock = SEASONS["day"][1], Clock(GRAINS["day"])
    dates = np.array(["2024-02-29", "2024-03-01", "2023-03-01", "2023-12-31", "2024-12-31"], "M8[D]")
    assert phase(season, clock, clock.number(dates)).tolist() == [59, 60, 60, 365, 365]
    weeks = Clock(GRAINS["week"])
    numbers = weeks.number(np.arange("2020-01-06", "2021-02-01", 7, dtype="M8[D]"))
    found = phase(SEASONS["week"][0], weeks, numbers)
    assert ((found >= 0) & (found < 366)).all()
    assert set((np.diff(found) % 366).tolist()) <= {6, 7}  # 53 weeks of 2020, then on without a jump


def test_what_a_history_can_tell():
    assert [season.name for season in of_history("day", 425)[0]] == ["week"]
    assert [season.name for season in of_history("day", 730)[0]] == ["week", "year"]
    assert [season.name for season in of_history("month", 14)[1]] == ["year"]


def test_exams_hide_what_they_ask(example):
    table, _ = example
    judge = module("seasonality", "judge")
    exams = judge.exams(table, folds=2, seed=0)
    for exam in exams:
        seen = exam.seen.frame.join(exam.truth.frame.select("category", "date"), on=["category", "date"], how="inner")
        assert seen["units"].is_null().all() and len(exam.asked) == len(exam.truth)
    assert not exams[0].truth.frame.equals(exams[1].truth.frame)
    answers = {
        name: [recipe("seasonality", name).predict(recipe("seasonality", name).fit(exam.seen, {}, 0), exam.asked) for exam in exams]
        for name in ("classical", "regression")
    }
    worse, better = (judge.marks(exams, answers[name]) for name in ("classical", "regression"))
    assert better.metrics["wape"] < 0.6 * worse.metrics["wape"]
    assert abs(better.metrics["coverage_80"] - 0.8) < 0.08


def test_questions_that_cannot_be_answered(example):
    _, state = example
    with pytest.raises(NotFound, match="tea"):
        MADE.predict(state, Table.from_columns({"category": np.array(["tea"], object), "date": np.array(["2024-01-01"], "M8[D]")}))
    with pytest.raises(MissingColumn, match="category"):
        MADE.predict(state, Table.from_columns({"date": np.array(["2024-01-01"], "M8[D]")}))
    with pytest.raises(BadValue, match="5 years"):
        MADE.predict(state, Table.from_columns({"category": np.array(["food"], object), "date": np.array(["2055-01-01"], "M8[D]")}))
    with pytest.raises(Incompatible):
        MADE.load({})


def young(few):
    """Return a long series and one that has only its last figures."""
    frame = pl.DataFrame({"date": [START + dt.timedelta(days=at) for at in range(500)], "product": ["old"] * 500, "units": wave(500)})
    rng = np.random.default_rng(3)
    late = frame.tail(few).with_columns(pl.lit("new").alias("product"), pl.Series("units", 30 * np.exp(0.1 * rng.normal(size=few))))
    return align(assemble({"sales": Table.from_frame(pl.concat([frame, late]))}))[0]


@pytest.mark.parametrize("few", [2, 10])
def test_a_young_series_stops_no_other(few):
    judge, table = module("seasonality", "judge"), young(few)
    exams = judge.exams(table, folds=2, seed=0)
    for exam in exams:
        assert set(exam.asked.column("product").tolist()) == {"old"}
        MADE.predict(MADE.fit(exam.seen, {}, 0), exam.asked)
    state = MADE.fit(table, {}, 0)
    asked = Table.from_columns({"product": np.array(["new"], object), "date": np.array(["2024-05-10"], "M8[D]")})
    if few == 10:
        said = MADE.predict(state, asked)
        assert said.column("mean").item() == pytest.approx(30, rel=0.25)
        assert said.column("hi95") > said.column("lo95") * 1.2
        return
    with pytest.raises(NotFound, match="too little is known of new: it has fewer than 8 figures"):
        MADE.predict(state, asked)
    with pytest.raises(NotFound, match="too little is known of new"):
        MADE.expand(state, 3, {"product": "new"})
    assert any("1 series is left out, with fewer than 8 figures: new" in note for note in MADE.notes(state, MADE.expand(state, 3, {})))


def test_the_bands_of_a_young_series_are_those_of_its_own_figures():
    state = MADE.fit(young(20), {}, 0)
    new = int(np.flatnonzero(state.keys["product"] == "new")[0])
    assert 0.015 < state.trend_error[new, -10] < 0.06  # 20 figures that stray by a tenth


def test_figures_below_zero_are_no_amounts():
    judge = module("seasonality", "judge")
    for made in (lambda table: MADE.fit(table, {}, 0), lambda table: judge.exams(table, folds=1, seed=0)):
        with pytest.raises(LearnFailed, match="95 of 100 figures lie below zero"):
            made(rows([-50] * 95 + [3] * 5))


def test_a_wape_over_nothing_is_refused():
    judge = module("seasonality", "judge")
    exam = judge.exams(rows(wave(120)), folds=1, seed=0)[0]
    nothing = type(exam)(exam.seen, exam.asked, exam.truth.with_columns({"units": np.full(len(exam.truth), -3.0)}))
    with pytest.raises(LearnFailed, match="every hidden figure is zero"):
        judge.marks([nothing], [MADE.predict(MADE.fit(exam.seen, {}, 0), exam.asked)])


@pytest.mark.parametrize("name", ["leads", "Sign-ups", "bookings", "Sales"])
def test_the_figure_that_acquisition_forecasts_has_a_season_too(name):
    dates = [START + dt.timedelta(days=7 * at) for at in range(60)]
    outcomes = Table.from_frame(pl.DataFrame({"date": dates, "visits": wave(60, 52), name: 3 * wave(60, 52)}))
    assert assemble({"outcomes": outcomes}).frame["units"].drop_nulls().head(1).item() == pytest.approx(3 * 100 * np.exp(0.3))
