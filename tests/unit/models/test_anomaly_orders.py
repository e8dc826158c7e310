"""Single orders: slips that are found, what is said of them, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tradewind import models
from tradewind.core.errors import MissingColumn, NotFound
from tradewind.core.model import settle
from tradewind.core.table import Table
from tradewind.models._kit.world import make
from tradewind.models.anomaly import odd_orders
from tradewind.models.anomaly.assemble import assemble
from tradewind.models.anomaly.inject import SLIPS, plant_lines
from tradewind.models.anomaly.judge import exams, precisions
from tradewind.models.anomaly.lines import learn, medians

Array = np.ndarray[Any, Any]
NAMES = ("order", "product", "customer", "channel", "date", "quantity", "unit_price", "amount")


def column(values: list[Any]) -> Array:
    out = np.empty(len(values), object)
    out[:] = values
    return out


def company(seed: int, share: float = 0.01) -> tuple[Table, Array]:
    """Return a year of the sample company's orders in order of time, with slips, and the kind of each line."""
    orders = make(seed=seed, years=1.0, products=15, stores=3, customers=500, reviews=0, anomalies=0.0).tables["orders"]
    orders = orders.take(np.argsort(orders.column("date"), kind="stable"))
    figures = (orders.column(name).astype("f8") for name in ("quantity", "unit_price", "amount"))
    quantity, price, amount, kinds = plant_lines(*figures, share=share, seed=seed)
    offer = orders.column("promotion")
    return orders.with_columns({"quantity": quantity, "unit_price": price, "amount": amount, "offer": offer}), kinds


def shop(count: int = 600, seed: int = 0) -> Table:
    """Return orders of two products; the large customer takes forty pieces, all others about four."""
    rng = np.random.default_rng(seed)
    large = np.arange(count) % 10 == 0
    quantity = np.where(large, rng.poisson(40, count), rng.poisson(3, count) + 1).astype("f8")
    product = column([f"P{at % 2}" for at in range(count)])
    price = np.where(np.arange(count) % 2, 10.0, 2.5)
    return Table.from_columns(
        {
            "order": column([f"O{at}" for at in range(count)]),
            "date": np.datetime64("2024-01-01") + np.arange(count) // 6,
            "customer": column(["big" if one else f"C{at % 9}" for at, one in enumerate(large.tolist())]),
            "product": product,
            "channel": column(["store"] * count),
            "quantity": quantity,
            "unit_price": price,
            "amount": quantity * price,
        }
    )


@pytest.fixture(scope="module")
def known() -> tuple[Any, Any]:
    return learned({"orders": shop()})


def learned(tables: dict[str, Table], recipe: str = "decompose") -> tuple[Any, Any]:
    chosen = models.recipe("anomaly", recipe)
    return chosen, chosen.fit(assemble(tables), settle(chosen.knobs, {}), 0)


def line(**said: Any) -> Table:
    usual = {"order": "X1", "product": "P1", "customer": "C1", "channel": "store", "quantity": 4.0, "unit_price": 10.0}
    row = usual | {"amount": None} | said
    if row["amount"] is None:
        row["amount"] = row["quantity"] * row["unit_price"]
    columns = {name: column([value]) if isinstance(value, str) else np.array([value]) for name, value in row.items()}
    return Table.from_columns(columns | {"date": np.array(["2024-06-01"], "M8[D]")})


def robust_z(seen: Any, later: Any) -> Array:
    """Return the highest rank that a figure's robust z has among all lines': median and MAD of its product, two per cent at least."""
    far = np.zeros((len(later), 3))
    for at, name in enumerate(("quantity", "unit_price", "amount")):
        for product in np.unique(later.product.astype(str)):
            old, new = seen.figures[name][seen.product == product], later.product == product
            middle = np.median(old)
            spread = max(1.4826 * np.median(np.abs(old - middle)), 0.02 * middle)
            far[new, at] = np.abs(later.figures[name][new] - middle) / spread
    return np.stack([np.searchsorted(np.sort(far[:, at]), far[:, at], "left") for at in range(3)], 1).max(1).astype("f8")


def test_planted_slips_are_found_more_precisely_than_by_a_robust_z_per_product() -> None:
    """Learn the first 60 % of two companies' orders, slips and all, and judge the rest: the mean of both, for 75 slips are few."""
    ours, plain, clean = [], [], []
    for seed in (9, 10):
        orders, kinds = company(seed)
        assert set(kinds[kinds >= 0].tolist()) == set(range(len(SLIPS)))
        rows = odd_orders.read(orders)
        seen = np.arange(len(rows)) < 0.6 * len(rows)
        wrong = kinds[~seen] >= 0
        said = learn(rows.take(seen), 0).judge(rows.take(~seen))
        ours.append(precisions(wrong, said.score).mean())
        plain.append(precisions(wrong, robust_z(rows.take(seen), rows.take(~seen))).mean())
        clean.append(float((said.p[~wrong] <= 0.03).mean()))
    assert np.mean(ours) >= np.mean(plain) + 0.1
    assert np.mean(clean) <= 0.036, "later clean lines keep to the budget"


def test_a_line_is_judged_by_its_product_and_customer_and_said_in_words_and_money(known: tuple[Any, Any]) -> None:
    chosen, state = known
    asked = [line(), line(quantity=40.0), line(quantity=40.0, customer="big"), line(unit_price=100.0), line(amount=90.0)]
    told = [chosen.predict(state, one) for one in asked]
    rows = [{name: table.column(name)[0] for name in table.names} for table in told]
    assert [row["alert"] for row in rows] == [0, 1, 0, 1, 1]
    assert (rows[1]["kind"], rows[1]["metric"], rows[1]["class"]) == ("odd quantity", "quantity", "order")
    assert "customer C1" in rows[1]["driver"]
    assert rows[1]["severity"] == pytest.approx(abs(40 - rows[1]["mean"]) * 10.0)
    assert (rows[3]["kind"], rows[3]["units"]) == ("odd unit price", 100.0)
    assert rows[3]["mean"] == pytest.approx(10.0, rel=0.05)
    assert rows[3]["severity"] == pytest.approx(4 * 90.0, rel=0.05)
    assert rows[4]["kind"] == "odd amount"
    assert rows[4]["mean"] == pytest.approx(40.0, rel=0.02)
    assert rows[4]["severity"] == pytest.approx(50.0, rel=0.05)
    assert all(row["lo95"] <= row["lo80"] <= row["p50"] <= row["hi80"] <= row["hi95"] for row in rows)


def test_odd_lines_of_the_past_are_kept_and_shown_with_the_series() -> None:
    orders = shop()
    quantity = orders.column("quantity").copy()
    quantity[[595, 300]] = 400.0
    orders = orders.with_columns({"quantity": quantity, "amount": quantity * orders.column("unit_price")})
    chosen, state = learned({"orders": orders})
    state = chosen.load(chosen.dump(state))
    shown = chosen.expand(state, None, {})
    told = chosen.predict(state, shown)
    lines = told.take(np.array([bool(name) for name in told.column("order").tolist()]))
    assert told.column("order").tolist() == shown.column("order").tolist()
    assert "O595" in lines.column("order").tolist()
    assert "O300" not in lines.column("order").tolist(), "it lies before the periods that are shown"
    assert (lines.column("alert") == 1).all()
    series = told.take(np.array([not name for name in told.column("order").tolist()]))
    assert set(series.column("product").tolist()) == {"P0", "P1", ""}
    whole = chosen.predict(state, chosen.expand(state, 100, {"customer": ["big", "C3", "C4"]}))
    assert len(whole) == (np.array([bool(name) for name in whole.column("order").tolist()])).sum()


def test_later_lines_are_judged_without_learning_anew() -> None:
    orders = shop()
    chosen, state = learned({"orders": orders.take(np.arange(540))})
    quantity = orders.column("quantity").copy()
    quantity[599] = 900.0
    moved = chosen.update(state, assemble({"orders": orders.with_columns({"quantity": quantity})}))
    assert "O599" in moved.lines.past.order.tolist()
    assert "O599" not in state.lines.past.order.tolist()
    assert moved.lines.base is state.lines.base


def test_orders_beside_sales_leave_the_series_and_the_exams_as_they_are() -> None:
    days = np.arange(np.datetime64("2024-01-01"), np.datetime64("2024-04-10"))
    units = np.random.default_rng(0).poisson(50, len(days)).astype("f8")
    sales = Table.from_columns({"date": days, "product": column(["P1"] * len(days)), "units": units})
    _, state = learned({"sales": sales, "orders": shop()}, "decompose")
    _, alone = learned({"sales": sales}, "decompose")
    np.testing.assert_array_equal(state.cells.odds, alone.cells.odds)
    one, other = (exams(assemble(tables), folds=2, seed=0) for tables in ({"sales": sales, "orders": shop()}, {"sales": sales}))
    assert [len(exam.seen) for exam in one] == [len(exam.seen) for exam in other]


def test_a_product_never_seen_is_odd_only_beyond_all_others(known: tuple[Any, Any]) -> None:
    chosen, state = known
    strange, absurd = (
        chosen.predict(state, line(product="new", unit_price=price, customer="nobody")).column("score")[0] for price in (6.0, 9e5)
    )
    assert strange < 0.5 < absurd


def test_what_cannot_be_judged_is_refused_or_said(known: tuple[Any, Any]) -> None:
    chosen, state = known
    bare = line().select(["order", "product", "date"])
    with pytest.raises(NotFound, match="not among the odd ones"):
        chosen.predict(state, bare)
    with pytest.raises(NotFound):
        chosen.expand(state, None, {"customer": "nobody"})
    with pytest.raises(MissingColumn):
        assemble({"orders": shop().select(["order", "date", "product"])})
    few, small = learned({"orders": shop(120)}, "decompose")
    assert small.lines is None
    assert any("too few" in note for note in few.notes(small, bare))
    with pytest.raises(NotFound, match="no orders"):
        few.predict(small, line())
    free = chosen.predict(state, line(unit_price=0.0, amount=0.0))
    assert free.column("alert")[0] == 1, "a price of nothing is odd"
    back = chosen.predict(state, line(quantity=-4.0))
    assert back.column("alert")[0] == 0, "a return is judged by its size"


def test_medians_by_group_are_those_of_numpy() -> None:
    rng = np.random.default_rng(1)
    code, x = rng.integers(0, 7, 200), rng.normal(size=200)
    x[::9] = np.nan
    found, count = medians(code, x, 8)
    for one in range(7):
        known = x[(code == one) & np.isfinite(x)]
        assert found[one] == pytest.approx(np.median(known))
        assert count[one] == len(known)
    assert np.isnan(found[7])
