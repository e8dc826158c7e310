"""Sales of stores as a till writes them down, closed days and all: forecasts beside an oracle, incidents beside other detectors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import tradewind
from benchmarks import _anomaly as other
from benchmarks._demand import REASON, answered, learn
from benchmarks._result import Result, Row, at_least, at_most, within
from benchmarks._run import temporary
from benchmarks._stores import COUNTRY, Chain, chain
from tradewind.core.model import Budget
from tradewind.models.anomaly.inject import plant

CHECK = (
    "stores that close: WAPE <= 1.2 x what all but the noise explains, told when open or not; incidents AP >= .75, .2 above STL and forest"
)
SEED, STORES, HORIZON, BLOCKS = 23, 100, 30, 3
OVER, BIAS = 1.2, 0.02
RATE, YEAR, BUDGET = 12.0, 365, 0.03
AP, FALSE, ABOVE = 0.75, 0.10, 0.2
TOLD = ("StateHoliday", "Open")  # what a table may or may not say of closed days


@dataclass(frozen=True, slots=True)
class Asked:
    """Answers beside what came, all (blocks, stores, days)."""

    sold: np.ndarray
    usual: np.ndarray
    open: np.ndarray
    said: dict[str, np.ndarray]
    repeated: np.ndarray  # the last week again, zero on the days that were closed
    recipe: str

    def wape(self, answer: np.ndarray) -> float:
        """Return the error of an answer."""
        return float(np.abs(answer - self.sold).sum() / self.sold.sum())


def run() -> Result:
    """Forecast the last three months with and without columns that say who is open, and look for incidents in the last year."""
    world = chain(STORES, seed=SEED)
    rows = [*_forecasts(world, told=True), *_forecasts(world, told=False), *_incidents(world)]
    notes = (
        f"{STORES} stores, {len(world.dates)} days, seed {SEED} (others were used while this was built); the last {BLOCKS} x {HORIZON} "
        "days are forecast, trained anew each time",
        "the oracle knows everything but the noise of the day; seasonal naive repeats the last week and is told when stores are closed",
        f"without them: no {' and no '.join(TOLD)} column, the country's public holidays instead; zeros on closed days in both",
        f"incidents: {RATE:g} a store and year planted on open days of the last {YEAR}, no column that says who is open; each other "
        "detector sees each store by itself, closed days interpolated",
    )
    return Result(tuple(rows), notes)


def _forecasts(world: Chain, *, told: bool) -> list[Row]:
    name = "told when open" if told else "not told"
    found = _ask(world, told=told)
    oracle, ours, naive = found.wape(found.usual), found.wape(found.said["p50"]), found.wape(found.repeated)
    mean = found.said["mean"]
    inside = (found.sold >= found.said["lo80"]) & (found.sold <= found.said["hi80"])
    closed = float((mean[~found.open] == 0).mean())
    return [
        Row(f"{name}: WAPE", f"{ours:.4f}, {found.recipe} serves", f"oracle {oracle:.4f}, seasonal naive {naive:.4f}"),
        at_most(f"{name}: WAPE over the oracle's", ours / oracle, OVER, baseline=f"seasonal naive {naive / oracle:.2f}"),
        at_most(f"{name}: bias of the mean, either way", abs(float(mean.sum() / found.sold.sum()) - 1), BIAS),
        within(f"{name}: the 80 % interval covers, open days", float(inside[found.open].mean()), 0.8, by=0.04),
        Row(f"{name}: closed days answered with nothing", f"{closed:.3f}"),
    ]


def _ask(world: Chain, *, told: bool) -> Asked:
    parts: list[dict[str, np.ndarray]] = []
    ends = [len(world.dates) - HORIZON * (BLOCKS - block) for block in range(BLOCKS)]
    recipe = ""
    for end in ends:
        with temporary() as folder, tradewind.open(Path(folder), country=COUNTRY) as desk:
            desk.load(_known(world, end, told=told), table="sales")
            recipe = learn(desk).recipe
            days = pl.DataFrame({"date": world.dates[end : end + HORIZON].astype("M8[ms]")}).with_columns(pl.col("date").cast(pl.Date))
            asked = pl.DataFrame({"store": [str(number) for number in range(1, STORES + 1)]}).join(days, how="cross")
            said = answered(desk, asked)
            parts.append({name: said[name].to_numpy().reshape(STORES, HORIZON) for name in ("mean", "p50", "lo80", "hi80")})

    def ahead(values: np.ndarray) -> np.ndarray:
        return np.stack([values[:, end : end + HORIZON] for end in ends])

    opened = ahead(world.open)
    repeated = np.stack([_last_week(world, end) for end in ends]) * opened
    said = {name: np.stack([part[name] for part in parts]) for name in parts[0]}
    return Asked(ahead(world.sold), ahead(world.usual), opened, said, repeated, recipe)


def _known(world: Chain, end: int, *, told: bool) -> pl.DataFrame:
    """Return the table as known before day `end`: later rows say what is planned."""
    past = pl.col("Date") < pl.lit(world.dates[end].item())
    frame = world.frame.filter(pl.col("Date") < pl.lit(world.dates[end].item()) + pl.duration(days=HORIZON))
    frame = frame.with_columns(pl.when(past).then(name).alias(name) for name in ("Sales", "Customers"))
    return frame if told else frame.drop(TOLD)


def _last_week(world: Chain, end: int) -> np.ndarray:
    """Return the same weekday of the last weeks on which a store was open, again and again."""
    out = np.zeros((STORES, HORIZON))
    for ahead in range(HORIZON):
        back = end + ahead % 7 - 7 * np.arange(1, 30)
        past, there = world.sold[:, back], world.open[:, back]
        out[:, ahead] = past[np.arange(STORES), there.argmax(1)]
    return out


def _incidents(world: Chain) -> list[Row]:
    """Plant incidents in the last year, let the desk judge it, and compare."""
    value = np.where(world.open, world.sold, np.nan)
    first = value.shape[1] - YEAR
    planted = plant(value, world.promoted, first, rate=RATE, seed=1)
    sold = np.where(world.open, planted.value, 0.0)
    frame = world.frame.drop(TOLD).with_columns(Sales=pl.Series(sold.ravel()))
    with temporary() as folder, tradewind.open(Path(folder), country=COUNTRY) as desk:
        desk.load(frame, table="sales")
        desk.train("anomaly", recipes=["naive", "driven"], budget=Budget(folds=1), seed=0)
        desk.promote("anomaly", force=True, reason=REASON)
        dates = np.tile(world.dates[first:], STORES).astype("M8[ms]")
        keys = {"product": ["all"] * len(dates), "store": np.repeat([str(at) for at in range(1, STORES + 1)], YEAR), "date": dates}
        score = _scores(desk, pl.DataFrame(keys).with_columns(pl.col("date").cast(pl.Date)))
    others = _others(replace(world, sold=planted.value), first)
    judged, wrong = world.open[:, first:].ravel(), planted.wrong[:, first:].ravel()
    said = {name: other.average_precision(wrong[judged], one.ravel()[judged]) for name, one in others.items()}
    ours = other.average_precision(wrong[judged], score[judged])
    false = other.false_share(wrong[judged], score[judged], BUDGET)
    beside = ", ".join(f"{name} {one:.3f}" for name, one in said.items())
    return [
        at_least("incidents, not told: average precision", ours, AP, baseline=beside),
        at_least("incidents, not told: above the better of STL and forest", ours - max(said["STL"], said["forest"]), ABOVE),
        at_most("incidents, not told: false alarms at 3 %", false, FALSE),
    ]


def _scores(desk: Any, asked: pl.DataFrame) -> np.ndarray:
    return desk.predict("anomaly", asked).table.frame["score"].to_numpy()


def _others(world: Chain, first: int) -> dict[str, np.ndarray]:
    """Return the scores of other detectors; closed days are interpolated for them."""
    weekday = (world.dates.astype("i8") + 3) % 7
    found: dict[str, list[np.ndarray]] = {"STL": [], "ESD": [], "forest": []}
    for at in range(len(world.sold)):
        value = other.filled(np.where(world.open[at], np.log1p(world.sold[at]), np.nan))
        found["STL"].append(other.robust_stl(value, 7)[first:])
        found["ESD"].append(other.seasonal_esd(value, 7)[first:])
        found["forest"].append(other.isolation_forest(np.c_[value, weekday, world.promoted[at]])[first:])
    return {name: np.stack(scores) for name, scores in found.items()}
