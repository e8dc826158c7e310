import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats as scipy_stats

from tradewind.core.errors import Incompatible, LearnFailed, Tampered
from tradewind.models._kit.asking import Asked
from tradewind.models._kit.calendar import GRAINS, Clock
from tradewind.models._kit.forecast import stats_choice, stats_paths, stats_spread
from tradewind.models._kit.forecast.learner import Look
from tradewind.models._kit.forecast.stats import LEARNER
from tradewind.models._kit.forecast.stats_pool import FAMILIES
from tradewind.models._kit.intervals import TAUS
from tradewind.models._kit.panel import Panel

NONE = np.empty(0, "i8")
QUICK = {"seconds": 0.0}


def panel(units, grain="day", cut=None, **ahead):
    units = np.asarray(units, "f4").copy()
    cut = units.shape[1] if cut is None else cut
    units[:, cut:] = np.nan
    keys = np.array([f"P{at}" for at in range(len(units))], object)
    kinds = {name: "price" if name == "price" else "event" if name.startswith("event") else "lever" for name in ahead}
    columns = {name: value.astype("f4") for name, value in ahead.items()}
    return Panel(Clock(GRAINS[grain]), 18000, cut, {"product": keys}, units, columns, kinds, {}, {}, {})


def look(whole, horizon, series=None):
    series = np.arange(len(whole)) if series is None else series
    return Look(whole.planned(series, horizon + 1, NONE, NONE, {}), series, np.arange(horizon), horizon)


def learned(whole, horizon=28, **knobs):
    return LEARNER.learn(whole, QUICK | knobs, seed=0, horizon=horizon)


def weekly(series=12, days=392, level=20.0, seed=0):
    draw = np.random.default_rng(seed)
    index = np.exp(0.5 * np.sin(2 * np.pi * (np.arange(days) / 7 + draw.random((series, 1)))))
    return draw.poisson(level * index), level * index


def error(said, truth):
    return float(np.abs(said - truth).sum() / np.abs(truth).sum())


def test_a_young_series_begins_at_its_first_weeks_not_at_its_first_day():
    """A first day of a twentieth of the usual stood before the launch as if it had always been so."""
    units = np.random.default_rng(0).poisson(20.0, (6, 394)).astype("f4")
    units[0, :354], units[0, 354] = np.nan, 1
    said = learned(panel(units, cut=364)).say(look(panel(units, cut=364), 28))
    assert said.mean[0] == pytest.approx(20.0, rel=0.25)
    filled = stats_paths.filled(np.array([[np.nan, np.nan, 1.0, 5.0, np.nan, 7.0, np.nan]]), 6)
    assert filled.tolist() == [[13 / 3, 13 / 3, 1, 5, 6, 7, 7]]


def test_a_week_is_continued_close_to_its_true_mean():
    units, mean = weekly()
    whole = panel(units, cut=364)
    said = learned(whole).say(look(whole, 28))
    assert error(said.mean, mean[:, 364:]) < 0.06
    assert error(units[:, 357 + np.arange(28) % 7], mean[:, 364:]) > 0.15  # seasonal naive


def test_slow_families_join_where_there_is_time_for_them():
    units, _ = weekly(2, 140)
    facts = learned(panel(units), 7, seconds=60.0, members=6, near=2.0).facts["families"]
    assert set(facts) & {"ets", "theta", "ces"}
    assert not set(learned(panel(units), 7).facts["families"]) & {"mstl", "ets", "theta", "ces"}


def test_a_family_of_the_library_continues_what_is_plain_to_see():
    season = np.tile([5.0, 1, 2, 3, 4, 8, 9], (1, 20))
    known = np.ones_like(season, bool)
    for model in ("AutoETS", "AutoCES", "DynamicOptimizedTheta", "MSTL"):
        path = stats_paths.Outside(model)(season + 0.01 * np.random.default_rng(0).normal(size=season.shape), known, GRAINS["day"], 14)
        np.testing.assert_allclose(path, np.tile(season[:, :7], 2), atol=0.3)
    for model in ("CrostonSBA", "IMAPA", "ADIDA"):
        path = stats_paths.Outside(model, seasonal=False)(np.tile([0.0, 0, 6, 0], (1, 50)), np.ones((1, 200), bool), GRAINS["day"], 4)
        np.testing.assert_allclose(path, 1.5, rtol=0.15)


def test_rates_of_seldom_sellers_come_out_right():
    draw = np.random.default_rng(1)
    rate = np.exp(draw.uniform(-2.5, -0.7, 60))[:, None]
    whole = panel(draw.poisson(rate * np.ones(500)))
    model = learned(whole)
    said = model.say(look(whole, 28))
    assert abs(said.mean.sum() / (28 * rate.sum()) - 1) < 0.08
    assert error(said.mean, rate * np.ones(28)) < 0.25


def test_quantiles_of_counts_hold_on_what_came_afterwards():
    draw = np.random.default_rng(3)
    rate = np.exp(draw.uniform(-1.5, 2.5, 120))[:, None]
    units = draw.negative_binomial(rate / 1.5, 1 / 2.5, (120, 392))  # variance 2.5 times the mean
    whole = panel(units, cut=364)
    said = learned(whole).say(look(whole, 28))
    came = units[:, 364:, None]
    below, upto = (came < said.quantiles).mean((0, 1)), (came <= said.quantiles).mean((0, 1))
    outer = TAUS >= 0.8  # below that, most of these are zero
    assert (below[outer] < TAUS[outer] + 0.02).all() and (upto[outer] > TAUS[outer] - 0.04).all()
    np.testing.assert_array_equal(said.quantiles, np.rint(said.quantiles))


def test_bounds_of_measures_hold_on_what_came_afterwards():
    draw = np.random.default_rng(4)
    units = 300.5 * np.exp(0.3 * np.sin(2 * np.pi * np.arange(120) / 12) + 0.1 * draw.normal(size=(80, 120)))
    whole = panel(units, "month", cut=108)
    said = learned(whole, 12).say(look(whole, 12))
    low, high = said.quantiles[..., 2], said.quantiles[..., -3]
    assert 0.74 < ((units[:, 108:] >= low) & (units[:, 108:] <= high)).mean() < 0.92
    assert (np.diff(said.quantiles, axis=2) >= 0).all()


@pytest.mark.parametrize(("mean", "loose"), [(0.05, 1.1), (0.7, 1.5), (4.0, 2.0), (25.0, 6.0), (3.0, 40.0)])
def test_the_table_of_counts_is_the_negative_binomial(mean, loose):
    found = stats_spread.counts(np.array([[mean]]), np.array([[loose]]))[0, 0]
    exact = scipy_stats.nbinom.ppf(TAUS, mean / (loose - 1), 1 / loose)
    assert (np.abs(found - exact) <= np.maximum(1, 0.12 * exact)).all()


def test_larger_counts_keep_the_shape():
    found = stats_spread.counts(np.array([[400.0]]), np.array([[30.0]]))[0, 0]
    exact = scipy_stats.nbinom.ppf(TAUS, 400 / 29, 1 / 30)
    np.testing.assert_allclose(found, exact, rtol=0.08)


def promoted(lift=0.9, series=12, days=392, noise=False):
    draw = np.random.default_rng(8)
    flag = (draw.random((series, days)) < 0.15).astype(float)
    shown = (draw.random((series, days)) < 0.15).astype(float) if noise else flag
    return draw.poisson(15 * np.exp(lift * flag)), shown


def test_a_lever_that_works_is_used_and_planned_with():
    units, flag = promoted()
    whole = panel(units, cut=364, promotion=flag)
    model = learned(whole)
    assert all("levers" in name or "all" in name for name in model.facts["families"])
    asked = look(whole, 28)
    said = model.say(asked)
    assert error(said.mean, 15 * np.exp(0.9 * flag[:, 364:])) < 0.08
    on = replace(asked.panel, ahead={"promotion": np.ones_like(asked.panel.ahead["promotion"])})
    off = replace(asked.panel, ahead={"promotion": np.zeros_like(asked.panel.ahead["promotion"])})
    ratio = model.say(replace(asked, panel=on)).mean.sum() / model.say(replace(asked, panel=off)).mean.sum()
    assert abs(np.log(ratio) - 0.9) < 0.08


def test_a_lever_that_does_nothing_has_no_effect():
    units, shown = promoted(noise=True)
    whole = panel(units, cut=364, promotion=shown)
    model = learned(whole)
    asked = look(whole, 28)
    on = replace(asked.panel, ahead={"promotion": np.ones_like(asked.panel.ahead["promotion"])})
    off = replace(asked.panel, ahead={"promotion": np.zeros_like(asked.panel.ahead["promotion"])})
    ratio = model.say(replace(asked, panel=on)).mean.sum() / model.say(replace(asked, panel=off)).mean.sum()
    assert abs(np.log(ratio)) < 0.1


def test_large_panels_are_chosen_for_by_a_sample():
    units, mean = weekly(60)
    whole = panel(units, cut=364)
    model = learned(whole, sampled=10)
    assert model.facts["validated"] == 10
    assert error(model.say(look(whole, 28)).mean, mean[:, 364:]) < 0.08


def test_past_the_horizon_the_last_cycle_is_repeated_and_that_is_said():
    units, _ = weekly(2)
    whole = panel(units)
    model = learned(whole, 14)
    found = model.say(Look(whole.planned(np.arange(2), 40, NONE, NONE, {}), np.arange(2), np.array([7, 13, 14, 20, 21]), 14))
    if not model.regressions:
        np.testing.assert_allclose(found.mean[:, 2], found.mean[:, 0])
        np.testing.assert_allclose(found.mean[:, 3], found.mean[:, 1])
    where = Asked(np.arange(1), np.zeros(2, "i8"), np.array([0, 20]), {}, ())
    assert any("past 14 days" in note for note in model.notes(whole, where))


ODD = {
    "all zero": np.zeros((2, 90)),
    "one spike": np.eye(1, 90, 60) * 50,
    "constant": np.full((1, 90), 4.0),
    "51 % missing": np.where(np.random.default_rng(0).random((3, 90)) < 0.51, np.nan, 5.0),
    "one actual": [[5.0]],
    "two actuals": [[np.nan, 5.0, 7.0]],
    "shorter than the horizon": [[3.0, 4, 5, 3, 4, 5, 3, 4, 5, 3]],
}


@pytest.mark.parametrize("name", ODD)
def test_odd_histories_get_finite_answers(name):
    whole = panel(ODD[name])
    said = LEARNER.learn(whole, {}, seed=0, horizon=28).say(look(whole, 40))
    assert np.isfinite(said.mean).all() and np.isfinite(said.quantiles).all()
    assert (said.quantiles >= 0).all() and (np.diff(said.quantiles, axis=2) >= 0).all()
    most = max(np.nanmax(whole.target), 1e-9)
    assert said.mean.max() <= 1.6 * most
    if name == "all zero":
        assert not said.quantiles.any()
    if name in ("constant", "51 % missing"):
        np.testing.assert_allclose(said.mean, np.nanmax(whole.target), rtol=0.02)


def test_fallbacks_are_said():
    model = learned(panel([[5.0, 6.0], [0, 0]]))
    notes = model.notes(panel([[5.0, 6.0], [0, 0]]), Asked(np.arange(2), np.arange(2), np.zeros(2, "i8"), {}, ()))
    assert any("never sold" in note for note in notes) and any("too little history" in note for note in notes)


def test_no_actual_at_all_is_an_error():
    with pytest.raises(LearnFailed):
        learned(panel(np.full((2, 9), np.nan)))


def test_what_was_dumped_says_the_same():
    units, flag = promoted()
    whole = panel(units, cut=364, promotion=flag)
    first = learned(whole)
    again = LEARNER.read(first.dump(), whole)
    for series in (np.arange(12), np.array([7, 2, 2])):
        asked = look(whole, 28, series)
        for name in ("mean", "quantiles"):
            np.testing.assert_allclose(getattr(again.say(asked), name), getattr(first.say(asked), name), rtol=1e-5)


def test_learning_twice_gives_the_same_bytes():
    whole = panel(weekly(15)[0])
    assert learned(whole, sampled=10).dump() == learned(whole, sampled=10).dump()


def test_damaged_bytes_are_refused():
    whole = panel(weekly(2)[0])
    parts = learned(whole).dump()
    for damaged in (
        {"stats.json": parts["stats.json"]},
        parts | {"stats.safetensors": parts["stats.safetensors"][:-5]},
        parts | {"stats.json": parts["stats.json"].replace(b'"format":2', b'"format":9')},
        parts | {"stats.json": parts["stats.json"][:-4]},
    ):
        with pytest.raises((Incompatible, Tampered)):
            LEARNER.read(damaged, whole)
    with pytest.raises(Incompatible):
        LEARNER.read(parts, panel(weekly(3)[0]))


def test_new_actuals_move_the_paths_and_keep_the_choice():
    units, _ = weekly(6, 420)
    units = units.astype("f4")
    units[:, 364:] *= 2
    before = panel(units, cut=364)
    model = learned(before)
    after = panel(np.concatenate([units, units[:1] * 3, np.zeros((1, 420))]), cut=420)
    moved = model.moved(after, np.array([0, 1, 2, 3, 4, 5, -1, -1]))
    np.testing.assert_array_equal(moved.mix.weights[:6], model.mix.weights)
    old, new = model.say(look(before, 28)).mean, moved.say(look(after, 28))
    assert (new.mean[:6].mean(1) > 1.5 * old.mean(1)).all()
    assert abs(new.mean[6].mean() / (3 * new.mean[0].mean()) - 1) < 0.3
    assert not new.mean[7].any() and np.isfinite(new.quantiles).all()


def test_a_series_that_sells_for_the_first_time_is_taken_in():
    units, _ = weekly(4, 400)
    early = units.copy()
    early[3, :372] = 0
    model = learned(panel(early, cut=364))
    assert not model.say(look(panel(early, cut=364), 7)).mean[3].any()
    later = panel(early, cut=400)
    assert model.moved(later, np.arange(4)).say(look(later, 7)).mean[3].mean() > 1


def test_smoothing_follows_a_level_that_moved():
    values = np.concatenate([np.full((1, 60), 10.0), np.full((1, 30), 20.0)], 1) + 0.1 * np.random.default_rng(0).normal(size=(1, 90))
    np.testing.assert_allclose(stats_paths.smoothing(values, np.ones_like(values, bool), 1, 5), 20, atol=1.0)


def test_the_index_of_a_cycle_starts_at_the_first_period():
    values = np.tile([4.0, 1, 1, 1, 1, 1, 5], (1, 10))[:, :68]
    index = stats_paths.index_of(values, np.ones_like(values, bool), 7)
    np.testing.assert_allclose(index, np.array([[4, 1, 1, 1, 1, 1, 5]]) / 2, rtol=0.05)


def test_much_worse_families_have_no_say():
    terms = stats_choice.Terms(7, FAMILIES, members=3, near=1.1)
    np.testing.assert_allclose(stats_choice._mix(np.array([1.0, 1.05, np.inf, 1.2]), terms), [0.5, 0.5, 0, 0])


def test_three_hundred_series_are_learned_in_seconds():
    units, _ = weekly(300, 365)
    whole = panel(units)
    began = time.process_time()
    learned(whole)
    assert time.process_time() - began < 15


def test_answering_imports_no_training_library():
    said = """
import sys, numpy as np
from tradewind.models._kit.forecast import stats, naive, ridge, profile
print(sorted(set(sys.modules) & {"statsforecast", "pandas", "scipy", "polars", "lightgbm", "statsmodels"}))
"""
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def seasons(months, *, depth=0.3, series=8, growth=0.1, seed=0):
    """Return months of sales that have a year, and grow by some tenths of it from one to the next."""
    draw = np.random.default_rng(seed)
    at = np.arange(months)
    level = np.exp(draw.normal(5, 0.5, (series, 1)) + growth * at / 12 + depth * np.sin(2 * np.pi * (at / 12 + draw.random((series, 1)))))
    return level * np.exp(draw.normal(0, 0.03, (series, months)))


@pytest.mark.parametrize("known", [14, 20, 25])
def test_months_of_less_than_two_years_go_as_they_went_a_year_before(known):
    units = seasons(known + 6)
    whole = panel(units, "month", cut=known)
    model = learned(whole, 6)
    assert set(model.facts["families"]) == {"last year"}
    said = error(model.say(look(whole, 6)).mean, units[:, known:])
    assert said < 0.8 * error(units[:, known - 12 : known - 6], units[:, known:])


@pytest.mark.parametrize("known", [27, 33])
def test_months_of_two_years_are_told_by_families_that_hold_a_season(known):
    units = seasons(known + 6)
    whole = panel(units, "month", cut=known)
    model = learned(whole, 6)
    assert "last year" not in model.facts["families"]
    assert error(model.say(look(whole, 6)).mean, units[:, known:]) < 0.8 * error(units[:, known - 12 : known - 6], units[:, known:])


def test_months_without_a_season_do_not():
    draw = np.random.default_rng(1)
    flat = 100 * np.exp(draw.normal(0, 0.1, (8, 26)))
    assert not stats_paths.repeats(flat, GRAINS["month"])
    assert "last year" not in learned(panel(flat, "month", cut=20), 6).facts["families"]


def test_a_year_is_only_repeated_where_no_season_can_be_fitted():
    assert stats_paths.repeats(seasons(20), GRAINS["month"])
    assert stats_paths.repeats(seasons(13, series=1), GRAINS["month"]), "a single young series"
    assert not stats_paths.repeats(seasons(11), GRAINS["month"]), "there is no year"
    assert not stats_paths.repeats(seasons(48), GRAINS["month"])
    assert not stats_paths.repeats(seasons(60), GRAINS["week"])
    gaps = seasons(20)
    gaps[:, 3:5] = np.nan
    assert stats_paths.repeats(gaps, GRAINS["month"])
