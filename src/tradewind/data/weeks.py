"""Weeks that are named by their last day: brought to their first one, where calendars and days lie as they do in every other table."""

from __future__ import annotations

import re

import polars as pl

from tradewind.core.answer import Fact
from tradewind.data.match import fold

ENDING = re.compile(r"(^|_)((week|wk|period)s?_?end(s|ing)?|wochen?_?ende?|fin_(de_)?(semaine|semana|settimana)|w_?e)(_|$)")
"""Headers, folded, that say a date is the last day of its week."""


def begun(frame: pl.DataFrame, name: str, theirs: str) -> tuple[pl.DataFrame, tuple[Fact, ...]]:
    """Return the frame with the dates of a column moved to the first day of their week where its header says that they end one.

    Only dates that lie weeks apart on one weekday, also where every second week is left out: four-weekly periods and days stay as they are.
    """
    if name not in frame.columns or not ENDING.search(fold(theirs)) or not frame.schema[name].is_temporal():
        return frame, ()
    days = frame[name].cast(pl.Date).drop_nulls().unique().sort()
    steps = days.diff().dt.total_days().drop_nulls()
    if not len(days) or (len(steps) and (steps % 28 == 0).all()):
        return frame, ()
    if len(steps) and steps.min() != 7 and "period" in fold(theirs):  # of two weeks, of months
        return frame, ()
    if (steps % 7 != 0).any():
        return frame, (
            Fact("mixed_week_ends", str(days[0]), "", f"{theirs} speaks of ends of weeks, its dates are not weeks apart: kept as they are"),
        )
    moved = frame.with_columns(pl.col(name).dt.offset_by("-6d"))
    count = frame.height - frame[name].null_count()
    return moved, (Fact("week_ends", count, "values", f"{theirs} says when a week ended: moved to its first day, six days before"),)
