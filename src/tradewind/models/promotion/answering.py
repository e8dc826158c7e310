"""From accounts to answers: intervals, returns, and a verdict in one word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.core.table import Table
from tradewind.models._kit.trade.book import Book
from tradewind.models.promotion import MODEL
from tradewind.models.promotion.account import PARTS, Account
from tradewind.models.promotion.asking import Cells

Array = np.ndarray[Any, Any]
LEVELS = {"p50": 0.5, "lo50": 0.25, "hi50": 0.75, "lo80": 0.1, "hi80": 0.9, "lo90": 0.05, "hi90": 0.95, "lo95": 0.025, "hi95": 0.975}
SURE = 0.8  # a promotion earns, or loses, where that is at least this probable


@dataclass(frozen=True, slots=True)
class Money:
    """Draws of a promotion's spend, margin and return; `spent` (E) tells where anything is spent."""

    spend: Array
    margin: Array
    roi: Array
    spent: Array


def money(accounts: Account, cells: Cells) -> Money:
    """Return draws of spend, net incremental margin and ROI; a spend that is not told is the discount on what is sold."""
    told = np.isfinite(cells.spend)
    spend = np.where(told, np.nan_to_num(cells.spend), np.maximum(accounts.given, 0.0))
    margin = sum((accounts.margin[part] for part in PARTS[1:]), np.zeros_like(spend))
    spent = spend.mean(0) > 1e-9
    roi = np.where(spent, (margin - spend) / np.where(spend > 1e-9, spend, 1.0), 0.0)
    return Money(spend, margin, roi, spent)


def table(book: Book, cells: Cells, accounts: Account) -> Table:
    """Return one row per promotion, in the order asked; columns of money only where every cost is known."""
    net = sum((accounts.units[part] for part in PARTS[1:]), np.zeros_like(accounts.sold))
    columns: dict[str, Array] = {"promotion": cells.names, "product": cells.products, "start": cells.start, "end": cells.end}
    columns["mean"] = net.mean(0)
    columns |= _quantiles(net, "", LEVELS)
    columns["units"] = (accounts.units["base"] + accounts.units["gross"]).mean(0)
    columns["units_p50"] = np.median(accounts.sold, 0)
    columns |= _quantiles(accounts.sold, "units_", {name: LEVELS[name] for name in ("lo80", "hi80", "lo95", "hi95")})
    columns |= {part: accounts.units[part].mean(0) for part in PARTS}
    base, gross = accounts.units["base"], accounts.units["gross"]
    columns["lift"] = np.median((base + gross) / np.maximum(base, 1e-9), 0)
    if accounts.costed.all():
        said = money(accounts, cells)
        columns |= _returns(said, accounts, net)
        columns["verdict"] = _verdict(said)
    else:
        columns["verdict"] = np.array(["no cost known"] * len(cells.names), object)
    return Table.from_columns(columns, MODEL.gives)


def _quantiles(draws: Array, prefix: str, levels: dict[str, float]) -> dict[str, Array]:
    found = np.quantile(draws, list(levels.values()), axis=0)
    return {prefix + name: found[at] for at, name in enumerate(levels)}


def _returns(said: Money, accounts: Account, net: Array) -> dict[str, Array]:
    base, gross = accounts.units["base"].mean(0), accounts.units["gross"].mean(0)
    spend, margin, total = said.spend.mean(0), said.margin.mean(0), net.mean(0)
    per_gross = margin / np.where(np.abs(gross) > 1e-9, gross, np.inf)
    pays = (per_gross > 1e-9) & said.spent & (base > 1e-9)
    needed = np.where(pays, spend / np.where(pays, per_gross, 1.0) / np.where(pays, base, 1.0), 0.0)
    given = np.maximum(accounts.given.mean(0), 0.0)
    outer = {name: LEVELS[name] for name in ("lo80", "hi80", "lo95", "hi95")}
    return {
        "spend": spend,
        "margin": margin,
        **_quantiles(said.margin, "margin_", outer),
        "retailer_gain": margin - given + spend,
        "roi": np.median(said.roi, 0),
        **_quantiles(said.roi, "roi_", outer),
        "chance": np.where(said.spent, (said.margin > said.spend).mean(0), (said.margin > 0).mean(0)),
        "unit_spend": np.where(total > 1e-9, spend / np.where(total > 1e-9, total, 1.0), 0.0),
        "break_even_lift": np.where(pays, 1 + needed, 0.0),
    }


def _verdict(said: Money) -> Array:
    chance = (said.margin > said.spend).mean(0)
    words = np.where(chance >= SURE, "earns", np.where(chance <= 1 - SURE, "loses", "uncertain"))
    return np.where(said.spent, words, "no spend").astype(object)
