"""Seasonality by one regression: events, prices and promotions are told apart from the seasons because they are fitted together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.core.model import Knob, settle
from tradewind.core.table import Table
from tradewind.models.seasonality import learned
from tradewind.models.seasonality.answer import Answering
from tradewind.models.seasonality.design import Design, design_of
from tradewind.models.seasonality.seasons import BLOCK, basis, centred
from tradewind.models.seasonality.state import Components

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Regression(Answering):
    """The recipe."""

    name: str = "regression"
    knobs: tuple[Knob, ...] = (Knob("turns", True, meaning="look for steps in the trend", tune=False),)

    def fit(self, table: Table, params: Mapping[str, Any], seed: int) -> Components:
        """Learn components of every series; raises LearnFailed where there is nothing to take apart."""
        from tradewind.models.seasonality import poisson

        knobs = settle(self.knobs, params)
        given = learned.given(table)
        panel = given.panel
        design = design_of(panel, panel.cut)
        fitted = poisson.fit(design, given.figures, block=BLOCK[panel.grain.name], seed=seed)
        return _components(given, design, fitted, look=bool(knobs["turns"]))


def _components(given: learned.Given, design: Design, fitted: Any, *, look: bool) -> Components:
    trend, draws = fitted.beta[:, : design.trend] @ design.shared[:, : design.trend].T, fitted.draws
    error = np.empty_like(trend)
    for row in range(len(trend)):
        error[row] = (draws[row][:, : design.trend] @ design.shared[:, : design.trend].T.astype("f4")).std(0)
    index, index_error = {}, {}
    for season in design.seasons:
        columns, place = basis(season)[0], design.places[season.name]
        logged = fitted.beta[:, place] @ columns.T
        trend += (logged - centred(logged))[:, :1]  # the level belongs to the trend
        index[season.name] = centred(logged)
        spread = np.empty_like(logged)
        for row in range(len(logged)):
            spread[row] = centred(draws[row][:, place].astype("f8") @ columns.T).std(0)
        index_error[season.name] = spread
    start = design.shared.shape[1]
    coefficient, own_error = fitted.beta[:, start:], draws[:, :, start:].std(1)
    pooled = draws[:, :, start:].mean(0).std(0) if len(draws) else np.zeros(0)
    at = [start + design.names.index(name) for name in design.levers]
    together = [np.atleast_2d(np.cov(row[:, at].astype("f8"), rowvar=False, ddof=0)) if at else np.zeros((0, 0)) for row in draws]
    own = learned.Own(
        design.names,
        design.levers,
        design.columns,
        coefficient,
        own_error,
        np.reshape(together, (len(draws), len(at), len(at))),
        design.centre,
    )
    step = trend[:, -1] - trend[:, max(trend.shape[1] - 2, 0)]
    made = learned.Made(trend, error, step, design.seasons, index, index_error, own, pooled, fitted.wider)
    return learned.components(given, made, look=look)


RECIPE = Regression()
