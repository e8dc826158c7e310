"""What-ifs of seasonality: prices count over the usual one, plans of tables count ahead, levers pulled together are known together."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from tradewind.core.errors import BadValue
from tradewind.core.table import Table
from tradewind.data.align import align
from tradewind.models import recipe
from tradewind.models.seasonality.assemble import assemble

START = dt.date(2023, 9, 1)
COUNT = 500
MADE = recipe("seasonality", "regression")


def history(*, price=10.0, cut=0.8, product="A", flag=True):
    """Return days of one product whose price falls by a fifth whenever it is on promotion: 8 days of every 60."""
    rng = np.random.default_rng(5)
    on = np.arange(COUNT) % 60 < 8
    units = 300 * np.where(on, 0.8**-1.5 * 1.3, 1.0) * np.exp(0.06 * rng.normal(size=COUNT))
    columns = {"date": [START + dt.timedelta(days=at) for at in range(COUNT)], "product": [product] * COUNT, "units": units.round()}
    columns |= {"price": np.where(on, cut * price, price)} | ({"promotion": on.astype("f8")} if flag else {})
    return pl.DataFrame(columns)


def promotions(planned, *, product="A", discount=0.2):
    """Return past promotions and one more, from the day after the last figure that `planned` says."""
    starts = [*range(0, COUNT, 60), COUNT + planned]
    dates = [START + dt.timedelta(days=at) for at in starts]
    ends = [date + dt.timedelta(days=7) for date in dates]
    columns = {"product": [product] * len(dates), "start": dates, "end": ends, "discount": [discount] * len(dates)}
    return pl.DataFrame(columns, schema_overrides={"discount": pl.Float64})


def table(**frames):
    return align(assemble({name: Table.from_frame(frame) for name, frame in frames.items()}))[0]


def ask(state, *days, **levers):
    names = next(name for name in state.keys if name != "series")
    dates = np.array([START + dt.timedelta(days=at) for at in days], "M8[D]")
    columns = {names: np.array([state.keys[names][0]] * len(days), object), "date": dates}
    return Table.from_columns(columns | {name: np.full(len(days), float(value)) for name, value in levers.items()})


@pytest.fixture(scope="module")
def paired():
    return MADE.fit(table(sales=history()), {}, 0)


def test_the_everyday_price_is_the_plain_day(paired):
    plain, same = (MADE.predict(paired, ask(paired, COUNT + 5, **levers)) for levers in ({}, {"price": 10.0}))
    assert plain.column("plan") == same.column("plan") == 1.0 and plain.column("mean") == same.column("mean")
    deal = MADE.predict(paired, ask(paired, COUNT + 5, price=8.0, promotion=1.0))
    seen = MADE.predict(paired, ask(paired, 2))
    np.testing.assert_allclose(deal.column("plan"), seen.column("plan"))
    assert deal.column("plan").item() == pytest.approx(0.8**-1.5 * 1.3, rel=0.03)


def test_a_price_of_zero_is_refused(paired):
    with pytest.raises(BadValue, match="must lie above zero"):
        MADE.predict(paired, ask(paired, COUNT + 5, price=0.0))


def test_a_key_or_column_that_is_not_known_is_told(paired):
    asked = ask(paired, COUNT + 5).with_columns({"geo": np.array(["nowhere"], object), "weather": np.ones(1)})
    notes = MADE.notes(paired, asked)
    assert {f"column {name} was not there in training and changes nothing" for name in ("geo", "weather")} <= set(notes)
    assert not any("was not there" in note for note in MADE.notes(paired, ask(paired, COUNT + 5)))


def test_a_price_never_seen_is_said_to_be_a_guess(paired):
    far = MADE.notes(paired, ask(paired, COUNT + 5, price=1.0))
    assert any("lie outside what was seen (such as 1, seen 8 to 10)" in note for note in far)
    near = MADE.notes(paired, ask(paired, COUNT + 5, price=9.0))
    assert not any("outside" in note for note in near) and any("over the usual one, such as 10" in note for note in near)
    again = MADE.load(MADE.dump(paired))
    np.testing.assert_allclose(
        *(MADE.predict(state, ask(paired, 2, COUNT, price=9.0)).column("mean") for state in (paired, again)), rtol=1e-5
    )


def test_a_price_that_was_never_there_is_said_to_change_nothing():
    state = MADE.fit(table(sales=history().drop("price")), {}, 0)
    assert MADE.predict(state, ask(state, COUNT + 5, price=3.0)).column("plan") == 1.0
    assert any("a planned one changes nothing" in note for note in MADE.notes(state, ask(state, COUNT + 5, price=3.0)))


def test_levers_pulled_together_are_known_together(paired):
    rows = history()
    said = MADE.predict(paired, Table.from_frame(rows.select("product", "date")))
    on, units = rows["promotion"].to_numpy() > 0, rows["units"].to_numpy()
    covered = (units >= said.column("lo80")) & (units <= said.column("hi80"))
    assert 0.65 < covered[on].mean() < 0.95
    assert (said.column("plan_hi95") / said.column("plan_lo95"))[on].max() < 1.1
    single = MADE.effects(paired).frame.filter(pl.col("kind") == "elasticity", pl.col("product") == "A")
    assert (single["hi95"] - single["lo95"]).item() > 1  # which of the two it was is as unsure as ever


def test_a_planned_promotion_counts_ahead_with_its_price():
    state = MADE.fit(table(sales=history(flag=False), promotions=promotions(6)), {}, 0)
    said = MADE.predict(state, ask(state, 2, COUNT + 5, COUNT + 6, COUNT + 13, COUNT + 14)).column("plan")
    assert said[1] == said[4] == 1.0
    np.testing.assert_allclose(said[2:4], said[0], rtol=1e-4)


def test_a_planned_promotion_of_no_said_discount_is_as_deep_as_past_ones():
    made = table(sales=history(flag=False), promotions=promotions(6, discount=None)).frame
    ahead = made.filter(pl.col("date") == START + dt.timedelta(days=COUNT + 6))
    assert ahead["price"].item() == pytest.approx(8.0) and ahead["promotion"].item() == 1.0


def test_prices_to_come_hold_until_the_next_one_and_plans_of_sales_go_before():
    listed = pl.DataFrame({"date": [START, START + dt.timedelta(days=COUNT + 9)], "product": ["A"] * 2, "price": [12.0, 18.0]})
    planned = {"date": [START + dt.timedelta(days=COUNT + at) for at in (2, 12)], "product": ["A"] * 2, "units": [None, None]}
    sales = pl.concat([history(), pl.DataFrame(planned | {"price": [9.0, 9.0], "promotion": [1.0, 0.0]})], how="vertical_relaxed")
    made = table(sales=sales, prices=listed).frame.sort("date")
    price = made.filter(pl.col("date") >= START + dt.timedelta(days=COUNT))["price"].to_numpy()
    np.testing.assert_allclose(price[[0, 2, 8, 9, 11, 12, 200]], [10, 9, 10, 15, 15, 9, 15])
    assert made.filter(pl.col("promotion") > 0, pl.col("date") >= START + dt.timedelta(days=COUNT)).height == 1


def test_a_plan_of_one_product_moves_its_category_by_its_share():
    sales = pl.concat([history(flag=False), history(price=2.0, product="B", flag=False, cut=1.0)])
    products = pl.DataFrame({"product": ["A", "B"], "category": ["c", "c"]})
    made = table(sales=sales, promotions=promotions(6), products=products).frame
    ahead = made.filter(pl.col("date") == START + dt.timedelta(days=COUNT + 6))
    assert ahead["promotion"].item() == pytest.approx(0.5) and ahead["price"].item() == pytest.approx(0.8**0.5)


def test_a_price_of_outcomes_counts_over_its_median():
    from tradewind.core.schema import Column, Role

    frame = history().drop("product").rename({"units": "conversions"})
    roles = Column("price", Role.LEVER), Column("promotion", Role.LEVER)
    outcomes = Table.from_frame(frame)
    outcomes = Table(outcomes.schema.with_columns(*roles), frame=frame)
    state = MADE.fit(align(assemble({"outcomes": outcomes}))[0], {}, 0)
    asked = Table.from_columns({"date": np.array([START + dt.timedelta(days=COUNT + 5)], "M8[D]")})
    for levers in ({}, {"price": np.array([10.0])}):
        assert MADE.predict(state, asked.with_columns(levers)).column("plan") == 1.0
