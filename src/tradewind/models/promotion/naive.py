"""The habit of the trade: what sold under promotion against the periods around it. For comparison only: it counts no loss anywhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tradewind.core.table import Array, Table
from tradewind.models._kit.trade.book import Book
from tradewind.models.promotion import serving
from tradewind.models.promotion.structural import Structural

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tradewind.models._kit.trade.panel import Panel
    from tradewind.models.promotion.account import Account
    from tradewind.models.promotion.asking import Cells

AROUND = 10  # periods on either side


class Naive(Structural):
    """Learn an interpolated baseline and each mechanic's mean ratio to it; the state is a book without any loss."""

    name = "naive"

    def fit(self, table: Table, params: Mapping[str, Any], seed: int) -> Book:
        """Learn from plain ratios."""
        from tradewind.models._kit.trade.panel import panel_of

        return serving.costed(_book(panel_of(table)))

    def predict_draws(self, state: Book, asked: Table) -> tuple[Cells, Account]:
        """Return the cells and the account: of what is past, what sold less the baseline."""
        cells, accounts = super().predict_draws(state, asked)
        past = np.ones(len(cells.names), bool)
        np.logical_and.at(past, cells.event, cells.period < state.cut)
        rows = past[cells.event]
        sold = np.zeros(len(cells.names))
        known = np.zeros(len(cells.event))
        known[rows] = np.nan_to_num(state.sold[cells.series[rows], cells.period[rows]]) * cells.share[rows]
        np.add.at(sold, cells.event, known)
        seen = past & (sold > 0)
        unit = accounts.margin["gross"].mean(0) / np.where(accounts.units["gross"].mean(0) != 0, accounts.units["gross"].mean(0), 1.0)
        accounts.units["gross"][:, seen] = sold[seen] - accounts.units["base"][:, seen]
        accounts.margin["gross"][:, seen] = accounts.units["gross"][:, seen] * unit[seen]
        accounts.sold[:, seen] = sold[seen]
        return cells, accounts


def _book(panel: Panel) -> Book:
    from tradewind.models._kit.trade.bind import whereabouts
    from tradewind.models._kit.trade.design import is_lift, prices_of

    prices = prices_of(panel)
    kinds = [name for name in panel.levers if is_lift(name) and name not in ("display", "feature")]
    share = sum((panel.levers[name] for name in kinds), np.zeros(panel.units.shape))
    base = _interpolated(panel.units[:, : panel.cut], share[:, : panel.cut], panel.width)
    gap = np.log(np.maximum(panel.units[:, : panel.cut], 0.5)) - np.log(base[:, : panel.cut])
    plain = np.isfinite(gap) & (share[:, : panel.cut] <= 0)
    variance = np.maximum((np.where(plain, gap, 0.0) ** 2).sum(1) / np.maximum(plain.sum(1), 1), 1e-4)
    nothing: dict[str, Any] = {"context": np.zeros(base.shape), "lift": np.zeros(base.shape), "fade": np.zeros(0), "halo": np.zeros((0, 5))}
    return Book(
        **whereabouts(panel, prices, together=1.0, about=()),
        **nothing,
        **_ratios(panel, base, kinds),
        base=np.log(base),
        smear=np.ones(len(panel)),
        variance=variance,
        drift=np.array([float(np.sqrt(variance.mean() / 4)), 1e-3]),
    )


def _ratios(panel: Panel, base: Array, kinds: list[str]) -> dict[str, Any]:
    """Return each kind of promotion's mean log ratio to the baseline as coefficients, and how it varied."""
    ratio = panel.units[:, : panel.cut] / base[:, : panel.cut]
    mean, spread, noise = (np.zeros(len(kinds)) for _ in range(3))
    for at, name in enumerate(kinds):
        on = (panel.levers[name][:, : panel.cut] > 0.99) & np.isfinite(ratio) & (ratio > 0)
        sold, usual = panel.units[:, : panel.cut][on].sum(), base[:, : panel.cut][on].sum()
        mean[at] = float(np.log(max(sold, 1e-9) / max(usual, 1e-9))) if on.any() else 0.0
        noise[at] = float(np.var(np.log(ratio[on]))) if on.sum() > 1 else 0.25
        spread[at] = noise[at] / max(int(on.sum()), 1)
    series, products = len(panel), len(panel.products)
    return {
        "names": np.array(kinds, object),
        "series": np.tile(mean, (series, 1)),
        "own": np.tile(noise, (series, 1)),
        "carry": np.zeros((series, len(kinds))),
        "mean": np.tile(mean, (products, 1)),
        "spread": np.tile(np.diag(spread), (products, 1, 1)),
        "common": np.zeros((products, len(kinds))),
        "kin": np.zeros(len(kinds)),
    }


def _interpolated(units: Array, share: Array, width: int) -> Array:
    """Return the mean of the unpromoted periods around each period; ahead, that of the last ones."""
    plain = np.isfinite(units) & (share <= 0)
    filled = np.where(plain, units, 0.0)
    span = units.shape[1]
    total, count = (np.concatenate([np.zeros((len(units), 1)), np.cumsum(values, 1)], 1) for values in (filled, plain))
    at = np.arange(width)
    low, high = np.clip(at - AROUND, 0, max(span - AROUND, 0)), np.minimum(at + AROUND + 1, span)
    rows = count[:, high] - count[:, low]
    whole = np.where(np.isfinite(units), units, 0.0).sum(1) / np.maximum(np.isfinite(units).sum(1), 1)
    found: Array = np.where(rows > 0, (total[:, high] - total[:, low]) / np.maximum(rows, 1), whole[:, None])
    return np.maximum(found, 0.1)


RECIPE = Naive()
