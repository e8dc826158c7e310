"""Three real data sets: every recipe alone, and what serves by default, beside the naive forecasts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

import tradewind
from benchmarks import _measures as measures
from benchmarks._demand import Sales, carried, ends_of, intermittent, m5_small, put, repeated, served, stallion
from benchmarks._result import Result, Row, at_most, below
from benchmarks._run import ABSENT, DATA, temporary

CHECK = "stallion and m5_small: WAPE <= 85 % of seasonal naive, lstm alone below it; never worse than naive, intermittent demand included"
SEED, FOLDS = 0, None
SHARE = 0.85
LSTM = "lstm"


@dataclass(frozen=True, slots=True)
class Case:
    """A data set with its protocol; `must` is the bar on WAPE, without it MASE only must not be worse than naive."""

    sales: Callable[[], Sales]
    horizon: int
    blocks: int
    must: bool


@dataclass(frozen=True, slots=True)
class Said:
    """A point forecast of all blocks, measured."""

    wape: float
    mase: float

    def shown(self) -> str:
        """Write both."""
        return f"WAPE {self.wape:.3f}, MASE {self.mase:.3f}"


CASES = {
    "stallion": Case(stallion, 6, 1, must=True),
    "m5_small": Case(m5_small, 30, 3, must=True),
    "intermittent": Case(intermittent, 28, 3, must=False),
}


def run() -> Result:
    """Backtest every recipe, then train anew at each cutoff on what was known and ask what serves."""
    if not DATA.is_dir():
        return Result(skipped=ABSENT)
    rows: list[Row] = []
    for name, case in CASES.items():
        rows += _case(name, case)
    splits = "; ".join(f"{name}: last {case.blocks} x {case.horizon} periods" for name, case in CASES.items())
    notes = (
        f"split: {splits}; seed {SEED}, folds inside every training as the history allows",
        "recipes alone: `desk.evaluate` on the very blocks, nothing is chosen; what serves: trained at each cutoff on what was known then",
        "the naive forecasts are computed here apart from ours, on the same rows",
    )
    return Result(tuple(rows), notes)


def _case(name: str, case: Case) -> list[Row]:
    sales = case.sales()
    ends = ends_of(sales, blocks=case.blocks, horizon=case.horizon)
    base = {kind: scored(sales, naive(sales, ends, case.horizon, kind), ends, case.horizon) for kind in ("seasonal naive", "last value")}
    beside = "; ".join(f"{kind} {said.shown()}" for kind, said in base.items())
    with temporary() as folder:
        found, seconds = served(sales, folder, ends, case.horizon, seed=SEED, folds=FOLDS)
        board = recipes(sales, folder / "all", blocks=case.blocks, horizon=case.horizon)
    blocks = [sales.laid(part, "p50", _after(sales, end, case.horizon)) for part, end in zip(found, ends, strict=True)]
    ours = scored(sales, blocks, ends, case.horizon)
    rows = [Row(f"{name}: what serves", f"{ours.shown()}, {seconds:.0f} s of training", beside)]
    seasonal = base["seasonal naive"]
    if case.must:
        rows.append(at_most(f"{name}: WAPE over that of seasonal naive", ours.wape / seasonal.wape, SHARE, baseline="seasonal naive 1"))
        rows.append(_alone(name, board, seasonal.wape))
        rows.append(_not_worse(f"{name}: WAPE", ours.wape, {kind: said.wape for kind, said in base.items()}))
    else:
        rows.append(_not_worse(f"{name}: MASE", ours.mase, {kind: said.mase for kind, said in base.items()}))
    return [*rows, *(_recipe(name, row) for row in board.to_dicts() if row["wape"] is not None)]


def naive(sales: Sales, ends: list[int], horizon: int, kind: str) -> list[np.ndarray]:
    """Return the naive forecast of every block: last season repeated, or the last value."""
    pasts = [sales.units(sales.dates[: end + 1]) for end in ends]
    if kind == "last value":
        return [np.repeat(carried(past)[:, -1:], horizon, 1) for past in pasts]
    return [repeated(past, horizon, sales.season) for past in pasts]


def scored(sales: Sales, blocks: list[np.ndarray], ends: list[int], horizon: int) -> Said:
    """Return WAPE and MASE pooled over the blocks; the scale of each is that of its own past."""
    truth = np.concatenate([sales.units(_after(sales, end, horizon)) for end in ends])
    scales = np.concatenate([measures.scale(sales.units(sales.dates[: end + 1]), sales.season) for end in ends])
    said = np.concatenate(blocks)
    return Said(measures.wape(truth, said), measures.mase(truth, said, scales))


def recipes(sales: Sales, folder: Path, *, blocks: int, horizon: int) -> pl.DataFrame:
    """Return the leaderboard of every recipe on the very blocks."""
    with tradewind.open(folder) as desk:
        put(desk, sales, sales.frame)
        return desk.evaluate("demand", folds=blocks, horizon=horizon, seed=SEED).table.frame


def _after(sales: Sales, end: int, horizon: int) -> list:
    return sales.dates[end + 1 : end + horizon + 1]


def _alone(name: str, board: pl.DataFrame, seasonal: float) -> Row:
    found = board.filter(pl.col("recipe") == LSTM)
    if found.is_empty():
        return Row(f"{name}: {LSTM} alone, WAPE", "not on the leaderboard", f"seasonal naive {seasonal:.3f}", "below the baseline", False)
    return below(f"{name}: {LSTM} alone, WAPE", float(found["wape"][0]), seasonal, name="seasonal naive")


def _not_worse(check: str, ours: float, base: dict[str, float]) -> Row:
    best = min(base, key=lambda kind: base[kind])
    return at_most(f"{check} not worse than any naive", ours, base[best], baseline=f"best naive: {best}")


def _recipe(name: str, row: dict) -> Row:
    figures = f"WAPE {row['wape']:.3f}, MASE {row['mase']:.3f}, bias {row['bias']:+.3f}, 80 % covers {row['coverage_80']:.2f}"
    return Row(f"{name}: {row['recipe']} by evaluate", f"{figures}, {row['seconds']:.0f} CPU s")
