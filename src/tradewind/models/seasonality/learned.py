"""From a modelling table to what every recipe starts from, and from what a recipe found to components."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.core.errors import LearnFailed
from tradewind.core.table import Table
from tradewind.models._kit.forecast.notes import cleaned
from tradewind.models._kit.forecast.stats_paths import filled
from tradewind.models._kit.intervals import TAUS
from tradewind.models._kit.panel import Panel, from_table
from tradewind.models.seasonality import turning
from tradewind.models.seasonality.seasons import BLOCK, JOINED, LEAST, RANGE, Season, of_history, phase, told
from tradewind.models.seasonality.state import STILL, Components

Array = np.ndarray[Any, Any]
NEAR = 10  # days around a day of the year that tell it too
CALM = 10
NEGATIVE = 0.5  # share of figures below zero from which on they are no amounts
FEW, NONE = f"fewer than {LEAST} figures", "no figure above zero"
TOLD = 5  # names in a note


@dataclass(frozen=True, slots=True)
class Given:
    """A panel, its figures over their level and range (series, history) with NaN where unknown, both of these, and what was repaired."""

    panel: Panel
    figures: Array
    level: Array
    kept: Array  # log share of the range that was on sale
    notes: tuple[str, ...]
    left: dict[str, str]  # series that are left out, and why


@dataclass(frozen=True, slots=True)
class Own:
    """Windows and levers with what they do."""

    names: tuple[str, ...] = ()
    levers: tuple[str, ...] = ()
    columns: dict[str, Array] | None = None
    coefficient: Array | None = None
    error: Array | None = None
    together: Array | None = None  # covariance of the levers' coefficients, (series, levers, levers)
    centre: dict[str, Array] | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """What a recipe found, in logs over the level."""

    trend: Array
    trend_error: Array
    slope: Array
    seasons: tuple[Season, ...]
    index: dict[str, Array]
    index_error: dict[str, Array]
    own: Own = Own()
    pooled: Array | None = None  # standard errors of the mean coefficient over series
    wider: Array | float = 1.0  # by how much figures stray more than those that were learned from


def given(table: Table) -> Given:
    """Read the modelling table; raises LearnFailed for a history too short, all zero, or mostly below zero."""
    amounts(table)
    panel = from_table(table)
    if panel.cut < LEAST:
        raise LearnFailed(f"{panel.cut} periods are too few to take apart", hint=f"load at least {LEAST}, two years to see a year's season")
    past = panel.target[:, : panel.cut].astype("f8")
    known = np.isfinite(past)
    sold = np.where(known, past, 0).sum(1)
    rows = np.flatnonzero((sold > 0) & (known.sum(1) >= LEAST))
    left = _left(panel, known.sum(1), rows)
    if len(rows) == 0:
        raise LearnFailed(f"no series has {LEAST} figures", hint="wait until there are more, or load something coarser")
    notes = [*cleaned(table, panel, "units"), *_told(left)]
    panel, past, known = panel.take(rows), past[rows], known[rows]
    flat = int((np.nanmax(past, 1) == np.nanmin(past, 1)).sum())
    if flat:
        notes.append(f"{flat} series never change: their seasons are one throughout")
    kept = np.zeros_like(past)
    if RANGE in panel.past:
        share = panel.past[RANGE].astype("f8")
        kept = np.log(np.where(np.isfinite(share) & (share > 0), share, 1.0))
    whole = past / np.exp(kept)
    level = np.where(known, whole, 0).sum(1) / known.sum(1)
    return Given(panel, whole / level[:, None], level, kept, tuple(notes), left)


def amounts(table: Table) -> None:
    """Raise LearnFailed where no figure lies above zero or most lie below it: what is left at zero has no season."""
    amount = table.column("units").astype("f8")
    below, known = int((amount < 0).sum()), int(np.isfinite(amount).sum())
    if known and below == 0 and not (amount > 0).any():
        raise LearnFailed("every figure is zero: there is no season in nothing", hint="check the column that was loaded as units")
    if below > NEGATIVE * known:
        raise LearnFailed(
            f"{below:,} of {known:,} figures lie below zero, where a figure counts as none: too little is left to take apart",
            hint="check the sign, and the column that was loaded: a season is told of amounts",
        )


def _left(panel: Panel, count: Array, rows: Array) -> dict[str, str]:
    """Return the series that are left out by name, and why."""
    kept, names = set(rows.tolist()), list(panel.index)
    return {JOINED.join(names[row]): FEW if 0 < count[row] < LEAST else NONE for row in range(len(panel)) if row not in kept}


def _told(left: dict[str, str]) -> list[str]:
    """Say how many series are left out for each reason, and the first of them by name."""
    said = []
    for why in (NONE, FEW):
        names = [name.replace(JOINED, ", ") for name, own in left.items() if own == why]
        if names:
            more = ", ..." if len(names) > TOLD else ""
            said.append(f"{len(names)} series {'is' if len(names) == 1 else 'are'} left out, with {why}: {', '.join(names[:TOLD])}{more}")
    return said


def components(given: Given, made: Made, *, look: bool) -> Components:
    """Work out what is left, strengths and turns, and put all in one."""
    panel, figures = given.panel, given.figures
    numbers = panel.numbers()[: panel.cut]
    seasonal = {season.name: made.index[season.name][:, phase(season, panel.clock, numbers)] for season in made.seasons}
    whole = made.trend + sum(seasonal.values())
    own = made.own
    columns = own.columns or {}
    empty = np.zeros((len(panel), 0))
    coefficient, own_error = (empty if part is None else part for part in (own.coefficient, own.error))
    for at, name in enumerate(own.names):
        whole = whole + coefficient[:, at : at + 1] * columns[name][:, : panel.cut]
    known = np.isfinite(figures)
    ratio = np.where(known, figures / np.exp(whole), np.nan)
    smear = np.log(np.clip(np.nanmean(ratio, 1), 0.8, 1.25))[:, None]  # logarithms lie below the logarithm of the mean
    trend, whole, ratio = made.trend + smear, whole + smear, ratio / np.exp(smear) - 1
    left = np.where(known, np.log(np.maximum(figures, 0.02)) - whole, np.nan)  # a zero is a small number here and no abyss
    spread = np.maximum(_quantile_width(ratio), 1e-4)
    shape = np.quantile((ratio / spread[:, None])[known], TAUS)
    facts = _facts(given, made, coefficient)
    if "year" in seasonal:
        facts["shifts"] = shifts(given, made.index["year"], left, _taken(given, made))
    return Components(
        panel.clock,
        panel.first,
        dict(panel.keys),
        made.seasons,
        trend + given.kept + np.log(given.level)[:, None],
        made.trend_error,
        made.slope,
        made.index,
        made.index_error,
        own.names,
        own.levers,
        {name: columns[name] for name in own.names},
        coefficient,
        own_error,
        np.zeros((len(panel), 0, 0)) if own.together is None else own.together,
        own.centre or {},
        spread * made.wider,
        shape,
        strengths(trend, seasonal, left),
        _turns(panel, trend + np.nan_to_num(left), known) if look else (),
        facts,
    )


def _facts(given: Given, made: Made, coefficient: Array) -> dict[str, Any]:
    """Return what is told in words and by the way: plain JSON data."""
    panel, own = given.panel, made.own
    facts: dict[str, Any] = {
        "notes": [*given.notes, *_unseen(given, made.seasons)],
        "untold": [season.name for season in of_history(panel.grain.name, panel.cut)[1]],
        "left": given.left,
        "periods": panel.cut,
        "drift": _drift(made.trend),
        "kinds": {name: panel.kinds[name] for name in own.levers},
    }
    if own.names and made.pooled is not None:
        facts["pooled"] = {name: [float(coefficient[:, at].mean()), float(made.pooled[at])] for at, name in enumerate(own.names)}
    return facts


def _turns(panel: Panel, level: Array, known: Array) -> tuple[tuple[int, int, float, float], ...]:
    size = {"hour": 24, "day": 7}.get(panel.grain.name, 1)
    start = int(panel.first)
    return tuple((row, start + at, step, error) for row, at, step, error in turning.turns(level, known, size))


def strengths(trend: Array, seasonal: dict[str, Array], left: Array) -> dict[str, Array]:
    """Return 0-1 of the trend and each season: one less the share of what is left in their sum (Wang, Smith and Hyndman 2006).

    What does not move has no strength: there rounding would be divided by rounding.
    """
    rest = np.nanvar(left, 1)
    out = {}
    for name, value in {"trend": trend, **seasonal}.items():
        both = np.nanvar(value + left, 1)
        out[name] = np.where(both > STILL**2, np.clip(1 - rest / np.maximum(both, STILL**2), 0, 1), 0.0)
    return out


def _unseen(given: Given, seasons: tuple[Season, ...]) -> list[str]:
    """Say which phases have no figure at all: their index is what the others leave."""
    known = np.isfinite(given.figures).any(0)
    numbers = given.panel.numbers()[: given.panel.cut]
    said = []
    for season in seasons:
        if season.phases < 366:
            there = np.bincount(phase(season, given.panel.clock, numbers)[known], minlength=season.phases)
            none = [told(season, at) for at in np.flatnonzero(there == 0).tolist()]
            if none:
                said.append(f"no figure is known of any {', '.join(none)}: that index is what the others leave, and no more than a guess")
    return said


def shifts(given: Given, index: Array, left: Array, wider: Array) -> list[tuple[int, int, float, float]]:
    """Return (series, year, days later than usual, standard error) of every whole year: what is left against the slope of the index.

    A season that comes s days late leaves -s times its slope, so s is a regression. Its error is over blocks of time of all years
    together, as one year has few, widened by what the fit took (`wider`, a factor per series) and by how few blocks there are.
    """
    panel = given.panel
    season = next(season for season in seasons_of(panel) if season.name == "year")
    numbers = panel.numbers()[: panel.cut]
    days = 366 / season.phases
    slope = (np.roll(index, -1, 1) - np.roll(index, 1, 1)) / (2 * days)
    at, years = phase(season, panel.clock, numbers), panel.clock.date(numbers).astype("M8[Y]").astype("i8") + 1970
    block = max(1, min(BLOCK[panel.grain.name], round(season.length / 4)))
    found, squares, free = [], np.zeros(len(left)), 0
    for year in np.unique(years).tolist():
        mine = np.flatnonzero(years == year)
        if len(mine) < 0.95 * season.length:
            continue
        x, y = slope[:, at[mine]], np.nan_to_num(left[:, mine])
        power = np.maximum((x**2).sum(1), 1e-12)
        late = -(x * y).sum(1) / power
        sums = np.add.reduceat(x * (y + late[:, None] * x), np.arange(0, len(mine), block), 1)
        squares, free = squares + (sums**2).sum(1), free + sums.shape[1] - 1
        found.append((year, late, power, sums.shape[1]))
    if not found:
        return []
    spread = np.sqrt(squares / free) * wider * few(free)
    return [
        (row, year, float(late[row]), float(spread[row] * np.sqrt(count) / power[row]))
        for year, late, power, count in found
        for row in range(len(late))
    ]


def _taken(given: Given, made: Made) -> Array:
    """Return by how much figures stray more than what a fit leaves of them: as the recipe says, else by what trend and seasons take."""
    if not isinstance(made.wider, float):
        return made.wider
    cut = given.panel.cut
    used = sum(season.phases / (2 * _near(season) + 1) + cut / season.length for season in made.seasons)
    return np.full(len(given.panel), np.sqrt(cut / max(cut - used, 0.1 * cut)))


def few(free: float) -> float:
    """Return by how much an error known from so many figures is to be widened for a 95 % interval: Student's over the normal one."""
    z = 1.96
    return 1 + (z**2 + 1) / (4 * free) + (5 * z**4 + 16 * z**2 + 3) / (96 * free**2)


def _quantile_width(ratio: Array) -> Array:
    """Return each series' spread as half the width between its 10 % and 90 % quantiles."""
    out = []
    for row in ratio:
        fine = row[np.isfinite(row)]
        out.append(0.5 * float(np.diff(np.quantile(fine, (0.1, 0.9)))[0]) if len(fine) else 0.0)
    return np.array(out)


def _drift(trend: Array) -> float:
    """Return how far the trend strays a period, by its own past changes over a season of the year or what there is."""
    lag = max(1, min(trend.shape[1] // 3, 91))
    moved = trend[:, lag:] - trend[:, :-lag]
    return float(np.sqrt(np.mean((moved - moved.mean(1, keepdims=True)) ** 2) / lag)) if moved.size else 0.0


def by_phase(values: Array, known: Array, season: Season, panel: Panel) -> Array:
    """Return the mean of each phase, (series, phases): a day of the year with its neighbours."""
    mean = np.zeros((len(values), season.phases))
    for place, mine in enumerate(_windows(season, panel)):
        there = known[:, mine]
        mean[:, place] = np.where(there, values[:, mine], 0).sum(1) / np.maximum(there.sum(1), 1)
    return mean


def _windows(season: Season, panel: Panel) -> list[Array]:
    """Return the periods that tell each phase."""
    at = phase(season, panel.clock, panel.numbers()[: panel.cut])
    return [np.flatnonzero(np.minimum(away := np.abs(at - place), season.phases - away) <= _near(season)) for place in range(season.phases)]


def _near(season: Season) -> int:
    return NEAR if season.phases == 366 else 0  # a day of the year alone has two or three figures


def phase_error(rest: Array, known: Array, season: Season, panel: Panel) -> Array:
    """Return the standard error of each phase's mean, (series, phases), from what figures leave beside it, trend taken out.

    One cycle of the season is one figure of a phase, its level taken out: what errs together inside a cycle is no more than one. Cycles
    are few, so the variance of a phase is held against that of all phases as if CALM cycles had said it.
    """
    cycle = _cycle(season, panel)
    count = np.maximum(np.array([np.bincount(cycle, row, int(cycle[-1]) + 1) for row in known.astype("f8")]), 1)
    level = np.array([np.bincount(cycle, row, int(cycle[-1]) + 1) for row in np.where(known, rest, 0.0)]) / count
    rest = rest - level[:, cycle]
    squares, number = np.zeros((2, len(rest), season.phases))
    for place, mine in enumerate(_windows(season, panel)):
        if len(mine) == 0:
            continue
        starts = np.flatnonzero(np.diff(cycle[mine], prepend=-1))
        there = np.add.reduceat(known[:, mine].astype("f8"), starts, 1)
        mean = np.add.reduceat(np.where(known[:, mine], rest[:, mine], 0.0), starts, 1) / np.maximum(there, 1)
        squares[:, place], number[:, place] = (mean**2).sum(1), (there > 0).sum(1)
    cycles, phases = max(panel.cut / season.length, 1.5), season.phases / (2 * _near(season) + 1)
    free = cycles * phases / ((cycles - 1) * (phases - 1))  # levels of cycles and means of phases were taken from the same figures
    whole = squares.sum(1) / np.maximum(number.sum(1), 1)
    found: Array = np.sqrt(free * (CALM * whole[:, None] + squares) / (CALM + number) / np.maximum(number, 1))
    return found * few((cycles - 1) * (phases - 1))


def _cycle(season: Season, panel: Panel) -> Array:
    """Return the number of the cycle of the season that each period of the history lies in, from 0."""
    numbers = panel.numbers()[: panel.cut]
    dates = panel.clock.date(numbers)
    found = dates.astype("M8[Y]").astype("i8") if season.name == "year" else dates.astype("M8[D]").astype("i8")
    found = (found + 3) // 7 if season.name == "week" else found
    return np.unique(found, return_inverse=True)[1]


def without_gaps(figures: Array) -> Array:
    """Return log figures with gaps filled by straight lines."""
    return filled(np.where(np.isfinite(figures), np.log(np.maximum(np.nan_to_num(figures), 0.02)), np.nan))


def seasons_of(panel: Panel) -> tuple[Season, ...]:
    """Return the seasons that the history can tell."""
    return of_history(panel.grain.name, panel.cut)[0]
