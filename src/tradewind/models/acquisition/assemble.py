"""Business tables -> one panel: customers won by geo and credited channel, spend of every channel beside them, and what is planned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tradewind.core.errors import EmptyTable, MissingColumn, NotFound
from tradewind.core.schema import Column, Role, Schema, Type
from tradewind.core.table import Table
from tradewind.models._kit.calendar import Clock, clock_of, event_days, slug
from tradewind.models._kit.forecast.spend import PREFIX
from tradewind.models._kit.forecast.spending import ASSUMED
from tradewind.models._kit.named import ADDS_UP, WON, adds_up, named, whole

TARGET = "acquired"
NAMES = (*WON, "y")
"""Names of the column of outcomes that is forecast, where none is described as the target; the first that is there."""
MOST_CHANNELS, MOST_EVENTS = 20, 30
USUAL = {"hour": 168, "day": 56, "week": 8, "month": 12, "quarter": 4}
"""Periods of the past that unplanned spend is the mean of: whole cycles."""


def assemble(tables: Mapping[str, Table], *, country: str = "", subdivision: str = "", **_: Any) -> Table:
    """Return the modelling table: a row per geo, credited channel and period; past ones with `acquired`, planned ones without.

    `outcomes` or, without it, `customers.joined` is needed. `marketing` after the last outcome is the plan; where it ends, spend is what
    was usual of late and `assumed_CHANNEL` is 1. Raises NotFound, MissingColumn and EmptyTable.
    """
    outcomes, kpi = _outcomes(tables)
    clock = clock_of(np.unique(outcomes.column("date")))
    frame, columns = _won(outcomes, kpi, clock)
    frame = _ahead(frame, clock)
    if "marketing" in tables and len(tables["marketing"]):
        frame = _spent(frame, tables["marketing"], clock, columns)
    days = event_days(tables["events"].frame if "events" in tables else None, frame, country, subdivision).rename({"date": "_day"})
    frame = _dated(frame, days, clock, columns)
    keys = [name for name in ("geo", "channel") if name in frame.columns]
    described = tuple(columns.get(name, Column(name)) for name in frame.columns)
    return Table(Schema(described, (*keys, "date")), frame=frame.sort([*keys, "date"]))


def _outcomes(tables: Mapping[str, Table]) -> tuple[Table, str]:
    """Return outcomes and the name of their target; new customers by the day they joined where there are no outcomes."""
    if "outcomes" in tables:
        table = tables["outcomes"]
        if "date" not in table:
            raise MissingColumn('column "date" is missing in outcomes', hint=f"there are: {', '.join(table.names)}")
        if len(table) == 0:
            raise EmptyTable("the outcomes table has no rows")
        return table, _kpi(table)
    if "customers" not in tables:
        raise NotFound("no outcomes are loaded", hint="load a table of dates and new customers as outcomes, or customers with `joined`")
    return _joined(tables["customers"]), TARGET


def _kpi(table: Table) -> str:
    """Return the column that is forecast: the one described as target, else by its name, else the only number."""
    told = [name for name in table.schema.of(Role.TARGET) if name in table]
    called = named(table.names, NAMES)
    numbers = [name for name in table.names if name not in ("date", "geo") and table.frame.schema[name].is_numeric()]
    found = told[0] if told else called or whole(table.frame, numbers)
    if found is None:
        hint = f"name the column one of {', '.join(NAMES[:4])}; there are: {', '.join(numbers) or 'no numbers'}"
        raise MissingColumn("outcomes have no column of new customers or conversions", hint=hint)
    return found


def _joined(customers: Table) -> Table:
    """Count customers by the day they joined, days without any as zero."""
    import polars as pl

    if "joined" not in customers:
        raise MissingColumn('column "joined" is missing in customers', hint="or load outcomes: dates and new customers")
    days = customers.frame.select(pl.col("joined").cast(pl.Date).alias("date")).drop_nulls()
    if days.height == 0:
        raise EmptyTable("no customer has a date of joining")
    counted = days.group_by("date").agg(pl.len().cast(pl.Float64).alias(TARGET))
    every = days.select(pl.date_range(pl.col("date").min(), pl.col("date").max(), "1d").alias("date"))
    return Table.from_frame(every.join(counted, on="date", how="left", maintain_order="left").with_columns(pl.col(TARGET).fill_null(0.0)))


def _at(frame: Any, clock: Clock) -> Any:
    """Return the frame with its rows' period numbers as `_at`."""
    import polars as pl

    frame = frame.filter(pl.col("date").is_not_null())
    return frame.with_columns(pl.Series("_at", clock.number(Table.from_frame(frame.select("date")).column("date"))))


def _won(outcomes: Table, kpi: str, clock: Clock) -> tuple[Any, dict[str, Column]]:
    """Return one row per geo, credited channel and period, and what its columns are."""
    import polars as pl

    frame = _at(outcomes.frame, clock)
    geo = ["geo"] if "geo" in frame.columns else []
    frame = frame.drop_nulls(geo) if geo else frame
    credited = _credited(frame, kpi)
    own = list(credited) if credited and adds_up(frame, kpi, list(credited)) else []
    frame = _none_won(frame, kpi, own)
    roles = {column.name: column.role for column in outcomes.schema}
    ahead = [
        name
        for name in frame.columns
        if roles.get(name) in (Role.KNOWN, Role.LEVER, Role.EVENT) and frame.schema[name].is_numeric() and not name.startswith("_")
        if name not in (kpi, *own)  # a channel may be called flyer: customers won are never a plan
    ]
    summed = [pl.when(pl.col(name).is_not_null().any()).then(pl.col(name).cast(pl.Float64).sum()).alias(name) for name in own or [kpi]]
    frame = frame.group_by([*geo, "_at"], maintain_order=True).agg(*summed, *(pl.col(name).cast(pl.Float64).mean() for name in ahead))
    if own:
        frame = frame.unpivot(own, index=[*geo, "_at", *ahead], variable_name="channel", value_name=TARGET)
        frame = frame.with_columns(pl.col("channel").replace_strict(credited))
    else:
        frame = frame.rename({kpi: TARGET})
    columns = {name: Column(name, Role.ENTITY, Type.TEXT) for name in ("geo", "channel")}
    columns["date"] = Column("date", Role.TIME, Type.DATE if clock.grain.name != "hour" else Type.TIMESTAMP)
    columns[TARGET] = Column(TARGET, Role.TARGET, unit="customers", required=True, meaning=kpi)
    columns |= {name: Column(name, roles[name]) for name in ahead}
    return frame, columns


def _credited(frame: Any, kpi: str) -> dict[str, str]:
    """Return the columns that are named after the target and something more, and what more: `Sign-ups TV` beside `Sign-ups` is TV."""
    size = len(kpi)
    own = {
        name: name[size:].strip(" _-.:") for name in frame.columns if slug(name[:size]) == slug(kpi) and not name[size : size + 1].isalnum()
    }
    return {name: channel for name, channel in own.items() if channel and frame.schema[name].is_numeric()}


def _none_won(frame: Any, kpi: str, own: list[str]) -> Any:
    """Take an unknown part as nothing where the others make up the whole: exports leave out a channel that won nobody that day."""
    import polars as pl

    whole = (pl.sum_horizontal(own) - pl.col(kpi)).abs() <= ADDS_UP * pl.col(kpi).abs() if own else pl.lit(value=False)
    return frame.with_columns(pl.when(whole).then(pl.col(name).fill_null(0)).otherwise(name).alias(name) for name in own)


def _ahead(frame: Any, clock: Clock) -> Any:
    """Return every period of every series from its first to the last outcome of all, and as many more as can well be planned."""
    import polars as pl

    keys = [name for name in ("geo", "channel") if name in frame.columns]
    known = frame.filter(pl.col(TARGET).is_not_null() & pl.col(TARGET).is_not_nan())
    if known.height == 0:
        raise EmptyTable("no outcome is known: every row of the target is empty")
    last = int(known["_at"].max()) + 2 * clock.grain.horizon
    spans = known.group_by([pl.col(key) for key in keys] or [pl.lit(1).alias("_one")]).agg(pl.col("_at").min().alias("_low"))
    cells = spans.with_columns(pl.int_ranges("_low", last + 1).alias("_at")).select(*keys, "_at").explode("_at", empty_as_null=False)
    whole = cells.join(frame, on=[*keys, "_at"], how="left", maintain_order="left")
    dates = pl.Series("date", clock.date(whole["_at"].to_numpy()).astype("M8[ms]"))
    return whole.with_columns(dates if clock.grain.name == "hour" else dates.cast(pl.Date)).sort([*keys, "_at"])


def _spent(frame: Any, marketing: Table, clock: Clock, columns: dict[str, Column]) -> Any:
    """Add the spend of every channel, the geo's own where both sides know one, else the whole; unplanned spend is what was usual."""
    import polars as pl

    for name in ("date", "channel", "spend"):
        if name not in marketing:
            raise MissingColumn(f'column "{name}" is missing in marketing', hint=f"there are: {', '.join(marketing.names)}")
    given = _at(marketing.frame, clock).filter(pl.col("spend").is_not_null(), pl.col("channel").is_not_null())
    on = ["geo"] if "geo" in frame.columns and "geo" in given.columns and given["geo"].is_not_null().all() else []
    totals = given.group_by("channel").agg(pl.col("spend").sum()).sort("spend", "channel", descending=[True, False])
    last = int(frame.filter(pl.col(TARGET).is_not_null())["_at"].max())
    added: list[Any] = []
    for channel in totals["channel"].to_list()[:MOST_CHANNELS]:
        rows = given.filter(pl.col("channel") == channel)
        name = PREFIX + slug(channel)
        sums = rows.group_by([*on, "_at"]).agg(pl.col("spend").cast(pl.Float64).sum().alias(name))
        first, until = int(rows["_at"].min()), int(given["_at"].max())
        until = until if until <= last else max(int(rows["_at"].max()), last)  # a plan need not name every channel as far
        frame = frame.join(sums, on=[*on, "_at"], how="left", maintain_order="left")
        inside = pl.col("_at").is_between(first, until)
        frame = frame.with_columns(pl.when(inside).then(pl.col(name).fill_null(0.0)).otherwise(None).alias(name))
        frame = _usual(frame, name, clock, until)
        late = (pl.col("_at") > max(until, last)).cast(pl.Float64).alias(ASSUMED + slug(channel))
        added.append(late)
        columns[name] = Column(name, Role.LEVER, unit="money", minimum=0, meaning=f"spend of {channel}")
        columns[ASSUMED + slug(channel)] = Column(ASSUMED + slug(channel), Role.KNOWN, minimum=0, maximum=1)
    return frame.with_columns(added)


def _usual(frame: Any, name: str, clock: Clock, until: int) -> Any:
    """Fill spend after `until` with the mean of late, by phase of the cycle; spend before the first known one with none."""
    import polars as pl

    keys = [key for key in ("geo", "channel") if key in frame.columns]
    cycle = clock.grain.cycle if clock.grain.name != "hour" else 168
    late = frame.filter(pl.col("_at").is_between(until - USUAL[clock.grain.name] + 1, until))
    phase = (pl.col("_at") % cycle).alias("_phase")
    usual = late.with_columns(phase).group_by([*keys, "_phase"]).agg(pl.col(name).mean().alias("_usual"))
    frame = frame.with_columns(phase).join(usual, on=[*keys, "_phase"], how="left", maintain_order="left")
    filled = pl.when(pl.col("_at") > until).then(pl.col("_usual")).otherwise(pl.col(name)).fill_null(0.0)
    return frame.with_columns(filled.alias(name)).drop("_phase", "_usual")


def _dated(frame: Any, days: Any, clock: Clock, columns: dict[str, Column]) -> Any:
    """Add one flag per event name (in a longer period: the share of its days), by geo where both sides know one."""
    import polars as pl

    if days.height == 0:
        return frame.drop("_at")
    local = "geo" in frame.columns
    days = days.with_columns(pl.Series("_at", clock.number(Table.from_frame(days.select("_day")).column("_day"))))
    places = pl.DataFrame({"_geo": sorted({"", *(frame["geo"].unique().to_list() if local else [])})})
    there = days.join(places, how="cross").filter((pl.col("_place") == "") | (pl.col("_place") == pl.col("_geo")))
    there = there.filter(pl.col("_at").is_between(frame["_at"].min(), frame["_at"].max()))
    names = there["name"].value_counts(sort=True).sort("count", "name", descending=[True, False])["name"].to_list()[:MOST_EVENTS]
    share = {"week": 7.0, "month": 30.4, "quarter": 91.3}.get(clock.grain.name, 1.0)
    flags = [((pl.col("name") == name).sum() / share).clip(0, 1).cast(pl.Float64).alias(f"event_{name}") for name in sorted(names)]
    if not flags:
        return frame.drop("_at")
    wide = there.group_by(["_at", "_geo"]).agg(flags)
    place = (pl.col("geo") if local else pl.lit("")).alias("_geo")
    out = frame.with_columns(place).join(wide, on=["_at", "_geo"], how="left", maintain_order="left")
    added = [name for name in wide.columns if name.startswith("event_")]
    for name in added:
        columns[name] = Column(name, Role.EVENT, minimum=0, maximum=1)
    return out.with_columns(pl.col(name).fill_null(0.0) for name in added).drop("_geo", "_at")
