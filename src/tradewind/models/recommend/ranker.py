"""The chance that a customer buys an item in the next 28 days: two logistic maps, one for items bought before and one for new ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tradewind.core.errors import LearnFailed
from tradewind.core.table import Array
from tradewind.models.recommend.log import LATELY, Log, Seen, bought, seen
from tradewind.models.recommend.shop import Profiles, Shop, of, profiles
from tradewind.models.recommend.weights import Weights

NEAR = 60  # candidates by each way of choosing
POPULAR = 20
MOST_CUSTOMERS = 4000  # learned from, per cut
MOST_TUNED = 1500
ROWS = 128  # profiles looked at together
FEWEST_DAYS = 3 * LATELY  # of history, for parts of it to be held out in time
HIDDEN = 0.3  # share of customers of whom one item is hidden where there is no time
EPS = 0.003
STRENGTH = 0.05
FAR = 6.0  # standard deviations beyond which an input says no more
INPUTS, ORDERS, QUIET, VARIETY = 14, 10, 11, 12  # how many there are, and places among them
TOP = 20  # of each shelf, what chances are calibrated on
MOST_CALM = 1500  # customers, whether they came or not


@dataclass(frozen=True, slots=True)
class Ranker:
    """Logistic weights over standardised inputs: row 0 for items bought before, row 1 for others; the last weight is the bias."""

    weights: Array  # (2, inputs + 1)
    middle: Array
    spread: Array
    calm: Array  # (5,): log odds, bought before, log orders, log days of silence, bias -> log odds of any known customer

    def chance(self, inputs: Array, before: Array) -> Array:
        """Return the calibrated chance that a known customer buys the item in the next 28 days, whether or not she comes at all."""
        rows = calm_inputs(self.logit(inputs, before), inputs, before)
        return np.asarray(1 / (1 + np.exp(-np.clip(rows @ self.calm[:-1] + self.calm[-1], -30, 30))))

    def logit(self, inputs: Array, before: Array) -> Array:
        """Return the log odds of rows (n, inputs), of a customer who comes: what items are ranked by."""
        scaled = np.clip((inputs - self.middle) / self.spread, -FAR, FAR)
        each = scaled @ self.weights[:, :-1].T + self.weights[:, -1]
        return np.asarray(np.where(before, each[:, 0], each[:, 1]))


def calm_inputs(logit: Array, inputs: Array, before: Array) -> Array:
    """Return (n, 4): what the calibration looks at."""
    return np.stack([logit, before, inputs[:, ORDERS], inputs[:, QUIET]], axis=1)


@dataclass(frozen=True, slots=True)
class Grid:
    """Profiles against the whole range: (rows, items) of orders, last days and what the weights say."""

    count: Array
    last: Array
    held: Array  # whether it is in the profile, baskets included
    likes: Array  # sum of weights from the profile

    def take(self, rows: Array) -> Grid:
        """Return some rows, in order."""
        return Grid(self.count[rows], self.last[rows], self.held[rows], self.likes[rows])


def grid(shop: Shop, weights: Weights | None, who: Profiles) -> Grid:
    """Spread profiles over the range."""
    width = len(shop.items)
    key = who.row * width + who.item
    size = who.size * width
    count, held, last = np.zeros(size, "f4"), np.zeros(size, bool), np.zeros(size, "i4")
    count[key], held[key], last[key] = who.count, True, who.last
    shape = (who.size, width)
    likes = np.zeros(shape, "f4") if weights is None else weights.likes(who.row, who.item, who.size)
    return Grid(count.reshape(shape), last.reshape(shape), held.reshape(shape), likes)


def inputs(shop: Shop, who: Profiles, made: Grid, rows: Array, items: Array) -> Array:
    """Return the inputs of pairs (row, item): how often, how lately and how regularly it was bought, what like items say, its trend."""
    past = shop.seen
    orders = np.maximum(who.orders, 1).astype("f8")
    quiet = np.minimum(past.day - who.latest, 999).astype("f8")
    variety = np.bincount(who.row, minlength=who.size)
    told = np.zeros((len(rows), INPUTS))
    told[:, 5] = np.log(np.maximum(made.likes[rows, items], 0) + EPS)
    told[:, 6:10] = shop.crowd.inputs.T[items]
    told[:, ORDERS : VARIETY + 1] = np.stack([np.log(orders), np.log1p(quiet), np.log1p(variety)], axis=1)[rows]
    before = made.count[rows, items]
    has = np.flatnonzero(before > 0)
    rows, items, count = rows[has], items[has], before[has].astype("f8")
    age = (past.day - made.last[rows, items]).astype("f8")
    own = (np.log1p(count), np.exp(-age / 20), np.exp(-age / 90), count / orders[rows], np.log1p(age))
    told[has, :5] = np.stack(own, axis=1)
    told[has, VARIETY + 1] = age <= quiet[rows] + 0.5
    return told


def fresh(shop: Shop, made: Grid, power: float) -> Array:
    """Return (rows, items): what like items say x trend, with popularity far below it so that no place stays empty."""
    told = np.maximum(made.likes, 0)
    told *= np.exp(power * shop.crowd.inputs[0]).astype("f4")
    told += 1e-4 * shop.crowd.share
    return np.asarray(told)


def habit(shop: Shop, made: Grid) -> Array:
    """Return (rows, items): orders it was in, the lately popular first among equals."""
    return np.asarray(made.count + shop.crowd.ties)


def candidates(shop: Shop, made: Grid, new: Array, allowed: Array | None = None) -> tuple[Array, Array]:
    """Return row and item of what is worth ranking: by habit, by likeness (`new` is `fresh`, written to), the lately popular."""
    shut = made.held & (made.count == 0)
    shut = shut if allowed is None else shut | ~allowed
    usual = habit(shop, made)
    new[shut] = usual[shut] = -np.inf
    mask = best(new, NEAR)
    mask |= best(usual, NEAR)
    mask[:, shop.crowd.popular[:POPULAR]] = True
    mask &= ~shut
    return np.divmod(np.flatnonzero(mask), mask.shape[1])


def best(score: Array, number: int) -> Array:
    """Mark the best of each row, exactly so many; among equals at the edge, those named first."""
    if number >= score.shape[1]:
        return np.ones(score.shape, bool)
    place = score.shape[1] - number
    edge = np.partition(score, place, axis=1)[:, place, None]
    mask: Array = score >= edge
    if np.count_nonzero(mask) == number * len(score):
        return mask
    for at in np.flatnonzero(mask.sum(1) > number).tolist():
        equal = np.flatnonzero(score[at] == edge[at])
        mask[at, equal[number - int(mask[at].sum()) :]] = False
    return mask


@dataclass(frozen=True, slots=True)
class Cut:
    """A past moment: what was known, who bought what next."""

    seen: Seen
    who: Array  # sorted
    what: Array

    def people(self, most: int, seed: int) -> Array:
        """Return customers who were known and bought something, at most so many."""
        people = np.unique(self.who)
        people = people[np.diff(self.seen.start)[people] > 0]
        return np.sort(np.random.default_rng(seed).choice(people, most, replace=False)) if len(people) > most else people

    def came(self, people: Array, width: int) -> Array:
        """Return (people, items): whether it was bought next."""
        low, high = np.searchsorted(self.who, people), np.searchsorted(self.who, people, "right")
        sizes = high - low
        place = np.arange(int(sizes.sum())) + np.repeat(low - (np.cumsum(sizes) - sizes), sizes)
        made = np.zeros((len(people), width), bool)
        made[np.repeat(np.arange(len(people)), sizes), self.what[place]] = True
        return made


def cuts(log: Log, seed: int, number: int = 2) -> list[Cut]:
    """Return past moments, the latest first, 28 days apart; where there is no time to speak of, one with items hidden."""
    first, end = int(log.day.min()), log.end
    if end - first >= FEWEST_DAYS:
        days = [end - LATELY * at for at in range(1, number + 1) if end - LATELY * at - first >= LATELY]
        return [Cut(seen(log, day), *bought(log, day, day + LATELY)) for day in days]
    rows = hidden(log, seed)
    kept = Log(**{name: getattr(log, name) for name in Log.__slots__} | {name: getattr(log, name)[~rows] for name in LINES})
    pair = np.unique(log.who[rows] * len(log.items) + log.what[rows])
    return [Cut(seen(kept, end), *np.divmod(pair, len(log.items)))]


LINES = ("who", "what", "order", "day")


def hidden(log: Log, seed: int) -> Array:
    """Return a mask of lines: of a share of the customers with two items or more, all lines of one item."""
    rng = np.random.default_rng(seed)
    pair = log.who * len(log.items) + log.what
    pairs = np.unique(pair)
    pairs = pairs[np.argsort(rng.random(len(pairs)), kind="stable")]
    owner = pairs // len(log.items)
    _, first = np.unique(owner, return_index=True)
    number = np.bincount(owner, minlength=len(log.customers))
    able = (number >= 2) & (rng.random(len(number)) < HIDDEN)
    return np.isin(pair, pairs[first[able[owner[first]]]])


def learn(log: Log, past: Sequence[tuple[Cut, Weights | None]], power: float, seed: int) -> Ranker:
    """Learn from what was bought after each past moment, of all candidates; raises LearnFailed where nothing was."""
    rows, classes, before = [], [], []
    for cut, weights in past:
        shop = of(log, cut.seen)
        people = cut.people(MOST_CUSTOMERS, seed)
        for at in range(0, len(people), ROWS):
            part = people[at : at + ROWS]
            who = profiles(shop, part)
            made = grid(shop, weights, who)
            row, item = candidates(shop, made, fresh(shop, made, power))
            rows.append(inputs(shop, who, made, row, item).astype("f4"))
            classes.append(cut.came(part, len(log.items))[row, item])
            before.append(made.count[row, item] > 0)
    if not rows or not (bought_ := np.concatenate(classes)).any():
        raise LearnFailed("no known customer bought anything known in the last weeks", hint="load more history")
    found = _fitted(np.concatenate(rows), bought_, np.concatenate(before))
    return Ranker(found.weights, found.middle, found.spread, _calmed(found, log, *past[0], power=power, seed=seed))


def _calmed(found: Ranker, log: Log, cut: Cut, weights: Weights | None, *, power: float, seed: int) -> Array:
    """Return the calibration of the best items of known customers at the latest past moment, of those who did not come too."""
    from sklearn.linear_model import LogisticRegression

    shop = of(log, cut.seen)
    timed = cut.seen.day < log.end
    people = np.flatnonzero(np.diff(cut.seen.start) > 0) if timed else cut.people(MOST_CALM, seed)
    if len(people) > MOST_CALM:
        people = np.sort(np.random.default_rng(seed + 1).choice(people, MOST_CALM, replace=False))
    rows, came = [], []
    for at in range(0, len(people), ROWS):
        part = people[at : at + ROWS]
        who = profiles(shop, part)
        made = grid(shop, weights, who)
        row, item = candidates(shop, made, fresh(shop, made, power))
        given = inputs(shop, who, made, row, item)
        before = made.count[row, item] > 0
        logit = found.logit(given, before)
        keep = _top(row, logit) | _top(row, np.where(before, -np.inf, logit))
        rows.append(calm_inputs(logit, given, before)[keep])
        came.append(cut.came(part, len(log.items))[row, item][keep])
    told = np.concatenate(came)
    if not 0 < told.mean() < 1:
        return np.array([1.0, 0.0, 0.0, 0.0, 0.0])
    fitted = LogisticRegression(C=10.0, max_iter=500).fit(np.concatenate(rows), told)
    return np.asarray(np.r_[fitted.coef_[0], fitted.intercept_[0]])


def _top(row: Array, score: Array) -> Array:
    """Mark the best of each row (sorted) by score, without those that have none."""
    order = np.lexsort((-score, row))
    start = np.searchsorted(row, row[order])
    keep = np.zeros(len(row), bool)
    keep[order[(np.arange(len(row)) - start < TOP) & (score[order] > -np.inf)]] = True
    return keep


def _fitted(rows: Array, bought_: Array, before: Array) -> Ranker:
    from sklearn.linear_model import LogisticRegression

    middle, spread = rows.mean(0).astype("f8"), rows.std(0).astype("f8")
    spread = np.where(spread > 1e-3, spread, 1.0)  # what is the same for all teaches nothing
    weights = np.zeros((2, rows.shape[1] + 1))
    for at, part in enumerate((before, ~before)):
        share = float(bought_[part].mean()) if part.any() else float(bought_.mean())
        if part.sum() < 50 or not 0 < share < 1:  # too few to learn from: as likely as they are on the whole
            weights[at, -1] = np.log((share + 1e-4) / (1 - share + 1e-4))
            continue
        fitted = LogisticRegression(C=STRENGTH, max_iter=300, tol=1e-3).fit((rows[part] - middle) / spread, bought_[part])
        weights[at] = np.r_[fitted.coef_[0], fitted.intercept_[0]]
    return Ranker(weights, middle, spread, np.array([1.0, 0.0, 0.0, 0.0, 0.0]))


def tune(log: Log, past: Sequence[tuple[Cut, Weights | None]], powers: Sequence[float], seed: int) -> float:
    """Return the power of the trend with which new items would have been found best at past moments."""
    found = np.zeros(len(powers))
    for cut, weights in past:
        shop = of(log, cut.seen)
        people = cut.people(MOST_TUNED, seed)
        for at in range(0, len(people), ROWS):
            part = people[at : at + ROWS]
            made = grid(shop, weights, profiles(shop, part))
            hit = cut.came(part, len(log.items)) & ~made.held
            able = np.flatnonzero(hit.any(1))
            made, hit = made.take(able), hit[able]
            wanted = np.minimum(hit.sum(1), TOP)
            for turn, power in enumerate(powers):
                score = fresh(shop, made, power)
                score[made.held] = -np.inf
                found[turn] += float(((best(score, TOP) & hit).sum(1) / wanted).sum())
    return float(powers[int(found.argmax())])
