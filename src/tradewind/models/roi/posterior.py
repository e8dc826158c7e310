"""The log posterior of the media parameters, everything linear integrated out.

For one geo: y / mean(y) = 0.8 + Z g + sum_c beta_c sat(carry(x_c)) + noise, g ~ N(0, I) (Z holds its own scales), noise ~ N(0, sigma^2).
beta_c = exp(r_c) spend_c / sum_t sat_ct, so the parameter is the return itself (as in Meridian). Geos share curves; their returns are
r_c + tau_c z_gc. Given the curves y is normal, so g is integrated out by the Woodbury identity: 4 numbers per channel and 2 more remain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tradewind.models.roi.curves import saturation, steepness, weights

Array = np.ndarray[Any, Any]
LIKE = float(np.log(0.2))  # how far returns differ between geos before the data, log of a log deviation
HALF, SCATTER = 0.3, 0.5  # log of the spend of half effect over the usual spend: its mean and deviation before the data
LEVEL = 0.8  # what is expected of sales without media, as a share of the mean
FINEST, STEEPEST = -10.0, 5.0  # log noise and log trend, shares of the mean outcome: neither was ever so small or so large


@dataclass(frozen=True, slots=True)
class Lift:
    """An experiment as the likelihood sees it: what the spend in the window did inside the window, as a share of mean sales.

    `factual` and `other` are lags (L, T) of the tested and of the compared spend, at the periods of the window only, scaled as `lag` is.
    """

    channel: int
    geo: int
    factual: Array
    other: Array
    lift: float
    error: float
    counted: Array  # (T,): share of the effect of each period that lies in the window


@dataclass(frozen=True, slots=True)
class Prior:
    """What is believed of each channel before the data: the log return per money (C,), how wide (C,), and what it is a return of."""

    centre: Array
    width: Array
    marginal: bool = False  # of the next unit rather than of all
    nothing: Array | None = None  # chance that the channel does next to nothing (C,)
    around: Array | None = None  # an earlier posterior: its mean and precision, already tempered
    precision: Array | None = None
    before: float = 1.0  # weight of these beliefs where an earlier posterior already holds a part of them


@dataclass(frozen=True, slots=True)
class Problem:
    """All that the posterior is of. G geos, T periods, C channels, q columns of the baseline."""

    y: Array  # (G, T): sales over their mean; zero where not learned from
    weight: Array  # (G, T): 0 where not learned from
    lag: Array  # (C, L, G * T): scaled spend
    total: Array  # (G, C): spend over mean sales
    base: Array  # (G, T, q): level, season, controls
    trend: Array  # (G, T, h): hinges
    carry: str
    curve: str
    prior: Prior
    lifts: tuple[Lift, ...] = ()
    slots: Mapping[str, slice] = field(default_factory=dict)
    gram: Array = field(init=False)  # (G, q + h, q + h): Z' W Z
    columns: Array = field(init=False)  # (G, T, q + h): Z

    def __post_init__(self) -> None:
        columns = np.concatenate([self.base, self.trend], -1)
        object.__setattr__(self, "columns", columns)
        object.__setattr__(self, "gram", np.einsum("gtq,gt,gtp->gqp", columns, self.weight, columns))

    @property
    def size(self) -> int:
        """Return the number of parameters."""
        return int(max(part.stop for part in self.slots.values()))


def slots_of(channels: int, geos: int, carry: str, curve: str) -> dict[str, slice]:
    """Return where each group of parameters lies."""
    sizes = {"first": channels, "half": channels, "return": channels, "trend": 1, "noise": geos}
    if carry != "geometric":
        sizes["second"] = channels
    if curve == "hill":
        sizes["slope"] = channels
    if geos > 1:
        sizes |= {"tau": channels, "differ": geos * channels}
    out, at = {}, 0
    for name, size in sizes.items():
        out[name] = slice(at, at + size)
        at += size
    return out


@dataclass(frozen=True, slots=True)
class Shaped:
    """The media part at S sets of parameters, channels first."""

    weights: Any  # (C, S, L)
    half: Any  # (C, S)
    slope: Any  # (C, S)
    sat: Any  # (C, S, G, T)
    beta: Any  # (C, S, G)


def shaped(problem: Problem, theta: Any, xp: Any = np) -> Shaped:
    """Return curves and full effects at parameters (S, size)."""
    part = {name: theta[:, where].T for name, where in problem.slots.items()}
    zero = part["half"] * 0
    weight = weights(part["first"], part.get("second", zero), problem.carry, problem.lag.shape[1], xp)
    half, slope = xp.exp(part["half"]), xp.exp(part.get("slope", zero))
    geos, periods = problem.y.shape
    channels, sets = zero.shape
    stock = (weight @ problem.lag).reshape((channels, sets, geos, periods))
    here = (half[..., None, None], slope[..., None, None], problem.curve, xp)
    sat = saturation(stock, *here)
    done = (stock * steepness(stock, *here)).sum(-1) if problem.prior.marginal else sat.sum(-1)
    returns = part["return"][..., None]
    if geos > 1:
        differ = part["differ"].reshape((geos, channels, sets))
        returns = returns + xp.exp(part["tau"])[..., None] * xp.moveaxis(differ, 0, -1)
    beta = xp.exp(returns) * problem.total.T[:, None, :] / xp.maximum(done, 1e-6)
    return Shaped(weight, half, slope, sat, beta)


def log_posterior(problem: Problem, theta: Any, xp: Any = np, solve: Any = np.linalg.solve) -> Any:
    """Return the log posterior density (S,) at parameters (S, size), up to a constant. `solve` is of a lower triangle."""
    media = shaped(problem, theta, xp)
    rest = problem.y - LEVEL - (media.beta[..., None] * media.sat).sum(0)
    return _likelihood(problem, theta, rest, xp, solve) + _lifted(problem, media, xp) + _prior(problem, theta, xp)


def _likelihood(problem: Problem, theta: Any, rest: Any, xp: Any, solve: Any) -> Any:
    noise = xp.maximum(theta[..., problem.slots["noise"]], FINEST)  # a search may step anywhere: what is not finite there would end it
    trend = xp.minimum(theta[..., problem.slots["trend"]], STEEPEST)
    precise = xp.exp(-2 * noise)  # (..., G)
    fixed, turning = problem.base.shape[-1], problem.trend.shape[-1]
    scale = xp.concatenate([xp.ones((*theta.shape[:-1], fixed)), xp.repeat(xp.exp(trend), turning, axis=-1)], -1)[..., None, :]
    inner = problem.gram * scale[..., :, None] * scale[..., None, :] * precise[..., None, None] + np.eye(fixed + turning)
    low = xp.linalg.cholesky(inner)
    weighted = rest * problem.weight
    moved = (weighted[..., None, :] @ problem.columns)[..., 0, :] * scale
    solved = solve(low, moved[..., None])[..., 0]
    squares = (weighted * rest).sum(-1) * precise - (solved**2).sum(-1) * precise**2
    logs = xp.log(xp.diagonal(low, axis1=-2, axis2=-1)).sum(-1)
    return (-0.5 * squares - problem.weight.sum(-1) * noise - logs).sum(-1)


def _lifted(problem: Problem, media: Shaped, xp: Any) -> Any:
    """Return the log likelihood of the experiments: each is simulated in its window, carry-over included."""
    total = 0.0
    for test in problem.lifts:
        here = (media.half[test.channel, :, None], media.slope[test.channel, :, None], problem.curve, xp)
        weight = media.weights[test.channel]
        effect = ((saturation(weight @ test.factual, *here) - saturation(weight @ test.other, *here)) * test.counted).sum(-1)
        total = total - 0.5 * ((media.beta[test.channel, :, test.geo] * effect - test.lift) / test.error) ** 2
    return total


def _prior(problem: Problem, theta: Any, xp: Any) -> Any:
    """Return the log prior. a ~ Beta(2, 2), half ~ LN(.3, .5), slope ~ LN(.1, .25), trend ~ HN(.1), noise ~ HN(.2), tau ~ LN(log .2, .6).

    Half of the full effect is believed to lie a little above the usual spend, as Robyn's range for it (.3 to 1 of the highest) does.
    """
    belief = problem.prior
    part = {name: theta[..., where] for name, where in problem.slots.items()}
    first = part["first"]
    out = -2 * (xp.logaddexp(0.0, -first) + xp.logaddexp(0.0, first)).sum(-1) - 0.5 * (((part["half"] - HALF) / SCATTER) ** 2).sum(-1)
    if "slope" in part:
        out = out - 0.5 * (((part["slope"] - 0.1) / 0.25) ** 2).sum(-1)
    if "second" in part:
        out = out - 0.5 * (((part["second"] - 0.2) / 0.5) ** 2).sum(-1)
    out = out + _returns(belief, part["return"], xp).sum(-1)
    for name, scale in (("trend", 0.1), ("noise", 0.2)):
        if name in part:
            out = out + (part[name] - 0.5 * (xp.exp(part[name]) / scale) ** 2).sum(-1)
    if "tau" in part:  # away from zero, where its log would wander without end
        out = out - 0.5 * (((part["tau"] - LIKE) / 0.6) ** 2).sum(-1)
    if "differ" in part:
        out = out - 0.5 * (part["differ"] ** 2).sum(-1)
    if belief.around is None or belief.precision is None:
        return out
    gap = theta - belief.around
    return belief.before * out - 0.5 * xp.einsum("...i,ij,...j->...", gap, xp.asarray(belief.precision), gap)


def _returns(belief: Prior, value: Any, xp: Any) -> Any:
    """Return the log density of log returns: a normal, and with the chance `nothing` a wide one around a tenth of it."""
    usual = -0.5 * ((value - belief.centre) / belief.width) ** 2 - np.log(belief.width)
    if belief.nothing is None:
        return usual
    nothing = np.clip(belief.nothing, 1e-12, 1 - 1e-12)
    idle = -0.5 * ((value - belief.centre + np.log(10.0)) / 1.0) ** 2
    return xp.logaddexp(np.log(1 - nothing) + usual, np.log(nothing) + idle)
