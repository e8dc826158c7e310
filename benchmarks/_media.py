"""Worlds of media spend with known returns: the generator of the research, written again, and what is measured on it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind import models
from tradewind.core.model import settle
from tradewind.core.table import Table

WEEKS, CHANNELS = 150, 3
START = np.datetime64("2022-01-03", "D")
NAMES = ("tv", "search", "radio")


@dataclass(frozen=True)
class World:
    """Spend (T, C), sales (T,), controls (T, 2), and the truth: returns (C,), half, slope, carry, full effect."""

    spend: np.ndarray
    sales: np.ndarray
    controls: np.ndarray
    returns: np.ndarray
    carry: np.ndarray
    half: np.ndarray
    slope: np.ndarray
    beta: np.ndarray

    def tables(self, weeks: int | None = None, spend: np.ndarray | None = None, tests: Table | None = None) -> dict[str, Table]:
        """Return the business tables of the first weeks, with other spend told where it is given."""
        told = (self.spend if spend is None else spend)[:weeks]
        count = len(told)
        dates = START + 7 * np.arange(count)
        marketing = {
            "date": np.repeat(dates, len(NAMES)),
            "channel": np.tile(np.array(NAMES, object), count),
            "spend": told.ravel(),
        }
        outcomes = {
            "date": dates,
            "revenue": self.sales[:count],
            "price_index": self.controls[:count, 0],
            "promo": self.controls[:count, 1],
        }
        made = {"marketing": Table.from_columns(marketing), "outcomes": Table.from_columns(outcomes)}
        return made | ({"experiments": tests} if tests is not None else {})

    def brought(self, spend: np.ndarray) -> np.ndarray:
        """Return what each channel brings by week, (T, C)."""
        return np.stack([self.beta[at] * hill(adstock(spend[:, at], self.carry[at]), self.half[at], self.slope[at]) for at in range(3)], 1)


def adstock(spend: np.ndarray, carry: float) -> np.ndarray:
    """Return carried-over spend: weights carry^lag over eight weeks, summing to one."""
    weight = carry ** np.arange(8)
    return np.convolve(spend, weight / weight.sum())[: len(spend)]


def hill(stock: np.ndarray, half: float, slope: float) -> np.ndarray:
    """Return the share of full effect."""
    return stock**slope / (half**slope + stock**slope + 1e-12)


def world(seed: int) -> World:
    """Make a world: flighted, correlated spend that chases the season, a wandering trend, price and promotion, 4 % noise.

    Media bring a quarter of sales; returns are log-uniform from 0.5 to 4. Half saturations and slopes are not those of the prior's centre.
    """
    rng = np.random.default_rng(seed)
    at = np.arange(WEEKS)
    season = 0.12 * np.sin(2 * np.pi * at / 52.18 + 1) + 0.05 * np.cos(4 * np.pi * at / 52.18)
    price = np.convolve(rng.normal(0, 1, WEEKS), np.ones(3) / 3, "same")
    promo = (rng.random(WEEKS) < 0.12).astype(float)
    wander = np.cumsum(rng.normal(0, 0.004, WEEKS))
    trend = 0.15 * at / WEEKS + wander - wander.mean()
    common = rng.normal(0, 1, WEEKS)
    spend = np.zeros((WEEKS, CHANNELS))
    for channel, size in enumerate((60e3, 30e3, 15e3)):
        drive = np.sqrt(0.5) * common + np.sqrt(0.5) * rng.normal(0, 1, WEEKS) + 0.3 * season / season.std()
        on = np.ones(WEEKS)
        if channel == 0:
            on = ((at // 4) % 3 != 2).astype(float)
        if channel == 2:
            on = (rng.random(WEEKS) < 0.8).astype(float)
        spend[:, channel] = size * np.exp(0.5 * drive) * on
    carry = np.array([0.65, 0.35, 0.15]) + rng.uniform(-0.1, 0.1, CHANNELS)
    slope = np.array([1.0, 1.3, 1.0])
    half = np.array([adstock(spend[:, one], carry[one]).mean() for one in range(3)]) * rng.uniform(0.7, 2.0, CHANNELS)
    returns = np.exp(rng.uniform(np.log(0.5), np.log(4), CHANNELS))
    level = (returns * spend.sum(0)).sum() / WEEKS / 0.25
    shaped = np.stack([hill(adstock(spend[:, one], carry[one]), half[one], slope[one]) for one in range(3)], 1)
    beta = returns * spend.sum(0) / shaped.sum(0)
    base = level * 0.75 * (1 + season + trend - 0.05 * price + 0.10 * promo)
    sales = base + (shaped * beta).sum(1) + rng.normal(0, 0.04 * level, WEEKS)
    return World(spend, sales, np.stack([price, promo], 1), returns, carry, half, slope, beta)


@dataclass(frozen=True)
class Learned:
    """Draws of returns (D, C) in the order of NAMES, processor seconds, and what the recipe says of itself."""

    returns: np.ndarray
    seconds: float
    health: Mapping[str, Any]


def learned(tables: Mapping[str, Table], recipe: str = "fast", seed: int = 0, **params: Any) -> Learned:
    """Learn as training does: assemble, fit, and read back what would serve."""
    from tradewind.models.roi.effects import returns

    table = models.part("roi", "assemble", "assemble")(dict(tables))
    chosen = models.recipe("roi", recipe)
    began = time.process_time()
    state = chosen.fit(table, settle(chosen.knobs, params), seed)
    seconds = time.process_time() - began
    state = chosen.load(chosen.dump(state))
    order = [state.channels.index(name) for name in NAMES]
    return Learned(returns(state)[:, order], seconds, state.health)


def lift_test(made: World, channel: int, rng: np.random.Generator, *, error: float = 0.15, first: int = 60, weeks: int = 8) -> Table:
    """Return an experiment: what the spend of some weeks brought inside them, measured with an error that is a share of it."""
    window = slice(first, first + weeks)
    without = made.spend.copy()
    without[window, channel] = 0.0
    lift = float((made.brought(made.spend) - made.brought(without))[window, channel].sum())
    return Table.from_columns(
        {
            "name": np.array(["test"], object),
            "channel": np.array([NAMES[channel]], object),
            "start": np.array([START + 7 * first]),
            "end": np.array([START + 7 * (first + weeks) - 1]),
            "lift": np.array([lift * (1 + error * rng.normal())]),
            "standard_error": np.array([error * lift]),
        }
    )


def off(found: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the absolute relative error of the median return, by channel."""
    return np.abs(np.median(found, 0) - truth) / truth


def inside(found: np.ndarray, truth: np.ndarray, low: float = 0.05, high: float = 0.95) -> np.ndarray:
    """Return whether the truth lies between two quantiles, by channel."""
    return (np.quantile(found, low, 0) <= truth) & (truth <= np.quantile(found, high, 0))
