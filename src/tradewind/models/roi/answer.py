"""Questions about spend answered: what a channel brings in a period, its return, and that of the next unit. numpy only."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tradewind.core.errors import BadValue, MissingColumn, NotFound
from tradewind.core.model import WHOLE
from tradewind.core.table import Table
from tradewind.models._kit.intervals import LEVELS
from tradewind.models.roi import MODEL
from tradewind.models.roi.learned import Learned
from tradewind.models.roi.paths import Path, brought, next_unit, noise, path_of, stocked, without_media

Array = np.ndarray[Any, Any]
FURTHEST = 2  # years ahead that may be asked
_RETURNS = {"": 0.5, "_lo80": 0.1, "_hi80": 0.9, "_lo90": 0.05, "_hi90": 0.95}
STEADY = -1
EVERY = -1
NEAR = 1e-6  # of its range: closer to it than this, a control is not outside
SMALL = 1e-6  # of the usual spend: below it a return is that of the first unit


@dataclass(frozen=True, slots=True)
class Asked:
    """Rows read: channel (-1: the whole outcome), geo (-1: all), period (-1: a steady spend) and spend (NaN: not said)."""

    channel: Array
    geo: Array
    at: Array
    spend: Array
    path: Path
    ignored: tuple[str, ...]


def expand(state: Learned, horizon: int | None, where: Mapping[str, Any]) -> Table:
    """Return the questions of the next periods: every channel and the whole outcome; raises NotFound."""
    periods = horizon or MODEL.horizon or 13
    _check_end(state, state.cut + periods)
    names = [*state.channels, WHOLE]
    for name, wanted in where.items():
        if name != "channel":
            raise NotFound(f"spend has no {name!r} to choose by", hint="choose by: channel")
        values = [str(value) for value in (wanted if isinstance(wanted, list | tuple) else [wanted])]
        for value in values:
            _channel(state, value)
        names = [one for one in names if one in values]
    dates = state.clock.date(state.start + state.cut + np.arange(periods))
    channel = np.repeat(np.array(names, object), periods)
    return Table.from_columns({"channel": channel, "date": np.tile(dates, len(names))})


def predict(state: Learned, asked: Table) -> Table:
    """Answer one row per row: outcome with bounds, return and marginal return with bounds, in the order asked."""
    read = read_asked(state, asked)
    rows, draws = len(asked), len(state.half)
    outcome, ratio, slope = np.zeros((3, draws, rows))
    spend, beyond = spends(state, read)
    dated = read.at != STEADY
    if dated.any():
        _dated(state, read, np.flatnonzero(dated), (outcome, ratio, slope))
    if (~dated).any():
        _steady(state, read, np.flatnonzero(~dated), (outcome, ratio, slope))
    keys = {name: asked.column(name) for name in ("channel", "date", "geo") if name in asked}
    columns: dict[str, Array] = {**keys, "spend": spend, "mean": outcome.mean(0)}
    columns |= _quantiles(outcome, LEVELS, "")
    for name, draws_ in (("roi", ratio), ("marginal_roi", slope)):
        columns |= _quantiles(draws_ * state.per, _RETURNS, name)
    return Table.from_columns({**columns, "beyond": beyond}, MODEL.gives)


def spends(state: Learned, read: Asked) -> tuple[Array, Array]:
    """Return the spend of each row and how it compares with the highest ever spent in a period there."""
    spend, beyond = np.zeros((2, len(read.at)))
    past, usual = state.money[:, : state.cut], state.usual
    for row in range(len(read.at)):
        places = _places(state, int(read.geo[row]))
        chosen = [int(read.channel[row])] if read.channel[row] >= 0 else list(range(len(state.channels)))
        if read.at[row] != STEADY:
            spend[row] = read.path.money[places, int(read.at[row])][:, chosen].sum()
        else:
            spend[row] = usual[places][:, chosen].sum() if np.isnan(read.spend[row]) else read.spend[row]
        top = past[places][:, :, chosen].sum(0).max(0).sum()
        beyond[row] = spend[row] / top if top > 0 else 0.0
    return spend, beyond


def _quantiles(draws: Array, levels: Mapping[str, float], prefix: str) -> dict[str, Array]:
    ordered = np.sort(draws, 0)
    last = len(draws) - 1
    out = {}
    for name, level in levels.items():
        at = level * last
        low = int(at)
        out[prefix + name] = ordered[low] + (at - low) * (ordered[min(low + 1, last)] - ordered[low])
    return out


def read_asked(state: Learned, asked: Table) -> Asked:
    """Read questions; raises MissingColumn, NotFound, BadValue."""
    if "channel" not in asked:
        raise MissingColumn('column "channel" is missing', hint=f"channels: {', '.join(state.channels)}, {WHOLE}")
    channel = np.array([_channel(state, value) for value in asked.column("channel").tolist()], "i8")
    geo = np.array([_geo(state, value) for value in asked.column("geo").tolist()]) if "geo" in asked else np.full(len(asked), EVERY)
    at = _periods(state, asked)
    spend = asked.column("spend").astype("f8") if "spend" in asked else np.full(len(asked), np.nan)
    if np.isinf(spend).any() or (spend < 0).any():
        raise BadValue('column "spend" must hold amounts of zero or more')
    path, ignored = _written(state, asked, (channel, geo, at, spend))
    return Asked(channel, geo, at, spend, path, ignored)


def _channel(state: Learned, value: Any) -> int:
    name = str(value)
    if name == WHOLE:
        return -1
    if name not in state.channels:
        near = difflib.get_close_matches(name, state.channels, 3, 0.4) or state.channels
        raise NotFound(f"there is no channel {name!r}", hint=f"channels: {', '.join(near)}, {WHOLE}")
    return state.channels.index(name)


def _geo(state: Learned, value: Any) -> int:
    if value is None or str(value) in ("", WHOLE):
        return EVERY
    if str(value) not in state.geos:
        raise NotFound(f"there is no geo {str(value)!r}", hint=f"geos: {', '.join(state.geos) or 'none: it was learned as one'}")
    return state.geos.index(str(value))


def _check_end(state: Learned, periods: int) -> None:
    reach = FURTHEST * state.clock.grain.year
    if periods - state.cut > reach:
        grain = state.clock.grain.name
        raise BadValue(
            f"{periods - state.cut} {grain}s ahead cannot be answered", hint=f"ask for up to {reach} {grain}s after the last known"
        )


def _periods(state: Learned, asked: Table) -> Array:
    if "date" not in asked:
        return np.full(len(asked), STEADY)
    dates = asked.column("date")
    if dates.dtype.kind != "M":
        raise BadValue('column "date" must hold dates', hint="write dates as in 2026-11-30")
    none = np.isnat(dates)
    at = np.where(none, STEADY, state.clock.number(np.where(none, np.datetime64("1970-01-01"), dates)) - state.start)
    if (at[~none] < 0).any():
        raise BadValue(
            f"{dates[~none].min()} lies before the first period known", hint=f"ask from {state.clock.date(np.array([state.start]))[0]}"
        )
    if (~none).any():
        _check_end(state, int(at.max()) + 1)
    return at


def _written(state: Learned, asked: Table, read: tuple[Array, Array, Array, Array]) -> tuple[Path, tuple[str, ...]]:
    """Return the path of spend and controls with what was asked put in, and the columns that mean nothing here."""
    channel, geo, at, spend = read
    path = path_of(state, int(at.max(initial=0)) + 1 + state.lags)
    money, effective, other = path.money.copy(), path.spend.copy(), path.other.copy()
    seen: dict[tuple[int, int, int], float] = {}
    for row in np.flatnonzero((at != STEADY) & (channel >= 0) & np.isfinite(spend)).tolist():
        key = int(channel[row]), int(geo[row]), int(at[row])
        if seen.setdefault(key, spend[row]) != spend[row]:
            raise BadValue(f"{state.channels[key[0]]} is asked with two spends in one period", hint="ask one plan at a time")
        share = state.share[:, channel[row]] if geo[row] == EVERY else np.eye(len(state.geos))[geo[row]]
        put = share > 0 if geo[row] == EVERY else share == 1
        money[put, at[row], channel[row]] = (spend[row] * share)[put]
        effective[put, at[row], channel[row]] = (spend[row] * share)[put]
    ignored = []
    for name in asked.names:
        if name in ("channel", "geo", "date", "spend"):
            continue
        if name not in state.controls or asked.column(name).dtype.kind not in "biuf":
            ignored.append(name)
            continue
        values = asked.column(name).astype("f8")
        for row in np.flatnonzero((at != STEADY) & np.isfinite(values)).tolist():
            put = slice(None) if geo[row] == EVERY else slice(int(geo[row]), int(geo[row]) + 1)
            other[put, at[row], state.controls.index(name)] = values[row]
    return replace(path, money=money, spend=effective, other=other), tuple(ignored)


def strange(state: Learned, asked: Table) -> list[str]:
    """Say which controls are asked outside of all that was ever seen of them: what they do there is a straight line drawn on."""
    out = []
    for at, name in enumerate(state.controls):
        if name not in asked or asked.column(name).dtype.kind not in "biuf":
            continue
        values, seen = asked.column(name).astype("f8"), state.other[:, : state.cut, at]
        low, high = float(seen.min()), float(seen.max())
        slack = NEAR * max(high - low, abs(high))
        if (values < low - slack).any() or (values > high + slack).any():
            out.append(f"{name} was never outside of {low:.4g} to {high:.4g}: what it does beyond is drawn on, not learned")
    return out


def _places(state: Learned, geo: int) -> list[int]:
    return list(range(len(state.geos))) if geo == EVERY else [geo]


@dataclass(frozen=True, slots=True)
class _Line:
    """One channel in one geo over a window: what it brings (D, W), what each period's spend returns, and what the next unit would."""

    brought: Array
    returned: Array
    marginal: Array


def _dated(state: Learned, read: Asked, rows: Array, out: tuple[Array, ...]) -> None:
    """Fill outcome, return and marginal return of rows with a date."""
    outcome, ratio, slope = out
    window = slice(int(read.at[rows].min()), int(read.at[rows].max()) + 1)
    everything = bool((read.channel[rows] < 0).any())
    channels = range(len(state.channels)) if everything else sorted(set(read.channel[rows].tolist()))
    geos = range(len(state.geos)) if (read.geo[rows] == EVERY).any() else sorted(set(read.geo[rows].tolist()))
    lines = {(geo, one): _line(state, read.path, geo, one, window) for geo in geos for one in channels}
    rest = without_media(state, read.path, window) + noise(state, window) if everything else None
    for row in rows.tolist():
        at, places, there = int(read.at[row]), _places(state, int(read.geo[row])), int(read.at[row]) - window.start
        chosen = [int(read.channel[row])] if read.channel[row] >= 0 else list(channels)
        pairs = [(geo, one) for geo in places for one in chosen]
        paid = np.array([read.path.money[geo, at, one] for geo, one in pairs])
        share = paid / paid.sum() if paid.sum() > 0 else np.full(len(pairs), 1 / len(pairs))
        for pair, part in zip(pairs, share, strict=True):
            line = lines[pair]
            outcome[:, row] += line.brought[:, there]
            ratio[:, row] += part * line.returned[:, there]
            slope[:, row] += part * line.marginal[:, there]
        if rest is not None and read.channel[row] < 0:
            outcome[:, row] += rest[:, places, there].sum(1)


def _line(state: Learned, path: Path, geo: int, channel: int, window: slice) -> _Line:
    """Return what a channel does; a return counts everything that its period's spend carries over."""
    longer = slice(window.start, min(window.stop + state.lags - 1, path.periods))
    width = window.stop - window.start
    stock = stocked(state, path, geo, channel, longer)
    full, steep = brought(state, stock, geo, channel), next_unit(state, stock, geo, channel)
    weight = state.weights[:, channel]
    scaled = path.spend[geo, window, channel] / state.scale[geo, channel]
    paid = path.money[geo, window, channel]
    gain, marginal = np.zeros((2, len(stock), width))
    for lag in range(min(state.lags, longer.stop - longer.start)):
        here = slice(lag, min(lag + width, stock.shape[1]))
        span = here.stop - here.start
        share = weight[:, lag, None]
        bare = brought(state, np.maximum(stock[:, here] - share * scaled[:span], 0.0), geo, channel)
        gain[:, :span] += full[:, here] - bare
        marginal[:, :span] += share * steep[:, here]
    spends = paid > SMALL * max(float(state.usual[geo, channel]), 1e-9)
    safe = np.where(spends, paid, 1.0)
    marginal = marginal * np.where(spends, path.spend[geo, window, channel] / safe, 1.0)
    return _Line(full[:, :width], np.where(spends, gain / safe, marginal), marginal)


def _steady(state: Learned, read: Asked, rows: Array, out: tuple[Array, ...]) -> None:
    """Fill rows without a date: what a period brings when this is spent in every one."""
    outcome, ratio, slope = out
    usual = state.usual
    base = None
    for row in rows.tolist():
        places = _places(state, int(read.geo[row]))
        channels = [int(read.channel[row])] if read.channel[row] >= 0 else list(range(len(state.channels)))
        mix = usual[np.ix_(places, channels)] if read.geo[row] == EVERY else usual[places][:, channels]
        if mix.sum() <= 0:
            mix = state.share[np.ix_(places, channels)]
        asked = mix.sum() if np.isnan(read.spend[row]) else read.spend[row]
        shared = mix / mix.sum()
        for i, geo in enumerate(places):
            for j, channel in enumerate(channels):
                money = asked * shared[i, j]
                stock = np.full((len(state.half), 1), money / state.scale[geo, channel])
                got, step = brought(state, stock, geo, channel)[:, 0], next_unit(state, stock, geo, channel)[:, 0]
                outcome[:, row] += got
                small = money <= SMALL * max(float(usual[geo, channel]), 1e-9)
                ratio[:, row] += step * shared[i, j] if small else got / asked
                slope[:, row] += step * shared[i, j]
        if read.channel[row] < 0:
            if base is None:
                base = without_media(state, read.path, state.year).mean(2)
            outcome[:, row] += base[:, places].sum(1)
