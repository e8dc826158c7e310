"""Sums, quantiles and effects: passed to the worker as asked, checked on the way back, refused where they make no sense."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import numpy as np
import polars as pl
import pytest

from tradewind.actions._ask import _worded
from tradewind.core.errors import BadValue, EmptyTable, NotFound, NotReady, TradewindError
from tradewind.core.table import Table
from tradewind.desk import Desk


def test_sums_have_keys_of_their_own_and_bounds_of_the_sum(served: Desk) -> None:
    answer = served.predict("toy_demand", horizon=7, by=["product"])
    table = answer.table
    assert table is not None and table.column("product").tolist() == ["a", "b"]
    np.testing.assert_allclose(table.column("mean"), [28.0, 84.0])
    np.testing.assert_allclose(table.column("hi80") - table.column("mean"), 1.0), "not the sum of seven bounds"
    assert answer.fact("expected_total") == 112 and answer.fact("note") == "weekly served: it did best"
    assert len(served.predict("toy_demand", horizon=7, by="total").table) == 1


def test_rows_can_be_added_up_too(served: Desk) -> None:
    rows = [{"product": "a", "date": "2024-03-25"}, {"product": "a", "date": "2024-03-26"}, {"product": "b", "date": "2024-03-25"}]
    table = served.predict("toy_demand", rows, by=["product"]).table
    np.testing.assert_allclose(table.column("mean"), [3.0, 3.0])


def test_quantiles_are_columns_beside_the_others(served: Desk) -> None:
    table = served.predict("toy_demand", horizon=2, quantiles=(0.1, 0.5, 0.975)).table
    assert {"p50", "hi95", "q10", "q50", "q97.5"} <= set(table.names)
    np.testing.assert_allclose(table.column("q97.5") - table.column("p50"), 0.475)


def test_a_kept_answer_is_given_to_the_same_question_only(served: Desk) -> None:
    plain = served.predict("toy_demand", horizon=7)
    assert served.predict("toy_demand", horizon=7, by=["product"]).table.names != plain.table.names
    assert "q10" in served.predict("toy_demand", horizon=7, quantiles=[0.1]).table
    assert "q10" not in served.predict("toy_demand", horizon=7).table
    assert served.predict("toy_demand", horizon=7, by=["product"]) is served.predict("toy_demand", horizon=7, by=["product"])


@pytest.mark.parametrize(
    "given",
    [
        {"by": ["week", "month"]},
        {"by": ["product", "product"]},
        {"by": ["total", "product"]},
        {"by": [""]},
        {"by": ["product"], "explain": True},
        {"by": ["product"], "quantiles": [0.1]},
        {"quantiles": [0.0]},
        {"quantiles": [1]},
        {"quantiles": [0.1, 0.1]},
        {"quantiles": [float("nan")]},
        {"quantiles": ["many"]},
        {"quantiles": list(np.linspace(0.001, 0.999, 100))},
        {"quantiles": object()},
        {"where": "product"},
        {"where": ["product"]},
        {"by": 5},
    ],
)
def test_what_cannot_be_asked_is_refused_with_a_hint(served: Desk, given: dict[str, Any]) -> None:
    with pytest.raises(BadValue) as caught:
        served.predict("toy_demand", horizon=7, **given)
    assert caught.value.hint


def test_no_row_is_no_question(served: Desk) -> None:
    for nothing in ([], ()):
        with pytest.raises(EmptyTable, match="nothing is asked") as told:
            served.predict("toy_demand", nothing)
        assert "product" in told.value.hint


def test_what_the_recipe_does_not_know_is_its_word(served: Desk) -> None:
    with pytest.raises(NotFound, match="colour"):
        served.predict("toy_demand", horizon=7, by=["colour"])


@pytest.mark.parametrize(("given", "words"), [({"by": ["product"]}, "sums"), ({"quantiles": [0.1]}, "quantiles")])
def test_a_recipe_without_the_capability_says_so(served: Desk, given: dict[str, Any], words: str) -> None:
    served.train("toy_demand", recipes=["flat"])
    with pytest.raises(BadValue, match=f"flat cannot.*{words}") as caught:
        served.predict("toy_demand", horizon=7, version=2, **given)
    assert "without" in caught.value.hint


def test_effects_are_one_row_per_key_and_lever(served: Desk) -> None:
    answer = served.effects("toy_demand")
    table = answer.table
    assert table is not None and table.names == ("product", "lever", "kind", "effect", "lo80", "hi80", "lo95", "hi95")
    assert answer.fact("levers") == "price" and answer.source["version"] == 1
    assert served.effects("toy_demand") is answer, "one version says one thing"


def test_effects_of_nothing(served: Desk, desk: Desk) -> None:
    served.train("toy_demand", recipes=["flat"])
    with pytest.raises(BadValue, match="flat cannot say what the levers do"):
        served.effects("toy_demand", version=2)
    with pytest.raises(NotFound):
        served.effects("toy_demand", version=9)
    with pytest.raises(NotReady):
        served.effects("demand")


def test_the_whole_is_not_added_to_its_parts() -> None:
    table = Table.from_columns({"channel": np.array(["tv", "total", "tv", "total"], object), "mean": np.array([1.0, 10.0, 2.0, 20.0])})
    said = {"recipe": "fast", "notes": []}
    assert _worded(table, said, {"model": "roi", "version": 1, "recipe": "fast"}).fact("expected_total") == 30.0
    parts = table.take(np.array([0, 2]))
    assert _worded(parts, said, {"model": "roi", "version": 1, "recipe": "fast"}).fact("expected_total") == 3.0


@pytest.mark.parametrize("act", ["predict", "promote", "verify", "split", "import_", "rollback", "effects"])
def test_a_model_there_is_not_is_told_as_one(served: Desk, act: str) -> None:
    more = {"split": (1, 0.5), "import_": ("away",)}.get(act, ())
    with pytest.raises(NotFound, match="there is no model 'nope'"):
        getattr(served, act)("nope", *more)
    assert not served.cached("nope", horizon=3, where={})


def test_rows_are_read_as_notebooks_write_them(served: Desk) -> None:
    plain = served.predict("toy_demand", [{"product": "a", "date": "2024-03-25"}]).table.to_rows()
    for date in (np.datetime64("2024-03-25"), dt.date(2024, 3, 25), dt.datetime(2024, 3, 25)):
        assert served.predict("toy_demand", [{"product": "a", "date": date}]).table.to_rows() == plain
    texts = pl.DataFrame({"product": ["a"], "date": ["2024-03-25"]})
    assert served.predict("toy_demand", texts).table.to_rows() == plain
    assert served.predict("toy_demand", texts.to_pandas()).table.to_rows() == plain
    numbers = [{"product": "a", "date": "2024-03-25", "price": price} for price in (np.float32(2), np.int64(2), np.bool_(True))]
    assert len(served.predict("toy_demand", numbers).table) == 3
    assert served.predict("toy_demand", horizon=np.int64(7)).table.to_rows() == served.predict("toy_demand", horizon=7).table.to_rows()
    assert len(served.predict("toy_demand", horizon=7, where={"product": np.str_("a")}).table) == 7


@pytest.mark.parametrize(
    ("asked", "more", "said"),
    [
        (pl.DataFrame({"product": ["a"], "date": ["25.3.2024"]}), {}, "/rows/0/date: must be a date as in"),
        ([{"product": "a", "date": "2024-03-25", "price": 1e300}], {}, 'column "price" holds a number beyond 1e\\+18'),
        ([{"product": "a", "date": "2024-03-25"}], {"horizon": 7}, "rows cannot be joined with horizon or where"),
        ([{"product": "a", "date": "2024-03-25"}], {"where": {"product": "a"}}, "rows cannot be joined with horizon or where"),
        (None, {"where": {"product": object}}, "where cannot be by"),
        (None, {"version": "1"}, "toy_demand has no version '1'"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_the_reason(served: Desk, asked: Any, more: dict[str, Any], said: str) -> None:
    with pytest.raises(TradewindError, match=said):
        served.predict("toy_demand", asked, **more)


def test_the_headers_of_loaded_files_are_remembered(desk: Desk) -> None:
    names = ("Day ending", "Code", "Article", "Sold", "FEATURE", "Paid", "never seen")
    assert desk.headers(("sales", "prices"), names) == {}
    first = pl.DataFrame(
        {"Day ending": ["2024-01-01", "2024-01-02"], "Code": ["a", "a"], "Sold": [1, 2], "FEATURE": [0, 1], "Paid": [2.0, 3.0]}
    )
    desk.load(first, table="sales", map={"Code": "product", "Day ending": "date", "Sold": "units"})
    desk.load(
        first.rename({"Code": "Article"}).drop("Sold"), table="prices", map={"Day ending": "date", "Paid": "price", "FEATURE": "sign"}
    )
    found = desk.headers(("sales", "prices"), names)
    assert "never seen" not in found
    assert (found["Day ending"], found["Code"], found["Article"]) == ("date", "product", "product")
    assert (found["FEATURE"], found["Paid"]) == ("FEATURE", "Paid"), "the first table decides"


def test_the_ledger_names_no_customer_of_a_file_without_headers(desk: Desk) -> None:
    file = b"anna@example.com,Anna Smith\nbo@example.com,Bo Lund\n"
    desk.load(pl.read_csv(file), table="customers", map={"anna@example.com": "customer"})
    assert desk.headers(("customers",), ["anna@example.com"]) == {"anna@example.com": "customer"}
    assert not any("Anna" in json.dumps(event.body) or "anna" in json.dumps(event.body) for event in desk.ledger.read())
