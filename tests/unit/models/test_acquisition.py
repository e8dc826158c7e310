"""Acquisition on small worlds: what becomes a series, what a plan does, what is said of spend that nobody planned, bad input."""

import datetime as dt

import numpy as np
import polars as pl
import pytest

from tradewind.core.errors import BadValue, EmptyTable, LearnFailed, MissingColumn, NotFound, TradewindError
from tradewind.core.schema import Column, Role, Schema
from tradewind.core.table import Table
from tradewind.data.align import align
from tradewind.models import part, recipe
from tradewind.models.acquisition.assemble import assemble
from tradewind.models.acquisition.route import route

QUICK = {"seconds": 0.0, "blocks": 1}
START = dt.date(2024, 1, 1)


def days(count, step=1):
    return [START + dt.timedelta(days=step * at) for at in range(count)]


def table(**columns):
    return Table.from_frame(pl.DataFrame(columns))


def outcomes(values, step=1):
    return table(date=days(len(values), step), conversions=[float(value) for value in values])


def panel(values, step=1):
    return align(assemble({"outcomes": outcomes(values, step)}))[0]


@pytest.fixture(scope="module")
def served():
    example = part("acquisition", "example", "example")(5)
    rows = align(assemble(dict(example.tables)))[0]
    made = recipe("acquisition", "spend")
    return made, made.fit(rows, QUICK, 0), rows


def test_channels_that_add_up_become_series_and_others_do_not():
    base = {"date": days(20), "new_customers": [10.0] * 20, "new_customers_tv": [4.0] * 20}
    added = assemble({"outcomes": table(**base, new_customers_rest=[6.0] * 20)})
    assert sorted(set(added.column("channel"))) == ["rest", "tv"]
    assert "channel" not in assemble({"outcomes": table(**base, new_customers_rest=[1.0] * 20)})


def test_a_channel_whose_name_speaks_of_promotion_is_a_series_and_no_lever():
    """`signups_flyer` is described as a lever when it is loaded: flyers are."""
    frame = pl.DataFrame({"date": days(20), "signups": [10.0] * 20, "signups_flyer": [4.0] * 20, "signups_tv": [6.0] * 20})
    roles = {"date": Role.TIME, "signups_flyer": Role.LEVER}
    described = Schema(tuple(Column(name, roles.get(name, Role.INPUT)) for name in frame.columns), ("date",))
    added = assemble({"outcomes": Table(described, frame=frame)})
    assert sorted(set(added.column("channel"))) == ["flyer", "tv"]
    assert "signups_flyer" not in added
    alone = Schema((Column("date", Role.TIME), Column("promo_leads", Role.LEVER)), ("date",))
    only = Table(alone, frame=frame.select("date", pl.col("signups").alias("promo_leads")))
    assert assemble({"outcomes": only}).column("acquired")[:20].tolist() == [10.0] * 20


def test_headers_are_read_as_people_write_them():
    said = {"New Customers": [10.0] * 20, "New Customers TV": [4.0] * 20, "New Customers rest": [6.0] * 20, "Visits": [99.0] * 20}
    found = assemble({"outcomes": table(date=days(20), **said)})
    assert sorted(set(found.column("channel"))) == ["TV", "rest"]


def test_customers_by_the_day_they_joined_stand_in_for_outcomes():
    joined = table(customer=["a", "b", "c"], joined=[START, START, START + dt.timedelta(days=3)])
    found = assemble({"customers": joined}).frame.drop_nulls("acquired")
    assert found["acquired"].to_list() == [2.0, 0.0, 0.0, 1.0]


def test_spend_is_a_lever_by_geo_and_unplanned_spend_is_marked():
    marketing = table(date=days(30) * 2, geo=["n"] * 30 + ["s"] * 30, channel=["TV ads"] * 60, spend=[1.0] * 30 + [2.0] * 30)
    both = table(date=days(30) * 2, geo=["n"] * 30 + ["s"] * 30, conversions=[5.0] * 60)
    found = assemble({"outcomes": both, "marketing": marketing})
    assert found.schema.get("spend_tv_ads").role is Role.LEVER
    rows = found.frame.filter(pl.col("geo") == "s")
    assert rows["spend_tv_ads"].to_list() == [2.0] * len(rows)
    assert rows["assumed_tv_ads"].to_list() == [0.0] * 30 + [1.0] * (len(rows) - 30)


def test_spend_that_ends_with_the_outcomes_is_forecast_and_said_so(served):
    made, _, _ = served
    example = part("acquisition", "example", "example")(5)
    last = example.tables["outcomes"].frame["date"].max()
    short = Table.from_frame(example.tables["marketing"].frame.filter(pl.col("date") <= last))
    state = made.fit(align(assemble({"outcomes": example.tables["outcomes"], "marketing": short}))[0], QUICK, 0)
    asked = made.expand(state, 4, {})
    assert any("no spend is planned for podcast, search, tv" in note for note in made.notes(state, asked))
    planned = asked.with_columns({f"spend_{name}": np.full(len(asked), 3000.0) for name in ("tv", "search", "podcast")})
    assert not any("no spend is planned" in note for note in made.notes(state, planned))


def test_drivers_add_up_and_a_useless_channel_has_none(served):
    made, state, _ = served
    asked = made.expand(state, 3, {})
    told = made.explain(state, asked)
    drivers = np.sum([told.column(name) for name in told.names if name.startswith("driver_")], axis=0)
    np.testing.assert_allclose(drivers, made.predict(state, asked).column("mean"), rtol=1e-6)
    assert "driver_podcast" not in told
    effects = made.effects(state).frame
    assert effects.filter(pl.col("lever") == "podcast")["used"].item() == 0
    assert effects.filter(pl.col("lever") != "podcast")["used"].to_list() == [1, 1]


def test_negative_spend_is_refused(served):
    made, state, _ = served
    asked = made.expand(state, 2, {})
    with pytest.raises(BadValue, match="spend_tv"):
        made.predict(state, asked.with_columns({"spend_tv": np.full(len(asked), -1.0)}))


def test_sums_carry_their_own_bounds(served):
    made, state, _ = served
    asked = made.expand(state, 8, {})
    whole = made.total(state, asked, ["total"])
    assert whole.column("mean")[0] == pytest.approx(made.predict(state, asked).column("mean").sum(), rel=1e-6)
    bounds = made.predict(state, asked)
    assert whole.column("hi80")[0] - whole.column("lo80")[0] < (bounds.column("hi80") - bounds.column("lo80")).sum()


def test_spend_is_tried_only_where_it_is_known(served):
    assert "spend" in route(served[2]).recipes
    assert "spend" not in route(panel(range(10, 200))).recipes
    with pytest.raises(LearnFailed, match="no spend"):
        recipe("acquisition", "spend").fit(panel(range(10, 90)), QUICK, 0)


@pytest.mark.parametrize("step", [1, 7])
def test_a_constant_series_stays_what_it_is(step):
    made = recipe("acquisition", "seasons")
    state = made.fit(panel([20] * 120, step), QUICK, 0)
    said = made.predict(state, made.expand(state, 5, {}))
    np.testing.assert_allclose(said.column("mean"), 20, rtol=0.05)
    assert (said.column("lo80") <= 20.5).all() and (said.column("hi80") >= 19.5).all()


def test_nothing_but_zeros_is_answered_by_zero_and_said_so():
    made = recipe("acquisition", "seasons")
    state = made.fit(panel([0] * 90), QUICK, 0)
    asked = made.expand(state, 5, {})
    assert made.predict(state, asked).column("mean").max() == 0
    assert any("never sold" in note or "nothing" in note for note in made.notes(state, asked))


def test_negative_counts_are_said_to_be_taken_as_none():
    made = recipe("acquisition", "naive")
    state = made.fit(panel([5, -3, *[6] * 60]), {}, 0)
    assert any("below zero" in note for note in made.notes(state, made.expand(state, 2, {})))


def test_too_little_is_a_typed_error():
    with pytest.raises(TradewindError):
        recipe("acquisition", "naive").fit(panel([4]), {}, 0)
    with pytest.raises(EmptyTable):
        assemble({"outcomes": table(date=days(3), conversions=pl.Series([None] * 3, dtype=pl.Float64))})
    with pytest.raises(MissingColumn, match="new customers"):
        assemble({"outcomes": table(date=days(3), visits=[1.0] * 3, clicks=[1.0] * 3)})
    with pytest.raises(NotFound):
        assemble({})


def test_irregular_dates_are_gaps_and_no_zeros():
    keep = [at for at in range(150) if at % 11 not in (3, 7)]
    rows = table(date=[START + dt.timedelta(days=at) for at in keep], conversions=[50.0] * len(keep))
    made = recipe("acquisition", "seasons")
    state = made.fit(align(assemble({"outcomes": rows}))[0], QUICK, 0)
    np.testing.assert_allclose(made.predict(state, made.expand(state, 5, {})).column("mean"), 50, rtol=0.1)
