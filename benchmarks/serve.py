"""Serving over HTTP from the jailed worker, beside a bare ASGI app in the same run."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import tradewind
from benchmarks._load import Connection, Load, one_by_one, post, together
from benchmarks._result import Result, Row, at_most, exactly
from benchmarks._run import ROOT, SURROUNDINGS, Failed, median, quantile, temporary

CHECK = (
    "HTTP predict: default <= 8x a bare ASGI app, what-if < 3 ms, 100 items < 10 ms, 32 connections 60 s and 100 switches without a failure"
)
SEED = 7
ASKS = 1500
BLOCKS = 10
CONNECTIONS, SECONDS = 32, 60
SWITCHES = 100
PATH = "/api/v1/models/demand/predict"


def run() -> Result:
    """Train the sample company twice, serve it by the command line, and ask over loopback."""
    with temporary() as folder:
        token, series, price, day = _prepared(folder / "ws")
        with _serving(folder / "ws") as ours, _bare() as bare:
            rows = _latencies(ours, bare, token, series, price, day)
            rows += _under_load(ours, token, series)
    note = f"seed {SEED}; {ASKS} requests each over one kept connection, ours and the bare app in turns; p50 is barred, p99 shown"
    return Result(tuple(rows), (note, "client and server share the machine"))


def _prepared(folder: Path) -> tuple[str, list[dict], float, str]:
    with tradewind.demo(folder, seed=SEED) as desk:
        for seed in (0, 1):
            desk.train("demand", seed=seed)
            desk.promote("demand", force=True, reason="benchmark")
        token = desk.create_token("admin", name="benchmark", days=1).fact("token")
        answer = desk.predict("demand", horizon=30)
        found = answer.table.frame
        series = found.select("product", "store").unique(maintain_order=True).to_dicts()
        price = float(desk.show("sales", limit=1000).table.frame["price"].mean())
        return token, series, price, str(found["date"].min())


@contextmanager
def _process(words: list[str], port: int) -> Iterator[int]:
    environment = {**SURROUNDINGS, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    process = subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        for _ in range(300):
            if process.poll() is not None:
                raise Failed(f"{' '.join(words)} ended: {(process.stderr.read() if process.stderr else b'').decode()[-500:]}")
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield port
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _free() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _serving(folder: Path) -> Iterator[int]:
    port = _free()
    with _process([sys.executable, "-m", "tradewind", "-w", str(folder), "-q", "serve", "--port", str(port)], port):
        yield port


@contextmanager
def _bare() -> Iterator[int]:
    port = _free()
    words = [sys.executable, "-m", "uvicorn", "benchmarks._bare:app", "--port", str(port), "--no-access-log", "--log-level", "error"]
    with _process(words, port):
        yield port


def _latencies(ours: int, bare: int, token: str, series: list[dict], price: float, day: str) -> list[Row]:
    chance = random.Random(SEED)

    def default() -> bytes:
        return post(PATH, {"horizon": 30, "where": chance.choice(series)}, token)

    def what_if() -> bytes:
        at = chance.choice(series)
        planned = round(price * chance.uniform(0.8, 1.2), 4)
        return post(PATH, {"rows": [{**at, "date": later, "price": planned} for later in _days(day, 30)]}, token)

    def hundred() -> bytes:
        planned = round(price * chance.uniform(0.8, 1.2), 4)
        return post(PATH, {"rows": [{**at, "date": day, "price": planned} for at in chance.sample(series, 100)]}, token)

    kinds = {"default": default, "what-if": what_if, "hundred": hundred}
    loads = {name: Load() for name in ("bare", *kinds)}
    one_by_one(bare, [post("/", {}, token)] * 200)
    for make in kinds.values():
        one_by_one(ours, [make() for _ in range(50)])
    for _ in range(BLOCKS):
        _add(loads["bare"], one_by_one(bare, [post("/", {}, token)] * (ASKS // BLOCKS)))
        for name, make in kinds.items():
            _add(loads[name], one_by_one(ours, [make() for _ in range(ASKS // BLOCKS)]))
    floor = median(loads["bare"].seconds)
    baseline = f"bare ASGI p50 {1e6 * floor:.0f} us"
    failures = sum(len(load.failures) for load in loads.values())
    return [
        at_most(
            "one series x 30 days as served by default, p50 over the bare app",
            median(loads["default"].seconds) / floor,
            8,
            unit="x",
            baseline=baseline,
        ),
        Row("the same in time, p50 / p99", _times(loads["default"]), f"bare p99 {1e6 * quantile(loads['bare'].seconds, 0.99):.0f} us"),
        at_most("a price what-if, one series x 30 days, p50", 1000 * median(loads["what-if"].seconds), 3, unit="ms", baseline=baseline),
        Row("the same, p50 / p99", _times(loads["what-if"])),
        at_most("100 items, p50", 1000 * median(loads["hundred"].seconds), 10, unit="ms", baseline=baseline),
        Row("the same, p50 / p99", _times(loads["hundred"])),
        exactly("failed requests, one connection", failures, 0),
    ]


def _under_load(ours: int, token: str, series: list[dict]) -> list[Row]:
    chance = random.Random(SEED)
    requests = [post(PATH, {"horizon": 30, "where": at}, token) for at in chance.sample(series, min(200, len(series)))]
    calm = together(ours, requests, connections=CONNECTIONS, until=lambda spent: spent >= SECONDS)
    switched: list[float] = []
    problems: list[str] = []
    worker = threading.Thread(target=_switch, args=(ours, token, switched, problems))
    worker.start()
    busy = together(ours, requests, connections=CONNECTIONS, until=lambda spent: spent >= SECONDS and not worker.is_alive())
    worker.join()
    baseline = f"{len(calm.seconds) / calm.spent:,.0f} requests/s"
    return [
        exactly(
            f"{CONNECTIONS} connections for {SECONDS} s: failed requests", len(calm.failures), 0, baseline=f"{len(calm.seconds):,} asked"
        ),
        Row("the same, p50 / p99", _times(calm), baseline),
        exactly("promotions and rollbacks under that load", len(switched), SWITCHES),
        exactly("failed switches", len(problems), 0, baseline=problems[0] if problems else ""),
        exactly(
            "failed requests while switching",
            len(busy.failures),
            0,
            baseline=busy.failures[0] if busy.failures else f"{len(busy.seconds):,} asked",
        ),
        Row("a switch, p50 / p99", _times(Load(switched)) if switched else "none"),
    ]


def _switch(port: int, token: str, switched: list[float], problems: list[str]) -> None:
    """Roll back and promote in turns, over HTTP like everybody else."""
    connection = Connection(port)
    for turn in range(SWITCHES):
        if turn % 2:
            request = post("/api/v1/models/demand/promote", {"version": 2, "force": True, "reason": "benchmark"}, token)
        else:
            request = post("/api/v1/models/demand/rollback", {"reason": "benchmark"}, token)
        try:
            status, body = connection.ask(request)
        except OSError as error:
            problems.append(str(error))
            return
        if status == 200:
            switched.append(time.perf_counter() - connection.sent)
        else:
            problems.append(f"{status}: {json.loads(body).get('detail', '')}")


def _add(whole: Load, more: Load) -> None:
    whole.seconds += more.seconds
    whole.failures += more.failures


def _times(load: Load) -> str:
    return f"{1000 * median(load.seconds):.2f} / {1000 * quantile(load.seconds, 0.99):.1f} ms"


def _days(first: str, count: int) -> list[str]:
    import datetime as dt

    start = dt.date.fromisoformat(first[:10])
    return [str(start + dt.timedelta(days=number)) for number in range(count)]
