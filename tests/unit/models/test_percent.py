"""The point of least expected percentage error: from quantiles, learned, blended, and as a column of answers that asked for it."""

from dataclasses import dataclass, replace

import numpy as np
import polars as pl
import pytest

from tradewind.core.errors import BadValue, Incompatible, LearnFailed
from tradewind.models import recipe
from tradewind.models._kit.forecast import percent
from tradewind.models._kit.forecast import recipe as engine
from tradewind.models._kit.forecast.blend import blended
from tradewind.models._kit.forecast.driven import Driven
from tradewind.models._kit.forecast.learner import Said
from tradewind.models._kit.intervals import TAUS

FAST = {"rounds": 30, "rows": 8_000, "threads": 1, "horizon": 14}
PERCENT = {**FAST, "percent": 1}
DAYS, AHEAD, WIDTH = 120, 14, 160


def mape(truth, said):
    seen = truth > 0
    return np.mean(np.abs(truth - said)[seen] / truth[seen])


# ---- from quantiles


def test_the_point_of_a_lognormal_is_its_known_one_and_beats_the_median():
    draws = np.exp(np.random.default_rng(0).normal(1, 0.6, 200_000))
    point = percent.least(np.quantile(draws, TAUS)[None], np.zeros(1, bool))[0]
    assert point == pytest.approx(np.exp(1 - 0.36), rel=0.05)  # exp(mu - sigma^2)
    assert mape(draws, point) < 0.9 * mape(draws, np.median(draws))


def test_whole_numbers_have_a_whole_point_and_nothing_sold_does_not_count():
    draws = np.random.default_rng(0).poisson(1.5, 100_000).astype("f8")
    point = percent.least(np.quantile(draws, TAUS, method="linear")[None], np.ones(1, bool))[0]
    assert point == min(range(1, 6), key=lambda one: mape(draws, float(one)))
    assert percent.least(np.zeros((2, len(TAUS))), np.array([True, False])).tolist() == [0, 0]
    rare = np.maximum(np.linspace(-20, 4, len(TAUS)), 0)[None]
    assert 1 <= percent.least(rare, np.ones(1, bool))[0] <= 4


def test_points_are_averaged_as_logarithms_and_unknown_ones_left_out():
    one, two = np.array([1.0, 4.0, np.nan, np.nan, 0.0]), np.array([16.0, np.nan, 9.0, np.nan, 5.0])
    np.testing.assert_allclose(percent.together([(0.75, one), (0.25, two)]), [2, 4, 9, np.nan, 0])


# ---- as a column of answers


@pytest.fixture(scope="module")
def skewed(as_table):
    """Give a function of days -> table, and what sold: a weekly habit times noise that is skewed far to the right."""
    rng = np.random.default_rng(3)
    habit = np.exp(0.4 * np.sin(2 * np.pi * np.arange(WIDTH) / 7))
    units = 40 * habit * np.exp(rng.normal(0, 0.7, (30, WIDTH))) * rng.uniform(0.3, 3, 30)[:, None]
    units[:, ::31] = 0

    def upto(days, series=30):
        dates = pl.Series(np.datetime64("2024-01-01") + np.arange(days)).cast(pl.Date)
        frames = [pl.DataFrame({"date": dates, "product": [f"P{at:02}"] * days, "units": units[at, :days]}) for at in range(series)]
        return as_table(pl.concat(frames))

    return upto, units


@pytest.fixture(scope="module")
def maker():
    return recipe("demand", "boosted")


@pytest.fixture(scope="module")
def state(maker, skewed):
    return maker.fit(skewed[0](DAYS), PERCENT, 0)


def test_the_column_comes_with_the_knob_alone_and_changes_nothing_else(maker, state, skewed):
    plain = maker.fit(skewed[0](DAYS), FAST, 0)
    asked = maker.expand(state, AHEAD, {})
    said, before = maker.predict(state, asked), maker.predict(plain, asked)
    assert set(said.names) - set(before.names) == {"least_mape"}
    assert said.schema.get("least_mape").unit == "units" and said.schema.get("least_mape").maximum is None
    for name in ("mean", "p50", "lo80", "hi95"):
        np.testing.assert_array_equal(said.column(name), before.column(name))
    parts, bare = maker.dump(state), maker.dump(plain)
    assert {name for name in parts if name not in bare} == {"learned.boosted.percent.still.onnx"}  # no price: no tree asks for one
    assert state.facts["parity_percent"] <= 1e-4 and "parity_percent" not in plain.facts


def test_its_percentage_error_is_lower_than_the_medians(maker, state, skewed):
    asked = maker.expand(state, AHEAD, {})
    said, truth = maker.predict(state, asked), skewed[1][:, DAYS : DAYS + AHEAD].ravel()
    point, median = said.column("least_mape"), said.column("p50")
    assert mape(truth, point) < 0.9 * mape(truth, median)
    assert 0.4 < point.sum() / median.sum() < 0.9


def test_both_points_are_in_it(maker, state):
    asked = maker.expand(state, AHEAD, {})
    point = maker.predict(state, asked).column("least_mape")
    where, look, said = maker._said(state, asked)
    learned = said.percent[engine.cells(where, look)]
    np.testing.assert_allclose(point**2 / learned, engine._least(state, engine._raw(state, look, said, where)), rtol=1e-6)


def test_it_survives_parts_an_update_and_chunks(maker, state, skewed, monkeypatch):
    asked = maker.expand(state, AHEAD, {})
    first = maker.predict(state, asked).column("least_mape")
    again = maker.load(maker.dump(state))
    np.testing.assert_allclose(maker.predict(again, asked).column("least_mape"), first, rtol=1e-5)
    maker.warm(again)
    np.testing.assert_allclose(maker.predict(again, asked).column("least_mape"), first, rtol=1e-5)
    monkeypatch.setattr(engine, "CELLS", 50)
    shuffled = np.random.default_rng(0).permutation(len(asked))
    np.testing.assert_allclose(maker.predict(state, asked.take(shuffled)).column("least_mape"), first[shuffled], rtol=1e-6)
    moved = maker.update(state, skewed[0](DAYS + AHEAD))
    later = maker.predict(moved, maker.expand(moved, AHEAD, {}))
    truth = skewed[1][:, DAYS + AHEAD : DAYS + 2 * AHEAD].ravel()
    assert mape(truth, later.column("least_mape")) < 0.9 * mape(truth, later.column("p50"))


def test_closed_days_stay_at_nothing_and_whole_units_are_known_to_be_whole(maker, as_table, skewed):
    dates = pl.Series(np.datetime64("2024-01-01") + np.arange(DAYS)).cast(pl.Date)
    frames = [pl.DataFrame({"date": dates, "product": [f"P{at}"] * DAYS, "units": np.round(skewed[1][at, :DAYS] / 30)}) for at in range(8)]
    open_ = pl.when(pl.col("date").dt.weekday() < 7).then("units").alias("units")
    state = maker.fit(as_table(pl.concat(frames).with_columns(open_)), PERCENT, 0)
    assert state.whole.all()
    asked = maker.expand(state, AHEAD, {})
    sunday = (asked.column("date").astype("M8[D]").astype("i8") + 4) % 7 == 0
    point = maker.predict(state, asked).column("least_mape")
    assert sunday.any() and (point[sunday] == 0).all() and (point[~sunday] > 0).all()
    where, look, said = maker._said(state, asked)
    derived = engine._least(state, engine._raw(state, look, said, where))
    assert (derived == np.round(derived)).all() and (derived[~sunday] >= 1).all()


def test_a_recipe_without_trees_has_the_point_of_its_quantiles_and_so_has_an_ensemble_of_such(skewed):
    made = {name: recipe("demand", name) for name in ("naive", "stats")}
    states = {
        "naive": made["naive"].fit(skewed[0](DAYS, 4), {}, 0),
        "stats": made["stats"].fit(skewed[0](DAYS, 4), {"percent": 1, "seconds": 1}, 0),
    }
    asked = made["stats"].expand(states["stats"], AHEAD, {})
    assert "least_mape" not in made["naive"].predict(states["naive"], asked).names
    ensemble = recipe("demand", "ensemble")
    both = ensemble.blend(states, {"naive": 0.5, "stats": 0.5})
    for maker, state in ((made["stats"], states["stats"]), (ensemble, both)):
        where, look, said = maker._said(state, asked)
        derived = engine._least(state, engine._raw(state, look, said, where))
        np.testing.assert_allclose(maker.predict(state, asked).column("least_mape"), derived, rtol=1e-6)


def test_a_missing_part_is_refused(maker, state):
    parts = dict(maker.dump(state))
    del parts["learned.boosted.percent.still.onnx"]
    with pytest.raises(Incompatible):
        maker.load(parts)


def test_a_series_without_history_has_the_point_of_its_quantiles(maker, state):
    empty = state.panel.target.copy()
    empty[4] = np.nan
    new = replace(state, panel=replace(state.panel, target=empty), memo={})
    asked = maker.expand(state, AHEAD, {"product": ["P04", "P05"]})
    where, look, said = maker._said(new, asked)
    assert np.isnan(said.percent).tolist() == [[True] * AHEAD, [False] * AHEAD]
    point = maker.predict(new, asked).column("least_mape")
    derived = engine._least(new, engine._raw(new, look, said, where))
    assert np.isfinite(point).all()
    np.testing.assert_allclose(point[:AHEAD], derived[:AHEAD])


@pytest.mark.parametrize("bad", [2, -1, "yes", True])
def test_a_knob_that_is_neither_is_refused(maker, skewed, bad):
    with pytest.raises(BadValue, match="percent"):
        maker.fit(skewed[0](20), {**FAST, "percent": bad}, 0)


def test_where_hardly_anything_was_sold_it_cannot_be_learned(maker, as_table):
    dates = pl.Series(np.datetime64("2024-01-01") + np.arange(90)).cast(pl.Date)
    rare = pl.DataFrame({"date": dates, "product": ["P"] * 90, "units": np.where(np.arange(90) == 70, 3.0, 0.0)})
    with pytest.raises(LearnFailed, match="percentage errors") as told:
        maker.fit(as_table(rare), PERCENT, 0)
    assert "knob percent" in told.value.hint
    assert len(maker.fit(as_table(rare), FAST, 0).panel) == 1


# ---- in a blend


@dataclass(frozen=True)
class Flat:
    """Says one number, and perhaps a point."""

    point: float | None
    reach: int = 5
    said: float = 1.0

    def say(self, look):
        shape = len(look.series), len(look.steps)
        point = None if self.point is None else np.full(shape, self.point)
        return Said(np.full(shape, self.said), np.full((*shape, len(TAUS)), self.said), point)


def test_a_blend_has_the_weighted_geometric_mean_of_points_learned_or_read_off(maker, state):
    _, look = maker.look(state, maker.expand(state, 3, {}))
    weights = {"one": 0.6, "two": 0.2, "three": 0.2}
    made = blended({"one": Flat(2.0), "two": Flat(32.0), "three": Flat(None)}, weights, {})
    np.testing.assert_allclose(made.say(look).percent, 2**0.6 * 32**0.2)  # whose quantiles are all 1 says 1
    assert blended({"one": Flat(None), "two": Flat(None)}, weights, {}).say(look).percent is None
    silent = blended({"one": Flat(2.0), "two": Flat(None, said=0.0)}, weights, {}).say(look)
    np.testing.assert_allclose(silent.percent, 2.0)  # who expects no sale has no say of its percentage error


class Doubling:
    """Spend that doubles whatever is sold."""

    names = ()

    def of(self, series):
        return self

    def parts(self, panel, numbers):
        return np.full((1, len(panel), len(numbers)), np.log(2))


def test_what_spend_adds_is_in_the_point(maker, state):
    _, look = maker.look(state, maker.expand(state, 3, {}))
    said = Driven(Doubling(), Flat(2.0)).say(look)
    np.testing.assert_allclose(said.percent, 4.0)
    np.testing.assert_allclose(said.mean, 2.0)
    assert Driven(Doubling(), Flat(None)).say(look).percent is None


def test_an_ensemble_with_boosted_trees_gives_the_column(maker, state, skewed):
    whole = recipe("demand", "ensemble")
    states = {"boosted": state, "stats": recipe("demand", "stats").fit(skewed[0](DAYS), {"horizon": 14, "seconds": 0.0}, 0)}
    made = whole.load(whole.dump(whole.blend(states, {"boosted": 0.5, "stats": 0.5})))
    said = whole.predict(made, whole.expand(made, AHEAD, {}))
    truth = skewed[1][:, DAYS : DAYS + AHEAD].ravel()
    assert mape(truth, said.column("least_mape")) < 0.9 * mape(truth, said.column("p50"))
