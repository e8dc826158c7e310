"""Zeros of closed days are told from poor ones only where sales never come near zero."""

from __future__ import annotations

import numpy as np
import pytest

from tradewind.models._kit import resting

DAYS = 200
WEEKDAY = np.arange(DAYS) % 7
NONE = np.zeros(DAYS, bool)


def shops(count=6, mean=80.0, seed=0):
    return np.random.default_rng(seed).poisson(mean, (count, DAYS)).astype("f8")


def test_a_day_of_the_week_without_a_sale_is_a_day_of_rest():
    value = shops()
    value[:3, WEEKDAY == 6] = 0
    found = resting.weekly(value)
    assert found[:3, WEEKDAY == 6].all() and found.sum() == 3 * (WEEKDAY == 6).sum()


def test_an_open_sunday_now_and_then_leaves_the_others_days_of_rest():
    value = shops()
    rest = (WEEKDAY == 6) & (np.arange(DAYS) != 104)
    value[:, rest] = 0
    np.testing.assert_array_equal(resting.weekly(value)[0], rest)


@pytest.mark.parametrize("mean", [0.3, 2.0, 6.0])
def test_zeros_of_series_that_sell_little_are_demand(mean):
    value = shops(mean=mean)
    value[:, WEEKDAY == 6] = 0
    assert not resting.closed(value, NONE).any()


def test_zeros_of_series_that_often_sell_next_to_nothing_are_demand():
    value = shops() * np.random.default_rng(1).choice([0.02, 1.0, 2.0], (6, DAYS))
    value[:, WEEKDAY == 6] = 0
    assert not resting.closed(np.round(value, 2), NONE).any()


def test_one_zero_alone_is_no_closed_day():
    value = shops()
    value[2, 90] = 0
    assert not resting.closed(value, NONE).any()


def test_a_day_on_which_most_sold_nothing_is_a_holiday_and_with_an_event_few_series_tell():
    value = shops()
    value[:4, 90] = 0
    found = resting.closed(value, NONE)
    assert found[:4, 90].all() and found.sum() == 4
    assert not resting.regular(value, NONE).any(), "a load may be missing"
    event = np.arange(DAYS) == 90
    np.testing.assert_array_equal(resting.regular(value, event), found)
    assert not resting.closed(value[:2], NONE).any() and resting.closed(value[:2], event).sum() == 2


def test_a_long_pause_that_ended_is_left_out_and_one_that_goes_on_is_not():
    value = shops(count=2)
    value[0, 60:100] = 0
    value[1, 170:] = 0
    found = resting.closed(value, NONE)
    assert found[0, 60:100].all() and found.sum() == 40
    assert not resting.regular(value, NONE).any(), "to who looks for incidents it is one"


def test_new_days_are_told_by_the_weeks_before_whether_these_still_have_their_zeros_or_not():
    value = shops()
    value[:3, WEEKDAY == 6] = 0
    past, new = value[:, :182], value[:, 182:189]
    assert (WEEKDAY[182:189] == 6).sum() == 1
    wanted = (new == 0) & (WEEKDAY[182:189] == 6)
    for known in (past, np.where(resting.weekly(past), np.nan, past)):
        np.testing.assert_array_equal(resting.regular_after(known, new, np.zeros(7, bool)), wanted)
    fallen = new.copy()
    fallen[4, 2] = 0
    assert not resting.regular_after(past, fallen, np.zeros(7, bool))[4].any()


@pytest.mark.parametrize("days", [0, 1, 5, 20])
def test_three_weeks_tell_nothing_of_a_week(days):
    value = shops(count=3)[:, :days]
    value[:, WEEKDAY[:days] == 6] = 0
    found = resting.closed(value, NONE[:days])
    assert found.shape == value.shape and not found.any()


def test_gaps_are_no_zeros():
    value = shops()
    value[:, WEEKDAY == 6] = np.nan
    assert not resting.closed(value, NONE).any()
