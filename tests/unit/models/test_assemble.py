import numpy as np
import polars as pl
import pytest

from tradewind.core.catalog import TABLES
from tradewind.core.errors import BadValue, EmptyTable, LearnFailed, MissingColumn
from tradewind.core.schema import Column, Role, Type
from tradewind.core.table import Table
from tradewind.data.align import align
from tradewind.models.demand.assemble import assemble
from tradewind.models.demand.cuts import Return, coming_back


def dates(start, count, step=1):
    return pl.Series("date", (np.datetime64(start) + np.arange(count) * step).astype("M8[ms]")).cast(pl.Date)


def table(name, frame):
    return Table.from_frame(frame, TABLES[name])


def daily(days=100, **more):
    frame = pl.DataFrame([dates("2024-01-01", days)]).with_columns(
        pl.lit("tea").alias("product"), pl.lit("S1").alias("store"), pl.lit(5.0).alias("units")
    )
    return frame.with_columns(**more)


def at(panel, day, column):
    return panel.frame.filter(pl.col("date") == pl.lit(day).str.to_date())[column].item()


def test_a_plan_of_two_horizons_follows_the_last_sale():
    panel = assemble({"sales": table("sales", daily())})
    assert len(panel) == 160
    later = panel.frame.filter(pl.col("units").is_null())
    assert later.height == 60 and str(later["date"].min()) == "2024-04-10"


def test_a_series_that_ended_has_no_plan():
    gone = daily(5).with_columns(pl.lit("old").alias("product"))
    panel = assemble({"sales": table("sales", pl.concat([daily(200), gone]))})
    assert panel.frame.filter(pl.col("product") == "old").height == 5


def test_days_without_a_sale_get_a_row_so_that_their_promotion_is_not_lost():
    sales = daily().filter(pl.col("date").dt.day() != 15)
    promotions = pl.DataFrame({"promotion": ["a"], "product": ["tea"], "store": ["S1"], "start": [None], "end": [None]})
    promotions = promotions.with_columns(dates("2024-02-14", 1).alias("start"), dates("2024-02-16", 1).alias("end"))
    panel = assemble({"sales": table("sales", sales), "promotions": table("promotions", promotions)})
    assert at(panel, "2024-02-15", "promotion") == 1 and at(panel, "2024-02-15", "units") is None


@pytest.mark.parametrize(("stores", "hint"), [(True, "another workspace"), (False, "coarser")])
def test_till_receipts_are_no_panel_and_that_is_said_at_once(stores, hint):
    count = 6_000
    frame = pl.DataFrame({"date": dates("2024-01-01", 10).sample(count, with_replacement=True, seed=0), "units": np.ones(count)})
    frame = frame.with_columns(pl.Series("product", [f"p{at}" for at in range(count)]), pl.lit("S1").alias("store"))
    with pytest.raises(LearnFailed, match="rows each") as caught:
        assemble({"sales": table("sales", frame if stores else frame.drop("store"))})
    assert hint in caught.value.hint


def test_a_price_holds_until_the_next_row_and_a_row_without_a_store_is_for_all():
    prices = pl.DataFrame(
        {"date": ["2023-12-01", "2024-02-01", "2024-05-01"], "product": ["tea"] * 3, "store": [None, "S1", "S1"], "price": [2.0, 3.0, 4.0]}
    )
    prices = prices.with_columns(pl.col("date").str.to_date(), pl.col("store").cast(pl.String))
    panel = assemble({"sales": table("sales", daily()), "prices": table("prices", prices)})
    found = [at(panel, day, "price") for day in ("2024-01-01", "2024-01-31", "2024-02-01", "2024-04-30", "2024-05-01", "2024-06-08")]
    assert found == [2, 2, 3, 3, 4, 4]


def promotion(**more):
    said = {"promotion": ["a"], "product": ["tea"], "mechanic": ["Multi Buy"], "discount": [0.2], "display": [1.0]} | more
    frame = pl.DataFrame(said)
    if "start" not in frame.columns:
        frame = frame.with_columns(dates("2024-04-20", 1).alias("start"), dates("2024-04-22", 1).alias("end"))
    return table("promotions", frame)


def test_promotions_run_from_start_to_end_inclusive():
    panel = assemble({"sales": table("sales", daily()), "promotions": promotion()})
    found = panel.frame.filter(pl.col("promotion") > 0)
    assert [str(day) for day in found["date"].to_list()] == ["2024-04-20", "2024-04-21", "2024-04-22"]
    assert found.select("discount", "display", "mechanic_multi_buy").unique().row(0) == (0.2, 1.0, 1.0)
    assert panel.schema.get("promotion").role is Role.LEVER
    kinds = panel.frame.schema
    assert {kinds[name] for name in ("promotion", "display", "mechanic_multi_buy")} == {pl.UInt8}  # flags need no more than a byte
    assert kinds["discount"] == pl.Float64


def test_the_planned_price_passes_on_what_past_discounts_passed_on():
    prices = pl.DataFrame({"date": ["2023-12-01"], "product": ["tea"], "price": [10.0]}).with_columns(pl.col("date").str.to_date())
    paid = daily(price=pl.when(pl.col("date").dt.month() == 2).then(9.0).otherwise(10.0))
    spans = promotion(
        promotion=["a", "b"],
        product=["tea"] * 2,
        mechanic=["x"] * 2,
        discount=[0.2, 0.4],
        display=[0.0] * 2,
        start=[None] * 2,
        end=[None] * 2,
    )
    starts = pl.Series(["2024-02-01", "2024-04-20"]).str.to_date()
    ends = pl.Series(["2024-02-29", "2024-04-22"]).str.to_date()
    spans = table("promotions", spans.frame.with_columns(starts.alias("start"), ends.alias("end")))
    panel = assemble({"sales": table("sales", paid), "prices": table("prices", prices), "promotions": spans})
    assert at(panel, "2024-04-21", "price") == pytest.approx(8.0)  # half of the 20 % came through, so half of the 40 % will
    assert at(panel, "2024-04-19", "price") == 10


def test_a_promotion_that_runs_at_the_end_of_sales_does_not_leave_its_price_behind():
    """Without a price list the plan is the price of the last sale: that of a promotion ends with the promotion."""
    on = pl.col("date") >= pl.date(2024, 4, 7)
    sales = daily(promotion=on.cast(pl.Float64), price=pl.when(on).then(1.6).otherwise(2.0))
    panel = assemble({"sales": table("sales", sales)})
    assert at(panel, "2024-04-09", "price") == 1.6 and at(panel, "2024-04-10", "price") == 2.0 and at(panel, "2024-06-01", "price") == 2.0
    runs = pl.DataFrame({"promotion": ["a"], "product": ["tea"], "store": ["S1"]})
    runs = runs.with_columns(dates("2024-04-07", 1).alias("start"), dates("2024-04-12", 1).alias("end"))
    held = align(assemble({"sales": table("sales", sales), "promotions": table("promotions", runs)}))[0]
    assert (at(held, "2024-04-12", "price"), at(held, "2024-04-13", "price")) == (1.6, 2.0), "it goes on until it ends"
    always = daily(promotion=1.0, price=1.6)
    assert at(align(assemble({"sales": table("sales", always)}))[0], "2024-04-12", "price") == 1.6


def test_a_cut_that_runs_at_the_end_of_sales_goes_back_where_nothing_tells_promotions_but_cuts_always_did():
    """A till writes no promotion: two weeks at 1.6 came back, the third began on 1 April and sales end on the 3rd."""

    def planned(first, days, starts=("2024-01-22", "2024-02-26", "2024-04-01"), **more):
        cuts = [
            pl.lit(value=False),
            *(pl.col("date").is_between(pl.lit(day).str.to_date(), pl.lit(day).str.to_date().dt.offset_by("6d")) for day in starts),
        ]
        sales = daily(94, price=pl.when(pl.any_horizontal(cuts)).then(1.6).otherwise(2.0), **more)
        panel = align(assemble({"sales": table("sales", sales)}))[0]
        return [at(panel, str(np.datetime64(first) + day), "price") for day in range(days)]

    assert planned("2024-04-03", 7) == [1.6, 1.6, 1.6, 1.6, 1.6, 2.0, 2.0], "a week, as the others"
    assert planned("2024-06-01", 1) == [2.0], "to the end of the plan"
    assert set(planned("2024-04-03", 60, ("2024-02-26", "2024-04-01"))) == {1.6}, "one cut that came back is no habit"
    assert set(planned("2024-04-03", 60, ("2024-01-22", "2024-02-12", "2024-03-18", "2024-03-25", "2024-04-01"))) == {1.6}, (
        "longer than any before: it may be the new price"
    )
    assert set(planned("2024-04-03", 60, ())) == {2.0}
    assert planned("2024-04-03", 7, promotion=0.0) == [1.6] * 7, "who tells promotions is believed"


def test_cuts_that_stayed_are_no_habit():
    moment = np.arange(100)
    price = np.select([moment < 20, moment < 40, moment < 50, moment < 60, moment < 95], [4.0, 3.0, 2.4, 3.0, 2.5], 2.0)
    assert coming_back(moment, price) is None
    weekly = np.where(moment % 25 >= 21, 1.5, 2.0)
    assert coming_back(moment[:98], weekly[:98]) == Return(100, 2.0), "four days, as the three before"


def test_promotions_of_part_of_a_week_are_shares():
    weekly = pl.DataFrame([dates("2024-01-01", 60, 7)]).with_columns(pl.lit("tea").alias("product"), pl.lit(5.0).alias("units"))
    panel = assemble({"sales": table("sales", weekly), "promotions": promotion()})
    found = panel.frame.filter(pl.col("promotion") > 0)
    assert found["promotion"].to_list() == pytest.approx([2 / 7, 1 / 7])  # Saturday, Sunday; Monday
    assert panel.frame.schema["promotion"] == pl.Float64


def test_events_and_holidays_become_one_flag_each_by_region():
    stores = pl.DataFrame({"store": ["S1", "S2"], "region": ["North", "South"]})
    events = pl.DataFrame(
        {"date": ["2024-03-01", "2024-03-05"], "name": ["Fair", "Good Friday"], "until": ["2024-03-02", None], "region": ["North", None]}
    )
    events = events.with_columns(pl.col("date", "until").str.to_date())
    sales = pl.concat([daily(), daily().with_columns(pl.lit("S2").alias("store"))])
    tables = {"sales": table("sales", sales), "stores": table("stores", stores), "events": table("events", events)}
    frame = assemble(tables, country="DE").frame
    fair = frame.filter(pl.col("event_fair") > 0)
    assert set(fair["store"]) == {"S1"} and fair.height == 2 and frame.schema["event_fair"] == pl.UInt8
    friday = frame.filter(pl.col("event_good_friday") > 0)
    assert sorted({str(day) for day in friday["date"]}) == ["2024-03-05", "2024-03-29"] and set(friday["store"]) == {"S1", "S2"}


def test_extra_columns_are_known_afterwards_unless_their_role_says_otherwise():
    sales = daily(
        weather=pl.int_range(pl.len()).cast(pl.Float64),
        easter_day=(pl.int_range(pl.len()) == 50).cast(pl.Float64),
        clicked=(pl.int_range(pl.len()) == 50).cast(pl.Float64),
        spend=pl.int_range(pl.len()).cast(pl.Float64),
    )
    described = Table(Table.from_frame(sales, TABLES["sales"]).schema.with_columns(Column("spend", Role.LEVER)), frame=sales)
    schema = assemble({"sales": described}).schema
    roles = {name: schema.get(name).role for name in ("weather", "easter_day", "clicked", "spend")}
    assert roles == {"weather": Role.PAST, "easter_day": Role.KNOWN, "clicked": Role.PAST, "spend": Role.LEVER}


def test_a_column_that_never_changes_within_a_product_is_static():
    both = pl.concat([daily(shade=pl.lit(1.0)), daily(shade=pl.lit(2.0)).with_columns(pl.lit("milk").alias("product"))])
    assert assemble({"sales": table("sales", both)}).schema.get("shade").role is Role.STATIC


def test_several_rows_of_one_key_are_summed():
    panel = assemble({"sales": table("sales", pl.concat([daily(price=pl.lit(2.0)), daily(price=pl.lit(4.0))]))})
    assert panel.frame["units"].drop_nulls().unique().to_list() == [10.0] and at(panel, "2024-01-05", "price") == 3


@pytest.mark.parametrize("name", ["date", "product", "units"])
def test_what_is_needed_is_named(name):
    with pytest.raises(MissingColumn, match=name):
        assemble({"sales": table("sales", daily().drop(name))})


def test_nothing_and_no_such_country_are_refused():
    with pytest.raises(EmptyTable):
        assemble({"sales": table("sales", daily(0))})
    with pytest.raises(BadValue, match="XX"):
        assemble({"sales": table("sales", daily())}, country="XX")


def test_open_becomes_the_share_closed_and_who_says_nothing_is_open():
    sales = daily(open=pl.when(pl.col("date").dt.weekday() == 7).then(0.0).when(pl.col("date").dt.day() == 9).then(None).otherwise(1.0))
    panel = assemble({"sales": table("sales", sales)})
    assert [at(panel, day, "closed_share") for day in ("2024-01-07", "2024-01-08", "2024-01-09", "2024-05-01")] == [1, 0, 0, 0]
    assert panel.schema.get("closed_share").role is Role.KNOWN and "open" not in panel


def test_names_of_holidays_become_a_flag_each():
    named = (
        pl.when(pl.col("date").dt.day() == 5).then(pl.lit("Good Day")).when(pl.col("date").dt.day() == 6).then(None).otherwise(pl.lit("0"))
    )
    sales = daily(state_holiday=named)
    described = Table(
        Table.from_frame(sales, TABLES["sales"]).schema.with_columns(Column("state_holiday", Role.KNOWN, Type.TEXT)), frame=sales
    )
    panel = assemble({"sales": described})
    assert [at(panel, day, "state_holiday_good_day") for day in ("2024-01-05", "2024-01-06", "2024-01-07", "2024-05-05")] == [1, 0, 0, 0]
    assert panel.schema.get("state_holiday_good_day").role is Role.EVENT and "state_holiday" not in panel
