"""A small company whose new customers by geo, response to spend and useless channel are known."""

from __future__ import annotations

from typing import Any

import numpy as np

from tradewind.core.model import Example, Truth
from tradewind.core.table import Table
from tradewind.models._kit.world_media import adstock, hill

Array = np.ndarray[Any, Any]
GEOS = ("north", "south")
CHANNELS = (("tv", 0.5, 280.0), ("search", 0.1, 420.0), ("podcast", 0.3, 0.0))
"""Name, weekly carry-over, customers a week at full saturation in a geo; podcast does nothing."""
SPEND, HALF = 3500.0, np.array(4200.0)
BASE = (1400.0, 840.0)
WEEKS, PLAN, ASKED = 150, 26, 8
START = np.datetime64("2023-01-02", "D")


def example(seed: int) -> Example:
    """Make outcomes and marketing of two geos, with the plan of the next half year, and what is true of it."""
    rng = np.random.default_rng(seed)
    span = WEEKS + PLAN
    spend = _spend(rng, span)
    won = np.stack([top * hill(adstock(spend[at], carry), HALF, 1.0) for at, (_, carry, top) in enumerate(CHANNELS)])
    mean = _base(span) + won.sum(0)
    acquired = rng.poisson(mean[:, :WEEKS] * rng.gamma(400.0, 1 / 400.0, (len(GEOS), WEEKS)))
    days = START + 7 * np.arange(span)
    past, geo = np.tile(days[:WEEKS], len(GEOS)), np.repeat(np.array(GEOS, object), WEEKS)
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
    """Return spend (channels, geos, weeks): budgets that change every week, now and then none."""
    size = (len(CHANNELS), len(GEOS), span)
    found: Array = np.round(SPEND * np.exp(0.5 * rng.normal(size=size)) * (rng.random(size) > 0.3), 2)
    return found


def _base(span: int) -> Array:
    season = np.exp(0.15 * np.cos(2 * np.pi * (np.arange(span) - 4) * 7 / 365.25))
    found: Array = np.array(BASE)[:, None] * season
    return found


def _total(mean: Array) -> Truth:
    """Ask for the next 8 weeks as planned; compare their sum with the expected one."""
    value = float(mean[:, WEEKS : WEEKS + ASKED].sum())
    return Truth("customers of the next 8 weeks", _asked({}, 1), lambda said: float(said.column("mean").sum()), value, 0.06 * value)


def _raised(at: int, spend: Array, mean: Array) -> Truth:
    """Ask for the next 8 weeks as planned, then with half a channel's usual spend more; compare the log ratio."""
    name, carry, top = CHANNELS[at]
    planned = spend[at][:, WEEKS : WEEKS + ASKED]
    more = spend[at].copy()
    more[:, WEEKS : WEEKS + ASKED] += SPEND / 2
    gained = top * (hill(adstock(more, carry), HALF, 1.0) - hill(adstock(spend[at], carry), HALF, 1.0))
    window = slice(WEEKS, WEEKS + ASKED)
    value = float(np.log1p(gained[:, window].sum() / mean[:, window].sum()))
    asked = _asked({f"spend_{name}": np.concatenate([planned.reshape(-1), (planned + SPEND / 2).reshape(-1)])}, 2)
    return Truth(f"log lift of more {name}", asked, _log_ratio, value, 0.02)


def _asked(plans: dict[str, Array], times: int) -> Table:
    days = np.tile(START + 7 * (WEEKS + np.arange(ASKED)), len(GEOS) * times)
    geo = np.tile(np.repeat(np.array(GEOS, object), ASKED), times)
    return Table.from_columns({"geo": geo, "date": days, **plans})


def _log_ratio(said: Table) -> float:
    without, more = said.column("mean").reshape(2, -1).sum(1)
    return float(np.log(more / without))
