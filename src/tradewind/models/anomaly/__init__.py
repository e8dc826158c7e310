"""Anomaly: what broke or spiked, in sales, outcomes, any series or single orders; what it costs, and where it comes from."""

from __future__ import annotations

from tradewind.core.model import Goal, Model
from tradewind.core.schema import Column, Role, Schema, Type

_KEYS = (
    Column("metric", Role.ENTITY, Type.TEXT, meaning="which figure, where outcomes are watched; all figures: their combination"),
    Column("product", Role.ENTITY, Type.TEXT, meaning="what is sold; empty: all products"),
    Column("store", Role.ENTITY, Type.TEXT, meaning="where; empty: all stores"),
    Column("date", Role.TIME, Type.DATE, required=True, meaning="the period asked about, past or new"),
)
_ORDER = Column("order", Role.ENTITY, Type.TEXT, meaning="a single order or claim; empty: a series")
_LINE = (
    Column("customer", Role.ENTITY, Type.TEXT, meaning="whose order"),
    Column("channel", Role.INPUT, Type.TEXT, meaning="by which way an order came"),
    Column("offer", Role.INPUT, Type.TEXT, meaning="what was on offer with an order; empty: nothing"),
    Column("quantity", Role.INPUT, unit="units", meaning="pieces of the order"),
    Column("unit_price", Role.INPUT, unit="money", meaning="price per piece; left out, amount over quantity"),
    Column("amount", Role.INPUT, unit="money", meaning="what the order comes to"),
)
_KNOWN = (
    Column("price", Role.LEVER, unit="money", meaning="price paid in a new period; left out, the last one stands", minimum=0),
    Column("promotion", Role.LEVER, meaning="1 where a promotion ran in a new period", minimum=0, maximum=1),
    Column("discount", Role.LEVER, meaning="discount as a fraction", minimum=0, maximum=1),
    Column("display", Role.LEVER, meaning="1 where there was a second placement", minimum=0, maximum=1),
    Column("feature", Role.LEVER, meaning="1 where there was a leaflet or advertisement", minimum=0, maximum=1),
)


def _given(name: str, meaning: str, low: float | None = None, high: float | None = None, unit: str = "") -> Column:
    return Column(name, Role.OUTPUT, Type.NUMBER, True, unit, meaning, minimum=low, maximum=high)


_BANDS = tuple(
    Column(f"{side}{level}", Role.OUTPUT, unit="units", meaning=f"{'lower' if side == 'lo' else 'upper'} bound of the {level} % interval")
    for level in (50, 80, 90, 95)
    for side in ("lo", "hi")
)

MODEL = Model(
    name="anomaly",
    question="What broke or spiked?",
    task="detect",
    file="anomaly_detection",
    tables=("sales", "outcomes", "orders", "prices", "promotions", "products", "stores", "events"),
    either=("sales", "outcomes", "orders"),
    asks=Schema(
        (*_KEYS, _ORDER, *_LINE, Column("units", Role.INPUT, unit="units", meaning="the figure of a new period"), *_KNOWN),
        ("metric", "product", "store", "date", "order"),
    ),
    needs=Schema(
        (*_KEYS, _ORDER, *_LINE, Column("units", Role.TARGET, unit="units", required=True, meaning="the figure watched"), *_KNOWN),
        ("metric", "product", "store", "date", "order"),
    ),
    gives=Schema(
        (
            *_KEYS,
            _ORDER,
            Column("units", Role.PAST, unit="units", meaning="the figure itself; missing where nothing is known"),
            _given("score", "how odd: budget / (budget + share of usual figures that look as odd); one half where an alert begins", 0, 1),
            _given("p_value", "share of usual figures that look at least as odd", 0, 1),
            _given("q_value", "expected share of false alarms among the alarms of that period that are at least as strong", 0, 1),
            Column(
                "alert", Role.OUTPUT, Type.INTEGER, True, meaning="1 where the p-value lies within the alert budget", minimum=0, maximum=1
            ),
            _given("mean", "expected figure", unit="units"),
            _given("p50", "median of what was expected", unit="units"),
            *_BANDS,
            _given("gap", "figure less expectation", unit="units"),
            Column(
                "incident", Role.OUTPUT, Type.TEXT, meaning="which incident an alert belongs to: one name for all its periods and levels"
            ),
            _given("severity", "what the incident comes to so far, up or down", 0, unit="money"),
            Column("class", Role.OUTPUT, Type.TEXT, meaning="data, supply, promotion, demand, relation (of several figures) or order"),
            Column(
                "kind",
                Role.OUTPUT,
                Type.TEXT,
                meaning="spike, drop, shift, variance, promotion, combination, odd quantity, price or amount, or the data rule broken",
            ),
            Column("driver", Role.OUTPUT, Type.TEXT, meaning="where it comes from, as far as the parts tell"),
        ),
        ("metric", "product", "store", "date", "order"),
    ),
    goal=Goal("missed"),
    recipes=("naive", "decompose", "driven"),
    graphs=False,
    horizon=28,
)
