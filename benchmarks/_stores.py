"""A chain of stores as its sales come out of a till: one line per store and day, zeros where it was closed, money instead of units.

What each store would have sold is known: level, week, promotions, holidays, the days before and after them, the end of the month, Advent,
a slow drift of its own and some noise that carries over to the next day. Most stores rest on Sundays and on holidays, a few never do,
one in eight is rebuilt for half a year.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from tradewind.models._kit.calendar import holiday_dates

COUNTRY = "DE"
FIRST, DAYS = np.datetime64("2021-01-01"), 886  # the last three months hold Good Friday and four more holidays
CARRIED, NOISE = 0.3, 0.07  # of the logarithm of a day's sales
SCHOOL = ((1, 5), (84, 96), (196, 240), (283, 298), (356, 366))  # days of the year


@dataclass(frozen=True)
class Chain:
    """`frame` has a row per store and day, under headers of its owner; the matrices are (stores, days)."""

    frame: pl.DataFrame
    dates: np.ndarray
    sold: np.ndarray
    usual: np.ndarray  # what was expected of the day by whoever knows all but its noise; 0 where closed
    open: np.ndarray
    promoted: np.ndarray


def chain(stores: int = 100, *, seed: int = 0) -> Chain:
    """Make a chain up."""
    rng = np.random.default_rng(seed)
    dates = FIRST + np.arange(DAYS)
    calendar = _calendar(dates, rng)
    made = [_store(calendar, rng, rebuilt=number % 8 == 0) for number in range(1, stores + 1)]
    usual, noise, opened = (np.stack(part) for part in zip(*made, strict=True))
    sold = np.round(usual * np.exp(noise)) * opened
    promoted = np.repeat(calendar["promotion"][None], stores, 0)
    columns = {
        "Store": np.repeat(np.arange(1, stores + 1), DAYS),
        "DayOfWeek": np.tile(calendar["weekday"] + 1, stores),
        "Date": np.tile(dates.astype("M8[ms]"), stores),
        "Sales": sold.ravel(),
        "Customers": np.round(sold / 9 * np.exp(rng.normal(0, 0.03, sold.shape))).ravel(),
        "Open": opened.ravel().astype("i8"),
        "Promo": promoted.ravel().astype("i8"),
        "StateHoliday": np.tile(np.where(calendar["holiday"] > 0, "a", "0"), stores),
        "SchoolHoliday": np.tile(calendar["school"].astype("i8"), stores),
    }
    frame = pl.DataFrame(columns).with_columns(pl.col("Date").cast(pl.Date))
    return Chain(frame, dates, sold, usual * opened, opened > 0, promoted)


def _calendar(dates: np.ndarray, rng: np.random.Generator) -> Mapping[str, np.ndarray]:
    day = dates.astype("i8")
    weekday, year = (day + 3) % 7, dates.astype("M8[Y]")
    of_year = (dates - year).astype("i8") + 1
    of_month = (dates - dates.astype("M8[M]")).astype("i8") + 1
    years = range(int(str(year[0])), int(str(year[-1])) + 1)
    feasts = [str(date) for days in holiday_dates(COUNTRY, "", years).values() for date in days]
    holiday = np.isin(dates, np.array(feasts, "M8[D]")).astype("f8")
    week = (day + 3) // 7 - (day[0] + 3) // 7
    extra = rng.random(int(week[-1]) + 1) < 0.08
    promotion = ((week % 2 == 0) | extra[week]) & (weekday < 5)
    school = np.any([(of_year >= first) & (of_year <= last) for first, last in SCHOOL], axis=0)
    return {
        "weekday": weekday,
        "of_year": of_year,
        "payday": ((of_month <= 3) | (of_month >= 29)).astype("f8"),
        "holiday": holiday,
        "before": np.append(holiday[1:], 0.0),
        "after": np.append(0.0, holiday[:-1]),
        "promotion": promotion.astype("f8"),
        "school": school.astype("f8"),
    }


def _store(calendar: Mapping[str, np.ndarray], rng: np.random.Generator, *, rebuilt: bool) -> tuple[np.ndarray, ...]:
    """Return usual sales, noise of their logarithm, and 1 where a store is open."""
    weekday, of_year = calendar["weekday"], calendar["of_year"]
    always = rng.random() < 0.03
    week = np.array([0.17, 0.02, -0.02, -0.02, 0.03, -0.1, -0.1]) + rng.normal(0, 0.04, 7)
    logged = np.log(np.exp(rng.normal(8.7, 0.35))) + week[weekday]
    logged = logged + calendar["promotion"] * (rng.normal(0.30, 0.08) + rng.normal(0.12, 0.04) * (weekday == 0))
    logged = logged + rng.normal(0.06, 0.02) * calendar["payday"] + rng.normal(0.02, 0.02) * calendar["school"]
    logged = logged + 0.12 * calendar["before"] + 0.1 * calendar["after"]
    logged = logged + rng.normal(0.25, 0.08) * np.clip((of_year - 325) / 30, 0, 1) * (of_year < 359)
    logged = logged + rng.normal(-0.03, 0.03) * np.sin(2 * np.pi * of_year / 365.25)
    logged = logged + np.cumsum(rng.normal(0, 0.002, DAYS)) + rng.normal(0.02, 0.05) * np.arange(DAYS) / 365
    fresh, noise = rng.normal(0, NOISE, DAYS), np.zeros(DAYS)
    for day in range(1, DAYS):
        noise[day] = CARRIED * noise[day - 1] + fresh[day]
    opened = np.ones(DAYS)
    if not always:
        opened[(weekday == 6) | (calendar["holiday"] > 0)] = 0
    if rebuilt:
        start = 500 + int(rng.integers(60))
        opened[start : start + 184] = 0
    return np.exp(logged), noise, opened
