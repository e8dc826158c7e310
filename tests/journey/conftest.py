"""A small shop that has been loaded, trained and promoted once, for every journey that starts from there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import tradewind
from tradewind.desk import Desk
from tradewind.models._kit.world import make

SIZES = {"years": 1.2, "products": 6, "stores": 2, "customers": 100}
SALES = ("sales", "prices", "promotions", "products", "stores", "events")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two trained versions of demand, the first promoted."""
    folder = tmp_path_factory.mktemp("shop")
    with tradewind.open(folder, country="DE") as desk:
        for name, table in make(seed=11, **SIZES).tables.items():
            if name in SALES:
                desk.load(table, table=name)
        desk.train("demand")
        desk.promote("demand")
        desk.train("demand", seed=1)
    return folder


@pytest.fixture
def shop(trained: Path, tmp_path: Path) -> Iterator[Desk]:
    """A desk of one's own over a copy of the trained folder."""
    shutil.copytree(trained, tmp_path / "shop")
    with tradewind.open(tmp_path / "shop") as desk:
        yield desk
