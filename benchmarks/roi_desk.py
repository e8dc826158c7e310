"""Roi from tables to a plan through the desk: what serves, how fast, how small, and whether plan and report say the same."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import polars as pl

import tradewind
from benchmarks._media import NAMES, World, world
from benchmarks._result import Result, Row, at_most
from benchmarks._run import median, quantile, temporary
from tradewind.core.model import Budget

CHECK = "roi through the desk: p50 < 5 ms, < 5 MB sealed, load < 0.5 s; plan and report agree to 1e-6; realised gain of plans"
SEEDS, WEEKS_AHEAD, ASKED = (31, 32), 13, 200
MS, MB, LOAD_S, SAME = 5.0, 5.0, 0.5, 1e-6


def run() -> Result:
    """Learn worlds of known returns by ridge and fast, serve the winner, plan, and look up in the truth what the plan would bring."""
    rows: list[Row] = []
    promised, realised, oracle = [], [], []
    for seed in SEEDS:
        made = world(seed)
        with temporary() as folder, tradewind.open(folder / "ws") as desk:
            for name, table in made.tables().items():
                desk.load(table.frame, table=name)
            board = desk.train("roi", recipes=["ridge", "fast"], budget=Budget(folds=3)).table.frame
            gates = desk.promote("roi", force=True, reason="benchmark")
            asked = desk.predict("roi", horizon=WEEKS_AHEAD).table.frame
            plan = desk.plan("roi", limits={"periods": WEEKS_AHEAD})
            if seed == SEEDS[0]:
                rows += _served(desk, gates, board)
            rows.append(_same(seed, asked, plan))
            was, now, best = _truth(made, asked, plan)
            promised.append(float(plan.fact("gain")))
            realised.append(now - was)
            oracle.append(best - was)
    said = ", ".join(f"{mine:,.0f} of {told:,.0f} ({top:,.0f})" for mine, told, top in zip(realised, promised, oracle, strict=True))
    rows.append(Row("realised of promised gain (oracle's), by world", said, "today's plan 0"))
    return Result(tuple(rows), (f"worlds {SEEDS}; 3 folds of 13 weeks; plans move no channel by more than half",))


def _served(desk: Any, gates: Any, board: pl.DataFrame) -> list[Row]:
    spend = np.random.default_rng(0).uniform(5e3, 6e4, ASKED)
    spent = []
    for money in spend:
        began = time.perf_counter()
        desk.predict("roi", [{"channel": "tv", "spend": float(money)}])
        spent.append(1000 * (time.perf_counter() - began))
    best, base = (board.filter(pl.col("recipe") == name).row(0, named=True) for name in ("fast", "ridge"))
    load = next((fact.value for fact in gates.facts if fact.name == "load_s"), None)
    size = sum(path.stat().st_size for path in (desk.path / "blobs").rglob("*") if path.is_file()) / 1e6 if hasattr(desk, "path") else 0.0
    return [
        at_most("one question, p50", median(spent), MS, unit="ms", baseline=f"p99 {quantile(spent, 0.99):.1f} ms of {ASKED}"),
        *([at_most("from sealed bytes to the first answer", float(load), LOAD_S, unit="s")] if load is not None else []),
        *([at_most("sealed, tables included", size, MB, unit="MB")] if size else []),
        Row("WAPE of held-out weeks", f"{best['wape']:.4f}", f"ridge {base['wape']:.4f}", "below", bool(best["wape"] < base["wape"])),
        Row("WAPE of held-out weeks", f"{best['wape']:.4f}", f"ridge {base['wape']:.4f}, last year's mean {best['mean_wape']:.4f}"),
        Row("80 % interval of held-out weeks covers", f"{best['coverage_80']:.2f}", f"ridge {base['coverage_80']:.2f}"),
    ]


def _same(seed: int, asked: pl.DataFrame, plan: Any) -> Row:
    report = asked.filter(pl.col("channel") != "total")["mean"].sum()
    gap = abs(plan.fact("outcome_today") / report - 1)
    return Row(f"the plan's baseline beside the report's sum, world {seed}", f"{gap:.1e} apart", "", f"<= {SAME:.0e}", bool(gap <= SAME))


def _truth(made: World, asked: pl.DataFrame, plan: Any) -> tuple[float, float, float]:
    """Return what today's plan, ours and the best one would really bring, carry-over behind the last week included."""
    today = np.stack([asked.filter(pl.col("channel") == name).sort("date")["spend"].to_numpy() for name in NAMES], 1)
    total = dict(zip(plan.table.column("channel").tolist(), plan.table.column("spend").tolist(), strict=True))
    ours = today * np.array([total[name] for name in NAMES]) / today.sum(0)

    def brought(future: np.ndarray) -> float:
        longer = np.concatenate([made.spend, future, np.zeros((7, 3))])
        return float(made.brought(longer)[len(made.spend) :].sum())

    shares = np.linspace(0.5, 1.5, 41)
    money = today.sum(0)
    best = brought(today)
    for first in shares:
        for second in shares:
            third = (money.sum() - first * money[0] - second * money[1]) / money[2]
            if 0.5 <= third <= 1.5:
                best = max(best, brought(today * np.array([first, second, third])))
    return brought(today), brought(ours), best
