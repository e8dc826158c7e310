"""Families of statistical forecasts: histories without gaps in, one mean path per series out."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.models._kit.calendar import Grain

Array = np.ndarray[Any, Any]
Path = Callable[[Array, Array, Grain, int], Array]
"""(values, known, grain, horizon) -> (series, horizon)."""
CHUNK = 200  # series worked on at once
POOLED = 30.0  # sales of a series that weigh as much as what all series do within a cycle
MOST_STATES = 24  # the longest season that exponential smoothing carries: 52 weeks are too many states for it
BEST = 3  # filters whose mean is taken
FADE = 0.7  # what a pair a year apart counts, of the next newer one
DOUBTED = 1.0  # pairs a year apart that weigh as much as that nothing grows
FEWEST = 6  # pairs a year apart, less one per series, that tell whether a year repeats
FIRST = 6  # values that a filter begins at the mean of, where no season says how many
FILTERS = np.array([(a, g, f) for a in (0.01, 0.05, 0.12, 0.25, 0.5, 0.8) for g in (0.02, 0.12, 0.3) for f in (0.0, 0.9, 0.98)])
"""How quickly level and season follow, and the damping of the trend (0 = none), of each filter of `smoothing`."""


def filled(past: Array, first: int = 1) -> Array:
    """Return the past without gaps: straight lines between known values, the last one after them, zero where there is none.

    Before them stands the mean of the `first` values: where a filter begins, a single value is as far off as the noise of a series.
    """
    out = np.zeros(past.shape)
    at = np.arange(past.shape[1])
    known = np.isfinite(past)
    whole = known.all(1)
    out[whole] = past[whole]
    for row in np.flatnonzero(~whole & known.any(1)):
        there = at[known[row]]
        out[row] = np.interp(at, there, past[row, there])
        out[row, : there[0]] = past[row, there[:first]].mean()
    return out


def beginning(grain: Grain) -> int:
    """Return how many values a filter begins at the mean of: whole cycles where the periods have one."""
    return max(2 * grain.cycle, FIRST)


def season_of(grain: Grain, width: int) -> int:
    """Return the season that exponential smoothing can carry on a history of this width, 1 for none."""
    season = grain.cycle if grain.cycle > 1 else grain.season
    return season if season <= MOST_STATES and width >= 2 * season + 2 else 1


def repeats(past: Array, grain: Grain) -> bool:
    """Tell whether sales of months or quarters are too young for a season to be fitted, and go as they went a year before.

    That is so where the gaps of pairs a year apart vary less than sales around their trend do, over all series: where there is no season
    they vary twice as much. Of a single series hardly older than a year it is taken to be so.
    """
    season, width = grain.season, past.shape[1]
    if grain.cycle > 1 or not 1 < season <= MOST_STATES or not season <= width < 2 * season + 2:
        return False
    known = np.isfinite(past) & (past > 0)
    logged = np.where(known, np.log(np.where(known, past, 1.0)), np.nan)
    gaps = [row[np.isfinite(row)] for row in logged[:, season:] - logged[:, : width - season]]
    free = sum(max(len(gap) - 1, 0) for gap in gaps)
    if free < FEWEST:
        return True
    apart = sum(float(((gap - gap.mean()) ** 2).sum()) for gap in gaps if len(gap)) / free
    around, count = 0.0, 0
    for row in logged:
        at = np.flatnonzero(np.isfinite(row))
        if len(at) > season // 2 + 2:
            around += float(((row[at] - np.polyval(np.polyfit(at, row[at], 1), at)) ** 2).sum())
            count += len(at) - 2
    return count == 0 or apart < around / count


def repeated(values: Array, known: Array, grain: Grain, horizon: int) -> Array:
    """Return the last year once more, moved by how far the newest periods lie from those a year before; smoothed where there is no year."""
    season, width = grain.season, values.shape[1]
    if width < season:
        return smoothing(values, known, 1, horizon)
    count = min(width - season, season)
    new, old = slice(width - count, width), slice(width - count - season, width - season)
    weight = FADE ** np.arange(count)[::-1] * (known[:, new] & known[:, old])
    growth = ((values[:, new] - values[:, old]) * weight).sum(1) / (weight.sum(1) + DOUBTED)
    steps = np.arange(horizon)
    found: Array = values[:, width - season + steps % season] + growth[:, None] * (steps // season + 1)
    return found


def smoothing(values: Array, known: Array, season: int, horizon: int) -> Array:
    """Return the mean of the three additive exponential smoothings that did best one period and a horizon ahead."""
    parts = [_filters(values[at : at + CHUNK], known[at : at + CHUNK], season, horizon) for at in range(0, len(values), CHUNK)]
    return np.concatenate(parts) if parts else np.zeros((0, horizon))


def _filters(values: Array, known: Array, season: int, horizon: int) -> Array:
    series, width = values.shape
    alpha, gamma, fade = FILTERS[FILTERS[:, 1] == FILTERS[0, 1]].T if season == 1 else FILTERS.T
    beta = np.where(fade > 0, 0.1 * alpha, 0.0)
    first = max(min(width, 3 * season if season > 1 else FIRST) // season * season, 1)
    start = values[:, :first] if width else np.zeros((series, 1))
    level = np.repeat(start.mean(1)[:, None], len(alpha), 1)
    trend = np.zeros_like(level)
    phases = start.reshape(series, -1, season).mean(1) if season > 1 else np.zeros((series, 1))
    indices = np.repeat((phases - phases.mean(1, keepdims=True))[:, :, None], len(alpha), 2)
    far = min(horizon, max(width // 4, 1))
    reached = _run(fade, np.array([far]))[:, 0]
    trail = np.zeros((far, *level.shape))
    near_error, far_error = np.zeros_like(level), np.zeros_like(level)
    burn = min(max(2 * season, 8), width // 2)
    for at in range(width):
        there, phase = known[:, at : at + 1], at % season
        value = values[:, at : at + 1] - indices[:, phase]
        ahead = level + fade * trend
        gap = np.where(there, value - ahead, 0)
        if at >= burn:
            near_error += gap**2
            if at >= burn + far:
                far_error += np.where(there, value - trail[at % far], 0) ** 2
        level = ahead + alpha * gap
        trend = fade * trend + beta * gap
        if season > 1:
            indices[:, phase] += gamma * (1 - alpha) * gap
        trail[at % far] = level + reached * trend
    total = sum(error / np.maximum(error.min(1, keepdims=True), 1e-12) for error in (near_error, far_error))
    chosen = np.argsort(total, 1, kind="stable")[:, :BEST]
    row = np.arange(series)[:, None]
    steps = np.arange(1, horizon + 1)
    path = level[row, chosen][..., None] + trend[row, chosen][..., None] * _run(fade, steps)[chosen]
    path += indices.swapaxes(1, 2)[row, chosen][:, :, (width + steps - 1) % season]
    found: Array = path.mean(1)
    return found


def _run(fade: Array, steps: Array) -> Array:
    """Return how far a damped trend has come after some steps, (filters, steps)."""
    slow = fade[:, None]
    run: Array = slow * (1 - slow**steps) / (1 - slow)
    return run


def index_of(values: Array, known: Array, cycle: int) -> Array:
    """Return the index of each phase of the cycle, (series, cycle), phase 0 being the first period; drawn towards what all do."""
    width = values.shape[1] // max(cycle, 1) * cycle
    if cycle < 2 or width < 2 * cycle:
        return np.ones((len(values), max(cycle, 1)))
    shift = values.shape[1] - width  # the newest whole cycles
    sold, counted = (part[:, shift:].reshape(len(values), -1, cycle).sum(1) for part in (values * known, known))
    rate = sold.sum(1, keepdims=True) / np.maximum(counted.sum(1, keepdims=True), 1)
    wanted = rate * counted
    weight = 1 / np.maximum(rate, 1e-12)  # each series counts alike in what all do
    common = (sold * weight).sum(0) / np.maximum((wanted * weight).sum(0), 1e-12)
    pull = POOLED * (len(values) > 1)
    index = np.where(rate > 0, (sold + pull * common) / np.maximum(wanted + pull, 1e-12), 1.0)
    return np.roll(index / np.maximum(index.mean(1, keepdims=True), 1e-12), shift % cycle, 1)


@dataclass(frozen=True, slots=True)
class Outside:
    """One of statsforecast's models by its class and arguments."""

    model: str
    arguments: tuple[tuple[str, Any], ...] = ()
    seasonal: bool = True  # the others take the sales one after the other, gaps left out

    def __call__(self, values: Array, known: Array, grain: Grain, horizon: int) -> Array:
        """Continue every series; one that the library cannot fit stays at its recent level."""
        season = self._season(grain, values.shape[1])
        if not season:
            return smoothing(values, known, 1, horizon)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of optimisers that stopped early: validation judges what came of it
            import statsforecast.models as library

            made = getattr(library, self.model)
            seasons = {"season_length": season} if self.seasonal else {}
            model = made(**seasons, **dict(self.arguments))
            rows = values if self.seasonal else [row[there] for row, there in zip(values, known, strict=True)]
            return np.array([_continued(model, row, horizon) for row in rows]).reshape(-1, horizon)

    def _season(self, grain: Grain, width: int) -> Any:
        if self.model == "MSTL":
            fitting = [season for season in sorted({grain.cycle, grain.year}) if season > 1 and width >= 2 * season + 2]
            return fitting  # none: there is nothing to take apart
        if self.model == "AutoETS":
            return season_of(grain, width)
        season = grain.cycle if grain.cycle > 1 else grain.season
        return season if width >= 2 * season + 2 else 1


def _continued(model: Any, value: Array, horizon: int) -> Array:
    recent = float(value[-12:].mean()) if len(value) else 0.0
    if len(value) < 4 or float(np.ptp(value)) == 0:
        return np.full(horizon, recent)
    try:
        said = np.asarray(model.forecast(y=value.astype("f8"), h=horizon)["mean"], "f8")
    except Exception:  # noqa: BLE001 - the library raises whatever its optimiser met; validation sees what stands in for it
        return np.full(horizon, recent)
    most = 10 * max(float(np.abs(value).max()), 1e-9)
    return said if np.isfinite(said).all() and float(np.abs(said).max()) < most else np.full(horizon, recent)
