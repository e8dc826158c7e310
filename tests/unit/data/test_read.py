from __future__ import annotations

import gzip
import sqlite3
import sys
from decimal import Decimal

import duckdb
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.core.errors import EmptyTable, InvalidInput, MissingExtra, NotFound, TooBig, TradewindError, Unreadable
from tradewind.core.table import Table
from tradewind.data.clean import clean
from tradewind.data.infer import infer
from tradewind.data.read import read

FRAME = pl.DataFrame({"date": ["2024-01-01", "2024-01-02"], "product": ["a", "b"], "units": [1, 2]})


@pytest.fixture
def sqlite(tmp_path):
    path = tmp_path / "a.db"
    link = sqlite3.connect(path)
    link.execute("create table sales (date, product, units)")
    link.executemany("insert into sales values (?, ?, ?)", FRAME.rows())
    link.commit()
    link.close()
    return path


@pytest.fixture
def duck(tmp_path):
    path = tmp_path / "a.duckdb"
    with duckdb.connect(str(path)) as link:
        link.execute("create table sales (date varchar, product varchar, units integer)")
        link.executemany("insert into sales values (?, ?, ?)", FRAME.rows())
    return path


def test_every_kind_of_file_gives_the_same_rows(tmp_path, sqlite, duck):
    FRAME.write_csv(tmp_path / "a.csv")
    FRAME.write_csv(tmp_path / "a.tsv", separator="\t")
    FRAME.write_parquet(tmp_path / "a.parquet")
    FRAME.write_ndjson(tmp_path / "a.jsonl")
    FRAME.write_json(tmp_path / "a.json")
    FRAME.write_ipc(tmp_path / "a.arrow")
    FRAME.write_excel(tmp_path / "a.xlsx")
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress((tmp_path / "a.csv").read_bytes()))
    (tmp_path / "b.json.gz").write_bytes(gzip.compress((tmp_path / "a.json").read_bytes()))
    paths = sorted(tmp_path.iterdir())
    assert len(paths) == 11
    for path in paths:
        raw = read(path, name="renamed")
        assert raw.frame.rows() == FRAME.rows(), path.name
        assert len(raw.digest) == 64
        facts = {fact.name: fact.value for fact in raw.facts}
        assert facts["rows_read"] == 2
        assert facts["columns_read"] == 3


def test_frames_and_bytes_are_read_and_named_by_content():
    digests = {read(source).digest for source in (FRAME, FRAME.to_pandas(), FRAME.to_arrow(), FRAME.lazy(), Table.from_frame(FRAME))}
    assert len(digests) == 1
    assert read(FRAME.with_columns(units=pl.Series([1, 3]))).digest not in digests
    assert read(FRAME.write_csv().encode()).frame.rows() == FRAME.rows()


def test_frames_lose_no_kind_of_column():
    odd = pl.DataFrame({"c": pl.Series(["x", "y"], dtype=pl.Categorical), "d": pl.Series([Decimal("1.5"), None]), "n": [None, None]})
    assert read(odd).frame.rows() == [("x", 1.5, None), ("y", None, None)]


def test_a_query_chooses(sqlite, duck):
    for path in (sqlite, duck):
        assert read(path, query="select product, units * 2 as u from sales order by 1").frame.rows() == [("a", 2), ("b", 4)]


@pytest.mark.parametrize(
    "query",
    [
        "delete from sales",
        "drop table sales",
        "install httpfs",
        "load httpfs",
        "select * from read_csv('/etc/passwd')",
        "copy sales to 'out.csv'",
        "attach 'other.db' as other",
        "select * from nothing",
        "nonsense",
        "set enable_external_access = true",
    ],
)
def test_a_query_can_neither_write_nor_reach_out(query, sqlite, duck, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for path in (sqlite, duck):
        before = sorted(entry.name for entry in tmp_path.iterdir())
        with pytest.raises((Unreadable, InvalidInput)):
            read(path, query=query)
        assert sorted(entry.name for entry in tmp_path.iterdir()) == before
        assert read(path).frame.height == 2


def test_several_tables_need_a_query(sqlite):
    link = sqlite3.connect(sqlite)
    link.execute("create table other (a)")
    link.commit()
    link.close()
    with pytest.raises(InvalidInput) as caught:
        read(sqlite)
    assert "other" in caught.value.hint
    assert "sales" in caught.value.hint


def test_mixed_kinds_in_a_database_column_become_text(sqlite):
    link = sqlite3.connect(sqlite)
    link.execute("insert into sales values ('2024-01-03', 7, 1.5)")
    link.commit()
    link.close()
    assert read(sqlite).frame["product"].to_list() == ["a", "b", "7"]


def test_sheets(tmp_path):
    import xlsxwriter

    path = tmp_path / "book.xlsx"
    with xlsxwriter.Workbook(path) as book:
        book.add_worksheet("empty")
        sheet = book.add_worksheet("data")
        sheet.write_row(0, 0, ["product", "units"])
        sheet.write_row(1, 0, ["a", 3])
    assert read(path).frame.rows() == [("a", 3.0)]
    assert read(path, sheet="data").frame.rows() == [("a", 3.0)]
    with pytest.raises(NotFound) as caught:
        read(path, sheet="other")
    assert "data" in caught.value.hint
    with pytest.raises(EmptyTable):
        read(path, sheet="empty")


@pytest.mark.parametrize("data", [b"PAR1 and nothing", b"PK\x03\x04 no book", b'{"a": 1}\n{"a": ', b"ARROW1\0\0zz", b"\x1f\x8b\x08zz"])
def test_damaged_files_are_named_as_such(data):
    with pytest.raises(Unreadable) as caught:
        read(data, name="a.file")
    assert "a.file" in caught.value.message
    assert caught.value.hint


def test_a_damaged_database(tmp_path):
    for name, start in (("a.db", b"SQLite format 3\0"), ("a.duckdb", b"\0" * 8 + b"DUCK")):
        path = tmp_path / name
        path.write_bytes(start + b"nonsense" * 1000)
        with pytest.raises(Unreadable):
            read(path)


@pytest.mark.parametrize("source", ["https://example.org/a.csv", "s3://bucket/a.csv", "mysql://host/db"])
def test_addresses_are_refused(source):
    with pytest.raises(InvalidInput, match="nothing here reaches out"):
        read(source)


def test_what_cannot_be_is_refused(tmp_path, sqlite):
    with pytest.raises(NotFound):
        read(tmp_path / "none.csv")
    with pytest.raises(Unreadable, match="folder"):
        read(tmp_path)
    with pytest.raises(EmptyTable):
        read(pd.DataFrame())
    with pytest.raises(EmptyTable):
        read(b"")
    with pytest.raises(InvalidInput):
        read(3)
    with pytest.raises(InvalidInput):
        read(sqlite.read_bytes())
    with pytest.raises(InvalidInput, match="takes no query"):
        read(b"a,b\n1,2\n", query="select 1")
    with pytest.raises(InvalidInput, match="no sheet"):
        read(b"a,b\n1,2\n", sheet="x")
    with pytest.raises(Unreadable, match="nested"):
        read(b'{"a": [1, 2]}\n')
    with pytest.raises(TooBig):
        read(b"a,b\n" + b"1,2\n" * 1000, limit=100)
    with pytest.raises(TooBig):
        read(sqlite, limit=100)


def test_a_huge_cell_of_a_frame_is_refused():
    with pytest.raises(TooBig, match='row 2, column "t"'):
        read(pl.DataFrame({"t": ["a", "b" * 2_000_000]}))


def test_postgres_without_the_extra_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingExtra) as caught:
        read("postgresql://localhost/shop", query="select 1")
    assert "tradewind[postgres]" in caught.value.hint
    with pytest.raises(InvalidInput, match="needs a query"):
        read("postgresql://localhost/shop")


PIECES = [b"date", b"product", b"units", b",", b";", b"\n", b"2024-01-0", b"1", b'"', b"\xff", b"\0", b"e", b".", b"-", b"\t", b" "]
BYTES = st.one_of(
    st.binary(max_size=400), st.text(max_size=200).map(str.encode), st.lists(st.sampled_from(PIECES), max_size=60).map(b"".join)
)


@settings(max_examples=300, deadline=None)
@given(BYTES)
def test_any_bytes_are_a_table_or_a_typed_error(data):
    try:
        found = infer(read(data, name="a.csv"))
        table, _ = clean(found.frame, found.schema, table=found.table)
    except TradewindError as error:
        assert error.message
    else:
        assert len(table) > 0
