"""What own levers do to sales: a local-level Poisson regression per series, shrunk to product and company."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from tradewind.models._kit.calendar import Grain
from tradewind.models._kit.panel import Panel

Array = np.ndarray[Any, Any]
WINDOW = {"hour": 169, "day": 63, "week": 13, "month": 7, "quarter": 5}
"""Periods over which the level of a series may be taken as its own: slower changes are not put down to a lever."""
FADE = {"day": 0.9, "week": 0.5}
"""Share of pulled-forward demand that is still missing one period later."""
OF_COMPANIES = 2.0  # standard deviation of a company's coefficients around none
OF_PRODUCTS = 0.6  # of a product's around the company's
OF_SERIES = (0.25, 0.5, 1.0)  # and of a series' around its product's: one of these
STRETCHES = 4  # of time, each told from the others to choose it
INTERVALS = (80, 95)  # of what levers do
LEAST_FREEDOM = 3  # with fewer blocks the priors say most
AFTER = "after promotion"
MOST_LEVERS = 8
CHUNK = 400  # series worked on at once


@dataclass(frozen=True, slots=True)
class Response:
    """Per series and lever the change of log sales: per unit of log price, per unit of any other lever.

    `centre` is the log price that counts as no effect (0 for other levers). `covariance` is of the errors of the coefficients of the
    series' product: those of its own are larger by how much the stores of a product differ. `deviations` are how many standard errors the
    80 and 95 % intervals reach: Student's t, since these errors are themselves told from so many blocks of time. `usual` is the mean of
    the other levers over the past periods in which one was pulled.
    """

    names: tuple[str, ...]
    coefficient: Array  # (series, levers)
    centre: Array
    covariance: Array  # (series, levers, levers)
    deviations: Array  # one per interval of INTERVALS
    usual: Array  # (series, levers): what a promotion usually was, 0 for the price and where none ever ran

    def effect(self, ahead: Mapping[str, Array], series: Array | None = None) -> dict[str, Array]:
        """Return the part of log sales of each lever that `ahead` holds, (series, periods); all levers' sum to the whole effect."""
        out = {}
        for at, name in enumerate(self.names):
            if name not in ahead:
                continue
            coefficient, centre = self.coefficient[:, at : at + 1], self.centre[:, at : at + 1]
            if series is not None:
                coefficient, centre = coefficient[series], centre[series]
            out[name] = coefficient * (_scaled(name, ahead[name]) - centre)
        return out

    def without(self, panel: Panel) -> Array:
        """Return a panel's sales without what own levers do, (series, periods)."""
        found: Array = panel.target * np.exp(
            -added(panel.target.shape, self.effect({name: panel.ahead[name] for name in self.names}).values())
        )
        return found

    def moved(self, panel: Panel, place: Array) -> Response:
        """Return the response for another panel: a series that is new takes the mean of its product, or of all."""
        product = next(iter(panel.keys.values())).astype(str)
        known = place >= 0

        def part(values: Array) -> Array:
            out = values[np.maximum(place, 0)].copy()
            for at in np.flatnonzero(~known).tolist():
                like = known & (product == product[at])
                out[at] = out[like].mean(0) if like.any() else values.mean(0) if len(values) else 0.0
            return out

        centre = part(self.centre)
        if "price" in self.names and (~known).any():
            at = self.names.index("price")
            centre[~known, at] = _mean_log(panel)[~known]
        return Response(self.names, part(self.coefficient), centre, part(self.covariance), self.deviations, part(self.usual))

    def arrays(self) -> dict[str, Array]:
        """Return the numbers by name, ready for a tensor file."""
        return {
            "response/coefficient": self.coefficient,
            "response/centre": self.centre,
            "response/covariance": self.covariance,
            "response/deviations": self.deviations,
            "response/usual": self.usual,
        }

    @classmethod
    def from_parts(cls, names: list[str], arrays: Mapping[str, Array]) -> Response:
        """Read the response back."""
        told = ("coefficient", "centre", "covariance", "deviations", "usual")
        return cls(tuple(names), *(arrays[f"response/{name}"] for name in told))


def added(shape: tuple[int, ...], parts: Iterable[Array]) -> Array:
    """Return the sum of effects, at most a factor of about four hundred; one that is not known is none."""
    total = np.zeros(shape, "f4")
    for part in parts:
        total += np.where(np.isnan(part), np.float32(0), part)
    return np.minimum(np.maximum(total, -6), 6)


def _scaled(name: str, values: Array) -> Array:
    return np.log(np.maximum(values, 1e-6)) if name == "price" else values


def _bounds(name: str) -> tuple[float, float]:
    if name in ("price", AFTER):
        return -8.0, 0.0
    return (-2.0, 3.0) if name.startswith("mechanic_") else (0.0, 4.0)


def learn(panel: Panel) -> Response:
    """Learn the response to the levers that moved in the past.

    Model: log E[units] = level(t) + phase of the cycle + sum of coefficient * lever. The level is whatever fits best in a moving
    window (profile likelihood), so trends and seasons are not mistaken for a lever; what promotions pull forward is a lever of its
    own that is left out of the result. Newton steps; three stages: company, product, series, each a normal prior for the next
    (standard deviations 2, 0.6, and for series what tells left-out stretches of time best). Over-dispersion is measured, so the unit
    of sales does not matter.
    """
    past = slice(0, panel.cut)
    names = [name for name, kind in panel.kinds.items() if kind == "lever" or name == "price"]
    if "price" in names:  # a discount is in the price already
        names = [name for name in names if name != "discount"]
    names = [name for name in names if _moved(panel.ahead[name][:, past])][:MOST_LEVERS]
    count, series = len(names), len(panel)
    if not names:
        empty = np.zeros((series, 0), "f4")
        return Response((), empty, empty, empty[:, None][:, :0], _deviations(1).astype("f4"), empty)
    centre = np.zeros((series, count))
    if "price" in names:
        centre[:, names.index("price")] = _mean_log(panel)
    after = _after(panel)
    parts = [_prepare(panel, names, centre, slice(at, at + CHUNK), after) for at in range(0, series, CHUNK)]
    fitted = [*names, *([AFTER] if after is not None else [])]
    low, high = (np.array(side) for side in zip(*map(_bounds, fitted), strict=True))
    product = next(iter(panel.keys.values()))
    groups = (np.zeros(series, "i8"), np.unique(product.astype(str), return_inverse=True)[1], np.arange(series))
    beta, covariance, blocks = np.zeros((series, len(fitted))), np.zeros(0), 1
    spread = OF_COMPANIES
    for stage, (group, steps) in enumerate(zip(groups, (6, 4, 2), strict=True)):
        beta = _stage(parts, beta, group, spread=spread, steps=steps, bounds=(low, high))
        if stage == 0:
            spread = OF_PRODUCTS
        elif stage == 1:
            covariance, blocks = _robust_covariance(parts, beta, group, spread=spread)
            spread = _spread(parts, beta)
    told = (beta[:, :count], centre, covariance[:, :count, :count], _deviations(blocks), _usual(panel, names))
    return Response(tuple(names), *(value.astype("f4") for value in told))


def _usual(panel: Panel, names: list[str]) -> Array:
    """Return the mean of each lever but the price over the past periods in which one was pulled, (series, levers)."""
    pulled = [at for at, name in enumerate(names) if name != "price"]
    on = np.zeros((len(panel), panel.cut), bool)
    for at in pulled:
        on |= panel.ahead[names[at]][:, : panel.cut] > 0
    found = np.zeros((len(panel), len(names)))
    for at in pulled:
        found[:, at] = np.nansum(panel.ahead[names[at]][:, : panel.cut] * on, 1) / np.maximum(on.sum(1), 1)
    return found


def _deviations(blocks: int) -> Array:
    """Return how many standard errors each interval reaches where they were told from so many blocks (Donald and Lang 2007)."""
    from scipy.special import stdtrit

    found: Array = stdtrit(max(blocks - 1, LEAST_FREEDOM), 0.5 + np.array(INTERVALS) / 200)
    return found


def _mean_log(panel: Panel) -> Array:
    """Return each series' mean log price before the cut."""
    logged = np.log(np.broadcast_to(panel.ahead["price"], (len(panel), panel.width))[:, : panel.cut])
    known = np.isfinite(logged)
    found: Array = np.where(known, logged, 0).sum(1) / np.maximum(known.sum(1), 1)
    return found


def _moved(values: Array) -> bool:
    """Tell whether the lever ever differs within one series."""
    known = np.isfinite(values)
    highest = np.where(known, values, -np.inf).max(1, initial=-np.inf)
    lowest = np.where(known, values, np.inf).min(1, initial=np.inf)
    return bool((highest > lowest).any())


@dataclass(frozen=True, slots=True)
class _Part:
    rows: slice
    grain: Grain
    units: Array  # zero where unknown
    known: Array
    levers: list[Array]


def _after(panel: Panel) -> Array | None:
    """Return how much promotion lies behind each period, fading: what customers stocked up on they do not buy now."""
    fade = FADE.get(panel.grain.name)
    pulled = [value[:, : panel.cut] > 0 for name, value in panel.ahead.items() if panel.kinds[name] == "lever"]
    if fade is None or not pulled:
        return None
    state = np.broadcast_to(np.logical_or.reduce(np.broadcast_arrays(*pulled)), (len(panel), panel.cut)).astype("f8")
    out = np.zeros_like(state)
    for at in range(1, panel.cut):
        out[:, at] = (out[:, at - 1] + state[:, at - 1]) * fade
    return np.where(state > 0, 0.0, out) * (1 - fade)


def _prepare(panel: Panel, names: list[str], centre: Array, rows: slice, after: Array | None) -> _Part:
    units = panel.target[rows, : panel.cut].astype("f8")
    levers = []
    known = np.isfinite(units)
    for at, name in enumerate(names):
        value = panel.ahead[name][:, : panel.cut]
        value = np.broadcast_to(value, (len(panel), panel.cut))[rows]
        lever = _scaled(name, value) - centre[rows, at : at + 1]
        known &= np.isfinite(lever)
        levers.append(np.nan_to_num(lever).astype("f8"))
    if after is not None:
        levers.append(after[rows])
    return _Part(rows, panel.grain, np.where(known, units, 0.0), known, levers)


def _stage(parts: list[_Part], prior: Array, group: Array, *, spread: float, steps: int, bounds: tuple[Array, Array]) -> Array:
    """Return coefficients with one set per group, drawn towards `prior`."""
    beta = prior.copy()
    count, groups = prior.shape[1], int(group.max()) + 1
    weight = np.eye(count) / spread**2
    for _ in range(steps):
        slope = np.zeros((groups, count))
        curve = np.zeros((groups, count, count))
        for part in parts:
            scores, weighted, centred = _derivatives(part, beta[part.rows])
            np.add.at(slope, group[part.rows], scores.sum(2))
            np.add.at(curve, group[part.rows], weighted @ centred.swapaxes(1, 2))
        first = np.zeros((groups, count))
        first[group] = beta - prior
        step = np.linalg.solve(curve + weight, (slope - first @ weight)[..., None])[..., 0]
        beta = np.clip(beta + np.clip(step, -1.5, 1.5)[group], *bounds)
    return beta


def _spread(parts: list[_Part], beta: Array) -> float:
    """Return the prior standard deviation of a series around its product that tells left-out stretches of time best.

    Each stretch is told from the others by one Newton step from `beta`; how well is the second-order change of the likelihood.
    """
    gain = np.zeros(len(OF_SERIES))
    for part in parts:
        slope, weighted, centred = _derivatives(part, beta[part.rows])
        edges = [slope.shape[2] * at // STRETCHES for at in range(STRETCHES + 1)]
        stretches = [slice(low, high) for low, high in pairwise(edges)]
        first = np.stack([slope[..., at].sum(2) for at in stretches], 1)
        second = np.stack([weighted[..., at] @ centred[..., at].swapaxes(1, 2) for at in stretches], 1)
        for at in range(STRETCHES):
            kept = first.sum(1) - first[:, at], second.sum(1) - second[:, at]
            for number, spread in enumerate(OF_SERIES):
                step = np.linalg.solve(kept[1] + np.eye(first.shape[2]) / spread**2, kept[0][..., None])[..., 0]
                gain[number] += (step * first[:, at]).sum() - 0.5 * np.einsum("si,sij,sj->", step, second[:, at], step)
    return OF_SERIES[int(gain.argmax())]


def _robust_covariance(parts: list[_Part], beta: Array, group: Array, *, spread: float) -> tuple[Array, int]:
    """Return each series' covariance of its group's coefficients, robust to errors that go together, and how many blocks told it.

    Sandwich estimator over blocks of half a level window: what one block of time adds to the slope of a group, over all its stores and
    days, counts as one draw (Liang and Zeger 1986). No variance is below that of independent rows.
    """
    count, groups = beta.shape[1], int(group.max()) + 1
    grain = parts[0].grain
    length = max(1, WINDOW[grain.name] // 2)
    blocks = -(-parts[0].units.shape[1] // length)
    curve = np.zeros((groups, count, count)) + np.eye(count) / spread**2
    summed = np.zeros((groups, count, blocks))
    for part in parts:
        scores, weighted, centred = _derivatives(part, beta[part.rows])
        padded = np.pad(scores, ((0, 0), (0, 0), (0, blocks * length - scores.shape[2])))
        np.add.at(summed, group[part.rows], padded.reshape(*padded.shape[:2], blocks, length).sum(3))
        np.add.at(curve, group[part.rows], weighted @ centred.swapaxes(1, 2))
    inverse = np.linalg.inv(curve)
    # as many blocks as coefficients are lost to the fit (MacKinnon and White 1985); the prior is one more draw
    meat = np.einsum("gib,gjb->gij", summed, summed) * blocks / max(blocks - count, 1) + np.eye(count) / spread**2
    found = inverse @ meat @ inverse
    least, own = (np.diagonal(value, axis1=1, axis2=2) for value in (inverse, found))
    wider = np.sqrt(np.maximum(least / np.maximum(own, 1e-30), 1.0))
    return (found * wider[:, :, None] * wider[:, None, :])[group], blocks


def _derivatives(part: _Part, beta: Array) -> tuple[Array, Array, Array]:
    """Return the slope of the profile log likelihood by period, and two factors whose products add up to its curvature.

    All (series, levers, periods), and over dispersion.
    """
    window = WINDOW[part.grain.name]
    raised = part.known * np.exp(sum(value * beta[:, at : at + 1] for at, value in enumerate(part.levers)))
    raised = raised * _phase(part.units, raised, part.grain.cycle)
    base = np.maximum(_moving(raised, window), 1e-9)
    mean = raised * (_moving(part.units, window) / base)
    gap = part.units - mean
    centred = np.stack([(value - _moving(raised * value, window) / base) * part.known for value in part.levers], 1)
    looseness = np.maximum((gap**2).sum(1) / np.maximum(mean.sum(1), 1e-9), 1e-6)[:, None, None]
    return gap[:, None] * centred / looseness, mean[:, None] * centred / looseness, centred


def _phase(units: Array, raised: Array, cycle: int) -> Array:
    """Return each period's index within the cycle (weekdays), drawn towards 1."""
    if cycle == 1:
        return np.ones((1, 1))
    width = units.shape[1]
    more = -width % cycle
    folded = (np.pad(value, ((0, 0), (0, more))).reshape(len(value), -1, cycle).sum(1) for value in (units, raised))
    sold, wanted = folded
    level = sold.sum(1, keepdims=True) / np.maximum(wanted.sum(1, keepdims=True), 1e-9)
    prior = np.maximum(wanted.mean(1, keepdims=True), 1e-9) * 0.1
    index = (sold / np.maximum(level, 1e-9) + prior) / (wanted + prior)
    return np.tile(index, (1, (width + more) // cycle))[:, :width]


def _moving(values: Array, window: int) -> Array:
    """Return the centred moving sum, shorter at both ends."""
    width = values.shape[1]
    total = np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, 1)], 1)
    at = np.arange(width)
    summed: Array = total[:, np.minimum(at + window // 2 + 1, width)] - total[:, np.maximum(at - window // 2, 0)]
    return summed
