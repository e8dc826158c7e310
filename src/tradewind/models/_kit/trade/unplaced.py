"""Promotions that lie nowhere in the sales: which, why, and how the modelling table carries that along."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tradewind.core.fact import Fact
from tradewind.core.table import Table
from tradewind.models._kit.calendar import Clock

MARK = "name of the promotion; left out: "  # begins the meaning of the column `event`, JSON follows
KEPT = 200  # names that are remembered for each reason
SHOWN = 5  # names or values that a sentence holds
NO_PRODUCT, NO_STORE, NO_PAIR = "product not in the sales", "store not in the sales", "product not sold in that store"
EARLY, LATE = "over before the sales begin", "later than what is laid out after the sales"
HIDDEN = "at a time when the product is not sold or another of its promotions runs"
NAMELESS, EMPTY = "without a name", "without a start or a product"
_ORDER = (NO_PRODUCT, NO_STORE, NO_PAIR, EARLY, LATE, HIDDEN, NAMELESS, EMPTY)


def found(promotions: Table, given: Any, frame: Any, keys: Sequence[str], clock: Clock) -> str:
    """Return the meaning of the column `event` with what is left out, "" where nothing is.

    `given` are the promotions that could be laid on days, `frame` the periods of the sales with the promotions (`event`) on them.
    """
    import polars as pl

    by = [key for key in keys if key in given.columns]
    rows = given.with_row_index("_row").join(_placed(given, frame, by, clock), on="_row", how="anti")
    products, stores = (set(frame[key].unique().to_list()) if key in keys else None for key in ("product", "store"))
    pairs = set(frame.select(by).unique().rows())
    span = (frame["date"].min(), frame["date"].max())
    reasons: dict[str, dict[str, Any]] = {}
    for row in rows.unique(["event", *by, "start", "end"], maintain_order=True).iter_rows(named=True):
        store = row["store"] if "store" in by else None
        reason, value = _reason(row, store, products=products, stores=stores, pairs=pairs, span=span, clock=clock)
        _kept(reasons, reason, row["event"], value)
    odd = promotions.frame.filter(pl.col("start").is_null() | pl.col("product").is_null())
    for name in odd["promotion"].cast(pl.String).to_list() if "promotion" in odd.columns else []:
        _kept(reasons, EMPTY, name, None)
    return MARK + json.dumps(reasons, ensure_ascii=False) if reasons else ""


def _placed(given: Any, frame: Any, by: Sequence[str], clock: Clock) -> Any:
    """Return the numbers of the rows of which some period lies in the sales."""
    import polars as pl

    laid = frame.filter(pl.col("event").is_not_null()).select("event", *by, "date")
    rows = given.with_row_index("_row").select("_row", "event", *by, *(_period(given, name, clock) for name in ("start", "end")))
    parts = [(rows, list(by))]
    if "store" in by:
        here = pl.col("store").is_not_null()
        parts = [(rows.filter(here), list(by)), (rows.filter(~here).drop("store"), ["product"])]
    joined = [part.join(laid, on=["event", *on]) for part, on in parts]
    return pl.concat([one.filter(pl.col("date").is_between("_start", "_end")).select("_row") for one in joined])


def _period(given: Any, name: str, clock: Clock) -> Any:
    """Return the first day of the period that each date lies in, as a column."""
    import polars as pl

    days = Table.from_frame(given.select(name)).column(name)
    return pl.Series(f"_{name}", clock.date(clock.number(days)).astype("M8[ms]")).cast(pl.Date)


def _reason(
    row: Mapping[str, Any], store: Any, *, products: Any, stores: Any, pairs: Any, span: tuple[Any, Any], clock: Clock
) -> tuple[str, str | None]:
    """Return why a row lies nowhere, and the value at fault where it is one."""
    if row["event"] is None:
        return NAMELESS, None
    if row["product"] not in products:
        return NO_PRODUCT, str(row["product"])
    if store is not None and stores is not None and store not in stores:
        return NO_STORE, str(store)
    if store is not None and (row["product"], store) not in pairs:
        return NO_PAIR, f"{row['product']} in {store}"
    start, end, first, last = (int(one) for one in clock.number(np.array([row["start"], row["end"], *span], "M8[D]")))
    if end < first:
        return EARLY, None
    return (LATE, None) if start > last else (HIDDEN, None)


def _kept(reasons: dict[str, dict[str, Any]], reason: str, name: Any, value: str | None) -> None:
    held = reasons.setdefault(reason, {"count": 0, "names": [], "values": []})
    held["count"] += 1
    if name is not None and len(held["names"]) < KEPT:
        held["names"].append(str(name))
    if value is not None and value not in held["values"] and len(held["values"]) <= SHOWN:
        held["values"].append(value)


def read(table: Table) -> dict[str, dict[str, Any]]:
    """Return what a modelling table says was left out: reason -> count, names, values at fault."""
    column = table.schema.get("event")
    if column is None or not column.meaning.startswith(MARK):
        return {}
    said: dict[str, dict[str, Any]] = json.loads(column.meaning.removeprefix(MARK))
    return said


def words(left: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the sentence of what was left out, "" where nothing was."""
    if not left:
        return ""
    parts = []
    for reason in sorted(left, key=_ORDER.index):
        held = left[reason]
        shown = held["values"] or held["names"]
        some = ", ".join(shown[:SHOWN]) + (", ..." if len(shown) > SHOWN or (not held["values"] and held["count"] > SHOWN) else "")
        parts.append(f"{held['count']} {reason}" + (f" ({some})" if some else ""))
    count = sum(held["count"] for held in left.values())
    verb = "row of promotions is" if count == 1 else "rows of promotions are"
    return f"{count} {verb} left out: {', '.join(parts)}."


def why(left: Mapping[str, Mapping[str, Any]], name: str) -> str:
    """Return why a promotion was left out, "" where nothing is known of it."""
    return next((reason for reason in _ORDER if name in left.get(reason, {}).get("names", ())), "")


def repaired(table: Table) -> tuple[Fact, ...]:
    """Return what a training says of the modelling table: the promotions that were left out."""
    left = read(table)
    return (Fact("note", words(left)),) if left else ()
