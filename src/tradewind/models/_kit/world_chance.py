"""Chance in the sample company: one stream of numbers per part, so that one part can change and the others stay."""

from __future__ import annotations

import zlib

import numpy as np

from tradewind.core.table import Array


def stream(seed: int, part: str) -> np.random.Generator:
    """Return the random numbers of one part of the world."""
    return np.random.default_rng(np.random.SeedSequence([seed, zlib.crc32(part.encode())]))


def counts(rng: np.random.Generator, mean: Array, dispersion: Array | float) -> Array:
    """Draw negative binomial counts: variance = mean + dispersion * mean^2 (gamma mixture of Poissons)."""
    spread = np.broadcast_to(np.asarray(dispersion, "f8"), mean.shape)
    shape = 1 / np.maximum(spread, 1e-9)
    mixed = np.where(spread > 0, rng.gamma(shape) / shape, 1.0)
    return rng.poisson(mean * mixed).astype("i8")


def scaled(rng: np.random.Generator, units: Array, factor: Array | float) -> Array:
    """Return counts whose expectation is `factor` times these: thinned where below one, topped up where above."""
    share = np.broadcast_to(np.asarray(factor, "f8"), units.shape)
    kept = rng.binomial(units, np.minimum(share, 1.0))
    added = rng.poisson(units * np.maximum(share - 1.0, 0.0))
    return np.asarray(kept + added, "i8")


def labels(prefix: str, count: int, width: int = 3) -> Array:
    """Return the names prefix001, prefix002, ... as text."""
    size = max(width, len(str(count)))
    return np.array([f"{prefix}{number:0{size}d}" for number in range(1, count + 1)], dtype=object)


def only(values: Array, keep: Array) -> Array:
    """Return the values as text cells, empty where not kept."""
    found: Array = values.astype(object)
    found[~keep] = None
    return found
