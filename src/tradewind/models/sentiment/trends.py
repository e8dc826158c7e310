"""How products are felt about, aspect by aspect and month by month: what other models can take as an input."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np

from tradewind.core.table import Array, Table

MOST = 20_000  # the latest reviews are read
WHOLE = "all"
PRIOR, SPREAD = 2.0, 0.6  # a group's mean is drawn to the aspect's own by as many reviews; the spread of scores where few are known
_LEVELS = (80, 95)


def of(reviews: Table, predict: Callable[[Table], Table]) -> tuple[Mapping[str, Any], ...]:
    """Return one row per product, aspect and month, and one over all months, of reviews in time.

    `effect` is the mean score of the clauses that speak of the aspect, shrunk to the mean of the aspect over all products. The interval
    is that of a mean of as many reviews.
    """
    if "product" not in reviews or len(reviews) == 0:
        return ()
    dates = reviews.column("date") if "date" in reviews else np.full(len(reviews), np.datetime64("NaT"), "M8[D]")
    order = np.argsort(np.where(np.isnat(dates), np.datetime64("1900-01-01"), dates), kind="stable")[-MOST:]
    late = reviews.take(np.sort(order))
    named = np.array([value is not None for value in late.column("product").tolist()], bool)
    late = late.take(named)
    if len(late) == 0:
        return ()
    said = predict(late.select(["text"])).column("aspects").tolist()
    months = late.column("date").astype("M8[M]").astype(str).tolist() if "date" in late else ["NaT"] * len(late)
    found: dict[tuple[str, str, str], list[float]] = {}
    for product, month, text in zip(late.column("product").tolist(), months, said, strict=True):
        for aspect, told in json.loads(text).items():
            found.setdefault((product, aspect, WHOLE), []).append(told["score"])
            if month != "NaT":
                found.setdefault((product, aspect, month), []).append(told["score"])
    return _rows(found)


def _rows(found: Mapping[tuple[str, str, str], list[float]]) -> tuple[Mapping[str, Any], ...]:
    pooled: dict[str, list[float]] = {}
    for (_, aspect, month), values in found.items():
        if month == WHOLE:
            pooled.setdefault(aspect, []).extend(values)
    means = {aspect: float(np.mean(values)) for aspect, values in pooled.items()}
    rows = []
    for (product, aspect, month), values in sorted(found.items()):
        count = len(values)
        mean = (sum(values) + PRIOR * means[aspect]) / (count + PRIOR)
        spread = float(np.sqrt((np.var(values) * count + PRIOR * SPREAD**2) / (count + PRIOR)))
        error = spread / np.sqrt(count + PRIOR)
        row: dict[str, Any] = {"product": product, "lever": aspect, "month": month, "kind": "mean feeling", "effect": round(mean, 4)}
        for level in _LEVELS:
            reach = NormalDist().inv_cdf(0.5 + level / 200) * error
            row |= {f"lo{level}": round(max(mean - reach, -1.0), 4), f"hi{level}": round(min(mean + reach, 1.0), 4)}
        rows.append(row | {"reviews": count})
    return tuple(rows)


def table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """Return trends as a table."""
    texts = ("product", "lever", "month", "kind")
    numbers = ("effect", "lo80", "hi80", "lo95", "hi95", "reviews")
    columns: dict[str, Array] = {name: np.array([row[name] for row in rows], object) for name in texts}
    return Table.from_columns(columns | {name: np.array([row[name] for row in rows], "f8") for name in numbers})
