"""Teach forest and network what the structural panel found of past promotions."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from tradewind.core.errors import LearnFailed
from tradewind.core.table import Array, Table
from tradewind.models._kit.trees import Trees
from tradewind.models.promotion.account import PARTS, account
from tradewind.models.promotion.asking import calendar_cells
from tradewind.models.promotion.forest_state import LIFT, SHARE, Learned, features
from tradewind.models.promotion.structural import RECIPE as STRUCTURAL

FEWEST = 40  # past promotions
LEAF = 3
HIDDEN = (32, 16)


def learn(table: Table, knobs: dict[str, Any], seed: int) -> Learned:
    """Return the state; raises LearnFailed where past promotions are too few."""
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPRegressor

    book = STRUCTURAL.fit(table, {}, seed)
    ends = book.period(book.calendar[:, 3].astype("i8").astype("M8[D]")) if len(book.calendar) else np.zeros(0, int)
    past = np.flatnonzero((ends < book.cut) & (ends >= 0))
    if len(np.unique(book.calendar[past, 0])) < FEWEST:
        raise LearnFailed(
            f"fewer than {FEWEST} past promotions have names", hint="load a promotions table with more of them, or take another recipe"
        )
    cells = calendar_cells(book, past)
    accounts = account(book, cells)
    mean = {part: accounts.units[part].mean(0) for part in PARTS}
    usable = (mean["base"] > 1e-6) & (mean["gross"] > 0.02 * mean["base"])
    if usable.sum() < FEWEST:
        raise LearnFailed(f"fewer than {FEWEST} past promotions lifted sales", hint="take another recipe")
    gross = np.where(usable, mean["gross"], 1.0)
    net = sum((mean[part] for part in PARTS[1:]), np.zeros(len(gross)))
    labels = np.stack([np.clip(np.log1p(gross / np.maximum(mean["base"], 1e-9)), *LIFT), np.clip(net / gross, *SHARE)], 1)[usable]
    rows = features(book, cells)[usable]
    centre, scale = rows.mean(0), np.where(rows.std(0) > 1e-6, rows.std(0), 1.0)
    target = np.stack([labels.mean(0), np.maximum(labels.std(0), 1e-6)], 1)
    made = RandomForestRegressor(int(knobs["trees"]), min_samples_leaf=LEAF, random_state=seed, n_jobs=1, oob_score=True).fit(rows, labels)
    net_ = MLPRegressor(hidden_layer_sizes=HIDDEN, max_iter=int(knobs["steps"]), alpha=1e-2, random_state=seed, early_stopping=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # so many passes were asked for, no more
        net_.fit((rows - centre) / scale, (labels - target[:, 0]) / target[:, 1])
    forests = tuple(_trees(made, at) for at in range(2))
    error = np.sqrt(np.mean((made.oob_prediction_ - labels) ** 2, 0))
    layers = tuple(zip(net_.coefs_, net_.intercepts_, strict=True))
    return Learned(book, (forests[0], forests[1]), layers, centre, scale, target, error)


def _trees(forest: Any, output: int) -> Trees:
    """Read one output of a forest of scikit-learn: the sum of its leaves, each over the number of trees, is its mean."""
    parts: dict[str, list[Array]] = {name: [] for name in ("feature", "threshold", "left", "right", "value", "cover")}
    roots, start = [], 0
    for one in forest.estimators_:
        tree = one.tree_
        roots.append(start)
        leaf = tree.children_left < 0
        edge = tree.threshold.astype("f4")
        edge = np.where(edge.astype("f8") > tree.threshold, np.nextafter(edge, np.float32(-np.inf)), edge)
        parts["feature"].append(np.where(leaf, -1, tree.feature))
        parts["threshold"].append(np.where(leaf, 0.0, edge))
        parts["left"].append(np.where(leaf, 0, tree.children_left + start))
        parts["right"].append(np.where(leaf, 0, tree.children_right + start))
        parts["value"].append(np.where(leaf, tree.value[:, output, 0] / len(forest.estimators_), 0.0))
        parts["cover"].append(tree.n_node_samples)
        start += tree.node_count
    joined = {name: np.concatenate(values) for name, values in parts.items()}
    return Trees(
        np.array(roots, "i4"),
        joined["feature"].astype("i2"),
        joined["threshold"].astype("f4"),
        joined["left"].astype("i4"),
        joined["right"].astype("i4"),
        np.ones(start, "u1"),
        joined["value"].astype("f4"),
        joined["cover"].astype("f4"),
    )
