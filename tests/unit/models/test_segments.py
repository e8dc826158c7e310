"""Segments: what the data supports, names that stay, customers that move, and what is said where nothing can be."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest

from tradewind.core.errors import BadValue, EmptyTable, LearnFailed, NotFound
from tradewind.core.table import Table
from tradewind.models import get, part, recipe
from tradewind.models._kit.clusters.agree import numbered, purity
from tradewind.models.segments import judge
from tradewind.models.segments.naming import carried, unique

KINDS = {"often": (12, 20.0, 0.1), "rare": (40, 25.0, 0.1), "deals": (25, 30.0, 0.9), "big": (60, 300.0, 0.1)}  # gap, basket, promoted


def shop(seed=0, each=110, days=720, shift=0.0):
    rng = np.random.default_rng(seed)
    rows = []
    for kind, (gap, basket, promoted) in KINDS.items():
        for number in range(each):
            start = rng.uniform(0, 60)
            day = start + np.cumsum(gap * np.exp(0.15 * rng.normal() + shift) * rng.uniform(0.5, 1.5, 3 * int(days / gap)))
            for place, one in enumerate(day[day < days].astype(int).tolist()):
                paid = basket * np.exp(0.3 * rng.normal())
                rows.append(
                    (f"{kind}{number}", f"{kind}{number}-{place}", int(one), paid, rng.random() < promoted, int(rng.integers(0, 12)))
                )
    frame = pl.DataFrame(rows, schema=["customer", "order", "day", "amount", "deal", "product"], orient="row")
    return frame.select(
        "customer",
        "order",
        (pl.lit(dt.date(2024, 1, 1)) + pl.duration(days=pl.col("day"))).cast(pl.Date).alias("date"),
        pl.col("product").cast(pl.String),
        quantity=pl.lit(1.0),
        amount="amount",
        promotion=pl.when("deal").then(pl.lit("deal")).otherwise(None),
    )


def table(frame, people=None):
    given = {"orders": Table.from_frame(frame)}
    if people is not None:
        given["customers"] = Table.from_frame(people)
    return part("segments", "assemble", "assemble")(given)


@pytest.fixture(scope="module")
def made():
    return table(shop())


FEW = {"bootstraps": 8}


@pytest.fixture(scope="module")
def kmeans(made):
    return recipe("segments", "kmeans").fit(made, FEW, 0)


def test_kinds_are_found_named_and_ruled(kmeans, made):
    chosen = recipe("segments", "kmeans")
    answer = chosen.predict(kmeans, chosen.expand(kmeans, None, {}))
    kind = numbered(np.array([name.rstrip("0123456789") for name in answer.column("customer").tolist()], object))
    assert purity(kind, numbered(answer.column("segment"))) > 0.9
    assert len(set(kmeans.names)) == len(kmeans.names) >= 4
    assert "Bargain hunters" in kmeans.names
    assert all("right for" in rule for rule in kmeans.rules)
    assert (answer.column("probability") >= answer.column("second_probability")).mean() > 0.95
    notes = chosen.notes(kmeans, made)
    assert any("are supported" in note for note in notes)
    profile = chosen.effects(kmeans)
    assert (profile.column("lo95") <= profile.column("effect")).all() and (profile.column("effect") <= profile.column("hi95")).all()
    assert chosen.explain(kmeans, chosen.expand(kmeans, None, {"segment": "S1"})).names[0].startswith("driver_")


def test_a_question_may_say_what_was_not_seen(kmeans):
    chosen = recipe("segments", "kmeans")
    asked = Table.from_rows([{"customer": "deals0", "promoted": 0.0, "basket": 400.0}, {"customer": "deals0"}], get("segments").asks)
    said = chosen.predict(kmeans, asked)
    assert said.column("name")[0] != said.column("name")[1]
    whole = {"customer": "new", "recency": 3, "orders": 50, "basket": 20, "promoted": 0.9, "tenure": 500, "breadth": 10}
    fresh = Table.from_rows([whole], get("segments").asks)
    assert chosen.predict(kmeans, fresh).column("name")[0] in kmeans.names
    with pytest.raises(NotFound, match="unknown"):
        chosen.predict(kmeans, Table.from_columns({"customer": np.array(["nobody"], object)}))
    with pytest.raises(BadValue):
        chosen.predict(kmeans, Table.from_columns({"customer": np.array(["deals0"], object), "orders": np.array([-1.0])}))
    idle = Table.from_columns({"customer": np.array(["deals0"], object), "colour": np.array(["red"], object)})
    assert "column colour was not there in training and changes nothing" in chosen.notes(kmeans, idle)
    assert not any("changes nothing" in note for note in chosen.notes(kmeans, asked))
    with pytest.raises(NotFound):
        chosen.expand(kmeans, None, {"customer": "nobody"})
    with pytest.raises(BadValue):
        chosen.expand(kmeans, 7, {})


def test_an_update_keeps_the_middles_and_moves_few(kmeans, made):
    chosen = recipe("segments", "kmeans")
    later = table(shop(days=760))
    moved = chosen.update(kmeans, later)
    np.testing.assert_array_equal(moved.middles, kmeans.middles)
    away = moved.assign(moved.raw)[1].argmin(1)
    before = np.array([kmeans.home[kmeans.place[name]] for name in moved.people.tolist()])
    assert (moved.home != before).mean() <= (away != before).mean()
    changes = chosen.changes(kmeans, moved)
    assert changes.column("customers").sum() == len(before)
    assert (changes.column("lo95") <= changes.column("share") + 1e-9).all()
    assert any("PSI" in note for note in chosen.notes(moved, later))
    again = chosen.load(chosen.dump(moved))
    assert again.moves.tolist() == moved.moves.tolist()


def test_names_survive_a_refit_and_the_mapping_is_told(kmeans, made):
    chosen = recipe("segments", "kmeans")
    from dataclasses import replace

    renamed = replace(kmeans, names=tuple(f"ours {number}" for number in range(len(kmeans.names))))
    fresh = chosen.fit(table(shop(seed=1)), FEW, 5)
    kept = chosen.remember(replace(fresh, names=tuple(f"x{number}" for number in range(len(fresh.names)))), renamed)
    assert sum(name.startswith("ours") for name in kept.names) >= 3
    assert len(set(kept.names)) == len(kept.names)
    assert any("->" in note for note in chosen.notes(kept, made))


def test_carried_names_are_unique():
    overlap = np.array([[0.9, 0.0, 0.0], [0.0, 0.1, 0.0]])
    names, mapping = carried(["A", "Loyal", "C"], ["Loyal", "B"], overlap)
    assert names[0] == "Loyal" and len(set(names)) == 3
    assert mapping == [("Loyal", "Loyal", 0.9)]
    assert unique(["a", "a", "b"]) == ("a", "a 2", "b")


def test_shuffled_columns_have_no_supported_segmentation(made):
    rng = np.random.default_rng(0)
    now = made.take(made.column("cut") == made.column("cut").max())
    mixed = now.with_columns(
        {name: rng.permutation(now.column(name)) for name in ("recency", "orders", "basket", "promoted", "tenure", "breadth")}
    )
    for name in ("kmeans", "mixture", "assigner"):
        chosen = recipe("segments", name)
        state = chosen.fit(mixed, FEW, 0)
        assert state.names == ("All customers",)
        assert any("no supported segmentation" in note for note in chosen.notes(state, mixed))
        chosen.predict(chosen.load(chosen.dump(state)), chosen.expand(state, None, {}))

    cells = recipe("segments", "rfm")
    assert any("no supported segmentation" in note for note in cells.notes(cells.fit(mixed, {}, 0), mixed))


def test_three_people_are_no_segment_to_act_on(made):
    odd = made.column("basket").copy()
    odd[-3:] = 1e7
    chosen = recipe("segments", "kmeans")
    state = chosen.fit(made.with_columns({"basket": odd}), {**FEW, "k": 5}, 0)
    small = np.bincount(state.home)
    assert (small.min() < 10) == any("too few to say anything" in note for note in chosen.notes(state, made))
    assert any("does not support" in note or "supports" in note for note in chosen.notes(state, made))


def test_labels_make_the_segments(made):
    people = pl.DataFrame({"customer": [f"{kind}{n}" for kind in KINDS for n in range(110)]})
    kinds = people["customer"].str.replace_all(r"\d", "")
    few = people.with_columns(segment=pl.when(pl.int_range(440) % 11 == 0).then(kinds).otherwise(None))
    chosen = recipe("segments", "mixture")
    state = chosen.fit(table(shop(), few), FEW, 0)
    assert set(state.names) == set(KINDS)
    said = chosen.predict(state, chosen.expand(state, None, {}))
    assert (
        np.mean(
            [name.startswith(label) for name, label in zip(said.column("customer").tolist(), said.column("name").tolist(), strict=True)]
        )
        > 0.9
    )
    with pytest.raises(BadValue, match="labelled with 4 segments"):
        chosen.fit(table(shop(), few), {**FEW, "k": 7}, 0)
    three = people.with_columns(segment=pl.when(people["customer"] == "big0").then(pl.lit("vip")).otherwise(few["segment"]))
    with pytest.raises(LearnFailed, match="1 customers are labelled 'vip'"):
        chosen.fit(table(shop(), three), FEW, 0)


def test_the_judge_hides_the_next_period_and_scores_it(made):
    found = judge.exams(made, folds=2, seed=0)
    assert not any(name.startswith("next_") or name == "label" for name in found[0].asked.names)
    chosen = recipe("segments", "rfm")
    answers = [chosen.predict(chosen.fit(exam.seen, {}, 0), exam.asked) for exam in found]
    marks = judge.marks(found, answers)
    assert 0.2 < marks.metrics["unexplained"] < 1 and len(marks.loss) == sum(len(exam.asked) for exam in found)
    alone = [answer.with_columns({"segment": np.array([f"S{n}" for n in range(len(answer))], object)}) for answer in answers]
    assert judge.marks(found, alone).metrics["unexplained"] == pytest.approx(1.0, abs=0.01), "groups of one explain nothing"


def test_customers_without_orders_are_described_by_what_is_known_of_them():
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 3, 400)
    people = pl.DataFrame(
        {
            "customer": [f"C{n}" for n in range(400)],
            "age": np.array([25.0, 45, 70])[kind] + 2 * rng.normal(size=400),
            "income": np.exp(np.array([10.0, 12, 11])[kind] + 0.1 * rng.normal(size=400)),
            "empty": [None] * 400,
        }
    )
    given = part("segments", "assemble", "assemble")({"customers": Table.from_frame(people)})
    state = recipe("segments", "kmeans").fit(given, FEW, 0)
    assert len(state.names) >= 3 and purity(kind, state.home) > 0.95
    assert any("age" in name or "income" in name for name in state.names)


def test_bad_questions_have_an_answer(made):
    chosen = recipe("segments", "kmeans")
    with pytest.raises(EmptyTable):
        part("segments", "assemble", "assemble")(
            {"customers": Table.from_frame(pl.DataFrame({"customer": pl.Series([], dtype=pl.String)}))}
        )
    same = Table.from_columns({"customer": np.array([f"C{n}" for n in range(400)], object), "about_x": np.ones(400)})
    with pytest.raises(LearnFailed, match="look the same"):
        chosen.fit(same, FEW, 0)
    assert recipe("segments", "rfm").fit(same, {}, 0).names == ("All customers",)
    few = made.take(np.arange(len(made)) >= len(made) - 100)
    with pytest.raises(LearnFailed, match="too few"):
        chosen.fit(few, FEW, 0)
    two = Table.from_columns({"customer": np.array([f"C{n}" for n in range(400)], object), "about_x": np.arange(400) % 2.0})
    with pytest.raises(BadValue, match="fewer different"):
        chosen.fit(two, {**FEW, "k": 5}, 0)
