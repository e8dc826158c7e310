"""Customers' data for benchmarks: real orders as business tables, the sample company's people, and what a segmentation says."""

from __future__ import annotations

import json
import random
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks._result import Row, at_least, at_most
from benchmarks._run import DATA, median, temporary, tradewind
from benchmarks._tree import Watched
from tradewind import models
from tradewind.actions import _ask
from tradewind.core.bundle import join
from tradewind.models import run
from tradewind.models._kit.world import World, make, write

REASON = "benchmark"
LIMIT_S, LIMIT_MB, LINES = 300.0, 3000.0, 1_000_000
ONE_MS, HUNDRED_MS, SIZE_MB = 2.0, 30.0, 30.0
ASKED = 200


def online_retail(*, before: str | None = None) -> pl.DataFrame:
    """Return the order lines of known customers, returns left out."""
    raw = pl.read_parquet(DATA / "customers" / "online_retail_uci" / "online_retail_all.parquet")
    kept = raw.filter((pl.col("Quantity") > 0) & (pl.col("UnitPrice") > 0)).drop_nulls("CustomerID")
    lines = kept.select(
        order="InvoiceNo",
        date=pl.col("InvoiceDate").cast(pl.Date),
        customer=pl.col("CustomerID").cast(pl.Int64).cast(pl.String),
        product="StockCode",
        quantity=pl.col("Quantity").cast(pl.Float64),
        unit_price="UnitPrice",
    )
    return lines if before is None else lines.filter(pl.col("date") < pl.lit(before).str.to_date())


def company(seed: int, *, customers: int, noise: float = 1.0) -> World:
    """Return the sample company with its customers' kinds blurred by `noise`, as in the research the bars come from."""
    return make(seed=seed, years=2, products=60, stores=8, customers=customers, reviews=0, noise=noise, behaviour_noise=noise)


def put(desk: Any, folder: Path, tables: dict[str, pl.DataFrame]) -> None:
    """Load frames as business tables, by way of files as a user would."""
    for name, frame in tables.items():
        frame.write_parquet(folder / f"{name}.parquet")
        desk.load(folder / f"{name}.parquet", table=name)


def serving(desk: Any, model: str, column: str, values: tuple[float, float]) -> list[Row]:
    """Promote the last version and ask it what nobody asked before: one customer, a hundred; size and load as the gates measured them."""
    for name in desk.pool.held():  # one that was asked already is open: the gate would measure no load
        desk.pool.drop(name)
    promoted = desk.promote(model, force=True, reason=REASON)
    facts = {fact.name: fact.value for fact in promoted.facts}
    usual = desk.predict(model).table.frame["customer"].to_list()
    chance = random.Random(0)

    def asked(size: int) -> list[dict[str, Any]]:
        return [{"customer": name, column: chance.uniform(*values)} for name in chance.sample(usual, size)]

    number = desk.deployment(model).stable
    name, found = desk.serve(model, number), desk.artifact(model, number)
    work = run.open_server({"manifest": json.dumps(found.manifest).encode(), **found.parts})
    spent: dict[str, dict[int, list[float]]] = {way: {1: [], 100: []} for way in ("work", "pipe", "desk")}
    for size in [1] * ASKED + [100] * (ASKED // 10):
        rows = [asked(size) for _ in spent]
        first, second = (join({"head": _ask.PLAIN.head(), "asked": _ask.as_asked(models.get(model), one).to_bytes()}) for one in rows[:2])
        for way, call in (
            ("work", partial(work, first)),
            ("pipe", partial(desk.pool.call, name, second)),
            ("desk", partial(desk.predict, model, rows[2])),
        ):
            began = time.perf_counter()
            call()
            spent[way][size].append(1000 * (time.perf_counter() - began))
    one, many = ({way: median(times[size][len(times[size]) // 10 :]) for way, times in spent.items()} for size in (1, 100))
    beside = "with the pipe to its jail {pipe:.2f} ms, through the desk, door and ledger {desk:.2f} ms"
    return [
        at_most("one customer, p50, a what-if: the worker's work", one["work"], ONE_MS, unit="ms", baseline=beside.format(**one)),
        at_most("100 customers, p50, the same", many["work"], HUNDRED_MS, unit="ms", baseline=beside.format(**many)),
        Row("one and 100 as the gate measured them, pipe included", f"{facts['one_ms']:.2f} and {facts['hundred_ms']:.1f} ms"),
        at_most("load", float(facts["load_s"]), 0.5, unit="s"),
    ]


def sealed(answer: Any) -> Row:
    """Return the size of what a training sealed."""
    return at_most("sealed", answer.source["bytes"] / 1e6, SIZE_MB, unit="MB")


def scale(model: str, tables: tuple[str, ...], *, seed: int = 5) -> list[Row]:
    """Train on a million order lines by the command line and watch the whole process tree."""
    if not sys.platform.startswith("linux"):
        return [Row("scale", "not run: the memory of a process tree is read from /proc, which this system has not")]
    with temporary() as folder:
        world = make(seed=seed, years=2, products=60, stores=2, customers=39_000, reviews=0)
        write(world, folder / "files", kind="parquet")
        lines = len(world.tables["orders"])
        del world
        tradewind("init", "ws", cwd=folder)
        for name in tables:
            tradewind("-w", "ws", "load", str(folder / "files" / f"{name}.parquet"), "--table", name, cwd=folder)
        with Watched() as watched:
            trained = tradewind("-w", "ws", "train", model, "--seed", "0", cwd=folder)
    return [
        at_least("order lines", lines, LINES),
        at_most("features and training of every recipe, wall", trained.seconds, LIMIT_S, unit="s", baseline=f"{trained.cpu_s:.0f} CPU s"),
        at_most("memory, the command and all it starts together", watched.peak_mb, LIMIT_MB, unit="MB"),
    ]


def groups_of(answer: Any, customers: list[str]) -> np.ndarray:
    """Return the segment number of each customer, as answered."""
    frame = answer.table.frame
    place = dict(zip(frame["customer"].to_list(), frame["segment"].to_list(), strict=True))
    labels = {label: number for number, label in enumerate(sorted(set(place.values())))}
    return np.array([labels[place[name]] if name in place else -1 for name in customers])
