"""The sample company as a whole: the same arguments give the same bytes, tables fit and refer, bad wishes are refused."""

import errno
import importlib.util
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tradewind.core.catalog import TABLES
from tradewind.core.errors import BadValue, DiskFull, TooBig, TradewindError, Unreadable
from tradewind.models._kit import world

SMALL = {"products": 12, "stores": 4, "customers": 80, "years": 1.0, "reviews": 200}


@pytest.fixture(scope="module")
def usual():
    return world.make()


def day(text):
    return np.datetime64(text, "D")


def digests(made):
    return {name: table.digest() for name, table in made.tables.items()}


def test_the_same_arguments_give_the_same_bytes():
    first, second = world.make(**SMALL), world.make(**SMALL)
    assert digests(first) == digests(second)
    assert first.truth.mean.digest() == second.truth.mean.digest()
    assert first.truth.promotions.digest() == second.truth.promotions.digest()


def test_another_seed_gives_another_company():
    first, second = digests(world.make(**SMALL)), digests(world.make(seed=8, **SMALL))
    assert all(first[name] != second[name] for name in first)


def test_two_years_of_sixty_products_in_eight_stores_take_seconds():
    start = time.perf_counter()
    made = world.make(seed=11)
    assert time.perf_counter() - start < 20
    assert len(made.tables["sales"]) > 300_000


def test_sizes_are_honoured(usual):
    assert len(usual.tables["products"]) == 60
    assert len(usual.tables["stores"]) == 8
    assert len(usual.tables["customers"]) == 2000
    assert len(usual.tables["reviews"]) == 3000
    dates = usual.tables["sales"].column("date")
    assert dates.max() == day(usual.end)
    assert (day(usual.end) - day(usual.start)).astype(int) == 729
    small = world.make(products=3, stores=2, customers=0, reviews=0, years=0.5, plan=10)
    assert set(small.tables) == set(TABLES) - {"customers", "orders", "interactions", "treatments", "reviews", "terms"}
    assert np.unique(small.tables["sales"].column("product")).size == 3


def test_every_table_fits_its_schema_and_its_key(usual):
    assert set(usual.tables) == set(TABLES) - {"terms"}  # a tenant's own words are nobody else's
    for name, table in usual.tables.items():
        schema = TABLES[name]
        table.checked(schema)
        missing = [column.name for column in schema if column.name not in table]
        assert not missing or name == "marketing" or (name, missing) == ("sales", ["open"]), (name, missing)  # closed: there is no row
        key = [column for column in schema.key if column in table]
        assert not table.frame.select(key).is_duplicated().any(), name


def test_references_resolve(usual):
    tables = {name: table.frame for name, table in usual.tables.items()}
    for name, column, home in (
        ("sales", "product", "products"),
        ("sales", "store", "stores"),
        ("prices", "product", "products"),
        ("promotions", "product", "products"),
        ("promotions", "store", "stores"),
        ("orders", "product", "products"),
        ("orders", "customer", "customers"),
        ("orders", "promotion", "promotions"),
        ("treatments", "customer", "customers"),
        ("reviews", "product", "products"),
        ("reviews", "customer", "customers"),
    ):
        used = set(tables[name][column].drop_nulls().unique())
        assert used
        assert used <= set(tables[home][column].unique()), (name, column)
    assert set(tables["interactions"]["item"].unique()) <= set(tables["products"]["product"])


@pytest.mark.parametrize(
    "bad",
    [
        {"years": 0.0},
        {"years": float("nan")},
        {"years": 21},
        {"products": 0},
        {"products": 1.5},
        {"products": True},
        {"stores": -1},
        {"customers": -1},
        {"seed": -3},
        {"plan": 401},
        {"start": "not a day"},
        {"start": "0001-01-01"},
        {"noise": -1.0},
        {"noise": float("nan")},
        {"anomalies": 51.0},
        {"anomaly_level": "shelf"},
        {"uplift": float("inf")},
    ],
)
def test_bad_wishes_are_refused_by_name(bad):
    with pytest.raises(BadValue) as caught:
        world.make(**bad)
    name = next(iter(bad))
    assert name in caught.value.message or "level" in caught.value.message


def test_a_world_too_big_for_the_machine_is_refused():
    with pytest.raises(TooBig):
        world.make(products=20_000, stores=5_000)


@pytest.mark.parametrize(
    "sizes", [{"products": 1, "stores": 1, "customers": 1, "reviews": 1, "plan": 0, "years": 0.25}, {"products": 2, "stores": 5}]
)
def test_the_smallest_worlds_stand(sizes):
    made = world.make(**{"customers": 3, "reviews": 2, "years": 0.5} | sizes)
    assert all(len(table) > 0 for name, table in made.tables.items() if name not in ("promotions", "treatments"))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_write_saves_every_table(tmp_path, kind):
    made = world.make(**SMALL)
    files = world.write(made, tmp_path / "new" / "folder", kind=kind)
    assert {file.stem for file in files} == set(made.tables)
    assert sorted(file.name for file in (tmp_path / "new" / "folder").iterdir()) == sorted(file.name for file in files)
    read = pl.read_csv if kind == "csv" else pl.read_parquet
    for file in files:
        assert len(read(file)) == len(made.tables[file.stem])


def test_write_says_no_in_words(tmp_path, monkeypatch):
    made = world.make(products=1, stores=1, customers=0, reviews=0, years=0.25)
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Unreadable):
        world.write(made, tmp_path / "file")
    with pytest.raises(BadValue):
        world.write(made, tmp_path, kind="xlsx")

    def full(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(DiskFull) as caught:
        world.write(made, tmp_path / "full")
    assert isinstance(caught.value, TradewindError) and caught.value.hint
    assert list((tmp_path / "full").iterdir()) == []


def test_making_a_world_loads_nothing_heavy():
    """The file may be imported anywhere: polars comes only when a table is asked for its frame."""
    code = (
        "import sys; from tradewind.models._kit import world; world.make(products=2, stores=1, customers=2, years=0.25, reviews=2);"
        "print([name for name in ('polars', 'pandas', 'pyarrow', 'scipy', 'lightgbm', 'holidays') if name in sys.modules])"
    )
    source = str(Path(importlib.util.find_spec("tradewind").origin).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": source, "PATH": "/usr/bin:/bin"}
    )
    assert done.stdout.strip() == "[]"
