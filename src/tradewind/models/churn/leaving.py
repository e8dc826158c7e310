"""How leaving is seen: a date or a flag in the customers table, or silence that is longer than customers' own gaps."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from tradewind.core.errors import BadValue

if TYPE_CHECKING:
    import polars as pl

FLAG, MEMBERSHIP, ORDERS = "flag", "membership", "orders"
YES, NO = ("yes", "true", "1", "1.0", "y", "churned", "left"), ("no", "false", "0", "0.0", "n", "active", "stayed")
MONTH = 30.4375
LENGTHS = ("tenure", "tenure_months", "months", "months_active", "account_length")
QUANTILE = 0.9  # of customers' own mean gaps: silence longer than this is leaving
SHORTEST, LONGEST = 28, 180


def flags(people: pl.DataFrame) -> pl.Series | None:
    """Return who has left where `churned` says yes or no; None where it is absent or holds dates. Raises BadValue for other words."""
    import polars as pl

    if "churned" not in people.columns or people["churned"].null_count() == people.height:
        return None
    words = people["churned"].cast(pl.String).str.strip_chars().str.to_lowercase()
    known = words.is_in([*YES, *NO])
    if not known.any():
        return None
    strange = words.filter(~known & words.is_not_null()).unique().to_list()
    if strange:
        raise BadValue(f"churned holds {strange[0]!r} beside yes and no", hint="dates, or yes and no; empty where it is not known")
    return pl.select(pl.when(words.is_in(YES)).then(True).when(words.is_in(NO)).then(False).otherwise(None)).to_series()


def leaving_dates(people: pl.DataFrame) -> pl.Series | None:
    """Return the date each customer left on; None where `churned` is absent, empty or a flag. Raises BadValue for what is no date."""
    import polars as pl

    if "churned" not in people.columns or people["churned"].null_count() == people.height:
        return None
    said = people["churned"]
    if said.dtype.is_temporal():
        return said.cast(pl.Date)
    words = said.cast(pl.String).str.strip_chars().replace("", None)
    if words.str.to_lowercase().is_in([*YES, *NO]).any():
        return None
    dates = words.str.slice(0, 10).str.to_date("%Y-%m-%d", strict=False)
    lost = words.filter(dates.is_null() & words.is_not_null())
    if not lost.is_empty():
        raise BadValue(f"churned holds {lost[0]!r}, which is neither a date nor yes or no", hint="write dates as 2026-11-30")
    return dates


def months(people: pl.DataFrame, day: dt.date) -> pl.Series | None:
    """Return how many days each customer has been (or was) one: from `joined`, or a column of months; None where nothing says it."""
    import polars as pl

    if "joined" in people.columns and people["joined"].null_count() < people.height:
        since = pl.select((pl.lit(day) - people["joined"].cast(pl.Date)).dt.total_days().cast(pl.Float64)).to_series()
        return since.clip(lower_bound=1.0)
    name = next((one for one in people.columns if one.lower() in LENGTHS), None)
    if name is None:
        return None
    length = people[name].cast(pl.Float64, strict=False)
    return (length * MONTH).clip(lower_bound=MONTH / 2)


def horizon_of(orders: pl.DataFrame, span: int) -> int:
    """Return the days of silence that count as leaving: longer than nine in ten customers' own mean gaps, a quarter of the span at most."""
    import polars as pl

    days = orders.filter(pl.col("amount") > 0).select("customer", "date").unique().group_by("customer")
    gaps = days.agg(gap=(pl.col("date").max() - pl.col("date").min()).dt.total_days() / (pl.len() - 1).clip(lower_bound=1), n=pl.len())
    own = gaps.filter(pl.col("n") > 1)["gap"].quantile(QUANTILE)
    wanted = min(max(float(own) if own is not None else float(LONGEST), SHORTEST), LONGEST)
    return int(max(1, min(round(wanted), span // 4)))


def silences(orders: pl.DataFrame, cut: dt.date, last: dt.date, horizon: int) -> pl.DataFrame:
    """Return per customer of a cut: left (no order within the horizon), and when she left, counted from the cut.

    She leaves with the last order before the first silence longer than the horizon: `duration` 0 where it began before the cut. Where
    no such silence is seen yet, `event` is 0 and `duration` is the time that is sure.
    """
    import polars as pl

    sure = float(max((last - cut).days - horizon, 0))
    bought = orders.filter(pl.col("amount") > 0)
    known = bought.filter(pl.col("date") <= cut).select("customer").unique().with_columns(day=pl.lit(0.0))
    later = bought.filter(pl.col("date") > cut).select(
        "customer", ((pl.col("date") - pl.lit(cut)).dt.total_days().cast(pl.Float64)).alias("day")
    )
    days = pl.concat([known, later.join(known.select("customer"), on="customer", how="semi").unique()]).sort("customer", "day")
    end = float((last - cut).days)
    gap = pl.col("day").shift(-1).over("customer").fill_null(end + 0.5) - pl.col("day")  # the last day is over: the silence includes it
    days = days.with_columns(gap=gap)
    gone = days.filter(pl.col("gap") > horizon).group_by("customer").agg(pl.col("day").min().alias("gone"))
    first = later.group_by("customer").agg(pl.col("day").min().alias("first"))
    found = known.select("customer").join(gone, on="customer", how="left").join(first, on="customer", how="left")
    return found.select(
        "customer",
        (pl.col("first").is_null() | (pl.col("first") > horizon)).cast(pl.Float64).alias("left"),
        pl.coalesce("gone", pl.lit(sure)).alias("duration"),
        pl.col("gone").is_not_null().cast(pl.Float64).alias("event"),
    )
