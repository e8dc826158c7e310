"""What fails is said with every answer: effects and plans too; and what only follows demand is not planned up."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import pytest

from tradewind import models
from tradewind.core.bundle import join, split
from tradewind.core.model import settle
from tradewind.core.table import Table
from tradewind.models.roi.assemble import assemble
from tradewind.models.run import open_server
from tradewind.planning.spend import plan
from tradewind.training.renew import renew_plain

FAST = models.recipe("roi", "fast")
WEEKS = 120


@cache
def company(*, marked: bool) -> Any:
    """Return what was learned of a company whose brand search is paid in proportion to what is sold anyway."""
    rng = np.random.default_rng(4)
    at = np.arange(WEEKS)
    tv = 15_000 * np.exp(rng.normal(0, 0.5, WEEKS))
    sold = 150_000 * (1 + 0.2 * np.cos(2 * np.pi * at / 52)) * np.exp(0.05 * rng.normal(size=WEEKS)) + 30_000 * tv / (15_000 + tv)
    brand = 0.01 * sold * np.exp(0.03 * rng.normal(size=WEEKS))
    dates = np.datetime64("2023-01-02") + 7 * at
    marketing = {
        "date": np.tile(dates, 2),
        "channel": np.repeat(np.array(["tv", "brand_search"], object), WEEKS),
        "spend": np.concatenate([tv, brand]),
        "responds_to_demand": np.repeat([0.0, float(marked)], WEEKS),
    }
    tables = {"marketing": Table.from_columns(marketing), "outcomes": Table.from_columns({"date": dates, "revenue": sold})}
    return FAST.fit(assemble(tables), settle(FAST.knobs, {"checks": False}), 0)


def planned(state: Any, **wishes: Any) -> tuple[Any, dict[str, float]]:
    made = plan(lambda request: FAST.respond(state, request), wishes)
    return made, dict(zip(made.table.column("channel").tolist(), made.table.column("change").tolist(), strict=True))


def test_a_brand_search_nobody_marked_is_asked_about() -> None:
    state = company(marked=False)
    assert any("brand_search may be paid when people look anyway" in note for note in state.notes)
    assert any("far more than was believed is found for brand_search" in note for note in state.notes)
    assert not any("may be paid" in note or "far more" in note for note in company(marked=True).notes)


def test_effects_and_plans_say_what_answers_say() -> None:
    state = company(marked=False)
    assert FAST.standing(state) == list(state.notes)
    made, _ = planned(state)
    told = [str(fact.value) for fact in made.facts if fact.name == "note"]
    assert told == list(state.notes)
    assert "far more than was believed is found for brand_search" in made.words.replace("Far", "far")


def test_a_worker_tells_the_notes_with_the_effects() -> None:
    state = company(marked=False)
    serve = open_server({"manifest": b'{"model": "roi", "recipe": "fast"}', **FAST.dump(state)})
    said = json.loads(split(serve(join({"head": b'{"do": "effects"}'})))["head"])
    assert said["notes"] == list(state.notes)


@pytest.mark.parametrize("wishes", [{}, {"budget": 300_000.0}, {"limits": {"change": 0.9}}, {"limits": {"phasing": "free"}}])
def test_what_follows_demand_is_not_planned_up(wishes: dict[str, Any]) -> None:
    if wishes.get("limits", {}).get("phasing") != "free":
        made, change = planned(company(marked=True), **wishes)
        level = sum(made.table.column("spend")) / sum(made.table.column("today"))
        assert 1 + change["brand_search"] <= level * (1 + 1e-6)
    else:
        made = planned_free(company(marked=True), wishes)
    assert "brand_search is not given a larger share" in made.words.replace("Brand", "brand")


def planned_free(state: Any, wishes: dict[str, Any]) -> Any:
    made = plan(lambda request: FAST.respond(state, request), wishes)
    mine = made.table.column("channel") == "brand_search"
    assert made.table.column("spend")[mine].sum() <= made.table.column("today")[mine].sum() * (1 + 1e-6)
    return made


def test_who_names_its_limits_may_plan_it_up() -> None:
    today = planned(company(marked=True))[0].table
    now = float(today.column("today")[today.column("channel") == "brand_search"][0])
    made, change = planned(company(marked=True), limits={"channels": {"brand_search": [now, 1.4 * now]}})
    assert change["brand_search"] > 0.1
    assert "larger share" not in made.words


def test_an_update_says_how_each_return_moved() -> None:
    rng = np.random.default_rng(3)
    dates = np.datetime64("2023-01-02") + 7 * np.arange(WEEKS)
    tv = 15_000 * np.exp(rng.normal(0, 0.5, WEEKS))
    sold = 150_000 + 30_000 * tv / (15_000 + tv) + 3_000 * rng.normal(size=WEEKS)
    marketing = Table.from_columns({"date": dates, "channel": np.full(WEEKS, "tv", object), "spend": tv})
    weeks = [
        assemble({"marketing": marketing, "outcomes": Table.from_columns({"date": dates[:known], "revenue": sold[:known]})})
        for known in (WEEKS - 12, WEEKS)
    ]
    before = FAST.dump(FAST.fit(weeks[0], settle(FAST.knobs, {"checks": False}), 0))
    done = renew_plain(FAST, before, weeks[1])
    assert done.table.column("channel").tolist() == ["tv"]
    assert any("after 12 new weeks" in note for note in done.compared["notes"])
