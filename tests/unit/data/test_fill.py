from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from tradewind.core.schema import Column, Role, Schema, Type
from tradewind.data.fill import Grid, fill

# two series of three periods; the first lacks its second row, the second its last
GRID = Grid(np.array([0, 0, 0, 1, 1, 1]), np.array([0, 1, 2, 0, 1, 2]), np.array([0, 3, 6]), np.array([0, 2, 3, 4]), np.ones(6, bool))


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        (Column("price", Role.LEVER, unit="money"), [1.0, 2.0, 3.0, None], [1.0, 1.0, 2.0, 3.0, 3.0, 3.0]),
        (Column("promotion", Role.LEVER), [1.0, 1.0, None, 1.0], [1.0, 0.0, 1.0, 0.0, 1.0, 0.0]),
        (Column("holiday", Role.KNOWN), [0.0, 1.0, 0.0, 1.0], [0.0, 1.0, 1.0, 0.0, 1.0, 1.0]),
        (Column("weather", Role.KNOWN), [5.0, 7.0, 5.0, 6.0], [5.0, 6.0, 7.0, 5.0, 6.0, 7.0]),
        (Column("rival_price", Role.KNOWN), [5.0, 7.0, 4.0, 6.0], [5.0, 5.0, 7.0, 4.0, 6.0, 6.0]),
        (Column("size", Role.STATIC), [None, 2.0, 3.0, None], [2.0, 2.0, 2.0, 3.0, 3.0, 3.0]),
        (Column("visits", Role.PAST), [1.0, 2.0, 3.0, 4.0], [1.0, None, 2.0, 3.0, 4.0, None]),
        (Column("other", Role.INPUT), [1.0, 2.0, 3.0, 4.0], [1.0, None, 2.0, 3.0, 4.0, None]),
        (Column("name", Role.STATIC, Type.TEXT), ["x", None, None, "y"], ["x", "x", "x", "y", "y", "y"]),
        (Column("event", Role.EVENT, Type.TEXT), ["x", None, None, "y"], ["x", "y", None, "x", "y", None]),
        (Column("mechanic", Role.LEVER, Type.TEXT), ["x", None, None, "y"], ["x", None, None, None, "y", None]),
        (Column("empty", Role.INPUT, Type.TEXT), pl.Series([None] * 4, dtype=pl.String), [None] * 6),
    ],
)
def test_what_missing_means_depends_on_the_role(column, values, expected):
    target = Column("units", Role.TARGET, unit="units")
    columns = {"units": pl.Series("units", [1.0] * 4), column.name: pl.Series(column.name, values)}
    made, _ = fill(columns, Schema((target, column)), GRID, target="units")
    found = {series.name: series.to_list() for series in made}
    assert found[column.name] == expected
    assert found["available"] == [1.0] * 6
