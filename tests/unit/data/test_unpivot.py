from __future__ import annotations

import polars as pl
import pytest

from tradewind.core.errors import BadValue, MissingColumn
from tradewind.data.unpivot import channels_across, channels_to_rows, of_channel, unpivot

WIDE = pl.DataFrame(
    {
        "DATE": ["2024-01-01", "2024-01-02"],
        "QTY_a_1": [1, 2],
        "QTY_a_2": [3, 4],
        "QTY_b": [5, None],
        "PROMO_a_1": [0, 1],
        "PROMO_a_2": [0, 0],
        "PROMO_b": [1, 1],
    }
)


def test_one_column_per_product_is_found_and_turned():
    long, facts = unpivot(WIDE, (), ".")
    assert long.columns == ["DATE", "product", "units", "promotion"]
    assert long.filter(pl.col("product") == "a_1").rows() == [("2024-01-01", "a_1", 1, 0), ("2024-01-02", "a_1", 2, 1)]
    assert long.filter(pl.col("product") == "b")["units"].to_list() == [5, None]
    assert facts[0].value == 6


def test_the_pattern_of_the_user_stands():
    long, _ = unpivot(WIDE, ("PROMO_{store}=units",), ".")
    assert long["store"].unique().sort().to_list() == ["a_1", "a_2", "b"]
    assert "QTY_b" in long.columns


def test_a_measure_that_some_products_lack_is_empty_there():
    long, _ = unpivot(WIDE.drop("PROMO_b"), ("QTY_{product}=units", "PROMO_{product}=promotion"), ".")
    assert long.filter(pl.col("product") == "b")["promotion"].to_list() == [None, None]


def test_one_column_per_date():
    frame = pl.DataFrame({"product": ["a", "b"], "2024-01": [1, 2], "2024-02": [3, 4], "2024-03": [5, None]})
    long, _ = unpivot(frame, (), ".")
    assert long.filter(pl.col("product") == "a").select("date", "units").rows() == [
        ("2024-01-01", 1.0),
        ("2024-02-01", 3.0),
        ("2024-03-01", 5.0),
    ]


def test_numbered_items_keep_their_whole_name():
    frame = pl.DataFrame({"date": ["2024-01-01"], "item_1": [1.5], "item_2": [2.5], "item_3": [3.5]})
    assert unpivot(frame, (), ".")[0]["product"].to_list() == ["item_1", "item_2", "item_3"]


def test_a_long_table_stays_as_it_is():
    frame = pl.DataFrame({"date": ["2024-01-01"], "product": ["a"], "units": [1], "price_a": [1], "price_b": [2], "price_c": [2]})
    same, facts = unpivot(frame, (), ".")
    assert same is frame
    assert facts == ()


def test_patterns_that_cannot_be_are_refused():
    with pytest.raises(BadValue, match="cannot read"):
        unpivot(WIDE, ("QTY_*=units",), ".")
    with pytest.raises(BadValue, match="same key"):
        unpivot(WIDE, ("QTY_{product}=units", "PROMO_{store}=promotion"), ".")
    with pytest.raises(MissingColumn):
        unpivot(WIDE, ("SALES_{product}=units",), ".")
    with pytest.raises(BadValue, match="the date too") as caught:
        unpivot(WIDE, ("{channel}=spend",), ".")
    assert "spend_{channel}=spend" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("tv_spend", ("spend", "tv")),
        ("Spend TV", ("spend", "TV")),
        ("tv_S", ("spend", "tv")),
        ("Channel0_impression", ("impressions", "Channel0")),
        ("mdsp_dm", ("spend", "dm")),
        ("search_clicks", ("clicks", "search")),
        ("tv_s", ("", "")),
        ("spending", ("", "")),
        ("revenue", ("", "")),
    ],
)
def test_what_a_column_says_of_which_channel(name, said):
    assert of_channel(name) == said


def test_columns_of_channels_become_rows():
    frame = pl.DataFrame(
        {"DATE": ["2024-01-01", "2024-01-08"], "revenue": [9, 8], "tv_S": [1, 2], "web_S": [3, 0], "web_I": [70, 0], "tv_x": [5, 5]}
    )
    plan = channels_across(frame, ".")
    assert plan == {"spend": {"tv": "tv_S", "web": "web_S"}, "impressions": {"web": "web_I"}}
    long, facts = channels_to_rows(frame, plan)
    assert long.filter(pl.col("channel") == "web")["spend"].to_list() == [3, 0]
    assert long.filter(pl.col("channel") == "tv")["impressions"].to_list() == [None, None]
    assert facts[0].value == 3
    assert channels_across(frame.rename({"tv_x": "channel"}), ".") == {}
    assert channels_across(frame.drop("web_S"), ".") == {}


def test_a_bare_pattern_takes_every_figure_that_is_no_date_and_no_key():
    frame = pl.DataFrame(
        {"datum": ["2024-01-01"], "Store": [7], "M01AB": [1.5], "N02BE": [2.0], "Year": [2024], "Hour": [248], "Weekday": ["Mo"]}
    )
    long, _ = unpivot(frame, ("{product}=units",), ".")
    assert long.select("product", "units").rows() == [("M01AB", 1.5), ("N02BE", 2.0)]
    assert long["Store"].to_list() == [7, 7]


@pytest.mark.parametrize(
    ("pattern", "days"),
    [
        ("d_{day:2014-01-25}=units", ["2014-01-25", "2014-01-26", "2014-01-28"]),
        ("d_{week:2014-01-25}=units", ["2014-01-25", "2014-02-01", "2014-02-15"]),
        ("d_{month:2014-01-31}=units", ["2014-01-31", "2014-02-28", "2014-04-30"]),
    ],
)
def test_numbered_columns_count_from_the_date_of_the_first(pattern, days):
    frame = pl.DataFrame({"item": ["a"], "d_7": [1], "d_8": [2], "d_10": [3], "d_x": ["no"]})
    long, facts = unpivot(frame, (pattern,), ".")
    assert long.select("date", "units").rows() == list(zip(days, [1.0, 2.0, 3.0], strict=True))
    assert "one column per date" in facts[0].meaning
    for wrong in ("d_{day:25.01.2014}=units", "d_{year:2014-01-25}=units"):
        with pytest.raises(BadValue, match="cannot read"):
            unpivot(frame, (wrong,), ".")


def test_columns_called_by_nothing_but_their_channel_are_named_in_the_pattern():
    plan = pl.DataFrame({"Week": ["2024-01-01"], "TV": [10.0], "Paid Search": [3.0], "Sales": [90.0]})
    long, _ = unpivot(plan, ("{channel:TV|Paid Search}=spend",), ".")
    assert long.select("channel", "spend", "Sales").rows() == [("TV", 10.0, 90.0), ("Paid Search", 3.0, 90.0)]
    with pytest.raises(MissingColumn, match="no column is called 'Radio'"):
        unpivot(plan, ("{channel:TV|Radio}=spend",), ".")


def test_patterns_of_one_figure_add_up_and_no_column_is_lost():
    plan = pl.DataFrame({"Week": ["2024-01-01"], "TV": [10.0], "cost_web": [3.0], "cost_TV": [1.0]})
    long, _ = unpivot(plan.drop("cost_TV"), ("{channel:TV}=spend", "cost_{channel}=spend"), ".")
    assert long.select("channel", "spend").rows() == [("TV", 10.0), ("web", 3.0)]
    with pytest.raises(BadValue, match="TV and cost_TV are both 'TV'"):
        unpivot(plan, ("{channel:TV}=spend", "cost_{channel}=spend"), ".")


def test_numbers_that_are_dates_and_days_counted_twice_are_refused():
    for names, said in (
        (("d_20240131", "d_20250131"), "counts no days"),
        (("d_1", "d_9999999"), "no days"),
        (("d_1", "d_01"), "the same day"),
    ):
        frame = pl.DataFrame({"item": ["a"], names[0]: [1], names[1]: [2]})
        with pytest.raises(BadValue, match=said):
            unpivot(frame, ("d_{day:2024-01-31}=units",), ".")
