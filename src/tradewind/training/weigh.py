"""Weigh recipes against each other: the plain mean of those few that did best together on held-out blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations, permutations

import numpy as np

from tradewind.core.model import LEAST_MAPE
from tradewind.core.table import Array
from tradewind.training import score

MOST = 3  # members at most: more of them cost time to answer and add nothing that was measured
SHARES = {1: ((1.0,),), 2: ((0.5, 0.5), (0.75, 0.25)), 3: ((1 / 3, 1 / 3, 1 / 3), (0.5, 0.25, 0.25))}
"""Shares that are tried, by number of members: equal ones, and one member that counts more."""
SAID = 0.8  # of the outcomes an 80 % interval covers
ALONE = 0.004  # share of error that a recipe must be better alone: a mean is less likely to fail on the next block
TINY = 1e-9

Mix = tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Weighed:
    """Weights by recipe, why in words, and how far the errors of those that have one go together (0-1)."""

    weights: dict[str, float]
    why: str
    together: float = 1.0


def weigh(held: Mapping[str, Mapping[str, Array]]) -> Weighed:
    """Return the weights of the best mix of recipes, and why in words.

    `held` is label -> columns of the same rows: truth, p50, bounds, block. A mix is judged by the weighted mean of its members' numbers;
    its error is the mean of its WAPE and its pinball loss, each against the best single recipe's. Few coarse weights: with a handful of
    held-out blocks, freely fitted ones do worse on the next block than they promise (Claeskens et al. 2016). Where all were asked for the
    point of least percentage error, every mix holds the recipe whose point errs least, for it may be the only one that learned one, and
    MAPE is a third error: of a point that is half that recipe's and half the mix's, as a mix of forecasts answers.
    """
    needed = _nearest(held)
    errors = {mix: _errors(held, mix, needed) for mix in _mixes(sorted(held))}
    base = np.min([error for mix, error in errors.items() if len(mix) == 1], axis=0)
    ratio = {mix: float(np.mean(error / np.maximum(base, 1e-12))) for mix, error in errors.items()}
    able = [mix for mix in ratio if needed in ("", *dict(mix))]
    best = min(able, key=lambda mix: (ratio[mix] + (ALONE if len(mix) == 1 else 0.0), len(mix)))
    return Weighed(dict(best), _why(best, ratio, needed), _together(held, best) if len(best) > 1 else 1.0)


def _why(best: Mix, ratio: Mapping[Mix, float], needed: str) -> str:
    """Say in words what the best mix did beside the best recipe alone."""
    single = min((mix for mix in ratio if len(mix) == 1), key=lambda mix: ratio[mix])
    nearest = f"{needed}, whose point of least percentage error erred least"
    if best == single:
        return f"on held-out blocks {best[0][0]} alone did better than any mean with the others"
    if len(best) == 1:
        return f"on held-out blocks {nearest}, did better alone than in any mean with the others"
    saved = 1 - ratio[best] / ratio[single]
    if saved > 0:
        return f"on held-out blocks their mean erred {saved:.1%} less than {single[0][0]}, the best of them alone"
    if needed in ("", single[0][0]):
        return f"on held-out blocks their mean erred no more than {single[0][0]} alone"
    return f"on held-out blocks their mean erred {-saved:.1%} more than {single[0][0]} alone, and it holds {nearest}"


def _nearest(held: Mapping[str, Mapping[str, Array]]) -> str:
    """Return the recipe whose point of least percentage error errs least; none where not all were asked for one."""
    if not all(LEAST_MAPE in columns for columns in held.values()):
        return ""
    errors = {name: score.mape(columns["truth"].astype("f8"), columns[LEAST_MAPE].astype("f8")) for name, columns in held.items()}
    known = [name for name in errors if np.isfinite(errors[name])]
    return min(known, key=errors.__getitem__, default="")


def _together(held: Mapping[str, Mapping[str, Array]], mix: Mix) -> float:
    """Return the correlation of the members' errors, one for all pairs: what their mean does not cancel.

    Each row counts by its error over its interval. What misses in one block hangs together, so a correlation known from few blocks is
    drawn towards one as by one more block in which the members agreed; errors that offset each other did so by chance: never below zero.
    One where the plain mean of the members' intervals does not cover more than it says: there is nothing to take away.
    """
    columns = [held[name] for name, _ in mix]
    low, high = (np.sum([weight * held[name][side].astype("f8") for name, weight in mix], axis=0) for side in ("lo80", "hi80"))
    if score.coverage(columns[0]["truth"], low, high) <= SAID:
        return 1.0
    width = np.mean([one["hi80"].astype("f8") - one["lo80"] for one in columns], axis=0)
    fine = width > 0
    if not fine.any():
        return 1.0
    missed = [
        weight * (one["truth"].astype("f8") - one["p50"]) / np.maximum(width, 1e-300) for one, (_, weight) in zip(columns, mix, strict=True)
    ]
    errors = np.stack(missed)[:, fine]
    moments = errors @ errors.T
    sizes = np.sqrt(np.diag(moments))
    pairs = np.triu_indices(len(mix), 1)
    most = float(np.outer(sizes, sizes)[pairs].sum())
    found = float(moments[pairs].sum()) / most if most > 0 else 1.0
    blocks = len(np.unique(columns[0]["block"]))
    return float(np.clip((blocks * found + 1) / (blocks + 1), 0.0, 1.0))


def _mixes(names: list[str]) -> Iterator[Mix]:
    for count in range(1, min(MOST, len(names)) + 1):
        for chosen in combinations(names, count):
            for shares in SHARES[count]:
                orders = {tuple(zip(order, shares, strict=True)) for order in permutations(chosen)}
                yield from {tuple(sorted(mix)) for mix in orders}


def _errors(held: Mapping[str, Mapping[str, Array]], mix: Mix, nearest: str) -> Array:
    """Return WAPE, pinball loss and, where one recipe has the nearest point of least percentage error, MAPE of a mix."""
    members = [(held[name], weight) for name, weight in mix]
    truth = members[0][0]["truth"].astype("f8")
    known = {tau: name for tau, name in score.QUANTILES.items() if all(name in columns for columns, _ in members)}
    said = {tau: np.sum([weight * columns[name].astype("f8") for columns, weight in members], axis=0) for tau, name in known.items()}
    if all((columns["p50"] == np.round(columns["p50"].astype("f8"))).all() for columns, _ in members):
        said[0.5] = np.round(said[0.5])  # a mix of counts is answered as a count
    found = [score.wape(truth, said[0.5]), score.pinball(truth, said)]
    if nearest:
        lead = nearest if len(mix) > 1 else mix[0][0]
        logged = [np.log(np.maximum(held[name][LEAST_MAPE].astype("f8"), TINY)) * weight for name, weight in ((lead, 1.0), *mix)]
        found.append(score.mape(truth, np.exp(0.5 * np.sum(logged, axis=0))))
    return np.array(found)
