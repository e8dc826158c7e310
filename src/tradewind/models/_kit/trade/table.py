"""Business tables -> one table of a row per series and period: sales, prices, promotions and what is planned."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from tradewind.core.errors import BadValue, EmptyTable, InvalidInput, MissingColumn
from tradewind.core.schema import Column, Role, Schema, Type
from tradewind.core.table import Table
from tradewind.models._kit.calendar import GRAINS, Clock, clock_of, holiday_dates
from tradewind.models._kit.trade import unplaced
from tradewind.models._kit.trade.columns import COLUMNS, WORKED_OUT
from tradewind.models._kit.trade.follows import follows, restates

KEYS = ("product", "store")
MOST_AHEAD = 26  # planned periods that are laid out after the last sale
MOST_EVENTS = 48  # names of calendar events told apart, the most frequent first
LEAD = 7  # days before a named event that are a lever of their own
ENOUGH_DAYS = 0.5  # of the days of a period must have been sold on, else it is not learned from
_OWN = ("units", "revenue", "price", "promotion", "stock", "discount", "display", "feature", "unit_cost", "competitor_price", "returned")


def assemble(tables: Mapping[str, Table], *, country: str = "", subdivision: str = "", daily: bool = False) -> Table:
    """Return the modelling table of price and promotion.

    Weeks from Monday unless sales are weekly or longer already; with `daily`, days are kept where prices move from day to day. A period
    sums units over the days that sold with stock on the shelf; `open` is their share. Raises MissingColumn, EmptyTable, BadValue.
    """
    sales = _checked(tables["sales"])
    keys = [name for name in KEYS if name in sales]
    clock, length = _clock(sales, keys, daily=daily)
    frame, extras = _summed(sales, keys, clock, length)
    frame = _ahead(frame, tables, keys, clock)
    frame, left = _promoted(frame, tables.get("promotions"), keys, clock)
    frame = _priced(frame, tables.get("prices"), keys, clock)  # after what ran: a shelf price is worked out of periods without any
    frame = _described(frame, tables)
    frame, events = _dated(frame, tables, clock, country, subdivision)
    described = {column.name: column for column in COLUMNS}
    for name in extras:
        described[name] = Column(name, Role.INPUT)
    for name in events:
        described[name] = Column(name, Role.EVENT, minimum=0, maximum=1)
    for name in ("category", "brand", "region"):
        described[name] = Column(name, Role.STATIC, Type.TEXT)
    described["list_price"] = Column("list_price", Role.STATIC, unit="money")
    if "prices" not in tables or len(tables["prices"]) == 0:
        described["regular"] = Column("regular", Role.LEVER, unit="money", meaning=WORKED_OUT)
    if left:
        described["event"] = Column("event", Role.LEVER, Type.TEXT, meaning=left)
    names = [name for name in described if name in frame.columns]
    schema = Schema(tuple(described[name] for name in names), ("date", *keys))
    return Table(schema, frame=frame.select(names).sort([*keys, "date"]))


def _checked(sales: Table) -> Table:
    """Refuse what cannot be read as sales; raises MissingColumn, EmptyTable, BadValue."""
    import polars as pl

    for name in ("date", "product", "units"):
        if name not in sales:
            raise MissingColumn(f'column "{name}" is missing in sales', hint=f"there are: {', '.join(sales.names)}")
    if len(sales) == 0:
        raise EmptyTable("the sales table has no rows")
    if "price" in sales and (np.nan_to_num(sales.column("price").astype("f8"), nan=1.0) < 0).any():
        raise BadValue('column "price" of sales holds negative prices', hint="a refund is a row of negative units, not a negative price")
    keys = [name for name in KEYS if name in sales]
    frame = sales.frame.filter(pl.col("date").is_not_null(), pl.all_horizontal(pl.col(key).is_not_null() for key in keys))
    if frame.height == 0:
        raise EmptyTable("no row of sales has a date and a product")
    return Table(sales.schema, frame=frame)


def _clock(sales: Table, keys: list[str], *, daily: bool) -> tuple[Clock, float]:
    """Return the clock of the periods, and how many days of sales make one: one where sales came by the period already."""
    clock = clock_of(np.unique(sales.column("date")))
    if clock.grain.name not in ("hour", "day"):
        return clock, 1.0
    if daily and "price" in sales and _moves_daily(sales, keys):
        return Clock(GRAINS["day"]), 1.0
    return Clock(GRAINS["week"]), 7.0


def _moves_daily(sales: Table, keys: list[str]) -> bool:
    """Tell whether most of what a series' price does happens from one day to the next."""
    import polars as pl

    logged = sales.frame.filter(pl.col("price") > 0).with_columns(p=pl.col("price").log(), week=pl.col("date").dt.truncate("1w"))
    whole = logged.select((pl.col("p") - pl.col("p").mean().over(keys)).pow(2).mean()).item() or 0.0
    inside = logged.select((pl.col("p") - pl.col("p").mean().over([*keys, "week"])).pow(2).mean()).item() or 0.0
    return bool(inside > 0.5 * whole)


def _summed(sales: Table, keys: list[str], clock: Clock, length: float) -> tuple[Any, list[str]]:
    """Return one row per series and period that sold, and the names of further numeric columns."""
    import polars as pl

    frame = sales.frame
    if "open" in frame.columns:  # a day closed is no day on which nobody wanted anything
        frame = frame.filter(~((pl.col("open") <= 0) & (pl.col("units") == 0)).fill_null(value=False)).drop("open")
    extras = [
        name
        for name, kind in frame.schema.items()
        if name not in (*_OWN, *keys, "date") and kind.is_numeric() and frame[name].n_unique() > 1
    ]
    unheld = follows(sales, keys, extras) | restates(sales, keys, extras)
    extras = [name for name in extras if name not in unheld]
    frame = frame.group_by(["date", *keys], maintain_order=True).agg(
        [_whole(name) if name in ("units", "revenue") else pl.col(name).mean() for name in (*_OWN, *extras) if name in frame.columns]
    )
    if "stock" in frame.columns:  # an empty shelf hides what was wanted
        frame = frame.filter(~((pl.col("stock") <= 0) & pl.col("stock").is_not_null() & pl.col("units").is_not_null()))
    if "price" not in frame.columns and "revenue" in frame.columns:
        frame = frame.with_columns(price=pl.when(pl.col("units") > 0).then(pl.col("revenue") / pl.col("units")))
    frame = _at(frame, "date", clock).with_columns(pl.col("units").cast(pl.Float64).fill_nan(None))
    names = [name for name in (*_OWN, *extras) if name in frame.columns and name not in ("units", "revenue", "stock", "returned")]
    made = frame.group_by(["date", *keys], maintain_order=True).agg(
        pl.col("units").drop_nulls().sum().alias("units"),
        pl.col("units").is_not_null().sum().alias("_days"),
        *(pl.col(name).cast(pl.Float64).fill_nan(None).mean() for name in names),
    )
    made = made.with_columns(open=(pl.col("_days") / length).clip(0, 1).cast(pl.Float64))
    made = made.with_columns(units=pl.when(pl.col("_days") > 0).then(pl.col("units")))
    enough = pl.col("open") >= (ENOUGH_DAYS if length > 1 else 1e-9)
    return made.with_columns(units=pl.when(enough).then(pl.col("units").clip(0, None).cast(pl.Float64))).drop("_days"), extras


def _whole(name: str) -> Any:
    """Return the sum of a column, empty where nothing of it is known."""
    import polars as pl

    return pl.when(pl.col(name).is_not_null().any()).then(pl.col(name).sum()).alias(name)


def _at(frame: Any, name: str, clock: Clock) -> Any:
    import polars as pl

    days = Table.from_frame(frame.select(name)).column(name)
    return frame.with_columns(pl.Series(name, clock.date(clock.number(days)).astype("M8[ms]")).cast(pl.Date))


def _ahead(frame: Any, tables: Mapping[str, Table], keys: list[str], clock: Clock) -> Any:
    """Add the planned periods of every series that still sells, as far as rows of sales without units, promotions or prices go ahead."""
    import polars as pl

    known = frame.filter(pl.col("units").is_not_null())
    if known.height == 0:
        raise EmptyTable("no period of sales has units")
    last = known["date"].max()
    numbers = [int(clock.number(np.array([last], "M8[D]"))[0])]
    ends = [frame["date"].max()]
    if "promotions" in tables and len(tables["promotions"]):
        ends += [tables["promotions"].frame["end"].drop_nulls().max()]
    if "prices" in tables and len(tables["prices"]):
        ends += [tables["prices"].frame["date"].drop_nulls().max()]
    numbers += [int(number) for number in clock.number(np.array([end for end in ends if end is not None], "M8[D]"))]
    ahead = clock.date(np.arange(numbers[0] + 1, min(max(numbers), numbers[0] + MOST_AHEAD) + 1))
    if not len(ahead):
        return frame
    dates = pl.DataFrame({"date": pl.Series(ahead.astype("M8[ms]")).cast(pl.Date)})
    recent = clock.date(np.array([numbers[0] - 4])).astype("M8[D]").tolist()[0]
    living = known.filter(pl.col("date") >= recent).select(keys).unique(maintain_order=True)
    plan = frame.filter(pl.col("date") > last, pl.col("date") <= dates["date"].max())
    cells = living.join(dates, how="cross").join(plan, on=[*keys, "date"], how="anti")
    return pl.concat([frame.filter(pl.col("date") <= last), plan, cells], how="diagonal_relaxed")


def _priced(frame: Any, prices: Table | None, keys: list[str], clock: Clock) -> Any:
    """Add `regular` (and cost, competitor) from the prices table, each row holding until the next; or work `regular` out of prices paid."""
    import polars as pl

    if prices is not None and len(prices):
        if (np.nan_to_num(prices.column("price").astype("f8"), nan=1.0) < 0).any():
            raise BadValue('column "price" of prices holds negative prices', hint="prices are zero or more")
        frame = _held(frame, prices, keys, clock)
    if "regular" not in frame.columns:
        frame = _worked_out(frame, keys)
    if "price" not in frame.columns:
        if frame["regular"].is_null().all():
            raise InvalidInput("no price is known", hint="load a prices table, or sales with a price or revenue column")
        frame = frame.with_columns(price=pl.when(pl.col("units").is_not_null()).then(pl.col("regular")))
    return frame.with_columns(
        pl.when(pl.col(name) > 0).then(pl.col(name)).forward_fill().backward_fill().over(keys).alias(name) for name in ("regular",)
    ).with_columns(price=pl.when(pl.col("price") > 0).then(pl.col("price")))


def _held(frame: Any, prices: Table, keys: list[str], clock: Clock) -> Any:
    import polars as pl

    names = [name for name in ("price", "competitor_price", "unit_cost") if name in prices]
    given = _at(prices.frame.filter(pl.col("date").is_not_null(), pl.col("product").is_not_null()), "date", clock)
    on = [key for key in keys if key in given.columns]
    frame = frame.with_columns(
        pl.lit(None, pl.Float64).alias(there)
        for there in ("regular", "competitor_price", "unit_cost")
        if (there if there != "regular" else "price") in names and there not in frame.columns
    )
    everywhere = given.filter(pl.col("store").is_null()).drop("store") if "store" in on else given.drop("store", strict=False)
    parts = [(everywhere, ["product"])] + ([(given.filter(pl.col("store").is_not_null()), on)] if "store" in on else [])
    for rows, by in parts:
        if rows.height == 0:
            continue
        one = rows.group_by([*by, "date"]).agg(pl.col(name).drop_nulls().last().alias(f"_{name}") for name in names).sort("date")
        frame = frame.sort("date").join_asof(one, on="date", by=by, strategy="backward", check_sortedness=False)
        for name in names:
            there = "regular" if name == "price" else name
            frame = frame.with_columns(pl.coalesce(f"_{name}", there).alias(there)).drop(f"_{name}")
    return frame.sort([*keys, "date"])


def _worked_out(frame: Any, keys: list[str]) -> Any:
    """Take for the shelf price what was paid most in the quarter around: the middle of unpromoted periods, or of all."""
    import polars as pl

    if "price" not in frame.columns:
        return frame.with_columns(regular=pl.lit(None, pl.Float64))
    flagged = "promotion" in frame.columns and (frame["promotion"].fill_null(0) > 0).any()
    frame = frame.sort([*keys, "date"])
    if flagged:
        plain = pl.when(pl.col("promotion").fill_null(0) <= 0).then(pl.col("price"))
        middle = plain.rolling_median(13, min_samples=1, center=True).over(keys)
        return frame.with_columns(regular=pl.coalesce(middle, pl.col("price")))
    middle = pl.col("price").rolling_median(13, min_samples=1, center=True).over(keys)
    return frame.with_columns(regular=middle)


def _promoted(frame: Any, promotions: Table | None, keys: list[str], clock: Clock) -> tuple[Any, str]:
    """Add what runs in each period: the longest where several do, with the share of the period's days; and say what runs in none."""
    import polars as pl

    marks = ("promotion", "discount", "display", "feature")
    frame = frame.with_columns(
        (pl.col(name).fill_null(0.0).fill_nan(0.0).clip(0, 1) if name in frame.columns else pl.lit(0.0)).alias(name) for name in marks
    )
    text = {"mechanic": pl.String, "event": pl.String, "start": pl.Date, "end": pl.Date, "spend": pl.Float64}
    frame = frame.with_columns(pl.lit(None, kind).alias(name) for name, kind in text.items())
    if promotions is None or len(promotions) == 0:
        return frame, ""
    given = _given(promotions)
    on = [key for key in keys if key in given.columns]
    days = given.with_columns(pl.date_ranges("start", "end").alias("date")).explode("date")
    days = _at(days, "date", clock)
    length = 7.0 if clock.grain.name == "week" else 1.0
    everywhere = days.filter(pl.col("store").is_null()).drop("store") if "store" in on else days.drop("store", strict=False)
    parts = [(everywhere, ["product"])] + ([(days.filter(pl.col("store").is_not_null()), on)] if "store" in on else [])
    fields = ("event", "start", "end", "mechanic", "spend", "discount", "display", "feature")
    for rows, by in parts:
        if rows.height == 0:
            continue
        one = rows.group_by([*by, "date", "event"], maintain_order=True).agg(
            (pl.len() / length).clip(0, 1).alias("promotion"), *(pl.col(name).first() for name in fields if name != "event")
        )
        one = one.sort(["promotion", "event"], descending=[True, False]).group_by([*by, "date"], maintain_order=True).first()
        one = one.rename({name: f"_{name}" for name in (*fields, "promotion")})
        frame = frame.join(one, on=[*by, "date"], how="left", maintain_order="left")
        there = pl.col("_event").is_not_null()
        frame = frame.with_columns(
            pl.when(there).then(pl.col(f"_{name}")).otherwise(pl.col(name)).alias(name) for name in (*fields, "promotion")
        ).drop(f"_{name}" for name in (*fields, "promotion"))
    left = unplaced.found(promotions, given, frame, keys, clock)
    share = pl.col("promotion")
    return frame.with_columns(
        pl.when(pl.col("event").is_not_null()).then(pl.col(name).fill_null(0.0) * share).otherwise(pl.col(name).fill_null(0.0)).alias(name)
        for name in ("display", "feature")
    ).with_columns(pl.col("discount").fill_null(0.0)), left


def _given(promotions: Table) -> Any:
    """Return the promotions that can be laid on days; raises BadValue where an end lies before its start."""
    import polars as pl

    frame = promotions.frame.filter(pl.col("start").is_not_null(), pl.col("product").is_not_null())
    frame = frame.with_columns(pl.coalesce("end", "start").alias("end"))
    if (frame["end"] < frame["start"]).any():
        raise BadValue("a promotion ends before it starts", hint="start and end are inclusive days")
    named = {"promotion": "event", "cost": "spend"}
    frame = frame.rename({old: new for old, new in named.items() if old in frame.columns})
    for name in ("discount", "display", "feature", "spend"):
        kind = pl.col(name).cast(pl.Float64) if name in frame.columns else pl.lit(None if name == "spend" else 0.0, pl.Float64)
        frame = frame.with_columns(kind.alias(name))
    if (frame["spend"].fill_nan(0.0) < 0).any():
        raise BadValue(
            'column "cost" of promotions holds negative amounts', hint="trade spend is zero or more; leave out what is not known"
        )
    mechanic = pl.col("mechanic").cast(pl.String) if "mechanic" in frame.columns else pl.lit("promotion")
    return frame.with_columns(mechanic.fill_null("promotion").alias("mechanic"), pl.col("event").cast(pl.String))


def _described(frame: Any, tables: Mapping[str, Table]) -> Any:
    """Add category, brand, list price and cost of the product, and the region of the store."""
    import polars as pl

    if "products" in tables:
        names = [name for name in ("category", "brand", "list_price", "unit_cost") if name in tables["products"]]
        one = (
            tables["products"].frame.select("product", *(pl.col(name).alias(f"_{name}") for name in names)).unique("product", keep="first")
        )
        frame = frame.join(one, on="product", how="left", maintain_order="left")
        for name in names:
            value = pl.coalesce(name, f"_{name}") if name in frame.columns else pl.col(f"_{name}")
            frame = frame.with_columns(value.alias(name)).drop(f"_{name}")
    if "stores" in tables and "store" in frame.columns and "region" in tables["stores"]:
        one = tables["stores"].frame.select("store", "region").unique("store", keep="first")
        frame = frame.join(one, on="store", how="left", maintain_order="left")
    return frame


def _dated(frame: Any, tables: Mapping[str, Table], clock: Clock, country: str, subdivision: str) -> tuple[Any, list[str]]:
    """Add the share of each period's days that a named event takes, and the days before it; in its region where that is known."""
    import polars as pl

    days = _event_days(frame, tables, country, subdivision)
    if days is None or days.height == 0 or clock.grain.name not in ("day", "week"):
        return frame, []
    days = _at(days, "date", clock)
    length = 7.0 if clock.grain.name == "week" else 1.0
    local = "region" in frame.columns
    inside = days.filter(pl.col("date").is_in(frame["date"].unique().implode()))
    names = sorted(inside["name"].value_counts(sort=True)["name"].to_list()[:MOST_EVENTS])
    place = pl.col("region").fill_null("") if local else pl.lit("")
    frame = frame.with_columns(place.alias("_place"))
    for name in names:
        rows = inside.filter(pl.col("name") == name).group_by("date", "_place").agg((pl.len() / length).clip(0, 1).alias(name))
        whole = rows.filter(pl.col("_place") == "").drop("_place").rename({name: "_all"})
        frame = frame.join(whole, on="date", how="left", maintain_order="left").join(
            rows.filter(pl.col("_place") != ""), on=["date", "_place"], how="left", maintain_order="left"
        )
        frame = frame.with_columns(pl.max_horizontal(pl.col(name), pl.col("_all")).fill_null(0.0).alias(name)).drop("_all")
    return frame.drop("_place"), names


def _event_days(frame: Any, tables: Mapping[str, Table], country: str, subdivision: str) -> Any:
    import polars as pl

    rows: list[tuple[str, Any, Any, str]] = []
    if "events" in tables:
        events = tables["events"].frame.filter(pl.col("date").is_not_null(), pl.col("name").is_not_null())
        until = events["until"].to_list() if "until" in events.columns else [None] * events.height
        region = events["region"].to_list() if "region" in events.columns else [None] * events.height
        dates, names = events["date"].cast(pl.Date).to_list(), events["name"].to_list()
        rows = [(_slug(name), date, end or date, place or "") for name, date, end, place in zip(names, dates, until, region, strict=True)]
    elif country:
        years = range(frame["date"].min().year, frame["date"].max().year + 1)
        rows = [(_slug(name), date, date, "") for name, found in holiday_dates(country, subdivision, years).items() for date in found]
    if not rows:
        return None
    made = pl.DataFrame(rows, schema={"name": pl.String, "start": pl.Date, "end": pl.Date, "_place": pl.String}, orient="row")
    on = made.with_columns(date=pl.date_ranges("start", pl.max_horizontal("start", "end")))
    before = made.with_columns(
        date=pl.date_ranges(pl.col("start").dt.offset_by(f"-{LEAD}d"), pl.col("start").dt.offset_by("-1d")),
        name=pl.col("name") + "_before",
    )
    return pl.concat([on, before]).select("name", "_place", "date").explode("date").unique(maintain_order=True)


def _slug(text: str) -> str:
    return "event_" + re.sub(r"\W+", "_", text.lower()).strip("_")[:40]
