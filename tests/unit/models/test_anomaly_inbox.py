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


def test_a_missing_day_is_one_incident_that_counts_its_money_once() -> None:
    units = figures(4)
    lost = np.median(units[:, [OUT - 14, OUT - 7, OUT + 7, OUT + 14]], 1).sum()
    units[:, OUT : OUT + 1] = np.nan
    found = of_days(inbox({"sales": sold(units)}), OUT, OUT)
    assert {(row["incident"], row["class"]) for row in found} == {(f"all/all/{DAYS[OUT]}", "data")}
    assert len({row["severity"] for row in found}) == 1
    assert abs(found[0]["severity"] / lost - 1) < 0.1


def test_totals_are_part_of_the_incident_of_a_part_far_beyond_its_size() -> None:
    units, promotion = figures(5), np.zeros((len(SHOPS) * SHOP, len(DAYS)))
    for series in range(len(units)):
        for start in range(8 + series % SHOP, 190, 21):
            promotion[series, start : start + 6] = 1
            units[series, start : start + 6] = np.round(units[series, start : start + 6] * 2.2)
    first = int(np.flatnonzero(np.diff(promotion[2]) > 0)[-2]) + 1
    broken = [2, 2 + SHOP, 2 + 2 * SHOP]
    units[broken, first : first + 6] = np.round(units[broken, first : first + 6] / 2.2)
    found = of_days(inbox({"sales": sold(units, promotion=promotion)}), first, first + 5)
    mine = [row for row in found if row["product"] in ("", "P2")]
    assert {row["incident"].rsplit("/", 1)[0] for row in mine} == {"P2/all"}
    assert {row["class"] for row in mine} == {"promotion"}
    assert any(row["product"] == "" for row in mine)


def test_an_incident_to_the_other_side_is_another_and_adds_nothing() -> None:
    units = figures(6)
    units[3, OUT : OUT + 2] = 5
    units[3, OUT + 2 : OUT + 4] *= 3
    series = [row for row in inbox({"sales": sold(units)}) if (row["product"], row["store"]) == ("P3", "S1")]
    names = {row["incident"] for row in of_days(series, OUT, OUT + 3)}
    assert len(names) == 2
    for name in names:
        rows = [row for row in series if row["incident"] == name]
        assert len({np.sign(row["gap"]) for row in rows}) == len({row["severity"] for row in rows}) == 1
        np.testing.assert_allclose(rows[0]["severity"], abs(sum(row["gap"] for row in rows)), rtol=1e-6)


def test_one_alert_asked_alone_names_the_incident_it_has_among_all() -> None:
    units = figures(7)
    units[:SHOP, OUT] *= 0.2
    units[2 * SHOP + 1, OUT + 5] = 0
    chosen = models.recipe("anomaly", "driven")
    state = chosen.fit(assemble({"sales": sold(units)}), settle(chosen.knobs, {}), 0)
    asked = chosen.expand(state, len(DAYS), {})
    told = chosen.predict(state, asked)
    alerts = np.flatnonzero((told.column("alert") > 0) & (told.column("date") >= DAYS[OUT]) & (told.column("date") <= DAYS[OUT + 5]))
    assert len(alerts) > 5
    for at in alerts.tolist():
        alone = chosen.predict(state, asked.take(np.arange(len(asked)) == at))
        for name in ("incident", "class", "driver"):
            assert alone.column(name)[0] == told.column(name)[at]
        np.testing.assert_allclose(alone.column("severity")[0], told.column("severity")[at])


def test_a_day_that_one_shop_repeats_is_of_its_load() -> None:
    units = figures(8)
    units[SHOP : 2 * SHOP, OUT] = units[SHOP : 2 * SHOP, OUT - 1]
    found = [row for row in inbox({"sales": sold(units)}) if row["kind"] == "duplicate"]
    assert {(row["incident"], row["class"]) for row in found} == {(f"all/S2/{DAYS[OUT]}", "data")}
    assert len([row for row in found if row["store"] == "S2"]) == SHOP + 1
    few = figures(8, mean=0.7)
    few[SHOP : 2 * SHOP, OUT] = few[SHOP : 2 * SHOP, OUT - 1]
    assert not [row for row in inbox({"sales": sold(few)}) if row["kind"] == "duplicate"], "small counts come up again by chance"


def test_a_day_that_was_added_up_twice_is_of_its_load_and_a_good_day_is_not() -> None:
    for shops, name in ((1, "all/S1"), (3, "all/all")):
        units = figures(9)
        units[: shops * SHOP, OUT] *= 2
        found = of_days(inbox({"sales": sold(units)}), OUT, OUT)
        mine = [row for row in found if row["store"] in ("", *SHOPS[:shops])]
        assert {(row["class"], row["kind"]) for row in mine} == {("data", "duplicate")}
        assert {row["incident"] for row in mine} == {f"{name}/{DAYS[OUT]}"}
        assert {("", "")} <= {(row["product"], row["store"]) for row in found}, "the total is odd by its shop's load"
    units = figures(9)
    units[:, OUT] = np.random.default_rng(10).poisson(2 * units[:, OUT])
    assert {row["class"] for row in of_days(inbox({"sales": sold(units)}), OUT, OUT)} == {"demand"}
    packs = 2 * figures(9)
    packs[:, OUT] *= 2
    assert {row["class"] for row in of_days(inbox({"sales": sold(packs)}), OUT, OUT)} == {"demand"}, "they are always even"
