"""What a forecaster remembers: blocks open, fill and close; they move with their series and are joined in time."""

from dataclasses import replace

import numpy as np
import pytest

from tradewind.models._kit.calendar import GRAINS, Clock
from tradewind.models._kit.forecast import memory as memories
from tradewind.models._kit.forecast import recalibrate
from tradewind.models._kit.forecast.learner import Said
from tradewind.models._kit.intervals import TAUS
from tradewind.models._kit.panel import Panel

HORIZON, FIRST = 4, 1000


def panel(target, cut):
    """Return a panel of the target's series that ends at `cut`."""
    names = np.empty(len(target), object)
    names[:] = [f"P{at}" for at in range(len(target))]
    known = np.array(target, "f4")
    known[:, cut:] = np.nan
    return Panel(Clock(GRAINS["day"]), FIRST, cut, {"product": names}, known, {}, {}, {}, {}, {})


def said(series, mean=10.0):
    quantiles = mean * np.linspace(0.5, 1.5, len(TAUS))
    return Said(np.full((series, HORIZON), mean), np.broadcast_to(quantiles, (series, HORIZON, len(TAUS))).copy())


@pytest.fixture
def target():
    return np.random.default_rng(0).uniform(6, 14, (3, 40))


@pytest.fixture
def opened(target):
    return memories.open_block(memories.nothing(3, HORIZON), panel(target, 10), said(3), np.zeros((3, HORIZON)))


def test_an_open_block_holds_what_was_said_and_nothing_that_came(opened):
    assert opened.starts.tolist() == [FIRST + 10] and opened.horizon == HORIZON and opened.blocks == 0
    assert (opened.mean == 10).all() and np.isnan(opened.truth).all() and np.isnan(opened.transform).all()
    assert opened.waiting.shape == (3, HORIZON, len(TAUS))
    np.testing.assert_allclose(opened.spread, 10 * (np.interp(0.9, TAUS, np.linspace(0.5, 1.5, 15)) - 0.5 - 2 / 14) / 2.5632, rtol=1e-3)


def test_half_a_block_fills_half(opened, target):
    half = memories.fill(opened, panel(target, 12))
    np.testing.assert_allclose(half.truth[:, 0, :2], target[:, 10:12], rtol=1e-6)
    assert np.isnan(half.truth[:, 0, 2:]).all() and half.waiting.shape[1] == HORIZON and half.blocks == 1


def test_a_whole_block_closes_with_the_transforms_of_what_came(opened, target):
    whole = memories.fill(memories.fill(opened, panel(target, 12)), panel(target, 14))
    assert whole.waiting.shape[1] == 0
    expected = recalibrate.transform(said(3).quantiles, target[:, 10:14].astype("f4"), np.zeros((3, HORIZON)))
    np.testing.assert_allclose(whole.transform[:, 0], expected, atol=1e-5)
    once = memories.fill(opened, panel(target, 20))
    for name in ("truth", "transform", "smoothed"):
        np.testing.assert_array_equal(getattr(once, name), getattr(whole, name))


def test_a_closed_block_takes_no_more(opened, target):
    whole = memories.fill(opened, panel(target, 14))
    again = memories.fill(whole, panel(target + 100, 18))
    assert again is whole


def test_what_was_not_known_leaves_no_transform(opened, target):
    target[1, 11] = np.nan
    whole = memories.fill(opened, panel(target, 14))
    assert np.isnan(whole.transform[1, 0, 1]) and np.isfinite(whole.transform[1, 0, [0, 2, 3]]).all()


def test_out_of_stock_nothing_sold_but_demand_is_not_known(opened, target):
    target[1, 11] = np.nan
    out = np.zeros((3, 14), bool)
    out[1, 11] = True
    whole = memories.fill(opened, replace(panel(target, 14), out=out))
    assert whole.truth[1, 0, 1] == 0 and np.isnan(whole.transform[1, 0, 1]) and np.isnan(whole.smoothed[1, 0, 1])
    assert np.isnan(memories.fill(opened, panel(target, 14)).truth[1, 0, 1])


def test_a_series_keeps_its_errors_where_it_moves_and_a_new_one_has_none(opened, target):
    whole = memories.fill(opened, panel(target, 14))
    moved = memories.moved(whole, np.array([2, -1, 0, 1]))
    np.testing.assert_array_equal(moved.truth[[2, 3, 0]], whole.truth)
    assert np.isnan(moved.truth[1]).all() and np.isnan(moved.mean[1]).all() and moved.promoted[1].sum() == 0
    assert moved.waiting.shape[0] == 4


def test_earlier_blocks_come_before_those_of_now(opened, target):
    earlier = memories.fill(opened, panel(target, 14))
    earlier = memories.open_block(earlier, panel(target, 14), said(3, 11.0), np.zeros((3, HORIZON)))
    now = memories.open_block(memories.nothing(3, HORIZON), panel(target, 18), said(3, 12.0), np.ones((3, HORIZON)))
    joined = memories.joined(earlier, now)
    assert joined.starts.tolist() == [FIRST + 10, FIRST + 14, FIRST + 18]
    assert joined.mean[0, :, 0].tolist() == [10, 11, 12] and joined.promoted[0, :, 0].tolist() == [0, 0, 1]
    np.testing.assert_array_equal(joined.waiting, now.waiting)


def test_a_block_that_now_says_anew_is_not_kept_twice(opened, target):
    now = memories.open_block(memories.nothing(3, HORIZON), panel(target, 10), said(3, 12.0), np.zeros((3, HORIZON)))
    joined = memories.joined(opened, now)
    assert joined.starts.tolist() == [FIRST + 10] and joined.mean[0, 0, 0] == 12


@pytest.mark.parametrize("other", [(3, HORIZON + 1), (2, HORIZON)])
def test_a_memory_of_another_shape_is_left_behind(opened, other):
    assert memories.joined(memories.nothing(*other), opened) is opened


def test_the_oldest_blocks_go_first():
    target = np.ones((2, 400))
    memory = memories.nothing(2, HORIZON)
    for block in range(memories.MOST_BLOCKS + 5):
        memory = memories.open_block(memory, panel(target, 10 + block * HORIZON), said(2), np.zeros((2, HORIZON)))
    assert len(memory.starts) == memories.MOST_BLOCKS == memory.truth.shape[1]
    assert memory.starts[-1] == FIRST + 10 + (memories.MOST_BLOCKS + 4) * HORIZON


def test_many_series_keep_fewer_blocks_but_never_too_few(monkeypatch):
    monkeypatch.setattr(memories, "MOST_CELLS", 1)
    memory = memories.nothing(2, HORIZON)
    for block in range(9):
        memory = memories.open_block(memory, panel(np.ones((2, 99)), 10 + block * HORIZON), said(2), np.zeros((2, HORIZON)))
    assert len(memory.starts) == memories.LEAST_BLOCKS + 1


def test_arrays_go_round(opened, target):
    half = memories.fill(opened, panel(target, 12))
    again = memories.Memory.from_arrays(half.arrays())
    for name in memories.Memory.__slots__:
        np.testing.assert_allclose(getattr(again, name), getattr(half, name), rtol=1e-6)


def test_bands_follow_what_came_and_whole_numbers_only_their_own_series(target):
    target = np.full((60, 40), 14.5)  # always near the top of what was said
    memory = memories.nothing(60, HORIZON)
    for cut in range(10, 10 + 4 * HORIZON, HORIZON):
        memory = memories.open_block(memory, panel(target, cut), said(60), np.zeros((60, HORIZON)))
        memory = memories.fill(memory, panel(target, cut + HORIZON))
    raw = said(60).quantiles[:, 0]
    where = (np.zeros(60, "i8"), np.full(60, 10.0), np.zeros(60))
    middle = memories.bands(memory)(raw, *where, np.array([0.5]))
    assert (middle > 13).all() and np.isclose(raw[:, 7], 10).all()
    none = memories.bands(memory, whole=np.zeros(60, bool))(raw, *where, np.array([0.5]))
    np.testing.assert_allclose(none, 10, atol=0.2)


def replayed(cuts, target, quantiles):
    memory, promoted = memories.nothing(len(target), HORIZON), np.zeros((len(target), HORIZON))
    one = Said(quantiles.mean(-1), quantiles)
    for cut in cuts:
        memory = memories.open_block(memory, panel(target, cut), one, promoted)
        memory = memories.fill(memory, panel(target, cut + HORIZON))
    return memory


def test_right_forecasts_of_counts_that_are_often_none_keep_their_median():
    random = np.random.default_rng(0)
    drawn = np.maximum(random.exponential(4.0, (400, 40)) - 1.5, 0.0)
    quantiles = np.broadcast_to(np.maximum(-4.0 * np.log(1 - TAUS) - 1.5, 0), (400, HORIZON, len(TAUS))).astype("f4")
    memory = replayed(range(10, 30, HORIZON), np.round(drawn), quantiles)
    counts = memories.bands(memory, whole=np.ones(400, bool))
    rows = (quantiles[:, 0].astype("f8"), np.zeros(400, "i8"), quantiles[:, 0].mean(-1), np.zeros(400))
    for level in (0.25, 0.5, 0.75):
        right = np.interp(level, TAUS, quantiles[0, 0])
        np.testing.assert_allclose(counts(*rows, np.array([level])), right, atol=0.15)


def test_the_newest_blocks_count_most():
    quantiles = said(60).quantiles
    wild = np.where(np.arange(60) % 2, 14.9, 5.1)[:, None]
    widths = []
    for first, last in ((wild, 10.0), (10.0, wild)):
        target = np.broadcast_to(first, (60, 80)).copy()
        target[:, 30:] = last
        bands = memories.bands(replayed(range(10, 50, HORIZON), target, quantiles))
        rows = (quantiles[:, 0].astype("f8"), np.zeros(60, "i8"), np.full(60, 10.0), np.zeros(60))
        low, high = bands(*rows, np.array([0.25, 0.75])).T
        widths.append(float((high - low).mean()))
    assert widths[1] > 1.3 * widths[0]
