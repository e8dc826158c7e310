"""Demand: how much will sell, by product and store, period by period, at the planned price and promotion."""

from __future__ import annotations

from dataclasses import replace

from tradewind.core.model import Goal, Model
from tradewind.core.schema import Column, Role, Schema, Type

_KEYS = (
    Column("product", Role.ENTITY, Type.TEXT, required=True, meaning="what is sold"),
    Column("store", Role.ENTITY, Type.TEXT, meaning="where it is sold, if sales are known by store"),
    Column("date", Role.TIME, Type.DATE, required=True, meaning="the period asked for, after the last known sale"),
)
_ASKED = (replace(_KEYS[0], required=False), *_KEYS[1:])  # where there is one product only, nobody has to say it
_PLAN = (
    Column("price", Role.LEVER, unit="money", meaning="planned price; left out, the known plan or the last price stands", minimum=0),
    Column(
        "promotion", Role.LEVER, meaning="1 where a promotion is planned, a share where it covers part of the period", minimum=0, maximum=1
    ),
    Column("discount", Role.LEVER, meaning="planned discount as a fraction of the price", minimum=0, maximum=1),
    Column("display", Role.LEVER, meaning="1 where a second placement is planned", minimum=0, maximum=1),
    Column("feature", Role.LEVER, meaning="1 where a leaflet or advertisement is planned", minimum=0, maximum=1),
)

_OPEN = Column(
    "open", Role.KNOWN, meaning="0 where nothing can be sold, such as a day the store is closed; 1 where it can", minimum=0, maximum=1
)


def _given(name: str, meaning: str) -> Column:
    return Column(name, Role.OUTPUT, Type.NUMBER, unit="units", meaning=meaning, minimum=0)


_BANDS = tuple(
    _given(f"{side}{level}", f"{'lower' if side == 'lo' else 'upper'} bound of the {level} % interval")
    for level in (50, 80, 90, 95)
    for side in ("lo", "hi")
)

MODEL = Model(
    name="demand",
    question="How much will sell?",
    task="forecast",
    file="demand_forecasting",
    tables=("sales", "prices", "promotions", "products", "stores", "events"),
    asks=Schema((*_ASKED, *_PLAN, _OPEN), ("product", "store", "date")),
    needs=Schema(
        (
            *_KEYS,
            Column("units", Role.TARGET, unit="units", required=True, meaning="units sold"),
            *_PLAN,
            Column("available", Role.AVAILABLE, meaning="0 where nothing could be sold"),
        ),
        ("product", "store", "date"),
    ),
    gives=Schema(
        (
            *_ASKED,
            _given("mean", "expected units: add these up, and multiply these by money"),
            _given("p50", "median units: as likely too high as too low"),
            *_BANDS,
        ),
        ("product", "store", "date"),
    ),
    goal=Goal("wape", by_errors=1.0),
    recipes=("naive", "stats", "scanpro", "lstm", "boosted", "ensemble"),
    horizon=30,
    regular=True,
    prefers="ensemble",  # on few noisy blocks the naive forecast often looks best, and hardly ever is on the next
)
