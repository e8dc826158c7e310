"""Uplift with known truth: it is found where it is, not where it is not, and the state is plain arrays."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from tradewind.core.errors import BadValue, EmptyTable, InvalidInput, MissingColumn, Tampered
from tradewind.models._kit import tensors
from tradewind.models._kit.causal import qini, uplift

HELPED = 0.35


def trial(seed: int, n: int = 1500, helped: float = HELPED, harmed: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A random test of yes or no: treating helps where the second feature is positive, harms by `harmed` elsewhere."""
    random = np.random.default_rng(seed)
    rows = random.normal(size=(n, 4))
    arm = (random.random(n) < 0.5).astype("f8")
    base = 0.15 + 0.25 / (1 + np.exp(-2 * rows[:, 0]))
    chance = base + arm * np.where(rows[:, 1] > 0, helped, -harmed)
    return rows, arm, (random.random(n) < chance).astype("f8")


@pytest.fixture(scope="module")
def found() -> uplift.Evidence:
    return uplift.evidence(*trial(1), seed=0)


def test_a_true_difference_is_found_and_the_average_is_inside(found: uplift.Evidence) -> None:
    assert found.targets and found.enough and found.verdict == "target"
    low, high = found.average.intervals[95]
    assert low < HELPED / 2 < high
    assert found.average.sound
    best_possible = HELPED / 8  # half the cases gain HELPED, ranked first: mean of gain x (1/2 - q)
    assert 0.5 * best_possible < found.targeting.estimate < 1.3 * best_possible


def test_the_state_predicts_the_true_uplift_on_new_rows(found: uplift.Evidence) -> None:
    state = uplift.fit(*trial(1), seed=0, found=found)
    rows, _, _ = trial(2)
    said, true = state.predict(rows), np.where(rows[:, 1] > 0, HELPED, 0.0)
    assert np.corrcoef(said, true)[0, 1] > 0.8
    assert np.abs(said - true).mean() < 0.12
    low, high = state.interval(rows, level=95)
    assert (low < said).all() and (said < high).all()


@pytest.mark.parametrize("learner", ["s", "t", "dr"])
def test_arrays_come_back_the_same_and_need_numpy_alone(found: uplift.Evidence, learner: str) -> None:
    rows, arm, outcome = trial(3, n=600)
    state = uplift.fit(rows, arm, outcome, seed=4, learner=learner)
    back = uplift.State.from_arrays(tensors.load(tensors.save(state.arrays("u."))), "u.")
    assert back.learner == learner
    np.testing.assert_array_equal(back.predict(rows), state.predict(rows))


def test_without_an_effect_there_is_no_evidence_and_a_test_is_proposed() -> None:
    said = uplift.evidence(*trial(5, n=1000, helped=0.0), seed=1)
    assert said.verdict == "not enough evidence" and not said.enough
    assert f"{said.needed:,} cases" in said.words and said.needed > 1000


def test_harm_to_all_alike_says_treat_none() -> None:
    rows, arm, outcome = trial(6, n=1200, helped=-0.13, harmed=0.13)
    assert uplift.evidence(rows, arm, outcome, seed=1).verdict == "treat none"


def test_arms_that_were_not_drawn_by_chance_are_not_trusted_until_the_chance_is_told() -> None:
    rows, _, _ = trial(7)
    random = np.random.default_rng(1)
    chance = 1 / (1 + np.exp(-1.5 * rows[:, 0]))
    chance = np.clip(chance, 0.05, 0.95)
    arm = (random.random(len(rows)) < chance).astype("f8")
    outcome = (random.random(len(rows)) < 0.3 + 0.2 * np.tanh(rows[:, 0])).astype("f8")  # no effect at all
    naive = uplift.evidence(rows, arm, outcome, seed=1, learners=("t",))
    assert not naive.average.sound and naive.verdict == "not enough evidence" and "propensity" in naive.words
    told = uplift.evidence(rows, arm, outcome, seed=1, propensity=chance, learners=("t",))
    assert told.average.sound and not told.average.excludes(0.0)


def test_the_same_seed_gives_the_same_and_rows_may_be_shifted_by_a_constant() -> None:
    rows, arm, outcome = trial(8, n=500)
    one, two = uplift.evidence(rows, arm, outcome, seed=2), uplift.evidence(rows, arm, outcome, seed=2)
    assert one.average == two.average and one.areas == two.areas and one.chance == two.chance
    moved = uplift.evidence(rows, arm, outcome + 5, seed=2)
    assert moved.average.estimate == pytest.approx(one.average.estimate, abs=1e-3)


def test_frames_are_read_by_name() -> None:
    rows, arm, outcome = trial(9, n=500)
    frame = pl.DataFrame(rows, schema=["a", "b", "c", "d"])
    state = uplift.fit(frame, arm, outcome, seed=0, learner="t")
    turned = frame.select("d", "c", "b", "a")
    np.testing.assert_array_equal(state.predict(turned), state.predict(rows))
    np.testing.assert_array_equal(state.predict(turned.to_pandas()), state.predict(rows))
    with pytest.raises(MissingColumn):
        state.predict(frame.select("a", "b"))
    with pytest.raises(InvalidInput):
        state.predict(rows[:, :2])
    assert uplift.State.from_arrays(state.arrays()).names == ("a", "b", "c", "d")


def test_missing_features_are_allowed_and_a_constant_one_is_harmless() -> None:
    rows, arm, outcome = trial(10, n=500)
    rows[::7, 0] = np.nan
    rows[:, 3] = 1.0
    assert np.isfinite(uplift.fit(rows, arm, outcome, seed=0, learner="dr").predict(rows)).all()


def test_bad_input_is_named() -> None:
    rows, arm, outcome = trial(11, n=400)
    for wrong in (
        (rows, np.ones(400), outcome),
        (rows, arm + 1, outcome),
        (rows, arm, np.ones(400)),
        (rows, arm, np.where(arm == 1, np.nan, outcome)),
        (rows, arm, arm),
        (np.full((400, 2), np.inf), arm, outcome),
        (np.array([["a"]] * 400), arm, outcome),
        (rows[:60], arm[:60], outcome[:60]),
    ):
        with pytest.raises(BadValue):
            uplift.evidence(*wrong, seed=0)
    with pytest.raises(InvalidInput):
        uplift.evidence(rows[:300], arm, outcome, seed=0)
    with pytest.raises(EmptyTable):
        uplift.evidence(rows[:0], arm[:0], outcome[:0], seed=0)
    with pytest.raises(BadValue):
        uplift.evidence(rows, arm, outcome, seed=0, propensity=arm)
    with pytest.raises(BadValue):
        uplift.fit(rows, arm, outcome, seed=0, learner="x")


def test_damaged_arrays_are_refused() -> None:
    rows, arm, outcome = trial(12, n=400)
    arrays = uplift.fit(rows, arm, outcome, seed=0, learner="dr").arrays()
    for change in ({"learner": np.array([9], "u1")}, {"line": np.array([1.0, np.nan, 0.0])}, {"line": np.zeros(2)}):
        with pytest.raises(Tampered):
            uplift.State.from_arrays(arrays | change)
    with pytest.raises(Tampered):
        uplift.State.from_arrays({name: array for name, array in arrays.items() if name != "error"})


def test_sample_size_agrees_with_the_textbook() -> None:
    # Fleiss: 10 % against 15 %, two-sided 5 %, power 80 %, unpooled: 683 in each arm (level 0.1 here: half of it is spent)
    assert uplift.sample_size(0.05, rate=0.10, level=0.10) == pytest.approx(2 * 683, abs=3)
    n = uplift.sample_size(0.3, deviation=2.0)
    assert uplift.detectable(n, deviation=2.0) == pytest.approx(0.3, rel=1e-2)
    assert uplift.sample_size(0.1, deviation=1, share=0.2) > uplift.sample_size(0.1, deviation=1)
    for bad in ({"effect": 0.0, "rate": 0.1}, {"effect": 0.1}, {"effect": 0.1, "rate": 0.95}, {"effect": 0.1, "deviation": -1.0}):
        with pytest.raises(BadValue):
            uplift.sample_size(**bad)


def test_the_area_of_a_ranking() -> None:
    gain, fold = np.array([1.0, 1.0, 0.0, 0.0]), np.zeros(4, "i8")
    assert qini.area(np.array([4.0, 3.0, 2.0, 1.0]), gain, fold) == pytest.approx(0.125)
    assert qini.area(np.array([1.0, 2.0, 3.0, 4.0]), gain, fold) == pytest.approx(-0.125)
    assert qini.area(np.ones(4), gain, fold) == 0.0
    share, height = qini.curve(np.array([4.0, 3.0, 2.0, 1.0]), gain, fold, points=2)
    np.testing.assert_allclose(np.c_[share, height], [[0, 0], [0.5, 0.5], [1, 0.5]])


def test_predicting_loads_no_training_library() -> None:
    rows, arm, outcome = trial(13, n=400)
    data = tensors.save(uplift.fit(rows, arm, outcome, seed=0, learner="dr").arrays())
    code = """
import sys, numpy as np
from tradewind.models._kit import tensors
from tradewind.models._kit.causal.uplift_state import State
state = State.from_arrays(tensors.load(sys.stdin.buffer.read()))
assert np.isfinite(state.predict(np.zeros((2, 4)))).all()
assert not {name.split('.')[0] for name in sys.modules} & {'polars', 'pandas', 'scipy', 'sklearn', 'lightgbm'}
"""
    subprocess.run([sys.executable, "-c", code], input=data, check=True)
