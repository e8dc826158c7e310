"""Real sales as business tables, what was known of them at a cutoff, and the forecasts that ours are read beside."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks._run import DATA, Failed
from tradewind.core.model import Budget

KEYS = ("product", "store")
STEPS = {"day": "1d", "week": "1w", "month": "1mo"}
SEASONS = {"day": 7, "week": 52, "month": 12}
LEVELS = tuple(round(0.1 * number, 1) for number in range(1, 10))
BANDS = (80, 90, 95)
REASON = "benchmark"


@dataclass(frozen=True)
class Sales:
    """A data set: sales in the long form, which of its columns are known before their period comes, and what is fixed for good."""

    frame: pl.DataFrame  # date, product, [store], units, and more; every period may be missing for any series
    planned: tuple[str, ...]
    grain: str  # day, week, month
    tables: Mapping[str, pl.DataFrame] = field(default_factory=dict)  # products and stores

    @property
    def keys(self) -> list[str]:
        """Return the columns that name a series."""
        return [key for key in KEYS if key in self.frame.columns]

    @property
    def season(self) -> int:
        """Return how far a seasonal naive forecast looks back."""
        return SEASONS[self.grain]

    @cached_property
    def dates(self) -> list[dt.date]:
        """Return every period from the first to the last, those without a single sale too."""
        first, last = self.frame["date"].min(), self.frame["date"].max()
        assert isinstance(first, dt.date)
        assert isinstance(last, dt.date)
        return pl.date_range(first, last, STEPS[self.grain], eager=True).to_list()

    @cached_property
    def series(self) -> pl.DataFrame:
        """Return the series in the order of every matrix."""
        return self.frame.select(self.keys).unique().sort(self.keys)

    def only(self, rows: pl.Expr) -> Sales:
        """Return the data set of some series, as long as the whole one."""
        cut = Sales(self.frame.filter(rows), self.planned, self.grain, self.tables)
        cut.__dict__["dates"] = self.dates
        return cut

    def known(self, cutoff: dt.date, until: dt.date, *, since: dt.date | None = None) -> pl.DataFrame:
        """Return sales as known at a cutoff: whole rows up to it (after `since`), then only what is planned up to `until`."""
        past = pl.col("date") <= cutoff
        hidden = [name for name in self.frame.columns if name not in ("date", *self.keys, *self.planned)]
        rows = self.frame.filter(pl.col("date") <= (until if self.planned else cutoff), pl.col("date") > (since or dt.date.min))
        return rows.with_columns(pl.when(past).then(pl.col(name)).alias(name) for name in hidden)

    def asked(self, dates: Sequence[dt.date]) -> pl.DataFrame:
        """Return one question per series and date: series that ended are asked about as well."""
        return self.series.join(pl.DataFrame({"date": list(dates)}), how="cross")

    def laid(self, frame: pl.DataFrame, column: str, dates: Sequence[dt.date]) -> np.ndarray:
        """Return a column as a matrix (series, dates), NaN where the frame has no row or no value."""
        found = self.asked(dates).join(frame.select(*self.keys, "date", column), on=[*self.keys, "date"], how="left", maintain_order="left")
        if len(found) != len(self.series) * len(dates):
            raise Failed(f"{column}: a series and date stand in more than one row")
        return found[column].cast(pl.Float64).to_numpy().reshape(len(self.series), len(dates))

    def units(self, dates: Sequence[dt.date]) -> np.ndarray:
        """Return what was sold as a matrix."""
        return self.laid(self.frame, "units", dates)


def pasta(*, promotions: bool = True) -> Sales:
    """Return 118 pasta products by day with the brand of each, with or without their promotion flags."""
    wide = pl.read_csv(DATA / "demand/pasta_hierarchical/hierarchical_sales_data.csv", try_parse_dates=True).rename({"DATE": "date"})

    def long(prefix: str, name: str) -> pl.DataFrame:
        columns = [column for column in wide.columns if column.startswith(prefix)]
        tall = wide.unpivot(columns, index="date", variable_name="product", value_name=name)
        return tall.with_columns(pl.col("product").str.strip_prefix(prefix), pl.col(name).cast(pl.Float64))

    frame = long("QTY_", "units")
    products = frame.select("product").unique().sort("product").with_columns(brand=pl.col("product").str.split("_").list.first())
    if not promotions:
        return Sales(frame, (), "day", {"products": products})
    both = frame.join(long("PROMO_", "promotion"), on=["date", "product"], validate="1:1")
    return Sales(both, ("promotion",), "day", {"products": products})


def stallion() -> Sales:
    """Return 350 agency and product pairs by month; prices, discounts and the calendar are known ahead, nothing else."""
    frame = pl.read_parquet(DATA / "demand/stallion_beverages/stallion.parquet").drop("timeseries", "__index_level_0__")
    names = {"agency": "store", "sku": "product", "volume": "units", "price_actual": "price"}
    frame = frame.rename(names).with_columns(pl.col("date").cast(pl.Date), pl.col("store").cast(str), pl.col("product").cast(str))
    fixed = [name for name in frame.columns if name.startswith(("avg_population", "avg_yearly"))]
    happened = {"date", "store", "product", "units", "industry_volume", "soda_volume", "avg_max_temp", *fixed}
    stores = frame.group_by("store").agg(pl.col(name).first() for name in fixed).sort("store")
    return Sales(frame.drop(fixed), tuple(name for name in frame.columns if name not in happened), "month", {"stores": stores})


def m5_small() -> Sales:
    """Return eight M5 items by day; the selling price and the calendar of events are known ahead."""
    frame = pl.read_csv(DATA / "demand/m5_small_nixtla/m5_sales_exog_small.csv", try_parse_dates=True)
    frame = frame.rename({"unique_id": "product", "ds": "date", "y": "units", "sell_price": "price"})
    events = tuple(name for name in frame.columns if name.startswith("event_type"))
    return Sales(frame.with_columns(pl.col("units").cast(pl.Float64)), ("price", *events), "day")


def intermittent() -> Sales:
    """Return one series of daily sums with many zeros."""
    frame = pl.read_csv(DATA / "demand/skforecast_items/intermittent_demand.csv", try_parse_dates=True)
    daily = frame.group_by(pl.col("date_time").dt.date().alias("date")).agg(units=pl.col("users").sum()).sort("date")
    return Sales(daily.select("date", pl.lit("users").alias("product"), "units"), (), "day")


def orange_juice() -> Sales:
    """Return 913 store and brand pairs by week; own price, deal and feature are known ahead.

    The price of a row is that of its own brand among the eleven. Week 1 began on 14 September 1989.
    """
    frame = pl.read_parquet(DATA / "promo_price/bayesm_scanner/orangejuice_yx.parquet")
    own = pl.coalesce(pl.when(pl.col("brand") == number).then(pl.col(f"price{number}")) for number in range(1, 12))
    said = frame.select(
        date=pl.lit(dt.date(1989, 9, 14)) + pl.duration(weeks=pl.col("week") - 1),
        product=pl.format("brand {}", pl.col("brand").cast(str).str.zfill(2)),
        store=pl.format("store {}", pl.col("store").cast(str).str.zfill(3)),
        units=pl.col("logmove").exp(),
        price=own,
        promotion=pl.col("deal").cast(pl.Float64),
        leaflet=pl.col("feat"),
    )
    return Sales(said, ("price", "promotion", "leaflet"), "week")


def put(desk: Any, sales: Sales, rows: pl.DataFrame, *, fixed: bool = True) -> None:
    """Load rows of sales, and what is fixed beside them."""
    desk.load(rows, table="sales")
    for name, table in sales.tables.items() if fixed else ():
        desk.load(table, table=name)


@dataclass(frozen=True, slots=True)
class Taught:
    """A training: its leaderboard, which recipe serves now, and its wall seconds."""

    board: pl.DataFrame
    recipe: str
    seconds: float


def learn(
    desk: Any,
    *,
    recipes: Sequence[str] | None = None,
    params: Mapping[str, Mapping[str, Any]] | None = None,
    folds: int | None = None,
    seed: int = 0,
) -> Taught:
    """Train and let the version serve, whatever it scores; raises Failed where a recipe that was named is not on the leaderboard."""
    began = time.perf_counter()
    answer = desk.train("demand", recipes=recipes, params=params, seed=seed, budget=Budget(folds=folds))
    spent = time.perf_counter() - began
    desk.promote("demand", force=True, reason=REASON)
    board = answer.table.frame
    missing = [name for name in recipes or () if name not in board["recipe"].to_list()]
    if missing:
        raise Failed(f"{', '.join(missing)} could not be learned: the leaderboard has {', '.join(board['recipe'])}")
    return Taught(board, str(answer.source["recipe"]), spent)


def answered(desk: Any, asked: pl.DataFrame, **options: Any) -> pl.DataFrame:
    """Return the answers to a frame of questions; raises Failed where they are fewer or more."""
    found = desk.predict("demand", asked, **options).table.frame
    if len(found) != len(asked):
        raise Failed(f"{len(found)} answers to {len(asked)} questions")
    return found


def served(sales: Sales, folder: Path, ends: Sequence[int], horizon: int, **options: Any) -> tuple[list[pl.DataFrame], float]:
    """Train anew at each cutoff (a place in `sales.dates`), on what was known then, and ask for the periods after it.

    Returns the answers by cutoff, and the wall seconds of the training.
    """
    import tradewind

    found, seconds = [], 0.0
    for end in ends:
        with tradewind.open(folder / str(end)) as desk:
            put(desk, sales, sales.known(sales.dates[end], sales.dates[end + horizon]))
            seconds += learn(desk, **options).seconds
            found.append(answered(desk, sales.asked(sales.dates[end + 1 : end + horizon + 1])))
    return found, seconds


def ends_of(sales: Sales, *, blocks: int, horizon: int) -> list[int]:
    """Return the places of the last dates before the last `blocks` blocks of `horizon` periods."""
    return [len(sales.dates) - 1 - horizon * (blocks - block) for block in range(blocks)]


def repeated(past: np.ndarray, ahead: int, season: int) -> np.ndarray:
    """Return the last season repeated; a gap in it stands for the period before, as the published baselines have it."""
    filled = carried(past)
    return filled[:, filled.shape[1] - season + np.arange(ahead) % season]


def carried(past: np.ndarray) -> np.ndarray:
    """Return a matrix whose gaps hold the last value before them."""
    known = np.isfinite(past)
    at = np.maximum.accumulate(np.where(known, np.arange(past.shape[1]), -1), 1)
    return np.where(at >= 0, np.take_along_axis(past, np.maximum(at, 0), 1), np.nan)
