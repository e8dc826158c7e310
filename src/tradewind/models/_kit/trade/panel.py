"""The modelling table of price and promotion as arrays: series x periods."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.core.errors import BadValue, EmptyTable, LearnFailed
from tradewind.core.table import Table
from tradewind.models._kit.calendar import GRAINS, Clock
from tradewind.models._kit.trade import unplaced
from tradewind.models._kit.trade.columns import WORKED_OUT

Array = np.ndarray[Any, Any]
AHEAD = {"day": 91, "week": 52, "month": 12, "quarter": 4}  # periods laid out after the last actual
FEWEST = 8  # periods with sales that a series must have to be learned from
MOST_MECHANICS = 8
_KNOWN = ("date", "product", "store", "units", "open", "price", "regular", "promotion", "discount", "display", "feature", "mechanic")
_OTHER = ("event", "start", "end", "spend", "unit_cost", "competitor_price", "category", "brand", "region", "list_price")


@dataclass(frozen=True, slots=True)
class Panel:
    """Series (n) x periods (T); periods from `cut` on are ahead. Missing numbers are NaN, no promotion is 0.

    `units` are per whole period: what sold over the share of the period that was open.
    """

    clock: Clock
    first: int  # number of the first period
    cut: int
    products: Array  # P, text
    stores: Array  # text; one empty name where sales are not by store
    product: Array  # n, index
    store: Array  # n, index
    units: Array
    sold: Array  # n x T: as they came, not scaled up
    price: Array
    regular: Array
    cost: Array
    competitor: Array
    discount: Array
    levers: Mapping[str, Array]  # promotion or mechanic_*, display, feature
    extras: Mapping[str, Array]
    events: Mapping[str, Array]
    run: Array  # n x T: number of the promotion that runs, -1 where none
    names: tuple[str, ...]  # of the promotions
    facts: Mapping[str, Array]  # per promotion and series: what the calendar says of it
    category: Array  # P, text
    brand: Array  # P, text
    tier: Array  # P: log of the usual price
    listed: bool  # shelf prices were told, not worked out of what was paid
    left: Mapping[str, Mapping[str, Any]]  # promotions that lie nowhere: reason -> count, names, values at fault

    @property
    def width(self) -> int:
        """Return the number of periods, those ahead included."""
        return int(self.units.shape[1])

    def __len__(self) -> int:
        return len(self.product)


def panel_of(table: Table) -> Panel:
    """Lay the modelling table out; raises EmptyTable, LearnFailed, BadValue."""
    clock, number, first, last = _span(table)
    keys = _keys(table)
    pairs = list(zip(*(key.tolist() for key in keys), strict=True))
    number_of = {key: at for at, key in enumerate(sorted(set(pairs)))}
    series = np.array([number_of[key] for key in pairs])
    width = last - first + 1 + AHEAD[clock.grain.name]
    inside = (number >= first) & (number - first < width)
    at = (series[inside], number[inside] - first)

    def grid(name: str, empty: float = np.nan) -> Array:
        out = np.full((len(number_of), width), empty)
        if name in table:
            out[at] = table.column(name).astype("f8")[inside]
        return out

    raw = grid("units")
    if (raw[np.isfinite(raw)] < 0).any():
        raise BadValue("units must not be negative", hint="returns are summed into the period they came in")
    open_ = np.clip(np.nan_to_num(grid("open", 1.0), nan=1.0), 1e-3, 1)
    run, names, facts = _runs(table, inside, at, raw.shape)
    regular = _filled(grid("regular") if "regular" in table else grid("price"))
    extras, events = _more(table, grid)
    return Panel(
        clock=clock,
        first=first,
        cut=last - first + 1,
        **_axes(table, keys, number_of, series=series, regular=regular),
        units=raw / open_,
        sold=raw,
        price=grid("price"),
        regular=regular,
        cost=_filled(grid("unit_cost")),
        competitor=_filled(grid("competitor_price")),
        discount=grid("discount", 0.0),
        levers=_levers(table, inside, at, grid),
        extras=extras,
        events=events,
        run=run,
        names=names,
        facts=facts,
        listed=_listed(table),
        left=unplaced.read(table),
    )


def _span(table: Table) -> tuple[Clock, Array, int, int]:
    """Return the clock, every row's period, and the first and last period with units."""
    dates = table.column("date").astype("M8[D]")
    known = np.isfinite(table.column("units").astype("f8"))
    if not known.any():
        raise EmptyTable("no period has units", hint="load sales with units")
    clock = _clock(dates)
    number = clock.number(dates)
    first, last = int(number[known].min()), int(number[known].max())
    if last - first + 1 < FEWEST:
        said = f"{last - first + 1} periods are too few to learn from"
        raise LearnFailed(said, hint=f"at least {FEWEST} periods ({clock.grain.name}s) of sales")
    return clock, number, first, last


def _axes(
    table: Table, keys: tuple[Array, Array], number_of: Mapping[tuple[str, str], int], *, series: Array, regular: Array
) -> dict[str, Any]:
    """Return the products and stores, what they are, and which of them each series is."""
    products, stores = (np.array(sorted(set(key.tolist())), object) for key in keys)
    place = [{name: at for at, name in enumerate(side)} for side in (products, stores)]
    product = np.array([place[0][key[0]] for key in number_of])
    return {
        "products": products,
        "stores": stores,
        "product": product,
        "store": np.array([place[1][key[1]] for key in number_of]),
        "category": _text_of(table, "category", series, product, len(products)),
        "brand": _text_of(table, "brand", series, product, len(products)),
        "tier": _tier(regular, product, len(products)),
    }


def _listed(table: Table) -> bool:
    column = table.schema.get("regular")
    return column is not None and "regular" in table and column.meaning != WORKED_OUT


def _clock(dates: Array) -> Clock:
    days = np.unique(dates).astype("i8")
    gap = float(np.median(np.diff(days))) if len(days) > 1 else 7.0
    name = "day" if gap < 4 else "week" if gap < 14 else "month" if gap < 45 else "quarter"
    anchor = int(np.bincount((days + 3) % 7, minlength=7).argmax()) if name == "week" else 0
    return Clock(GRAINS[name], anchor)


def _keys(table: Table) -> tuple[Array, Array]:
    product = table.column("product").astype(str).astype(object)
    store = table.column("store").astype(str).astype(object) if "store" in table else np.full(len(product), "", object)
    return product, store


def _filled(values: Array) -> Array:
    """Carry the last known value forward, and the first one back."""
    out = values.copy()
    for step in (1, -1):
        ordered = out[:, ::step]
        known = np.isfinite(ordered)
        at = np.maximum.accumulate(np.where(known, np.arange(out.shape[1]), 0), 1)
        out = np.take_along_axis(ordered, at, 1)[:, ::step]
    return out


def _levers(table: Table, inside: Array, at: tuple[Array, Array], grid: Any) -> dict[str, Array]:
    share = np.clip(np.nan_to_num(grid("promotion", 0.0)), 0, 1)
    found: dict[str, Array] = {}
    if "mechanic" in table:
        said = table.column("mechanic")[inside]
        kinds, counts = np.unique([kind for kind in said.tolist() if kind], return_counts=True)
        for kind in kinds[np.argsort(-counts, kind="stable")][:MOST_MECHANICS].tolist():
            flag = np.zeros(share.shape)
            flag[at] = said == kind
            found[f"mechanic_{kind}"] = flag * share
    rest = share - sum(found.values()) if found else share
    if (rest > 1e-9).any():
        found = {"promotion": rest, **found}
    for name in ("display", "feature"):
        found[name] = np.nan_to_num(grid(name, 0.0))
    return {name: value for name, value in found.items() if (value > 0).any()}


def _more(table: Table, grid: Any) -> tuple[dict[str, Array], dict[str, Array]]:
    extras: dict[str, Array] = {}
    events: dict[str, Array] = {}
    for name in table.names:
        if name in _KNOWN or name in _OTHER or table.column(name).dtype.kind not in "biuf":
            continue
        values = grid(name)
        if name.startswith("event_"):
            events[name] = np.nan_to_num(values)
            continue
        middle = np.nanmean(values) if np.isfinite(values).any() else 0.0
        spread = np.nanstd(values) if np.isfinite(values).any() else 0.0
        if spread > 0:
            extras[name] = np.nan_to_num((values - middle) / spread)
    return extras, events


def _runs(table: Table, inside: Array, at: tuple[Array, Array], shape: tuple[int, int]) -> tuple[Array, tuple[str, ...], dict[str, Array]]:
    """Return which promotion runs where, their names, and per promotion and series its dates, depth, support and spend."""
    run = np.full(shape, -1)
    if "event" not in table:
        return run, (), {}
    said = table.column("event")[inside]
    rows = np.flatnonzero(np.array([name is not None for name in said.tolist()], bool)) if len(said) else np.zeros(0, int)
    names = tuple(sorted({str(said[row]) for row in rows}))
    number = {name: place for place, name in enumerate(names)}
    which = np.array([number[str(said[row])] for row in rows], int)
    series, period = at[0][rows], at[1][rows]
    run[series, period] = which
    order = np.lexsort((period, series, which))
    which, series, rows = which[order], series[order], rows[order]
    new = np.ones(len(which), bool)
    new[1:] = (which[1:] != which[:-1]) | (series[1:] != series[:-1])
    first = rows[new]
    facts: dict[str, Array] = {"event": which[new], "series": series[new]}
    for name in ("start", "end", "mechanic", "discount", "display", "feature", "spend", "promotion"):
        if name in table:
            facts[name] = table.column(name)[inside][first]
    for name in ("display", "feature"):  # the calendar's own flag again, not its share of the period
        if name in facts:
            facts[name] = np.clip(facts[name].astype("f8") / np.maximum(facts["promotion"].astype("f8"), 1e-9), 0, 1)
    return run, names, facts


def _text_of(table: Table, name: str, series: Array, product: Array, count: int) -> Array:
    out = np.full(count, "", object)
    if name in table:
        values = table.column(name)
        for at, value in zip(product[series].tolist(), values.tolist(), strict=True):
            if value is not None and not out[at]:
                out[at] = str(value)
    return out


def _tier(regular: Array, product: Array, count: int) -> Array:
    logged = np.log(np.maximum(regular, 1e-9))
    usual = np.where(np.isfinite(logged), logged, 0.0).mean(1)
    total, rows = np.bincount(product, usual, minlength=count), np.bincount(product, minlength=count)
    found: Array = total / np.maximum(rows, 1)
    return found
