"""Single orders with slips in them, and figures that no longer move together: found through the desk, truth known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import tradewind
from benchmarks import _anomaly as other
from benchmarks._result import Result, Row, at_least
from benchmarks._run import temporary
from tradewind.core.model import Budget
from tradewind.models._kit.world import make
from tradewind.models.anomaly.inject import plant_lines
from tradewind.models.anomaly.together import ALL

CHECK = "planted order slips: AP above a robust z per product; broken combinations of figures: AP above the oddest single figure"
Array = np.ndarray[Any, Any]
SEED, CUSTOMERS, SLIPS, SEEN = 51, 1500, 0.01, 0.6  # of the company; share of lines with a slip; share of lines learned from
DAYS, PLACES, BROKEN = 500, ("north", "south", "west"), 6  # broken days per place
FIGURES = ("visits", "baskets", "orders", "refunds", "calls")
REASON = "a benchmark measures what it says"


def run() -> Result:
    """Plant, learn, ask, compare."""
    notes = (
        f"orders: sample company, seed {SEED}, {CUSTOMERS} customers, {SLIPS:.0%} of the lines of past and future with one of six slips;",
        f"the first {SEEN:.0%} of the lines are loaded and learned from, the rest is asked as new; robust z: median and MAD per product",
        f"figures: {len(FIGURES)} figures of {len(PLACES)} places over {DAYS} days, seed {SEED}; a common shock of 12 %, own noise of 2 %;",
        f"on {BROKEN} days per place one figure moves against the others by no more than usual",
    )
    return Result((*_orders(), *_together()), notes)


def _orders() -> list[Row]:
    world = make(seed=SEED, years=1.5, products=30, stores=4, customers=CUSTOMERS, reviews=0, anomalies=0.0)
    frame = world.tables["orders"].frame.sort("date", maintain_order=True)
    figures = [frame[name].cast(pl.Float64).to_numpy() for name in ("quantity", "unit_price", "amount")]
    *changed, kinds = plant_lines(*figures, share=SLIPS, seed=SEED)
    frame = frame.with_columns(pl.Series(name, value) for name, value in zip(("quantity", "unit_price", "amount"), changed, strict=True))
    seen = int(SEEN * frame.height)
    asked = frame[seen:].rename({"promotion": "offer"})
    told = _told({"orders": frame[:seen]}, asked)
    wrong = kinds[seen:] >= 0
    plain = _robust_z(frame, seen)
    score = told["score"].to_numpy()
    ours, theirs = (other.average_precision(wrong, one) for one in (score, plain))
    alert = told["alert"].to_numpy() > 0
    name = f"{len(asked):,} later order lines, {wrong.sum()} slips"
    return [
        at_least(f"{name}: average precision", ours, theirs, baseline=f"robust z {theirs:.3f}"),
        Row(f"{name}: found at a 3 % budget", f"{alert[wrong].mean():.2f}", f"alerts on clean lines {alert[~wrong].mean():.4f}"),
    ]


def _robust_z(frame: pl.DataFrame, seen: int) -> Array:
    """Return the highest rank of a line's robust z of quantity, price and amount over both, beside earlier lines of its product."""
    far = []
    frame = frame.with_columns((pl.col("amount") / pl.col("quantity") / pl.col("unit_price")).alias("ratio"))
    for name in ("quantity", "unit_price", "ratio"):
        middle = frame[:seen].group_by("product").agg(pl.col(name).median().alias("m"), pl.col(name).cast(pl.Float64).alias("all"))
        middle = middle.with_columns(
            (pl.col("all").list.eval((pl.element() - pl.element().median()).abs().median()).list.first()).alias("s")
        )
        joined = frame[seen:].join(middle.drop("all"), on="product", how="left", maintain_order="left")
        spread = np.maximum(1.4826 * joined["s"].to_numpy(), 0.02 * joined["m"].to_numpy())
        far.append(np.nan_to_num(np.abs(joined[name].to_numpy() - joined["m"].to_numpy()) / spread))
    return np.max([np.searchsorted(np.sort(one), one, "left") for one in far], 0).astype("f8")


def _together() -> list[Row]:
    rng = np.random.default_rng(SEED)
    days = np.datetime64("2024-01-01") + np.arange(DAYS)
    parts, wrong = [], []
    for place in PLACES:
        shock, odd = rng.normal(0, 0.12, DAYS), rng.choice(np.arange(60, DAYS), BROKEN, replace=False)
        shock[odd] = 0.13 * rng.choice([-1, 1], BROKEN)
        value = shock[:, None] + rng.normal(0, 0.02, (DAYS, len(FIGURES)))
        value[odd, rng.integers(0, len(FIGURES), BROKEN)] *= -1
        columns = {name: (at + 1) * 400 * np.exp(value[:, at]) for at, name in enumerate(FIGURES)}
        parts.append(pl.DataFrame({"date": days, "geo": [place] * DAYS, **columns}))
        wrong.append(np.isin(np.arange(DAYS), odd))
    frame = pl.concat(parts)
    asked = pl.concat(frame.select(pl.lit(name).alias("metric"), pl.col("geo").alias("store"), "date") for name in (ALL, *FIGURES))
    score = _told({"outcomes": frame}, asked)["score"].to_numpy().reshape(1 + len(FIGURES), -1)
    truth = np.concatenate(wrong)
    ours, alone = other.average_precision(truth, score[0]), other.average_precision(truth, score[1:].max(0))
    return [at_least(f"{truth.sum()} broken combinations in {len(truth):,}: average precision", ours, alone, baseline=f"alone {alone:.3f}")]


def _told(tables: dict[str, pl.DataFrame], asked: pl.DataFrame) -> pl.DataFrame:
    """Let the desk load, learn and answer."""
    with temporary() as folder, tradewind.open(Path(folder)) as desk:
        for name, frame in tables.items():
            desk.load(frame, table=name)
        desk.train("anomaly", recipes=["naive", "driven"], budget=Budget(folds=1), seed=0)
        desk.promote("anomaly", force=True, reason=REASON)
        return desk.predict("anomaly", asked).table.frame
