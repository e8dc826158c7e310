"""The watch: what it finds, what it refuses, what it says of a new day, and what it leaves alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import nbinom

from tradewind import models
from tradewind.core.errors import BadValue, EmptyTable, LearnFailed, NotFound
from tradewind.core.model import settle
from tradewind.core.table import Table
from tradewind.models.anomaly import MODEL, far, hidden, judge, quality, series
from tradewind.models.anomaly.assemble import assemble
from tradewind.models.anomaly.design import partly
from tradewind.models.anomaly.family import family_of
from tradewind.models.anomaly.grid import read
from tradewind.models.anomaly.inject import plant
from tradewind.models.anomaly.ranks import Ranks
from tradewind.models.anomaly.watch import false_alarms

Array = np.ndarray[Any, Any]
DAYS = np.arange(np.datetime64("2024-01-01"), np.datetime64("2024-07-01"))
RECIPES = MODEL.recipes


def column(values: list[str]) -> Array:
    out = np.empty(len(values), object)
    out[:] = values
    return out


def sales(units: Array, days: Array = DAYS, product: str = "A") -> Table:
    return Table.from_columns({"date": days, "product": column([product] * len(days)), "units": np.asarray(units, "f8")})


def usual(seed: int = 0, days: Array = DAYS, mean: float = 60.0) -> Array:
    rng = np.random.default_rng(seed)
    weekend = 1.4 * (((days.astype("M8[D]").astype("i8") + 3) % 7) >= 5) + 1.0 * (((days.astype("M8[D]").astype("i8") + 3) % 7) < 5)
    return rng.poisson(mean * weekend).astype("f8")


def learned(table: Table, recipe: str = "driven", **params: Any) -> tuple[Any, Any]:
    chosen = models.recipe("anomaly", recipe)
    return chosen, chosen.fit(table, settle(chosen.knobs, params), 0)


def of_day(table: Table, day: str) -> dict[str, Any]:
    at = int(np.flatnonzero(table.column("date") == np.datetime64(day))[0])
    return {name: table.column(name)[at] for name in table.names}


@pytest.mark.parametrize("recipe", ["decompose", "driven"])
def test_a_dip_of_the_past_is_the_oddest_day_and_its_band_leaves_it_out(recipe: str) -> None:
    units = usual()
    units[120] = 10
    chosen, state = learned(assemble({"sales": sales(units)}), recipe)
    told = chosen.predict(state, chosen.expand(state, len(DAYS), {}))
    found = of_day(told, str(DAYS[120]))
    assert told.column("score").argmax() == 120
    assert found["alert"] == 1
    assert found["units"] < found["lo95"]
    assert found["p_value"] < 0.02


def test_a_week_of_small_misses_is_one_incident_of_a_shift() -> None:
    units = usual()
    units[100:107] = np.round(units[100:107] * 0.7)
    chosen, state = learned(assemble({"sales": sales(units)}))
    told = chosen.predict(state, chosen.expand(state, len(DAYS), {}))
    week = np.flatnonzero((told.column("date") >= DAYS[100]) & (told.column("date") < DAYS[107]))
    alerts = week[told.column("alert")[week] > 0]
    assert len(alerts) >= 3
    assert set(told.column("incident")[alerts].tolist()) == {told.column("incident")[alerts[0]]}
    assert "shift" in told.column("kind")[alerts].tolist()


def test_a_promotion_that_does_not_fire_is_found_though_sales_are_as_without_one() -> None:
    units, promotion = usual(), np.zeros(len(DAYS))
    for start in range(10, 170, 20):
        promotion[start : start + 6] = 1
        if start != 110:
            units[start : start + 6] = np.round(units[start : start + 6] * 1.9)
    table = assemble({"sales": sales(units).with_columns({"promotion": promotion})})
    chosen, state = learned(table)
    told = chosen.predict(state, chosen.expand(state, len(DAYS), {}))
    found = of_day(told, str(DAYS[113]))
    assert (found["alert"], found["class"], found["kind"]) == (1, "promotion", "promotion")
    assert of_day(told, str(DAYS[92]))["alert"] == 0, "a promotion that fired is no news"


def test_a_new_day_is_judged_without_refitting_and_update_says_the_same() -> None:
    units = usual()
    units[-1] = 0
    whole, seen = assemble({"sales": sales(units)}), assemble({"sales": sales(units[:-1], DAYS[:-1])})
    chosen, state = learned(seen)
    asked = Table.from_columns({"product": column(["A"]), "date": DAYS[-1:], "units": np.zeros(1)})
    asked_now = chosen.predict(state, asked)
    later = chosen.update(state, whole)
    known = chosen.predict(later, asked.select(["product", "date"]))
    assert asked_now.column("alert")[0] == known.column("alert")[0] == 1
    assert known.column("class")[0] == "supply"
    np.testing.assert_allclose(asked_now.column("mean"), known.column("mean"), rtol=1e-6)
    np.testing.assert_allclose(asked_now.column("score"), known.column("score"), rtol=1e-3)
    assert state.cells.moments[-1] < later.cells.moments[-1], "the state asked stays as it was"


def test_a_price_of_nothing_is_no_price() -> None:
    table = assemble({"sales": sales(usual()).with_columns({"price": 2.0 + 0.1 * (np.arange(len(DAYS)) % 3)})})
    chosen, state = learned(table)
    day = {"product": column(["A"]), "date": DAYS[-1:] + 1, "units": np.full(1, 60.0)}
    plain, free = (chosen.predict(state, Table.from_columns(day | more)) for more in ({}, {"price": np.zeros(1)}))
    np.testing.assert_allclose(free.column("mean"), plain.column("mean"))


def test_a_day_years_ahead_is_refused_and_a_key_that_is_not_known_is_told() -> None:
    chosen, state = learned(assemble({"sales": sales(usual())}), "decompose")
    far = Table.from_columns({"product": column(["A"]), "date": np.array(["2040-01-01"], "M8[D]"), "units": np.ones(1)})
    with pytest.raises(BadValue, match=r"2040-01-01 lies .* periods after the last figure known, of 2024-06-30"):
        chosen.predict(state, far)
    asked = Table.from_columns({"product": column(["A"]), "store": column(["nope"]), "date": DAYS[-1:]})
    assert "column store was not there in training and changes nothing" in chosen.notes(state, asked)
    assert not any("changes nothing" in note for note in chosen.notes(state, asked.with_columns({"store": column([""])})))


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_usual_new_day_alone_is_told_as_it_is_after_an_update(recipe: str) -> None:
    units = usual(5)
    whole, seen = assemble({"sales": sales(units)}), assemble({"sales": sales(units[:-1], DAYS[:-1])})
    chosen, state = learned(seen, recipe)
    asked = Table.from_columns({"product": column(["A"]), "date": DAYS[-1:], "units": units[-1:]})
    now, later = chosen.predict(state, asked), chosen.predict(chosen.update(state, whole), asked.select(["product", "date"]))
    assert now.column("alert")[0] == 0
    for name in now.names:
        if now.column(name).dtype.kind == "f":
            np.testing.assert_allclose(now.column(name), later.column(name), rtol=1e-6)
        else:
            assert now.column(name).tolist() == later.column(name).tolist()


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("budget", [0.02, 0.1])
def test_the_score_passes_one_half_where_the_budget_raises_alerts(recipe: str, budget: float) -> None:
    days = np.arange(np.datetime64("2022-01-01"), np.datetime64("2024-12-31"))
    chosen, state = learned(assemble({"sales": sales(usual(6, days), days)}), recipe, budget=budget)
    told = chosen.predict(state, chosen.expand(state, len(days), {}))
    score, p = told.column("score"), told.column("p_value")
    assert ((score >= 0.5) == (p <= budget)).mean() > 0.99
    clean = (p > 0.05) & (p < 1)  # one is also the p-value of a figure that is just what was expected
    np.testing.assert_allclose(score[clean], budget / (budget + p[clean]), rtol=0.02)


def test_beyond_the_highest_score_seen_rarity_goes_on_falling() -> None:
    scores = np.random.default_rng(0).exponential(2.0, 2000)
    ranks = Ranks(np.sort(scores), np.zeros(9), logs=True)
    asked = np.linspace(0.0, 30.0, 400)
    rare = ranks.rare(asked)
    assert (np.diff(rare) < 0).all()
    assert np.abs(ranks.rare(scores) - ranks.p(scores)).max() < 0.01
    true = np.exp(-asked / 2)
    assert (np.abs(np.log(rare / true))[asked < 16] < 1.5).all(), "the tail goes on as it began"
    alike = Ranks(np.zeros(50), np.zeros(9))
    assert alike.rare(np.array([0.0, 1.0])) == pytest.approx([1.0, 0.0], abs=1e-12)


def test_what_was_said_to_be_expected_is_no_alert_in_later_runs() -> None:
    units = usual()
    units[100:102] = 5
    events = Table.from_columns(
        {"date": DAYS[100:101], "until": DAYS[101:102], "name": column(["stocktaking"]), "kind": column(["expected"])}
    )
    without, known = (learned(assemble(tables)) for tables in ({"sales": sales(units)}, {"sales": sales(units), "events": events}))
    before, after = (
        of_day(chosen.predict(state, chosen.expand(state, len(DAYS), {})), str(DAYS[100])) for chosen, state in (without, known)
    )
    assert (before["alert"], after["alert"]) == (1, 0)
    assert after["p_value"] == 1


def test_an_incident_of_one_store_is_one_incident_and_the_total_names_the_store() -> None:
    tables = []
    for at, store in enumerate(("S1", "S2", "S3")):
        units = usual(at)
        if store == "S2":
            units[120:123] = 2
        tables.append(sales(units).with_columns({"store": column([store] * len(DAYS))}))
    frame = {name: np.concatenate([table.column(name) for table in tables]) for name in ("date", "product", "store", "units")}
    chosen, state = learned(assemble({"sales": Table.from_columns(frame)}))
    asked = Table.from_columns({"product": column(["A", ""]), "store": column(["S2", ""]), "date": DAYS[[121, 121]]})
    told = chosen.predict(state, asked)
    assert told.column("alert").tolist() == [1, 1]
    assert len(set(told.column("incident").tolist())) == 1
    assert "store S2" in told.column("driver")[1]
    assert told.column("severity")[0] > 0


def test_a_missing_load_a_copied_day_and_zeros_while_open_are_told_by_rule() -> None:
    value = np.random.default_rng(1).poisson(40, (8, 90)).astype("f8")
    expected, spread = np.full(value.shape, 40.0), np.full(value.shape, 7.0)
    value[:, 60] = np.nan
    value[:, 75] = value[:, 74]
    value[2, 80] = 0
    found = quality.marks(value, expected, spread)
    assert (found[:, 60] == quality.MISSING).all()
    assert (found[:, 75] == quality.DOUBLE).all()
    assert found[2, 80] == quality.ZERO
    assert (found > 0).sum() == 17


def test_closed_sundays_are_no_missing_load() -> None:
    value = np.random.default_rng(1).poisson(40, (8, 90)).astype("f8")
    value[:, 6::7] = np.nan
    found = quality.marks(value, np.full(value.shape, 40.0), np.full(value.shape, 7.0))
    assert not found[:, 14:].any()


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_constant_series_raises_no_alert_and_is_told(recipe: str) -> None:
    chosen, state = learned(assemble({"sales": sales(np.full(len(DAYS), 7.0))}), recipe)
    told = chosen.predict(state, chosen.expand(state, None, {}))
    assert told.column("alert").sum() == 0
    assert any("never change" in note for note in chosen.notes(state, told))


def test_a_figure_that_is_not_judged_as_it_was_sent_is_told() -> None:
    units = usual()
    chosen, state = learned(assemble({"sales": sales(units)}))

    def notes(day: Any, figure: float) -> str:
        asked = Table.from_columns({"product": column(["A"]), "date": np.array([day], "M8[D]"), "units": np.array([figure])})
        chosen.predict(state, asked)
        return " ".join(chosen.notes(state, asked))

    assert "are not those known" in notes(DAYS[100], 10 * units[100])
    assert "over 30 periods after the last one known (2024-06-30)" in notes(DAYS[-1] + 400, 60)
    for day, figure in ((DAYS[100], units[100]), (DAYS[-1] + 1, 60), (DAYS[-1] + 30, 60)):
        said = notes(day, figure)
        assert "last one known" not in said and "are not those" not in said


@pytest.mark.parametrize("recipe", RECIPES)
def test_too_little_is_refused(recipe: str) -> None:
    for units in ([3.0], [np.nan] * 20, [1.0] * 5):
        with pytest.raises(EmptyTable):
            learned(assemble({"sales": sales(np.array(units), DAYS[: len(units)])}), recipe)


@pytest.mark.parametrize(
    ("days", "note"),
    [
        (np.datetime64("2023-01-02") + 7 * np.arange(110), ""),
        (DAYS[((DAYS.astype("i8") + 3) % 7) < 5], ""),
        (np.arange("2015-01", "2024-01", dtype="M8[M]").astype("M8[D]"), ""),
        (
            np.datetime64("2024-01-01", "us") + np.cumsum(np.random.default_rng(0).integers(1, 10**8, 300)) * np.timedelta64(60, "us"),
            "irregular",
        ),
        (np.arange(np.datetime64("2023-09-01"), np.datetime64("2024-03-01")), ""),
    ],
)
def test_weeks_gaps_months_irregular_times_and_a_leap_day_are_answered(days: Array, note: str) -> None:
    units = np.random.default_rng(3).poisson(50, len(days)).astype("f8")
    units[-5] = 400
    chosen, state = learned(assemble({"sales": sales(units, days)}))
    told = chosen.predict(state, chosen.expand(state, 20, {}))
    assert told.column("score").argmax() == len(told) - 5
    assert np.isfinite(told.column("mean")).all()
    assert any(note in said for said in [*chosen.notes(state, told), ""])


def test_figures_below_zero_are_watched_as_they_are() -> None:
    rng = np.random.default_rng(4)
    units = rng.normal(0, 10, len(DAYS))
    units[90] = -90
    outcomes = Table.from_columns({"date": DAYS, "balance": units})
    chosen, state = learned(assemble({"outcomes": outcomes}))
    told = chosen.predict(state, chosen.expand(state, len(DAYS), {"metric": "balance"}))
    assert told.column("score").argmax() == 90
    assert told.column("lo95").min() < 0


def test_what_cannot_be_asked_is_said() -> None:
    chosen, state = learned(assemble({"sales": sales(usual())}))
    with pytest.raises(NotFound):
        chosen.predict(state, Table.from_columns({"product": column(["Z"]), "date": DAYS[:1]}))
    with pytest.raises(BadValue, match="needs its figure"):
        chosen.predict(state, Table.from_columns({"product": column(["A"]), "date": DAYS[-1:] + 1}))
    with pytest.raises(BadValue, match="no period"):
        chosen.predict(state, Table.from_columns({"product": column(["A"]), "date": DAYS[:1] - 9}))
    with pytest.raises(BadValue):
        chosen.expand(state, 0, {})
    with pytest.raises(NotFound):
        chosen.expand(state, None, {"product": "Z"})


def test_false_alarm_rates_are_those_of_benjamini_and_hochberg() -> None:
    p = np.array([[0.01], [0.04], [0.03], [0.5]])
    np.testing.assert_allclose(false_alarms(p, np.ones(p.shape, bool))[:, 0], [0.04, 0.04 * 4 / 3, 0.04 * 4 / 3, 0.5])


def test_the_chain_weighs_a_run_by_the_product_of_its_days() -> None:
    chain = hidden.chain(0.02, counts=True)
    value = np.full((1, 40), 100.0)
    value[0, 20:27] = 75
    ratio = hidden.evidence(chain, value, np.full(value.shape, 100.0), np.full(value.shape, 0.01))
    odds = hidden.odds(hidden.both(chain, ratio))
    alone = hidden.odds(hidden.both(chain, np.where(np.arange(40)[None, :, None] == 23, ratio, 0)))
    assert odds[0, 23] > 0 > alone[0, 23]
    assert odds[0, 10] < 0


@pytest.mark.parametrize("mean", [0.3, 3.0, 40.0])
@pytest.mark.parametrize("spread", [0.02, 0.3, 1.5])
def test_no_state_gains_from_counts_that_are_well(mean: float, spread: float) -> None:
    """A likelihood ratio has mean one under what it is held against, a long right tail of small counts included."""
    value = np.arange(mean * 60 + 200)
    chance = nbinom.pmf(value, 1 / spread, 1 / (1 + spread * mean))
    chain = hidden.chain(0.1, counts=True)
    ratio = hidden.evidence(chain, value, np.full(value.shape, mean), np.full(value.shape, spread), np.full(value.shape, 0.5))
    mean_ratio = chance @ np.exp(ratio.astype("f8"))
    assert (mean_ratio < 1.005).all()
    assert mean_ratio[chain.kinds.index(hidden.VARIANCE)] == pytest.approx(1.0, abs=0.005)


def test_what_is_planted_is_counted_like_the_rest_and_kept_apart() -> None:
    value = np.random.default_rng(0).poisson(50, (20, 300)).astype("f8")
    promoted = np.zeros(value.shape)
    promoted[:, 200:210] = 1
    found = plant(value, promoted, 150, rate=6, seed=1)
    assert not found.wrong[:, :150].any()
    assert (found.value[~found.wrong] == value[~found.wrong]).all()
    assert (found.value == np.round(found.value)).all()
    assert set(np.unique(found.kind[found.wrong])) <= set(range(6))
    assert 0.05 < found.wrong[:, 150:].mean() < 0.2


def test_exams_hold_the_end_back_and_marks_are_the_average_precision() -> None:
    rows = [sales(usual(at), product=f"P{at}") for at in range(40)]
    frame = {name: np.concatenate([table.column(name) for table in rows]) for name in ("date", "product", "units")}
    table = assemble({"sales": Table.from_columns(frame)})
    found = judge.exams(table, folds=2, seed=3)
    assert len(found) == 2
    for exam in found:
        figures = exam.seen.take(np.isfinite(exam.seen.column("units")))
        assert figures.column("date").max() < exam.asked.column("date").min()
        assert len(exam.truth) == len(exam.asked)
    wrong = np.concatenate([exam.truth.column("wrong") for exam in found])
    perfect = [_verdicts(exam, exam.truth.column("wrong")) for exam in found]
    marks = judge.marks(found, perfect)
    assert marks.metrics["missed"] == pytest.approx(0)
    assert marks.metrics["false_alarms"] == 0
    assert len(marks.loss) == wrong.sum()
    blind = judge.marks(found, [_verdicts(exam, np.zeros(len(exam.truth))) for exam in found])
    assert blind.metrics["average_precision"] == pytest.approx(wrong.mean())
    with pytest.raises(LearnFailed, match="20 periods") as refused:
        judge.exams(assemble({"sales": sales(usual()[:20], DAYS[:20])}), folds=3, seed=0)
    assert "at least 38 periods" in refused.value.hint
    assert judge.exams(assemble({"sales": sales(usual()[:38], DAYS[:38])}), folds=3, seed=0), "what is asked for is enough"


def test_a_series_that_begins_in_the_exam_is_not_asked_about() -> None:
    rows = [sales(usual(0), product="P0"), sales(usual(1)[-20:], DAYS[-20:], product="late")]
    frame = {name: np.concatenate([table.column(name) for table in rows]) for name in ("date", "product", "units")}
    for exam in judge.exams(assemble({"sales": Table.from_columns(frame)}), folds=2, seed=3):
        assert "late" not in exam.asked.column("product").tolist()
        chosen, state = learned(exam.seen, "naive")
        assert len(chosen.predict(state, exam.asked)) == len(exam.truth)


def _verdicts(exam: Any, score: Array) -> Table:
    value = exam.asked.column("units")
    return Table.from_columns({"score": score, "alert": (score > 0.5).astype("i8"), "lo80": value - 1, "hi80": value + 1})


def test_the_hierarchy_of_keys_has_no_series_above_itself() -> None:
    keys = {"product": column(["A", "A", "", "A", "", "B", "B"]), "store": column(["S", "T", "S", "", "", "S", ""])}
    found = family_of(keys)
    assert set(found.above[0]) == {3, 2, 4}
    assert set(found.below[3]) == {0, 1}
    assert set(found.below[4]) == {3, 6}
    assert found.above[4] == ()


def test_several_rows_of_one_day_are_added_up_and_identical_rows_are_marked() -> None:
    one = sales(usual())
    twice = {name: np.concatenate([one.column(name), one.column(name)[5:6]]) for name in one.names}
    table = assemble({"sales": Table.from_columns(twice)})
    grid = read(table)
    assert grid.value[0, 5] == one.column("units")[5], "the same row twice counts once"
    chosen, state = learned(table)
    told = chosen.predict(state, chosen.expand(state, len(DAYS), {}))
    assert of_day(told, str(DAYS[5]))["class"] == "data"


def test_a_promotion_of_a_part_of_a_sum_lifts_more_than_its_share_of_the_logs() -> None:
    share, full = np.array([0.0, 0.25, 0.5, 1.0]), np.log(3.0)
    assert np.allclose(np.exp(partly(share * full, share)), 1 + share * 2.0)
    assert np.allclose(partly(-share * full, share)[1:], np.log(1 - share[1:] * (2 / 3)))


def test_a_sum_of_which_half_runs_a_promotion_is_expected_as_it_sells() -> None:
    rng, share, mean = np.random.default_rng(5), np.zeros(len(DAYS)), np.full(len(DAYS), 400.0)
    for start in range(8, 170, 18):
        share[start : start + 5] = 1.0 if start % 4 == 0 else 0.4
    mean *= 1 + share * 2.0
    table = sales(rng.poisson(mean)).with_columns({"promotion": share})
    chosen, state = learned(assemble({"sales": table}))
    expected = chosen.predict(state, chosen.expand(state, len(DAYS), {})).column("mean")
    for part in (0.4, 1.0):
        assert abs(np.log(expected / mean)[share == part].mean()) < 0.04


def test_the_budget_holds_for_totals_and_for_their_parts() -> None:
    rng, days = np.random.default_rng(6), np.arange(np.datetime64("2024-01-01"), np.datetime64("2024-09-01"))
    moved = np.exp(0.1 * rng.normal(size=(3, len(days))))  # a shop moves as a whole, which its sum shows more than its parts do
    parts = []
    for store in range(3):
        for product in range(4):
            units = rng.poisson(12 * moved[store]).astype("f8")
            table = sales(units, days, f"P{product}")
            parts.append(table.with_columns({"store": column([f"S{store}"] * len(days))}))
    names = ("date", "product", "store", "units")
    table = Table.from_columns({name: np.concatenate([part.column(name) for part in parts]) for name in names})
    state = learned(assemble({"sales": table}))[1]
    level = np.array([bool(a) + 2 * bool(b) for a, b in zip(state.keys["product"], state.keys["store"], strict=True)])
    for one in (1, 2, 3):
        assert 0.02 < (state.cells.p[level == one] <= 0.03).mean() < 0.04


def test_the_further_a_figure_is_the_odder_and_one_spike_does_not_make_its_neighbours_odd() -> None:
    said = hidden.chain(0.1, counts=False)
    z = np.array([5.0, 12.0, 20.0, 60.0, 200.0])
    alone = hidden.odds(hidden.step(said, hidden.start(len(z), said), hidden.evidence(said, z, np.zeros(5), np.ones(5))))
    assert (np.diff(alone) > 0).all()
    days = np.zeros((1, 9))
    days[0, 4] = 6.0
    odds = hidden.odds(hidden.both(said, hidden.evidence(said, days, np.zeros((1, 9)), np.ones((1, 9)))))
    assert odds[0, 4] > 0 > odds[0, [3, 5]].max()


def test_what_lasts_is_still_odd_beside_all_that_was_before_unless_the_series_wanders() -> None:
    rng = np.random.default_rng(8)
    still = rng.normal(size=(2, 1200))
    wander = np.cumsum(rng.normal(size=(2, 1200)), 1)
    still[:, 1000:1100] += 4.0
    found, chances = far.learn(np.concatenate([still, wander]), np.full(4, 1e-9), 0.1)
    odds = hidden.odds(chances)
    assert (odds[:2, 1010:1090] > 0).mean() > 0.95
    assert (odds[:2, :990] > 0).mean() < 0.05
    assert (odds[2:] > 0).mean() < 0.05
    moved = found
    for at in range(1200):
        moved = moved.after(np.concatenate([still, wander])[:, at])
    assert np.abs(moved.middle[:2]).max() < 0.3
    assert np.allclose(moved.take(np.array([1])).middle, moved.middle[1])


def test_a_slope_that_turns_is_no_season_and_two_cycles_must_be_clear() -> None:
    turning = np.interp(np.arange(280), [0, 90, 200, 279], [0.0, 500.0, -300.0, 100.0])
    rng = np.random.default_rng(9)
    week = np.tile([0.0, 0, 0, 0, 0, 8.0, 9.0], 40)
    assert not series.season_of(turning + rng.normal(size=280), [7]).any()
    assert np.corrcoef(series.season_of(turning + week + rng.normal(size=280), [7]), week[:7])[0, 1] > 0.97
    assert np.corrcoef(series.season_of(week[:16] + 0.3 * rng.normal(size=16), [7]), week[:7])[0, 1] > 0.97
    noise = [bool(series.season_of(rng.normal(size=15), [7]).any()) for _ in range(60)]
    assert np.mean(noise) < 0.1


def shops(zeros: tuple[int, ...] = (), closed: bool = False) -> Table:
    """Six stores that rest on Sundays and on the first of May, whose zeros are in the figures; `zeros` are days of the first store."""
    sunday = (DAYS.astype("i8") + 3) % 7 == 6
    feast = np.datetime64("2024-05-01") == DAYS
    parts = []
    for store in range(6):
        units = usual(store) * ~(sunday | feast)
        if store == 0:
            units[list(zeros)] = 0
        parts.append({"store": column([f"S{store}"] * len(DAYS)), "units": units, "open": (~(sunday | feast)).astype("f8")})
    said = {name: np.concatenate([part[name] for part in parts]) for name in ("store", "units", *(["open"] if closed else []))}
    return Table.from_columns({"date": np.tile(DAYS, 6), "product": column(["all"] * 6 * len(DAYS)), **said})


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("recipe", RECIPES)
def test_days_of_rest_are_no_incidents_and_a_zero_on_another_day_is(recipe: str, closed: bool) -> None:
    chosen, state = learned(assemble({"sales": shops((100,), closed)}, country="DE"), recipe)
    told = chosen.predict(state, chosen.expand(state, len(DAYS), {"store": ["S0", "S1"]}))
    sunday = (told.column("date").astype("i8") + 3) % 7 == 6
    assert not sunday.any() and not (told.column("date") == np.datetime64("2024-05-01")).any(), "there was nothing to judge"
    assert of_day(told, str(DAYS[100]))["alert"] == 1
    if not closed:
        assert any("they count as closed" in note for note in state.notes)


def test_a_new_day_of_rest_is_as_expected_and_update_says_the_same() -> None:
    whole = shops()
    last = DAYS[-1]
    assert (last.astype("i8") + 3) % 7 == 6, "the last day is a Sunday"
    chosen, state = learned(assemble({"sales": whole.take(whole.column("date") < last)}))
    new = whole.take(whole.column("date") == last).select(["product", "store", "date", "units"])
    told = chosen.predict(state, new)
    assert (told.column("alert") == 0).all() and (told.column("mean") == 0).all() and (told.column("gap") == 0).all()
    later = chosen.update(state, assemble({"sales": whole}))
    assert not chosen.predict(later, new.select(["product", "store", "date"])).column("alert").any()
    tail = whole.take(whole.column("date") == last)
    _, early = learned(assemble({"sales": whole.take(whole.column("date") < last - 3)}))
    alone = chosen.update(early, assemble({"sales": tail}))
    assert not chosen.predict(alone, new.select(["product", "store", "date"])).column("alert").any(), "days that were left out are counted"
    monday = new.with_columns({"date": np.full(6, last + 1)})
    assert chosen.predict(later, monday).column("alert").all(), "on any other day nothing at all is an incident"


def test_a_holiday_ahead_is_known_and_shops_may_be_closed() -> None:
    feast = np.datetime64("2024-05-01")
    whole = shops()
    chosen = models.recipe("anomaly", "driven")
    state = chosen.fit(assemble({"sales": whole.take(whole.column("date") < feast)}, country="DE"), settle(chosen.knobs, {}), 0)
    assert feast in state.holidays
    new = whole.take(whole.column("date") == feast).select(["product", "store", "date", "units"])
    assert not chosen.predict(chosen.load(chosen.dump(state)), new).column("alert").any()
    without = chosen.fit(assemble({"sales": whole.take(whole.column("date") < feast)}), settle(chosen.knobs, {}), 0)
    assert chosen.predict(without, new).column("alert").all(), "no country, no holiday"
