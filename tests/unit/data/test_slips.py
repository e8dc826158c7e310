"""Slips of the pen in prices: few and far off are set missing and said, anything else is a price."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from tradewind.core.table import Table
from tradewind.data.slips import without_slips


def sales(price: np.ndarray, product: str = "A") -> Table:
    return Table.from_frame(pl.DataFrame({"product": [product] * len(price), "price": price, "units": np.ones(len(price))}))


def usual(count: int = 200) -> np.ndarray:
    return 5.0 * np.exp(0.1 * np.random.default_rng(0).normal(size=count))


@pytest.mark.parametrize("times", [100.0, 10.0, 0.1, 0.01])
def test_a_price_with_its_point_at_the_wrong_place_is_missing_and_said(times):
    price = usual()
    price[7] *= times
    given = {"sales": sales(price), "products": sales(price)}
    made, (fact,) = without_slips(given)
    assert np.isnan(made["sales"].column("price")[7]) and np.isfinite(made["sales"].column("price")).sum() == 199
    assert fact.name == "slips.sales.price" and fact.value == 1 and f"such as {price[7]:.6g} of A, usually 5" in fact.meaning
    assert given["sales"].column("price")[7] == price[7] and made["products"] is given["products"]


def test_what_comes_often_or_is_near_or_hardly_known_is_a_price():
    often, near, new = usual(), usual(), usual(7)
    often[:20] *= 10
    near[:2] *= 4
    new[0] *= 100
    gone = np.append(usual(), [0.0, np.nan])
    for price in (often, near, new, gone):
        table = sales(price)
        made, facts = without_slips({"sales": table})
        assert facts == () and made["sales"] is table


def test_each_product_has_its_own_usual_price():
    both = Table.from_frame(pl.concat([sales(usual()).frame, sales(100 * usual(), "B").frame]))
    assert without_slips({"sales": both, "prices": both})[1] == ()


def test_a_store_that_sells_in_another_currency_has_its_own_usual_price():
    price = np.append(usual(2000), 10 * usual(20))
    stores = Table.from_frame(sales(price).frame.with_columns(store=pl.Series(["euro"] * 2000 + ["krona"] * 20)))
    assert without_slips({"sales": stores})[1] == ()
    price[-1] *= 10
    slipped = Table.from_frame(stores.frame.with_columns(price=price))
    (fact,) = without_slips({"sales": slipped})[1]
    assert fact.value == 1 and f"such as {price[-1]:.6g} of A" in fact.meaning
