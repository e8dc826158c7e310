"""Columns of outcomes that are parts of another one are no controls of roi."""

from __future__ import annotations

import numpy as np

from tradewind.core.table import Table
from tradewind.models.roi.assemble import assemble

WEEKS = 40
DATES = np.datetime64("2024-01-01") + 7 * np.arange(WEEKS)


def tables() -> dict[str, Table]:
    rng = np.random.default_rng(0)
    direct, email = rng.poisson(400, (2, WEEKS)).astype("f8")
    outcomes = {
        "date": DATES,
        "kpi": 50 + rng.poisson(100, WEEKS),
        "tourists": direct + email,
        "tourists direct": direct,
        "tourists email": email,
        "price": rng.normal(5, 0.1, WEEKS),
        "price index": rng.normal(1, 0.1, WEEKS),
    }
    marketing = {"date": DATES, "channel": np.full(WEEKS, "tv", object), "spend": rng.uniform(100, 900, WEEKS)}
    return {"outcomes": Table.from_columns(outcomes), "marketing": Table.from_columns(marketing)}


def test_a_part_is_no_control_beside_its_whole() -> None:
    assert {"tourists", "price", "price index"} == set(assemble(tables()).names) & set(tables()["outcomes"].names[2:])


def test_the_only_figure_and_its_parts_are_the_outcome() -> None:
    made = tables()
    made["outcomes"] = Table.from_columns(
        {name: made["outcomes"].column(name) for name in ("date", "tourists", "tourists direct", "tourists email")}
    )
    found = assemble(made)
    assert next(column.meaning for column in found.schema if column.name == "outcome") == "tourists"
    assert not {"tourists direct", "tourists email"} & set(found.names)


def test_what_media_bring_about_on_the_way_is_no_control() -> None:
    made = tables()
    columns = {name: made["outcomes"].column(name) for name in ("date", "kpi", "tourists")}
    way = dict.fromkeys(("visits", "Web sessions", "page_views", "app installs", "Besuche"), columns["tourists"])
    found = assemble(made | {"outcomes": Table.from_columns(columns | way)})
    assert "tourists" in found.names and not set(way) & set(found.names)
