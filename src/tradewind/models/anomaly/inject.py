"""Incidents put into clean figures on purpose, so that what finds them can be judged: six kinds, as often, described."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
KINDS: tuple[tuple[str, float, int], ...] = (
    ("spike", 1.6, 1),
    ("dip", 0.55, 1),
    ("zero", 0.0, 1),
    ("shift", 0.75, 7),
    ("promotion did not fire", np.nan, 7),
    ("surge", 1.35, 5),
)
"""Kind, factor, periods. A promotion that does not fire loses what the series' promotions usually bring."""
APART = 10  # periods between two incidents of one series
TRIES = 60
MOST_LEFT = 0.9  # a promotion that brings less than a tenth cannot fail to


@dataclass(frozen=True, slots=True)
class Planted:
    """The figures with incidents in them, which periods are part of one, and of which kind (number in KINDS, -1: none)."""

    value: Array
    wrong: Array
    kind: Array


def plant(value: Array, promoted: Array, first: int, *, rate: float, seed: int, size: float = 1.0) -> Planted:
    """Put `rate` incidents per series into the periods from `first` on; whole numbers stay whole.

    Counts are thinned (binomial) or added to (Poisson), so that what is planted is as noisy as the rest; other figures are multiplied,
    or moved by as many usual deviations as the factor is tenths from one where some lie below zero. `size` is the share of what a factor
    is away from one.
    """
    rng = np.random.default_rng(seed)
    out, wrong, kinds = value.copy(), np.zeros(value.shape, bool), np.full(value.shape, -1, "i1")
    for row in range(len(value)):
        busy = ~np.isfinite(value[row])
        for _ in range(rng.poisson(rate)):
            kind = int(rng.integers(len(KINDS)))
            found = _place(rng, kind, busy, promoted[row], first)
            if found is None:
                continue
            window = slice(found, found + KINDS[kind][2])
            out[row, window] = _changed(rng, value[row], window, _factor(value[row], promoted[row], kind, size))
            wrong[row, window], kinds[row, window] = True, kind
            busy[max(0, found - APART) : window.stop + APART] = True
    return Planted(out, wrong, kinds)


def _place(rng: np.random.Generator, kind: int, busy: Array, promoted: Array, first: int) -> int | None:
    length = KINDS[kind][2]
    if len(busy) - length <= first:
        return None
    for at in rng.integers(first, len(busy) - length + 1, TRIES).tolist():
        window = slice(at, at + length)
        if not busy[window].any() and (np.isfinite(KINDS[kind][1]) or (promoted[window] > 0.5).all()):
            return int(at)
    return None


def _factor(value: Array, promoted: Array, kind: int, size: float) -> float:
    """Return what figures in an incident of a kind are multiplied by."""
    factor = KINDS[kind][1]
    if not np.isfinite(factor):
        known = np.isfinite(value)
        on, off = value[known & (promoted > 0.5)], value[known & (promoted <= 0.05)]
        usual = off.mean() / on.mean() if len(on) and len(off) and on.mean() > 0 else MOST_LEFT
        factor = float(min(usual, MOST_LEFT))
    return 1 + size * (factor - 1)


def _changed(rng: np.random.Generator, value: Array, window: slice, factor: float) -> Array:
    here = value[window]
    known = value[np.isfinite(value)]
    if known.min() < 0:
        return np.asarray(here + 10 * (factor - 1) * np.std(known))
    if (known == np.round(known)).all():
        if factor <= 1:
            return rng.binomial(here.astype("i8"), factor).astype("f8")
        return np.asarray(here + rng.poisson(here * (factor - 1)))
    return np.asarray(here * factor)


SLIPS: tuple[tuple[str, str, float], ...] = (
    ("a digit too many", "quantity", 10.0),
    ("several times what the customer takes", "quantity", 5.0),
    ("decimal point slipped", "unit_price", 10.0),
    ("half price without a reason", "unit_price", 0.5),
    ("price of another product", "unit_price", 1.8),
    ("total that is not quantity times price", "amount", 1.4),
)
"""What goes wrong with a single order: name, figure, factor."""


def plant_lines(quantity: Array, price: Array, amount: Array, *, share: float, seed: int) -> tuple[Array, Array, Array, Array]:
    """Put a slip of SLIPS into a share of lines, all kinds alike; return quantity, price, amount and the kind of each line (-1: none)."""
    rng = np.random.default_rng(seed)
    figures = {"quantity": quantity.copy(), "unit_price": price.copy(), "amount": amount.copy()}
    kinds = np.full(len(quantity), -1, "i1")
    chosen = rng.choice(len(quantity), round(share * len(quantity)), replace=False)
    kinds[chosen] = rng.permutation(np.arange(len(chosen)) % len(SLIPS))
    for kind, (_, figure, factor) in enumerate(SLIPS):
        rows = kinds == kind
        figures[figure][rows] = np.round(figures[figure][rows] * factor, 2)
        if figure != "amount":
            figures["amount"][rows] = figures["quantity"][rows] * figures["unit_price"][rows]
    return figures["quantity"], figures["unit_price"], figures["amount"], kinds
