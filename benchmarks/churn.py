"""Churn on real contracts and real orders: ranking, calibration, time, money, and the rhythm of buying beside published numbers."""

from __future__ import annotations

import datetime as dt
import time

import numpy as np
import polars as pl

import tradewind
from benchmarks import _people as people
from benchmarks._result import Result, Row, at_least, at_most, within
from benchmarks._run import ABSENT, DATA, temporary
from tradewind.core.model import Budget
from tradewind.core.table import Table
from tradewind.models._kit.customers import boosted, btyd, features, orders
from tradewind.models._kit.customers.rank import gini

CHECK = "Telco 5-fold x 2: AUC >= .848, Brier <= .135, ECE10 <= .03, C >= .860, Brier 12 m <= .088; CDNOW as published; serving; scale"
SEEDS, FOLDS = (0, 1), 5
CUT, WEEKS, EARLIER = dt.date(1997, 9, 30), 39, dt.date(1997, 6, 30)
SEEN = ("repeats", "last_seen", "tenure", "repeat_basket")


def run() -> Result:
    """Evaluate Telco through the desk, compare CDNOW with the published fit and the later half, then serve and scale."""
    if not DATA.is_dir():
        return Result(skipped=ABSENT)
    telco, served = _telco()
    rows = [*telco, *_cdnow(), *_holdout(), *served, *people.scale("churn", ("orders", "customers", "interactions"))]
    notes = (
        f"Telco: {FOLDS} folds by customer, seeds {SEEDS}, all recipes on the same folds; baseline: base rate by fifths of tenure",
        "C index: whole length of staying, columns that grow with tenure left out; Brier of the first year weighted by censoring",
        f"CDNOW holdout: learned to {CUT}, money of the {WEEKS} weeks after; trees learned on {EARLIER} and the weeks after it",
        "CDNOW's summary is no business table: the rhythm is fitted by the same code, not through the desk",
    )
    return Result(tuple(rows), notes)


def _telco() -> tuple[list[Row], list[Row]]:
    boards = []
    with temporary() as folder, tradewind.open(folder / "ws") as desk:
        desk.load(DATA / "customers" / "telco_ibm" / "Telco-Customer-Churn.csv", table="customers")
        for seed in SEEDS:
            board = desk.evaluate("churn", folds=FOLDS, recipes=["averaged"], seed=seed).table.frame
            boards.append({row["recipe"]: row for row in board.to_dicts()})
        trained = desk.train("churn", recipes=["averaged"], seed=0, budget=Budget(folds=2))
        served = [people.sealed(trained), *people.serving(desk, "churn", "tenure", (1.0, 70.0))]

    def mean(name: str, recipe: str = "averaged") -> float:
        return float(np.mean([board[recipe][name] for board in boards]))

    rows = [
        at_least("Telco AUC", mean("auc"), 0.848, baseline=f"tenure only {mean('auc', 'base'):.3f}"),
        at_most("Telco Brier", mean("brier"), 0.135, baseline=f"tenure only {mean('brier', 'base'):.3f}"),
        at_most("Telco ECE10", mean("ece10"), 0.03, baseline=f"tenure only {mean('ece10', 'base'):.3f}"),
        Row("Telco average precision, lift of the top tenth", f"{mean('ap'):.3f}, {mean('lift10'):.2f}"),
        at_least(
            "Telco C index of the time to leaving", mean("c_index"), 0.860, baseline=f"one curve for all {mean('c_index', 'base'):.3f}"
        ),
        at_most("Telco Brier at 12 months", mean("brier_year"), 0.088, baseline=f"one curve for all {mean('brier_year', 'base'):.3f}"),
    ]
    exact = [f"{mean(name):.4f}" for name in ("auc", "brier", "ece10", "c_index", "brier_year")]
    return [*rows, Row("the same with four digits", ", ".join(exact))], served


def _cdnow() -> list[Row]:
    summary = pl.read_csv(DATA / "customers" / "cdnow" / "cdnow_customers_summary_with_transactions.csv")
    given = [summary[name].to_numpy() for name in ("x", "t_x", "T", "zbar")]
    btyd.learned(*given)  # the first call imports SciPy
    began = time.perf_counter()
    made = btyd.learned(*given)
    spent = time.perf_counter() - began
    return [
        within("CDNOW BG/NBD r", made.r, 0.243, by=0.01, baseline="published .243"),
        within("CDNOW BG/NBD a", made.a, 0.793, by=0.01, baseline="published .793"),
        Row("CDNOW log-likelihood", f"{made.likelihood:.2f}", "published -9582.4", "-9582.4 +/- .5", abs(made.likelihood + 9582.4) <= 0.5),
        at_most("CDNOW fit", spent, 1.0, unit="s"),
    ]


def _holdout() -> list[Row]:
    raw = pl.read_csv(DATA / "customers" / "cdnow" / "CDNOW_master.txt", has_header=False, skip_rows=1, new_columns=["line"])
    parts = raw["line"].str.strip_chars().str.replace_all(r"\s+", " ").str.split(" ")
    lines = pl.DataFrame(
        {"customer": parts.list.get(0), "day": parts.list.get(1), "quantity": parts.list.get(2), "amount": parts.list.get(3)}
    )
    lines = lines.with_columns(
        date=pl.col("day").str.to_date("%Y%m%d"), quantity=pl.col("quantity").cast(pl.Float64), amount=pl.col("amount").cast(pl.Float64)
    )
    lines = lines.with_columns(order=pl.col("customer") + pl.col("day"), product=pl.lit("cd")).filter(pl.col("amount") > 0)
    bought = orders.tidy(Table.from_frame(lines.drop("day")))
    now = features.as_of(bought, CUT)
    truth = now.select("customer").join(features.outcomes(bought, CUT, WEEKS * 7), on="customer", how="left", maintain_order="left")
    money = truth["next_spend"].fill_null(0.0).to_numpy()
    x, last, since, mean = (now[name].to_numpy() for name in SEEN)
    made = btyd.learned(x, last / 7, since / 7 + 1e-9, mean)
    rhythm = made.expected(x, last / 7, since / 7 + 1e-9, float(WEEKS)) * made.money(x, mean)
    trees = _trees(bought, now)
    pooled = np.full(len(money), now["spend"].sum() / (now["tenure"].sum() / 7) * WEEKS)
    rows = []
    for name, said in (
        ("pooled mean rate", pooled),
        ("BG/NBD + Gamma-Gamma", rhythm),
        ("trees", trees),
        ("mean of both", 0.5 * (rhythm + trees)),
    ):
        told = f"total {said.sum() / money.sum():.2f} of actual, MAE {np.abs(said - money).mean():.1f}"
        rows.append(Row(f"CDNOW later half, {name}", f"{told}, Gini {gini(money, said):.3f}" if np.ptp(said) > 0 else f"{told}, Gini 0"))
    return rows


def _trees(bought: pl.DataFrame, now: pl.DataFrame) -> np.ndarray:
    """Return the money that trees expect, learned on an earlier cut and brought to the length of the later half."""
    days = (CUT - EARLIER).days
    then = features.as_of(bought, EARLIER)
    came = then.select("customer").join(features.outcomes(bought, EARLIER, days), on="customer", how="left", maintain_order="left")
    names = [name for name in then.columns if name not in ("customer", "cut")]
    rows, target = (then.select(names).to_numpy().astype("f4"), came["next_spend"].fill_null(0.0).to_numpy())
    more = {"tweedie_variance_power": 1.4, "num_leaves": 8, "learning_rate": 0.04, "feature_fraction": 0.6}
    forest, _ = boosted.fitted(rows, target, 0, words=np.zeros(len(names), int), trees=150, objective="tweedie", **more)
    return np.exp(forest.raw(now.select(names).to_numpy().astype("f4"))) * WEEKS * 7 / days
