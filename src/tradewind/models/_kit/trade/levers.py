"""What levers of trade are called among the effects of a book, and how a price acts."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
FORMS = ("log", "exponential")
"""How price acts: a constant elasticity, or an elasticity in proportion to the price."""
PRICE, CUT, AFTER, SIBLINGS, SISTERS, COMPETITOR = "price", "cut", "after", "siblings", "sisters", "competitor"


def change(ratio: Array, form: str) -> Array:
    """Return what a price ratio is to demand under a form: its logarithm, or its distance from one."""
    made: Array = np.log(np.maximum(ratio, 1e-6)) if form == "log" else ratio - 1
    return made
