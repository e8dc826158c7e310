"""Two categories whose weekly and yearly seasons, price effect, promotions and moving holiday are known."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np

from tradewind.core.model import Example, Truth
from tradewind.core.schema import Column, Role, Schema, Type
from tradewind.core.table import Table

Array = np.ndarray[Any, Any]
PRODUCTS = {"tea": "drinks", "juice": "drinks", "bread": "food"}
DAYS = 900
START = np.datetime64("2023-01-02", "D")
WEEK = {"drinks": (0.0, -0.05, -0.05, 0.0, 0.15, 0.25, -0.30), "food": (0.1, 0.0, 0.0, 0.0, 0.1, 0.2, -0.4)}
YEAR = {"drinks": 0.30, "food": 0.10}
TREND, ELASTICITY, LIFT, EASTER, BEFORE = 0.05, -1.5, 0.25, -0.4, 0.3
EASTERS = ("2023-04-09", "2024-03-31", "2025-04-20", "2026-04-05")


def example(seed: int) -> Example:
    """Make sales, products, promotions and events with a price step in the middle; noise is a count's and 5 % a day."""
    rng = np.random.default_rng(seed)
    days = START + np.arange(DAYS)
    columns: dict[str, list[Array]] = {name: [] for name in ("date", "product", "units", "price", "promotion")}
    for product, category in PRODUCTS.items():
        price = np.where(np.arange(DAYS) >= 500, 2.2, 2.0)
        runs = np.repeat(rng.random(-(-DAYS // 7)) < 0.15, 7)[:DAYS]
        paid = price * np.where(runs, 0.85, 1.0)
        logged = np.log(200.0) + TREND * np.arange(DAYS) / 365.25 + _season(category, days) + _easter(days)
        logged += ELASTICITY * np.log(paid / 2.0) + LIFT * runs
        units = rng.poisson(np.exp(logged + 0.05 * rng.normal(size=DAYS)))
        for name, value in zip(columns, (days, np.full(DAYS, product, object), units.astype("f8"), paid, runs.astype("f8")), strict=True):
            columns[name].append(value)
    sales = Table.from_columns({name: np.concatenate(parts) for name, parts in columns.items()}, _SALES)
    products = Table.from_columns({"product": np.array([*PRODUCTS], object), "category": np.array([*PRODUCTS.values()], object)})
    events = Table.from_columns({"date": np.array(EASTERS, "M8[D]"), "name": np.array(["Easter Sunday"] * len(EASTERS), object)})
    return Example({"sales": sales, "products": products, "events": events}, _truths(days))


_SALES = Schema(
    (
        Column("date", Role.TIME, Type.DATE),
        Column("product", Role.ENTITY, Type.TEXT),
        Column("units", Role.TARGET, unit="units"),
        Column("price", Role.LEVER, unit="money"),
        Column("promotion", Role.LEVER),
    ),
    ("date", "product"),
)


def _season(category: str, days: Array) -> Array:
    of_year = (days - days.astype("M8[Y]").astype("M8[D]")).astype(int)
    week = np.array(WEEK[category])[(days.astype("i8") + 3) % 7]
    found: Array = week + YEAR[category] * np.cos(2 * np.pi * (of_year - 190) / 365.25)
    return found


def _easter(days: Array) -> Array:
    out = np.zeros(len(days))
    for date in EASTERS:
        away = (days - np.datetime64(date, "D")).astype(int)
        out += EASTER * (away == 0) + BEFORE * ((away >= -3) & (away < 0))
    return out


def _truths(days: Array) -> tuple[Truth, ...]:
    """Ask for dates and compare ratios of components: a weekend, a summer, a holiday and the days before it."""
    easter = np.datetime64(EASTERS[1], "D")
    return (
        _ratio("week", "2024-06-01", "2024-06-02", value=float(np.exp(WEEK["drinks"][5] - WEEK["drinks"][6])), tolerance=0.10),
        _ratio("year", "2024-07-08", "2025-01-06", value=float(np.exp(2 * YEAR["drinks"])), tolerance=0.15),
        _ratio("event", str(easter), "2024-06-12", value=float(np.exp(EASTER)), tolerance=0.10),
        _ratio("event", str(easter - 2), "2024-06-12", value=float(np.exp(BEFORE)), tolerance=0.12),
    )


def _ratio(part: str, first: str, second: str, *, value: float, tolerance: float) -> Truth:
    """Ask for drinks on two dates; compare the ratio of one component."""
    dates = [dt.date.fromisoformat(first), dt.date.fromisoformat(second)]
    asked = Table.from_columns({"category": np.array(["drinks"] * 2, object), "date": np.array(dates, "M8[D]")})
    return Truth(
        f"{part} of {first} over {second}", asked, lambda said: float(said.column(part)[0] / said.column(part)[1]), value, tolerance
    )
