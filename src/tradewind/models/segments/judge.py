"""How segmentations are judged: what they say of the period that followed, and whether they come out the same on other customers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from tradewind.core.errors import LearnFailed
from tradewind.core.model import Exam, Marks
from tradewind.core.table import Array, Table
from tradewind.models._kit.clusters.agree import adjusted_rand, mutual, numbered, purity
from tradewind.models._kit.customers.attributes import PREFIX

FEWEST = 30
SHARE = 0.8  # of the customers that an exam shows


def exams(table: Table, *, folds: int, seed: int) -> list[Exam]:
    """Return one exam per sample of four in five customers at the last cut whose following period is known; all of them are asked.

    Four in five without replacement is what consensus clustering draws (Monti et al. 2003); a bootstrap has only 63 % different
    customers, and fewer groups are supported by them. What came after the cut is hidden, and so is the label of every customer that is
    not in the sample. Raises LearnFailed.
    """
    rows = _judged(table)
    if len(rows) < FEWEST:
        raise LearnFailed(f"{len(rows)} customers are too few to judge segments on", hint=f"load at least {FEWEST}")
    rng = np.random.default_rng(seed)
    hidden = [name for name in rows.names if name.startswith("next_")]
    seen = rows.select([name for name in rows.names if name not in hidden])
    asked = rows.select([name for name in rows.names if name not in (*hidden, "cut", "label")])
    found = []
    for _ in range(folds):
        chosen = np.sort(rng.choice(len(rows), max(1, int(SHARE * len(rows))), replace=False))
        truth = rows.with_columns({"held": ~np.isin(np.arange(len(rows)), chosen)})
        found.append(Exam(seen.take(chosen), asked, truth))
    return found


def _judged(table: Table) -> Table:
    """Return the rows of the last cut that has a following period; all rows where there are no cuts."""
    if "next_spend" not in table:
        return table
    cut, known = table.column("cut"), ~np.isnan(table.column("next_spend").astype("f8"))
    if not known.any():
        raise LearnFailed("orders cover too short a time: no period after a cut is known", hint="load a longer history")
    return table.take(known & (cut == cut[known].max()))


def marks(exams: Sequence[Exam], answers: Sequence[Table]) -> Marks:
    """Return `unexplained`: the share of variance between customers in the next period that segments do not explain.

    Each customer is compared with the mean of the others of her segment, so that many small groups are no advantage. Besides:
    `stability`, the mean adjusted Rand index between the groupings of two resamples; purity, Rand index and mutual information with
    hidden labels where there are some.
    """
    groups = [numbered(answer.column("segment")) for answer in answers]
    losses = [_loss(responses(exam.truth), group) for exam, group in zip(exams, groups, strict=True)]
    pairs = [adjusted_rand(first, second) for first, second in combinations(groups, 2)]
    metrics = {
        "unexplained": float(np.mean([loss.mean() for loss in losses])),
        "stability": float(np.mean(pairs)) if pairs else float("nan"),
        "segments": float(np.mean([group.max() + 1 for group in groups])),
    }
    metrics |= _labelled(exams, groups)
    people = np.tile(numbered(exams[0].truth.column("customer")), len(exams))
    return Marks(metrics, np.concatenate(losses), people)


def _labelled(exams: Sequence[Exam], groups: Sequence[Array]) -> dict[str, float]:
    found: dict[str, list[float]] = {"purity": [], "rand_with_labels": [], "nmi_with_labels": []}
    for exam, group in zip(exams, groups, strict=True):
        if "label" not in exam.truth:
            return {}
        label = np.where(exam.truth.column("held"), numbered(exam.truth.column("label")), -1)
        if (label >= 0).sum() < FEWEST:
            return {}
        for name, measure in (("purity", purity), ("rand_with_labels", adjusted_rand), ("nmi_with_labels", mutual)):
            found[name].append(measure(label, group))
    return {name: float(np.mean(values)) for name, values in found.items()}


def responses(truth: Table) -> Array:
    """Return what segments should tell apart, standardised, NaN where it does not apply: the next period, or else the inputs."""
    if "next_spend" in truth:
        spend, orders = truth.column("next_spend").astype("f8"), truth.column("next_orders").astype("f8")
        bought = orders > 0
        basket = np.where(bought, np.log1p(np.maximum(spend, 0) / np.maximum(orders, 1)), np.nan)
        columns = [np.log1p(np.maximum(spend, 0)), bought.astype("f8"), np.where(bought, np.log(np.maximum(orders, 1)), np.nan), basket]
        columns += [np.where(bought, truth.column("next_promoted").astype("f8"), np.nan)]
        columns += [np.where(bought, np.log1p(truth.column("next_breadth").astype("f8")), np.nan)]
    else:
        names = [name for name in truth.names if name.startswith(PREFIX) and truth.column(name).dtype.kind in "biuf"]
        columns = [truth.column(name).astype("f8") for name in names]
    if not columns:
        return np.zeros((len(truth), 1))
    found = np.stack(columns, 1)
    spread = np.nanstd(found, axis=0)
    kept = spread > 1e-9
    return np.asarray((found[:, kept] - np.nanmean(found[:, kept], axis=0)) / spread[kept]) if kept.any() else np.zeros((len(truth), 1))


def _loss(wanted: Array, group: Array) -> Array:
    """Return each row's squared distance from the others of its group; the mean over rows is the mean over responses."""
    known = ~np.isnan(wanted)
    value = np.where(known, wanted, 0.0)
    count = int(group.max()) + 1
    total = np.stack([np.bincount(group, weights=column, minlength=count) for column in value.T], 1)[group]
    size = np.stack([np.bincount(group, weights=column, minlength=count) for column in known.T.astype("f8")], 1)[group]
    others = np.where(size > 1, (total - value) / np.maximum(size - 1, 1), 0.0)  # alone: compared with the mean of all
    wrong = np.where(known, (value - others) ** 2, 0.0)
    return np.asarray((wrong / np.maximum(known.mean(0), 1e-9)).mean(1))
