"""From what is asked to cells: which series in which period is under which promotion."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.core.errors import BadValue
from tradewind.core.table import Table
from tradewind.models._kit.trade import unplaced
from tradewind.models._kit.trade.book import Book

Array = np.ndarray[Any, Any]
USUAL_DAYS = 7
LONGEST = 182  # days
NEAR = 0.005  # two depths that differ by less are one


@dataclass(frozen=True, slots=True)
class Cells:
    """One entry per series and period under promotion (C), and one per promotion asked about (E)."""

    event: Array  # C
    series: Array  # C
    period: Array  # C
    share: Array  # C: of the period's days
    last: Array  # C, bool: the last period of this series' promotion
    ratio: Array  # C: price paid over shelf price
    depth: Array  # C: stated depth, for what is learned of events
    kind: Array  # C: column of the mechanic's lift, -1 where none was learned
    display: Array  # C, times share
    feature: Array  # C, times share
    names: Array  # E
    products: Array  # E: first product
    start: Array  # E
    end: Array  # E
    spend: Array  # E: NaN where it is to be worked out
    known: Array  # E, bool: the calendar holds it
    mechanic: Array  # E, text


@dataclass(frozen=True, slots=True)
class _Line:
    """One row that was asked, or one entry of the calendar."""

    event: str
    series: Array
    start: int
    end: int
    mechanic: str
    discount: float
    price: float
    display: float
    feature: float
    cost: float
    period: bool  # one period, not days


def cells_of(book: Book, asked: Table) -> Cells:
    """Lay the questions on the periods of the book; raises BadValue with the row."""
    lines = _lines(book, asked)
    return _laid(book, lines)


def calendar_cells(book: Book, chosen: Array) -> Cells:
    """Lay entries of the known calendar on the periods."""
    return _laid(book, _entries(book, chosen))


def _entries(book: Book, chosen: Array) -> list[_Line]:
    """Return entries of the calendar as lines."""
    names, series = book.promotions, book.calendar[chosen, 1].astype("i8")[:, None]
    rows = zip(book.calendar[chosen].tolist(), book.mechanics[chosen].tolist(), series, strict=True)
    return [
        _Line(str(names[int(event)]), own, int(start), int(end), str(kind), discount, np.nan, display, feature, spend, period=False)
        for (event, _, start, end, discount, display, feature, spend), kind, own in rows
    ]


def _lines(book: Book, asked: Table) -> list[_Line]:
    count = len(asked)
    if count == 0:
        raise BadValue("nothing is asked", hint="give the name of a promotion, or product, start and end")
    text = {
        name: asked.column(name).tolist() if name in asked else [None] * count for name in ("promotion", "product", "store", "mechanic")
    }
    told = [row for row, product in enumerate(text["product"]) if product is not None]
    said = _told(book, asked, told, text) if told else {}
    lines: list[_Line] = []
    for row, name in enumerate(text["promotion"]):
        if row in said:
            lines.append(said[row])
        else:
            lines += _named(book, name, row)
    return lines


def _told(book: Book, asked: Table, rows: list[int], text: dict[str, list[Any]]) -> dict[int, _Line]:
    """Return the lines of rows that name a product."""
    days = {name: _days(asked, name) for name in ("start", "end", "date")}
    numbers = {
        name: asked.column(name).astype("f8") if name in asked else np.full(len(asked), np.nan)
        for name in ("discount", "price", "display", "feature", "cost")
    }
    series: dict[tuple[str, str | None], Array] = {}
    lines: dict[int, _Line] = {}
    for row in rows:
        name, store = text["promotion"][row], text["store"][row]
        key = (str(text["product"][row]), None if store is None else str(store))
        if key not in series:
            series[key] = book.series_of(*key)
        label = str(name) if name is not None else str(row + 1)
        lines[row] = _line(row, label, series[key], days=days, numbers=numbers, mechanic=text["mechanic"][row])
    return lines


def _days(asked: Table, name: str) -> Array:
    if name not in asked:
        return np.full(len(asked), np.datetime64("NaT"), "M8[D]")
    try:
        return asked.column(name).astype("M8[D]")
    except ValueError as error:
        raise BadValue(f'column "{name}" must hold dates', hint="as in 2026-03-02") from error


def _named(book: Book, name: str | None, row: int) -> list[_Line]:
    if name is None:
        raise BadValue(f"row {row + 1} names neither a promotion nor a product", hint="give promotion, or product, start and end")
    if str(name) not in book.entries:
        reason = unplaced.why(book.head.get("left") or {}, str(name))
        if reason:
            raise BadValue(
                f"promotion {name!r} was left out of what was learned: {reason}",
                hint="mend its row of the promotions table and train again, or give product, start and end of one that can be",
            )
        raise BadValue(f"the calendar holds no promotion {name!r}", hint="give product, start and end for one that is not planned yet")
    return _entries(book, book.entries[str(name)])


def _line(row: int, name: str, series: Array, *, days: dict[str, Array], numbers: dict[str, Array], mechanic: str | None) -> _Line:
    single = np.isnat(days["start"][row])
    start = days["date"][row] if single else days["start"][row]
    if np.isnat(start):
        raise BadValue(f"row {row + 1} has no start", hint="give start and end, or the date of one period")
    end = start if single else days["end"][row]
    end = start + (USUAL_DAYS - 1) if np.isnat(end) else end
    first, last = int(start.astype("i8")), int(end.astype("i8"))
    if last < first:
        raise BadValue(f"row {row + 1} ends before it starts", hint="start and end are inclusive days")
    if last - first >= LONGEST:
        raise BadValue(
            f"row {row + 1} runs for {last - first + 1} days",
            hint=f"a promotion lasts {LONGEST} days at most; a price change is no promotion",
        )
    said = {label: float(values[row]) for label, values in numbers.items()}
    if said["discount"] >= 1 or said["discount"] < 0 or said["cost"] < 0 or said["price"] <= 0:
        raise BadValue(
            f"row {row + 1} has a discount, cost or price outside what can be",
            hint="discount is a fraction below 1; cost is at least 0; price is above 0",
        )
    plain = {label: 0.0 if np.isnan(said[label]) else said[label] for label in ("discount", "display", "feature")}
    return _Line(name, series, first, last, mechanic or "", cost=said["cost"], price=said["price"], period=bool(single), **plain)


def _laid(book: Book, lines: list[_Line]) -> Cells:
    names = list(dict.fromkeys(line.event for line in lines))
    number = {name: at for at, name in enumerate(names)}
    start, end = (np.array([getattr(line, name) for line in lines]) for name in ("start", "end"))
    first, last = (book.period(days.astype("M8[D]")) for days in (start, end))
    outside = np.flatnonzero((first < 0) | (last >= book.base.shape[1]))
    if len(outside):
        said = f"promotion {lines[outside[0]].event!r} lies outside what the model knows"
        raise BadValue(said, hint=f"{_date(book, 0)} to {_date(book, book.base.shape[1] - 1)}")
    event = np.array([number[line.event] for line in lines])
    length, stores = last - first + 1, np.array([len(line.series) for line in lines])
    line = np.repeat(np.arange(len(lines)), length * stores)
    at = np.arange(len(line)) - np.repeat(np.cumsum(length * stores) - length * stores, length * stores)
    period = first[line] + at % length[line]
    series = np.concatenate([one.series for one in lines])[(np.cumsum(stores) - stores)[line] + at // length[line]]
    joined = {
        "event": event[line],
        "line": line,
        "series": series,
        "period": period,
        "share": np.where(np.array([one.period for one in lines])[line], 1.0, _covered(book, period, start[line], end[line])),
        "last": period == last[line],
    }
    return _cells(book, lines, joined, names=names, event=event.tolist())


def _covered(book: Book, period: Array, start: Array, end: Array) -> Array:
    """Return the share of each period's days that a promotion covers: of seven in weeks, all of it in any other grain."""
    if book.clock.grain.name != "week":
        return np.ones(len(period))
    monday = book.clock.date(book.first + period).astype("M8[D]").astype("i8")
    return np.asarray((np.minimum(end, monday + 6) - np.maximum(start, monday) + 1) / 7)


def _date(book: Book, period: int) -> str:
    return str(book.clock.date(np.array([book.first + period]))[0])


def _cells(book: Book, lines: list[_Line], at: dict[str, Array], *, names: list[str], event: list[int]) -> Cells:
    line, share = at["line"], at["share"]
    takes, kinds = book.head["takes"], book.places
    plain = kinds.get("promotion", -1)
    mechanics = [f"mechanic_{one.mechanic}" if one.mechanic else "" for one in lines]
    take = np.array([takes.get(name, takes[""]) for name in mechanics])[line]
    kind = np.array([kinds.get(name, plain) if name else -1 for name in mechanics])[line]
    numbers = np.array([(one.discount, one.price, one.display, one.feature) for one in lines]).T
    discount, price, display, feature = numbers[:, line]
    regular = book.regular[at["series"], at["period"]]
    asked = np.where(np.isfinite(price), price / np.where(regular > 0, regular, 1.0), 1 - take * discount)
    return Cells(
        at["event"],
        at["series"],
        at["period"],
        share,
        at["last"],
        1 - (1 - asked) * share,
        discount,
        kind,
        display * share,
        feature * share,
        **_promotions(book, lines, names=names, event=event),
    )


def _promotions(book: Book, lines: list[_Line], *, names: list[str], event: list[int]) -> dict[str, Array]:
    """Return what is one per promotion: its first line tells product and mechanic, all of them days and spend."""
    first: dict[int, _Line] = {}
    start, end, spend = [0] * len(names), [0] * len(names), [np.nan] * len(names)
    for at, one in zip(event, lines, strict=True):
        if at not in first:
            first[at], start[at], end[at] = one, one.start, one.end
        start[at], end[at] = min(start[at], one.start), max(end[at], one.end)
        if not math.isnan(one.cost):
            spend[at] = one.cost if math.isnan(spend[at]) else spend[at] + one.cost
    leading = [first[at] for at in range(len(names))]
    return {
        "names": np.array(names, object),
        "products": book.products[book.product[np.array([one.series[0] for one in leading], int)]],
        "start": np.array(start).astype("M8[D]"),
        "end": np.array(end).astype("M8[D]"),
        "spend": np.array(spend),
        "known": np.array([name in book.entries for name in names]),
        "mechanic": np.array([one.mechanic for one in leading], object),
    }


def too_deep(book: Book, cells: Cells) -> tuple[Array, float]:
    """Return the depth of each promotion where it is deeper than any that was seen, else 0 (E); and the largest depth seen.

    A stated depth is held against stated ones, or where none was ever stated against what was taken off shelf prices; what a price takes
    off against both.
    """
    stated, paid = (float(book.head.get(name, 1.0)) for name in ("deepest_stated", "deepest_paid"))
    most = stated if stated > 0 else paid
    taken = (1 - cells.ratio) / np.where(cells.share > 0, cells.share, 1.0)
    deeper = np.where(taken > max(stated, paid) + NEAR, taken, 0.0)
    found = np.zeros(len(cells.names))
    np.maximum.at(found, cells.event, np.where(cells.depth > most + NEAR, cells.depth, deeper))
    return found, most
