"""What an answer of the media model must say beside its numbers: per what they are, and what was never seen."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest

from tradewind import models
from tradewind.core.catalog import table_schema
from tradewind.core.errors import BadValue
from tradewind.core.model import WHOLE, settle
from tradewind.core.schema import Column, Role
from tradewind.core.table import Table
from tradewind.models.roi import judge
from tradewind.models.roi.assemble import assemble
from tradewind.models.roi.effects import effects, returns, totals
from tradewind.models.roi.example import example
from tradewind.models.roi.fast import RECIPE as FAST
from tradewind.models.roi.media import LONGER, read
from tradewind.models.roi.posterior import log_posterior
from tradewind.models.roi.setup import setup, start
from tradewind.training import score


@cache
def learned() -> Any:
    tables = dict(example(0).tables)
    tables.pop("experiments")
    outcomes = tables["outcomes"]
    price = 1 + 0.1 * np.sin(np.arange(len(outcomes)))
    revenue = outcomes.column("revenue") * price**-1.5
    tables["outcomes"] = outcomes.with_columns({"revenue": revenue, "shelf_price": price}, Column("shelf_price", Role.KNOWN))
    return FAST.fit(assemble(tables), {knob.name: knob.default for knob in FAST.knobs}, 0)


def notes(price: float) -> str:
    date = learned().clock.date(np.array([learned().start + learned().cut]))
    columns = {"channel": np.array([WHOLE], object), "date": date.astype("M8[D]"), "shelf_price": np.array([price])}
    return "; ".join(FAST.notes(learned(), Table.from_columns(columns)))


def test_a_price_that_was_never_seen_is_told() -> None:
    assert "never outside" not in notes(1.05) and "never outside" not in notes(np.nan)
    for strange in (-5.0, 0.5, 2.0):
        assert "shelf_price was never outside of 0.9 to 1.1" in notes(strange)


def test_per_what_spend_and_outcome_are_is_told() -> None:
    assert "spend and revenue per week" in notes(1.0)


def shop(**more: Any) -> dict[str, Table]:
    """Sixty weeks of two channels; `more` are columns of marketing in place of its own."""
    weeks = np.datetime64("2023-01-02") + 7 * np.arange(60)
    rng = np.random.default_rng(1)
    spend = rng.gamma(3, 300, (2, 60))
    revenue = 9000 + 800 * np.sin(np.arange(60) / 8) + 1.5 * spend[0] + 2 * spend[1] + rng.normal(0, 100, 60)
    marketing = {"date": np.tile(weeks, 2), "channel": np.repeat(np.array(["tv", "radio"], object), 60), "spend": spend.ravel()} | more
    return {"outcomes": Table.from_columns({"date": weeks, "revenue": revenue}), "marketing": Table.from_columns(marketing)}


def fit(tables: dict[str, Table], recipe: Any = FAST) -> Any:
    return recipe.fit(assemble(tables), settle(recipe.knobs, {"checks": False} if recipe is FAST else {"trials": 20}), 0)


def spend() -> Any:
    return shop()["marketing"].column("spend").copy()


def test_spend_that_is_not_told_is_taken_as_none_and_said() -> None:
    holed = spend()
    holed[[5, 6]] = np.nan
    assert "channel tv: no spend is told for 2 weeks, taken as none" in fit(shop(spend=holed)).notes
    rows = np.setdiff1d(np.arange(120), [70])
    tables = shop()
    assert "channel radio: no spend is told for 1 week, taken as none" in fit({**tables, "marketing": tables["marketing"].take(rows)}).notes
    flighted = np.concatenate([np.arange(60), 60 + np.arange(0, 60, 4)])
    for marketing in (tables["marketing"], tables["marketing"].take(flighted)):
        assert not any("no spend is told" in note for note in fit({**tables, "marketing": marketing}).notes)


@pytest.mark.parametrize("name", ["total", "Total"])
def test_a_channel_cannot_be_called_as_the_whole(name: str) -> None:
    with pytest.raises(BadValue, match="cannot be a channel") as caught:
        fit(shop(channel=np.repeat(np.array([name, "radio"], object), 60)))
    assert caught.value.hint


def test_channels_that_differ_in_writing_only_are_told() -> None:
    assert any(
        "TV_A and Tv a differ in writing only" in note
        for note in fit(shop(channel=np.repeat(np.array(["TV_A", "Tv a"], object), 60))).notes
    )


def test_media_known_for_longer_than_the_outcome_only_carry_over() -> None:
    tables = shop()
    early = {
        "date": np.datetime64("2023-01-02") - 7 * np.arange(1, 101),
        "channel": np.full(100, "tv", object),
        "spend": np.random.default_rng(2).gamma(3, 300, 100),
    }
    rows = [*tables["marketing"].to_rows(), *Table.from_columns(early).to_rows()]
    longer = fit({**tables, "marketing": Table.from_rows(rows, tables["marketing"].schema)})
    assert longer.cut == 60 + LONGER["week"], "what cannot act where the outcome is known is left out"
    plain = fit(tables)
    np.testing.assert_allclose(totals(longer)[2], totals(plain)[2])
    np.testing.assert_allclose(np.median(returns(longer), 0), np.median(returns(plain), 0), rtol=0.2)
    shares = [
        {row["channel"]: row["effect"] for row in effects(made).to_rows() if row["kind"] == "contribution"} for made in (longer, plain)
    ]
    assert shares[0]["tv"] == pytest.approx(shares[1]["tv"], rel=0.2)


def test_spend_of_another_time_is_no_spend() -> None:
    with pytest.raises(BadValue, match="ever spent") as caught:
        fit(shop(date=np.tile(np.datetime64("2016-01-04") + 7 * np.arange(60), 2)))
    assert "time" in caught.value.hint


def test_the_posterior_is_finite_wherever_a_search_may_step() -> None:
    made = setup(read(assemble(shop())), settle(FAST.knobs, {"carry": "geometric"}))
    theta = np.repeat(start(made.problem)[None], 3, 0)
    theta[0, made.problem.slots["noise"]] = -60.0
    theta[1, made.problem.slots["trend"]] = 60.0
    found = log_posterior(made.problem, theta)
    assert np.isfinite(found).all() or found[1] == -np.inf
    assert found[:2].max() < found[2]


def test_a_ridge_regression_says_what_it_is() -> None:
    tables = shop()
    test = {"name": "t", "channel": "tv", "start": "2023-03-06", "end": "2023-04-30", "lift": 9000.0, "standard_error": 900.0}
    tables["experiments"] = Table.from_rows([test], table_schema("experiments"))
    said = " ".join(fit(tables, models.recipe("roi", "ridge")).notes)
    assert "often far off" in said and "experiments: 1 left out" in said


@pytest.mark.parametrize("folds", [1, 3])
def test_one_stretch_held_out_cannot_say_who_is_clearly_better(folds: int) -> None:
    exams = judge.exams(assemble(shop()), folds=folds, seed=0)
    answers = []
    for off in (0.0, 0.3):
        said = [
            np.where(exam.asked.column("channel") == WHOLE, np.tile(exam.truth.column("outcome"), 3) * (1.01 + off), 0.0) for exam in exams
        ]
        levels = ("mean", "p50", *(f"{side}{level}" for level in (50, 80, 90, 95) for side in ("lo", "hi")))
        answers.append([Table.from_columns(dict.fromkeys(levels, values)) for values in said])
    good, bad = (judge.marks(exams, each) for each in answers)
    saved, error = score.gain(good.loss, bad.loss, good.groups)
    assert saved < 0 and (abs(saved) > 2 * error) == (folds > 1)
