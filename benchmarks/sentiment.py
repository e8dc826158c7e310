"""Sentiment on public sets: VADER's own figures, SST-2 and food reviews without an encoder, and as served."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import polars as pl

import tradewind
from benchmarks._customers import Taught, taught, timings
from benchmarks._result import Result, Row, at_least, within
from benchmarks._run import ABSENT, DATA, temporary
from tradewind.core.table import Table
from tradewind.models._kit.world import make

CHECK = "SST-2 train -> dev >= .80; food reviews above majority by >= 12 points; VADER correlations within .01; serving"
HOME = DATA / "sentiment"
SETS = (("tweets", 0.872), ("amazonReviewSnippets", 0.590), ("movieReviewSnippets", 0.427), ("nytEditorialSnippets", 0.503))
SEED = 0


def run() -> Result:
    """Run every part whose data is here."""
    if not HOME.exists():
        return Result(skipped=ABSENT)
    rows = [*_vader(), *_labelled("SST-2, train -> dev", *_sst()), *_labelled("amazon fine foods, 4,000 -> 1,000", *_food()), *_served()]
    notes = (
        "every set through desk.load, train, predict; binary sets are forced to choose; 3-fold cross-validation on the training part",
        f"VADER: core words only, as published; with the retail words beside it; seed {SEED}",
        "majority is the larger class of the training part; who wrote the retail words had read the sample company's phrases",
    )
    return Result(tuple(rows), notes)


def _vader() -> list[Row]:
    found: dict[bool, list[float]] = {}
    texts = {name: _ground(name) for name, _ in SETS}
    for retail in (False, True):
        with temporary() as folder, tradewind.open(Path(folder)) as desk:
            desk.load(_reviews(["good", "bad", "so so"] * 5, [None] * 15), table="reviews")
            taught(desk, "sentiment", recipes=["majority", "rules"], params={"rules": {"retail": retail}}, seed=SEED)
            for name, _ in SETS:
                score = desk.predict("sentiment", texts[name].select("text", language=pl.lit("en"))).table.frame["score"]
                found.setdefault(retail, []).append(float(np.corrcoef(score.to_numpy(), texts[name]["rating"].to_numpy())[0, 1]))
    return [
        within(
            f"VADER, correlation with people, {name}", found[False][at], told, by=0.01, baseline=f"with retail words {found[True][at]:.3f}"
        )
        for at, (name, told) in enumerate(SETS)
    ]


def _ground(name: str) -> pl.DataFrame:
    with tarfile.open(HOME / "vader_ground_truth" / "hutto_ICWSM_2014.tar.gz") as archive:
        held = archive.extractfile(f"hutto_ICWSM_2014/{name}_GroundTruth.txt")
        lines = held.read().decode("utf-8", "replace").strip().split("\n") if held else []
    rows = [line.split("\t") for line in lines]
    return pl.DataFrame({"rating": [float(row[1]) for row in rows], "text": [row[2] for row in rows]})


def _sst() -> tuple[pl.DataFrame, pl.DataFrame]:
    found = []
    for name in ("train", "dev"):
        lines = [line.rsplit("\t", 1) for line in (HOME / "sst2" / f"{name}.tsv").read_text("utf-8").strip().split("\n")]
        found.append(_reviews([text for text, _ in lines], ["positive" if label == "1" else "negative" for _, label in lines]))
    return found[0], found[1]


def _food() -> tuple[pl.DataFrame, pl.DataFrame]:
    found = []
    for name in ("training", "testing"):
        rows = pl.read_csv(HOME / "amazon_fine_foods_5k" / f"{name}_data.csv")
        found.append(_reviews(rows["review"].to_list(), ["positive" if one == "great" else "negative" for one in rows["score"]]))
    return found[0], found[1]


def _reviews(texts: list[str], labels: list[str | None]) -> pl.DataFrame:
    columns = {"review": [f"R{at}" for at in range(len(texts))], "text": texts, "label": labels}
    return pl.DataFrame(columns, schema_overrides={"label": pl.String})


def _labelled(name: str, train: pl.DataFrame, test: pl.DataFrame) -> list[Row]:
    with temporary() as folder, tradewind.open(Path(folder)) as desk:
        desk.load(train, table="reviews")
        made = taught(desk, "sentiment", seed=SEED)
        said = desk.predict("sentiment", test.select("text", force=pl.lit(1.0))).table.frame
        free = desk.predict("sentiment", test.select("text")).table.frame
    majority = train["label"].mode()[0]
    base = float((test["label"] == majority).mean())
    right = (said["label"] == test["label"]).to_numpy()
    sure = free["label"].is_in(["negative", "neutral", "positive"]).to_numpy()
    bar = 0.80 if name.startswith("SST") else base + 0.12
    must = "majority + .12" if bar != 0.80 else ""
    beside = f"majority {base:.3f}{', ' + must if must else ''}; by rules {_error(made, 'rules')}"
    answered = f"{right[sure].mean():.3f} right of the {sure.mean():.1%} it answers when it may be unsure"
    return [
        at_least(f"{name}, accuracy", float(right.mean()), bar, baseline=beside),
        Row("the same", answered, f"chosen by cross-validation: {made.recipe}, {made.seconds:.0f} s"),
        Row("the same, cross-validated on the training part", f"error {made.shown('error')}", f"calibration error {made.shown('ece')}"),
    ]


def _error(made: Taught, recipe: str) -> str:
    rows = made.board.filter(pl.col("recipe") == recipe)
    return f"{1 - rows['error'][0]:.3f} (cross-validated)" if len(rows) else "none"


def _served() -> list[Row]:
    world = make(seed=7, years=1, products=20, stores=2, customers=100, reviews=3000)
    reviews = world.tables["reviews"].frame
    with temporary() as folder, tradewind.open(Path(folder)) as desk:
        desk.load(reviews, table="reviews")
        made = taught(desk, "sentiment", seed=SEED)
        texts = np.array(reviews["text"].to_list(), object)
        one = [Table.from_columns({"text": texts[at : at + 1]}) for at in range(500)]
        hundred = [Table.from_columns({"text": texts[100 * at : 100 * at + 100]}) for at in range(30)]
        rows = timings(desk, "sentiment", one, hundred, sealed_mb=made.sealed_mb)
        trend = desk.effects("sentiment").table
    length = float(np.mean([len(text) for text in texts]))
    rows.append(
        Row("sample company: leaderboard, error", made.shown("error"), f"{len(trend):,} rows of trends; {length:.0f} letters a review")
    )
    return rows
