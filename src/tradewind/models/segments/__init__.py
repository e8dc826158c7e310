"""Segments: who the customers are, in groups that the data supports and words of the trade."""

from __future__ import annotations

from tradewind.core.model import Goal, Model
from tradewind.core.schema import Column, Role, Schema, Type

_CUSTOMER = Column("customer", Role.ENTITY, Type.TEXT, required=True, meaning="whose segment is asked")
_CUT = Column("cut", Role.TIME, Type.DATE, meaning="the day up to which the customer was seen")
BEHAVIOUR = ("recency", "orders", "basket", "promoted", "tenure", "breadth")
"""What segments are made of where there are orders: each says something the others do not."""

_WHAT_IF = tuple(
    Column(name, Role.INPUT, meaning=meaning, minimum=0)
    for name, meaning in (
        ("recency", "days since the last order; left out, what was seen stands"),
        ("orders", "orders so far"),
        ("basket", "money per order"),
        ("promoted", "share of orders with something on promotion"),
        ("tenure", "days since the first order"),
        ("breadth", "different products bought"),
    )
)


def _said(name: str, meaning: str, kind: Type = Type.TEXT, *, required: bool = True, most: float | None = None) -> Column:
    low = 0.0 if kind is Type.NUMBER else None
    return Column(name, Role.OUTPUT, kind, required=required, meaning=meaning, minimum=low, maximum=most)


MODEL = Model(
    name="segments",
    question="Who are our customers?",
    task="cluster",
    file="customer_segments",
    tables=("orders", "customers"),
    asks=Schema((_CUSTOMER, *_WHAT_IF), ("customer",)),
    needs=Schema(
        (
            _CUSTOMER,
            _CUT,
            Column("label", Role.TARGET, Type.TEXT, meaning="the segment an expert put the customer in, where known"),
        ),
        ("customer", "cut"),
    ),
    gives=Schema(
        (
            _CUSTOMER,
            _said("segment", "a short label that stays: S1, S2, ..."),
            _said("name", "the segment in words"),
            _said("probability", "chance that the customer belongs there", Type.NUMBER, most=1.0),
            _said("second", "name of the next likely segment"),
            _said("second_probability", "chance of that one", Type.NUMBER, most=1.0),
            _said("distance", "distance to the middle of the segment, in standard deviations", Type.NUMBER),
            _said("margin", "how much nearer than the next middle: 0 on the border, 1 at the middle", Type.NUMBER, most=1.0),
            _said("solid", "solid, tentative or not to be acted on: how well the segment survives resampling"),
            _said("rule", "the segment as a rule, with how often the rule is right"),
        ),
        ("customer",),
    ),
    goal=Goal("unexplained", by_errors=1.0),
    recipes=("rfm", "kmeans", "mixture", "assigner"),
    graphs=False,
    either=("orders", "customers"),
)
