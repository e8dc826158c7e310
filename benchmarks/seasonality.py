"""Seasonality: indices and events of the sample company against the truth, Australian retail against STL, a short history, speed."""

from __future__ import annotations

import datetime as dt
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import tradewind
from benchmarks._result import Result, Row, at_least, at_most, shown
from benchmarks._run import DATA, median, temporary
from tradewind.core.bundle import join
from tradewind.core.model import Budget
from tradewind.core.table import Table
from tradewind.models._kit.world import World, make

CHECK = (
    "seasonality: indices within 5 % of truth, events inside for 85 %; agrees with STL; refuses a year on 14 months; 2,000 series < 180 s"
)
SEED = 0
WORLDS, YEARS, START = (61, 62), 3.0, "2023-01-01"  # years that are over: sales of days to come are no actuals
TABLES = ("sales", "prices", "promotions", "products", "stores", "events")
NEAR, INSIDE = 0.05, 0.85
SERIES, MONTHS = 20, 144
STRENGTH, INDEX = 0.05, 0.02
MANY, DAYS = 2_000, 730
SECONDS, MILLISECONDS = 180.0, 5.0


def run() -> Result:
    """Learn each world and compare; then the real series, the short history and the many series."""
    rows: list[Row] = []
    worlds = [_world(seed) for seed in WORLDS]
    for part in ("week", "year"):
        error = np.concatenate([one[part] for one in worlds])
        rows.append(at_most(f"mean error of the {part}'s index", float(error.mean()), NEAR, baseline=_beside(worlds, part)))
        rows.append(Row(f"share of the {part}'s phases within {NEAR:.0%} of truth", f"{float((error <= NEAR).mean()):.3f}"))
    inside = {level: np.concatenate([one[f"inside {level}"] for one in worlds]) for level in (95, 80)}
    counted = f"{len(inside[95])} windows of events, on the day and just before"
    rows.append(at_least("event effects inside the 95 % interval", float(inside[95].mean()), INSIDE, baseline=counted))
    rows.append(Row("event effects inside the 80 % interval", f"{float(inside[80].mean()):.3f}"))
    boards = [", ".join(f"{row['recipe']} {row['wape']:.3f} (80 %: {row['coverage_80']:.2f})" for row in one["board"]) for one in worlds]
    rows.append(Row("hidden fortnights, WAPE by recipe", boards[0], boards[1]))
    rows += _retail() if (DATA / "demand/aus_retail").is_dir() else []
    rows.append(_short())
    rows += _fast()
    notes = (
        f"sample company: seeds {WORLDS}, {YEARS} years of days, by category; moving holidays, a price step, promotions",
        "an index is compared phase by phase: 7 weekdays, 366 days of the year; beside ours the same of classical means",
        f"aus_retail: the {SERIES} longest series, last {MONTHS} months; STL of logarithms by statsmodels, robust, periodic season",
        f"seed {SEED}; exams hide 15 % of the history in fortnights, three times",
    )
    return Result(tuple(rows), notes)


def _beside(worlds: list[dict[str, Any]], part: str) -> str:
    return f"classical {np.concatenate([one[f'classical {part}'] for one in worlds]).mean():.4f}"


def _world(seed: int) -> dict[str, Any]:
    """Return errors of the indices by recipe, whether events lie inside, and the leaderboard."""
    world = make(seed=seed, years=YEARS, start=START, customers=0, reviews=0)
    found: dict[str, Any] = {}
    with temporary() as folder, tradewind.open(folder) as desk:
        for name in TABLES:
            desk.load(world.tables[name].frame, table=name)
        board = desk.evaluate("seasonality", seed=SEED).table.frame
        found["board"] = board.to_dicts()
        for label, recipes in (("classical ", ["classical"]), ("", None)):
            desk.train("seasonality", recipes=recipes, seed=SEED)
            desk.promote("seasonality", force=True, reason="benchmark")
            found |= {label + part: error for part, error in _errors(desk, world).items()}
        stated = desk.effects("seasonality").table.frame.filter(pl.col("category") == "all")
    for level in (95, 80):
        found[f"inside {level}"] = np.array([row[f"lo{level}"] <= row["true"] <= row[f"hi{level}"] for row in _events(world, stated)])
    return found


def _errors(desk: Any, world: World) -> dict[str, np.ndarray]:
    """Ask for a week and a leap year of every category and compare indices, both over their mean, with the truth."""
    out: dict[str, list[np.ndarray]] = {"week": [], "year": []}
    days = pl.date_range(dt.date(2024, 1, 1), dt.date(2024, 12, 31), "1d", eager=True)  # a Monday, and a leap year
    for category in world.truth.products.frame["category"].unique().sort():
        asked = pl.DataFrame({"category": [category] * len(days), "date": days})
        said = desk.predict("seasonality", asked).table.frame
        for part, truth, count in (("week", world.truth.week, 7), ("year", world.truth.year, 366)):
            true = truth.frame.filter(pl.col("category") == category).sort(truth.frame.columns[1])["index"].to_numpy()
            ours = said[part].to_numpy()[:count]
            out[part].append(np.abs(ours / ours.mean() / (true / true.mean()) - 1))
    return {part: np.concatenate(errors) for part, errors in out.items()}


def _events(world: World, stated: pl.DataFrame) -> list[dict[str, float]]:
    """Return the stated effects on an event's day and on the three days before it, with the truth of the same days."""
    true: dict[tuple[str, str], float] = {}
    for row in world.truth.events.frame.iter_rows(named=True):
        name = re.sub(r"\W+", "_", row["name"].strip().lower()).strip("_")
        true[name, "on"] = row["effect"]
        true[name, "before"] = row["before"] * min(row["lead"], 3) / 3
    closed = {("new_year_s_day", "on"), ("christmas_day", "on")}  # no sales on those days: nothing to be told
    rows = [row for row in stated.iter_rows(named=True) if (row["lever"], row["at"]) in true]
    return [{**row, "true": true[row["lever"], row["at"]]} for row in rows if (row["lever"], row["at"]) not in closed]


def _retail() -> list[Row]:
    """Compare strengths and indices with STL's on real monthly series."""
    from statsmodels.tsa.seasonal import STL

    frame = pl.read_parquet(DATA / "demand/aus_retail/aus_retail.parquet").rename({"Series ID": "geo", "Turnover": "turnover"})
    frame = frame.with_columns((pl.lit(dt.date(1970, 1, 1)) + pl.duration(days=pl.col("Month").cast(pl.Int64))).cast(pl.Date).alias("date"))
    last = frame["date"].max()
    first = pl.Series([last]).dt.offset_by(f"-{MONTHS - 1}mo")[0]
    recent = frame.filter(pl.col("date") >= first, pl.col("turnover") > 0)
    whole = recent.group_by("geo").len().filter(pl.col("len") == MONTHS).sort("geo")["geo"].to_list()
    chosen = whole[:: max(1, len(whole) // SERIES)][:SERIES]
    recent = recent.filter(pl.col("geo").is_in(chosen)).select("date", "geo", "turnover").sort("geo", "date")
    with temporary() as folder, tradewind.open(folder) as desk:
        desk.load(recent, table="outcomes")
        served = desk.train("seasonality", seed=SEED).source["recipe"]
        desk.promote("seasonality", force=True, reason="benchmark")
        stated = desk.effects("seasonality").table.frame
    gaps: dict[str, list[float]] = {"trend": [], "year": [], "index": []}
    for geo in chosen:
        part = recent.filter(pl.col("geo") == geo)
        values = np.log(part["turnover"].to_numpy())
        fit = STL(values, period=12, seasonal=10 * MONTHS + 1, robust=True).fit()
        own = stated.filter(pl.col("geo") == geo)
        for name, component in (("trend", fit.trend), ("year", fit.seasonal)):
            theirs = max(0.0, 1 - np.var(fit.resid) / np.var(component + fit.resid))
            ours = own.filter(pl.col("kind") == "strength", pl.col("lever") == name)["effect"].item()
            gaps[name].append(abs(ours - theirs))
        months = part["date"].dt.month().to_numpy()
        index = np.exp(np.array([fit.seasonal[months == month].mean() for month in range(1, 13)]))
        told = np.exp(own.filter(pl.col("lever") == "year", pl.col("kind") == "log index")["effect"].to_numpy())
        gaps["index"].append(float(np.abs(told / told.mean() / (index / index.mean()) - 1).mean()))
    return [
        at_most(
            "aus_retail: strength of the trend, mean distance from STL's",
            float(np.mean(gaps["trend"])),
            STRENGTH,
            baseline=f"served by {served}",
        ),
        at_most("aus_retail: strength of the season, mean distance from STL's", float(np.mean(gaps["year"])), STRENGTH),
        at_most("aus_retail: monthly index, mean distance from STL's", float(np.mean(gaps["index"])), INDEX),
    ]


def _short() -> Row:
    """Ask fourteen months of days for a season of the year."""
    world = make(seed=WORLDS[0], years=14 / 12, products=8, stores=2, customers=0, reviews=0)
    with temporary() as folder, tradewind.open(folder) as desk:
        for name in TABLES:
            desk.load(world.tables[name].frame, table=name)
        desk.train("seasonality", recipes=["regression"], seed=SEED, budget=Budget(folds=1))
        desk.promote("seasonality", force=True, reason="benchmark")
        answer = desk.predict("seasonality", horizon=30)
        told = desk.effects("seasonality").table.frame.filter(pl.col("lever") == "year")
    said = [str(fact.value) for fact in answer.facts if fact.name == "note"]
    refused = (
        any("cannot tell a season of the year" in note for note in said) and told.is_empty() and (answer.table.frame["year"] == 1).all()
    )
    return Row("14 months of days: season of the year", "refused, and said so" if refused else "told", "", "refused", bool(refused))


def _fast() -> list[Row]:
    """Learn 2,000 series of two years of days, and time one answer."""
    rng = np.random.default_rng(SEED)
    days = np.arange(DAYS)
    level = np.exp(rng.normal(3.5, 0.7, MANY))[:, None]
    season = np.exp(
        rng.uniform(0.1, 0.4, (MANY, 1)) * np.cos(2 * np.pi * (days - rng.integers(0, 365, (MANY, 1))) / 365.25)
        + 0.2 * np.sin(2 * np.pi * days / 7)
    )
    units = rng.poisson(level * season).astype("f8")
    names = [f"P{at:04d}" for at in range(MANY)]
    dates = pl.date_range(dt.date(2024, 1, 1), dt.date(2024, 1, 1) + dt.timedelta(days=DAYS - 1), "1d", eager=True)
    sales = pl.DataFrame({"date": dates.to_list() * MANY, "product": np.repeat(names, DAYS), "units": units.reshape(-1)})
    with temporary() as folder:
        return _timed(folder, sales, names)


def _timed(folder: Path, sales: pl.DataFrame, names: list[str]) -> list[Row]:
    with tradewind.open(folder) as desk:
        desk.load(sales, table="sales")
        began = time.perf_counter()
        trained = desk.train("seasonality", recipes=["regression"], seed=SEED, budget=Budget(folds=1))
        seconds = time.perf_counter() - began
        own = trained.table.frame.filter(pl.col("recipe") == "regression")["seconds"].item()
        desk.promote("seasonality", force=True, reason="benchmark")
        seat, inside, through = desk.serve("seasonality", int(trained.source["version"])), [], []
        for at in range(60):
            asked = pl.DataFrame({"product": [names[at]], "date": [dt.date(2026, 3, 1)]})
            request = join({"head": b'{"do": "predict"}', "asked": Table.from_frame(asked).to_bytes()})
            start = time.perf_counter()
            desk.pool.call(seat, request)
            inside.append(1000 * (time.perf_counter() - start))
            start = time.perf_counter()
            desk.predict("seasonality", asked)
            through.append(1000 * (time.perf_counter() - start))
    return [
        at_most(
            f"{MANY:,} series x {DAYS} days: training, all of it", seconds, SECONDS, unit="s", baseline=f"one exam of ours {own:.0f} CPU s"
        ),
        at_most("one series, one date, in the worker: median", median(inside), MILLISECONDS, unit="ms"),
        Row("the same through desk, recorded", shown(median(through), "ms")),
    ]
