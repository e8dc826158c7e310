"""What an answer of the media model must say beside its numbers: per what they are, and what was never seen."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from tradewind.core.model import WHOLE
from tradewind.core.schema import Column, Role
from tradewind.core.table import Table
from tradewind.models.roi.assemble import assemble
from tradewind.models.roi.example import example
from tradewind.models.roi.fast import RECIPE as FAST


@cache
def learned() -> Any:
    tables = dict(example(0).tables)
    tables.pop("experiments")
    outcomes = tables["outcomes"]
    price = 1 + 0.1 * np.sin(np.arange(len(outcomes)))
    revenue = outcomes.column("revenue") * price**-1.5
    tables["outcomes"] = outcomes.with_columns({"revenue": revenue, "shelf_price": price}, Column("shelf_price", Role.KNOWN))
    return FAST.fit(assemble(tables), {knob.name: knob.default for knob in FAST.knobs}, 0)


def notes(price: float) -> str:
    date = learned().clock.date(np.array([learned().start + learned().cut]))
    columns = {"channel": np.array([WHOLE], object), "date": date.astype("M8[D]"), "shelf_price": np.array([price])}
    return "; ".join(FAST.notes(learned(), Table.from_columns(columns)))


def test_a_price_that_was_never_seen_is_told() -> None:
    assert "never outside" not in notes(1.05) and "never outside" not in notes(np.nan)
    for strange in (-5.0, 0.5, 2.0):
        assert "shelf_price was never outside of 0.9 to 1.1" in notes(strange)


def test_per_what_spend_and_outcome_are_is_told() -> None:
    assert "spend and revenue per week" in notes(1.0)
