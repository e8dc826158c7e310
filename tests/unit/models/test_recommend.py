"""Recommend: rules hold, shortfalls are explained, cold customers and items are served, bad input is named."""

from __future__ import annotations

import numpy as np
import pytest

from tradewind import models
from tradewind.core.errors import BadValue, EmptyTable, LearnFailed, MissingColumn, Tampered
from tradewind.core.model import settle
from tradewind.core.table import Table
from tradewind.models.recommend import judge, ranker, weights
from tradewind.models.recommend import log as logs
from tradewind.models.recommend.assemble import assemble
from tradewind.models.recommend.example import EACH, example

RECIPE = models.recipe("recommend", "shelves")


def texts(*values):
    made = np.empty(len(values), object)
    made[:] = values
    return made


def asked(**columns):
    size = max(len(values) for values in columns.values())
    return Table.from_columns(
        {
            name: texts(*values) if isinstance(values[0], str | None) else np.array(values, float)
            for name, values in columns.items()
            if len(values) == size
        }
    )


@pytest.fixture(scope="module")
def table():
    return assemble(dict(example(5).tables))


@pytest.fixture(scope="module")
def state(table):
    return RECIPE.fit(table, settle(RECIPE.knobs, {}), 0)


def items(state, **columns):
    return RECIPE.predict(state, asked(**columns)).column("item").tolist()


def test_exactly_as_many_as_asked_on_every_shelf(state):
    question = asked(customer=["C001"] * 3, shelf=["any", "again", "discover"], k=[4, 3, 6])
    answer = RECIPE.predict(state, question)
    assert answer.column("asked").tolist() == [0] * 4 + [1] * 3 + [2] * 6
    assert answer.column("rank").tolist() == [1, 2, 3, 4, 1, 2, 3, 1, 2, 3, 4, 5, 6]
    assert RECIPE.notes(state, question) == []
    bought = set(state.shop.items[state.shop.seen.item[slice(*state.shop.seen.start[1:3])]].tolist())
    again, new = answer.column("item")[4:7].tolist(), answer.column("item")[7:].tolist()
    assert set(again) <= bought and not set(new) & bought
    assert all(said.startswith("bought ") for said in answer.column("reason")[4:7])
    assert answer.column("reason")[7].startswith("because of ")


def test_shares_of_a_reason_are_what_was_added_up(state):
    answer = RECIPE.predict(state, asked(basket=["I001; I002"], k=[1], shelf=["discover"]))
    item = state.shop.place[answer.column("item")[0]]
    parts = []
    for name in ("I001", "I002"):
        low, high = state.weights.start[state.shop.place[name] : state.shop.place[name] + 2]
        hit = state.weights.target[low:high] == item
        parts.append(float(state.weights.value[low:high][hit].sum()))
    best = max(parts) / sum(parts)
    assert f"{best:.0%}".replace("%", " %") in answer.column("reason")[0]


def test_a_shortfall_is_explained(state):
    question = asked(customer=["C001", "C001"], k=[100, 50], shelf=["any", "again"])
    answer = RECIPE.predict(state, question)
    assert (answer.column("asked") == 0).sum() == 4 * EACH - 1  # one item is out of stock
    said = " ".join(RECIPE.notes(state, question))
    assert "got 39 of 100: 40 items in the range, 1 out of stock" in said and "bought before" in said


def test_rules_are_kept(state):
    at = state.shop.place
    who = {"customer": ["C002"], "k": [6]}
    only = items(state, **who, include=["category:taste 1"])
    assert all(name.startswith("I1") for name in only)
    assert not {"I200", "I201"} & set(items(state, **who, exclude=["I200; I201; category:taste 0"]))
    assert items(state, **who, pin=["I305; I101"])[:2] == ["I305", "I101"]
    assert "I003" not in items(state, customer=["C000"], k=[39])
    assert "I003" in items(state, customer=["C000"], k=[40], in_stock=[0])
    capped = items(state, **who, cap_category=[2])
    assert max(sum(name.startswith(f"I{kind}") for name in capped) for kind in range(4)) == 2
    assert items(state, **who, margin_floor=[0.5]) == []
    rested = items(state, **who, shelf=["again"], rest_days=[60])
    days = {state.shop.items[one]: state.shop.seen.day - last for one, last in zip(*pairs(state, 2), strict=True)}
    assert all(days[name] > 60 for name in rested)
    assert items(state, **who, contacts_max=[1]) == []
    assert len(items(state, **who, contacts_max=[2])) == 6
    assert at


def pairs(state, person):
    low, high = state.shop.seen.start[person : person + 2]
    return state.shop.seen.item[low:high], state.shop.seen.last[low:high]


def test_a_rule_that_leaves_too_little_says_which(state):
    question = asked(customer=["C002"], k=[20], cap_category=[1])
    assert len(RECIPE.predict(state, question)) == 4
    assert "the caps leave no more" in RECIPE.notes(state, question)[0]
    question = asked(customer=["C002"], k=[3], margin_floor=[0.5])
    assert "39 below the margin floor" in RECIPE.notes(state, question)[0]


def test_diversity_spreads_over_categories(state):
    def kinds(share):
        return len({name[:2] for name in items(state, customer=["C003"], k=[4], diversity=[share])})

    assert kinds(0.9) > kinds(0.0)


def test_explore_keeps_places_for_the_new(state):
    young = set(state.shop.items[state.shop.seen.buyers <= 20].tolist())
    plain, brave = (items(state, customer=["C004"], k=[10], explore=[share]) for share in (0.0, 0.2))
    assert sum(name in young for name in brave) >= max(2, sum(name in young for name in plain))


def test_one_item_is_enough_and_a_new_item_is_found_by_its_attributes(state):
    fresh = f"I1{EACH - 1:02d}"  # nobody ever bought it
    assert state.shop.seen.buyers[state.shop.place[fresh]] == 0
    assert fresh in items(state, basket=["I100; I101; I102"], k=[10], shelf=["discover"])


def test_who_and_what_is_unknown_is_said(state):
    question = asked(customer=["nobody", "nobody"], basket=[None, "I100; thing"], k=[3, 3])
    assert len(RECIPE.predict(state, question)) == 6
    said = " ".join(RECIPE.notes(state, question))
    assert "nobody is not known" in said and "thing in a basket is not of the range" in said


@pytest.mark.parametrize(
    ("columns", "match"),
    [
        ({"customer": [None], "k": [3]}, "neither a customer nor a basket"),
        ({"customer": ["C001"], "k": [0]}, "k must be a whole number"),
        ({"customer": ["C001"], "k": [2.5]}, "k must be a whole number"),
        ({"customer": ["C001"], "k": [5000]}, "k must be a whole number"),
        ({"customer": ["C001"], "shelf": ["attic"]}, "no shelf"),
        ({"customer": ["C001"], "include": ["thing"]}, "not of the range"),
        ({"customer": ["C001"], "exclude": ["brand:none"]}, "does not have"),
        ({"customer": ["C001"], "pin": ["thing"]}, "not of the range"),
    ],
)
def test_bad_questions_are_named(state, columns, match):
    with pytest.raises(BadValue, match=match):
        RECIPE.predict(state, asked(**columns))


def orders(**columns):
    size = len(columns["product"])
    plain = {
        "order": texts(*(f"O{at}" for at in range(size))),
        "date": np.datetime64("2025-01-01") + np.arange(size),
        "quantity": np.ones(size),
    }
    return {"orders": Table.from_columns(plain | columns)}


def test_bad_tables_are_named():
    names = texts(*["a", "b"] * 15)
    with pytest.raises(EmptyTable, match="no purchases"):
        assemble(orders(product=names, customer=names, quantity=-np.ones(30)))  # returns only
    with pytest.raises(EmptyTable):
        assemble({"products": Table.from_columns({"product": names})})
    with pytest.raises(MissingColumn, match="quantity"):
        assemble({"orders": Table.from_columns({"product": names, "date": np.full(30, np.datetime64("2025-01-01"))})})
    few = assemble(orders(product=names[:4], customer=names[:4]))
    with pytest.raises(LearnFailed, match="too few"):
        RECIPE.fit(few, settle(RECIPE.knobs, {}), 0)


def test_a_slip_of_the_date_is_left_out(table):
    tables = dict(example(5).tables)
    dates = tables["orders"].column("date").copy()
    dates[0] = np.datetime64("2205-01-01")
    tables["orders"] = tables["orders"].with_columns({"date": dates})
    assert logs.read(assemble(tables)).end == logs.read(table).end


def test_customers_who_came_once_teach_nothing_and_that_is_said():
    rng = np.random.default_rng(0)
    who, what = texts(*(f"C{at}" for at in range(200))), texts(*(f"I{at}" for at in rng.integers(0, 8, 200)))
    made = assemble(orders(product=what, customer=who))
    with pytest.raises(LearnFailed, match="no past moment"):
        judge.exams(made, folds=3, seed=0)
    with pytest.raises(LearnFailed, match="no known customer"):
        RECIPE.fit(made, settle(RECIPE.knobs, {}), 0)


def test_a_question_asked_twice_is_answered_twice(state):
    answer = RECIPE.predict(state, asked(customer=["C001", "C001"], k=[3, 3]))
    assert answer.column("item")[:3].tolist() == answer.column("item")[3:].tolist()


def test_baskets_without_time_or_customers_are_learned_and_judged():
    rng = np.random.default_rng(1)
    taste = rng.integers(0, 2, 300).repeat(4)
    item = texts(*(f"{'ab'[kind]}{number}" for kind, number in zip(taste.tolist(), rng.integers(0, 6, 1200).tolist(), strict=True)))
    basket = texts(*(f"B{at}" for at in np.arange(300).repeat(4)))
    day = np.full(1200, np.datetime64("2025-01-01"))
    made = assemble({"orders": Table.from_columns({"order": basket, "date": day, "product": item, "quantity": np.ones(1200)})})
    exams = judge.exams(made, folds=3, seed=0)
    assert len(exams) == 1
    found = {}
    for name in ("popular", "shelves"):
        recipe = models.recipe("recommend", name)
        answer = recipe.predict(recipe.fit(exams[0].seen, settle(recipe.knobs, {}), 0), exams[0].asked)
        found[name] = judge.marks(exams, [answer]).metrics["ndcg_10"]
    assert found["shelves"] > found["popular"] + 0.1
    state = RECIPE.fit(exams[0].seen, settle(RECIPE.knobs, {}), 0)
    answer = RECIPE.predict(state, asked(basket=["a0; a1", "b0; b1"], k=[4, 4]))  # baskets of nobody known, unlike any that taught
    assert [name[0] for name in answer.column("item").tolist()] == ["a"] * 4 + ["b"] * 4
    assert (answer.column("probability") > 0.05).all()


def test_weights_are_those_of_the_closed_form():
    rng = np.random.default_rng(2)
    bought = (rng.random((300, 40)) < 0.1).astype("f4")
    gram = bought.T @ bought
    inverse = np.linalg.inv(gram.astype("f8") + 50.0 * np.eye(40))
    wanted = -inverse / np.diag(inverse)[None, :]
    np.fill_diagonal(wanted, 0.0)
    np.testing.assert_allclose(weights.solve(gram.copy(), 50.0), wanted, atol=2e-5)


def test_an_update_knows_newer_purchases_and_items(table, state):
    early = table.take((table.column("kind") != "order") | (table.column("date") < np.datetime64("2025-05-01")))
    old = RECIPE.fit(early, settle(RECIPE.knobs, {}), 0)
    new = RECIPE.update(old, table)
    assert new.shop.seen.day == state.shop.seen.day > old.shop.seen.day
    assert RECIPE.changes(old, new).column("after")[2] > RECIPE.changes(old, new).column("before")[2]
    assert len(RECIPE.predict(new, asked(customer=["C001"], k=[5]))) == 5


def test_damaged_parts_are_refused(state):
    parts = dict(RECIPE.dump(state))
    with pytest.raises(Tampered):
        RECIPE.load(parts | {"names.json": b'{"customers": ["x"]}'})
    with pytest.raises(Tampered):
        RECIPE.load(parts | {"shop.safetensors": parts["shop.safetensors"][:-8]})


def test_cuts_look_at_nothing_later(table):
    log = logs.read(table)
    for cut in ranker.cuts(log, 0):
        assert cut.seen.last.max() < cut.seen.day and cut.seen.latest.max() < cut.seen.day
