"""The inbox: what feedback silences, which alerts are one incident, and what is wrong with a load rather than with sales."""

from __future__ import annotations

from typing import Any

import numpy as np

from tradewind import models
from tradewind.core.model import settle
from tradewind.core.table import Table
from tradewind.models.anomaly.assemble import assemble
from tradewind.models.anomaly.ranks import Ranks

Array = np.ndarray[Any, Any]
DAYS = np.arange(np.datetime64("2024-01-01"), np.datetime64("2024-07-19"))
SHOPS, PRODUCTS = ("S1", "S2", "S3"), tuple(f"P{at}" for at in range(8))
SHOP = len(PRODUCTS)  # series of one shop
OUT = 150  # the period in which something is wrong


def texts(values: list[str]) -> Array:
    out = np.empty(len(values), object)
    out[:] = values
    return out


def figures(seed: int = 0, mean: float = 60.0) -> Array:
    """Return units of every shop and product, shop by shop, by day."""
    week = np.array([0.8, 0.9, 0.95, 1.0, 1.2, 1.4, 0.75])[(DAYS.astype("i8") + 3) % 7]
    size = np.random.default_rng(seed + 100).uniform(0.6, 1.6, len(SHOPS) * SHOP)
    return np.random.default_rng(seed).poisson(mean * size[:, None] * week).astype("f8")


def sold(units: Array, **more: Array) -> Table:
    """Return the sales; there is no row where `units` are NaN."""
    there = np.isfinite(units).ravel()
    series = [(shop, product) for shop in SHOPS for product in PRODUCTS]
    columns = {
        "date": np.tile(DAYS, len(series))[there],
        "product": texts([product for _, product in series for _ in DAYS])[there],
        "store": texts([shop for shop, _ in series for _ in DAYS])[there],
        "units": units.ravel()[there],
    }
    return Table.from_columns(columns | {name: value.ravel()[there] for name, value in more.items()})


def expected(first: int, last: int, **keys: str) -> Table:
    said = {"date": DAYS[first : first + 1], "until": DAYS[last : last + 1], "name": texts(["known"]), "kind": texts(["expected"])}
    return Table.from_columns(said | {name: texts([value]) for name, value in keys.items()})


def inbox(tables: dict[str, Table], recipe: str = "driven") -> list[dict[str, Any]]:
    """Return the alerts of the whole past as rows."""
    chosen = models.recipe("anomaly", recipe)
    state = chosen.fit(assemble(tables), settle(chosen.knobs, {}), 0)
    told = chosen.predict(state, chosen.expand(state, len(DAYS), {}))
    columns = {name: told.column(name).tolist() for name in told.names}
    return [{name: columns[name][at] for name in columns} for at in np.flatnonzero(told.column("alert") > 0).tolist()]


def of_days(rows: list[dict[str, Any]], first: int, last: int) -> list[dict[str, Any]]:
    return [row for row in rows if DAYS[first] <= np.datetime64(row["date"]) <= DAYS[last]]


def test_a_missing_load_that_was_expected_is_silent_at_every_level() -> None:
    units = figures()
    units[:, OUT] = np.nan
    sales = sold(units)
    assert len(of_days(inbox({"sales": sales}), OUT, OUT)) == 36, "every series, total and the total of all"
    assert not of_days(inbox({"sales": sales, "events": expected(OUT, OUT)}), OUT, OUT)
    one = of_days(inbox({"sales": sales, "events": expected(OUT, OUT, store="S2")}), OUT, OUT)
    assert {row["store"] for row in one} == {"", "S1", "S3"}, "nobody said that the other shops were out"


def test_totals_whose_gap_is_that_of_an_expected_part_are_silent_with_it() -> None:
    units = figures(1)
    units[[0, SHOP, 2 * SHOP], OUT : OUT + 3] *= 0.1
    sales = sold(units)
    before = of_days(inbox({"sales": sales}), OUT, OUT + 2)
    assert {(row["product"], row["store"]) for row in before} >= {("", ""), ("P0", "")}
    after = of_days(inbox({"sales": sales, "events": expected(OUT, OUT + 2, product="P0")}), OUT, OUT + 2)
    assert not [row for row in after if row["product"] in ("", "P0")]
    other = of_days(inbox({"sales": sales, "events": expected(OUT, OUT + 2, product="P1")}), OUT, OUT + 2)
    assert {(row["product"], row["store"]) for row in other} >= {("", ""), ("P0", "")}, "another part excuses nothing"


def test_a_figure_of_the_past_is_ranked_against_the_others() -> None:
    ranks = Ranks(np.sort(np.random.default_rng(2).exponential(1.0, 40)), np.zeros(9), logs=True)
    worst = ranks.scores[-1:]
    assert ranks.p(worst, own=True)[0] == 1 / 40
    assert ranks.p(worst)[0] == 2 / 41, "a new figure as high has one beside it"
    assert ranks.p(ranks.scores[:1], own=True)[0] == 1
    shares = ranks.p(ranks.scores, own=True)
    assert np.allclose(shares, np.arange(40, 0, -1) / 40), "so that a budget of 3 % is one of 40"


def test_the_one_wild_month_of_five_years_is_an_alert() -> None:
    rng = np.random.default_rng(3)
    months = np.arange("2020-10", "2025-10", dtype="M8[M]").astype("M8[D]")
    revenue = 1e5 * 1.006 ** np.arange(60) * np.exp(rng.normal(0, 0.03, 60))
    revenue[40] *= 0.6
    for recipe in ("naive", "decompose", "driven"):
        found = inbox({"outcomes": Table.from_columns({"date": months, "revenue": revenue})}, recipe)
        assert [np.datetime64(row["date"]) for row in found] == [months[40]], recipe
