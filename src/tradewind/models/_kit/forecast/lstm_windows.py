"""Windows for the recurrent network: the past in patches of one cycle, one row per period ahead, and what was sold in them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tradewind.models._kit.forecast.lstm_inputs import MEANS, NOTHING, Array, Layout, View

SHARES = 60.0  # a sale of more than this many times the level counts as this many
LAGS = 4  # the same phase of as many cycles before the origin
HIGHEST = 8.0  # a plan may say more of a lever than the share it was: no more than this is read
SMALLEST = 1e-4  # of the usual level: no series is scaled by less
LEVEL_LOG = np.float32(np.log(2.0))  # what a sale at the level is read as
Chosen = Array | slice  # series, by number
Origin = Any  # a column of the view for each series, an array, or one for all, an int: then windows are slices, not copies


@dataclass(frozen=True, slots=True)
class Past:
    """What the network reads that no plan can change. Shares times `level` are units."""

    encoder: Array  # (patches, series, features)
    fixed: Array  # (series, features)
    level: Array  # (series,)
    rows: Array  # (steps, series, features): the decoder's first
    prices: tuple[Array, ...]  # (series, 1) for each price: the log usual before the origin, NaN where none is known
    stood: tuple[Array, Array] | None  # (series, 1): log sales while no lever was pulled, and while one was

    def of(self, series: Array) -> Past:
        """Return what plans are worked out with, of some series: all but what the network was begun with."""
        prices = tuple(value[series] if len(value) > 1 else value for value in self.prices)
        stood = None if self.stood is None else (self.stood[0][series], self.stood[1][series])
        return Past(NOTHING, NOTHING, self.level[series], NOTHING, prices, stood)

    @classmethod
    def joined(cls, parts: Sequence[Past]) -> Past:
        """Put `of` of a few series at a time together."""

        def joined(values: Sequence[Array]) -> Array:
            return np.concatenate(values) if len(values[0]) > 1 else values[0]  # one row stands for all series

        prices = tuple(joined([part.prices[at] for part in parts]) for at in range(len(parts[0].prices)))
        pairs = [part.stood for part in parts if part.stood is not None]
        stood = (np.concatenate([one for one, _ in pairs]), np.concatenate([two for _, two in pairs])) if pairs else None
        return cls(NOTHING, NOTHING, np.concatenate([part.level for part in parts]), NOTHING, prices, stood)


@dataclass(frozen=True, slots=True)
class Tensors:
    """What the network reads of some series: time first."""

    encoder: Array  # (patches, series, features)
    decoder: Array  # (steps, series, features)
    fixed: Array  # (series, features)
    level: Array  # (series,)


def tensors(view: View, series: Chosen, origin: Origin, steps: int) -> Tensors:
    """Return the tensors of pairs of a series and an origin, knowing no target from the origin on."""
    past = past_of(view, series, origin, steps)
    return Tensors(past.encoder, decoder_of(view, past, series, origin), past.fixed, past.level)


def past_of(view: View, series: Chosen, origin: Origin, steps: int) -> Past:
    """Return what the past says of pairs of a series and an origin."""
    layout = view.layout
    target = _window(view.target, series, origin, -layout.back, 0)
    known = np.isfinite(target)
    shares = np.empty((2, *target.shape), "f4")  # what was sold, and whether it is known: most is asked of both at once
    shares[0], shares[1] = np.where(known, target, np.float32(0)), known
    level, origins = _level(shares, layout)
    np.minimum(shares[0] / level[:, None], np.float32(SHARES), out=shares[0])
    periods = layout.patch * layout.patches
    prices, own, at = [], [np.log1p(shares[0, :, -periods:]), shares[1, :, -periods:]], origin - view.later
    for (_, kind, _, _), column in zip(layout.columns, view.columns, strict=True):
        if kind == "price":
            prices.append(_usual(_window(column, series, at, -layout.wide, 0)))
            own.append(_gap(_window(column, series, at, -periods, 0), prices[-1]))
        else:
            own.append(_window(column, series, at, -periods, 0))
    encoder = _encoder(own, _calendar(view.calendar, origin, -periods, 0, layout.patch), len(level), layout)
    fixed = np.concatenate([view.fixed[series], origins], 1, dtype="f4")
    rows = _rows(shares, _calendar(view.calendar, origin, 0, steps, 1), layout, steps)
    stood = None if view.pulled is None else _stood(_window(view.pulled, series, at, -layout.wide, 0), shares[:, :, -layout.wide :])
    return Past(encoder, fixed, level, rows, tuple(prices), stood)


def decoder_of(view: View, past: Past, series: Chosen, origin: Origin) -> Array:
    """Return the rows of the decoder: what the past says of each period ahead, then what is known ahead of it."""
    steps, count, width = past.rows.shape
    out = [value for _, made in _ahead(view, past, series, origin=origin, steps=steps) for value in made]
    decoder = np.empty((steps, count, width + len(out)), "f4")
    decoder[:, :, :width] = past.rows
    for at, value in enumerate(out, width):
        decoder[:, :, at] = value.T
    return decoder


def replan(decoder: Array, view: View, past: Past, *, own: int, series: Chosen, origin: int, planned: Collection[str]) -> None:
    """Write into rows of the decoder what a plan of some columns changes; `view` is `lstm_inputs.plan_of`, the rest of its `series`.

    The first `own` numbers of each row are the past's.
    """
    for place, made in _ahead(view, past, series, origin=origin, steps=len(decoder), touched=frozenset(planned)):
        for number, value in enumerate(made, own + place):
            decoder[:, :, number] = value.T


def _ahead(
    view: View, past: Past, series: Chosen, *, origin: Origin, steps: int, touched: frozenset[str] | None = None
) -> Iterator[tuple[int, list[Array]]]:
    """Yield what is known ahead in order, some numbers at a time with the place of the first; `touched` leaves out what reads none."""
    origin, place = origin - view.later, 0
    prices = iter(past.prices)
    layout = view.layout
    for (name, kind, _, _), column in zip(layout.columns, view.columns, strict=True):
        usual = next(prices) if kind == "price" else None
        if touched is None or name in touched:  # read with one period more at either end
            yield place, _column_ahead(kind, usual, _window(column, series, origin, -1, steps + 1))
        place += 1 if kind == "number" else 2
    if view.pulled is not None and past.stood is not None:
        if touched is None or not touched.isdisjoint(layout.levers):
            without, with_ = past.stood
            yield place, [np.where(_window(view.pulled, series, origin, 0, steps), with_, without)]
        place += 1
    if view.near is not None and (touched is None or not touched.isdisjoint(layout.events)):
        yield place, [_window(part, series, origin, 0, steps) for part in view.near]


def _column_ahead(kind: str, usual: Array | None, value: Array) -> list[Array]:
    if usual is not None:
        gap = _gap(value[:, :-1], usual)
        return [gap[:, 1:], gap[:, 1:] - gap[:, :-1]]
    if kind == "number":
        return [value[:, 1:-1]]
    value = np.minimum(value, np.float32(HIGHEST))
    return [value[:, 1:-1], value[:, 2:]]


def _window(matrix: Array, series: Chosen, origin: Origin, low: int, high: int) -> Array:
    """Return the columns from `low` to before `high` of each origin; past the last column its last value stays."""
    width = matrix.shape[1]
    if isinstance(origin, int):
        part = matrix if len(matrix) == 1 else matrix[series]
        found: Array = part[:, origin + low : origin + high]
        more = high - low - found.shape[1]
        return np.concatenate([found, np.repeat(part[:, -1:], more, 1)], 1) if more > 0 else found
    cells = np.minimum(origin[:, None] + np.arange(low, high), width - 1)
    if len(matrix) > 1:
        cells = np.asarray(series)[:, None] * width + cells
    found = matrix.reshape(-1)[cells]
    return found


def _calendar(calendar: Array, origin: Origin, low: int, high: int, step: int) -> Array:
    """Return the calendar of every `step`th period of a window, (periods, series or 1, features)."""
    if isinstance(origin, int):
        return calendar[origin + low : origin + high : step, None]
    found: Array = calendar[origin[None, :] + np.arange(low, high, step)[:, None]]
    return found


def _level(past: Array, layout: Layout) -> tuple[Array, Array]:
    """Return the level of each series, pulled to its longer mean and to the usual level, and what is said of it as features.

    One imagined period of the usual level stands behind the longer mean, two of the longer mean behind the level.
    """

    def mean(periods: int, behind: Array | float, weight: float) -> Array:
        total, number = past[:, :, -periods:].sum(-1, dtype="f8")
        found: Array = (total + weight * behind) / (number + weight)
        return found

    whole = mean(past.shape[-1], layout.usual, 1.0)
    recent = mean(layout.level, whole, 2.0)
    level = np.maximum(np.maximum(recent, 0.2 * whole), SMALLEST * layout.usual)
    month = mean(min(4 * layout.patch, layout.level), level, 1.0)
    cycle = mean(max(layout.patch, 2), level, 1.0)
    sold, known = past[:, :, -layout.level :]
    number = np.maximum(known.sum(1), 1)
    said = np.empty((len(level), 7), "f4")
    said[:, 0] = np.log(level / layout.usual) / 2
    said[:, 1] = np.log1p(1 / np.maximum(level, 1e-3)) / 2
    said[:, 2] = 1 - np.minimum(np.count_nonzero(sold > 0, 1) / number, 1)
    said[:, 3:6] = np.log(np.maximum(np.stack([month, cycle, whole], 1) / level[:, None], 0.05))
    said[:, 6] = np.log1p(past[1].sum(1)) / 6
    said[known.sum(1) == 0, 2] = 0
    return level.astype("f4"), np.minimum(np.maximum(said, -4), 4)


def _usual(before: Array) -> Array:
    """Return the mean log price of a window, NaN where none is known."""
    fine = np.isfinite(before)
    number = fine.sum(1, keepdims=True)
    total = np.where(fine, before, np.float32(0)).sum(1, keepdims=True)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan).astype("f4")


def _gap(value: Array, usual: Array) -> Array:
    """Return by how much log prices lie above the usual one, 0 where either is unknown."""
    gap = np.minimum(np.maximum((value - usual) * np.float32(4), -8), 8)
    return np.where(np.isnan(gap), np.float32(0), gap)


def _encoder(own: list[Array], calendar: Array, count: int, layout: Layout) -> Array:
    """Return patches of the past side by side with the calendar of their first period."""
    patches, patch = layout.patches, layout.patch
    wide = len(own) * patch
    out = np.empty((patches, count, wide + calendar.shape[-1]), "f4")
    folded = out[:, :, :wide].reshape(patches, count, patch, len(own))
    for at, value in enumerate(own):
        folded[..., at] = value.reshape(-1, patches, patch).swapaxes(0, 1)
    out[:, :, wide:] = calendar
    return out


def _rows(shares: Array, calendar: Array, layout: Layout, steps: int) -> Array:
    """Return what past and calendar say of each period ahead: how far it is, the same phase before, a year before."""
    count, ahead = shares.shape[1], np.arange(steps)
    phases, year = _phases(shares, layout), _year(shares, ahead, layout)
    width = 2 + phases.shape[-1] + len(year)
    out = np.empty((steps, count, width + calendar.shape[-1]), "f4")
    place = (np.minimum(ahead + 1, layout.horizon) / layout.horizon)[:, None]
    out[:, :, 0], out[:, :, 1] = place, np.sqrt(place)
    out[:, :, 2 : 2 + phases.shape[-1]] = phases[ahead % layout.patch]
    for at, value in enumerate(year, 2 + phases.shape[-1]):
        out[:, :, at] = value.T
    out[:, :, width:] = calendar
    return out


def _phases(shares: Array, layout: Layout) -> Array:
    """Return sales of each phase of the cycle, (phases, series, features): the last few, and means over more; the level where none."""
    cycle, cycles = layout.patch, max(MEANS)
    count, width = shares.shape[1:]
    folded = shares[:, :, width - cycles * cycle :].reshape(2, count, cycles, cycle)
    out = np.empty((cycle, count, LAGS + 1 + len(MEANS)), "f4")
    late, known = folded[:, :, : -LAGS - 1 : -1]
    out[:, :, :LAGS] = np.where(known > 0, np.log1p(late), LEVEL_LOG).transpose(2, 0, 1)
    out[:, :, LAGS] = known[:, 0].T
    for at, length in enumerate(MEANS, LAGS + 1):
        total, number = folded[:, :, -length:].sum(2) + np.float32(0.5)
        out[:, :, at] = np.log1p(total / number).T
    return out


def _year(shares: Array, ahead: Array, layout: Layout) -> tuple[Array, ...]:
    """Return sales a year before: the same period, the mean around it, and that mean against the level of that time."""
    near, half = max(layout.patch // 2, 1), layout.level // 2
    low = shares.shape[-1] - layout.year - max(near, half)
    high = shares.shape[-1] - layout.year + max(half, min(len(ahead), layout.year) + near) + 1
    looked_at = shares[:, :, low:high]
    width, then = looked_at.shape[-1], max(near, half)
    at = then + ahead % layout.year
    summed = np.zeros((2, shares.shape[1], width + 1))
    np.cumsum(looked_at, -1, out=summed[:, :, 1:])

    def mean(low: Array, high: Array) -> tuple[Array, Array]:
        total, number = summed[:, :, np.minimum(high, width)] - summed[:, :, np.maximum(low, 0)]
        return total / np.maximum(number, 1), number

    around, close = mean(at - near, at + near + 1)
    ago, _ = mean(np.array([then - half]), np.array([then + half + 1]))
    shape = np.where(close > 0, np.minimum(np.maximum(np.log((around + 0.1) / (ago + 0.1)), -2), 2), 0)
    exact, known = looked_at[:, :, at]
    return np.log1p(exact), known, np.log1p(around), shape


def _stood(pulled: Array, past: Array) -> tuple[Array, Array]:
    """Return log sales while no lever was pulled, and while one was."""

    def mean(same: Array) -> Array:
        total, number = (past * same).sum(-1, keepdims=True) + np.float32(0.5)
        found: Array = np.log1p(total / number)
        return found

    return mean(~pulled), mean(pulled)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Series and origins worth learning from: where something is known before and after."""

    first: Array  # (series,): earliest origin
    hole: Array  # (series,): first origin held back from learning
    wide: Array  # (series,): how many are
    total: Array  # origins up to and with each series

    def draw(self, rng: np.random.Generator, count: int) -> tuple[Array, Array]:
        """Draw pairs, every origin of every series as likely."""
        at = rng.integers(0, int(self.total[-1]), count)
        series = np.searchsorted(self.total, at, "right")
        origin = self.first[series] + at - np.where(series > 0, self.total[series - 1], 0)
        return series, origin + np.where(origin >= self.hole[series], self.wide[series], 0)

    def __len__(self) -> int:
        return int(self.total[-1]) if len(self.total) else 0

    def held_back(self, rng: np.random.Generator, count: int, steps: int) -> tuple[Pairs, Array, Array]:
        """Hold back one window of up to `count` series: return pairs whose steps do not touch them, and the windows' series and origins."""
        each = np.diff(self.total, prepend=0)
        able = np.flatnonzero(each >= 2 * steps)
        series = np.sort(rng.choice(able, min(count, len(able)), replace=False))
        origin = self.first[series] + rng.integers(0, each[series])
        low = np.maximum(origin - steps + 1, self.first[series])
        high = np.minimum(origin + steps, self.first[series] + each[series])
        hole, wide = self.hole.copy(), self.wide.copy()
        hole[series], wide[series] = low, high - low
        return replace(self, hole=hole, wide=wide, total=np.cumsum(each - wide)), series, origin


def pairs_of(view: View, steps: int) -> Pairs:
    """Return the pairs of a view: from one cycle after a series' first actual until few actuals follow."""
    known = np.isfinite(view.target)
    width = known.shape[1]
    some = known.any(1)
    first = np.where(some, known.argmax(1) + max(view.layout.patch, 2), 1)
    last = np.where(some, width - known[:, ::-1].argmax(1) - 1 - steps // 3, 0)
    count = np.where(some, np.maximum(last - first + 1, 0), 0)
    return Pairs(first, first, np.zeros_like(first), np.cumsum(count))


def truth_of(view: View, series: Array, origin: Array, steps: int) -> Array:
    """Return what was sold in the steps from each origin on, (steps, pairs), NaN where unknown."""
    inside = origin[:, None] + np.arange(steps) < view.target.shape[1]
    found: Array = np.where(inside, _window(view.target, series, origin, 0, steps), np.float32(np.nan)).T
    return found


def batches(view: View, pairs: Pairs, *, seed: int, batch: int, chunk: int, steps: int) -> Iterator[tuple[Array, ...]]:
    """Draw chunks of batches without end: encoder, decoder, fixed, level and truth, each with the chunk first."""
    rng = np.random.default_rng(seed)
    while True:
        series, origin = pairs.draw(rng, batch * chunk)
        drawn = tensors(view, series, origin, steps)
        truth = truth_of(view, series, origin, steps)

        def parted(value: Array, axis: int) -> Array:
            split = value.reshape(*value.shape[:axis], chunk, batch, *value.shape[axis + 1 :])
            return np.ascontiguousarray(np.moveaxis(split, axis, 0))

        yield (
            parted(drawn.encoder, 1),
            parted(drawn.decoder, 1),
            parted(drawn.fixed, 0),
            parted(drawn.level, 0),
            parted(truth, 1),
        )
