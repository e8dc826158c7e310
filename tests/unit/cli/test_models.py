"""Commands that learn and ask call the action with what was typed."""

from __future__ import annotations

import inspect
import io
import json
import re
import sys
from dataclasses import replace
from datetime import date

import pytest

from tradewind.actions import _learn
from tradewind.actions import models as actions
from tradewind.cli import models as typed
from tradewind.core.model import Budget
from tradewind.models import recipe


def test_train_passes_everything_on(desk, tradewind_):
    tradewind_(
        "train",
        "demand",
        "--table",
        "panel",
        "--recipe",
        "naive",
        "--recipe",
        "boosted",
        "--param",
        "boosted.leaves=31",
        "--param",
        "boosted.rate=0.1",
        "--param",
        "boosted.fast=true",
        "--param",
        "naive.kind=a",
        "--folds",
        "4",
        "--deadline",
        "9",
        "--seed",
        "5",
        "--search",
        "120",
    )
    name, args, given = desk.calls[0]
    assert (name, args) == ("train", ("demand", "panel"))
    assert given["budget"] == Budget(deadline_s=9, folds=4)
    assert given["params"] == {"boosted": {"leaves": 31, "rate": 0.1, "fast": True}, "naive": {"kind": "a"}}
    assert given["recipes"] == ("naive", "boosted")
    assert given["seed"] == 5
    assert given["search_s"] == 120


def test_train_without_options_takes_the_defaults_of_the_house(desk, tradewind_):
    tradewind_("train", "demand")
    given = desk.calls[0][2]
    assert given["budget"] is None
    assert given["params"] is None
    assert given["recipes"] is None
    assert given["search_s"] == 0


def test_evaluate(desk, tradewind_):
    tradewind_("evaluate", "demand", "--folds", "6", "--horizon", "14")
    name, args, given = desk.calls[0]
    assert (name, args, given["folds"], given["horizon"]) == ("evaluate", ("demand",), 6, 14)


def test_predict_by_horizon(desk, tradewind_):
    tradewind_("predict", "demand", "--horizon", "30", "--where", "product=P1", "--explain", "--key", "shelf-7", "--version", "3")
    assert desk.calls == [
        (
            "predict",
            ("demand", None),
            {
                "horizon": 30,
                "where": {"product": "P1"},
                "explain": True,
                "key": "shelf-7",
                "version": 3,
                "by": None,
                "quantiles": None,
            },
        )
    ]


def test_predict_adds_up_and_gives_quantiles(desk, tradewind_):
    words = ["predict", "demand", "--by", "store", "--by", "category", "--by", "week", "--quantile", "0.1", "--quantile", "0.975"]
    assert tradewind_(*words).status == 0
    given = desk.calls[0][2]
    assert given["by"] == ("store", "category", "week") and given["quantiles"] == (0.1, 0.975)


def test_update_shows_its_steps_and_its_table(desk, tradewind_):
    said = tradewind_("update", "demand")
    assert desk.calls[0][:2] == ("update", ("demand",))
    assert "update demand: search" in said.err and "P1" in said.out


def test_measure_passes_everything_on_and_ends_badly_where_a_check_fails(desk, tradewind_):
    desk.answer = replace(desk.answer, source={"sound": False})
    typed = (
        "measure 2026-03-02 2026-03-15 --treated a --treated b -t outcomes --kpi revenue --by geo --where region=north --since 2025-01-01"
    )
    typed += " --method impact --donor c --channel tv --name spring --spend-change 0.5 --keep --seed 3"
    assert tradewind_(*typed.split()).status == 1
    (name, place, given) = desk.calls[-1]
    assert (name, place) == ("measure", (("a", "b"), "2026-03-02", "2026-03-15"))
    given.pop("progress")
    assert given == {
        "table": "outcomes",
        "kpi": "revenue",
        "by": "geo",
        "where": {"region": "north"},
        "since": "2025-01-01",
        "method": "impact",
        "donors": ("c",),
        "channel": "tv",
        "name": "spring",
        "spend_change": 0.5,
        "keep": True,
        "seed": 3,
    }
    desk.answer = replace(desk.answer, source={"sound": True})
    assert tradewind_("measure", "2026-03-02").status == 0
    assert desk.calls[-1][1] == ((), "2026-03-02", None)


def test_design_passes_everything_on(desk, tradewind_):
    typed = "design --places 2 --length 14 --length 28 --lift 0.05 --only a --never b --power 0.9 --level 80"
    assert tradewind_(*typed.split()).status == 0
    name, place, given = desk.calls[-1]
    assert (name, place) == ("design", (2, (14, 28), 0.05))
    assert (given["only"], given["never"], given["power"], given["level"]) == (("a",), ("b",), 0.9, 80)


def test_effects_of_a_version(desk, tradewind_):
    tradewind_("effects", "demand", "--version", "2")
    assert desk.calls == [("effects", ("demand",), {"version": 2})]


@pytest.mark.parametrize("text", ['[{"product": "P1"}]', '{"rows": [{"product": "P1"}]}'])
def test_predict_takes_json_rows_from_a_file_and_from_stdin(desk, tradewind_, tmp_path, monkeypatch, text):
    file = tmp_path / "asked.json"
    file.write_text(text)
    tradewind_("predict", "demand", "--rows", str(file))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    tradewind_("predict", "demand", "--rows", "-")
    assert [args[1] for _, args, _ in desk.calls] == [[{"product": "P1"}]] * 2


@pytest.mark.parametrize("stdin", [False, True])
def test_predict_understands_a_table_file_as_load_does(desk, tradewind_, tmp_path, monkeypatch, stdin):
    text = "Artikel;Filiale;Datum;Preis;Aktion;Open;Note\nP1;7;01.12.2026;2,50;1;yes;x\nP1;7;02.12.2026;;0;no;y\n"
    file = tmp_path / "asked.csv"
    file.write_text(text)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    tradewind_("predict", "demand", "--rows", "-" if stdin else str(file))
    asked = desk.calls[0][1][1]
    assert asked.columns == ["product", "store", "date", "price", "promotion", "open", "Note"]
    assert asked.rows() == [
        ("P1", "7", date(2026, 12, 1), 2.5, 1.0, 1.0, "x"),
        ("P1", "7", date(2026, 12, 2), None, 0.0, 0.0, "y"),
    ]


def test_predict_understands_headers_of_which_a_part_speaks(desk, tradewind_, tmp_path):
    file = tmp_path / "asked.csv"
    file.write_text("Week starting,Item,Unit price,On promo\n2026-12-07,P1,2.5,1\n")
    tradewind_("predict", "demand", "--rows", str(file))
    assert desk.calls[0][1][1].columns == ["date", "product", "price", "promotion"]


def test_predict_understands_the_headers_of_the_files_that_were_loaded(desk, tradewind_, tmp_path):
    desk.understood = {"WEEK_END": "date", "Code": "product", "DISPLAY": "DISPLAY", "Sold": "units"}
    file = tmp_path / "asked.csv"
    file.write_text("WEEK_END,Code,DISPLAY,Sold\n14-Jan-09,P1,1,\n")
    tradewind_("predict", "demand", "--rows", str(file))
    asked = desk.calls[0][1][1]
    assert asked.columns == ["date", "product", "DISPLAY", "Sold"], "a lever keeps the name under which it was learned"
    assert asked["date"].to_list() == [date(2009, 1, 8)], "the first day of the week, as loaded"


def test_predict_moves_the_ends_of_weeks_as_load_does(desk, tradewind_, tmp_path):
    file = tmp_path / "asked.csv"
    file.write_text("week_ending,product\n2023-01-08,a\n2023-01-15,a\n")
    tradewind_("predict", "demand", "--rows", str(file))
    assert desk.calls[0][1][1]["date"].to_list() == [date(2023, 1, 2), date(2023, 1, 9)]


def test_predict_names_what_is_wrong_with_the_rows(desk, tradewind_, tmp_path):
    broken = tmp_path / "asked.json"
    broken.write_text('[{"product": ')
    assert "not JSON" in tradewind_("predict", "demand", "--rows", str(broken)).err
    assert tradewind_("predict", "demand", "--rows", "gone.csv").status == 5
    assert desk.calls == []


def test_card_of_a_version(desk, tradewind_):
    tradewind_("card", "demand", "--version", "2", "--json")
    assert desk.calls == [("card", ("demand",), {"version": 2})]


def test_the_name_of_a_model_is_the_actions_business(desk, tradewind_):
    said = tradewind_("predict", "a-model-of-tomorrow", "--json")
    assert json.loads(said.out)["source"] == {"table": "sales"}


def test_a_knob_needs_its_recipe(desk, tradewind_):
    said = tradewind_("train", "demand", "--param", "leaves=31")
    assert said.status == 2
    assert "boosted.leaves=31" in said.err
    assert desk.calls == []


def test_the_text_of_a_card_is_the_result(desk, tradewind_):
    said = tradewind_("card", "demand")
    assert (said.out, said.err) == ("two rows\n", "")


def test_the_knobs_that_help_and_hints_name_are_knobs():
    said = [inspect.getsource(module) for module in (_learn, actions, typed)]
    named = {pair for text in said for pair in re.findall(r'"?(boosted)(?:": {"|\.)(\w+)', text)}
    assert named and {knob for _, knob in named} <= {knob.name for knob in recipe("demand", "boosted").knobs}
