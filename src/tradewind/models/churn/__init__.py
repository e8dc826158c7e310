"""Churn: who is leaving, when, for what associated reasons, what is at stake, and whether acting pays."""

from __future__ import annotations

from tradewind.core.model import Goal, Model
from tradewind.core.schema import Column, Role, Schema, Type

_CUSTOMER = Column("customer", Role.ENTITY, Type.TEXT, required=True, meaning="who may leave")
AHEAD = (30, 90, 180, 365)
"""Days ahead for which the chance to stay is said."""


def _number(
    name: str, meaning: str, *, unit: str = "", required: bool = False, most: float | None = None, low: float | None = 0.0
) -> Column:
    return Column(name, Role.OUTPUT, Type.NUMBER, required=required, unit=unit, meaning=meaning, minimum=low, maximum=most)


MODEL = Model(
    name="churn",
    question="Who is leaving, when and why?",
    task="classify",
    file="customer_churn",
    tables=("customers", "orders", "interactions", "treatments"),
    asks=Schema((_CUSTOMER,), ("customer",)),
    needs=Schema(
        (
            _CUSTOMER,
            Column("kind", Role.INPUT, Type.TEXT, required=True, meaning="learn: outcome known; now: asked; treated: of a test"),
            Column("mode", Role.INPUT, Type.TEXT, required=True, meaning="flag, membership or orders: how leaving is seen"),
            Column("horizon", Role.INPUT, Type.NUMBER, required=True, unit="days", meaning="what leaving is told over"),
            Column("left", Role.TARGET, Type.NUMBER, required=True, meaning="1: left, 0: stayed", minimum=0, maximum=1),
            Column("cut", Role.TIME, Type.DATE, meaning="the day up to which the customer was seen"),
            Column("duration", Role.TARGET, Type.NUMBER, unit="days", meaning="time until she left or was last known to stay"),
            Column("event", Role.TARGET, Type.NUMBER, meaning="1: she left then, 0: no more is known"),
        ),
        ("customer", "cut", "kind"),
    ),
    gives=Schema(
        (
            _CUSTOMER,
            _number("probability", "chance to leave within the horizon", required=True, most=1.0),
            Column("up", Role.OUTPUT, Type.TEXT, required=True, meaning="what is associated with leaving here, strongest first"),
            Column("down", Role.OUTPUT, Type.TEXT, required=True, meaning="what is associated with staying here, strongest first"),
            *(_number(f"stays_{days}", f"chance to be still there after {days} days", most=1.0) for days in AHEAD),
            _number("days", "days until she has left as likely as not, at most ten years", unit="days"),
            _number("earliest", "days until one in ten like her has left", unit="days"),
            _number("latest", "days until nine in ten like her have left, at most ten years", unit="days"),
            _number("value", "money expected in the next year", unit="money"),
            _number("value_lo80", "lower bound of the 80 % interval of the value", unit="money"),
            _number("value_hi80", "upper bound of the 80 % interval of the value", unit="money"),
            _number("value_at_risk", "chance to leave times what a year of staying brings", unit="money"),
            _number("threshold", "chance to leave above which an offer pays, if it keeps the assumed share of leavers", low=0.0),
            _number("gain", "money an offer is expected to bring, its cost taken off", unit="money", low=None),
            Column("act", Role.OUTPUT, Type.TEXT, meaning="yes where an offer pays, no where it does not, unknown without evidence"),
            _number("uplift", "what the tested offer adds to the chance of a good outcome", low=-1.0, most=1.0),
            _number("uplift_lo90", "lower bound of its 90 % interval", low=None),
            _number("uplift_hi90", "upper bound of its 90 % interval", low=None),
        ),
        ("customer",),
    ),
    goal=Goal("brier", by_errors=1.0),
    recipes=("base", "rhythm", "averaged"),
    either=("customers", "orders"),
)
