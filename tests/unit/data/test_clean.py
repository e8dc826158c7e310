from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import polars as pl
import pytest

from tradewind.core.errors import BadValue, EmptyTable, NotFound
from tradewind.core.schema import Role, Type
from tradewind.data.clean import clean
from tradewind.data.infer import infer
from tradewind.data.read import read

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
here = pytest.mark.skipif(not DATA.is_dir(), reason="the real data sets are not beside this repository")
NOW = date(2024, 6, 1)


def cleaned(text, *, table="sales", **options):
    found = infer(read(text.encode(), name="a.csv"), table=table)
    made, facts = clean(found.frame, found.schema, table=table, **{"now": NOW, **options})
    return made, {fact.name: fact for fact in facts}


def rows(table, *names):
    return table.frame.sort(names[: min(2, len(names))]).select(names).rows()


def test_clean_rows_pass_untouched():
    made, facts = cleaned("date,product,units,price\n2024-01-01,a,1,2.5\n2024-01-02,a,0,2.5\n")
    assert rows(made, "date", "units", "price") == [(date(2024, 1, 1), 1.0, 2.5), (date(2024, 1, 2), 0.0, 2.5)]
    assert set(facts) == {"rows_kept"}
    assert made.schema.key == ("date", "product")


def test_several_rows_of_a_key_are_summed_and_prices_weighted():
    made, facts = cleaned(
        "date,product,units,revenue,price,promotion\n2024-01-01,a,1,10,10,0\n2024-01-01,a,3,12,4,1\n2024-01-01,b,2,6,3,0\n"
    )
    assert rows(made, "product", "units", "revenue", "price", "promotion") == [("a", 4.0, 22.0, 5.5, 1.0), ("b", 2.0, 6.0, 3.0, 0.0)]
    assert facts["rows_summed"].value == 1


def test_identical_rows_are_kept_and_said_and_dropped_when_asked():
    text = "date,product,units\n2024-01-01,a,1\n2024-01-01,a,1\n2024-01-01,b,1\n"
    made, facts = cleaned(text)
    assert rows(made, "product", "units") == [("a", 2.0), ("b", 1.0)]
    assert facts["identical_rows"].value == 1
    made, facts = cleaned(text, keep_duplicates=False)
    assert rows(made, "product", "units") == [("a", 1.0), ("b", 1.0)]
    assert "dropped" in facts["identical_rows"].meaning


def test_a_day_that_was_loaded_twice_is_named_and_till_lines_are_not():
    day = [f"2024-01-0{1 + at // 6},p{at % 6},{at}" for at in range(24)]
    _, facts = cleaned("\n".join(["date,product,units", *day, *day[6:12]]))
    assert facts["loaded_twice"].value == "2024-01-02"
    _, facts = cleaned("\n".join(["date,product,units", *day, *day[6:11]]))
    assert "loaded_twice" not in facts, "one row of the day is there once"
    _, facts = cleaned("\n".join(["date,product,units", *day, *day]))
    assert "loaded_twice" not in facts, "where everything is there again nobody can tell"


def test_rows_alike_but_for_the_hour_are_not_identical():
    _, facts = cleaned("date,product,units\n2024-01-01 10:07,a,1\n2024-01-01 11:41,a,1\n2024-01-02 09:02,a,1\n")
    assert "identical_rows" not in facts
    assert facts["rows_summed"].value == 1


def test_returns_move_to_a_column_of_their_own():
    made, facts = cleaned("date,product,units,price\n2024-01-01,a,5,2\n2024-01-01,a,-2,2\n2024-01-02,a,-1,2\n")
    assert rows(made, "date", "units", "returned") == [(date(2024, 1, 1), 5.0, 2.0), (date(2024, 1, 2), 0.0, 1.0)]
    assert facts["returns"].value == 2
    assert made.schema.get("returned").role is Role.PAST


def test_a_figure_that_nothing_can_be_reckoned_with_becomes_missing():
    made, facts = cleaned("date,product,units\n2024-01-01,a,1e300\n2024-01-02,a,3\n")
    assert facts["too_large.units"].value == 1
    assert rows(made, "date", "units") == [(date(2024, 1, 1), None), (date(2024, 1, 2), 3.0)]


def test_nan_infinite_and_impossible_values_become_missing():
    made, facts = cleaned("date,product,units,price,promotion\n2024-01-01,a,inf,-2,3\n2024-01-02,a,nan,inf,-1\n2024-01-03,a,1,2,1\n")
    assert rows(made, "date", "units", "price", "promotion")[:2] == [
        (date(2024, 1, 1), None, None, 1.0),
        (date(2024, 1, 2), None, None, None),
    ]
    assert facts["not_finite.units"].value == 2
    assert facts["impossible.price"].value == 1
    assert facts["flag.promotion"].value == 1
    assert facts["impossible.promotion"].value == 1


def test_discounts_in_percent_are_divided():
    def discounts(*given):
        lines = "".join(f"p{at},a,2024-01-01,2024-01-02,{value}\n" for at, value in enumerate(given))
        return cleaned("promotion,product,start,end,discount\n" + lines, table="promotions")

    made, facts = discounts(20, 0.5, 15)
    assert sorted(made.frame["discount"].to_list()) == pytest.approx([0.005, 0.15, 0.2])
    assert facts["percent.discount"].value == 3
    made, facts = discounts(0.2, 0.5, 15)
    assert sorted(made.frame["discount"].to_list()) == pytest.approx([0.15, 0.2, 0.5])
    assert facts["percent.discount"].value == 1
    made, facts = discounts(300, 0.5)
    assert facts["impossible.discount"].value == 1


def test_a_negative_trade_spend_is_taken_as_missing_and_said():
    made, facts = cleaned(
        "promotion,product,start,end,cost\np1,a,2024-01-01,2024-01-02,-5\np2,a,2024-02-01,2024-02-02,5\n", table="promotions"
    )
    assert made.frame.sort("promotion")["cost"].to_list() == [None, 5.0]
    assert (facts["impossible.cost"].value, facts["impossible.cost"].meaning) == (1, "below 0, taken as missing")


def test_a_promotion_that_ends_before_it_begins_and_one_without_an_end():
    made, facts = cleaned("promotion,product,start,end\np,a,2024-01-09,2024-01-02\nq,a,2024-02-01,\n", table="promotions")
    assert rows(made, "promotion", "start", "end") == [
        ("p", date(2024, 1, 2), date(2024, 1, 9)),
        ("q", date(2024, 2, 1), date(2024, 2, 1)),
    ]
    assert facts["swapped_dates"].value == 1
    assert facts["derived.end"].value == 1


def test_future_rows_of_history_are_left_out_and_plans_stay():
    made, facts = cleaned("date,product,units,price\n2024-05-31,a,1,2\n2024-06-02,a,5,2\n2024-06-03,a,,2\n")
    assert rows(made, "date", "units") == [(date(2024, 5, 31), 1.0), (date(2024, 6, 3), None)]
    assert facts["future_rows"].value == 1
    made, facts = cleaned("date,product,price\n2024-06-02,a,5\n", table="prices")
    assert len(made) == 1


def test_timestamps_come_into_the_zone_and_then_to_days():
    text = "date,product,units\n2024-01-01T23:30:00Z,a,3\n2024-01-02T10:07:00Z,a,4\n2024-01-03T09:00:00Z,a,1\n"
    made, facts = cleaned(text, zone="Europe/Berlin")
    assert rows(made, "date", "units") == [(date(2024, 1, 2), 7.0), (date(2024, 1, 3), 1.0)]
    assert facts["time_zone.date"].value == 3
    made, _ = cleaned(text)
    assert rows(made, "date", "units")[0] == (date(2024, 1, 1), 3.0)


@pytest.mark.parametrize("late", ["15:01", "00:01", "30:00"])
def test_hours_that_are_all_equally_late_stay_hours(late):
    text = "date,product,units\n" + "".join(f"2024-01-0{day} {hour:02d}:{late},a,1\n" for day in (1, 2, 3) for hour in range(24))
    made, facts = cleaned(text)
    assert len(made) == 72 and "time_of_day.date" not in facts
    assert made.frame["date"].max() == datetime(2024, 1, 3, 23)
    assert facts["full_periods.date"].value == int(late[:2]) * 60 + int(late[3:])


def test_an_hour_that_comes_twice_is_added_up_and_the_others_stay_hours():
    hours = [f"2024-01-0{day} {hour:02d}:00" for day in range(1, 7) for hour in range(24)]
    made, facts = cleaned("date,product,units\n" + "".join(f"{hour},a,1\n" for hour in [*hours, hours[30]]))
    assert len(made) == 144 and "time_of_day.date" not in facts
    assert made.frame["units"].sum() == 145
    bought = "".join(f"{hour},a,1\n" for hour in hours[::5] + hours[::3])
    assert "time_of_day.date" in cleaned("date,product,units\n" + bought)[1]


def test_full_hours_stay_hours():
    text = "date,product,units\n" + "".join(f"2024-01-01 {hour:02d}:00,{item},1\n" for hour in range(9, 18) for item in "ab")
    made, _ = cleaned(text)
    assert len(made) == 18
    assert made.schema.get("date").type is Type.TIMESTAMP
    assert made.frame["date"].min() == datetime(2024, 1, 1, 9)


def test_an_unknown_zone():
    with pytest.raises(BadValue, match="Mars"):
        cleaned("date,product,units\n2024-01-01,a,1\n", zone="Mars/Base")


def test_rows_without_a_key_are_dropped_and_counted():
    made, facts = cleaned("date,product,store,units\n,a,s,1\n2024-01-01,,s,1\n2024-01-01,a,,2\n2024-01-01,a,s,3\n")
    assert rows(made, "store", "units") == [("s", 3.0), ("unknown", 2.0)]
    assert facts["without_date"].value == 1
    assert facts["without_product"].value == 1
    assert facts["unknown_store"].value == 1


def test_orders_without_a_customer_stay():
    made, _ = cleaned("order,date,customer,product,quantity,unit_price\n1,2024-01-01,,a,2,3\n1,2024-01-01,7,a,1,3\n", table="orders")
    assert len(made) == 2
    assert sorted(made.frame["amount"].to_list()) == [3.0, 6.0]


def test_price_is_derived_from_revenue_of_sales_only():
    made, facts = cleaned("date,product,units,revenue\n2024-01-01,a,4,10\n2024-01-02,a,0,0\n2024-01-03,a,-1,-3\n")
    assert rows(made, "date", "price") == [(date(2024, 1, 1), 2.5), (date(2024, 1, 2), None), (date(2024, 1, 3), None)]
    assert facts["derived.price"].value == 1
    made, _ = cleaned("date,product,units,revenue,price\n2024-01-01,a,4,10,3\n2024-01-02,a,4,10,\n")
    assert rows(made, "date", "price") == [(date(2024, 1, 1), 3.0), (date(2024, 1, 2), 2.5)]


def test_closed_days_are_marked_and_a_sale_speaks_against_it():
    text = (
        "date,store,product,units,open\n2024-01-01,s,a,0,0\n2024-01-02,s,a,2,0\n2024-01-03,s,a,0,1\n2024-01-04,s,a,,0\n2024-01-05,s,a,0,\n"
    )
    made, facts = cleaned(text)
    assert rows(made, "date", "units", "open", "available") == [
        (date(2024, 1, 1), 0.0, 0.0, 0.0),
        (date(2024, 1, 2), 2.0, 1.0, 1.0),
        (date(2024, 1, 3), 0.0, 1.0, 1.0),
        (date(2024, 1, 4), None, 0.0, 0.0),
        (date(2024, 1, 5), 0.0, None, 1.0),
    ]
    assert (facts["closed"].value, facts["sold_while_closed"].value) == (1, 1)
    assert made.schema.get("available").role is Role.AVAILABLE and made.schema.get("open").role is Role.KNOWN


def test_an_empty_shelf_of_a_closed_store_is_counted_as_closed():
    made, facts = cleaned("date,product,units,stock,open\n2024-01-01,a,0,0,0\n2024-01-02,a,0,0,1\n2024-01-03,a,0,4,1\n")
    assert rows(made, "date", "available") == [(date(2024, 1, 1), 0.0), (date(2024, 1, 2), 0.0), (date(2024, 1, 3), 1.0)]
    assert (facts["closed"].value, facts["stock_outs"].value) == (1, 1)


def test_stock_outs_are_marked():
    made, facts = cleaned("date,product,units,stock\n2024-01-01,a,0,0\n2024-01-02,a,2,0\n2024-01-03,a,0,5\n2024-01-04,a,0,\n")
    assert rows(made, "date", "available") == [
        (date(2024, 1, 1), 0.0),
        (date(2024, 1, 2), 1.0),
        (date(2024, 1, 3), 1.0),
        (date(2024, 1, 4), 1.0),
    ]
    assert facts["stock_outs"].value == 1


def test_a_given_availability_is_not_overruled():
    made, _ = cleaned("date,product,units,stock,available\n2024-01-01,a,0,5,0\n2024-01-02,a,3,5,1\n")
    assert rows(made, "date", "available") == [(date(2024, 1, 1), 0.0), (date(2024, 1, 2), 1.0)]


def test_repeated_products_keep_the_first_row():
    made, facts = cleaned("product,category\na,x\na,y\nb,z\n", table="products")
    assert rows(made, "product", "category") == [("a", "x"), ("b", "z")]
    assert facts["repeated_keys"].value == 1


def test_names_that_only_differ_in_form_are_one():
    made, _ = cleaned("date,product,units\n2024-01-01,Caf\u00e9,1\n2024-01-01, Cafe\u0301 ,2\n")
    assert rows(made, "product", "units") == [("Café", 3.0)]


def test_nothing_left_is_an_error_that_says_why():
    with pytest.raises(EmptyTable) as caught:
        cleaned("date,product,units\n2030-01-01,a,1\n2030-01-02,a,1\n")
    assert "future_rows" in caught.value.hint
    with pytest.raises(NotFound):
        clean(pl.DataFrame({"a": [1]}), None, table="nothing")


@here
def test_online_retail_as_orders_and_as_sales():
    raw = read(DATA / "customers/online_retail_uci/online_retail_all.parquet")
    found = infer(raw)
    orders, facts = clean(found.frame, found.schema, table="orders")
    said = {fact.name: fact.value for fact in facts}
    assert said["identical_rows"] == 5_268
    assert said["derived.amount"] == 541_909
    assert orders.frame["customer"].null_count() > 100_000
    assert not orders.frame.select(orders.schema.key).is_duplicated().any()

    found = infer(raw, table="sales", map={"Country": "store"})
    sales, facts = clean(found.frame, found.schema, table="sales")
    said = {fact.name: fact.value for fact in facts}
    assert said["returns"] == 10_624
    assert "CustomerID" in said["columns_left_out"]
    assert "CustomerID" not in sales.names
    gross = raw.frame.filter(pl.col("Quantity") > 0)["Quantity"].sum()
    back = -raw.frame.filter(pl.col("Quantity") < 0)["Quantity"].sum()
    assert sales.frame["units"].sum() == gross
    assert sales.frame["returned"].sum() == back
