"""How churn is judged: on customers, or on a later time, that was not learned from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tradewind.core.errors import LearnFailed
from tradewind.core.model import Exam, Marks
from tradewind.core.table import Array, Table
from tradewind.models._kit.clusters.agree import numbered
from tradewind.models._kit.customers.rank import auc, average_precision, brier_at, concordance, expected_error, lift
from tradewind.models.churn.assemble import KNOWN
from tradewind.models.churn.leaving import FLAG, ORDERS

HIDDEN = (*KNOWN, "kind")
YEAR = 365.0


def exams(table: Table, *, folds: int, seed: int) -> list[Exam]:
    """Return exams on later cuts where time is known, and on held-out customers where it is not.

    What came after an exam's cut is not seen: rows of earlier cuts keep only what was known of them by then. Raises LearnFailed.
    """
    known = (table.column("kind") == "learn") & ~np.isnan(table.column("left").astype("f8"))
    if not known.any():
        raise LearnFailed("of no customer is it known whether she left", hint="load a longer history, or a column churned")
    if str(table.column("mode")[0]) == FLAG:
        return _by_customer(table, known, folds, seed)
    found = _by_time(table, known, folds)
    return found or _by_customer(table, known, folds, seed)


def _by_customer(table: Table, known: Array, folds: int, seed: int) -> list[Exam]:
    """Hold out customers, as many leavers in each part."""
    rows = np.flatnonzero(known)
    left = table.column("left")[rows].astype("f8")
    rng = np.random.default_rng(seed)
    order = np.lexsort((rng.random(len(rows)), left))
    fold = np.empty(len(rows), int)
    fold[order] = np.arange(len(rows)) % folds
    names = table.column("customer")[rows].astype(str)
    first: dict[str, int] = {}
    fold = np.array([first.setdefault(name, int(number)) for name, number in zip(names.tolist(), fold.tolist(), strict=True)])
    return [_exam(table, rows[fold != number], rows[fold == number]) for number in range(folds) if (fold == number).any()]


def _by_time(table: Table, known: Array, folds: int) -> list[Exam]:
    cut, horizon = table.column("cut"), float(table.column("horizon")[0])
    cuts = np.unique(cut[known])
    found = []
    for day in cuts[::-1][:folds]:
        learned = known & (cut <= day - np.timedelta64(int(horizon), "D"))
        if not learned.any():
            break
        seen = _as_known(table.take(np.flatnonzero(learned)), day, horizon)
        found.append(_exam(seen, np.arange(len(seen)), np.zeros(0, int), table.take(np.flatnonzero(known & (cut == day)))))
    return found


def _as_known(rows: Table, day: np.datetime64, horizon: float) -> Table:
    """Return durations as they were known on the day: what had not come to pass by then is not known."""
    passed = (day - rows.column("cut")).astype("m8[D]").astype("f8")
    sure = np.maximum(passed - horizon, 0.0) if str(rows.column("mode")[0]) == ORDERS else passed
    duration, event = rows.column("duration").astype("f8"), rows.column("event").astype("f8")
    happened = (event == 1) & (duration <= sure)
    return rows.with_columns({"duration": np.where(happened, duration, np.minimum(duration, sure)), "event": happened.astype("f8")})


def _exam(table: Table, seen: Array, held: Array, truth: Table | None = None) -> Exam:
    told = truth if truth is not None else table.take(held)
    asked = told.select([name for name in told.names if name not in HIDDEN])
    return Exam(table.take(seen), asked, told)


def marks(exams: Sequence[Exam], answers: Sequence[Table]) -> Marks:
    """Return Brier score (the goal), AUC, average precision, calibration error over ten groups, lift of the top tenth, concordance.

    With a flag and known lengths: `c_index` of the whole length of staying, and the Brier score of the first year, weighted for
    customers who are not known for that long.
    """
    rows: list[dict[str, float]] = []
    losses, groups = [], []
    for exam, answer in zip(exams, answers, strict=True):
        left, said = exam.truth.column("left").astype("f8"), answer.column("probability").astype("f8")
        losses.append((said - left) ** 2)
        groups.append(exam.truth.column("customer").astype(str))
        found = {"brier": float(losses[-1].mean()), "auc": auc(left, said), "ap": average_precision(left, said)}
        found |= {"ece10": expected_error(left, said), "lift10": lift(left, said)}
        rows.append(found | _timely(exam.truth, answer))
    metrics = {name: float(np.mean([row[name] for row in rows])) for name in rows[0] if all(name in row for row in rows)}
    return Marks(metrics, np.concatenate(losses), numbered(np.concatenate(groups)))


def _timely(truth: Table, answer: Table) -> dict[str, float]:
    if "duration" not in truth or "stays_365" not in answer:
        return {}
    duration, event = truth.column("duration").astype("f8"), truth.column("event").astype("f8")
    use = np.isfinite(duration) & np.isfinite(event)
    if not event[use].any():
        return {}
    stays = answer.column("lifetime_days" if "lifetime_days" in answer else "stays_365").astype("f8")
    found = {"c_index": concordance(duration[use], event[use], stays[use])}
    if "stays_year" in answer and duration[use].max() > YEAR:
        found["brier_year"] = brier_at(YEAR, duration[use], event[use], answer.column("stays_year").astype("f8")[use])
    return found
