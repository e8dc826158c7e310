"""Double machine learning finds the effect where a regression does not, and its refuters see what is wrong."""

from __future__ import annotations

import numpy as np
import pytest

from tradewind.core.effect import Effect
from tradewind.core.errors import BadValue
from tradewind.models._kit.causal import dml, refute
from tradewind.models._kit.causal.learners import Boost, folds

TRUE = 0.5
SMALL = Boost(rounds=60, leaves=8, rate=0.1)


def shops(seed: int, groups: int = 40, each: int = 30) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return outcome, treatment, controls and shop: what drives the treatment also drives the outcome, crookedly, and so does the shop."""
    random = np.random.default_rng(seed)
    own = np.repeat(np.arange(groups), each)
    hidden = random.normal(0, 0.7, groups)[own]
    rows = random.normal(size=(len(own), 4))
    drive = np.sin(1.5 * rows[:, 0]) + (rows[:, 1] > 0) * rows[:, 2] + hidden
    cause = (random.random(len(own)) < 1 / (1 + np.exp(-drive))).astype("f8")
    return 2 + TRUE * cause + drive + random.normal(0, 0.4, len(own)), cause, rows, own


def estimate(seed: int = 1) -> Effect:
    value, cause, rows, own = shops(seed)
    return dml.effect(value, cause, rows, groups=own, seed=0, learner=SMALL)


def test_the_truth_is_inside_where_a_regression_misses_it() -> None:
    value, cause, rows, _ = shops(1)
    design = np.c_[cause, np.ones(len(cause)), rows]
    plain = np.linalg.lstsq(design, value, rcond=None)[0][0]
    said = estimate()
    assert abs(said.distance(TRUE)) < 2 and said.sound
    assert abs(plain - TRUE) > 6 * said.standard_error
    assert "within groups" in said.method


def test_without_the_groups_own_means_what_is_constant_in_a_shop_confounds() -> None:
    value, cause, rows, own = shops(1)
    outside = dml.effect(value, cause, rows, groups=own, seed=0, within=False, learner=SMALL)
    assert outside.distance(TRUE) > 3


def test_a_treatment_in_degrees_is_one_too_and_repeats_take_the_median() -> None:
    random = np.random.default_rng(2)
    rows = random.normal(size=(1500, 3))
    cause = np.cos(rows[:, 0]) + random.normal(size=1500)
    value = -1.5 * cause + 2 * np.cos(rows[:, 0]) + random.normal(size=1500)
    said = dml.effect(value, cause, rows, seed=0, count=3, repeats=2, learner=SMALL)
    assert said.distance(-1.5) < 2.5 and "rows" in said.method


def test_the_same_seed_gives_the_same_and_a_constant_changes_nothing() -> None:
    value, cause, rows, own = shops(3, groups=25, each=12)
    one = dml.effect(value, cause, rows, groups=own, seed=4, learner=SMALL)
    assert one == dml.effect(value, cause, rows, groups=own, seed=4, learner=SMALL)
    moved = dml.effect(value + 100, cause, rows, groups=own, seed=4, learner=SMALL)
    assert moved.estimate == pytest.approx(one.estimate, abs=0.2 * one.standard_error)
    assert moved.standard_error == pytest.approx(one.standard_error, rel=0.1)


def test_errors_by_group_are_larger_where_rows_of_a_group_err_together() -> None:
    random = np.random.default_rng(5)
    own = np.repeat(np.arange(30), 20)
    cause = random.normal(0, 1, 30)[own] + 0.1 * random.normal(size=600)
    value = random.normal(0, 1, 30)[own] + 0.1 * random.normal(size=600)
    rows = random.normal(size=(600, 2))
    grouped = dml.effect(value, cause, rows, groups=own, seed=0, learner=SMALL)
    blind = dml.effect(value, cause, rows, seed=0, learner=SMALL)
    assert grouped.standard_error > 2 * blind.standard_error and "within" not in grouped.method


def test_refuters_pass_what_is_right() -> None:
    value, cause, rows, own = shops(6)
    said = dml.effect(value, cause, rows, groups=own, seed=0, learner=SMALL)

    def again(asked: np.ndarray) -> Effect:
        return dml.effect(value, asked, rows, groups=own, seed=0, count=2, learner=SMALL)

    assert refute.permuted(again, cause, groups=own, seed=1, draws=5).passed
    noise = refute.random_cause(lambda more: dml.effect(value, cause, more, groups=own, seed=0, learner=SMALL), rows, said, seed=1)
    assert noise.passed
    part = refute.subset(
        lambda keep: dml.effect(value[keep], cause[keep], rows[keep], groups=own[keep], seed=0, learner=SMALL), own, said, seed=1, draws=2
    )
    assert part.passed
    hidden = refute.hidden_cause(said, 40)
    assert hidden.passed is None and 0 < (hidden.value or 0) < 1


def test_refuters_fail_what_is_wrong() -> None:
    always = Effect.normal(1.0, 0.1, method="wrong", n=10)
    assert refute.permuted(lambda _: always, np.arange(10.0), seed=0).passed is False
    assert refute.random_cause(lambda _: Effect.normal(2.0, 0.1, method="wrong", n=10), np.ones((5, 1)), always, seed=0).passed is False
    assert refute.subset(lambda _: Effect.normal(2.0, 0.1, method="wrong", n=10), np.arange(9), always, seed=0).passed is False


def test_a_shuffle_stays_inside_its_groups() -> None:
    own = np.repeat(np.arange(5), 4)
    cause = own * 10.0 + np.tile(np.arange(4), 5)
    seen: list[np.ndarray] = []

    def look(asked: np.ndarray) -> Effect:
        seen.append(asked)
        return Effect.normal(0.0, 1.0, method="none", n=20)

    refute.permuted(look, cause, groups=own, seed=0, draws=3)
    for asked in seen:
        assert not np.array_equal(asked, cause)
        np.testing.assert_array_equal(asked // 10, own)
        np.testing.assert_array_equal(np.sort(asked), np.sort(cause))


def test_the_robustness_value_is_that_of_the_paper() -> None:
    # Cinelli and Hazlett 2020, Darfur: estimate .097, error .023, 783 degrees of freedom: robustness value 13.9 %
    check = refute.hidden_cause(Effect.normal(0.097, 0.0232, method="ols", n=1276), 783)
    assert check.value == pytest.approx(0.139, abs=0.001)


def test_folds_keep_groups_whole_and_even() -> None:
    own = np.random.default_rng(0).integers(0, 50, 500)
    made = folds(own, 5, 1)
    assert all(len(set(made[own == group])) == 1 for group in np.unique(own))
    assert np.ptp(np.bincount(made[np.unique(own, return_index=True)[1]])) <= 1


def test_bad_input_is_named() -> None:
    value, cause, rows, own = shops(7, groups=8, each=10)
    larger = shops(8)
    wrong = Effect.normal(1.0, 0.1, method="wrong", n=10)
    cases = [
        lambda: dml.effect(value, np.ones(80), rows, seed=0),
        lambda: dml.effect(np.ones(80), cause, rows, seed=0),
        lambda: dml.effect(np.where(cause == 1, np.nan, value), cause, rows, seed=0),
        lambda: dml.effect(value, cause, np.where(rows > 2, np.nan, rows), seed=0),
        lambda: dml.effect(value, cause, rows, groups=np.zeros(80), seed=0),
        lambda: dml.effect(value, cause, rows, groups=own % 3, seed=0),
        lambda: dml.effect(value, cause, rows, seed=0, within=True),
        lambda: dml.effect(value, cause, rows, seed=0, count=1),
        lambda: dml.effect(larger[0], 2.0 * (larger[2][:, 0] > 0), larger[2], seed=0),  # the controls determine it
        lambda: dml.effect(value, np.array(["a"] * 80), rows, seed=0),
        lambda: refute.subset(lambda _: wrong, own, wrong, seed=0, share=2),
        lambda: refute.permuted(lambda _: wrong, cause, seed=0, draws=0),
    ]
    for case in cases:
        with pytest.raises(BadValue):
            case()
