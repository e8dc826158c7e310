"""Bad files and bad questions through the desk: a typed error with a hint, or a stated repair; never half loaded."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import tradewind
from tradewind.core.errors import EmptyTable, LearnFailed, MissingColumn, NotReady, Tampered, TooBig, TradewindError, Unreadable
from tradewind.core.model import Budget
from tradewind.desk import Desk

DAY = dt.date(2024, 1, 1)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with tradewind.open(tmp_path / "shop") as opened:
        yield opened


def days(count: int, *, product: str = "a", units: float = 5.0) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "date": [DAY + dt.timedelta(at) for at in range(count)],
            "product": [product] * count,
            "units": [units + at % 7 for at in range(count)],
        }
    )


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b"", EmptyTable),
        (b"date,product,units\n", EmptyTable),
        (b"when;what\n1;2\n", MissingColumn),
        (b"\x00\x01\x02\x03" * 500, Unreadable),
        (b"PK\x03\x04 not a workbook", Unreadable),
        (b"date,product,units\n2024-01-01,a,x\n2024-01-02,a,y\n", TradewindError),
    ],
)
def test_a_bad_file_is_refused_whole(desk: Desk, tmp_path: Path, text: bytes, error: type[TradewindError]) -> None:
    file = tmp_path / "bad.csv"
    file.write_bytes(text)
    with pytest.raises(error) as caught:
        desk.load(file, table="sales")
    assert caught.value.hint, caught.value
    assert desk.table_digest("sales") is None and desk.blobs.digests() == []


def test_a_huge_cell_is_refused(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "huge.csv"
    file.write_bytes(b"date,product,units\n2024-01-01," + b"x" * (10 << 20) + b",1\n")
    with pytest.raises(TooBig) as caught:
        desk.load(file, table="sales")
    assert caught.value.hint


def test_duplicate_keys_are_summed_and_said(desk: Desk) -> None:
    answer = desk.load(pl.concat([days(10), days(10, units=1.0)]), table="sales")
    assert len(desk.table("sales")) == 10
    assert answer.fact("rows_summed") == 10


def test_nan_infinity_and_impossible_prices_are_said(desk: Desk) -> None:
    frame = days(10).with_columns(units=pl.Series([1.0, float("nan"), float("inf"), *[2.0] * 7]), price=pl.Series([-1.0, *[2.0] * 9]))
    answer = desk.load(frame, table="sales")
    said = " ".join(f"{fact.name} {fact.meaning}" for fact in answer.facts)
    assert "price" in said and "units" in said
    assert np.isfinite(desk.table("sales").column("price")[~np.isnan(desk.table("sales").column("price"))]).all()


def test_dates_of_the_future_are_not_history(desk: Desk) -> None:
    later = days(3).with_columns(date=pl.lit(dt.date(2199, 1, 1)) + pl.duration(days=pl.int_range(3)))
    answer = desk.load(pl.concat([days(10), later]), table="sales")
    assert len(desk.table("sales")) == 10
    assert any("future" in f"{fact.name} {fact.meaning}" for fact in answer.facts)


def test_mixed_date_styles_are_repaired_or_refused(desk: Desk, tmp_path: Path) -> None:
    file = tmp_path / "mixed.csv"
    file.write_text("date,product,units\n2024-01-05,a,1\n13/02/2024,a,2\n02/25/2024,a,3\n")
    try:
        answer = desk.load(file, table="sales")
    except TradewindError as error:
        assert error.hint and desk.table_digest("sales") is None
    else:
        assert any("date" in fact.name for fact in answer.facts)


def test_unicode_names_travel_all_the_way(desk: Desk) -> None:
    name = "Käse 🧀 <b>\u202e"
    desk.load(days(120, product=name), table="sales")
    desk.train("demand", budget=Budget(folds=1), recipes=["naive"])
    desk.promote("demand", force=True, reason="a test")
    said = desk.predict("demand", horizon=3)
    assert len(set(said.table.column("product").tolist())) == 1
    assert len(desk.predict("demand", said.table.select(["product", "date"]).to_rows()).table) == 3


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_very_short_series_is_refused_with_a_hint(desk: Desk, count: int) -> None:
    desk.load(days(count), table="sales")
    with pytest.raises(LearnFailed) as caught:
        desk.train("demand")
    assert caught.value.hint


def test_a_series_of_length_one_beside_long_ones_is_answered(desk: Desk) -> None:
    last = days(1, product="new").with_columns(date=pl.lit(DAY + dt.timedelta(119)))
    desk.load(pl.concat([days(120), days(120, product="b"), last]), table="sales")
    desk.train("demand", budget=Budget(folds=1))
    desk.promote("demand", force=True, reason="a test")
    answer = desk.predict("demand", horizon=5, where={"product": "new"})
    assert len(answer.table) == 5 and np.isfinite(answer.table.column("mean")).all()


def test_a_store_that_closes_gets_no_forecast_of_its_own(desk: Desk) -> None:
    closed = days(40).with_columns(store=pl.lit("closed"))
    desk.load(pl.concat([days(120).with_columns(store=pl.lit("open")), closed]), table="sales")
    answer = desk.train("demand", budget=Budget(folds=1))
    assert any("ended" in fact.name for fact in answer.facts)
    desk.promote("demand", force=True, reason="a test")
    assert set(desk.predict("demand", horizon=5).table.column("store").tolist()) == {"open"}


@pytest.mark.parametrize("kind", ["zero", "constant", "one spike", "half missing"])
def test_odd_series_are_learned_without_a_crash(desk: Desk, kind: str) -> None:
    units = {
        "zero": np.zeros(150),
        "constant": np.full(150, 4.0),
        "one spike": np.eye(1, 150, 75)[0] * 900,
        "half missing": np.where(np.arange(150) % 2, np.nan, 5.0),
    }[kind]
    frame = pl.concat([days(150), days(150, product="odd").with_columns(units=pl.Series(units))])
    desk.load(frame, table="sales")
    desk.train("demand", budget=Budget(folds=1))
    desk.promote("demand", force=True, reason="a test")
    said = desk.predict("demand", horizon=7, where={"product": "odd"}).table
    assert np.isfinite(said.column("mean")).all() and (said.column("lo95") >= 0).all()


@pytest.mark.parametrize("horizon", [0, -3, 10_000, 1e9, "ten", True])
def test_a_horizon_that_is_none_is_refused(desk: Desk, horizon: object) -> None:
    with pytest.raises(NotReady):
        desk.predict("demand", horizon=3)
    desk.load(days(60), table="sales")
    desk.train("demand", budget=Budget(folds=1), recipes=["naive"])
    desk.promote("demand", force=True, reason="a test")
    with pytest.raises(TradewindError) as caught:
        desk.predict("demand", horizon=horizon)  # type: ignore[arg-type]
    assert caught.value.code != "TW0500" and caught.value.hint


def test_several_plans_for_one_day_get_several_answers(desk: Desk) -> None:
    frame = pl.concat([days(200, product=name).with_columns(price=pl.Series(np.tile([2.0, 2.0, 2.5, 3.0, 3.0], 40))) for name in "abcdef"])
    frame = frame.with_columns(units=pl.col("units") * (3.5 - pl.col("price")) * 4)
    desk.load(frame, table="sales")
    desk.train("demand", budget=Budget(folds=1))
    desk.promote("demand", force=True, reason="a test")
    day = str(desk.predict("demand", horizon=1).table.column("date")[0])
    asked = [{"product": "a", "date": day, "price": price} for price in (2.0, 2.5, 3.0)]
    together = desk.predict("demand", asked).table.column("mean")
    alone = [float(desk.predict("demand", [row]).table.column("mean")[0]) for row in asked]
    np.testing.assert_allclose(together, alone, rtol=1e-4)
    assert alone[0] > alone[2]


def test_lost_and_wrong_keys_are_said(desk: Desk) -> None:
    desk.load(days(10), table="sales")
    folder = desk.folder
    desk.close()
    keys = folder / "keys"
    keys.rename(folder.parent / "keys")
    with pytest.raises(Tampered, match="keys") as caught:
        tradewind.open(folder)
    assert caught.value.hint
    with pytest.raises(TradewindError):
        tradewind.open(folder, kek="00" * 32)


def test_a_customer_can_be_forgotten_more_than_once_and_old_states_do_not_come_back(desk: Desk) -> None:
    def reviews(*rows: tuple[str, str, str]) -> pl.DataFrame:
        return pl.DataFrame([dict(zip(("review", "customer", "text"), row, strict=True)) for row in rows])

    desk.load(reviews(("R1", "bob", "fine"), ("R2", "bea", "good")), table="reviews")
    desk.load(reviews(("R1", "alice", "fine"), ("R3", "carl", "bad")), table="reviews")
    desk.forget("bob")
    assert desk.table("reviews").frame.sort("review")["customer"].to_list() == ["alice", "bea", "carl"]
    desk.forget("bea")
    assert desk.table("reviews").frame.sort("review")["customer"].to_list() == ["alice", "carl"]
    desk.audit(verify=True)
    desk.verify()


def test_a_call_with_wrong_arguments_is_not_a_fault_of_ours(desk: Desk) -> None:
    with pytest.raises(TradewindError) as caught:
        desk.train("demand", budgett=1)  # type: ignore[call-arg]
    assert caught.value.code == "TW0413" and "budgett" in caught.value.message
