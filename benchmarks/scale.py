"""Two thousand daily series of two years: how long every recipe and the ensemble take, and how much memory."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from benchmarks._result import Result, Row, at_least, at_most
from benchmarks._run import temporary, tradewind
from benchmarks._tree import Watched
from tradewind.models._kit.world import make, write

CHECK = "2,000 daily series x 2 years: train all recipes and the ensemble in < 10 minutes and < 4 GB"
PRODUCTS, STORES, YEARS, SEED = 250, 8, 2.0, 5
LIMIT_S, LIMIT_MB = 600, 4000
TABLES = ("sales", "prices", "promotions", "products", "stores", "events")


def run() -> Result:
    """Write the company's tables to files, load them by the command line, train, and watch the whole process tree."""
    if not sys.platform.startswith("linux"):
        return Result(skipped="the memory of a process tree is read from /proc, which this system has not")
    with temporary() as folder:
        rows, series = _files(folder / "files")
        tradewind("init", "ws", cwd=folder)
        for name in TABLES:
            tradewind("-w", "ws", "load", str(folder / "files" / f"{name}.parquet"), "--table", name, cwd=folder)
        with Watched() as watched:
            trained = tradewind("-w", "ws", "train", "demand", "--seed", "0", cwd=folder)
    board = trained.data["answer"]["rows"]
    return Result(
        (*_bars(trained.seconds, watched.peak_mb, series), *(_recipe(row, trained.cpu_s) for row in board)), _notes(rows, trained)
    )


def _files(folder: Path) -> tuple[int, int]:
    """Write the tables; return how many rows and series of sales there are."""
    world = make(seed=SEED, years=YEARS, products=PRODUCTS, stores=STORES, customers=0, reviews=0)
    write(world, folder, kind="parquet")
    frame = world.tables["sales"].frame
    return len(frame), frame.select("product", "store").n_unique()


def _bars(seconds: float, peak_mb: float, series: int) -> tuple[Row, ...]:
    return (
        at_least("series", series, PRODUCTS * STORES),
        at_most("train every recipe and the ensemble, wall", seconds, LIMIT_S, unit="s"),
        at_most("memory, the command and all it starts together", peak_mb, LIMIT_MB, unit="MB"),
    )


def _recipe(row: dict[str, Any], cpu_s: float) -> Row:
    if row["seconds"] is None:
        return Row(f"{row['recipe']}: validation", str(row["note"]))
    share = f"{100 * row['seconds'] / cpu_s:.0f} % of all CPU seconds"
    return Row(f"{row['recipe']}: validation", f"{row['seconds']:.1f} CPU s, WAPE {row['wape']:.3f}", share)


def _notes(rows: int, trained: Any) -> tuple[str, ...]:
    return (
        f"sample company of seed {SEED}: {PRODUCTS} products x {STORES} stores, {rows:,} rows, prices and promotions",
        "training seed 0, default folds",
        f"{trained.cpu_s:.0f} CPU seconds in all; the final fit on everything is in the wall seconds, not in those of the recipes",
        f"version {trained.fact('version')} by {trained.fact('recipe')}",
    )
