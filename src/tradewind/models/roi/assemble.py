"""Business tables -> one modelling table: a row per period (and geo) with the outcome, spend by channel and what else moved it.

Columns: `date`, [`geo`], `outcome`, `rows` (how many rows of outcomes were added up), [`value`], `spend_<channel>`, [`exposure_<channel>`],
`responds_<channel>`, `belief_<channel>` and controls (any other number). Experiments are rows of their own: `test` names them.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tradewind.core.errors import BadValue, EmptyTable, MissingColumn
from tradewind.core.schema import Column, Role, Schema
from tradewind.core.table import Table
from tradewind.models._kit.calendar import GRAINS, Clock, clock_of, holiday_dates
from tradewind.models._kit.named import RIVALS, SOLD, named, parts, whole
from tradewind.models.roi.media import LONGER

ABROAD = ("umsatz", "erlöse", "erloese", "chiffre_d'affaires", "ventas", "ingresos", "fatturato", "ricavi", "receita", "omzet")  # revenue
OUTCOMES = ("outcome", "kpi", "revenue", "sales", "turnover", *ABROAD, "conversions", "new_customers", "neukunden", "y")
MONEY = ("revenue", "sales", "turnover", "amount", "value", *ABROAD)
WORTH = ("value_per_conversion", "value_per_outcome", "revenue_per_conversion", "revenue_per_kpi")
FOLLOWS = re.compile(
    f"{SOLD}|conversion|click|impression|lead|sign_?up|booking|visit|session|page_?view|install|download|subscri|besuch", re.IGNORECASE
)
"""Names of what media bring about on the way to the outcome: held fixed, it would take their effect."""
TESTS = ("test", "test_channel", "test_geo", "test_end", "test_lift", "test_error", "test_change")
MOST_EVENTS = 12
PERIODS, SAME = 8, 0.9999  # periods that two columns must share, and their correlation, to be one thing
YEAR_OF_DAYS = 364
FURTHEST = 2  # years ahead that a calendar is read
CALENDARS = {"prices": ("date",), "promotions": ("start", "end"), "events": ("date", "until")}


def assemble(tables: Mapping[str, Table], *, country: str = "", subdivision: str = "", **_: Any) -> Table:
    """Return the modelling table. Daily data of a year or more is added up to whole weeks.

    The outcome is the column whose role is target, or the first of OUTCOMES; columns that move with it because they are parts of it (roles
    past, names such as `new_customers_tv`) are no controls, nor are columns that are a channel's spend or exposure over again.
    Raises MissingColumn, EmptyTable, BadValue.
    """
    for name in ("marketing", "outcomes"):
        if name not in tables:
            raise MissingColumn(f"roi needs the table {name!r}", hint="load marketing (date, channel, spend) and outcomes (date, revenue)")
        if len(tables[name]) == 0:
            raise EmptyTable(f"the {name} table has no rows")
    outcomes, marketing = tables["outcomes"], tables["marketing"]
    for table, name, column in ((outcomes, "outcomes", "date"), (marketing, "marketing", "date"), (marketing, "marketing", "spend")):
        if column not in table:
            raise MissingColumn(f'column "{column}" is missing in {name}', hint=f"there are: {', '.join(table.names)}")
    clock = _clock(outcomes)
    keys = ["date", "geo"] if all("geo" in table and _several(table) for table in (outcomes, marketing)) else ["date"]
    target = _target(outcomes)
    frame, described = _outcomes(outcomes, target, keys, clock)
    if "geo" in keys:
        _refuse_places(frame, marketing, target)
    frame = _without_media(_spent(frame, marketing, keys, clock, described), described)
    frame = _coming(frame, tables, clock, holidays=bool(country))
    for name, add in (("prices", _priced), ("promotions", _promoted)):
        if name in tables and len(tables[name]):
            frame = add(frame, tables[name], clock, described)
    frame = _evented(frame, tables.get("events"), clock, described, (country, subdivision))
    frame = frame.sort(keys)
    if "experiments" in tables and len(tables["experiments"]):
        frame = _tested(frame, tables["experiments"], described)
    return Table(Schema(tuple(described.get(name, Column(name)) for name in frame.columns), tuple(keys)), frame=frame)


def _several(table: Table) -> bool:
    return len({str(value) for value in table.column("geo").tolist() if value is not None}) > 1


def _clock(outcomes: Table) -> Clock:
    """Return the clock of the outcomes; a year of days becomes weeks that end on the last day known."""
    dates = outcomes.column("date")
    if dates.dtype.kind != "M":
        raise BadValue('column "date" of outcomes must hold dates', hint="write dates as in 2026-11-30")
    days = np.unique(dates[~np.isnat(dates)].astype("M8[D]"))
    clock = clock_of(days)
    if clock.grain.name in ("hour", "day") and len(days) and (days[-1] - days[0]).astype(int) + 1 >= YEAR_OF_DAYS:
        return Clock(GRAINS["week"], int((days[-1].astype("i8") + 4) % 7))
    return clock


def _target(outcomes: Table) -> str:
    marked = [column.name for column in outcomes.schema if column.role is Role.TARGET and column.name in outcomes]
    numbers = [name for name in outcomes.names if name not in ("date", "geo") and outcomes.frame.schema[name].is_numeric()]
    found = marked[0] if marked else named(outcomes.names, OUTCOMES) or whole(outcomes.frame, numbers)
    if found is None:
        there = ", ".join(name for name in outcomes.names if name not in ("date", "geo")) or "none"
        hint = f"load it with --map YOURS={OUTCOMES[2]}, or name it one of {', '.join(OUTCOMES[:5])}, conversions; there are: {there}"
        raise MissingColumn("no column of outcomes is the outcome", hint=hint)
    return found


def _refuse_texts(table: Table, name: str, where: str) -> None:
    """Raise BadValue where a column that must hold numbers holds texts, naming the first that is none."""
    values = table.column(name)
    if values.dtype.kind in "biuf":
        return
    strange = [str(value) for value in values.tolist() if value is not None and not _is_number(value)]
    said = f"{len(strange)} are none, such as {strange[0]!r}" if strange else "its numbers are written as text"
    raise BadValue(
        f'column "{name}" of {where} must hold numbers: {said}',
        hint="write plain numbers without a currency, leave unknown ones empty, and load the file again",
    )


def _is_number(value: Any) -> bool:
    try:
        return bool(np.isfinite(float(value)))
    except (TypeError, ValueError):
        return False


def _starts(frame: Any, clock: Clock) -> Any:
    """Return the frame with `date` moved to the start of its period; rows without a date are left out."""
    import polars as pl

    frame = frame.filter(pl.col("date").is_not_null())
    dates = Table.from_frame(frame.select("date")).column("date")
    return frame.with_columns(pl.Series("date", clock.date(clock.number(dates)).astype("M8[ms]")).cast(pl.Date))


def _outcomes(outcomes: Table, target: str, keys: list[str], clock: Clock) -> tuple[Any, dict[str, Column]]:
    import polars as pl

    roles = {column.name: column for column in outcomes.schema}
    worth = named(outcomes.names, WORTH)
    for name in (target, *([worth] if worth else [])):
        _refuse_texts(outcomes, name, "outcomes")
    frame = _starts(outcomes.frame, clock)
    numbers = [name for name in outcomes.names if name not in (*keys, "geo", "date", target, worth) and frame.schema[name].is_numeric()]
    several = parts(frame, [*numbers, target])
    controls = []
    for name in numbers:
        called = FOLLOWS.search(name) and not RIVALS.search(name)
        follows = name.startswith(f"{target}_") or roles[name].role in (Role.PAST, Role.TARGET) or called
        if not follows and name not in several:
            controls.append(name)
    known = pl.col(target).cast(pl.Float64).fill_nan(None)
    made = [
        pl.when(known.is_not_null().any()).then(known.sum()).alias("outcome"),
        pl.len().cast(pl.Float64).alias("rows"),
        *(pl.col(name).cast(pl.Float64).fill_nan(None).mean() for name in controls),
        *([pl.col(worth).cast(pl.Float64).fill_nan(None).mean().alias("value")] if worth else []),
    ]
    summed = frame.group_by(keys, maintain_order=True).agg(made)
    if clock.grain.name == "week" and clock_of(np.unique(outcomes.column("date"))).grain.name in ("hour", "day"):
        days = frame.group_by("date").agg(pl.col("date").len().alias("_rows"))
        full = days.filter(pl.col("_rows") >= days["_rows"].median() * 0.99).select("date")
        summed = summed.join(full, on="date", how="semi").with_columns(pl.lit(1.0).alias("rows"))
    unit = "money" if named([target], MONEY) or (roles[target].unit == "money") else ""
    described = {
        "date": Column("date", Role.TIME, roles["date"].type, required=True),
        "outcome": Column("outcome", Role.TARGET, required=True, unit=unit, meaning=target),
    }
    if "geo" in keys:
        described["geo"] = roles["geo"]
    return summed, described | {name: Column(name, roles[name].role) for name in controls}


def _refuse_places(frame: Any, marketing: Table, target: str) -> None:
    """Raise BadValue where money was spent in a geo, or in none, whose outcome nobody knows."""
    import polars as pl

    spent = marketing.frame.filter(pl.col("spend").cast(pl.Float64) > 0)["geo"].cast(pl.String)
    there = set(frame.filter(pl.col("outcome").is_not_null())["geo"].cast(pl.String).to_list())
    strange = sorted({name or "" for name in spent.unique().to_list()} - there)
    if strange:
        said = ", ".join(name or "rows without a geo" for name in strange[:5])
        hint = f"geos of outcomes: {', '.join(sorted(map(str, there))[:8])}; divide what was spent everywhere over them"
        raise BadValue(f"marketing spends where no {target} is known: {said}", hint=hint)


def _spent(frame: Any, marketing: Table, keys: list[str], clock: Clock, described: dict[str, Column]) -> Any:
    """Add spend and exposure by channel, null where none is told; periods with spend only are kept: what was carried over, and the plan."""
    import polars as pl

    _refuse_texts(marketing, "spend", "marketing")
    given = _starts(marketing.frame, clock).filter(pl.col("channel").is_not_null())
    given = given.with_columns(pl.col("channel").cast(pl.String), pl.col("spend").cast(pl.Float64).fill_nan(None))
    if (given["spend"] < 0).any():
        raise BadValue("marketing holds negative spend", hint="a refund belongs to the period that it corrects")
    exposure = _exposure(given)
    for name, kind, values in (("spend", Role.LEVER, pl.col("spend")), ("exposure", Role.INPUT, exposure)):
        if values is None:
            continue
        known = pl.when(values.is_not_null().any()).then(values.sum())  # unknown is not none: learning tells how often it is
        one = given.group_by([*keys, "channel"], maintain_order=True).agg(known.alias("_v"))
        wide = one.pivot(on="channel", index=keys, values="_v", sort_columns=True)
        names = [column for column in wide.columns if column not in keys]
        wide = wide.rename({column: f"{name}_{column}" for column in names})
        frame = frame.join(wide, on=keys, how="full", coalesce=True)
        described |= {f"{name}_{column}": Column(f"{name}_{column}", kind, unit="money" if name == "spend" else "") for column in names}
    for meant, name in (("responds_to_demand", "responds"), ("belief", "belief")):
        given_as = named(given.columns, (meant,))
        if given_as is None:
            continue
        last = given.filter(pl.col(given_as).is_not_null()).group_by("channel", maintain_order=True).agg(pl.col(given_as).last())
        for channel, value in last.rows():
            said = pl.lit(str(value)) if name == "belief" else pl.lit(float(value))
            frame = frame.with_columns(said.alias(f"{name}_{channel}"))
            described[f"{name}_{channel}"] = Column(f"{name}_{channel}", Role.STATIC, marketing.schema.get(given_as).type)  # type: ignore[union-attr]
    return _acting(frame, clock)


def _acting(frame: Any, clock: Clock) -> Any:
    """Return the frame from the first period on whose spend may still act where the outcome is known."""
    import polars as pl

    first = frame.filter(pl.col("outcome").is_not_null())["date"].min()
    if first is None:
        return frame
    number = clock.number(np.array([first], "M8[D]")) - LONGER[clock.grain.name]
    return frame.filter(pl.col("date") >= pl.lit(clock.date(number)[0].astype("M8[D]").item()))


def _coming(frame: Any, tables: Mapping[str, Table], clock: Clock, *, holidays: bool) -> Any:
    """Return the frame with the periods to come that a calendar or a price list tells of, at most FURTHEST years ahead."""
    import polars as pl

    last, known = frame["date"].max(), _last_known(frame)
    ends = [_until(tables[name], columns) for name, columns in CALENDARS.items() if name in tables and len(tables[name])]
    ends += [known + datetime.timedelta(days=365)] if holidays else []
    until = min(max([end for end in ends if end is not None], default=last), known + datetime.timedelta(days=365 * FURTHEST))
    first, stop = (int(clock.number(np.array([day], "M8[D]"))[0]) for day in (last, until))
    if stop <= first:
        return frame
    dates = pl.Series("date", clock.date(np.arange(first + 1, stop + 1)).astype("M8[ms]")).cast(pl.Date).unique().to_frame()
    more = dates.join(frame.select("geo").drop_nulls().unique(), how="cross") if "geo" in frame.columns else dates
    return pl.concat([frame, more], how="diagonal")


def _last_known(frame: Any) -> Any:
    """Return the last date whose outcome is known, the last of all where none is."""
    import polars as pl

    return frame.filter(pl.col("outcome").is_not_null())["date"].max() or frame["date"].max()


def _until(table: Table, columns: Sequence[str]) -> Any:
    """Return the last day that a table tells of, or None."""
    import polars as pl

    days = [table.frame[name].cast(pl.Date).max() for name in columns if name in table]
    return max((day for day in days if day is not None), default=None)


def _without_media(frame: Any, described: dict[str, Column]) -> Any:
    """Return the frame without controls that are a channel's spend or exposure, told again in the outcomes: they would take its return."""
    media = [frame[name].to_numpy().astype("f8") for name in frame.columns if name.startswith(("spend_", "exposure_"))]
    same = [
        name
        for name, column in described.items()
        if name in frame.columns
        and column.role is not Role.TIME
        and not name.startswith(("spend_", "exposure_", "responds_", "belief_"))
        and name not in ("geo", "outcome", "value", "rows")
        and any(_alike(frame[name].to_numpy().astype("f8"), other) for other in media)
    ]
    for name in same:
        del described[name]
    return frame.drop(same)


def _alike(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> bool:
    """Tell whether two columns are the same but for their unit."""
    known = np.isfinite(one) & np.isfinite(other)
    one, other = one[known], other[known]
    if len(one) < PERIODS or np.ptp(one) == 0 or np.ptp(other) == 0:
        return False
    return bool(np.corrcoef(one, other)[0, 1] > SAME)


def _exposure(given: Any) -> Any:
    """Return impressions, or reach times frequency where only these are known, as an expression."""
    import polars as pl

    if "impressions" in given.columns:
        return pl.col("impressions").cast(pl.Float64).fill_nan(None)
    if "reach" in given.columns and "frequency" in given.columns:
        return pl.col("reach").cast(pl.Float64) * pl.col("frequency").cast(pl.Float64)
    return None


def _priced(frame: Any, prices: Table, clock: Clock, described: dict[str, Column]) -> Any:
    """Add `price` (and `competitor_price`) as an index: the mean over products of price over its own mean, each holding until the next."""
    import polars as pl

    names = [name for name in ("price", "competitor_price") if name in prices]
    given, known = _starts(prices.frame, clock), _last_known(frame)
    for name in names:
        value = pl.col(name).cast(pl.Float64)
        if (given[name].cast(pl.Float64) <= 0).any():
            raise BadValue(f"prices hold a {name} of zero or less", hint="a price must lie above zero")
        one = given.filter(value.is_not_null()).group_by(["product", "date"], maintain_order=True).agg(value.mean().alias("_p"))
        wide = one.pivot(on="product", index="date", values="_p", sort_columns=True)
        grid = frame.select("date").unique().join(wide, on="date", how="full", coalesce=True).sort("date")
        products = [column for column in grid.columns if column != "date"]
        grid = grid.with_columns(pl.col(product).forward_fill().backward_fill() for product in products)
        past = pl.col("date") <= known
        index = pl.mean_horizontal([(pl.col(one) / pl.col(one).filter(past).mean()).log() for one in products]).exp()
        frame = frame.drop(name, strict=False).join(grid.select("date", index.alias(name)), on="date", how="left")
        described[name] = Column(name, Role.KNOWN, meaning="index, 1 is the mean", minimum=0)
    return frame


def _days(clock: Clock) -> float:
    return {"hour": 1 / 24, "day": 1.0, "week": 7.0, "month": 30.44, "quarter": 91.3}[clock.grain.name]


def _shares(spans: Any, frame: Any, clock: Clock, by: str) -> Any:
    """Return per period and `by` how many days of it lie inside the spans (start, end, both inclusive)."""
    import polars as pl

    low, high = frame["date"].min(), frame["date"].max()
    spans = spans.filter(pl.col("start").is_not_null(), pl.col("end") >= pl.col("start"))
    spans = spans.filter((pl.col("end") >= low) & (pl.col("start") <= high + pl.duration(days=round(_days(clock)))))
    days = spans.with_columns(pl.date_ranges("start", "end").alias("date")).explode("date", empty_as_null=False)
    return _starts(days.select("date", by), clock).group_by(["date", by]).len()


def _promoted(frame: Any, promotions: Table, clock: Clock, described: dict[str, Column]) -> Any:
    """Add `promotion`: the share of products and days that were on promotion."""
    import polars as pl

    given = promotions.frame.with_columns(pl.col("start").cast(pl.Date), pl.col("end").cast(pl.Date))
    count = _shares(given, frame, clock, "product").group_by("date").agg(pl.col("len").sum().alias("_n"))
    most = max(float(count["_n"].max() or 1), 1.0)
    frame = frame.drop("promotion", strict=False).join(count, on="date", how="left")
    described["promotion"] = Column("promotion", Role.KNOWN, meaning="how much was on promotion: 1 is the most ever", minimum=0)
    none = pl.when(pl.col("date") <= max(_last_known(frame), _until(promotions, CALENDARS["promotions"]) or _last_known(frame))).then(0)
    return frame.with_columns((pl.col("_n").fill_null(none) / most).alias("promotion")).drop("_n")


def _evented(frame: Any, events: Table | None, clock: Clock, described: dict[str, Column], where: tuple[str, str]) -> Any:
    """Add a column per event or holiday that comes at least twice: the share of the period it takes."""
    import polars as pl

    rows: list[tuple[Any, Any, str]] = []
    if events is not None and len(events):
        given = events.frame.with_columns(pl.col("date").cast(pl.Date))
        until = pl.col("until").cast(pl.Date) if "until" in given.columns else pl.lit(None, pl.Date)
        rows += given.select("date", pl.coalesce(until, "date").alias("end"), pl.col("name").cast(pl.String)).drop_nulls().rows()
    told = len(rows)
    if where[0]:
        years = range(frame["date"].min().year, frame["date"].max().year + 1)
        rows += [(day, day, name) for name, days in holiday_dates(*where, years).items() for day in days]
    if not rows:
        return frame
    spans = pl.DataFrame(rows, schema=["start", "end", "name"], orient="row")
    there = _shares(spans, frame, clock, "name").join(
        frame.filter(pl.col("outcome").is_not_null()).select("date").unique(), on="date", how="semi"
    )
    often = there.group_by("name").len().filter(pl.col("len") >= 2).sort(["len", "name"], descending=[True, False])["name"].to_list()
    shares = _shares(spans, frame, clock, "name")
    own = {row[2] for row in rows[:told]}
    known = _last_known(frame)
    told_until = max(known, _until(events, CALENDARS["events"]) or known) if events is not None and len(events) else known
    for name in often[:MOST_EVENTS]:
        column = f"event_{re.sub(r'[^0-9a-z]+', '_', name.lower()).strip('_')}"
        one = shares.filter(pl.col("name") == name).select("date", (pl.col("len") / _days(clock)).clip(0, 1).alias("_e"))
        one = one.group_by("date").agg(pl.col("_e").max())
        frame = (
            frame.drop(column, strict=False)
            .join(one, on="date", how="left")
            .with_columns(pl.col("_e").fill_null(pl.when(pl.lit(name not in own) | (pl.col("date") <= told_until)).then(0.0)).alias(column))
            .drop("_e")
        )
        described[column] = Column(column, Role.EVENT, minimum=0, maximum=1)
    return frame


def _tested(frame: Any, experiments: Table, described: dict[str, Column]) -> Any:
    """Add a row per experiment; `lift` is in the unit of the outcome."""
    import polars as pl

    given = experiments.frame.filter(pl.col("start").is_not_null(), pl.col("end").is_not_null(), pl.col("channel").is_not_null())
    if (given["standard_error"].cast(pl.Float64) <= 0).any() or given["standard_error"].is_null().any():
        raise BadValue("an experiment without a standard error above zero", hint="a lift without its error cannot be weighed")
    if (given["end"] < given["start"]).any():
        raise BadValue("an experiment ends before it starts")
    told = named(given.columns, ("spend_change",))
    change = pl.col(told).cast(pl.Float64) if told else pl.lit(None, pl.Float64)
    geo = pl.col("geo").cast(pl.String) if "geo" in given.columns else pl.lit(None, pl.String)
    rows = given.select(
        pl.col("start").cast(pl.Date).alias("date"),
        pl.col("name").cast(pl.String).alias("test"),
        pl.col("channel").cast(pl.String).alias("test_channel"),
        geo.alias("test_geo"),
        pl.col("end").cast(pl.Date).alias("test_end"),
        pl.col("lift").cast(pl.Float64).alias("test_lift"),
        pl.col("standard_error").cast(pl.Float64).alias("test_error"),
        change.alias("test_change"),
    )
    described |= {column.name: column for column in Table.from_frame(rows).schema if column.name in TESTS}
    return pl.concat([frame, rows], how="diagonal")
