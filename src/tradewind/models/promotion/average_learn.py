"""Learn the boosted correction of the structural panel, and how much it counts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from tradewind.core.errors import LearnFailed
from tradewind.core.table import Array, Table
from tradewind.models._kit.trade.bind import bind
from tradewind.models._kit.trade.book import Book
from tradewind.models._kit.trade.design import is_lift, prices_of
from tradewind.models._kit.trade.fit import learn as learn_panel
from tradewind.models._kit.trade.panel import Panel, panel_of
from tradewind.models._kit.trees import Trees, from_lightgbm
from tradewind.models.promotion import serving
from tradewind.models.promotion.asking import Cells
from tradewind.models.promotion.audit_learn import audited
from tradewind.models.promotion.average_state import EARLIEST, HELD, WEIGHTS, Averaged, beside_of, features, structural_log, trees_log

FEWEST_ROWS = 200


def learn(table: Table, knobs: dict[str, Any], seed: int) -> Averaged:
    """Return the state; raises LearnFailed where there is too little for trees."""
    panel = panel_of(table)
    if panel.cut < EARLIEST + HELD or int(np.isfinite(panel.units[:, : panel.cut]).sum()) < FEWEST_ROWS:
        raise LearnFailed(
            "too little history for boosted trees", hint=f"at least {EARLIEST + HELD} periods and {FEWEST_ROWS} rows of sales"
        )
    weight, skill = _weighed(panel, knobs, seed)
    return _state(panel, knobs, seed, weight, skill, final=True)


def _weighed(panel: Panel, knobs: dict[str, Any], seed: int) -> tuple[float, dict[str, float]]:
    """Return the weight that was best on the last periods, learned without them."""
    early = _until(panel, panel.cut - HELD)  # judged with the season that the whole history will have, or trees win for knowing one
    state = _state(early, knobs | {"trees": max(int(knobs["trees"]) // 2, 10), "rate": min(2 * float(knobs["rate"]), 0.5)}, seed, 1.0, {})
    cells = _cells(panel, state.book, slice(early.cut, panel.cut))
    truth = np.log(np.maximum(panel.units[cells.series, cells.period], 0.5))
    one, two = structural_log(state.book, cells), trees_log(state, cells)
    scores = [float(np.sqrt(np.mean(((1 - weight) * one + weight * two - truth) ** 2))) for weight in WEIGHTS]
    best = int(np.argmin(scores))
    return WEIGHTS[best], {"structural": scores[0], "trees": scores[-1], "both": scores[best]}


def _until(panel: Panel, cut: int) -> Panel:
    """Return the panel as it was known at an earlier cut: sales and prices paid after it are gone."""
    units, sold, price = panel.units.copy(), panel.sold.copy(), panel.price.copy()
    for values in (units, sold, price):
        values[:, cut:] = np.nan
    return replace(panel, cut=cut, units=units, sold=sold, price=price)


def _state(panel: Panel, knobs: dict[str, Any], seed: int, weight: float, skill: dict[str, float], *, final: bool = False) -> Averaged:
    fit = learn_panel(panel, short=0 if final else HELD, losses=True)
    book = serving.costed(bind(panel, fit))
    book = audited(book, panel, fit, seed=seed) if final else book
    prices = prices_of(panel)
    beside = beside_of(panel, book, prices.paid, prices.usual)
    logged = np.log(np.maximum(panel.units[:, : panel.cut], 0.5))
    known = np.isfinite(logged)
    centre = np.where(known, logged, 0.0).sum(1) / np.maximum(known.sum(1), 1)
    cells = _cells(panel, book, slice(0, panel.cut))
    rows = features(book, cells, beside, centre)
    grown = knobs if weight > 0 else knobs | {"trees": 1}  # trees that do not count are not grown
    trees = _boosted(rows, logged[cells.series, cells.period] - centre[cells.series], grown, seed)
    return Averaged(book, trees, weight, beside, centre, skill)


def _cells(panel: Panel, book: Book, span: slice) -> Cells:
    """Return every known cell of a span of periods, at the price and under the support it had."""
    series, period = np.nonzero(np.isfinite(panel.units[:, span]))
    period = period + span.start
    places = [(at, name) for at, name in enumerate(book.names.tolist()) if is_lift(name) and name not in ("display", "feature")]
    kind, share = np.full(len(series), -1), np.zeros(len(series))
    for at, name in places:
        value = panel.levers[name][series, period] if name in panel.levers else np.zeros(len(series))
        kind, share = np.where(value > share, at, kind), np.maximum(value, share)
    regular = book.regular[series, period]
    paid = np.where(np.isfinite(panel.price[series, period]), panel.price[series, period], regular)
    empty = np.zeros(0)

    def lever(name: str) -> Array:
        return panel.levers[name][series, period] if name in panel.levers else np.zeros(len(series))

    return Cells(
        np.zeros(len(series), int),
        series,
        period,
        np.where(kind >= 0, share, 1.0),
        np.zeros(len(series), bool),
        paid / regular,
        panel.discount[series, period],
        kind,
        lever("display"),
        lever("feature"),
        *(empty for _ in range(7)),
    )


def _boosted(rows: Array, target: Array, knobs: dict[str, Any], seed: int) -> Trees:
    import lightgbm

    given = {
        "objective": "regression",
        "learning_rate": float(knobs["rate"]),
        "num_leaves": int(knobs["leaves"]),
        "min_data_in_leaf": 20,
        "max_bin": 127,
        "feature_fraction": 0.8,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbose": -1,
    }
    booster = lightgbm.train(given, lightgbm.Dataset(rows, target, free_raw_data=False), int(knobs["trees"]))
    return from_lightgbm(booster)
