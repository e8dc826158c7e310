"""Recommend: what to offer to whom, with the chance that it is bought and the reason."""

from __future__ import annotations

from tradewind.core.model import Goal, Model
from tradewind.core.schema import Column, Role, Schema, Type

SHELVES = ("any", "again", "discover")


def _rule(name: str, meaning: str, kind: Type = Type.TEXT, low: float | None = None, high: float | None = None) -> Column:
    return Column(name, Role.INPUT, kind, meaning=meaning, minimum=low, maximum=high)


_RULES = (
    _rule("include", 'only these: names of items, "category:..." or "brand:...", parted by ";"'),
    _rule("exclude", "never these, written as in include"),
    _rule("pin", 'these items first, parted by ";"'),
    _rule("in_stock", "0: offer what is known to be out of stock too", Type.NUMBER, 0, 1),
    _rule("margin_floor", "least margin as a share of the price; items without a known cost are left out", Type.NUMBER, -10, 1),
    _rule("cap_category", "at most so many of one category", Type.NUMBER, 1),
    _rule("cap_brand", "at most so many of one brand", Type.NUMBER, 1),
    _rule("rest_days", "nothing the customer bought within so many days", Type.NUMBER, 0),
    _rule("contacts_max", "nothing to a customer who had so many offers in the last 30 days", Type.NUMBER, 0),
    _rule("diversity", "0-1: how much an item like those above it is held back", Type.NUMBER, 0, 1),
    _rule("explore", "0-1: share of the places kept for items few have bought yet", Type.NUMBER, 0, 1),
)

MODEL = Model(
    name="recommend",
    question="What should we offer?",
    task="rank",
    file="recommendation",
    tables=("orders", "interactions", "products", "treatments"),
    asks=Schema(
        (
            Column("customer", Role.ENTITY, Type.TEXT, meaning="whom to offer it to; may be missing where there is a basket"),
            Column(
                "basket", Role.INPUT, Type.TEXT, meaning='items at hand, parted by ";": never offered, and reason enough to offer others'
            ),
            Column("k", Role.INPUT, Type.NUMBER, meaning="how many items; 10 where missing", minimum=1, maximum=1000),
            Column(
                "shelf", Role.INPUT, Type.TEXT, meaning="again: bought before; discover: never bought; any: both, the default where missing"
            ),
            *_RULES,
        )
    ),
    needs=Schema(
        (
            Column("kind", Role.INPUT, Type.TEXT, required=True, meaning="order, product (of the range) or offer (of the past)"),
            Column("customer", Role.ENTITY, Type.TEXT),
            Column("item", Role.ENTITY, Type.TEXT),
            Column("date", Role.TIME, Type.DATE),
            Column("order", Role.ENTITY, Type.TEXT),
            Column("price", Role.STATIC, unit="money", meaning="of one unit"),
            Column("unit_cost", Role.STATIC, unit="money"),
            Column("stock", Role.STATIC, unit="units"),
            Column("category", Role.STATIC, Type.TEXT),
            Column("brand", Role.STATIC, Type.TEXT),
            Column("arm", Role.LEVER, Type.TEXT, meaning="of an offer: which one, or control"),
            Column("outcome", Role.TARGET, meaning="of an offer: 1 where it was taken"),
            Column("propensity", Role.INPUT, meaning="of an offer: the chance with which it was chosen", minimum=0, maximum=1),
        )
    ),
    gives=Schema(
        (
            Column("asked", Role.OUTPUT, Type.INTEGER, required=True, meaning="number of the question, from 0"),
            Column("customer", Role.ENTITY, Type.TEXT, meaning="as asked"),
            Column("shelf", Role.OUTPUT, Type.TEXT, required=True),
            Column("rank", Role.OUTPUT, Type.INTEGER, required=True, meaning="1 is the best", minimum=1),
            Column("item", Role.OUTPUT, Type.TEXT, required=True),
            Column("score", Role.OUTPUT, Type.NUMBER, required=True, meaning="what it is ranked by; comparable within one question"),
            Column(
                "probability",
                Role.OUTPUT,
                Type.NUMBER,
                required=True,
                meaning="calibrated chance that it is bought in the next 28 days",
                minimum=0,
                maximum=1,
            ),
            Column("reason", Role.OUTPUT, Type.TEXT, required=True),
        )
    ),
    goal=Goal("miss_20", by_errors=1.0),
    recipes=("popular", "own", "ease", "shelves"),
    graphs=False,
    either=("orders", "interactions"),
    many=True,
    plans="offers",
)
