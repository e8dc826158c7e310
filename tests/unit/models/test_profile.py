import time

import numpy as np
import pytest

from tradewind.models._kit.calendar import GRAINS, Clock
from tradewind.models._kit.forecast.profile import CLASSES, profile, route
from tradewind.models._kit.panel import Panel


def panel(units, grain="day", plan=0, **ahead):
    units = np.asarray(units, "f4")
    keys = np.array([f"P{at}" for at in range(len(units))], object)
    target = np.concatenate([units, np.full((len(units), plan), np.nan, "f4")], 1)
    kinds = {name: "price" if name == "price" else "lever" for name in ahead}
    return Panel(Clock(GRAINS[grain]), 18000, units.shape[1], {"product": keys}, target, ahead, kinds, {}, {}, {})


def kinds_of(units):
    return [CLASSES[code] for code in profile(panel(units)).classes]


def test_series_are_told_apart_by_how_often_and_how_evenly_they_sell():
    draw = np.random.default_rng(0)
    often, seldom = np.ones(400), (draw.random(400) < 0.3).astype(float)
    uneven = np.exp(1.5 * draw.normal(size=400))
    units = [5 * often, uneven, 4 * seldom, uneven * seldom, 0 * often]
    assert kinds_of(units) == ["smooth", "erratic", "intermittent", "lumpy", "silent"]


def test_the_classes_of_syntetos_and_boylan_by_hand():
    found = profile(panel([[2, 0, 4, 0, 0, 6, 0, 0]]))
    assert found.adi[0] == pytest.approx(8 / 3)
    assert found.cv2[0] == pytest.approx((8 / 3) / 16)
    assert found.zeros == pytest.approx(5 / 8)


def test_missing_periods_are_counted_from_the_first_actual_on():
    found = profile(panel([[np.nan, np.nan, 1.5, np.nan, 2.0, 3.0]]))
    assert found.history[0] == 4 and found.known[0] == 3
    assert found.missing == pytest.approx(0.25)
    assert not found.whole and profile(panel([[1, 2, np.nan]])).whole


def test_a_week_is_seen_and_noise_is_not():
    draw = np.random.default_rng(1)
    time_ = np.arange(730)
    week = 20 + 8 * np.sin(2 * np.pi * time_ / 7) + draw.normal(size=730)
    year = 20 + 8 * np.sin(2 * np.pi * time_ / 364) + draw.normal(size=730)
    noise = 20 + draw.normal(size=730)
    found = profile(panel([week, year, noise]))
    assert found.cycle_of[0] > 0.9 and found.cycle_of[2] < 0.05
    assert found.year_of[1] > 0.9 and found.year_of[2] < 0.2


def test_strength_is_unknown_below_two_seasons():
    assert np.isnan(profile(panel(np.ones((1, 100)))).year)
    assert np.isnan(profile(panel(np.ones((1, 20)), "week")).cycle)


def test_coverage_of_columns():
    flags = np.zeros((2, 10), "f4")
    flags[0, :4] = 1
    assert profile(panel(np.ones((2, 8)), plan=2, promotion=flags)).covered == {"promotion": 0.25}


@pytest.mark.parametrize(
    ("units", "grain", "name", "recipes"),
    [
        (np.full((40, 400), 5.0), "day", "panel", ("naive", "boosted", "lstm", "stats")),
        (np.full((400, 400), 5.0), "day", "panel", ("naive", "boosted", "lstm", "stats")),
        (np.full((3000, 130), 5.0), "day", "panel", ("naive", "boosted", "lstm")),
        (np.full((1, 208), 5.0), "week", "few", ("naive", "stats")),
        (np.full((1, 60), 5.0), "week", "cold", ("naive", "stats")),
        (np.full((300, 40), 5.0), "day", "cold", ("naive", "boosted", "stats")),
        (np.tile([0, 0, 3.0, 0], (3, 100)), "day", "intermittent", ("naive", "stats")),
        (np.tile([0, 0, 3.0, 0], (300, 100)), "day", "intermittent", ("naive", "stats", "boosted", "lstm")),
    ],
)
def test_routes(units, grain, name, recipes):
    found = route(profile(panel(units, grain)))
    assert (found.name, found.recipes) == (name, recipes)
    assert str(len(units)) in found.why


def test_a_panel_without_sales_has_a_route():
    assert route(profile(panel(np.zeros((2, 5))))).name == "cold"
    assert route(profile(panel(np.full((2, 5), np.nan)))).recipes == ("naive", "stats")


def test_eight_thousand_series_take_less_than_a_second():
    units = np.random.default_rng(0).poisson(3, (8000, 730))
    whole = panel(units)
    began = time.process_time()
    profile(whole)
    assert time.process_time() - began < 1.0
