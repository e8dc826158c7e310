"""What stands beside a series on the shelf: who counts as a neighbour, what is known of them, and that it is learned from."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tradewind.core.model import settle
from tradewind.models import recipe
from tradewind.models._kit import response
from tradewind.models._kit.forecast import features, rivals
from tradewind.models._kit.forecast.occasions import Occasions
from tradewind.models._kit.panel import RIVALS, RIVALS_PRICE, from_table

NAMES = ("category_rivals_promotion", "category_rivals_price")


@pytest.fixture(scope="module")
def panel(shop, as_table):
    return from_table(as_table(shop(days=200, products=5, stores=2)))


def test_neighbours_are_the_others_of_one_store_and_category(panel):
    found = rivals.beside(panel)
    assert {name: found.kinds[name] for name in NAMES} == dict(zip(NAMES, (RIVALS, RIVALS_PRICE), strict=True))
    products, stores = panel.keys["product"], panel.keys["store"]
    for row in range(len(panel)):
        snacks = int(products[row][1]) % 2
        others = [at for at in range(len(panel)) if at != row and stores[at] == stores[row] and int(products[at][1]) % 2 == snacks]
        np.testing.assert_allclose(found.ahead[NAMES[0]][row], panel.ahead["promotion"][others].mean(0), atol=1e-6)
        np.testing.assert_allclose(found.ahead[NAMES[1]][row], np.exp(np.log(panel.ahead["price"][others]).mean(0)), rtol=1e-5)


def test_without_a_category_the_shelf_is_the_store(shop, as_table):
    panel = from_table(as_table(shop(days=100, products=3).drop("category")))
    found = rivals.beside(panel)
    assert set(found.kinds) - set(panel.kinds) == {"rivals_promotion", "rivals_price"}
    assert np.bincount(rivals.shelf_of(found)).tolist() == [3, 3]


@pytest.mark.parametrize(
    "drop", [("promotion", "price"), ("store", "category")], ids=["nothing is planned by product", "one product stands alone"]
)
def test_where_nobody_stands_beside_the_panel_stays(shop, as_table, drop):
    frame = shop(days=100, products=1 if "store" in drop else 3, stores=1).drop(drop)
    panel = from_table(as_table(frame))
    assert rivals.beside(panel).kinds == panel.kinds


def test_shelves_stay_those_that_were_learned_with(panel, shop, as_table):
    plain = from_table(as_table(shop(days=200, products=5, stores=2).drop("category")))
    later = rivals.beside(panel, rivals.beside(plain))
    np.testing.assert_array_equal(later.ahead["rivals_price"], rivals.beside(plain).ahead["rivals_price"])
    assert rivals.beside(panel, panel).kinds == rivals.beside(plain).kinds


def test_a_price_that_is_missing_counts_for_nobody(panel):
    price = panel.ahead["price"].copy()
    price[0] = np.nan
    found = rivals.beside(replace(panel, ahead={**panel.ahead, "price": price})).ahead[NAMES[1]]
    assert np.isfinite(found).all()
    alone = np.full_like(price, np.nan)
    alone[0] = 2.0
    found = rivals.beside(replace(panel, ahead={**panel.ahead, "price": alone})).ahead[NAMES[1]]
    assert np.isnan(found[0]).all()


def eaten(shop, *, seed):
    """Return the shop's rows where a promoted neighbour takes three tenths of what would have been sold."""
    frame = shop(days=500, products=4, stores=3, seed=seed, noise=0.1).drop("stock")
    others = pl.col("promotion").sum().over("store", "category", "date") - pl.col("promotion")
    return frame.with_columns(units=(pl.col("units") * 0.7**others).round())


def test_what_neighbours_promote_is_learned(shop, as_table):
    table = as_table(eaten(shop, seed=3))
    maker = recipe("demand", "boosted")
    state = maker.fit(table, settle(maker.knobs, {"rounds": 120, "rows": 20_000}), 0)
    asked = maker.expand(state, 28, {})
    both = from_table(table)
    share = rivals.beside(both).ahead[NAMES[0]][:, both.cut : both.cut + 28].ravel()
    place, day = np.divmod(np.arange(len(asked)), 28)
    mean = maker.predict(state, asked).column("mean")
    price, own = (both.ahead[name][place, both.cut + day] for name in ("price", "promotion"))
    usual = np.log(both.ahead["price"][:, : both.cut]).mean(1)[place]
    level = np.nanmean(np.where(both.ahead["promotion"][:, : both.cut] > 0, np.nan, both.target[:, : both.cut]), 1)[place]
    week = 1 + 0.3 * np.sin(2 * np.pi * (both.cut + day) / 7)
    left = np.log(mean / level / week) + 2.0 * (np.log(price) - usual)
    plain = own == 0
    assert (share[plain] > 0).any() and (share[plain] == 0).any()
    fall = left[plain & (share > 0)].mean() - left[plain & (share == 0)].mean()
    assert np.log(0.7) - 0.15 < fall < np.log(0.7) + 0.17


def test_what_is_planned_of_two_neighbours_says_that_they_do_not_hear_of_each_other(shop, as_table):
    maker = recipe("demand", "boosted")
    state = maker.fit(as_table(shop(days=140, products=5)), settle(maker.knobs, {"rounds": 20, "rows": 4000}), 0)
    asked = maker.expand(state, 7, {})
    planned = asked.with_columns({"price": np.where(np.isin(asked.column("product"), ["P0", "P2"]), 1.0, np.nan)})
    alone = asked.with_columns({"price": np.where(asked.column("product") == "P0", 1.0, np.nan)})
    said = "rivals count as planned before: what is asked here of one product does not change another of its shelf"
    assert said in maker.notes(state, planned)
    assert said not in maker.notes(state, alone) + maker.notes(state, asked)


def test_what_rivals_do_may_sell_more_or_less(panel):
    names = features.names(rivals.beside(panel))
    directions = dict(zip(names, features.monotone(names), strict=True))
    assert [directions[f"rivals:{name}"] for name in (*NAMES, f"{NAMES[0]}_to_usual")] == [0, 0, 0]
    assert f"price:to_{NAMES[1]}" not in names  # days: the price effect says it all


def test_in_weeks_the_own_price_is_held_against_that_of_rivals(shop, as_table):
    panel = rivals.beside(from_table(as_table(shop(days=120, products=5, step=7))))
    names = features.names(panel)
    assert dict(zip(names, features.monotone(names), strict=True))[f"price:to_{NAMES[1]}"] == -1
    view = features.View.of(panel, response.learn(panel), np.full(len(panel), np.nan), Occasions({}))
    rows = features.rows(view, 100, np.arange(4)).values
    own, beside = (np.log(panel.ahead[name]) for name in ("price", NAMES[1]))
    moved = [value[:, 100:104] - value[:, 74:100].mean(1, keepdims=True) for value in (own, beside)]
    np.testing.assert_allclose(rows[:, :, names.index(f"price:to_{NAMES[1]}")], moved[0] - moved[1], atol=1e-4)


def test_an_ensemble_knows_the_neighbours_that_its_trees_learned_from(shop, as_table):
    table = as_table(shop(days=140, products=5))
    makers = {name: recipe("demand", name) for name in ("boosted", "naive")}
    fast = {"boosted": {"rounds": 20, "rows": 4000}, "naive": {}}
    states = {name: maker.fit(table, settle(maker.knobs, fast[name]), 0) for name, maker in makers.items()}
    whole = recipe("demand", "ensemble")
    blended = whole.blend(states, {"boosted": 1.0, "naive": 1.0})
    assert NAMES[0] not in states["naive"].panel.kinds
    asked = whole.expand(blended, 14, {})
    parts = [maker.predict(states[name], asked).column("mean") for name, maker in makers.items()]
    np.testing.assert_allclose(whole.predict(blended, asked).column("mean"), np.mean(parts, 0), rtol=1e-5)
