"""Keeping loads one after the other is a dictionary update by key; equal contents have equal names."""

from __future__ import annotations

import hashlib
from datetime import date

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewind.core.catalog import TABLES
from tradewind.core.table import Table
from tradewind.data import keep as room
from tradewind.data.keep import forget, keep, manifest, restore

DAY = st.dates(date(2024, 1, 1), date(2024, 4, 30))
LOAD = st.dictionaries(st.tuples(DAY, st.sampled_from("abc")), st.one_of(st.none(), st.integers(0, 9)), min_size=1, max_size=25)
SALES = {"date": pl.Date, "product": pl.String, "units": pl.Float64}
ORDERS = {"order": pl.String, "date": pl.Date, "customer": pl.String, "product": pl.String, "quantity": pl.Float64}
ORDER = st.tuples(st.sampled_from("123"), DAY, st.sampled_from(["ann", "bob", "cy", None]), st.sampled_from("ab"))


class Shelf(dict):
    def put(self, data):
        digest = hashlib.sha256(data).hexdigest()
        self[digest] = data
        return digest

    get = dict.__getitem__
    has = dict.__contains__


def table(load):
    frame = pl.DataFrame([(*key, None if units is None else float(units)) for key, units in load.items()], schema=SALES, orient="row")
    return Table(TABLES["sales"].select(SALES), frame=frame)


def held(shelf, digest):
    return {(day, product): units for day, product, units in restore(shelf, digest).frame.rows()}


@settings(max_examples=120, deadline=None)
@given(st.lists(LOAD, min_size=1, max_size=5), st.randoms(use_true_random=False))
def test_loads_are_updates(loads, random):
    shelf, digest, expected = Shelf(), None, {}
    for load in loads:
        before = dict(expected)
        expected |= load
        kept = keep(shelf, digest, "sales", table(load))
        assert kept.added == len(expected) - len(before)
        assert kept.replaced == sum(key in before and before[key] != units for key, units in load.items())
        assert kept.changed == (before != expected)
        assert held(shelf, kept.digest) == expected
        if digest is not None:
            assert held(shelf, digest) == before
        digest = kept.digest
    shuffled = list(expected.items())
    random.shuffle(shuffled)
    assert keep(Shelf(), None, "sales", table(dict(shuffled))).digest == digest


@settings(max_examples=80, deadline=None)
@given(LOAD, DAY, DAY)
def test_a_span_is_a_filter(load, one, other):
    shelf = Shelf()
    digest = keep(shelf, None, "sales", table(load)).digest
    low, high = sorted((one, other))
    found = restore(shelf, digest, since=low.isoformat(), until=high.isoformat(), where={"product": ["a", "b"]}).frame
    expected = {key for key in load if low <= key[0] <= high and key[1] in "ab"}
    assert set(found.select("date", "product").rows()) == expected
    assert sum(part["rows"] for part in manifest(shelf, digest)["parts"]) == len(load)


@settings(max_examples=60, deadline=None)
@given(st.sets(ORDER, min_size=1, max_size=40), st.integers(1, 30))
def test_forgetting_takes_exactly_one_customer(orders, limit):
    room_limit, room.MANY_ROWS = room.MANY_ROWS, limit
    try:
        shelf = Shelf()
        frame = pl.DataFrame([(*order, 1.0) for order in orders], schema=ORDERS, orient="row")
        before = keep(shelf, None, "orders", Table(TABLES["orders"].select(ORDERS), frame=frame)).digest
        after, dropped = forget(shelf, before, "bob")
        assert {row[:4] for row in restore(shelf, after).frame.rows()} == {order for order in orders if order[2] != "bob"}
        kept = {part["digest"] for part in manifest(shelf, after)["parts"]}
        assert not kept & set(dropped)
        assert bool(dropped) == any(order[2] == "bob" for order in orders)
    finally:
        room.MANY_ROWS = room_limit
