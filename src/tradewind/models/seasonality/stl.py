"""Robust STL by statsmodels, season by season (Cleveland et al. 1990): the second baseline, without events, prices and promotions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.core.errors import LearnFailed
from tradewind.core.model import Knob, settle
from tradewind.core.table import Table
from tradewind.models.seasonality import learned
from tradewind.models.seasonality.answer import Answering
from tradewind.models.seasonality.seasons import centred, phase
from tradewind.models.seasonality.state import Components

Array = np.ndarray[Any, Any]
MOST = 500  # series; a fit of each takes a second or so


@dataclass(frozen=True, slots=True)
class Stl(Answering):
    """The recipe. A season of the day or week is a fixed one; a year's comes from what the shorter ones leave."""

    name: str = "stl"
    knobs: tuple[Knob, ...] = (Knob("robust", True, meaning="let outliers count less", tune=False),)

    def fit(self, table: Table, params: Mapping[str, Any], seed: int) -> Components:
        """Learn components of every series; raises LearnFailed where there are too many series or no season."""
        knobs = settle(self.knobs, params)
        given = learned.given(table)
        panel, logged, known = given.panel, learned.without_gaps(given.figures), np.isfinite(given.figures)
        seasons = learned.seasons_of(panel)
        if not seasons:
            raise LearnFailed(f"{panel.cut} periods are too few for a season", hint="load two years, or four weeks of days")
        if len(panel) > MOST:
            raise LearnFailed(f"{len(panel)} series are too many for STL one by one", hint=f"it takes at most {MOST}; regression takes all")
        left, trend = logged, logged
        index, error = {}, {}
        for season in seasons:
            period = round(season.length)
            if panel.cut < 2 * period:
                period = panel.cut // 2  # two years less a few days
            trend, seasonal = _taken_apart(left, period, robust=bool(knobs["robust"]))
            index[season.name] = centred(learned.by_phase(seasonal, known, season, panel))
            left = left - index[season.name][:, phase(season, panel.clock, panel.numbers()[: panel.cut])]
            error[season.name] = learned.phase_error(left - trend, known, season, panel)
        noise = (left - trend).std(1)
        window = round(seasons[-1].length)
        slope = (trend[:, -1] - trend[:, max(0, panel.cut - window)]) / max(min(window, panel.cut - 1), 1)
        made = learned.Made(trend, np.repeat(noise[:, None] / np.sqrt(window), panel.cut, 1), slope, seasons, index, error)
        return learned.components(given, made, look=False)


def _taken_apart(values: Array, period: int, *, robust: bool) -> tuple[Array, Array]:
    """Return trend and season of every series."""
    from statsmodels.tsa.seasonal import STL  # type: ignore[import-untyped]

    fits = [
        STL(
            row,
            period=period,
            seasonal=13,
            robust=robust,
            seasonal_jump=max(1, period // 10),
            trend_jump=max(1, period // 10),
            low_pass_jump=max(1, period // 10),
        ).fit()
        for row in values
    ]
    return np.array([fit.trend for fit in fits]), np.array([fit.seasonal for fit in fits])


RECIPE = Stl()
