"""Accidents of periods and of whole promotions, what promoted periods tell, and sums by group."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from tradewind.models._kit.trade.group import summed
from tradewind.models._kit.trade.trim import together_of, trimmed

PRODUCTS, STORES, WEEKS = 20, 6, 60


def panel(*, shared: float = 0.0, noise: float = 0.2) -> tuple[SimpleNamespace, np.ndarray]:
    """Return a panel of promotions every tenth week in all stores, and errors; `shared` is what stores of a promotion have in common."""
    rng = np.random.default_rng(3)
    product = np.repeat(np.arange(PRODUCTS), STORES)
    run = np.full((len(product), WEEKS), -1)
    gap = noise * rng.normal(size=run.shape)
    for at in range(PRODUCTS):
        for place, week in enumerate(range(5 + at % 7, WEEKS, 10)):
            rows = product == at
            run[rows, week] = at * 10 + place
            gap[rows, week] += shared * rng.normal()
    return SimpleNamespace(run=run, product=product), gap


def test_a_promotion_that_never_ran_is_left_out_in_all_its_stores():
    given, gap = panel()
    strange = given.run == 31
    gap[strange] -= 0.5  # 2.5 standard deviations: no period by itself would be called strange
    kept, weight = trimmed(given, gap, gap)
    assert np.isnan(kept[strange]).all() and strange.sum() == STORES
    assert np.isfinite(kept).mean() > 0.98 and (weight >= 0.85).all()


def test_promotions_that_vary_as_a_whole_are_kept_and_tell_less():
    given, gap = panel(shared=0.3)
    kept, weight = trimmed(given, gap, gap)
    on = given.run >= 0
    assert np.isfinite(kept[on]).mean() > 0.92  # what is left out are single periods, not promotions
    assert (weight[~on] == 1).all() and (weight[on] < 0.35).all()  # truth: one over 1 + 5 x .09 / .13


def test_a_spike_is_left_out_and_few_promotions_are_never_strange():
    given, gap = panel()
    gap[4, 3] = 3.0
    few = SimpleNamespace(run=np.where(given.run == 31, 31, -1), product=given.product)
    gap[few.run == 31] -= 0.5
    kept, _ = trimmed(few, gap, gap)
    assert np.isnan(kept[4, 3]) and np.isfinite(kept[few.run == 31]).any()


def test_errors_by_chance_do_not_go_together():
    given, gap = panel()
    assert together_of(gap, given.product) == pytest.approx(1.0, abs=0.15)


def test_sums_by_group_are_those_of_adding_one_by_one():
    rng = np.random.default_rng(0)
    values, code = rng.normal(size=(50, 3, 2)), rng.integers(0, 7, 50)
    expected = np.zeros((9, 3, 2))
    np.add.at(expected, code, values)
    np.testing.assert_allclose(summed(values, code, 9), expected, atol=1e-12)
    assert summed(values[:0], code[:0], 2).shape == (2, 3, 2) and summed(np.ones((2, 1), bool), np.array([1, 1]), 2).tolist() == [[0], [2]]
