"""Price: the guard, the bounds, and what is refused."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tradewind.core.catalog import TABLES
from tradewind.core.errors import BadValue, LearnFailed
from tradewind.core.table import Table
from tradewind.data.roles import describe
from tradewind.models import recipe
from tradewind.models._kit import tensors
from tradewind.models._kit.trade.shrink import Prior, Shrunk, alone, draws, pooled, shrink
from tradewind.models.price import judge
from tradewind.models.price.assemble import assemble
from tradewind.models.price.rest import kept


def shop(
    elasticity: float, *, weeks: int = 104, noise: float = 0.05, follow: float = 0.0, moves: float = 0.08, cost: float = 0.6
) -> dict[str, Table]:
    """Return two products of one category: price moves at random, or after demand where `follow` is set."""
    rng = np.random.default_rng(3)
    rows = []
    for name in ("A", "B"):
        shock = rng.normal(0, 0.2, weeks) if follow else np.zeros(weeks)
        price = 5 * np.exp(moves * rng.normal(size=weeks) + follow * shock)
        units = np.round(200 * (price / 5) ** elasticity * np.exp(shock + noise * rng.normal(size=weeks)))
        rows += [(dt.date(2024, 1, 1) + dt.timedelta(weeks=at), name, units[at], price[at]) for at in range(weeks)]
    sales = pl.DataFrame(rows, schema=["date", "product", "units", "price"], orient="row")
    products = pl.DataFrame({"product": ["A", "B"], "category": ["c", "c"], "unit_cost": [5 * cost, 5 * cost]})
    return {"sales": Table.from_frame(sales, TABLES["sales"]), "products": Table.from_frame(products, TABLES["products"])}


def learned(name: str = "bayes", **more):
    one = recipe("price", name)
    return one, one.load(one.dump(one.fit(assemble(shop(**more)), {}, 0)))


def asked(**columns) -> Table:
    return Table.from_frame(pl.DataFrame({"product": ["A"]} | {name: [value] for name, value in columns.items()}))


def test_a_price_that_is_too_low_is_raised_and_one_that_is_right_is_kept():
    one, state = learned(elasticity=-1.5)
    low = one.predict(state, asked(cost=3.0)).frame.row(0, named=True)  # best is cost x 1.5 / .5 = 9
    assert low["verdict"] == "change" and low["price"] > low["price_now"]
    assert low["chance"] >= 0.8 and low["chance_second"] >= 0.8 and low["gain"] > 0
    right = one.predict(state, asked(cost=low["price_now"] / 3)).frame.row(0, named=True)
    assert abs(right["price"] / right["price_now"] - 1) < 0.06
    assert low["elasticity_lo95"] <= -1.5 <= low["elasticity_hi95"]


def test_a_product_that_sells_no_more_is_told():
    one, state = learned(elasticity=-1.5)
    sold = state.book.sold.copy()
    sold[state.book.product == 0, -20:] = np.nan
    gone = replace(state, book=replace(state.book, sold=sold))
    assert any("Nothing was sold of A in the last 8 periods" in note for note in one.notes(gone, asked(price=5.0)))
    assert not any("Nothing was sold" in note for note in one.notes(state, asked(price=5.0)))


def test_questions_in_turn_are_answered_as_by_themselves():
    one, state = learned(elasticity=-1.5)
    asks = [asked(cost=3.0), asked(price=5.5), asked(cost=3.0)]
    said = [(one.predict(state, ask).to_rows(), one.notes(state, ask)) for ask in asks]
    assert said[0] == said[2] != said[1]
    for ask, (rows, notes) in zip(asks, said, strict=True):
        fresh = one.load(one.dump(state))
        assert one.notes(fresh, ask) == notes and one.predict(fresh, ask).to_rows() == rows


def test_bounds_are_kept_and_nonsense_is_refused():
    one, state = learned(elasticity=-1.5)
    now = one.predict(state, asked()).column("price_now")[0]
    assert one.predict(state, asked(ceiling=now * 1.02)).column("price")[0] <= now * 1.02 + 1e-9
    assert abs(one.predict(state, asked(move=0.03)).column("price")[0] / now - 1) <= 0.03 + 1e-9
    for bad, said in (({"floor": 6.0, "ceiling": 5.0}, "above the ceiling"), ({"price": 0.0}, "above zero"), ({"cost": -1.0}, "cost must")):
        with pytest.raises(BadValue, match=said):
            one.predict(state, asked(**bad))
    with pytest.raises(BadValue, match="within floor"):
        one.predict(state, asked(cost=50.0))
    with pytest.raises(BadValue, match="never sold"):
        one.predict(state, Table.from_columns({"product": np.array(["nothing"], object)}))


def test_prices_that_followed_demand_give_no_recommendation():
    one, state = learned("ols", elasticity=-1.0, follow=1.0, moves=0.01)
    answer = one.predict(state, asked()).frame.row(0, named=True)
    assert answer["verdict"] == "unsure" and answer["price"] == answer["price_now"]
    assert any("follow demand" in note for note in one.notes(state, asked()))


def test_a_price_that_never_moved_gives_no_recommendation():
    one, state = learned(elasticity=-2.0, moves=0.0)
    answer = one.predict(state, asked()).frame.row(0, named=True)
    assert answer["verdict"] == "unsure" and answer["learned"] < 0.3


def test_without_a_cost_a_price_can_be_tried_but_none_is_best():
    tables = shop(-2.0)
    one = recipe("price", "bayes")
    state = one.fit(assemble({"sales": tables["sales"]}), {}, 0)
    with pytest.raises(BadValue, match="no cost"):
        one.predict(state, asked())
    tried = one.predict(state, asked(price=4.5))
    assert "margin" not in tried and tried.column("verdict")[0] == "tried"
    assert "gain" in one.predict(state, asked(cost=2.0))


def test_constant_units_cannot_be_learned_from():
    tables = shop(-2.0)
    frame = tables["sales"].frame.with_columns(units=pl.lit(7.0))
    with pytest.raises(LearnFailed, match="never change"):
        recipe("price", "bayes").fit(assemble(tables | {"sales": Table.from_frame(frame, TABLES["sales"])}), {}, 0)


def test_days_are_kept_where_prices_move_from_day_to_day():
    rng = np.random.default_rng(0)
    days = pl.date_range(dt.date(2024, 1, 1), dt.date(2024, 6, 30), eager=True)
    count = len(days)
    daily = pl.DataFrame(
        {"date": days, "product": "A", "units": rng.poisson(50, count).astype(float), "price": 5 * np.exp(0.1 * rng.normal(size=count))}
    )
    assert len(assemble({"sales": Table.from_frame(daily, TABLES["sales"])})) == count
    slow = daily.with_columns(price=pl.col("date").dt.month().cast(pl.Float64))
    assert len(assemble({"sales": Table.from_frame(slow, TABLES["sales"])})) < count / 6


def test_shrinking_lies_between_alone_and_pooled():
    rng = np.random.default_rng(1)
    true = -2 + 0.3 * rng.normal(size=(40, 1))
    x = rng.normal(size=(40, 30, 1))
    y = (x @ true[:, :, None])[..., 0] + 2.0 * rng.normal(size=(40, 30))
    normal, moment = np.einsum("ntk,ntl->nkl", x, x) / 4, np.einsum("ntk,nt->nk", x, y) / 4
    group = np.repeat(np.arange(4), 10)
    prior = Prior(*(np.array([value]) for value in (-2.0, 1.0, 0.5, 0.3)))
    errors = [
        float(np.sqrt(np.mean((found.series - true) ** 2)))
        for found in (
            shrink(normal, moment, group, about=np.ones((4, 1)), prior=prior),
            alone(normal, moment, group, together=1.0),
            pooled(normal, moment, group, together=1.0),
        )
    ]
    assert errors[0] < errors[1] and errors[0] < errors[2] + 0.03


def test_an_error_of_the_companys_mean_moves_all_products_at_once():
    products = 40
    ones, spread = np.ones((products, 1)), np.full((products, 1, 1), 1.04)
    found = Shrunk(0 * ones, 0 * ones, ones, 0 * ones, spread, ones, np.zeros(0), np.zeros(0), np.zeros(0))
    moved = draws(found, np.arange(products), 400, 0)[0].T
    assert 0.85 < moved.mean(1).std() < 1.15 and 0.9 < moved.std() < 1.15
    apart = draws(replace(found, common=0 * ones), np.arange(products), 400, 0)[0].T
    assert apart.mean(1).std() < 0.25


def crowd(*, choose: bool, busy: float = 0.0, weeks: int = 80) -> tuple[np.ndarray, np.ndarray]:
    """Return log residuals and units of 12 products in 3 categories: of customers who choose one, or of products nobody compares."""
    rng = np.random.default_rng(7)
    worth = rng.normal(0, 0.4, (12, weeks))
    among = (1 + np.exp(worth).sum(0)) if choose else 12.0
    units = 1000 * np.exp(worth) / among
    units = units * np.exp(busy * rng.normal(size=weeks))
    logged = np.log(units)
    return logged - logged.mean(1, keepdims=True), units


def test_what_other_categories_catch_is_read_from_customers_who_choose():
    group, store = np.arange(12) // 4, np.zeros(12, int)
    share, error = kept(*crowd(choose=True), store, group, together=1.0)
    assert 0.5 < share < 0.85 and 0 < error < 0.15  # truth: 8 of 13 equal choices lie in other categories, 0.67 of what leaves
    assert kept(*crowd(choose=False), store, group, together=1.0) == (0.0, 0.0)
    assert kept(*crowd(choose=True, busy=0.6), store, group, together=1.0) == (0.0, 0.0)  # busy weeks hide it: nothing is claimed
    assert kept(*(part[:, :10] for part in crowd(choose=True)), store, group, together=1.0) == (0.0, 0.0)


def test_one_category_has_no_others_to_catch_anything():
    assert kept(*crowd(choose=True), np.zeros(12, int), np.zeros(12, int), together=1.0) == (0.0, 0.0)


def test_what_other_categories_catch_counts_in_the_gain_of_one_price():
    one, state = learned(elasticity=-2.0)
    rows = asked(price=5.4)
    apart = one.predict(state, rows).frame.row(0, named=True)
    split = replace(state, rest=(0.5, 0.01), book=replace(state.book, categories=np.array(["c", "d"], object)))
    caught = one.predict(split, rows).frame.row(0, named=True)
    assert caught["gain"] > apart["gain"] + 1
    assert any("50 % of what leaves" in words for words in one.notes(split, rows))


def lacking(**columns) -> Table:
    """Return products A and B where A lacks what is told to be None."""
    rows = {"product": ["A", "B"], "category": ["c", "c"], "unit_cost": [3.0, 3.0]}
    rows |= {name: [value, rows[name][1]] for name, value in columns.items()}
    return Table.from_frame(pl.DataFrame(rows), TABLES["products"])


@pytest.mark.parametrize(("cost", "why"), [(None, "no cost known"), (50.0, "its cost of 50 lies above its price")])
def test_a_product_whose_cost_says_nothing_is_left_out_and_the_others_are_served(cost, why):
    one = recipe("price", "bayes")
    state = one.load(one.dump(one.fit(assemble(shop(-1.5) | {"products": lacking(unit_cost=cost)}), {}, 0)))
    every = one.expand(state, None, {})
    assert every.column("product").tolist() == ["B"]
    assert one.predict(state, every).column("verdict")[0] in ("change", "keep")
    with pytest.raises(BadValue, match=why):
        one.expand(state, None, {"product": "A"})
    with pytest.raises(BadValue, match="product 'A'"):
        one.predict(state, asked())
    assert one.predict(state, asked(cost=3.0)).column("verdict")[0] == "change"
    both = Table.from_columns({"product": np.array(["B", "B"], object)})
    assert any(f"A ({why}" in note for note in one.notes(state, both))


def test_a_price_that_nobody_ever_paid_gains_nothing_and_is_said_to_be_outside():
    one, state = learned(elasticity=-2.5)
    far = [one.predict(state, asked(price=price)).frame.row(0, named=True) for price in (100.0, 1e3, 1e9)]
    assert [row["revenue"] for row in far] == sorted((row["revenue"] for row in far), reverse=True) and far[0]["revenue"] < 1.0
    assert all(row["gain"] < 0 and row["chance"] < 0.05 and row["chance_second"] < 0.05 for row in far)
    assert any("outside of all that were seen" in note and "A at 100 " in note for note in one.notes(state, asked(price=100.0)))
    assert not any("outside" in note for note in one.notes(state, asked(price=5.0)))
    with pytest.raises(BadValue, match="finite"):
        one.predict(state, asked(price=np.inf))


def test_no_draw_earns_more_and_more_beyond_what_was_seen():
    one, state = learned(elasticity=-0.3, noise=0.3)
    sold = [one.predict(state, asked(price=price)).frame.row(0, named=True)["revenue"] for price in (15.0, 30.0, 90.0)]
    assert sold == sorted(sold, reverse=True)
    one, state = learned(elasticity=-4.0)
    sold = [one.predict(state, asked(price=price)).frame.row(0, named=True)["revenue"] for price in (0.001, 0.1, 2.0)]
    assert sold[0] <= sold[1] * (1 + 1e-6) and sold[1] <= sold[2] * (1 + 1e-6)


def test_a_version_without_the_prices_seen_still_answers():
    one, state = learned(elasticity=-1.5)
    parts = dict(one.dump(state))
    kept = tensors.load(parts["price.safetensors"])
    parts["price.safetensors"] = tensors.save({name: value for name, value in kept.items() if name != "seen"})
    old = one.load(parts)
    assert not any("outside" in note for note in one.notes(old, asked(price=100.0)))


def test_sales_without_any_price_are_refused_in_learning():
    tables = shop(-1.5)
    frame = tables["sales"].frame.with_columns(price=pl.lit(None, pl.Float64))
    with pytest.raises(BadValue, match="no price is known"):
        assemble(tables | {"sales": Table.from_frame(frame, TABLES["sales"])})
    flat = assemble(tables)
    gone = {name: np.full(len(flat), np.nan) for name in ("price", "regular") if name in flat}
    with pytest.raises(BadValue, match="no price is known"):
        recipe("price", "bayes").fit(flat.with_columns(gone), {}, 0)


def test_weeks_without_a_price_are_not_examined():
    tables = shop(-1.5) | {"products": lacking(unit_cost=None)}
    last = pl.col("date") == tables["sales"].frame["date"].max()
    frame = tables["sales"].frame.with_columns(price=pl.when(~last).then(pl.col("price")))
    table = assemble(tables | {"sales": Table.from_frame(frame, TABLES["sales"])})
    one = recipe("price", "bayes")
    for exam in judge.exams(table, folds=2, seed=0):
        assert np.isfinite(exam.asked.column("price")).all()
        assert len(one.predict(one.fit(exam.seen, {}, 0), exam.asked)) == len(exam.truth)


def test_without_any_cost_todays_prices_are_tried():
    one = recipe("price", "bayes")
    state = one.load(one.dump(one.fit(assemble({"sales": shop(-1.5)["sales"]}), {}, 0)))
    every = one.expand(state, None, {})
    answer = one.predict(state, every)
    assert answer.column("product").tolist() == ["A", "B"] and answer.column("verdict").tolist() == ["tried", "tried"]
    np.testing.assert_allclose(answer.column("price"), answer.column("price_now"))
    assert any("No price is recommended for any product" in note and "A (no cost known)" in note for note in one.notes(state, every))
    with pytest.raises(BadValue, match="no cost known"):
        one.expand(state, None, {"product": "A"})


def test_what_follows_from_sales_is_not_held_fixed():
    tables = shop(elasticity=-2.0, weeks=80)
    rng = np.random.default_rng(5)
    frame = tables["sales"].frame.sort("date", "product")
    noise = np.exp(0.08 * rng.normal(size=frame.height))
    weather = np.repeat(rng.normal(size=frame.height // 2), 2)
    more = frame.with_columns(units=(pl.col("units") * pl.Series(np.exp(2 * weather))).round()).with_columns(
        tickets=pl.col("units") * pl.Series(noise) / 3,
        buyers=pl.Series(rng.integers(1, 9, frame.height)),
        rival_sales=pl.Series(rng.integers(1, 9, frame.height)),
        tillId=pl.Series(rng.integers(1, 9, frame.height)),
        shelf=pl.Series(rng.integers(1, 4, frame.height)),
        warmth=pl.Series(weather),
    )
    table = assemble(tables | {"sales": Table.from_frame(more, TABLES["sales"])})
    assert {"shelf", "warmth", "rival_sales"} <= set(table.names), "what is put up, and what is the same for all, is held fixed"
    assert not {"tickets", "buyers", "tillId"} & set(table.names)


def test_a_price_told_again_is_not_held_fixed():
    tables = shop(elasticity=-2.0, weeks=80)
    rng = np.random.default_rng(6)
    shelf = pl.Series(np.exp(0.05 * rng.normal(size=160)))
    more = tables["sales"].frame.with_columns(
        shelf_price=pl.col("price") * shelf,
        off_in_discount=1 - 1 / shelf,
        asked=pl.col("price") * 1.19,
        display_share=pl.Series(rng.random(160)),
    )
    described, _ = describe(more, TABLES["sales"], "sales")
    table = assemble(tables | {"sales": Table(described, frame=more)})
    assert "display_share" in table.names
    assert not {"shelf_price", "off_in_discount", "asked"} & set(table.names)
