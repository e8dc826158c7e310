"""Roi: what each media channel returns, and what the next unit of spend would."""

from __future__ import annotations

from tradewind.core.model import WHOLE, Goal, Model
from tradewind.core.schema import Column, Role, Schema, Type

_CHANNEL = Column("channel", Role.ENTITY, Type.TEXT, required=True, meaning="the channel; `total` asks for the whole outcome")
_DATE = Column("date", Role.TIME, Type.DATE, meaning="the period; left out, a period like any other at a steady spend")
_GEO = Column("geo", Role.ENTITY, Type.TEXT, meaning="the region, where it was learned by region; left out, all of them")
_SPEND = Column("spend", Role.LEVER, unit="money", meaning="spend of the period; left out, what was or is planned, or the usual", minimum=0)
_LEVELS = (50, 80, 90, 95)


def _given(name: str, meaning: str, unit: str = "outcome") -> Column:
    return Column(name, Role.OUTPUT, Type.NUMBER, required=True, unit=unit, meaning=meaning)


def _bands(prefix: str, levels: tuple[int, ...], unit: str) -> tuple[Column, ...]:
    return tuple(
        _given(f"{prefix}{side}{level}", f"{'lower' if side == 'lo' else 'upper'} bound of the {level} % interval", unit)
        for level in levels
        for side in ("lo", "hi")
    )


_RETURN = "outcome per money"
MODEL = Model(
    name="roi",
    question="What does each channel return, and the next unit of spend?",
    task="regress",
    file="media_roi",
    tables=("marketing", "outcomes", "prices", "promotions", "events", "experiments"),
    asks=Schema((_CHANNEL, _SPEND, _DATE, _GEO), ("channel", "date", "geo")),
    needs=Schema(
        (
            Column("date", Role.TIME, Type.DATE, required=True, meaning="the period"),
            _GEO,
            Column("outcome", Role.TARGET, required=True, meaning="what media should move: revenue, conversions, new customers"),
        ),
        ("date", "geo"),
    ),
    gives=Schema(
        (
            _CHANNEL,
            _DATE,
            _GEO,
            _given("spend", "the spend that is answered for", "money"),
            _given("mean", "expected outcome the channel brings in the period: add these up"),
            _given("p50", "median of the same: the headline"),
            *_bands("", _LEVELS, "outcome"),
            _given("roi", "return on this spend, carry-over included: median", _RETURN),
            *_bands("roi_", (80, 90), _RETURN),
            _given("marginal_roi", "return on the next unit of spend: median", _RETURN),
            *_bands("marginal_roi_", (80, 90), _RETURN),
            _given("beyond", "spend over the highest ever seen; above 1 the curve is extrapolated", ""),
        ),
        ("channel", "date", "geo"),
    ),
    goal=Goal("wape", by_errors=-2.0),
    recipes=("ridge", "exact", "fast"),
    graphs=False,
    horizon=13,
    serves=("fast", "exact"),
    plans="spend",
    whole=WHOLE,
)
"""The goal: what is held out must be foreseen better than by the baseline, by whatever little.

Returns cannot be judged by forecasts (two models that forecast alike may disagree on every return), so no margin is asked; that a model
forecasts clearly worse than a ridge regression (by over two standard errors) does say that something is wrong with it, and it does not
serve unless somebody insists.
"""
