from __future__ import annotations

import polars as pl
import pytest

from tradewind.core.catalog import TABLES
from tradewind.data.match import assign, by_name, candidates, fold, is_index, meant


@pytest.mark.parametrize(
    ("name", "folded"),
    [
        ("InvoiceDate", "invoice_date"),
        (" Unit Price ", "unit_price"),
        ("Menge (Stück)", "menge_stueck"),
        ("CustomerID", "customer_id"),
        ("ÉTÉ", "ete"),
        ("价格", ""),
    ],
)
def test_fold(name, folded):
    assert fold(name) == folded


def test_by_name_prefers_the_same_name_to_a_synonym_to_a_part():
    units = TABLES["sales"].get("units")
    scores = [by_name(units, name).score for name in ("units", "Qty", "total_units")]
    assert scores == sorted(scores, reverse=True)
    assert by_name(units, "colour") is None


def test_what_is_called_as_one_of_ours_means_no_other():
    orders, sales = TABLES["orders"], TABLES["sales"]
    wanted = [orders.get("quantity"), sales.get("units"), sales.get("product")]
    frame = pl.DataFrame({"units": [1], "sku": ["a"]})
    assert meant(wanted, frame, decimal=".") == {"sku": "product"}
    only = meant(wanted[:1], frame.select("units"), decimal=".")
    assert only == {"units": "quantity"}, "where units are not asked for they are the quantity"


def test_dates_and_keys_of_questions_are_read_by_a_part_of_the_name_and_what_is_planned_is_not():
    frame = pl.DataFrame({"Selling day": ["2026-01-05"], "Our item": ["a"], "On promo": [1], "Rival price": [3.0]})
    assert meant(TABLES["sales"], frame, decimal=".") == {"Selling day": "date", "Our item": "product", "On promo": "promotion"}
    unfit = frame.with_columns(date=pl.lit("soon"))
    assert "Selling day" not in meant(TABLES["sales"], unfit, decimal="."), "what is called date is the date, though it holds none"


@pytest.mark.parametrize("name", ["Fuel_Price", "competitor_price", "cost_price", "Price Index", "total_price"])
def test_what_no_customer_pays_for_a_unit_is_no_price(name):
    frame = pl.DataFrame({"date": ["2024-01-01"], "product": ["a"], "units": [1], name: [2.5]})
    assert "price" not in assign(TABLES["sales"], frame, {}, decimal=".", by_values=True)
    assert assign(TABLES["sales"], frame.rename({name: "Shelf price"}), {}, decimal=".", by_values=True)["price"].theirs == "Shelf price"


@pytest.mark.parametrize("name", ["promo_sales", "Sales promo", "promotion revenue", "deal_sales"])
def test_what_sold_on_a_promotion_is_not_all_that_sold(name):
    frame = pl.DataFrame({"date": ["2024-01-01"], "product": ["a"], "units": [1], name: [2.5]})
    assert "revenue" not in assign(TABLES["sales"], frame, {}, decimal=".", by_values=True)


@pytest.mark.parametrize("name", ["store_sales", "market_price", "store size", "shop visits", "item price"])
def test_a_figure_of_a_store_or_an_item_is_none(name):
    frame = pl.DataFrame({"date": ["2024-01-01"], "sku": ["a"], "units": [1], name: [3]})
    found = assign(TABLES["sales"], frame, {}, decimal=".", by_values=True)
    assert found["product"].theirs == "sku" and "store" not in found


def test_weekly_sales_of_stores_are_what_is_forecast_beside_weather_and_fuel():
    head = {
        "Store": [1],
        "Date": ["05-02-2010"],
        "Weekly_Sales": [1643690.9],
        "Holiday_Flag": [0],
        "Temperature": [42.31],
        "Fuel_Price": [2.572],
    }
    assert assign(TABLES["sales"], pl.DataFrame(head), {}, decimal=".", by_values=True)["units"].theirs == "Weekly_Sales"


def test_a_german_calendar_of_promotions_is_understood():
    frame = pl.DataFrame(
        {
            "Artikel": ["a", "b"],
            "Händler": ["Nord", "Süd"],
            "Von": ["05.01.2026", "12.01.2026"],
            "Bis": ["11.01.2026", "18.01.2026"],
            "Mechanik": ["Aktion", "Coupon"],
            "Rabatt": [0.2, 0.1],
            "Werbekostenzuschuss": [900.0, 350.0],
            "Zweitplatzierung": [1, 0],
        }
    )
    found = {ours: match.theirs for ours, match in assign(TABLES["promotions"], frame, {}, decimal=".", by_values=True).items()}
    assert found["product"] == "Artikel" and found["store"] == "Händler" and found["mechanic"] == "Mechanik"
    assert (found["start"], found["end"], found["discount"]) == ("Von", "Bis", "Rabatt")
    assert (found["cost"], found["display"]) == ("Werbekostenzuschuss", "Zweitplatzierung")
    assert by_name(TABLES["products"].get("unit_cost"), "Einstandspreis").score > 0.9


def test_row_numbers_are_no_columns():
    assert is_index("Unnamed: 0", pl.Series([0, 1, 2]))
    assert is_index("__index_level_0__", pl.Series([5, 3, 1]))
    assert not is_index("index", pl.Series([1, 1, 2]))
    assert not is_index("units", pl.Series([0, 1, 2]))


def test_each_column_is_used_once_and_a_fixed_one_stands():
    frame = pl.DataFrame({"day": ["2024-01-01"], "sku": ["a"], "qty": [1], "volume": [2]})
    found = assign(TABLES["sales"], frame, {}, decimal=".", by_values=True)
    assert {ours: match.theirs for ours, match in found.items()} == {"date": "day", "product": "sku", "units": "qty"}
    found = assign(TABLES["sales"], frame, {"volume": "units"}, decimal=".", by_values=True)
    assert found["units"].theirs == "volume"


def test_a_name_alone_does_not_make_text_a_number():
    frame = pl.DataFrame({"date": ["2024-01-01"], "product": ["a"], "units": [1], "price_level": ["high"]})
    assert "price" not in assign(TABLES["sales"], frame, {}, decimal=".", by_values=True)


def test_candidates_by_value():
    frame = pl.DataFrame({"when": ["2024-01-01"] * 2, "what": ["a", "b"], "many": [1, 2], "empty": [None, None]})
    sales = TABLES["sales"]
    assert candidates(sales.get("date"), frame, {}, ".") == ["when"]
    assert candidates(sales.get("product"), frame, {}, ".") == ["what"]
    assert candidates(sales.get("units"), frame, {}, ".") == ["many"]


def test_who_sells_to_chains_has_chains_for_stores():
    frame = pl.DataFrame({"Chain": ["Coop", "Lidl"], "upc": ["a", "b"], "week": ["2024-01-01", "2024-01-08"], "units": [1, 2]})
    assert assign(TABLES["sales"], frame, {}, decimal=".", by_values=True)["store"].theirs == "Chain"
    finer = frame.with_columns(pl.Series("store_id", [11, 12]))
    assert assign(TABLES["sales"], finer, {}, decimal=".", by_values=True)["store"].theirs == "store_id"
