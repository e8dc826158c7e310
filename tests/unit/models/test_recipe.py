"""The protocol around a learner: intervals that follow what came, updates without refitting, parts that go round."""

import weakref
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
import polars as pl
import pytest

from tradewind.core.errors import BadValue, Incompatible, LearnFailed
from tradewind.models import recipe
from tradewind.models._kit.forecast.learner import Said
from tradewind.models._kit.forecast.recipe import FORMAT, Forecaster
from tradewind.models._kit.intervals import TAUS
from tradewind.models.demand import MODEL

FAST = {"rounds": 30, "rows": 10_000, "threads": 1}
PARAMS = {"naive": {}, "boosted": FAST, "stats": {}}
NORMAL = np.array([NormalDist().inv_cdf(tau) for tau in TAUS])
BOUNDS = ("lo95", "lo90", "lo80", "lo50", "p50", "hi50", "hi80", "hi90", "hi95")


@dataclass(frozen=True)
class Sure:
    """Knows the mean, and is far too sure of it (or not sure enough): what recalibration must put right."""

    width: float
    reach: int = 28

    def say(self, look):
        past = look.panel.target[:, : look.panel.cut]
        level = np.nan_to_num(np.nanmean(past[:, -28:], 1), nan=1.0) if past.size else np.ones(len(past))
        mean = np.repeat(level[:, None], len(look.steps), 1)
        return Said(mean, np.maximum(mean[..., None] * (1 + self.width * NORMAL), 0))

    def moved(self, panel, place):
        return self

    def dump(self):
        return {}


@dataclass(frozen=True)
class Learner:
    width: float
    name: str = "sure"
    knobs: tuple = ()
    looks: Callable[[], None] = lambda: None  # called while it learns

    def learn(self, panel, knobs, *, seed, horizon):
        self.looks()
        return Sure(self.width)

    def read(self, parts, panel):
        return Sure(self.width)


def noisy(as_table, days, *, whole=False, products=40, seed=0, plan=0):
    """Return sales around a steady level: gamma-like noise, or counts."""
    rng = np.random.default_rng(seed)
    width = 400
    units = rng.poisson(12, (products, width)).astype("f8") if whole else 12 * rng.gamma(4, 0.25, (products, width))
    frames = []
    for at in range(products):
        shown = units[at, : days + plan].copy()
        shown[days:] = np.nan
        dates = pl.Series(np.datetime64("2024-01-01") + np.arange(days + plan)).cast(pl.Date)
        frames.append(pl.DataFrame({"date": dates, "product": [f"P{at:02}"] * len(shown), "units": pl.Series(shown).fill_nan(None)}))
    return as_table(pl.concat(frames)), units


def share_inside(said, truth, level):
    return ((truth >= said.column(f"lo{level}")) & (truth <= said.column(f"hi{level}"))).mean()


@pytest.mark.parametrize(("width", "whole"), [(0.3, False), (1.2, False), (0.15, True), (0.7, True)])
def test_bands_cover_what_they_say_once_blocks_have_come(as_table, width, whole):
    maker = Forecaster(MODEL.gives, Learner(width))
    state = maker.fit(noisy(as_table, 100, whole=whole)[0], {"horizon": 14}, 0)
    before = maker.predict(state, maker.expand(state, 14, {}))
    state = maker.update(state, noisy(as_table, 100 + 5 * 14, whole=whole)[0])
    assert state.memory.blocks == 5
    asked = maker.expand(state, 14, {})
    said = maker.predict(state, asked)
    truth = noisy(as_table, 0 + 170, whole=whole)[1][:, 170:184].reshape(-1)
    for level in (50, 80, 90, 95):
        inside = share_inside(said, truth, level)
        over = {50: 0.16, 80: 0.08}.get(level, 0.05) if whole else 0.05  # closed intervals of counts hold more than they say
        assert level / 100 - 0.05 < inside < level / 100 + over
    assert abs(share_inside(before, truth, 80) - 0.8) > 0.1, "the raw quantiles must be wrong for this to mean anything"


def test_a_table_that_nobody_else_holds_goes_before_anything_is_learned(as_table):
    held, seen = [], []

    def fresh(days):
        table = noisy(as_table, days)[0]
        held.append(weakref.ref(table.frame))
        return table

    maker = Forecaster(MODEL.gives, Learner(0.4, looks=lambda: seen.append(held[-1]())))
    maker.fit(fresh(60), {"horizon": 7}, 0)
    assert seen == [None]
    kept = fresh(60)
    state = maker.fit(kept, {"horizon": 7}, 0)
    assert seen[1] is kept.frame and state.facts["cleaned"] == []


def test_counts_are_answered_in_whole_numbers_and_others_are_not(as_table):
    maker = Forecaster(MODEL.gives, Learner(0.4))
    for whole in (True, False):
        state = maker.fit(noisy(as_table, 100, whole=whole)[0], {"horizon": 14}, 0)
        p50 = maker.predict(state, maker.expand(state, 14, {})).column("p50")
        assert (p50 == np.round(p50)).all() == whole
        found = maker.quantiles(state, maker.expand(state, 3, {}), [0.1, 0.5, 0.975])
        assert {"q10", "q50", "q97.5"} <= set(found.names)
        assert (np.diff(np.stack([found.column(name) for name in ("q10", "q50", "q97.5")]), axis=0) >= 0).all()


def test_any_quantile_can_be_asked_for_but_no_other_number(as_table):
    maker = Forecaster(MODEL.gives, Learner(0.4))
    state = maker.fit(noisy(as_table, 60)[0], {"horizon": 7}, 0)
    for levels in ([], [0.0], [1.0], [0.5, 1.5]):
        with pytest.raises(BadValue):
            maker.quantiles(state, maker.expand(state, 3, {}), levels)


def test_parts_of_a_moved_state_go_round(as_table):
    maker = Forecaster(MODEL.gives, Learner(0.4))
    state = maker.fit(noisy(as_table, 100)[0], {"horizon": 14}, 0)
    state = maker.update(state, noisy(as_table, 100 + 40)[0])
    again = maker.load(maker.dump(state))
    asked = maker.expand(state, 20, {})
    for name in ("mean", *BOUNDS):
        np.testing.assert_allclose(maker.predict(again, asked).column(name), maker.predict(state, asked).column(name), rtol=1e-4)
    longer = noisy(as_table, 180)[0]
    first, second = maker.update(state, longer), maker.update(again, longer)
    assert first.memory.starts.tolist() == second.memory.starts.tolist()
    np.testing.assert_allclose(second.memory.transform, first.memory.transform, atol=1e-4)


def test_a_fresh_state_remembers_what_an_earlier_one_saw(as_table):
    maker = Forecaster(MODEL.gives, Learner(0.3))
    old = maker.update(maker.fit(noisy(as_table, 100)[0], {"horizon": 14}, 0), noisy(as_table, 156)[0])
    fresh = maker.fit(noisy(as_table, 156)[0], {"horizon": 14}, 0)
    assert fresh.memory.blocks == 0
    found = maker.remember(fresh, old)
    assert found.memory.blocks == 4 and found.memory.starts[-1] == fresh.memory.starts[-1]
    asked = maker.expand(found, 14, {})
    truth = noisy(as_table, 156)[1][:, 156:170].reshape(-1)
    assert abs(share_inside(maker.predict(found, asked), truth, 80) - 0.8) < 0.05
    assert share_inside(maker.predict(fresh, asked), truth, 80) < 0.6


# ---- update, for every recipe


@pytest.fixture(scope="module", params=["naive", "boosted", "stats"])
def known(request, shop, as_table):
    maker = recipe("demand", request.param)
    return maker, maker.fit(as_table(shop(days=140)), PARAMS[request.param], 0)


def until(frame, days):
    """Return the rows as they were known after so many days."""
    past = pl.col("date") <= frame["date"].unique().sort()[days - 1]
    return frame.with_columns(pl.when(past).then(name).otherwise(None).alias(name) for name in ("units", "stock"))


def test_an_update_moves_on_without_refitting(known, shop, as_table):
    maker, state = known
    frame = shop(days=170)
    moved = maker.update(state, as_table(until(frame, 170)))
    assert moved.panel.first + moved.panel.cut == state.panel.first + state.panel.cut + 30
    assert moved.memory.blocks == 1
    asked = maker.expand(moved, 7, {})
    assert asked.column("date").min() == frame["date"].unique().sort().to_numpy()[170].astype("M8[D]")
    said = maker.predict(moved, asked)
    bounds = np.stack([said.column(name) for name in BOUNDS], 1)
    assert np.isfinite(bounds).all() and (np.diff(bounds, axis=1) >= 0).all()


def test_an_update_to_the_same_end_answers_the_same(known, shop, as_table):
    maker, state = known
    again = maker.update(state, as_table(shop(days=140)))
    asked = maker.expand(state, 10, {})
    np.testing.assert_allclose(maker.predict(again, asked).column("mean"), maker.predict(state, asked).column("mean"), rtol=1e-5)
    assert again.memory.starts.tolist() == state.memory.starts.tolist()


def test_new_series_of_new_categories_are_answered_from_then_on(known, shop, as_table):
    maker, state = known
    frame = shop(days=170, products=4)
    newcomer = pl.col("product") == "P3"
    frame = frame.with_columns(pl.when(newcomer).then(pl.lit("gifts")).otherwise("category").alias("category"))
    late = frame["date"].unique().sort()[163]
    moved = maker.update(state, as_table(frame.filter(~newcomer | (pl.col("date") >= late))))
    assert moved.facts["newcomers"] == 2
    asked = maker.expand(moved, 7, {"category": "gifts"})
    assert set(asked.column("product").tolist()) == {"P3"} and len(asked) == 14
    said = maker.predict(moved, asked).column("mean")
    sold = frame.filter(newcomer & (pl.col("date") >= late))["units"].mean()
    assert 0.3 * sold < said.mean() < 3 * sold
    assert any("shorter history" in note for note in maker.notes(moved, maker.expand(moved, 30, {"product": "P3"})))
    again = maker.load(maker.dump(moved))
    np.testing.assert_allclose(maker.predict(again, asked).column("mean"), said, rtol=1e-5)
    assert "gifts" in maker.total(again, maker.expand(again, 7, {}), ["category"]).column("category").tolist()


@pytest.mark.parametrize("column", ["price", "promotion", "category", "stock"])
def test_a_column_that_is_gone_is_empty_and_no_error(known, shop, as_table, column):
    maker, state = known
    moved = maker.update(state, as_table(shop(days=170).drop(column)))
    said = maker.predict(moved, maker.expand(moved, 7, {}))
    mean = said.column("mean")
    whole = maker.update(state, as_table(shop(days=170)))
    usual = maker.predict(whole, maker.expand(whole, 7, {})).column("mean")
    assert np.isfinite(mean).all() and 0.4 < mean.sum() / usual.sum() < 2.5


def test_a_column_that_is_new_changes_nothing(shop, as_table):
    maker = recipe("demand", "boosted")
    state = maker.fit(as_table(shop(days=140).drop("category", "stock")), FAST, 0)
    with_, without = (maker.update(state, as_table(frame)) for frame in (shop(days=170), shop(days=170).drop("category", "stock")))
    assert not with_.panel.static and not with_.panel.past
    asked = maker.expand(with_, 7, {})
    np.testing.assert_array_equal(maker.predict(with_, asked).column("mean"), maker.predict(without, asked).column("mean"))


def test_a_table_that_ends_earlier_is_refused(known, shop, as_table):
    maker, state = known
    with pytest.raises(BadValue, match="ends before"):
        maker.update(state, as_table(until(shop(days=170), 139)))


def test_series_told_apart_otherwise_are_refused(known, shop, as_table):
    maker, state = known
    one = shop(days=170, stores=1).drop("store")
    with pytest.raises(Incompatible, match="told apart"):
        maker.update(state, as_table(one))


def test_a_series_that_is_gone_is_no_longer_answered(known, shop, as_table):
    maker, state = known
    moved = maker.update(state, as_table(shop(days=170).filter(pl.col("product") != "P0")))
    assert set(maker.expand(moved, 3, {}).column("product").tolist()) == {"P1", "P2"}
    assert len(moved.memory.truth) == 4 and moved.memory.blocks == 1


def test_long_after_the_last_blocks_are_replayed(shop, as_table):
    maker = recipe("demand", "naive")
    state = maker.fit(as_table(shop(days=60)), {"horizon": 7}, 0)
    moved = maker.update(state, as_table(shop(days=60 + 7 * 20)))
    starts = moved.memory.starts
    assert len(starts) == 12 and (np.diff(starts) == 7).all() and starts[-1] == moved.panel.first + moved.panel.cut
    assert moved.memory.blocks == 11


def test_another_format_is_refused(known):
    maker, state = known
    parts = maker.dump(state)
    other = parts["meta.json"].replace(f'"format":{FORMAT}'.encode(), b'"format":1')
    assert other != parts["meta.json"]
    with pytest.raises(Incompatible):
        maker.load({**parts, "meta.json": other})


def test_one_period_is_too_few(shop, as_table):
    with pytest.raises(LearnFailed, match="one past period"):
        recipe("demand", "naive").fit(as_table(shop(days=1)), {}, 0)


def test_a_state_is_never_changed_in_place(known, shop, as_table):
    maker, state = known
    before = maker.dump(state)
    moved = maker.update(state, as_table(shop(days=170)))
    maker.predict(moved, maker.expand(moved, 5, {}))
    maker.predict(state, maker.expand(state, 40, {}))
    assert maker.dump(replace(state)) == before
