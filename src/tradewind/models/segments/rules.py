"""Each segment as a rule of at most three conditions, and how often the rule is right."""

from __future__ import annotations

import numpy as np

from tradewind.core.table import Array
from tradewind.models.segments.inputs import Inputs

MOST_ROWS = 8000
UNITS = {"recency": "days since the last order", "tenure": "days since the first order", "basket": "per order", "promoted": "on promotion"}


def rules(inputs: Inputs, raw: Array, groups: Array, count: int, seed: int) -> tuple[str, ...]:
    """Return one sentence per group; its precision is counted on customers that the rule was not found on."""
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(raw))[:MOST_ROWS]
    found, held = rows[: len(rows) // 2], rows[len(rows) // 2 :]
    filled = np.where(np.isnan(raw), np.nanmedian(np.where(np.isnan(raw).all(0), 0.0, raw), axis=0), raw)
    return tuple(_rule(inputs, filled, groups == group, (found, held), seed) for group in range(count))


def _rule(inputs: Inputs, raw: Array, inside: Array, halves: tuple[Array, Array], seed: int) -> str:
    from sklearn.tree import DecisionTreeClassifier

    found, held = halves
    if not inside[found].any() or inside[found].all():
        return "all customers" if inside.all() else "too few customers for a rule"
    tree = DecisionTreeClassifier(max_depth=3, min_samples_leaf=max(5, len(found) // 100), random_state=seed).fit(raw[found], inside[found])
    best, score = 0, -1.0
    leaves = tree.apply(raw[found])
    for leaf in np.unique(leaves):
        here = leaves == leaf
        hit = float(inside[found][here].sum())
        harmony = 2 * hit / (here.sum() + inside[found].sum())
        if harmony > score:
            best, score = int(leaf), harmony
    limits = _limits(tree.tree_, best)
    taken = tree.apply(raw[held]) == best
    right = float(inside[held][taken].mean()) if taken.any() else 0.0
    reached = float(taken[inside[held]].mean()) if inside[held].any() else 0.0
    said = " and ".join(_condition(inputs, at, low, high) for at, (low, high) in limits.items()) or "all customers"
    return f"{said}: right for {100 * right:.0f} %, reaches {100 * reached:.0f} % of the segment"


def _limits(tree: object, leaf: int) -> dict[int, tuple[float, float]]:
    """Return the bounds (above, at most) per dimension on the way to a leaf."""
    left, right = tree.children_left, tree.children_right  # type: ignore[attr-defined]
    parent = {int(child): (node, child == left[node]) for node in range(len(left)) for child in (left[node], right[node]) if child >= 0}
    limits: dict[int, tuple[float, float]] = {}
    node = leaf
    while node in parent:
        node, below = parent[node]
        at, edge = int(tree.feature[node]), float(tree.threshold[node])  # type: ignore[attr-defined]
        low, high = limits.get(at, (-np.inf, np.inf))
        limits[at] = (low, min(high, edge)) if below else (max(low, edge), high)
    return limits


def _condition(inputs: Inputs, at: int, low: float, high: float) -> str:
    title, name = inputs.titles[at], inputs.columns[at]
    if inputs.words[at] or (inputs.weight[at] < 1 and low >= 0 and high <= 1):
        return title if low > -np.inf else f"not {title}"
    title = f"{title} ({UNITS[name]})" if name in UNITS else title
    if np.isfinite(low) and np.isfinite(high):
        return f"{title} {_number(low)} to {_number(high)}"
    return f"{title} above {_number(low)}" if np.isfinite(low) else f"{title} at most {_number(high)}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 20 else f"{value:.2g}"
