"""Which price: gains on draws over a grid of moves, judged under two forms of demand, with "change nothing" as the answer to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.core.errors import BadValue
from tradewind.core.table import Table
from tradewind.models._kit.trade.book import Book, chance
from tradewind.models._kit.trade.levers import COMPETITOR, PRICE, change
from tradewind.models.price.state import AHEAD, Priced

Array = np.ndarray[Any, Any]
SURE = 0.8  # a change is recommended only where it gains with this probability, under both forms
MOVE = 0.1  # the largest change where none is stated
GRID = 21  # prices tried
SIGNED = 0.9  # probability that demand falls with price, without which nothing is recommended
FEWEST_LEARNED = 0.3  # share of the elasticity that data must say
REACH = 0.5  # the largest move that may be asked for: beyond it, and beyond the highest price seen, nothing learned is carried on
COLUMNS = ("price", "cost", "floor", "ceiling", "move", "competitor_price", "display", "feature")


@dataclass(frozen=True, slots=True)
class Question:
    """One row: which series at which periods, and what is asked of them. Numbers are NaN where not told."""

    product: int
    series: Array
    periods: Array
    told: dict[str, float]
    mechanic: str


@dataclass(frozen=True, slots=True)
class Market:
    """Draws of one question under one form, at today's price: units and shelf price per series, elasticities, and the siblings."""

    units: Array  # DRAWS x S, mean over the periods
    now: Array  # S
    own: Array  # DRAWS x S: coefficient of the form
    scale: Array  # S: today's price over the usual one
    cost: Array  # S
    edge: Array  # 2 x S: the ratios to today's price between which the form is followed
    others: tuple[Array, Array]  # DRAWS: what siblings earn more per move of this price, and per square of it (half of it)


def questions(state: Priced, asked: Table) -> list[Question]:
    """Read the rows, once for an answer and what is to be said of it; raises BadValue naming the row."""
    kept, found = state.memo.get("asked", (None, []))
    if kept is not asked:
        found = _read(state.book, asked)
        state.memo["asked"] = asked, found
    return list(found)


def _read(book: Book, asked: Table) -> list[Question]:
    count = len(asked)
    if count == 0 or "product" not in asked:
        raise BadValue("nothing is asked", hint="give rows with a product")
    product = asked.column("product").tolist()
    store = asked.column("store").tolist() if "store" in asked else [None] * count
    mechanic = asked.column("mechanic").tolist() if "mechanic" in asked else [None] * count
    numbers = {name: asked.column(name).astype("f8") if name in asked else np.full(count, np.nan) for name in COLUMNS}
    dates = asked.column("date").astype("M8[D]") if "date" in asked else np.full(count, np.datetime64("NaT"), "M8[D]")
    quarter = np.arange(min(AHEAD[book.clock.grain.name], book.base.shape[1]))
    period = book.period(np.where(np.isnat(dates), np.datetime64("1970-01-01"), dates))
    series: dict[tuple[str, str | None], Array] = {}
    found = []
    for row in range(count):
        key = (str(product[row]), None if store[row] is None else str(store[row]))
        if key not in series:
            series[key] = book.series_of(*key)
        told = {name: float(values[row]) for name, values in numbers.items()}
        _check(told, row)
        when = quarter if np.isnat(dates[row]) else period[row : row + 1]
        if when[0] < 0 or when[-1] >= book.base.shape[1]:
            raise BadValue(
                f"row {row + 1}: {dates[row]} does not lie ahead", hint=f"at most {book.base.shape[1]} periods after the last sale"
            )
        found.append(Question(int(book.product[series[key][0]]), series[key], when, told, str(mechanic[row] or "")))
    return found


def _check(told: dict[str, float], row: int) -> None:
    for name in ("price", "floor", "ceiling", "competitor_price"):
        if told[name] <= 0 or np.isinf(told[name]):
            raise BadValue(f"row {row + 1}: {name} must be above zero and finite")
    if told["cost"] < 0 or not (np.isnan(told["move"]) or 0 <= told["move"] <= 0.5):
        raise BadValue(f"row {row + 1}: cost must be at least 0, and move a fraction up to a half")
    if told["floor"] > told["ceiling"]:
        raise BadValue(f"row {row + 1}: the floor lies above the ceiling", hint="swap them")


def market(state: Priced, one: Question, *, second: bool = False) -> Market:
    """Return the draws behind one question under one of the forms."""
    book = state.second if second else state.book
    series, at = one.series, np.ix_(one.series, one.periods)
    log_units = book.base[at] + book.context[at] + _support(book, one)[:, None]
    level = book.levels[:, series]
    units = np.exp(log_units).mean(1) * book.smear[series] * np.exp(level)
    if np.isfinite(one.told["competitor_price"]):
        gap = np.log(one.told["competitor_price"]) - state.rival[series]
        units = units * np.exp(book.draws_of(COMPETITOR, series) * np.nan_to_num(gap))
    now = state.book.regular[at].mean(1)
    scale = now / book.usual[series]
    cost = np.full(len(series), one.told["cost"]) if np.isfinite(one.told["cost"]) else state.book.cost[at].mean(1)
    lowest, highest = state.seen[series].T / now
    edge = np.stack([np.fmin(lowest, 1 - REACH), np.fmax(highest, 1 + REACH)])
    return Market(units, now, book.draws_of(PRICE, series), scale, cost, edge, _others(state, one, second=second))


def _support(book: Book, one: Question) -> Array:
    """Return the log lift of the promotion that is said to run."""
    total = np.zeros(len(one.series))
    names = [(f"mechanic_{one.mechanic}" if book.place(f"mechanic_{one.mechanic}") >= 0 else "promotion", 1.0)] if one.mechanic else []
    names += [(name, one.told[name]) for name in ("display", "feature") if np.isfinite(one.told[name])]
    for name, size in names:
        at = book.place(name)
        if at >= 0:
            total += size * book.series[one.series, at]
    return total


def _others(state: Priced, one: Question, *, second: bool) -> tuple[Array, Array]:
    slope, bend = state.beside_second if second else state.beside
    return slope[:, one.series].sum(1), bend[:, one.series].sum(1)


def sold(one: Market, ratio: float | Array, form: str) -> Array:
    """Return draws of units of each series at a ratio to today's price; one more axis in front where there are several ratios.

    Above `edge` units fall exponentially, at first as the form has it there and at least in proportion to the price, and below it they
    rise at most in proportion to it: no draw takes more and more money by a price that nobody ever paid.
    """
    ratio = np.asarray(ratio, "f8")[..., None, None] if np.ndim(ratio) else np.array(ratio)
    inside = np.clip(ratio, *one.edge)
    moved = change(inside, form) if form == "log" else one.scale * (inside - 1)
    low, high = (one.own if form == "log" else one.own * one.scale * edge for edge in one.edge)
    away = ratio / inside
    outside = np.minimum(high, -1.0) * np.maximum(away - 1, 0) + np.clip(low, -1.0, 0.0) * np.log(np.minimum(away, 1.0))
    found: Array = one.units * np.exp(np.minimum(one.own * moved, 8) + outside)
    return found


def gains(one: Market, ratio: float | Array, form: str) -> Array:
    """Return draws of the change of margin per period against today's price, siblings included; a row per ratio where there are several.

    Siblings answer to a price as far as `edge`: who has left cannot leave again.
    """
    ratios = np.asarray(ratio, "f8")
    rows = ratios[..., None]
    earned = (sold(one, ratio, form) * (one.now * rows[..., None] - one.cost)).sum(-1)
    margin = (earned if ratios.ndim else earned.reshape(len(one.units))) - (one.units * (one.now - one.cost)).sum(1)
    near = np.clip(rows, one.edge.min(), one.edge.max())
    moved = np.log(near) if form == "log" else near - 1
    return np.asarray(margin + one.others[0] * moved + one.others[1] * moved**2)


def best(first: Market, second: Market, one: Question, name: str) -> float:
    """Return the ratio to today's price that gains most among those that gain surely under both forms; 1 where none does.

    Raises BadValue, naming the product `name`, where no price is allowed.
    """
    now = usual_price(first)
    move = one.told["move"] if np.isfinite(one.told["move"]) else MOVE
    low, high = 1 - move, 1 + move
    if np.isfinite(one.told["floor"]):
        low = max(low, one.told["floor"] / now)
    if np.isfinite(one.told["ceiling"]):
        high = min(high, one.told["ceiling"] / now)
    low = max(low, float(np.max(first.cost / first.now)))  # never below cost
    if low > high:
        raise BadValue(
            f"product {name!r} has no recommendation: no price lies within floor, ceiling, cost and the largest move;"
            f" it costs {first.cost.max():.6g} and sells at {now:.6g}",
            hint="widen move, give cost with the question, or look at unit_cost and the price of today",
        )
    kept, most = (1.0, 0.0) if low <= 1 <= high else (float(np.clip(1.0, low, high)), -np.inf)
    ratios = np.linspace(low, high, GRID)
    ratios = ratios[np.abs(ratios - 1) >= 1e-9]
    one_gain, two_gain = gains(first, ratios, "log"), gains(second, ratios, "exponential")
    sure = ((one_gain > 0).mean(1) >= SURE) & ((two_gain > 0).mean(1) >= SURE)
    gain = np.where(sure, np.minimum(one_gain.mean(1), two_gain.mean(1)), -np.inf)
    return float(ratios[gain.argmax()]) if len(ratios) and gain.max() > most else kept


def usual_price(one: Market) -> float:
    """Return today's price over all stores, by what they sell."""
    return float((one.units.mean(0) * one.now).sum() / max(float(one.units.mean(0).sum()), 1e-12))


def chance_of(book: Book, one: Question) -> Array:
    """Return draws of what chance makes of the units of each series: over one period, or the mean of a quarter."""
    return chance(book.variance[one.series] / len(one.periods), one.series, np.full(len(one.series), int(one.periods[0]))).T
