"""Cold start: products the model never learned from, with seven days of history, beside the same products fully known."""

from __future__ import annotations

import numpy as np
import polars as pl

import tradewind
from benchmarks import _measures as measures
from benchmarks._demand import Sales, answered, learn, pasta, put, repeated
from benchmarks._result import Result, Row, at_most
from benchmarks._run import ABSENT, DATA, temporary

CHECK = "24 pasta products withheld x 3 draws, 7 days of history: error at most 1.35x that of the same series fully known"
WITHHELD, DRAWS = 24, (0, 1, 2)
HORIZON, HISTORY = 28, 7
SEED, FOLDS = 0, 3
LIMIT = 1.35


def run() -> Result:
    """Train once with all products and once per draw without some; the last seven days come by `update`, to both alike."""
    if not DATA.is_dir():
        return Result(skipped=ABSENT)
    sales = pasta(promotions=True)
    dates = sales.dates[-HORIZON:]
    whole = fully_known(sales)
    rows, joined = [], []
    for draw in DRAWS:
        some = sales.only(pl.col("product").is_in(drawn(sales, draw)))
        cold = some.laid(newly_known(sales, some), "p50", dates)
        truth, known = some.units(dates), some.laid(whole, "p50", dates)
        week = some.units(sales.dates[-HORIZON - HISTORY : -HORIZON])
        level = np.repeat(np.nanmean(week, 1, keepdims=True), HORIZON, 1)
        joined.append((truth, cold, known, level, repeated(week, HORIZON, HISTORY)))
        rows.append(Row(f"draw {draw}: WAPE", f"{measures.wape(truth, cold):.3f}", f"fully known {measures.wape(truth, known):.3f}"))
    truth, cold, known, level, naive = (np.concatenate(parts) for parts in zip(*joined, strict=True))
    errors = {name: measures.wape(truth, said) for name, said in (("cold", cold), ("known", known), ("level", level), ("naive", naive))}
    beside = f"cold {errors['cold']:.3f}, fully known {errors['known']:.3f}"
    bar = at_most("error with 7 days of history over error fully known", errors["cold"] / errors["known"], LIMIT, baseline=beside)
    simple = Row("seven days alone: WAPE", "", f"their mean {errors['level']:.3f}, repeated {errors['naive']:.3f}")
    notes = (
        f"split: asked for the {HORIZON} days after {sales.dates[-HORIZON - 1]}; trained up to {HISTORY} days before it, then `update`",
        "promotion flags known ahead, brand known",
        f"{WITHHELD} of {len(sales.series)} products withheld in each draw (seeds {DRAWS}); training seed {SEED}, {FOLDS} folds",
    )
    return Result((bar, *rows, simple), notes)


def drawn(sales: Sales, draw: int) -> list[str]:
    """Return the products that a draw withholds."""
    products = sales.series["product"].to_list()
    return sorted(np.random.default_rng(draw).choice(products, WITHHELD, replace=False).tolist())


def fully_known(sales: Sales) -> pl.DataFrame:
    """Return the answers about every product by a model that learned from all."""
    return taught(sales, learned=sales, asked=sales)


def newly_known(sales: Sales, some: Sales) -> pl.DataFrame:
    """Return the answers about some products by a model that learned without them and then saw their last seven days."""
    others = sales.only(~pl.col("product").is_in(some.series["product"].to_list()))
    return taught(sales, learned=others, asked=some)


def taught(sales: Sales, *, learned: Sales, asked: Sales) -> pl.DataFrame:
    """Learn some series up to a week before the cutoff, bring the week of all by `update`, and ask about some."""
    before, cutoff, until = sales.dates[-HORIZON - HISTORY - 1], sales.dates[-HORIZON - 1], sales.dates[-1]
    with temporary() as folder, tradewind.open(folder) as desk:
        put(desk, sales, learned.known(before, cutoff))
        learn(desk, folds=FOLDS, seed=SEED)
        put(desk, sales, sales.known(cutoff, until, since=before), fixed=False)
        desk.update("demand")
        return answered(desk, asked.asked(sales.dates[-HORIZON:]))
