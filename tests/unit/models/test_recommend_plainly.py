"""Recommend: what is worked out sparsely and for many at once is what a plain, slow reading of the same rules gives."""

from __future__ import annotations

import numpy as np
import pytest

from tradewind import models
from tradewind.core.model import settle
from tradewind.core.table import Table
from tradewind.models.recommend import engine, ranker, weights
from tradewind.models.recommend import shop as shops
from tradewind.models.recommend.assemble import assemble
from tradewind.models.recommend.example import example

RECIPE = models.recipe("recommend", "shelves")


@pytest.fixture(scope="module")
def state():
    return RECIPE.fit(assemble(dict(example(5).tables)), settle(RECIPE.knobs, {}), 0)


def dense(held):
    made = np.zeros((len(held.start) - 1, len(held.start) - 1))
    source = np.repeat(np.arange(len(made)), np.diff(held.start))
    made[source, held.target] = held.value
    return made


def first(score, number):
    return set(np.lexsort((np.arange(len(score)), -score))[:number].tolist())


def plainly(state, person, shelf):
    """Return the ten best items of one customer and what likeness is made of, item by item."""
    seen, width = state.shop.seen, len(state.shop.items)
    own = slice(*seen.start[person : person + 2])
    count, last = np.zeros(width), np.zeros(width)
    count[seen.item[own]], last[seen.item[own]] = seen.count[own], seen.last[own]
    said = dense(state.weights)[seen.item[own]]
    likes = said.sum(0).astype("f4")
    boost = np.exp(state.power * state.shop.crowd.inputs[0]).astype("f4")
    new = (np.maximum(likes, 0) * boost + 1e-4 * state.shop.crowd.share).astype("f4")
    if shelf == "discover":
        score = np.where(count > 0, -np.inf, new)
    else:
        able = count > 0 if shelf == "again" else np.ones(width, bool)
        usual = (count.astype("f4") + state.shop.crowd.ties).astype("f4")
        best = first(np.where(able, new, -np.inf), ranker.NEAR) | first(np.where(able, usual, -np.inf), ranker.NEAR)
        best |= set(state.shop.crowd.popular[: ranker.POPULAR].tolist())
        score = np.where(able, engine.FLOOR + np.log(new), -np.inf)
        for item in best:
            if able[item]:
                given = one(state, person, count, last, float(likes[item]), item)
                score[item] = np.float32(state.ranker.logit(given, np.array([count[item] > 0]))[0])
    score[state.shop.crowd.gone] = -np.inf
    order = np.lexsort((np.arange(width), -score))[:10]
    return [int(at) for at in order if score[at] > -np.inf], score, said


def one(state, person, count, last, likes, item):
    """Return the inputs of one pair by the words of their list: how often, how lately, how regularly, what like items say, the crowd."""
    seen = state.shop.seen
    has = count[item] > 0
    age = float(seen.day - last[item]) if has else 0.0
    orders, quiet = max(float(seen.orders[person]), 1.0), min(float(seen.day - seen.latest[person]), 999.0)
    own = [np.log1p(count[item]), has * np.exp(-age / 20), has * np.exp(-age / 90), count[item] / orders, has * np.log1p(age)]
    crowd = state.shop.crowd.inputs[:, item].tolist()
    more = [np.log(orders), np.log1p(quiet), np.log1p(np.diff(seen.start)[person]), float(has and age <= quiet + 0.5)]
    return np.array([[*own, np.log(max(likes, 0) + ranker.EPS), *crowd, *more]])


@pytest.mark.parametrize("shelf", ["any", "again", "discover"])
def test_a_hundred_answers_are_what_one_plain_reading_gives(state, shelf, monkeypatch):
    monkeypatch.setattr(ranker, "NEAR", 4)  # fewer than the range, so that candidates have an edge
    monkeypatch.setattr(ranker, "POPULAR", 2)
    people = np.arange(100) % len(state.shop.customers)
    columns = {"customer": state.shop.customers[people], "shelf": np.full(100, shelf, object), "k": np.full(100, 10.0)}
    answer = RECIPE.predict(state, Table.from_columns(columns))
    place, kinds = state.shop.place, set()
    for row, person in enumerate(people.tolist()):
        mine = answer.take(answer.column("asked") == row)
        found = [place[name] for name in mine.column("item").tolist()]
        wanted, score, said = plainly(state, person, shelf)
        assert found == wanted
        np.testing.assert_allclose(mine.column("score"), score[found], rtol=1e-5, atol=1e-6)
        for item, reason in zip(found, mine.column("reason").tolist(), strict=True):
            kinds.add(reason.split()[0])
            if reason.startswith("because of "):
                add = np.maximum(said[:, item], 0)
                top = state.shop.items[state.shop.seen.item[state.shop.seen.start[person] + int(add.argmax())]]
                assert reason.startswith(f"because of {top} {100 * add.max() / add.sum():.0f} %")
    assert kinds <= {"bought", "because", "popular:", "new"} and kinds


def test_the_best_are_as_many_as_wanted_and_the_first_named_among_equals():
    rng = np.random.default_rng(3)
    score = rng.integers(0, 6, (40, 50)).astype("f4")
    score[::3, 10:] = -np.inf
    for number in (1, 7, 12, 49, 50, 60):
        mask = ranker.best(score, number)
        for row, marked in zip(score, mask, strict=True):
            assert set(np.flatnonzero(marked).tolist()) == first(row, number)


def test_likes_are_the_sums_of_the_weights_of_all_that_is_held(state):
    people = np.array([3, -1, 0, 7])  # the unknown one has a basket, and the known ones have more on top
    who = shops.profiles(state.shop, people, [[1], [2, 5], [], [0, 9]])
    made = state.weights.likes(who.row, who.item, who.size)
    held = np.zeros(made.shape)
    held[who.row, who.item] = 1
    np.testing.assert_allclose(made, held @ dense(state.weights), rtol=1e-5, atol=1e-7)
    assert not state.weights.likes(who.row[:0], who.item[:0], 2).any()


def test_weights_by_target_are_the_same_weights(state):
    start, source, value = state.weights.into
    found = np.zeros((len(start) - 1, len(start) - 1))
    place, sizes = weights.runs(start, np.arange(len(start) - 1))
    found[source[place], np.repeat(np.arange(len(sizes)), sizes)] = value[place]
    np.testing.assert_array_equal(found, dense(state.weights))
