"""Levels by likeness: a newcomer is placed by its product, its store and its attributes."""

import numpy as np
import pytest

from tradewind.models._kit.calendar import GRAINS, Clock
from tradewind.models._kit.forecast import levels
from tradewind.models._kit.panel import Panel

PRODUCTS, STORES = 8, 6
PRODUCT = np.exp(np.linspace(-1, 1, PRODUCTS))
STORE = np.exp(np.linspace(0.6, -0.6, STORES))


def words(values):
    array = np.empty(len(values), object)
    array[:] = values
    return array


def panel(pairs, target, category=None):
    names = {"product": words([f"P{a}" for a, _ in pairs]), "store": words([f"S{b}" for _, b in pairs])}
    static, codes = {}, {}
    if category is not None:
        static, codes = {"category": np.array(category, "f4")}, {"category": ["cheap", "dear"]}
    return Panel(Clock(GRAINS["day"]), 0, target.shape[1], names, target, {}, {}, {}, static, codes)


def pairs():
    return [(a, b) for a in range(PRODUCTS) for b in range(STORES)]


def sold(which, rng=None):
    level = np.array([20 * PRODUCT[a] * STORE[b] for a, b in which])
    noise = (rng or np.random.default_rng(0)).gamma(20, 1 / 20, (len(which), 100))
    return (level[:, None] * noise).astype("f4"), level


def test_a_known_product_in_a_known_store_gets_both_effects():
    away = {(0, 5), (7, 0), (3, 3), (7, 5)}
    known = [pair for pair in pairs() if pair not in away]
    learned = levels.learn(panel(known, sold(known)[0]))
    new = sorted(away)
    found = learned.of(panel(new, np.full((len(new), 100), np.nan, "f4")))
    true = sold(new)[1]
    # effects are drawn a little towards none: four series of none stand against five or six of its own
    assert (np.abs(np.log(found / true)) < 0.8).all()
    assert np.corrcoef(np.log(found), np.log(true))[0, 1] > 0.98
    assert np.abs(np.log(found / true)).mean() < 0.6 * np.abs(np.log(np.exp(learned.base) / true)).mean()


def test_a_new_product_in_a_known_store_gets_the_stores_effect():
    learned = levels.learn(panel(pairs(), sold(pairs())[0]))
    found = learned.of(panel([("new", b) for b in range(STORES)], np.full((STORES, 100), np.nan, "f4")))
    effect = np.log(found) - learned.base
    assert (np.diff(effect) < 0).all()
    np.testing.assert_allclose(effect, np.log(STORE) * PRODUCTS / (PRODUCTS + levels.DRAWN_KEY), atol=0.15)


def test_an_attribute_tells_the_level_of_a_new_product():
    known = [(a, b) for a in range(PRODUCTS) for b in range(2)]
    dear = [a % 2 for a, _ in known]
    target = np.array([[40.0 if kind else 4.0] * 100 for kind in dear], "f4")
    learned = levels.learn(panel(known, target, dear))
    found = learned.of(panel([("new", 0), ("newer", 0)], np.full((2, 100), np.nan, "f4"), [0, 1]))
    assert found[0] == pytest.approx(4, rel=0.35) and found[1] == pytest.approx(40, rel=0.35)


def test_an_attribute_never_seen_changes_nothing():
    known = pairs()
    learned = levels.learn(panel(known, sold(known)[0], [a % 2 for a, _ in known]))
    found = learned.of(panel([("new", "nowhere")], np.full((1, 100), np.nan, "f4"), [np.nan]))
    assert found[0] == pytest.approx(np.exp(learned.base))


def test_only_the_recent_past_counts_and_silent_series_do_not():
    target = np.concatenate([np.full((4, 200), 1000.0), np.full((4, 91), 10.0)], 1).astype("f4")
    target[3] = 0
    learned = levels.learn(panel([(a, 0) for a in range(4)], target))
    assert np.exp(learned.base) == pytest.approx(10)


def test_nothing_sold_is_a_level_of_nothing():
    learned = levels.learn(panel([(0, 0), (1, 0)], np.zeros((2, 50), "f4")))
    assert (learned.of(panel([(5, 5)], np.zeros((1, 50), "f4"))) < 1.01e-6).all()


def test_levels_go_round():
    learned = levels.learn(panel(pairs(), sold(pairs())[0]))
    again = levels.Levels.from_meta(learned.meta())
    whole = panel(pairs(), sold(pairs())[0])
    np.testing.assert_array_equal(again.of(whole), learned.of(whole))
