"""Several places in one media model: what moves them together, and columns that only tell places apart."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tradewind import models
from tradewind.core.errors import BadValue
from tradewind.core.model import settle
from tradewind.core.table import Table
from tradewind.models.roi import paths, setup
from tradewind.models.roi.assemble import assemble
from tradewind.models.roi.media import read

GEOS, WEEKS, NAMES = 3, 60, ("tv", "radio")
DATES = np.datetime64("2024-01-01") + 7 * np.arange(WEEKS)
PARAMS = settle(models.recipe("roi", "exact").knobs, {"carry": "geometric"})


def places(shock: float = 0.1, **more: Any) -> dict[str, Table]:
    rng = np.random.default_rng(4)
    common = rng.normal(0, shock, WEEKS)
    spend = rng.uniform(5e3, 3e4, (GEOS, len(NAMES), WEEKS))
    sales = 1e5 * np.arange(1, GEOS + 1)[:, None] * (1 + common + rng.normal(0, 0.02, (GEOS, WEEKS))) + 2.0 * spend.sum(1)
    geo = np.repeat(np.array(["a", "b", "c"], object), WEEKS)
    outcomes = {"date": np.tile(DATES, GEOS), "geo": geo, "revenue": sales.ravel()}
    outcomes |= {name: np.asarray(value(spend)).ravel() for name, value in more.items()}
    media = {
        "date": np.tile(DATES, GEOS * len(NAMES)),
        "geo": np.repeat(np.array(["a", "b", "c"], object), WEEKS * len(NAMES)),
        "channel": np.tile(np.repeat(np.array(NAMES, object), WEEKS), GEOS),
        "spend": spend.ravel(),
    }
    return {"marketing": Table.from_columns(media), "outcomes": Table.from_columns(outcomes)}


def test_what_is_not_known_of_the_sum_holds_the_shocks_once_for_all() -> None:
    shares = {}
    for shock in (0.0, 0.1):
        made = setup.setup(read(assemble(places(shock))), PARAMS)
        at = np.repeat(setup.start(made.problem)[None], 300, 0)
        at[:, made.problem.slots["noise"]] = np.log(0.1)
        learned = setup.learned(made, at, (at[0], np.eye(at.shape[1])), 0, recipe="exact")
        shares[shock] = float((learned.shock**2 / (learned.noise**2 + learned.shock**2)).mean())
    assert shares[0.0] < 0.1 < 0.3 < shares[0.1] < 0.99
    learned = replace(learned, noise=np.full_like(learned.noise, 0.02) * made.level, shock=np.full_like(learned.shock, 0.1) * made.level)
    drawn = paths.noise(learned, slice(WEEKS, WEEKS + 50))
    level = made.level
    np.testing.assert_allclose(drawn.std((0, 2)), np.hypot(0.02, 0.1) * level, rtol=0.1)
    np.testing.assert_allclose(drawn.sum(1).std(), np.hypot(0.02 * np.sqrt((level**2).sum()), 0.1 * level.sum()), rtol=0.1)
    before = paths.noise(replace(learned, shock=0.0 * learned.shock), slice(WEEKS, WEEKS + 50))
    assert before.sum(1).std() < 0.3 * drawn.sum(1).std()


def test_a_column_that_only_tells_places_apart_is_no_control() -> None:
    tables = places(population=lambda _: np.repeat([1e6, 2e6, 5e6], WEEKS), weather=lambda _: np.random.default_rng(1).normal(size=180))
    media = read(assemble(tables))
    assert media.controls == ("weather",)
    assert any("population" in note for note in media.notes)


def test_a_control_that_rests_in_one_place_says_nothing_there() -> None:
    values = np.random.default_rng(1).normal(size=(GEOS, WEEKS))
    values[1] = 7e5
    made = setup.setup(read(assemble(places(tourists=lambda _: values))), PARAMS)
    assert (made.problem.base[1, :, -1] == 0).all()
    assert made.problem.base[0, :, -1].std() == pytest.approx(0.3)


def test_spend_that_stands_in_the_outcomes_too_is_no_control() -> None:
    tables = places(tv_spend=lambda spend: spend[:, 0], radio_cents=lambda spend: 100 * spend[:, 1], wind=lambda spend: spend[:, 0] ** 0.5)
    assert read(assemble(tables)).controls == ("wind",)


def test_what_a_competitor_sells_is_a_control_and_what_is_sold_here_none() -> None:
    noise = np.random.default_rng(1).normal(size=180)
    tables = places(competitor_sales=lambda _: noise, online_sales=lambda _: noise**2)
    assert read(assemble(tables)).controls == ("competitor_sales",)


def test_spend_where_no_outcome_is_known_is_refused_by_name() -> None:
    tables = places()
    geo = tables["marketing"].column("geo").astype(object)
    first = sorted(set(geo.tolist()))[0]
    for other, said in (("nowhere", "nowhere"), (None, "rows without a geo")):
        moved = np.where(geo == first, other, geo)
        with pytest.raises(BadValue, match=said) as caught:
            assemble({**tables, "marketing": tables["marketing"].with_columns({"geo": moved})})
        assert first in caught.value.hint


def test_a_geo_that_has_not_begun_is_left_out() -> None:
    made = assemble(places())
    first = sorted(set(made.column("geo").tolist()))[0]
    late = np.where(made.column("geo") == first, np.nan, made.column("outcome").astype("f8"))
    assert first not in read(made.with_columns({"outcome": late})).geos
