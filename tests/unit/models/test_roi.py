"""What roi answers, on the example whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from tradewind import models
from tradewind.core.errors import BadValue, LearnFailed, MissingColumn, NotFound
from tradewind.core.model import WHOLE, settle
from tradewind.core.schema import Column, Role
from tradewind.core.table import Table
from tradewind.models.roi import answer, exact, judge
from tradewind.models.roi.assemble import assemble
from tradewind.models.roi.beliefs import spoken
from tradewind.models.roi.effects import returns
from tradewind.models.roi.example import WEEKS, example
from tradewind.models.roi.health import gate
from tradewind.models.roi.hmc import settled, walk
from tradewind.models.roi.laplace import smooth
from tradewind.models.roi.media import read
from tradewind.models.roi.recipe import MediaRecipe
from tradewind.planning.spend import plan

FAST = models.recipe("roi", "fast")


def fitted(tables: dict[str, Table], **params: Any) -> Any:
    return FAST.fit(assemble(tables), settle(FAST.knobs, {"checks": False, **params}), 0)


@cache
def shop() -> dict[str, Table]:
    return dict(example(3).tables)


@cache
def state() -> Any:
    return fitted(shop())


def rows(*given: dict[str, Any]) -> Table:
    return Table.from_rows(list(given), models.get("roi").asks)


def test_the_return_of_a_week_is_what_its_spend_brings_in_all_weeks() -> None:
    date = str(state().clock.date(np.array([state().start + 60]))[0])
    said = FAST.predict(state(), rows({"channel": "tv", "date": date}))
    weeks = state().clock.date(state().start + np.arange(60, 60 + state().lags))

    def brought(spend: float | None) -> float:
        asked = [{"channel": "tv", "date": str(week), "spend": spend if at == 0 else None} for at, week in enumerate(weeks)]
        return float(FAST.predict(state(), rows(*asked)).column("mean").sum())

    spent = float(said.column("spend")[0])
    with_, without = brought(spent), brought(0.0)
    draws = np.array([float(said.column(name)[0]) for name in ("roi_lo90", "roi", "roi_hi90")])
    assert draws[0] < (with_ - without) / spent < draws[2]
    assert (with_ - without) / spent == pytest.approx(draws[1], rel=0.1)  # a mean beside a median
    step = brought(spent * 1.001) - brought(spent)
    assert step / (0.001 * spent) == pytest.approx(float(said.column("marginal_roi")[0]), rel=0.1)


def test_past_weeks_add_up_to_the_stated_return() -> None:
    dates = state().clock.date(state().start + np.arange(WEEKS))
    asked = Table.from_columns({"channel": np.full(WEEKS, "search", object), "date": dates})
    said = FAST.predict(state(), asked)
    at = state().channels.index("search")
    assert said.column("mean").sum() / said.column("spend").sum() == pytest.approx(returns(state())[:, at].mean(), rel=1e-6)


def test_a_curve_rises_and_flattens() -> None:
    spends = [1000.0, 10_000.0, 40_000.0, 160_000.0]
    said = FAST.predict(state(), rows(*({"channel": "search", "spend": spend} for spend in spends)))
    assert (np.diff(said.column("mean")) > 0).all()
    assert said.column("marginal_roi")[-1] < said.column("marginal_roi")[1]
    assert said.column("beyond")[-1] > 1
    assert any("extrapolated: search" in note for note in FAST.notes(state(), rows({"channel": "search", "spend": 160_000.0})))


def test_no_spend_returns_the_first_unit() -> None:
    said = FAST.predict(state(), rows({"channel": "tv", "spend": 0.0}))
    assert said.column("mean")[0] == pytest.approx(0.0, abs=1.0)
    assert said.column("roi")[0] == said.column("marginal_roi")[0] > 0


def test_the_baseline_of_a_plan_is_what_the_model_answers() -> None:
    asked = FAST.expand(state(), 13, {})
    asked = asked.take(asked.column("channel") != WHOLE)
    answered = FAST.predict(state(), asked)
    made = plan(lambda request: FAST.respond(state(), request), {"limits": {"periods": 13}})
    facts = {fact.name: fact.value for fact in made.facts}
    assert facts["outcome_today"] == pytest.approx(answered.column("mean").sum(), rel=1e-9)
    by = {name: answered.column("mean")[asked.column("channel") == name].sum() for name in state().channels}
    np.testing.assert_allclose(made.table.column("outcome_today"), [by[name] for name in state().channels], rtol=1e-9)
    spend = rows(*({"channel": name, "date": date, "spend": value} for name, date, value in _planned(made, asked)))
    again = FAST.predict(state(), spend)
    assert facts["outcome"] == pytest.approx(again.column("mean").sum(), rel=1e-6)


def _planned(made: Any, asked: Table) -> list[tuple[str, str, float]]:
    """Return the plan by week: each channel's planned money lies over the weeks as its money of today does."""
    today = FAST.predict(state(), asked).column("spend")
    out = []
    for name, total, was in zip(*(made.table.column(one).tolist() for one in ("channel", "spend", "today")), strict=True):
        mine = asked.column("channel") == name
        out += [(name, str(date), spend * total / was) for date, spend in zip(asked.column("date")[mine], today[mine], strict=True)]
    return out


def test_slopes_given_to_the_planner_are_those_of_the_outcome() -> None:
    usual = FAST.respond(state(), {"about": "usual", "periods": 5})["spend"]
    base = FAST.respond(state(), {"about": "spend", "spend": usual})
    step = usual.copy()
    week = int(np.argmax(usual[:, 2]))
    step[week, 2] *= 1.0001
    more = FAST.respond(state(), {"about": "spend", "spend": step})
    found = (more["outcome"] + more["after"] - base["outcome"] - base["after"]) / (step[week, 2] - usual[week, 2])
    np.testing.assert_allclose(found, base["slope"][:, week, 2], rtol=1e-2)


def test_a_lift_test_narrows_and_moves_the_return() -> None:
    tables = shop()
    tests = tables["experiments"].frame
    more = tests.vstack(
        tests.head(1).with_columns(name=_lit("radio test"), channel=_lit("radio"), lift=_lit(1000.0), standard_error=_lit(3000.0))
    )
    tested = fitted({**tables, "experiments": Table.from_frame(more, tables["experiments"].schema)})
    at = state().channels.index("radio")
    before, after = returns(state())[:, at], returns(tested)[:, at]
    assert np.median(after) < np.median(before)
    assert np.ptp(np.quantile(after, [0.1, 0.9])) < np.ptp(np.quantile(before, [0.1, 0.9]))


def _lit(value: Any) -> Any:
    import polars as pl

    return pl.lit(value)


def test_a_negative_lift_is_taken_and_pulls_down() -> None:
    tables = shop()
    tests = tables["experiments"].frame.head(1).with_columns(lift=_lit(-5000.0), standard_error=_lit(2000.0))
    tested = fitted({**tables, "experiments": Table.from_frame(tests, tables["experiments"].schema)})
    at = state().channels.index("tv")
    assert np.median(returns(tested)[:, at]) < 0.5 * np.median(returns(state())[:, at])


def test_an_update_moves_on_and_says_what_changed() -> None:
    tables = shop()
    early = {**tables, "outcomes": tables["outcomes"].take(np.arange(WEEKS - 12))}
    before = fitted(early)
    after = FAST.update(FAST.load(FAST.dump(before)), assemble(tables))
    assert after.cut == before.cut + 12
    assert len(after.changed) == 3 and "12 new weeks" in after.changed[0]
    moved = np.abs(np.median(returns(after), 0) / np.median(returns(before), 0) - 1)
    assert moved.mean() < 0.15
    with pytest.raises(BadValue, match="does not hold the history"):
        FAST.update(after, assemble(early))


def test_a_price_of_the_future_moves_the_whole_outcome_only() -> None:
    tables = shop()
    price = 1 + 0.1 * np.sin(np.arange(WEEKS))
    revenue = tables["outcomes"].column("revenue") * price**-1.5
    outcomes = tables["outcomes"].with_columns({"revenue": revenue, "shelf_price": price}, Column("shelf_price", Role.KNOWN))
    learned = fitted({**tables, "outcomes": outcomes})
    date = str(learned.clock.date(np.array([learned.start + learned.cut]))[0])
    asked = Table.from_columns(
        {
            "channel": np.array([WHOLE, "tv"], object),
            "date": np.array([date, date], "M8[D]"),
            "shelf_price": np.array([1.1, np.nan]),
        }
    )
    plain = FAST.predict(learned, asked.select(["channel", "date"]))
    dear = FAST.predict(learned, asked)
    assert dear.column("mean")[0] < 0.92 * plain.column("mean")[0]
    assert dear.column("mean")[1] == plain.column("mean")[1]


def test_parts_of_the_outcome_are_no_controls() -> None:
    tables = shop()
    revenue = tables["outcomes"].column("revenue")
    rng = np.random.default_rng(0)
    more = {"revenue_online": revenue * 0.5, "sneaky": revenue * (1 + 0.001 * rng.normal(size=WEEKS)), "weather": rng.normal(size=WEEKS)}
    learned = fitted({**tables, "outcomes": tables["outcomes"].with_columns(more)})
    assert learned.controls == ("weather",)
    assert any("sneaky moves almost exactly" in note for note in learned.notes)


def test_what_responds_to_demand_is_told_and_believed_less() -> None:
    tables = shop()
    flag = (tables["marketing"].column("channel") == "search").astype(float)
    learned = fitted({**tables, "marketing": tables["marketing"].with_columns({"responds_to_demand": flag})})
    at = learned.channels.index("search")
    assert any("search responds to demand" in note for note in learned.notes)
    assert learned.centre[at] == pytest.approx(state().centre[at] - np.log(2))


def test_a_belief_in_words_is_taken() -> None:
    tables = shop()
    said = np.where(tables["marketing"].column("channel") == "radio", "0.1 to 0.2", None).astype(object)
    learned = fitted({**tables, "marketing": tables["marketing"].with_columns({"belief": said})})
    assert np.median(returns(learned)[:, learned.channels.index("radio")]) < 0.5 * np.median(
        returns(state())[:, state().channels.index("radio")]
    )
    assert spoken("about 2", "tv") == (1.0, 4.0)
    with pytest.raises(BadValue, match="cannot be read"):
        spoken("high", "tv")


def test_an_outcome_that_is_not_money_is_told_in_its_own_unit() -> None:
    tables = shop()
    orders = Table.from_columns({"date": tables["outcomes"].column("date"), "conversions": tables["outcomes"].column("revenue") / 50})
    plain = {**tables, "outcomes": orders}
    plain.pop("experiments")
    learned = fitted(plain)
    assert learned.unit == "conversions"
    assert any("worth is not known" in note for note in learned.notes)
    assert np.ptp(learned.centre) == 0 and np.ptp(learned.money.sum((0, 1))) > 0  # as much per money, whatever was spent
    brought = np.exp(learned.centre) @ learned.money[:, : learned.cut].sum((0, 1))
    assert brought == pytest.approx(0.25 * orders.column("conversions").sum())
    worth = fitted(plain, worth=50.0)
    assert worth.unit == "money"
    assert np.median(returns(worth), 0).mean() == pytest.approx(np.median(returns(learned), 0).mean() * 50, rel=0.5)


@pytest.mark.parametrize(("carry", "curve", "basis"), [("delayed", "hill", "return"), ("weibull", "logistic", "marginal")])
def test_other_curves_learn_as_well(carry: str, curve: str, basis: str) -> None:
    learned = fitted(shop(), carry=carry, curve=curve, basis=basis)
    assert learned.health["explained"] > 0.9
    np.testing.assert_allclose(learned.weights.sum(2), 1.0, rtol=1e-5)


def test_geos_without_the_sampler_are_added_up_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "installed", lambda: False)
    tables = shop()
    halves = {}
    for name, value in (("marketing", "spend"), ("outcomes", "revenue")):
        table = tables[name]
        count = len(table)
        columns = {one: np.tile(table.column(one), 2) for one in table.names}
        columns[value] = columns[value] * 0.5
        halves[name] = Table.from_columns(columns | {"geo": np.repeat(np.array(["n", "s"], object), count)}, table.schema)
    learned = fitted({**tables, **halves})
    assert learned.geos == ("",)
    assert any("the extra [bayes] is not installed" in note for note in learned.notes)
    np.testing.assert_allclose(np.median(returns(learned), 0), np.median(returns(state()), 0), rtol=0.1)


def test_weights_that_cannot_be_trusted_are_known_by_their_tail() -> None:
    rng = np.random.default_rng(1)
    assert smooth(rng.normal(0, 0.5, 4000))[1] < 0.7
    assert smooth(4 * rng.standard_exponential(4000))[1] > 0.7


def test_the_walk_finds_a_normal_distribution() -> None:
    spread = np.array([[1.0, 0.8], [0.8, 2.0]])
    inverse = np.linalg.inv(spread)
    done = walk(lambda x: (-0.5 * ((x @ inverse) * x).sum(1), -(x @ inverse)), np.zeros(2), np.eye(2), 0, steps=400, chains=4)
    ratio, worth = settled(done.theta)
    assert ratio < 1.02 and worth > 300 and done.divergences == 0
    np.testing.assert_allclose(np.cov(done.theta.reshape(-1, 2).T), spread, atol=0.25)


def test_exams_hold_out_the_last_weeks_only() -> None:
    held = judge.exams(assemble(shop()), folds=3, seed=0)
    assert len(held) == 3
    for exam in held:
        known = exam.seen.column("date")[np.isfinite(exam.seen.column("outcome"))]
        assert known.max() < exam.truth.column("date").min()
        assert len(exam.asked) == 4 * len(exam.truth)


def test_answers_refuse_what_makes_no_sense() -> None:
    for asked, error in (
        (rows({"channel": "cinema"}), NotFound),
        (rows({"channel": "tv", "date": "1999-01-04"}), BadValue),
        (rows({"channel": "tv", "date": "2050-01-03"}), BadValue),
        (rows({"channel": "tv", "geo": "north"}), NotFound),
        (rows({"channel": "tv", "date": "2024-01-01", "spend": 1.0}, {"channel": "tv", "date": "2024-01-01", "spend": 2.0}), BadValue),
        (Table.from_columns({"spend": np.array([1.0])}), MissingColumn),
        (Table.from_columns({"channel": np.array(["tv"], object), "spend": np.array([-1.0])}), BadValue),
    ):
        with pytest.raises(error):
            answer.predict(state(), asked)


def _with(name: str, column: str, values: Any) -> dict[str, Table]:
    tables = dict(shop())
    tables.pop("experiments")
    tables[name] = tables[name].with_columns({column: values})
    return tables


def test_bad_tables_are_refused_with_a_hint() -> None:
    spend, revenue = shop()["marketing"].column("spend"), shop()["outcomes"].column("revenue")
    few = dict(shop())
    few["outcomes"] = few["outcomes"].take(np.arange(1))
    for tables, error in (
        (_with("marketing", "spend", np.zeros_like(spend)), BadValue),
        (_with("marketing", "spend", np.where(np.arange(len(spend)) == 5, -1.0, spend)), BadValue),
        (_with("outcomes", "revenue", np.full_like(revenue, 7.0)), BadValue),
        (_with("outcomes", "revenue", np.full_like(revenue, np.nan)), LearnFailed),
        (_with("outcomes", "price", np.where(np.arange(len(revenue)) == 5, -1.0, 1.0 + 0.1 * np.sin(np.arange(len(revenue))))), BadValue),
        (few, LearnFailed),
        ({"outcomes": shop()["outcomes"]}, MissingColumn),
    ):
        with pytest.raises(error) as caught:
            fitted(tables)
        assert caught.value.hint or "price" in caught.value.message or "negative" in caught.value.message


def test_repairs_are_told() -> None:
    tables = dict(shop())
    outcomes = tables["outcomes"]
    revenue = outcomes.column("revenue").copy()
    revenue[20] = np.nan
    kept = np.setdiff1d(np.arange(WEEKS), [40, 41])
    twice = np.concatenate([kept, [60]])
    tables["outcomes"] = outcomes.with_columns({"revenue": revenue}).take(twice)
    learned = fitted(tables)
    said = " ".join(learned.notes)
    assert "1 periods came more than once" in said
    assert "3 periods have no outcome" in said
    assert learned.cut == WEEKS


@pytest.mark.parametrize("column", ["outcome", "spend_tv"])
def test_a_figure_that_dwarfs_all_others_is_told(column: str) -> None:
    table = assemble(shop())
    media = read(table)
    assert not any("slip" in note for note in gate(media))
    columns = {name: np.array(table.column(name)) for name in table.names}
    columns[column][40] *= 1e6
    told = [note for note in gate(read(Table.from_columns(columns, table.schema))) if "slip" in note]
    assert len(told) == 1 and str(columns["date"][40])[:10] in told[0], told


def test_a_silent_channel_is_left_out_and_told() -> None:
    tables = dict(shop())
    silent = np.where(tables["marketing"].column("channel") == "radio", 0.0, tables["marketing"].column("spend"))
    learned = fitted(_with("marketing", "spend", silent))
    assert learned.channels == ("search", "tv")
    assert any("radio never spent" in note for note in learned.notes)


def test_days_of_a_year_become_whole_weeks() -> None:
    tables = dict(shop())
    days = {}
    for name, value in (("marketing", "spend"), ("outcomes", "revenue")):
        table = tables[name]
        columns = {one: np.repeat(table.column(one), 7) for one in table.names}
        columns["date"] = columns["date"] + np.tile(np.arange(7), len(table))
        columns[value] = columns[value] / 7
        days[name] = Table.from_columns(columns, table.schema)
    learned = fitted({**tables, **days})
    assert learned.clock.grain.name == "week"
    np.testing.assert_allclose(np.median(returns(learned), 0), np.median(returns(state()), 0), rtol=0.05)


def test_two_channels_planned_together_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "installed", lambda: False)
    tables = dict(shop())
    tables.pop("experiments")
    marketing = tables["marketing"]
    tv = marketing.take(marketing.column("channel") == "tv")
    twin = tv.with_columns({"channel": np.full(len(tv), "twin", object), "spend": tv.column("spend") * 0.5})
    both = {name: np.concatenate([marketing.column(name), twin.column(name)]) for name in marketing.names}
    learned = fitted({**tables, "marketing": Table.from_columns(both, marketing.schema)})
    assert any("can hardly be told apart: tv, twin" in note for note in learned.notes)
    assert replace(learned, notes=()).notes == ()


def test_a_window_that_cuts_weeks_counts_their_part() -> None:
    tables = dict(shop())
    tests = tables["experiments"].frame.head(1).with_columns(start=_lit(np.datetime64("2023-12-21")), end=_lit(np.datetime64("2024-01-03")))
    media = read(assemble({**tables, "experiments": Table.from_frame(tests, tables["experiments"].schema)}))
    assert media.tests[0].inside == (4 / 7, 1.0, 3 / 7)  # Thursday to Wednesday over weeks that start on Monday


def test_chains_that_differ_are_lengthened_and_what_is_left_is_said() -> None:
    pytest.importorskip("jax", reason="the extra [bayes] is not installed")
    one = models.recipe("roi", "exact")
    learned = one.fit(assemble(shop()), settle(one.knobs, {"steps": 20}), 3)
    assert learned.health["draws"] == 40 * exact.CHAINS  # twenty, and twenty more
    assert learned.health["r_hat"] > exact.SETTLED and any("did not settle" in note for note in learned.notes)


def test_what_learns_and_moves_on_has_one_thread_for_its_products():
    seen = []

    def learner(*given: Any) -> Any:
        seen.extend(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")
        return given[3]

    made = MediaRecipe("counted", (), learner)
    with threadpool_limits(2, user_api="blas"):
        made.fit(Table.from_columns({"x": np.zeros(1)}), {}, 0)
        alone = len(seen)
        made.update(SimpleNamespace(params={}), Table.from_columns({"x": np.zeros(1)}))
    assert 0 < alone < len(seen) and set(seen) == {1}


def test_a_channel_that_spent_nothing_so_far_is_not_examined() -> None:
    channel, spend = (shop()["marketing"].column(name) for name in ("channel", "spend"))
    newest = np.unique(shop()["outcomes"].column("date"))[-20]
    never = np.where(channel == "radio", 0.0, spend)
    late = np.where((channel == "radio") & (shop()["marketing"].column("date") < newest), 0.0, spend)
    ridge = models.recipe("roi", "ridge")
    for spent, counts in ((never, [3, 3, 3]), (late, [3, 3, 4])):
        held = judge.exams(assemble(_with("marketing", "spend", spent)), folds=3, seed=0)
        assert [len(exam.asked) // len(exam.truth) for exam in held] == counts
        state = ridge.fit(held[0].seen, settle(ridge.knobs, {"trials": 20}), 0)
        assert len(ridge.predict(state, held[0].asked)) == len(held[0].asked)


@pytest.mark.parametrize("called", ["Revenue", "Umsatz", "Erlöse", "Chiffre d'affaires"])
def test_an_outcome_called_as_people_call_it_is_money(called: str) -> None:
    tables = dict(shop())
    frame = tables["outcomes"].frame.rename({"revenue": called})
    tables["outcomes"] = Table.from_frame(frame.with_columns(Neukunden=frame[called] / 50))
    media = read(assemble(tables))
    assert media.name == called and media.unit == "money" and "Neukunden" not in media.controls


@pytest.mark.parametrize("text", ["n.n.", "EUR 5232 ?"])
def test_an_outcome_of_texts_is_refused_by_name_and_value(text: str) -> None:
    revenue = shop()["outcomes"].column("revenue")
    mixed = np.array([text if at % 2 else str(value) for at, value in enumerate(revenue.tolist())], object)
    outcomes = shop()["outcomes"].frame.with_columns(pl.Series("revenue", mixed.tolist(), pl.String))
    with pytest.raises(BadValue, match="revenue") as caught:
        assemble(shop() | {"outcomes": Table.from_frame(outcomes)})
    assert repr(text) in caught.value.message and caught.value.hint
    spends = shop()["marketing"].frame.with_columns(pl.lit(text).alias("spend"))
    with pytest.raises(BadValue, match="spend"):
        assemble(shop() | {"marketing": Table.from_frame(spends)})
