"""How the recipes are examined: the last part of the past with incidents planted in it, judged as new figures, day by day."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tradewind.core.errors import LearnFailed
from tradewind.core.model import Exam, Marks
from tradewind.core.table import Table
from tradewind.models.anomaly.grid import AT_LEAST, BEYOND, KEYS, VALUE, Grid, read, texts, time_of
from tradewind.models.anomaly.inject import APART, plant
from tradewind.models.anomaly.odd_orders import told_apart

Array = np.ndarray[Any, Any]
RATE = 12.0  # incidents planted per series and year of days
YEAR = 365.25
HELD = 0.4  # share of the past that all exams together ask about
LONGEST, SHORTEST = 120, 5  # periods of one exam
MOST_SERIES = 150
ENOUGH = 40  # incidents that tell recipes apart; where fewer are planted, the same figures are examined again with others in them
SIZES = (1.0, 0.5, 0.25)  # of the incidents of one round after the other: where full ones are easy, small ones tell recipes apart
MOST_ROUNDS = 9  # times that one stretch of the past is examined
TELLING = 3  # groups from which an error can be told
LEAST = 1.0  # incidents planted per series in a round after the first
ROUND = 1_000  # what the seeds of two rounds are apart


def exams(table: Table, *, folds: int, seed: int) -> list[Exam]:
    """Return exams on the totals of products (where there are stores), or on the series there are; at most 150, drawn by seed.

    Incidents are planted in what is asked only; where few fit, there are up to MOST_ROUNDS exams on each stretch of the past, each with
    other incidents, and smaller ones among them. The truth has `wrong` (1: part of an incident), its kind, series, period
    and stretch. Raises LearnFailed where the past is too short.
    """
    judged = _chosen(table, seed)
    grid = read(judged)
    periods = len(grid.moments)
    length = _length(periods, folds)
    if not _fits(periods, folds):
        least = next(count for count in range(periods, 10**6) if _fits(count, folds))
        raise LearnFailed(f"{periods} periods are too few to plant incidents in", hint=f"give at least {least} periods, or fewer folds")
    when = judged.column(time_of(judged)).astype("M8[us]")
    made: list[Exam] = []
    planted = 0
    for turn in range(MOST_ROUNDS):
        for fold in range(folds):
            end = periods - (folds - 1 - fold) * length
            made.append(_exam(judged, grid.until(end), when, end - length, fold=fold, turn=turn, seed=seed + fold + ROUND * turn))
            planted += _incidents(made[-1].truth)
        if planted >= ENOUGH and turn % len(SIZES) in ((len(SIZES) - 1,) if turn else (0,)):
            break
    return made


def _length(periods: int, folds: int) -> int:
    return min(LONGEST, int(HELD * periods) // max(folds, 1))


def _fits(periods: int, folds: int) -> bool:
    length = _length(periods, folds)
    return length >= SHORTEST and periods - folds * length >= 2 * AT_LEAST


def _chosen(table: Table, seed: int) -> Table:
    """Return the rows of the judged level, and of the calendar; single orders are examined by nobody."""
    table, _ = told_apart(table)
    names = [name for name in KEYS if name in table]
    keys = list(zip(*(texts(table, name) for name in names), strict=True)) if names else [("all",)] * len(table)
    store = names.index("store") if "store" in names and "product" in names else -1
    totals = {key for key in keys if store >= 0 and not key[store] and any(key)}
    wanted = sorted(totals or {key for key in keys if any(key)} or set(keys))
    if len(wanted) > MOST_SERIES:
        wanted = [wanted[at] for at in np.sort(np.random.default_rng(seed).choice(len(wanted), MOST_SERIES, replace=False))]
    chosen = set(wanted)
    calendar = ~np.isfinite(table.column(VALUE).astype("f8"))
    keep = np.array([key in chosen or (not any(key) and bool(gone)) for key, gone in zip(keys, calendar.tolist(), strict=True)], bool)
    return table.take(keep)


def _incidents(truth: Table) -> int:
    """Return how many incidents are in what is asked: runs of wrong periods of one series."""
    wrong = truth.column("wrong") > 0.5
    series, at = truth.column("series")[wrong], truth.column("at")[wrong]
    order = np.lexsort((at, series))
    return int(wrong.any()) + int(((np.diff(series[order]) != 0) | (np.diff(at[order]) > APART)).sum())


def _exam(table: Table, grid: Grid, when: Array, first: int, *, fold: int, turn: int, seed: int) -> Exam:
    promoted = np.nan_to_num(grid.inputs["promotion"]) if "promotion" in grid.inputs else np.zeros(grid.value.shape)
    days = float((grid.moments[-1] - grid.moments[first]).astype("M8[us]".replace("M8", "m8")).astype("i8")) / 86_400e6
    rate = RATE * max(days, 1.0) / YEAR if grid.beat.step == 86_400_000_000 else 3.0
    rate = max(rate, LEAST) if turn else rate
    planted = plant(grid.value, promoted, first, rate=rate, seed=seed, size=SIZES[turn % len(SIZES)])
    names = [name for name in KEYS if name in table]
    keys = list(zip(*(texts(table, name) for name in names), strict=True)) if names else [("all",)] * len(table)
    row = np.array([grid.index.get(key, -1) for key in keys], "i8")
    calendar = ~(np.abs(table.column(VALUE).astype("f8")) <= BEYOND)  # no figure, or one that was left out
    at = np.searchsorted(grid.moments, when, "right") - 1
    older: Array = np.asarray(np.isfinite(grid.value[:, :first]).any(1))  # a series that begins later was never seen by those who are asked
    asked = (row >= 0) & older[row] & ~calendar & (at >= first) & (when <= grid.moments[-1])
    seen = (at < first) | (calendar & np.array([not any(key) for key in keys], bool))
    place = row[asked], at[asked]
    value = planted.value[place]
    value = np.where(np.isfinite(value), value, table.column(VALUE)[asked].astype("f8"))  # days of rest are asked about as they came
    question = table.take(asked)
    question = question.with_columns({VALUE: value})
    truth = {"wrong": planted.wrong[place].astype("f8"), "kind": planted.kind[place].astype("f8"), "series": place[0], "at": place[1]}
    stretch = np.full(len(question), fold)
    return Exam(_with_calendar(table, seen, asked, when), question, Table.from_columns(truth | {"stretch": stretch}))


def _with_calendar(table: Table, seen: Array, asked: Array, when: Array) -> Table:
    """Return the rows that may be learned from, and what is known ahead of the asked periods: which events are on."""
    later = np.flatnonzero(asked)
    once = later[np.unique(when[later], return_index=True)[1]]
    rows = np.concatenate([np.flatnonzero(seen), once])
    columns = {name: table.column(name)[rows] for name in table.names}
    columns[VALUE] = columns[VALUE].astype("f8")
    columns[VALUE][len(rows) - len(once) :] = np.nan
    for name in KEYS:
        if name in columns:
            columns[name][len(rows) - len(once) :] = None
    return Table.from_columns(columns, table.schema)


def marks(exams: Sequence[Exam], answers: Sequence[Table]) -> Marks:
    """Return the average precision over all judged figures, and how the alerts did at the stated budget.

    `missed` is one minus the average precision, which is the mean over wrong figures of one minus the precision at their score: these are
    the losses. `false_alarms` is the share of alerts that are none, `budget_used` the share of clean figures with an alert. A series
    errs together on one stretch of the past, in however many exams; where there are fewer than TELLING of these, exams are apart.
    """
    wrong = np.concatenate([exam.truth.column("wrong") for exam in exams]) > 0.5
    score = np.concatenate([answer.column("score") for answer in answers])
    alert = np.concatenate([answer.column("alert") for answer in answers]) > 0
    group = np.concatenate([exam.truth.column("series") + 100_000 * exam.truth.column("stretch") for exam in exams])
    if len(np.unique(group[wrong])) < TELLING:
        group = np.repeat(np.arange(len(exams)), [len(exam.truth) for exam in exams])
    if not wrong.any():
        raise LearnFailed("no incident could be planted", hint="load a longer past")
    precision = precisions(wrong, score)
    right = float((alert & wrong).sum())
    share, recall = right / max(alert.sum(), 1), right / wrong.sum()
    metrics = {
        "missed": 1.0 - float(precision.mean()),
        "average_precision": float(precision.mean()),
        "f1": float(2 * share * recall / max(share + recall, 1e-12)),
        "false_alarms": float(1.0 - share) if alert.any() else 0.0,
        "recall": float(recall),
        "budget_used": float(alert[~wrong].mean()),
    }
    covered = np.concatenate([_inside(exam, answer) for exam, answer in zip(exams, answers, strict=True)])
    metrics["coverage_80"] = float(covered[~wrong].mean())
    return Marks(metrics, 1.0 - precision, group[wrong])


def precisions(wrong: Array, score: Array) -> Array:
    """Return the precision at the score of every wrong figure: their mean is the average precision."""
    order = np.argsort(-score, kind="stable")
    ranked, hit = score[order], np.cumsum(wrong[order])
    last = np.searchsorted(-ranked, -score[wrong], "right")  # figures of one score are found together
    return np.asarray(hit[last - 1] / last)


def _inside(exam: Exam, answer: Table) -> Array:
    value = exam.asked.column(VALUE)
    return np.asarray((answer.column("lo80") <= value) & (value <= answer.column("hi80")))
