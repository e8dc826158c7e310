"""How effects fade where nobody said it: at once, or after a late peak where the data speak clearly for one. Learning only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tradewind.models.roi.laplace import mode
from tradewind.models.roi.learned import Learned
from tradewind.models.roi.media import Media, together
from tradewind.models.roi.posterior import log_posterior
from tradewind.models.roi.setup import setup, start

AUTOMATIC = "automatic"
CLEAR = 5.0  # by how much a late peak must raise the log posterior at its mode: odds of 150 to one, for one more number per channel
LATE = "effects peak some time after the spend, so carry-over with a late peak was learned (carry = delayed)"


def settled(media: Media, params: Mapping[str, Any], before: Learned | None) -> tuple[dict[str, Any], list[str]]:
    """Return the knobs with a carry-over that is named, and what to say of it, after an update again. Geos are looked at together."""
    if params["carry"] != AUTOMATIC:
        return dict(params), [LATE] if before is not None and LATE in before.notes else []
    whole = together(media)
    plain, late = (_height(whole, {**params, "carry": carry}) for carry in ("geometric", "delayed"))
    if late - plain > CLEAR:
        return {**params, "carry": "delayed"}, [LATE]
    return {**params, "carry": "geometric"}, []


def _height(media: Media, params: Mapping[str, Any]) -> float:
    problem = setup(media, params).problem
    found = mode(lambda theta: log_posterior(problem, theta), start(problem), np.random.default_rng(0))
    return float(log_posterior(problem, found[None])[0])
