"""Sentiment: what customers feel, about what, in which language, and how sure that is."""

from __future__ import annotations

from tradewind.core.model import Goal, Model
from tradewind.core.schema import Column, Role, Schema, Type

_ASKED = (
    Column("text", Role.INPUT, Type.TEXT, required=True, meaning="what was written"),
    Column("language", Role.INPUT, Type.TEXT, meaning="its language, such as en, where it is known; else it is detected"),
    Column("force", Role.INPUT, Type.NUMBER, meaning="1: always answer a class, never unsure", minimum=0, maximum=1),
)


def _share(name: str, meaning: str) -> Column:
    return Column(name, Role.OUTPUT, Type.NUMBER, required=True, meaning=meaning, minimum=0, maximum=1)


MODEL = Model(
    name="sentiment",
    question="What do customers feel?",
    task="classify",
    file="sentiment_analysis",
    tables=("reviews", "terms"),
    asks=Schema(_ASKED),
    needs=Schema(
        (
            Column("review", Role.ENTITY, Type.TEXT, meaning="which review"),
            Column("text", Role.INPUT, Type.TEXT, required=True, meaning="what was written, or a term of the tenant's own"),
            Column("label", Role.TARGET, Type.TEXT, meaning="negative, neutral or positive; else read off the rating; else missing"),
            Column("date", Role.TIME, Type.DATE, meaning="when it was written"),
            Column("product", Role.ENTITY, Type.TEXT, meaning="what it is about"),
            Column("kind", Role.INPUT, Type.TEXT, required=True, meaning="review or term"),
            Column("valence", Role.INPUT, Type.NUMBER, meaning="of a term: how it feels", minimum=-4, maximum=4),
            Column("aspect", Role.INPUT, Type.TEXT, meaning="of a term: what it speaks of"),
        )
    ),
    gives=Schema(
        (
            Column(
                "label",
                Role.OUTPUT,
                Type.TEXT,
                required=True,
                meaning="negative, neutral, positive; unsure where no class is likely enough; unsupported for a language it cannot read",
            ),
            Column("score", Role.OUTPUT, Type.NUMBER, required=True, meaning="feeling from -1 to 1", minimum=-1, maximum=1),
            _share("p_negative", "calibrated probability that it is negative"),
            _share("p_neutral", "calibrated probability that it is neutral"),
            _share("p_positive", "calibrated probability that it is positive"),
            Column("language", Role.OUTPUT, Type.TEXT, required=True, meaning="en, de, ...; two where it is mixed; none without words"),
            Column("aspects", Role.OUTPUT, Type.TEXT, required=True, meaning="JSON: aspect -> label, score, quote"),
            Column("because", Role.OUTPUT, Type.TEXT, required=True, meaning="the words that counted most, with their weight"),
        )
    ),
    goal=Goal("error", by_errors=1.0),
    recipes=("majority", "rules", "linear"),
)
