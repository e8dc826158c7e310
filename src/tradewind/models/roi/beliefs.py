"""What is believed of a channel before the data, in plain words, and the knobs that all recipes share."""

from __future__ import annotations

import re

from tradewind.core.errors import BadValue
from tradewind.core.model import Knob

CENTRE = 0.2  # log return in money before the data: e^0.2 = 1.2 per money
SHARE = 0.25  # of the outcome that media bring before the data, where its worth is not known
WIDTH = {"narrow": 0.5, "usual": 0.9, "open": 1.6}  # of the log return
NOTHING = 0.1  # chance before the data that a channel does next to nothing
_NUMBER = r"(\d+(?:\.\d+)?)"

KNOBS = (
    Knob(
        "carry",
        "automatic",
        choices=("automatic", "geometric", "delayed", "weibull"),
        meaning="how an effect fades: at once, after a peak, or freely; automatic: at once, or after a peak where the data clearly say so",
        tune=False,
    ),
    Knob("curve", "hill", choices=("hill", "logistic"), meaning="how an effect saturates: with or without a slow start", tune=False),
    Knob(
        "lags", 0, 0, 104, meaning="periods an effect may last; 0: 8 weeks, 28 days or 3 months, longer where it may peak late", tune=False
    ),
    Knob(
        "basis",
        "automatic",
        choices=("automatic", "return", "marginal", "contribution"),
        meaning="what the belief is about: the return on all spend, on the next unit of it, or the share of the outcome",
        tune=False,
    ),
    Knob("belief", "usual", choices=tuple(WIDTH), meaning="how sure one is before the data: usual is a return of 0.3 to 5", tune=False),
    Knob("worth", 0.0, 0.0, meaning="money per outcome where the outcome is not money; 0: as the data says", tune=False),
    Knob("exposure", default=True, meaning="learn from impressions instead of spend where they are known", tune=False),
)


def spoken(said: str, channel: str) -> tuple[float, float]:
    """Return the 90 % range of a return said in words: "2", "about 2" (a factor of two each way) or "1 to 4"; raises BadValue."""
    text = said.strip().lower()
    span = re.fullmatch(rf"(?:between )?{_NUMBER} ?(?:to|and|-) ?{_NUMBER}", text)
    if span:
        low, high = float(span[1]), float(span[2])
        if 0 < low < high:
            return low, high
    one = re.fullmatch(rf"(?:about |around )?{_NUMBER}", text)
    if one and float(one[1]) > 0:
        return float(one[1]) / 2, float(one[1]) * 2
    raise BadValue(f"the belief {said!r} of {channel} cannot be read", hint='write a return such as "about 2" or "1 to 4"')
