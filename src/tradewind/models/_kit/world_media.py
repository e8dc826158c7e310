"""Media spend of the sample company, the customers it won, and the tests that measured it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tradewind.core.schema import Column, Role, Type
from tradewind.core.table import Array
from tradewind.models._kit.world_chance import counts, stream
from tradewind.models._kit.world_days import REGIONS, Days

VALUE = 60.0  # money per new customer
_LAST = 60  # days of carry-over kept
_TEST = 28


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel: spend a day, daily carry-over, slope of its curve, share that tracking sees, share of free customers it claims."""

    name: str
    spend: float
    carry: float
    slope: float
    tracked: float
    claims: float
    on: int  # weeks on air of every six


CHANNELS = (
    Channel("tv", 2600.0, 0.90, 1.3, 0.25, 0.0, 4),
    Channel("search", 1300.0, 0.35, 1.0, 0.95, 0.08, 6),
    Channel("social", 1000.0, 0.70, 1.2, 0.60, 0.03, 6),
    Channel("radio", 600.0, 0.80, 1.0, 0.15, 0.0, 3),
    Channel("podcast", 350.0, 0.60, 1.0, 0.0, 0.0, 6),  # never won anybody: the useless driver
)
USELESS = "podcast"

COLUMNS = (
    Column("new_customers", Role.TARGET, Type.NUMBER, minimum=0),
    *(
        Column(f"new_customers_{name}", Role.PAST, Type.NUMBER, meaning="as tracked, which is not what was caused")
        for name in (*(c.name for c in CHANNELS), "organic")
    ),
    Column("revenue", Role.PAST, Type.NUMBER, unit="money"),
    Column("consumer_climate", Role.KNOWN, Type.NUMBER, meaning="index, mean 0"),
    Column("sports_index", Role.KNOWN, Type.NUMBER, meaning="index without any effect"),
)


@dataclass(frozen=True, slots=True)
class Media:
    """Spend and its true effect, shapes K channels x G geos x T days of history."""

    geos: Array
    spend: Array
    contribution: Array  # expected new customers caused
    base: Array  # G x T: expected new customers without media
    half: Array  # K x G: half saturation, in adstocked spend a day
    beta: Array  # K x G: new customers a day at full saturation
    roi: Array  # K: money of new customers per money spent
    climate: Array  # G x T
    sports: Array  # T


def adstock(spend: Array, carry: float) -> Array:
    """Return carried-over spend along the last axis: weights carry^k, normalised over 60 days."""
    weight = carry ** np.arange(_LAST)
    carried = np.zeros_like(spend)
    for step, share in enumerate(weight / weight.sum()):
        carried[..., step:] += share * spend[..., : spend.shape[-1] - step]
    return carried


def hill(stock: Array, half: Array, slope: float) -> Array:
    """Return the share of saturation: x^s / (h^s + x^s)."""
    powered = stock**slope
    return np.asarray(powered / (half**slope + powered))


def make_media(seed: int, days: Days, *, regions: int, confounded: bool) -> Media:
    """Draw spend, curves and the base of new customers; media cause about 30 % of them.

    Spend is flighted and partly common to all channels; with `confounded` it also chases the season.
    """
    rng = stream(seed, "media")
    span = days.history
    share = rng.dirichlet(np.full(regions, 12.0))
    season = 0.18 * np.cos(2 * np.pi * (days.year_day[:span] - 330) / 365.25) + 0.06 * np.cos(4 * np.pi * days.year_day[:span] / 365.25)
    spend = _spend(rng, share, span, season if confounded else np.zeros(span))
    roi = np.where([one.name == USELESS for one in CHANNELS], 0.0, np.exp(rng.uniform(np.log(0.6), np.log(3.5), len(CHANNELS))))
    stocks = [adstock(spend[at], one.carry) for at, one in enumerate(CHANNELS)]
    half = np.stack([stock.mean(1) for stock in stocks]) * rng.uniform(0.7, 1.8, (len(CHANNELS), 1))
    shaped = np.stack([hill(stock, half[at][:, None], CHANNELS[at].slope) for at, stock in enumerate(stocks)])
    beta = roi[:, None] * spend.sum(2) / VALUE / np.maximum(shaped.sum(2), 1e-9)
    contribution = beta[:, :, None] * shaped
    climate = np.cumsum(0.05 * rng.normal(size=(regions, span)), axis=1)
    climate -= climate.mean(1, keepdims=True)
    week = np.array([0.10, 0.06, 0.02, 0.0, -0.04, -0.12, -0.02])[days.weekday[:span]]
    event = 0.4 * days.effect[:regions, :span]
    level = np.exp(0.08 * np.arange(span) / 365.25 + season + week + event + 0.10 * climate)
    base = share[:, None] * contribution.sum((0, 1)).mean() * (0.7 / 0.3) * level / level.mean()
    return Media(
        np.array(REGIONS[:regions], dtype=object),
        spend,
        contribution,
        base,
        half,
        beta,
        roi,
        climate,
        np.cumsum(rng.normal(size=span)) * 0.1,
    )


def _spend(rng: np.random.Generator, share: Array, span: int, season: Array) -> Array:
    weeks = -(-span // 7)
    common = rng.normal(size=weeks)
    found = []
    for one in CHANNELS:
        planned = np.exp(0.35 * (0.5 * common + rng.normal(size=(len(share), weeks))) + 0.4 * rng.normal(size=weeks) - 0.15)
        on_air = (np.arange(weeks) + int(rng.integers(6))) % 6 < one.on
        daily = np.repeat(planned * on_air, 7, axis=1)[:, :span] * np.exp(0.15 * rng.normal(size=(len(share), span)) + 1.5 * season)
        found.append(np.round(one.spend * share[:, None] * daily, 2))
    return np.stack(found)


def marketing_table(seed: int, media: Media, days: Days) -> dict[str, Array]:
    """Return the marketing table: a row per day, channel and geo."""
    rng = stream(seed, "marketing")
    channels, geos, span = media.spend.shape
    day, channel, geo = (grid.ravel() for grid in np.meshgrid(np.arange(span), np.arange(channels), np.arange(geos), indexing="ij"))
    spend = media.spend[channel, geo, day]
    names = np.array([one.name for one in CHANNELS], dtype=object)
    quarter = days.dates[:span].astype("M8[M]").astype(int) // 3
    campaign = np.array([f"{1970 + at // 4} Q{at % 4 + 1}" for at in quarter], dtype=object)
    impressions = rng.poisson(spend * np.array([120.0, 25.0, 90.0, 140.0, 40.0])[channel])
    clicks = rng.binomial(impressions, np.array([0.0, 0.05, 0.012, 0.0, 0.002])[channel])
    found = {"date": days.dates[day], "channel": names[channel], "campaign": campaign[day], "geo": media.geos[geo], "spend": spend}
    return found | {"impressions": impressions.astype("f8"), "clicks": clicks.astype("f8")}


def outcome_table(seed: int, media: Media, days: Days, *, noise: float) -> dict[str, Array]:
    """Return the outcomes table per day and geo. Tracked columns add up to the total but are not what was caused."""
    rng = stream(seed, "outcomes")
    hidden = 0.01 * noise
    caused = counts(rng, media.contribution, hidden)
    free = counts(rng, media.base, hidden)
    seen = rng.binomial(caused, np.array([one.tracked for one in CHANNELS])[:, None, None])
    rest = free + (caused - seen).sum(0)
    claimed = np.zeros_like(seen)
    for at, one in enumerate(CHANNELS):
        claimed[at] = rng.binomial(free, one.claims)
    organic = np.maximum(rest - claimed.sum(0), 0)
    tracked = seen + claimed
    total = tracked.sum(0) + organic
    geos, span = media.base.shape
    day, geo = (grid.ravel() for grid in np.meshgrid(np.arange(span), np.arange(geos), indexing="ij"))
    at_row = (geo, day)
    found = {"date": days.dates[day], "geo": media.geos[geo], "new_customers": total[at_row].astype("f8")}
    found |= {f"new_customers_{one.name}": tracked[at][at_row].astype("f8") for at, one in enumerate(CHANNELS)}
    revenue = np.round(total * VALUE * np.exp(0.05 * noise * rng.normal(size=total.shape)), 2)
    found |= {"new_customers_organic": organic[at_row].astype("f8"), "revenue": revenue[at_row]}
    return found | {"consumer_climate": media.climate[at_row], "sports_index": media.sports[day]}


def experiment_table(seed: int, media: Media, days: Days) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return lift tests (28 days in one geo, customers won by the spend inside the window, 15 % error) and their truth."""
    rng = stream(seed, "experiments")
    rows = []
    for at, one in enumerate(CHANNELS[:3]):
        geo, first = int(rng.integers(len(media.geos))), int(rng.integers(_LAST, max(days.history - _TEST, _LAST + 1)))
        window = slice(first, min(first + _TEST, days.history))
        without = media.spend[at, geo].copy()
        without[window] = 0.0
        shaped = hill(adstock(without, one.carry), media.half[at, geo], one.slope)
        lift = float((media.contribution[at, geo] - media.beta[at, geo] * shaped)[window].sum())
        rows.append((f"{one.name} {media.geos[geo]}", one.name, media.geos[geo], days.dates[first], days.dates[window.stop - 1], lift))
    name, channel, geos = (np.array([row[at] for row in rows], dtype=object) for at in range(3))
    first_day, last_day = (np.array([row[at] for row in rows], "M8[D]") for at in (3, 4))
    lift_true = np.array([row[5] for row in rows])
    error = 0.15 * np.abs(lift_true)
    table = {
        "name": name,
        "channel": channel,
        "geo": geos,
        "start": first_day,
        "end": last_day,
        "lift": lift_true + error * rng.normal(size=len(rows)),
        "standard_error": error,
    }
    return table, {"name": name, "lift": lift_true}


def media_truth(media: Media) -> dict[str, Array]:
    """Return what is true of every channel: its curve, and what it returned in total and for the next unit of spend."""
    spend, won = media.spend.sum((1, 2)), media.contribution.sum((1, 2))
    step, more = 0.01, []
    for at, one in enumerate(CHANNELS):
        raised = media.beta[at][:, None] * hill(adstock(media.spend[at] * (1 + step), one.carry), media.half[at][:, None], one.slope)
        more.append((raised.sum() - won[at]) * VALUE / (step * spend[at]))
    return {
        "channel": np.array([one.name for one in CHANNELS], dtype=object),
        "adstock": np.array([one.carry for one in CHANNELS]),
        "slope": np.array([one.slope for one in CHANNELS]),
        "spend": spend,
        "customers": won,
        "roi": won * VALUE / spend,
        "marginal_roi": np.array(more),
    }


def contribution_table(media: Media, days: Days) -> dict[str, Array]:
    """Return expected new customers caused, per day, channel and geo, in the order of the marketing table; `base` is the day's rest."""
    channels, geos, span = media.spend.shape
    day, channel, geo = (grid.ravel() for grid in np.meshgrid(np.arange(span), np.arange(channels), np.arange(geos), indexing="ij"))
    names = np.array([one.name for one in CHANNELS], dtype=object)
    return {
        "date": days.dates[day],
        "channel": names[channel],
        "geo": media.geos[geo],
        "contribution": media.contribution[channel, geo, day],
        "base": media.base[geo, day],
    }


def curve_table(media: Media) -> dict[str, Array]:
    """Return the curve of every channel in every geo."""
    channels, geos = media.half.shape
    names = np.array([one.name for one in CHANNELS], dtype=object)
    keys = {"channel": np.repeat(names, geos), "geo": np.tile(media.geos, channels)}
    return keys | {"half_saturation": media.half.ravel(), "beta": media.beta.ravel()}
