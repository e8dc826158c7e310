"""Outcomes of a row per channel to columns of each channel beside their sum."""

from __future__ import annotations

from dataclasses import replace

import polars as pl

from tradewind.core.answer import Fact
from tradewind.core.schema import Column, Role, Schema, Type
from tradewind.data.combine import is_level, repeated
from tradewind.data.match import fold

WORDS = {"channel", "channels", "kanal", "canal"}
"""Words in the name of the column that says which channel a row is credited to."""
MOST = 20  # channels; a column that holds more names something else
NOBODY = "none"  # what a row that names no channel is credited to


def spread(frame: pl.DataFrame, schema: Schema) -> tuple[pl.DataFrame, Schema, tuple[Fact, ...]]:
    """Give each amount of outcomes a column per channel, where a key has a row for each, so that adding up does not lose who won what.

    A channel without a row where others have one won nothing. The column of channels goes: it says nothing of the sum. What is credited to
    channels comes of them, and is known only afterwards: it must not explain another amount.
    """
    key = tuple(name for name in schema.key if name in frame.columns)
    names = [name for name in frame.columns if frame.schema[name] == pl.String and name not in key and set(fold(name).split("_")) & WORDS]
    if len(names) != 1 or not key or not repeated(frame, key):
        return frame, schema, ()
    credited = pl.col(names[0]).str.strip_chars().fill_null(NOBODY)
    channels = frame.select(credited.unique().sort()).to_series().to_list()
    amounts = [name for name in frame.columns if name not in key and _is_amount(schema.get(name) or Column(name))]
    made = {f"{name} {channel}": (name, channel) for name in amounts for channel in channels}
    if not 2 <= len(channels) <= MOST or not amounts or set(made) & set(frame.columns):
        return frame, schema, ()
    own = [
        pl.when(credited == channel).then(pl.col(name)).otherwise(0.0 * pl.col(name)).cast(pl.Float64).alias(column)
        for column, (name, channel) in made.items()
    ]
    columns = {name: schema.get(name) or Column(name) for name in amounts}
    described = [replace(columns[name], name=column, role=Role.PAST, required=False) for column, (name, _) in made.items()]
    described += [replace(column, role=Role.PAST) for column in columns.values() if column.role is Role.INPUT]
    said = Fact("channels", ", ".join(channels), meaning=f"of {names[0]}: a column for each beside the sum, such as {next(iter(made))}")
    return frame.with_columns(own).drop(names[0]), schema.with_columns(*described), (said,)


def _is_amount(column: Column) -> bool:
    return column.type is Type.NUMBER and column.role in (Role.INPUT, Role.TARGET) and not is_level(column.name)
