"""How far sales stray from a path: counts by a negative binomial, everything else by the errors that were held out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any

import numpy as np

from tradewind.models._kit.forecast.profile import CLASSES
from tradewind.models._kit.intervals import TAUS
from tradewind.models._kit.panel import Panel

Array = np.ndarray[Any, Any]
COUNTED = 30.0  # mean sales per period up to which a whole number is a count
THIRDS = 3  # parts of the horizon told apart
PRIOR = 30.0  # held-out actuals of its kind that weigh as much as a series' own
LEAST = 40  # held-out actuals that make a pool
SHIFT = 0.3  # of the level: what is added before ratios are taken where a tenth of sales come near zero
MEANS = np.geomspace(0.003, COUNTED, 96)
LOOSE = np.geomspace(1.02, 300.0, 32)  # variance over mean
NORMAL = 1.2533 * np.array([-1.96, -1.645, -1.282, -0.842, -0.674, -0.524, -0.253, 0, 0.253, 0.524, 0.674, 0.842, 1.282, 1.645, 1.96])
MEDIANS = (0, 1)  # kinds whose paths are medians; those of the others are means
LOOSE_LIMITS, WIDTH_LIMITS = (1.02, 300.0), (0.005, 3.0)
OPTIMISM = 1.1  # families were chosen on the very errors that widths are learned from
BULK = 0.6  # of the looseness above a Poisson's: single bulk orders swell a variance more than they do quantiles
MOST_SMEAR = 0.25  # how far a mean may lie above its median


@dataclass(frozen=True, slots=True)
class Spread:
    """What a path is surrounded by. `loose` is variance over mean of a count, `width` the size of the log ratio of anything else.

    `shape` (classes, thirds, probabilities) are quantiles of log ratio over width; `growth` (classes, thirds) multiplies `loose`.
    `wider` (2, classes) is how much looser and wider held-out errors were than the past of a series shows: for series to come.
    """

    count: Array  # (series,): 1 where whole numbers are small enough to be counts
    kind: Array  # (series,): code of CLASSES
    loose: Array
    width: Array
    shift: Array
    shape: Array
    growth: Array
    wider: Array
    horizon: int

    def __call__(self, path: Array, series: Array, steps: Array) -> tuple[Array, Array]:
        """Return mean and quantiles of paths (series, steps) of these series; the path of a count is its mean, else the median."""
        third = _third(steps, self.horizon)
        kind = self.kind[series].astype("i8")
        counted = self.count[series] > 0
        shape = self.shape[kind][:, third].astype("f8")
        shift = self.shift[series, None].astype("f8")
        ratio = np.exp(OPTIMISM * self.width[series, None, None] * shape)
        quantiles = np.maximum((path + shift)[..., None] * ratio - shift[..., None], 0)
        smear = np.where(np.isin(kind, MEDIANS)[:, None], np.clip(_average(ratio), 1.0, 1 + MOST_SMEAR), 1.0)
        mean = np.maximum((path + shift) * smear - shift, 0)
        if counted.any():
            loose = self.loose[series, None] * self.growth[kind][:, third]
            quantiles[counted] = counts(path[counted], 1 + BULK * (loose[counted] - 1))
            mean[counted] = path[counted]
        nothing = path <= 0
        quantiles[nothing & ~counted[:, None]] = 0
        mean[nothing] = 0
        return mean, quantiles

    def moved(self, panel: Panel, old: Array, new: Array, kind: Array, whole: Array) -> Spread:
        """Return the spread of a later panel: series `old` of this one, but where `new` what the panel itself shows."""
        count, loose, width, shift = own_scale(panel, whole)
        fresh = {
            "count": count,
            "kind": kind,
            "loose": np.clip(loose * self.wider[0, kind], *LOOSE_LIMITS),
            "width": np.clip(width * self.wider[1, kind], *WIDTH_LIMITS),
            "shift": shift,
        }
        kept = {name: np.where(new, value, getattr(self, name)[old]).astype("f4") for name, value in fresh.items()}
        return replace(self, **kept)

    def arrays(self) -> dict[str, Array]:
        """Return the numbers by name, ready for a tensor file."""
        return {"spread/" + part.name: getattr(self, part.name) for part in fields(self) if part.name != "horizon"}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array], horizon: int) -> Spread:
        """Read the numbers back."""
        return cls(**{part.name: arrays["spread/" + part.name] for part in fields(cls) if part.name != "horizon"}, horizon=horizon)


def _third(steps: Array, horizon: int) -> Array:
    found: Array = np.minimum(steps * THIRDS // max(horizon, 1), THIRDS - 1)
    return found


def _average(ratio: Array) -> Array:
    """Return the mean of a distribution known by its quantiles: each stands for the probabilities nearest to it."""
    edges = np.concatenate([[0.0], (TAUS[1:] + TAUS[:-1]) / 2, [1.0]])
    found: Array = ratio @ np.diff(edges)
    return found


def counts(mean: Array, loose: Array) -> Array:
    """Return quantiles of negative binomial counts by mean and variance over mean; larger means keep their shape and are scaled."""
    over = np.maximum(mean / COUNTED, 1.0)
    place = np.rint(np.interp(np.log(np.maximum(mean / over, MEANS[0])), np.log(MEANS), np.arange(len(MEANS)))).astype("i8")
    looseness = np.maximum(loose / over, LOOSE[0])
    row = np.rint(np.interp(np.log(looseness), np.log(LOOSE), np.arange(len(LOOSE)))).astype("i8")
    found = _table()[place, row] * over[..., None]
    return np.where(mean[..., None] > 0, np.rint(found), 0)


@cache
def _table() -> Array:
    """Return quantiles (means, loosenesses, probabilities) of the negative binomial, by adding up its probabilities."""
    mean, loose = np.meshgrid(MEANS, LOOSE, indexing="ij")
    size, share = mean / (loose - 1), 1 - 1 / loose
    chance = np.exp(-size * np.log(loose))
    below = chance.copy()
    found = np.zeros((*mean.shape, len(TAUS)), "f4")
    for number in range(4000):
        open_ = below[..., None] < TAUS
        if not open_.any():
            break
        found += open_
        chance = chance * (number + size) / (number + 1) * share
        below = below + chance
    return found


def own_scale(panel: Panel, whole: Array) -> tuple[Array, Array, Array, Array]:
    """Return count (0 or 1), variance over mean, width of log ratios and shift of each series, from its recent past alone."""
    grain = panel.grain
    past = panel.target[:, max(0, panel.cut - 2 * grain.year - grain.season) : panel.cut].astype("f8")
    known = np.isfinite(past)
    number = np.maximum(known.sum(1), 1)
    level = np.where(known, past, 0).sum(1) / number
    gap = np.where(known, past - level[:, None], 0)
    loose = np.where(level > 0, (gap**2).sum(1) / number / np.maximum(level, 1e-9), 1.0)
    low = np.sort(np.where(known, past, np.inf), 1)[np.arange(len(past)), known.sum(1) // 10] if past.shape[1] else level
    shift = np.where(low > 0.1 * level, 0.02, SHIFT) * level
    season = grain.season if grain.season <= 24 and past.shape[1] >= grain.season + 4 else 1
    if past.shape[1] > season:
        logged = np.log(np.where(known, past, 0) + np.maximum(shift, 1e-9)[:, None])
        both = known[:, season:] & known[:, :-season]
        change = np.where(both, np.abs(logged[:, season:] - logged[:, :-season]), 0)
        pairs = both.sum(1)
        width = np.where(pairs >= 3, change.sum(1) / np.maximum(pairs, 1), 0.5)
    else:
        width = np.full(len(past), 0.5)
    return (whole & (level < COUNTED)).astype("u1"), np.maximum(loose, 1.0), np.clip(width, 0.01, 3.0), shift


@dataclass(frozen=True, slots=True)
class Held:
    """What was said of periods that were not learned from: (series, blocks, steps) each, of some series of the panel."""

    series: Array
    truth: Array
    path: Array


def learn(panel: Panel, held: Held, kind: Array, whole: Array, *, horizon: int) -> Spread:
    """Learn from held-out errors how loose each series is, drawn towards its kind, and what shape errors have in each third.

    Where nothing was held out, errors are taken to be normal and to grow with the square root of time.
    """
    count, loose, width, shift = own_scale(panel, whole)
    errors = _Errors.of(held, kind, count, shift, horizon)
    wider = np.ones((2, len(CLASSES)))
    for code in range(len(CLASSES)):
        mine = kind == code
        wider[0, code] = _widened(loose, errors, mine & (count > 0), errors.square / np.maximum(errors.total, 1e-12))
        wider[1, code] = _widened(width, errors, mine & (count == 0), errors.strayed / np.maximum(errors.number, 1))
    loose, width = np.clip(loose, *LOOSE_LIMITS), np.clip(width, *WIDTH_LIMITS)
    shape, growth = _shapes(errors, loose, width)
    count, kind, loose, width, shift, shape, growth, wider = (
        part.astype("f4") for part in (count, kind, loose, width, shift, shape, growth, wider)
    )
    return Spread(count, kind, loose, width, shift, shape, growth, wider, horizon)


@dataclass(frozen=True, slots=True)
class _Errors:
    """Held-out errors: sums by series, and one entry per known actual for the shapes."""

    series: Array
    number: Array
    square: Array
    total: Array
    strayed: Array  # sum of absolute log ratios
    row: Array  # of each known actual: its place in `series`, and its series' kind
    kind: Array
    third: Array
    counted: Array
    gap: Array
    path: Array
    ratio: Array

    @classmethod
    def of(cls, held: Held, kind: Array, count: Array, shift: Array, horizon: int) -> _Errors:
        fine = np.isfinite(held.truth) & np.isfinite(held.path) & (held.path > 0)
        row, _, step = np.nonzero(fine)
        truth, path = held.truth[fine], held.path[fine]
        own = held.series[row]
        plus = shift[own] + 1e-9
        gap, ratio = truth - path, np.log((truth + plus) / (path + plus))
        number, square, total, strayed = (
            np.bincount(row, part, len(held.series)) for part in (np.ones(len(row)), gap**2, path, np.abs(ratio))
        )
        third, counted = _third(step, horizon), count[own] > 0
        return cls(held.series, number, square, total, strayed, row, kind[own], third, counted, gap, path, ratio)


def _widened(scale: Array, errors: _Errors, mine: Array, seen: Array) -> float:
    """Scale the series of a kind, in place, by how much larger held-out errors (`seen`) were than their past; return the kind's factor.

    A validated series' own factor is drawn towards its kind's; the others take the kind's.
    """
    some, number = errors.series, errors.number
    own = seen / np.maximum(scale[some], 1e-12)
    here = mine[some] & (number > 0)
    common = float(np.exp(np.average(np.log(np.maximum(own[here], 0.05)), weights=number[here]))) if here.any() else 1.0
    factor = np.full(len(scale), common)
    factor[some] = (number * own + PRIOR * common) / (number + PRIOR)
    scale[mine] *= factor[mine]
    return common


def _shapes(errors: _Errors, loose: Array, width: Array) -> tuple[Array, Array]:
    """Return the shapes of log ratios and the growth of counts' variances, by kind and third of the horizon."""
    growth = np.ones((len(CLASSES), THIRDS))
    grown = np.sqrt(np.arange(1, THIRDS + 1) * 1.5 / THIRDS)[:, None]
    shape = np.broadcast_to(NORMAL * grown, (len(CLASSES), THIRDS, len(TAUS))).copy()
    own = errors.series[errors.row]
    for code in range(len(CLASSES)):
        for part in range(THIRDS):
            cell = (errors.kind == code) & (errors.third == part)
            these = cell & errors.counted
            if these.sum() >= LEAST:
                expected = float((errors.path * loose[own])[these].sum())
                growth[code, part] = np.clip((errors.gap[these] ** 2).sum() / max(expected, 1e-9), 0.5, 3)
            these = cell & ~errors.counted
            if these.sum() >= LEAST:
                shape[code, part] = _shape((errors.ratio / width[own])[these], middle=code in MEDIANS)
    return shape, growth


def _shape(ratio: Array, *, middle: bool) -> Array:
    """Return the quantiles of log ratios; few of them are drawn towards a normal's. `middle`: the path is the median."""
    found = np.quantile(ratio, TAUS)
    if middle:
        found = found - found[len(TAUS) // 2]
    share = len(ratio) / (len(ratio) + PRIOR)
    drawn: Array = share * found + (1 - share) * NORMAL
    return drawn
