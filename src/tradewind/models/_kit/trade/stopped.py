"""Products that are asked about and sell no more."""

from __future__ import annotations

from typing import Any

import numpy as np

from tradewind.models._kit.trade.book import LATELY, Book

Array = np.ndarray[Any, Any]


def words(book: Book, series: Array) -> list[str]:
    """Return what to say of products none of whose asked `series` sold in the last periods: one sentence, or none."""
    product = book.product[series]
    gone = sorted(set(product.tolist()) - set(product[book.living[series]].tolist()))
    if not gone:
        return []
    some = ", ".join(str(book.products[at]) for at in gone[:5]) + (", ..." if len(gone) > 5 else "")
    return [f"Nothing was sold of {some} in the last {LATELY} periods: what is said is as it sold before, should it come back."]
