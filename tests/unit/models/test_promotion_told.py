"""What an answer of promotion says it does not rest on: promotions left out, depths never seen, costs not told."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tradewind.core.catalog import TABLES
from tradewind.core.errors import BadValue
from tradewind.core.model import Example
from tradewind.core.table import Table
from tradewind.models import get, recipe
from tradewind.models._kit.world import World, make
from tradewind.models.promotion.assemble import assemble, repaired

LOADED = ("sales", "promotions", "prices", "products", "stores", "events")
ODD = {
    "NOPRODUCT": {"product": "NOPE"},
    "NOSTORE": {"store": "Omega"},
    "EARLY": {"start": dt.date(2001, 1, 1), "end": dt.date(2001, 1, 7)},
    "LATE": {"start": dt.date(2061, 1, 3), "end": dt.date(2061, 1, 9)},
}
SAID = (
    "4 rows of promotions are left out: 1 product not in the sales (NOPE), 1 store not in the sales (Omega), "
    "1 over before the sales begin (EARLY), 1 later than what is laid out after the sales (LATE)."
)


@pytest.fixture(scope="module")
def world() -> World | Example:
    return make(seed=5, years=1.5, products=6, stores=2, customers=0, reviews=0, noise=0.5, anomalies=0.0, stockouts=0.0)


@pytest.fixture(scope="module")
def tables(world) -> dict[str, Table]:
    return {name: world.tables[name] for name in LOADED}


@pytest.fixture(scope="module")
def odd(tables) -> Table:
    frame = tables["promotions"].frame
    usual = {"product": "P001", "store": tables["sales"].frame["store"][0], "start": dt.date(2025, 7, 7), "end": dt.date(2025, 7, 13)}
    rows = pl.DataFrame([{"promotion": name, **usual, **more} for name, more in ODD.items()])
    rows = rows.cast({name: frame.schema[name] for name in rows.columns})
    return assemble(tables | {"promotions": Table.from_frame(pl.concat([frame, rows], how="diagonal"), TABLES["promotions"])})


@pytest.fixture(scope="module")
def served(odd):
    one = recipe("promotion", "structural")
    return one, one.load(one.dump(one.fit(odd, {}, 0)))


def asked(**columns) -> Table:
    row = {"product": "P001", "start": dt.date(2025, 7, 7), "end": dt.date(2025, 7, 13), "mechanic": "price_cut", "cost": 100.0}
    return Table.from_frame(pl.DataFrame([row | columns]))


def test_promotions_that_lie_nowhere_in_the_sales_are_told_by_training_and_answers(tables, odd, served):
    one, state = served
    assert [(fact.name, fact.value) for fact in repaired(Table.from_bytes(odd.to_bytes()))] == [("note", SAID)]
    assert SAID in one.notes(state, asked(discount=0.2))
    assert repaired(assemble(tables)) == ()


def test_a_promotion_that_was_left_out_is_refused_by_name_with_the_reason(served):
    one, state = served
    for name, reason in (("NOPRODUCT", "product not in the sales"), ("LATE", "later than")):
        with pytest.raises(BadValue, match=f"{name}.*{reason}") as refused:
            one.predict(state, Table.from_columns({"promotion": np.array([name], object)}))
        assert "train again" in refused.value.hint


def test_of_two_promotions_of_one_product_at_one_time_the_one_without_a_period_is_told(tables):
    frame = tables["promotions"].frame
    first = frame.filter(pl.col("store").is_not_null()).head(1) if "store" in frame.columns else frame.head(1)
    twin = first.with_columns(promotion=pl.lit("zzz"))
    made = assemble(tables | {"promotions": Table.from_frame(pl.concat([first, twin]), TABLES["promotions"])})
    assert [fact.value for fact in repaired(made)] == [
        "1 row of promotions is left out: 1 at a time when the product is not sold or another of its promotions runs (zzz)."
    ]


def test_a_negative_trade_spend_is_refused(tables):
    wrong = tables["promotions"].frame.with_columns(cost=pl.lit(-1.0))
    with pytest.raises(BadValue, match="negative amounts"):
        assemble(tables | {"promotions": Table.from_frame(wrong, TABLES["promotions"])})


@pytest.mark.parametrize("name", ["structural", "average"])
def test_a_depth_that_was_never_seen_is_told_stated_or_by_price(odd, served, name):
    one = recipe("promotion", name)
    state = served[1] if name == "structural" else one.fit(odd, {"trees": 20}, 0)
    book = state if name == "structural" else state.book
    most = book.head["deepest_stated"]
    assert 0.1 < most < 0.7
    plain = " ".join(one.notes(state, asked(discount=most)))
    deep = " ".join(one.notes(state, asked(discount=0.9, promotion="big")))
    cheap = " ".join(one.notes(state, asked(price=0.05 * float(book.regular[0, -1]))))
    assert "never seen" not in plain
    assert f"largest seen {100 * most:.0f} %" in deep and "big (90 %)" in deep
    assert "never seen" in cheap


def test_a_planned_promotion_of_a_product_that_sells_no_more_is_told_and_a_past_one_is_not(served):
    one, state = served
    sold = state.sold.copy()
    sold[state.product == np.flatnonzero(state.products == "P001")[0], -20:] = np.nan
    gone = replace(state, sold=sold)
    past = asked(discount=0.2, start=dt.date(2024, 7, 1), end=dt.date(2024, 7, 7))
    assert any("Nothing was sold of P001 in the last" in note for note in one.notes(gone, asked(discount=0.2)))
    assert not any("Nothing was sold" in note for note in (*one.notes(gone, past), *one.notes(state, asked(discount=0.2))))
    request = {"about": "candidates", "product": np.array(["P001"], object), "start": np.array(["2025-07-07"], "M8[D]")}
    assert any("Nothing was sold" in note for note in one.respond(gone, request | {"discount": np.array([0.1])})["notes"].tolist())


def test_where_no_promotion_ran_lately_the_last_ones_are_everything(served):
    one, state = served
    old = state.period(state.calendar[:, 2].astype("i8").astype("M8[D]")) < state.cut - 30
    told = one.expand(replace(state, calendar=state.calendar[old], mechanics=state.mechanics[old]), 4, {})
    assert 0 < len(told) <= int(old.sum())


def test_a_book_of_an_earlier_version_tells_nothing_it_does_not_know(served):
    one, state = served
    old = replace(state, head={name: value for name, value in state.head.items() if name not in ("left", "deepest_stated", "deepest_paid")})
    assert "never seen" not in " ".join(one.notes(old, asked(discount=0.9)))


def test_the_planner_hears_of_depths_never_seen_of_what_was_left_out_and_of_costs_not_told(served):
    one, state = served
    day = np.array(["2025-07-07"] * 2, "M8[D]")
    request = {"about": "candidates", "product": np.array(["P001", "P002"], object), "start": day, "discount": np.array([0.1, 0.9])}
    said = one.respond(state, request | {"cost": np.array([5.0, np.nan])})
    assert said["beyond"].tolist() == [0.0, 0.9] and said["deepest"][0] == state.head["deepest_stated"]
    assert SAID in said["notes"].tolist()
    assert any("for 1 of 2 promotions" in note for note in said["notes"].tolist())


def test_a_recipe_that_says_what_levers_do_serves_where_held_out_sales_cannot_tell():
    one = get("promotion")
    assert one.serves == ("average", "structural")
    assert all(hasattr(recipe("promotion", name), "effects") for name in one.serves)
    assert not hasattr(recipe("promotion", "forest_net"), "effects")


def test_a_shelf_price_is_worked_out_of_the_periods_in_which_no_promotion_of_the_table_ran():
    count, rng = 104, np.random.default_rng(0)
    weeks = [dt.date(2024, 1, 1) + dt.timedelta(weeks=week) for week in range(count)]
    price = [4.0 if week < 52 else 5.0 for week in range(count)]
    run = list(range(4, count, 4)) + [week + 1 for week in range(4, count - 1, 4)]
    paid = [value * 0.7 if week in run else value for week, value in enumerate(price)]
    units = np.round(100 * (np.array(paid) / 5) ** -2 * np.exp(0.1 * rng.normal(size=count)))
    sales = pl.DataFrame({"date": weeks, "product": ["A"] * count, "units": units, "price": paid})
    promotions = pl.DataFrame(
        [
            {"promotion": str(week), "product": "A", "start": weeks[week], "end": weeks[week] + dt.timedelta(days=13), "discount": 0.3}
            for week in range(4, count, 4)
        ]
    )
    made = assemble({"sales": Table.from_frame(sales, TABLES["sales"]), "promotions": Table.from_frame(promotions, TABLES["promotions"])})
    inside = [week for week in range(count) if abs(week - 52) > 3]
    assert made.column("regular")[inside].tolist() == [price[week] for week in inside]


def test_sales_without_stores_take_promotions_of_stores_and_tell_the_others(tables):
    sales = tables["sales"].frame.group_by("date", "product", maintain_order=True).agg(pl.col("units").sum(), pl.col("price").mean())
    frame = pl.DataFrame(
        [
            {"promotion": name, "product": product, "store": "somewhere", "start": dt.date(2025, 3, 3), "end": dt.date(2025, 3, 9)}
            for name, product in (("fine", "P001"), ("odd", "NOPE"))
        ]
    )
    made = assemble({"sales": Table.from_frame(sales, TABLES["sales"]), "promotions": Table.from_frame(frame, TABLES["promotions"])})
    assert [fact.value for fact in repaired(made)] == ["1 row of promotions is left out: 1 product not in the sales (NOPE)."]
