"""Logistic regression on cubic splines of numbers and on words: learned and served by numpy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np

from tradewind.core.table import Array

KNOTS, DEGREE = 6, 3
BASES = KNOTS + DEGREE - 1
SPREAD_SKEW = 2.0
MOST_STEPS, SHORTEST = 50, 1e-4  # of Newton's method; steps are halved until they help
ENOUGH = 1e-4  # of log-likelihood: what a last step may still promise
SUMMED, SPLINED = 2048, 128  # rows looked at together: few enough to stay in the processor's cache


@dataclass(frozen=True)
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

    @cached_property
    def ready(self) -> tuple[Array, ...]:
        """Return, per smooth column, its ends and what parts its intervals; per interval of all of them its start, size and cubics."""
        inner = self.knots[:, DEGREE:-DEGREE]
        low, high = inner[:, 0], inner[:, -1]
        cubics = _cubics(self.knots).reshape(-1, DEGREE + 1, DEGREE + 1)
        return low, high - 1e-9 * (high - low), inner[:, 1:-1], inner[:, :-1].ravel(), np.diff(inner).ravel(), cubics

    def rows(self, matrix: Array) -> Array:
        """Return the regressors of rows (n, columns); a number outside what was seen counts as the nearest one seen."""
        if len(matrix) > SPLINED:
            return np.concatenate([self.rows(matrix[at : at + SPLINED]) for at in range(0, len(matrix), SPLINED)])
        value = matrix.astype("f8")
        missing = np.isnan(value)
        filled = np.where(missing, self.middle, value)
        bases = _splines(filled[:, self.smooth], self.ready) if len(self.smooth) else np.zeros((len(value), 0))
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


def _cubics(knots: Array) -> Array:
    """Return (columns, KNOTS - 1, 4, 4): in each interval, the four splines that are not nought there, as cubics of 0 to 1.

    A cubic is what it is at four points: there they are worked out by the recursion of Cox and de Boor.
    """
    points = np.arange(1, DEGREE + 2) / (DEGREE + 2)
    start = knots[:, DEGREE : -DEGREE - 1]
    size = knots[:, DEGREE + 1 : -DEGREE] - start
    value = start[:, :, None] + size[:, :, None] * points
    away = value[..., None] - knots[:, None, None, :]
    found = ((away[..., :-1] >= 0) & (away[..., 1:] < 0)).astype("f8")
    for degree in range(1, DEGREE + 1):
        each = found / (knots[:, degree:] - knots[:, :-degree])[:, None, None, :]
        found = away[..., : -degree - 1] * each[..., :-1] - away[..., degree + 1 :] * each[..., 1:]
    near = np.stack([found[:, at, :, at : at + DEGREE + 1] for at in range(KNOTS - 1)], axis=1)
    return np.asarray(np.swapaxes(np.linalg.solve(np.vander(points), near), 2, 3))


def _splines(value: Array, ready: tuple[Array, ...]) -> Array:
    """Return (rows, columns x BASES) cubic B-splines."""
    count, columns = value.shape
    low, high, inner, start, size, cubics = ready
    inside = np.minimum(np.maximum(value, low), high)
    place = (inside[:, :, None] >= inner).sum(2)
    at = place + np.arange(0, columns * (KNOTS - 1), KNOTS - 1)  # among the intervals of all columns
    into = ((inside - start[at]) / size[at])[:, :, None]
    bend = cubics[at]
    found = np.zeros(count * columns * BASES)
    first = np.arange(0, count * columns * BASES, BASES) + place.reshape(-1)
    told = ((bend[..., 0] * into + bend[..., 1]) * into + bend[..., 2]) * into + bend[..., 3]
    found[first[:, None] + np.arange(DEGREE + 1)] = told.reshape(-1, DEGREE + 1)
    return found.reshape(count, columns * BASES)


def fitted(rows: Array, gone: Array, *, seen: Array | None = None, strength: float = 1.0) -> Array:
    """Return the coefficients of greatest likelihood less a ridge, the intercept last; no class weights.

    `gone` is the outcome of each row, 0 or 1. With `seen` (rows, K) each row stands for the periods it was seen in, and `gone` (rows, K)
    says in which it ended: every period then has a coefficient too, between those of the regressors and the intercept. `strength` is the
    inverse of the penalty, which all but the intercept bear. Newton: a few passes over the rows, where a descent takes hundreds.
    """
    size = rows.shape[1]
    level = np.ones((1, 1)) if seen is None else np.column_stack([np.eye(seen.shape[1]), np.ones(seen.shape[1])])
    gone = gone.astype("f8").reshape(len(rows), len(level))
    seen = np.ones(gone.shape) if seen is None else seen.astype("f8")
    penalty = np.append(np.full(size + level.shape[1] - 1, 1 / strength), 0.0)
    share = min(max(float(gone.sum() / seen.sum()), 1e-6), 1 - 1e-6)
    found = np.append(np.zeros(len(penalty) - 1), np.log(share / (1 - share)))
    light = rows.astype("f4")
    best = _loss(rows, gone, seen, level, found) + 0.5 * float(penalty @ found**2)
    for _ in range(MOST_STEPS):
        slope, bend = _bend(rows, gone, seen, level, found, light=light)
        slope += penalty * found
        step = np.linalg.solve(bend + np.diag(penalty), slope)
        gain = float(slope @ step)  # twice what the step promises
        length, after = 1.0, np.inf
        while length > SHORTEST:
            tried = found - length * step
            after = _loss(rows, gone, seen, level, tried) + 0.5 * float(penalty @ tried**2)
            if after <= best - 0.1 * length * gain:
                break
            length /= 2
        if not after < best:
            break
        found, best = tried, after
        if gain < ENOUGH:
            break
    return found


def _loss(rows: Array, gone: Array, seen: Array, level: Array, found: Array) -> float:
    """Return the negative log-likelihood."""
    odds = (rows @ found[: rows.shape[1]])[:, None] + level @ found[rows.shape[1] :]
    return float((seen * np.logaddexp(0.0, odds) - gone * odds).sum())


def _bend(rows: Array, gone: Array, seen: Array, level: Array, found: Array, *, light: Array) -> tuple[Array, Array]:
    """Return the first and second derivatives of the negative log-likelihood, summed over blocks of rows.

    The latter among regressors is of `light`, the rows in single precision: the way of a step need not be as exact as where it leads.
    """
    size = rows.shape[1]
    slope, bend = np.zeros(len(found)), np.zeros((len(found), len(found)))
    shift = level @ found[size:]
    for at in range(0, len(rows), SUMMED):
        part, there = rows[at : at + SUMMED], seen[at : at + SUMMED]
        chance = sigmoid((part @ found[:size])[:, None] + shift)
        off = there * chance - gone[at : at + SUMMED]
        heavy = there * chance * (1 - chance)
        slope[:size] += off.sum(1) @ part
        slope[size:] += off.sum(0) @ level
        square = light[at : at + SUMMED] * np.sqrt(heavy.sum(1)).astype("f4")[:, None]
        bend[:size, :size] += square.T @ square
        bend[:size, size:] += part.T @ (heavy @ level)
        bend[size:, size:] += level.T @ (heavy.sum(0)[:, None] * level)
    bend[size:, :size] = bend[:size, size:].T
    return slope, bend


def sigmoid(value: Array) -> Array:
    """Return the logistic function."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * value)))
