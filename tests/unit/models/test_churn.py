"""Churn: flags, memberships and silence; what is said of time, money and evidence; what cannot be done to it."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest

from tradewind.core.errors import BadValue, EmptyTable, LearnFailed, NotFound
from tradewind.core.table import Table
from tradewind.models import get, part, recipe
from tradewind.models._kit.customers.rank import auc
from tradewind.models.churn import judge
from tradewind.models.churn.hazard import at, learned, when
from tradewind.models.churn.leaving import silences

AVERAGED, BASE = recipe("churn", "averaged"), recipe("churn", "base")


def assembled(**tables):
    return part("churn", "assemble", "assemble")({name: Table.from_frame(frame) for name, frame in tables.items()})


def contracts(count=1200, seed=0):
    """Draw customers who leave faster on a monthly contract: a constant hazard, seen at a random age."""
    rng = np.random.default_rng(seed)
    monthly = rng.random(count) < 0.5
    stay = rng.exponential(np.where(monthly, 12.0, 60.0))
    age = rng.uniform(1, 60, count)
    left = stay < age
    return pl.DataFrame(
        {
            "customer": [f"C{n}" for n in range(count)],
            "contract": np.where(monthly, "monthly", "yearly"),
            "tenure": np.minimum(stay, age).round(1),
            "MonthlyCharges": np.where(rng.random(count) < 0.1, np.nan, rng.uniform(10, 90, count)),
            "paid": rng.choice(["card", "invoice"], count),
            "churned": np.where(left, "Yes", "No"),
        }
    ), monthly


@pytest.fixture(scope="module")
def flagged():
    frame, monthly = contracts()
    return assembled(customers=frame), monthly


@pytest.fixture(scope="module")
def contract(flagged):
    return AVERAGED.fit(flagged[0], {}, 0)


def test_a_flag_is_learned_with_its_times(flagged, contract):
    table, monthly = flagged
    asked = AVERAGED.expand(contract, None, {})
    said = AVERAGED.predict(contract, asked).checked(get("churn").gives)
    stays = np.stack([said.column(f"stays_{days}") for days in (30, 90, 180, 365)], 1)
    assert (np.diff(stays, axis=1) <= 1e-12).all() and (stays >= 0).all()
    assert (said.column("earliest") <= said.column("days")).all() and (said.column("days") <= said.column("latest")).all()
    is_monthly = monthly[[int(name[1:]) for name in said.column("customer").tolist()]]
    assert np.median(said.column("stays_365")[is_monthly]) == pytest.approx(np.exp(-1), abs=0.12)
    assert np.median(said.column("stays_365")[~is_monthly]) == pytest.approx(np.exp(-12 / 60), abs=0.12)
    notes = AVERAGED.notes(contract, asked)
    assert any("not what causes it" in note for note in notes)
    assert any("not enough evidence" in note and "needs" in note for note in notes)
    assert any("contract: monthly" in text for text in said.column("up").tolist())
    churned = table.column("customer")[table.column("left") == 1][0]
    with pytest.raises(NotFound):
        AVERAGED.predict(contract, Table.from_columns({"customer": np.array([churned], object)}))


def test_money_and_the_cost_of_an_offer(flagged, contract):
    said = AVERAGED.predict(contract, AVERAGED.expand(contract, None, {}))
    assert (said.column("value_at_risk") >= 0).all()
    pays = said.column("probability") > said.column("threshold")
    assert (pays == (said.column("act") == "yes")).all()
    dear = AVERAGED.fit(flagged[0], {"offer_cost": 1e6}, 0)
    assert (AVERAGED.predict(dear, AVERAGED.expand(dear, None, {})).column("act") == "no").all()


def test_a_question_may_change_what_is_known_and_unseen_words_are_no_error(contract):
    asks = get("churn").asks
    name = contract.people[0]
    rows = [{"customer": name}, {"customer": name, "about_contract": "never seen"}, {"customer": "new", "about_contract": "monthly"}]
    said = AVERAGED.predict(contract, Table.from_rows(rows, asks))
    assert np.isfinite(said.column("probability")).all()
    drivers = AVERAGED.explain(contract, Table.from_rows(rows[:1], asks))
    assert all(column.startswith("driver_") for column in drivers.names)
    with pytest.raises(NotFound, match="unknown"):
        AVERAGED.predict(contract, Table.from_rows([{"customer": "new"}], asks))


def test_a_column_may_be_asked_by_its_own_name_and_what_says_nothing_is_told(contract):
    name = contract.people[0]
    asked = [
        Table.from_columns({"customer": np.array([name], object), column: np.array(["monthly"], object)})
        for column in ("contract", "about_contract", "colour")
    ]
    own, full, other = (AVERAGED.predict(contract, one).column("probability")[0] for one in asked)
    usual = AVERAGED.predict(contract, asked[0].select(["customer"])).column("probability")[0]
    yearly = AVERAGED.predict(contract, asked[0].with_columns({"contract": np.array(["yearly"], object)})).column("probability")[0]
    assert own == full and other == usual and {own, yearly} > {usual} and own > yearly
    effect = [[note for note in AVERAGED.notes(contract, one) if "changes nothing" in note] for one in asked]
    assert effect == [[], [], ["column colour was not there in training and changes nothing"]]
    both = asked[1].with_columns({"contract": np.array(["yearly"], object)})
    assert AVERAGED.predict(contract, both).column("probability")[0] == full
    assert any("column contract" in note for note in AVERAGED.notes(contract, both))
    strange = asked[0].with_columns({"contract": np.array(["never seen"], object)})
    assert any("contract was never 'never seen'" in note for note in AVERAGED.notes(contract, strange))


def test_a_loaded_version_waits_for_nothing(contract):
    """What the first question would wait for is there: sessions, and the tables that reasons are read from."""
    again = AVERAGED.load(AVERAGED.dump(contract))
    assert {"place", "concepts"} <= vars(again).keys()
    assert "_session" in vars(again.forest) and "_session" in vars(again.hazard.forest)
    assert {"paths", "patterns"} <= vars(again.forest.trees).keys()
    assert "patterns" not in vars(again.hazard.forest.trees)  # the hazard gives no reasons


def test_no_row_can_be_drawn_twice_before_a_split(flagged):
    """Resampling before a split is not there to be asked for: no knob does it, and no customer is on both sides of an exam."""
    for name in get("churn").recipes:
        assert {knob.name for knob in recipe("churn", name).knobs} == {"offer_cost", "saved"}
    with pytest.raises(BadValue, match="no knob"):
        AVERAGED.fit(flagged[0], {"smote": True}, 0)
    for exam in judge.exams(flagged[0], folds=3, seed=0):
        seen, asked = exam.seen.column("customer"), exam.asked.column("customer")
        assert not np.isin(asked, seen).any()
        assert len(np.unique(seen)) == len(seen) and len(seen) + len(asked) == len(flagged[0])
        assert abs(exam.truth.column("left").mean() - flagged[0].column("left").mean()) < 0.02


def test_the_marks_of_a_flag(flagged):
    found = judge.exams(flagged[0], folds=2, seed=0)
    answers = [AVERAGED.predict(AVERAGED.fit(exam.seen, {}, 0), exam.asked) for exam in found]
    base = [BASE.predict(BASE.fit(exam.seen, {}, 0), exam.asked) for exam in found]
    ours, theirs = judge.marks(found, answers), judge.marks(found, base)
    assert ours.metrics["brier"] == pytest.approx(ours.loss.mean(), abs=0.01)
    assert ours.metrics["brier"] < theirs.metrics["brier"] and ours.metrics["auc"] > theirs.metrics["auc"]
    assert ours.metrics["ece10"] < 0.06 and ours.metrics["brier_year"] < theirs.metrics["brier_year"]


def members(count=900, seed=1):
    """Draw memberships of two years: the unhappy leave within months."""
    rng = np.random.default_rng(seed)
    start = dt.date(2024, 1, 1)
    joined = rng.integers(0, 500, count)
    unhappy = rng.random(count) < 0.4
    gone = joined + rng.exponential(np.where(unhappy, 150.0, 1500.0))
    dates = [str(start + dt.timedelta(days=int(day))) if day < 730 else None for day in gone]
    return pl.DataFrame(
        {
            "customer": [f"M{n}" for n in range(count)],
            "joined": [start + dt.timedelta(days=int(day)) for day in joined],
            "complaints": np.where(unhappy, rng.poisson(3, count), rng.poisson(0.3, count)).astype("f8"),
            "fee": rng.uniform(5, 10, count),
            "churned": pl.Series(dates, dtype=pl.String),
        }
    )


def test_memberships_end_on_dates():
    table = assembled(customers=members())
    assert table.column("mode")[0] == "membership" and len(np.unique(table.column("cut"))) > 3
    state = AVERAGED.fit(table, {}, 0)
    said = AVERAGED.predict(state, AVERAGED.expand(state, None, {}))
    agreed = 1 - np.exp(np.interp(state.horizon, (30, 90, 180), [0, 0, 0]))  # the horizon is a quarter here
    assert agreed == 0 and state.horizon == 90
    np.testing.assert_allclose(said.column("stays_90"), 1 - said.column("probability"), atol=1e-6)
    found = judge.exams(table, folds=2, seed=0)
    answers = [AVERAGED.predict(AVERAGED.fit(exam.seen, {}, 0), exam.asked) for exam in found]
    assert judge.marks(found, answers).metrics["auc"] > 0.65


def test_silence_is_dated_by_the_last_order_before_it():
    day = dt.date(2024, 1, 1)

    def orders(*days):
        return pl.DataFrame(
            {"customer": ["a"] * len(days), "date": [day + dt.timedelta(days=one) for one in days], "amount": [1.0] * len(days)}
        )

    cut, last = day + dt.timedelta(days=100), day + dt.timedelta(days=400)
    rows = {
        "gone before": ((50,), (1.0, 0.0, 1.0)),
        "goes on": ((50, 120, 170, 230, 280, 340, 390), (0.0, 240.0, 0.0)),
        "leaves later": ((50, 120, 170), (0.0, 70.0, 1.0)),
        "comes back": ((50, 300, 350, 390), (1.0, 0.0, 1.0)),
    }
    for said, (days, wanted) in rows.items():
        found = silences(orders(*days), cut, last, 60)
        assert found.select("left", "duration", "event").row(0) == wanted, said


def test_hazards_find_the_median():
    rng = np.random.default_rng(0)
    truth = rng.exponential(100.0, 4000)
    seen = np.minimum(truth, 300.0)
    made = learned(
        np.zeros((4000, 1), "f4"), seen, (truth <= 300).astype("f8"), 0, edges=np.arange(0, 331, 30.0), words=np.zeros(1, int), used=None
    )
    lines = made.hazards(np.zeros((1, 1), "f4"))
    assert when(made.edges, lines, np.log([2.0]))[0, 0] == pytest.approx(100 * np.log(2), rel=0.08)
    assert np.exp(-at(made.edges, lines, np.array([150.0])))[0, 0] == pytest.approx(np.exp(-1.5), abs=0.03)


def test_a_retention_test_is_read(monkeypatch):
    frame, monthly = contracts(1200, seed=4)
    rng = np.random.default_rng(99)
    arm = rng.random(1200) < 0.5
    helped = (rng.random(1200) < np.where(arm & monthly, 0.8, 0.4)).astype("f8")
    log = pl.DataFrame(
        {"customer": frame["customer"], "date": [dt.date(2024, 6, 1)] * 1200, "arm": np.where(arm, "voucher", "control"), "outcome": helped}
    )
    table = assembled(customers=frame, treatments=log)
    state = AVERAGED.fit(table, {}, 0)
    said = AVERAGED.predict(state, AVERAGED.expand(state, None, {}))
    assert state.numbers["verdict"] in ("target", "treat all")
    assert (said.column("uplift_lo90") <= said.column("uplift_hi90")).all()
    assert any(note.startswith("retention test") for note in AVERAGED.notes(state, table))
    again = AVERAGED.load(AVERAGED.dump(state))
    np.testing.assert_allclose(AVERAGED.predict(again, AVERAGED.expand(again, None, {})).column("uplift"), said.column("uplift"))
    nothing = assembled(customers=frame, treatments=log.with_columns(outcome=pl.Series((rng.random(1200) < 0.4).astype("f8"))))
    calm = AVERAGED.fit(nothing, {}, 0)
    if calm.numbers["verdict"] == "not enough evidence":
        assert (AVERAGED.predict(calm, AVERAGED.expand(calm, None, {})).column("act") == "unknown").all()


def test_bad_tables_are_named():
    frame, _ = contracts(60)
    with pytest.raises(EmptyTable):
        assembled(customers=frame[:0])
    with pytest.raises(BadValue, match="nothing says who has left"):
        assembled(customers=frame.drop("churned"))
    with pytest.raises(BadValue, match="beside yes and no"):
        assembled(customers=frame.with_columns(churned=pl.Series(["maybe", *frame["churned"][1:]])))
    with pytest.raises(BadValue, match="neither a date"):
        assembled(customers=frame.with_columns(churned=pl.Series(["soon"] * 60)))
    with pytest.raises(LearnFailed, match="too few"):
        AVERAGED.fit(assembled(customers=frame[:40]), {}, 0)
    with pytest.raises(LearnFailed, match="rhythm"):
        recipe("churn", "rhythm").fit(assembled(customers=contracts(200)[0]), {}, 0)
    same = frame.select("customer", "churned").with_columns(x=pl.lit(1.0))
    with pytest.raises(LearnFailed, match="look the same"):
        AVERAGED.fit(assembled(customers=same), {}, 0)
    with pytest.raises(BadValue):
        AVERAGED.expand(AVERAGED.fit(assembled(customers=contracts(200)[0]), {}, 0), 30, {})


def test_auc_of_the_example_is_the_truths():
    assert auc(np.array([1.0, 0.0]), np.array([0.9, 0.1])) == 1
