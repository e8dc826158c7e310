from __future__ import annotations

import polars as pl
import pytest

from tradewind.core.catalog import TABLES
from tradewind.core.errors import BadValue
from tradewind.data.types import convert

SALES = TABLES["sales"]


def typed(columns, schema=SALES, decimal="."):
    frame = pl.DataFrame(columns)
    made, facts = convert(frame, schema, decimal=decimal, name="a.csv", theirs={name: name.upper() for name in frame.columns})
    return made, {fact.name: fact for fact in facts}


def test_unreadable_values_are_counted_with_the_first_one():
    made, facts = typed({"units": ["1", "2", "lots", "3"]})
    assert made["units"].to_list() == [1.0, 2.0, None, 3.0]
    assert facts["unreadable.units"].value == 1
    assert "row 3" in facts["unreadable.units"].meaning


def test_a_column_that_is_mostly_unreadable_is_refused_under_their_name():
    with pytest.raises(BadValue, match=r'"UNITS".*a\.csv'):
        typed({"units": ["a", "b", "1"]})


def test_yes_and_no_become_a_flag():
    made, facts = typed({"promotion": ["yes", "no", "yes"]})
    assert made["promotion"].to_list() == [1.0, 0.0, 1.0]
    assert "flags.promotion" in facts


def test_percent_signs_are_divided_and_said():
    made, facts = typed({"discount": ["20%", "5 %"]}, TABLES["promotions"])
    assert made["discount"].to_list() == pytest.approx([0.2, 0.05])
    assert facts["percent.discount"].value == 2


def test_further_columns_take_the_type_of_their_values():
    made, _ = typed(
        {"a": ["1.5", "2"], "b": ["x", "1"], "c": ["2024-01-01", "2024-01-02"], "d": [True, False], "e": ["007", "012"], "f": [1, 2]}
    )
    assert [str(dtype) for dtype in made.dtypes] == ["Float64", "String", "Date", "Boolean", "String", "Float64"]


def test_mixed_styles_of_dates_are_said():
    _, facts = typed({"date": ["2024-01-01", "31.01.2024"]})
    assert facts["mixed_styles.date"].value == 2


def test_a_promotion_or_its_support_answered_with_yes_and_no_is_a_flag():
    made, facts = typed(
        {"FEATURE": ["Y", "N", None], "Promo Indicator": ["X", "", None], "promo_name": ["BOGO", "X", ""], "organic": ["Y", "N", "Y"]}
    )
    assert made["FEATURE"].to_list() == [1.0, 0.0, None]
    assert made["Promo Indicator"].to_list() == [1.0, 0.0, 0.0], "a cross beside nothing"
    assert made["promo_name"].to_list() == ["BOGO", "X", None] and made["organic"].to_list() == ["Y", "N", "Y"]
    assert set(facts) == {"flags.FEATURE", "flags.Promo Indicator"}
