"""Repair what can be repaired, and say so: every repair is a Fact with its count."""

from __future__ import annotations

from datetime import date, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from tradewind.core.answer import Fact
from tradewind.core.catalog import table_schema
from tradewind.core.errors import BadValue, EmptyTable
from tradewind.core.schema import TOO_LARGE, Column, Role, Schema, Type
from tradewind.core.table import Table
from tradewind.data.combine import combine, repeated, twins
from tradewind.data.spread import spread

HISTORY = ("sales", "orders", "outcomes", "reviews", "interactions")
"""Tables of what happened: a row of theirs cannot lie in the future."""

FIGURES = {"sales": "units", "orders": "quantity"}
GRIDS = (60, 120, 180, 240, 360, 480, 720, 30, 20, 15, 10, 5, 1)  # minutes
TWICE = 0.01  # share of rows of one series and time, as when clocks change, up to which times may still be periods
RETURNED = Column("returned", Role.PAST, Type.NUMBER, unit="units", meaning="units that came back; units are gross of them", minimum=0)
AVAILABLE = Column(
    "available", Role.AVAILABLE, Type.NUMBER, meaning="0 where nothing could be sold: out of stock or closed", minimum=0, maximum=1
)

FEWEST = 5  # different rows of a date that must all be there again before it was loaded twice
Step = tuple[pl.DataFrame, list[Fact]]


def clean(
    frame: pl.DataFrame, schema: Schema, *, table: str, zone: str = "UTC", keep_duplicates: bool = True, now: date | None = None
) -> tuple[Table, tuple[Fact, ...]]:
    """Return the table with one row per key and what was repaired.

    `zone` is where the business's days begin; `now` is its present date.
    Raises EmptyTable where no row is left, BadValue for an unknown zone.
    """
    table_schema(table)
    try:
        here = datetime.now(ZoneInfo(zone)).date()
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise BadValue(f"there is no time zone {zone!r}", hint="for example Europe/Berlin") from error
    today = now or here
    facts: list[Fact] = []
    frame = _duplicates(frame, schema, keep_duplicates, facts)  # before anything makes two different rows alike
    frame, schema = _days(frame, schema, table, zone, facts)
    frame = _finite(frame, facts)
    frame = _ranges(frame, schema, facts)
    frame = _keyed(frame, schema, table, facts)
    frame = _present(frame, schema, table, today, facts)
    frame, schema = _derive(frame, schema, table, facts)
    frame, schema = _mark(frame, schema, table, facts)
    if table == "outcomes":
        frame, schema, told = spread(frame, schema)
        facts.extend(told)
    frame, said = combine(frame, schema, table)
    facts.extend(said)
    if not frame.height:
        raise EmptyTable(
            f"no row of {table} could be kept", hint="; ".join(f"{fact.name}: {fact.value} {fact.meaning}" for fact in facts[:4])
        )
    facts.append(Fact("rows_kept", frame.height, "rows"))
    return Table(schema.select(frame.columns), frame=frame), tuple(facts)


def _days(frame: pl.DataFrame, schema: Schema, table: str, zone: str, facts: list[Fact]) -> tuple[pl.DataFrame, Schema]:
    """Bring timestamps into the workspace's zone, then to dates unless the table is a regular grid finer than a day."""
    for column in schema:
        if column.name not in frame.columns or not isinstance(frame[column.name].dtype, pl.Datetime):
            continue
        values = frame[column.name]
        if values.dtype.time_zone:  # type: ignore[attr-defined]
            values = values.dt.convert_time_zone(zone).dt.replace_time_zone(None)
            facts.append(Fact(f"time_zone.{column.name}", len(values) - values.null_count(), "values", f"moved to {zone}"))
        wanted = table_schema(table).get(column.name)
        keep = wanted is None or wanted.type is not Type.DATE
        if not keep and column.role is Role.TIME and table in ("sales", "outcomes"):
            full, late = _full(values)
            keep = _grid(frame.with_columns(full), schema, column.name)
            if keep and late:
                facts.append(Fact(f"full_periods.{column.name}", late, "seconds", "late was every time: moved to the start of its period"))
            values = full if keep else values
        kind = Type.TIMESTAMP if keep else Type.DATE
        if not keep:
            if (values.dt.truncate("1d") != values).any():
                facts.append(
                    Fact(f"time_of_day.{column.name}", len(values) - values.null_count(), "values", "the time of day was left out")
                )
            values = values.cast(pl.Date)
        frame = frame.with_columns(values)
        schema = schema.with_columns(Column(column.name, column.role, kind, column.required, column.unit, column.meaning, column.synonyms))
    return frame, schema


def _full(values: pl.Series) -> tuple[pl.Series, int]:
    """Return the times as full hours, or minutes, where all lie equally late after one, and by how many seconds they did."""
    for step in (3600, 60):
        late = (values.dt.epoch("s") % step).drop_nulls().unique()
        if len(late) == 1 and late[0]:
            return values.dt.truncate(f"{step}s"), int(late[0])
    return values, 0


def _grid(frame: pl.DataFrame, schema: Schema, time: str) -> bool:
    """Tell whether the timestamps are periods (every full hour, every 15 minutes) and not moments of purchase."""
    minutes = frame[time].drop_nulls().unique()
    clock = (minutes.dt.hour().cast(pl.Int64) * 60 + minutes.dt.minute().cast(pl.Int64)).unique()
    if (minutes.dt.second() != 0).any() or len(clock) < 2:
        return False
    step = next((grid for grid in GRIDS if (clock % grid == 0).all()), 0)
    key = tuple(name for name in schema.key if name in frame.columns)
    if step < 5 or frame.height - frame.select(key).n_unique() > TWICE * frame.height:
        return False
    series = [name for name in key if name != time]
    ordered = frame.select(*series, time).sort(*series, time)
    steps = (
        ordered.select((pl.col(time).diff().over(series) if series else pl.col(time).diff()).dt.total_minutes()).to_series().drop_nulls()
    )
    return len(steps) > 0 and int((steps == step).sum()) > 0.5 * len(steps)


def _finite(frame: pl.DataFrame, facts: list[Fact]) -> pl.DataFrame:
    """Set NaN and infinite values missing, and figures that are too large to be reckoned with: a slip."""
    floats = [name for name, dtype in frame.schema.items() if dtype.is_float()]
    if not floats:
        return frame
    odd = frame.select((pl.col(name).is_not_null() & ~pl.col(name).is_finite()).sum() for name in floats).row(0, named=True)
    for name, count in odd.items():
        if count:
            facts.append(Fact(f"not_finite.{name}", count, "values", "NaN or infinite, taken as missing"))
            frame = frame.with_columns(pl.when(pl.col(name).is_finite()).then(pl.col(name)).alias(name))
    huge = frame.select((pl.col(name).abs() > TOO_LARGE).sum() for name in floats).row(0, named=True)
    for name, count in huge.items():
        if count:
            facts.append(Fact(f"too_large.{name}", count, "values", f"beyond {TOO_LARGE:.0e}: a slip, taken as missing"))
            frame = frame.with_columns(pl.when(pl.col(name).abs() <= TOO_LARGE).then(pl.col(name)).alias(name))
    return frame


def _ranges(frame: pl.DataFrame, schema: Schema, facts: list[Fact]) -> pl.DataFrame:
    """Set values outside their column's range missing; shares given as percent are divided by 100."""
    for column in schema:
        if column.name not in frame.columns or (column.minimum is None and column.maximum is None):
            continue
        if column.minimum == 0 and column.maximum == 1:
            frame = _shares(frame, column.name, facts)
        value = pl.col(column.name)
        wrong = pl.lit(False)
        if column.minimum is not None:
            wrong = wrong | (value < column.minimum)
        if column.maximum is not None:
            wrong = wrong | (value > column.maximum)
        count = int(frame.select(wrong.sum()).item() or 0)
        if count:
            facts.append(Fact(f"impossible.{column.name}", count, "values", f"{_outside(column)}, taken as missing"))
            frame = frame.with_columns(pl.when(~wrong).then(value).alias(column.name))
    return frame


def _outside(column: Column) -> str:
    """Say what lies outside a column's range, of which one end may be open."""
    if column.maximum is None:
        return f"below {column.minimum:g}"
    return f"above {column.maximum:g}" if column.minimum is None else f"outside {column.minimum:g} to {column.maximum:g}"


def _shares(frame: pl.DataFrame, name: str, facts: list[Fact]) -> pl.DataFrame:
    """Divide percent values by 100: all of them where most are above 1, else only those above 1. Counts on a flag become 1."""
    values = frame[name].drop_nulls()
    above = int((values > 1).sum())
    if not above:
        return frame
    value = pl.col(name)
    if name == "discount":
        most = above > 0.5 * int((values > 0).sum())
        scaled = pl.when((value > 1) | most).then(value / 100).otherwise(value)
        facts.append(
            Fact(f"percent.{name}", int((values > 0).sum()) if most else above, "values", "were given as 0 to 100 and divided by 100")
        )
        return frame.with_columns(scaled.alias(name))
    facts.append(Fact(f"flag.{name}", above, "values", "above 1, taken as yes"))
    return frame.with_columns(value.clip(upper_bound=1.0))


def _keyed(frame: pl.DataFrame, schema: Schema, table: str, facts: list[Fact]) -> pl.DataFrame:
    """Drop rows without a required key; a sale without a store belongs to the store `unknown`."""
    needed = [
        column.name for column in schema if column.required and column.role in (Role.ENTITY, Role.TIME) and column.name in frame.columns
    ]
    for name in needed:
        gone = frame[name].null_count()
        if gone:
            facts.append(Fact(f"without_{name}", gone, "rows", f"dropped: no {name}"))
            frame = frame.filter(pl.col(name).is_not_null())
    if table in ("sales", "prices") and "store" in frame.columns and frame["store"].null_count():
        facts.append(Fact("unknown_store", frame["store"].null_count(), "rows", "without a store, kept under the store `unknown`"))
        frame = frame.with_columns(pl.col("store").fill_null("unknown"))
    return frame


def _present(frame: pl.DataFrame, schema: Schema, table: str, today: date, facts: list[Fact]) -> pl.DataFrame:
    """Leave out rows of history that lie in the future; a future row without a figure is a plan and stays."""
    time = schema.time
    if table not in HISTORY or time is None or time not in frame.columns:
        return frame
    future = pl.col(time).cast(pl.Date) > today
    figure = FIGURES.get(table)
    happened = future & pl.col(figure).is_not_null() if figure and figure in frame.columns else future
    count = int(frame.select(happened.sum()).item() or 0)
    if count:
        facts.append(Fact("future_rows", count, "rows", f"left out: dated after {today.isoformat()}, yet they report what happened"))
        frame = frame.filter(~happened.fill_null(False))
    return frame


def _duplicates(frame: pl.DataFrame, schema: Schema, keep: bool, facts: list[Fact]) -> pl.DataFrame:
    """Count rows that agree in every column, and drop them only when asked: two equal sales are two sales."""
    key = tuple(name for name in schema.key if name in frame.columns)
    if not key or not repeated(frame, key):
        return frame
    again = twins(frame, key)
    several = frame.filter(again)
    unique = several.unique(maintain_order=True)
    count = several.height - unique.height
    if not count:
        return frame
    if keep:
        facts.append(Fact("identical_rows", count, "rows", "agree with another row in every column; kept"))
        facts.extend(_twice(frame, several, schema.time))
        return frame
    facts.append(Fact("identical_rows", count, "rows", "agreed with another row in every column; dropped, as you asked"))
    return pl.concat([frame.filter(~again), unique])


def _twice(frame: pl.DataFrame, several: pl.DataFrame, time: str | None) -> list[Fact]:
    """Name the dates of which every single row is there again, in a file where most are not so: these were loaded twice."""
    if time is None or time not in frame.columns:
        return []
    again = several.filter(several.is_duplicated()).group_by(time).agg(pl.len().alias("again"), pl.struct(pl.all()).n_unique().alias("own"))
    days = frame.group_by(time).len().join(again, on=time, how="left")
    whole = days.filter((pl.col("again") == pl.col("len")) & (pl.col("own") >= FEWEST))[time].drop_nulls().sort()
    if not len(whole) or 2 * len(whole) > days.height:
        return []
    named = ", ".join(str(day)[:10] for day in whole.head(5)) + (f" and {len(whole) - 5} more" if len(whole) > 5 else "")
    return [Fact("loaded_twice", named, "", "every row is there again and is added up: --drop-duplicates keeps one of each")]


def _derive(frame: pl.DataFrame, schema: Schema, table: str, facts: list[Fact]) -> tuple[pl.DataFrame, Schema]:
    """Derive price from revenue, the line total from the unit price, and a promotion's last day."""
    catalog = table_schema(table)
    if table == "sales" and "revenue" in frame.columns:
        rule = pl.when((pl.col("units") > 0) & (pl.col("revenue") >= 0)).then(pl.col("revenue") / pl.col("units"))
        frame, schema = _fill(frame, schema, "price", rule, catalog=catalog, how="revenue / units", facts=facts)
    if table == "orders" and "unit_price" in frame.columns:
        frame, schema = _fill(
            frame, schema, "amount", pl.col("unit_price") * pl.col("quantity"), catalog=catalog, how="unit_price x quantity", facts=facts
        )
    if table == "promotions":
        count = frame.filter(pl.col("end") < pl.col("start")).height
        if count:
            facts.append(Fact("swapped_dates", count, "rows", "ended before they began; start and end were exchanged"))
            wrong = pl.col("end") < pl.col("start")
            start, end = pl.when(wrong).then("end").otherwise("start"), pl.when(wrong).then("start").otherwise("end")
            frame = frame.with_columns(start.alias("start"), end.alias("end"))
        frame, schema = _fill(frame, schema, "end", pl.col("start"), catalog=catalog, how="one day long: no end was given", facts=facts)
    return frame, schema


def _fill(
    frame: pl.DataFrame, schema: Schema, name: str, rule: pl.Expr, *, catalog: Schema, how: str, facts: list[Fact]
) -> tuple[pl.DataFrame, Schema]:
    before = frame[name].null_count() if name in frame.columns else frame.height
    if not before:
        return frame, schema
    made = frame.with_columns((pl.col(name).fill_null(rule) if name in frame.columns else rule).alias(name))
    filled = before - made[name].null_count()
    if not filled:
        return frame, schema
    facts.append(Fact(f"derived.{name}", filled, "values", how))
    column = catalog.get(name)
    return made, schema.with_columns(column) if column and name not in schema else schema


def _mark(frame: pl.DataFrame, schema: Schema, table: str, facts: list[Fact]) -> tuple[pl.DataFrame, Schema]:
    """Move returns to a column of their own, and mark days closed or without stock, so that neither is learned as demand."""
    if table != "sales":
        return frame, schema
    units = pl.col("units")
    returns = int((frame["units"] < 0).sum())
    if returns:
        back = -float(frame["units"].filter(frame["units"] < 0).sum())
        facts.append(Fact("returns", returns, "rows", f"negative units, moved to the column `returned` ({back:g} units); units stay gross"))
        frame = frame.with_columns(pl.when(units < 0).then(-units).otherwise(0.0).alias("returned"), units.clip(lower_bound=0))
        schema = schema.with_columns(RETURNED)
    sold = units > 0
    shut = pl.col("open") <= 0 if "open" in frame.columns else pl.lit(value=False)
    against = int(frame.select((shut & sold).sum()).item() or 0)
    if against:
        facts.append(Fact("sold_while_closed", against, "rows", "sold although marked as closed: taken as open"))
        frame = frame.with_columns(pl.when(shut & sold).then(1.0).otherwise(pl.col("open")).alias("open"))
    empty = (pl.col("stock") <= 0) & (units == 0) if "stock" in frame.columns else pl.lit(value=False)
    closed = shut & ~sold.fill_null(value=False)
    for name, marked, why in (("closed", closed, "closed"), ("stock_outs", empty & ~closed, "no stock and no sale")):
        count = int(frame.select((marked & units.is_not_null()).sum()).item() or 0)
        if count:
            facts.append(Fact(name, count, "rows", f"{why}: marked as not available, not learned as zero demand"))
    if "stock" in frame.columns or "open" in frame.columns:
        marked = pl.when(closed | empty).then(0.0).otherwise(1.0)
        given = "available" in frame.columns and frame["available"].dtype.is_numeric()
        frame = frame.with_columns((pl.min_horizontal(marked, "available") if given else marked).alias("available"))
        schema = schema.with_columns(AVAILABLE)
    return frame, schema
