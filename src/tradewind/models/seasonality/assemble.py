"""Business tables -> one panel: figures by category, product or geo, with the price, promotions and events that moved them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tradewind.core.errors import EmptyTable, MissingColumn, NotFound
from tradewind.core.schema import Column, Role, Schema, Type
from tradewind.core.table import Table
from tradewind.models._kit.calendar import Clock, clock_of, event_days
from tradewind.models._kit.named import WON, named, whole
from tradewind.models.seasonality.planned import FURTHEST, ahead, fitting, numbered, runs
from tradewind.models.seasonality.seasons import AHEAD, RANGE, USUAL

TARGET = "units"
MOST_EVENTS = 30
NAMES = ("new_customers", "conversions", "units", "revenue", "turnover", "orders", "neukunden", "umsatz", *WON, "sales", "kpi", "y")


def assemble(tables: Mapping[str, Table], *, country: str = "", subdivision: str = "", **_: Any) -> Table:
    """Return the modelling table: a row per series and period up to a year after the last figure; those to come have no units.

    A series is a category where products have one, else a product; stores are added up. Prices are the mean of the products' own prices
    over their usual ones (times the usual one where a series is one product), and promotions the share of usual sales that is on
    promotion, so a change of range is no change of price. Prices and promotions planned after the last figure are in it; where nothing
    is planned the price is the usual one.
    Without `sales`, the target of `outcomes` by geo. `country` adds public holidays, offline. Raises NotFound, MissingColumn, EmptyTable.
    """
    if "sales" in tables:
        frame, columns, clock, places = _of_sales(tables)
    elif "outcomes" in tables:
        frame, columns, clock, places = _of_outcomes(tables["outcomes"])
    else:
        raise NotFound("neither sales nor outcomes are loaded", hint="tradewind load FILE --table sales")
    keys = [name for name in ("category", "product", "geo") if name in frame.columns]
    frame = _ahead(frame, keys, clock)
    days = event_days(tables["events"].frame if "events" in tables else None, frame, country, subdivision)
    frame = _dated(frame, days, clock, columns, places)
    described = tuple(columns.get(name, Column(name)) for name in frame.columns)
    return Table(Schema(described, (*keys, "date")), frame=frame.sort([*keys, "date"]))


def _needed(table: Table, name: str, *names: str) -> None:
    for column in names:
        if column not in table:
            raise MissingColumn(f'column "{column}" is missing in {name}', hint=f"there are: {', '.join(table.names)}")
    if len(table) == 0:
        raise EmptyTable(f"the {name} table has no rows")


def _columns(clock: Clock) -> dict[str, Column]:
    columns = {name: Column(name, Role.ENTITY, Type.TEXT) for name in ("category", "product", "geo")}
    columns["date"] = Column("date", Role.TIME, Type.TIMESTAMP if clock.grain.name == "hour" else Type.DATE)
    columns[TARGET] = Column(TARGET, Role.TARGET, unit="units", required=True)
    columns["price"] = Column("price", Role.LEVER, minimum=0, meaning="of one product its price, of several over their usual level")
    columns[USUAL] = Column(USUAL, Role.STATIC, minimum=0, meaning="the price that counts as none")
    columns["promotion"] = Column("promotion", Role.LEVER, minimum=0, maximum=1)
    columns[RANGE] = Column(RANGE, Role.PAST, minimum=0, maximum=1, meaning="share of usual sales that was on sale")
    return columns


def _of_sales(tables: Mapping[str, Table]) -> tuple[Any, dict[str, Column], Clock, Any]:
    """Return figures and levers by series and period, and how much of sales lies in each region."""
    import polars as pl

    sales = tables["sales"]
    _needed(sales, "sales", "date", "product", "units")
    clock = clock_of(np.unique(sales.column("date")))
    cell = ["product", *(["store"] if "store" in sales else [])]
    frame = numbered(sales.frame, clock).drop_nulls(cell)
    frame = _priced(frame, tables.get("prices"), cell, clock)
    levers = [pl.col(name).cast(pl.Float64).mean() for name in ("price", "promotion", "_held") if name in frame.columns]
    known = pl.when(pl.col("units").is_not_null().any()).then(pl.col("units").cast(pl.Float64).sum()).alias(TARGET)
    frame = frame.group_by([*cell, "_at"], maintain_order=True).agg(known, *levers)
    frame = _promoted(frame, tables.get("promotions"), cell, clock)
    frame = frame.with_columns(pl.col(TARGET).mean().over(cell).fill_null(0.0).alias("_weight"))
    if "price" in frame.columns:
        sold = pl.col("price").filter(pl.col("price") > 0, pl.col(TARGET).is_not_null()).median().over(cell)
        frame = frame.with_columns(sold.alias("_usual"))
        apart = pl.when(pl.col("price") > 0).then((pl.col("price") / pl.col("_usual")).log()).clip(-FURTHEST, FURTHEST)
        frame = frame.with_columns(apart.alias("_apart"))
    products = tables.get("products")
    grouped = "product"
    if products is not None and "category" in products and products.frame["category"].drop_nulls().len() > 0:
        kinds = products.frame.select("product", "category").unique("product", keep="first")
        frame, grouped = frame.join(kinds, on="product", how="left").with_columns(pl.col("category").fill_null("other")), "category"
    places, kept = _regions(past := _past(frame), tables.get("stores"), cell, clock), _range(past, cell, grouped, clock)
    plan = ahead(frame, grouped, cell, clock, (tables.get("prices"), tables.get("promotions")))
    frame = _by_series(past, grouped).join(kept, on=[grouped, "_at"], how="left")
    frame = frame if plan is None else pl.concat([frame, plan], how="diagonal_relaxed")
    return _in_money(frame, past, grouped), _columns(clock), clock, places


def _past(frame: Any) -> Any:
    """Return the rows up to the last figure: those after it are a plan."""
    import polars as pl

    known = frame.filter(pl.col(TARGET).is_not_null() & pl.col(TARGET).is_not_nan())
    if known.height == 0:
        raise EmptyTable("no figure is known: every row of the target is empty")
    return frame.filter(pl.col("_at") <= known["_at"].max())


def _by_series(frame: Any, grouped: str) -> Any:
    """Return figures, the price over the usual one and the share on promotion by series and period."""
    import polars as pl

    made = [pl.when(pl.col(TARGET).is_not_null().any()).then(pl.col(TARGET).sum()).alias(TARGET)]
    weight = pl.col("_weight")
    if "_apart" in frame.columns:
        there = weight.filter(pl.col("_apart").is_not_null())
        made.append(((pl.col("_apart") * weight).sum() / there.sum()).fill_nan(None).exp().alias("price"))
    if "promotion" in frame.columns:
        made.append(((pl.col("promotion").fill_null(0.0) * weight).sum() / weight.sum()).fill_nan(0.0).clip(0, 1).alias("promotion"))
    return frame.group_by([grouped, "_at"], maintain_order=True).agg(made)


def _in_money(frame: Any, past: Any, grouped: str) -> Any:
    """Return prices of a series that is one product in money, and add the usual price of every series: 1 where it is several."""
    import polars as pl

    if "price" not in frame.columns:
        return frame
    cells = past.unique(["product", *(["store"] if "store" in past.columns else [])], maintain_order=True).filter(pl.col("_usual") > 0)
    mean = (pl.col("_usual") * pl.col("_weight")).sum() / pl.col("_weight").sum()
    money = pl.when((pl.col("product").n_unique() == 1) & (mean > 0)).then(mean).otherwise(1.0).alias(USUAL)
    frame = frame.join(cells.group_by(grouped, maintain_order=True).agg(money), on=grouped, how="left")
    return frame.with_columns(pl.col(USUAL).fill_null(1.0)).with_columns(pl.col("price") * pl.col(USUAL))


def _range(frame: Any, cell: list[str], grouped: str, clock: Clock) -> Any:
    """Return for each series and period which share of its usual sales was on sale then: products and stores come and go."""
    import polars as pl

    last = int(frame["_at"].max())
    quiet = clock.grain.quiet if clock.grain.cycle > 1 else 4
    sold = frame.filter(pl.col(TARGET) > 0).group_by([grouped, *(name for name in cell if name != grouped)], maintain_order=True)
    lives = sold.agg(pl.col("_at").min().alias("_low"), pl.col("_at").max().alias("_high"), pl.col(TARGET).mean().alias("_usual"))
    lives = lives.with_columns(pl.when(pl.col("_high") > last - quiet).then(last).otherwise(pl.col("_high")).alias("_high"))
    days = lives.with_columns(pl.int_ranges("_low", pl.col("_high") + 1).alias("_at")).explode("_at", empty_as_null=False)
    sums = days.group_by([grouped, "_at"], maintain_order=True).agg(pl.col("_usual").sum().alias("_sum"))
    return sums.select(grouped, "_at", (pl.col("_sum") / pl.col("_sum").max().over(grouped)).clip(0.01, 1).alias(RANGE))


def _regions(frame: Any, stores: Table | None, cell: list[str], clock: Clock) -> Any:
    """Return for each period and region which share of usual sales lies there: stores open and close. None where no region is known."""
    import polars as pl

    if stores is None or "store" not in cell or "region" not in stores:
        return None
    last = int(frame["_at"].max())
    sold = frame.filter(pl.col(TARGET) > 0).group_by("store", maintain_order=True)
    lives = sold.agg(pl.col("_at").min().alias("_low"), pl.col("_at").max().alias("_high"))
    daily = frame.group_by("store", "_at", maintain_order=True).agg(pl.col(TARGET).sum())
    daily = daily.group_by("store", maintain_order=True).agg(pl.col(TARGET).mean().alias("_usual"))
    open_ = pl.when(pl.col("_high") > last - clock.grain.quiet).then(last + AHEAD[clock.grain.name]).otherwise(pl.col("_high"))
    days = lives.with_columns(pl.int_ranges("_low", open_ + 1).alias("_at")).explode("_at", empty_as_null=False)
    both = days.join(daily, on="store", maintain_order="left").join(
        stores.frame.select("store", "region").unique("store"), on="store", how="left", maintain_order="left"
    )
    sums = both.group_by("_at", "region", maintain_order=True).agg(pl.col("_usual").sum().alias("_part"))
    whole = sums.group_by("_at", maintain_order=True).agg(pl.col("_part").sum().alias("_all"))
    return (
        sums.drop_nulls("region")
        .join(whole, on="_at")
        .select("_at", pl.col("region").alias("_place"), _there=pl.col("_part") / pl.col("_all"))
    )


def _priced(frame: Any, prices: Table | None, cell: list[str], clock: Clock) -> Any:
    """Add the price that held, where sales say none."""
    import polars as pl

    if prices is None or "price" not in prices or len(prices) == 0:
        return frame
    rows = numbered(prices.frame, clock).drop_nulls("price")
    on = fitting(rows, cell)
    one = rows.group_by([*on, "_at"]).agg(pl.col("price").last().cast(pl.Float64).alias("_held")).sort("_at")
    frame = frame.sort("_at").join_asof(one, on="_at", by=on, strategy="backward", check_sortedness=False)
    own = pl.coalesce("price", "_held") if "price" in frame.columns else pl.col("_held")
    return frame.with_columns(own.alias("price"))


def _promoted(frame: Any, promotions: Table | None, cell: list[str], clock: Clock) -> Any:
    """Add whether a promotion ran, from start to end."""
    import polars as pl

    days, on = runs(promotions, cell, clock)
    if days is None:
        return frame
    days = days.drop("_discount")
    frame = frame.join(days, on=[*on, "_at"], how="left", maintain_order="left")
    own = pl.col("promotion").fill_null(0.0) if "promotion" in frame.columns else pl.lit(0.0)
    return frame.with_columns(pl.max_horizontal(pl.col("_runs").fill_null(0.0), own).alias("promotion")).drop("_runs")


def _of_outcomes(outcomes: Table) -> tuple[Any, dict[str, Column], Clock, Any]:
    """Return the target of outcomes by geo and period, and the numbers that are known ahead."""
    import polars as pl

    _needed(outcomes, "outcomes", "date")
    numbers = [name for name in outcomes.names if name not in ("date", "geo") and outcomes.frame.schema[name].is_numeric()]
    told = [name for name in outcomes.schema.of(Role.TARGET) if name in numbers]
    target = told[0] if told else named(numbers, NAMES) or whole(outcomes.frame, numbers)
    if not target:
        raise MissingColumn(
            "outcomes have no column whose season is meant", hint=f"name it {' or '.join(NAMES[:3])}; there are: {', '.join(numbers)}"
        )
    clock = clock_of(np.unique(outcomes.column("date")))
    frame = numbered(outcomes.frame, clock)
    geo = ["geo"] if "geo" in frame.columns else []
    frame = frame.drop_nulls(geo) if geo else frame
    roles = {column.name: column.role for column in outcomes.schema}
    ahead = [name for name in numbers if name != target and roles.get(name) in (Role.KNOWN, Role.LEVER, Role.EVENT)]
    known = pl.when(pl.col(target).is_not_null().any()).then(pl.col(target).cast(pl.Float64).sum()).alias(TARGET)
    frame = frame.group_by([*geo, "_at"], maintain_order=True).agg(known, *(pl.col(name).cast(pl.Float64).mean() for name in ahead))
    return frame, _columns(clock) | {name: Column(name, roles[name]) for name in ahead}, clock, None


def _ahead(frame: Any, keys: list[str], clock: Clock) -> Any:
    """Return every period of every series from its first figure to a year after the last one of all."""
    import polars as pl

    known = frame.filter(pl.col(TARGET).is_not_null() & pl.col(TARGET).is_not_nan())
    if known.height == 0:
        raise EmptyTable("no figure is known: every row of the target is empty")
    end = int(known["_at"].max())
    spans = known.group_by([pl.col(key) for key in keys] or [pl.lit(1).alias("_one")]).agg(pl.col("_at").min().alias("_low"))
    last = end + AHEAD[clock.grain.name]
    cells = spans.with_columns(pl.int_ranges("_low", last + 1).alias("_at")).select(*keys, "_at").explode("_at", empty_as_null=False)
    whole = cells.join(frame, on=[*keys, "_at"], how="left", maintain_order="left")
    dates = pl.Series("date", clock.date(whole["_at"].to_numpy()).astype("M8[ms]"))
    whole = whole.with_columns(dates if clock.grain.name == "hour" else dates.cast(pl.Date)).sort([*keys, "_at"])
    if "price" in whole.columns:  # a price holds until the next one; after the last figure it is the planned one, or else the usual one
        past = pl.when(pl.col("_at") <= end).then(pl.col("price"))
        held, most = past.forward_fill().backward_fill(), past.quantile(0.5, "lower")
        held, most = (held.over(keys), most.over(keys)) if keys else (held, most)
        usual = pl.coalesce(USUAL, most) if USUAL in whole.columns else most
        if USUAL in whole.columns:
            whole = whole.with_columns(pl.col(USUAL).forward_fill().backward_fill().over(keys))
        whole = whole.with_columns(usual.alias(USUAL))
        whole = whole.with_columns(pl.when(pl.col("_at") <= end).then(held).otherwise(pl.coalesce("price", USUAL)).alias("price"))
    return whole.with_columns(pl.col("promotion").fill_null(0.0)) if "promotion" in whole.columns else whole


def _dated(frame: Any, days: Any, clock: Clock, columns: dict[str, Column], places: Any) -> Any:
    """Add one column per event: 1 where it is held everywhere, by geo where series have one, else the share of sales that it is held at."""
    import polars as pl

    if days.height:
        days = numbered(days, clock).filter(pl.col("_at").is_between(frame["_at"].min(), frame["_at"].max()))
    if days.height == 0:
        return frame.drop("_at")
    local = "geo" in frame.columns
    geos = pl.DataFrame({"_geo": sorted({"", *(frame["geo"].unique().to_list() if local else [])})})
    share: Any = pl.when(pl.col("_place") == "").then(1.0)
    if local:
        share = share.when(pl.col("_place") == pl.col("_geo")).then(1.0).otherwise(0.0)
    elif places is not None:
        days = days.join(places, on=["_at", "_place"], how="left")
        share = share.otherwise(pl.col("_there").fill_null(0.0))
    else:
        share = share.otherwise(1.0)
    there = days.join(geos, how="cross").with_columns(share.alias("_share")).filter(pl.col("_share") > 0)
    names = there["name"].value_counts(sort=True).sort("count", "name", descending=[True, False])["name"].to_list()[:MOST_EVENTS]
    if not names:
        return frame.drop("_at")
    length = {"week": 7.0, "month": 30.4, "quarter": 91.3}.get(clock.grain.name, 1.0)
    flags = [(pl.col("_share").filter(pl.col("name") == name).sum() / length).clip(0, 1).alias(f"event_{name}") for name in sorted(names)]
    wide = there.group_by(["_at", "_geo"]).agg(flags)
    place = (pl.col("geo") if local else pl.lit("")).alias("_geo")
    out = frame.with_columns(place).join(wide, on=["_at", "_geo"], how="left", maintain_order="left")
    added = [name for name in wide.columns if name.startswith("event_")]
    columns |= {name: Column(name, Role.EVENT, minimum=0, maximum=1) for name in added}
    return out.with_columns(pl.col(name).fill_null(0.0) for name in added).drop("_geo", "_at")
