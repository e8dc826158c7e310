"""From media arrays to the posterior's problem, and from its draws back to outcomes. Learning only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.models.roi import baseline
from tradewind.models.roi.beliefs import NOTHING
from tradewind.models.roi.curves import lagged
from tradewind.models.roi.learned import Learned
from tradewind.models.roi.media import LAGS, LONGER, Media, believed
from tradewind.models.roi.posterior import HALF, LEVEL, Lift, Prior, Problem, shaped, slots_of

Array = np.ndarray[Any, Any]
KEPT = 1000  # draws that are served from


@dataclass(frozen=True, slots=True)
class Setup:
    """The problem, and what turns its numbers back into outcomes and money."""

    problem: Problem
    media: Media
    params: Mapping[str, Any]
    scale: Array  # (G, C)
    level: Array  # (G,): mean outcome
    words: tuple[str, ...]


def kept(geos: int) -> int:
    """Return how many draws are served from: fewer where each answer is a sum over many geos."""
    return max(200, int(KEPT / np.sqrt(geos)))


def lags_of(media: Media, params: Mapping[str, Any]) -> int:
    """Return how many periods an effect may last."""
    grain = media.clock.grain.name
    return int(params["lags"]) or (LAGS if params["carry"] == "geometric" else LONGER)[grain]


def scale_of(media: Media, lags: int) -> Array:
    """Return the spend per geo and channel that counts as one: the mean of the periods that it can act in."""
    spend = media.spend[:, : media.cut]
    out = np.ones((len(media.geos), len(media.channels)))
    for geo in range(len(media.geos)):
        acting = np.stack([lagged(spend[geo], min(lags, 4))[at].max(0) > 0 for at in range(len(media.channels))])
        total = spend[geo].sum(0)
        out[geo] = np.where(total > 0, total / np.maximum(acting.sum(1), 1), 1.0)
    return out


def standardised(other: Array, cut: int) -> Array:
    """Return controls (G, T, K) with mean 0 and deviation 1 over the history of each geo."""
    if other.shape[-1] == 0:
        return other
    return baseline.standardised_by(other[:, :cut], other)


def setup(media: Media, params: Mapping[str, Any], *, previous: Learned | None = None, temper: float = 0.5) -> Setup:
    """Return the problem of a posterior over the known periods. Geos are taken one by one."""
    cut, lags = media.cut, lags_of(media, params)
    geos, channels = len(media.geos), len(media.channels)
    scale = scale_of(media, lags) if previous is None else previous.scale
    level = np.nanmean(media.y[:, :cut], 1)
    if previous is not None:
        level = np.nanmean(media.y[:, : previous.cut], 1)
    y = media.y[:, :cut] / level[:, None]
    other = standardised(media.other, cut)
    base = np.stack([baseline.fixed(media.clock, media.start, cut, other[geo, :cut]) for geo in range(geos)])
    trend = np.repeat(baseline.hinges(media.clock, cut, cut)[None], geos, 0)
    lag = np.concatenate([lagged(media.spend[geo, :cut] / scale[geo], lags) for geo in range(geos)], -1)
    centre, width, words = believed(media, params)
    nothing = np.array([0.0 if said else NOTHING for said in media.beliefs])
    slots = slots_of(channels, geos, params["carry"], params["curve"])
    prior = Prior(centre, width, params["basis"] == "marginal", nothing)
    weight = np.isfinite(y).astype(float)
    if previous is not None:
        prior = Prior(centre, width, prior.marginal, nothing, previous.mean, temper * np.linalg.inv(previous.cov), 1 - temper)
        weight[:, : previous.cut] *= 1 - temper
    problem = Problem(
        np.nan_to_num(y),
        weight,
        lag,
        media.money[:, :cut].sum(1) / level[:, None],
        base,
        trend,
        params["carry"],
        params["curve"],
        prior,
        tuple(lift for test in media.tests for lift in _lifts(test, media, scale, level, lags)),
        slots=slots,
    )
    return Setup(problem, media, params, scale, level, tuple(words))


def _lifts(test: Any, media: Media, scale: Array, level: Array, lags: int) -> list[Lift]:
    """Return an experiment as the likelihood takes it. One that ran everywhere is divided over the geos by spend."""
    window = slice(test.first, test.last + 1)
    places = [test.geo] if test.geo >= 0 else list(range(len(media.geos)))
    spent = media.money[:, window, test.channel].sum(1)
    out = []
    for geo in places:
        if spent[geo] <= 0:
            continue
        share = 1.0 if test.geo >= 0 else spent[geo] / spent.sum()
        actual = media.spend[geo, : media.cut, [test.channel]].T / scale[geo, test.channel]
        inside = np.array(test.inside)
        without = actual.copy()
        without[window] *= (1 - inside)[:, None]
        tested = actual if np.isnan(test.change) else without + (1 + test.change) * (actual - without)
        compared = without if np.isnan(test.change) else actual
        counted = np.ones(len(inside))
        counted[-1] = (1 + inside[-1]) / 2 if len(inside) > 1 else 1.0  # of the last period a part of what is carried over comes later
        lift, error = test.lift * share / level[geo], test.error * np.sqrt(share) / level[geo]
        factual, other = (lagged(one, lags)[0][:, window] for one in (tested, compared))
        out.append(Lift(test.channel, geo, factual, other, lift, error, counted))
    return out


def start(problem: Problem) -> Array:
    """Return where the search for the mode begins."""
    at = np.zeros(problem.size)
    at[problem.slots["return"]] = problem.prior.centre
    at[problem.slots["half"]] = HALF
    at[problem.slots["trend"]] = -3.0
    at[problem.slots["noise"]] = -2.5
    if "slope" in problem.slots:
        at[problem.slots["slope"]] = 0.1
    if "second" in problem.slots:
        at[problem.slots["second"]] = 0.2
    if "tau" in problem.slots:
        at[problem.slots["tau"]] = -1.5
    if problem.prior.around is not None:
        at = problem.prior.around.copy()
    return at


def learned(made: Setup, theta: Array, moments: tuple[Array, Array], seed: int, **said: Any) -> Learned:
    """Return the state of draws (D, P): curves as they are, effects in outcomes, the baseline drawn given each."""
    problem = made.problem
    rng = np.random.default_rng([seed, 1])
    parts = [_drawn(problem, theta[at : at + 100], rng) for at in range(0, len(theta), 100)]
    weights, half, slope, beta, gamma = (np.concatenate(each) for each in zip(*parts, strict=True))
    level = made.level
    gamma = gamma * level[:, None]
    gamma[..., 0] += LEVEL * level / 0.4
    noise = np.exp(theta[:, problem.slots["noise"]]) * level
    trend = np.exp(theta[:, problem.slots["trend"]]) * level
    alike = _alike(problem, theta[:100], parts[0][4])
    own, shock = noise * np.sqrt(1 - alike), noise * np.sqrt(alike)
    return state_of(made, (weights, half, slope, beta * level[:, None], gamma, own, shock, trend), moments, **said)


def _alike(problem: Problem, theta: Array, gamma: Array) -> float:
    """Return how what is left over hangs together between geos in a period (intraclass correlation, none below zero); 0 for one geo.

    The sum of G geos with correlation r varies 1 + (G - 1) r times as much as if each erred by itself. `gamma` are baselines (D, G, q).
    """
    geos = len(problem.y)
    if geos == 1:
        return 0.0
    media = shaped(problem, theta)
    fitted = (media.beta[..., None] * media.sat).sum(0) + np.einsum("dgq,gtq->dgt", gamma, problem.columns)
    rest = np.where(problem.weight > 0, problem.y - LEVEL - fitted.mean(0), 0.0)
    rest = rest / np.exp(theta[:, problem.slots["noise"]]).mean(0)[:, None]
    apart = float((rest**2).sum())
    whole = float((rest.sum(0) ** 2).sum())
    return float(np.clip((whole - apart) / max((geos - 1) * apart, 1e-12), 0.0, 0.99))


def _drawn(problem: Problem, theta: Array, rng: np.random.Generator) -> tuple[Array, ...]:
    """Return weights, half, slope, beta and a draw of the baseline given them, its scales put in."""
    media = shaped(problem, theta)
    rest = problem.y - LEVEL - (media.beta[..., None] * media.sat).sum(0)
    fixed, turning = problem.base.shape[-1], problem.trend.shape[-1]
    wide = np.repeat(np.exp(theta[:, problem.slots["trend"]]), turning, axis=-1)
    scale = np.concatenate([np.ones((len(theta), fixed)), wide], -1)[:, None, :]
    z = problem.columns
    precise = np.exp(-2 * theta[:, problem.slots["noise"]])[..., None, None]
    inner = problem.gram * scale[..., :, None] * scale[..., None, :] * precise + np.eye(z.shape[-1])
    moved = np.einsum("dgt,gtq->dgq", rest * problem.weight, z) * scale * precise[..., 0]
    mean = np.linalg.solve(inner, moved[..., None])[..., 0]
    low = np.linalg.cholesky(inner)
    noise = np.linalg.solve(np.swapaxes(low, -1, -2), rng.normal(size=(*mean.shape, 1)))[..., 0]
    first = (np.moveaxis(part, 0, 1) for part in (media.weights, media.half, media.slope))
    return *first, np.moveaxis(media.beta, 0, -1), (mean + noise) * scale


def state_of(made: Setup, drawn: tuple[Array, ...], moments: tuple[Array, Array], **said: Any) -> Learned:
    """Return the state of drawn weights, half, slope, beta, gamma, noise, shock and trend, all in outcomes."""
    media, params = made.media, made.params
    names = ("weights", "half", "slope", "beta", "gamma", "noise", "shock", "trend")
    small: dict[str, Any] = {name: np.asarray(part, "f4") for name, part in zip(names, drawn, strict=True)}
    per = 1.0 if media.unit == "money" else media.worth
    per = params["worth"] if params["worth"] > 0 else per
    notes = (*media.notes, *made.words, *said.pop("notes", ()))
    return Learned(
        clock=media.clock,
        start=media.start,
        cut=media.cut,
        carry=params["carry"],
        curve=params["curve"],
        name=media.name,
        unit="money" if np.isfinite(per) else media.name,
        per=float(per) if np.isfinite(per) else 1.0,
        geos=media.geos,
        channels=media.channels,
        controls=media.controls,
        responds=media.responds,
        notes=notes,
        changed=said.pop("changed", ()),
        **small,
        y=media.y,
        money=media.money,
        spend=media.spend,
        other=media.other,
        scale=made.scale,
        centre=made.problem.prior.centre,
        width=made.problem.prior.width,
        mean=moments[0],
        cov=moments[1],
        params=dict(params),
        **said,
    )
