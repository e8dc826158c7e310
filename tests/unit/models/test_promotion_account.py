"""The account of a promotion: worked out in pieces as in one, beside siblings, and with what it brings along."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from tradewind.core.table import Table
from tradewind.models import recipe
from tradewind.models._kit.intervals import quantiles
from tradewind.models._kit.trade.levers import SIBLINGS, SISTERS
from tradewind.models._kit.world import make
from tradewind.models.promotion import account as money
from tradewind.models.promotion.asking import cells_of
from tradewind.models.promotion.assemble import assemble

LOADED = ("sales", "promotions", "prices", "products", "stores", "events")


@pytest.fixture(scope="module")
def served():
    world = make(seed=6, years=1.2, products=6, stores=2, customers=0, reviews=0, noise=0.5, anomalies=0.0, stockouts=0.0)
    one = recipe("promotion", "structural")
    return one, one.load(one.dump(one.fit(assemble({name: world.tables[name] for name in LOADED}), {}, 0)))


@pytest.fixture(scope="module")
def asked(served) -> Table:
    _, book = served
    start = dt.date.fromisoformat(str(book.clock.date(np.array([book.first + book.cut + 2])).astype("M8[D]")[0]))
    rows = [
        {
            "promotion": name,
            "product": product,
            "start": start,
            "end": start + dt.timedelta(days),
            "mechanic": "price_cut",
            "discount": depth,
        }
        for name, product, days, depth in (("a", "P001", 20, 0.2), ("b", "P002", 6, 0.3), ("a", "P003", 13, 0.1), ("c", "P004", 6, 0.0))
    ]
    return Table.from_frame(pl.DataFrame(rows))


def numbers(table: Table) -> dict[str, np.ndarray]:
    return {name: table.column(name) for name in table.names if table.column(name).dtype.kind == "f"}


@pytest.mark.parametrize("cells", [1, 3])
def test_where_work_is_cut_changes_no_answer(served, asked, monkeypatch, cells):
    one, book = served
    whole = numbers(one.predict(book, asked))
    past = one.expand(book, None, {})
    known = numbers(one.predict(book, past))
    monkeypatch.setattr(money, "CHUNK", cells)  # promotions are cut in the middle
    for table, wanted in ((asked, whole), (past, known)):
        for name, values in numbers(one.predict(book, table)).items():
            np.testing.assert_allclose(values, wanted[name], rtol=1e-3, atol=1e-3 * np.abs(wanted[name]).max() + 1e-9, err_msg=name)


def test_promotions_asked_together_are_answered_as_alone(served, asked):
    one, book = served
    together = one.predict(book, asked)
    assert together.column("promotion").tolist() == ["a", "b", "c"]  # rows of one name are one, wherever they stand
    for at, name in enumerate("abc"):
        alone = numbers(one.predict(book, asked.take(asked.column("promotion") == name)))
        for column, values in numbers(together).items():
            assert values[at] == pytest.approx(alone[column][0], rel=1e-4, abs=1e-3)


def test_each_series_stands_beside_the_others_of_its_category_and_store(served):
    _, book = served
    category = book.categories[book.product]
    target, close = book.siblings
    for at in range(len(book.product)):
        like = (category == category[at]) & (book.store == book.store[at])
        like[at] = False
        assert sorted(target[at][target[at] >= 0].tolist()) == np.flatnonzero(like).tolist()
        brand = book.brands[book.product]
        assert (close[at] == ((target[at] >= 0) & (brand[target[at]] == brand[at]) & (brand[at] != ""))).all()


def test_siblings_lose_what_their_draws_say(served, asked):
    _, book = served
    cells, part = cells_of(book, asked.take(asked.column("promotion") == "a")), slice(0, None)
    lift, move = money.own_lift(book, cells, part)
    level = np.exp(book.strays[cells.series])
    one = money._Part(cells.series, cells.period, -np.ones(len(cells.series), "f4"), lift, move, level)
    units, margin, known = money._siblings(book, one)
    _, sister, others, sisters = book.group
    for at, (series, period) in enumerate(zip(cells.series.tolist(), cells.period.tolist(), strict=True)):
        wanted, earned = 0.0, 0.0
        for beside in book.members[int(book.group[0][series])].tolist():
            if beside == series or not book.living[beside]:
                continue
            weight = book.draws_of(SIBLINGS, np.array([beside]))[:, 0] / max(others[beside], 1)
            if sister[beside] == sister[series]:
                weight = weight + book.draws_of(SISTERS, np.array([beside]))[:, 0] / max(sisters[beside], 1)
            usual = np.exp(book.base + book.context + book.lift)[beside, period] * book.smear[beside]
            gained = usual * np.expm1(weight * move[at]) * level[at]
            wanted, earned = wanted + gained, earned + gained * (book.regular - book.cost)[beside, period]
        np.testing.assert_allclose(units[at], wanted, rtol=1e-3, atol=1e-3)
        np.testing.assert_allclose(margin[at], earned, rtol=1e-3, atol=1e-3)
    assert known.all() and np.abs(units).max() > 0.1


def test_what_is_brought_along_is_what_every_pair_brings_in_every_draw(served, asked):
    _, learned = served
    source = int(np.flatnonzero(learned.products == "P001")[0])
    outside = np.flatnonzero(learned.products != "P001")[:2]
    pairs = [(source, outside[0], 0.5, -0.3, 0.1), (source, outside[1], 0.1, -0.2, 0.1), (outside[0], source, 0.9, -0.2, 0.0)]
    book = replace(learned, halo=np.array(pairs, "f4"))
    cells = cells_of(book, asked.take(asked.column("promotion") == "a"))
    lift, move = money.own_lift(book, cells, slice(0, None))
    one = money._Part(cells.series, cells.period, np.ones(len(cells.series), "f4"), lift, move, np.ones_like(move))
    units, margin, _ = money._halo(book, one)
    expected = np.exp(book.base + book.context + book.lift) * book.smear[:, None]
    for at, (series, period) in enumerate(zip(cells.series.tolist(), cells.period.tolist(), strict=True)):
        wanted, earned = np.zeros(move.shape[1]), np.zeros(move.shape[1])
        for pair, (first, second, *_) in enumerate(pairs):
            target = int(book.grid[second, book.store[series]])
            if book.product[series] == first and target >= 0 and book.living[target]:
                gained = expected[target, period] * np.expm1(book.brought[:, pair] * move[at])
                wanted, earned = wanted + gained, earned + gained * (book.regular - book.cost)[target, period]
        np.testing.assert_allclose(units[at], wanted, rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(margin[at], earned, rtol=1e-4, atol=1e-4)
    assert (units[book.product[cells.series] == source].max(1) > 0).all()


def test_a_version_that_is_warm_answers_as_one_that_is_not(served, asked):
    one, book = served
    plain, warm = (one.load(one.dump(book)) for _ in range(2))
    one.warm(warm)
    assert "drawn" in vars(warm) and "drawn" not in vars(plain)
    found, wanted = one.predict(warm, asked), one.predict(plain, asked)
    for name in found.names:
        assert (found.column(name) == wanted.column(name)).all()


def test_quantiles_are_those_of_numpy():
    draws = np.random.default_rng(0).normal(size=(3, 4, 200))
    levels = (0.025, 0.1, 0.5, 0.9, 1.0)
    np.testing.assert_allclose(quantiles(draws, levels), np.quantile(draws, levels, axis=-1), rtol=1e-12)
