"""What promotions take from others: pairs across categories, and errors that a category makes together."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from tradewind.models._kit.trade.bind import ALPHAS, _smoothed, _spike
from tradewind.models._kit.trade.book import DRAWS, Book
from tradewind.models._kit.trade.kin import kin
from tradewind.models._kit.trade.shrink import Prior, draws, shrink

CATEGORIES, EACH, WEEKS = 12, 5, 80


def found_of(shared: float):
    """Return the shrunk coefficients of one column, and what `kin` says, where a share of the noise is the category's."""
    rng = np.random.default_rng(1)
    count = CATEGORIES * EACH
    category = np.repeat(np.arange(CATEGORIES), EACH)
    x = np.repeat(rng.normal(size=(CATEGORIES, WEEKS)), EACH, 0) + 0.1 * rng.normal(size=(count, WEEKS))
    noise = np.sqrt(shared) * rng.normal(size=(CATEGORIES, WEEKS))[category] + np.sqrt(1 - shared) * rng.normal(size=(count, WEEKS))
    y = 0.4 * x + noise
    prior = Prior(*(np.array([one]) for one in (0.4, 1.0, 0.3, 0.05)))
    normal = (x**2).sum(1)[:, None, None]
    found = shrink(normal, (x * y).sum(1)[:, None], np.arange(count), about=np.ones((count, 1)), prior=prior)
    moves = (x * (y - found.series * x))[..., None]
    return found, kin(found, normal, moves, product=np.arange(count), category=category, together=1.0, among=prior.among)


def test_errors_of_a_category_that_go_together_are_seen_and_drawn_together():
    found, apart = found_of(0.0)
    _, both = found_of(0.5)
    error = float(np.sqrt(found.spread.mean()))
    assert apart[0] < 0.5 * error and 1.4 * apart[0] < both[0] < 1.2 * error
    category = np.repeat(np.arange(CATEGORIES), EACH)
    group = np.arange(CATEGORIES * EACH)
    one, two = (draws(found, group, 400, 0, kin=(size, category))[0].T.reshape(400, CATEGORIES, EACH) for size in (both, 0 * both))
    assert one.mean(2).std(0).mean() > 1.25 * two.mean(2).std(0).mean()
    assert (one - two).std(2).max() < 1e-4  # the products of a category are moved alike


def test_draws_lie_effect_first_in_pairs_about_the_mean_and_follow_what_is_known():
    found, _ = found_of(0.0)
    group, count = np.arange(len(found.series)), 801
    drawn = draws(found, group, count, 3)
    assert drawn.shape == (1, len(group), count) and drawn.dtype == np.float32
    assert np.allclose(drawn[:, :, 401:] + drawn[:, :, :400], 2 * found.series.T[:, :, None], atol=1e-5)
    assert np.allclose(drawn[0].std(1), np.sqrt(found.own[:, 0] + found.carry[:, 0] ** 2 * found.spread[:, 0, 0]), rtol=0.12)


def test_single_products_of_a_category_share_nothing():
    found, _ = found_of(0.0)
    count = len(found.product)
    each = np.arange(count)
    none = kin(found, np.ones((count, 1, 1)), np.ones((count, 5, 1)), product=each, category=each, together=1.0, among=np.ones(1))
    assert (none == 0).all()


def test_a_pair_is_as_likely_as_data_say_and_never_harms():
    rng = np.random.default_rng(0)
    error = np.full(2000, 0.05)
    effect = error * rng.normal(size=2000)
    effect[:40] -= 0.2
    chance, mean, spread = _spike(effect, error, 0.04)
    assert chance[:40].mean() > 0.75 and chance[40:].mean() < 0.02
    assert (chance * mean).sum() == pytest.approx(-8.0, rel=0.25) and (spread <= error * 1.2).all()
    halo = np.stack([np.zeros(2000), np.ones(2000), chance, mean, spread], 1)
    drawn = Book.brought.func(SimpleNamespace(halo=halo))
    assert drawn.shape == (DRAWS, 2000) and (drawn <= 0).all()
    assert drawn.mean(0).sum() == pytest.approx(float((chance * mean).sum()), rel=0.05)


def test_a_level_that_moved_and_stays_is_followed_and_noise_is_not() -> None:
    rng = np.random.default_rng(2)
    noise = 0.1 * rng.normal(size=(40, 80))
    wander = np.cumsum(0.1 * rng.normal(size=(40, 80)), 1)
    best = {}
    for name, left in (("noise", noise), ("wander", noise + wander)):
        left = left - left.mean(1, keepdims=True)  # as a fit leaves it
        error = {alpha: float(np.mean(_smoothed(left, np.ones(left.shape, bool), alpha)[1] ** 2)) for alpha in ALPHAS}
        best[name] = min(error, key=lambda alpha: error[alpha])
    assert best["noise"] <= 0.05 and best["wander"] >= 0.2
    steady = np.full((1, 30), 0.3)
    assert np.abs(_smoothed(steady, np.ones(steady.shape, bool), 0.1)[1]).max() < 1e-9  # the mean so far says it all
