from __future__ import annotations

import hashlib
from datetime import date

import numpy as np
import polars as pl
import pytest

from tradewind.core.catalog import TABLES
from tradewind.core.errors import BadValue, EmptyTable, MissingColumn, NotFound, Tampered
from tradewind.core.schema import Column, Role, Type
from tradewind.core.table import Table
from tradewind.data import keep as room
from tradewind.data.keep import forget, keep, manifest, restore, shard_of


class Shelf:
    """Blobs in memory, as the vault keeps them on disk."""

    def __init__(self) -> None:
        self.held: dict[str, bytes] = {}
        self.opened: list[str] = []

    def put(self, data: bytes) -> str:
        digest = hashlib.sha256(data).hexdigest()
        self.held[digest] = data
        return digest

    def has(self, digest: str) -> bool:
        return digest in self.held

    def get(self, digest: str) -> bytes:
        self.opened.append(digest)
        if digest not in self.held:
            raise NotFound(digest)
        return self.held[digest]


def sales(days, products=("a", "b"), units=1.0, **columns):
    frame = pl.DataFrame({"date": [day for day in days for _ in products], "product": list(products) * len(days)})
    frame = frame.with_columns(units=pl.lit(float(units)), **{name: pl.lit(value) for name, value in columns.items()})
    return Table(TABLES["sales"].select(frame.columns), frame=frame)


def orders(customers, rows):
    rng = np.random.default_rng(1)
    who = [f"c{number}" for number in rng.integers(0, customers, rows)]
    frame = pl.DataFrame(
        {"order": [str(at) for at in range(rows)], "date": [date(2024, 1 + at % 3, 5) for at in range(rows)], "customer": who}
    )
    frame = frame.with_columns(product=pl.lit("p"), quantity=pl.lit(1.0))
    return Table(TABLES["orders"].select(frame.columns), frame=frame)


YEAR = [date(2024, month, day) for month in range(1, 13) for day in (1, 15)]


def test_what_is_kept_comes_back():
    shelf, table = Shelf(), sales(YEAR)
    kept = keep(shelf, None, "sales", table)
    assert (kept.rows, kept.added, kept.replaced, kept.span, kept.changed) == (48, 48, 0, ("2024-01-01", "2024-12-15"), True)
    back = restore(shelf, kept.digest)
    assert back.frame.sort("date", "product").equals(table.frame.sort("date", "product"))
    assert back.schema == table.schema
    assert [part["key"] for part in manifest(shelf, kept.digest)["parts"]] == [f"2024-{month:02d}" for month in range(1, 13)]


def test_the_same_rows_again_change_nothing_in_any_order():
    shelf, table = Shelf(), sales(YEAR)
    first = keep(shelf, None, "sales", table)
    shuffled = Table(table.schema, frame=table.frame.sample(fraction=1.0, shuffle=True, seed=3))
    held = dict(shelf.held)
    again = keep(shelf, first.digest, "sales", shuffled)
    assert again.digest == first.digest
    assert (again.added, again.replaced, again.changed) == (0, 0, False)
    assert shelf.held == held
    assert keep(Shelf(), None, "sales", shuffled).digest == first.digest


def test_a_new_day_rewrites_only_its_month():
    shelf = Shelf()
    first = keep(shelf, None, "sales", sales(YEAR))
    held = set(shelf.held)
    second = keep(shelf, first.digest, "sales", sales([date(2024, 12, 16)]))
    assert (second.added, second.rows) == (2, 50)
    assert len(set(shelf.held) - held) == 2  # December and the manifest


def test_a_revised_file_replaces_rows_and_the_old_state_stays_readable():
    shelf = Shelf()
    first = keep(shelf, None, "sales", sales(YEAR))
    second = keep(shelf, first.digest, "sales", sales(YEAR[:2], units=5.0))
    assert (second.added, second.replaced, second.rows) == (0, 4, 48)
    assert restore(shelf, second.digest).frame["units"].sum() == 44 + 20
    assert restore(shelf, first.digest).frame["units"].sum() == 48


def test_only_the_asked_partitions_are_opened():
    shelf = Shelf()
    kept = keep(shelf, None, "sales", sales(YEAR))
    shelf.opened.clear()
    found = restore(shelf, kept.digest, since="2024-03-02", until="2024-04", columns=["date", "units"], where={"product": ["a", "none"]})
    assert found.frame["date"].to_list() == [date(2024, 3, 15), date(2024, 4, 1), date(2024, 4, 15)]
    assert found.names == ("date", "units")
    assert len(shelf.opened) == 3  # the manifest, March, April


def test_where_in_the_columns_own_type():
    shelf = Shelf()
    kept = keep(shelf, None, "sales", sales(YEAR))
    assert len(restore(shelf, kept.digest, where={"date": "2024-03-01"})) == 2
    assert len(restore(shelf, kept.digest, where={"units": 1})) == 48
    assert len(restore(shelf, kept.digest, where={"product": "zz"})) == 0
    with pytest.raises(BadValue):
        restore(shelf, kept.digest, where={"date": "soon"})
    with pytest.raises(BadValue):
        restore(shelf, kept.digest, where={"units": "many"})
    with pytest.raises(MissingColumn):
        restore(shelf, kept.digest, where={"colour": "red"})
    with pytest.raises(MissingColumn):
        restore(shelf, kept.digest, columns=["colour"])


def test_a_column_that_comes_later_is_empty_before():
    shelf = Shelf()
    first = keep(shelf, None, "sales", sales(YEAR))
    second = keep(shelf, first.digest, "sales", sales([date(2025, 1, 1)], price=2.5))
    back = restore(shelf, second.digest)
    assert back.frame["price"].null_count() == 48
    assert back.schema.get("price").role is Role.LEVER
    third = keep(shelf, second.digest, "sales", sales([date(2025, 1, 2)]))
    assert restore(shelf, third.digest, since="2025-01-02").frame["price"].to_list() == [None, None]


def test_another_key_or_another_type_is_refused_and_nothing_is_kept():
    shelf = Shelf()
    first = keep(shelf, None, "sales", sales(YEAR))
    held = dict(shelf.held)
    with pytest.raises(BadValue, match="store"):
        keep(shelf, first.digest, "sales", sales(YEAR, store="s"))
    other = sales(YEAR).frame.with_columns(pl.col("units").cast(pl.String))
    schema = TABLES["sales"].select(other.columns).with_columns(Column("units", Role.TARGET, Type.TEXT))
    with pytest.raises(BadValue, match="units"):
        keep(shelf, first.digest, "sales", Table(schema, frame=other))
    with pytest.raises(EmptyTable):
        keep(shelf, first.digest, "sales", sales([]))
    assert shelf.held == held


def test_a_text_column_takes_numbers():
    shelf = Shelf()
    text = Column("note", Role.INPUT, Type.TEXT)
    table = sales(YEAR[:1], note="x")
    first = keep(shelf, None, "sales", Table(table.schema.with_columns(text), frame=table.frame))
    second = keep(shelf, first.digest, "sales", sales(YEAR[1:2], note=7.0))
    assert restore(shelf, second.digest).frame["note"].to_list() == ["x", "x", "7", "7"]


def test_a_table_without_time_is_one_partition():
    shelf = Shelf()
    frame = pl.DataFrame({"product": ["a", "b"], "category": ["x", None]})
    kept = keep(shelf, None, "products", Table(TABLES["products"].select(frame.columns), frame=frame))
    assert kept.span is None
    assert restore(shelf, kept.digest).frame.equals(frame)
    with pytest.raises(BadValue):
        restore(shelf, kept.digest, since="2024-01-01")


def test_forget_rewrites_only_the_shards_of_the_customer(monkeypatch):
    monkeypatch.setattr(room, "MANY_ROWS", 1000)
    shelf, table = Shelf(), orders(200, 3000)
    kept = keep(shelf, None, "orders", table)
    parts = {part["key"]: part["digest"] for part in manifest(shelf, kept.digest)["parts"]}
    assert len(parts) == 48
    digest, dropped = forget(shelf, kept.digest, "c7")
    after = {part["key"]: part["digest"] for part in manifest(shelf, digest)["parts"]}
    changed = {key for key in parts if parts[key] != after.get(key)}
    assert changed == {f"2024-{month:02d}/{shard_of('c7', 16):02d}" for month in (1, 2, 3)}
    assert {parts[key] for key in changed} == set(dropped)
    left = restore(shelf, digest).frame
    assert "c7" not in left["customer"].to_list()
    assert left.height == (table.frame["customer"] != "c7").sum()
    assert forget(shelf, digest, "c7") == (digest, ())
    shelf.opened.clear()
    restore(shelf, digest, where={"customer": "c9"})
    assert len(shelf.opened) == 4  # the manifest and one shard of three months


def test_a_table_that_grows_is_split_then(monkeypatch):
    monkeypatch.setattr(room, "MANY_ROWS", 1000)
    shelf, table = Shelf(), orders(50, 1500)
    first = keep(shelf, None, "orders", Table(table.schema, frame=table.frame.head(500)))
    assert manifest(shelf, first.digest)["shards"] == 1
    second = keep(shelf, first.digest, "orders", Table(table.schema, frame=table.frame.tail(1000)))
    assert manifest(shelf, second.digest)["shards"] == 16
    assert restore(shelf, second.digest).frame.sort("order").equals(table.frame.sort("order"))


def test_forget_the_only_customer_leaves_an_empty_table():
    shelf = Shelf()
    kept = keep(shelf, None, "orders", orders(1, 9))
    digest, dropped = forget(shelf, kept.digest, "c0")
    assert len(dropped) == 3
    assert len(restore(shelf, digest)) == 0
    assert keep(shelf, digest, "orders", orders(1, 3)).rows == 3


def test_a_table_without_customers_has_nothing_to_forget():
    shelf = Shelf()
    kept = keep(shelf, None, "sales", sales(YEAR))
    assert forget(shelf, kept.digest, "c0") == (kept.digest, ())


def test_damaged_manifests_and_partitions_are_seen():
    shelf = Shelf()
    kept = keep(shelf, None, "sales", sales(YEAR))
    part = manifest(shelf, kept.digest)["parts"][0]["digest"]
    shelf.held[part] = shelf.held[part][:-9]
    with pytest.raises(Tampered):
        restore(shelf, kept.digest)
    with pytest.raises(Tampered):
        restore(shelf, shelf.put(b"{}"))
    with pytest.raises(NotFound):
        restore(shelf, "0" * 64)
