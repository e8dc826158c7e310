"""Sum rows by group, many times faster than adding them one by one."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def summed(values: Array, code: Array, count: int) -> Array:
    """Return the sum of the rows of each group 0..count - 1; zeros where a group has none."""
    out = np.zeros((count, *values.shape[1:]), values.dtype if values.dtype.kind == "f" else "f8")
    if not len(code):
        return out
    order = np.argsort(code, kind="stable")
    ranked = code[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    out[ranked[starts]] = np.add.reduceat(values[order].astype(out.dtype, copy=False), starts, axis=0)
    return out
