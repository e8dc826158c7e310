"""Who is above and below whom, who is loaded together, and what an expected part excuses above it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
TOGETHER = 5  # series that must be loaded together before they can tell that their load is wrong
MOST, SOME = 0.5, 0.2  # share of a total's gap from which on it is the gap of the parts that were expected, or may be
USUAL = 1.3  # spreads within which four of five figures lie


@dataclass(frozen=True, slots=True)
class Family:
    """Who is above and below a series: its product, its store, everything; and the parts of each total."""

    above: Mapping[int, tuple[int, ...]]
    below: Mapping[int, tuple[int, ...]]


def family_of(keys: Mapping[str, Array]) -> Family:
    """Return the hierarchy of products and stores that the keys spell."""
    if "product" not in keys or "metric" in keys:
        return Family({}, {})
    products = keys["product"].tolist()
    stores = keys["store"].tolist() if "store" in keys else [""] * len(products)
    place = {pair: at for at, pair in enumerate(zip(products, stores, strict=True))}
    above: dict[int, tuple[int, ...]] = {}
    below: dict[int, list[int]] = {}
    for (product, store), at in place.items():
        pairs = dict.fromkeys(((product, ""), ("", store), ("", "")))
        tops = [pair for pair in pairs if pair != (product, store) and pair in place]
        above[at] = tuple(place[pair] for pair in tops)
        nearest = [pair for pair in tops if pair != ("", "") or not (product and store) or len(tops) == 1]
        for pair in nearest:
            if pair != ("", "") or not store or ("", store) not in place:
                below.setdefault(place[pair], []).append(at)
    return Family(above, {at: tuple(found) for at, found in below.items()})


@dataclass(frozen=True, slots=True)
class Batch:
    """What is loaded together: one place, say. `lowest` are its series that are no total, `rows` these and their totals."""

    lowest: Array
    rows: Array


def batches_of(keys: Mapping[str, Array], family: Family, count: int) -> tuple[Batch, ...]:
    """Return all of the first `count` series, and those of every value of a key with TOGETHER series to a value, as batches."""
    every = np.arange(count)
    low = np.array([at not in family.below for at in range(count)], bool)
    found = [Batch(every[low], every)]
    for column in keys.values():
        said = column[:count]
        values = sorted({value for value in said[low].tolist() if value})
        if 1 < len(values) <= low.sum() / TOGETHER:
            for value in values:
                here = said == value
                if (here & low).sum() >= TOGETHER:
                    found.append(Batch(every[here & low], every[here]))
    return tuple(found)


def excused(family: Family, known: Array, value: Array, expected: Array, spread: Array) -> Array:
    """Tell which totals' gaps are those of parts that someone said were expected; all are series x periods.

    `known` is above zero where it was said. It is so where the parts have MOST of the gap, or SOME of it and the rest is usual. A part
    without a figure has its whole expectation as gap; the smallest parts and the next smaller ones may add up differently: more counts.
    """
    gap = np.where(np.isfinite(value), value, 0.0) - expected
    said = known > 0
    parts = np.where(said, gap, 0.0)
    small, near = np.zeros(gap.shape), np.zeros(gap.shape)
    for at in np.flatnonzero(said.any(1)).tolist():
        if at not in family.below:
            for above in family.above.get(at, ()):
                small[above] += parts[at]
    for total, below in family.below.items():
        near[total] = parts[list(below)].sum(0)
    explained = np.where(np.abs(small) > np.abs(near), small, near)
    share = explained / np.where(gap != 0, gap, np.inf)
    return np.asarray((share >= MOST) | ((share >= SOME) & (np.abs(gap - explained) <= USUAL * spread)))
