"""Outcomes with marketing beside them: four public data sets, what was known at a cutoff, and the forecasts that ours are read beside."""

from __future__ import annotations

import datetime as dt
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks._run import DATA, Failed
from tradewind.core.model import Budget

MEDIA = DATA / "mmm"
STEPS = {"day": 1, "week": 7}


@dataclass(frozen=True, slots=True)
class Outcomes:
    """A data set: outcomes by date and geo, marketing or none, its grain, and how it is cut."""

    frame: pl.DataFrame  # date, geo, conversions
    marketing: pl.DataFrame | None  # date, channel, spend, and geo where it is known
    grain: str
    horizon: int
    cutoffs: int

    @property
    def season(self) -> int:
        """Return how far a seasonal naive forecast looks back."""
        return 7 if self.grain == "day" else 52

    @property
    def dates(self) -> list[dt.date]:
        """Return every date."""
        return self.frame["date"].unique().sort().to_list()

    @property
    def ends(self) -> list[int]:
        """Return the place of the last known date of each cutoff, oldest first."""
        return [len(self.dates) - 1 - self.horizon * (self.cutoffs - at) for at in range(self.cutoffs)]

    @property
    def wide(self) -> np.ndarray:
        """Return conversions as a matrix (geos, dates)."""
        table = self.frame.pivot("date", index="geo", values="conversions", sort_columns=True).sort("geo")
        return table.drop("geo").to_numpy().astype("f8")


def robyn() -> Outcomes:
    """Return 208 weeks of simulated revenue with the spend of five channels and newsletters; the competitor's sales are not told."""
    frame = pl.read_csv(MEDIA / "robyn_simulated/dt_simulated_weekly.csv", try_parse_dates=True)
    names = {"tv": "tv_S", "ooh": "ooh_S", "print": "print_S", "search": "search_S", "facebook": "facebook_S", "newsletter": "newsletter"}
    spend = frame.select(pl.col("DATE").alias("date"), *(pl.col(column).cast(pl.Float64).alias(name) for name, column in names.items()))
    won = frame.select(date="DATE", geo=pl.lit("all"), conversions="revenue")
    return Outcomes(won, spend.unpivot(index="date", variable_name="channel", value_name="spend"), "week", 8, 8)


def meridian() -> Outcomes:
    """Return 156 weeks of simulated conversions of 40 geos with the spend of five channels."""
    frame = pl.read_csv(MEDIA / "meridian_simulated/geo_all_channels.csv", try_parse_dates=True)
    names = [f"Channel{at}_spend" for at in range(5)]
    spend = frame.select("geo", pl.col("time").alias("date"), *(pl.col(name).cast(pl.Float64) for name in names))
    long = spend.unpivot(index=["geo", "date"], variable_name="channel", value_name="spend")
    return Outcomes(frame.select(pl.col("time").alias("date"), "geo", "conversions"), long, "week", 8, 3)


def funnel() -> Outcomes:
    """Return 1,050 simulated days with the impressions of four channels in the place of spend."""
    frame = pl.read_csv(MEDIA / "pymc_marketing/funnel_data.csv", try_parse_dates=True)
    names = [f"impressions_x{at}" for at in range(1, 5)]
    spend = frame.select("date", *names).unpivot(index="date", variable_name="channel", value_name="spend")
    return Outcomes(frame.select("date", geo=pl.lit("all"), conversions="target_var"), spend, "day", 28, 4)


def geolift() -> Outcomes:
    """Return 90 days of 40 cities before the test, without marketing."""
    frame = pl.read_csv(MEDIA / "geolift/GeoLift_PreTest.csv", try_parse_dates=True)
    return Outcomes(frame.select("date", geo="location", conversions=pl.col("Y").cast(pl.Float64)), None, "day", 14, 3)


SETS: dict[str, Callable[[], Outcomes]] = {
    "Robyn weekly revenue": robyn,
    "Meridian geo conversions": meridian,
    "pymc funnel": funnel,
    "GeoLift before the test": geolift,
}


def served(data: Outcomes, folder: Path, *, seed: int) -> tuple[pl.DataFrame, list[str]]:
    """Train anew at each cutoff on what was known then, spend planned over the horizon, and ask; returns answers and what served."""
    import tradewind

    parts, recipes, dates = [], [], data.dates
    for end in data.ends:
        asked = dates[end + 1 : end + data.horizon + 1]
        with tradewind.open(folder / str(end)) as desk:
            desk.load(data.frame.filter(pl.col("date") <= dates[end]), table="outcomes")
            if data.marketing is not None:
                desk.load(data.marketing.filter(pl.col("date") <= asked[-1]), table="marketing")
            trained = desk.train("acquisition", seed=seed, budget=Budget(folds=3))
            desk.promote("acquisition", force=True, reason="benchmark")
            rows = data.frame.select("geo").unique().sort("geo").join(pl.DataFrame({"date": asked}), how="cross")
            found = desk.predict("acquisition", rows).table.frame
        if len(found) != len(rows):
            raise Failed(f"{len(found)} answers to {len(rows)} questions")
        parts.append(found.select("geo", "date", "mean", "p50", "lo80", "hi80").with_columns(block=pl.lit(end)))
        recipes.append(str(trained.source["recipe"]))
    return pl.concat(parts), recipes


def peers(data: Outcomes) -> dict[str, list[np.ndarray]]:
    """Return the point forecasts of every block by peer, (geos, horizon) each; Prophet only where it is installed."""
    wide = data.wide
    out: dict[str, list[np.ndarray]] = {"seasonal naive": [], "AutoETS": [], "MSTL": []}
    for end in data.ends:
        past = wide[:, : end + 1]
        out["seasonal naive"].append(past[:, past.shape[1] - data.season + np.arange(data.horizon) % data.season])
        for name in ("AutoETS", "MSTL"):
            out[name].append(np.stack([_continued(name, row, data) for row in past]))
    try:
        import prophet  # noqa: F401
    except ImportError:
        return out
    out["Prophet"] = [np.stack([_prophet(row, data.dates[: end + 1], data) for row in wide[:, : end + 1]]) for end in data.ends]
    return out


def _continued(name: str, row: np.ndarray, data: Outcomes) -> np.ndarray:
    import statsforecast.models as library

    ets = name == "AutoETS"
    seasons = [season for season in ({7, 365} if data.grain == "day" else {52}) if len(row) >= 2 * season + 2]
    if not ets and not seasons:
        ets = True
    model: Any = (
        library.AutoETS(season_length=data.season if data.season <= 24 else 1) if ets else library.MSTL(season_length=sorted(seasons))
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return np.asarray(model.forecast(y=row, h=data.horizon)["mean"])


def _prophet(row: np.ndarray, dates: list[dt.date], data: Outcomes) -> np.ndarray:
    import pandas
    from prophet import Prophet

    model = Prophet(uncertainty_samples=0).fit(pandas.DataFrame({"ds": pandas.to_datetime(dates), "y": row}))
    ahead = [dates[-1] + dt.timedelta(days=STEPS[data.grain] * (at + 1)) for at in range(data.horizon)]
    return model.predict(pandas.DataFrame({"ds": pandas.to_datetime(ahead)}))["yhat"].to_numpy()
