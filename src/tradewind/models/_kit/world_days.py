"""The calendar of the sample company: public holidays (moving ones too), shopping days, local festivals, closed days.

Holidays are computed here and not asked of a library: the world must be the same after that library's next release.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tradewind.core.table import Array
from tradewind.models._kit.world_chance import stream

REGIONS = ("North", "South", "East", "West")

# name, kind, how it is dated, log effect on its day(s), log effect per day before it, days before, days it lasts
_EVENTS: tuple[tuple[str, str, str, float, float, int, int], ...] = (
    ("New Year's Day", "holiday", "01-01", 0.0, 0.18, 2, 1),
    ("Valentine's Day", "shopping", "02-14", 0.15, 0.10, 2, 1),
    ("Good Friday", "holiday", "easter-2", -0.15, 0.30, 3, 1),
    ("Easter Monday", "holiday", "easter+1", -0.20, 0.0, 0, 1),
    ("Labor Day", "holiday", "05-01", -0.15, 0.12, 1, 1),
    ("Mother's Day", "shopping", "mother", 0.20, 0.15, 2, 1),
    ("Ascension Day", "holiday", "easter+39", -0.12, 0.10, 1, 1),
    ("Whit Monday", "holiday", "easter+50", -0.15, 0.12, 2, 1),
    ("German Unity Day", "holiday", "10-03", -0.15, 0.10, 1, 1),
    ("Black Friday", "shopping", "black", 0.45, 0.0, 0, 4),
    ("Christmas Day", "holiday", "12-25", 0.0, 0.35, 8, 1),
    ("Second Day of Christmas", "holiday", "12-26", -0.30, 0.0, 0, 1),
)
CLOSED = ("New Year's Day", "Christmas Day")
_FESTIVALS = ("harbour days", "street fair", "wine week")


@dataclass(frozen=True, slots=True)
class Days:
    """Every day of the world: `history` days of sales, `plan` days known ahead, and a tail that only completes the truth."""

    dates: Array  # datetime64[D], history + plan + tail
    history: int
    plan: int
    weekday: Array  # 0 = Monday
    year_day: Array  # 0-based day of the year
    closed: Array  # bool
    effect: Array  # regions x days: sum of the log effects of events
    events: dict[str, Array]  # the events table, to the end of the plan
    truth: dict[str, Array]  # name, kind, region, effect, before, lead: the log effects


def easter(year: int) -> np.datetime64:
    """Return Easter Sunday of a year (anonymous Gregorian algorithm)."""
    century, rest = divmod(year, 100)
    moon = (19 * (year % 19) + century - century // 4 - (century - (century + 8) // 25 + 1) // 3 + 15) % 30
    week = (32 + 2 * (century % 4) + 2 * (rest // 4) - moon - rest % 4) % 7
    late = (year % 19 + 11 * moon + 22 * week) // 451
    month, day = divmod(moon + week - 7 * late + 114, 31)
    return np.datetime64(f"{year:04d}-{month:02d}-{day + 1:02d}", "D")


def _dated(rule: str, year: int) -> np.datetime64:
    if rule.startswith("easter"):
        return easter(year) + np.timedelta64(int(rule[6:]), "D")
    if rule == "mother":  # second Sunday of May
        return np.busday_offset(f"{year}-05-01", 1, roll="forward", weekmask="Sun")
    if rule == "black":  # the day after the fourth Thursday of November
        return np.busday_offset(f"{year}-11-01", 3, roll="forward", weekmask="Thu") + np.timedelta64(1, "D")
    return np.datetime64(f"{year}-{rule}", "D")


def make_days(seed: int, *, start: np.datetime64, history: int, plan: int, tail: int, regions: int) -> Days:
    """Lay out the calendar and the log effect of every event on every day of every region."""
    dates = start + np.arange(history + plan + tail)
    rng = stream(seed, "days")
    years = np.arange(dates[0].astype("M8[Y]").astype(int) + 1970, dates[-1].astype("M8[Y]").astype(int) + 1972)
    rows: list[tuple[np.datetime64, int, str, str, str]] = []  # first day, length, name, kind, region
    sizes: dict[str, tuple[str, str, float, float, int]] = {}
    for name, kind, rule, effect, before, lead, length in _EVENTS:
        jitter = np.exp(0.15 * rng.normal(size=2))
        sizes[name] = (kind, "", effect * jitter[0], before * jitter[1], lead)
        rows += [(_dated(rule, int(year)), length, name, kind, "") for year in years]
    for region in REGIONS[:regions]:
        for festival in _FESTIVALS[: int(rng.integers(2, 4))]:
            name, home, length = f"{region} {festival}", int(rng.integers(60, 300)), int(rng.integers(3, 6))
            sizes[name] = ("local", region, float(rng.uniform(0.15, 0.40)), 0.0, 0)
            moved = home + rng.integers(-10, 11, len(years))
            rows += [
                (np.datetime64(f"{year}-01-01", "D") + np.timedelta64(int(at), "D"), length, name, "local", region)
                for year, at in zip(years, moved, strict=True)
            ]
    rows.sort(key=lambda row: (row[0], row[2]))
    closed = np.isin(dates, np.array([row[0] for row in rows if row[2] in CLOSED], "M8[D]"))
    listed = [row for row in rows if dates[0] <= row[0] < dates[history + plan - 1] + 1]
    year_day = (dates - dates.astype("M8[Y]").astype("M8[D]")).astype(int)
    felt = _effects(dates, rows, sizes, regions)
    return Days(dates, history, plan, (dates.astype("i8") + 3) % 7, year_day, closed, felt, _table(listed), _truth(sizes))


def _effects(
    dates: Array, rows: list[tuple[np.datetime64, int, str, str, str]], sizes: dict[str, tuple[str, str, float, float, int]], regions: int
) -> Array:
    effect = np.zeros((regions, len(dates)))
    for first, length, name, _, region in rows:
        _, _, on, before, lead = sizes[name]
        where = slice(None) if not region else slice(REGIONS.index(region), REGIONS.index(region) + 1)
        at = int((first - dates[0]).astype(int))
        effect[where, max(at, 0) : max(at + length, 0)] += on
        effect[where, max(at - lead, 0) : max(at, 0)] += before
    return effect


def _table(rows: list[tuple[np.datetime64, int, str, str, str]]) -> dict[str, Array]:
    first = np.array([row[0] for row in rows], "M8[D]")
    text = {name: np.array([row[at] or None for row in rows], dtype=object) for at, name in ((2, "name"), (3, "kind"), (4, "region"))}
    return {
        "date": first,
        "name": text["name"],
        "kind": text["kind"],
        "until": first + np.array([row[1] - 1 for row in rows], "m8[D]"),
        "region": text["region"],
    }


def _truth(sizes: dict[str, tuple[str, str, float, float, int]]) -> dict[str, Array]:
    values = list(sizes.values())
    text = {"name": list(sizes), "kind": [value[0] for value in values], "region": [value[1] or None for value in values]}
    numbers = {
        "effect": [value[2] for value in values],
        "before": [value[3] for value in values],
        "lead": [float(value[4]) for value in values],
    }
    return {name: np.array(column, dtype=object) for name, column in text.items()} | {
        name: np.array(column, "f8") for name, column in numbers.items()
    }
