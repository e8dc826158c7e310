"""Business tables -> one table of series: every product in every store, and the totals above them; or every outcome of every region."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tradewind.core.errors import EmptyTable, MissingColumn
from tradewind.core.schema import Column, Role, Schema, Type
from tradewind.core.table import Table
from tradewind.models._kit.calendar import holiday_dates
from tradewind.models.anomaly.grid import KEYS

EXPECTED = "expected"  # the kind of an event that says: this was known, do not report it
AHEAD = 400  # days of the calendar beyond the last figure
LEVERS = ("promotion", "discount", "display", "feature")
MOST_MECHANICS = 8


def assemble(tables: Mapping[str, Table], *, country: str = "", subdivision: str = "", **_: Any) -> Table:
    """Return a row per series and period: `units`, what was paid and promoted, events, what one unit is worth, and its labels.

    Sales make a series of every product x store, of every product, of every store and of everything (an empty key means all);
    identical rows count once and are marked. `outcomes` alone make a series of every numeric column and region (`metric`, `store`).
    Orders alone are added up to sales; in any case every order line is a row of its own, told by `order`, without `units`.
    Events of kind "expected" mark the periods of the product or store they name, or all, those without a row too.
    Raises MissingColumn and EmptyTable.
    """
    import polars as pl

    if "sales" in tables:
        frame, columns = _sales(tables)
    elif "outcomes" in tables:
        frame, columns = _outcomes(tables["outcomes"])
    elif "orders" in tables:
        frame, columns = _sales({**tables, "sales": _daily(tables["orders"])})
    else:
        raise MissingColumn("there are no sales, no outcomes and no orders to look at", hint="load one of them")
    events = tables["events"].frame if "events" in tables else None
    frame = _expected(frame, events, columns)
    frame = _calendar(frame, _named(events, country, subdivision, frame), columns)
    keys = [name for name in KEYS if name in frame.columns]
    if "orders" in tables:
        frame = _with_lines(frame, tables["orders"], columns)
    described = tuple(columns.get(name, Column(name)) for name in frame.columns)
    return Table(
        Schema(described, ("date", *keys)), frame=frame.sort([*keys, "date"], nulls_last=True).with_columns(pl.col("units").cast(float))
    )


def _sales(tables: Mapping[str, Table]) -> tuple[Any, dict[str, Column]]:
    import polars as pl

    sales = tables["sales"]
    for name in ("date", "product", "units"):
        if name not in sales:
            raise MissingColumn(f'column "{name}" is missing in sales', hint=f"there are: {', '.join(sales.names)}")
    if len(sales) == 0:
        raise EmptyTable("the sales table has no rows")
    keys = ["product", "store"] if "store" in sales else ["product"]
    frame = sales.frame.filter(pl.col("date").is_not_null(), pl.col("product").is_not_null())
    twice = frame.is_duplicated()
    frame = frame.with_columns(twice.cast(pl.Float64).alias("duplicated")) if twice.any() else frame
    frame = _summed(frame.unique(maintain_order=True) if twice.any() else frame, keys)
    frame = _priced(frame, tables.get("prices"), keys)
    frame = _promoted(frame, tables.get("promotions"), keys)
    frame = _local(frame, tables)
    frame = _worth(frame, keys)
    labels = _labels(frame, tables, columns := _columns(frame, sales))
    return _levels(labels, keys), columns


def _summed(frame: Any, keys: list[str]) -> Any:
    """Return one row per key and date: units added up, zero where they are missing in a row that is there, prices as averaged."""
    import polars as pl

    chosen = [name for name in ("units", "revenue", "price", "stock", "duplicated", *LEVERS) if name in frame.columns]
    numbers = [pl.col(name).cast(pl.Float64, strict=False) for name in chosen]
    if "open" in frame.columns:  # whoever is closed sells nothing, and that is no incident
        frame = frame.with_columns(pl.when((pl.col("open") > 0).fill_null(value=True)).then("units").alias("units"))
    frame = frame.select("date", *(pl.col(key).cast(pl.String) for key in keys), *numbers)
    if not frame.select("date", *keys).is_duplicated().any():
        return frame
    ways = {"units": "sum", "revenue": "sum", "price": "mean", "stock": "sum"}
    made = [getattr(pl.col(name), ways.get(name, "max"))() for name in chosen]
    return frame.group_by(["date", *keys], maintain_order=True).agg(made)


def _priced(frame: Any, prices: Table | None, keys: list[str]) -> Any:
    """Add prices where no sale says one: each row of `prices` holds until the next, one without a store for every store."""
    import polars as pl

    if prices is None or len(prices) == 0:
        return frame
    names = [name for name in ("price", "competitor_price") if name in prices]
    given = prices.frame.filter(pl.col("date").is_not_null())
    on = [key for key in keys if key in given.columns and given[key].null_count() < given.height]
    given = given.select(pl.col("date").cast(frame.schema["date"]), *(pl.col(key).cast(pl.String) for key in on), *names)
    given = given.group_by([*on, "date"]).agg(pl.col(name).drop_nulls().mean().cast(pl.Float64).alias(f"_{name}") for name in names)
    frame = frame.sort("date").join_asof(given.sort("date"), on="date", by=on, strategy="backward", check_sortedness=False)
    for name in names:
        old = pl.col(name) if name in frame.columns else pl.lit(None, pl.Float64)
        frame = frame.with_columns(pl.coalesce(old, f"_{name}").alias(name)).drop(f"_{name}")
    return frame


def _promoted(frame: Any, promotions: Table | None, keys: list[str]) -> Any:
    """Add promotions day by day: whether one runs, how deep, of which mechanic, with which support."""
    import polars as pl

    if promotions is None or len(promotions) == 0:
        return frame
    given = promotions.frame.filter(pl.col("start").is_not_null(), pl.col("end") >= pl.col("start"))
    measures = [name for name in LEVERS[1:] if name in given.columns]
    kinds = (
        given["mechanic"].drop_nulls().value_counts(sort=True)["mechanic"].to_list()[:MOST_MECHANICS] if "mechanic" in given.columns else []
    )
    flags = [pl.lit(1.0).alias("promotion"), *(pl.col(name).cast(pl.Float64).fill_null(0.0) for name in measures)]
    flags += [
        (pl.col("mechanic") == kind).fill_null(value=False).cast(pl.Float64).alias(f"mechanic_{_slug(kind)}") for kind in sorted(kinds)
    ]
    names = ["promotion", *measures, *(f"mechanic_{_slug(kind)}" for kind in sorted(kinds))]
    on = [key for key in keys if key in given.columns and given[key].null_count() < given.height]
    days = given.with_columns(pl.date_ranges("start", "end").alias("date")).with_columns(flags)
    days = days.select(*(pl.col(key).cast(pl.String) for key in on), "date", *names).explode("date")
    days = days.with_columns(pl.col("date").cast(frame.schema["date"])).group_by([*on, "date"]).agg(pl.col(name).max() for name in names)
    frame = frame.join(days.rename({name: f"_{name}" for name in names}), on=[*on, "date"], how="left", maintain_order="left")
    for name in names:
        old = pl.col(name).fill_null(0.0) if name in frame.columns else pl.lit(0.0)
        frame = frame.with_columns(pl.max_horizontal(old, pl.col(f"_{name}").fill_null(0.0)).alias(name)).drop(f"_{name}")
    return frame


def _slug(text: str) -> str:
    return re.sub(r"\W+", "_", str(text).lower()).strip("_")[:40]


def _local(frame: Any, tables: Mapping[str, Table]) -> Any:
    """Add whether an event of the store's own region is on."""
    import polars as pl

    events, stores = tables.get("events"), tables.get("stores")
    if events is None or stores is None or "region" not in events or "region" not in stores or "store" not in frame.columns:
        return frame
    days = _spans(events.frame.filter(pl.col("region").is_not_null()))
    if days.height == 0:
        return frame
    days = days.select(
        pl.col("region").cast(pl.String), pl.col("date").cast(frame.schema["date"]), pl.lit(1.0).alias("local_event")
    ).unique()
    where = stores.frame.select(pl.col("store").cast(pl.String), pl.col("region").cast(pl.String)).unique(subset=["store"])
    frame = frame.join(where, on="store", how="left").join(days, on=["region", "date"], how="left", maintain_order="left")
    return frame.with_columns(pl.col("local_event").fill_null(0.0)).drop("region")


def _spans(events: Any) -> Any:
    """Return a row per event and day."""
    import polars as pl

    until = pl.coalesce("until", "date") if "until" in events.columns else pl.col("date")
    return events.with_columns(pl.date_ranges(pl.col("date"), pl.max_horizontal(until, pl.col("date"))).alias("date")).explode("date")


def _worth(frame: Any, keys: list[str]) -> Any:
    """Add what one unit is worth: revenue over units, else the middle price, else one."""
    import polars as pl

    if "revenue" in frame.columns:
        value = pl.col("revenue").sum().over(keys) / pl.col("units").filter(pl.col("revenue").is_not_null()).sum().over(keys)
    elif "price" in frame.columns:
        value = pl.col("price").median().over(keys)
    else:
        value = pl.lit(1.0)
    return frame.with_columns(pl.when(value.is_finite()).then(value).otherwise(1.0).fill_null(1.0).abs().alias("worth"))


def _columns(frame: Any, sales: Table) -> dict[str, Column]:
    when = sales.schema.get("date") or Column("date", Role.TIME, Type.DATE)
    found = {
        "date": Column("date", Role.TIME, when.type),
        "product": Column("product", Role.ENTITY, Type.TEXT),
        "store": Column("store", Role.ENTITY, Type.TEXT),
        "units": Column("units", Role.TARGET, unit="units"),
        "revenue": Column("revenue", Role.PAST, unit="money"),
        "stock": Column("stock", Role.PAST, unit="units"),
        "price": Column("price", Role.LEVER, unit="money"),
        "competitor_price": Column("competitor_price", Role.KNOWN, unit="money"),
        "worth": Column("worth", Role.STATIC, unit="money"),
        "duplicated": Column("duplicated", Role.KNOWN),
        "local_event": Column("local_event", Role.KNOWN),
    }
    return found | {name: Column(name, Role.LEVER) for name in frame.columns if name in LEVERS or name.startswith("mechanic_")}


def _labels(frame: Any, tables: Mapping[str, Table], columns: dict[str, Column]) -> Any:
    import polars as pl

    products = tables.get("products")
    if products is None or len(products) == 0:
        return frame
    names = [name for name in ("category", "brand") if name in products]
    one = products.frame.select(pl.col("product").cast(pl.String), *(pl.col(name).cast(pl.String) for name in names)).unique(
        subset=["product"]
    )
    columns |= {name: Column(name, Role.STATIC, Type.TEXT) for name in names}
    return frame.join(one, on="product", how="left", maintain_order="left")


def _levels(frame: Any, keys: list[str]) -> Any:
    """Add the totals of every product, every store and everything; what is known of a period is averaged by usual size."""
    import polars as pl

    frame = frame.with_columns(pl.col("units").mean().abs().fill_null(0.0).over(keys).alias("_size"))
    sums = [name for name in ("units", "revenue", "stock") if name in frame.columns]
    texts = [name for name in ("category", "brand") if name in frame.columns]
    means = [name for name in frame.columns if name not in (*keys, "date", "_size", *sums, *texts)]
    weight = pl.col("_size") + 1e-9

    def total(by: list[str]) -> Any:
        made = [pl.when(pl.col(name).count() > 0).then(pl.col(name).sum()).alias(name) for name in sums]
        made += [
            ((pl.col(name) * weight).sum() / weight.filter(pl.col(name).is_not_null()).sum()).fill_nan(None).alias(name) for name in means
        ]
        made += [pl.col(name).drop_nulls().first().alias(name) for name in texts if "product" in by]
        return frame.group_by(["date", *by], maintain_order=True).agg(made)

    several = [key for key in keys if frame[key].n_unique() > 1]
    found = [frame]
    if len(several) == 2:
        found += [total([key]) for key in several]
    if several:
        found.append(total([]))
    return pl.concat(found, how="diagonal_relaxed").drop("_size")


def _outcomes(outcomes: Table) -> tuple[Any, dict[str, Column]]:
    import polars as pl

    frame = outcomes.frame.filter(pl.col("date").is_not_null())
    numbers = [name for name in frame.columns if name not in ("date", "geo") and frame.schema[name].is_numeric()]
    if not numbers or frame.height == 0:
        raise EmptyTable("the outcomes hold no figures", hint="a date and at least one numeric column")
    keys = ["geo"] if "geo" in frame.columns and frame["geo"].null_count() < frame.height else []
    frame = frame.unpivot(on=numbers, index=["date", *keys], variable_name="metric", value_name="units")
    frame = frame.with_columns(pl.col("units").cast(pl.Float64)).rename({"geo": "store"} if keys else {})
    when = outcomes.schema.get("date") or Column("date", Role.TIME, Type.DATE)
    columns = {
        "date": Column("date", Role.TIME, when.type),
        "metric": Column("metric", Role.ENTITY, Type.TEXT),
        "store": Column("store", Role.ENTITY, Type.TEXT),
        "units": Column("units", Role.TARGET),
        "worth": Column("worth", Role.STATIC, unit="money"),
    }
    if keys:
        frame = frame.group_by(["date", "metric", "store"], maintain_order=True).agg(pl.col("units").sum())
    return frame.with_columns(pl.lit(1.0).alias("worth")), columns


def _daily(orders: Table) -> Table:
    """Return orders as sales: what was ordered and paid of each product on each day."""
    import polars as pl

    for name in ("date", "product", "quantity"):
        if name not in orders:
            raise MissingColumn(f'column "{name}" is missing in orders', hint=f"there are: {', '.join(orders.names)}")
    amount = pl.col("amount") if "amount" in orders else pl.col("quantity") * pl.col("unit_price") if "unit_price" in orders else None
    made = [pl.col("quantity").sum().cast(pl.Float64).alias("units")]
    made += [] if amount is None else [amount.sum().cast(pl.Float64).alias("revenue")]
    frame = orders.frame.with_columns(pl.col("date").cast(pl.Date)).group_by("date", "product").agg(made).sort("product", "date")
    when, what = Column("date", Role.TIME, Type.DATE), Column("product", Role.ENTITY, Type.TEXT)
    schema = Schema((when, what, *(Column(name) for name in frame.columns[2:])), ("date", "product"))
    return Table(schema, frame=frame)


def _with_lines(frame: Any, orders: Table, columns: dict[str, Column]) -> Any:
    """Add a row for every order line; those without order, product or date are left out."""
    import polars as pl

    given = orders.frame.rename({"promotion": "offer"}) if "promotion" in orders else orders.frame  # of a series, that name is a share
    texts = [name for name in ("order", "product", "customer", "channel", "offer") if name in given.columns]
    numbers = [name for name in ("quantity", "unit_price", "amount") if name in orders]
    if not {"order", "product"} <= set(texts) or not numbers:
        return frame
    columns |= {name: Column(name, Role.ENTITY, Type.TEXT) for name in texts} | {name: Column(name, Role.INPUT) for name in numbers}
    lines = given.select(
        pl.col("date").cast(frame.schema["date"]),
        *(pl.col(name).cast(pl.String) for name in texts),
        *(pl.col(name).cast(pl.Float64, strict=False) for name in numbers),
    )
    return pl.concat([frame, lines.drop_nulls(["date", "order", "product"])], how="diagonal_relaxed")


def _expected(frame: Any, events: Any, columns: dict[str, Column]) -> Any:
    """Mark the periods that someone said were to be expected; those without a row get one, so that a missing load can be marked, too."""
    import polars as pl

    if events is None or "kind" not in events.columns:
        return frame
    days = _spans(events.filter(pl.col("kind").cast(pl.String).str.to_lowercase() == EXPECTED))
    if days.height == 0:
        return frame
    columns[EXPECTED] = Column(EXPECTED, Role.EVENT)
    on = [key for key in KEYS if key in days.columns and key in frame.columns]
    frame = _with_absent(frame, days["date"])
    mark = pl.lit(0.0)
    day = frame["date"].cast(pl.Date)
    for row in days.select("date", *on).unique(maintain_order=True).iter_rows(named=True):
        here = day == row["date"]
        for key in on:
            if row[key]:
                here &= (frame[key] == str(row[key])).fill_null(value=False)
        mark = pl.max_horizontal(mark, pl.lit(here.cast(pl.Float64)))
    return frame.with_columns(mark.alias(EXPECTED)).filter(~pl.col("_absent") | (pl.col(EXPECTED) > 0)).drop("_absent")


def _with_absent(frame: Any, days: Any) -> Any:
    """Add a row without a figure for every series that has none on one of the days, where periods are days or shorter; `_absent` tells.

    The total of everything gets none: without keys and figure a row would be one of the calendar.
    """
    import polars as pl

    keys = [name for name in KEYS if name in frame.columns]
    frame = frame.with_columns(pl.lit(value=False).alias("_absent"))
    date = pl.col("date").cast(pl.Date)
    steps = frame.select(date.unique().sort().diff().min()).item()
    if not keys or steps is None or steps.days > 1:
        return frame
    wanted = days.cast(pl.Date).filter(days.cast(pl.Date).is_between(*frame.select(date.min().alias("a"), date.max().alias("b")).row(0)))
    moments = frame.select((pl.col("date") - date.cast(frame.schema["date"])).unique().alias("_time"))
    moments = pl.DataFrame({"date": wanted.unique()}).join(moments, how="cross")
    moments = moments.select((pl.col("date").cast(frame.schema["date"]) + pl.col("_time")).cast(frame.schema["date"]).alias("date"))
    fixed = [name for name in ("worth", "category", "brand") if name in frame.columns]
    series = frame.filter(pl.any_horizontal(pl.col(keys).is_not_null())).select(*keys, *fixed).unique(subset=keys, keep="last")
    absent = series.join(moments, how="cross").join(frame.select("date", *keys), on=["date", *keys], how="anti", nulls_equal=True)
    return pl.concat([frame, absent.with_columns(pl.lit(value=True).alias("_absent"))], how="diagonal_relaxed")


def _named(events: Any, country: str, subdivision: str, frame: Any) -> Any:
    """Return name and day of every event that is held everywhere, and of the public holidays of the country."""
    import polars as pl

    empty = pl.DataFrame(schema={"name": pl.String, "date": pl.Date})
    found = [empty]
    if events is not None and events.height:
        everywhere = events.filter(pl.col("date").is_not_null(), pl.col("name").is_not_null())
        if "region" in events.columns:
            everywhere = everywhere.filter(pl.col("region").is_null())
        if "kind" in events.columns:
            everywhere = everywhere.filter((pl.col("kind").cast(pl.String).str.to_lowercase() != EXPECTED).fill_null(value=True))
        spans = _spans(everywhere).select(pl.col("name").map_elements(_slug, return_dtype=pl.String), pl.col("date").cast(pl.Date))
        found.append(spans)
    if country:
        years = range(frame["date"].min().year, frame["date"].max().year + 2)
        rows = [(_slug(name), date) for name, dates in holiday_dates(country, subdivision, years).items() for date in dates]
        found.append(pl.DataFrame(rows, schema={"name": pl.String, "date": pl.Date}, orient="row"))
    return pl.concat(found).unique(maintain_order=True)


def _calendar(frame: Any, named: Any, columns: dict[str, Column]) -> Any:
    """Add a flag per event name, and rows without a key for the days to come, so that they are known ahead."""
    import polars as pl

    if named.height == 0:
        return frame
    names = sorted(set(named["name"].to_list()))
    flags = [(pl.col("name") == name).any().cast(pl.Float64).alias(f"event_{name}") for name in names]
    wide = named.group_by("date").agg(flags).rename({"date": "_day"})
    last = frame["date"].cast(pl.Date).max()
    later = wide.filter(pl.col("_day") > last, pl.col("_day") <= last + pl.duration(days=AHEAD))
    frame = (
        frame.with_columns(pl.col("date").cast(pl.Date).alias("_day")).join(wide, on="_day", how="left", maintain_order="left").drop("_day")
    )
    if later.height:
        frame = pl.concat(
            [frame, later.with_columns(pl.col("_day").cast(frame.schema["date"]).alias("date")).drop("_day")], how="diagonal_relaxed"
        )
    for name in names:
        columns[f"event_{name}"] = Column(f"event_{name}", Role.EVENT)
    return frame.with_columns(pl.col(f"event_{name}").fill_null(0.0) for name in names)
