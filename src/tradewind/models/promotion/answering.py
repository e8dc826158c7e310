"""From accounts to answers: intervals, returns, and a verdict in one word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.core.table import Table
from tradewind.models._kit.intervals import LEVELS, quantiles
from tradewind.models._kit.trade.book import Book
from tradewind.models.promotion import MODEL
from tradewind.models.promotion.account import PARTS, Account
from tradewind.models.promotion.asking import Cells

Array = np.ndarray[Any, Any]
OUTER = ("lo80", "hi80", "lo95", "hi95")
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
    units, sold = accounts.units, accounts.sold
    net = sum((units[part] for part in PARTS[1:]), np.zeros_like(sold))
    whole = units["base"] + units["gross"]
    said = money(accounts, cells) if accounts.costed.all() else None
    drawn = {"": net, "units_": sold, "lift_": whole / np.maximum(units["base"], 1e-9)}
    mean = _means(units | {"net": net, "units": whole})
    found = _quantiles(drawn if said is None else drawn | {"margin_": said.margin, "roi_": said.roi})
    columns: dict[str, Array] = {"promotion": cells.names, "product": cells.products, "start": cells.start, "end": cells.end}
    columns |= {"mean": mean["net"], **{name: found[name] for name in LEVELS}, "units": mean["units"]}
    columns |= {f"units_{name}": found[f"units_{name}"] for name in ("p50", *OUTER)}
    columns |= {part: mean[part] for part in PARTS} | {"lift": found["lift_p50"]}
    if said is None:
        columns["verdict"] = np.array(["no cost known"] * len(cells.names), object)
    else:
        columns |= _returns(said, mean | _means({"spend": said.spend, "margin": said.margin, "given": accounts.given}), found)
    return Table.from_columns(columns, MODEL.gives)


def _means(drawn: dict[str, Array]) -> dict[str, Array]:
    """Return the mean of each (DRAWS x E), by promotion."""
    return dict(zip(drawn, np.stack([values.T for values in drawn.values()]).mean(-1), strict=True))


def _quantiles(drawn: dict[str, Array]) -> dict[str, Array]:
    """Return each level of each (DRAWS x E), by promotion, under the name of both."""
    found = quantiles(np.stack([values.T for values in drawn.values()]), LEVELS.values())
    return {prefix + name: found[level, at] for at, prefix in enumerate(drawn) for level, name in enumerate(LEVELS)}


def _returns(said: Money, mean: dict[str, Array], found: dict[str, Array]) -> dict[str, Array]:
    base, gross, spend, margin, total = (mean[name] for name in ("base", "gross", "spend", "margin", "net"))
    per_gross = margin / np.where(np.abs(gross) > 1e-9, gross, np.inf)
    pays = (per_gross > 1e-9) & said.spent & (base > 1e-9)
    needed = np.where(pays, spend / np.where(pays, per_gross, 1.0) / np.where(pays, base, 1.0), 0.0)
    chance = np.where(said.spent, said.margin > said.spend, said.margin > 0).mean(0)
    return {
        "spend": spend,
        "margin": margin,
        **{f"margin_{name}": found[f"margin_{name}"] for name in OUTER},
        "retailer_gain": margin - np.maximum(mean["given"], 0.0) + spend,
        "roi": found["roi_p50"],
        **{f"roi_{name}": found[f"roi_{name}"] for name in OUTER},
        "chance": chance,
        "unit_spend": np.where(total > 1e-9, spend / np.where(total > 1e-9, total, 1.0), 0.0),
        "break_even_lift": np.where(pays, 1 + needed, 0.0),
        "verdict": _verdict(chance, said.spent),
    }


def _verdict(chance: Array, spent: Array) -> Array:
    words = np.where(chance >= SURE, "earns", np.where(chance <= 1 - SURE, "loses", "uncertain"))
    return np.where(spent, words, "no spend").astype(object)
