"""Three peers and ours on three real data sets in one run: error beside CPU seconds."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks import _measures as measures
from benchmarks._demand import ends_of
from benchmarks._peers import CASES, NEEDS, SEED, Case
from benchmarks._result import Result, Row, below
from benchmarks._run import ABSENT, DATA, ROOT, child, temporary

CHECK = "stallion, m5_small, pasta: mean WAPE below AutoETS, mlforecast LightGBM recursive and Prophet; CPU seconds beside each other"
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "POLARS_MAX_THREADS"), "1")


@dataclass(frozen=True, slots=True)
class Done:
    """One forecaster on one data set."""

    wape: float
    cpu_s: float


def run() -> Result:
    """Run each forecaster on each data set in a process of its own; skipped where a peer is not installed."""
    if not DATA.is_dir():
        return Result(skipped=ABSENT)
    missing = [name for name in NEEDS.values() if importlib.util.find_spec(name) is None]
    if missing:
        return Result(skipped=f"{', '.join(missing)} not installed: .venv/bin/python -m pip install --group bench")
    with temporary() as folder:
        done = {peer: {name: one(peer, name, case, folder) for name, case in CASES.items()} for peer in ("ours", *NEEDS)}
    mean = {peer: float(np.mean([each.wape for each in sets.values()])) for peer, sets in done.items()}
    spent = {peer: sum(each.cpu_s for each in sets.values()) for peer, sets in done.items()}
    rows = [below(f"mean WAPE against {peer}", mean["ours"], mean[peer], name=peer) for peer in NEEDS]
    rows += [_ratio(peer, spent) for peer in NEEDS]
    rows += [_set(name, {peer: sets[name] for peer, sets in done.items()}) for name in CASES]
    splits = "; ".join(f"{name} last {case.blocks} x {case.horizon} periods" for name, case in CASES.items())
    notes = (
        f"split: {splits}, all series; seed {SEED}; each sees the same plan of prices, promotions and events, AutoETS uses none",
        "CPU seconds of a whole process on one thread: imports, reading, fitting, forecasting; ours also validates, calibrates and seals",
        "peers' forecasts are cut at zero; Prophet's intervals are switched off, as only its point is read",
    )
    return Result(tuple(rows), notes)


def one(peer: str, name: str, case: Case, folder: Path) -> Done:
    """Run one forecaster on one data set and measure what it said."""
    out = folder / f"{peer}-{name}.parquet"
    ran = child([sys.executable, "-m", "benchmarks._peers", peer, name, str(out)], cwd=ROOT, env=ONE_THREAD)
    sales, said = case.sales(), pl.read_parquet(out)
    ends = ends_of(sales, blocks=case.blocks, horizon=case.horizon)
    spans = [sales.dates[end + 1 : end + case.horizon + 1] for end in ends]
    truth = np.concatenate([sales.units(dates) for dates in spans])
    found = np.concatenate([sales.laid(said.filter(pl.col("block") == block), "said", dates) for block, dates in enumerate(spans)])
    return Done(measures.wape(truth, found), ran.cpu_s)


def _ratio(peer: str, spent: dict[str, float]) -> Row:
    ratio = spent["ours"] / spent[peer]
    return Row(f"CPU seconds, ours over {peer}", f"{ratio:.2g} x ({spent['ours']:.0f} s)", f"{peer} {spent[peer]:.0f} s")


def _set(name: str, done: dict[str, Done]) -> Row:
    ours = done["ours"]
    theirs = ", ".join(f"{peer} {each.wape:.3f} in {each.cpu_s:.0f} s" for peer, each in done.items() if peer != "ours")
    return Row(f"{name}: WAPE", f"{ours.wape:.3f} in {ours.cpu_s:.0f} CPU s", theirs)
