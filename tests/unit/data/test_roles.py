from __future__ import annotations

import polars as pl

from tradewind.core.catalog import TABLES
from tradewind.core.schema import Role, Type
from tradewind.data.roles import describe

BASE = pl.DataFrame({"date": ["1", "1", "2", "2", "3", "3"], "product": ["a", "b"] * 3, "units": [1.0] * 6})


def roles(table="sales", **columns):
    schema, _ = describe(BASE.with_columns(**{name: pl.Series(values) for name, values in columns.items()}), TABLES[table], table)
    return {column.name: column.role for column in schema}


def test_levers_by_name_when_numeric():
    found = roles(price_regular=[1.0] * 6, Discount=[0.1] * 6, promo_name=["x"] * 6, competitor_price=[1.0] * 6, competitor_sales=[9.0] * 6)
    assert found["price_regular"] is Role.LEVER
    assert found["Discount"] is Role.LEVER
    assert found["promo_name"] is not Role.LEVER
    assert found["competitor_price"] is Role.KNOWN
    assert found["competitor_sales"] is Role.INPUT, "what a competitor sells is only known afterwards"


def test_what_a_scanner_panel_says_of_a_promotion_is_a_lever_where_it_is_yes_or_no():
    shown = [0.0, 1.0, 0.0, 0.0, 1.0, 0.0]
    found = roles(FEATURE=shown, TPR_ONLY=shown, MarkDown1=[0.0, 310.5, None, 20.0, 0.0, 9.0], ad=[3.5] * 6)
    assert found["FEATURE"] is Role.LEVER and found["TPR_ONLY"] is Role.LEVER and found["MarkDown1"] is Role.LEVER
    assert found["ad"] is Role.INPUT, "an amount is no flag"


def test_what_others_are_paid_is_no_lever_of_ours():
    found = roles(Fuel_Price=[2.5, 2.6, 2.7, 2.7, 2.8, 2.9], freight_price=[1.0] * 6, rival_price=[1.0] * 6)
    assert found["Fuel_Price"] is Role.INPUT and found["freight_price"] is Role.INPUT
    assert found["rival_price"] is Role.KNOWN


def test_what_sold_on_a_promotion_is_only_known_afterwards():
    sold, ran = [0.0, 9.0, 0.0, 7.0, 8.0, 0.0], [0.0, 1.0, 0.0, 1.0, 1.0, 0.0]
    found = roles(units_on_deal=sold, promo_sales=sold, coupon_redemptions=sold, sales_promo=ran, sales_price=sold, volume_discount=sold)
    assert {found[name] for name in ("units_on_deal", "promo_sales", "coupon_redemptions")} == {Role.INPUT}
    assert {found[name] for name in ("sales_promo", "sales_price", "volume_discount")} == {Role.LEVER}


def test_spend_and_exposure_of_a_channel_called_as_a_lever_are_none_of_outcomes():
    columns = {"display_spend": [1.0] * 6, "tv_spend": [2.0] * 6, "display_impression": [3.0] * 6, "promo": [0.0, 1.0] * 3}
    found = roles("outcomes", **columns)
    assert found["display_spend"] is Role.INPUT and found["display_impression"] is Role.INPUT
    assert found["promo"] is Role.LEVER
    assert roles("outcomes", display_spend=[1.0] * 6)["display_spend"] is Role.LEVER, "one alone is no table of media"


def test_a_calendar_is_the_same_for_every_series_and_yes_or_no():
    found = roles(easter=[0.0, 0.0, 1.0, 1.0, 0.0, 0.0], strike=[0.0, 1.0, 0.0, 0.0, 0.0, 0.0], weather=[5.0, 5.0, 7.0, 7.0, 8.0, 8.0])
    assert found["easter"] is Role.KNOWN
    assert found["strike"] is Role.INPUT
    assert found["weather"] is Role.INPUT


def test_what_is_named_for_a_calendar_is_known_ahead_also_where_places_differ():
    found = roles(
        SchoolHoliday=[0.0, 1.0, 0.0, 0.0, 1.0, 0.0],
        state_holiday=["0", "a", "0", "0", "b", "0"],
        holiday_sales=[5.0, 1.0, 7.0, 2.0, 8.0, 3.0],
        region_holiday=["x", "y"] * 3,
    )
    assert found["SchoolHoliday"] is Role.KNOWN and found["state_holiday"] is Role.KNOWN
    assert found["holiday_sales"] is Role.INPUT, "figures are no calendar"
    assert found["region_holiday"] is Role.STATIC


def test_fixed_per_series():
    found = roles(population=[5.0, 9.0] * 3, colour=["red", "blue"] * 3, changing=["x", "y", "y", "x", "x", "y"])
    assert found["population"] is Role.STATIC
    assert found["colour"] is Role.STATIC
    assert found["changing"] is Role.INPUT


def test_tables_that_are_no_panels_get_inputs():
    frame = pl.DataFrame({"customer": ["a", "b"], "price_class": [1.0, 2.0], "member": [True, False]})
    schema, _ = describe(frame, TABLES["customers"], "customers")
    assert {column.name: (column.role, column.type) for column in schema if column.name != "customer"} == {
        "price_class": (Role.INPUT, Type.NUMBER),
        "member": (Role.INPUT, Type.FLAG),
    }
