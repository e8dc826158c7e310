"""The engine for any real figure: a season, and a level that follows at the pace that forecast each series best. No covariates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tradewind.models.anomaly import far, hidden
from tradewind.models.anomaly.engine import Day, Past, Said
from tradewind.models.anomaly.far import Far
from tradewind.models.anomaly.grid import DAY, Beat, Grid

Array = np.ndarray[Any, Any]
HALVES = (2.0, 6.0, 20.0, 80.0)  # half-lives of levels that are tried, in periods
AGREE = 0.35  # correlation of a season's profile in odd and in even cycles, from which on it is a season
CUT = 3.0  # spreads by which one figure may move a level
WEAK = 0.3  # least share of its error by which a figure that looks wrong moves a level
STEADY = 300.0  # half-life of the spread
CLEARLY = 0.96  # share of the median error that a faster or sloped level must not exceed
CYCLES, FEW = 2, 4  # whole cycles needed for a season, and below which it must be clear
CLEAR = 0.85


@dataclass(frozen=True)
class Followed:
    """Per series: season profile, its pace, level sums and spread. `trend` marks series whose level has a slope."""

    count: int
    profile: Array  # (S, P)
    keep: Array  # (S,) what a level keeps per period
    trend: Array  # (S,)
    first: Array  # (S,) smoothed once
    second: Array  # (S,) smoothed twice
    spread: Array  # (S,)
    least: Array  # (S,) spread never falls below
    far: Far  # what the series has been so far, which the level may have left behind

    family = "real"

    def take(self, rows: Array) -> Followed:
        """Return the engine of some series."""
        names = ("profile", "keep", "trend", "first", "second", "spread", "least")
        return replace(self, far=self.far.take(rows), **{name: getattr(self, name)[rows] for name in names})

    def put(self, rows: Array, part: Followed) -> Followed:
        """Return the engine with some series moved on."""
        moved = {}
        for name in ("first", "second", "spread"):
            moved[name] = getattr(self, name).copy()
            moved[name][rows] = getattr(part, name)
        return replace(self, count=part.count, far=self.far.put(rows, part.far), **moved)

    def ahead(self, day: Day) -> tuple[Said, Any]:
        """Say what is expected of one period."""
        season = self.profile[:, (self.count + day.skipped) % self.profile.shape[1]]
        level = _ahead(self.first, self.second, self.keep, self.trend)
        ones = np.ones(len(level))
        return Said(level + season, self.spread, np.zeros(len(level)), ones), season

    def after(self, day: Day, said: Said, rest: Any, well: Array) -> Followed:
        """Return the engine after the period: a wild figure moves it by no more than a few spreads."""
        known = np.isfinite(day.value)
        error = np.where(known, day.value, said.expected) - said.expected
        cut = np.clip(error, -CUT * self.spread, CUT * self.spread)
        first, second = _followed(self.first, self.second, self.keep, said.expected - rest + cut * np.maximum(well, WEAK), known)
        keep = 0.5 ** (1 / STEADY)
        scale = np.where(known, keep * self.spread + (1 - keep) * 1.25 * np.minimum(np.abs(error), 4 * self.spread), self.spread)
        spread, moved = np.maximum(scale, self.least), self.far.after(day.value - rest)
        return replace(self, first=first, second=second, spread=spread, far=moved, count=self.count + 1 + day.skipped)


def _ahead(first: Array, second: Array, keep: Array, trend: Array) -> Array:
    """Return the next level: Brown's double exponential smoothing where there is a trend, else the single one."""
    slope = (1 - keep) / keep * (first - second)
    return np.asarray(np.where(trend, 2 * first - second + slope, first))


def _followed(first: Array, second: Array, keep: Array, seen: Array, known: Array) -> tuple[Array, Array]:
    one = np.where(known, keep * first + (1 - keep) * seen, first)
    two = np.where(known, keep * second + (1 - keep) * one, second)
    return one, two


def learn(grid: Grid, rows: Array, chain: hidden.Chain) -> tuple[Followed, Past]:
    """Learn season and pace of series; return the engine as it stood at the first period, and the past seen from both sides."""
    value = grid.value[rows].astype("f8")
    expected = grid.inputs.get("expected")
    if expected is not None:
        value = np.where(np.nan_to_num(expected[rows]) > 0, np.nan, value)
    longest = max(periods_of(grid.beat, value.shape[1]), default=1)
    profile = np.zeros((len(value), longest))
    for row, one in enumerate(value):
        profile[row] = np.resize(season_of(one, periods_of(grid.beat, int(np.isfinite(one).sum()))), longest)
    season = profile[:, np.arange(value.shape[1]) % profile.shape[1]]
    rest = value - season
    spread = robust(np.diff(rest, axis=1)) / np.sqrt(2)
    largest = np.max(np.where(np.isfinite(value), np.abs(value), 0.0), axis=1, initial=0.0)
    least = np.maximum(np.maximum(1e-3 * robust(value), 1e-6 * largest), 1e-9)
    spread = np.maximum(spread, least)
    keep, trend, made = _pace(rest, spread)
    back = _run(rest[:, ::-1], spread, keep, trend)[:, ::-1]
    both = 0.5 * (made + back)
    scale = np.maximum(robust(rest - both), least)
    z = np.where(np.isfinite(rest), rest, np.nan)
    near = hidden.both(chain, hidden.evidence(chain, z, both, scale[:, None]))
    away, distant = far.learn(rest, least, float(chain.begin.sum()))
    chances, odds = either(near, distant)
    start = _early(rest)
    ahead = np.maximum(robust(rest - made), least)
    engine = Followed(0, profile, keep, trend, start, start.copy(), ahead, np.maximum(least, 0.3 * ahead), away)
    zero = np.zeros(value.shape)
    past = Past(both + season, np.repeat(scale[:, None], value.shape[1], 1), zero, np.ones(len(rows)), odds, chances)
    return engine, past


def either(near: Array, distant: Array) -> tuple[Array, Array]:
    """Return the chances of the chain that is surer of an incident, and the odds that either has one; both see the same states."""
    first, second = hidden.odds(near), hidden.odds(distant)
    return np.where((second > first)[..., None], distant, near), np.logaddexp(first, second)


def _early(rest: Array) -> Array:
    """Return the median of the first ten known figures of each row; zero for an empty row."""
    out = np.zeros(len(rest))
    for row, one in enumerate(rest):
        known = one[np.isfinite(one)][:10]
        out[row] = np.median(known) if len(known) else 0.0
    return out


def robust(x: Array) -> Array:
    """Return 1.4826 times the median absolute deviation from the median of each row; zero for an empty row."""
    known = np.isfinite(x).any(1)
    out = np.zeros(len(x))
    middle = np.nanmedian(x[known], 1, keepdims=True)
    out[known] = 1.4826 * np.nanmedian(np.abs(x[known] - middle), 1)
    return out


def periods_of(beat: Beat, count: int) -> list[int]:
    """Return the lengths of season that a beat may have, in periods, of which the past holds enough cycles."""
    if beat.months:
        tried = [12 // beat.months]
    elif beat.step >= 6 * DAY:
        tried = [52]
    elif beat.step == DAY:
        tried = [7]
    elif beat.step:
        tried = [DAY // beat.step, 7 * DAY // beat.step]
    else:
        tried = []
    return [period for period in tried if period >= 2 and count >= CYCLES * period]


def season_of(value: Array, periods: list[int]) -> Array:
    """Return the season's profile that odd and even cycles agree on best, or a single zero."""
    best, found = 0.0, np.zeros(1)
    for period in periods:
        flat = value - _around(value, period)
        cycles = len(value) // period
        folded = flat[: cycles * period].reshape(cycles, period)
        odd, even = _middle(folded[::2]), _middle(folded[1::2])
        spread = odd.std() * even.std()
        agree = float(((odd - odd.mean()) * (even - even.mean())).mean() / spread) if spread > 0 else 0.0
        gain = agree * float(np.std(0.5 * (odd + even)))
        enough = AGREE if np.isfinite(value).sum() >= FEW * period else CLEAR
        if agree > enough and gain > best:
            whole = _middle(folded)
            best, found = gain, whole - whole.mean()
    return found


def _around(value: Array, period: int) -> Array:
    """Return the mean of the one cycle around each figure, at the ends that of the first and last whole cycle: a slope leaves no season."""
    known = np.isfinite(value)
    sums, counts = (np.r_[0.0, np.cumsum(one)] for one in (np.where(known, value, 0.0), known))
    first = np.clip(np.arange(len(value)) - period // 2, 0, max(len(value) - period, 0))
    last = np.minimum(first + period, len(value))
    return np.asarray((sums[last] - sums[first]) / np.maximum(counts[last] - counts[first], 1))


def _middle(folded: Array) -> Array:
    known = np.isfinite(folded).any(0)
    out = np.zeros(folded.shape[1])
    out[known] = np.nanmedian(folded[:, known], 0)
    if len(out) >= 48:
        out = (np.roll(out, 1) + out + np.roll(out, -1)) / 3
    return out


def _pace(rest: Array, spread: Array) -> tuple[Array, Array, Array]:
    """Return for each series what its level keeps, whether it has a slope, and what was said ahead.

    The least median error counts; slow levels come first.
    """
    best = np.full(len(rest), np.inf)
    keep, trend = np.zeros(len(rest)), np.zeros(len(rest), bool)
    made = np.zeros(rest.shape)
    for half in HALVES[::-1]:  # a faster level must be clearly better: it follows what is wrong, too
        for slope in (False, True):
            kept, sloped = np.full(len(rest), 0.5 ** (1 / half)), np.full(len(rest), slope)
            said = _run(rest, spread, kept, sloped)
            error = np.abs(rest - said)[:, min(20, rest.shape[1] // 4) :]
            error = np.where(np.isfinite(error).any(1), np.nanmedian(error, 1), np.inf)
            better = error < best * CLEARLY
            best, keep = np.where(better, error, best), np.where(better, kept, keep)
            trend, made = np.where(better, sloped, trend), np.where(better[:, None], said, made)
    keep = np.where(keep == 0, 0.5 ** (1 / HALVES[-1]), keep)
    return keep, trend, made


def _run(rest: Array, spread: Array, keep: Array, trend: Array) -> Array:
    """Return what was said one period ahead, all along."""
    out = np.empty(rest.shape)
    known = np.isfinite(rest)
    first = _early(rest)
    second = first.copy()
    cut = CUT * spread
    for day in range(rest.shape[1]):
        out[:, day] = _ahead(first, second, keep, trend)
        error = np.clip(np.where(known[:, day], rest[:, day], out[:, day]) - out[:, day], -cut, cut)
        first, second = _followed(first, second, keep, out[:, day] + error, known[:, day])
    return out
