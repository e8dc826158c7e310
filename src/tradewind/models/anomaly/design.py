"""The columns an expectation is made of: calendar, prices, levers, events and their days around, siblings. Used by fit and predict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tradewind.models.anomaly.expect import afterglow
from tradewind.models.anomaly.grid import DAY, Beat, Grid

Array = np.ndarray[Any, Any]
AROUND = ((0, 0), (1, 2), (3, 5), (6, 9), (-2, -1))  # days before (or after, negative) an event that are told apart
MOST_EVENTS, MOST_NUMBERS = 24, 24
MOST_LIFT = 2.5  # log lift of the part that runs a promotion
ON = 0.05  # a promotion that covers less of a series does not count as one
PROMOTION, DISCOUNT, PRICE, RIVAL = "promotion", "discount", "price", "competitor_price"


@dataclass(frozen=True, slots=True)
class Pace:
    """What a beat means for a level: its half-lives and gap in periods, weekday and year terms."""

    slow: float
    level: float
    gap: int
    weekday: bool
    waves: int
    around: bool


def pace_of(beat: Beat, periods: int) -> Pace:
    """Return the pace of a daily, weekly or monthly grid; a year is only told apart where there is more than one."""
    if beat.months:
        return Pace(18, 9, 1, False, 2 if periods * beat.months >= 24 else 0, False)
    days = max(beat.step, 1) / DAY
    years = periods * days / 365.25
    waves = 3 if years >= 1.4 else 0
    if days >= 6:
        return Pace(17, 8, 1, False, waves, False)
    return Pace(30, 21, 3, days == 1, waves, days == 1)


@dataclass(frozen=True)
class Design:
    """Names and kinds of the columns, in order: weekdays, waves of the year, events, then what each series has of its own.

    `flags` (events, T + later) says when each event column is on, planned days too.
    """

    names: tuple[str, ...]
    kinds: tuple[str, ...]
    flags: Array
    pace: Pace

    @cached_property
    def calendar(self) -> int:
        """Return how many columns are the same for all series; they come first."""
        return sum(kind in ("week", "year", "event") for kind in self.kinds)

    @cached_property
    def levers(self) -> Array:
        """Return where the columns are that can lift: levers and price cuts."""
        return self.places("lever", "cut")

    def places(self, *kinds: str) -> Array:
        """Return where the columns of these kinds are."""
        return np.array([at for at, kind in enumerate(self.kinds) if kind in kinds], "i8")


def design_of(grid: Grid) -> Design:
    """Choose the columns for a grid."""
    pace = pace_of(grid.beat, len(grid.moments))
    found: list[tuple[str, str]] = []
    if pace.weekday:
        found += [(f"weekday_{day}", "week") for day in range(6)]
    found += [(f"{name}_{wave}", "year") for wave in range(1, pace.waves + 1) for name in ("sin", "cos")]
    flags = _flags(grid.calendar, pace)
    found += [(name, "event") for name in flags]
    kinds = grid.kinds
    split = PRICE in kinds and PROMOTION in kinds
    if PRICE in kinds:
        found += [(PRICE, "price")] + ([("cut", "cut")] if split else [])
    if RIVAL in kinds:
        found.append((RIVAL, "rival"))
    usable = [name for name, kind in kinds.items() if kind in ("lever", "number") and not (split and name == DISCOUNT)]
    found += [(name, kinds[name]) for name in usable[:MOST_NUMBERS]]
    if PROMOTION in kinds:
        found.append(("after", "after"))
    if len(grid) >= 4:
        found += [(f"siblings_{name}", "sibling") for name in (PRICE, PROMOTION) if name in kinds]
    on = np.stack(list(flags.values())) if flags else np.zeros((0, len(grid.moments)), "f4")
    return Design(tuple(name for name, _ in found), tuple(kind for _, kind in found), on, pace)


def _flags(calendar: Mapping[str, Array], pace: Pace) -> dict[str, Array]:
    often = sorted(calendar, key=lambda name: (-float(calendar[name].sum()), name))[:MOST_EVENTS]
    found: dict[str, Array] = {}
    for name in sorted(often):
        on = calendar[name]
        for low, high in AROUND if pace.around else ((0, 0),):
            flag = np.zeros_like(on)
            for days in range(low, high + 1):
                moved = np.roll(on, -days)
                moved[len(on) - days :] = 0 if days > 0 else moved[len(on) - days :]
                moved[: max(-days, 0)] = 0
                flag = np.maximum(flag, moved)
            if flag.any():
                found[f"{name}:{low}:{high}"] = flag
    return found


@dataclass(frozen=True, slots=True)
class Usual:
    """What is usual of each series: its middle log price and rival price, its regular price by period, mean and spread of numbers."""

    price: Array
    rival: Array
    numbers: Mapping[str, tuple[Array, Array]]


def usual_of(grid: Grid) -> Usual:
    """Measure what is usual."""

    def middle(name: str) -> Array:
        if name not in grid.inputs:
            return np.zeros(len(grid))
        known = np.where(grid.inputs[name] > 0, np.log(np.maximum(grid.inputs[name], 1e-9)), np.nan)
        some = np.isfinite(known).any(1)
        out = np.zeros(len(grid))
        out[some] = np.nanmedian(known[some], 1)
        return out

    numbers = {}
    for name, kind in grid.kinds.items():
        if kind == "number":
            value = grid.inputs[name].astype("f8")
            count = np.maximum(np.isfinite(value).sum(1), 1)
            mean = np.nansum(value, 1) / count
            spread = np.sqrt(np.nansum((value - mean[:, None]) ** 2, 1) / count)
            numbers[name] = mean, np.where(spread > 0, spread, 1.0)
    return Usual(middle(PRICE), middle(RIVAL), numbers)


def regular_prices(grid: Grid, usual: Usual) -> Array:
    """Return the log regular price of every period: the last one paid while no promotion ran."""
    if PRICE not in grid.inputs:
        return np.zeros(grid.value.shape)
    price = np.log(np.where(grid.inputs[PRICE] > 0, grid.inputs[PRICE], np.nan))
    quiet = np.isfinite(price) & ~(np.nan_to_num(grid.inputs.get(PROMOTION, np.zeros_like(price))) > ON)
    out = np.where(quiet, price, np.nan)
    at = np.maximum.accumulate(np.where(quiet, np.arange(out.shape[1]), -1), 1)
    filled = np.take_along_axis(out, np.maximum(at, 0), 1)
    return np.where(at >= 0, filled, usual.price[:, None])


def calendar_columns(design: Design, moments: Array, first: int) -> Array:
    """Return the columns that are the same for all series, (n, columns); `first` is the column number of the first moment."""
    days = moments.astype("M8[D]").astype("i8")
    out = np.zeros((len(moments), design.calendar), "f4")
    at = 0
    if design.pace.weekday:
        out[:, :6] = -1 / 7
        weekday = (days + 3) % 7
        inside = np.flatnonzero(weekday < 6)
        out[inside, weekday[inside]] += 1
        at = 6
    for wave in range(1, design.pace.waves + 1):
        angle = 2 * np.pi * wave * days / 365.25
        out[:, at], out[:, at + 1] = np.sin(angle), np.cos(angle)
        at += 2
    known = np.flatnonzero(first + np.arange(len(moments)) < design.flags.shape[1])
    out[known, at:] = design.flags[:, first + known].T
    return out


def own_columns(usual: Usual, inputs: Mapping[str, Array], regular: Array) -> dict[str, Array]:
    """Return the columns of prices, levers and numbers, (S, n) each, of inputs (S, n); what is not said is as usual."""
    found: dict[str, Array] = {}
    for name, value in inputs.items():
        if name == PRICE:
            paid = np.where(value > 0, np.log(np.maximum(value, 1e-9)), regular)
            found["cut"] = paid - regular if PROMOTION in inputs else np.zeros_like(regular)
            found[PRICE] = (regular if PROMOTION in inputs else paid) - usual.price[:, None]
        elif name == RIVAL:
            found[name] = np.where(value > 0, np.log(np.maximum(value, 1e-9)), usual.rival[:, None]) - usual.rival[:, None]
        elif name in usual.numbers:
            mean, spread = usual.numbers[name]
            scaled = (value - mean[:, None]) / spread[:, None]
            found[name] = np.where(np.isfinite(scaled), scaled, 0.0)
        else:
            found[name] = np.where(np.isfinite(value), value, 0.0)
    return found


def sibling_columns(own: Mapping[str, Array], group: Array) -> dict[str, Array]:
    """Return the mean price signal and promotion of the others of each series' group."""
    found = {}
    signals = {PRICE: own[PRICE] + own.get("cut", 0.0)} if PRICE in own else {}
    signals |= {PROMOTION: own[PROMOTION]} if PROMOTION in own else {}
    for name, signal in signals.items():
        sums = np.zeros((int(group.max()) + 1, signal.shape[1]))
        np.add.at(sums, group, signal)
        count = np.bincount(group, minlength=len(sums)).astype("f8")
        found[f"siblings_{name}"] = (sums[group] - signal) / np.maximum(count[group] - 1, 1)[:, None]
    return found


def matrix(design: Design, calendar: Array, own: Mapping[str, Array], shape: tuple[int, int]) -> Array:
    """Stack the columns of a design as (S, n, p); one that is missing is zero."""
    out = np.zeros((*shape, len(design.names)), "f4")
    out[..., : design.calendar] = calendar
    for at in range(design.calendar, len(design.names)):
        column = own.get(design.names[at])
        if column is not None:
            out[..., at] = column
    return out


def after_column(lift: Array, running: Array) -> Array:
    """Return what earlier promotions brought and is still to be used up, from the log lifts learned so far."""
    return afterglow(np.expm1(np.clip(lift, 0.0, 2.5)), running)


def lift_of(levers: Array, beta: Array) -> Array:
    """Return the log lift of columns of levers (S, T, l) whose coefficients are `beta` (S, l)."""
    return np.asarray(np.einsum("stp,sp->st", levers, beta.astype(levers.dtype), optimize=True), "f8")


def partly(lift: Array, running: Array) -> Array:
    """Return the log lift of a sum of which only a share runs a promotion, from its lift as if logs added up.

    Columns of a sum are shares times what runs. The parts that run sell exp(lift / share) times as much and the others as usual, which
    is more than exp(lift).
    """
    share = np.clip(running, ON, 1.0)
    some = (running > 0) & (share < 1)
    return np.where(some, np.log1p(share * np.expm1(np.clip(lift / share, -MOST_LIFT, MOST_LIFT))), lift)
