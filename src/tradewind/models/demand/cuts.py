"""Price cuts that run when sales end: the plan goes back to the usual price where such cuts always did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

CUT = 0.95  # a price below that share of the one before is a cut
SAME = 0.01  # prices this near each other, as a share, are one price
BACK = 0.02  # a price this near the one before the cut, or above it, is back
FEWEST = 2  # cuts that came back, and more than stayed: then the next one will, too


@dataclass(frozen=True, slots=True)
class Return:
    """When a series goes back to which price."""

    at: int
    price: float


def coming_back(moment: Array, price: Array) -> Return | None:
    """Return when the cut that runs at the end of a series goes back, None where none runs or cuts did not use to come back.

    `moment` are whole numbers in order, `price` what was paid then. A cut is taken to last as long as the median of those before it.
    """
    starts = _runs(price)
    level = price[starts]
    if len(level) < 2 or level[-1] > CUT * level[-2]:
        return None
    began = moment[starts]
    cut = level[1:-1] <= CUT * level[:-2]
    back = cut & (level[2:] >= (1 - BACK) * level[:-2])
    lengths = (began[2:] - began[1:-1])[back]
    if len(lengths) < FEWEST or len(lengths) <= int((cut & ~back).sum()) or moment[-1] - began[-1] >= lengths.max():
        return None
    return Return(int(began[-1] + np.median(lengths)), float(level[-2]))


def _runs(price: Array) -> Array:
    """Return where each run of one price begins."""
    starts, level = [0], price[0]
    for at in np.flatnonzero(np.abs(price[1:] / price[:-1] - 1) > SAME / 2) + 1:
        if abs(price[at] / level - 1) > SAME:
            starts.append(int(at))
            level = price[at]
    return np.array(starts)


def after_cuts(frame: Any, keys: list[str]) -> Any:
    """Fill prices after the last one known, in a frame sorted by keys and date: a cut that runs then goes back as those before it did."""
    import polars as pl

    known = pl.col("price").cast(pl.Float64).fill_nan(None) > 0
    past = frame.filter(known).group_by(keys, maintain_order=True).agg(pl.col("date").to_physical(), pl.col("price").cast(pl.Float64))
    found = [(row, coming_back(np.array(row["date"]), np.array(row["price"]))) for row in past.iter_rows(named=True)]
    rows = [{**{key: row[key] for key in keys}, "_last": row["date"][-1], "_at": one.at, "_usual": one.price} for row, one in found if one]
    if not rows:
        return frame
    given = pl.DataFrame(
        rows, schema={**{key: frame.schema[key] for key in keys}, "_last": pl.Int64, "_at": pl.Int64, "_usual": pl.Float64}
    )
    moment, cut = pl.col("date").to_physical().cast(pl.Int64), pl.col("price").forward_fill().over(keys)
    filled = pl.when(moment >= pl.col("_at")).then(pl.col("_usual")).otherwise(cut)
    joined = frame.join(given, on=keys, how="left", maintain_order="left")
    plan = (moment > pl.col("_last")) & ~known.fill_null(value=False)
    return joined.with_columns(pl.when(plan).then(filled).otherwise("price").alias("price")).drop("_last", "_at", "_usual")
