"""What every recipe of promotion does alike when it serves: what everything is, effects, notes, draws for the planner."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tradewind.core.errors import BadValue, NotFound
from tradewind.core.table import Table
from tradewind.models._kit.trade import stopped, unplaced
from tradewind.models._kit.trade.book import Book
from tradewind.models._kit.trade.levers import AFTER, COMPETITOR, CUT, PRICE, SIBLINGS, SISTERS
from tradewind.models._kit.unasked import unasked
from tradewind.models.promotion import MODEL, audit
from tradewind.models.promotion.account import PARTS, Account
from tradewind.models.promotion.answering import money
from tradewind.models.promotion.asking import Cells, cells_of, too_deep

Array = np.ndarray[Any, Any]
RECENT = 26  # periods of past promotions that "everything" goes back
NORMAL = {"80": 1.2815515655446004, "95": 1.959963984540054}
_KINDS = {PRICE: "elasticity", CUT: "elasticity", SIBLINGS: "elasticity", SISTERS: "elasticity", COMPETITOR: "elasticity", AFTER: "share"}
EVERY = "every product"
_REQUEST = ("promotion", "product", "store", "start", "end", "date", "mechanic", "discount", "price", "display", "feature", "cost")


def costed(book: Book) -> Book:
    """Return the book with the cost of a product that has none taken from the usual share of its category, or of all."""
    missing = ~np.isfinite(book.cost).all(1)
    if not missing.any() or missing.all():
        return book
    share = book.cost[:, book.cut - 1] / book.regular[:, book.cut - 1]
    category = book.categories[book.product].astype(str)
    cost = book.cost.copy()
    for at in np.flatnonzero(missing).tolist():
        like = ~missing & (category == category[at])
        usual = float(np.median(share[like if like.any() else ~missing]))
        cost[at] = np.where(np.isfinite(cost[at]), cost[at], usual * book.regular[at])
    named = sorted(set(book.products[book.product[missing]].tolist()))
    return replace(book, cost=cost, head={**book.head, "cost_guessed": named})


def warm(book: Book) -> None:
    """Work out what every answer is worked out from, so that the first one need not wait for it."""
    _ = book.drawn, book.strays, book.doubts, book.plain, book.expected, book.gain, book.siblings, book.leans, book.brings, book.entries


def everything(book: Book, horizon: int | None, where: Mapping[str, Any]) -> Table:
    """Return the promotions of the calendar from half a year back that fit `where`; without a calendar the next period of every series.

    Where none ran in that time it is the half year before the last that did.
    `horizon` is how many periods ahead a planned one may start. Raises NotFound, BadValue.
    """
    strange = [name for name in where if name not in ("promotion", "product", "store", "mechanic")]
    if strange:
        raise BadValue(f"where cannot be by {', '.join(strange)}", hint="by promotion, product, store, mechanic")
    if not len(book.calendar):
        return _next(book, where)
    series = book.calendar[:, 1].astype(int)
    fields = {
        "promotion": book.promotions[book.calendar[:, 0].astype(int)],
        "product": book.products[book.product[series]],
        "store": book.stores[book.store[series]],
        "mechanic": book.mechanics,
    }
    period = book.period(book.calendar[:, 2].astype("i8").astype("M8[D]"))
    since = max(min(book.cut, int(period.max()) + 1) - RECENT, 0)
    keep = (period >= since) & (period < book.cut + (horizon if horizon is not None else book.base.shape[1]))
    for name, value in where.items():
        wanted = {str(one) for one in value} if isinstance(value, list | tuple) else {str(value)}
        keep = np.isin(fields[name].astype(str), list(wanted)) & (keep if name != "promotion" else True)
    names = list(dict.fromkeys(fields["promotion"][keep].tolist()))
    if not names:
        raise NotFound("no promotion of the calendar fits", hint="leave out `where`, or give product, start and end")
    return Table.from_columns({"promotion": np.array(names, object)})


def _next(book: Book, where: Mapping[str, Any]) -> Table:
    keep = book.living.copy()
    for name, values in (("product", book.products[book.product]), ("store", book.stores[book.store])):
        if name in where:
            keep &= values.astype(str) == str(where[name])
    if not keep.any():
        raise NotFound("no series fits", hint="leave out `where`")
    date = book.clock.date(np.full(int(keep.sum()), book.first + book.cut)).astype("M8[D]")
    columns = {"product": book.products[book.product[keep]], "date": date}
    if (book.stores != "").any():
        columns["store"] = book.stores[book.store[keep]]
    return Table.from_columns(columns)


def effects(book: Book) -> Table:
    """Return one row per product and lever: elasticities, log lifts, the share that is pulled forward; with intervals.

    Then, over all products, the mean log lift of every mechanic by the panel and by the audit.
    """
    names, products = book.names.tolist(), book.products
    rows = len(products) * len(names)
    error = np.sqrt(np.diagonal(book.spread, axis1=1, axis2=2) + book.kin**2)
    effect = book.mean.astype("f8")
    more = audit.rows(book)
    mean, sure = np.append(effect.reshape(rows), more["effect"]), np.append(error.reshape(rows), more["error"])
    kinds = [_KINDS.get(name, "log lift") for name in names] * len(products)
    columns: dict[str, Array] = {
        "product": np.array([*np.repeat(products, len(names)).tolist(), *[EVERY] * len(more["lever"])], object),
        "lever": np.array([*names * len(products), *more["lever"]], object),
        "kind": np.array([*kinds, *more["kind"]], object),
        "effect": mean,
    }
    for level, width in NORMAL.items():
        columns[f"lo{level}"] = mean - width * sure
        columns[f"hi{level}"] = mean + width * sure
    return Table.from_columns(columns)


def notes(book: Book, asked: Table) -> list[str]:
    """Return what an answer must say of what it took for granted."""
    said = []
    guessed = book.head.get("cost_guessed") or []
    if guessed:
        said.append(
            f"{len(guessed)} products lack a unit cost; theirs is the usual share of price of their category: {', '.join(guessed[:5])}."
        )
    if not np.isfinite(book.cost).any():
        said.append("No unit cost is known, so nothing can be said of margin and return: load unit_cost with products or prices.")
    cells = cells_of(book, asked)
    said += _untold(cells) + stopped.words(book, cells.series[cells.period >= book.cut])
    if book.place(AFTER) < 0:
        said.append("Past promotions are too few to tell what they pull forward: net is not reduced by it.")
    if "mechanic" in asked:
        known = {str(name).removeprefix("mechanic_") for name in book.names.tolist() if str(name).startswith("mechanic_")}
        strange = sorted({str(name) for name in asked.column("mechanic").tolist() if name} - known)
        if strange:
            said.append(f"no lift of its own was learned for mechanic {', '.join(strange[:5])}: taken as promotions are on average")
    left = unplaced.words(book.head.get("left") or {})
    said += [left] if left else []
    said += _deep(book, cells)
    return said + unasked(MODEL.asks, asked) + audit.words(book)


def _untold(cells: Cells) -> list[str]:
    """Say of how many promotions the spend is worked out, for want of a cost."""
    count, whole = int(np.isnan(cells.spend).sum()), len(cells.spend)
    some = "" if count == whole else f" for {count} of {whole} promotions"
    return [f"No cost was told{some}: trade spend is taken as the discount on everything sold while it runs."] if count else []


def _deep(book: Book, cells: Cells) -> list[str]:
    """Say which promotions are deeper than any that was seen."""
    depth, most = too_deep(book, cells)
    names = [f"{name} ({100 * depth[at]:.0f} %)" for at, name in enumerate(cells.names.tolist()) if depth[at] > 0]
    if not names:
        return []
    some = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
    return [f"A depth was never seen that large (largest seen {100 * most:.0f} %): what is said of {some} goes beyond the data."]


def responded(book: Book, request: Mapping[str, Any], draw: Callable[[Table], tuple[Cells, Account]]) -> dict[str, Array]:
    """Answer the calendar planner.

    `about` is "calendar" (the planned promotions nobody has run yet, as rows) or "candidates" with columns as in a question: `net`
    margin less spend, `units`, `spend` as draws x candidate, and what each is. `beyond` is the depth of a candidate where none so deep was
    ever seen, else 0; `deepest` the largest one seen; `notes` what was left out, and whose spend is worked out.
    """
    about = request.get("about")
    if about == "calendar":
        ahead = book.calendar[:, 2] >= float(book.clock.date(np.array([book.first + book.cut])).astype("M8[D]").astype("i8")[0])
        entries = book.calendar[ahead]
        return {"promotion": np.array(sorted({str(book.promotions[int(at)]) for at in entries[:, 0]}), object)}
    if about != "candidates":
        raise BadValue(f"promotion responds to calendar and candidates, not to {about!r}")
    columns = {name: np.asarray(request[name]) for name in _REQUEST if request.get(name) is not None}
    asked = Table.from_columns({name: _typed(name, values) for name, values in columns.items()})
    cells, accounts = draw(asked)
    if not accounts.costed.all():
        raise BadValue("a calendar cannot be planned on margins that are not known", hint="load unit_cost with products or prices")
    said = money(accounts, cells)
    net = sum((accounts.units[part] for part in PARTS[1:]), np.zeros_like(said.margin))
    days = [values.astype("M8[D]").astype("i8").astype("f8") for values in (cells.start, cells.end)]
    categories = dict(zip(book.products.tolist(), book.categories.tolist(), strict=True))
    beyond, deepest = too_deep(book, cells)
    left = unplaced.words(book.head.get("left") or {})
    gone = stopped.words(book, cells.series[cells.period >= book.cut])
    return {
        "beyond": beyond,
        "deepest": np.array([deepest]),
        "notes": np.array([*([left] if left else []), *_untold(cells), *gone], object),
        "promotion": cells.names,
        "product": cells.products,
        "category": np.array([categories[name] for name in cells.products.tolist()], object),
        "mechanic": cells.mechanic,
        "start": days[0],
        "end": days[1],
        "gain": said.margin - said.spend,
        "units": net,
        "spend": said.spend.mean(0),
    }


def _typed(name: str, values: Array) -> Array:
    if name in ("start", "end", "date"):
        return values.astype("M8[D]")
    return values.astype(object) if values.dtype.kind in "OU" else values.astype("f8")
