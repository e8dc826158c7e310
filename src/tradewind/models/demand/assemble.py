"""Business tables -> one panel: what sold, at which price, under which promotion and event, and what is planned."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tradewind.core.errors import EmptyTable, LearnFailed, MissingColumn
from tradewind.core.schema import Column, Role, Schema, Type
from tradewind.core.table import Table
from tradewind.models._kit.calendar import Clock, clock_of, holiday_dates, slug
from tradewind.models._kit.panel import CLOSED
from tradewind.models.demand.cuts import after_cuts

KEYS = ("product", "store")
MOST_CELLS = 20_000_000  # a grid larger than this is left to the alignment, and promotions on days without sales are lost
MANY, FEW_ROWS = 5_000, 5  # more series than this with fewer rows each (mean) are till receipts and no panel
MOST_EVENTS = 30  # event names told apart; the most frequent first
CALENDAR = re.compile(
    r"event|holiday|easter|christmas|good_friday|new_year|labor_day|independence|memorial|thanksgiving|festival|music_fest|cup\b|_cup|games"
)
NOTHING = ("0", "0.0", "no", "none", "nan", "false", "regular", "normal")  # what a column of holidays says of any other day
_PLAN = ("promotion", "discount", "display", "feature")


def assemble(tables: Mapping[str, Table], *, country: str = "", subdivision: str = "", **_: Any) -> Table:
    """Return the modelling table: a row per series and period, past ones with units, planned ones without.

    Only `sales` is needed. A price holds until the next row of `prices`; promotions run from start to end, both inclusive; a row without
    a store holds for every store. Extra numeric columns are known ahead only where their role says so; any other is used as known
    afterwards. `country` adds public holidays, offline. Raises MissingColumn, EmptyTable, and LearnFailed for thousands of series that
    hardly have a row each.
    """
    sales = _as_fractions(tables["sales"])
    for name in ("date", "product", "units"):
        if name not in sales:
            raise MissingColumn(f'column "{name}" is missing in sales', hint=f"there are: {', '.join(sales.names)}")
    if len(sales) == 0:
        raise EmptyTable("the sales table has no rows")
    keys = [name for name in KEYS if name in sales]
    clock = clock_of(np.unique(sales.column("date")))
    frame = _grid(_learnable(_summed(sales, keys, clock), keys), keys, clock)
    columns = {column.name: column for column in _roles(sales, frame, keys)}
    frame = _closings(_spoken(frame, columns), columns)
    if "prices" in tables:
        frame = _priced(frame, tables["prices"], keys, clock, columns)
    if "promotions" in tables and len(tables["promotions"]):
        frame = _promoted(frame, tables["promotions"], keys, clock, columns)
    for name, key in (("products", "product"), ("stores", "store")):
        if name in tables and key in keys:
            frame = _described(frame, tables[name], key, columns)
    frame = _planned_prices(frame, keys, columns)
    days = _event_days(tables["events"].frame if "events" in tables else None, _holidays(frame, country, subdivision))
    frame = _dated(frame, days, clock, columns)
    described = tuple(columns.get(name, Column(name)) for name in frame.columns)
    return Table(Schema(described, ("date", *keys)), frame=frame.sort([*keys, "date"]))


def _as_fractions(sales: Table) -> Table:
    """Return sales where a discount column is a fraction of the price; one in money goes on as `discount_amount`."""
    if "discount" not in sales or not (np.nan_to_num(sales.column("discount").astype("f8")) > 1).any():
        return sales
    described = tuple(replace(column, name="discount_amount") if column.name == "discount" else column for column in sales.schema)
    return Table(Schema(described, sales.schema.key), frame=sales.frame.rename({"discount": "discount_amount"}))


def _summed(sales: Table, keys: list[str], clock: Clock) -> Any:
    """Return sales with dates moved to the start of their period, several rows of one key made one."""
    import polars as pl

    frame = sales.frame.filter(pl.col("date").is_not_null(), pl.all_horizontal(pl.col(key).is_not_null() for key in keys))
    dates = Table.from_frame(frame.select("date")).column("date")
    frame = frame.with_columns(pl.Series("date", clock.date(clock.number(dates)).astype("M8[ms]")).cast(frame.schema["date"]))
    if not frame.select("date", *keys).is_duplicated().any():
        return frame
    rest = [name for name in frame.columns if name not in ("date", *keys)]
    ways = {Role.TARGET: "sum", Role.AVAILABLE: "min"}
    described = {column.name: column.role for column in sales.schema}
    made = []
    for name in rest:
        usual = "max" if name in _PLAN else "mean" if frame.schema[name].is_numeric() else "first"
        way = "sum" if name in ("revenue", "returned") else ways.get(described.get(name, Role.INPUT), usual)
        made.append(_combined(pl.col(name), way))
    return frame.group_by(["date", *keys], maintain_order=True).agg(made)


def _learnable(frame: Any, keys: list[str]) -> Any:
    """Return the frame; raise LearnFailed where it is thousands of series with a few rows each, before minutes are spent on them."""
    series = frame.select(keys).n_unique()
    if series > MANY and frame.height < FEW_ROWS * series:
        said = f"{series:,} series of {' and '.join(keys)} have {frame.height / series:.1f} rows each in the mean: too few to learn from"
        finer = (
            "to forecast products over all stores, load it into another workspace with the store under a name of yours (--map STORE=shop)"
        )
        coarser = "load something coarser than a product, such as its category, as the product"
        raise LearnFailed(said, hint=finer if "store" in keys else coarser)
    return frame


def _combined(column: Any, way: str) -> Any:
    return {"sum": column.sum, "min": column.min, "max": column.max, "mean": column.mean, "first": column.first}[way]()


def _grid(frame: Any, keys: list[str], clock: Clock) -> Any:
    """Return every period of every series from its first to its last sale, and the plan periods of those that still sell."""
    import polars as pl

    dates = Table.from_frame(frame.select("date")).column("date")
    number = clock.number(dates)
    last, grain = int(number.max()), clock.grain
    frame = frame.with_columns(pl.Series("_at", number))
    known = (
        pl.col("units").is_not_null() & pl.col("units").is_not_nan() if frame.schema["units"].is_float() else pl.col("units").is_not_null()
    )
    spans = frame.group_by(keys).agg(
        pl.col("_at").min().alias("_low"), pl.col("_at").max().alias("_high"), pl.col("_at").filter(known).max().alias("_sold")
    )
    sold = spans["_sold"].max()
    last = last if sold is None else min(last, int(sold))  # rows after the last sale are a plan already
    living = pl.col("_sold") > last - grain.level
    ahead = 2 * grain.horizon
    if (spans["_high"] - spans["_low"] + 1 + ahead).sum() > MOST_CELLS:
        spans = spans.with_columns(pl.max_horizontal(pl.col("_low"), last + 1).alias("_low"))
    ends = pl.when(living).then(pl.max_horizontal(pl.col("_high"), last + ahead)).otherwise(pl.col("_high"))
    cells = spans.with_columns(pl.int_ranges("_low", ends + 1).alias("_at")).select(*keys, "_at").explode("_at", empty_as_null=False)
    whole = cells.join(frame, on=[*keys, "_at"], how="full", coalesce=True)
    starts = pl.Series("date", clock.date(whole["_at"].to_numpy()).astype("M8[ms]")).cast(frame.schema["date"])
    return whole.with_columns(starts).drop("_at").sort([*keys, "date"])


def _roles(sales: Table, frame: Any, keys: list[str]) -> list[Column]:
    """Return what each column of sales is to a forecast: what is not known ahead by its role is known only afterwards."""
    found = []
    for column in sales.schema:
        role = column.role
        if column.name in ("revenue", "stock", "returned"):
            role = Role.PAST
        elif role is Role.INPUT and column.name in frame.columns:
            role = _guessed(frame, column.name, keys)
        found.append(Column(column.name, role, column.type, column.required, column.unit, column.meaning, sensitive=column.sensitive))
    return found


def _guessed(frame: Any, name: str, keys: list[str]) -> Role:
    """Return STATIC for what never changes within a key, KNOWN for a named calendar flag, PAST for anything else."""
    import polars as pl

    values = pl.col(name).drop_nulls()
    for key in (*([name_] for name_ in keys), keys):
        if frame.group_by(key).agg(values.n_unique().alias("n"))["n"].max() <= 1 < frame[name].n_unique():
            return Role.STATIC
    flag = frame.schema[name].is_numeric() and frame.select(values.cast(pl.Float64).is_in([0.0, 1.0]).all()).item()
    if flag and CALENDAR.search(name.lower()) and frame.group_by("date").agg(values.n_unique().alias("n"))["n"].max() <= 1:
        return Role.KNOWN
    return Role.PAST


def _spoken(frame: Any, columns: dict[str, Column]) -> Any:
    """Turn texts known ahead, such as the name of a holiday, into one flag per text; those for none are left out."""
    import polars as pl

    for name in [name for name, column in columns.items() if column.role is Role.KNOWN and column.type is Type.TEXT]:
        text = pl.col(name).cast(pl.String).str.strip_chars()
        often = frame.select(text.alias("said")).drop_nulls()["said"].value_counts(sort=True)["said"].to_list()
        slugs = {said: f"{slug(name)}_{slug(said)}" for said in often if said.lower() not in NOTHING}
        for flag in list(dict.fromkeys(slugs.values()))[:MOST_EVENTS]:
            same = [said for said, other in slugs.items() if other == flag]
            frame = frame.with_columns(text.is_in(same).fill_null(value=False).cast(pl.UInt8).alias(flag))
            columns[flag] = Column(flag, Role.EVENT, minimum=0, maximum=1)
        columns.pop(name)
        frame = frame.drop(name)
    return frame


def _closings(frame: Any, columns: dict[str, Column]) -> Any:
    """Turn `open` round: whoever says nothing of a period to come is open."""
    import polars as pl

    if "open" not in frame.columns:
        return frame
    columns[CLOSED] = Column(CLOSED, Role.KNOWN, minimum=0, maximum=1)
    return frame.with_columns((1 - pl.col("open").cast(pl.Float64).fill_nan(None).fill_null(1.0)).alias(CLOSED)).drop("open")


def _rows_for(given: Any, keys: list[str]) -> list[tuple[Any, list[str]]]:
    """Part the rows of a table into those of one store and those of every store, each with the keys it joins on."""
    import polars as pl

    on = [key for key in keys if key in given.columns]
    given = given.filter(pl.col("product").is_not_null())
    if "store" not in on:
        return [(given.drop("store", strict=False), ["product"])]
    everywhere = given.filter(pl.col("store").is_null()).drop("store")
    return [(everywhere, ["product"]), (given.filter(pl.col("store").is_not_null()), on)]


def _priced(frame: Any, prices: Table, keys: list[str], clock: Clock, columns: dict[str, Column]) -> Any:
    """Add the price of `prices` as `_regular`, and what else it says, each row holding until the next."""
    import polars as pl

    names = [name for name in ("price", "competitor_price", "unit_cost") if name in prices]
    given = prices.frame.filter(pl.col("date").is_not_null())
    days = Table.from_frame(given.select("date")).column("date")
    given = given.with_columns(pl.Series("date", clock.date(clock.number(days)).astype("M8[ms]")).cast(frame.schema["date"]))
    for rows, on in _rows_for(given, keys):
        if rows.height == 0:
            continue
        one = rows.group_by([*on, "date"]).agg(pl.col(name).drop_nulls().last().alias(f"_{name}") for name in names).sort("date")
        frame = frame.sort("date").join_asof(one, on="date", by=on, strategy="backward", check_sortedness=False)
        for name in names:
            there = name if name != "price" else "regular"
            new = pl.col(f"_{name}")
            frame = frame.with_columns((pl.coalesce(new, there) if there in frame.columns else new).alias(there)).drop(f"_{name}")
    for name in names:
        if name != "price":
            columns[name] = Column(name, Role.KNOWN, unit="money")
    return frame


def _promoted(frame: Any, promotions: Table, keys: list[str], clock: Clock, columns: dict[str, Column]) -> Any:
    """Add promotions day by day: whether one runs (the share of the period), how deep, of which kind, with which support."""
    import polars as pl

    given = promotions.frame.filter(pl.col("start").is_not_null(), pl.col("end").is_not_null(), pl.col("end") >= pl.col("start"))
    measures = [name for name in ("discount", "display", "feature") if name in given.columns]
    kinds = sorted({_slug(kind) for kind in given["mechanic"].drop_nulls().unique().to_list()})[:10] if "mechanic" in given.columns else []
    made = [pl.lit(1.0).alias("promotion"), *(pl.col(name).cast(pl.Float64).fill_null(0.0) for name in measures)]
    if kinds:
        slugs = {kind: _slug(kind) for kind in given["mechanic"].drop_nulls().unique().to_list()}
        code = pl.col("mechanic").replace_strict(slugs, default=None, return_dtype=pl.String)
        made += [(code == kind).fill_null(value=False).cast(pl.Float64).alias(f"mechanic_{kind}") for kind in kinds]
    names = ["promotion", *measures, *(f"mechanic_{kind}" for kind in kinds)]
    days = given.with_columns(pl.date_ranges("start", "end").alias("_day")).with_columns(made)
    days = days.select(*(key for key in keys if key in given.columns), "_day", *names).explode("_day", empty_as_null=False)
    number = clock.number(Table.from_frame(days.select("_day")).column("_day"))
    days = days.with_columns(pl.Series("date", clock.date(number).astype("M8[ms]")).cast(frame.schema["date"]))
    for rows, on in _rows_for(days, keys):
        if rows.height == 0:
            continue
        one = rows.group_by([*on, "_day", "date"]).agg(pl.col(name).max() for name in names)
        length = _lengths(clock)
        one = one.group_by([*on, "date"]).agg((pl.col(name).sum() / length).clip(0, 1).alias(f"_{name}") for name in names)
        frame = frame.join(one, on=[*on, "date"], how="left", maintain_order="left")
        for name in names:
            new = pl.col(f"_{name}").fill_null(0.0)
            old = pl.col(name).cast(pl.Float64).fill_null(0.0) if name in frame.columns else pl.lit(0.0)
            frame = frame.with_columns(pl.max_horizontal(new, old).alias(name)).drop(f"_{name}")
    for name in names:
        columns[name] = Column(name, Role.LEVER, minimum=0, maximum=1)
    flags = [name for name in names if name in frame.columns and frame[name].is_in([0.0, 1.0]).all()]
    return frame.with_columns(pl.col(name).cast(pl.UInt8) for name in flags)  # a byte says as much as eight


def _lengths(clock: Clock) -> Any:
    """Return the number of days of a period, as an expression on `date`."""
    import polars as pl

    if clock.grain.name in ("hour", "day"):
        return pl.lit(1.0)
    if clock.grain.name == "week":
        return pl.lit(7.0)
    after = pl.col("date").dt.offset_by("1mo" if clock.grain.name == "month" else "3mo")
    return (after - pl.col("date")).dt.total_days().cast(pl.Float64).first()


def _slug(text: str) -> str:
    return re.sub(r"\W+", "_", text.lower()).strip("_")[:40]


def _described(frame: Any, table: Table, key: str, columns: dict[str, Column]) -> Any:
    """Add what is fixed per product or store, except dates, free text and what sales say already."""
    chosen = [
        column
        for column in table.schema
        if column.name != key
        and column.name in table
        and column.name not in frame.columns
        and column.type is not Type.DATE
        and column.name != "description"
        and not column.sensitive
    ]
    if not chosen or key not in table:
        return frame
    one = table.frame.select(key, *(column.name for column in chosen)).unique(subset=[key], keep="first", maintain_order=True)
    for column in chosen:
        columns[column.name] = Column(column.name, Role.STATIC, column.type, unit=column.unit)
    return frame.join(one, on=key, how="left", maintain_order="left")


def _planned_prices(frame: Any, keys: list[str], columns: dict[str, Column]) -> Any:
    """Fill prices where no sale says one: the regular price, less the planned discount as far as discounts were passed on before.

    How much of a stated discount reaches the price is the median of past promotion rows, by mechanic where it has any.
    """
    import polars as pl

    if "regular" not in frame.columns:
        return _after_promotion(frame, keys)
    columns["price"] = Column("price", Role.LEVER, unit="money", minimum=0)
    if "price" not in frame.columns:
        return frame.with_columns(pl.col("regular").alias("price")).drop("regular")
    planned = pl.col("regular")
    if "discount" in frame.columns:
        taken = (1 - pl.col("price") / pl.col("regular")) / pl.col("discount")
        past = frame.filter(pl.col("discount") > 0.01, pl.col("price") > 0, pl.col("regular") > 0)
        passed = pl.lit(_median(past.select(taken.median()).item()))
        for name in (name for name in frame.columns if name.startswith("mechanic_")):
            own = past.filter(pl.col(name) > 0.5).select(taken.median()).item()
            passed = pl.when(pl.col(name) > 0.5).then(pl.lit(_median(own))).otherwise(passed)
        planned = planned * (1 - passed * pl.col("discount").fill_null(0.0))
    return frame.with_columns(pl.coalesce("price", planned).alias("price")).drop("regular")


def _after_promotion(frame: Any, keys: list[str]) -> Any:
    """Fill prices after the last one known with the last one without promotion, where no promotion is planned.

    Else a promotion that ran when the table ended would leave its price behind for good. Where nothing tells promotions, prices do.
    """
    import polars as pl

    levers = [name for name in ("promotion", "discount") if name in frame.columns and frame.schema[name].is_numeric()]
    if "price" not in frame.columns:
        return frame
    if not levers:
        return after_cuts(frame.sort([*keys, "date"]), keys)
    known, *pulls = [(pl.col(name).cast(pl.Float64).fill_nan(None) > 0).fill_null(value=False) for name in ("price", *levers)]
    pulled = pl.any_horizontal(pulls)
    usual = pl.col("price").filter(known & ~pulled).last().over(keys)
    after = pl.col("date") > pl.col("date").filter(known).max().over(keys)
    filled = pl.when(after & ~known & ~pulled).then(pl.coalesce(usual, "price")).otherwise("price")
    return frame.sort([*keys, "date"]).with_columns(filled.alias("price"))


def _median(value: float | None) -> float:
    return 1.0 if value is None or not np.isfinite(value) else float(np.clip(value, 0.0, 1.0))


def _event_days(events: Any, holidays: Any) -> Any:
    """Return one row per event and day: name, date, and the region it is held in, empty where it is held everywhere."""
    import polars as pl

    if events is None or events.height == 0:
        return holidays
    until = pl.coalesce("until", "date") if "until" in events.columns else pl.col("date")
    spans = events.filter(pl.col("date").is_not_null(), pl.col("name").is_not_null())
    spans = spans.with_columns(pl.date_ranges(pl.col("date"), pl.max_horizontal(until, pl.col("date"))).alias("date"))
    region = (pl.col("region").fill_null("") if "region" in events.columns else pl.lit("")).alias("region")
    named = spans.select(pl.col("name").map_elements(_slug, return_dtype=pl.String), "date", region).explode("date", empty_as_null=False)
    return pl.concat([named.with_columns(pl.col("date").cast(pl.Date)), holidays]).unique(maintain_order=True)


def _holidays(frame: Any, country: str, subdivision: str) -> Any:
    import polars as pl

    years = range(frame["date"].min().year, frame["date"].max().year + 1)
    named = holiday_dates(country, subdivision, years) if country else {}
    rows = [(_slug(name), date, "") for name, dates in named.items() for date in dates]
    return pl.DataFrame(rows, schema={"name": pl.String, "date": pl.Date, "region": pl.String}, orient="row")


def _dated(frame: Any, days: Any, clock: Clock, columns: dict[str, Column]) -> Any:
    """Add one flag per event name (in a longer period: the share of its days), by region where both sides know one."""
    import polars as pl

    if days.height == 0:
        return frame
    local = "region" in frame.columns
    number = clock.number(Table.from_frame(days.select("date")).column("date"))
    starts = pl.Series("_start", clock.date(number).astype("M8[ms]")).cast(frame.schema["date"])
    regions = pl.DataFrame({"_region": sorted({"", *(frame["region"].drop_nulls().unique().to_list() if local else [])})})
    there = days.with_columns(starts).join(regions, how="cross").filter((pl.col("region") == "") | (pl.col("region") == pl.col("_region")))
    if there.height == 0:
        return frame
    names = there["name"].value_counts(sort=True)["name"].to_list()[:MOST_EVENTS]
    share = {"week": 7.0, "month": 30.4, "quarter": 91.3}.get(clock.grain.name, 1.0)
    kind = pl.UInt8 if share == 1.0 else pl.Float64  # a table has dozens of them
    flags = [((pl.col("name") == name).sum() / share).clip(0, 1).cast(kind).alias(f"event_{name}") for name in sorted(names)]
    wide = there.group_by(["_start", "_region"]).agg(flags).rename({"_start": "date"})
    place = (pl.col("region").fill_null("") if local else pl.lit("")).alias("_region")
    added = [name for name in wide.columns if name.startswith("event_")]
    out = frame.drop(added, strict=False).with_columns(place).join(wide, on=["date", "_region"], how="left", maintain_order="left")
    for name in added:
        columns[name] = Column(name, Role.EVENT, minimum=0, maximum=1)
    return out.with_columns(pl.col(name).fill_null(0) for name in added).drop("_region")
