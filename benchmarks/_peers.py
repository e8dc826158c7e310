"""One peer on one data set, in a process of its own so that its CPU seconds can be counted: `python -m benchmarks._peers PEER SET OUT`."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from benchmarks._demand import STEPS, Sales, ends_of, m5_small, pasta, served, stallion

SEED = 0


@dataclass(frozen=True, slots=True)
class Case:
    """A data set with its protocol."""

    sales: Callable[[], Sales]
    horizon: int
    blocks: int


CASES = {"stallion": Case(stallion, 6, 1), "m5_small": Case(m5_small, 30, 3), "pasta": Case(pasta, 28, 1)}


def main(peer: str, name: str, out: str) -> None:
    """Forecast every block and write keys, date, block, said."""
    case = CASES[name]
    sales = case.sales()
    ends = ends_of(sales, blocks=case.blocks, horizon=case.horizon)
    if peer == "ours":
        with tempfile.TemporaryDirectory(prefix="tradewind-bench-") as folder:
            answers, _ = served(sales, Path(folder), ends, case.horizon, seed=SEED)
        parts = [answer.select(*sales.keys, "date", said="p50") for answer in answers]
    else:
        parts = [PEERS[peer](sales, end, case.horizon) for end in ends]
    pl.concat(part.with_columns(block=pl.lit(block)) for block, part in enumerate(parts)).write_parquet(out)


def long(sales: Sales, end: int, horizon: int) -> tuple[Any, Any, list[str]]:
    """Return what was known at a cutoff as the peers want it: past with y, coming periods without, and the columns known ahead.

    Every series has every period from its first sale on; gaps are carried forward, as the published baselines have it.
    """
    known = sales.known(sales.dates[end], sales.dates[end + horizon])
    whole = sales.asked(sales.dates[: end + horizon + 1]).join(known, on=[*sales.keys, "date"], how="left", maintain_order="left")
    one = pl.concat_str(sales.keys, separator="\x1f").alias("unique_id")
    planned = [pl.col(name).cast(pl.Float64).forward_fill().backward_fill().over(sales.keys).fill_null(0.0) for name in sales.planned]
    frame = whole.select(one, pl.col("date").cast(pl.Datetime("ns")).alias("ds"), pl.col("units").alias("y"), *planned)
    cutoff = pl.lit(sales.dates[end]).cast(pl.Datetime("ns"))
    past = frame.filter(pl.col("ds") <= cutoff).with_columns(pl.col("y").forward_fill().over("unique_id").fill_null(0.0))
    past = past.filter((pl.col("y") != 0).cast(pl.Int8).cum_max().over("unique_id") > 0)
    coming = frame.filter(pl.col("ds") > cutoff).drop("y").join(past.select("unique_id").unique(), on="unique_id", how="semi")
    return past.to_pandas(), coming.to_pandas(), [name for name in sales.planned if past[name].n_unique() > 1]


def auto_ets(sales: Sales, end: int, horizon: int) -> pl.DataFrame:
    """Forecast with statsforecast's AutoETS, and with its Naive the few series that it finds too short; it knows no covariates."""
    from statsforecast import StatsForecast
    from statsforecast.models import AutoETS, Naive

    past, _, _ = long(sales, end, horizon)
    engine = StatsForecast(models=[AutoETS(season_length=sales.season)], freq=_freq(sales), n_jobs=1, fallback_model=Naive())
    return _said(sales, end, horizon, engine.forecast(df=past[["unique_id", "ds", "y"]], h=horizon), "AutoETS")


def recursive(sales: Sales, end: int, horizon: int) -> pl.DataFrame:
    """Forecast with mlforecast: one LightGBM over all series, recursive, with what is known ahead."""
    import lightgbm
    from mlforecast import MLForecast
    from mlforecast.lag_transforms import RollingMean
    from mlforecast.target_transforms import LocalStandardScaler

    past, coming, planned = long(sales, end, horizon)
    daily = sales.grain == "day"
    model = lightgbm.LGBMRegressor(
        n_estimators=400,
        learning_rate=0.05,
        num_leaves=31,
        min_child_samples=50,
        subsample=0.8,
        subsample_freq=1,
        colsample_bytree=0.8,
        objective="l1",
        n_jobs=1,
        random_state=SEED,
        verbose=-1,
    )
    engine = MLForecast(
        models=[model],
        freq=_freq(sales),
        lags=[1, 7, 14, 21, 28, 364] if daily else [1, 2, 3, 6, 12],
        lag_transforms={1: [RollingMean(7), RollingMean(28), RollingMean(91)] if daily else [RollingMean(3), RollingMean(12)]},
        date_features=["dayofweek", "day", "month", "dayofyear"] if daily else ["month"],
        target_transforms=[LocalStandardScaler()],
        num_threads=1,
    )
    engine.fit(past[["unique_id", "ds", "y", *planned]], static_features=[])
    found = engine.predict(horizon, X_df=coming[["unique_id", "ds", *planned]]) if planned else engine.predict(horizon)
    return _said(sales, end, horizon, found, "LGBMRegressor")


def prophet(sales: Sales, end: int, horizon: int) -> pl.DataFrame:
    """Forecast with Prophet, series by series, with what is known ahead as regressors."""
    import logging

    import pandas
    from prophet import Prophet

    logging.getLogger("cmdstanpy").setLevel(logging.ERROR)
    past, coming, planned = long(sales, end, horizon)
    future, found = dict(list(coming.groupby("unique_id"))), []
    for name, rows in past.groupby("unique_id"):
        model = Prophet(uncertainty_samples=0)
        for column in planned:
            model.add_regressor(column)
        model.fit(rows)
        found.append(model.predict(future[name])[["ds", "yhat"]].assign(unique_id=name))
    return _said(sales, end, horizon, pandas.concat(found), "yhat")


PEERS: dict[str, Callable[[Sales, int, int], pl.DataFrame]] = {
    "AutoETS": auto_ets,
    "LightGBM recursive": recursive,
    "Prophet": prophet,
}
NEEDS = {"AutoETS": "statsforecast", "LightGBM recursive": "mlforecast", "Prophet": "prophet"}


def _freq(sales: Sales) -> str:
    return {"1d": "D", "1w": "7D", "1mo": "MS"}[STEPS[sales.grain]]


def _said(sales: Sales, end: int, horizon: int, found: Any, column: str) -> pl.DataFrame:
    """Return the answers by key, none below zero; a series that never sold is said to sell nothing."""
    said = pl.from_pandas(found[["unique_id", "ds", column]].reset_index(drop=True))
    said = said.select(
        "unique_id", pl.col("ds").cast(pl.Date).alias("date"), pl.col(column).cast(pl.Float64).clip(lower_bound=0).alias("said")
    )
    asked = sales.asked(sales.dates[end + 1 : end + horizon + 1])
    one = pl.concat_str(sales.keys, separator="\x1f").alias("unique_id")
    both = asked.with_columns(one).join(said, on=["unique_id", "date"], how="left", maintain_order="left")
    return both.select(*sales.keys, "date", pl.col("said").fill_null(0.0))


if __name__ == "__main__":
    main(*sys.argv[1:])
