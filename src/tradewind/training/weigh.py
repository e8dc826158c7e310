"""Weigh recipes against each other: the plain mean of those few that did best together on held-out blocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations, permutations

import numpy as np

from tradewind.core.table import Array
from tradewind.training import score

MOST = 3  # members at most: more of them cost time to answer and add nothing that was measured
SHARES = {1: ((1.0,),), 2: ((0.5, 0.5), (0.75, 0.25)), 3: ((1 / 3, 1 / 3, 1 / 3), (0.5, 0.25, 0.25))}
"""Shares that are tried, by number of members: equal ones, and one member that counts more."""
ALONE = 0.004  # share of error that a recipe must be better alone: a mean is less likely to fail on the next block

Mix = tuple[tuple[str, float], ...]


def weigh(held: Mapping[str, Mapping[str, Array]]) -> tuple[dict[str, float], str]:
    """Return the weights of the best mix of recipes, and why in words.

    `held` is label -> columns of the same rows: truth, p50 and bounds. A mix answers with the weighted mean of its members' numbers; its
    error is the mean of its WAPE and its pinball loss, each against the best single recipe's. Few coarse weights: with a handful of
    held-out blocks, freely fitted ones do worse on the next block than they promise (Claeskens et al. 2016).
    """
    errors = {mix: _errors(held, mix) for mix in _mixes(sorted(held))}
    base = np.min([error for mix, error in errors.items() if len(mix) == 1], axis=0)
    ratio = {mix: float(np.mean(error / np.maximum(base, 1e-12))) for mix, error in errors.items()}
    best = min(ratio, key=lambda mix: (ratio[mix] + (ALONE if len(mix) == 1 else 0.0), len(mix)))
    single = min((mix for mix in ratio if len(mix) == 1), key=lambda mix: ratio[mix])
    if len(best) == 1:
        return dict(best), f"on held-out blocks {best[0][0]} alone did better than any mean with the others"
    saved = 1 - ratio[best] / ratio[single]
    told = (
        f"erred {saved:.1%} less than {single[0][0]}, the best of them alone" if saved > 0 else f"erred no more than {single[0][0]} alone"
    )
    return dict(best), f"on held-out blocks their mean {told}"


def _mixes(names: list[str]) -> Iterator[Mix]:
    for count in range(1, min(MOST, len(names)) + 1):
        for chosen in combinations(names, count):
            for shares in SHARES[count]:
                orders = {tuple(zip(order, shares, strict=True)) for order in permutations(chosen)}
                yield from {tuple(sorted(mix)) for mix in orders}


def _errors(held: Mapping[str, Mapping[str, Array]], mix: Mix) -> Array:
    """Return WAPE and pinball loss of a mix."""
    members = [(held[name], weight) for name, weight in mix]
    truth = members[0][0]["truth"].astype("f8")
    known = {tau: name for tau, name in score.QUANTILES.items() if all(name in columns for columns, _ in members)}
    said = {tau: np.sum([weight * columns[name].astype("f8") for columns, weight in members], axis=0) for tau, name in known.items()}
    if all((columns["p50"] == np.round(columns["p50"].astype("f8"))).all() for columns, _ in members):
        said[0.5] = np.round(said[0.5])  # a mix of counts is answered as a count
    return np.array([score.wape(truth, said[0.5]), score.pinball(truth, said)])
