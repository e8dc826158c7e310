"""Acquisition: four public data sets beside seasonal naive, AutoETS, MSTL and Prophet; the sample company's response to spend."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

import tradewind
from benchmarks import _measures as measures
from benchmarks._outcomes import SETS, Outcomes, peers, served
from benchmarks._result import Result, Row, at_least, at_most, exactly, within
from benchmarks._run import ABSENT, DATA, temporary
from tradewind.core.model import Budget
from tradewind.models._kit.world import make
from tradewind.models._kit.world_media import USELESS, VALUE

CHECK = "acquisition: WAPE never above seasonal naive, 10 % below on average, 80 % covers .75-.85; true response to spend inside for 80 %"
SEED = 0
WORLDS, YEARS = (71, 72, 73, 74), 2.5
SAVED, INSIDE = 0.10, 0.80


@dataclass(frozen=True, slots=True)
class Seen:
    """One data set: WAPE of ours and of each peer, how much the 80 % interval covers, and what served."""

    wape: float
    peers: dict[str, float]
    covered: float
    recipes: tuple[str, ...]


def run() -> Result:
    """Train anew at every cutoff and compare; then compare stated elasticities of spend with the truth."""
    rows: list[Row] = []
    if DATA.is_dir():
        seen = {name: _seen(load()) for name, load in SETS.items()}
        rows += [_row(name, one) for name, one in seen.items()]
        ratios = [one.wape / one.peers["seasonal naive"] for one in seen.values()]
        rows.append(at_most("worst WAPE over that of seasonal naive", max(ratios), 1.0, baseline="seasonal naive 1"))
        rows.append(at_most("mean WAPE over that of seasonal naive", float(np.mean(ratios)), 1 - SAVED, baseline="seasonal naive 1"))
        rows.append(within("80 % interval covers, mean of the sets", float(np.mean([one.covered for one in seen.values()])), 0.8, by=0.05))
    effects = pl.concat(_effects(seed) for seed in WORLDS)
    rows += _response(effects)
    notes = (
        "split: Robyn 8 x 8 weeks, Meridian 3 x 8 weeks, funnel 4 x 28 days, GeoLift 3 x 14 days; trained anew at each cutoff",
        "spend of the forecast weeks is known as a plan; no competitor and no other figure of the same week is",
        f"sample company: seeds {WORLDS}, {YEARS} years of days; truth = elasticity of all new customers to a channel's spend",
        f"training seed {SEED}, 3 folds; peers see no spend; Prophet only where it is installed",
    )
    return Result(tuple(rows), notes if rows else (), "" if rows else ABSENT)


def _seen(data: Outcomes) -> Seen:
    wide, ends = data.wide, data.ends
    truth = np.concatenate([wide[:, end + 1 : end + data.horizon + 1] for end in ends], 1)
    with temporary() as folder:
        found, recipes = served(data, folder, seed=SEED)

    def laid(column: str) -> np.ndarray:
        parts = [
            found.filter(pl.col("block") == end).pivot("date", index="geo", values=column, sort_columns=True).sort("geo") for end in ends
        ]
        return np.concatenate([part.drop("geo").to_numpy() for part in parts], 1)

    said = {name: np.concatenate(blocks, 1) for name, blocks in peers(data).items()}
    wapes = {name: measures.wape(truth, value) for name, value in said.items()}
    covered = measures.coverage(truth, laid("lo80"), laid("hi80"))
    return Seen(measures.wape(truth, laid("p50")), wapes, covered, tuple(dict.fromkeys(recipes)))


def _row(name: str, one: Seen) -> Row:
    beside = ", ".join(f"{peer} {wape:.4f}" for peer, wape in one.peers.items())
    beside += "" if "Prophet" in one.peers else ", Prophet not installed"
    served_by = ", ".join(one.recipes)
    passed = one.wape <= one.peers["seasonal naive"]
    return Row(name, f"WAPE {one.wape:.4f}, 80 % covers {one.covered:.2f} ({served_by})", beside, "not worse than seasonal naive", passed)


def _effects(seed: int) -> pl.DataFrame:
    """Return the stated elasticity of each channel with its truth."""
    world = make(seed=seed, years=YEARS, products=4, stores=8, customers=0, reviews=0)
    with temporary() as folder, tradewind.open(folder, country="DE") as desk:
        for name in ("outcomes", "marketing", "events"):
            desk.load(world.tables[name].frame, table=name)
        quick = {"spend": {"seconds": 0.0, "blocks": 1}}  # the families for what spend leaves do not change what spend does
        trained = desk.train("acquisition", recipes=["spend"], params=quick, seed=SEED, budget=Budget(folds=1))
        stated = desk.effects("acquisition", version=int(trained.source["version"])).table.frame
    total = float(world.tables["outcomes"].frame["new_customers"].sum())
    truth = world.truth.media.frame.select(lever="channel", true=pl.col("marginal_roi") * pl.col("spend") / VALUE / total)
    return stated.join(truth, on="lever").with_columns(world=pl.lit(seed))


def _response(effects: pl.DataFrame) -> list[Row]:
    true = effects["true"].to_numpy()
    error = float((effects["effect"] - effects["true"]).abs().mean())
    beside = f"{len(effects)} channels, mean error {error:.4f} of a mean of {float(np.mean(true)):.4f}"
    rows = []
    for level in (95, 80):
        share = measures.coverage(true, effects[f"lo{level}"].to_numpy(), effects[f"hi{level}"].to_numpy())
        check = f"true response to spend inside the {level} % interval"
        rows.append(at_least(check, share, INSIDE, baseline=beside) if level == 95 else Row(check, f"{share:.3g}", beside))
    useless = effects.filter(pl.col("lever") == USELESS)
    rows.append(exactly("worlds in which the useless channel is dropped", int((useless["used"] == 0).sum()), len(WORLDS)))
    kept = effects.filter(pl.col("lever") != USELESS)
    rows.append(Row("useful channels that are kept", f"{int((kept['used'] > 0).sum())} of {len(kept)}"))
    return rows
