"""A business table is laid out and the estimator that fits is taken; what is kept of an effect says the same to a media model."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import polars as pl
import pytest

from tradewind.core.errors import BadValue, EmptyTable, MissingColumn
from tradewind.core.table import Table
from tradewind.models._kit.causal import measure as kit
from tradewind.models._kit.causal.lay import Laid, lay
from tradewind.models._kit.causal.measure import Measured, experiments, measure

LIFT, BEFORE, AFTER = 0.2, 70, 14
FIRST = dt.date(2026, 1, 5)
START = FIRST + dt.timedelta(days=BEFORE)


def outcomes(seed: int = 3, units: int = 9, lift: float = LIFT, treated: int = 2) -> pl.DataFrame:
    """Return days of places that share a wandering factor; the first `treated` of them are lifted from START on."""
    random = np.random.default_rng(seed)
    days = BEFORE + AFTER
    shared = np.cumsum(random.normal(0, 0.015, days))[:, None] + 0.1 * np.sin(2 * np.pi * np.arange(days) / 7)[:, None]
    values = np.exp(random.normal(5, 0.4, units) + shared * random.uniform(0.7, 1.3, units) + random.normal(0, 0.02, (days, units)))
    values[BEFORE:, :treated] *= 1 + lift
    dates = np.repeat(np.array([FIRST + dt.timedelta(days=day) for day in range(days)], "M8[D]"), units)
    names = [f"g{number}" for number in range(units)] * days
    return pl.DataFrame({"date": pl.Series(dates).cast(pl.Date), "geo": names, "orders": values.ravel()})


def laid(frame: pl.DataFrame, **words: Any) -> Laid:
    return lay(Table.from_frame(frame), "outcomes", **{"start": str(START), **words})


def found(frame: pl.DataFrame, treated: tuple[str, ...] = ("g0", "g1"), **words: Any) -> Measured:
    made = laid(frame, needed=treated)
    return measure(made.table, treated, made.starts, season=7, **words)


@pytest.mark.parametrize(
    ("units", "treated", "method"),
    [
        (9, ("g0", "g1"), "synthetic"),
        (4, ("g0", "g1"), "differences"),
        (3, ("g0", "g1"), "impact"),
        (2, (), "impact"),
    ],
)
def test_the_method_is_what_was_left_alone_allows_and_finds_the_lift(units: int, treated: tuple[str, ...], method: str) -> None:
    made = found(outcomes(units=units), treated)
    assert made.method == method and made.controls == (units - len(treated) if treated else 0)
    assert made.lift is not None and not made.lift.excludes(LIFT, level=95)
    path = made.path
    after = path.column("treated") > 0
    assert after.sum() == AFTER and (path.column("lo90")[after] < path.column("hi90")[after]).all()
    gap = (path.column("observed") - path.column("expected"))[after].sum()
    assert gap == pytest.approx(made.total.estimate, rel=1e-6)
    assert made.total.estimate == pytest.approx(made.effect.estimate * AFTER * max(len(treated), 1))
    seen = outcomes(units=units).filter(pl.col("geo").is_in(treated or ("g0", "g1")))["orders"].sum()
    assert path.column("observed").sum() == pytest.approx(seen)


def test_no_lift_is_found_where_there_is_none() -> None:
    made = found(outcomes(lift=0.0, seed=5))
    assert not made.effect.excludes(0.0, level=95)


def test_it_crosses_as_bytes() -> None:
    made = found(outcomes())
    back = Measured.of(made.parts())
    assert back.effect == made.effect and back.lift == made.lift and back.total == made.total and back.shares == made.shares
    assert (back.path.column("expected") == made.path.column("expected")).all()


def test_rows_are_summed_and_what_is_left_out_is_told() -> None:
    whole = outcomes()
    halves = pl.concat([whole.with_columns(pl.col("orders") / 2)] * 2)
    extra = pl.DataFrame({"date": [FIRST - dt.timedelta(days=1)], "geo": ["g3"], "orders": [5.0]})
    holed = pl.concat([halves, extra]).filter(~((pl.col("geo") == "g8") & (pl.col("date") == FIRST)))
    made = laid(holed)
    assert made.kpi == "orders" and made.by == "geo" and made.starts == BEFORE and "g8" not in made.units and len(made.units) == 8
    assert {fact.name for fact in made.facts} == {"periods left out", "units left out"}
    kept = made.table.frame.join(whole, left_on=["date", "unit"], right_on=["date", "geo"])
    assert kept["outcome"].to_numpy() == pytest.approx(kept["orders"].to_numpy())
    with pytest.raises(BadValue, match="g8 has periods without"):
        laid(holed, needed=("g8",))
    with pytest.raises(BadValue, match="no unit 'moon'"):
        laid(holed, needed=("moon",))


def test_weeks_that_the_test_covers_in_part_are_left_out() -> None:
    mondays = [dt.date(2026, 1, 5) + dt.timedelta(days=7 * week) for week in range(30)]
    frame = pl.DataFrame({"date": mondays, "revenue": np.arange(30.0)})
    made = lay(Table.from_frame(frame), "outcomes", start="2026-05-06", end="2026-06-30")
    assert made.start == np.datetime64("2026-05-11") and made.end == np.datetime64("2026-06-28") and made.by == ""
    assert [fact.value for fact in made.facts] == [2]
    dates = made.table.column("date").astype("M8[D]")
    assert dates[made.starts] == made.start and np.datetime64("2026-05-04") not in dates and dates[-1] == np.datetime64("2026-06-22")
    exact = lay(Table.from_frame(frame), "outcomes", start="2026-05-04", end="2026-06-28")
    assert exact.facts == () and exact.start == np.datetime64("2026-05-04")
    last = lay(Table.from_frame(frame), "outcomes", start="2026-07-20")
    assert last.facts == () and last.starts == 28 and last.end == np.datetime64("2026-08-02")


@pytest.mark.parametrize(
    ("words", "error", "match"),
    [
        ({"kpi": "nothing"}, MissingColumn, "nothing"),
        ({"kpi": "geo"}, BadValue, "no numbers"),
        ({"by": "town"}, MissingColumn, "town"),
        ({"start": "soon"}, BadValue, "not a date"),
        ({"start": "2026-03-20", "end": "2026-03-01"}, BadValue, "before it starts"),
        ({"start": "1990-01-01", "end": "1991-01-01"}, EmptyTable, "ends on 1991-01-01, before the outcomes table begins"),
    ],
)
def test_a_table_that_cannot_be_laid_out_is_refused(words: dict[str, str], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        laid(outcomes(), **words)


def test_several_figures_are_asked_about_and_nothing_is_no_figure() -> None:
    several = outcomes().with_columns(revenue=pl.col("orders") * 2)
    with pytest.raises(BadValue, match="several figures") as caught:
        laid(several)
    assert "revenue" in str(caught.value.hint)
    with pytest.raises(EmptyTable):
        laid(outcomes().with_columns(orders=pl.lit(None, pl.Float64)))


def test_a_test_outside_the_table_is_refused() -> None:
    for start in ("2020-01-01", "2030-01-01"):
        made = laid(outcomes(), start=start)
        with pytest.raises(EmptyTable, match=r"no whole period|no period before"):
            measure(made.table, ("g0",), made.starts)
    made = laid(outcomes())
    with pytest.raises(BadValue, match="no method"):
        measure(made.table, ("g0",), made.starts, method="magic")
    with pytest.raises(BadValue, match="no unit 'moon'"):
        measure(made.table, ("g0",), made.starts, donors=("moon",))


def test_rows_of_several_places_say_together_what_the_effect_says() -> None:
    made = found(outcomes())
    words = {"name": "spring", "channel": "tv", "start": "2026-03-16", "end": "2026-03-29"}
    rows = experiments(made, ("g0", "g1"), None, **words)
    assert [row["name"] for row in rows] == ["spring g0", "spring g1"] and [row["geo"] for row in rows] == ["g0", "g1"]
    assert sum(row["lift"] for row in rows) == pytest.approx(made.total.estimate)
    # if the lift is the same share everywhere, the rows' information about it is that of the whole
    precision = sum((made.shares[row["geo"]] / row["standard_error"]) ** 2 for row in rows)
    assert precision == pytest.approx(1 / made.total.standard_error**2)
    (whole,) = experiments(made, (), None, **words)
    assert "geo" not in whole and "spend_change" not in whole and whole["lift"] == made.total.estimate
    (half,) = experiments(made, (), 0.5, **words)
    assert half["spend_change"] == pytest.approx(-1 / 3) and half["lift"] == -made.total.estimate


@pytest.mark.parametrize("change", [-1.0, 0.0, float("nan"), float("inf")])
def test_a_change_of_spend_that_says_nothing_is_refused(change: float) -> None:
    with pytest.raises(BadValue):
        experiments(found(outcomes()), (), change, name="a", channel="tv", start="2026-03-16", end="2026-03-29")


def test_methods_are_those_that_are_named() -> None:
    assert kit.METHODS == ("auto", "synthetic", "differences", "impact")


def test_a_place_is_not_compared_with_itself() -> None:
    with pytest.raises(BadValue, match="itself"):
        found(outcomes(), donors=("g1", "g5"))
    with pytest.raises(BadValue, match="not where it was done"):
        found(outcomes(), (), donors=("g5",))
