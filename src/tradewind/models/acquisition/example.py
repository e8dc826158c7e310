"""A small company whose new customers by geo, response to spend and useless channel are known."""

from __future__ import annotations

from typing import Any

import numpy as np

from tradewind.core.model import Example, Truth
from tradewind.core.table import Table
from tradewind.models._kit.world_media import adstock, hill

Array = np.ndarray[Any, Any]
GEOS = ("north", "south")
CHANNELS = (("tv", 0.7, 40.0), ("search", 0.2, 60.0), ("podcast", 0.5, 0.0))
"""Name, daily carry-over, customers a day at full saturation in a geo; podcast does nothing."""
SPEND, HALF = 500.0, 600.0
BASE = (200.0, 120.0)
DAYS, PLAN, ASKED = 800, 60, 28
START = np.datetime64("2023-01-02", "D")


def example(seed: int) -> Example:
    """Make outcomes and marketing of two geos, with the plan of the next 60 days, and what is true of it."""
    rng = np.random.default_rng(seed)
    span = DAYS + PLAN
    spend = _spend(rng, span)
    won = np.stack([top * hill(adstock(spend[at], carry), HALF, 1.0) for at, (_, carry, top) in enumerate(CHANNELS)])
    mean = _base(span)[:, :] + won.sum(0)
    acquired = rng.poisson(mean[:, :DAYS] * rng.gamma(400.0, 1 / 400.0, (len(GEOS), DAYS)))
    days = START + np.arange(span)
    past, geo = np.tile(days[:DAYS], len(GEOS)), np.repeat(np.array(GEOS, object), DAYS)
    outcomes = Table.from_columns({"date": past, "geo": geo, "new_customers": acquired.reshape(-1).astype("f8")})
    names = np.array([name for name, _, _ in CHANNELS], object)
    marketing = Table.from_columns(
        {
            "date": np.tile(days, len(GEOS) * len(CHANNELS)),
            "channel": np.repeat(names, len(GEOS) * span),
            "geo": np.tile(np.repeat(np.array(GEOS, object), span), len(CHANNELS)),
            "spend": spend.reshape(-1),
        }
    )
    truths = (_total(mean), *(_raised(at, spend, mean) for at in range(len(CHANNELS))))
    return Example({"outcomes": outcomes, "marketing": marketing}, truths)


def _spend(rng: np.random.Generator, span: int) -> Array:
    """Return spend (channels, geos, days): weekly budgets, now and then off air."""
    weeks = -(-span // 7)
    size = (len(CHANNELS), len(GEOS), weeks)
    weekly = np.exp(0.5 * rng.normal(size=size)) * (rng.random(size) > 0.3)
    return np.round(SPEND * np.repeat(weekly, 7, 2)[:, :, :span] * np.exp(0.1 * rng.normal(size=(*size[:2], span))), 2)


def _base(span: int) -> Array:
    at = np.arange(span)
    week = np.array([0.10, 0.06, 0.02, 0.0, -0.04, -0.12, -0.02])[at % 7]
    return np.array(BASE)[:, None] * np.exp(week + 0.15 * np.cos(2 * np.pi * (at - 30) / 365.25))


def _total(mean: Array) -> Truth:
    """Ask for the next 28 days as planned; compare their sum with the expected one."""
    value = float(mean[:, DAYS : DAYS + ASKED].sum())
    return Truth("customers of the next 28 days", _asked({}, 1), lambda said: float(said.column("mean").sum()), value, 0.06 * value)


def _raised(at: int, spend: Array, mean: Array) -> Truth:
    """Ask for the next 28 days as planned, then with half a channel's usual spend more; compare the log ratio."""
    name, carry, top = CHANNELS[at]
    planned = spend[at][:, DAYS : DAYS + ASKED]
    more = spend[at].copy()
    more[:, DAYS : DAYS + ASKED] += SPEND / 2
    gained = top * (hill(adstock(more, carry), HALF, 1.0) - hill(adstock(spend[at], carry), HALF, 1.0))
    window = slice(DAYS, DAYS + ASKED)
    value = float(np.log1p(gained[:, window].sum() / mean[:, window].sum()))
    asked = _asked({f"spend_{name}": np.concatenate([planned.reshape(-1), (planned + SPEND / 2).reshape(-1)])}, 2)
    return Truth(f"log lift of more {name}", asked, _log_ratio, value, 0.02)


def _asked(plans: dict[str, Array], times: int) -> Table:
    days = np.tile(START + DAYS + np.arange(ASKED), len(GEOS) * times)
    geo = np.tile(np.repeat(np.array(GEOS, object), ASKED), times)
    return Table.from_columns({"geo": geo, "date": days, **plans})


def _log_ratio(said: Table) -> float:
    without, more = said.column("mean").reshape(2, -1).sum(1)
    return float(np.log(more / without))
