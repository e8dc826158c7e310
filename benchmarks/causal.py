"""The causal kernel: effects whose truth is known, the GeoLift walkthrough, and placebo runs on real places."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import polars as pl

import tradewind
from benchmarks._effect_peers import FOLDS, KNOBS, PEERS, missing, timed
from benchmarks._result import Result, Row, at_least, at_most, exactly, within
from benchmarks._run import ABSENT, DATA, temporary
from tradewind.core.errors import BadValue
from tradewind.models._kit.causal import design, did, dml, given, impact, synth

CHECK = (
    "DML within 2 standard errors of the truth where OLS is not; GeoLift's 5.4 % inside the interval; synthetic control covers .85-.95 "
    "on placebo runs; a test finds what its design promised"
)
Array = np.ndarray[Any, Any]
TRUE_LIFT, DML_SEEDS = 0.35, range(10, 20)
EVENT, SIMULATIONS = 0.08, 100  # one treated place, 30 donors, 70 weeks before and 8 after
CITIES, REAL_RUNS = 15, 80  # days after a false start; draws of cities and starts
DESIGNS, FIRST, POWER = (*range(500, 530), *range(700, 760)), 30, 0.8
GEO = DATA / "mmm" / "geolift"
TREATED, TEST_START = ("chicago", "portland"), "2021-04-01"
HANDBOOK = DATA / "promo_price" / "causality_handbook"


def run() -> Result:
    """Run everything that has its data; parts without data say so in a note."""
    rows = [*_double(), *_events(), *_promised()]
    notes = [
        f"DML: seeds {DML_SEEDS.start}-{DML_SEEDS.stop - 1}, 150 shops x 52 weeks, timing confounded crookedly, a cause constant in a shop",
        f"events: {SIMULATIONS} draws of two wandering factors, true +{100 * EVENT:.0f} %; coverage is of 90 % intervals",
        f"designs: {len(DESIGNS)} histories of 12 places x 90 days, seven days of test, the lift that the design says it finds; level 90 %",
        f"of these the first {FIRST} are the check as it was first written, seeds 500-529; 30 tests have an error of .07",
        f"peers: LightGBM of {KNOBS['n_estimators']} trees in {FOLDS} folds"
        + (f"; skipped, not installed: {', '.join(missing())}" if missing() else ""),
    ]
    if GEO.exists():
        rows += [*_walkthrough(), *_cities()]
        notes.append(f"cities: {REAL_RUNS} draws of one or two untouched cities and a start on day 50-75 of the pre-test file, seed 7")
    else:
        notes.append(f"GeoLift and its placebo runs were skipped: {ABSENT}")
    if HANDBOOK.exists():
        rows += _handbook()
    else:
        notes.append(f"ice cream and billboard were skipped: {ABSENT}")
    return Result(tuple(rows), tuple(notes))


def shops(seed: int, *, groups: int = 150, weeks: int = 52) -> tuple[Array, Array, Array, Array]:
    """Return log units, promotion flag, controls and shop; what times promotions also moves units, and part of it is constant in a shop."""
    r = np.random.default_rng(seed)
    shop, week = np.repeat(np.arange(groups), weeks), np.tile(np.arange(weeks), groups)
    kind, x = r.normal(0, 1, groups)[shop], r.normal(0, 1, (len(shop), 6))
    season = np.sin(2 * np.pi * week / 52)
    drive = np.sin(1.5 * x[:, 0]) + (x[:, 1] > 0) * x[:, 2] + season + 0.5 * kind
    promotion = (r.random(len(shop)) < 1 / (1 + np.exp(-(drive - 1.2)))).astype("f8")
    units = 3 + TRUE_LIFT * promotion + 0.8 * drive + 0.3 * kind + r.normal(0, 0.4, len(shop))
    controls = np.c_[x, season, np.cos(2 * np.pi * week / 52), kind + r.normal(0, 0.3, len(shop))]
    return units, promotion, controls, shop


def event(seed: int, *, donors: int = 30, before: int = 70, after: int = 8) -> Array:
    """Return weeks x places; the first place has the true event in the last weeks."""
    r = np.random.default_rng(seed)
    weeks = np.arange(before + after)
    factors = np.cumsum(r.normal(0, 0.03, (len(weeks), 2)), 0) + 0.15 * np.sin(2 * np.pi * weeks / 52)[:, None] * np.array([1, 0.6])
    loads, level = np.abs(r.normal(1, 0.5, (2, donors + 1))), r.normal(5, 0.6, donors + 1)
    made: Array = np.exp(level + factors @ loads + r.normal(0, 0.05, (len(weeks), donors + 1)))
    made[before:, 0] *= 1 + EVENT
    return made


def _double() -> list[Row]:
    ours, plain, errors, spent = [], [], [], []
    for seed in DML_SEEDS:
        units, promotion, controls, shop = shops(seed)
        began = time.process_time()
        said = dml.effect(units, promotion, controls, groups=shop, seed=seed)
        spent.append(time.process_time() - began)
        estimate, error = _regression(units, np.c_[promotion, np.ones(len(units)), controls], shop)
        ours.append((said.estimate, said.distance(TRUE_LIFT)))
        plain.append((estimate, abs(estimate - TRUE_LIFT) / error))
        errors.append(said.standard_error)
    inside = sum(distance <= 2 for _, distance in ours)
    beside = f"OLS with the same controls {sum(distance <= 2 for _, distance in plain)}, mean {np.mean([one for one, _ in plain]):.3f}"
    mean = Row(
        f"its mean estimate, truth {TRUE_LIFT}", f"{np.mean([one for one, _ in ours]):.3f}, standard error {np.mean(errors):.3f}", beside
    )
    return [
        at_least(f"DML within 2 standard errors, of {len(ours)} seeds", inside, 9, baseline=beside),
        mean,
        *_peers(float(np.mean(spent))),
    ]


def _peers(ours_s: float) -> list[Row]:
    """Return what DoubleML and EconML say of the same panels, where they are installed; `ours_s` is what one took here."""
    rows = []
    for name, effect in PEERS.items():
        if name in missing():
            continue
        found = np.array([timed(lambda seed=seed, effect=effect: effect(shops(seed))) for seed in DML_SEEDS])
        inside = int((np.abs(found[:, 0] - TRUE_LIFT) <= 2 * found[:, 1]).sum())
        theirs = f"{inside} within 2 standard errors, mean {found[:, 0].mean():.3f}, standard error {found[:, 1].mean():.3f}"
        rows.append(Row(f"{name} on the same seeds; CPU seconds of one", f"{ours_s:.2f} s", f"{theirs}; {found[:, 2].mean():.2f} s"))
    return rows


def _regression(outcome: Array, columns: Array, groups: Array) -> tuple[float, float]:
    """Return the first coefficient of a least-squares regression and its error by group."""
    gram = np.linalg.inv(columns.T @ columns)
    beta = gram @ columns.T @ outcome
    away = columns * (outcome - columns @ beta)[:, None]
    summed = np.stack([np.bincount(groups, column) for column in away.T], 1)
    return float(beta[0]), float(np.sqrt((gram @ summed.T @ summed @ gram)[0, 0]))


def _long(outcome: Array) -> tuple[Array, Array, Array]:
    periods, units = outcome.shape
    return np.tile(np.arange(units), periods), np.repeat(np.arange(periods), units), outcome.ravel()


def _events() -> list[Row]:
    mixed, structural, raw, naive = [], [], [], []
    for seed in range(9000, 9000 + SIMULATIONS):
        outcome = event(seed)
        said, path = synth.effect(*_long(outcome), [0], 70), impact.effect(outcome[:, 0], 70, controls=outcome[:, 1:])
        assert said.lift is not None and path.lift is not None
        mixed.append((said.lift.estimate - EVENT, not said.lift.excludes(EVENT, level=90)))
        structural.append((path.lift.estimate - EVENT, not path.lift.excludes(EVENT, level=90)))
        raw.append(_raw_band(outcome, 70, EVENT))
        change = np.log(outcome[70:].mean(0)) - np.log(outcome[:70].mean(0))
        naive.append(float(np.exp(change[0] - change[1:].mean())) - 1 - EVENT)
    rows = []
    for name, found in (("synthetic control", mixed), ("structural impact", structural)):
        miss = 100 * float(np.sqrt(np.mean([error**2 for error, _ in found])))
        beside = f"difference in differences {100 * float(np.sqrt(np.mean(np.square(naive)))):.1f} points"
        rows.append(at_most(f"{name}: error of a true +8 % (RMSE, points)", miss, 3.5, baseline=beside))
        band = f"raw placebo band {np.mean(raw):.2f}" if name == "synthetic control" else ""
        rows.append(within(f"{name}: 90 % interval covers", float(np.mean([inside for _, inside in found])), 0.9, by=0.05, baseline=band))
    return rows


def _raw_band(outcome: Array, at: int, true: float) -> bool:
    """Tell whether the usual band covers: the lifts that untouched places show, not measured by how well each was predicted."""
    gaps = []
    for number in range(outcome.shape[1]):
        pool = np.delete(outcome, sorted({0, number}), 1)  # the treated place is no donor
        expected = _simplex(outcome[:, number], pool, at)
        gaps.append(float(outcome[at:, number].sum() / expected[at:].sum()) - 1)
    return abs(gaps[0] - true) <= float(np.quantile(np.abs(gaps[1:]), 0.9))


def _simplex(aim: Array, pool: Array, at: int) -> Array:
    from scipy.optimize import nnls

    shares = pool / pool[:at].mean(0)
    weight, _ = nnls(np.vstack([shares[:at], 50 * np.ones(shares.shape[1])]), np.r_[aim[:at] / aim[:at].mean(), 50])
    made: Array = shares @ weight * aim[:at].mean()
    return made


def _promised() -> list[Row]:
    """Plan tests on histories, run them with the lift the plan says it finds, and analyse them."""
    found, alarms, lifts = [], [], []
    for seed in DESIGNS:
        r = np.random.default_rng(seed)
        factors = np.cumsum(r.normal(0, 0.015, (97, 2)), 0)
        outcome = np.exp(r.normal(5, 0.5, 12) + factors @ r.uniform(0.5, 1.5, (2, 12)) + r.normal(0, 0.04, (97, 12)))
        plan = design.geo(*_long(outcome[:90]), count=1, length=7, seed=seed, power=POWER, tries=12)
        place = int(plan.treated[0])
        alarms.append(synth.effect(*_long(outcome), [place], 90, seed=seed).effect.excludes(0.0, level=plan.level))
        outcome[90:, place] *= 1 + plan.detectable
        found.append(synth.effect(*_long(outcome), [place], 90, seed=seed).effect.excludes(0.0, level=plan.level))
        lifts.append(plan.detectable)
    most = 0.1 + 2 * float(np.sqrt(0.1 * 0.9 / len(DESIGNS)))
    alarm = at_most(
        "the same tests without a lift that claim one, level 90 % (and 2 errors)", float(np.mean(alarms)), most, baseline="expected .10"
    )
    return [_kept(found[:FIRST], lifts[:FIRST]), _kept(found, lifts), alarm]


def _kept(found: list[bool], lifts: list[float]) -> Row:
    must = POWER - 2 * float(np.sqrt(POWER * (1 - POWER) / len(found)))
    name = f"tests that find the lift promised at power {POWER} (less 2 errors of {len(found)} tests)"
    return at_least(name, float(np.mean(found)), must, baseline=f"mean lift {100 * np.mean(lifts):.1f} %")


def _read(name: str) -> tuple[pl.DataFrame, given.Panel]:
    frame = pl.read_csv(GEO / name)
    return frame, given.panel(frame["location"], frame["date"], frame["Y"])


def _walkthrough() -> list[Row]:
    """Measure the test as a user does: load the outcomes, ask the desk."""
    frame = pl.read_csv(GEO / "GeoLift_Test.csv", try_parse_dates=True).select(
        "date", geo="location", conversions=pl.col("Y").cast(pl.Float64)
    )
    with temporary() as folder, tradewind.open(folder) as desk:
        desk.load(frame, table="outcomes")
        said, path, plain = (desk.measure(TREATED, TEST_START, method=method) for method in ("auto", "impact", "differences"))
    low, high = said.fact("lift lo90"), said.fact("lift hi90")
    failed = [fact.name.removeprefix("check: ") for fact in said.facts if fact.value == "failed"]
    per_day = f"{said.fact('effect'):.0f} ({said.fact('effect lo90'):.0f} to {said.fact('effect hi90'):.0f})"
    return [
        Row(
            f"GeoLift walkthrough through desk.measure ({said.fact('method')}), lift and 90 % interval",
            f"{said.fact('lift'):.1f} % ({low:.1f} to {high:.1f})",
            "walkthrough 5.4 %",
            "5.4 % inside",
            low <= 5.4 <= high,
        ),
        Row("its effect per city and day", per_day, "walkthrough 155.556"),
        Row("its sum over the test", f"{said.fact('total'):,.0f}", "walkthrough 4,667"),
        Row(
            "the same by structural impact",
            f"{path.fact('lift'):.1f} % ({path.fact('lift lo90'):.1f} to {path.fact('lift hi90'):.1f})",
            f"differences {plain.fact('lift'):.1f} % ({plain.fact('lift lo90'):.1f} to {plain.fact('lift hi90'):.1f})",
        ),
        Row("checks that failed", ", ".join(failed) or "none"),
    ]


def _cities() -> list[Row]:
    """Treat untouched cities at false starts: the truth is zero."""
    _, panel = _read("GeoLift_PreTest.csv")
    r = np.random.default_rng(7)
    mixed, structural, raw = [], [], []
    for number in range(REAL_RUNS):
        own = r.choice(len(panel.units), int(r.integers(1, 3)), replace=False)
        at = int(r.integers(50, 76))
        outcome = panel.outcome[: at + CITIES]
        said = synth.effect(*_long(outcome), own.tolist(), at, seed=number)
        path = impact.effect(outcome[:, own].mean(1), at, controls=np.delete(outcome, own, 1), season=7)
        assert said.lift is not None and path.lift is not None
        mixed.append((said.lift.estimate, not said.lift.excludes(0.0, level=90)))
        structural.append((path.lift.estimate, not path.lift.excludes(0.0, level=90)))
        raw.append(_raw_band(np.c_[outcome[:, own].mean(1), np.delete(outcome, own, 1)], at, 0.0))
    rows = []
    for name, found in (("synthetic control", mixed), ("structural impact", structural)):
        miss = float(np.sqrt(np.mean([error**2 for error, _ in found])))
        beside = f"raw placebo band {np.mean(raw):.2f}; " if name == "synthetic control" else ""
        share = float(np.mean([inside for _, inside in found]))
        rows.append(
            within(f"{name} on untouched cities: 90 % covers zero", share, 0.9, by=0.05, baseline=f"{beside}RMSE {100 * miss:.1f} %")
        )
    return rows


def _handbook() -> list[Row]:
    frame, twin = (pl.read_csv(HANDBOOK / f"ice_cream_sales{end}.csv") for end in ("", "_rnd"))
    controls = frame.select("temp", "cost", *(pl.col("weekday").eq(day).cast(pl.Float64).alias(f"day{day}") for day in range(2, 8)))
    ours = dml.effect(frame["sales"], frame["price"], controls, seed=0, repeats=3)
    naive, _ = _regression(frame["sales"].to_numpy(), np.c_[frame["price"], np.ones(len(frame))], np.arange(len(frame)))
    truth, error = _regression(twin["sales"].to_numpy(), np.c_[twin["price"], np.ones(len(twin))], np.arange(len(twin)))
    ice = Row(
        "ice cream, slope of price on confounded data",
        f"{ours.estimate:.2f} +- {ours.standard_error:.2f}",
        f"plain regression {naive:+.2f}",
        f"the sign of the randomised twin ({truth:.2f} +- {error:.2f})",
        bool(np.sign(ours.estimate) == np.sign(truth)) and ours.excludes(0.0),
    )
    board = pl.read_csv(HANDBOOK / "billboard_impact.csv").group_by("poa", "jul").agg(pl.col("deposits").mean())
    cell = {(town, month): value for town, month, value in board.iter_rows()}
    plain = (cell[1, 1] - cell[1, 0]) - (cell[0, 1] - cell[0, 0])
    refused = 0
    try:
        did.effect(*(board[name] for name in ("poa", "jul", "deposits")), {1: 1})
    except BadValue:
        refused = 1
    return [ice, exactly(f"billboard (two towns, difference {plain:.2f}): refused, one control has no spread", refused, 1)]
