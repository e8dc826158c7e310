"""One engine for media on one made-up world, in a process of its own: `python -m benchmarks._media_peers ENGINE SEED OUT`.

Each is told the same: spend of three channels, sales, two controls. The peers get what ours finds for itself as well, a linear trend and
two waves a year, and draw 4 chains of 500 after as many to warm up.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks._media import NAMES, START, World, learned, world

CHAINS, DRAWS, WAVES, LAGS = 4, 500, 2, 8
Array = np.ndarray[Any, Any]


def main(engine: str, seed: str, out: str) -> None:
    """Learn one world and write draws of returns (draws, channels) and the wall seconds of learning, imports not counted."""
    returns, seconds = ENGINES[engine](world(int(seed)))
    np.savez(out, returns=returns, seconds=seconds)


def ours(made: World) -> tuple[Array, float]:
    """Learn with our recipe `fast`, its checks included."""
    learned(made.tables(weeks=30), checks=False)  # what is imported when it is first needed is not counted either
    began = time.perf_counter()
    found = learned(made.tables())
    return found.returns, time.perf_counter() - began


def pymc_marketing(made: World) -> tuple[Array, float]:
    """Learn with pymc-marketing: geometric adstock, logistic saturation, its own priors, drawn by nutpie."""
    import nutpie  # noqa: F401 - so that its import is not counted
    import pandas as pd
    from pymc_marketing.mmm import MMM, GeometricAdstock, LogisticSaturation

    weeks = np.arange(len(made.sales))
    controls = {"price_index": made.controls[:, 0], "promo": made.controls[:, 1], "trend": weeks / len(weeks)}
    frame = pd.DataFrame({"date": START + 7 * weeks, **dict(zip(NAMES, made.spend.T, strict=True)), **controls})
    frame["date"] = pd.to_datetime(frame["date"])
    model = MMM(
        date_column="date",
        channel_columns=list(NAMES),
        control_columns=list(controls),
        adstock=GeometricAdstock(l_max=LAGS),
        saturation=LogisticSaturation(),
        yearly_seasonality=WAVES,
    )
    sampled = {"chains": CHAINS, "tune": DRAWS, "draws": DRAWS, "nuts_sampler": "nutpie", "random_seed": 0, "progressbar": False}
    began = time.perf_counter()
    model.fit(frame, pd.Series(made.sales, name="y"), **sampled)
    seconds = time.perf_counter() - began
    brought = model.compute_channel_contribution_original_scale().sum("date").stack(draws=("chain", "draw")).transpose("draws", "channel")
    return brought.to_numpy() / made.spend.sum(0), seconds


def meridian(made: World) -> tuple[Array, float]:
    """Learn with Google's Meridian on JAX: its own priors of returns, six knots of trend, the waves as controls."""
    import pandas as pd
    from meridian.analysis.analyzer import Analyzer
    from meridian.data.data_frame_input_data_builder import DataFrameInputDataBuilder
    from meridian.model.model import Meridian
    from meridian.model.spec import ModelSpec

    weeks = np.arange(len(made.sales))
    angles = [2 * np.pi * wave * weeks / 52.18 for wave in range(1, WAVES + 1)]
    controls = {"price_index": made.controls[:, 0], "promo": made.controls[:, 1]}
    controls |= {f"{name}_{at}": shape(angle) for at, angle in enumerate(angles) for name, shape in (("sin", np.sin), ("cos", np.cos))}
    media = dict(zip(NAMES, made.spend.T, strict=True))
    spend = {f"{name}_spend": values for name, values in media.items()}
    frame = pd.DataFrame({"time": np.datetime_as_string(START + 7 * weeks), "revenue": made.sales, **controls, **media, **spend})
    told = (
        DataFrameInputDataBuilder(kpi_type="revenue").with_kpi(frame, kpi_col="revenue").with_controls(frame, control_cols=list(controls))
    )
    told = told.with_media(frame, media_cols=list(NAMES), media_spend_cols=list(spend), media_channels=list(NAMES))
    data = told.build()
    began = time.perf_counter()
    model = Meridian(input_data=data, model_spec=ModelSpec(knots=6, max_lag=LAGS))
    model.sample_posterior(n_chains=CHAINS, n_adapt=DRAWS, n_burnin=200, n_keep=DRAWS, seed=0)
    seconds = time.perf_counter() - began
    return np.asarray(Analyzer(model).roi(use_posterior=True)).reshape(-1, len(NAMES)), seconds


ENGINES: dict[str, Callable[[World], tuple[Array, float]]] = {"ours": ours, "pymc-marketing": pymc_marketing, "Meridian": meridian}
NEEDS = {"pymc-marketing": ("pymc_marketing", "nutpie"), "Meridian": ("meridian",)}


if __name__ == "__main__":
    main(*sys.argv[1:])
