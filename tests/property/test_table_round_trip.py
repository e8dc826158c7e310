"""A table that crosses a wire, or is kept and restored, is the same table."""

from __future__ import annotations

import hashlib

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.core.schema import Column, Role, Schema, Type
from tradewind.core.table import Table
from tradewind.data.keep import keep, restore

TEXT = st.one_of(st.none(), st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=12))
NUMBER = st.one_of(st.none(), st.floats(allow_nan=False, width=64))
DAY = st.dates(min_value=np.datetime64("1900-01-01").item(), max_value=np.datetime64("2199-12-31").item())
MOMENT = st.datetimes(min_value=np.datetime64("1900-01-01T00:00:00").item(), max_value=np.datetime64("2199-12-31T00:00:00").item())
SCHEMA = Schema(
    (
        Column("date", Role.TIME, Type.DATE),
        Column("product", Role.ENTITY, Type.TEXT),
        Column("units", Role.TARGET),
        Column("seen", Role.PAST, Type.TIMESTAMP),
        Column("open", Role.KNOWN, Type.FLAG),
        Column("count", Role.INPUT, Type.INTEGER),
    ),
    ("date", "product"),
)
DTYPES = {"date": pl.Date, "product": pl.String, "units": pl.Float64, "seen": pl.Datetime("us"), "open": pl.Boolean, "count": pl.Int64}
ROW = st.tuples(DAY, TEXT, NUMBER, st.one_of(st.none(), MOMENT), st.one_of(st.none(), st.booleans()), st.integers(-(2**60), 2**60))
ROWS = st.lists(ROW, min_size=1, max_size=30, unique_by=lambda row: row[:2])


class Shelf(dict):
    def put(self, data):
        digest = hashlib.sha256(data).hexdigest()
        self[digest] = data
        return digest

    get = dict.__getitem__


def table(rows):
    return Table(SCHEMA, frame=pl.DataFrame(rows, schema=DTYPES, orient="row"))


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_the_wire_changes_nothing(rows):
    sent = table(rows)
    got = Table.from_bytes(sent.to_bytes())
    assert got.schema == sent.schema
    assert got.frame.equals(sent.frame)
    assert got.to_bytes() == sent.to_bytes()
    assert got.digest() == sent.digest()


@settings(max_examples=100, deadline=None)
@given(ROWS)
def test_keeping_changes_nothing(rows):
    shelf = Shelf()
    kept = keep(shelf, None, "sales", table(rows))
    back = restore(shelf, kept.digest)
    assert back.schema == SCHEMA
    assert kept.rows == len(rows)
    assert set(back.frame.rows()) == set(rows)
