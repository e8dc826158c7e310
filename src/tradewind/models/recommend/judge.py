"""How recommenders are examined: by what known customers bought in the 28 days after a moment, all items ranked, nothing sampled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tradewind.core.errors import LearnFailed
from tradewind.core.model import Exam, Marks
from tradewind.core.table import Array, Table
from tradewind.models.recommend import log as logs
from tradewind.models.recommend.ranker import FEWEST_DAYS, hidden

K = 20
MOST_ASKED = 1500
SHORTEST = 70  # days of history before the first moment


def exams(table: Table, *, folds: int, seed: int) -> list[Exam]:
    """Return moments 28 days apart, the latest last; where the log spans no time to speak of, one item of some customers is hidden instead.

    Each asks a customer for 20 items of any kind, and 20 never bought. The truth has the items that were in the range's log before.
    """
    log = logs.read(table)
    if log.end - int(log.day.min()) < FEWEST_DAYS:
        return [_hidden(table, log, seed)]
    made = []
    for at in range(folds, 0, -1):
        day = log.end - logs.LATELY * at
        if day - int(log.day.min()) < SHORTEST:
            continue
        rows = log.before(day)
        if int(rows.sum()) < logs.FEWEST_LINES:
            continue
        truth = logs.bought(log, day, day + logs.LATELY)
        exam = _exam(_until(table, day), log, rows, *truth, seed=seed)
        if exam is not None:
            made.append(exam)
    if not made:
        raise LearnFailed(
            "no past moment has enough history before it and purchases of known customers after it",
            hint=f"load at least {SHORTEST + logs.LATELY} days of orders",
        )
    return made


def _until(table: Table, day: int) -> Table:
    """Return what was known before a day: lines and offers before it, and the range, whose attributes do not change."""
    dates = table.column("date").astype("M8[D]")
    goods = table.column("kind") == "product"
    return table.take(goods | (dates < np.datetime64(day, "D")))


def _hidden(table: Table, log: logs.Log, seed: int) -> Exam:
    rows = hidden(log, seed)
    pair = {(log.customers[a], log.items[b]) for a, b in zip(log.who[rows].tolist(), log.what[rows].tolist(), strict=True)}
    kinds, people, items = (table.column(name).tolist() for name in ("kind", "customer", "item"))
    keep = np.array([kind != "order" or (who, what) not in pair for kind, who, what in zip(kinds, people, items, strict=True)])
    exam = _exam(table.take(keep), log, ~rows, log.who[rows], log.what[rows], seed=seed, timed=False)
    if exam is None:
        raise LearnFailed("no customer has two items, so none can be hidden", hint="load orders with several items per customer")
    return exam


def _exam(seen: Table, log: logs.Log, before: Array, who: Array, what: Array, *, seed: int, timed: bool = True) -> Exam | None:
    """Return an exam over customers known before who bought something known before; None where there is none."""
    known_person = np.bincount(log.who[before], minlength=len(log.customers)) > 0
    known_item = np.bincount(log.what[before], minlength=len(log.items)) > 0
    had = np.unique(log.who[before] * len(log.items) + log.what[before])
    keep = known_person[who] & known_item[what]
    pair = np.unique(who[keep] * len(log.items) + what[keep])
    if not len(pair):
        return None
    owner, item = np.divmod(pair, len(log.items))
    people = np.unique(owner)
    if len(people) > MOST_ASKED:
        people = np.sort(np.random.default_rng(seed).choice(people, MOST_ASKED, replace=False))
        chosen = np.isin(owner, people)
        pair, owner, item = pair[chosen], owner[chosen], item[chosen]
    names = log.customers[people]
    silent = _silent(log, known_person, people, np.unique(who[keep]), seed) if timed else names[:0]
    shelf = np.repeat(np.array(["any", "discover", "any"], object), [len(names), len(names), len(silent)])
    every = np.concatenate([names, names, silent])
    asked = Table.from_columns({"customer": every, "shelf": shelf, "k": np.full(len(every), float(K))})
    new = ~np.isin(pair, had)
    truth = Table.from_columns({"customer": log.customers[owner], "item": log.items[item], "new": new.astype("f8")})
    return Exam(seen, asked, truth)


def _silent(log: logs.Log, known: Array, asked: Array, came: Array, seed: int) -> Array:
    """Return names of known customers who did not come, drawn in the same share as those who did: chances must hold for both."""
    away = np.setdiff1d(np.flatnonzero(known), came)
    number = min(round(len(away) * len(asked) / len(came)), MOST_ASKED)
    return np.asarray(log.customers[np.sort(np.random.default_rng(seed + 1).choice(away, number, replace=False))])


def marks(exams: Sequence[Exam], answers: Sequence[Table]) -> Marks:
    """Return what was missed: `miss_20` is one minus recall@20 of any item, a share of at most 20 bought items, per customer.

    `recall_20_new` is the same of items never bought before on the shelf `discover`; `ndcg_10`, `hit_10` are of any item; `coverage` is
    the share of bought items that were offered to anyone; `calibration` the mean chance that was said
    less how often it came true, of known customers whether they came or not.
    """
    loss: list[float] = []
    groups: list[str] = []
    sums: dict[str, list[float]] = {"new": [], "ndcg_10": [], "hit_10": [], "said": [], "came": []}
    offered: set[str] = set()
    sold: set[str] = set()
    for exam, answer in zip(exams, answers, strict=True):
        truth = _by_customer(exam.truth)
        told = _lists(answer)
        sold |= set(exam.truth.column("item").tolist())
        for (customer, shelf), (items, chances) in told.items():
            if customer not in truth:  # who did not come bought nothing that was offered
                sums["said"] += chances
                sums["came"] += [0.0] * len(chances)
                continue
            bought, new = truth[customer]
            wanted = bought if shelf == "any" else new
            if not wanted:
                continue
            hits = [item in wanted for item in items]
            recall = sum(hits[:K]) / min(len(wanted), K)
            if shelf == "discover":
                sums["new"].append(recall)
                continue
            loss.append(1 - recall)
            groups.append(customer)
            offered |= set(items)
            _ranked(sums, hits, len(wanted))
            sums["said"] += chances
            sums["came"] += [float(hit) for hit in hits]
    metrics = {"miss_20": float(np.mean(loss)), "recall_20": 1 - float(np.mean(loss))}
    metrics["recall_20_new"] = float(np.mean(sums["new"])) if sums["new"] else 0.0
    metrics |= {name: float(np.mean(sums[name])) for name in ("ndcg_10", "hit_10")}
    metrics["coverage"] = len(offered & sold) / max(len(sold), 1)
    metrics["calibration"] = float(np.mean(sums["said"]) - np.mean(sums["came"])) if sums["said"] else 0.0
    return Marks(metrics, np.array(loss), np.array(groups, object))


def _ranked(sums: dict[str, list[float]], hits: Sequence[bool], wanted: int) -> None:
    gain = 1 / np.log2(np.arange(2, 12))
    first = np.array(hits[:10] + [False] * max(0, 10 - len(hits)), float) if isinstance(hits, list) else np.zeros(10)
    sums["ndcg_10"].append(float(first @ gain) / float(gain[: min(wanted, 10)].sum()))
    sums["hit_10"].append(float(first.any()))


def _by_customer(truth: Table) -> dict[str, tuple[set[str], set[str]]]:
    found: dict[str, tuple[set[str], set[str]]] = {}
    for customer, item, new in zip(
        truth.column("customer").tolist(), truth.column("item").tolist(), truth.column("new").tolist(), strict=True
    ):
        both = found.setdefault(customer, (set(), set()))
        both[0].add(item)
        if new:
            both[1].add(item)
    return found


def _lists(answer: Table) -> dict[tuple[str, str], tuple[list[str], list[float]]]:
    found: dict[tuple[str, str], tuple[list[str], list[float]]] = {}
    names = ("customer", "shelf", "item", "probability")
    for customer, shelf, item, chance in zip(*(answer.column(name).tolist() for name in names), strict=True):
        items, chances = found.setdefault((customer, shelf), ([], []))
        items.append(item)
        chances.append(chance)
    return found
