"""Logistic regression on cubic splines of numbers and on words: learned by scikit-learn, served by numpy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from tradewind.core.table import Array

KNOTS, DEGREE = 6, 3
BASES = KNOTS + DEGREE - 1
SPREAD_SKEW = 2.0


@dataclass(frozen=True, slots=True)
class Design:
    """How a matrix of columns becomes regressors. `knots` is (smooth columns, KNOTS + 2 x DEGREE)."""

    smooth: Array  # columns that get a spline
    knots: Array
    plain: Array  # columns with two values, taken as they are
    low: Array  # of plain columns
    size: Array  # of plain columns
    word: Array  # one entry per regressor of a word: its column
    level: Array  # and its level
    gap: Array  # columns with an extra regressor for missing
    middle: Array  # of every column: what stands for a missing number

    def rows(self, matrix: Array) -> Array:
        """Return the regressors of rows (n, columns); a number outside what was seen counts as the nearest one seen."""
        value = matrix.astype("f8")
        missing = np.isnan(value)
        filled = np.where(missing, self.middle, value)
        n = len(value)
        bases = _splines(filled[:, self.smooth], self.knots).reshape(n, -1)
        plain = np.minimum(np.maximum((filled[:, self.plain] - self.low) / self.size, 0.0), 1.0)
        words = (value[:, self.word] == self.level).astype("f8")
        return np.concatenate([bases, plain, words, missing[:, self.gap].astype("f8")], axis=1)

    def arrays(self, prefix: str) -> dict[str, Array]:
        """Return the arrays by name."""
        return {prefix + one.name: getattr(self, one.name) for one in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array], prefix: str) -> Design:
        """Read the arrays back."""
        return cls(**{one.name: arrays[prefix + one.name] for one in fields(cls)})


def design(matrix: Array, words: Array) -> Design:
    """Return the design for a matrix whose column c has `words[c]` levels (0: a number)."""
    value = matrix.astype("f8")
    missing = np.isnan(value)
    empty = missing.all(0)
    middle = np.array([0.0 if empty[at] else float(np.median(value[~missing[:, at], at])) for at in range(value.shape[1])])
    smooth: list[int] = []
    plain: list[int] = []
    word: list[int] = []
    level: list[int] = []
    gap: list[int] = []
    knots: list[Array] = []
    low: list[float] = []
    size: list[float] = []
    for at in range(value.shape[1]):
        seen = value[~missing[:, at], at]
        if words[at]:
            word += [at] * int(words[at])
            level += list(range(int(words[at])))
            continue
        different = np.unique(seen)
        if len(different) > 2:
            smooth.append(at)
            knots.append(_knots(seen))
        elif len(different):
            plain, low, size = [*plain, at], [*low, float(different[0])], [*size, max(float(np.ptp(different)), 1e-12)]
        if missing[:, at].any():
            gap.append(at)
    whole = (np.array(one, "i8") for one in (smooth, plain, word, level, gap))
    smooth_, plain_, word_, level_, gap_ = whole
    shape = (len(smooth), KNOTS + 2 * DEGREE)
    return Design(
        smooth_, np.array(knots, "f8").reshape(shape), plain_, np.array(low, "f8"), np.array(size, "f8"), word_, level_, gap_, middle
    )


def _knots(seen: Array) -> Array:
    """Return knots at equal steps of the values, or of their quantiles where the values are skewed; outer ones repeat the step."""
    spread = seen.std()
    skew = abs(float((((seen - seen.mean()) / spread) ** 3).mean())) if spread > 0 else 0.0
    inner = np.linspace(seen.min(), seen.max(), KNOTS)
    if skew > SPREAD_SKEW:
        ranked = np.quantile(seen, np.linspace(0, 1, KNOTS))
        inner = ranked if (np.diff(ranked) > 0).all() else 0.5 * (ranked + inner)
    before = inner[0] - (inner[1] - inner[0]) * np.arange(DEGREE, 0, -1)
    after = inner[-1] + (inner[-1] - inner[-2]) * np.arange(1, DEGREE + 1)
    return np.concatenate([before, inner, after])


def _splines(value: Array, knots: Array) -> Array:
    """Return (rows, columns, BASES) cubic B-splines by the recursion of Cox and de Boor."""
    if not len(knots):
        return np.zeros((len(value), 0))
    low, high = knots[:, DEGREE], knots[:, -DEGREE - 1]
    inside = np.minimum(np.maximum(value, low), high - 1e-9 * (high - low))
    away = inside[:, :, None] - knots
    found = ((away[:, :, :-1] >= 0) & (away[:, :, 1:] < 0)).astype("f8")
    for degree in range(1, DEGREE + 1):
        each = found / (knots[:, degree:] - knots[:, :-degree])
        found = away[:, :, : -degree - 1] * each[:, :, :-1] - away[:, :, degree + 1 :] * each[:, :, 1:]
    return np.asarray(found)


def fitted(rows: Array, target: Array, *, weight: Array | None = None, strength: float = 1.0) -> Array:
    """Return the coefficients, the intercept last; no class weights. `strength` is the inverse of the ridge penalty."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        made: Any = LogisticRegression(C=strength, max_iter=300, tol=1e-5).fit(rows, target, sample_weight=weight)
    return np.append(made.coef_[0], made.intercept_[0])


def sigmoid(value: Array) -> Array:
    """Return the logistic function."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * value)))
