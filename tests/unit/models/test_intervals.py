import numpy as np
import pytest

from tradewind.core.errors import LearnFailed
from tradewind.models._kit.intervals import LEVELS, Bands, around, coverage, learn

PAIRS = [("lo50", "hi50", 0.5), ("lo80", "hi80", 0.8), ("lo90", "hi90", 0.9), ("lo95", "hi95", 0.95)]


def drawn(seed, rows=12_000):
    """Counts whose spread depends on size, horizon and promotion: what pools must tell apart."""
    rng = np.random.default_rng(seed)
    mean = rng.lognormal(0.5, 1.2, rows)
    ahead, state = rng.integers(0, 30, rows), (rng.random(rows) < 0.2).astype(float)
    spread = rng.random(rows)
    wobble = np.exp(rng.normal(0, 0.1 + 0.01 * ahead + 0.3 * state, rows))
    return rng.poisson(mean * wobble).astype(float), mean, ahead, state, spread


@pytest.fixture(scope="module")
def bands():
    return learn(*drawn(0), horizon=30)


@pytest.mark.parametrize(("low", "high", "wanted"), PAIRS)
def test_new_rows_are_covered(bands, low, high, wanted):
    truth, mean, ahead, state, spread = drawn(1)
    given = bands(mean, ahead, state, spread)
    at = list(LEVELS)
    # counts are lumpy: a closed band may cover more than it promises, never much less
    assert -0.02 < coverage(truth, given[:, at.index(low)], given[:, at.index(high)]) - wanted < 0.12
    big = mean > 8
    assert abs(coverage(truth[big], given[big, at.index(low)], given[big, at.index(high)]) - wanted) < 0.05


def test_promotions_have_wider_bands(bands):
    mean, ahead, spread = np.full(2, 20.0), np.full(2, 3), np.full(2, 0.5)
    given = bands(mean, ahead, np.array([0.0, 1.0]), spread)
    width = given[:, list(LEVELS).index("hi80")] - given[:, list(LEVELS).index("lo80")]
    assert width[1] > width[0] * 1.3


def test_bounds_never_cross_nor_fall_below_zero(bands):
    mean = np.concatenate([[0.0, 1e-12, 1e9], np.geomspace(1e-3, 1e4, 500)])
    given = bands(mean, np.zeros(len(mean), int), np.zeros(len(mean)), np.zeros(len(mean)))
    order = np.argsort(list(LEVELS.values()))
    assert (np.diff(given[:, order], axis=1) >= 0).all()
    assert (given >= 0).all() and np.isfinite(given).all()


def test_a_larger_forecast_never_has_a_lower_bound(bands):
    mean = np.geomspace(1e-3, 1e5, 3000)
    for state in (0.0, 1.0):
        given = bands(mean, np.full(len(mean), 12), np.full(len(mean), state), np.full(len(mean), 0.9))
        assert (np.diff(given, axis=0) >= -1e-6 * given[1:]).all()


def test_past_the_largest_size_bands_grow_in_proportion(bands):
    given = bands(np.array([1e6, 2e6]), np.zeros(2, int), np.zeros(2), np.zeros(2))
    np.testing.assert_allclose(given[1], 2 * given[0], rtol=1e-6)


def test_forecasts_of_nothing_have_bands_of_their_own():
    rng = np.random.default_rng(0)
    mean = np.concatenate([np.zeros(500), np.full(500, 5.0)])
    truth = np.concatenate([rng.poisson(1.0, 500), rng.poisson(5.0, 500)]).astype(float)
    still = np.zeros(1000)
    given = learn(truth, mean, still.astype(int), still, still, horizon=30)(np.zeros(1), np.zeros(1, int), np.zeros(1), np.zeros(1))
    assert 2 <= given[0, list(LEVELS).index("hi80")] <= 4


def test_few_rows_fall_back_to_one_pool():
    truth, mean, ahead, state, spread = (part[:40] for part in drawn(2))
    few = learn(truth, mean, ahead, state, spread, horizon=30)
    assert len(few.knots) == 1


def test_too_few_rows_are_refused():
    with pytest.raises(LearnFailed):
        learn(*(np.array([np.nan, 1.0]),) * 5, horizon=30)


def test_arrays_go_round(bands):
    again = Bands.from_arrays(bands.arrays())
    _, mean, ahead, state, spread = drawn(3, 50)
    np.testing.assert_array_equal(again(mean, ahead, state, spread), bands(mean, ahead, state, spread))


def test_a_given_median_pushes_bounds_aside():
    given = around(np.array([10.0]), np.array([[3.0, 2, 4, 1, 5, 0.5, 6, 0.1, 7]]))
    assert given[0].tolist() == [10, 2, 10, 1, 10, 0.5, 10, 0.1, 10]
