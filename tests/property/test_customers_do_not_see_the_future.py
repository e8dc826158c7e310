"""Customer features as of a cut do not change with anything that is dated after it."""

import datetime as dt

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from tradewind.core.table import Table
from tradewind.models._kit.customers import features, orders
from tradewind.models.churn.judge import exams
from tradewind.models.churn.leaving import silences

START, SPAN = dt.date(2024, 1, 1), 500


def drawn(seed, lines=400, customers=25):
    rng = np.random.default_rng(seed)
    day = np.sort(rng.integers(0, SPAN, lines))
    quantity = rng.choice([1.0, 2.0, 3.0, -1.0], lines)
    return pl.DataFrame(
        {
            "order": [f"O{number}" for number in rng.integers(0, lines, lines)],
            "date": [START + dt.timedelta(days=int(one)) for one in day],
            "customer": [f"C{number}" for number in rng.integers(0, customers, lines)],
            "product": [f"P{number}" for number in rng.integers(0, 9, lines)],
            "quantity": quantity,
            "amount": np.abs(quantity) * rng.uniform(1, 50, lines),
            "promotion": np.where(rng.random(lines) < 0.3, "deal", None).tolist(),
            "channel": np.where(rng.random(lines) < 0.5, "online", "store").tolist(),
        }
    )


def seen(frame, cut, visits):
    return features.as_of(orders.tidy(Table.from_frame(frame)), cut, visits)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), day=st.integers(30, SPAN - 60))
def test_cutting_the_future_off_leaves_every_feature_unchanged(seed, day):
    whole, cut = drawn(seed), START + dt.timedelta(days=day)
    rng = np.random.default_rng(seed + 1)
    visits = whole.select("customer", "date").with_columns(weight=pl.Series(rng.random(len(whole))))
    other = whole.with_columns(
        amount=pl.when(pl.col("date") > cut).then(pl.col("amount") * 1000).otherwise(pl.col("amount")),
        promotion=pl.when(pl.col("date") > cut).then(pl.lit("deal")).otherwise(pl.col("promotion")),
    )
    true = seen(whole, cut, visits)
    assert_frame_equal(true, seen(whole.filter(pl.col("date") <= cut), cut, visits.filter(pl.col("date") <= cut)))
    assert_frame_equal(true, seen(other, cut, visits))
    assert set(true.columns) == {"customer", "cut", *features.MEANINGS}
    assert np.isfinite(true.select(*features.MEANINGS).to_numpy()).all()


def test_what_came_on_the_day_of_the_cut_is_seen():
    """The law above would hold for features that see nothing."""
    whole = drawn(3)
    cut = whole["date"][200]
    more = pl.concat([whole, whole[:1].with_columns(date=pl.lit(cut), order=pl.lit("new"), quantity=pl.lit(1.0))])
    first, second = seen(whole, cut, None), seen(more, cut, None)
    name = whole["customer"][0]
    assert (first.filter(pl.col("customer") == name) != second.filter(pl.col("customer") == name)).select("orders", "spend").row(0) == (
        True,
        True,
    )


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), back=st.integers(40, 200))
def test_what_an_exam_may_learn_from_is_what_was_known_by_its_day(seed, back):
    """Durations cut back to a day are those that orders up to that day give."""
    bought, horizon = orders.tidy(Table.from_frame(drawn(seed))), 40
    last = bought["date"].max()
    cut, day = last - dt.timedelta(days=2 * back), last - dt.timedelta(days=back)
    if cut <= bought["date"].min():
        return
    from tradewind.models.churn.judge import _as_known

    later = silences(bought, cut, last, horizon).sort("customer").with_columns(cut=pl.lit(cut), mode=pl.lit("orders"))
    then = silences(bought.filter(pl.col("date") <= day), cut, day, horizon).sort("customer")
    known = _as_known(Table.from_frame(later), np.datetime64(day), float(horizon)).frame
    assert known["event"].to_list() == then["event"].to_list()
    assert known["duration"].to_list() == then["duration"].to_list()


def test_an_exam_hides_what_came():
    from tradewind.models import part

    table = part("churn", "assemble", "assemble")({"orders": Table.from_frame(drawn(5, lines=4000, customers=200))})
    found = exams(table, folds=2, seed=0)
    for exam in found:
        day = exam.truth.column("cut").max()
        horizon = np.timedelta64(int(table.column("horizon")[0]), "D")
        assert (exam.seen.column("cut") + horizon <= day).all()
        assert not {"left", "duration", "event", "next_spend", "kind"} & set(exam.asked.names)
