"""Periods of time: the grain of a panel, period numbers, and what a date is in the year."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.core.errors import BadValue, InvalidInput

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Grain:
    """How long one period is, and the lengths (in periods) that a forecast at that grain lives by."""

    name: str
    cycle: int  # the near past repeats after this many periods: weekdays, hours of the day; 1 where nothing repeats so soon
    season: int  # what a seasonal naive forecast looks back
    year: int  # the longest season
    level: int  # how much recent past makes the level of a series
    horizon: int  # how far a model learns to look unless told otherwise
    reach: int  # how far it may be asked to look

    @property
    def quiet(self) -> int:
        """Return after how many periods without an actual a series counts as ended."""
        return min(self.level, 4 * self.cycle)


GRAINS: dict[str, Grain] = {
    grain.name: grain
    for grain in (
        Grain("hour", 24, 24, 168, 336, 48, 24 * 28),
        Grain("day", 7, 7, 364, 91, 30, 366),
        Grain("week", 1, 52, 52, 13, 13, 104),
        Grain("month", 1, 12, 12, 12, 12, 36),
        Grain("quarter", 1, 4, 4, 4, 4, 12),
    )
}


OFTEN = 0.2  # share of gaps as small as one that comes often


@dataclass(frozen=True, slots=True)
class Clock:
    """Dates as period numbers and back. `anchor` is the weekday a week starts on (0 = Monday), elsewhere 0."""

    grain: Grain
    anchor: int = 0

    def number(self, dates: Array) -> Array:
        """Return the number of the period each date lies in; NaT becomes the smallest integer."""
        if self.grain.name == "hour":
            return dates.astype("M8[h]").astype("i8")
        if self.grain.name == "day":
            return dates.astype("M8[D]").astype("i8")
        if self.grain.name == "week":
            return (dates.astype("M8[D]").astype("i8") + 3 - self.anchor) // 7
        months = dates.astype("M8[M]").astype("i8")
        return months if self.grain.name == "month" else months // 3

    def date(self, numbers: Array) -> Array:
        """Return the first date of each period (a timestamp where periods are hours)."""
        numbers = np.asarray(numbers, "i8")
        if self.grain.name == "hour":
            return numbers.astype("M8[h]").astype("M8[us]")
        if self.grain.name == "day":
            return numbers.astype("M8[D]")
        if self.grain.name == "week":
            return (numbers * 7 - 3 + self.anchor).astype("M8[D]")
        months = numbers if self.grain.name == "month" else numbers * 3
        return months.astype("M8[M]").astype("M8[D]")

    def parts(self, numbers: Array) -> dict[str, Array]:
        """Return what each period is in its week, month and year, as float32 columns."""
        dates = self.date(numbers)
        days = dates.astype("M8[D]")
        months = dates.astype("M8[M]")
        of_year = (days - dates.astype("M8[Y]").astype("M8[D]")).astype("i8")
        said: dict[str, Array] = {}
        if self.grain.name == "hour":
            said["hour"] = np.asarray(numbers, "i8") % 24
        if self.grain.name in ("hour", "day"):
            said["weekday"] = (days.astype("i8") + 3) % 7
            said["day_of_month"] = (days - months.astype("M8[D]")).astype("i8") + 1
        if self.grain.name in ("hour", "day", "week"):
            said["day_of_year"] = of_year
        said["month"] = months.astype("i8") % 12 + 1
        return {name: value.astype("f4") for name, value in said.items()}


def clock_of(dates: Array) -> Clock:
    """Return the clock of the sorted distinct dates of a panel; one date alone counts as a day.

    The middle gap tells it, and where that fits no grain, as when over half of the weeks are missing, a smaller one that comes often.
    """
    if len(dates) == 0:
        raise InvalidInput("there is no date to learn from")
    if len(dates) == 1:
        return Clock(GRAINS["day"])
    gaps = np.diff(dates.astype("M8[s]").astype("i8")) / 86400
    names = ("hour", "day", "week", "month", "quarter")
    for gap in (float(np.median(gaps)), float(np.quantile(gaps, OFTEN, method="lower"))):
        for name, low, high in zip(names, (0.03, 0.5, 6.5, 27, 88), (0.3, 3.5, 7.5, 32, 93), strict=True):
            if low <= gap <= high:
                days = dates.astype("M8[D]").astype("i8")
                anchor = int(np.bincount((days + 3) % 7, minlength=7).argmax()) if name == "week" else 0
                return Clock(GRAINS[name], anchor)
    gap = float(np.median(gaps))
    raise InvalidInput(f"dates lie {gap:.3g} days apart", hint="give hours, days, weeks, months or quarters")


def holiday_dates(country: str, subdivision: str, years: Iterable[int]) -> dict[str, list[datetime.date]]:
    """Return the public holidays of a country by name, offline; raises BadValue for a country there is not."""
    import holidays

    try:
        found = holidays.country_holidays(country.upper(), subdiv=subdivision or None, years=list(years), language="en_US")
    except (NotImplementedError, KeyError) as error:
        raise BadValue(
            f"no holiday calendar for {country} {subdivision}".rstrip(), hint="use an ISO country code such as DE, US or MX"
        ) from error
    named: dict[str, list[datetime.date]] = {}
    for date, names in sorted(found.items()):
        for name in str(names).split("; "):
            named.setdefault(name.removesuffix(" (observed)").removesuffix(" (estimated)"), []).append(date)
    return named


def event_days(events: Any, frame: Any, country: str, subdivision: str) -> Any:
    """Return one row per event and day: name, date, and the geo or region it is held in as `_place`, empty where it is held everywhere.

    Public holidays of the years of `frame` come beside the rows of `events`. Needs polars.
    """
    import polars as pl

    years = range(frame["date"].min().year, frame["date"].max().year + 1)
    named = holiday_dates(country, subdivision, years) if country else {}
    rows = [(slug(name), date, "") for name, dates in named.items() for date in dates]
    days = pl.DataFrame(rows, schema={"name": pl.String, "date": pl.Date, "_place": pl.String}, orient="row")
    if events is None or events.height == 0:
        return days
    until = pl.coalesce("until", "date") if "until" in events.columns else pl.col("date")
    spans = events.filter(pl.col("date").is_not_null(), pl.col("name").is_not_null())
    place = next((name for name in ("geo", "region") if name in spans.columns), "")
    where = (pl.col(place).fill_null("") if place else pl.lit("")).alias("_place")
    own = spans.select(
        pl.col("name").map_elements(slug, return_dtype=pl.String),
        pl.date_ranges(pl.col("date"), pl.max_horizontal(until, pl.col("date"))).alias("date"),
        where,
    ).explode("date", empty_as_null=False)
    return pl.concat([own.with_columns(pl.col("date").cast(pl.Date)), days]).unique(maintain_order=True)


def slug(text: str) -> str:
    """Return a name that can be part of a column's: lower case, anything else an underscore."""
    return re.sub(r"\W+", "_", text.strip().lower()).strip("_") or "unnamed"
