from dataclasses import replace

import numpy as np
import pytest

from tradewind.core.errors import BadValue, EmptyTable, MissingColumn, NotFound
from tradewind.core.table import Table
from tradewind.models._kit.asking import expand, locate
from tradewind.models._kit.calendar import GRAINS, Clock
from tradewind.models._kit.panel import Panel

CUT = 200


def words(*values):
    array = np.empty(len(values), object)
    array[:] = values
    return array


@pytest.fixture
def panel():
    target = np.ones((3, CUT + 10), "f4")
    target[:, CUT:] = np.nan
    target[2, 50:] = np.nan  # ended long ago
    keys = {"product": words("tea", "coffee", "milk"), "store": words("S1", "S1", "S2")}
    price = np.full((3, CUT + 10), 2.0, "f4")
    static = {"brand": np.array([0, 1, 1], "f4")}
    codes, labels = {"brand": ["x", "y"]}, {"brand": words("x", "y", "y"), "maker": words("a", "b", "c")}
    return Panel(Clock(GRAINS["day"]), 19_000, CUT, keys, target, {"price": price}, {"price": "price"}, {}, static, codes, labels)


def day(ahead):
    return np.datetime64(19_000 + CUT + ahead, "D")


def asked(*rows, **more):
    product, store, ahead = zip(*rows, strict=True)
    dates = np.array([day(at) for at in ahead])
    return Table.from_columns({"product": words(*product), "store": words(*store), "date": dates, **more})


def test_questions_are_found_in_their_order(panel):
    where = locate(panel, asked(("coffee", "S1", 3), ("tea", "S1", 0), ("coffee", "S1", 1)))
    assert where.series[where.row].tolist() == [1, 0, 1] and where.ahead.tolist() == [3, 0, 1]


def test_a_period_asked_twice_is_two_plans(panel):
    rows = [("tea", "S1", 0), ("tea", "S1", 1)] * 2
    where = locate(panel, asked(*rows, price=np.array([1.0, 1, 3, 3])))
    assert where.series.tolist() == [0, 0]
    assert where.row[0] == where.row[1] != where.row[2] == where.row[3]


@pytest.mark.parametrize("ahead", [-1, -500])
def test_the_past_is_refused(panel, ahead):
    with pytest.raises(BadValue, match="not in the future"):
        locate(panel, asked(("tea", "S1", ahead)))


def test_too_far_is_refused(panel):
    assert locate(panel, asked(("tea", "S1", 365))).ahead.tolist() == [365]
    with pytest.raises(BadValue, match="horizon of 367 days"):
        locate(panel, asked(("tea", "S1", 366)))


def test_an_unknown_product_comes_with_close_ones(panel):
    with pytest.raises(NotFound, match="'tee'") as caught:
        locate(panel, asked(("tee", "S1", 0)))
    assert "tea" in caught.value.hint


def test_a_pair_that_never_was_is_told_apart_from_an_unknown_name(panel):
    with pytest.raises(NotFound) as caught:
        locate(panel, asked(("milk", "S1", 0)))
    assert "not together" in caught.value.hint


def test_columns_and_dates_are_needed(panel):
    whole = asked(("tea", "S1", 0))
    with pytest.raises(MissingColumn, match="store"):
        locate(panel, whole.select(["product", "date"]))
    with pytest.raises(MissingColumn, match="date"):
        locate(panel, whole.select(["product", "store"]))
    with pytest.raises(BadValue, match="dates"):
        locate(panel, whole.with_columns({"date": np.array(["NaT"], "M8[D]")}))
    with pytest.raises(EmptyTable):
        locate(panel, whole.take(np.array([], int)))


@pytest.mark.parametrize("price", [-1.0, 0.0, np.inf])
def test_a_price_that_is_none_is_refused(panel, price):
    with pytest.raises(BadValue, match="price"):
        locate(panel, asked(("tea", "S1", 0), price=np.array([price])))


def test_a_missing_price_leaves_the_plan_alone_and_strangers_are_named(panel):
    where = locate(panel, asked(("tea", "S1", 0), price=np.array([np.nan]), colour=words("red"), wind=np.array([np.nan])))
    assert not where.plan and where.ignored == ("colour",)


def test_everything_is_every_living_series(panel):
    whole = expand(panel, 7, {})
    assert len(whole) == 14 and set(whole.column("product").tolist()) == {"tea", "coffee"}
    assert whole.column("date").min() == day(0) and whole.column("date").max() == day(6)


def test_where_chooses_by_key_list_and_attribute(panel):
    assert set(expand(panel, 1, {"product": "tea"}).column("product").tolist()) == {"tea"}
    assert len(expand(panel, 1, {"product": ["tea", "coffee"]})) == 2
    assert expand(panel, 1, {"brand": "y"}).column("product").tolist() == ["coffee"]
    assert expand(panel, 1, {"maker": ["a", "b"]}).column("product").tolist() == ["tea", "coffee"], "uncoded, and still a choice"


@pytest.mark.parametrize(
    ("where", "said"), [({"product": "tee"}, "no series has"), ({"colour": "red"}, "have no"), ({"product": "milk"}, "no living")]
)
def test_where_that_fits_nothing_is_refused(panel, where, said):
    with pytest.raises(NotFound, match=said):
        expand(panel, 1, where)


@pytest.mark.parametrize("horizon", [0, -1, 367, 10_000])
def test_a_horizon_that_is_none_is_refused(panel, horizon):
    with pytest.raises(BadValue, match="horizon"):
        expand(panel, horizon, {})


def test_a_number_known_ahead_may_be_negative(panel):
    from dataclasses import replace

    colder = replace(panel, ahead={"wind": panel.ahead["price"] - 9}, kinds={"wind": "number"})
    assert locate(colder, asked(("tea", "S1", 0), wind=np.array([-3.0]))).plan["wind"].tolist() == [-3.0]


def test_rows_point_to_their_series_and_plan_in_whatever_order_they_come(panel):
    rng = np.random.default_rng(0)
    names = [("tea", "S1"), ("coffee", "S1"), ("milk", "S2")]
    whole = [(*name, at) for name in names for at in range(5)]
    for rows in (whole, whole[::-1], whole[10:] + whole[:10], [whole[at] for at in rng.permutation(15)], whole[:7] * 2, whole[3:4]):
        where = locate(panel, asked(*rows))
        assert where.series[where.row].tolist() == [names.index(row[:2]) for row in rows]
        assert where.ahead.tolist() == [row[2] for row in rows]
        assert len(set(zip(where.row.tolist(), where.ahead.tolist(), strict=True))) == len(rows), "a period asked twice is two plans"
        assert set(where.row.tolist()) == set(range(len(where.series)))


def test_texts_become_the_flags_that_were_learned(panel):
    flags = {"holiday_good_day": np.zeros((1, CUT + 10), "f4"), "holiday_easter": np.zeros((1, CUT + 10), "f4")}
    learned = replace(panel, ahead={**panel.ahead, **flags}, kinds={**panel.kinds, **dict.fromkeys(flags, "event")})
    question = asked(("tea", "S1", 0), ("tea", "S1", 1), ("tea", "S1", 2), holiday=words("Good Day", "0", None))
    where = locate(learned, question)
    assert {name: value[:2].tolist() for name, value in where.plan.items()} == {"holiday_good_day": [1, 0], "holiday_easter": [0, 0]}
    assert all(np.isnan(value[2]) for value in where.plan.values()), "who says nothing leaves the known plan alone"
    levers = replace(learned, kinds={**panel.kinds, **dict.fromkeys(flags, "lever")})
    assert locate(levers, question).plan == {}
    assert where.ignored == () and locate(panel, question).ignored == ("holiday",)


def test_a_column_of_holidays_without_any_in_the_question_is_understood(panel):
    """A file of questions in which no holiday falls holds zeros only: these are read as numbers."""
    flags = {"state_holiday_a": "event", "event_easter": "event"}
    known = replace(panel, kinds={**panel.kinds, **flags}, ahead={**panel.ahead, **dict.fromkeys(flags, np.zeros((1, CUT + 10)))})
    found = locate(known, asked(("tea", "S1", 0), ("tea", "S1", 1), StateHoliday=np.array([0, 0]), state_holiday=np.array([0.0, np.nan])))
    np.testing.assert_array_equal(found.plan["state_holiday_a"], [0.0, np.nan])
    assert found.ignored == ("StateHoliday",), "another name"
    assert locate(known, asked(("tea", "S1", 0), event=np.array([1.0]))).ignored == ("event",)


def test_a_text_is_no_plan_of_a_number(panel):
    with pytest.raises(BadValue, match=r'"price" must hold numbers, not "1,000"'):
        locate(panel, asked(("tea", "S1", 0), ("tea", "S1", 1), price=words(None, "1,000")))
    where = locate(panel, asked(("tea", "S1", 0), price=words(None)))
    assert where.plan == {} and where.ignored == (), "who says nothing leaves the known plan alone"


def test_open_is_told_apart_from_levers(panel):
    where = locate(panel, asked(("tea", "S1", 0), ("tea", "S1", 1), open=np.array([0.0, np.nan])))
    assert where.open.tolist()[0] == 0 and np.isnan(where.open[1]) and where.plan == {} and where.ignored == ()
    with pytest.raises(BadValue, match="open"):
        locate(panel, asked(("tea", "S1", 0), open=words("maybe")))
