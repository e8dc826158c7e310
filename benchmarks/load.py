"""Loading five million rows."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from benchmarks._result import Result, Row, at_most, exactly
from benchmarks._run import child, temporary, tradewind

CHECK = "5 million sales rows load in < 30 s and < 2 GB; one day more in < 2 s; the same file again changes nothing"
SERIES, DAYS, SEED = 6850, 730, 5
WRITE = f"""
import datetime as dt, sys
import numpy as np, polars as pl
chance = np.random.default_rng({SEED})
numbers = np.arange({SERIES})
series = pl.DataFrame({{"product": [f"P{{n // 10:04d}}" for n in numbers], "store": [f"S{{n % 10}}" for n in numbers]}})
def write(path, first, count):
    dates = pl.date_range(first, first + dt.timedelta(days=count - 1), eager=True)
    frame = pl.DataFrame({{"date": dates}}).join(series, how="cross")
    size = frame.height
    columns = {{
        "units": chance.poisson(6, size),
        "price": np.round(chance.uniform(1, 20, size), 2),
        "promotion": (chance.random(size) < 0.1).astype("i1"),
    }}
    frame.with_columns(**{{name: pl.Series(values) for name, values in columns.items()}}).write_csv(path)
write(sys.argv[1], dt.date(2023, 1, 1), {DAYS})
write(sys.argv[2], dt.date(2023, 1, 1) + dt.timedelta(days={DAYS}), 1)
"""
BASELINE = "import polars as pl, sys; pl.read_csv(sys.argv[1], try_parse_dates=True).write_parquet(sys.argv[1] + '.parquet')"


def run() -> Result:
    """Load by the command line in a fresh process each time; polars alone, csv to parquet, is the baseline."""
    with temporary() as folder:
        big, day = folder / "sales.csv", folder / "day.csv"
        child([sys.executable, "-c", WRITE, str(big), str(day)])
        alone = child([sys.executable, "-c", BASELINE, str(big)])
        tradewind("init", str(folder / "ws"))
        first = tradewind("-w", str(folder / "ws"), "load", str(big), "--table", "sales")
        again = tradewind("-w", str(folder / "ws"), "load", str(big), "--table", "sales")
        more = tradewind("-w", str(folder / "ws"), "load", str(day), "--table", "sales")
        inside = _action_ms(folder / "ws")
        size = big.stat().st_size
    baseline = f"polars csv to parquet {alone.seconds:.1f} s, {alone.peak_mb:,.0f} MB"
    return Result(
        (
            exactly("rows", int(first.fact("rows")), SERIES * DAYS),
            at_most("load, whole process", first.seconds, 30, unit="s", baseline=baseline),
            at_most("peak memory", first.peak_mb, 2048, unit="MB", baseline=baseline),
            Row(
                "the same file again",
                f"changed: {again.fact('changed')}, {again.seconds:.1f} s",
                "",
                "changed: False",
                again.fact("changed") is False,
            ),
            at_most("one day appended, the action", inside / 1000, 2, unit="s"),
            at_most("one day appended, whole process", more.seconds, 3, unit="s"),
            exactly("rows afterwards", int(more.fact("rows")), SERIES * (DAYS + 1)),
        ),
        (f"seed {SEED}; {size / 1e6:,.0f} MB of csv with six columns; cleaned, checked, compressed, encrypted",),
    )


def _action_ms(folder: Path) -> float:
    """Return how long the newest load took as the ledger has it."""
    look = "with tradewind.open(sys.argv[1]) as desk: print(json.dumps(desk.ledger.read('load')[-1].body['ms']))"
    code = f"import sys, json, tradewind\n{look}"
    return float(json.loads(child([sys.executable, "-c", code, str(folder)]).out))
