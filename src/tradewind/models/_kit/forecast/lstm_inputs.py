"""What the recurrent network reads of a panel: which columns, how they are scaled, and the panel laid out to be read from."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from tradewind.models._kit.calendar import Clock, Grain
from tradewind.models._kit.forecast.occasions import Occasions
from tradewind.models._kit.panel import RIVALS, RIVALS_PRICE, Lazy, Panel
from tradewind.models._kit.response import Response, added

Array = np.ndarray[Any, Any]
MEANS = (4, 8, 26)  # cycles over which the same phase is averaged
FAR = 28.0  # periods: an event further away counts as this far
NEAR = 29  # periods before the cut that what a plan changes is read from
MOST_CODES = 24  # texts of one static column told apart at most
NOTHING = np.empty((0, 0), "f4")  # what is not read
LIFT = "_lift"  # the column of what all own levers but the price do to log sales
AROUND = "_around"  # the column of what events do to log sales of the days around them
READ_AS = {RIVALS: "number", RIVALS_PRICE: "price"}  # what stands beside a series on the shelf is read as what it is
LEAST_ALIKE = 3  # series that must share a text for it to be told apart


@dataclass(frozen=True, slots=True)
class Layout:
    """Which columns are read and how they are scaled: settled when learning, the same when answering."""

    patch: int  # periods read at once by the encoder: one cycle
    patches: int
    wide: int  # periods of the longest mean
    year: int
    level: int
    horizon: int
    usual: float  # level of a series nothing is known of
    columns: tuple[tuple[str, str, float, float], ...]  # name, kind, middle, spread
    levers: tuple[str, ...]
    events: tuple[str, ...]
    numbers: tuple[tuple[str, float, float], ...]  # static numbers: name, middle, spread
    texts: tuple[tuple[str, tuple[str, ...]], ...]  # static texts and those told apart

    @property
    def back(self) -> int:
        """Return how many periods before the origin are read."""
        return max(self.patch * self.patches, self.wide, self.year + self.level // 2 + 1, self.level)

    def meta(self) -> dict[str, Any]:
        """Return it as plain JSON data."""
        return asdict(self)

    @classmethod
    def from_meta(cls, meta: Mapping[str, Any]) -> Layout:
        """Read it back; raises KeyError, TypeError and ValueError, which the reader of the parts wraps."""
        said = dict(meta)
        for name in ("columns", "numbers"):
            said[name] = tuple(
                (str(row[0]), *(value if isinstance(value, str) else float(value) for value in row[1:])) for row in said[name]
            )
        said["texts"] = tuple((str(name), tuple(str(text) for text in texts)) for name, texts in said["texts"])
        said["levers"], said["events"] = tuple(said["levers"]), tuple(said["events"])
        return cls(**said)


def beside(panel: Panel, response: Response, occasions: Occasions, series: Array | None = None, at: Array | slice = slice(None)) -> Array:
    """Return what the network learns beside: what own price and season do to log sales, (series, periods `at`).

    `series` are their numbers in the response.
    """
    price = {name: panel.ahead[name][:, at] for name in response.names if name == "price"}
    parts = [*response.effect(price, series).values(), *([occasions.seasons.lift(panel, at)] if occasions.seasons else [])]
    return added(panel.target[:, at].shape, parts)


def lifted(panel: Panel, response: Response, occasions: Occasions, series: Array | None = None) -> Panel:
    """Return the panel with columns LIFT and AROUND, worked out when looked at, where levers but the price, or events, do anything."""
    levers = [name for name in response.names if name != "price"]
    more = [*([LIFT] if levers else []), *([AROUND] if occasions.effects else [])]
    if not more:
        return panel

    def read(name: str, _: Array) -> Array:
        if name == LIFT:
            return added(panel.target.shape, response.effect({lever: panel.ahead[lever] for lever in levers}, series).values())
        return occasions.lift(panel) if name == AROUND else panel.ahead[name]

    ahead = Lazy(dict.fromkeys((*panel.ahead, *more), NOTHING), read)
    return replace(panel, ahead=ahead, kinds={**panel.kinds, **dict.fromkeys(more, "number")})


def steady(panel: Panel, response: Response, occasions: Occasions, series: Array | None = None) -> Panel:
    """Return the panel as the network reads its past: sales without what price and season do, beside what other levers and events do."""
    found = lifted(panel, response, occasions, series)
    if "price" not in response.names and not occasions.seasons:
        return found
    return replace(found, target=panel.target * np.exp(-beside(panel, response, occasions, series)))


def layout_of(panel: Panel, horizon: int, encoder: int) -> Layout:
    """Settle what is read of a panel; `encoder` is the number of past periods read one by one, 0 = as the grain needs."""
    grain = panel.grain
    patch = grain.cycle
    periods = encoder or usual_encoder(grain)
    known = np.isfinite(panel.target[:, : panel.cut])
    count = known.sum(1)
    means = np.where(known, panel.target[:, : panel.cut], 0).sum(1, dtype="f8")[count > 0] / count[count > 0]
    usual = float(np.exp(np.log(np.maximum(means, 1e-3 * max(float(means.mean()), 1e-9))).mean())) if len(means) else 1.0
    read = {name: READ_AS.get(kind, kind) for name, kind in panel.kinds.items()}
    columns = tuple((name, kind, *_spread(panel.ahead[name], kind)) for name, kind in read.items())
    numbers, texts = [], []
    for name, value in panel.static.items():
        if name not in panel.codes:
            fine = value[np.isfinite(value)]
            numbers.append((name, float(fine.mean()) if len(fine) else 0.0, max(float(fine.std()) if len(fine) else 1.0, 1e-6)))
            continue
        found, often = np.unique(value.astype("i8"), return_counts=True)
        most = found[np.argsort(-often, kind="stable")][: min(MOST_CODES, int((often >= LEAST_ALIKE).sum()))]
        texts.append((name, tuple(panel.codes[name][code] for code in sorted(most.tolist()))))
    wide = max(MEANS) * patch
    levers = tuple(name for name, kind in panel.kinds.items() if kind == "lever")
    events = tuple(name for name, kind in panel.kinds.items() if kind == "event")
    patches = max(2, -(-periods // patch))
    return Layout(
        patch, patches, wide, grain.year, grain.level, horizon, max(usual, 1e-9), columns, levers, events, tuple(numbers), tuple(texts)
    )


def usual_encoder(grain: Grain) -> int:
    """Return how many past periods the encoder reads unless told otherwise."""
    return {"hour": 24 * 14, "day": 112, "week": 56, "month": 24, "quarter": 12}[grain.name]


def _spread(value: Array, kind: str) -> tuple[float, float]:
    fine = value[np.isfinite(value)]
    if kind != "number" or not len(fine):
        return 0.0, 1.0
    return float(fine.mean()), max(float(fine.std()), 1e-6)


@dataclass(frozen=True, slots=True)
class View:
    """A panel made ready to be read. Column `back` is the panel's first, or its `start`, so that no window starts too early.

    `columns`, `pulled` and `near` may start `later` than the rest: less of them is read than of the sales.
    """

    layout: Layout
    target: Array  # (series, back + periods), NaN where unknown
    columns: tuple[Array, ...]  # (series or 1, back + periods), scaled, never NaN except prices, as logs
    pulled: Array | None  # (series or 1, back + periods): true where any lever but the price is
    near: Array | None  # (2, series or 1, back + periods): how close the last and the next event are
    calendar: Array  # (back + periods + steps, features)
    fixed: Array  # (series, features)
    later: int = 0


def view_of(panel: Panel, layout: Layout, steps: int, *, start: int = 0) -> View:
    """Make a panel ready for windows of so many steps; what no origin from `start` on looks at is left out.

    Columns known only afterwards (`panel.past`) are not read: what is known ahead and the series' own sales are.
    """
    back, skip = max(layout.back - start, 0), max(start - layout.back, 0)
    reads = max(layout.patch * layout.patches, layout.wide, NEAR) if start else layout.back
    columns, pulled, near = _columns(panel, layout, start - reads, panel.width)
    target = panel.target[:, skip:]
    if back:
        target = np.concatenate([np.full((len(target), back), np.nan, "f4"), target], 1, dtype="f4")
    calendar = calendar_of(panel.clock, panel.first + skip - back, panel.width - skip + back + steps)
    return View(layout, target, columns, pulled, near, calendar, _fixed(panel, layout), layout.back - reads)


def plan_of(panel: Panel, layout: Layout, steps: int, planned: Collection[str]) -> View:
    """Make ready what a plan of some columns for so many steps changes: column NEAR is the first after the cut. All else is left out."""
    reads = set(planned)
    for together in (layout.levers, layout.events):  # each of these is also read together with the others
        reads |= set() if reads.isdisjoint(together) else set(together)
    columns = _columns(panel, layout, panel.cut - NEAR, min(panel.width, panel.cut + steps + NEAR), reads)
    return View(layout, NOTHING, *columns, NOTHING, NOTHING)


def _columns(
    panel: Panel, layout: Layout, low: int, high: int, reads: Collection[str] | None = None
) -> tuple[tuple[Array, ...], Array | None, Array | None]:
    """Return the columns known ahead from period `low`, which may lie before the first, to before `high`; NOTHING for what is not read."""
    columns: list[Array] = []
    for name, kind, middle, spread in layout.columns:
        if reads is not None and name not in reads:
            columns.append(NOTHING)
            continue
        empty = np.nan if kind in ("price", "number") else 0.0  # a panel knows every lever and event
        value = panel.ahead[name] if name in panel.ahead else np.full((1, panel.width), empty, "f4")
        part = value[:, max(low, 0) : high]
        if low < 0:
            part = np.concatenate([np.full((len(part), -low), empty, "f4"), part], 1)
        if kind == "price":
            with np.errstate(invalid="ignore", divide="ignore"):
                columns.append(np.log(part))
        elif kind == "number":
            part = np.clip((part - np.float32(middle)) / np.float32(spread), -8, 8)
            columns.append(np.where(np.isnan(part), np.float32(0), part))
        else:
            columns.append(part)  # as it is, not copied
    order = {name: at for at, (name, *_) in enumerate(layout.columns)}
    pulled = _any([columns[order[name]] for name in layout.levers])
    events = _any([columns[order[name]] for name in layout.events])
    return tuple(columns), pulled, None if events is None else _closeness(events) if events.size else NOTHING


def _any(columns: list[Array]) -> Array | None:
    if not columns:
        return None
    if not columns[0].size:
        return NOTHING
    whole = columns[0]
    for one in columns[1:]:
        whole = np.maximum(whole, one)
    found: Array = whole > 0
    return found


def _closeness(flags: Array) -> Array:
    """Return 1 / (1 + periods) since the last and until the next event, 0 where there is none within FAR."""
    position = np.arange(flags.shape[1], dtype="f4")
    last = np.maximum.accumulate(np.where(flags, position, -1e6), 1)
    following = np.minimum.accumulate(np.where(flags, position, 1e6)[:, ::-1], 1)[:, ::-1]
    gaps = np.stack([position - last, following - position])
    return np.where(gaps <= FAR, 1 / (1 + gaps), 0).astype("f4")


@lru_cache(maxsize=32)
def calendar_of(clock: Clock, first: int, periods: int) -> Array:
    """Return what the network reads of each period's place in its week, month and year; kept, so not to be written to."""
    said = clock.parts(first + np.arange(periods))
    out = []
    for name, length, waves in (("hour", 24, 3), ("day_of_month", 30.44, 2), ("day_of_year", 365.25, 3)):
        if name in said:
            angle = said[name] * np.float32(2 * np.pi / length)
            out += [turn(angle * wave) for wave in range(1, waves + 1) for turn in (np.sin, np.cos)]
    if "weekday" in said:
        out += list((said["weekday"][None] == np.arange(7)[:, None]).astype("f4"))
    if "day_of_year" not in said:
        out += list((said["month"][None] == np.arange(1, 13)[:, None]).astype("f4"))
    found = np.stack(out, 1).astype("f4")
    found.flags.writeable = False
    return found


def _fixed(panel: Panel, layout: Layout) -> Array:
    out = [np.zeros(len(panel), "f4")]
    for name, middle, spread in layout.numbers:
        if name in panel.static:
            out.append(np.clip(np.nan_to_num((panel.static[name] - middle) / spread), -4, 4))
        else:
            out.append(np.zeros(len(panel), "f4"))
    for name, texts in layout.texts:
        book = panel.codes.get(name, [])
        value = panel.static.get(name, np.full(len(panel), -1.0, "f4"))
        for text in texts:
            code = book.index(text) if text in book else -2
            out.append((value == code).astype("f4"))
    return np.stack(out, 1).astype("f4")
