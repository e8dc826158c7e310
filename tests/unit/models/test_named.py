"""Columns of a business table that are open to any name are found however the name is written."""

from __future__ import annotations

import numpy as np
import pytest

from tradewind.core.errors import MissingColumn
from tradewind.core.table import Table
from tradewind.models._kit.named import named
from tradewind.models.acquisition import assemble as acquisition
from tradewind.models.roi import assemble as roi
from tradewind.models.seasonality import assemble as seasonality

WEEKS = np.datetime64("2023-01-02") + 7 * np.arange(60)


def test_case_spaces_and_underscores_do_not_matter() -> None:
    assert named(("date", "New Customers"), ("new_customers", "y")) == "New Customers"
    assert named(("NewCustomers",), ("new_customers",)) == "NewCustomers"
    assert named(("Revenue", "revenue"), ("revenue",)) == "revenue"
    assert named(("Sales", "Turnover"), ("turnover", "sales")) == "Turnover"
    assert named(("Net revenue",), ("revenue",)) is None
    assert named((), ("revenue",)) is None


def outcomes(name: str, **more: float) -> Table:
    values = 100 + 10 * np.sin(np.arange(len(WEEKS)))
    rest = {one.replace("_", " "): np.full(len(WEEKS), value) for one, value in more.items()}
    return Table.from_columns({"date": WEEKS, name: values, "Sunshine": np.cos(np.arange(len(WEEKS))), **rest})


def marketing() -> Table:
    columns = {"date": WEEKS, "channel": np.full(len(WEEKS), "tv", object), "spend": 5.0 + np.arange(len(WEEKS)) % 7}
    return Table.from_columns({**columns, "Responds to demand": np.ones(len(WEEKS)), "Belief": np.full(len(WEEKS), "about 2", object)})


def test_the_media_model_reads_headers_as_people_write_them() -> None:
    tables = {"outcomes": outcomes("New customers", Value_per_conversion=40.0), "marketing": marketing()}
    made = roi.assemble(tables)
    assert made.column("outcome").tolist() == tables["outcomes"].column("New customers").tolist()
    assert set(made.column("value")) == {40.0} and set(made.column("responds_tv")) == {1.0}
    assert set(made.column("belief_tv").tolist()) == {"about 2"} and "Sunshine" in made
    assert roi.assemble({**tables, "outcomes": outcomes("Turnover")}).schema.get("outcome").unit == "money"  # type: ignore[union-attr]


def test_new_customers_and_seasons_do_too() -> None:
    assert len(acquisition.assemble({"outcomes": outcomes("New customers")}))
    assert len(seasonality.assemble({"outcomes": outcomes("Turnover")}))


def test_what_is_none_of_the_names_is_told_with_what_there_is() -> None:
    with pytest.raises(MissingColumn) as caught:
        roi.assemble({"outcomes": outcomes("Netto"), "marketing": marketing()})
    assert "Netto" in caught.value.hint and "--map" in caught.value.hint
