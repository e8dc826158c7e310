"""Audit the mean lift of every mechanic by double machine learning, which shares nothing with the structural panel but the data.

The treatment is whether the mechanic runs, price cut, display and leaflet as they come with it; what else may move sales (season, time,
shelf price, rivals, siblings, what ran in the periods before, named events, other columns of sales) is left to trees, and whatever
stays the same within a series is taken out. Folds leave whole products out, and errors are by product.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.random import default_rng

from tradewind.core.errors import BadValue, LearnFailed
from tradewind.models._kit.causal import dml
from tradewind.models._kit.causal.learners import Boost
from tradewind.models._kit.trade import design as shape
from tradewind.models._kit.trade.book import Book
from tradewind.models._kit.trade.design import YEAR
from tradewind.models._kit.trade.fit import Fit
from tradewind.models._kit.trade.levers import CUT, PRICE, change
from tradewind.models._kit.trade.panel import Panel
from tradewind.models.promotion.audit import Audited, is_mechanic, kept

Array = np.ndarray[Any, Any]
FEWEST_CELLS, FEWEST_GROUPS = 30, 5  # under a mechanic, and groups it must have run in
MOST_CELLS = 4000  # that one audit looks at; a draw of the seed where there are more
BESIDE = 3  # periods without a promotion for each one with it
FOLDS = 5
GROWN = Boost(rounds=60, leaves=15, rate=0.12)


def audited(book: Book, panel: Panel, fit: Fit, *, seed: int) -> Book:
    """Return the book with the audits in its head; mechanics that ran too seldom have none."""
    controls = _controls(panel, fit)
    found = [_one(book, panel, fit, name, controls=controls, seed=seed) for name in book.names.tolist() if is_mechanic(name)]
    return replace(book, head={**book.head, "audit": kept([one for one in found if one is not None])})


def _one(book: Book, panel: Panel, fit: Fit, name: str, *, controls: Array, seed: int) -> Audited | None:
    """Return the audit of one mechanic, None where the data do not allow one."""
    cut = panel.cut
    value = panel.levers[name][:, :cut]
    known = np.isfinite(panel.units[:, :cut]) & (panel.units[:, :cut] > 0)
    on = known & (value > 0.5)
    running = sum((levers[:, :cut] for lever, levers in panel.levers.items() if shape.is_lift(lever)), np.zeros(value.shape))
    off = known & (running <= 1e-9)
    group = panel.product if len(np.unique(panel.product[on.any(1)])) >= 2 * FOLDS else np.arange(len(panel))
    if on.sum() < FEWEST_CELLS or len(np.unique(group[on.any(1)])) < max(FEWEST_GROUPS, FOLDS):
        return None
    series, period = _drawn(on, off, seed)
    logged = np.log(np.where(known, panel.units[:, :cut], 1.0))
    usual = np.where(off, logged, 0.0).sum(1) / np.maximum(off.sum(1), 1)
    treated = on[series, period].astype("f8")
    try:
        effect = dml.effect(
            logged[series, period] - usual[series],
            treated,
            controls[series, period],
            seed=seed,
            groups=group[series],
            within=False,
            count=FOLDS,
            learner=GROWN,
        )
    except (BadValue, LearnFailed):  # the mechanic never moved by itself: there is nothing to audit it by
        return None
    mean, error = _structural(book, panel, fit, (series[treated > 0], period[treated > 0]))
    return Audited(name, mean, error, effect.estimate, effect.standard_error, int(treated.sum()), len(np.unique(group[series])))


def _drawn(on: Array, off: Array, seed: int) -> tuple[Array, Array]:
    """Return the series and periods the audit looks at: those under the mechanic, and so many times those without any promotion."""
    rng = default_rng(seed)
    chosen = []
    with_it = np.flatnonzero(on)
    most = MOST_CELLS // (1 + BESIDE)
    for cells, count in ((with_it, most), (np.flatnonzero(off), BESIDE * min(len(with_it), most))):
        chosen.append(cells if len(cells) <= count else np.sort(rng.choice(cells, count, replace=False)))
    series, period = np.divmod(np.concatenate(chosen), on.shape[1])
    return series, period


def _controls(panel: Panel, fit: Fit) -> Array:
    """Return what else may move sales, n x cut x columns: nothing of it comes out of the structural fit but filled prices."""
    cut, count = panel.cut, len(panel)
    at = np.arange(cut)
    angle = 2 * np.pi * (panel.first + at) / YEAR[panel.clock.grain.name]
    running = sum((levers for lever, levers in panel.levers.items() if is_mechanic(lever)), np.zeros(panel.units.shape))
    depth = np.log(np.minimum(fit.prices.paid / fit.prices.regular, 1.0))
    siblings = shape.groups_of(panel)[0]
    category = np.unique(panel.category.astype(str), return_inverse=True)[1]
    along = [at * 1.0, np.sin(angle), np.cos(angle)]
    columns = [np.broadcast_to(values, (count, cut)) for values in along]
    columns += [np.broadcast_to(values[:, None], (count, cut)) for values in (category[panel.product] * 1.0, panel.store * 1.0)]
    columns.append(np.log(fit.prices.regular / fit.prices.usual[:, None])[:, :cut])
    columns += [shape.others(values, siblings)[:, :cut] for values in (running, depth)]
    past = shape.lagged(running, max(shape.LAGS[panel.clock.grain.name], 1))[:, :cut]
    columns += [past[..., lag] for lag in range(past.shape[2])]
    columns += [values[:, :cut] for values in (*panel.events.values(), *panel.extras.values())]
    if np.isfinite(panel.competitor).all():
        rival = np.log(np.maximum(panel.competitor[:, :cut], 1e-9))
        columns.append(rival - rival.mean(1, keepdims=True))
    return np.stack([np.nan_to_num(values) for values in columns], 2)


def _structural(book: Book, panel: Panel, fit: Fit, cells: tuple[Array, Array]) -> tuple[float, float]:
    """Return the panel's own mean log lift over the same cells, and its standard error over the draws of the coefficients."""
    series, period = cells
    design, prices = fit.design, fit.prices
    moved = np.zeros((len(panel), len(book.names)))
    for at, name in enumerate(book.names.tolist()):
        if not (name in (PRICE, CUT) or shape.is_lift(name)):
            continue
        values = design.values[series, period, design.place(name)]
        if name == PRICE:
            values = values - change(prices.regular[series, period] / prices.usual[series], fit.form)
        moved[:, at] = np.bincount(series, values, minlength=len(panel))
    moved /= len(series)
    drawn = np.einsum("dnk,nk->d", book.beta.astype("f8"), moved)
    return float((book.series * moved).sum()), float(drawn.std())
