"""DoubleML and EconML on the confounded panels of `causal`: the same folds, learners and clusters by shop, where they are installed."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Panel = tuple[Array, Array, Array, Array]  # log units, promotion, controls, shop
FOLDS = 5
KNOBS: dict[str, Any] = {"n_estimators": 120, "num_leaves": 15, "learning_rate": 0.08, "n_jobs": 1, "verbose": -1}


def doubleml(panel: Panel) -> tuple[float, float]:
    """Return DoubleML's partially linear effect and its error, clusters by shop."""
    from doubleml import DoubleMLClusterData, DoubleMLPLR
    from lightgbm import LGBMClassifier, LGBMRegressor

    units, promotion, controls, shop = panel
    data = DoubleMLClusterData.from_arrays(controls, units, promotion, cluster_vars=shop)
    model = DoubleMLPLR(data, LGBMRegressor(**KNOBS), LGBMClassifier(**KNOBS), n_folds=FOLDS).fit()
    return float(model.coef[0]), float(model.se[0])


def econml(panel: Panel) -> tuple[float, float]:
    """Return EconML's linear double machine learning and its error, folds by shop."""
    from econml.dml import LinearDML
    from lightgbm import LGBMClassifier, LGBMRegressor

    units, promotion, controls, shop = panel
    model = LinearDML(model_y=LGBMRegressor(**KNOBS), model_t=LGBMClassifier(**KNOBS), discrete_treatment=True, cv=FOLDS, random_state=0)
    model.fit(units, promotion.astype(int), X=None, W=controls, groups=shop)
    said = model.effect_inference()
    return float(said.point_estimate[0]), float(said.stderr[0])


PEERS: dict[str, Callable[[Panel], tuple[float, float]]] = {"doubleml": doubleml, "econml": econml}


def missing() -> list[str]:
    """Return the peers that this environment does not have."""
    return [name for name in PEERS if importlib.util.find_spec(name) is None]


def timed(effect: Callable[[], tuple[float, float]]) -> tuple[float, float, float]:
    """Return an effect, its error and the CPU seconds it took."""
    began = time.process_time()
    return *effect(), time.process_time() - began
