"""Seasonality: the trend, the seasons and the events of a business, apart from prices and promotions, and when to spend."""

from __future__ import annotations

from tradewind.core.model import Goal, Model
from tradewind.core.schema import Column, Role, Schema, Type

COMPONENTS = ("trend", "day", "week", "year", "event", "plan")
"""What a figure is the product of: the trend in units, the others indices around one."""

_KEYS = (
    Column("category", Role.ENTITY, Type.TEXT, meaning="the category, where products have one"),
    Column("product", Role.ENTITY, Type.TEXT, meaning="the product, where there are no categories"),
    Column("geo", Role.ENTITY, Type.TEXT, meaning="where, if outcomes are known by geo"),
    Column("date", Role.TIME, Type.DATE, required=True, meaning="the period asked for, past or to come"),
)
_PLAN = (
    Column(
        "price",
        Role.LEVER,
        meaning="of one product its price, of several over their usual level; left out, the planned or usual one",
        minimum=0,
    ),
    Column("promotion", Role.LEVER, meaning="share of usual sales that is on promotion", minimum=0, maximum=1),
)


def _said(name: str, meaning: str, unit: str = "") -> Column:
    return Column(name, Role.OUTPUT, Type.NUMBER, unit=unit, meaning=meaning, minimum=0)


_BANDS = tuple(
    _said(f"{side}{level}", f"{'lower' if side == 'lo' else 'upper'} bound of the {level} % interval of the figure", "units")
    for level in (50, 80, 90, 95)
    for side in ("lo", "hi")
)
_PARTS = tuple(
    _said(f"{name}{end}", f"{name}: {words}", "units" if name == "trend" else "index")
    for name in COMPONENTS
    for end, words in (
        ("", "as it is best said"),
        ("_lo80", "80 % from"),
        ("_hi80", "80 % to"),
        ("_lo95", "95 % from"),
        ("_hi95", "95 % to"),
    )
)

MODEL = Model(
    name="seasonality",
    question="When is the season, and how strong is it?",
    task="decompose",
    file="seasonality",
    tables=("sales", "outcomes", "prices", "promotions", "products", "stores", "events"),
    asks=Schema((*_KEYS, *_PLAN), ("category", "product", "geo", "date")),
    needs=Schema(
        (*_KEYS, Column("units", Role.TARGET, unit="units", required=True, meaning="what has a season"), *_PLAN),
        ("category", "product", "geo", "date"),
    ),
    gives=Schema(
        (
            *_KEYS,
            _said("mean", "expected figure: all components together", "units"),
            _said("p50", "median figure", "units"),
            *_BANDS,
            *_PARTS,
            _said(
                "season", "all seasons and events together, 1 = an average period: where to spend, if every period answers alike", "index"
            ),
        ),
        ("category", "product", "geo", "date"),
    ),
    goal=Goal("wape", by_errors=1.0),
    recipes=("classical", "stl", "regression"),
    graphs=False,
    horizon=365,
    regular=True,
    either=("sales", "outcomes"),
)
