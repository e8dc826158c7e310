"""Single series without covariates: Merlion's synthetic set, and NAB with NAB's own scoring."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from benchmarks import _anomaly as other
from benchmarks._result import Result, Row, at_least
from benchmarks._run import ABSENT
from tradewind import models
from tradewind.core.model import settle
from tradewind.core.table import Table

CHECK = "merlion_synthetic: best mean AP of STL, isolation forest and seasonal ESD; NAB: best of null, random and windowed Gaussian"
Array = np.ndarray[Any, Any]
STEP, DAY = 300, 288  # seconds between records, records in a day
FIXED, FIXED_GAUSSIAN = 0.9, 1 - 1e-9  # thresholds written down before any score was seen
QUIET = 0.01  # share of a file without a score at the threshold, after which an incident is over: one alarm per incident


def run() -> Result:
    """Judge every series by the recipe without covariates and print the other detectors beside it."""
    if not other.MERLION.is_dir() or not other.NAB.is_dir():
        return Result(skipped=ABSENT)
    notes = (
        "merlion: 15 files, unsupervised, each detector sees the whole series; STL and ESD with the period of a day,",
        "the forest on figure, step and time of day",
        "NAB: learned from the probation (15 %) alone, then asked record by record; standard profile; one alarm per incident,",
        "which is over when 1 % of the file stays below; windowed Gaussian as NAB has it, and with that rule beside it",
        "NAB: the optimised threshold is the best on these very labels, as NAB does it, for every detector; fixed ones were set beforehand",
    )
    return Result((*_merlion(), *_nab()), notes)


def _text(name: str, count: int) -> Array:
    out = np.empty(count, object)
    out[:] = name
    return out


def _rows(moments: Array, value: Array) -> Table:
    table = Table.from_columns({"date": moments.astype("M8[us]"), "metric": _text("value", len(value)), "units": value})
    return models.part("anomaly", "assemble", "assemble")({"outcomes": Table.from_columns({"date": table.column("date"), "value": value})})


def _merlion() -> list[Row]:
    recipe = models.recipe("anomaly", "decompose")
    found: dict[str, list[tuple[float, float]]] = {}
    rows = []
    for path in sorted(other.MERLION.glob("*_anomaly.csv")):
        frame = pl.read_csv(path)
        value, wrong = frame[frame.columns[1]].to_numpy().astype("f8"), frame["anomaly"].to_numpy() > 0
        moments = np.datetime64("2020-01-01", "us") + frame["timestamp"].to_numpy() * np.timedelta64(1_000_000, "us")
        state = recipe.fit(_rows(moments, value), settle(recipe.knobs, {}), 0)
        told = recipe.predict(state, recipe.expand(state, len(value), {})).column("score")
        scores = {
            "ours": told,
            "STL": other.robust_stl(value, DAY),
            "ESD": other.seasonal_esd(value, DAY),
            "forest": other.isolation_forest(np.c_[value, np.diff(value, prepend=value[0]), np.arange(len(value)) % DAY]),
        }
        marks = {name: (other.average_precision(wrong, score), other.best_f1(wrong, score)) for name, score in scores.items()}
        for name, mark in marks.items():
            found.setdefault(name, []).append(mark)
        beside = ", ".join(f"{name} {mark[0]:.3f}" for name, mark in marks.items() if name != "ours")
        rows.append(Row(path.stem.removesuffix("_anomaly"), f"AP {marks['ours'][0]:.3f}, F1 {marks['ours'][1]:.3f}", beside))
    means = {name: np.mean(marks, 0) for name, marks in found.items()}
    rest = {name: mean for name, mean in means.items() if name != "ours"}
    beside = ", ".join(f"{name} AP {mean[0]:.3f} F1 {mean[1]:.3f}" for name, mean in rest.items())
    best = max(mean[0] for mean in rest.values())
    rows.append(at_least("merlion: mean AP of 15", float(means["ours"][0]), float(best), baseline=f"F1 {means['ours'][1]:.3f}; {beside}"))
    return rows


def _streamed(file: other.Labelled) -> Array:
    """Learn from the probation, then ask every record as a new figure."""
    recipe = models.recipe("anomaly", "decompose")
    first = max(file.probation, 60)
    state = recipe.fit(_rows(file.moments[:first], file.value[:first]), settle(recipe.knobs, {}), 0)
    told = np.zeros(len(file.value))
    rest = np.flatnonzero(file.moments > file.moments[first - 1])
    asked = Table.from_columns({"metric": _text("value", len(rest)), "date": file.moments[rest], "units": file.value[rest]})
    told[rest] = recipe.predict(state, asked).column("score")
    return told


def once(score: Array, limit: float) -> Array:
    """Return an alarm at the first score of each incident that reaches the limit; it is over when a share QUIET of the file stays below."""
    out = np.zeros(len(score), bool)
    high = np.flatnonzero(score >= limit)
    out[high[np.diff(high, prepend=-len(score)) > max(int(QUIET * len(score)), 1)]] = True
    return out


def _nab() -> list[Row]:
    files = other.nab_files()
    ours, chance, normal = [_streamed(file) for file in files], other.random_scores(files, 0), other.windowed_gaussian(files)
    fixed = other.nab_score(files, lambda at: once(ours[at], FIXED))
    fixed_normal = other.nab_score(files, lambda at: normal[at] >= FIXED_GAUSSIAN)
    best, limit = other.best_nab(files, ours, once)
    random, gaussian = other.best_nab(files, chance)[0], other.best_nab(files, normal)[0]
    ruled = other.best_nab(files, normal, once)[0]
    name = f"NAB, {len(files)} files"
    beside = f"null 0, windowed Gaussian {fixed_normal:.1f}"
    optimised = f"null 0, random {random:.1f}, windowed Gaussian {gaussian:.1f}; with our rule of one alarm per incident {ruled:.1f}"
    return [
        at_least(f"{name}, fixed threshold {FIXED}", fixed, max(0.0, fixed_normal), baseline=beside),
        at_least(f"{name}, optimised threshold {limit:.4f}", best, max(0.0, random, gaussian), baseline=optimised),
    ]
