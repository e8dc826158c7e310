from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from tradewind.core.catalog import TABLES
from tradewind.core.errors import BadValue, InvalidInput, MissingColumn
from tradewind.core.schema import Column, Role, Schema, Type
from tradewind.core.table import LARGE, Table

SALES = TABLES["sales"]


def frame() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "date": [dt.date(2024, 1, 1), dt.date(2024, 1, 2)],
            "product": ["ü", None],
            "units": [1.5, None],
            "promotion": [True, False],
            "count": [1, 2],
        }
    )


@pytest.mark.parametrize("kind", ["polars", "lazy", "pandas", "arrow"])
def test_every_frame_becomes_the_same_table(kind: str) -> None:
    made = frame()
    given = {"polars": made, "lazy": made.lazy(), "pandas": made.to_pandas(), "arrow": pa.table(made.to_arrow())}[kind]
    table = Table.from_frame(given, SALES)
    assert table.names == ("date", "product", "units", "promotion", "count")
    assert table.schema.get("units").role is Role.TARGET
    assert table.column("units")[0] == 1.5 and np.isnan(table.column("units")[1])
    assert table.column("product").tolist() == ["ü", None]


def test_the_wire_keeps_everything_and_the_digest() -> None:
    table = Table.from_frame(frame(), SALES)
    again = Table.from_bytes(table.to_bytes())
    assert again.digest() == table.digest()
    assert again.schema == table.schema
    assert again.to_rows() == table.to_rows()
    assert again.frame["date"].to_list() == frame()["date"].to_list()


def test_a_changed_value_changes_the_digest() -> None:
    other = frame().with_columns(units=pl.lit(2.0))
    assert Table.from_frame(frame(), SALES).digest() != Table.from_frame(other, SALES).digest()


def test_rows_name_every_bad_field_at_once() -> None:
    with pytest.raises(MissingColumn) as caught:
        Table.from_rows([{"date": "01.02.2024", "units": "many"}, {"date": "2024-01-01", "units": float("inf"), "price": -1}], SALES)
    pointers = [field["pointer"] for field in caught.value.fields]
    assert pointers == ["/rows/0/date", "/rows/0/units", "/rows/1/units", "/rows/1/price", "/rows/*/product"]


@pytest.mark.parametrize("rows", ["text", [1, 2], {"a": 1}, [[1]]])
def test_rows_must_be_a_list_of_objects(rows: object) -> None:
    with pytest.raises(InvalidInput):
        Table.from_rows(rows, SALES)  # type: ignore[arg-type]


def test_unknown_columns_are_kept_as_inputs() -> None:
    table = Table.from_rows([{"date": "2024-01-01", "product": "a", "units": 1, "weather": "rain"}], SALES)
    assert table.schema.get("weather") == Column("weather", Role.INPUT, Type.TEXT)


@pytest.mark.parametrize("rows", [1, 1000], ids=["short", "long"])
@pytest.mark.parametrize(
    ("value", "column"),
    [(np.inf, Column("x")), (-1.0, Column("x", minimum=0)), (np.nan, Column("x", required=True)), ("text", Column("x"))],
)
def test_checked_refuses_what_the_schema_forbids(value: Any, column: Column, rows: int) -> None:
    fine = np.linspace(0, 1, rows)
    values = fine.astype(type(value)).astype(object) if isinstance(value, str) else fine.copy()
    values[-1] = value
    with pytest.raises(BadValue, match='"x"'):
        Table.from_columns({"before": fine, "x": values, "after": fine}).checked(Schema((Column("before"), column, Column("after"))))


@pytest.mark.parametrize("rows", [0, 1, 1000])
def test_checked_lets_pass_what_may_be_missing_or_whole(rows: int) -> None:
    columns = {"x": np.full(rows, np.nan), "whole": np.arange(rows), "flag": np.zeros(rows, bool), "target": np.full(rows, np.nan)}
    kinds = (Column("x"), Column("whole", minimum=0), Column("flag", maximum=1), Column("target", Role.TARGET, required=True))
    table = Table.from_columns(columns)
    assert table.checked(Schema(kinds)) is table


def test_checked_names_the_missing_column() -> None:
    with pytest.raises(MissingColumn, match="units"):
        Table.from_columns({"x": np.array([1.0])}).checked(SALES.select(["units"]))


def test_columns_of_different_length_are_refused() -> None:
    with pytest.raises(InvalidInput):
        Table.from_columns({"a": np.zeros(2), "b": np.zeros(3)})


def test_numpy_and_polars_take_the_same_rows() -> None:
    framed = Table.from_frame(frame(), SALES)
    plain = Table.from_bytes(framed.to_bytes())
    for keep in (np.array([False, True]), np.array([1, 0, 1])):
        assert framed.take(keep).to_rows() == plain.take(keep).to_rows()


def test_pandas_nullable_and_categories_are_read() -> None:
    made = pd.DataFrame({"product": pd.Categorical(["a", "b"]), "units": pd.array([1, None], dtype="Int64")})
    table = Table.from_frame(made, SALES)
    assert table.column("product").tolist() == ["a", "b"]
    assert np.isnan(table.column("units")[1])


def test_a_schema_survives_plain_data() -> None:
    for schema in TABLES.values():
        assert Schema.from_dict(schema.as_dict()) == schema


def test_a_large_table_is_held_in_one_form_and_reads_the_same():
    rows = LARGE + 5
    columns = {
        "units": np.where(np.arange(rows) % 7 == 0, np.nan, np.arange(rows, dtype="f8")),
        "name": np.array(["a", None, "b", "c", "d"] * (rows // 5), object),
        "day": np.datetime64("2024-01-01") + np.arange(rows),
        "count": np.arange(rows),
    }
    table = Table.from_columns(columns)
    before = table.digest()
    assert table.frame.height == rows and not table._columns
    for name, values in columns.items():
        again = table.column(name)
        assert again.dtype == values.dtype
        assert (
            again.tolist() == values.tolist()
            if values.dtype == object
            else np.array_equal(again, values, equal_nan=values.dtype.kind == "f")
        )
    assert Table(table.schema, frame=table.frame).digest() == before


def test_a_named_index_of_pandas_is_a_column() -> None:
    frame = pl.DataFrame({"date": ["2024-01-01", "2024-01-02"], "units": [1.0, 2.0]}).to_pandas()
    assert Table.from_frame(frame.set_index("date")).names == ("date", "units")
    assert Table.from_frame(frame.set_index("date", drop=False)).names == ("date", "units")
    assert Table.from_frame(frame).names == ("date", "units")


@pytest.mark.parametrize("more", [[], [None]])  # all plain texts, and each looked at by itself
def test_a_day_with_a_zone_is_the_day_that_is_written(more, recwarn):
    written = ("2026-01-05T00:00:00+02:00", "2026-01-05T23:30:00-05:00", "2026-01-05T00:00:00Z", "2026-01-05 00:00:00+0200", "2026-01-05")
    rows = [{"date": text} for text in [*written, *more]]
    made = Table.from_rows(rows, Schema((Column("date", Role.TIME, Type.DATE),), ("date",)))
    assert set(made.column("date")[: len(written)].tolist()) == {dt.date(2026, 1, 5)}
    timed = Schema((Column("at", Role.TIME, Type.TIMESTAMP),), ("at",))
    assert str(Table.from_rows([{"at": "2026-01-05T00:30:00+02:00"}], timed).column("at")[0]) == "2026-01-04T22:30:00.000000"
    assert not recwarn.list


@pytest.mark.parametrize("more", [[], [None]])
def test_a_day_without_dashes_is_that_day_and_no_year(more):
    rows = [{"date": text} for text in ["20260105", "2026-01-05", *more]]
    made = Table.from_rows(rows, Schema((Column("date", Role.TIME, Type.DATE),), ("date",)))
    assert set(made.column("date")[:2].tolist()) == {dt.date(2026, 1, 5)}
    timed = Schema((Column("at", Role.TIME, Type.TIMESTAMP),), ("at",))
    assert str(Table.from_rows([{"at": "20260105"}], timed).column("at")[0]) == "2026-01-05T00:00:00.000000"


@pytest.mark.parametrize(
    ("low", "high", "told"), [(0, None, "must be at least 0"), (None, 1, "must be at most 1"), (0, 1, "must lie between 0 and 1")]
)
def test_a_value_out_of_range_is_told_the_bounds_there_are(low: float | None, high: float | None, told: str) -> None:
    table = Table.from_columns({"price": np.array([-1.0, 2.0])})
    with pytest.raises(BadValue, match=f'"price" {told}$'):
        table.checked(Schema((Column("price", minimum=low, maximum=high),)))


def test_a_table_is_picked_from_and_shown_in_a_notebook_as_its_frame_is() -> None:
    table = Table.from_columns({"date": np.array(["2024-01-01", "2024-01-02"], "M8[D]"), "p50": np.array([1.0, 2.0])})
    assert table["p50"].to_list() == [1.0, 2.0]
    assert table[:1].height == 1 and table[["p50"]].columns == ["p50"]
    assert "<table" in table._repr_html_() and "p50" in table._repr_html_()
