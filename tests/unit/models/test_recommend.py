"""Recommend: rules hold, shortfalls are explained, cold customers and items are served, bad input is named."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

from tradewind import models
from tradewind.core.errors import BadValue, EmptyTable, LearnFailed, MissingColumn, Tampered
from tradewind.core.model import settle
from tradewind.core.table import Table
from tradewind.models.recommend import als, engine, judge, ranker, weights
from tradewind.models.recommend import log as logs
from tradewind.models.recommend import shop as shops
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


def test_an_answer_is_the_same_whatever_is_asked_beside_it(state, monkeypatch):
    names = ["C001", "C002", None, "nobody", "C003", "C004", "C005"]
    more = {"basket": [None, None, "I001; I002", None, "I003", None, None], "pin": [None, "I002", None, None, None, None, None]}
    shelves = ["any", "again", "discover", "any", "discover", "any", "again"]
    question = asked(customer=names, shelf=shelves, k=[10, 3, 6, 5, 8, 4, 2], **more)
    whole, notes = RECIPE.predict(state, question), RECIPE.notes(state, question)
    monkeypatch.setattr(engine, "ROWS", 2)
    found = RECIPE.predict(state, question)
    assert RECIPE.notes(state, question) == notes
    for name in whole.names:
        np.testing.assert_array_equal(found.column(name), whole.column(name))
    for row in range(len(names)):
        alone = RECIPE.predict(state, question.take(np.array([row])))
        for name in ("customer", "shelf", "rank", "item", "score", "probability", "reason"):
            np.testing.assert_array_equal(alone.column(name), whole.column(name)[whole.column("asked") == row])


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
    assert "customer nobody not known" in said and "left out of baskets, as not of the range: thing" in said


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
    np.testing.assert_allclose(weights.solve(np.triu(gram).astype("f8"), 50.0), wanted, atol=1e-12)


def test_a_mirror_of_any_size_is_whole(monkeypatch):
    monkeypatch.setattr(weights, "BLOCK", 7)
    for size in (1, 6, 7, 20):
        whole = np.random.default_rng(size).normal(size=(size, size))
        whole += whole.T
        half = np.where(np.tri(size, k=-1, dtype=bool), np.nan, whole)
        weights._mirror(half)
        np.testing.assert_array_equal(half, whole)


def test_where_single_precision_does_not_reach_double_does():
    """Two items that all but one customer buy together, and hardly any strength: the inverse is large and nearly without a digit."""
    gram = np.array([[4e6, 4e6 - 1, 10], [4e6 - 1, 4e6, 10], [10, 10, 20]])
    with pytest.raises(LearnFailed, match="cannot be inverted"):
        weights.solve(gram.astype("f4"), 0.01)
    inverse = np.linalg.inv(gram + 0.01 * np.eye(3))
    np.testing.assert_allclose(weights.solve(gram, 0.01)[0, 1], -inverse[0, 1] / inverse[1, 1], rtol=1e-6)


def test_bought_together_is_counted_in_pieces(monkeypatch, table):
    log = logs.read(table)
    past = logs.seen(log, log.end)
    width = len(log.items)
    able = np.flatnonzero(past.buyers > 2)
    held = np.zeros((len(log.customers), width))
    held[np.repeat(np.arange(len(log.customers)), np.diff(past.start)), past.item] = 1
    wanted = np.triu((held.T @ held)[np.ix_(able, able)])
    for most in (10**6, 50):
        monkeypatch.setattr(weights, "PAIRS", most)
        np.testing.assert_array_equal(weights._gram(past, able, width), wanted)


def test_factors_are_the_least_squares_they_claim(monkeypatch):
    """With steps enough, each side is the exact ridge solution given the other; the weighted loss falls with every sweep."""
    bought = sparse.random(60, 30, 0.15, "csr", "f4", random_state=0)
    bought.data[:] = 1
    items_ = np.random.default_rng(0).normal(size=(30, 5)).astype("f4")
    monkeypatch.setattr(als, "STEPS", 40)
    found = als._solved(bought, items_, np.zeros((60, 5), "f4"))
    dense = bought.toarray()
    for row in range(60):
        held = items_[dense[row] > 0]
        bend = held.T @ held + als.ALL * items_.T @ items_ + als.RIDGE * (len(held) + als.ALL * 30) * np.eye(5)
        np.testing.assert_allclose(found[row], np.linalg.solve(bend, held.sum(0)), atol=1e-4)
    np.testing.assert_array_equal(als.factors(bought, 5, 3), als.factors(bought, 5, 3))
    assert als.factors(bought, 200, 0).shape == (30, 30)


def wide(seed, each=60, tastes=4, people=900, days=150):
    """Draw a shop of many items with a long tail: everyone buys by taste and popularity, nine in ten from their own taste."""
    rng = np.random.default_rng(seed)
    lines = 40 * people
    who, item = rng.integers(0, people, lines), (each * rng.random(lines) ** 2.0).astype(int)
    taste = np.where(rng.random(lines) < 0.9, who % tastes, rng.integers(0, tastes, lines))
    day = np.datetime64("2025-01-01") + rng.integers(0, days, lines)
    columns = {
        "order": texts(*(f"O{a}-{b}" for a, b in zip(who.tolist(), day.tolist(), strict=True))),
        "date": day,
        "customer": texts(*(f"C{one}" for one in who.tolist())),
        "product": texts(*(f"T{a}-{b:03d}" for a, b in zip(taste.tolist(), item.tolist(), strict=True))),
        "quantity": np.ones(lines),
        "unit_price": 1.0 + item,
    }
    return assemble({"orders": Table.from_columns(columns)})


def test_items_past_the_most_bought_are_found_by_factors():
    """Past the 50 most bought of 240, offers are of the customer's taste, where popularity and exact weights alone know nothing of it."""
    log = logs.read(wide(0))
    past = logs.seen(log, log.end)
    told = {"strength": 100.0, "keep": 60, "most": 50}
    made = weights.learn(log, past, **told, factors=16, seed=1)
    tail = np.flatnonzero(made.known == weights.FACTORED)
    assert (made.known == weights.EXACT).sum() == 50 and len(tail) > 150
    shop = shops.of(log, past)
    who = shops.profiles(shop, np.arange(300))
    taste = np.array([int(name[1]) for name in log.items.tolist()])
    own = np.array([int(name[1:]) % 4 for name in log.customers[:300].tolist()])

    def right(held):
        score = ranker.fresh(shop, ranker.grid(shop, held, who), 0.0)[:, tail]
        return (taste[tail][np.argsort(-score, axis=1)[:, :10]] == own[:, None]).mean()

    popular, exact, factored = (right(held) for held in (None, weights.learn(log, past, **told), made))
    assert popular < 0.4 and exact < 0.4 and factored > 0.9
    again = weights.learn(log, past, **told, factors=16, seed=1)
    np.testing.assert_array_equal(made.value, again.value)
    everything = weights.learn(log, past, **told | {"most": 240})
    likes = [ranker.grid(shop, held, who) for held in (made, everything)]
    held = [np.median(one.likes[:, tail][one.held[:, tail]]) for one in likes]
    assert 0.4 < held[0] / held[1] < 2.5  # on the scale of exact weights: both compete for the same places


def test_that_items_are_ranked_by_factors_is_said(tmp_path):
    table = wide(1, people=200)
    chosen = settle(RECIPE.knobs, {"most": 50, "factors": 8})
    made = RECIPE.fit(table, chosen, 0)
    question = asked(customer=["C1"], k=[3])
    assert any("190 items past the 50 most bought are ranked by factors" in note for note in RECIPE.notes(made, question))
    back = RECIPE.load(RECIPE.dump(made))
    assert RECIPE.predict(back, question).column("item").tolist() == RECIPE.predict(made, question).column("item").tolist()
    assert RECIPE.notes(RECIPE.fit(table, chosen | {"factors": 0}, 0), question) == []


def test_a_version_of_a_wide_range_stays_small(monkeypatch):
    log = logs.read(wide(2, people=200))
    monkeypatch.setattr(weights, "MOST_KEPT", 1000)
    made = weights.learn(log, logs.seen(log, log.end), strength=100.0, keep=60, most=50, factors=8)
    tail = made.known == weights.FACTORED
    assert tail[made.target].sum() <= 1000


def test_so_does_one_of_a_range_that_hardly_anyone_bought(table, monkeypatch):
    log = logs.read(table)
    past = logs.seen(log, log.end)
    told = {"strength": 100.0, "keep": 60, "most": 6000}
    whole = weights.learn(log, past, **told)
    new = whole.known == weights.ATTRIBUTED
    most = 2 * int((whole.known == 0).sum() + new.sum())
    assert new[whole.target].sum() > most
    monkeypatch.setattr(weights, "MOST_KEPT", most)
    made = weights.learn(log, past, **told)
    np.testing.assert_array_equal(made.known, whole.known)
    assert 0 < new[made.target].sum() <= most
    least = {item: np.sort(np.abs(whole.value[whole.target == item]))[-2:] for item in np.flatnonzero(new).tolist()}
    for item, largest in least.items():
        np.testing.assert_allclose(np.sort(np.abs(made.value[made.target == item])), largest)


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
