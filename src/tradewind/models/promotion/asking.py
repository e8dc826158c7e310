"""From what is asked to cells: which series in which period is under which promotion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.core.errors import BadValue
from tradewind.core.table import Table
from tradewind.models._kit.trade.book import Book

Array = np.ndarray[Any, Any]
USUAL_DAYS = 7
LONGEST = 182  # days


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
    return _laid(book, [_entry(book, int(at)) for at in chosen])


def _entry(book: Book, at: int) -> _Line:
    event, series, start, end, discount, display, feature, spend = book.calendar[at].tolist()
    name, kind = str(book.promotions[int(event)]), str(book.mechanics[at])
    return _Line(name, np.array([int(series)]), int(start), int(end), kind, discount, np.nan, display, feature, spend, period=False)


def _lines(book: Book, asked: Table) -> list[_Line]:
    count = len(asked)
    if count == 0:
        raise BadValue("nothing is asked", hint="give the name of a promotion, or product, start and end")
    text = {
        name: asked.column(name).tolist() if name in asked else [None] * count for name in ("promotion", "product", "store", "mechanic")
    }
    days = {name: _days(asked, name) for name in ("start", "end", "date")}
    numbers = {
        name: asked.column(name).astype("f8") if name in asked else np.full(count, np.nan)
        for name in ("discount", "price", "display", "feature", "cost")
    }
    held = _held(book, {str(name) for name, product in zip(text["promotion"], text["product"], strict=True) if product is None})
    series: dict[tuple[str, str | None], Array] = {}
    lines: list[_Line] = []
    for row in range(count):
        name = text["promotion"][row]
        product = text["product"][row]
        if product is None:
            lines += _named(book, held, name, row)
            continue
        key = (str(product), None if text["store"][row] is None else str(text["store"][row]))
        if key not in series:
            series[key] = book.series_of(*key)
        label = str(name) if name is not None else str(row + 1)
        lines.append(_line(row, label, series[key], days=days, numbers=numbers, mechanic=text["mechanic"][row]))
    return lines


def _days(asked: Table, name: str) -> Array:
    if name not in asked:
        return np.full(len(asked), np.datetime64("NaT"), "M8[D]")
    try:
        return asked.column(name).astype("M8[D]")
    except ValueError as error:
        raise BadValue(f'column "{name}" must hold dates', hint="as in 2026-03-02") from error


def _held(book: Book, names: set[str]) -> dict[str, list[int]]:
    """Return the entries of the calendar of each of these promotions that it holds."""
    wanted = {number: str(name) for number, name in enumerate(book.promotions.tolist()) if str(name) in names}
    event = book.calendar[:, 0].astype("i8")
    found: dict[str, list[int]] = {}
    for at in np.flatnonzero(np.isin(event, list(wanted))).tolist():
        found.setdefault(wanted[int(event[at])], []).append(at)
    return found


def _named(book: Book, held: dict[str, list[int]], name: str | None, row: int) -> list[_Line]:
    if name is None:
        raise BadValue(f"row {row + 1} names neither a promotion nor a product", hint="give promotion, or product, start and end")
    if str(name) not in held:
        raise BadValue(f"the calendar holds no promotion {name!r}", hint="give product, start and end for one that is not planned yet")
    return [_entry(book, at) for at in held[str(name)]]


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
    known = set(book.promotions.tolist())
    start, end = (np.array([getattr(line, name) for line in lines]) for name in ("start", "end"))
    first, last = (book.period(days.astype("M8[D]")) for days in (start, end))
    outside = np.flatnonzero((first < 0) | (last >= book.base.shape[1]))
    if len(outside):
        said = f"promotion {lines[outside[0]].event!r} lies outside what the model knows"
        raise BadValue(said, hint=f"{_date(book, 0)} to {_date(book, book.base.shape[1] - 1)}")
    length, stores = last - first + 1, np.array([len(line.series) for line in lines])
    line = np.repeat(np.arange(len(lines)), length * stores)
    at = np.arange(len(line)) - np.repeat(np.cumsum(length * stores) - length * stores, length * stores)
    period = first[line] + at % length[line]
    series = np.concatenate([one.series for one in lines])[(np.cumsum(stores) - stores)[line] + at // length[line]]
    joined = {
        "event": np.array([number[one.event] for one in lines])[line],
        "line": line,
        "series": series,
        "period": period,
        "share": np.where(np.array([one.period for one in lines])[line], 1.0, _covered(book, period, start[line], end[line])),
        "last": period == last[line],
    }
    return _cells(book, lines, joined, names, np.array([name in known for name in names]))


def _covered(book: Book, period: Array, start: Array, end: Array) -> Array:
    """Return the share of each period's days that a promotion covers: of seven in weeks, all of it in any other grain."""
    if book.clock.grain.name != "week":
        return np.ones(len(period))
    monday = book.clock.date(book.first + period).astype("M8[D]").astype("i8")
    return np.asarray((np.minimum(end, monday + 6) - np.maximum(start, monday) + 1) / 7)


def _date(book: Book, period: int) -> str:
    return str(book.clock.date(np.array([book.first + period]))[0])


def _cells(book: Book, lines: list[_Line], at: dict[str, Array], names: list[str], known: Array) -> Cells:
    line = at["line"]
    per = {name: np.array([getattr(one, name) for one in lines]) for name in ("discount", "price", "display", "feature", "cost")}
    takes = book.head["takes"]
    take = np.array([takes.get(f"mechanic_{one.mechanic}", takes[""]) for one in lines])
    kinds = {name: place for place, name in enumerate(book.names.tolist())}
    plain = kinds.get("promotion", -1)
    kind = np.array([kinds.get(f"mechanic_{one.mechanic}", plain) if one.mechanic else -1 for one in lines])
    regular = book.regular[at["series"], at["period"]]
    stated = 1 - take[line] * per["discount"][line]
    asked = np.where(np.isfinite(per["price"][line]), per["price"][line] / np.where(regular > 0, regular, 1.0), stated)
    event = np.array([names.index(one.event) for one in lines]) if len(names) < 50 else _places(lines, names)
    spend = np.full(len(names), np.nan)
    told = np.isfinite(per["cost"])
    for place in np.unique(event[told]).tolist():
        spend[place] = per["cost"][told & (event == place)].sum()
    first = np.unique(event, return_index=True)[1]
    start, end = np.full(len(names), np.iinfo("i8").max), np.full(len(names), np.iinfo("i8").min)
    np.minimum.at(start, event, [one.start for one in lines])
    np.maximum.at(end, event, [one.end for one in lines])
    labels = np.array(names, object)
    return Cells(
        at["event"],
        at["series"],
        at["period"],
        at["share"],
        at["last"],
        1 - (1 - asked) * at["share"],
        per["discount"][line],
        kind[line],
        per["display"][line] * at["share"],
        per["feature"][line] * at["share"],
        labels,
        book.products[book.product[np.array([lines[row].series[0] for row in first.tolist()], int)]],
        start.astype("M8[D]"),
        end.astype("M8[D]"),
        spend,
        known,
        np.array([lines[row].mechanic for row in first.tolist()], object),
    )


def _places(lines: list[_Line], names: list[str]) -> Array:
    number = {name: at for at, name in enumerate(names)}
    return np.array([number[line.event] for line in lines])
