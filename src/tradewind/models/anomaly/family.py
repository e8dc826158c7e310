"""Who is above and below whom: products and stores, their totals, everything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


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
