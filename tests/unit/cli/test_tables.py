"""Commands for business tables call the action with what was typed."""

from __future__ import annotations

import pytest


def test_load_passes_everything_on(desk, tradewind_):
    said = tradewind_(
        "load",
        "daily.csv",
        "--table",
        "sales",
        "--map",
        "qty=units",
        "--map",
        "sku=product",
        "--wide",
        "QTY_{product}=units",
        "--query",
        "select 1",
        "--sheet",
        "May",
        "--drop-duplicates",
    )
    assert said.status == 0
    name, args, given = desk.calls[0]
    assert (name, args) == ("load", ("daily.csv", "sales"))
    assert given["map"] == {"qty": "units", "sku": "product"}
    assert given["wide"] == ("QTY_{product}=units",)
    assert (given["query"], given["sheet"], given["keep_duplicates"]) == ("select 1", "May", False)


def test_load_leaves_the_guess_to_the_action(desk, tradewind_):
    tradewind_("load", "daily.csv")
    _, args, given = desk.calls[0]
    assert args == ("daily.csv", None)
    assert given["map"] is None
    assert given["wide"] == ()


def test_show_passes_the_choice_on(desk, tradewind_):
    tradewind_(
        "show",
        "sales",
        "--where",
        "product=P1",
        "--where",
        "store=S2",
        "--since",
        "2025-01-01",
        "--until",
        "2025-02-01",
        "--limit",
        "5",
        "--version",
        "2",
    )
    assert desk.calls == [
        (
            "show",
            ("sales",),
            {"where": {"product": "P1", "store": "S2"}, "since": "2025-01-01", "until": "2025-02-01", "limit": 5, "version": 2},
        )
    ]


@pytest.mark.parametrize(
    "words",
    [
        ("show", "sales", "--where", "product"),
        ("show", "sales", "--limit", "0"),
        ("show", "sales", "--limit", "many"),
        ("load",),
        ("load", "a.csv", "--map", "units"),
    ],
)
def test_wrong_typing_is_status_2_and_calls_nothing(desk, tradewind_, words):
    said = tradewind_(*words)
    assert said.status == 2
    assert said.err.startswith("error[TW04")
    assert "hint: " in said.err
    assert desk.calls == []


def test_forget_needs_a_yes(desk, tradewind_):
    assert tradewind_("forget", "C17").status == 2
    assert desk.calls == []
    assert tradewind_("forget", "C17", "--yes").status == 0
    assert desk.calls == [("forget", ("C17",), {})]
