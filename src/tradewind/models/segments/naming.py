"""Segments in words: names of the trade, the facts that set one apart, names that survive a refit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tradewind.core.table import Array
from tradewind.models._kit.clusters.agree import matched
from tradewind.models.segments.inputs import Inputs

PATTERNS: dict[str, dict[str, float]] = {
    "Champions": {"recency": -0.6, "orders": 1.3, "basket": 0.8, "breadth": 1.0},
    "Loyal small-basket": {"recency": -0.6, "orders": 1.0, "basket": -0.8, "tenure": 0.4},
    "Loyal": {"recency": -0.6, "orders": 1.0, "tenure": 0.6},
    "Bargain hunters": {"promoted": 2.0},
    "Big occasional": {"orders": -0.8, "basket": 1.6},
    "Lapsed": {"recency": 1.6, "tenure": 0.3},
    "Lapsed good customers": {"recency": 1.3, "orders": 0.8, "basket": 0.6, "tenure": 0.5},
    "New": {"tenure": -2.0, "recency": -0.5},
    "One-time buyers": {"orders": -1.6, "breadth": -1.2, "recency": 0.6},
    "Occasional": {"orders": -1.0, "tenure": 0.4, "basket": -0.3},
    "Wide-range buyers": {"breadth": 1.6},
    "Narrow-range regulars": {"breadth": -1.4, "orders": 0.6},
    "Steady": {"recency": -0.4, "tenure": 0.5},
}
"""Name -> the signs and sizes, in standard deviations, of the behaviour it stands for."""

CARRY = 0.3  # least Jaccard overlap with a segment of the version before for its name to be kept


def names(inputs: Inputs, middles: Array) -> tuple[str, ...]:
    """Return one name per middle (standardised), each different."""
    if all(column in ("recency", "orders", "basket", "promoted", "tenure", "breadth") for column in inputs.columns):
        return _by_pattern(inputs, middles)
    return unique([_by_facts(inputs, middle) for middle in middles])


def _by_pattern(inputs: Inputs, middles: Array) -> tuple[str, ...]:
    wanted = np.array([[pattern.get(column, 0.0) for column in inputs.columns] for pattern in PATTERNS.values()])
    size = np.sqrt((wanted**2).sum(1)) + 1e-9
    length = np.sqrt((middles**2).sum(1)) + 1e-9
    like = (middles @ wanted.T) / (size * length[:, None])
    place = matched(-like)
    labels = list(PATTERNS)
    return unique(
        [
            labels[at] if at >= 0 and like[row, at] > 0.3 else _by_facts(inputs, middles[row])  # nothing of the trade fits
            for row, at in enumerate(place.tolist())
        ]
    )


def _by_facts(inputs: Inputs, middle: Array) -> str:
    """Return a name of the two dimensions that lie furthest from the average."""
    if not len(middle) or np.abs(middle).max() < 0.2:
        return "Average"
    order = np.argsort(-np.abs(middle), kind="stable")[:2]
    said = [
        f"{'high' if middle[at] > 0 else 'low'} {inputs.titles[at]}"
        if not inputs.words[at]
        else f"{'mostly' if middle[at] > 0 else 'rarely'} {inputs.titles[at]}"
        for at in order
        if abs(middle[at]) >= 0.2
    ]
    return ", ".join(said).capitalize()


def unique(said: Sequence[str]) -> tuple[str, ...]:
    """Return the names, later ones of the same name numbered."""
    seen: dict[str, int] = {}
    found = []
    for name in said:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name} {seen[name]}")
    return tuple(found)


def carried(fresh: Sequence[str], earlier: Sequence[str], overlap: Array) -> tuple[tuple[str, ...], list[tuple[str, str, float]]]:
    """Return the names after a refit and the mapping old -> new with its overlap.

    `overlap` is the Jaccard overlap (earlier, fresh) of the same customers under both versions. A segment keeps the name it had where
    it is matched to it and shares CARRY of its customers.
    """
    place = matched(-overlap)
    found = list(fresh)
    mapping = []
    for row, at in enumerate(place.tolist()):
        if at < 0 or overlap[row, at] < CARRY:
            continue
        found[at] = earlier[row]
        mapping.append((row, at))
    taken = {found[at] for _, at in mapping}
    kept = {at for _, at in mapping}
    for at, name in enumerate(found):
        if at not in kept and name in taken:
            found[at] = f"{name} (new)"
    names_now = unique(found)
    return names_now, [(earlier[row], names_now[at], float(overlap[row, at])) for row, at in mapping]
