"""Which recipes a training tries: all on the route, those that were named, and what a named one is made of."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tradewind.actions import job
from tradewind.actions._learn import wanted
from tradewind.core.errors import BadValue
from tradewind.core.table import Table
from tradewind.models import get


def tried(monkeypatch: pytest.MonkeyPatch, named: list[str] | None) -> tuple[list[str], dict[str, str]]:
    route = SimpleNamespace(name="few", why="it has few series", recipes=("naive", "stats", "ensemble"))
    monkeypatch.setattr(job, "part", lambda *_: lambda _: route)
    said: Any = wanted(get("demand"), named, None, 0, None)
    names, _, skipped = job._routed(get("demand"), said, Table.from_columns({"units": np.ones(3)}))
    return names, skipped


def test_the_route_chooses_where_nothing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    names, skipped = tried(monkeypatch, None)
    assert names == ["naive", "stats", "ensemble"] and "few series" in skipped["boosted"]


def test_what_is_named_is_tried_beside_the_baseline_whatever_the_route_says(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tried(monkeypatch, ["boosted"]) == (["naive", "boosted"], {})
    assert tried(monkeypatch, ["boosted", "ensemble"]) == (["naive", "boosted", "ensemble"], {})


def test_what_is_made_of_others_brings_them_along_as_the_route_says(monkeypatch: pytest.MonkeyPatch) -> None:
    names, skipped = tried(monkeypatch, ["ensemble"])
    assert names == ["naive", "stats", "ensemble"] and {"boosted", "lstm"} <= set(skipped)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"stats": {"nope": 1}}, "stats: there is no knob 'nope'"),
        ({"stats": {"blocks": "x"}}, "stats: blocks must be a number"),
        ({"stats": {"blocks": 99}}, "stats: blocks must lie between"),
        ({"nope": {"blocks": 2}}, "demand has no recipe 'nope'"),
        ({"stats": 5}, "params must be knobs by recipe"),
        ([1], "params must be knobs by recipe"),
    ],
)
def test_a_knob_that_cannot_be_turned_is_refused_before_anything_is_learned(params: Any, said: str) -> None:
    """The recipe dropped out with a note, and the baseline was kept as the new version."""
    with pytest.raises(BadValue, match=said):
        wanted(get("demand"), None, params, 0, None)


def test_a_seed_that_is_none_is_refused() -> None:
    for seed in ("x", -1, 1.5, True):
        with pytest.raises(BadValue, match="seed must be a whole number"):
            wanted(get("demand"), None, None, seed, None)  # type: ignore[arg-type]
