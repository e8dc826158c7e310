"""Three channels over two and a half years whose returns, next unit and coming weeks are known, with two lift tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.core.model import WHOLE, Example, Truth
from tradewind.core.schema import Column, Role, Schema, Type
from tradewind.core.table import Table

Array = np.ndarray[Any, Any]
WEEKS, AHEAD, LAGS = 130, 13, 8
START = np.datetime64("2023-01-02", "D")
CHANNELS = ("tv", "search", "radio")
TEST_ERROR = 0.08  # of the lift


@dataclass(frozen=True, slots=True)
class Shop:
    """The world: spend (T, C) of history and plan, and what it brings. All money."""

    spend: Array
    carry: Array
    half: Array
    slope: Array
    beta: Array
    base: Array  # (T,)

    def brought(self, spend: Array) -> Array:
        """Return what each channel brings in each week, (T, C)."""
        stock = np.stack([np.convolve(spend[:, at], self._weight(at))[: len(spend)] for at in range(len(CHANNELS))], 1)
        powered = stock**self.slope
        found: Array = self.beta * powered / (self.half**self.slope + powered)
        return found

    def _weight(self, at: int) -> Array:
        weight = self.carry[at] ** np.arange(LAGS)
        found: Array = weight / weight.sum()
        return found


def example(seed: int) -> Example:
    """Make the shop, its tables and its truths."""
    rng = np.random.default_rng([seed, 41])
    shop = _shop(rng)
    brought = shop.brought(shop.spend)
    revenue = shop.base + brought.sum(1) + rng.normal(0, 0.02 * shop.base.mean(), len(shop.base))
    return Example(_tables(rng, shop, revenue), (*_returns(shop), _next_unit(shop), _coming(shop, brought)))


def _shop(rng: np.random.Generator) -> Shop:
    weeks = WEEKS + AHEAD
    at = np.arange(weeks)
    common = rng.normal(size=weeks)
    spend = np.stack([np.exp(0.5 * (0.4 * common + rng.normal(size=weeks))) for _ in CHANNELS], 1) * np.array([40e3, 20e3, 12e3])
    spend[:, 0] *= (at // 4) % 3 != 2
    spend[:, 2] *= rng.random(weeks) < 0.75
    carry, slope = np.array([0.6, 0.2, 0.4]), np.array([1.2, 1.0, 1.1])
    returns = np.exp(rng.uniform(np.log(0.8), np.log(3.0), len(CHANNELS)))
    shop = Shop(spend, carry, spend[:WEEKS].mean(0) * rng.uniform(0.9, 1.6, 3), slope, np.ones(3), np.zeros(weeks))
    beta = returns * spend[:WEEKS].sum(0) / shop.brought(spend)[:WEEKS].sum(0)
    media = float((returns * spend[:WEEKS].sum(0)).sum()) / WEEKS
    season = 0.10 * np.sin(2 * np.pi * at / 52.18 + 1)
    base = media * 3 * (1 + season + 0.10 * at / WEEKS)
    return Shop(spend, shop.carry, shop.half, shop.slope, beta, base)


def _dates() -> Array:
    found: Array = START + 7 * np.arange(WEEKS + AHEAD)
    return found


def _tables(rng: np.random.Generator, shop: Shop, revenue: Array) -> dict[str, Table]:
    dates, weeks = _dates(), WEEKS + AHEAD
    marketing = Table.from_columns(
        {
            "date": np.repeat(dates, 3),
            "channel": np.tile(np.array(CHANNELS, object), weeks),
            "spend": np.round(shop.spend.ravel(), 2),
        }
    )
    outcomes = Table.from_columns(
        {"date": dates[:WEEKS], "revenue": np.round(revenue[:WEEKS], 2)},
        Schema((Column("date", Role.TIME, Type.DATE), Column("revenue", Role.TARGET, unit="money")), ("date",)),
    )
    return {"marketing": marketing, "outcomes": outcomes, "experiments": _tests(rng, shop)}


def _tests(rng: np.random.Generator, shop: Shop) -> Table:
    """Return a lift test of four weeks for the first two channels: what their spend in the window brought in it, measured with error."""
    names, starts, ends, lifts, errors = [], [], [], [], []
    for at, first in ((0, 50), (1, 80)):
        without = shop.spend.copy()
        without[first : first + 4, at] = 0.0
        window = slice(first, first + 4)
        lift = float((shop.brought(shop.spend) - shop.brought(without))[window, at].sum())
        names.append(f"{CHANNELS[at]} test")
        starts.append(_dates()[first])
        ends.append(_dates()[first + 3] + 6)
        lifts.append(lift * (1 + TEST_ERROR * rng.normal()))
        errors.append(TEST_ERROR * lift)
    return Table.from_columns(
        {
            "name": np.array(names, object),
            "channel": np.array(CHANNELS[:2], object),
            "start": np.array(starts),
            "end": np.array(ends),
            "lift": np.array(lifts),
            "standard_error": np.array(errors),
        }
    )


def _returns(shop: Shop) -> list[Truth]:
    """Ask for every past week of a channel: what it brought over what it cost."""
    out = []
    for at, name in enumerate(CHANNELS[:2]):
        asked = Table.from_columns({"channel": np.full(WEEKS, name, object), "date": _dates()[:WEEKS]})
        spent = float(shop.spend[:WEEKS, at].sum())
        value = float(shop.brought(shop.spend)[:WEEKS, at].sum()) / spent
        out.append(Truth(f"return of {name}", asked, _over(spent), value, 0.25 * value))
    return out


def _over(spent: float) -> Any:
    return lambda answer: float(answer.column("mean").sum()) / spent


def _next_unit(shop: Shop) -> Truth:
    """Ask what a steady spend of search brings, and a tenth more: the return of that tenth."""
    usual = float(shop.spend[WEEKS - 52 : WEEKS, 1].mean())
    asked = Table.from_columns({"channel": np.array(["search", "search"], object), "spend": np.array([usual, 1.1 * usual])})
    steady = [shop.beta[1] * one / (shop.half[1] + one) for one in (usual, 1.1 * usual)]
    value = float(steady[1] - steady[0]) / (0.1 * usual)
    return Truth("return of a tenth more search", asked, _slope(0.1 * usual), value, 0.4 * value)


def _slope(more: float) -> Any:
    return lambda answer: float(np.diff(answer.column("mean"))[0]) / more


def _coming(shop: Shop, brought: Array) -> Truth:
    """Ask for the whole outcome of the planned weeks."""
    asked = Table.from_columns({"channel": np.full(AHEAD, WHOLE, object), "date": _dates()[WEEKS:]})
    value = float((shop.base + brought.sum(1))[WEEKS:].sum())
    return Truth("revenue of the planned weeks", asked, lambda answer: float(answer.column("mean").sum()), value, 0.06 * value)
