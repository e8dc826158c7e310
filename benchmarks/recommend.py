"""Recommendation on real purchases split in time, on left-out basket items, at a size of a million lines, and as served."""

from __future__ import annotations

import datetime as dt
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import polars as pl

import tradewind
from benchmarks._customers import CUSTOMERS, Taught, taught, timings
from benchmarks._result import Result, Row, at_least, at_most
from benchmarks._run import ABSENT, DATA, temporary
from benchmarks._tree import Watched
from tradewind.core.table import Table

CHECK = (
    "Online Retail: new R@20 >= .14, any R@20 >= .347; groceries hit@10 above popularity; 6,000-item EASE < 5 s; 1 million lines; serving"
)
CUT = dt.date(2011, 11, 1)
FEWEST_BUYERS, K = 5, 20
SEED = 0
BASKETS = DATA / "recs" / "groceries_baskets" / "groceries.csv"
RETAIL = CUSTOMERS / "online_retail_uci" / "online_retail_all.parquet"
DRAWS = 1000
LINES, PEOPLE, ITEMS = 1_000_000, 25_000, 3000

Lists = Mapping[str, Sequence[str]]


def run() -> Result:
    """Run every part whose data is here."""
    rows: list[Row] = []
    notes: list[str] = []
    for part in (_retail, _groceries, _solve, _scale):
        found, said = part()
        rows += found
        notes += said
    return Result(tuple(rows), tuple(notes))


def purchases() -> pl.DataFrame:
    """Return Online Retail as orders: no returns, no rows without a customer, goods only (codes that begin with five digits)."""
    lines = pl.read_parquet(RETAIL).filter(
        pl.col("CustomerID").is_not_null(),
        pl.col("Quantity") > 0,
        pl.col("UnitPrice") > 0,
        pl.col("StockCode").str.contains(r"^\d{5}"),
    )
    return lines.select(
        order="InvoiceNo",
        date=pl.col("InvoiceDate").dt.date(),
        customer=pl.col("CustomerID").cast(pl.Int64).cast(pl.String),
        product="StockCode",
        quantity=pl.col("Quantity").cast(pl.Float64),
        unit_price="UnitPrice",
    )


def _retail() -> tuple[list[Row], list[str]]:
    if not RETAIL.exists():
        return [], [f"Online Retail: {ABSENT}"]
    lines = purchases()
    past, future = lines.filter(pl.col("date") < CUT), lines.filter(pl.col("date") >= CUT)
    items = past.group_by("product").agg(pl.col("customer").n_unique().alias("n")).filter(pl.col("n") >= FEWEST_BUYERS)["product"]
    people = past.filter(pl.col("product").is_in(items.implode()))["customer"].unique()
    came = future.filter(pl.col("product").is_in(items.implode()), pl.col("customer").is_in(people.implode()))
    truth = _sets(came)
    had = _sets(past)
    fresh = {who: bought - had.get(who, set()) for who, bought in truth.items()}
    with temporary() as folder, tradewind.open(Path(folder)) as desk:
        desk.load(past, table="orders")
        made = taught(desk, "recommend", folds=2, seed=SEED)
        said = {shelf: _asked(desk, sorted(truth), shelf) for shelf in ("any", "discover")}
        rows = _retail_rows(past, truth, fresh, said, made)
        rows += _served(desk, sorted(truth), made)
    notes = [
        f"Online Retail: train < {CUT}, seed {SEED}, {len(people):,} customers x {len(items):,} items with {FEWEST_BUYERS} buyers or more; "
        f"{len(truth):,} customers came; all items ranked; recall@20 = hits / min(bought, 20); the trend is tuned on months before",
        "leaderboard: 28-day blocks before the split, over all items ever bought before them",
    ]
    return rows, notes


def _retail_rows(
    past: pl.DataFrame, truth: Mapping[str, set[str]], fresh: Mapping[str, set[str]], said: Mapping[str, Lists], made: Taught
) -> list[Row]:
    popular = past.group_by("product").agg(pl.col("customer").n_unique().alias("n")).sort("n", "product", descending=[True, False])
    crowd = popular["product"].to_list()
    lately = past.filter(pl.col("date") >= CUT - dt.timedelta(days=28)).group_by("product").agg(pl.col("customer").n_unique().alias("n"))
    first = lately.sort("n", "product", descending=[True, False])["product"].to_list()
    own = _own(past, [*first, *(item for item in crowd if item not in set(first))])
    had = _sets(past)
    new_crowd = {who: [item for item in crowd[:2000] if item not in had.get(who, set())][:K] for who in fresh}
    new_said, new_base = _recall(said["discover"], fresh), _recall(new_crowd, fresh)
    return [
        at_least("Online Retail, new items, R@20", new_said, 0.14, baseline=f"popularity {new_base:.3f}"),
        at_least(
            "Online Retail, any item, R@20",
            _recall(said["any"], truth),
            0.347,
            baseline=f"own frequency {_recall(own, truth):.3f}, popularity {_recall(dict.fromkeys(truth, crowd[:K]), truth):.3f}",
        ),
        Row("the same, hit@10", f"{_hit(said['any'], truth):.3f}", f"own frequency {_hit(own, truth):.3f}"),
        Row("leaderboard, R@20 any", made.shown("recall_20"), f"new: {made.shown('recall_20_new')}"),
        Row("leaderboard, mean chance said less what came", made.shown("calibration")),
        Row("training, 4 recipes x 2 blocks", f"{made.seconds:.0f} s", f"chosen: {made.recipe}"),
    ]


def _own(past: pl.DataFrame, crowd: Sequence[str]) -> Lists:
    place = {item: at for at, item in enumerate(crowd)}
    counts = past.group_by("customer", "product").agg(pl.len().alias("n"))
    counts = counts.with_columns(pl.col("product").replace_strict(place, return_dtype=pl.Int64).alias("at")).sort(
        "n", "at", descending=[True, False]
    )
    found = {who[0]: rows["product"].to_list()[:K] for who, rows in counts.group_by("customer", maintain_order=True)}
    return {who: [*items, *(item for item in crowd[: 2 * K] if item not in items)][:K] for who, items in found.items()}


def _asked(desk: tradewind.Desk, people: Sequence[str], shelf: str) -> Lists:
    asked = pl.DataFrame({"customer": people, "shelf": [shelf] * len(people), "k": [float(K)] * len(people)})
    answer = desk.predict("recommend", asked).table.frame
    return {who[0]: rows["item"].to_list() for who, rows in answer.group_by("customer", maintain_order=True)}


def _sets(lines: pl.DataFrame) -> dict[str, set[str]]:
    grouped = lines.group_by("customer").agg(pl.col("product").unique())
    return {who: set(items) for who, items in grouped.iter_rows()}


def _recall(lists: Lists, truth: Mapping[str, set[str]]) -> float:
    able = [who for who, wanted in truth.items() if wanted]
    return float(np.mean([len(truth[who].intersection(lists.get(who, ())[:K])) / min(len(truth[who]), K) for who in able]))


def _hit(lists: Lists, truth: Mapping[str, set[str]]) -> float:
    return float(np.mean([bool(wanted.intersection(lists.get(who, ())[:10])) for who, wanted in truth.items()]))


def _served(desk: tradewind.Desk, people: Sequence[str], made: Taught) -> list[Row]:
    def question(names: Sequence[str], shelf: str) -> Table:
        columns = {"customer": np.array(names, object), "shelf": np.full(len(names), shelf, object), "k": np.full(len(names), 10.0)}
        return Table.from_columns(columns)

    shelves = ("any", "discover", "again")
    one = [question([people[at % len(people)]], shelves[at % 3]) for at in range(300)]
    hundred = [question([people[(100 * turn + at) % len(people)] for at in range(100)], shelves[turn % 2]) for turn in range(30)]
    return timings(desk, "recommend", one, hundred, sealed_mb=made.sealed_mb)


def _groceries() -> tuple[list[Row], list[str]]:
    if not BASKETS.exists():
        return [], [f"groceries: {ABSENT}"]
    rng = np.random.default_rng(SEED)
    baskets = [line.split(",") for line in BASKETS.read_text("utf-8").splitlines() if line.strip()]
    held = rng.random(len(baskets)) < 0.2
    past = [(f"B{at}", item) for at, basket in enumerate(baskets) if not held[at] for item in basket]
    tests = [(basket, int(rng.integers(len(basket)))) for at, basket in enumerate(baskets) if held[at] and len(set(basket)) >= 2]
    orders = pl.DataFrame(past, schema=["order", "product"], orient="row").with_columns(
        date=pl.lit(dt.date(2025, 1, 1)), quantity=pl.lit(1.0), customer=pl.col("order")
    )
    asked = pl.DataFrame(
        {"basket": ["; ".join(one for at, one in enumerate(basket) if at != out) for basket, out in tests], "k": [10.0] * len(tests)}
    )
    with temporary() as folder, tradewind.open(Path(folder)) as desk:
        desk.load(orders, table="orders")
        made = taught(desk, "recommend", seed=SEED)
        answer = desk.predict("recommend", asked).table.frame
    lists = {at[0]: set(rows["item"].to_list()) for at, rows in answer.group_by("asked", maintain_order=True)}
    crowd = orders.group_by("product").len().sort("len", "product", descending=[True, False])["product"].to_list()
    ours = np.array([basket[out] in lists.get(at, ()) for at, (basket, out) in enumerate(tests)], float)
    base = np.array([basket[out] in [item for item in crowd[:60] if item not in _rest(basket, out)][:10] for basket, out in tests], float)
    draws = rng.integers(0, len(tests), (DRAWS, len(tests)))
    ratio = np.sort(ours[draws].mean(1) / base[draws].mean(1))
    low, high = ratio[int(0.025 * DRAWS)], ratio[int(0.975 * DRAWS)]
    rows = [
        at_least(
            "groceries, hit@10 over popularity, low end of a paired 95 % bootstrap", float(low), 1.0 + 1e-9, baseline=f"to {high:.3f}"
        ),
        Row("groceries, hit@10 of a left-out item", f"{ours.mean():.3f}", f"popularity {base.mean():.3f}"),
        Row("groceries, leaderboard R@20", made.shown("recall_20"), f"chosen: {made.recipe}"),
    ]
    said = f"{len(baskets):,} baskets, 80 % learned from, one item left out of each of {len(tests):,} others, seed {SEED}; no time in it"
    return rows, [f"groceries: {said}"]


def _rest(basket: Sequence[str], out: int) -> set[str]:
    return {one for at, one in enumerate(basket) if at != out}


def orders(lines: int, people: int, items: int, *, seed: int) -> pl.DataFrame:
    """Return made-up order lines of a year: customers of eight tastes, items by a long tail."""
    rng = np.random.default_rng(seed)
    taste = rng.integers(0, 8, people)
    who = rng.integers(0, people, lines)
    rank = (items * rng.random(lines) ** 2.2).astype(int)
    what = np.where(rng.random(lines) < 0.7, (rank // 8) * 8 + taste[who], rank) % items
    day = np.datetime64("2025-01-01") + rng.integers(0, 365, lines)
    order = np.char.add(who.astype(str), np.char.add("-", day.astype("i8").astype(str)))
    return pl.DataFrame(
        {
            "order": order,
            "date": pl.Series(day.astype("M8[ms]")).cast(pl.Date),
            "customer": np.char.add("C", who.astype(str)),
            "product": np.char.add("P", what.astype(str)),
            "quantity": np.ones(lines),
            "unit_price": 1.0 + what % 17,
        }
    )


def _solve() -> tuple[list[Row], list[str]]:
    """Time one EASE fit of 6,000 items: co-occurrence, inverse, and the weights that are kept."""
    from tradewind.models.recommend import log as logs
    from tradewind.models.recommend import weights
    from tradewind.models.recommend.assemble import assemble

    log = logs.read(assemble({"orders": Table.from_frame(orders(600_000, 20_000, 6000, seed=SEED))}))
    seen = logs.seen(log, log.end)
    began = time.perf_counter()
    made = weights.learn(log, seen, strength=300.0, keep=100, most=6000)
    spent = time.perf_counter() - began
    width = int((made.known == 1).sum())
    return [at_most(f"EASE fit of {width:,} items", spent, 5.0, unit="s", baseline=f"{len(log.day):,} lines")], []


def _scale() -> tuple[list[Row], list[str]]:
    if not sys.platform.startswith("linux"):
        return [], ["scale: the memory of a process tree is read from /proc, which this system has not"]
    with temporary() as folder, tradewind.open(Path(folder)) as desk:
        desk.load(orders(LINES, PEOPLE, ITEMS, seed=SEED), table="orders")
        with Watched() as watched:
            made = taught(desk, "recommend", folds=1, seed=SEED)
    rows = [
        at_most("1 million order lines: train, 4 recipes x 1 block", made.seconds, 300.0, unit="s"),
        at_most(
            "the same, memory of all processes together", watched.peak_mb, 3000.0, unit="MB", baseline=f"sealed {made.sealed_mb:.1f} MB"
        ),
    ]
    return rows, [f"scale: {LINES:,} made-up lines of {PEOPLE:,} customers and {ITEMS:,} items, seed {SEED}"]
