"""Weights of an ensemble: errors that cancel are worth a mean, errors that do not are not."""

from __future__ import annotations

import numpy as np
import pytest

from tradewind.training import weigh as weighing
from tradewind.training.score import QUANTILES
from tradewind.training.weigh import Weighed

RNG = np.random.default_rng(1)
TRUTH = RNG.gamma(4, 5, 2000)
BLOCK = np.repeat(np.arange(4), 500)
SERIES = np.arange(2000) // 10  # fifty series in each of four blocks
FEW = np.arange(2000) // 25  # twenty series in each


def weigh(held: dict[str, dict[str, np.ndarray]], groups: np.ndarray = SERIES) -> Weighed:
    return weighing.weigh(held, groups)


def said(error: np.ndarray, wide: float = 3.0) -> dict[str, np.ndarray]:
    return {"truth": TRUTH, "block": BLOCK} | {name: TRUTH + error + wide * (tau - 0.5) for tau, name in QUANTILES.items()}


def test_errors_that_cancel_make_a_mean() -> None:
    found = weigh({"a": said(RNG.normal(0, 3, 2000)), "b": said(RNG.normal(0, 3, 2000)), "bad": said(RNG.normal(0, 30, 2000))})
    assert found.weights == {"a": pytest.approx(0.5), "b": pytest.approx(0.5)}
    assert "erred" in found.why and "less than" in found.why


def test_one_that_is_far_better_stays_alone() -> None:
    found = weigh({"good": said(RNG.normal(0, 1, 2000)), "poor": said(RNG.normal(0, 20, 2000))})
    assert found.weights == {"good": 1.0} and "alone" in found.why and found.together is None


def test_what_few_blocks_cannot_tell_apart_is_averaged_and_many_series_settle_it() -> None:
    """Most of what one misses the other misses, too, and one adds twice as much of its own: a dozen series do not show it, 2,000 do."""
    rng = np.random.default_rng(2)
    missed = rng.normal(0, 3, 2000)
    near, far = missed + rng.normal(0, 0.6, 2000), missed + rng.normal(0, 1.2, 2000)

    def of(rows: slice) -> Weighed:
        held = {name: {key: value[rows] for key, value in said(error).items()} for name, error in (("near", near), ("far", far))}
        return weigh(held, np.arange(2000)[rows])

    few, many = of(slice(0, 12)), of(slice(0, 2000))
    assert few.weights["near"] == pytest.approx(0.5, abs=0.15) and "cannot tell apart" in few.why
    assert many.weights["near"] == pytest.approx(0.8, abs=0.1)


def test_a_member_with_hardly_a_share_is_left_out() -> None:
    mixes = [(("a", 1.0),), (("a", 0.75), ("b", 0.25)), (("a", 0.75), ("c", 0.25)), (("a", 0.5), ("b", 0.5))]
    assert weighing._averaged(mixes, "") == (("a", pytest.approx(0.8)), ("b", pytest.approx(0.2)))
    assert dict(weighing._averaged(mixes, "c"))["c"] == pytest.approx(0.0625)  # the one that a mix must hold


def test_forecasts_without_any_error_are_weighed() -> None:
    exact = {"truth": TRUTH, "block": BLOCK} | dict.fromkeys(QUANTILES.values(), TRUTH)
    assert sum(weigh({"a": exact, "b": exact}).weights.values()) == pytest.approx(1)
    assert weigh({"a": exact}).weights == {"a": 1.0}


def test_one_group_alone_tells_no_doubt() -> None:
    held = {"good": said(RNG.normal(0, 1, 2000)), "poor": said(RNG.normal(0, 20, 2000))}
    assert weigh(held, np.zeros(2000)).weights == {"good": 1.0}


def test_weights_add_up_and_members_are_few() -> None:
    weights = weigh({name: said(RNG.normal(0, 3, 2000)) for name in "abcde"}).weights
    assert sum(weights.values()) == pytest.approx(1) and 2 <= len(weights) <= 3


def test_what_errors_share_is_told_and_few_blocks_are_believed_less() -> None:
    common, own = RNG.normal(0, 2, 2000), RNG.normal(0, 1, (2, 2000))
    told = weigh({"a": said(common + own[0], 9.0), "b": said(common + own[1], 9.0)}, FEW)
    assert len(told.weights) == 2
    assert told.together == pytest.approx((4 * 0.8 + 1) / 5, abs=0.02)  # a correlation of 4 / (4 + 1), and one block of agreement


def test_errors_that_offset_each_other_are_not_counted_on() -> None:
    error = RNG.normal(0, 3, 2000)
    assert weigh({"a": said(error), "b": said(-error)}, FEW).together == 0.0


def test_intervals_that_cover_too_little_are_not_made_narrower() -> None:
    own = RNG.normal(0, 3, (2, 2000))
    assert weigh({"a": said(own[0], 1.0), "b": said(own[1], 1.0)}, FEW).together == 1.0
    wide = {"a": said(own[0], 12.0), "b": said(own[1], 12.0)}
    assert weigh(wide, FEW).together < 0.3
    assert weigh(wide).together is None  # where series are many, recalibration sees to it


def test_an_interval_of_no_width_says_nothing_of_what_errors_share() -> None:
    flat = {"truth": TRUTH, "block": BLOCK} | dict.fromkeys(QUANTILES.values(), TRUTH + 1)
    assert weigh({"a": flat, "b": flat}, FEW).together == 1.0


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
