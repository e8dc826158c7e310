"""Weights of an ensemble: errors that cancel are worth a mean, errors that do not are not."""

from __future__ import annotations

import numpy as np
import pytest

from tradewind.training.score import QUANTILES
from tradewind.training.weigh import weigh

RNG = np.random.default_rng(1)
TRUTH = RNG.gamma(4, 5, 2000)


def said(error: np.ndarray) -> dict[str, np.ndarray]:
    return {"truth": TRUTH} | {name: TRUTH + error + 3 * (tau - 0.5) for tau, name in QUANTILES.items()}


def test_errors_that_cancel_make_a_mean() -> None:
    weights, why = weigh({"a": said(RNG.normal(0, 3, 2000)), "b": said(RNG.normal(0, 3, 2000)), "bad": said(RNG.normal(0, 30, 2000))})
    assert weights == {"a": pytest.approx(0.5), "b": pytest.approx(0.5)}
    assert "erred" in why and "less than" in why


def test_one_that_is_far_better_stays_alone() -> None:
    weights, why = weigh({"good": said(RNG.normal(0, 1, 2000)), "poor": said(RNG.normal(0, 20, 2000))})
    assert weights == {"good": 1.0} and "alone" in why


def test_weights_add_up_and_members_are_few() -> None:
    weights, _ = weigh({name: said(RNG.normal(0, 3, 2000)) for name in "abcde"})
    assert sum(weights.values()) == pytest.approx(1) and 2 <= len(weights) <= 3
