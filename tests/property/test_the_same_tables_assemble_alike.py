"""The same business tables give the same modelling table, byte for byte: a stopped training goes on by it, `update` knows it."""

from __future__ import annotations

import pytest

from tradewind import models
from tradewind.models._kit import world

TIMES = 6  # a sum whose order is left to chance differs in about every second run


@pytest.fixture(scope="module")
def tables():
    return world.make(seed=5, years=1.2, products=8, stores=3, customers=60, reviews=40).tables


@pytest.mark.parametrize("name", models.names())
def test_assembling_twice_is_assembling_once(name, tables):
    given = {table: tables[table] for table in models.get(name).tables if table in tables}
    assemble = models.part(name, "assemble", "assemble")
    digests = {assemble(given, country="DE", subdivision="").digest() for _ in range(TIMES)}
    assert len(digests) == 1
