"""The audit of promotions: it agrees where the panel is right, and says so where something the panel cannot see moved both."""

from __future__ import annotations

import datetime as dt

import numpy as np
import polars as pl
import pytest

from tradewind.core.catalog import TABLES
from tradewind.core.table import Table
from tradewind.models import recipe
from tradewind.models.promotion.assemble import assemble
from tradewind.models.promotion.audit import Audited, audits

WEEKS, PRODUCTS, STORES = 104, 12, 2
LIFT, DEPTH, ELASTICITY = 0.35, 0.2, -1.2
TRUTH = LIFT + ELASTICITY * np.log(1 - DEPTH)


def tables(*, heat: float) -> dict[str, Table]:
    """Return sales whose deals run by chance, or in weeks of odd temperature, which sells by itself as far as `heat` says."""
    rng = np.random.default_rng(11)
    odd = np.abs(rng.normal(size=WEEKS))
    temperature = odd * rng.choice([-1, 1], WEEKS)
    rows, deals = [], []
    for product in range(PRODUCTS):
        chance = np.where(odd > 1, 0.5, 0.06) if heat else np.full(WEEKS, 0.18)
        deal = rng.random(WEEKS) < chance
        for store in range(STORES):
            price = 5.0 * np.exp(rng.normal(0, 0.03, WEEKS)) * np.where(deal, 1 - DEPTH, 1.0)
            log_units = 4 + 0.2 * store + ELASTICITY * np.log(price / 5) + LIFT * deal + heat * (odd > 1) + rng.normal(0, 0.15, WEEKS)
            units = np.round(np.exp(log_units))
            days = [dt.date(2024, 1, 1) + dt.timedelta(weeks=at) for at in range(WEEKS)]
            rows += list(zip(days, [f"P{product}"] * WEEKS, [f"S{store}"] * WEEKS, units, price, temperature, strict=True))
        for at in np.flatnonzero(deal).tolist():
            start = dt.date(2024, 1, 1) + dt.timedelta(weeks=at)
            deals.append((f"D{product}-{at}", f"P{product}", start, start + dt.timedelta(days=6), "deal", DEPTH))
    sales = pl.DataFrame(rows, schema=["date", "product", "store", "units", "price", "temperature"], orient="row")
    deals = pl.DataFrame(deals, schema=["promotion", "product", "start", "end", "mechanic", "discount"], orient="row")
    return {"sales": Table.from_frame(sales, TABLES["sales"]), "promotions": Table.from_frame(deals, TABLES["promotions"])}


def learned(heat: float):
    one = recipe("promotion", "structural")
    return one, one.load(one.dump(one.fit(assemble(tables(heat=heat)), {}, 0)))


def test_both_agree_where_deals_ran_by_chance():
    one, book = learned(heat=0.0)
    (found,) = audits(book)
    assert found.mechanic == "mechanic_deal" and found.groups == PRODUCTS and not found.flagged
    for value, error in ((found.structural, found.structural_error), (found.audit, found.audit_error)):
        assert value == pytest.approx(TRUTH, abs=0.06) and 0 < error < 0.06
    rows = one.effects(book).frame.filter(pl.col("product") == "every product")
    assert rows["kind"].to_list() == ["mean log lift", "mean log lift, audit"]
    assert rows["effect"].to_list() == pytest.approx([found.structural, found.audit])
    asked = Table.from_columns({"product": np.array(["P1"], object), "start": np.array(["2026-01-05"], "M8[D]")})
    assert any("agrees with the mean lift of deal" in words for words in one.notes(book, asked))


def test_a_mover_of_both_that_the_panel_cannot_see_is_flagged():
    one, book = learned(heat=0.9)
    (found,) = audits(book)
    assert found.structural > TRUTH + 0.06  # the panel knows temperature as a straight line only
    assert abs(found.audit - TRUTH) < 0.5 * (found.structural - TRUTH) and found.flagged  # trees see most of it, not all
    asked = Table.from_columns({"product": np.array(["P1"], object), "start": np.array(["2026-01-05"], "M8[D]")})
    assert any("standard errors apart" in words and "deal" in words for words in one.notes(book, asked))


def test_two_standard_errors_of_the_difference_are_the_edge():
    near = Audited("mechanic_deal", 0.5, 0.03, 0.59, 0.04, cells=100, groups=12)
    assert near.apart == pytest.approx(1.8) and not near.flagged
    assert Audited("mechanic_deal", 0.5, 0.03, 0.61, 0.04, cells=100, groups=12).flagged
