from __future__ import annotations

import numpy as np
import pytest

from tradewind.training import score

TRUTH = np.array([10.0, 0.0, 5.0, 5.0])
SAID = np.array([8.0, 1.0, 5.0, 7.0])


def test_metrics_by_hand() -> None:
    assert score.wape(TRUTH, SAID) == pytest.approx(5 / 20)
    assert score.bias(TRUTH, SAID) == pytest.approx(1 / 20)
    assert score.mase(TRUTH, SAID, np.array([2.0, 1.0, np.nan, 0.0])) == pytest.approx((1 + 1) / 2)
    assert score.coverage(TRUTH, SAID - 1, SAID + 1) == pytest.approx(0.5)
    assert score.pinball(TRUTH, {0.5: SAID}) == pytest.approx(score.wape(TRUTH, SAID))


def test_nothing_sold_has_no_percentage() -> None:
    assert np.isnan(score.wape(np.zeros(3), np.ones(3))) and np.isnan(score.bias(np.zeros(3), np.ones(3)))
    assert np.isnan(score.mase(TRUTH, SAID, np.zeros(4))) and np.isnan(score.pinball(np.zeros(2), {0.5: np.ones(2)}))


def test_gain_is_signed_and_its_error_shrinks_with_groups() -> None:
    random = np.random.default_rng(0)
    theirs = random.gamma(4, 1, 4000)
    ours = theirs * random.uniform(0.5, 1.2, 4000)
    few = score.gain(theirs, ours, np.arange(4000) % 10)
    many = score.gain(theirs, ours, np.arange(4000) % 400)
    assert few[0] == pytest.approx(many[0]) and few[0] > 0
    assert score.gain(ours, theirs, np.arange(4000))[0] < 0
    assert 0 < many[1] < few[0]


def test_a_single_group_tells_nothing_of_its_error_and_a_perfect_baseline_no_gain() -> None:
    assert score.gain(np.ones(3), np.zeros(3), np.zeros(3)) == (1.0, 1.0)
    assert score.gain(np.ones(3), np.full(3, 1.2), np.zeros(3)) == pytest.approx((-0.2, 0.2))
    assert score.gain(np.array([1.0, 9.0]), np.zeros(2), np.arange(2)) == (1.0, 0.0)
    assert score.gain(np.zeros(3), np.ones(3), np.arange(3)) == (0.0, 0.0)
