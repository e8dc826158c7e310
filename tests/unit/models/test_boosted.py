"""Boosted trees: their quantiles, what a higher price does, their ONNX, and series that come later."""

import json
from dataclasses import astuple, replace

import numpy as np
import pytest

from tradewind.core.errors import Incompatible
from tradewind.core.model import settle
from tradewind.models._kit.forecast import boosted_train, features
from tradewind.models._kit.forecast.boosted import LEARNER
from tradewind.models._kit.forecast.boosted_serve import OUTCOMES, Pull
from tradewind.models._kit.forecast.learner import Look
from tradewind.models._kit.intervals import TAUS
from tradewind.models._kit.panel import from_table

FAST = settle(LEARNER.knobs, {"rounds": 40, "rows": 20_000, "threads": 1})


@pytest.fixture(scope="module")
def panel(shop, as_table):
    return from_table(as_table(shop(days=300, products=4, stores=2)))


@pytest.fixture(scope="module")
def learned(panel):
    return LEARNER.learn(panel, FAST, seed=0, horizon=30)


def look(panel, steps=14, **ahead):
    series = np.arange(len(panel))
    rows, at = (part.reshape(-1) for part in np.meshgrid(series, np.arange(steps), indexing="ij"))
    plan = {name: np.broadcast_to(value, (len(panel), steps)).reshape(-1).astype("f4") for name, value in ahead.items()}
    return Look(panel.planned(series, steps + 2, rows, at, plan), series, np.arange(steps), 30)


@pytest.mark.parametrize("spread", [0.4, 1.0])
def test_quantiles_over_leaves_are_those_of_the_rows_in_them(spread):
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 3, 30_000)
    outcome = (np.array([-0.2, 0.0, 0.3])[kind] + rng.normal(0, spread, len(kind)) * np.array([0.8, 1.0, 1.2])[kind]).astype("f4")
    leaf = np.repeat(kind[:, None], 120, 1).astype("i4")
    base, added = boosted_train.leaf_quantiles(leaf, outcome, 0.1)
    np.testing.assert_allclose(base, np.quantile(outcome, TAUS), rtol=1e-5, atol=1e-6)
    for one in range(3):
        found = base + sum(values[one] for values in added)
        own = outcome[kind == one]
        np.testing.assert_allclose((own[:, None] <= found).mean(0), TAUS, atol=0.01)
        np.testing.assert_allclose(found, np.quantile(own, TAUS), atol=0.06 * spread)
        assert np.abs(found - base).max() > 0.1, "the start alone would not do"


def test_few_rows_in_a_leaf_hardly_move_it():
    rng = np.random.default_rng(0)
    outcome = np.append(rng.normal(0, 0.5, 5000), [9.0]).astype("f4")
    leaf = np.repeat((np.arange(5001) == 5000).astype("i4")[:, None], 60, 1)
    _, added = boosted_train.leaf_quantiles(leaf, outcome, 0.1)
    moved = sum(values[1] for values in added)
    assert 0 < moved[7] < 0.5 and moved.max() < 3, "one row nine away"


def test_a_higher_price_never_sells_more(panel, learned):
    usual = panel.ahead["price"][:, panel.cut - 1 : panel.cut]
    found = np.array([learned.say(look(panel, price=usual * factor)).mean for factor in np.linspace(0.5, 2.0, 40)])
    assert (np.diff(found, axis=0) <= 1e-6 * found[1:]).all()
    assert (found[0].sum(1) > 1.5 * found[-1].sum(1)).all(), "price must matter in this shop"


def test_a_lower_price_never_counts_as_selling_less(panel, learned):
    at = learned.names.index("price:to_usual")
    usual = panel.ahead["price"][:, panel.cut - 1 : panel.cut]
    found = np.array([learned.rows(look(panel, price=usual * factor)).values for factor in np.linspace(0.4, 2.0, 60)])
    assert (np.diff(found[..., at], axis=0) > 0).all()
    assert "like:price" not in learned.names, "where periods are days it would say the price effect twice"


def test_what_is_read_back_says_the_same(panel, learned):
    again = LEARNER.read(learned.dump(), panel)
    first, second = learned.say(look(panel)), again.say(look(panel))
    np.testing.assert_allclose(second.mean, first.mean, rtol=1e-6)
    np.testing.assert_allclose(second.quantiles, first.quantiles, rtol=1e-6)


def test_onnx_says_what_the_trees_say(panel, learned):
    assert learned.facts["parity_mean"] <= 1e-4 and learned.facts["parity_quantiles"] <= 1e-4
    values = learned.rows(look(panel)).values
    values = values.reshape(-1, values.shape[-1])
    np.testing.assert_allclose(learned.scores["mean"](values).reshape(-1), learned.trees.predict(values), rtol=1e-4, atol=1e-5)


def test_quantiles_rise_and_surround_what_comes(panel, learned):
    said = learned.say(look(panel, 30))
    assert (np.diff(said.quantiles, axis=-1) >= 0).all() and (said.quantiles >= 0).all()
    middle = said.quantiles[..., len(TAUS) // 2]
    assert 0.8 < (middle.sum() / said.mean.sum()) < 1.1


@pytest.mark.parametrize("part", ["boosted.json", "boosted.safetensors", "boosted.mean.still.onnx", "boosted.quantiles.moving.onnx"])
def test_a_missing_part_is_refused(panel, learned, part):
    parts = learned.dump()
    del parts[part]
    with pytest.raises(Incompatible):
        LEARNER.read(parts, panel)


def test_trees_learned_from_other_features_are_refused(panel, learned):
    parts = learned.dump()
    meta = json.loads(parts["boosted.json"])
    meta["names"].remove("recent:in_spell")
    with pytest.raises(Incompatible, match="other features"):
        LEARNER.read(parts | {"boosted.json": json.dumps(meta).encode()}, panel)


def test_the_trees_that_still_stand_do_not_ask_for_a_price(panel, learned):
    rows = learned.rows(look(panel)).values.reshape(-1, len(learned.names)).copy()
    before = {aim: (walk.still(rows), walk.moving(rows)) for aim, walk in learned.scores.items()}
    rows[:, features.asking_price(list(learned.names))] -= 0.5
    for aim, walk in learned.scores.items():
        np.testing.assert_array_equal(walk.still(rows), before[aim][0])
        np.testing.assert_array_equal(walk(rows), before[aim][0] + walk.moving(rows))
    assert not np.array_equal(learned.scores["quantiles"].moving(rows), before["quantiles"][1])


def test_the_same_seed_learns_the_same(panel, learned):
    assert LEARNER.learn(panel, FAST, seed=0, horizon=30).dump() == learned.dump()
    assert LEARNER.learn(panel, FAST, seed=1, horizon=30).dump() != learned.dump()


def test_a_new_series_is_answered_like_the_others_of_its_product_and_store(shop, as_table, learned, panel):
    newer = shop(days=307, products=5, stores=2)
    late = (newer["product"] == "P4") & (newer["date"] < newer["date"].min() + np.timedelta64(300, "D").item())
    fresh = from_table(as_table(newer.filter(~late))).like(panel)
    moved = learned.moved(fresh, fresh.place_in(panel))
    assert moved.response.coefficient.shape[0] == len(fresh) == 10
    new = np.flatnonzero(fresh.keys["product"] == "P4")
    old = np.flatnonzero(fresh.keys["product"] != "P4")
    np.testing.assert_allclose(moved.response.coefficient[new], np.repeat(learned.response.coefficient.mean(0)[None], 2, 0), rtol=1e-5)
    np.testing.assert_array_equal(moved.response.coefficient[old], learned.response.coefficient)
    said = moved.say(look(fresh)).mean
    seen = np.nanmean(fresh.target[new, fresh.cut - 7 : fresh.cut], 1)
    assert (np.abs(np.log(said[new].mean(1) / seen)) < 0.7).all(), "seven days of its own count"


def test_a_series_that_never_sold_has_the_level_of_its_like(panel, learned):
    empty = panel.target.copy()
    at = int(np.flatnonzero(panel.keys["store"] == "S1")[0])
    empty[at] = np.nan
    from dataclasses import replace

    said = learned.say(look(replace(panel, target=empty))).mean[at].mean()
    known = learned.say(look(panel)).mean[at].mean()
    assert 0.2 * known < said < 5 * known


def test_quantiles_go_a_third_of_the_way_to_the_mean_and_less_where_its_trees_hardly_looked():
    quantiles = np.tile(np.linspace(2.0, 4.0, len(TAUS)), (1, 4, 1))
    inside = float(quantiles[0, 0] @ OUTCOMES)
    pull = Pull(0.1, 8.0, 0.5)
    logged = np.log(inside) + 0.1 + np.array([[0.0, 0.6, 0.6, 9.0]])
    units = np.array([[64.0, 64.0, 16.0, 1e9]])
    np.testing.assert_allclose(pull.of(quantiles, logged, units), np.exp([[0.0, 0.2, 0.1, 1 / 3]]), rtol=1e-9)


def test_quantiles_of_nothing_stay_nothing():
    assert np.isfinite(Pull(0.0, 1.0, 0.7).of(np.zeros((1, 1, len(TAUS))), np.array([[-30.0]]), np.array([[1e-9]]))).all()


def test_the_pull_is_kept_and_a_version_without_one_answers_as_it_did(panel, learned):
    parts = learned.dump()
    told, bare = json.loads(parts["boosted.json"]), replace(learned, pull=None)
    assert abs(learned.pull.usual) < 0.3 and learned.pull.weight > 0 and told["pull"] == [*astuple(learned.pull)]
    del told["pull"]
    old = LEARNER.read(parts | {"boosted.json": json.dumps(told).encode()}, panel)
    asked = look(panel)
    np.testing.assert_allclose(old.say(asked).quantiles, bare.say(asked).quantiles, rtol=1e-6)
    np.testing.assert_array_equal(old.say(asked).mean, learned.say(asked).mean)
    assert not np.allclose(old.say(asked).quantiles, learned.say(asked).quantiles)
