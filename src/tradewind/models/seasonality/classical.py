"""The baseline of seasonality: a moving average for the trend, the mean of each phase for the seasons, nothing taken out first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.core.model import Knob, settle
from tradewind.core.table import Table
from tradewind.models.seasonality import learned
from tradewind.models.seasonality.answer import Answering
from tradewind.models.seasonality.seasons import centred, phase
from tradewind.models.seasonality.state import Components

Array = np.ndarray[Any, Any]
PLAIN = 13  # periods of the moving average where no season can be told


@dataclass(frozen=True, slots=True)
class Classical(Answering):
    """The recipe."""

    name: str = "classical"
    knobs: tuple[Knob, ...] = ()

    def fit(self, table: Table, params: Mapping[str, Any], seed: int) -> Components:
        """Learn components of every series; raises LearnFailed where there is nothing to take apart."""
        settle(self.knobs, params)
        given = learned.given(table)
        panel, logged, known = given.panel, learned.without_gaps(given.figures), np.isfinite(given.figures)
        seasons = learned.seasons_of(panel)
        width = round(max([season.length for season in seasons], default=PLAIN))
        width = min(width, panel.cut)
        trend = moving(logged, width)
        left = logged - trend
        index, error = {}, {}
        for season in seasons:
            index[season.name] = centred(learned.by_phase(left, known, season, panel))
            left = left - index[season.name][:, phase(season, panel.clock, panel.numbers()[: panel.cut])]
            error[season.name] = learned.phase_error(left, known, season, panel)
        rest = left.std(1) / np.sqrt(max(width, 1))
        slope = (trend[:, -1] - trend[:, max(0, panel.cut - width)]) / max(width, 1)
        made = learned.Made(trend, np.repeat(rest[:, None], panel.cut, 1), slope, seasons, index, error)
        return learned.components(given, made, look=False)


def moving(values: Array, width: int) -> Array:
    """Return the centred moving average, the ends carried on by the slope of the nearest whole window."""
    if width < 2:
        return values.copy()
    count = values.shape[1]
    total = np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, 1)], 1)
    whole = (total[:, width:] - total[:, :-width]) / width  # (series, count - width + 1), centred at width / 2
    middle = np.arange(whole.shape[1]) + (width - 1) / 2
    at = np.arange(count)
    out = np.array([np.interp(at, middle, row) for row in whole])
    if whole.shape[1] > 1:
        far = min(whole.shape[1] - 1, width)
        for ahead, place, step in (
            (at > middle[-1], -1, (whole[:, -1] - whole[:, -1 - far]) / far),
            (at < middle[0], 0, (whole[:, far] - whole[:, 0]) / far),
        ):
            out[:, ahead] = whole[:, place][:, None] + step[:, None] * (at[ahead] - middle[place])
    return out


RECIPE = Classical()
