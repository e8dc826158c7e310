"""The sample company: one coherent shop chain with every true parameter known.

Every table of `core.catalog` comes from the equations below; `World.truth` holds their parameters. P products i, S stores s,
days t, c(i) the category of a product, r(s) the region of a store, K promotions e.

Each line: the equation, then in brackets the fields of `truth` that hold its parameters.

- demand: log mean = log base[i,s] + log week[c,weekday] + log year[c,day of year] + trend[i] t/365.25 + event[r,t] + ramp[i,t]
  + competitor[i] log(rival/list) + sum_j E[i,j] x[j,s,t] - drag[i,s,t]; ramp = log(1 - .7 exp(-age/21 days)) of a late launch
  [`products`, `elasticity`, `week`, `year`, `events`]
- price signal: x = log(regular/reference) + log(paid/regular) + attention/E[j,j], so a display works like the price cut that
  lifts as much; E is own on the diagonal, > 0 for substitutes in the category, < 0 for halo outside it [`elasticity`]
- attention: bonus[mechanic] + display[j] where displayed + feature[j] where in the leaflet [`mechanics`, `products`]
- prices: `prices.price` is the regular shelf price; `sales.price` is what was paid: regular x (1 - take[mechanic] x discount).
  Regular = list x store level x cost-driven steps x randomised tests (15 % of product-store-months, +-5 or 10 %) [`price_step`]
- pull-forward: drag on day d after the end = pull_forward[j] x sum over the event of own (lift - 1) x w[d], w = exp(-d/10) scaled
  to 1 over 35 days [`products`]
- promotion e: expected units with everything minus the same without e: gross, pulled_forward, cannibalised, halo, net;
  margin = net units x (regular - cost); roi = (margin - cost of e) / cost of e; cost = discount on the planned volume + fees [`promotions`]
- units wanted: negative binomial, variance = m + dispersion m^2, m = mean x exp(hidden weekly category-store shock + daily store
  shock); `noise` scales dispersion and both shocks [`mean`, `baseline` without promotions, `future`, `noise`]
- units sold: min(wanted, stock); stores order up to the five planned days ahead, two days to the shelf, suppliers fail [`stockouts`]
- incidents: wanted x factor: spike 1.6, dip .55, zero, shift .75 for 7 days, surge 1.35 for 5, a promotion without its lift [`anomalies`]
- new customers: base[g,t] + sum_k beta[k,g] hill(adstock(spend)); adstock weights carry^d over 60 days, normalised; hill
  x^s/(h^s + x^s); `podcast` and `sports_index` do nothing; tracked columns are not what was caused [`media`, `curves`, `contributions`]
- lift tests: customers won inside 28 days of one geo by the spend inside them, 15 % standard error [`experiments`]
- orders: Poisson(rate x days/365) of value spend x lognormal(.5), on promotion with chance `promoted`, `breadth` products; rate and
  spend are the behaviour's x lognormal(.35), breadth x lognormal(.3), promoted + normal(.12), all x behaviour noise [`customers`]
- tastes: affinity = .8 taste . factors + popularity; a customer's products are a Gumbel draw of it [`affinity`, `customers`]
- leaving: `lapsed` stop ordering on `left` for `cause`; a membership ends by a monthly hazard 1/(1 + exp(4.6 + .03 month - parts)),
  parts = .9 monthly plan, .5 invoice, .5 complaints, .35 late deliveries, .8 fee rise, 1.2 no longer shopping [`customers`]
- retention test: chance to respond = logit base + uplift where treated (half, at random) [`customers`]
- reviews: one to three aspects, feeling = the product's liking + noise, label = sign of their sum [`reviews`]

The oracle of every bar is `truth.mean` (row by row as `sales`) and `truth.future` (the planned days): the best any model could
know. Stock-outs, incidents and noise are not in it. Nothing here is heavy: numpy only.
"""

from __future__ import annotations

import contextlib
import errno
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from tradewind.core.catalog import TABLES
from tradewind.core.errors import BadValue, DiskFull, TooBig, Unreadable
from tradewind.core.schema import Column, Role, Type
from tradewind.core.table import Array, Table
from tradewind.models._kit import world_media, world_people
from tradewind.models._kit.world_orders import make_orders, make_views
from tradewind.models._kit.world_plant import LEVELS
from tradewind.models._kit.world_text import make_reviews
from tradewind.models._kit.world_trade import Trade, Wish, make_trade, plain, trade_tables, trade_truth

_MOST_ROWS = 60_000_000
_EXTRA = {
    "events": (Column("region", Role.EVENT, Type.TEXT, meaning="empty: everywhere"),),
    "customers": world_people.COLUMNS,
    "outcomes": world_media.COLUMNS,
}


@dataclass(frozen=True, slots=True)
class Truths:
    """Everything that made the world. A model never sees it; a bar compares with it."""

    products: Table  # product, category, base, elasticity, competitor, display, feature, pull_forward, trend, dispersion, launched, ended
    elasticity: Array  # P x P: d log units of row / d log price of column; own on the diagonal
    mechanics: Table  # mechanic, take, bonus
    promotions: Table  # promotion, ..., lift, base, gross, pulled_forward, cannibalised, halo, net, cost, margin, roi
    week: Table  # category, weekday (0 = Monday), index
    year: Table  # category, day (0-365), index
    events: Table  # name, kind, region, effect, before, lead: log effects
    price_step: tuple[str, str, float]  # category, date, log size: the one category-wide step
    closed_stores: Mapping[str, str]  # store -> last day open
    mean: Table  # date, product, store, mean, baseline: the rows of sales
    future: Table  # the same for the planned days
    stockouts: Table  # date, product, store, demand, sold
    anomalies: Table  # incident, level, product, category, store, start, end, kind, factor
    media: Table  # channel, adstock, slope, spend, customers, roi, marginal_roi
    curves: Table  # channel, geo, half_saturation (adstocked spend a day), beta (new customers a day at full saturation)
    contributions: Table  # date, channel, geo, contribution, base
    experiments: Table  # name, lift
    customers: Table  # customer, segment, rate, spend, promoted, breadth, left, cause, cancelled, member_cause, hazard, uplift, taste_*
    affinity: Array  # customers x products
    reviews: Table  # review, aspect, sentiment, language
    noise: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class World:
    """The business tables by name, and the truth behind them."""

    tables: Mapping[str, Table]
    truth: Truths
    seed: int
    start: str  # first day of the calendar; the shops may be closed on it
    end: str  # last day of sales; promotions, prices and events go on to the end of the plan
    plan: int  # days of plan


def make(
    *,
    seed: int = 7,
    years: float = 2.0,
    products: int = 60,
    stores: int = 8,
    customers: int = 2000,
    start: str = "2024-01-01",
    plan: int = 60,
    noise: float = 1.0,
    behaviour_noise: float | None = None,
    anomalies: float = 1.0,
    anomaly_level: str = "product",
    stockouts: float = 1.0,
    promotions: float = 1.0,
    uplift: float = 1.0,
    reviews: int = 3000,
    confounded: bool = False,
) -> World:
    """Make the sample company; the same arguments give the same bytes on one machine.

    `noise` scales what no model can know in sales and outcomes, `behaviour_noise` the overlap of customer segments (default: `noise`).
    `anomalies` is incidents per series and year (0: none), `stockouts` and `promotions` scale how often, `uplift` what the retention
    offer does (0: nothing). With `confounded`, prices, promotions and spend chase demand, nothing is randomised.
    Raises BadValue, TooBig.
    """
    history = _days(years, start)
    behaviour = noise if behaviour_noise is None else behaviour_noise
    wish = Wish(
        seed,
        start,
        history,
        plan,
        products,
        stores,
        customers,
        noise,
        behaviour,
        anomalies,
        anomaly_level,
        stockouts,
        promotions,
        uplift,
        reviews,
        confounded,
    )
    _check(wish)
    trade = make_trade(wish)
    tables = trade_tables(trade)
    truth = trade_truth(trade) | _add_media(tables, wish, trade) | _add_people(tables, wish, trade)
    truth["noise"] = _noise(trade, behaviour)
    last = str(trade.days.dates[history - 1])
    return World(MappingProxyType({name: _table(name, rows) for name, rows in tables.items()}), Truths(**truth), seed, start, last, plan)


def _days(years: float, start: str) -> int:
    try:
        first = np.datetime64(start, "D")
    except ValueError as error:
        raise BadValue(f"start must be a date, not {start!r}", hint="as in 2024-01-01") from error
    if not np.datetime64("1990-01-01") <= first <= np.datetime64("2090-01-01"):
        raise BadValue(f"start must lie between 1990 and 2090, not {start}")
    if not 0.25 <= years <= 20:
        raise BadValue(f"years must lie between 0.25 and 20, not {years}")
    return round(years * 365.25)


def _check(wish: Wish) -> None:
    low = {"seed": 0, "plan": 0, "products": 1, "stores": 1, "customers": 0, "reviews": 0}
    high = {"plan": 400, "products": 20_000, "stores": 5_000, "customers": 1_000_000, "reviews": 1_000_000}
    for name, least in low.items():
        value = getattr(wish, name)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= high.get(name, 2**63):
            raise BadValue(f"{name} must be a whole number of at least {least}, not {value!r}", hint=f"at most {high.get(name, 2**63)}")
    for name in ("noise", "behaviour_noise", "anomalies", "stockouts", "promotions", "uplift"):
        value = getattr(wish, name)
        if not 0 <= value <= (5 if name != "anomalies" else 50):
            raise BadValue(f"{name} must lie between 0 and {5 if name != 'anomalies' else 50}, not {value!r}")
    if wish.anomaly_level not in LEVELS:
        raise BadValue(f"there is no level {wish.anomaly_level!r}", hint=f"levels: {', '.join(LEVELS)}")
    rows = wish.products * wish.stores * wish.history
    if rows > _MOST_ROWS:
        raise TooBig(f"that world has {rows:,} sales rows", hint=f"at most {_MOST_ROWS:,}")


def _add_media(tables: dict[str, dict[str, Array]], wish: Wish, trade: Trade) -> dict[str, Any]:
    days = trade.days
    media = world_media.make_media(wish.seed, days, regions=wish.regions, confounded=wish.confounded)
    tables["marketing"] = world_media.marketing_table(wish.seed, media, days)
    tables["outcomes"] = world_media.outcome_table(wish.seed, media, days, noise=wish.noise)
    tables["experiments"], lifts = world_media.experiment_table(wish.seed, media, days)
    return {
        "media": plain(world_media.media_truth(media)),
        "curves": plain(world_media.curve_table(media)),
        "contributions": plain(world_media.contribution_table(media, days)),
        "experiments": plain(lifts),
    }


def _add_people(tables: dict[str, dict[str, Array]], wish: Wish, trade: Trade) -> dict[str, Any]:
    seed, days, market = wish.seed, trade.days, trade.market
    people = world_people.make_people(seed, market, days, count=wish.customers, noise=wish.behaviour_noise)
    gained = np.zeros(0)
    if wish.customers:
        tables["customers"] = world_people.customer_table(seed, people, market, days, region=tables["stores"]["region"])
        tables["orders"] = make_orders(seed, people, market, days, trade.effects)
        tables["interactions"] = make_views(seed, people, market, days)
        tables["treatments"], gained = world_people.treatment_table(seed, people, days, effect=wish.uplift)
    items, dates = market.categories[market.category], days.dates[: days.history]
    written = make_reviews(seed, count=wish.reviews, days=dates, products=market.products, items=items, customers=people.names)
    if wish.reviews:
        tables["reviews"] = written.table
    known = world_people.people_truth(people, days, uplift=gained)
    return {"customers": plain(known), "affinity": people.affinity, "reviews": plain(written.truth)}


def _noise(trade: Trade, behaviour: float) -> Mapping[str, float]:
    hidden = trade.noise
    sizes = {
        "dispersion": float(hidden.dispersion.mean()),
        "store_day": hidden.store_day,
        "category_week": hidden.category_week,
        "carry": hidden.carry,
    }
    return MappingProxyType(sizes | {"behaviour": behaviour})


def _table(name: str, rows: dict[str, Array]) -> Table:
    schema = TABLES[name].with_columns(*_EXTRA.get(name, ()))
    return Table.from_columns(rows, schema).checked(schema)


def write(world: World, folder: Path, *, kind: Literal["csv", "parquet"] = "csv") -> list[Path]:
    """Save every business table as a file in the folder (made if absent), the way a user would bring them; returns the files.

    Raises BadValue, DiskFull, Unreadable; a file is whole or not there.
    """
    if kind not in ("csv", "parquet"):
        raise BadValue(f"cannot write {kind!r}", hint="csv or parquet")
    found = []
    for name, table in world.tables.items():
        data = io.BytesIO()
        if kind == "csv":
            table.frame.write_csv(data)
        else:
            table.frame.write_parquet(data)
        found.append(folder / f"{name}.{kind}")
        _save(found[-1], data.getbuffer())
    return found


def _save(path: Path, data: memoryview) -> None:
    half = path.with_suffix(".part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        half.write_bytes(data)
        half.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            half.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"the disk is full: {path.name} was not written", hint=f"free space for {path.parent}") from error
        raise Unreadable(f"cannot write {path}: {error.strerror}", hint="give a folder that can be written") from error
