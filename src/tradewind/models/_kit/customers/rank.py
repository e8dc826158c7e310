"""How good a ranking or a chance of a yes is: AUC, precision, calibration, lift, concordance with times."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tradewind.core.table import Array

GROUPS = 10
MOST_PAIRED = 4000  # rows whose pairs are all compared


def auc(truth: Array, said: Array) -> float:
    """Return the chance that a yes is ranked above a no, ties counted half; NaN where one of them is absent."""
    yes = truth == 1
    if not yes.any() or yes.all():
        return float("nan")
    _, place, count = np.unique(said, return_inverse=True, return_counts=True)
    rank = (count.cumsum() - (count - 1) / 2)[place]
    many = yes.sum()
    return float((rank[yes].sum() - many * (many + 1) / 2) / (many * (len(yes) - many)))


def average_precision(truth: Array, said: Array) -> float:
    """Return the mean precision at every yes, in order of the score."""
    order = np.argsort(-said, kind="stable")
    hit = truth[order] == 1
    if not hit.any():
        return float("nan")
    return float((hit.cumsum() / np.arange(1, len(hit) + 1))[hit].mean())


def expected_error(truth: Array, said: Array) -> float:
    """Return the calibration error: the mean gap between told and true share over ten groups of equal size."""
    edges = np.quantile(said, np.linspace(0, 1, GROUPS + 1))
    group = np.clip(np.searchsorted(edges, said, side="right") - 1, 0, GROUPS - 1)
    gaps = [(group == at).mean() * abs(truth[group == at].mean() - said[group == at].mean()) for at in range(GROUPS) if (group == at).any()]
    return float(sum(gaps))


def lift(truth: Array, said: Array, share: float = 0.1) -> float:
    """Return how many times more yes there are in the top share than in all."""
    top = np.argsort(-said, kind="stable")[: max(1, int(share * len(said)))]
    return float(truth[top].mean() / truth.mean()) if truth.mean() > 0 else float("nan")


def gini(money: Array, said: Array) -> float:
    """Return how well a ranking orders money: 1 the best possible order, 0 a random one."""

    def area(order: Array) -> float:
        return float((money[order].cumsum() / money.sum()).mean() - 0.5)

    return area(np.argsort(-said, kind="stable")) / area(np.argsort(-money, kind="stable")) if money.sum() > 0 else float("nan")


def concordance(duration: Array, event: Array, stays: Array) -> float:
    """Return Harrell's C: of pairs of whom one is known to leave first, the share ranked so; ties counted half."""
    if len(duration) > MOST_PAIRED:
        keep = np.linspace(0, len(duration) - 1, MOST_PAIRED).astype(int)
        duration, event, stays = duration[keep], event[keep], stays[keep]
    right = pairs = 0.0
    for at in np.flatnonzero(event == 1).tolist():
        later = (duration > duration[at]) | ((duration == duration[at]) & (event == 0))
        other = stays[later]
        right += float((other > stays[at]).sum() + 0.5 * (other == stays[at]).sum())
        pairs += float(later.sum())
    return right / pairs if pairs else float("nan")


def brier_at(day: float, duration: Array, event: Array, stays: Array) -> float:
    """Return the Brier score of staying until a day, weighted by the inverse chance of being known that long (Graf et al. 1999)."""
    before = (duration <= day) & (event == 1)
    after = duration > day
    known = _kaplan_meier(duration, 1 - event)
    at_leaving = np.clip(known(np.minimum(duration, day) - 1e-6), 0.05, None)
    at_day = max(float(known(np.array([day]))[0]), 0.05)
    return float((np.where(before, stays**2 / at_leaving, 0.0) + np.where(after, (1 - stays) ** 2 / at_day, 0.0)).mean())


def _kaplan_meier(duration: Array, event: Array) -> Callable[[Array], Array]:
    times = np.unique(duration)
    ended = np.array([((duration == time) & (event == 1)).sum() for time in times], "f8")
    there = np.array([(duration >= time).sum() for time in times], "f8")
    line = np.cumprod(1 - ended / np.maximum(there, 1))

    def there_until(days: Array) -> Array:
        place = np.searchsorted(times, days, side="right") - 1
        return np.asarray(np.where(place >= 0, line[np.maximum(place, 0)], 1.0))

    return there_until
