"""Weigh recipes against each other: the mean of those mixes that held-out blocks cannot tell from the best."""

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
UNSURE = 2.0  # standard errors of a difference below which a mix counts as erring no more than the best
ALONE = 0.004  # share of error that a recipe must be better alone: a mean is less likely to fail on the next block
LEAST = 0.1  # share that a member must have to be worth its learning and its time to answer
MANY = 100  # series times blocks from which on members are pooled, and recalibration alone sets the spread
TINY = 1e-9

Mix = tuple[tuple[str, float], ...]


@dataclass(frozen=True, slots=True)
class Weighed:
    """Weights by recipe, why in words, and how far their errors go together (0-1); None where that need not be known."""

    weights: dict[str, float]
    why: str
    together: float | None = None


def weigh(held: Mapping[str, Mapping[str, Array]], groups: Array) -> Weighed:
    """Return the weights of a mix of recipes, and why in words.

    `held` is label -> columns of the same rows: truth, p50, bounds, block; rows of one of `groups` (a series in a block) err together.
    A mix is judged by the weighted mean of its members' numbers; its error is the mean of its WAPE and its pinball loss, each against the
    best single recipe's. Few coarse weights: with a handful of held-out blocks, freely fitted ones do worse on the next block than they
    promise (Claeskens et al. 2016). For the same reason the answer is the mean of all mixes within UNSURE standard errors of the best (the
    rule of Breiman et al. 1984, section 3.4.3, with what stays in doubt averaged rather than drawn): many series settle it, few do not. A
    recipe alone must be better by ALONE.

    Where all were asked for the point of least percentage error, every mix holds the recipe whose point errs least, for the others may
    have it from their quantiles alone, and MAPE is a third error: of the geometric mean of the members' points.
    """
    needed = _nearest(held)
    _, place = np.unique(groups, return_inverse=True)
    losses = {mix: _losses(held, mix, needed, place) for mix in _mixes(sorted(held))}
    base = np.min([loss.sum(1) for mix, loss in losses.items() if len(mix) == 1], axis=0)
    errors = {mix: _against(loss, base) for mix, loss in losses.items()}
    able = [mix for mix in errors if needed in ("", *dict(mix))]
    counted = {mix: float(errors[mix].sum()) + (ALONE if len(mix) == 1 else 0.0) for mix in able}
    best = min(able, key=lambda mix: (counted[mix], len(mix)))
    alike = [mix for mix in able if mix == best or counted[mix] - counted[best] <= UNSURE * _doubt(errors[mix] - errors[best])]
    chosen = _averaged(alike, needed)
    found = float(_against(_losses(held, chosen, needed, place), base).sum())
    single, least = min(((mix[0][0], float(errors[mix].sum())) for mix in errors if len(mix) == 1), key=lambda one: one[1])
    saved = 1 - found / least if least > 0 else 0.0  # nothing is left to save where nothing was missed
    why = _why(chosen, saved, single, needed, len(alike))
    pooled = len(chosen) == 1 or place.max() + 1 >= MANY
    return Weighed(dict(chosen), why, None if pooled else _together(held, chosen))


def _against(loss: Array, base: Array) -> Array:
    """Return the mean over all kinds of error, each against the best single recipe's, group by group: it adds up to a ratio."""
    return np.asarray((loss / np.maximum(base, 1e-12)[:, None]).mean(0))


def _doubt(apart: Array) -> float:
    """Return the standard error of what differences of groups add up to; NaN, below which nothing is, where there is one group."""
    count = len(apart)
    return float(np.sqrt(((apart - apart.mean()) ** 2).sum() * count / (count - 1))) if count > 1 else float("nan")


def _averaged(mixes: list[Mix], needed: str) -> Mix:
    """Return the mean of mixes, without members that have hardly a share in it and with no more than MOST."""
    shares: dict[str, float] = {}
    for mix in mixes:
        for name, share in mix:
            shares[name] = shares.get(name, 0.0) + share / len(mixes)
    ranked = sorted(shares, key=lambda name: (name != needed, -shares[name], name))[:MOST]
    kept = [name for name in ranked if name == needed or shares[name] >= LEAST] or ranked[:1]
    whole = sum(shares[name] for name in kept)
    return tuple((name, shares[name] / whole) for name in sorted(kept))


def _why(chosen: Mix, saved: float, single: str, needed: str, alike: int) -> str:
    """Say in words what the mix did beside the best recipe alone."""
    nearest = f"{needed}, whose point of least percentage error erred least"
    if len(chosen) == 1 and needed not in ("", single):
        return f"on held-out blocks {nearest}, did better alone than in any mean with the others"
    if len(chosen) == 1:
        did = "better than any mean with the others" if alike == 1 else "as well as any mean with the others, within what those blocks tell"
        return f"on held-out blocks {chosen[0][0]} alone did {did}"
    said = f"{-saved:.1%} more than {single} alone" if saved < 0 else f"{saved:.1%} less than {single}, the best of them alone"
    doubt = f", as the mean of {alike} mixes that those blocks cannot tell apart" if alike > 1 else ""
    return f"on held-out blocks their mean erred {said}{doubt}{f', and it holds {nearest}' if needed not in ('', single) else ''}"


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


def _losses(held: Mapping[str, Mapping[str, Array]], mix: Mix, nearest: str, place: Array) -> Array:
    """Return WAPE, pinball loss and, where one recipe has the nearest point of least percentage error, MAPE of a mix, by group.

    (errors, groups): over the groups each adds up to what `score` says of all rows.
    """
    members = [(held[name], weight) for name, weight in mix]
    truth = members[0][0]["truth"].astype("f8")
    known = {tau: name for tau, name in score.QUANTILES.items() if all(name in columns for columns, _ in members)}
    said = {tau: np.sum([weight * columns[name].astype("f8") for columns, weight in members], axis=0) for tau, name in known.items()}
    if all((columns["p50"] == np.round(columns["p50"].astype("f8"))).all() for columns, _ in members):
        said[0.5] = np.round(said[0.5])  # a mix of counts is answered as a count
    total = float(np.abs(truth).sum()) or np.nan
    rows = [np.abs(truth - said[0.5]) / total]
    rows.append(np.mean([2 * np.maximum(tau * (truth - one), (tau - 1) * (truth - one)) for tau, one in said.items()], axis=0) / total)
    if nearest:
        logged = [np.log(np.maximum(held[name][LEAST_MAPE].astype("f8"), TINY)) * weight for name, weight in mix]
        sold = truth > 0
        gone = np.abs(truth - np.exp(np.sum(logged, axis=0))) / np.where(sold, truth, 1.0)
        rows.append(np.where(sold, gone, 0.0) / (np.count_nonzero(sold) or np.nan))
    return np.stack([np.bincount(place, weights=row) for row in rows])
