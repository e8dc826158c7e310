"""The sample company, whose truth is known: weekly totals of stores and categories, and the effects of price and promotion."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

import tradewind
from benchmarks import _measures as measures
from benchmarks._demand import learn
from benchmarks._result import Result, Row, at_least, within
from benchmarks._run import Failed, temporary
from tradewind.models._kit.world import World, make

CHECK = (
    "sample company, 28 days by store, category, week: 1 - WAPE >= .85, 80 % covers .76-.84; true effects inside their intervals for 80 %"
)
WORLDS = ((11, 2.0), (12, 2.25), (13, 2.5))  # seed and years of history: three seasons of the year
DAYS, SEED, FOLDS = 28, 0, 3
BY = ["store", "category", "week"]
ACCURATE, OF_THE_ORACLE = 0.85, 0.90
INSIDE = 0.80
TABLES = ("sales", "prices", "promotions", "products", "stores", "events")
LEVERS = ("price", "promotion")


@dataclass(frozen=True, slots=True)
class Seen:
    """One world: totals with columns truth, oracle, naive, mean, p50, lo80, hi80, and effects with a column true."""

    totals: pl.DataFrame
    effects: pl.DataFrame
    seconds: float


def run() -> Result:
    """Learn each world up to four whole weeks before its end, forecast those, and compare effects with the truth."""
    seen = [_world(seed, years) for seed, years in WORLDS]
    totals, effects = pl.concat(one.totals for one in seen), pl.concat(one.effects for one in seen)
    worlds = [f"{accuracy(one.totals, 'mean'):.3f} ({accuracy(one.totals, 'oracle'):.3f})" for one in seen]
    rows = [_accurate(totals), Row("the same with the median", f"{accuracy(totals, 'p50'):.3f}")]
    rows.append(Row("by world, ours (oracle)", ", ".join(worlds)))
    band = measures.coverage(*(totals[name].to_numpy() for name in ("truth", "lo80", "hi80")))
    rows.append(within("80 % interval of the totals covers", band, 0.8, by=0.04))
    for lever in LEVERS:
        rows += _inside(lever, effects.filter(pl.col("lever") == lever))
    rows.append(Row("training", ", ".join(f"{one.seconds:.0f} s" for one in seen)))
    notes = (
        f"worlds: (seed, years) {WORLDS}; split: the last {DAYS} days that are whole weeks; {len(totals)} totals of {' x '.join(BY)}",
        "the oracle is the true mean of every day that sold; noise, stock-outs and incidents are in the actuals, not in it",
        "accuracy is 1 - WAPE of the mean forecast of a total; seasonal naive repeats the total of the week before",
        "true lift of a promotion: beyond its price cut, the mean of its mechanic's, display's and leaflet's log lift over the past",
        f"training seed {SEED}, {FOLDS} folds",
    )
    return Result(tuple(rows), notes)


def accuracy(totals: pl.DataFrame, column: str) -> float:
    """Return one minus the WAPE of a column of totals."""
    return 1 - measures.wape(totals["truth"].to_numpy(), totals[column].to_numpy())


def _accurate(totals: pl.DataFrame) -> Row:
    ours, oracle, naive = (accuracy(totals, name) for name in ("mean", "oracle", "naive"))
    must = f">= {ACCURATE}, or {100 * OF_THE_ORACLE:.0f} % of the oracle's ({OF_THE_ORACLE * oracle:.3f})"
    passed = ours >= min(ACCURATE, OF_THE_ORACLE * oracle)
    return Row("1 - WAPE of the totals", f"{ours:.3f}", f"oracle {oracle:.3f}, seasonal naive {naive:.3f}", must, passed)


def _inside(lever: str, effects: pl.DataFrame) -> list[Row]:
    if effects.is_empty():
        return [Row(f"true effect of {lever} inside its interval", "no effect is stated", "", f">= {INSIDE}", False)]
    true = effects["true"].to_numpy()
    error = float((effects["effect"] - effects["true"]).abs().mean())
    beside = f"{len(effects)} effects, mean error {error:.2f} of a mean of {float(np.mean(true)):+.2f}"
    return [
        at_least(
            f"true effect of {lever} inside the {level} % interval",
            measures.coverage(true, effects[f"lo{level}"].to_numpy(), effects[f"hi{level}"].to_numpy()),
            INSIDE,
            baseline=f"{beside}, mean width {float((effects[f'hi{level}'] - effects[f'lo{level}']).mean()):.2f}",
        )
        for level in (95, 80)
    ]


def _world(seed: int, years: float) -> Seen:
    world = make(seed=seed, years=years)
    cutoff = cutoff_of(world)
    with temporary() as folder, tradewind.open(Path(folder), country="DE") as desk:
        for name in TABLES:
            frame = world.tables[name].frame
            desk.load(frame.filter(pl.col("date") <= cutoff) if name == "sales" else frame, table=name)
        seconds = learn(desk, folds=FOLDS, seed=SEED).seconds
        said = desk.predict("demand", horizon=DAYS, by=BY).table.frame
        stated = desk.effects("demand").table.frame
    return Seen(_joined(totals_of(world, cutoff), said), with_truth(world, stated, cutoff), seconds)


def cutoff_of(world: World) -> dt.date:
    """Return the last Sunday that has four whole weeks of sales after it."""
    last = dt.date.fromisoformat(world.end) - dt.timedelta(days=DAYS)
    return last - dt.timedelta(days=(last.weekday() + 1) % 7)


def totals_of(world: World, cutoff: dt.date) -> pl.DataFrame:
    """Return what the tills saw in the weeks after the cutoff, the true mean of the same rows, and last week repeated."""
    keys = ["date", "product", "store"]
    sales = world.tables["sales"].frame.select(*keys, "units").join(world.truth.mean.frame.select(*keys, "mean"), on=keys, how="left")
    sales = sales.join(world.tables["products"].frame.select("product", "category"), on="product")
    first, last = cutoff - dt.timedelta(days=6), cutoff + dt.timedelta(days=DAYS)
    sales = sales.filter(pl.col("date").is_between(first, last)).with_columns(week=pl.col("date").dt.truncate("1w"))
    sums = sales.group_by(BY).agg(truth=pl.col("units").sum(), oracle=pl.col("mean").sum())
    before = sums.filter(pl.col("week") <= cutoff).select("store", "category", naive="truth")
    after = sums.filter(pl.col("week") > cutoff).join(before, on=["store", "category"], how="left")
    return after.with_columns(pl.col("naive").fill_null(0.0)).sort(BY)


def _joined(truth: pl.DataFrame, said: pl.DataFrame) -> pl.DataFrame:
    said = said.rename({} if "week" in said.columns else {"date": "week"}).with_columns(pl.col("week").cast(pl.Date))
    both = truth.join(said.select(*BY, "mean", "p50", "lo80", "hi80"), on=BY, how="full", coalesce=True)
    unasked = both.filter(pl.col("truth").is_null())  # groups that sold nothing: what was said of them was too much
    missing = both.filter(pl.col("mean").is_null())
    if len(missing) > 0.02 * len(truth):
        raise Failed(f"{len(missing)} of {len(truth)} totals were not answered, such as {missing.row(0)}")
    if len(unasked) > 0.02 * len(truth):
        raise Failed(f"{len(unasked)} totals answered that nobody sold, such as {unasked.row(0)}")
    return both.with_columns(pl.col(pl.Float64).fill_null(0.0))


def with_truth(world: World, stated: pl.DataFrame, cutoff: dt.date) -> pl.DataFrame:
    """Return the stated effects whose truth is known, with it."""
    products = world.truth.products.frame
    price = products.select("product", pl.lit("price").alias("lever"), true="elasticity")
    known = pl.concat([price, _lifts(world, cutoff)])
    columns = ("product", "lever", "effect", "lo80", "hi80", "lo95", "hi95", "true")
    return stated.join(known, on=["product", "lever"]).select(columns)


def _lifts(world: World, cutoff: dt.date) -> pl.DataFrame:
    """Return per product the mean log lift of its past promotions beyond the price: mechanic, display and leaflet."""
    one = ["product", "display", "feature"]
    of_product = world.truth.products.frame.select(one).rename({"display": "of_display", "feature": "of_feature"})
    rows = world.tables["promotions"].frame.filter(pl.col("start") <= cutoff)
    rows = rows.join(world.truth.mechanics.frame.select("mechanic", "bonus"), on="mechanic").join(of_product, on="product")
    days = (pl.col("end") - pl.col("start")).dt.total_days() + 1
    lift = pl.col("bonus") + pl.col("display") * pl.col("of_display") + pl.col("feature") * pl.col("of_feature")
    found = rows.group_by("product").agg(true=(lift * days).sum() / days.sum())
    return found.select("product", pl.lit("promotion").alias("lever"), "true")
