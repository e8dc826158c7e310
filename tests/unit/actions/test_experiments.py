"""Experiment, belief, decision, experiment: a test is measured, kept where roi reads it, and the next one is planned."""

from __future__ import annotations

import datetime as dt
import re

import numpy as np
import polars as pl
import pytest

from tradewind.core.errors import BadValue, NotAllowed, NotFound
from tradewind.core.event import Actor
from tradewind.models.roi.assemble import assemble
from tradewind.models.roi.media import read

LIFT, DAYS, TEST = 0.25, 84, 14
FIRST = dt.date(2026, 1, 5)
START = str(FIRST + dt.timedelta(days=DAYS - TEST))
GEOS = tuple(f"town{number}" for number in range(8))


def won(*, lift: float = LIFT, seed: int = 4, drift: float = 0.0) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    shared = np.cumsum(random.normal(0, 0.01, DAYS))[:, None]
    values = np.exp(random.normal(5, 0.3, len(GEOS)) + shared + random.normal(0, 0.02, (DAYS, len(GEOS))))
    values[-TEST:, 0] *= 1 + lift
    values[-2 * TEST : -TEST, 0] *= 1 + drift
    dates = np.repeat(np.array([FIRST + dt.timedelta(days=day) for day in range(DAYS)], "M8[D]"), len(GEOS))
    return pl.DataFrame({"date": pl.Series(dates).cast(pl.Date), "geo": list(GEOS) * DAYS, "revenue": values.ravel()})


def spent(frame: pl.DataFrame) -> pl.DataFrame:
    """Radio runs in the first town, in the test only; search everywhere."""
    inside = (pl.col("geo") == GEOS[0]) & (pl.col("date") >= pl.lit(START).str.to_date())
    radio = frame.select("date", "geo", channel=pl.lit("radio"), spend=pl.when(inside).then(40.0).otherwise(0.0))
    return pl.concat([radio, frame.select("date", "geo", channel=pl.lit("search"), spend=pl.col("revenue") * 0.05)])


def test_a_test_is_measured_and_kept_where_the_media_model_reads_it(desk):
    frame = won()
    desk.load(frame, table="outcomes")
    desk.load(spent(frame), table="marketing")
    said = desk.measure(GEOS[0], START, channel="radio", name="spring", keep=True)
    assert said.fact("method") == "synthetic" and said.fact("controls") == 7 and said.fact("kept") == 1
    assert said.fact("lift lo90") < 100 * LIFT < said.fact("lift hi90") and said.fact("lift lo90") > 0
    assert said.table.names == ("date", "observed", "expected", "lo90", "hi90", "treated") and len(said.table) == DAYS
    row = desk.show("experiments").table.frame.row(0, named=True)
    assert row["channel"] == "radio" and row["geo"] == GEOS[0] and str(row["start"]) == START
    assert row["lift"] == pytest.approx(said.fact("total")) and row["standard_error"] == pytest.approx(said.fact("standard error"))
    tables = {name: desk.table(name) for name in ("outcomes", "marketing", "experiments")}
    media = read(assemble(tables))
    assert [(test.name, test.lift) for test in media.tests] == [("spring", pytest.approx(said.fact("total")))]
    again = desk.measure(GEOS[0], START, channel="radio", name="spring", keep=True)
    assert again.words == said.words and len(desk.show("experiments").table) == 1


def test_what_a_check_refutes_is_said_and_not_kept(desk):
    desk.load(won(drift=0.3), table="outcomes")
    said = desk.measure([GEOS[0]], START, channel="radio", keep=True)
    assert said.source["sound"] is False and "Do not rest on it" in said.words and said.fact("kept") == 0
    assert desk.table_digest("experiments") is None


def test_no_number_in_the_words_is_not_a_fact(desk):
    desk.load(won(lift=0.0), table="outcomes")
    said = desk.measure(GEOS[0], START)
    assert "no effect is shown" in said.words
    facts = [fact.value for fact in said.facts if isinstance(fact.value, float)]
    numbers = [float(text.replace(",", "")) for text in re.findall(r"(?<!\d)[+-][\d,]+\.?\d*(?= |\))", said.words)]
    assert len(numbers) == 4
    assert all(any(abs(number - fact) <= 0.51 for fact in facts) for number in numbers)


def test_an_event_that_met_everything_is_read_off_the_past(desk):
    sales = won(lift=0.0).group_by("date").agg(pl.col("revenue").sum().alias("units")).with_columns(product=pl.lit("all"))
    raised = pl.when(pl.col("date") >= pl.lit(START).str.to_date()).then(1.3).otherwise(1.0)
    desk.load(sales.with_columns(pl.col("units") * raised), table="sales")
    said = desk.measure((), START, str(FIRST + dt.timedelta(days=DAYS - 8)), kpi="units")
    assert said.fact("method") == "impact" and said.fact("treated") == "everything" and said.fact("periods") == TEST - 7
    assert said.fact("lift lo90") < 30 < said.fact("lift hi90") and said.fact("lift lo90") > 0


def test_what_cannot_be_kept_or_found_is_refused(desk):
    with pytest.raises(NotFound, match="neither outcomes nor sales"):
        desk.measure("a", START)
    desk.load(won(), table="outcomes")
    with pytest.raises(BadValue, match="needs a channel"):
        desk.measure(GEOS[0], START, keep=True)
    with pytest.raises(BadValue, match="no unit 'moon'"):
        desk.measure("moon", START)
    with pytest.raises(NotAllowed):
        desk.as_(Actor("eve", "viewer")).measure(GEOS[0], START)


def test_a_test_is_planned_by_the_lift_hoped_for(desk):
    desk.load(won(lift=0.0), table="outcomes")
    said = desk.design(1, [7, 14], 0.2, never=GEOS[:2])
    assert said.table.names == ("length", "treated", "power", "detectable", "error", "share", "alarms")
    assert said.table.column("length").tolist() == [7, 14] and not set(GEOS[:2]) & set(said.table.column("treated").tolist())
    assert said.fact("length") == 7 and said.fact("detectable") <= 20 and said.fact("power") >= 0.8
    assert said.fact("treat") in said.words
    small = desk.design(1, 7, 0.001)
    assert "No length tried finds" in small.words and small.fact("power") < 0.8
    with pytest.raises(BadValue, match="share above 0"):
        desk.design(1, lift=5.0)
    with pytest.raises(BadValue, match="whole numbers"):
        desk.design(1, [0])
    with pytest.raises(BadValue, match="interval"):
        desk.design(1, [7], level=91)
    for places in (0, 1.5, True):
        with pytest.raises(BadValue, match="places must be a whole number"):
            desk.design(places)
    with pytest.raises(BadValue, match="power must be a share between 0 and 1"):
        desk.design(1, power=1.0)
    with pytest.raises(BadValue, match="too few"):
        desk.design(1, [60])
