"""What kind of panel this is, and which ways to learn are worth trying on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.models._kit.calendar import Grain
from tradewind.models._kit.panel import Panel

Array = np.ndarray[Any, Any]
CLASSES = ("smooth", "erratic", "intermittent", "lumpy", "silent")
"""Kinds of series by code (Syntetos and Boylan 2005); silent ones never sold."""
ADI, CV2 = 1.32, 0.49
MANY_SERIES, MANY_ROWS = 5, 5_000  # from here on one model for all series has enough to learn from
MOST_FOR_STATS = 2_000  # series that may have a model each: 18 CPU-seconds for two years of days, as measured
DEEP_ROWS = 8_000  # what a network wants to see
CHUNK = 1000  # series looked at at once: the work stays in the processor's cache


@dataclass(frozen=True, slots=True)
class Profile:
    """Facts of a panel; arrays have one entry per series. Only what lies before the cut is looked at."""

    grain: Grain
    series: int
    rows: int  # actuals
    whole: bool  # every actual is a whole number
    missing: float  # share of periods without an actual, from each series' first one on
    zeros: float  # share of actuals that are zero
    cycle: float  # strength of the short season, 0-1, median over series
    year: float  # strength of the long season, 0-1, median over series with two of them
    covered: dict[str, float]  # column known ahead -> share of past periods where it says something (a price, or not zero)
    history: Array  # periods from the first actual to the cut
    known: Array  # actuals
    adi: Array  # periods per sale
    cv2: Array  # squared coefficient of variation of the sales
    classes: Array  # codes of CLASSES
    cycle_of: Array
    year_of: Array  # NaN where there are not two of them
    whole_of: Array


@dataclass(frozen=True, slots=True)
class Route:
    """Which recipes are worth trying, the naive one first, and why."""

    name: str  # panel | few | intermittent | cold
    recipes: tuple[str, ...]
    why: str


def profile(panel: Panel) -> Profile:
    """Look at a panel: counts, kinds of series, seasons and coverage of its columns."""
    parts = [_part(panel, slice(at, at + CHUNK)) for at in range(0, len(panel), CHUNK)]
    found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    known, history, zeros = found["known"], found["history"], found["zeros"]
    sold = known - zeros
    adi = np.where(sold > 0, known / np.maximum(sold, 1), np.inf)
    classes = np.where(adi > ADI, 2, 0) + (found["cv2"] > CV2)
    classes = np.where(sold > 0, classes, CLASSES.index("silent")).astype("i1")
    rows, span = int(known.sum()), int(history.sum())
    covered = {}
    for name, value in panel.ahead.items():
        past = value[:, : panel.cut]
        covered[name] = float((np.isfinite(past) & (past != 0)).mean()) if past.size else 0.0
    return Profile(
        panel.grain,
        len(panel),
        rows,
        bool(found["whole"].all()),
        1 - rows / span if span else 1.0,
        float(zeros.sum()) / rows if rows else 0.0,
        _median(found["cycle"]),
        _median(found["year"]),
        covered,
        history,
        known,
        adi,
        found["cv2"],
        classes,
        found["cycle"],
        found["year"],
        found["whole"],
    )


def _part(panel: Panel, rows: slice) -> dict[str, Array]:
    past = panel.target[rows, : panel.cut]
    known = past == past  # noqa: PLR0124 - the quickest test for NaN
    value = np.where(known, past, np.float32(0))
    count = known.sum(1)
    sold = value > 0
    sales = sold.sum(1)
    mean = value.sum(1, dtype="f8") / np.maximum(sales, 1)
    square = np.einsum("st,st->s", value, value, dtype="f8") / np.maximum(sales, 1)
    first = np.where(count > 0, known.argmax(1), past.shape[1])
    grain = panel.grain
    return {
        "known": count,
        "history": past.shape[1] - first,
        "zeros": count - sales,
        "cv2": np.where(sales > 1, np.maximum(square / np.maximum(mean, 1e-12) ** 2 - 1, 0), 0.0),
        "whole": (value == np.rint(value)).all(1),
        "cycle": seasonal_strength(value, known, grain.cycle if grain.cycle > 1 else 0),
        "year": _yearly(value, known, grain),
    }


def seasonal_strength(value: Array, known: Array, season: int) -> Array:
    """Return 0-1 per series: how much of the movement around a moving level repeats every season; NaN below two seasons.

    `value` is zero where not known. Adjusted for the number of phases, so that noise alone gives about zero.
    """
    count, width = value.shape
    if season < 2 or width < 2 * season:
        return np.full(count, np.nan)
    cut = width // season * season
    value, known = value[:, -cut:], known[:, -cut:]
    sums, counts = (part.reshape(count, -1, season) for part in (value, known))
    per = counts.sum(2)
    level = np.where(per > 0, sums.sum(2) / np.maximum(per, 1), 0)
    moved = np.where(counts, sums - _smoothed(level, per)[:, :, None].astype(value.dtype), 0)
    each = counts.sum(1)
    phase = moved.sum(1) / np.maximum(each, 1)
    total_n = each.sum(1)
    overall = moved.sum((1, 2)) / np.maximum(total_n, 1)
    whole = np.einsum("sct,sct->s", moved, moved, dtype="f8") - total_n * overall**2
    between = (each * (phase - overall[:, None]) ** 2).sum(1)
    free = total_n - season
    enough = (each.min(1) >= 2) & (free > 0) & (whole > 1e-9)
    left = np.maximum(whole - between, 0) / np.maximum(free, 1)
    strength = np.clip(1 - left / np.maximum(whole / np.maximum(total_n - 1, 1), 1e-12), 0, 1)
    found: Array = np.where(enough, strength, np.where(each.min(1) >= 2, 0.0, np.nan))
    return found


def _smoothed(level: Array, per: Array) -> Array:
    """Return the level of each season averaged with its neighbours: the trend that a season rides on."""
    weight = (per > 0).astype("f8")
    padded, weights = (np.pad(part, ((0, 0), (1, 1))) for part in (level * weight, weight))
    total = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    count = weights[:, :-2] + weights[:, 1:-1] + weights[:, 2:]
    smooth: Array = total / np.maximum(count, 1)
    return smooth


def _yearly(value: Array, known: Array, grain: Grain) -> Array:
    """Return the strength of the long season, on sums of a few periods where a year has many."""
    block = max(grain.year // 52, 1) if grain.name in ("day", "hour") else 1
    width = value.shape[1] // block * block
    if block > 1 and width:
        value, known = (part[:, -width:].reshape(len(part), -1, block) for part in (value, known))
        counted = known.sum(2)
        value, known = value.sum(2) / np.maximum(counted, 1), counted > 0
    return seasonal_strength(value, known, grain.year // block)


def _median(values: Array) -> float:
    fine = values[np.isfinite(values)]
    return float(np.median(fine)) if len(fine) else float("nan")


def route(found: Profile) -> Route:
    """Return which recipes are worth trying on such a panel."""
    grain = found.grain
    living = found.classes != CLASSES.index("silent")
    sparse = float(np.isin(found.classes[living], (2, 3)).mean()) if living.any() else 0.0
    typical = int(np.median(found.history[living])) if living.any() else 0
    many = found.series >= MANY_SERIES and found.rows >= MANY_ROWS
    pooled = ("boosted", "lstm") if found.rows >= DEEP_ROWS else ("boosted",)
    said = f"{found.series} series of about {typical} {grain.name}s"
    short = max(grain.level, 2 * grain.horizon) if many else max(2 * grain.season, 4 * grain.cycle)
    if typical < short:
        if many:
            return Route("cold", ("naive", "boosted", "stats"), f"{said}: too short for seasons of their own, so they are learned together")
        return Route("cold", ("naive", "stats"), f"{said}: less than two seasons, so only simple ways can be learned")
    if sparse > 0.5:
        more = pooled if many else ()
        why = f"{said}, {sparse:.0%} of them with sales in fewer than three periods of four: rates and counts, not curves"
        return Route("intermittent", ("naive", "stats", *more), why)
    if many:
        own = ("stats",) if found.series <= MOST_FOR_STATS else ()
        why = f"{said}: enough to learn them together"
        return Route("panel", ("naive", "boosted", *pooled[1:], *own), why if own else f"{why}, too many for a model each")
    return Route("few", ("naive", "stats"), f"{said}: each is learned by itself")
