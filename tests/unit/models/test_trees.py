import lightgbm as lgb
import numpy as np
import pytest

from tradewind.core.errors import LearnFailed, Tampered
from tradewind.models._kit import onnx_trees, trees

FEATURES = 12


@pytest.fixture(scope="module")
def learned():
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(4000, FEATURES)).astype("f4")
    rows[:, 3] = rng.integers(0, 7, 4000)
    rows[:, :3][rng.random((4000, 3)) < 0.2] = np.nan  # missing in training; columns from 4 on never are
    truth = np.exp(np.nan_to_num(rows[:, 0]) * 0.5 + (rows[:, 3] == 2) + rng.normal(0, 0.2, 4000))
    booster = lgb.train(
        {"objective": "tweedie", "num_leaves": 31, "verbose": -1, "num_threads": 1, "seed": 0}, lgb.Dataset(rows, truth), 60
    )
    harsh = rows[:1200].copy()
    harsh[:100] = np.nan
    harsh[100:200, ::2] = np.nan
    harsh[200:250] = 3e38
    harsh[250:300] = -3e38
    return booster, trees.from_lightgbm(booster), harsh


def test_arrays_predict_as_lightgbm(learned):
    booster, made, rows = learned
    np.testing.assert_allclose(made.predict(rows), booster.predict(rows, raw_score=True), rtol=1e-5, atol=1e-6)


def test_onnx_predicts_as_lightgbm(learned):
    booster, made, rows = learned
    score = onnx_trees.session(onnx_trees.to_onnx(made, FEATURES))
    gap = onnx_trees.check_parity(score, lambda tried: booster.predict(tried, raw_score=True), rows)
    assert gap <= 1e-5


def test_parity_sees_another_model(learned):
    booster, made, rows = learned
    value = made.value.copy()
    value[np.flatnonzero(made.feature < 0)[0]] += 0.5
    other = trees.Trees(**{**made.arrays(), "value": value})
    score = onnx_trees.session(onnx_trees.to_onnx(other, FEATURES))
    with pytest.raises(LearnFailed, match="differ"):
        onnx_trees.check_parity(score, lambda tried: booster.predict(tried, raw_score=True), rows)


def test_shapley_values_equal_lightgbms(learned):
    booster, made, rows = learned
    theirs = booster.predict(rows[60:400], pred_contrib=True)
    np.testing.assert_allclose(made.shapley(rows[60:400], np.arange(FEATURES)), theirs[:, :-1], atol=1e-6)
    assert made.expected == pytest.approx(theirs[0, -1], abs=1e-6)


@pytest.fixture(scope="module")
def small():
    """Trees of seven leaves, some of fewer, one of a single leaf; rows with missing, extreme and equal-to-threshold values."""
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(1500, FEATURES)).astype("f4")
    rows[:, 5] = rng.integers(0, 4, 1500)
    rows[rng.random((1500, FEATURES)) < 0.1] = np.nan
    target = (np.nan_to_num(rows[:, 0]) * np.nan_to_num(rows[:, 1]) + (rows[:, 5] == 2) > 0.3).astype("f8")
    chosen = {"objective": "binary", "num_leaves": 7, "verbose": -1, "num_threads": 1, "seed": 0, "feature_fraction": 0.5}
    booster = lgb.train(chosen, lgb.Dataset(rows, target), 80)
    made = trees.from_lightgbm(booster)
    leaf = {"feature": -1, "threshold": 0, "left": 0, "right": 0, "missing_left": 0, "value": 0.25, "cover": 1500}
    arrays = {name: np.append(values, np.array(leaf[name], values.dtype)) for name, values in made.arrays().items() if name in leaf}
    harsh = rows[:300].copy()
    harsh[:20], harsh[20:30], harsh[30:40] = np.nan, 3e38, -3e38
    inner = np.flatnonzero(made.feature >= 0)[:150]
    harsh[np.arange(50, 200), made.feature[inner]] = made.threshold[inner]
    return booster, made, trees.Trees(np.append(made.roots, len(made.feature)).astype("i4"), **arrays), harsh


def test_reasons_worked_out_ahead_are_exactly_those_of_the_paths(small):
    booster, made, whole, rows = small
    each = np.arange(FEATURES)
    assert made.patterns is not None
    found = made.shapley(rows, each)
    np.testing.assert_allclose(found, made.paths.shapley(rows, each, FEATURES), rtol=0, atol=1e-14)
    np.testing.assert_allclose(found, booster.predict(rows, pred_contrib=True)[:, :-1], atol=1e-6)
    np.testing.assert_allclose(whole.shapley(rows, each), found, rtol=0, atol=1e-14)  # a tree of one leaf adds to no feature
    assert whole.expected == pytest.approx(made.expected + 0.25)
    np.testing.assert_allclose(found.sum(1) + made.expected, made.predict(rows), atol=1e-5)
    assert made.shapley(rows[:0], each).shape == (0, FEATURES)


def test_reasons_of_large_trees_are_not_worked_out_ahead(learned):
    assert learned[1].patterns is None


def test_trees_of_one_leaf_have_no_reasons():
    alone = trees.Trees(
        *(np.array([value], kind) for value, kind in ((0, "i4"), (-1, "i2"), (0, "f4"), (0, "i4"), (0, "i4"), (0, "u1"))),
        *(np.array([value], "f4") for value in (0.75, 10.0)),
    )
    assert alone.expected == pytest.approx(0.75)
    np.testing.assert_array_equal(alone.shapley(np.zeros((3, 2), "f4"), np.arange(2)), np.zeros((3, 2)))


@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_quadrature_is_exact(count):
    points, weights = trees._gauss(count)
    for power in range(2 * count):
        assert weights @ points**power == pytest.approx(0.0 if power % 2 else 2 / (power + 1), abs=1e-13)


def test_groups_of_shapley_values_add_up(learned):
    _, made, rows = learned
    groups = np.arange(FEATURES) % 3
    summed = made.shapley(rows[:40], groups)
    assert summed.shape == (40, 3)
    np.testing.assert_allclose(summed.sum(1) + made.expected, made.predict(rows[:40]), atol=1e-5)


def test_arrays_go_round(learned):
    _, made, rows = learned
    again = trees.Trees.from_arrays(made.arrays("t/"), "t/")
    np.testing.assert_array_equal(again.predict(rows[:50]), made.predict(rows[:50]))


def test_a_tree_that_leads_back_is_refused(learned):
    _, made, _ = learned
    left = made.left.copy()
    left[np.flatnonzero(made.feature >= 0)[3]] = 0
    with pytest.raises(Tampered):
        trees.Trees.from_arrays({**made.arrays(), "left": left})


def test_a_start_raises_every_answer(learned):
    booster, made, rows = learned
    np.testing.assert_allclose(trees.from_lightgbm(booster, start=2.5).predict(rows[:9]), made.predict(rows[:9]) + 2.5, rtol=1e-5)


@pytest.mark.parametrize("threshold", [0.1, -0.1, 1 / 3, 1e300, -1e300, 16777217.0, 1e-45])
def test_a_threshold_parts_float32_as_the_double_does(threshold):
    edge = np.float32(trees._floor(threshold))
    near = [np.float32(threshold if abs(threshold) < 3e38 else 0), np.float32(3.4e38), np.float32(-3.4e38), np.float32(0)]
    for value in [*near, np.nextafter(near[0], np.float32(1e30)), np.nextafter(near[0], np.float32(-1e30))]:
        assert (value <= edge) == (float(value) <= threshold)


@pytest.mark.parametrize("data", [b"", b"nothing", b"\x08\x08" * 40])
def test_bytes_that_are_no_model_are_refused(data):
    with pytest.raises(Tampered):
        onnx_trees.session(data)


def test_one_walk_answers_many_values(learned):
    """Leaves may hold a value for each of several outputs: what the quantiles are served from."""
    booster, made, rows = learned
    number = trees.leaf_numbers(booster)
    values = np.where((made.feature < 0)[:, None], made.value[:, None] * np.array([[1.0, -2.0, 0.5]]), 0).astype("f4")
    base = np.array([0.0, 1.0, 2.0], "f4")
    found = onnx_trees.session(onnx_trees.to_onnx(made, FEATURES, values=values, base=base))(rows)
    plain = made.predict(rows)
    np.testing.assert_allclose(found, plain[:, None] * np.array([1.0, -2.0, 0.5]) + base, rtol=1e-4, atol=1e-4)
    assert ((number >= 0) == (made.feature < 0)).all()


def test_leaf_numbers_are_lightgbms_own(learned):
    booster, made, rows = learned
    number = trees.leaf_numbers(booster)
    theirs = booster.predict(rows[400:600], pred_leaf=True)
    ends = np.append(made.roots, len(number))
    for tree in (0, 17, 59):
        own = number[ends[tree] : ends[tree + 1]]
        assert sorted(own[own >= 0].tolist()) == list(range(int(own.max()) + 1))
        assert int(own.max()) >= theirs[:, tree].max()
        of = made.value[ends[tree] : ends[tree + 1]][np.argsort(np.where(own >= 0, own, 10**6))[theirs[:, tree].astype(int)]]
        np.testing.assert_allclose(of, booster.predict(rows[400:600], raw_score=True, start_iteration=tree, num_iteration=1), rtol=1e-4)


def halves(made):
    """Return features that some trees ask for, that none does and that every one does, with the halves there are."""
    some = next(name for name in range(FEATURES) if 0 < made.asking(np.array([name])).sum() < len(made.roots))
    return ([some], {"still", "moving"}), ([], {"still"}), (list(range(FEATURES)), {"moving"})


def test_trees_in_two_halves_add_up_to_all_of_them(learned):
    booster, made, rows = learned
    for asked, there in halves(made):
        models = onnx_trees.halved(made, FEATURES, np.array(asked, "i8"))
        assert set(models) == there
        walk = onnx_trees.walk(models)
        np.testing.assert_allclose(walk(rows), booster.predict(rows, raw_score=True), rtol=1e-5, atol=1e-5)
        other = rows.copy()
        other[:, asked] += 1
        np.testing.assert_array_equal(walk.still(other), walk.still(rows))


def test_halves_of_several_targets_add_up_too(learned):
    _, made, rows = learned
    values = np.stack([made.value, -2 * made.value, made.value**2], 1).astype("f4")
    whole = onnx_trees.session(onnx_trees.to_onnx(made, FEATURES, values=values))(rows)
    for asked, _ in halves(made):
        walk = onnx_trees.walk(onnx_trees.halved(made, FEATURES, np.array(asked, "i8"), values=values))
        np.testing.assert_allclose(walk(rows), whole, rtol=1e-5, atol=1e-5)


def test_no_trees_are_refused():
    with pytest.raises(Tampered, match="no tree"):
        onnx_trees.walk({})


def test_trees_of_unequal_depth_are_walked_to_their_own_end(learned):
    _, made, rows = learned
    leaf = len(made.feature)
    more = {
        name: np.append(values, np.array([fill], values.dtype))
        for name, values, fill in (
            ("feature", made.feature, -1),
            ("threshold", made.threshold, 0),
            ("left", made.left, 0),
            ("right", made.right, 0),
            ("missing_left", made.missing_left, 0),
            ("value", made.value, 1.25),
            ("cover", made.cover, 1),
        )
    }
    grown = trees.Trees(np.append(made.roots, leaf).astype(made.roots.dtype), **more)  # the last tree is one leaf
    busy = grown.walk[-1]
    assert busy[0] == len(made.roots) and list(busy) == sorted(busy, reverse=True) and busy[-1] < busy[0]
    np.testing.assert_allclose(grown.predict(rows), made.predict(rows) + 1.25, rtol=1e-12)
    assert made.predict(rows[:0]).shape == (0,)
