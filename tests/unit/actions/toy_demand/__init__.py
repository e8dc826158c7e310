"""A model small enough to know its answers by heart: units repeat by weekday, and each recipe says so or not."""

from tradewind.core.model import Goal, Model
from tradewind.core.schema import Column, Role, Schema, Type

_KEYS = (Column("product", Role.ENTITY, Type.TEXT, True), Column("date", Role.TIME, Type.DATE, True))
_SAID = tuple(Column(name, Role.OUTPUT, required=True) for name in ("mean", "p50", "lo80", "hi80", "lo95", "hi95"))

MODEL = Model(
    "toy_demand",
    "How much?",
    "forecast",
    "toy_forecasting",
    ("sales",),
    Schema(_KEYS),
    Schema((*_KEYS, Column("units", Role.TARGET, required=True))),
    Schema((*_KEYS, *_SAID)),
    Goal("wape"),
    ("flat", "weekly"),
    7,
)
