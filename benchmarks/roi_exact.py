"""The exact recipe: ten geos, and the published two-geo set whose parameters are known."""

from __future__ import annotations

import importlib.util
import time
from typing import Any

import numpy as np
import polars as pl

from benchmarks._media import adstock, hill
from benchmarks._result import Result, Row, at_most, exactly
from benchmarks._run import ABSENT, DATA
from tradewind import models
from tradewind.core.model import settle
from tradewind.core.table import Table
from tradewind.data.infer import infer
from tradewind.data.read import read

CHECK = "roi exact: 10 geos x 104 weeks x 3 channels < 60 s, r-hat < 1.01, no divergences; pymc multidimensional: order of alpha and beta"
GEOS, WEEKS, NAMES = 10, 104, ("tv", "search", "radio")
CARRY, SLOPE, RETURN = np.array([0.62, 0.33, 0.15]), np.array([1.0, 1.3, 1.0]), np.array([2.8, 1.0, 1.8])
FOLDER = DATA / "mmm" / "pymc_marketing"
ALPHA = {"geo_a": (0.435, 0.512), "geo_b": (0.055, 0.399)}  # of x1 and x2; read from the .nc file beside the data
BETA = {"geo_a": (0.257, 0.123), "geo_b": (0.264, 0.123)}
LAM = (0.338, 0.590)
SIMULATED = DATA / "mmm" / "meridian_simulated"
MERIDIAN = ("geo_media.csv", "geo_full_funnel_data.csv")


def run() -> Result:
    """Learn the geos of a generator with known returns, then the published set, each once."""
    if importlib.util.find_spec("jax") is None:
        return Result(skipped="the extra [bayes] is not installed")
    notes = (
        "geo generator: curves shared, returns differ by a log deviation of 0.25, 6 % noise; seeds 100-109; one learning each",
        f"held out: the last weeks of Meridian's simulated geos, what moves all of them together counted once; {len(MERIDIAN)} sets",
    )
    return Result((*_geos(), *_held_out(), *_published()), notes)


def _learn(tables: dict[str, Table], **params: Any) -> tuple[Any, float, float]:
    table = models.part("roi", "assemble", "assemble")(tables)
    recipe = models.recipe("roi", "exact")
    wall, used = time.perf_counter(), time.process_time()
    state = recipe.fit(table, settle(recipe.knobs, params), 0)
    return recipe.load(recipe.dump(state)), time.perf_counter() - wall, time.process_time() - used


def _geos() -> list[Row]:
    from tradewind.models.roi.effects import returns, totals

    tables, truth, spend = _world()
    state, wall, used = _learn(tables)
    order = [state.channels.index(name) for name in NAMES]
    got, _, paid = totals(state)
    own = np.median(got / paid, 0)[:, order]
    national = (truth * spend).sum(0) / spend.sum(0)
    fast = models.recipe("roi", "fast")
    flat = {name: _flat(table, name) for name, table in tables.items()}
    added = fast.fit(models.part("roi", "assemble", "assemble")(flat), settle(fast.knobs, {"checks": False}), 0)
    plain = np.median(returns(added), 0)[[added.channels.index(name) for name in NAMES]]
    error = float(np.mean(np.abs(np.median(returns(state), 0)[order] / national - 1)))
    return [
        at_most("10 geos x 104 weeks x 3 channels", used, 60.0, unit="CPU s", baseline=f"wall {wall:.0f} s on a shared machine"),
        at_most("largest split r-hat", round(state.health["r_hat"], 4), 1.01),
        exactly("divergences", int(state.health["divergences"]), 0),
        Row("independent draws, the least", f"{state.health['independent_draws']:.0f}"),
        Row("error of national returns", f"{error:.3f}", f"the geos added up, fast: {float(np.mean(np.abs(plain / national - 1))):.3f}"),
        Row("error of each geo's returns", f"{float(np.mean(np.abs(own / truth - 1))):.3f}"),
    ]


def _world() -> tuple[dict[str, Table], np.ndarray, np.ndarray]:
    marketing, outcomes, truth, spends = [], [], [], []
    dates = np.datetime64("2022-01-03") + 7 * np.arange(WEEKS)
    at = np.arange(WEEKS)
    for geo in range(GEOS):
        rng = np.random.default_rng(100 + geo)
        size, common = np.exp(rng.normal(0, 0.6)), rng.normal(0, 1, WEEKS)
        drive = np.sqrt(0.5) * (common[:, None] + rng.normal(0, 1, (WEEKS, 3)))
        spend = size * np.array([60e3, 30e3, 15e3]) * np.exp(0.5 * drive)
        spend[:, 0] *= ((at // 4 + geo) % 3) != 2
        stock = np.stack([adstock(spend[:, one], CARRY[one]) for one in range(3)], 1)
        half = stock.mean(0) * np.array([1.0, 1.5, 0.8])
        returns = RETURN * np.exp(rng.normal(0, 0.25, 3))
        shaped = np.stack([hill(stock[:, one], half[one], SLOPE[one]) for one in range(3)], 1)
        brought = shaped * returns * spend.sum(0) / shaped.sum(0)
        level = float((returns * spend.sum(0)).sum()) / WEEKS / 0.25
        price, promo = rng.normal(0, 1, WEEKS), (rng.random(WEEKS) < 0.12) * 1.0
        base = level * 0.75 * (1 + 0.12 * np.sin(2 * np.pi * at / 52 + 1) - 0.05 * price + 0.1 * promo)
        sales = base + brought.sum(1) + rng.normal(0, 0.06 * level, WEEKS)
        name = f"geo {geo}"
        outcomes.append(pl.DataFrame({"date": dates, "geo": [name] * WEEKS, "revenue": sales, "price_index": price, "promo": promo}))
        for one, channel in enumerate(NAMES):
            marketing.append(pl.DataFrame({"date": dates, "geo": [name] * WEEKS, "channel": [channel] * WEEKS, "spend": spend[:, one]}))
        truth.append(returns)
        spends.append(spend.sum(0))
    made = {"marketing": Table.from_frame(pl.concat(marketing)), "outcomes": Table.from_frame(pl.concat(outcomes))}
    return made, np.array(truth), np.array(spends)


def _flat(table: Table, name: str) -> Table:
    """Return a table with the geos added up (controls averaged)."""
    if name == "marketing":
        return Table.from_frame(table.frame.group_by("date", "channel").agg(pl.col("spend").sum()).sort("date", "channel"))
    means = (pl.col("price_index").mean(), pl.col("promo").mean())
    return Table.from_frame(table.frame.group_by("date").agg(pl.col("revenue").sum(), *means).sort("date"))


def _held_out() -> list[Row]:
    """Ask the exam's weeks of published geo panels: does the interval of the sum of all geos hold?"""
    if not SIMULATED.exists():
        return [Row("Meridian's simulated geos", ABSENT)]
    rows = []
    for file in MERIDIAN:
        raw = read(SIMULATED / file)
        loaded = {name: infer(raw, table=name) for name in ("outcomes", "marketing")}
        tables = {name: Table.from_frame(found.frame, found.schema) for name, found in loaded.items()}
        exams, marks = (models.part("roi", "judge", name) for name in ("exams", "marks"))
        exam = exams(models.part("roi", "assemble", "assemble")(tables), folds=1, seed=0)
        said = {}
        for name in ("exact", "ridge"):
            recipe = models.recipe("roi", name)
            state = recipe.fit(exam[0].seen, settle(recipe.knobs, {}), 0)
            said[name] = marks(exam, [recipe.predict(state, exam[0].asked)]).metrics
        shown = {name: f"covers {one['coverage_80']:.2f}, CRPS {one['crps']:.3f}, WAPE {one['wape']:.3f}" for name, one in said.items()}
        rows.append(Row(f"{file}, 13 weeks held out: 80 % interval of the sum", shown["exact"], f"ridge, geos added up: {shown['ridge']}"))
    return rows


def _published() -> list[Row]:
    """Learn the multidimensional example of pymc-marketing; its file holds alpha, lam and beta only, so their order is what is compared."""
    if not FOLDER.exists():
        return [Row("pymc multidimensional", ABSENT)]
    frame = pl.read_csv(FOLDER / "mmm_multidimensional_example.csv", try_parse_dates=True)
    spend = frame.unpivot(on=["x1", "x2"], index=["date", "geo"], variable_name="channel", value_name="spend")
    events = frame.group_by("date").agg(pl.col("event_1").max(), pl.col("event_2").max())
    outcomes = frame.select("date", "geo", conversions="y").join(events, on="date")
    tables = {"marketing": Table.from_frame(spend), "outcomes": Table.from_frame(outcomes)}
    state, _, used = _learn(tables, curve="logistic")
    carry = state.weights[:, :, 1] / state.weights[:, :, 0]  # geometric: the share that is left a period later
    said, first, second = np.median(carry, 0), *(state.channels.index(name) for name in ("x1", "x2"))
    right = (carry[:, second] > carry[:, first]).mean()
    rows = [
        Row(
            "pymc multidimensional: alpha of x2 above that of x1 (true in both geos)",
            f"{said[second]:.2f} above {said[first]:.2f}, probability {right:.2f}",
            f"true means {np.mean([v[1] for v in ALPHA.values()]):.2f}, {np.mean([v[0] for v in ALPHA.values()]):.2f}",
            "right order",
            bool(said[second] > said[first]),
        )
    ]
    for at, geo in enumerate(state.geos):
        full = state.beta[:, at]
        likely = (full[:, first] > full[:, second]).mean()
        middle = np.median(full, 0)
        rows.append(
            Row(
                f"beta of x1 above that of x2 in {geo}",
                f"{middle[first] / middle[second]:.2f} times, probability {likely:.2f}",
                f"true {BETA[geo][0] / BETA[geo][1]:.2f} times; {_told(frame.filter(pl.col('geo') == geo), geo)}",
                "right order",
                bool(middle[first] > middle[second]),
            )
        )
    rows.append(Row("the same, r-hat, divergences, time", f"{state.health['r_hat']:.3f}, {state.health['divergences']}, {used:.0f} CPU s"))
    return rows


def _told(frame: pl.DataFrame, geo: str) -> str:
    """Say what least squares finds that is told the true curves of a geo: no more can be read off its outcomes without a prior."""
    outcome, turn = frame["y"].to_numpy(), 2 * np.pi * np.arange(frame.height) / 52.18
    stocks = [adstock(frame[name].to_numpy() / frame[name].max(), carry) for name, carry in zip(("x1", "x2"), ALPHA[geo], strict=True)]
    full = [np.tanh(lam * stock / 2) for lam, stock in zip(LAM, stocks, strict=True)]
    waves = [wave(order * turn) for order in (1, 2) for wave in (np.sin, np.cos)]
    columns = np.stack([*full, np.ones(len(outcome)), *waves, *(frame[name].to_numpy() for name in ("event_1", "event_2"))], 1)
    beta, squares, _, _ = np.linalg.lstsq(columns, outcome, rcond=None)
    error = np.sqrt(np.diagonal(np.linalg.inv(columns.T @ columns)) * float(squares[0]) / (len(outcome) - columns.shape[1]))
    return f"least squares told the true curves: {beta[0]:,.0f} +- {error[0]:,.0f} and {beta[1]:,.0f} +- {error[1]:,.0f}"
