from dataclasses import replace

import numpy as np
import pytest

from tradewind.models._kit import response
from tradewind.models._kit.calendar import GRAINS, Clock
from tradewind.models._kit.panel import Panel


def words(values):
    listed = list(values)
    array = np.empty(len(listed), object)
    array[:] = listed
    return array


def world(*, seed=0, days=730, series=12, noise=True, elasticity=None, units=1.0):
    """Series with a trend, a strong year, weekdays, known elasticities and lifts."""
    rng = np.random.default_rng(seed)
    true = np.linspace(-3.2, -0.8, series) if elasticity is None else np.full(series, elasticity)
    step = rng.choice([0.8, 0.9, 1.0, 1.0, 1.1], (series, days // 14 + 1)).repeat(14, 1)[:, :days]
    promotion = (rng.random((series, days // 7 + 1)) < 0.15).repeat(7, 1)[:, :days].astype("f4")
    price = 4.0 * step * np.where(promotion > 0, 0.85, 1.0)
    time = np.arange(days)
    base = np.log(20) + 0.3 * np.sin(2 * np.pi * time / 365) + 0.2 * np.sin(2 * np.pi * time / 7) + 0.0004 * time
    mean = np.exp(base + true[:, None] * np.log(price / 4) + 0.3 * promotion)
    sold = rng.poisson(mean) if noise else mean
    keys = {"product": words(f"P{at}" for at in range(series))}
    ahead = {"price": price.astype("f4"), "promotion": promotion}
    kinds = {"price": "price", "promotion": "lever"}
    return Panel(Clock(GRAINS["day"]), 19_000, days, keys, (sold * units).astype("f4"), ahead, kinds, {}, {}, {}), true


def test_elasticities_and_lifts_are_found_under_trend_and_season():
    panel, true = world()
    found = response.learn(panel)
    price, promotion = found.coefficient[:, found.names.index("price")], found.coefficient[:, found.names.index("promotion")]
    assert np.abs(price - true).max() < 0.45 and np.abs(price - true).mean() < 0.2
    assert abs(promotion.mean() - 0.3) < 0.08


def test_the_unit_of_sales_does_not_matter():
    first, second = (response.learn(world(units=units)[0]).coefficient for units in (1.0, 1000.0))
    np.testing.assert_allclose(first, second, atol=1e-3)


def test_series_that_say_little_lean_on_the_others():
    panel, _ = world(elasticity=-2.0)
    quiet = panel.target.copy()
    quiet[0, : panel.cut - 25] = np.nan
    short = Panel(panel.clock, panel.first, panel.cut, panel.keys, quiet, panel.ahead, panel.kinds, {}, {}, {})
    found = response.learn(short).coefficient[:, 0]
    assert abs(found[0] + 2.0) < 0.5


def stores(panel):
    """The same series as stores of one product."""
    count = len(panel)
    return replace(panel, keys={"product": words(["P"] * count), "store": words(f"S{at}" for at in range(count))})


def test_stores_that_differ_much_are_believed_and_stores_alike_are_held_together():
    apart, true = world(days=400, series=16)
    found = response.learn(stores(apart)).coefficient[:, 0]
    assert np.corrcoef(found, true)[0, 1] > 0.95
    assert found.std() > 0.95 * true.std()  # .9 where stores are taken to lie .25 apart, whatever they show
    alike, _ = world(days=120, series=16, elasticity=-2.0)
    assert response.learn(stores(alike)).coefficient[:, 0].std() < 0.2


def test_a_price_that_only_rises_with_demand_gives_no_positive_effect():
    panel, _ = world(elasticity=1.5)
    assert (response.learn(panel).coefficient[:, 0] <= 0).all()


@pytest.mark.parametrize("how", ["constant", "absent", "missing"])
def test_a_price_that_never_moved_has_no_effect(how):
    panel, _ = world()
    ahead = dict(panel.ahead)
    if how == "absent":
        ahead.pop("price")
    else:
        ahead["price"] = np.full_like(ahead["price"], 4.0 if how == "constant" else np.nan)
    kinds = {name: panel.kinds[name] for name in ahead}
    found = response.learn(Panel(panel.clock, panel.first, panel.cut, panel.keys, panel.target, ahead, kinds, {}, {}, {}))
    assert "price" not in found.names and "promotion" in found.names


def test_no_lever_at_all_is_an_empty_response():
    panel, _ = world()
    found = response.learn(Panel(panel.clock, panel.first, panel.cut, panel.keys, panel.target, {}, {}, {}, {}, {}))
    assert found.names == () and found.effect({}) == {}


def test_the_same_price_for_all_series_works():
    panel, _ = world(elasticity=-2.0, series=3)
    shared = panel.ahead["price"][:1]
    mean = 20 * (shared / 4) ** -2.0
    target = np.random.default_rng(0).poisson(np.repeat(mean, 3, 0)).astype("f4")
    found = response.learn(
        Panel(panel.clock, panel.first, panel.cut, panel.keys, target, {"price": shared}, {"price": "price"}, {}, {}, {})
    )
    assert abs(found.coefficient[:, 0].mean() + 2.0) < 0.25


def test_errors_of_levers_that_run_together_go_together():
    inside, alone, kept = [], [], []
    for seed in range(6):
        panel, _ = world(seed=seed, days=400)
        rng = np.random.default_rng(seed)
        promotion = panel.ahead["promotion"]
        display = promotion * np.repeat(rng.random((len(panel), 58)) < 0.8, 7, 1)[:, :400]  # nearly always beside a promotion
        target = rng.poisson(panel.target * np.exp(0.2 * display)).astype("f4")
        ahead, kinds = panel.ahead | {"display": display}, dict(panel.kinds) | {"display": "lever"}
        found = response.learn(Panel(panel.clock, panel.first, panel.cut, panel.keys, target, ahead, kinds, {}, {}, {}))
        pair = [found.names.index(name) for name in ("promotion", "display")]
        covariance = found.covariance[:, pair][:, :, pair].astype("f8")
        error = np.sqrt(covariance.sum((1, 2)))
        inside.append(np.abs(found.coefficient[:, pair].sum(1) - 0.5) < found.deviations[0] * error)
        alone.append(error / np.sqrt(np.trace(covariance, axis1=1, axis2=2)))
        kept.append(np.linalg.eigvalsh(covariance).min())
    assert 0.7 < np.mean(inside) < 0.95  # the 80 % interval of both together
    assert np.mean(alone) < 0.8  # as if they were independent, it would be wider
    assert min(kept) > 0


def test_few_blocks_widen_intervals_by_students_t():
    few, many = (response.learn(world(days=days, series=3)[0]).deviations for days in (124, 1095))
    assert few[0] > 1.6 > 1.31 > many[0] > 1.282 and few[1] > 3 > many[1] > 1.96


def test_numbers_go_round():
    found = response.learn(world(series=3, days=200)[0])
    again = response.Response.from_parts(list(found.names), found.arrays())
    for name in ("coefficient", "centre", "covariance", "deviations", "usual"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
