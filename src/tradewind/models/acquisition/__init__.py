"""Acquisition: how many new customers or conversions will come, by channel, geo and in total, at the planned spend."""

from __future__ import annotations

from tradewind.core.model import Goal, Model
from tradewind.core.schema import Column, Role, Schema, Type

_KEYS = (
    Column("geo", Role.ENTITY, Type.TEXT, meaning="where, if outcomes are known by geo"),
    Column("channel", Role.ENTITY, Type.TEXT, meaning="the channel that is credited, if outcomes are known by channel"),
    Column(
        "date",
        Role.TIME,
        Type.DATE,
        required=True,
        meaning="the period asked for; planned spend goes beside it, a column spend_CHANNEL each (spend_tv, spend_search)",
    ),
)


def _given(name: str, meaning: str) -> Column:
    return Column(name, Role.OUTPUT, Type.NUMBER, unit="customers", meaning=meaning, minimum=0)


_BANDS = tuple(
    _given(f"{side}{level}", f"{'lower' if side == 'lo' else 'upper'} bound of the {level} % interval")
    for level in (50, 80, 90, 95)
    for side in ("lo", "hi")
)

MODEL = Model(
    name="acquisition",
    question="How many customers will we win?",
    task="forecast",
    file="customer_acquisition",
    tables=("outcomes", "marketing", "events", "customers"),
    asks=Schema(_KEYS, ("geo", "channel", "date")),
    needs=Schema(
        (*_KEYS, Column("acquired", Role.TARGET, unit="customers", required=True, meaning="new customers or conversions")),
        ("geo", "channel", "date"),
    ),
    gives=Schema(
        (
            *_KEYS,
            _given("mean", "expected number: add these up, and multiply these by money"),
            _given("p50", "median: as likely too high as too low"),
            *_BANDS,
        ),
        ("geo", "channel", "date"),
    ),
    goal=Goal("wape", by_errors=1.0),
    recipes=("naive", "seasons", "lstm", "boosted", "spend", "ensemble"),
    horizon=30,
    regular=True,
    either=("outcomes", "customers"),
)
