"""How quickly a sealed version answers, how much memory its worker takes, how quickly it is rolled back."""

from __future__ import annotations

import time

import tradewind
from benchmarks._result import Result, Row, at_most
from benchmarks._run import median, temporary

CHECK = "a sealed version answers in < 0.5 s from cold (verified, decrypted); worker RSS < 150 MB; rollback < 1 s"
TIMES = 5
SEED = 7


def run() -> Result:
    """Train two versions on a small sample company, then open the workspace afresh and ask."""
    with temporary() as folder:
        with tradewind.demo(folder / "ws", seed=SEED, years=1.5, products=20, stores=4, customers=200) as desk:
            desk.train("demand")
            desk.promote("demand", force=True, reason="benchmark")
            desk.train("demand", seed=1)
            desk.promote("demand", force=True, reason="benchmark")
            rows = desk.show("sales", limit=1).table.to_rows()[0]
        where = {name: rows[name] for name in ("product", "store")}
        opened, loaded, memory = zip(*(_cold(folder / "ws", where) for _ in range(TIMES)), strict=True)
        backs = _rollbacks(folder / "ws")
        with tradewind.open(folder / "ws") as desk:
            bare = _unpack_ms(desk)
    return Result(
        (
            Row("open the workspace", f"{median(list(opened)):.2f} s"),
            at_most(
                "load a sealed version until it answers",
                median(list(loaded)),
                0.5,
                unit="s",
                baseline=f"verify + decrypt alone {bare:.1f} ms",
            ),
            at_most("worker memory", max(memory), 150, unit="MB"),
            at_most("rollback, the action", median(backs), 1, unit="s"),
        ),
        (f"medians of {TIMES}; seed {SEED}; 20 products x 4 stores; a new desk and a new worker each time",),
    )


def _cold(folder, where) -> tuple[float, float, float]:
    start = time.perf_counter()
    with tradewind.open(folder) as desk:
        opened = time.perf_counter() - start
        start = time.perf_counter()
        desk.predict("demand", horizon=30, where=where)
        loaded = time.perf_counter() - start
        return opened, loaded, max(state.rss_mb for state in desk.pool.held().values())


def _rollbacks(folder) -> list[float]:
    spent = []
    with tradewind.open(folder) as desk:
        for _ in range(TIMES):
            newest = desk.deployment("demand").stable
            start = time.perf_counter()
            desk.rollback("demand", reason="benchmark")
            spent.append(time.perf_counter() - start)
            desk.promote("demand", newest, force=True, reason="benchmark")
    return spent


def _unpack_ms(desk) -> float:
    start = time.perf_counter()
    desk.artifact("demand", desk.deployment("demand").stable)
    return 1000 * (time.perf_counter() - start)
