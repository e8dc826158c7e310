from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from tradewind.core.errors import LearnFailed
from tradewind.core.schema import Column, Role, Schema, Type
from tradewind.core.table import Table
from tradewind.training.split import described, grain, horizon_of, rolling_origin

SCHEMA = Schema(
    (
        Column("date", Role.TIME, Type.DATE, True),
        Column("product", Role.ENTITY, Type.TEXT, True),
        Column("units", Role.TARGET, required=True),
        Column("price", Role.LEVER),
        Column("traffic", Role.PAST),
        Column("available", Role.AVAILABLE),
    )
)


def panel(days: int = 60, products: int = 3, late: int | None = None) -> Table:
    dates = np.datetime64("2024-01-01") + np.arange(days)
    frames = []
    for number in range(products):
        start = late if late is not None and number == 0 else 0
        size = days - start
        frames.append(
            pl.DataFrame(
                {
                    "date": pl.Series(dates[start:]).cast(pl.Date),
                    "product": [f"p{number}"] * size,
                    "units": np.arange(size, dtype=float) + number,
                    "price": np.full(size, 2.0),
                    "traffic": np.arange(size, dtype=float),
                    "available": np.where(np.arange(size) % 10 == 9, 0.0, 1.0),
                }
            )
        )
    return Table.from_frame(pl.concat(frames), SCHEMA)


def test_nothing_after_the_cutoff_is_seen() -> None:
    for fold in rolling_origin(panel(), folds=3, horizon=7):
        after = fold.seen.column("date") > fold.cutoff
        assert after.any()
        assert np.isnan(fold.seen.column("units").astype(float)[after]).all()
        assert np.isnan(fold.seen.column("traffic").astype(float)[after]).all()
        assert np.isfinite(fold.seen.column("price")[after]).all(), "the plan of the horizon is known"
        assert (fold.asked.column("date") > fold.cutoff).all()
        assert fold.asked.names == ("product", "date")


def test_blocks_follow_each_other_and_end_with_the_history() -> None:
    folds = list(rolling_origin(panel(days=62), folds=3, horizon=7))
    assert [int(fold.ahead.max()) for fold in folds] == [7, 7, 7]
    assert folds[-1].asked.column("date").max() == np.datetime64("2024-03-02")
    assert folds[1].cutoff == folds[0].asked.column("date").max()


def test_unavailable_rows_are_not_asked() -> None:
    fold = next(iter(rolling_origin(panel(), folds=1, horizon=30)))
    days = (fold.asked.column("date") - np.datetime64("2024-01-01")).astype(int)
    assert not (days % 10 == 9).any()


def test_a_series_without_history_is_not_asked() -> None:
    fold = next(iter(rolling_origin(panel(late=55), folds=1, horizon=7)))
    assert "p0" not in fold.asked.column("product").tolist()


def test_changing_the_future_changes_nothing_that_is_seen() -> None:
    table = panel()
    first = next(iter(rolling_origin(table, folds=1, horizon=7)))
    future = table.column("date") > first.cutoff
    changed = table.with_columns(
        {"units": np.where(future, 1e6, table.column("units")), "traffic": np.where(future, -1e6, table.column("traffic"))}
    )
    second = next(iter(rolling_origin(changed, folds=1, horizon=7)))
    assert first.seen.digest() == second.seen.digest()


def test_too_little_history_is_said() -> None:
    with pytest.raises(LearnFailed, match="too few"):
        list(rolling_origin(panel(days=10), folds=3, horizon=7))


@pytest.mark.parametrize(("step", "name"), [("D", "day"), ("W", "week"), ("M", "month")])
def test_grain_is_read_off_the_dates(step: str, name: str) -> None:
    dates = (np.datetime64("2024-01", step if step == "M" else "D") + np.arange(20) * (7 if step == "W" else 1)).astype("M8[D]")
    assert grain(dates) == name


def test_horizons_shrink_with_the_history() -> None:
    days = np.datetime64("2024-01-01") + np.arange(700)
    assert horizon_of(days, None, 3) == 30
    assert horizon_of(days[:50], None, 3) == 10
    assert horizon_of(days, 14, 3) == 14


def test_the_data_is_described() -> None:
    said = described(panel())
    assert (said["rows"], said["series"], said["grain"], said["span"]) == (180, 3, "day", ["2024-01-01", "2024-02-29"])
