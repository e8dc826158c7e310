"""fev-bench `hierarchical_sales_1D`: 118 pasta products, ten windows of 28 days, beside every published entry."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
import polars as pl

import tradewind
from benchmarks import _measures as measures
from benchmarks._demand import BANDS, LEVELS, Sales, answered, ends_of, learn, pasta, put, repeated
from benchmarks._result import Result, Row, at_most, below
from benchmarks._run import ABSENT, DATA, temporary
from tradewind.core.model import quantile_name

CHECK = (
    "pasta by the fev-bench protocol: SQL <= .547, MASE <= .681; with promotion flags WAPE <= .60, SQL <= .46; intervals within 3 points"
)
WINDOWS, HORIZON, SEED = 10, 28, 0
LEAST = 1.0  # epsilon of WAPE and WQL in tasks.yaml
PUBLISHED = DATA / "demand/published_fev_results/results"
TASK = "hierarchical_sales_1D"
FROM_THE_DATA_ALONE = (  # published entries that learned from this data set and nothing else
    "AutoARIMA",
    "AutoETS",
    "AutoTheta",
    "CatBoost",
    "DeepAR",
    "Drift",
    "LightGBM",
    "Naive",
    "PatchTST",
    "Seasonal Naive",
    "Stat. Ensemble",
    "TFT",
)


@dataclass(slots=True)
class Windows:
    """What one variant said and what came, window by window; seconds are wall time."""

    scores: dict[str, list[float]] = field(default_factory=lambda: {"SQL": [], "MASE": [], "WAPE": [], "WQL": []})
    truth: list[np.ndarray] = field(default_factory=list)
    bounds: dict[int, list[tuple[np.ndarray, np.ndarray]]] = field(default_factory=lambda: {level: [] for level in BANDS})
    learned_s: float = 0.0
    answered_s: float = 0.0
    recipe: str = ""

    def mean(self, name: str) -> float:
        """Return a measure averaged over the windows."""
        return float(np.mean(self.scores[name]))

    def figures(self) -> dict[str, float]:
        """Return every measure."""
        return {name: self.mean(name) for name in self.scores}

    def covered(self, name: str) -> list[Row]:
        """Return a row per interval over all windows."""
        joined = {level: tuple(np.concatenate(side) for side in zip(*pairs, strict=True)) for level, pairs in self.bounds.items()}
        return measures.covered(name, np.concatenate(self.truth), joined)


def run() -> Result:
    """Learn once before the first window, move on by `update`, never refit; once without and once with promotion flags."""
    if not DATA.is_dir():
        return Result(skipped=ABSENT)
    plain, flags = windows(pasta(promotions=False)), windows(pasta(promotions=True))
    naive = seasonal_naive(pasta(promotions=False))
    board = published()
    free = board.filter(pl.col("model_name").is_in(FROM_THE_DATA_ALONE))
    best = {
        name: f"best published {board[name].min():.3f}, without pre-training {free[name].min():.3f}" for name in ("SQL", "MASE", "WAPE")
    }
    rows = [
        at_most("no covariates: SQL", plain.mean("SQL"), 0.547, baseline=best["SQL"]),
        at_most("no covariates: MASE", plain.mean("MASE"), 0.681, baseline=best["MASE"]),
        *(
            below(f"no covariates: {name}", plain.mean(name), float(free[name].min()), name="best without pre-training")
            for name in ("SQL", "MASE")
        ),
        at_most("promotion flags: WAPE", flags.mean("WAPE"), 0.60, baseline=best["WAPE"]),
        at_most("promotion flags: SQL", flags.mean("SQL"), 0.46, baseline=best["SQL"]),
        *plain.covered("no covariates"),
        *flags.covered("promotion flags"),
        *(Row(f"{name}: seconds", _spent(each)) for name, each in (("no covariates", plain), ("promotion flags", flags))),
        Row("seasonal naive computed here", f"WAPE {naive['WAPE']:.4f}, MASE {naive['MASE']:.4f}", "published 1.0205, 0.9949"),
    ]
    ours = {"no covariates": plain, "promotion flags (no published entry has them)": flags}
    return Result(tuple(rows + _table(board, ours)), _notes(plain, flags))


def windows(sales: Sales) -> Windows:
    """Forecast the ten windows of a data set through the desk."""
    done, before = Windows(), None
    with temporary() as folder, tradewind.open(folder) as desk:
        for end in ends_of(sales, blocks=WINDOWS, horizon=HORIZON):
            cutoff, dates = sales.dates[end], sales.dates[end + 1 : end + HORIZON + 1]
            put(desk, sales, sales.known(cutoff, dates[-1], since=before), fixed=before is None)
            if before is None:
                taught = learn(desk, seed=SEED)
                done.learned_s, done.recipe = taught.seconds, taught.recipe
            began = time.perf_counter()
            if before is not None:
                desk.update("demand")
            found = answered(desk, sales.asked(dates), quantiles=list(LEVELS))
            done.answered_s += time.perf_counter() - began
            _score(done, sales, found, end)
            before = cutoff
    return done


def _score(done: Windows, sales: Sales, found: pl.DataFrame, end: int) -> None:
    dates = sales.dates[end + 1 : end + HORIZON + 1]
    truth, past = sales.units(dates), sales.units(sales.dates[: end + 1])
    scales = measures.scale(past, sales.season)
    p50 = sales.laid(found, "p50", dates)
    quantiles = np.stack([sales.laid(found, quantile_name(level), dates) for level in LEVELS], 2)
    done.scores["SQL"].append(measures.sql(truth, quantiles, LEVELS, scales))
    done.scores["MASE"].append(measures.mase(truth, p50, scales))
    done.scores["WAPE"].append(measures.wape(truth, p50, least=LEAST))
    done.scores["WQL"].append(measures.wql(truth, quantiles, LEVELS, least=LEAST))
    done.truth.append(truth)
    for level in BANDS:
        done.bounds[level].append((sales.laid(found, f"lo{level}", dates), sales.laid(found, f"hi{level}", dates)))


def seasonal_naive(sales: Sales) -> dict[str, float]:
    """Return WAPE and MASE of last week repeated, over the same windows: the published figures if the protocol is right."""
    scores: dict[str, list[float]] = {"WAPE": [], "MASE": []}
    for end in ends_of(sales, blocks=WINDOWS, horizon=HORIZON):
        past, truth = sales.units(sales.dates[: end + 1]), sales.units(sales.dates[end + 1 : end + HORIZON + 1])
        said = repeated(past, HORIZON, sales.season)
        scores["WAPE"].append(measures.wape(truth, said, least=LEAST))
        scores["MASE"].append(measures.mase(truth, said, measures.scale(past, sales.season)))
    return {name: float(np.mean(values)) for name, values in scores.items()}


def published() -> pl.DataFrame:
    """Return the published rows of the task, best SQL first."""
    numbers = ("SQL", "MASE", "WAPE", "WQL", "training_time_s", "inference_time_s")
    found = []
    for path in sorted(PUBLISHED.glob("*.csv")):
        rows = pl.read_csv(path, infer_schema_length=0).filter(pl.col("dataset_config") == TASK)
        trained = pl.col("trained_on_this_dataset").str.to_lowercase() == "true"
        found.append(rows.select("model_name", *(pl.col(name).cast(pl.Float64) for name in numbers), trained))
    return pl.concat(found).sort("SQL")


def _table(board: pl.DataFrame, ours: dict[str, Windows]) -> list[Row]:
    lines = [
        (row["SQL"], f"{row['model_name']}{' (trained on this data set)' if row['trained_on_this_dataset'] else ''}", "", _figures(row))
        for row in board.with_columns(seconds=pl.sum_horizontal("training_time_s", "inference_time_s")).to_dicts()
    ]
    for name, done in ours.items():
        said = _figures(done.figures() | {"seconds": done.learned_s + done.answered_s})
        lines.append((done.mean("SQL"), f"ours, {name}", said, ""))
    return [Row(f"{place}. {name}", said, theirs) for place, (_, name, said, theirs) in enumerate(sorted(lines), 1)]


def _figures(row: dict[str, float]) -> str:
    return "  ".join(f"{name} {row[name]:.3f}" for name in ("SQL", "MASE", "WAPE", "WQL")) + f"  {row['seconds']:,.0f} s"


def _spent(done: Windows) -> str:
    return f"{done.learned_s:.0f} s to learn, {done.answered_s:.0f} s for {WINDOWS} windows; {done.recipe} serves"


def _notes(plain: Windows, flags: Windows) -> tuple[str, ...]:
    return (
        f"split: the last {WINDOWS * HORIZON} days as {WINDOWS} windows of {HORIZON}; one training before the first, then only `update`",
        f"seed {SEED}, as many held-out blocks as the history allows",
        "SQL and MASE scaled by the in-sample season-7 difference of each window; levels .1 to .9; the 27 missing days count nowhere",
        f"published: {len(published())} rows of {TASK}, seconds as published (training and inference; most on a GPU)",
        "WAPE per window, ours: no covariates " + _each(plain) + "; promotion flags " + _each(flags),
    )


def _each(done: Windows) -> str:
    return " ".join(f"{value:.3f}" for value in done.scores["WAPE"])
