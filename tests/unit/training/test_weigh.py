"""Weights of an ensemble: errors that cancel are worth a mean, errors that do not are not."""

from __future__ import annotations

import numpy as np
import pytest

from tradewind.training.score import QUANTILES
from tradewind.training.weigh import weigh

RNG = np.random.default_rng(1)
TRUTH = RNG.gamma(4, 5, 2000)
BLOCK = np.repeat(np.arange(4), 500)


def said(error: np.ndarray, wide: float = 3.0) -> dict[str, np.ndarray]:
    return {"truth": TRUTH, "block": BLOCK} | {name: TRUTH + error + wide * (tau - 0.5) for tau, name in QUANTILES.items()}


def test_errors_that_cancel_make_a_mean() -> None:
    found = weigh({"a": said(RNG.normal(0, 3, 2000)), "b": said(RNG.normal(0, 3, 2000)), "bad": said(RNG.normal(0, 30, 2000))})
    assert found.weights == {"a": pytest.approx(0.5), "b": pytest.approx(0.5)}
    assert "erred" in found.why and "less than" in found.why


def test_one_that_is_far_better_stays_alone() -> None:
    found = weigh({"good": said(RNG.normal(0, 1, 2000)), "poor": said(RNG.normal(0, 20, 2000))})
    assert found.weights == {"good": 1.0} and "alone" in found.why and found.together == 1.0


def test_weights_add_up_and_members_are_few() -> None:
    weights = weigh({name: said(RNG.normal(0, 3, 2000)) for name in "abcde"}).weights
    assert sum(weights.values()) == pytest.approx(1) and 2 <= len(weights) <= 3


def test_what_errors_share_is_told_and_few_blocks_are_believed_less() -> None:
    common, own = RNG.normal(0, 2, 2000), RNG.normal(0, 1, (2, 2000))
    told = weigh({"a": said(common + own[0], 9.0), "b": said(common + own[1], 9.0)})
    assert len(told.weights) == 2
    assert told.together == pytest.approx((4 * 0.8 + 1) / 5, abs=0.02)  # a correlation of 4 / (4 + 1), and one block of agreement


def test_errors_that_offset_each_other_are_not_counted_on() -> None:
    error = RNG.normal(0, 3, 2000)
    assert weigh({"a": said(error), "b": said(-error)}).together == 0.0


def test_intervals_that_cover_too_little_are_not_made_narrower() -> None:
    own = RNG.normal(0, 3, (2, 2000))
    assert weigh({"a": said(own[0], 1.0), "b": said(own[1], 1.0)}).together == 1.0
    assert weigh({"a": said(own[0], 12.0), "b": said(own[1], 12.0)}).together < 0.3


def test_an_interval_of_no_width_says_nothing_of_what_errors_share() -> None:
    flat = {"truth": TRUTH, "block": BLOCK} | dict.fromkeys(QUANTILES.values(), TRUTH + 1)
    assert weigh({"a": flat, "b": flat}).together == 1.0


def test_where_all_say_the_point_for_percentages_the_one_that_errs_least_is_in_it() -> None:
    held = {name: said(RNG.normal(0, spread, 2000)) for name, spread in (("good", 1.0), ("poor", 20.0), ("other", 21.0))}
    points = {"good": 0.5 * TRUTH, "poor": 0.9 * TRUTH, "other": 0.6 * TRUTH}
    pointed = {name: columns | {"least_mape": points[name]} for name, columns in held.items()}
    assert weigh(held).weights == {"good": 1.0}
    found = weigh(pointed)
    assert found.weights == {"good": 0.75, "poor": 0.25}
    assert "more than good alone" in found.why and "holds poor" in found.why
    assert weigh(pointed | {"other": held["other"]}).weights == {"good": 1.0}  # where one has none, none is compared
    unsold = {name: columns | {"truth": np.zeros(2000)} for name, columns in held.items()}  # no sale has a percentage error
    assert weigh({name: columns | {"least_mape": points[name]} for name, columns in unsold.items()}) == weigh(unsold)
