import numpy as np
import polars as pl
import pytest

from tradewind.core.errors import BadValue, EmptyTable, Incompatible, MissingColumn
from tradewind.core.schema import Column, Role, Schema, Type
from tradewind.core.table import Table
from tradewind.models._kit import tensors
from tradewind.models._kit.forecast import features
from tradewind.models._kit.panel import LASTING, Lazy, Panel, carry, from_table

ROLES = {
    "date": (Role.TIME, Type.DATE),
    "product": (Role.ENTITY, Type.TEXT),
    "units": (Role.TARGET, Type.NUMBER),
    "price": (Role.LEVER, Type.NUMBER),
    "promotion": (Role.LEVER, Type.NUMBER),
    "event_fair": (Role.EVENT, Type.NUMBER),
    "event_later": (Role.EVENT, Type.NUMBER),
    "weather": (Role.PAST, Type.NUMBER),
    "brand": (Role.STATIC, Type.TEXT),
    "size": (Role.STATIC, Type.NUMBER),
    "available": (Role.AVAILABLE, Type.NUMBER),
}


def table(frame):
    return Table(Schema(tuple(Column(name, *ROLES[name]) for name in frame.columns)), frame=frame)


def made(days=20, plan=5):
    rows = []
    for product, base in (("B", 10.0), ("A", 3.0)):
        for day in range(days + plan):
            past = day < days
            rows.append(
                {
                    "date": np.datetime64("2024-01-01") + day,
                    "product": product,
                    "units": base + day if past else None,
                    "price": base / 10 if day % 7 == 0 else None,
                    "promotion": 1.0 if product == "A" and day % 5 == 0 else None,
                    "event_fair": float(day == 4),
                    "event_later": float(day == days + 1),
                    "weather": float(day),
                    "brand": "x" if product == "A" else "y",
                    "size": base,
                    "available": 0.0 if product == "B" and day == 3 else 1.0,
                }
            )
    dates = pl.Series("date", np.array([row.pop("date") for row in rows]).astype("M8[ms]")).cast(pl.Date)
    rest = pl.DataFrame({name: [row[name] for row in rows] for name in rows[0]}, strict=False)
    return rest.with_columns(dates)


def test_rows_become_a_matrix():
    panel = from_table(table(made()))
    assert panel.keys["product"].tolist() == ["A", "B"]
    assert panel.cut == 20 and panel.width == 25 and len(panel) == 2
    np.testing.assert_array_equal(panel.target[0, :20], 3.0 + np.arange(20))
    assert np.isnan(panel.target[:, 20:]).all()


def test_what_was_not_available_is_not_known():
    panel = from_table(table(made()))
    assert np.isnan(panel.target[1, 3]) and panel.target[0, 3] == 6
    assert panel.out is None  # something was counted there


def test_out_of_stock_is_a_row_of_nothing_while_others_sell():
    frame = made()
    first = frame["date"].min()
    day = pl.col("date").sub(first).dt.total_days()
    empty = (day == 6) | ((day == 3) & (pl.col("product") == "B"))
    frame = frame.with_columns(
        pl.when(empty).then(0.0).otherwise("units").alias("units"), pl.when(empty).then(0.0).otherwise(1.0).alias("available")
    )
    panel = from_table(table(frame))
    assert np.argwhere(panel.out).tolist() == [[1, 3]] and np.isnan(panel.target[:, 6]).all()
    assert panel.take(np.array([0])).out is None and panel.tail(18).out.sum() == 1 and panel.until(3).out.sum() == 0
    back = Panel.from_parts(panel.meta(), panel.arrays())
    np.testing.assert_array_equal(back.out, panel.out)


def test_gaps_of_what_is_known_ahead_are_filled_by_kind():
    panel = from_table(table(made()))
    assert panel.kinds == {"price": "price", "promotion": "lever", "event_fair": "event"}
    np.testing.assert_allclose(panel.ahead["price"], np.repeat([[0.3], [1.0]], 25, 1))
    assert panel.ahead["promotion"][0, :6].tolist() == [1, 0, 0, 0, 0, 1] and not panel.ahead["promotion"][1].any()
    assert panel.ahead["event_fair"].shape == (1, 25), "what all series share is kept once"


def test_columns_known_afterwards_end_at_the_cut():
    assert from_table(table(made())).past["weather"].shape == (2, 20)


def test_statics_are_numbers_or_codes():
    panel = from_table(table(made()))
    assert panel.static["size"].tolist() == [3, 10]
    assert panel.codes["brand"] == ["x", "y"] and panel.static["brand"].tolist() == [0, 1]


def test_negative_and_infinite_sales_do_not_get_in():
    frame = made().with_columns(
        pl.when(pl.col("units") == 5).then(-4.0).when(pl.col("units") == 6).then(float("inf")).otherwise("units").alias("units")
    )
    target = from_table(table(frame)).target
    assert target[0, 2] == 0 and np.isnan(target[0, 3])


def test_parts_go_round():
    panel = from_table(table(made(400)))
    again = Panel.from_parts(panel.meta(), tensors.load(tensors.save(panel.arrays())))
    for kind in ("ahead", "past", "static"):
        for name, value in getattr(panel, kind).items():
            np.testing.assert_array_equal(getattr(again, kind)[name], value)
    np.testing.assert_array_equal(again.target, panel.target)
    assert again.index == panel.index and again.clock == panel.clock and again.kinds == panel.kinds


def test_columns_that_few_kinds_of_series_differ_in_are_kept_once_per_kind():
    frame = pl.concat([made(300).with_columns(pl.lit(f"{name:03}").alias("product")) for name in range(40)]).unique(
        ["product", "date"], maintain_order=True
    )
    region = (pl.col("product").cast(pl.Int32) % 2).cast(pl.Float64)
    panel = from_table(table(frame.with_columns((pl.col("event_fair") * region).alias("event_fair"))))
    arrays = panel.arrays()
    assert panel.ahead["event_fair"].shape[0] == 40 and arrays["ahead/event_fair"].shape[0] == 2
    again = Panel.from_parts(panel.meta(), tensors.load(tensors.save(arrays)))
    np.testing.assert_array_equal(again.ahead["event_fair"], panel.ahead["event_fair"])


def test_a_tail_keeps_the_plan():
    tail = from_table(table(made())).tail(6)
    assert tail.cut == 6 and tail.width == 11
    np.testing.assert_array_equal(tail.target[0, :6], 3.0 + np.arange(14, 20))


def test_a_tail_does_not_hold_the_whole_in_memory():
    whole = from_table(table(made()))
    tail = whole.tail(6)
    kept = [tail.target, *tail.ahead.values(), *tail.past.values()]
    assert all(value.base is None for value in kept if len(value) > 1)
    assert np.shares_memory(whole.tail(whole.cut).target, whole.target)  # all there is needs no copy


def test_the_tail_of_a_tail_is_the_tail():
    panel = from_table(table(made(150)))
    once, twice = panel.tail(100), panel.tail(120).tail(100)
    assert once.cut == twice.cut == 100
    assert once.past["weather"].shape == (2, panel.grain.level)
    np.testing.assert_array_equal(twice.past["weather"], once.past["weather"])
    assert once.past["weather"][0, -1] == 149


def test_texts_that_teach_nothing_are_still_kept_to_group_by():
    described = {**ROLES, "maker": (Role.STATIC, Type.TEXT), "story": (Role.STATIC, Type.TEXT)}
    frame = made().with_columns(maker=pl.lit("one and the same"), story=pl.lit("long " * 40))
    schema = Schema(tuple(Column(name, *described[name]) for name in frame.columns))
    panel = from_table(Table(schema, frame=frame))
    assert list(panel.codes) == ["brand"] and sorted(panel.labels) == ["brand", "maker"]
    again = Panel.from_parts(panel.meta(), panel.arrays())
    assert again.labels["maker"].tolist() == ["one and the same"] * 2
    assert panel.take(np.array([1])).labels["brand"].tolist() == ["y"]


def test_a_text_that_was_coded_is_known_again_where_it_no_longer_would_be():
    old = from_table(table(made()))
    alone = from_table(table(made().filter(pl.col("product") == "A")))
    assert "brand" not in alone.codes, "one text alone is not worth a code"
    moved = alone.like(old)
    assert moved.static["brand"].tolist() == [0] and moved.labels["brand"].tolist() == ["x"]
    new = from_table(table(made().with_columns(brand=pl.col("brand").replace({"y": "z"})))).like(old)
    assert new.static["brand"][0] == 0 and np.isnan(new.static["brand"][1]) and new.labels["brand"].tolist() == ["x", "z"]


def test_several_rows_of_one_period_are_refused():
    with pytest.raises(BadValue, match="one day"):
        from_table(table(pl.concat([made(), made().head(1)])))


def test_a_plan_is_written_over_and_lengthened():
    panel = from_table(table(made()))
    plan = {"price": np.array([9.0, np.nan], "f4"), "promotion": np.array([1.0, 1.0], "f4")}
    made_ = panel.planned(np.array([1]), 8, np.array([0, 0]), np.array([0, 7]), plan)
    assert made_.width - made_.cut == 8
    assert made_.ahead["price"][0, 20:].tolist() == [9, 1, 1, 1, 1, 1, 1, 1]
    assert made_.ahead["promotion"][0, 20:].tolist() == [1, 0, 0, 0, 0, 0, 0, 1]
    assert panel.ahead["price"][1, 20] == 1, "the panel itself is untouched"


def test_nothing_known_is_refused():
    with pytest.raises(EmptyTable):
        from_table(table(made().with_columns(pl.lit(None, pl.Float64).alias("units"))))


def test_a_missing_target_is_named():
    with pytest.raises(MissingColumn, match="units"):
        from_table(table(made().drop("units")))


def test_parts_of_another_kind_are_refused():
    panel = from_table(table(made()))
    with pytest.raises(Incompatible):
        Panel.from_parts({**panel.meta(), "grain": "aeon"}, panel.arrays())


def test_carry_fills_forward_then_back():
    values = np.array([[np.nan, 1, np.nan, 2, np.nan], [np.nan] * 5])
    filled = carry(values)
    assert filled[0].tolist() == [1, 1, 1, 2, 2] and np.isnan(filled[1]).all()


def test_a_flag_named_like_a_price_is_no_price():
    frame = made().rename({"event_fair": "mechanic_price_cut"})
    described = Schema(
        tuple(
            Column("mechanic_price_cut", Role.LEVER) if name == "mechanic_price_cut" else Column(name, *ROLES[name])
            for name in frame.columns
        )
    )
    panel = from_table(Table(described, frame=frame))
    assert panel.kinds["mechanic_price_cut"] == "lever" and panel.ahead["mechanic_price_cut"].sum() == 1


def test_columns_are_made_when_they_are_looked_at_and_once():
    made = []

    def doubled(name, value):
        made.append(name)
        return value * 2

    columns = Lazy({"one": np.ones(3), "two": np.zeros(3)}, doubled)
    assert len(columns) == 2 and "one" in columns and list(columns) == ["one", "two"] and not made
    assert columns["one"] is columns["one"] and columns["one"].tolist() == [2, 2, 2]
    assert made == ["one"] and "three" not in columns
    with pytest.raises(KeyError):
        columns["three"]
    assert dict(columns)["two"].tolist() == [0, 0, 0]


def test_an_event_that_is_on_for_weeks_is_a_lasting_one():
    frame = made(days=100).with_columns(event_later=(pl.col("date").dt.day() < 9).cast(pl.Float64))
    panel = from_table(table(frame))
    assert (panel.kinds["event_fair"], panel.kinds["event_later"]) == ("event", LASTING)
    said = features.names(panel)
    assert "events:event_later" in said and "events:since" in said
    assert "events:since" not in features.names(from_table(table(frame.drop("event_fair")))), "how far away it is says nothing"
    weekly = frame.with_columns(pl.Series("date", np.datetime64("2020-01-06") + 7 * np.tile(np.arange(105), 2)).cast(pl.Date))
    assert from_table(table(weekly)).kinds["event_later"] == "event"
