from __future__ import annotations

import time
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tradewind.core.catalog import TABLES
from tradewind.core.errors import EmptyTable, MissingColumn, TooBig
from tradewind.core.schema import Column, Role, Schema, Type
from tradewind.core.table import Table
from tradewind.data.align import align

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
START = date(2024, 1, 1)
EXTRA = (
    Column("holiday", Role.KNOWN),
    Column("event", Role.EVENT, Type.TEXT),
    Column("category", Role.STATIC, Type.TEXT),
    Column("size", Role.STATIC),
    Column("visitors", Role.INPUT),
    Column("available", Role.AVAILABLE),
)


def panel(rows):
    """Make a panel of dicts; `day` counts from the start."""
    frame = pl.DataFrame(
        [{"date": START + timedelta(days=row["day"]), **{name: row[name] for name in row if name != "day"}} for row in rows],
        infer_schema_length=None,
    )
    return Table(TABLES["sales"].with_columns(*EXTRA).select(frame.columns), frame=frame)


def full(product, days, units=2.0, **columns):
    return [{"day": day, "product": product, "units": units, **columns} for day in days]


def aligned(rows):
    made, facts = align(panel(rows))
    return made.frame, {fact.name: fact for fact in facts}


def of(frame, product, name="units"):
    return frame.filter(pl.col("product") == product)[name].to_list()


def test_a_missing_row_inside_a_life_is_nothing_sold():
    frame, facts = aligned(full("a", [0, 1, 3]) + full("b", range(4)) + full("c", [1, 2, 3]))
    assert of(frame, "a") == [2.0, 2.0, 0.0, 2.0]
    assert of(frame, "c") == [2.0, 2.0, 2.0]
    assert facts["zero_filled.units"].value == 1
    assert frame["available"].to_list() == [1.0] * 11


def test_a_day_without_any_row_is_a_gap():
    frame, facts = aligned(full("a", [0, 1, 3]) + full("b", [0, 1, 3]) + full("c", [0, 3]))
    assert of(frame, "a") == [2.0, 2.0, None, 2.0]
    assert of(frame, "a", "available") == [1.0, 1.0, 0.0, 1.0]
    assert of(frame, "c") == [2.0, 0.0, None, 2.0]
    assert facts["gaps.units"].value == 3


def test_one_rare_product_alone_sells_nothing_between_its_sales():
    frame, facts = aligned(full("a", [0, 3, 11, 12, 20]))
    assert frame["units"].to_list().count(0.0) == 16
    assert "gaps.units" not in facts
    closed = [day for day in range(70) if day % 7 != 6]
    frame, facts = aligned(full("a", closed))
    assert facts["gaps.units"].value == 9


def test_a_row_without_a_figure_is_unknown():
    frame, facts = aligned([*full("a", [0, 1]), {"day": 2, "product": "a", "units": None}, *full("a", [3]), *full("b", range(4))])
    assert of(frame, "a") == [2.0, 2.0, None, 2.0]
    assert of(frame, "a", "available") == [1.0, 1.0, 0.0, 1.0]
    assert facts["unknown.units"].value == 1


def test_a_marked_stock_out_stays_marked():
    rows = [*full("a", [0], available=1.0), *full("a", [1], units=0.0, available=0.0), *full("a", [3], available=1.0)]
    frame, _ = aligned(rows + full("b", range(4), available=1.0) + full("c", range(4), available=1.0))
    assert of(frame, "a", "available") == [1.0, 0.0, 1.0, 1.0]


def test_a_closed_store_is_not_filled_to_the_end():
    frame, facts = aligned(full("a", range(30)) + full("b", range(100)) + full("c", range(90)))
    assert len(of(frame, "a")) == 30
    assert len(of(frame, "c")) == 100
    assert facts["ended_series"].value == 1
    assert "a" in facts["ended_series"].meaning


def test_a_rare_product_has_not_ended_by_a_pause_like_its_others():
    frame, facts = aligned(full("a", [0, 40, 80]) + full("b", range(140)) + full("c", range(140)))
    assert len(of(frame, "a")) == 140
    assert "ended_series" not in facts


def test_prices_hold_and_flags_are_off():
    rows = [
        {"day": 0, "product": "a", "units": 1.0, "price": None, "promotion": None},
        {"day": 1, "product": "a", "units": 1.0, "price": 2.0, "promotion": 1.0},
        {"day": 3, "product": "a", "units": 1.0, "price": 3.0, "promotion": None},
        {"day": 4, "product": "a", "units": 1.0, "price": None, "promotion": None},
    ]
    frame, facts = aligned(rows + full("b", range(5), price=None, promotion=0.0) + full("c", range(5), price=9.0, promotion=0.0))
    assert of(frame, "a", "price") == [2.0, 2.0, 2.0, 3.0, 3.0]
    assert of(frame, "a", "promotion") == [0.0, 1.0, 0.0, 0.0, 0.0]
    assert of(frame, "b", "price") == [None] * 5
    assert facts["filled.price"].value == 3


def test_flags_that_come_as_bytes_stay_bytes():
    one = panel(full("a", [0, 1, 4], promotion=1, price=2) + full("b", range(5), promotion=0, price=3))
    narrow = one.frame.with_columns(pl.col("promotion").cast(pl.UInt8), pl.col("price").cast(pl.Float64))
    made, wide = (align(Table(one.schema, frame=frame))[0].frame for frame in (narrow, one.frame))
    assert made.schema["promotion"] == pl.UInt8 and made.schema["price"] == pl.Float64
    assert of(made, "a", "promotion") == [1, 1, 0, 0, 1] == of(wide, "a", "promotion")


def test_calendars_are_filled_by_date_and_past_figures_are_not():
    rows = full("a", [0, 2], holiday=0.0, event=None, visitors=5.0) + full("b", [0, 2], holiday=0.0, event=None, visitors=6.0)
    rows += full("b", [1], holiday=1.0, event="New Year", visitors=7.0) + full("c", [0, 1, 2], holiday=None, event=None, visitors=None)
    frame, _ = aligned(rows)
    for product in "abc":
        assert of(frame, product, "holiday") == [0.0, 1.0, 0.0]
        assert of(frame, product, "event") == [None, "New Year", None]
    assert of(frame, "a", "visitors") == [5.0, None, 5.0]


def test_what_is_fixed_is_filled_per_series():
    rows = full("a", [0], category=None, size=None) + full("a", [2], category="x", size=4.0) + full("b", range(3), category="y", size=None)
    frame, _ = aligned(rows + full("c", range(3), category="z", size=1.0))
    assert of(frame, "a", "category") == ["x"] * 3
    assert of(frame, "a", "size") == [4.0] * 3
    assert of(frame, "b", "size") == [None] * 3


def test_the_plan_stays_without_a_target_and_regular():
    rows = full("a", range(5), price=2.0) + full("b", range(4), price=2.0) + full("c", range(5), price=2.0)
    rows += [{"day": 7, "product": "a", "units": None, "price": 1.0}, {"day": 6, "product": "new", "units": None, "price": 4.0}]
    frame, _ = aligned(rows)
    assert of(frame, "a") == [2.0] * 5 + [None] * 3
    assert of(frame, "a", "price") == [2.0] * 7 + [1.0]
    assert of(frame, "a", "available") == [1.0] * 8
    assert of(frame, "b") == [2.0] * 4 + [0.0]
    assert of(frame, "new") == [None]


def test_the_plan_of_an_ended_series_is_left_out_and_said():
    rows = full("a", range(10)) + full("b", range(90)) + full("c", range(90)) + [{"day": 95, "product": "a", "units": None}]
    frame, facts = aligned(rows)
    assert len(of(frame, "a")) == 10
    assert facts["rows_off_grid"].value == 1


def test_weeks_months_and_their_anchors():
    frame, facts = aligned(full("a", [0, 7, 21]) + full("b", range(0, 300, 7)) + full("c", [*range(0, 140, 7), 141, *range(147, 300, 7)]))
    assert facts["grain"].value == "week"
    assert facts["anchor"].value == "Monday"
    assert facts["moved_to_grid"].value == 1
    assert of(frame, "a") == [2.0, 2.0, 0.0, 2.0]  # then it ended
    assert of(frame, "c") == [2.0] * 43
    months = [{"day": (date(2024, month, 1) - START).days, "product": "a", "units": float(month)} for month in (1, 2, 4, 12)]
    frame, facts = aligned(months)
    assert facts["grain"].value == "month"
    assert frame.height == 12
    assert frame["date"].to_list()[2] == date(2024, 3, 1)


def test_two_rows_of_a_week_are_summed():
    weeks = [7 * number for number in range(20)]
    frame, facts = aligned(
        full("a", weeks, price=2.0) + full("a", [10], units=3.0, price=4.0) + full("b", weeks, price=1.0) + full("c", weeks, price=1.0)
    )
    assert facts["rows_in_one_period"].value == 1
    assert of(frame, "a")[1] == 5.0
    assert of(frame, "a", "price")[1] == 3.0


def test_a_series_of_one_row():
    frame, facts = aligned(full("a", [3]))
    assert frame.height == 1
    assert facts["grain"].value == "day"


def test_hours():
    frame = pl.DataFrame(
        {"date": pl.datetime_range(START, date(2024, 1, 3), "1h", eager=True, closed="left"), "product": "a", "units": 1.0}
    )
    whole = Table(TABLES["sales"].select(frame.columns).with_columns(Column("date", Role.TIME, Type.TIMESTAMP, True)), frame=frame)
    made, facts = align(whole.take(np.arange(48) != 7))
    assert {fact.name: fact.value for fact in facts}["grain"] == "hour"
    assert made.frame["date"].to_list() == frame["date"].to_list()
    assert made.frame["units"].null_count() == 1
    assert made.schema.get("date").type is Type.TIMESTAMP


def test_a_figure_that_is_no_count_is_never_invented():
    frame = pl.DataFrame({"date": [START, START + timedelta(days=2)] * 4, "geo": list("aabbccdd"), "signups": [1.0] * 8})
    frame = frame.vstack(pl.DataFrame({"date": [START + timedelta(days=1)], "geo": ["a"], "signups": [1.0]}))
    schema = Schema(
        (Column("date", Role.TIME, Type.DATE), Column("geo", Role.ENTITY, Type.TEXT), Column("signups", Role.TARGET)), ("date", "geo")
    )
    made, facts = align(Table(schema, frame=frame))
    assert made.frame["signups"].null_count() == 3
    assert not any(fact.name.startswith("zero_filled") for fact in facts)


def test_what_cannot_be_aligned():
    with pytest.raises(MissingColumn):
        align(Table(TABLES["products"].select(["product"]), frame=pl.DataFrame({"product": ["a"]})))
    with pytest.raises(EmptyTable):
        align(
            Table(
                TABLES["sales"].select(["date", "product", "units"]),
                frame=pl.DataFrame({"date": [None], "product": ["a"], "units": [1.0]}, schema_overrides={"date": pl.Date}),
            )
        )
    rows = [
        {"date": date(1900, 1, 1) + timedelta(days=late), "product": f"p{at}", "units": 1.0}
        for at in range(700)
        for late in (0, 1, 2, 100_000)
    ]
    frame = pl.DataFrame(rows)
    with pytest.raises(TooBig) as caught:
        align(Table(TABLES["sales"].select(frame.columns), frame=frame))
    assert "year" in caught.value.hint


def test_five_hundred_series_of_two_years_take_less_than_a_second():
    rng = np.random.default_rng(5)
    days = pl.date_range(date(2023, 1, 1), date(2024, 12, 30), eager=True)
    frame = pl.DataFrame({"date": days}).join(pl.DataFrame({"product": [f"p{at}" for at in range(500)]}), how="cross")
    frame = frame.with_columns(units=pl.Series(rng.poisson(3, frame.height).astype("f8")), price=2.5, promotion=0.0)
    thin = Table(TABLES["sales"].select(frame.columns), frame=frame.filter(pl.Series(rng.random(frame.height) < 0.9)))
    began = time.process_time()
    made, _ = align(thin)
    assert len(made) > 360_000
    assert time.process_time() - began < 4  # processor seconds of all threads, on a machine that others use too


@pytest.mark.skipif(not DATA.is_dir(), reason="the real data sets are not beside this repository")
def test_pasta_has_27_days_that_nobody_recorded():
    from tradewind.data.clean import clean
    from tradewind.data.infer import infer
    from tradewind.data.read import read

    found = infer(read(DATA / "demand/pasta_hierarchical/hierarchical_sales_data.csv"))
    made, facts = align(clean(found.frame, found.schema, table="sales")[0])
    said = {fact.name: fact.value for fact in facts}
    assert said["series"] == 118
    assert said["gaps.units"] == 27 * 118
    assert len(made) == (1798 + 27) * 118
