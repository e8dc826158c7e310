"""Price: what price is best, how sure that is, and when the honest answer is to change nothing."""

from __future__ import annotations

from tradewind.core.model import Goal, Model
from tradewind.core.schema import Column, Role, Schema, Type
from tradewind.models._kit.trade.columns import COLUMNS

_ASKS = (
    Column("product", Role.ENTITY, Type.TEXT, required=True, meaning="what is sold"),
    Column("store", Role.ENTITY, Type.TEXT, meaning="left out: every store that sells it, at prices that move together"),
    Column("price", Role.LEVER, unit="money", meaning="a price to try; left out, the best one is sought", minimum=0),
    Column("cost", Role.KNOWN, unit="money", meaning="cost of a unit; left out, the last one known", minimum=0),
    Column("floor", Role.INPUT, unit="money", meaning="lowest price allowed", minimum=0),
    Column("ceiling", Role.INPUT, unit="money", meaning="highest price allowed", minimum=0),
    Column("move", Role.INPUT, meaning="largest change allowed as a fraction; left out, a tenth", minimum=0, maximum=0.5),
    Column("competitor_price", Role.KNOWN, unit="money", meaning="left out, the last one known", minimum=0),
    Column("date", Role.TIME, Type.DATE, meaning="the one period this date lies in; left out, the mean of the next quarter of a year"),
    Column("mechanic", Role.LEVER, Type.TEXT, meaning="kind of promotion that runs"),
    Column("display", Role.LEVER, minimum=0, maximum=1),
    Column("feature", Role.LEVER, minimum=0, maximum=1),
)


def _given(name: str, meaning: str, unit: str, *, required: bool = True) -> Column:
    return Column(name, Role.OUTPUT, Type.NUMBER, required=required, unit=unit, meaning=meaning)


def _bounds(prefix: str, unit: str, levels: tuple[int, ...], *, required: bool = True) -> tuple[Column, ...]:
    return tuple(
        _given(f"{prefix}{side}{level}", f"{'lower' if side == 'lo' else 'upper'} bound of the {level} % interval", unit, required=required)
        for level in levels
        for side in ("lo", "hi")
    )


MODEL = Model(
    name="price",
    question="What price is best?",
    task="regress",
    file="price_optimization",
    tables=("sales", "prices", "products", "promotions", "stores", "events"),
    asks=Schema(_ASKS, ("product", "store")),
    needs=Schema(COLUMNS, ("date", "product", "store")),
    gives=Schema(
        (
            Column("product", Role.ENTITY, Type.TEXT, required=True),
            _given("price", "the price tried, or recommended; today's where nothing should change", "money"),
            _given("price_now", "today's shelf price", "money"),
            _given("mean", "expected units per period at that price", "units"),
            _given("p50", "median units per period", "units"),
            *_bounds("", "units", (50, 80, 90, 95)),
            _given("revenue", "expected revenue per period", "money"),
            *_bounds("revenue_", "money", (80, 95)),
            _given("margin", "expected margin per period", "money", required=False),
            *_bounds("margin_", "money", (80, 95), required=False),
            _given("gain", "expected change of margin per period against today's price, siblings included", "money", required=False),
            *_bounds("gain_", "money", (80, 95), required=False),
            _given("chance", "probability that the change gains", "probability", required=False),
            _given("chance_second", "the same under a second form of demand", "probability", required=False),
            _given("elasticity", "own elasticity at today's price, median", "elasticity"),
            *_bounds("elasticity_", "elasticity", (80, 95)),
            _given("learned", "share of what is believed of the elasticity that data say, not the prior", "share"),
            Column("verdict", Role.OUTPUT, Type.TEXT, required=True, meaning="tried | change | keep | unsure"),
        ),
        ("product",),
    ),
    goal=Goal("rmsle", by_errors=1.0),
    recipes=("ols", "pooled", "bayes"),
    graphs=False,
    serves=("bayes",),  # held-out sales hardly tell elasticities apart, and only its posterior is wide where data say little
    plans="prices",
)
