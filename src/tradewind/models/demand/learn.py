"""Learn the boosted recipe: rows of past origins, trees, their export, and first bands from held-out periods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tradewind.core.errors import LearnFailed
from tradewind.core.table import Table
from tradewind.models._kit import intervals, onnx_trees, response, trees
from tradewind.models._kit.intervals import Bands
from tradewind.models._kit.panel import Panel, from_table
from tradewind.models._kit.trees import Trees
from tradewind.models.demand import features
from tradewind.models.demand.features import View
from tradewind.models.demand.state import AIMS, State

Array = np.ndarray[Any, Any]
STEPS = 8  # periods ahead drawn per origin and series where all would be too many
HIGHEST = 60.0  # times its level: anything above counts as this much
LEAST_ROWS = 60
LEAST_JUDGED = 30  # held-out rows below which the first bands rest on rows that were learned from
SMOOTH = 0.1  # errors below this share of the level count by their square, so that steps settle
HELD = 2  # horizons held out to set the first bands


class Sample:
    """Rows of past origins: features, what was sold in units of scale and effect, and what came with them."""

    def __init__(self) -> None:
        self.values: list[Array] = []
        self.columns: list[Array] = []

    def add(self, view: View, series: Array, origin: int, steps: Array, target: Array) -> None:
        """Add one origin's rows whose target is known."""
        rows = features.rows(view, origin, steps)
        truth = target[:, origin + steps]
        keep = np.isfinite(truth) & (rows.known > 0)[:, None]
        units = rows.scale[:, None] * np.exp(rows.effect)
        shape = truth.shape
        ahead = np.broadcast_to(steps, shape)
        which = np.broadcast_to(series[:, None], shape)
        self.values.append(rows.values[keep])
        self.columns.append(np.stack([truth[keep], units[keep], ahead[keep], rows.promoted[keep], which[keep]], 1).astype("f8"))

    def stacked(self) -> tuple[Array, Array]:
        """Return features (rows, features) and (truth, units of one score, ahead, promoted, series) per row."""
        if not self.values:
            return np.empty((0, 0), "f4"), np.empty((0, 5))
        return np.concatenate(self.values), np.concatenate(self.columns)


def fit(table: Table, knobs: Mapping[str, Any], seed: int) -> State:
    """Learn a state; raises LearnFailed."""
    panel = from_table(table)
    horizon = min(int(knobs["horizon"]) or panel.grain.horizon, panel.grain.reach)
    effects = response.learn(panel)
    view = View.of(panel, effects)
    names = features.names(panel)
    held = _held(panel, horizon)
    early = sample(
        view, range_of_origins(panel, horizon, panel.cut - held), panel.cut - held, horizon=horizon, rows=knobs["rows"] // 2, seed=seed
    )
    late = sample(view, _late_origins(panel, held, horizon), panel.cut, horizon=horizon, rows=knobs["rows"] // 4, seed=seed + 1)
    if len(early[0]) < LEAST_ROWS:
        raise LearnFailed(f"{panel.cut} past periods are too few for boosted trees", hint="load more history, or train the recipe naive")
    if not early[1][:, 0].any():
        raise LearnFailed("every past sale is zero: there is nothing to learn", hint="look at the column that was read as units")
    spread = features.spread_of(panel)
    trial = boost(early, names, knobs, seed, aim="mean")
    bands = _first_bands(trial, late if len(late[0]) >= LEAST_JUDGED else early, spread, horizon)
    whole = sample(view, range_of_origins(panel, horizon, panel.cut), panel.cut, horizon=horizon, rows=knobs["rows"], seed=seed + 2)
    learned: dict[str, Trees] = {}
    facts: dict[str, Any] = {"rows": len(whole[0]), "series": len(panel), "levers": list(effects.names)}
    for aim in AIMS:
        learned[aim], facts[f"parity_{aim}"] = _grown(whole, names, knobs, seed, aim=aim)
    models = {aim: onnx_trees.to_onnx(grown, len(names)) for aim, grown in learned.items()}
    scores = {aim: onnx_trees.session(model) for aim, model in models.items()}
    kept = panel.tail(features.reach_back(panel))
    return State(kept, effects, learned["mean"], models, scores, bands, spread, tuple(names), horizon, facts)


def _grown(drawn: tuple[Array, Array], names: list[str], knobs: Mapping[str, Any], seed: int, *, aim: str) -> tuple[Trees, float]:
    """Grow the final trees and return them with the largest difference between their ONNX and LightGBM itself."""
    booster = boost(drawn, names, knobs, seed, aim=aim)
    start = _start(drawn) if aim == "median" else 0.0
    grown = trees.from_lightgbm(booster, start=start)
    score = onnx_trees.session(onnx_trees.to_onnx(grown, len(names)))
    rows = drawn[0][:: max(1, len(drawn[0]) // 2000)]
    return grown, onnx_trees.check_parity(score, lambda tried: booster.predict(tried, raw_score=True, num_threads=1) + start, rows)


def _held(panel: Panel, horizon: int) -> int:
    """Return how many of the last periods to hold out: HELD horizons, never more than a third of the past."""
    return max(1, min(HELD * horizon, panel.cut // 3))


def range_of_origins(panel: Panel, horizon: int, end: int) -> Array:
    """Return past origins whose targets lie before `end`, in step with it by the cycle."""
    grain = panel.grain
    least = max(1, min(2 * grain.level, end // 3))
    step = grain.cycle if grain.cycle > 1 else 1
    found = np.arange(end - step, least - 1, -step)
    return found if len(found) else np.array([max(end - 1, 0)])


def _late_origins(panel: Panel, held: int, horizon: int) -> Array:
    step = max(1, min(horizon // 2, held))
    return np.arange(panel.cut - held, panel.cut, step)


def sample(view: View, origins: Array, end: int, *, horizon: int, rows: int, seed: int) -> tuple[Array, Array]:
    """Draw about `rows` rows of the origins with targets before `end`."""
    rng = np.random.default_rng(seed)
    panel = view.panel
    drawn = Sample()
    per_origin = max(1, rows // max(1, len(origins)))
    for origin in origins.tolist():
        open_ = min(horizon, end - origin)
        if origin < 1 or open_ < 1:
            continue
        chosen = np.arange(len(panel))
        steps = np.arange(open_)
        if len(panel) * open_ > per_origin:
            many = max(min(STEPS, open_), per_origin // len(panel))
            steps = np.sort(rng.choice(open_, min(many, open_), replace=False))
            if len(panel) * len(steps) > per_origin:
                chosen = np.sort(rng.choice(len(panel), max(1, per_origin // len(steps)), replace=False))
        part = view if len(chosen) == len(panel) else _part(view, chosen)
        drawn.add(part, chosen, origin, steps, part.panel.target)
    return drawn.stacked()


def _part(view: View, chosen: Array) -> View:
    near = tuple(value if len(value) == 1 else value[chosen] for value in view.near)
    return View(view.panel.take(chosen), view.effect[chosen], view.lift[chosen], view.steady[chosen], view.calendar, (near[0], near[1]))


def boost(drawn: tuple[Array, Array], names: list[str], knobs: Mapping[str, Any], seed: int, *, aim: str) -> Any:
    """Grow trees for the mean (Tweedie, log link) or the median (smoothed absolute error) on rows of `sample`.

    LightGBM's own absolute error cannot keep a direction in price, as it refits its leaves; gradient steps of constant curvature can.
    Raises LearnFailed.
    """
    import lightgbm as lgb

    settings = {
        "learning_rate": knobs["learning_rate"],
        "num_leaves": knobs["leaves"],
        "min_data_in_leaf": int(np.clip(len(drawn[0]) // 1500, 10, 100)),
        "feature_fraction": 0.6,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "lambda_l2": 1.0,
        "max_bin": 127,
        "monotone_constraints": features.monotone(names),
        "num_threads": knobs["threads"],
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
    }
    if aim == "mean":
        settings |= {"objective": "tweedie", "tweedie_variance_power": knobs["power"]}
    else:
        settings |= {"objective": _absolute(_start(drawn))}
    try:
        return lgb.train(settings, _set(lgb, drawn, knobs), int(knobs["rounds"]))
    except lgb.basic.LightGBMError as error:
        raise LearnFailed(f"the trees could not be grown: {error}", hint="look at the panel for columns without numbers") from error


def _start(drawn: tuple[Array, Array]) -> float:
    return float(np.median(drawn[1][:, 0] / drawn[1][:, 1]))


def _absolute(start: float) -> Any:
    def gradient(raw: Array, data: Any) -> tuple[Array, Array]:
        weight = data.get_weight()
        return np.clip((raw + start - data.get_label()) / SMOOTH, -1, 1) * weight, weight

    return gradient


def _set(lgb: Any, part: tuple[Array, Array], knobs: Mapping[str, Any]) -> Any:
    truth, units = part[1][:, 0], part[1][:, 1]
    weight = units ** knobs["volume"]
    weight = np.clip(weight / max(float(weight.mean()), 1e-12), 0.02, 20)
    return lgb.Dataset(
        part[0], np.minimum(truth / units, HIGHEST), weight=weight, params={"max_bin": 127, "verbose": -1}, free_raw_data=False
    )


def _first_bands(booster: Any, late: tuple[Array, Array], spread: Array, horizon: int) -> Bands:
    values, (truth, units, ahead, promoted, series) = late[0], late[1].T
    mean = booster.predict(values) * units
    return intervals.learn(truth, mean, ahead, promoted, spread[series.astype("i8")], horizon=horizon)
