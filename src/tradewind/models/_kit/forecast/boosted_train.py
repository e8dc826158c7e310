"""Learn the boosted trees: rows of past origins, trees of the mean, trees whose leaves hold every quantile, and their export."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from tradewind.core.errors import LearnFailed
from tradewind.models._kit import onnx_trees, response, trees
from tradewind.models._kit.forecast import features, levels, occasions, percent
from tradewind.models._kit.forecast.boosted_serve import FLOOR, OUTCOMES, PERCENT, Learned, Pull, bounded, quantiles_of
from tradewind.models._kit.forecast.features import View
from tradewind.models._kit.intervals import TAUS
from tradewind.models._kit.onnx_trees import Score
from tradewind.models._kit.panel import Panel
from tradewind.models._kit.trees import Trees

Array = np.ndarray[Any, Any]
STEPS = 8  # periods ahead drawn per origin and series where all would be too many
HIGHEST = 60.0  # times its level: anything above counts as this much
LEAST_ROWS = 60
TRUSTED = 0.4  # share of the trees' own middle that quantiles start from: it knows the rows it was grown on too well
FAIR = 0.2  # log sales: misses beyond it count by their size, smaller ones by their squares
HELD_BACK = 20.0  # rows of a leaf that no change counts for
TOLERABLE = 0.03  # root mean square error of log quantiles that is worth a faster answer
BY_PERCENT = {"rounds": 300, "leaves": 31, "learning_rate": 0.04}  # knobs of the trees for percentage errors
PULLED = 20_000  # rows that tell how quantiles stand to the mean
COLD = 25  # one of so many rows is learned as if its series had no history: what a newcomer looks like


class Sample:
    """Rows of past origins: features, what was sold in units of scale and effect, and what came with them."""

    def __init__(self) -> None:
        self.values: list[Array] = []
        self.columns: list[Array] = []

    def add(self, view: View, origin: int, steps: Array, target: Array, *, cold: bool = False) -> None:
        """Add one origin's rows whose target is known; `cold` says that the view knows no history."""
        rows = features.rows(view, origin, steps)
        truth = target[:, origin + steps]
        keep = np.isfinite(truth)
        units = rows.units()
        self.values.append(rows.values[keep])
        self.columns.append(np.stack([truth[keep], units[keep], np.full(int(keep.sum()), cold)], 1).astype("f8"))

    def stacked(self) -> tuple[Array, Array]:
        """Return features (rows, features) and (truth, units of one score, cold) per row."""
        if not self.values:
            return np.empty((0, 0), "f4"), np.empty((0, 3))
        return np.concatenate(self.values), np.concatenate(self.columns)


def learn(panel: Panel, knobs: Mapping[str, Any], *, seed: int, horizon: int) -> Learned:
    """Learn from a panel; raises LearnFailed."""
    effects, like = response.learn(panel), levels.learn(panel)
    around = occasions.learn(panel, effects.without(panel))
    view = View.of(panel, effects, like.of(panel), around)
    names = features.names(panel)
    whole = sample(view, range_of_origins(panel, horizon, panel.cut), panel.cut, horizon=horizon, rows=knobs["rows"], seed=seed)
    if len(whole[0]) < LEAST_ROWS:
        raise LearnFailed(f"{panel.cut} past periods are too few for boosted trees", hint="load more history, or train the recipe naive")
    if not whole[1][:, 0].any():
        raise LearnFailed("every past sale is zero: there is nothing to learn", hint="look at the column that was read as units")
    facts: dict[str, Any] = {"rows": len(whole[0]), "levers": list(effects.names)}
    mean, mean_model, facts["parity_mean"] = _of_mean(whole, names, knobs, seed)
    warm = whole[1][:, 2] == 0
    aim = "daily" if panel.grain.cycle > 1 else "log"
    quantile_model, shapes, found = _of_quantiles((whole[0][warm], whole[1][warm]), names, knobs, seed, aim=aim)
    models = {"mean": mean_model, "quantiles": quantile_model}
    if knobs.get(percent.ASKED):
        models[PERCENT], facts["parity_percent"] = _of_percent((whole[0][warm], whole[1][warm]), names, knobs, seed)
    scores = {aim: onnx_trees.walk(model) for aim, model in models.items()}
    cold = _cold_curve(scores["mean"], whole[0][~warm], whole[1][~warm])
    pull = _pull(scores, shapes, (whole[0][warm], whole[1][warm]), knobs["volume"])
    reach = features.reach_back(panel)
    return Learned(effects, like, around, mean, models, scores, cold, shapes, tuple(names), horizon, reach, facts | found, pull)


def _pull(scores: Mapping[str, Score], shapes: Array, drawn: tuple[Array, Array], volume: float) -> Pull:
    """Return how quantiles stand to the mean on some of the rows learned from."""
    some = slice(None, None, max(1, len(drawn[0]) // PULLED))
    rows, units = drawn[0][some], drawn[1][some, 1]
    quantiles = np.sort(quantiles_of(shapes, scores["quantiles"](rows)), axis=-1)
    inside = quantiles @ OUTCOMES
    apart = bounded(scores["mean"](rows))[inside > 0] - np.log(inside[inside > 0])
    return Pull(float(np.median(apart)) if len(apart) else 0.0, max(float((units**volume).mean()), 1e-12), volume)


def _cold_curve(score: Score, rows: Array, columns: Array) -> Array:
    """Return every quantile of sales over their mean forecast where nothing of the past is known; a wide guess where no row says."""
    if len(rows) < LEAST_ROWS:
        return np.exp(np.linspace(-2.5, 1.5, len(TAUS)))
    mean = np.exp(np.clip(score(rows), -30, 30)) * columns[:, 1]
    found: Array = np.quantile(columns[:, 0] / np.maximum(mean, 1e-9), TAUS)
    return found


def _of_mean(drawn: tuple[Array, Array], names: list[str], knobs: Mapping[str, Any], seed: int) -> tuple[Trees, dict[str, bytes], float]:
    """Grow the trees of the mean; return them, their ONNX, and the largest difference between that and LightGBM itself."""
    booster = boost(drawn, names, knobs, seed, aim="mean")
    grown = trees.from_lightgbm(booster)
    model = onnx_trees.halved(grown, len(names), features.asking_price(names))
    rows = drawn[0][:: max(1, len(drawn[0]) // 2000)]
    parity = onnx_trees.check_parity(onnx_trees.walk(model), lambda tried: booster.predict(tried, raw_score=True, num_threads=1), rows)
    return grown, model, parity


def _of_percent(drawn: tuple[Array, Array], names: list[str], knobs: Mapping[str, Any], seed: int) -> tuple[dict[str, bytes], float]:
    """Grow trees for percentage errors; return their ONNX and its parity. Where nothing was sold there is none. Raises LearnFailed."""
    sold = drawn[1][:, 0] > 0
    rows = drawn[0][sold]
    if len(rows) < LEAST_ROWS:
        raise LearnFailed(
            f"{len(rows)} past sales above zero are too few to learn percentage errors from", hint="set the knob percent to 0"
        )
    booster = boost((rows, drawn[1][sold]), names, {**knobs, **BY_PERCENT}, seed, aim=PERCENT)
    model = onnx_trees.halved(trees.from_lightgbm(booster), len(names), features.asking_price(names))
    tried = rows[:: max(1, len(rows) // 2000)]
    return model, onnx_trees.check_parity(onnx_trees.walk(model), lambda some: booster.predict(some, num_threads=1), tried)


def _of_quantiles(
    drawn: tuple[Array, Array], names: list[str], knobs: Mapping[str, Any], seed: int, *, aim: str
) -> tuple[dict[str, bytes], Array, dict[str, float]]:
    """Grow trees on log sales, then boost all quantiles of them at once over their leaves; return their ONNX, the shapes, and gaps.

    One structure serves every quantile: one walk through the trees answers all of them.
    """
    booster = boost(drawn, names, knobs, seed, aim=aim)
    grown, number = trees.from_lightgbm(booster), trees.leaf_numbers(booster)
    leaf = booster.predict(drawn[0], pred_leaf=True, num_threads=knobs["threads"]).reshape(len(drawn[0]), -1).astype("i4")
    middle = TRUSTED * booster.predict(drawn[0], num_threads=knobs["threads"])
    base, added = leaf_quantiles(leaf, (np.log(_ratio(drawn) + FLOOR) - middle).astype("f4"), knobs["learning_rate"])
    values = np.zeros((len(number), len(TAUS)))
    often = np.zeros(len(number))
    ends = np.append(grown.roots, len(number))
    for tree, one in enumerate(added):
        nodes = np.arange(ends[tree], ends[tree + 1])
        nodes = nodes[number[nodes] >= 0]
        values[nodes] = one[number[nodes]] + TRUSTED * grown.value[nodes][:, None]
        often[nodes] = np.bincount(leaf[:, tree], minlength=len(one))[number[nodes]]
    rows = drawn[0][:: max(1, len(drawn[0]) // 2000)]

    def wanted(tried: Array) -> Array:
        at = booster.predict(tried, pred_leaf=True, num_threads=1).reshape(len(tried), -1)
        own: Array = sum(one[at[:, tree]].astype("f8") for tree, one in enumerate(added))
        whole: Array = own + TRUSTED * booster.predict(tried, num_threads=1)[:, None]
        return whole

    shapes = quantile_shapes(values, often, wanted(rows))
    model = onnx_trees.halved(grown, len(names), features.asking_price(names), values=(values @ shapes.T).astype("f4"))
    score = onnx_trees.walk(model)
    parity = onnx_trees.check_parity(score, lambda tried: wanted(tried) @ shapes.T, rows)
    gap = np.abs(score(rows) @ shapes - wanted(rows))
    return model, np.concatenate([base[None], shapes]), {"parity_quantiles": parity, "shape_error": float(np.sqrt((gap**2).mean()))}


def quantile_shapes(values: Array, often: Array, moved: Array) -> Array:
    """Return the few orthonormal shapes (shapes, levels) in which leaves move quantiles: principal axes, weighed by their rows.

    All levels at once move up or down, spread, lean: what a leaf adds is written in these, and a walk sums few numbers instead of
    many. There are as few as write `moved` (rows, levels), what whole walks add up to, with an error of no more than TOLERABLE.
    """
    _, _, axes = np.linalg.svd(values.T @ (values * often[:, None]))
    for many in range(2, len(axes)):  # a model of one target answers with a vector
        left = moved - moved @ axes[:many].T @ axes[:many]
        if np.sqrt((left**2).mean()) <= TOLERABLE:
            return np.asarray(axes[:many])
    return np.asarray(axes)


def leaf_quantiles(leaf: Array, outcome: Array, rate: float) -> tuple[Array, list[Array]]:
    """Return where every quantile starts, and what each tree's leaves add to it, by gradient steps of the pinball loss.

    `leaf` is (rows, trees) leaf numbers, `outcome` what is left once the trees' own middle is taken off. A step is the gap between the
    wanted and the reached share of rows below, times the slope of the quantile function of all rows there: what a Newton step would be
    if every leaf had the density of the whole.
    """
    rows, count = leaf.shape
    start = np.quantile(outcome, TAUS)
    near = np.clip(TAUS - 0.08, 0.005, 1), np.clip(TAUS + 0.08, 0, 0.995)
    slope = np.maximum((np.quantile(outcome, near[1]) - np.quantile(outcome, near[0])) / (near[1] - near[0]), 0.05)
    now = np.repeat(start[None].astype("f4"), rows, 0)
    added = []
    for tree in range(count):
        own = leaf[:, tree]
        size = int(own.max()) + 1
        often = np.bincount(own, minlength=size)
        values = np.empty((size, len(TAUS)), "f4")
        for at, tau in enumerate(TAUS):
            below = np.bincount(own, outcome < now[:, at], size)
            values[:, at] = rate * slope[at] * (tau * often - below) / (often + HELD_BACK)
        now += values[own]
        added.append(values)
    return start, added


def range_of_origins(panel: Panel, horizon: int, end: int) -> Array:
    """Return past origins whose targets lie before `end`, in step with it by the cycle."""
    grain = panel.grain
    least = max(1, min(2 * grain.level, end // 3))
    step = grain.cycle if grain.cycle > 1 else 1
    found = np.arange(end - step, least - 1, -step)
    return found if len(found) else np.array([max(end - 1, 0)])


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
        started = np.flatnonzero(np.isfinite(panel.target[:, :origin]).any(1))
        if not len(started):
            continue
        steps = np.arange(open_)
        chosen = started
        if len(started) * open_ > per_origin:
            many = max(min(STEPS, open_), per_origin // len(started))
            steps = np.sort(rng.choice(open_, min(many, open_), replace=False))
            if len(started) * len(steps) > per_origin:
                chosen = np.sort(rng.choice(started, max(1, per_origin // len(steps)), replace=False))
        part = view if len(chosen) == len(panel) else _part(view, chosen)
        drawn.add(part, origin, steps, part.panel.target)
        if len(panel) >= COLD:
            cold = np.sort(rng.choice(chosen, max(1, len(chosen) // COLD), replace=False))
            part = _part(view, cold)
            drawn.add(replace(part, steady=np.full_like(part.steady, np.nan)), origin, steps, part.panel.target, cold=True)
    return drawn.stacked()


def _part(view: View, chosen: Array) -> View:
    def some(value: Array) -> Array:
        return value if len(value) == 1 else value[chosen]

    effect, lift, steady = view.effect[chosen], view.lift[chosen], view.steady[chosen]
    near = tuple(some(value) for value in view.near)
    return View(view.panel.take(chosen), effect, lift, steady, view.calendar, near, some(view.season), view.prior[chosen])


def boost(drawn: tuple[Array, Array], names: list[str], knobs: Mapping[str, Any], seed: int, *, aim: str) -> Any:
    """Grow trees on rows of `sample`; raises LearnFailed.

    Aim `mean` is Tweedie with a log link, never rising with price; `log` the log of sales by squares; `daily` the same by Fair's loss:
    what a single day sells is a count, often none, and squares of logs would grow trees that tell empty days apart; `percent` is
    sales by absolute error, weighed as percentages: each row's is to hold a sale.
    """
    import lightgbm as lgb

    settings = {
        "learning_rate": knobs["learning_rate"],
        "num_leaves": knobs["leaves"],
        "min_data_in_leaf": int(np.clip(len(drawn[0]) // 2000, 10, 100)),
        "feature_fraction": 0.6,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "lambda_l2": 1.0,
        "num_threads": knobs["threads"],
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
    }
    label, weight = _ratio(drawn), None
    if aim == "mean":
        monotone = features.monotone(names)
        settings |= {"objective": "tweedie", "tweedie_variance_power": knobs["power"], "monotone_constraints": monotone}
        weight = drawn[1][:, 1] ** knobs["volume"]
        weight = np.clip(weight / max(float(weight.mean()), 1e-12), 0.02, 20)
    elif aim == PERCENT:
        settings |= {"objective": "l1", "lambda_l2": 0.0, "min_data_in_leaf": int(np.clip(len(drawn[0]) // 2000, 10, 60))}
        weight = percent.weight(label)
    else:
        loss = {"objective": "fair", "fair_c": FAIR} if aim == "daily" else {"objective": "l2"}
        settings |= loss | {"lambda_l2": HELD_BACK}
        label = np.log(label + FLOOR)
    data = lgb.Dataset(drawn[0], label, weight=weight, params={"max_bin": 127, "verbose": -1}, free_raw_data=False)
    try:
        return lgb.train(settings, data, int(knobs["rounds"]))
    except lgb.basic.LightGBMError as error:
        raise LearnFailed(f"the trees could not be grown: {error}", hint="look at the panel for columns without numbers") from error


def _ratio(drawn: tuple[Array, Array]) -> Array:
    found: Array = np.minimum(drawn[1][:, 0] / drawn[1][:, 1], HIGHEST)
    return found
