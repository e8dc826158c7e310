"""Real sales by the command line, exactly as docs/own-data.md types it, beside the seasonal naive forecast."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks._result import Result, Row, below
from benchmarks._run import ABSENT, DATA, ROOT, Failed, child, temporary

CHECK = "four real data sets: load, train, promote, predict as typed in the docs; stallion and m5_small beat seasonal naive"
PAGE = ROOT / "docs" / "own-data.md"


@dataclass(frozen=True, slots=True)
class Case:
    """A data set: how its seasonal naive forecast is computed here, apart from our own, and whether it must be beaten."""

    naive: Callable[[], float] | None
    must: bool


def stallion() -> float:
    """Return the WAPE of last year's month over the last six months."""
    path = DATA / "demand/stallion_beverages/stallion.parquet"
    frame = pl.read_parquet(path).select(pl.col("agency").cast(str), pl.col("sku").cast(str), pl.col("date").cast(pl.Date), y="volume")
    return _naive(frame, ["agency", "sku"], "12mo", ahead=[6])


def m5_small() -> float:
    """Return the WAPE of last week's same day, repeated, over three blocks of 30 days."""
    frame = pl.read_csv(DATA / "demand/m5_small_nixtla/m5_sales_exog_small.csv", try_parse_dates=True).rename({"ds": "date"})
    return _weekly(frame, ["unique_id"], blocks=3, horizon=30)


def _naive(frame: pl.DataFrame, keys: list[str], season: str, *, ahead: list[int]) -> float:
    dates = frame["date"].unique().sort()
    test = dates[-ahead[0] :]
    before = frame.with_columns(pl.col("date").dt.offset_by(season)).rename({"y": "said"})
    both = (
        frame.filter(pl.col("date").is_in(test.to_list()))
        .join(before, on=[*keys, "date"], how="left")
        .with_columns(pl.col("said").fill_null(0))
    )
    return float((both["y"] - both["said"]).abs().sum() / both["y"].sum())


def _weekly(frame: pl.DataFrame, keys: list[str], *, blocks: int, horizon: int) -> float:
    dates = frame["date"].unique().sort().to_list()
    error = total = 0.0
    for block in range(blocks):
        first = len(dates) - (blocks - block) * horizon
        season = {dates[first + step]: dates[first - 7 + step % 7] for step in range(horizon)}
        asked = frame.filter(pl.col("date").is_in(list(season))).with_columns(back=pl.col("date").replace_strict(season))
        both = asked.join(frame.select([*keys, pl.col("date").alias("back"), pl.col("y").alias("said")]), on=[*keys, "back"], how="inner")
        error += float((both["y"] - both["said"]).abs().sum())
        total += float(both["y"].sum())
    return error / total


CASES = {
    "stallion": Case(stallion, must=True),
    "m5_small": Case(m5_small, must=True),
    "pasta": Case(None, must=False),
    "online_retail": Case(None, must=False),
}


def run() -> Result:
    """Type what the page says, one data set after the other."""
    if not DATA.is_dir():
        return Result(skipped=ABSENT)
    rows: list[Row] = []
    for name, case in CASES.items():
        with temporary() as folder:
            rows += _one(name, case, commands(PAGE.read_text("utf-8"), name), folder)
    notes = (
        "WAPE of the median over rolling origins; seasonal naive: ours on the same rows and, in brackets, computed here apart",
        "seed 0; horizon and folds as the page types them",
    )
    return Result(tuple(rows), notes)


def commands(page: str, name: str) -> list[str]:
    """Return the lines typed under a heading of the page."""
    _, _, rest = page.partition(f"\n## {name}\n")
    section = rest.partition("\n## ")[0]
    typed = [line for block in section.split("```console\n")[1:] for line in block.partition("```")[0].replace("\\\n", " ").splitlines()]
    if not typed:
        raise Failed(f"{PAGE.name} has no commands for {name}")
    return [line.removeprefix("$ ").strip() for line in typed if line.strip()]


def _one(name: str, case: Case, typed: list[str], folder: Path) -> list[Row]:
    done: dict[str, Any] = {}
    seconds = 0.0
    for line in typed:
        words = shlex.split(line.replace("$DATA", str(DATA)))
        ran = child([sys.executable, "-m", *words, "--json"], cwd=folder, env={"TRADEWIND_WORKSPACE": ""}, check=False)
        verb = next(word for word in words if word in ("init", "load", "train", "promote", "predict", "evaluate"))
        seconds += ran.seconds
        if ran.status:
            return [
                Row(f"{name}: {verb}", f"exit {ran.status}", "", "exit 0", False),
                Row(f"{name}: it said", (ran.out or ran.err).strip()[-300:]),
            ]
        done[verb] = ran.data
    answers = done["predict"]["answer"]["rows"]
    row = Row(f"{name}: load, train, promote, predict", f"{len(answers):,} answers, {seconds:.0f} s", "", "every exit 0", bool(answers))
    return [row, *_scores(name, case, done["evaluate"]["answer"]["rows"])]


def _scores(name: str, case: Case, board: list[dict[str, Any]]) -> list[Row]:
    scores = {str(row["recipe"]): float(row["wape"]) for row in board if row["wape"] is not None}  # none: it could not be learned
    naive = scores.pop("naive")
    apart = case.naive() if case.naive else None
    beside = "seasonal naive" + (f" ({apart:.3f})" if apart is not None else "")
    best = min(scores, key=lambda recipe: scores[recipe])
    row = below(f"{name}: WAPE of {best}", scores[best], min(naive, apart) if apart is not None else naive, name=beside)
    return [row if case.must else Row(row.check, row.ours, row.baseline)]
