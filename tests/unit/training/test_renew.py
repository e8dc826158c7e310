"""What an update compares: what the old state would have said of rows that could be sold, and nothing of what it had seen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
import pytest

from tradewind.core.errors import BadValue, LearnFailed
from tradewind.core.schema import Column, Role, Schema, Type
from tradewind.core.table import Table
from tradewind.training.renew import golden, newest, renew

SCHEMA = Schema(
    (
        Column("date", Role.TIME, Type.DATE, True),
        Column("product", Role.ENTITY, Type.TEXT, True),
        Column("units", Role.TARGET, required=True),
        Column("available", Role.AVAILABLE),
    )
)
KNOWN = np.datetime64("2024-01-10")


def table(days: int = 14, **late: float) -> Table:
    dates = np.datetime64("2024-01-01") + np.arange(days)
    units = np.where(np.arange(days) < 10, 5.0, 7.0)
    available = np.ones(days)
    available[-1] = late.get("available", 1.0)
    units[-2] = late.get("units", 7.0)
    columns = {"date": pl.Series(dates).cast(pl.Date), "product": ["a"] * days, "units": units, "available": available}
    return Table.from_frame(pl.DataFrame(columns).with_columns(pl.col("units").fill_nan(None)), SCHEMA)


class Five:
    """Says five, one unit wide, of whatever comes after what it knows; learns nothing but where it stands."""

    name, knobs = "five", ()

    def fit(self, table: Table, params: Mapping[str, Any], seed: int) -> str:
        return str(newest(table))

    def predict(self, state: str, asked: Table) -> Table:
        assert set(asked.names) == {"product", "date"}, "no actual is shown to it"
        said = np.full(len(asked), 5.0)
        around = {"lo80": said - 1, "hi80": said + 1, "lo95": said - 2, "hi95": said + 2}
        return Table.from_columns({"product": asked.column("product"), "date": asked.column("date"), "mean": said, "p50": said, **around})

    def expand(self, state: str, horizon: int | None, where: Mapping[str, Any]) -> Table:
        dates = np.datetime64(state) + 1 + np.arange(horizon or 2)
        return Table.from_columns({"product": np.full(len(dates), "a", object), "date": dates})

    def update(self, state: str, table: Table) -> str:
        return str(newest(table))

    def dump(self, state: str) -> dict[str, bytes]:
        return {"state": state.encode()}

    def load(self, parts: Mapping[str, bytes]) -> str:
        return parts["state"].decode()


OLD = {"state": b"2024-01-10"}


def test_new_rows_are_laid_beside_what_was_said() -> None:
    done = renew(Five(), OLD, table(), known_to=KNOWN)
    assert done.table.column("actual").tolist() == [7.0] * 4 and done.table.column("p50").tolist() == [5.0] * 4
    assert {"rows": 4, "from": "2024-01-11", "to": "2024-01-14", "coverage_80": 0.0, "coverage_95": 1.0}.items() <= done.compared.items()
    assert done.compared["wape"] == pytest.approx(2 / 7, abs=1e-6) and done.compared["bias"] == pytest.approx(-2 / 7, abs=1e-6)
    assert done.parts == {"state": b"2024-01-14"} and done.facts["span"] == ["2024-01-01", "2024-01-14"]
    assert str(done.golden["asked"].column("date")[0]) == "2024-01-15"


def test_what_could_not_be_sold_or_is_not_known_is_not_compared() -> None:
    done = renew(Five(), OLD, table(available=0.0, units=float("nan")), known_to=KNOWN)
    assert done.compared["rows"] == 2


def test_nothing_new_is_refused() -> None:
    with pytest.raises(BadValue, match="no actual newer"):
        renew(Five(), OLD, table(10), known_to=KNOWN)


def test_a_recipe_that_cannot_is_refused() -> None:
    with pytest.raises(BadValue, match="cannot be updated"):
        renew(object.__new__(type("Fixed", (), {"name": "fixed"})), OLD, table(), known_to=KNOWN)
    with pytest.raises(LearnFailed, match="cannot say what it can be asked"):
        golden(object.__new__(type("Mute", (), {"name": "mute"})), OLD)
