"""Promotion: what did, and what would, a promotion return once what it borrowed and took from siblings is counted."""

from __future__ import annotations

from tradewind.core.model import Goal, Model
from tradewind.core.schema import Column, Role, Schema, Type
from tradewind.models._kit.trade.columns import COLUMNS

_ASKS = (
    Column("promotion", Role.ENTITY, Type.TEXT, meaning="its name; alone it means one of the calendar, past or planned"),
    Column("product", Role.ENTITY, Type.TEXT, meaning="what is promoted; several rows of one name are one promotion"),
    Column("store", Role.ENTITY, Type.TEXT, meaning="left out: every store that sells the product"),
    Column("start", Role.TIME, Type.DATE, meaning="first day"),
    Column("end", Role.INPUT, Type.DATE, meaning="last day; left out, six days after the first"),
    Column("date", Role.INPUT, Type.DATE, meaning="instead of start and end: the one period this date lies in"),
    Column("mechanic", Role.LEVER, Type.TEXT, meaning="kind of promotion, as named in the past"),
    Column("discount", Role.LEVER, meaning="stated depth as a fraction", minimum=0, maximum=0.95),
    Column("price", Role.LEVER, unit="money", meaning="price paid, where it is known better than by the depth", minimum=0),
    Column("display", Role.LEVER, meaning="1 where a second placement is planned", minimum=0, maximum=1),
    Column("feature", Role.LEVER, meaning="1 where a leaflet or advertisement is planned", minimum=0, maximum=1),
    Column("cost", Role.LEVER, unit="money", meaning="trade spend on the row; left out, the discount on what is sold", minimum=0),
)


def _given(name: str, meaning: str, unit: str = "units", *, required: bool = True) -> Column:
    return Column(name, Role.OUTPUT, Type.NUMBER, required=required, unit=unit, meaning=meaning)


def _bounds(prefix: str, unit: str, levels: tuple[int, ...], *, required: bool = True) -> tuple[Column, ...]:
    return tuple(
        _given(f"{prefix}{side}{level}", f"{'lower' if side == 'lo' else 'upper'} bound of the {level} % interval", unit, required=required)
        for level in levels
        for side in ("lo", "hi")
    )


_GIVES = (
    Column("promotion", Role.ENTITY, Type.TEXT, required=True, meaning="its name, or the number of the row that asked"),
    Column("product", Role.ENTITY, Type.TEXT, required=True, meaning="the first of its products"),
    Column("start", Role.TIME, Type.DATE, required=True),
    Column("end", Role.OUTPUT, Type.DATE, required=True),
    _given("mean", "expected net incremental units: gross + pulled forward + cannibalised + halo"),
    _given("p50", "median net incremental units"),
    *_bounds("", "units", (50, 80, 90, 95)),
    _given("units", "expected own units while it runs"),
    _given("units_p50", "median own units while it runs"),
    *_bounds("units_", "units", (80, 95)),
    _given("base", "expected own units in the same time without it"),
    _given("gross", "own units above base while it runs"),
    _given("pulled_forward", "own units missing in the five weeks after, negative"),
    _given("cannibalised", "units of siblings it takes, negative where they lose"),
    _given("halo", "units of other products it brings"),
    _given("lift", "own units while it runs over base", "ratio"),
    _given("spend", "trade spend", "money", required=False),
    _given("margin", "margin of the net incremental units at shelf prices", "money", required=False),
    *_bounds("margin_", "money", (80, 95), required=False),
    _given(
        "retailer_gain",
        "change of the retailer's margin: net units, less discounts given, plus trade spend received",
        "money",
        required=False,
    ),
    _given("roi", "(margin - spend) / spend, median; 0 where nothing is spent, as `verdict` says", "ratio", required=False),
    *_bounds("roi_", "ratio", (80, 95), required=False),
    _given("chance", "probability that it earns more than it costs", "probability", required=False),
    _given("unit_spend", "trade spend per net incremental unit; 0 where it brings none, as `verdict` says", "money", required=False),
    _given("break_even_lift", "lift at which it would pay back its spend, at the same shares of loss", "ratio", required=False),
    Column("verdict", Role.OUTPUT, Type.TEXT, required=True, meaning="earns | loses | uncertain | no spend | no cost known"),
)

MODEL = Model(
    name="promotion",
    question="What did, and what would, this promotion return?",
    task="regress",
    file="promotion_effectiveness",
    tables=("sales", "promotions", "prices", "products", "stores", "events"),
    asks=Schema(_ASKS, ("promotion", "product", "store")),
    needs=Schema(COLUMNS, ("date", "product", "store")),
    gives=Schema(_GIVES, ("promotion",)),
    goal=Goal("rmsle", by_errors=1.0),
    recipes=("naive", "structural", "forest_net", "average"),
    graphs=False,
    serves=("average", "structural"),  # held-out sales hardly tell recipes apart, and only these say what each lever does
    many=True,
    plans="calendar",
)
