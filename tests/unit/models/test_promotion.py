"""Promotion: what is asked, what is refused, and that the account of a promotion adds up."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest

from tradewind.core.catalog import TABLES
from tradewind.core.errors import BadValue, LearnFailed, MissingColumn, NotFound
from tradewind.core.table import Table
from tradewind.models import recipe
from tradewind.models._kit.world import make
from tradewind.models.promotion.asking import cells_of
from tradewind.models.promotion.assemble import assemble
from tradewind.models.promotion.average_state import BESIDE, features
from tradewind.models.promotion.judge import exams, marks

LOADED = ("sales", "promotions", "prices", "products", "stores", "events")


@pytest.fixture(scope="module")
def world():
    return make(seed=5, years=1.5, products=6, stores=2, customers=0, reviews=0, noise=0.5, anomalies=0.0, stockouts=0.0)


@pytest.fixture(scope="module")
def table(world) -> Table:
    return assemble({name: world.tables[name] for name in LOADED})


@pytest.fixture(scope="module")
def served(table):
    one = recipe("promotion", "structural")
    return one, one.load(one.dump(one.fit(table, {}, 0)))


def planned(**more) -> Table:
    row = {
        "product": "P001",
        "start": dt.date(2025, 7, 7),
        "end": dt.date(2025, 7, 13),
        "mechanic": "price_cut",
        "discount": 0.2,
        "cost": 100.0,
    }
    return Table.from_frame(pl.DataFrame([row | more]))


def test_the_parts_add_up_and_bounds_are_in_order(served):
    one, state = served
    answer = one.predict(state, planned()).frame.row(0, named=True)
    parts = sum(answer[name] for name in ("gross", "pulled_forward", "cannibalised", "halo"))
    assert answer["mean"] == pytest.approx(parts, rel=1e-6)
    assert answer["gross"] > 0 > answer["pulled_forward"]
    assert answer["lo95"] <= answer["lo80"] <= answer["p50"] <= answer["hi80"] <= answer["hi95"]
    assert answer["roi"] == pytest.approx((answer["margin"] - answer["spend"]) / answer["spend"], abs=0.15)


def test_no_promotion_lifts_nothing_and_a_deeper_one_lifts_more(served):
    one, state = served
    none = one.predict(state, planned(mechanic=None, discount=0.0, cost=0.0)).frame.row(0, named=True)
    assert abs(none["gross"]) < 1e-6 and none["verdict"] == "no spend"
    lifts = [one.predict(state, planned(discount=depth)).column("lift")[0] for depth in (0.1, 0.2, 0.3)]
    assert lifts == sorted(lifts)


def test_a_spend_that_is_not_told_is_the_discount_on_what_is_sold(served):
    one, state = served
    asked = planned()
    answer = one.predict(state, asked.select([name for name in asked.names if name != "cost"])).frame.row(0, named=True)
    price = 0.2 * state.regular[state.product == 0].mean()
    assert answer["spend"] == pytest.approx(answer["units"] * price, rel=0.1)
    assert any("trade spend is taken" in note for note in one.notes(state, asked.select(["product", "start", "end"])))
    strange = asked.select(["product", "start", "end"])
    strange = Table.from_frame(strange.frame.with_columns(mechanic=pl.lit("lottery"), rabatt=pl.lit(1.0)))
    said = " ".join(one.notes(state, strange))
    assert "for mechanic lottery" in said and "change nothing here: rabatt" in said


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"product": "P999"}, "was never sold"),
        ({"start": dt.date(2035, 1, 1), "end": dt.date(2035, 1, 7)}, "outside what the model knows"),
        ({"start": dt.date(2020, 1, 1), "end": dt.date(2020, 1, 7)}, "outside what the model knows"),
        ({"end": dt.date(2025, 7, 1)}, "ends before it starts"),
        ({"end": dt.date(2026, 7, 1)}, "days"),
        ({"discount": 1.5}, "outside what can be"),
        ({"cost": -5.0}, "outside what can be"),
        ({"price": -1.0}, "outside what can be"),
    ],
)
def test_a_question_that_cannot_be_is_refused(served, more, said):
    one, state = served
    with pytest.raises(BadValue, match=said):
        one.predict(state, planned(**more))


def test_a_name_the_calendar_lacks_is_refused(served):
    one, state = served
    with pytest.raises(BadValue, match="holds no promotion"):
        one.predict(state, Table.from_columns({"promotion": np.array(["nothing"], object)}))
    with pytest.raises(NotFound):
        one.expand(state, None, {"product": "nothing"})
    with pytest.raises(BadValue, match="where cannot be by"):
        one.expand(state, None, {"colour": "red"})


def test_the_judge_hides_what_came(table):
    made = exams(table, folds=2, seed=0)
    for exam in made:
        cut = exam.truth.column("date").min()
        seen = exam.seen.column("date").astype("M8[D]") >= cut
        assert np.isnan(exam.seen.column("units").astype(float)[seen]).all()
        assert np.isnan(exam.seen.column("price").astype(float)[seen]).all()
    naive = recipe("promotion", "naive")
    answers = [naive.predict(naive.fit(exam.seen, {}, 0), exam.asked) for exam in made]
    assert marks(made, answers).metrics["rmsle"] > 0


def sales(**columns) -> dict[str, Table]:
    count = 120
    frame = {
        "date": [dt.date(2024, 1, 1) + dt.timedelta(weeks=week) for week in range(count)],
        "product": ["A"] * count,
        "units": [10.0] * count,
    }
    frame["price"] = [5.0 - week % 3 * 0.5 for week in range(count)]
    return {"sales": Table.from_frame(pl.DataFrame(frame | columns), TABLES["sales"])}


def test_bad_tables_are_refused_with_a_reason():
    fit = recipe("promotion", "structural").fit
    with pytest.raises(LearnFailed, match="never change"):
        fit(assemble(sales()), {}, 0)
    with pytest.raises(BadValue, match="negative prices"):
        assemble(sales(price=[-1.0] * 120))
    short = {"sales": sales()["sales"].take(np.arange(120) < 5)}
    with pytest.raises(LearnFailed, match="too few"):
        fit(assemble(short), {}, 0)
    gone = sales()["sales"]
    with pytest.raises(MissingColumn, match="units"):
        assemble({"sales": gone.select(["date", "product", "price"])})
    given = Table.from_frame(
        pl.DataFrame({"promotion": ["x"], "product": ["A"], "start": [dt.date(2024, 3, 9)], "end": [dt.date(2024, 3, 1)]}),
        TABLES["promotions"],
    )
    with pytest.raises(BadValue, match="ends before it starts"):
        assemble(sales() | {"promotions": given})


def test_duplicate_weeks_are_summed_and_gaps_stay_gaps():
    once = sales()["sales"].frame
    twice = assemble({"sales": Table.from_frame(pl.concat([once, once]), TABLES["sales"])})
    assert twice.column("units").tolist() == [20.0] * 120
    holes = assemble({"sales": Table.from_frame(once.with_row_index().filter(pl.col("index") % 7 != 3).drop("index"), TABLES["sales"])})
    assert len(holes) < 120


def test_without_any_cost_there_is_no_return():
    rng = np.random.default_rng(0)
    price = 5.0 - (np.arange(120) % 5 == 0) * 1.0
    given = sales(units=np.round(100 * (price / 5) ** -2 * np.exp(0.1 * rng.normal(size=120))).tolist(), price=price.tolist())
    one = recipe("promotion", "structural")
    state = one.fit(assemble(given), {}, 0)
    asked = Table.from_frame(pl.DataFrame({"product": ["A"], "start": [dt.date(2026, 5, 4)], "price": [4.0]}))
    answer = one.predict(state, asked)
    assert "roi" not in answer and answer.column("verdict")[0] == "no cost known"
    assert any("No unit cost" in note for note in one.notes(state, asked))


def test_trees_see_the_prices_beside_a_product_in_its_own_store_and_its_own_as_asked(table):
    one = recipe("promotion", "average")
    state = one.load(one.dump(one.fit(table, {"trees": 20}, 0)))
    book, beside = state.book, state.beside
    assert (beside.members >= 0).any(1).all() and beside.members.shape[1] <= BESIDE
    at, slot = np.nonzero(beside.members >= 0)
    member = beside.members[at, slot]
    assert (book.store[member] == book.store[at]).all()
    assert (book.categories[book.product[member]] == book.categories[book.product[at]]).all()
    for column in range(beside.members.shape[1]):  # a column is the same product in every store
        for name in np.unique(book.categories.astype(str)).tolist():
            rows = beside.members[book.categories[book.product].astype(str) == name, column]
            assert len(np.unique(book.product[rows[rows >= 0]])) <= 1
    cells = cells_of(book, planned())
    rows = features(book, cells, beside, state.centre)
    deeper = features(book, cells_of(book, planned(discount=0.4)), beside, state.centre)
    moved = np.flatnonzero((rows != deeper).any(0))
    width = beside.members.shape[1]
    assert (moved >= rows.shape[1] - width).sum() == 1  # of the prices one by one, only its own
