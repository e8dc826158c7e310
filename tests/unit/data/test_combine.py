from __future__ import annotations

import polars as pl

from tradewind.core.catalog import TABLES
from tradewind.core.schema import Column, Role, Type
from tradewind.data.combine import combine, repeated

KEYED = {"date": ["1", "1", "2"], "product": ["a", "a", "a"]}


def combined(columns, table="sales", *extra):
    frame = pl.DataFrame(KEYED | columns)
    schema = TABLES[table].with_columns(*extra).select(frame.columns)
    made, facts = combine(frame, schema, table)
    return made.sort("date"), {fact.name: fact.value for fact in facts}


def test_repeated():
    frame = pl.DataFrame(KEYED)
    assert repeated(frame, ("date", "product"))
    assert not repeated(frame.with_row_index(), ("index",))


def test_nothing_to_combine_returns_the_same_frame():
    frame = pl.DataFrame({"date": ["1", "2"], "product": ["a", "a"], "units": [1.0, 2.0]})
    assert combine(frame, TABLES["sales"].select(frame.columns), "sales")[0] is frame


def test_a_sum_of_nothing_is_missing_and_not_zero():
    made, _ = combined({"units": [None, None, 1.0]})
    assert made["units"].to_list() == [None, 1.0]


def test_a_price_without_sales_is_averaged():
    made, _ = combined({"units": [0.0, 0.0, 1.0], "price": [2.0, 4.0, 1.0]})
    assert made["price"].to_list() == [3.0, 1.0]


def test_names_that_differ_are_left_out_and_measures_averaged():
    visitors, note = Column("visitors"), Column("note", Role.INPUT, Type.TEXT)
    made, said = combined({"units": [1.0, 2.0, 3.0], "visitors": [1.5, 2.5, 9.0], "note": ["x", "y", "z"]}, "sales", visitors, note)
    assert said["columns_left_out"] == "note"
    assert made["visitors"].to_list() == [2.0, 9.0]


def test_the_kpis_of_outcomes_add_up():
    frame = pl.DataFrame({"date": ["1", "1"], "new_customers": [3.0, 4.0]})
    made, _ = combine(frame, TABLES["outcomes"].select(frame.columns), "outcomes")
    assert made["new_customers"].to_list() == [7.0]


def test_missing_keys_are_a_key_of_their_own():
    frame = pl.DataFrame(
        {"order": ["1", "1", "1"], "date": ["1"] * 3, "customer": [None, None, "c"], "product": ["a"] * 3, "quantity": [1.0, 2.0, 4.0]}
    )
    made, _ = combine(frame, TABLES["orders"].select(frame.columns), "orders")
    assert sorted(made["quantity"].to_list()) == [3.0, 4.0]


def test_prices_and_other_levels_of_outcomes_do_not_add_up():
    names = ("date", "revenue", "price", "value_per_conversion")
    frame = pl.DataFrame([("1", 100.0, 5.0, 2.0), ("1", 100.0, 5.0, 4.0), ("2", 90.0, 6.0, 3.0)], schema=names, orient="row")
    schema = TABLES["outcomes"].with_columns(*(Column(name) for name in names[1:])).select(frame.columns)
    made, facts = combine(frame, schema, "outcomes")
    assert made.sort("date").rows() == [("1", 200.0, 5.0, 3.0), ("2", 90.0, 6.0, 3.0)]
    assert {one.name: one.value for one in facts}["rows_averaged"] == "price, value_per_conversion"


def test_ratios_known_by_their_letters_are_averaged_as_well():
    frame = pl.DataFrame({"date": ["1", "1"], "clicks": [10.0, 30.0], "CPC": [0.5, 0.7], "Blended ROAS": [3.0, 5.0]})
    schema = TABLES["outcomes"].with_columns(*(Column(name) for name in frame.columns[1:])).select(frame.columns)
    assert combine(frame, schema, "outcomes")[0].rows() == [("1", 40.0, 0.6, 4.0)]
