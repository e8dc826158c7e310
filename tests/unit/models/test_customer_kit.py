"""Orders made ready, the rhythm of buying, splines, small trees and the measures: each beside what is known to be right."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest
from scipy.interpolate import BSpline

from tradewind.core.errors import BadValue, EmptyTable, LearnFailed, MissingColumn
from tradewind.core.table import Table
from tradewind.models._kit.clusters import agree, choose, mixture, network
from tradewind.models._kit.customers import attributes, boosted, btyd, columns, features, logistic, orders, rank


def lines(**more):
    day = [dt.date(2024, 1, 1) + dt.timedelta(days=3 * number) for number in range(200)]
    frame = pl.DataFrame({"order": [f"O{n}" for n in range(200)], "date": day, "customer": [f"C{n % 20}" for n in range(200)]})
    return frame.with_columns(product=pl.lit("P"), quantity=pl.lit(2.0), amount=pl.lit(10.0)).with_columns(**more)


def test_returns_lower_spend_and_are_no_orders():
    returned = lines()[:1].with_columns(order=pl.lit("back"), quantity=pl.lit(-1.0), amount=pl.lit(4.0), date=pl.lit(dt.date(2024, 3, 1)))
    found = features.as_of(orders.tidy(Table.from_frame(pl.concat([lines(), returned]))), dt.date(2024, 6, 30))
    one = found.filter(pl.col("customer") == "C0").to_dicts()[0]
    assert one["spend"] == 10 * one["orders"] - 4
    assert 0 < one["returned"] < 0.5


def test_a_customer_with_returns_only_or_one_order():
    frame = pl.concat([lines(), lines()[:1].with_columns(customer=pl.lit("only"), quantity=pl.lit(-1.0), order=pl.lit("r"))])
    frame = pl.concat([frame, lines()[:1].with_columns(customer=pl.lit("once"), order=pl.lit("x"))])
    found = features.as_of(orders.tidy(Table.from_frame(frame)), dt.date(2025, 12, 31))
    assert "only" not in found["customer"].to_list()
    once = found.filter(pl.col("customer") == "once").to_dicts()[0]
    assert (once["orders"], once["repeats"], once["spread"]) == (1, 0, 0)
    assert once["gap"] == once["tenure"]


@pytest.mark.parametrize("late", [dt.date(2199, 1, 1), dt.date(2025, 12, 1)])
def test_a_handful_of_rows_in_the_future_is_refused(late):
    frame = pl.concat([lines(), lines()[:1].with_columns(date=pl.lit(late))])
    with pytest.raises(BadValue, match="dated"):
        orders.tidy(Table.from_frame(frame))


def test_bad_orders_and_people_are_named():
    with pytest.raises(MissingColumn):
        orders.tidy(Table.from_frame(lines().drop("customer")))
    with pytest.raises(MissingColumn):
        orders.tidy(Table.from_frame(lines().drop("amount")))
    with pytest.raises(EmptyTable):
        orders.tidy(Table.from_frame(lines(customer=pl.lit(None, pl.String))))
    twice = pl.DataFrame({"customer": ["a", "a", "b"], "plan": ["x", "y", "x"]})
    with pytest.raises(BadValue, match="rows that differ"):
        attributes.one_each(Table.from_frame(twice))
    assert attributes.one_each(Table.from_frame(twice[1:].vstack(twice[1:]))).height == 2


def bought(seed=0, count=3000):
    """Draw customers of a known BG/NBD: r 0.8, alpha 6, a 0.7, b 2.5; weeks of 52."""
    rng = np.random.default_rng(seed)
    rate, stop = rng.gamma(0.8, 1 / 6.0, count), rng.beta(0.7, 2.5, count)
    x, tx, later = np.zeros(count), np.zeros(count), np.zeros(count)
    for one in range(count):
        clock = 0.0
        while True:
            clock += rng.exponential(1 / max(rate[one], 1e-9))
            if clock > 78:
                break
            x[one], tx[one] = (x[one] + 1, clock) if clock <= 52 else (x[one], tx[one])
            later[one] += clock > 52
            if rng.random() < stop[one]:
                break
    return x, tx, np.full(count, 52.0), later


def test_the_rhythm_of_buying_is_recovered_and_foretells():
    x, tx, since, later = bought()
    made = btyd.learned(x, tx, since)
    assert (made.r, made.alpha) == (pytest.approx(0.8, rel=0.25), pytest.approx(6.0, rel=0.25))
    assert made.a / (made.a + made.b) == pytest.approx(0.7 / 3.2, abs=0.05)
    assert made.expected(x, tx, since, 26.0).sum() == pytest.approx(later.sum(), rel=0.08)
    alive = made.alive(x, tx, since)
    assert ((alive >= 0) & (alive <= 1)).all() and not made.collapsed
    nothing = 1 - alive * (1 - made.silent(x, since, 26.0))
    assert nothing.mean() == pytest.approx((later == 0).mean(), abs=0.02)
    assert (np.diff([made.stays(x, since, weeks).mean() for weeks in (0, 4, 26, 52)]) < 0).all()


def test_the_hypergeometric_series_is_scipys():
    from scipy.special import hyp2f1

    a, b, c, z = np.array([0.3, 4.2, 30.0]), np.array([2.0, 8.0, 33.0]), np.array([3.1, 8.5, 33.4]), np.array([0.2, 0.6, 0.93])
    np.testing.assert_allclose(btyd._hypergeometric(a, b, c, z), hyp2f1(a, b, c, z), rtol=1e-8)


def test_too_few_repeat_buyers_say_so():
    with pytest.raises(LearnFailed, match="too few"):
        btyd.learned(np.zeros(100), np.zeros(100), np.ones(100))


def test_splines_add_to_one_and_hold_outside():
    rng = np.random.default_rng(0)
    matrix = np.column_stack([rng.normal(size=300), rng.exponential(size=300) ** 3, rng.integers(0, 3, 300), rng.integers(0, 2, 300)])
    made = logistic.design(matrix.astype("f4"), np.array([0, 0, 3, 0]))
    rows = made.rows(matrix.astype("f4"))
    np.testing.assert_allclose(rows[:, : logistic.BASES].sum(1), 1.0)
    for at, knots in enumerate(made.knots):
        inner = np.clip(matrix[:, at].astype("f4"), knots[3], knots[-4] - 1e-9 * (knots[-4] - knots[3]))
        ours = rows[:, at * logistic.BASES : (at + 1) * logistic.BASES]
        np.testing.assert_allclose(ours, BSpline.design_matrix(inner, knots, 3).toarray(), rtol=0, atol=1e-12)
    far = made.rows(np.array([[1e30, 1e30, 9.0, 1e30], [np.nan, np.nan, np.nan, np.nan]], "f4"))
    assert np.isfinite(far).all() and far[0, 2 * logistic.BASES + 1 :].sum() == 0


def test_the_logistic_is_scikit_learns_with_and_without_periods():
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(2)
    rows = rng.normal(size=(900, 5))
    chance = logistic.sigmoid(rows[:, 0] - 1)
    target = (rng.random(900) < chance).astype("f8")
    fit = LogisticRegression(C=0.5, max_iter=5000, tol=1e-10).fit(rows, target)
    np.testing.assert_allclose(logistic.fitted(rows, target, strength=0.5), np.r_[fit.coef_[0], fit.intercept_], atol=1e-5)
    seen = np.arange(4) < rng.integers(1, 5, 900)[:, None]
    ended = seen & (rng.random((900, 4)) < 0.3 * chance[:, None])
    row, period = np.nonzero(seen)
    long = np.hstack([rows[row], np.eye(4)[period]])
    fit = LogisticRegression(C=1.0, max_iter=5000, tol=1e-10).fit(long, ended[row, period])
    np.testing.assert_allclose(logistic.fitted(rows, ended, seen=seen), np.r_[fit.coef_[0], fit.intercept_], atol=1e-4)


def test_a_logistic_of_what_parts_perfectly_or_says_nothing_stays_finite():
    rows = np.column_stack([np.r_[-np.ones(60), np.ones(60)], np.zeros(120)])
    found = logistic.fitted(rows, (rows[:, 0] > 0).astype("f8"), strength=1e6)
    assert np.isfinite(found).all() and found[0] > 5 and found[1] == 0


def test_the_slope_of_the_rhythms_likelihood_is_that_of_its_value():
    x, tx, since, _ = bought()
    rows, theta = np.column_stack([x, tx, since])[:50], np.array([0.7, 5.0, 0.9, 2.2])
    slope = btyd._likelihood(theta, rows)[1]
    for at in range(4):
        step = 1e-5 * (np.arange(4) == at)
        near = [btyd._likelihood(theta + sign * step, rows)[0] for sign in (1, -1)]
        np.testing.assert_allclose(slope[:, at], (near[0] - near[1]) / 2e-5, rtol=1e-5, atol=1e-7)


def test_small_trees_pass_their_gate_and_their_reasons_add_up():
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(1500, 4)).astype("f4")
    rows[:, 3] = rng.integers(0, 3, 1500)
    rows[::17, 0] = np.nan
    target = (rng.random(1500) < logistic.sigmoid(2 * np.nan_to_num(rows[:, 0]) + (rows[:, 3] == 1))).astype("f8")
    made, booster = boosted.fitted(rows, target, 0, words=np.array([0, 0, 0, 3]), trees=40)
    added = made.trees.shapley(rows[:20], np.arange(4))
    np.testing.assert_allclose(added.sum(1) + made.trees.expected, made.raw(rows[:20]), atol=1e-4)
    np.testing.assert_allclose(added, booster.predict(rows[:20], pred_contrib=True)[:, :-1], atol=1e-4)
    wrong = boosted.Forest(made.trees, boosted.to_onnx(made.trees, 4, base=np.array([0.01])))
    with pytest.raises(LearnFailed, match="exported trees differ"):
        boosted._gate(wrong, booster, rows, np.array([0, 0, 0, 3]), 0, chance=True)


def test_measures_are_scikit_learns():
    from sklearn import metrics

    rng = np.random.default_rng(2)
    truth, said = (rng.random(500) < 0.3).astype("f8"), rng.random(500).round(2)
    assert rank.auc(truth, said) == pytest.approx(metrics.roc_auc_score(truth, said))
    first, second = rng.integers(0, 4, 300), rng.integers(0, 3, 300)
    second[:150] = np.minimum(first[:150], 2)
    assert agree.adjusted_rand(first, second) == pytest.approx(metrics.adjusted_rand_score(first, second))
    assert agree.mutual(first, second) == pytest.approx(metrics.normalized_mutual_info_score(first, second))
    assert agree.purity(first, first) == 1 and agree.purity(first, np.zeros(300, int)) < 0.5
    assert rank.concordance(np.array([1.0, 2, 3]), np.ones(3), np.array([1.0, 2, 3])) == 1
    assert rank.gini(np.array([0.0, 1, 5]), np.array([0.0, 1, 5])) == pytest.approx(1)
    assert rank.expected_error(np.r_[np.ones(300), np.zeros(700)], np.full(1000, 0.3)) == pytest.approx(0)


def test_columns_know_words_gaps_and_the_infinite():
    table = Table.from_columns({"a": np.array([1.0, np.nan, 3.0]), "b": np.array(["x", None, "y"], object), "c": np.ones(3)})
    made = columns.learned(table, ["a", "b", "c"])
    assert made.names == ("a", "b")
    asked = Table.from_columns({"b": np.array(["y", "never seen"], object)})
    np.testing.assert_array_equal(made.matrix(asked), np.array([[np.nan, 1], [np.nan, np.nan]], "f4"))
    with pytest.raises(BadValue, match="infinite"):
        made.matrix(Table.from_columns({"a": np.array([np.inf])}))


def clouds(seed=0, size=150):
    rng = np.random.default_rng(seed)
    middles = 4 * np.array([[0, 0, 0], [1, 0, 1], [0, 1, 1], [1, 1, 0]])
    return np.concatenate([middle + rng.normal(size=(size, 3)) for middle in middles]), np.repeat(np.arange(4), size)


def test_four_clouds_are_four_groups_and_shuffled_ones_none():
    rows, _truth = clouds()
    found = choose.choose(rows, 0, least=3, most=6, share=0.03, bootstraps=10)
    assert found.k == 4 and found.of(4).p10 > 0.9
    rng = np.random.default_rng(1)
    mixed = np.stack([rng.permutation(column) for column in rows.T], 1)
    assert choose.choose(mixed, 0, least=3, most=6, share=0.03, bootstraps=10).k == 0
    assert all(one.why for one in choose.choose(mixed, 0, least=3, most=6, share=0.03, bootstraps=10).tried)


def test_known_members_pull_a_mixture_and_a_network_says_how_sure():
    rows, truth = clouds(3)
    known = np.full(len(rows), -1)
    known[::50] = truth[::50]
    made = mixture.learned(rows, mixture.seeded(rows, known), known=known)
    assert agree.purity(truth, made.probability(rows).argmax(1)) > 0.95
    taught = network.learned(rows, truth, 0, steps=60)
    chance = taught.probability(rows)
    np.testing.assert_allclose(chance.sum(1), 1.0)
    assert (chance.argmax(1) == truth).mean() > 0.9
