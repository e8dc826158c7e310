"""Promotion: planned promotions of the sample company against their truth, and orange juice sales under known prices and features."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

import tradewind
from benchmarks._demand import orange_juice
from benchmarks._result import Result, Row, at_least, at_most
from benchmarks._run import ABSENT, DATA, quantile, temporary
from tradewind import models
from tradewind.core.model import Budget, settle
from tradewind.core.table import Table
from tradewind.models._kit.world import World, make

CHECK = (
    "sample company, planned promotions: ROI sign >= .85, 1 - WAPE of net >= .75, bias within 5 %; orange juice: RMSE of log units <= .54"
)
SEEDS, SEED, YEARS = (11, 12, 13, 14), 0, 2.0
TABLES = ("sales", "promotions", "prices", "products", "stores", "events")
ASKS = 60
LATER = 0.8  # of the weeks are learned from
OJ_CPU_S = 15.0


@dataclass(frozen=True, slots=True)
class Said:
    """What was said of promotions, joined with the truth (columns with `_true`)."""

    frame: pl.DataFrame

    def sign(self) -> float:
        """Return how often the sign of ROI was right."""
        return float(((self.frame["roi"] > 0) == (self.frame["roi_true"] > 0)).mean())

    def accuracy(self) -> float:
        """Return one minus the WAPE of net incremental units."""
        return 1 - float((self.frame["mean"] - self.frame["net"]).abs().sum() / self.frame["net"].abs().sum())

    def bias(self) -> float:
        """Return the bias of the sum of net incremental units."""
        return float(self.frame["mean"].sum() / self.frame["net"].sum() - 1)

    def rank(self) -> float:
        """Return the rank correlation of ROI."""
        return float(self.frame.select(pl.corr("roi", "roi_true", method="spearman")).item())

    def inside(self, level: int) -> float:
        """Return how often the interval of net units holds the truth."""
        return float(((self.frame[f"lo{level}"] <= self.frame["net"]) & (self.frame["net"] <= self.frame[f"hi{level}"])).mean())

    def shown(self) -> str:
        """Write all of it."""
        return f"sign {self.sign():.2f}, 1 - WAPE {self.accuracy():.2f}, bias {self.bias():+.2f}, rank {self.rank():.2f}"


def run() -> Result:
    """Learn each world to its last day and ask for the promotions planned after it; learn orange juice and ask for its last weeks."""
    said, naive, seconds, served, sizes, load_s, recipes = [], [], [], [], [], [], []
    for seed in SEEDS:
        one = _company(seed)
        said.append(one["average"])
        naive.append(one["naive"])
        seconds.append(one["seconds"])
        served += one["served"]
        sizes.append(one["size"])
        load_s.append(one["load"])
        recipes.append(one["recipe"])
    ours, base = Said(pl.concat(said)), Said(pl.concat(naive))
    rows = [
        at_least("sign of ROI right", ours.sign(), 0.85, baseline=f"naive {base.sign():.2f}"),
        at_least("1 - WAPE of net incremental units", ours.accuracy(), 0.75, baseline=f"naive {base.accuracy():.2f}"),
        at_most("bias of net units, absolute", abs(ours.bias()), 0.05, baseline=f"ours {ours.bias():+.3f}, naive {base.bias():+.2f}"),
        Row("rank correlation of ROI", f"{ours.rank():.2f}", f"naive {base.rank():.2f}"),
        Row("80 / 95 % interval of net units holds the truth", f"{ours.inside(80):.2f} / {ours.inside(95):.2f}"),
        Row("by world", "; ".join(Said(one).shown() for one in said)),
        at_most("answer to one promotion, p50", quantile(served, 0.5), 5.0, unit="ms", baseline="inside the desk, jailed worker included"),
        at_most("sealed", max(sizes), 5.0, unit="MB"),
        at_most("load", max(load_s), 0.5, unit="s"),
        Row("training, baseline and average", ", ".join(f"{one:.0f} s" for one in seconds), f"won by {', '.join(recipes)}"),
    ]
    rows += _juice() if DATA.is_dir() else [Row("orange juice", "skipped", ABSENT)]
    notes = (
        f"worlds: seeds {SEEDS}, {YEARS} years, 60 products, 8 stores; {len(ours.frame)} planned promotions after the last day of sales",
        "truth: expected units with a promotion less without it alone, over the event and five weeks; naive: interpolated baseline",
        f"training seed {SEED}; orange juice: the last {100 * (1 - LATER):.0f} % of weeks held out, price, deal and feature known",
    )
    return Result(tuple(rows), notes)


def _company(seed: int) -> dict:
    world = make(seed=seed, years=YEARS, products=60, stores=8, customers=0, reviews=0)
    with temporary() as folder, tradewind.open(Path(folder)) as desk:
        for name in TABLES:
            desk.load(world.tables[name].frame, table=name)
        began = time.perf_counter()
        trained = desk.train("promotion", recipes=["average"], budget=Budget(folds=1), seed=SEED)
        seconds = time.perf_counter() - began
        naive = desk.train("promotion", recipes=[], budget=Budget(folds=1), seed=SEED)
        asked = _planned(world)
        number = trained.source["version"]
        began = time.perf_counter()
        answer = desk.predict("promotion", asked, version=number).table.frame
        load = time.perf_counter() - began
        served = []
        for row in asked.head(1).to_dicts() * ASKS:
            began = time.perf_counter()
            desk.predict("promotion", [row], version=number)
            served.append(1000 * (time.perf_counter() - began))
        return {
            "average": _joined(answer, world),
            "naive": _joined(desk.predict("promotion", asked, version=naive.source["version"]).table.frame, world),
            "seconds": seconds,
            "served": served,
            "size": trained.source["bytes"] / 1e6,
            "load": load,
            "recipe": trained.source["recipe"],
        }


def _planned(world: World) -> pl.DataFrame:
    """Return the names of promotions that start after the last day of sales, of products that still sell."""
    sales = world.tables["sales"].frame
    living = sales.filter(pl.col("date") == pl.lit(world.end).str.to_date())["product"].unique().to_list()
    rows = world.tables["promotions"].frame.filter(pl.col("start") > pl.lit(world.end).str.to_date(), pl.col("product").is_in(living))
    return rows.select("promotion").unique(maintain_order=True)


def _joined(answer: pl.DataFrame, world: World) -> pl.DataFrame:
    truth = world.truth.promotions.frame.select("promotion", "net", roi_true="roi")
    return answer.select("promotion", "mean", "roi", "lo80", "hi80", "lo95", "hi95").join(truth, on="promotion")


def _juice() -> list[Row]:
    frame = orange_juice().frame.rename({"leaflet": "feature"})
    cut = frame["date"].quantile(LATER, "nearest")
    known = frame.with_columns(units=pl.when(pl.col("date") <= cut).then(pl.col("units")))
    later = frame.filter(pl.col("date") > cut)
    truth = np.log(later["units"].to_numpy())
    mechanic = pl.when(pl.col("promotion") > 0).then(pl.lit("promotion"))
    asked = Table.from_frame(later.select("product", "store", "date", "price", "feature", mechanic=mechanic))
    table = models.part("promotion", "assemble", "assemble")({"sales": Table.from_frame(known)})
    found = {name: _learned(name, table, asked, truth) for name in ("naive", "structural", "average")}
    beside = ", ".join(f"{name} {error:.3f}" for name, (error, _) in found.items() if name != "average")
    error, seconds = found["average"]
    return [
        at_most("orange juice: RMSE of log units", error, 0.54, baseline=f"{beside}; research: EB + LightGBM 0.532, RF + MLP 0.655"),
        at_most(
            "orange juice: learning and answering, CPU", seconds, OJ_CPU_S, unit="s", baseline=f"structural {found['structural'][1]:.1f} s"
        ),
    ]


def _learned(name: str, table: Table, asked: Table, truth: np.ndarray) -> tuple[float, float]:
    """Fit one recipe as a training does, and return its RMSE of log units and its processor seconds."""
    recipe = models.recipe("promotion", name)
    began = time.process_time()
    state = recipe.load(dict(recipe.dump(recipe.fit(table, settle(recipe.knobs, {}), SEED))))
    median = recipe.predict(state, asked).column("units_p50")
    return float(np.sqrt(np.mean((np.log(median) - truth) ** 2))), time.process_time() - began
