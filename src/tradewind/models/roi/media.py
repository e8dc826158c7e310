"""A modelling table read into arrays: what was spent, what came of it, what else moved; checked, and told what was repaired."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tradewind.core.errors import BadValue, LearnFailed, MissingColumn
from tradewind.core.model import WHOLE
from tradewind.core.schema import Role, Type
from tradewind.core.table import Table
from tradewind.models._kit.calendar import Clock, clock_of
from tradewind.models.roi.baseline import STILL

Array = np.ndarray[Any, Any]
SPEND, EXPOSURE, RESPONDS, BELIEF = "spend_", "exposure_", "responds_", "belief_"
SPARSE = 0.5  # of the periods since it began: a channel told in fewer is one that has rows only where it spent
FEWEST = 20  # periods below which nothing can be estimated
LAGS = {"hour": 24, "day": 28, "week": 8, "month": 3, "quarter": 2}
LONGER = {"hour": 48, "day": 42, "week": 13, "month": 4, "quarter": 2}  # for carry-over that may peak late
YEAR = {"hour": 24 * 365.25, "day": 365.25, "week": 52.18, "month": 12.0, "quarter": 4.0}


@dataclass(frozen=True, slots=True)
class Test:
    """A lift test: what the spend of a window did inside it."""

    name: str
    channel: int
    geo: int  # -1: everywhere
    first: int  # periods from the start of the data, both inclusive
    last: int
    lift: float
    error: float
    change: float  # of the spend of the window; NaN: all of it against none
    inside: tuple[float, ...]  # the share of each period from first to last that lies in the window


@dataclass(frozen=True, slots=True)
class Media:
    """G geos, T periods of which the first `cut` are known, C channels, K controls."""

    clock: Clock
    start: int  # number of the first period
    cut: int
    geos: tuple[str, ...]
    channels: tuple[str, ...]
    controls: tuple[str, ...]
    y: Array  # (G, T), NaN where not known
    money: Array  # (G, T, C): spend
    spend: Array  # (G, T, C): spend as exposure had it: exposure x money per exposure
    other: Array  # (G, T, K)
    tests: tuple[Test, ...]
    responds: tuple[bool, ...]
    beliefs: tuple[str, ...]
    name: str  # of the outcome
    unit: str  # "money" or ""
    worth: float  # money per outcome; NaN where it is not known
    notes: tuple[str, ...] = ()


def read(table: Table, *, exposure: bool = True) -> Media:
    """Read a modelling table. Raises MissingColumn, BadValue, LearnFailed; what is repaired or left out is in `notes`."""
    for name in ("date", "outcome"):
        if name not in table:
            raise MissingColumn(f'column "{name}" is missing', hint="columns: date, outcome, spend_<channel>, ...")
    tested = _texts(table, "test") != ""
    body, tests = _known_places(table.take(~tested)), table.take(tested)
    dates = body.column("date").astype("M8[D]")
    if len(dates) == 0 or np.isnat(dates).any():
        raise BadValue("a row of the modelling table has no date")
    clock = clock_of(np.unique(dates))
    geos = tuple(sorted(set(_texts(body, "geo").tolist()))) if "geo" in body else ("",)
    number = clock.number(dates)
    start = int(number.min())
    shape = (len(geos), int(number.max()) - start + 1)
    place = (
        np.array([geos.index(one) for one in _texts(body, "geo").tolist()]) if "geo" in body else np.zeros(len(body), "i8"),
        number - start,
    )
    notes: list[str] = []
    y = _grid(_numbers(body, "outcome"), place, shape, "sum")
    channels, money = _spends(body, (place, shape), clock.grain.name, notes)
    spend = _exposed(body, (channels, money), (place, shape), notes) if exposure else money
    cut = int(np.flatnonzero(np.isfinite(y).any(0)).max(initial=-1)) + 1
    if cut == 0:
        raise LearnFailed("no outcome is known", hint="is the outcome column mapped right?")
    _noted(body, y[:, :cut], place, notes)
    target = table.schema.get("outcome")
    worth = _grid(_numbers(body, "value"), place, shape, "mean") if "value" in body else np.full(shape, np.nan)
    media = Media(
        clock,
        start,
        cut,
        geos,
        channels,
        (),
        y,
        money,
        spend,
        np.zeros((*shape, 0)),
        (),
        tuple(_flag(body, RESPONDS + one) for one in channels),
        tuple(_last_text(body, BELIEF + one) for one in channels),
        (target.meaning if target is not None and target.meaning else "outcome"),
        target.unit if target is not None else "",
        float(np.nanmean(worth)) if np.isfinite(worth).any() else np.nan,
    )
    media, dropped = _checked(media)
    names, other = _controls(body, place, shape, media, notes)
    found = _tests(tests, media, notes)
    return replace(media, controls=names, other=other, tests=found, notes=tuple(notes + dropped))


def _known_places(body: Table) -> Table:
    """Return the rows of geos whose outcome is known in some period: others have just begun, or have not yet."""
    if "geo" not in body:
        return body
    geos, known = _texts(body, "geo"), np.isfinite(_numbers(body, "outcome"))
    return body.take(np.isin(geos, np.unique(geos[known]))) if known.any() else body


def _numbers(table: Table, name: str) -> Array:
    values = table.column(name)
    if values.dtype == object:
        raise BadValue(f'column "{name}" must hold numbers')
    values = values.astype("f8")
    if np.isinf(values).any():
        raise BadValue(f'column "{name}" holds a value that is not finite')
    return values


def _texts(table: Table, name: str) -> Array:
    if name not in table:
        return np.full(len(table), "", object)
    return np.array(["" if value is None else str(value) for value in table.column(name).tolist()], object)


def _grid(values: Array, place: tuple[Array, Array], shape: tuple[int, int], way: str) -> Array:
    """Return values by geo and period; several in one place are added up or averaged, none is NaN."""
    known = np.isfinite(values)
    summed, count = np.zeros(shape), np.zeros(shape)
    np.add.at(summed, (place[0][known], place[1][known]), values[known])
    np.add.at(count, (place[0][known], place[1][known]), 1.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(count > 0, summed if way == "sum" else summed / count, np.nan)


def _spends(body: Table, where: tuple[Any, Any], period: str, notes: list[str]) -> tuple[tuple[str, ...], Array]:
    """Return the channels and what each spent, (G, T, C): nothing where none is told. What looks like a gap is told."""
    place, shape = where
    names = [name for name in body.names if name.startswith(SPEND)]
    if not names:
        raise MissingColumn("there is no spend to learn from", hint="load marketing: date, channel, spend")
    channels = tuple(name.removeprefix(SPEND) for name in names)
    for name in channels:
        if name.lower() == WHOLE:
            hint = "leave rows out that add other channels up, or give the channel another name"
            raise BadValue(f"{name!r} cannot be a channel: it asks for the whole outcome", hint=hint)
    told = np.stack([_grid(_numbers(body, name), place, shape, "sum") for name in names], -1)
    if (told < 0).any():
        raise BadValue(f"{channels[int(np.argmax((told < 0).any((0, 1))))]} has negative spend")
    known = np.isfinite(told).any(0)
    last = int(np.flatnonzero(known.any(1)).max(initial=0))
    for name, there in zip(channels, known.T, strict=True):
        span = there[int(np.argmax(there)) : last + 1]
        gaps = int((~span).sum())
        if 0 < gaps <= SPARSE * len(span):
            notes.append(f"channel {name}: no spend is told for {gaps} {period}{'s' if gaps > 1 else ''}, taken as none")
    return channels, np.nan_to_num(told)


def _exposed(body: Table, spent_on: tuple[tuple[str, ...], Array], where: tuple[Any, Any], notes: list[str]) -> Array:
    """Return spend as exposure had it, where exposure is known wherever money was spent."""
    (channels, money), (place, shape) = spent_on, where
    out = money.copy()
    for at, channel in enumerate(channels):
        name = EXPOSURE + channel
        if name not in body:
            continue
        seen = np.nan_to_num(_grid(_numbers(body, name), place, shape, "sum"))
        spent = money[..., at] > 0
        if (seen < 0).any():
            raise BadValue(f"{channel} has negative impressions")
        if not spent.any() or (seen[spent] > 0).mean() < 0.98:
            notes.append(f"channel {channel}: impressions are not known wherever money was spent, so spend is used")
            continue
        out[..., at] = seen * (money[..., at].sum() / seen.sum())
        planned = spent & (seen == 0)
        out[..., at] = np.where(planned, money[..., at], out[..., at])
    return out


def _noted(body: Table, y: Array, place: tuple[Array, Array], notes: list[str]) -> None:
    """Tell periods that came twice and periods that did not come."""
    count = np.zeros((len(y), y.shape[1]))
    inside = place[1] < y.shape[1]
    np.add.at(count, (place[0][inside], place[1][inside]), np.nan_to_num(_numbers(body, "rows"))[inside] if "rows" in body else 1.0)
    usual = np.median(count[count > 0]) if (count > 0).any() else 1.0
    twice = int((count > usual).sum())
    if twice:
        notes.append(f"{twice} periods came more than once and were added up")
    began = np.argmax(np.isfinite(y), 1)
    missing = int(sum(np.isnan(row[first:]).sum() for row, first in zip(y, began, strict=True)))
    if missing:
        notes.append(f"{missing} periods have no outcome: they are not learned from, and their spend still carries over")


def _flag(body: Table, name: str) -> bool:
    return name in body and bool((np.nan_to_num(_numbers(body, name)) > 0).any())


def _last_text(body: Table, name: str) -> str:
    said = [value for value in _texts(body, name).tolist() if value] if name in body else []
    return said[-1] if said else ""


def _checked(media: Media) -> tuple[Media, list[str]]:
    """Refuse what cannot be estimated; leave out channels that never spent."""
    y = media.y[:, : media.cut]
    known = int(np.isfinite(y).any(0).sum())
    period = media.clock.grain.name
    if known < FEWEST:
        raise LearnFailed(f"{known} {period}s are too few to learn returns from", hint=f"load at least {FEWEST} {period}s, better a year")
    moves = np.array([np.nanstd(row) > 1e-9 * abs(np.nanmean(row)) for row in y])
    if not moves.all():
        raise BadValue(f"{media.name} never changes", hint="nothing can be learned from an outcome that is constant")
    if (np.nanmean(y, 1) <= 0).any():
        raise BadValue(f"the mean of {media.name} is zero or less", hint="returns are measured against sales above zero")
    began = np.isfinite(y).argmax(1)  # of each geo: what was spent before it is known only carries over
    spent = sum(money[first : media.cut].sum(0) for money, first in zip(media.money, began, strict=True)) > 0
    if not spent.any():
        hint = f"there is no return without spend: is the spend column mapped right, and of the time that {media.name} is known?"
        raise BadValue("no channel ever spent anything", hint=hint)
    silent = [name for name, has in zip(media.channels, spent, strict=True) if not has]
    keep = np.flatnonzero(spent)
    free = known - 2 * len(keep)
    if free < 10:
        raise LearnFailed(
            f"{known} {period}s cannot tell {len(keep)} channels apart",
            hint="add up channels that were planned together, or load more history",
        )
    media = replace(
        media,
        channels=tuple(media.channels[at] for at in keep),
        money=media.money[..., keep],
        spend=media.spend[..., keep],
        responds=tuple(media.responds[at] for at in keep),
        beliefs=tuple(media.beliefs[at] for at in keep),
    )
    return media, [f"channel {name} never spent anything and is left out" for name in silent] + _twins(media.channels)


def _twins(channels: tuple[str, ...]) -> list[str]:
    """Tell channels whose names differ in their writing only."""
    alike: dict[str, list[str]] = {}
    for name in channels:
        alike.setdefault(re.sub(r"[\W_]+", "", name.casefold()) or name, []).append(name)
    same = [f"channels {' and '.join(names)} differ in writing only: are they one?" for names in alike.values() if len(names) > 1]
    return same


def _controls(body: Table, place: Any, shape: Any, media: Media, notes: list[str]) -> tuple[tuple[str, ...], Array]:
    """Return the controls that move, gaps filled with the value before; what moves almost exactly with the outcome is a part of it."""
    skip = ("date", "geo", "outcome", "rows", "value")
    fixed = (SPEND, EXPOSURE, RESPONDS, BELIEF, "test")
    names, grids = [], []
    y = media.y[:, : media.cut]
    for column in body.schema:
        name = column.name
        if name in skip or name.startswith(fixed) or column.type is Type.TEXT or column.role is Role.PAST or name not in body.names:
            continue
        values = _numbers(body, name) if body.column(name).dtype.kind in "biuf" else None
        if values is None:
            continue
        if name in ("price", "competitor_price") and (values < 0).any():
            raise BadValue(f'column "{name}" holds a price below zero')
        grid = _carried(_grid(values, place, shape, "mean"), slice(max(media.cut - media.clock.grain.year, 0), media.cut))
        past = grid[:, : media.cut]
        if (past.std(1) <= STILL * np.maximum(np.abs(past.mean(1)), 1e-3)).all():
            if len(past) > 1 and np.ptp(past.mean(1)) > 0:
                notes.append(f"control {name} differs between geos and never moves in one: the level of each geo holds it")
            continue
        both = np.isfinite(y)
        if abs(np.corrcoef(past[both], y[both])[0, 1]) > 0.97:
            notes.append(f"control {name} moves almost exactly as {media.name} does: taken as a part of it, not as a cause")
            continue
        names.append(name)
        grids.append(grid)
    return tuple(names), np.stack(grids, -1) if grids else np.zeros((*shape, 0))


def _carried(grid: Array, year: slice) -> Array:
    """Return the grid with gaps filled with the value before, or the first one; times to come that nothing tells of: the `year`'s mean."""
    out = grid.copy()
    for row in out:
        known = np.flatnonzero(np.isfinite(row))
        if len(known) == 0:
            row[:] = 0.0
            continue
        at = np.maximum(np.searchsorted(known, np.arange(len(row)), side="right") - 1, 0)
        row[:] = row[known[at]]
        row[max(known[-1] + 1, year.stop) :] = row[year].mean()
    return out


def _tests(rows: Table, media: Media, notes: list[str]) -> tuple[Test, ...]:
    """Read the experiments; one of a channel or time that is not here is left out, and told."""
    found = []
    if len(rows) == 0:
        return ()
    opens, closes = (rows.column(name).astype("M8[D]") for name in ("date", "test_end"))
    begins, ends = (media.clock.number(days) - media.start for days in (opens, closes))
    names, channels, places = _texts(rows, "test"), _texts(rows, "test_channel"), _texts(rows, "test_geo")
    lifts, errors = _numbers(rows, "test_lift"), _numbers(rows, "test_error")
    changes = _numbers(rows, "test_change") if "test_change" in rows else np.full(len(rows), np.nan)
    for at, name in enumerate(names.tolist()):
        if channels[at] not in media.channels or begins[at] < 0 or ends[at] >= media.cut:
            notes.append(f"experiment {name} is left out: its channel or time is not in the data")
            continue
        if not (np.isfinite(lifts[at]) and errors[at] > 0):
            raise BadValue(f"experiment {name} needs a lift and a standard error above zero")
        channel = media.channels.index(channels[at])
        geo = media.geos.index(places[at]) if places[at] in media.geos and media.geos != ("",) else -1
        window = media.money[:, begins[at] : ends[at] + 1, channel]
        if (window if geo < 0 else window[geo]).sum() <= 0:
            notes.append(f"experiment {name} is left out: {channels[at]} spent nothing in its window")
            continue
        if places[at] and geo < 0 and media.geos != ("",):
            notes.append(f"experiment {name} is left out: geo {places[at]} is not in the data")
            continue
        inside = _inside(media.clock, media.start + np.arange(begins[at], ends[at] + 1), (opens[at], closes[at]))
        numbers = (float(lifts[at]), float(errors[at]), float(changes[at]))
        found.append(Test(name, channel, geo, int(begins[at]), int(ends[at]), *numbers, inside))
    return tuple(found)


def _inside(clock: Clock, periods: Array, window: tuple[Any, Any]) -> tuple[float, ...]:
    """Return the share of each period's days that lies in a window, both ends inclusive."""
    low, after = (clock.date(numbers).astype("M8[D]").astype("i8") for numbers in (periods, periods + 1))
    first, last = (one.astype("M8[D]").astype("i8") for one in window)
    days = np.minimum(after, last + 1) - np.maximum(low, first)
    return tuple(float(one) for one in np.clip(days / np.maximum(after - low, 1), 0.0, 1.0))


def together(media: Media) -> Media:
    """Return the geos added up into one. A test of one geo is kept in proportion to its share of the spend in its window."""
    if len(media.geos) == 1:
        return media
    known = np.isfinite(media.y)
    y = np.where(known.all(0), np.nansum(media.y, 0), np.nan)[None]
    tests = []
    for test in media.tests:
        window = media.money[:, test.first : test.last + 1, test.channel].sum(1)
        share = 1.0 if test.geo < 0 else window.sum() / window[test.geo]
        tests.append(replace(test, geo=-1, lift=test.lift * share, error=test.error * share))
    share = np.nansum(media.y, 1) / np.nansum(media.y)
    return replace(
        media,
        geos=("",),
        y=y,
        money=media.money.sum(0, keepdims=True),
        spend=media.spend.sum(0, keepdims=True),
        other=np.einsum("g,gtk->tk", share, media.other)[None],
        tests=tuple(tests),
    )


def believed(media: Media, params: Mapping[str, Any]) -> tuple[Array, Array, list[str]]:
    """Return centre and width of the log return of each channel, and what was said about them in words.

    Money (or outcomes with a worth): centre e^0.2 = 1.2, width 0.9, and one channel in ten does next to nothing. Otherwise the media are
    taken to bring a quarter of the outcome, each as much per money: who plans them spends where it works (so does Meridian where a KPI has
    no worth). A belief such as "2", "about 2" or "1 to 4" of a channel stands for its own: the range is its 90 % interval.
    """
    from tradewind.models.roi.beliefs import CENTRE, SHARE, WIDTH, spoken

    count = len(media.channels)
    sales, spent = np.nansum(media.y[:, : media.cut]), media.money[:, : media.cut].sum((0, 1))
    per_outcome = 1.0 if media.unit == "money" else media.worth
    if params.get("worth", 0.0) > 0:
        per_outcome = params["worth"]
    basis = params["basis"]
    if basis == "automatic":
        basis = "return" if np.isfinite(per_outcome) else "contribution"
    width = np.full(count, WIDTH[params["belief"]])
    words: list[str] = []
    if basis == "contribution" or not np.isfinite(per_outcome):
        centre = np.full(count, np.log(SHARE * sales / spent.sum()))
        shared = f"before the data the media are taken to bring about a quarter of {media.name}, each channel as much per money spent"
        words.append(f"{shared}: its worth is not known")
        per_outcome = 1.0 if not np.isfinite(per_outcome) else per_outcome
    else:
        centre = np.full(count, CENTRE) - np.log(per_outcome)
    for at, (channel, said, responds) in enumerate(zip(media.channels, media.beliefs, media.responds, strict=True)):
        if responds:
            centre[at] -= np.log(2.0)
            words.append(f"{channel} responds to demand: it is paid when people look anyway, so what is found for it is an upper bound")
        if said:
            low, high = spoken(said, channel)
            centre[at] = (np.log(low) + np.log(high)) / 2 - np.log(per_outcome)
            width[at] = (np.log(high) - np.log(low)) / (2 * 1.645)
            words.append(f"channel {channel} was believed to return {said} before the data")
    return centre, width, words
