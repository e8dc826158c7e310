"""A panel of series as matrices: one row per series, one column per period, past and plan side by side."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from tradewind.core.errors import BadValue, EmptyTable, Incompatible, MissingColumn
from tradewind.core.schema import Role, Type
from tradewind.core.table import Table
from tradewind.models._kit.calendar import GRAINS, Clock, Grain, clock_of

Array = np.ndarray[Any, Any]
AHEAD = (Role.LEVER, Role.KNOWN, Role.EVENT)
PRICE = re.compile(r"(^|_)(price|cost)(_|$)")  # carried forward, never zero
RIVALS, RIVALS_PRICE = "rivals", "rivals_price"  # kinds of what stands beside a series: a share promoted, a price
BESIDE = (RIVALS, RIVALS_PRICE)
LASTING = "lasting"  # the kind of an event that is on so often that how far away it is says nothing, such as school holidays
OFTEN = 0.12  # share of past days from which on an event is one
EVENTS = ("event", LASTING)
CLOSED = "closed_share"  # the column known ahead that says which share of a period a series is closed, and its kind
STAY = ("price", "number", RIVALS_PRICE)  # kinds that are carried forward, and unknown where nothing is known
OUT = "_out"
MOST = 40  # columns of one kind that are kept; the widest-covered first
LONGEST = 80  # letters of a text that series are still grouped by: longer ones describe, they do not name


class Lazy(Mapping[str, Array]):
    """Columns made of other columns when they are first looked at: a question looks at few of what a panel knows."""

    __slots__ = ("_made", "_make", "_source")

    def __init__(self, source: Mapping[str, Array], make: Callable[[str, Array], Array]) -> None:
        self._source, self._make = source, make
        self._made: dict[str, Array] = {}

    def __getitem__(self, name: str) -> Array:
        found = self._made.get(name)
        if found is None:
            found = self._made[name] = self._make(name, self._source[name])
        return found

    def __contains__(self, name: object) -> bool:
        return name in self._source

    def __iter__(self) -> Iterator[str]:
        return iter(self._source)

    def __len__(self) -> int:
        return len(self._source)


@dataclass(frozen=True)
class Panel:
    """Series by period. `cut` is the number of the first column after the last actual; what lies right of it is the plan.

    `target` is NaN where nothing is known or nothing could be sold. `ahead` are columns known ahead, (series, periods) or, where
    all series agree, (1, periods); `kinds` says of each whether it is a "price", a "lever", an "event", a LASTING one, a "number", CLOSED,
    or what stands beside a series (RIVALS, RIVALS_PRICE). `past` end at the cut; `static` hold one number per series, text as the code
    of `codes`. `labels` hold every text of the series, also those that say too little or too much to learn from: what answers are chosen
    and added up by. `out` tells, up to the cut, where a row says that nothing sold because nothing could be; None where there is no
    such row, or only some series were taken.
    """

    clock: Clock
    first: int  # period number of column 0
    cut: int
    keys: Mapping[str, Array]
    target: Array
    ahead: Mapping[str, Array]
    kinds: Mapping[str, str]
    past: Mapping[str, Array]
    static: Mapping[str, Array]
    codes: Mapping[str, list[str]]
    labels: Mapping[str, Array] = field(default_factory=dict)
    out: Array | None = None

    @property
    def grain(self) -> Grain:
        """Return the grain of the panel."""
        return self.clock.grain

    def __len__(self) -> int:
        return len(self.target)

    @property
    def width(self) -> int:
        """Return the number of periods, past and plan."""
        return int(self.target.shape[1])

    @cached_property
    def index(self) -> dict[tuple[str, ...], int]:
        """Return the place of each series by its key."""
        return {key: at for at, key in enumerate(zip(*(value.tolist() for value in self.keys.values()), strict=True))}

    @cached_property
    def alive(self) -> Array:
        """Tell which series had an actual, zero or not, in the last four cycles: the others have closed or ended."""
        recent = self.target[:, max(0, self.cut - self.grain.quiet) : self.cut]
        found: Array = np.any(np.isfinite(recent), axis=1)
        return found

    def numbers(self) -> Array:
        """Return the period number of every column."""
        return self.first + np.arange(self.width)

    def tail(self, periods: int) -> Panel:
        """Return the panel with no more than its last periods before the cut, and one level window of what is known afterwards.

        What is kept is copied where it is not all there is: a part of an array would hold the whole of it in memory.
        """
        start = max(0, self.cut - periods)
        cut = {name: np.ascontiguousarray(value[:, start:]) for name, value in self.ahead.items()}
        kept = min(periods, self.grain.level)
        past = {name: np.ascontiguousarray(value[:, max(0, value.shape[1] - kept) :]) for name, value in self.past.items()}
        target = np.ascontiguousarray(self.target[:, start:])
        out = None if self.out is None else np.ascontiguousarray(self.out[:, start:])
        return replace(self, first=self.first + start, cut=self.cut - start, target=target, ahead=cut, past=past, out=out)

    def planned(self, series: Array, periods: int, row: Array, at: Array, plan: Mapping[str, Array]) -> Panel:
        """Return the panel of some series with at least `periods` of plan, and the user's own plan written over it.

        `row` and `at` say which chosen series and which period after the cut each value of `plan` is for. Past the known plan
        prices stay, and promotions and events are none.
        """
        more = max(0, self.cut + periods - self.width)

        def known(name: str, value: Array) -> Array:
            own = name in plan
            part = value[series] if len(value) > 1 else np.repeat(value, len(series), 0) if own else value
            if more:
                stays = self.kinds[name] in STAY
                part = np.concatenate([part, np.repeat(part[:, -1:] if stays else np.zeros_like(part[:, -1:]), more, 1)], 1)
            if own:
                said = np.isfinite(plan[name])
                part = part.copy()
                part[row[said], self.cut + at[said]] = plan[name][said]
            return part

        target = np.pad(self.target[series], ((0, 0), (0, more)), constant_values=np.nan) if more else self.target[series]
        return self._of(series, ahead=Lazy(self.ahead, known), target=target)

    def until(self, cut: int) -> Panel:
        """Return the panel as it was known at an earlier cut: later actuals, and what is known only afterwards, are gone."""
        target = self.target.copy()
        target[:, cut:] = np.nan
        past = {name: value[:, : max(0, value.shape[1] - (self.cut - cut))] for name, value in self.past.items()}
        return replace(self, cut=cut, target=target, past=past, out=None if self.out is None else self.out[:, :cut])

    def like(self, old: Panel) -> Panel:
        """Return the panel with the columns of an old one: what is new is left out, what is gone is empty, a new text is unknown."""
        ahead, count = {}, len(self)
        for name, kind in old.kinds.items():
            empty = np.full((1, self.width), np.nan if kind in STAY else 0.0, "f4")
            ahead[name] = self.ahead.get(name, empty)
        past = {name: self.past.get(name, np.full((count, self.cut), np.nan, "f4")) for name in old.past}
        static = {}
        for name in old.static:
            value = self.static.get(name, np.full(count, np.nan, "f4"))
            if name in old.codes:
                book = {text: code for code, text in enumerate(old.codes[name])}
                value = np.array([book.get(text, np.nan) for text in self._texts_of(name)], "f4")
            static[name] = value
        labels = {name: self.labels.get(name, _texts([""] * count)) for name in old.labels} | dict(self.labels)
        return replace(self, ahead=ahead, kinds=old.kinds, past=past, static=static, codes=old.codes, labels=labels)

    def _texts_of(self, name: str) -> Iterable[str]:
        """Return a text of each series, whether it was coded or not; no known text where there is none."""
        if name in self.codes:
            return (self.codes[name][int(code)] for code in self.static[name])
        found: Iterable[str] = self.labels[name] if name in self.labels else ["\0"] * len(self)
        return found

    def place_in(self, old: Panel) -> Array:
        """Return for each series its number in an old panel, -1 where it is new."""
        names = [name for name in old.keys if name in self.keys]
        if names != list(old.keys):
            raise Incompatible(f"series were told apart by {', '.join(old.keys)} and no longer are", hint="train the model again")
        return np.array([old.index.get(key, -1) for key in zip(*(self.keys[name].tolist() for name in names), strict=True)], "i8")

    def take(self, series: Array) -> Panel:
        """Return the panel of some series."""
        ahead = {name: value if len(value) == 1 else value[series] for name, value in self.ahead.items()}
        return self._of(series, ahead=ahead, target=self.target[series])

    def _of(self, series: Array, *, ahead: Mapping[str, Array], target: Array) -> Panel:
        """Return the panel with some series' keys, past, statics and labels, and a plan and a target of theirs."""

        def part(columns: Mapping[str, Array]) -> Mapping[str, Array]:
            return Lazy(columns, lambda _, value: value[series])

        keys, past, static, labels = (part(columns) for columns in (self.keys, self.past, self.static, self.labels))
        clock, first, cut = self.clock, self.first, self.cut
        return Panel(clock, first, cut, keys, target, ahead, self.kinds, past, static, self.codes, labels)

    def arrays(self) -> dict[str, Array]:
        """Return the numbers by name, ready for a tensor file: columns of few values as codes and a code book."""
        named = {"target": self.target}
        for kind in ("ahead", "past", "static"):
            named |= {f"{kind}/{name}": value for name, value in getattr(self, kind).items()}
        out: dict[str, Array] = {} if self.out is None else {"out": np.packbits(self.out, axis=1)}
        for name, value in named.items():
            whole = value
            if value.ndim == 2 and len(value) > 16:
                rows, place = np.unique(value, axis=0, return_inverse=True)
                if len(rows) * 4 <= len(value):  # said by region or product, not by series
                    whole, out["row:" + name] = rows, place.reshape(-1).astype("i4")
            book, code = np.unique(whole, return_inverse=True)
            if len(book) <= 256 and whole.size > 1024:
                out["book:" + name], out["code:" + name] = book, code.reshape(whole.shape).astype("u1")
            else:
                out[name] = whole
        return out

    def meta(self) -> dict[str, Any]:
        """Return everything but the numbers, as plain JSON data."""
        return {
            "grain": self.grain.name,
            "anchor": self.clock.anchor,
            "first": self.first,
            "cut": self.cut,
            "keys": {name: value.tolist() for name, value in self.keys.items()},
            "codes": dict(self.codes),
            "labels": {name: value.tolist() for name, value in self.labels.items()},
            "kinds": dict(self.kinds),
            "columns": {kind: list(getattr(self, kind)) for kind in ("ahead", "past", "static")},
        }

    @classmethod
    def from_parts(cls, meta: Mapping[str, Any], arrays: Mapping[str, Array]) -> Panel:
        """Read a panel back from `meta` and `arrays`; raises Incompatible."""

        def column(name: str) -> Array:
            found: Array = arrays[name] if name in arrays else arrays["book:" + name][arrays["code:" + name]]
            return found[arrays["row:" + name]] if "row:" + name in arrays else found

        try:
            kinds = {kind: {name: column(f"{kind}/{name}") for name in meta["columns"][kind]} for kind in ("ahead", "past", "static")}
            keys = {name: _texts(values) for name, values in meta["keys"].items()}
            clock = Clock(GRAINS[meta["grain"]], int(meta["anchor"]))
            first, cut, codes = int(meta["first"]), int(meta["cut"]), meta["codes"]
            labels = {name: _texts(values) for name, values in meta["labels"].items()}
            out = np.unpackbits(arrays["out"], axis=1, count=cut) > 0 if "out" in arrays else None
            columns = (kinds["ahead"], meta["kinds"], kinds["past"], kinds["static"])
            return cls(clock, first, cut, keys, column("target"), *columns, codes, labels, out)
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise Incompatible("the series of this version cannot be read", hint="train the model again") from error


def _texts(values: Iterable[Any]) -> Array:
    listed = list(values)
    array = np.empty(len(listed), object)
    array[:] = listed
    return array


def from_table(table: Table, *, target: str = "units", reach: int | None = None) -> Panel:
    """Lay a panel table out as matrices; raises MissingColumn, EmptyTable and BadValue.

    Needs polars. Rows with `available` 0 lose their target. Columns known ahead are carried forward where they are a price or a
    plain number, and are zero where they are a share or a flag and nothing is said.
    """
    import polars as pl

    when = table.schema.time or "date"
    for name in (when, target):
        if name not in table:
            raise MissingColumn(f'column "{name}" is missing', hint=f"there are: {', '.join(table.names)}")
    frame = table.frame
    open_ = (pl.col("available").fill_null(1) > 0) if "available" in frame.columns else pl.lit(value=True)
    frame = frame.filter(pl.col(when).is_not_null()).with_columns(
        pl.when(open_).then(pl.col(target).cast(pl.Float32)).alias(target),
        (~open_ & (pl.col(target) == 0)).fill_null(value=False).alias(OUT),
    )
    known = frame[target].is_not_null() & frame[target].is_finite().fill_null(value=False)
    if not known.any():
        raise EmptyTable("there is no sale to learn from", hint=f'every row of "{target}" is empty or marked as not available')
    keys = [name for name in table.schema.of(Role.ENTITY) if name in frame.columns]
    index, labels = _series(frame, keys)
    dates = Table.from_frame(frame.select(pl.col(when))).column(when)
    clock = clock_of(np.unique(dates))
    number = clock.number(dates)
    first, last = int(number.min()), int(number.max())
    cut = int(number[known.to_numpy()].max()) - first + 1
    width = max(last - first + 1, cut) if reach is None else min(last - first + 1, cut + reach)
    at = number - first
    inside = at < width
    if np.bincount(index[inside] * width + at[inside]).max() > 1:
        raise BadValue(f"several rows of one series lie in one {clock.grain.name}", hint="add them up before a model learns from them")
    grid = _Grid(len(next(iter(labels.values()))), width, index[inside], at[inside])
    columns = _sorted_columns(table, keys, {when, target, "available"})
    levers = set(table.schema.of(Role.LEVER))
    present = np.zeros((len(grid), width), bool)
    present[grid.row, grid.column] = True
    filled = {name: _known_ahead(name, grid.fill(frame[name].filter(pl.Series(inside))), present) for name in columns["ahead"]}
    # events yet to come, and columns that are empty, teach nothing
    filled = {name: said for name, said in filled.items() if np.isfinite(said[1]).any() and (name in levers or said[1][:, :cut].any())}
    ahead = {name: value for name, (_, value) in filled.items()}
    shares = {name: CLOSED if name == CLOSED else "lever" if name in levers else "event" for name in filled}
    kinds = {name: kind if kind != "share" else shares[name] for name, (kind, _) in filled.items()}
    if clock.grain.cycle > 1:
        often = {name for name, kind in kinds.items() if kind == "event" and (ahead[name][:, :cut] > 0).mean() > OFTEN}
        kinds |= dict.fromkeys(often, LASTING)
    past = {name: grid.fill(frame[name].filter(pl.Series(inside)))[:, :cut] for name in columns["past"]}
    static, codes, texts = _statics(frame, columns["static"], index, len(grid))
    amount = grid.fill(frame[target].filter(pl.Series(inside)))
    amount[:, cut:] = np.nan
    out = grid.fill(frame[OUT].filter(pl.Series(inside)))[:, :cut] > 0
    out &= np.isfinite(amount[:, :cut]).any(0)  # where nobody sold, all were closed
    return Panel(clock, first, cut, labels, np.maximum(amount, 0), ahead, kinds, past, static, codes, texts, out if out.any() else None)


@dataclass(frozen=True, slots=True)
class _Grid:
    series: int
    width: int
    row: Array
    column: Array

    def __len__(self) -> int:
        return self.series

    def fill(self, values: Any) -> Array:
        import polars as pl

        matrix = np.full((self.series, self.width), np.nan, "f4")
        number = values.cast(pl.Float32).to_numpy()
        matrix[self.row, self.column] = np.where(np.isfinite(number), number, np.nan)
        return matrix


def _series(frame: Any, keys: list[str]) -> tuple[Array, dict[str, Array]]:
    import polars as pl

    if not keys:
        return np.zeros(frame.height, "i8"), {"series": _texts(["all"])}
    text = frame.select(pl.col(name).cast(pl.String).fill_null("") for name in keys)
    labels = text.unique().sort(keys).with_row_index("_at")
    index = text.join(labels, on=keys, how="left", maintain_order="left")["_at"].to_numpy().astype("i8")
    return index, {name: _texts(labels[name].to_list()) for name in keys}


def _sorted_columns(table: Table, keys: list[str], taken: set[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {"ahead": [], "past": [], "static": []}
    for column in table.schema:
        if column.name in taken or column.name in keys or column.name not in table or column.sensitive:
            continue
        number = table.frame.schema[column.name].is_numeric() or column.type is Type.FLAG
        if column.role in AHEAD and number:
            found["ahead"].append(column.name)
        elif column.role is Role.STATIC and column.type not in (Type.DATE, Type.TIMESTAMP):
            found["static"].append(column.name)
        elif column.role in (Role.PAST, Role.INPUT) and number:
            found["past"].append(column.name)
    return {kind: names[:MOST] for kind, names in found.items()}


def _known_ahead(name: str, matrix: Array, present: Array) -> tuple[str, Array]:
    """Return the kind of a column known ahead, and the column without gaps; `present` says which series have a row in which period."""
    known = matrix[np.isfinite(matrix)]
    if PRICE.search(name) and not name.startswith(("mechanic_", "event_")):
        return "price", carry(np.where(matrix > 0, matrix, np.nan))
    if known.size and (known.min() < 0 or known.max() > 1):
        return "number", carry(matrix)
    whole = np.nan_to_num(matrix)
    if np.isfinite(matrix[present]).all():  # said in every row there is: what all rows of a period agree on is the period's own
        most, least = np.where(present, whole, -np.inf).max(0), np.where(present, whole, np.inf).min(0)
        some = present.any(0)
        if bool((most[some] == least[some]).all()):
            return "share", np.where(some, most, 0).astype(whole.dtype)[None]
    return "share", whole[:1].copy() if bool((whole == whole[:1]).all()) else whole


def carry(matrix: Array) -> Array:
    """Return the matrix with gaps filled by the last value before, and by the next one where there is none before."""
    for turned in (matrix, matrix[:, ::-1]):
        known = np.isfinite(turned)
        at = np.maximum.accumulate(np.where(known, np.arange(turned.shape[1]), -1), 1)
        filled = np.take_along_axis(turned, np.maximum(at, 0), 1)
        turned[:] = np.where(at >= 0, filled, np.nan)
    return matrix


def _statics(frame: Any, names: list[str], index: Array, series: int) -> tuple[dict[str, Array], dict[str, list[str]], dict[str, Array]]:
    """Return what is learned from, as numbers with the code books of texts, and the texts series can be grouped by."""
    static: dict[str, Array] = {}
    codes: dict[str, list[str]] = {}
    labels: dict[str, Array] = {}
    last = np.zeros(series, "i8")
    last[index] = np.arange(len(index))
    for name in names:
        values = frame[name][last.tolist()]
        if values.dtype.is_numeric():
            static[name] = values.cast(float).to_numpy().astype("f4")
            continue
        texts = ["" if value is None else str(value) for value in values.to_list()]
        book = sorted(set(texts))
        if len(max(book, key=len)) <= LONGEST and any(book):
            labels[name] = _texts(texts)
        if 1 < len(book) <= max(2, series // 2):  # a name of its own for every series says nothing
            codes[name] = book
            static[name] = np.array([book.index(value) for value in texts], "f4")
    return static, codes, labels
