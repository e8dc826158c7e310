"""What spend does to a KPI: carried over, saturating, never harmful, shared by all series of one kind; what earns nothing is dropped.

Model: log(KPI) = base + sum over channels of beta[c] * s / (s + half[c]), s = spend carried over by decay[c] (weights decay^k, summing to
one), half in multiples of the series' mean s. The base (seasons, slow trend, events, other levers) is a penalised regression that is
taken out of both sides first (Frisch, Waugh and Lovell), so shapes are compared on small sums.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tradewind.models._kit.forecast import ridge, spend_base
from tradewind.models._kit.panel import Panel

Array = np.ndarray[Any, Any]
PREFIX = "spend_"
DECAYS: Mapping[str, tuple[float, ...]] = {
    "hour": (0.0, 0.5, 0.8, 0.9, 0.96),
    "day": (0.0, 0.35, 0.55, 0.7, 0.8, 0.9, 0.95),
    "week": (0.0, 0.25, 0.5, 0.7, 0.85),
    "month": (0.0, 0.3, 0.6),
    "quarter": (0.0, 0.3),
}
HALVES = (0.4, 1.0, 2.5, 20.0)
"""Half saturation in multiples of the mean carried spend; the last one is a straight line."""
MEMORY = {"hour": 168, "day": 91, "week": 30, "month": 12, "quarter": 6}
"""Periods of the past that carried spend is worked out from."""
PRIOR = 1.0  # standard deviation of beta: nothing doubles by one channel alone
EARNED = 1.64  # standard errors of its held-out gain that a channel must show: one useless channel in twenty does by chance
BLOCK = {"hour": 48, "day": 28, "week": 8, "month": 6, "quarter": 4}
"""Periods that are held out together, and that errors hang together in."""
MOST_SERIES = 200  # series that shapes are learned from
MOST_CELLS = 40_000_000  # numbers of all candidate columns: 320 MB
MOST_CHANNELS = 20
DEVIATIONS = {80: 1.2816, 95: 1.96}


@dataclass(frozen=True, slots=True)
class Spend:
    """What was learned of the channels that earned their place; `effect` and `error` also of those that did not (`tried`).

    `beta` and `scale` are (series, channels): log effect at full saturation, and mean carried spend. `effect` is the elasticity of the
    total: the percentage it rises by where all spend of the channel rises by one percent.
    """

    names: tuple[str, ...]
    decay: tuple[float, ...]
    half: tuple[float, ...]
    beta: Array
    scale: Array
    kind: Array  # (series,): series of one kind share their betas
    tried: tuple[str, ...]
    effect: Array
    error: Array

    def parts(self, panel: Panel, at: Array) -> Array:
        """Return each channel's part of the logarithm at columns `at`, (channels, series, len(at)); the panel's series are `self`'s."""
        out = np.zeros((len(self.names), len(panel), len(at)))
        for place, name in enumerate(self.names):
            value = _said(panel, name)
            stock = carried(value, self.decay[place])[:, at] / np.maximum(self.scale[:, place : place + 1], 1e-12)
            out[place] = self.beta[:, place : place + 1] * shaped(stock, self.half[place])
        return out

    def of(self, series: Array) -> Spend:
        """Return what was learned of some series."""
        return replace(self, beta=self.beta[series], scale=self.scale[series], kind=self.kind[series])

    def moved(self, panel: Panel, place: Array) -> Spend:
        """Return it for another panel: a new series reacts as those of its kind do."""
        new, old = place < 0, np.maximum(place, 0)
        kind, beta, scale = kinds(panel), self.beta[old].copy(), self.scale[old].copy()
        for row in np.flatnonzero(new).tolist():
            like = (kind == kind[row]) & ~new
            beta[row] = beta[like].mean(0) if like.any() else self.beta.mean(0)
        fresh = _scales(panel, self.names, self.decay)
        scale[new] = fresh[new]
        return replace(self, beta=beta, scale=scale, kind=kind)

    def arrays(self) -> dict[str, Array]:
        """Return the numbers by name, ready for a tensor file."""
        return {f"spend/{name}": getattr(self, name) for name in ("beta", "scale", "effect", "error")}

    def meta(self) -> dict[str, Any]:
        """Return the rest, as plain JSON data."""
        texts = [str(text) for text in self.kind.tolist()]
        return {"names": self.names, "decay": self.decay, "half": self.half, "tried": self.tried, "kind": texts}

    @classmethod
    def from_parts(cls, meta: Mapping[str, Any], arrays: Mapping[str, Array]) -> Spend:
        """Read it back."""
        numbers = {name: arrays[f"spend/{name}"] for name in ("beta", "scale", "effect", "error")}
        kind = np.array(meta["kind"], object)
        decay, half = (tuple(map(float, meta[name])) for name in ("decay", "half"))
        return cls(tuple(meta["names"]), decay, half, kind=kind, tried=tuple(meta["tried"]), **numbers)


def columns(panel: Panel) -> list[str]:
    """Return the spend columns that moved before the cut."""
    found = []
    for name, value in panel.ahead.items():
        if name.startswith(PREFIX):
            past = value[:, : panel.cut]
            if (np.nanmax(past, 1, initial=-np.inf) > np.nanmin(past, 1, initial=np.inf)).any():
                found.append(name)
    return found[:MOST_CHANNELS]


def without(panel: Panel) -> Panel:
    """Return the panel without its spend columns."""
    ahead = {name: value for name, value in panel.ahead.items() if not name.startswith(PREFIX)}
    return replace(panel, ahead=ahead, kinds={name: kind for name, kind in panel.kinds.items() if name in ahead})


def carried(values: Array, decay: float) -> Array:
    """Return carried-over spend along the last axis, in the unit of spend a period: s = (1 - decay) x + decay s before."""
    values = np.nan_to_num(values.astype("f8"))
    if decay <= 0:
        return values
    width, step, kept = values.shape[1], 1, decay
    out = (1 - decay) * values
    while step < width and kept > 1e-12:  # sums over 2, 4, 8 ... periods: a few steps in the place of one per period
        out[:, step:] += kept * out[:, :-step]
        step, kept = 2 * step, kept * kept
    found: Array = out + values[:, :4].mean(1, keepdims=True) * decay ** np.arange(1, width + 1)  # as if the start had been usual
    return found


def shaped(stock: Array, half: float) -> Array:
    """Return 0-1: how saturated a stock is that is given in multiples of its mean."""
    found: Array = stock / (stock + half)
    return found


def kinds(panel: Panel) -> Array:
    """Return what tells kinds of series apart that react in ways of their own: the channel that is credited, where there is one."""
    return panel.keys["channel"] if "channel" in panel.keys else np.full(len(panel), "", object)


def nothing(panel: Panel, tried: tuple[str, ...] = ()) -> Spend:
    """Return that no spend is known to do anything."""
    empty = np.zeros((len(panel), 0))
    return Spend((), (), (), empty, empty, kinds(panel), tried, np.zeros(len(tried)), np.full(len(tried), np.inf))


def learn(panel: Panel, *, seed: int) -> Spend:
    """Learn shapes and sizes from what lies before the cut; channels whose held-out gain is not clear are dropped.

    Where customers are credited to channels, all is learned from their sums: the parts are small counts. How the effect falls on the
    credited channels is then read off each kind, and scaled so that the parts add up to the whole.
    """
    names = columns(panel)
    if not names:
        return nothing(panel)
    whole = summed(panel) if len(set(kinds(panel).tolist())) > 1 else panel
    problem = _problem(_some(whole, names, seed), names)
    if problem is None:
        return nothing(panel, tuple(names))
    choice = _shapes(problem, list(range(len(names))))
    effect, error = _elasticities(problem, choice, _solved(problem, choice))
    kept = _earned(problem, choice)
    choice = {at: choice[at] for at in kept}
    chosen = tuple(names[at] for at in kept)
    decay, half = zip(*(problem.shapes[choice[at]] for at in kept), strict=True) if kept else ((), ())
    beta = _solved(problem, choice)[0]
    kind = kinds(panel)
    each = np.repeat(beta[None], len(panel), 0) if whole is panel else _credited(_some(panel, names, seed), names, choice, beta, kind)
    return Spend(chosen, decay, half, each, _scales(panel, chosen, decay), kind, tuple(names), effect, error)


def summed(panel: Panel) -> Panel:
    """Return the panel of all credited channels together; a period with an unknown part is unknown."""
    keys = {name: value for name, value in panel.keys.items() if name != "channel"}
    labels = list(zip(*(value.tolist() for value in keys.values()), strict=True)) if keys else [("all",)] * len(panel)
    first = {label: place for place, label in reversed(list(enumerate(labels)))}
    rows = np.array(sorted(first.values()))
    group = np.array([int(np.flatnonzero(rows == first[label])[0]) for label in labels])
    target = np.zeros((len(rows), panel.width))
    np.add.at(target, group, panel.target.astype("f8"))
    one = panel.take(rows)
    return replace(one, target=target, out=None, keys={name: one.keys[name] for name in keys} or {"series": np.array(["all"], object)})


def _credited(panel: Panel, names: list[str], choice: Mapping[int, int], beta: Array, kind: Array) -> Array:
    """Return betas by series: those of each kind, scaled so that their mean, weighted by the kinds' shares, is the whole's."""
    problem = _problem(panel, names)
    if problem is None or not choice:
        return np.repeat(beta[None], len(kind), 0)
    own = _solved(problem, choice)
    share = np.bincount(problem.group, problem.share, len(problem.kinds))
    mean = share @ own
    own = np.where(mean > 0.05 * beta, own * np.where(mean > 0, beta / np.maximum(mean, 1e-12), 0.0), beta)
    place = {text: number for number, text in enumerate(problem.kinds)}
    return np.array([own[place[text]] if text in place else beta for text in kind.tolist()])


def _some(panel: Panel, names: list[str], seed: int) -> Panel:
    """Return as many series as can be looked at with all candidate columns, drawn by the seed."""
    candidates = len(names) * len(DECAYS[panel.grain.name]) * len(HALVES)
    most = int(np.clip(MOST_CELLS // (candidates * panel.cut), 1, MOST_SERIES))
    if len(panel) <= most:
        return panel
    return panel.take(np.sort(np.random.default_rng(seed).choice(len(panel), most, replace=False)))


@dataclass(frozen=True, slots=True)
class _Problem:
    """The regression on small sums: `x` (candidates, series, periods) and `y` without their base, over the noise of each series."""

    shapes: tuple[tuple[float, float], ...]
    x: Array  # (channels, shapes, series, periods)
    raw: Array  # d shaped / d log spend, same order, mean over the past weighted by the KPI: (channels, shapes, series)
    y: Array
    share: Array  # (series,): of the total KPI
    kinds: tuple[str, ...]
    group: Array  # (series,)
    gram: Array  # (kinds, channels * shapes, channels * shapes)
    cross: Array
    block: int

    def at(self, channel: int, shape: int) -> int:
        """Return the place of a candidate in the sums."""
        return channel * len(self.shapes) + shape


def _problem(panel: Panel, names: list[str]) -> _Problem | None:
    past = panel.target[:, : panel.cut].astype("f8")
    known = np.isfinite(past)
    sold = np.where(known, past, 0)
    enough = (known.sum(1) > 12) & (sold.sum(1) > 0)
    if not enough.any():
        return None
    rows = np.flatnonzero(enough)
    panel, past, known, sold = panel.take(rows), past[rows], known[rows], sold[rows]
    shapes = tuple((decay, half) for decay in DECAYS[panel.grain.name] for half in HALVES)
    x = np.zeros((len(names), len(shapes), *past.shape))
    raw = np.zeros((len(names), len(shapes), len(past)))
    for at, name in enumerate(names):
        value = _said(panel, name)[:, : panel.cut]
        for decay in DECAYS[panel.grain.name]:
            stock = carried(value, decay)
            stock = stock / np.maximum(stock.mean(1, keepdims=True), 1e-12)
            for place in (place for place, shape in enumerate(shapes) if shape[0] == decay):
                half = shapes[place][1]
                x[at, place] = shaped(stock, half)
                raw[at, place] = (stock * half / (stock + half) ** 2 * sold).sum(1) / sold.sum(1)
    level, offset = ridge.scales(past)
    logged = np.log(np.where(known, past, 0) / level[:, None] + offset[:, None])
    base = spend_base.base_of(without(panel))
    y, x = spend_base.taken_out(base, known, np.where(known, logged, 0), x)
    texts = kinds(panel)
    labels = tuple(sorted(set(texts.tolist())))
    group = np.array([labels.index(text) for text in texts.tolist()])
    flat = x.reshape(-1, *past.shape)
    gram = np.stack([np.einsum("ast,bst->ab", flat[:, group == g], flat[:, group == g], optimize=True) for g in range(len(labels))])
    cross = np.stack([np.einsum("ast,st->a", flat[:, group == g], y[group == g], optimize=True) for g in range(len(labels))])
    share = sold.sum(1) / sold.sum()
    return _Problem(shapes, x, raw, y, share, labels, group, gram, cross, BLOCK[panel.grain.name])


def _said(panel: Panel, name: str) -> Array:
    value = panel.ahead[name]
    found: Array = np.maximum(np.broadcast_to(value, (len(panel), value.shape[1])), 0)
    return found


def _scales(panel: Panel, names: tuple[str, ...], decay: tuple[float, ...]) -> Array:
    out = np.ones((len(panel), len(names)))
    for at, name in enumerate(names):
        out[:, at] = carried(_said(panel, name)[:, : panel.cut], decay[at]).mean(1)
    return out


def _best(gram: Array, cross: Array) -> Array:
    """Return non-negative coefficients under the prior: those below zero are set to none, the worst first."""
    free = np.arange(len(cross))
    beta = np.zeros(len(cross))
    while len(free):
        found = np.linalg.solve(gram[np.ix_(free, free)] + np.eye(len(free)) / PRIOR**2, cross[free])
        if (found >= 0).all():
            beta[free] = found
            break
        free = np.delete(free, int(found.argmin()))
    return beta


def _solved(problem: _Problem, choice: Mapping[int, int]) -> Array:
    """Return the betas of each kind of series, (kinds, chosen channels)."""
    at = [problem.at(channel, shape) for channel, shape in choice.items()]
    if not at:
        return np.zeros((len(problem.kinds), 0))
    return np.array([_best(gram[np.ix_(at, at)], cross[at]) for gram, cross in zip(problem.gram, problem.cross, strict=True)])


def _gain(problem: _Problem, choice: Mapping[int, int]) -> float:
    """Return by how much a choice of shapes lessens squared error, in units of noise."""
    at = [problem.at(channel, shape) for channel, shape in choice.items()]
    beta = _solved(problem, choice)
    sums = zip(beta, problem.gram, problem.cross, strict=True)
    return float(sum(2 * b @ cross[at] - b @ gram[np.ix_(at, at)] @ b for b, gram, cross in sums))


def _shapes(problem: _Problem, channels: list[int]) -> dict[int, int]:
    """Return the shape of each channel: one after the other, twice."""
    middle = len(problem.shapes) // 2
    choice = dict.fromkeys(channels, middle)
    for _ in range(2):
        for channel in channels:
            choice[channel] = int(np.argmax([_gain(problem, {**choice, channel: shape}) for shape in range(len(problem.shapes))]))
    return choice


def _fits(problem: _Problem, choice: Mapping[int, int]) -> Array:
    """Return the chosen columns, (channels, series, periods)."""
    return np.stack([problem.x[channel, shape] for channel, shape in choice.items()])


def _earned(problem: _Problem, choice: Mapping[int, int]) -> list[int]:
    """Return the channels that are worth it on blocks their coefficients did not see, the least useful dropped first."""
    kept = list(choice)
    while kept:
        whole = _held_out(problem, {at: choice[at] for at in kept})
        clear = []
        for channel in kept:
            rest = {at: choice[at] for at in kept if at != channel}
            saved = (_held_out(problem, rest) if rest else _nothing_said(problem)) - whole
            spread = float(saved.std(ddof=1) * np.sqrt(len(saved))) if len(saved) > 1 else np.inf
            clear.append(float(saved.sum()) / max(spread, 1e-12))
        worst = int(np.argmin(clear))
        if clear[worst] >= EARNED:
            break
        kept.pop(worst)
    return kept


def _blocks(problem: _Problem) -> list[Array]:
    width = problem.y.shape[1]
    count = max(width // problem.block, 2)
    return np.array_split(np.arange(width), count)


def _nothing_said(problem: _Problem) -> Array:
    return np.array([float((problem.y[:, block] ** 2).sum()) for block in _blocks(problem)])


def _held_out(problem: _Problem, choice: Mapping[int, int]) -> Array:
    """Return the squared error of each block, its coefficients learned from all others."""
    at = [problem.at(channel, shape) for channel, shape in choice.items()]
    x, out = _fits(problem, choice), []
    for block in _blocks(problem):
        error = 0.0
        for g in range(len(problem.kinds)):
            mine = x[:, problem.group == g][:, :, block]
            y = problem.y[problem.group == g][:, block]
            gram = problem.gram[g][np.ix_(at, at)] - np.einsum("ast,bst->ab", mine, mine, optimize=True)
            cross = problem.cross[g][at] - np.einsum("ast,st->a", mine, y, optimize=True)
            error += float(((y - np.tensordot(_best(gram, cross), mine, 1)) ** 2).sum())
        out.append(error)
    return np.array(out)


def _elasticities(problem: _Problem, choice: Mapping[int, int], beta: Array) -> tuple[Array, Array]:
    """Return each channel's elasticity of the total and its standard error: of the size, over blocks of time, and of the shape."""
    robust, looseness = _sandwich(problem, choice, beta)
    effect, error = np.zeros(len(choice)), np.zeros(len(choice))
    for place, channel in enumerate(choice):
        gains, values = [], []
        for shape in range(len(problem.shapes)):
            other = {**choice, channel: shape}
            gains.append(_gain(problem, other))
            weight = np.bincount(problem.group, problem.share * problem.raw[channel, shape], len(problem.kinds))
            values.append(float(weight @ _solved(problem, other)[:, place]))
        likely = np.exp((np.array(gains) - max(gains)) / (2 * looseness))
        likely /= likely.sum()
        effect[place] = float(likely @ np.array(values))
        weight = np.bincount(problem.group, problem.share * problem.raw[channel, choice[channel]], len(problem.kinds))
        size = float(np.sqrt((weight**2 * robust[:, place]).sum()))
        error[place] = float(np.sqrt(size**2 + likely @ (np.array(values) - effect[place]) ** 2))
    return effect, error


def _sandwich(problem: _Problem, choice: Mapping[int, int], beta: Array) -> tuple[Array, float]:
    """Return block-robust variances of the betas, (kinds, channels), and how much larger they are than plain ones."""
    at = [problem.at(channel, shape) for channel, shape in choice.items()]
    x = _fits(problem, choice)
    plain, robust = np.zeros_like(beta), np.zeros_like(beta)
    for g in range(len(problem.kinds)):
        mine, y = x[:, problem.group == g], problem.y[problem.group == g]
        left = y - np.tensordot(beta[g], mine, 1)
        scores = np.stack([np.einsum("ast,st->a", mine[:, :, block], left[:, block]) for block in _blocks(problem)])
        inverse = np.linalg.inv(problem.gram[g][np.ix_(at, at)] + np.eye(len(at)) / PRIOR**2)
        count = len(scores)
        meat = scores.T @ scores * count / max(count - len(at), 1)
        plain[g] = np.diagonal(inverse)
        robust[g] = np.maximum(np.diagonal(inverse @ meat @ inverse), plain[g])
    return robust, float(np.clip((robust / np.maximum(plain, 1e-12)).mean(), 1.0, 50.0))
