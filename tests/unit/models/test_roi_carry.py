"""Carry-over that peaks late is found where the data say so, and nowhere else."""

from __future__ import annotations

from typing import Any

import numpy as np

from tradewind import models
from tradewind.core.model import settle
from tradewind.core.table import Table
from tradewind.models.roi.assemble import assemble
from tradewind.models.roi.carry import LATE
from tradewind.models.roi.effects import returns

FAST = models.recipe("roi", "fast")
WEEKS = 130
AT_ONCE, LATER = np.array([0.5, 0.3, 0.2]), np.array([0.05, 0.15, 0.3, 0.3, 0.15, 0.05])


def company(fades: np.ndarray) -> tuple[dict[str, Table], float]:
    """Return tables of a company whose television comes in bursts, and what a unit of it truly returned."""
    rng = np.random.default_rng(7)
    at = np.arange(WEEKS)
    tv = np.where(at % 13 < 4, 20_000 * rng.uniform(0.5, 1.5, WEEKS), 0.0)
    search = 6_000 * np.exp(rng.normal(0, 0.4, WEEKS))
    stock = np.convolve(tv, fades)[:WEEKS]
    brought = 45_000 * stock / (15_000 + stock)
    sales = 150_000 + 15_000 * np.cos(2 * np.pi * at / 52) + brought + 1.5 * search + rng.normal(0, 4_000, WEEKS)
    dates = np.datetime64("2023-01-02") + 7 * at
    marketing = {
        "date": np.tile(dates, 2),
        "channel": np.repeat(np.array(["tv", "search"], object), WEEKS),
        "spend": np.concatenate([tv, search]),
    }
    tables = {"marketing": Table.from_columns(marketing), "outcomes": Table.from_columns({"date": dates, "revenue": sales})}
    return tables, float(brought.sum() / tv.sum())


def learned(tables: dict[str, Table], **params: Any) -> Any:
    return FAST.fit(assemble(tables), settle(FAST.knobs, {"checks": False, **params}), 0)


def test_a_late_peak_is_found_and_told() -> None:
    tables, truth = company(LATER)
    state = learned(tables)
    assert state.carry == "delayed"
    assert LATE in state.notes
    low, middle, high = np.quantile(returns(state)[:, state.channels.index("tv")], [0.05, 0.5, 0.95])
    assert low < truth < high
    assert abs(middle / truth - 1) < 0.25
    after = FAST.update(FAST.load(FAST.dump(state)), assemble(tables))
    assert after.carry == "delayed"
    assert LATE in after.notes


def test_what_fades_at_once_is_left_so() -> None:
    state = learned(company(AT_ONCE)[0])
    assert state.carry == "geometric"
    assert LATE not in state.notes


def test_a_carry_that_was_named_is_kept() -> None:
    assert learned(company(LATER)[0], carry="geometric").carry == "geometric"
