"""An effect does not depend on the order of rows or names; a constant or a common shock changes none; money may be counted in cents."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.core.effect import Effect
from tradewind.models._kit.causal import did, impact, qini, synth, uplift

SEEDS = st.integers(0, 10_000)


def long(outcome: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    periods, units = outcome.shape
    return np.tile(np.arange(units), periods), np.repeat(np.arange(periods), units), outcome.ravel()


def world(seed: int, units: int = 6, periods: int = 20) -> np.ndarray:
    random = np.random.default_rng(seed)
    return 50 + np.cumsum(random.normal(0, 0.5, periods))[:, None] + random.normal(0, 1, (periods, units))


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.floats(-1e3, 1e3), st.floats(0.01, 100))
def test_differences(seed: int, shift: float, scale: float) -> None:
    outcome = world(seed)
    who, when, what = long(outcome)
    one = did.effect(who, when, what, {0: 12, 1: 15})
    order = np.random.default_rng(seed).permutation(len(what))
    mixed = did.effect(who[order], when[order], what[order], {0: 12, 1: 15})
    assert mixed.estimate == pytest.approx(one.estimate) and mixed.standard_error == pytest.approx(one.standard_error)
    common = np.random.default_rng(seed + 1).normal(0, 10, len(outcome))[:, None]
    moved = did.effect(*long(scale * (outcome + shift + common)), {0: 12, 1: 15})
    assert moved.estimate == pytest.approx(scale * one.estimate, rel=1e-6, abs=1e-6 * scale)
    assert moved.standard_error == pytest.approx(scale * one.standard_error, rel=1e-6)


@settings(max_examples=10, deadline=None)
@given(SEEDS, st.floats(0.01, 100))
def test_synthetic_controls(seed: int, scale: float) -> None:
    outcome = world(seed)
    one = synth.effect(*long(outcome), [0], 14)
    turned = outcome[:, [0, *np.random.default_rng(seed).permutation(np.arange(1, 6))]]
    named = synth.effect(*long(turned), [0], 14)
    assert named.effect.estimate == pytest.approx(one.effect.estimate, rel=1e-3, abs=1e-3)
    money = synth.effect(*long(scale * outcome), [0], 14)
    assert money.effect.estimate == pytest.approx(scale * one.effect.estimate, rel=1e-3, abs=1e-4 * scale)
    more = outcome.copy()
    more[14:, 0] += 5  # what is added after the start is added to the effect and to nothing else
    raised = synth.effect(*long(more), [0], 14)
    assert raised.effect.estimate == pytest.approx(one.effect.estimate + 5)
    assert raised.effect.standard_error == pytest.approx(one.effect.standard_error)


@settings(max_examples=15, deadline=None)
@given(SEEDS, st.floats(-100, 100))
def test_impacts(seed: int, shift: float) -> None:
    value = world(seed, periods=40)[:, 0]
    one, moved = (impact.effect(series, 30, logs=False) for series in (value, value + shift))
    assert moved.effect.estimate == pytest.approx(one.effect.estimate, abs=1e-6)
    raised = impact.effect(value + 3 * (np.arange(40) >= 30), 30, logs=False)
    assert raised.effect.estimate == pytest.approx(one.effect.estimate + 3, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(SEEDS, st.integers(1, 3))
def test_the_area_of_a_ranking_needs_its_order_alone(seed: int, parts: int) -> None:
    random = np.random.default_rng(seed)
    score, gain, fold = random.integers(0, 5, 40).astype("f8"), random.normal(size=40), random.integers(0, parts, 40)
    one = qini.area(score, gain, fold)
    order = random.permutation(40)
    assert qini.area(score[order], gain[order], fold[order]) == pytest.approx(one, abs=1e-12)
    assert qini.area(np.exp(score), gain, fold) == pytest.approx(one, abs=1e-12)
    assert qini.area(-score, gain, fold) == pytest.approx(-one, abs=1e-12)
    assert qini.area(score, gain + 7, fold) == pytest.approx(one, abs=1e-9)  # the same for all is no reason to target
    drawn = qini.resampled(score[None], gain, fold, groups=np.arange(40), draws=50, seed=seed)
    assert drawn.shape == (50, 1) and np.isfinite(drawn).all()


@settings(max_examples=100, deadline=None)
@given(st.floats(0.001, 0.2), st.floats(0.05, 0.7), st.floats(0.1, 0.9), st.floats(0.5, 0.95))
def test_a_larger_test_for_less(effect: float, rate: float, share: float, power: float) -> None:
    n = uplift.sample_size(effect, rate=rate, share=share, power=power)
    assert uplift.sample_size(effect / 2, rate=rate, share=share, power=power) >= n
    assert uplift.sample_size(effect, rate=rate, share=share, power=power + 0.04) >= n
    by_amount = uplift.sample_size(effect, deviation=0.4, share=share, power=power)
    found = uplift.detectable(max(by_amount, 4), deviation=0.4, share=share, power=power)
    assert found <= effect * 1.001


@settings(max_examples=100, deadline=None)
@given(st.floats(-1e6, 1e6), st.just(0.0) | st.floats(1e-9, 1e6), st.floats(-100, 100).filter(lambda factor: abs(factor) > 1e-3))
def test_an_effect_in_another_unit_says_the_same(estimate: float, error: float, factor: float) -> None:
    one = Effect.normal(estimate, error, method="any", n=10)
    other = one.scaled(factor).scaled(1 / factor)
    assert other.estimate == pytest.approx(one.estimate) and other.intervals[90] == pytest.approx(one.intervals[90])
    assert one.scaled(factor).distance(0.0) == pytest.approx(one.distance(0.0))
