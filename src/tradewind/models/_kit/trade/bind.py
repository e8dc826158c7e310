"""Turn a fitted panel into the book that serves: levels into the future, smearing, halo pairs, the calendar."""

from __future__ import annotations

from typing import Any

import numpy as np

from tradewind.models._kit.trade import design as shape
from tradewind.models._kit.trade.book import Book
from tradewind.models._kit.trade.design import Prices
from tradewind.models._kit.trade.fit import Fit
from tradewind.models._kit.trade.group import summed
from tradewind.models._kit.trade.levers import AFTER, COMPETITOR, CUT, PRICE, SIBLINGS, SISTERS
from tradewind.models._kit.trade.panel import Panel

Array = np.ndarray[Any, Any]
_SERVED = (PRICE, CUT, AFTER, SIBLINGS, SISTERS, COMPETITOR)
ALPHAS = (0.02, 0.05, 0.1, 0.2, 0.3)
AHEAD = 4  # periods over which a level is judged
DAMP = 0.97  # how much of a level's distance from its mean is left a period later
WINDOW = 9  # periods over which a past level is smoothed
MOST_TAKEN = 0.5  # of an effect on another product that the panel's own columns may have taken up
LEAST_HALO = 0.001  # an expected effect on another product smaller than this is left out
FEWEST_PAIR = 12  # cells in which a pair must have been seen


def bind(panel: Panel, fit: Fit, *, halo: bool = True) -> Book:
    """Return the book of a fit; `halo` looks for products that are brought along."""
    design = fit.design
    names = [name for name in design.names if name in _SERVED or shape.is_lift(name)]
    at = [design.place(name) for name in names]
    lift = shape.promo_lift(design, fit.beta, fit.prices, fit.form)
    context = np.zeros_like(lift)
    for name in (AFTER, SIBLINGS, SISTERS):
        place = design.place(name)
        if place >= 0:
            context += fit.beta[:, place : place + 1] * design.values[..., place]
    total = np.einsum("ntk,nk->nt", design.values, fit.beta) + fit.events + fit.level[:, None]
    path, drift = _levels(panel, fit)
    found = fit.found
    return Book(
        **whereabouts(panel, fit.prices, form=fit.form, together=fit.together, about=fit.about),
        names=np.array(names, object),
        base=total - lift - context + path,
        context=context,
        lift=lift,
        smear=_smear(fit),
        variance=fit.variance,
        drift=drift,
        fade=fit.fade,
        series=found.series[:, at],
        own=found.own[:, at],
        carry=found.carry[:, at],
        mean=found.product[:, at],
        spread=found.spread[:, at][:, :, at],
        common=found.common[:, at],
        kin=fit.kin[at],
        halo=_halo(panel, fit) if halo else np.zeros((0, 5)),
    )


def whereabouts(panel: Panel, prices: Prices, *, form: str = "log", together: float, about: tuple[str, ...]) -> dict[str, Any]:
    """Return what a book knows of series, periods, prices and the calendar before anything is learned."""
    grain = panel.clock
    head = {"grain": grain.grain.name, "anchor": grain.anchor, "first": panel.first, "cut": panel.cut, "form": form}
    promotions, mechanics, calendar = calendar_of(panel)
    return {
        "head": head | {"takes": prices.takes, "together": together, "about": list(about), "left": panel.left, **deepest(panel, prices)},
        "products": panel.products,
        "stores": panel.stores,
        "categories": panel.category,
        "brands": panel.brand,
        "promotions": promotions,
        "mechanics": mechanics,
        "product": panel.product,
        "store": panel.store,
        "regular": prices.regular,
        "cost": panel.cost,
        "sold": panel.sold[:, : panel.cut],
        "usual": prices.usual,
        "calendar": calendar,
    }


def deepest(panel: Panel, prices: Prices) -> dict[str, float]:
    """Return the largest depth ever seen, as a fraction: `deepest_stated` by the calendar, `deepest_paid` of the shelf price."""
    sold = np.isfinite(panel.units[:, : panel.cut])
    with np.errstate(invalid="ignore", divide="ignore"):
        paid = 1 - prices.paid[:, : panel.cut] / prices.regular[:, : panel.cut]
    stated = panel.discount[:, : panel.cut]
    found = {"deepest_stated": stated, "deepest_paid": paid}
    return {name: float(values[sold & np.isfinite(values)].max(initial=0.0)) for name, values in found.items()}


def _levels(panel: Panel, fit: Fit) -> tuple[Array, Array]:
    """Return how each level strays from its mean, n x T, past and ahead, and how far off a coming level lies.

    Past: a moving mean of what is left, promoted periods aside. Ahead: exponential smoothing that fades to the mean; its weight is
    the one whose forecasts of the next periods were best.
    """
    gap = np.where(panel.run[:, : panel.cut] >= 0, np.nan, fit.residual)
    gap = np.clip(gap, -1.0, 1.0)
    known = np.isfinite(gap)
    filled = np.where(known, gap, 0.0)
    width = panel.width
    path = np.zeros((len(panel), width))
    window = np.ones(WINDOW)
    total = np.apply_along_axis(np.convolve, 1, filled, window, mode="same")
    count = np.apply_along_axis(np.convolve, 1, known.astype("f8"), window, mode="same")
    path[:, : panel.cut] = total[:, : panel.cut] / (count[:, : panel.cut] + 3.0)  # drawn to the mean as by three periods more
    best, state, errors = np.inf, np.zeros(len(panel)), filled[:, :0]
    for alpha in ALPHAS:
        smooth, missed = _smoothed(filled, known, alpha)
        score = float(np.mean(missed**2)) if missed.size else 0.0
        if score < best:
            best, state, errors = score, smooth, missed
    ahead = np.arange(1, width - panel.cut + 1)
    path[:, panel.cut :] = state[:, None] * DAMP**ahead
    common = np.zeros(1)
    if errors.size:
        counts = np.bincount(panel.product, minlength=len(panel.products))[:, None]
        mean = summed(errors, panel.product, len(panel.products)) / np.maximum(counts, 1)
        common = np.array([max(float(np.var(mean[counts[:, 0] > 1])) if (counts > 1).any() else 0.5 * float(np.var(errors)), 1e-6)])
    whole = max(float(np.mean(errors**2)) if errors.size else float(fit.variance.mean()), 1e-6)
    common = np.minimum(common, whole)
    return path, np.sqrt(np.array([float(common[0]), max(whole - float(common[0]), 1e-6)]))


def _smoothed(filled: Array, known: Array, alpha: float) -> tuple[Array, Array]:
    """Return each series' last smoothed level, and how far the mean of the next periods lay from it, n x origins.

    What is left of a whole history is around nothing because the fit saw all of it. Whoever stood at an origin knew the mean until then
    only, so that is what its forecast fades to: else a level that stays seems never to have moved.
    """
    state, full = np.zeros(len(filled)), np.zeros(len(filled))  # of what is left, and of ones: how much of a level is in the state
    total, count = np.zeros(len(filled)), np.zeros(len(filled))
    span = filled.shape[1]
    origins = set(range(max(span // 3, 2), span - AHEAD + 1, AHEAD))
    missed = []
    for at in range(span):
        if at in origins:
            some = known[:, at : at + AHEAD]
            coming = (filled[:, at : at + AHEAD]).sum(1) / np.maximum(some.sum(1), 1)
            mean = total / np.maximum(count, 1)
            missed.append(np.where(some.any(1), coming - mean - (state - full * mean) * DAMP ** (AHEAD / 2), 0.0))
        state = np.where(known[:, at], (1 - alpha) * state + alpha * filled[:, at], state) * DAMP
        full = np.where(known[:, at], (1 - alpha) * full + alpha, full) * DAMP
        total, count = total + filled[:, at], count + known[:, at]
    return state, np.stack(missed, 1) if missed else np.zeros((len(filled), 0))


def _smear(fit: Fit) -> Array:
    """Return mean over median of each series (Duan 1983), drawn to that of all."""
    with np.errstate(over="ignore"):
        raised = np.exp(np.clip(fit.residual, -2, 2))
    known = np.isfinite(raised)
    common = float(raised[known].mean())
    found: Array = (np.where(known, raised, 0).sum(1) + 20 * common) / (known.sum(1) + 20)
    return np.clip(found, 1.0, 2.0)


def _halo(panel: Panel, fit: Fit) -> Array:
    """Return which product's price-equivalent move is felt by which product outside its category, how likely, and how much if so.

    What is left of a product is regressed on every such move, one at a time; a pair is real with a probability that the data of all
    pairs set (two normals, EM). What is left has lost a part of every effect: the panel's own columns took up K of T periods, and what
    the category has in common was taken off. Effects and their errors are made larger by as much.
    """
    category = panel.category.astype(str)
    count = len(panel.products)
    if len(np.unique(category)) < 2 or fit.design.place(PRICE) < 0:
        return np.zeros((0, 5))
    moved = shape.signal(fit.design, fit.beta)[:, : panel.cut]
    gap = np.where(np.isfinite(fit.residual), np.clip(fit.residual, -1, 1), np.nan)
    known = np.isfinite(gap)
    gap = gap - _common(gap, np.unique(category, return_inverse=True)[1][panel.product])
    grid = np.zeros((2, count, len(panel.stores), panel.cut))
    there = np.zeros((count, len(panel.stores), panel.cut), bool)
    grid[0, panel.product, panel.store] = np.where(known, gap, 0.0)
    centred = moved - moved.mean(1, keepdims=True)
    grid[1, panel.product, panel.store] = centred
    there[panel.product, panel.store] = known
    flat_gap, flat_move = grid[0].reshape(count, -1), grid[1].reshape(count, -1)
    mask = there.reshape(count, -1).astype("f8")
    cross = flat_gap @ flat_move.T  # target x source
    power = mask @ (flat_move**2).T
    noise = np.array([np.nanvar(gap[panel.product == at]) if known[panel.product == at].any() else 1.0 for at in range(count)])
    other = (category[:, None] != category[None]) & (power > FEWEST_PAIR * 0.02**2)
    if not other.any():
        return np.zeros((0, 5))
    effect = cross / np.maximum(power, 1e-12)
    error = np.sqrt(noise[:, None] * fit.together / np.maximum(power, 1e-12))
    same = np.unique(category, return_inverse=True, return_counts=True)
    took = 1 - min(len(fit.design.names) / panel.cut, MOST_TAKEN)
    left = (took * (1 - 1 / np.maximum(same[2][same[1]], 2)))[:, None]
    target, source = np.nonzero(other)
    chance, mean, spread = _spike((effect / left)[other], (error / left)[other], 2.0 / count)
    kept = chance * np.abs(mean) > LEAST_HALO
    return np.stack([source[kept], target[kept], chance[kept], mean[kept], spread[kept]], 1).astype("f8")


def _common(gap: Array, group: Array) -> Array:
    """Return what each group of series has in common in each period: the mean of what is left of them."""
    known = np.isfinite(gap)
    total, rows = (summed(values, group, int(group.max()) + 1) for values in (np.where(known, gap, 0.0), known * 1.0))
    found: Array = (total / np.maximum(rows, 1))[group]
    return found


def _spike(effect: Array, error: Array, most: float) -> tuple[Array, Array, Array]:
    """Return the chance that an effect is real, and its mean and standard deviation if so: most are zero, the others below zero.

    Errors are widened until the middle of all effects, most of which are nothing, looks like nothing.
    """
    error = error * max(0.8, float(np.median(np.abs(effect / error))) / 0.6745)
    share, centre, size = most / 2, -0.1, 0.1
    for _ in range(50):
        wide = np.sqrt(error**2 + size**2)
        real = share * np.exp(-0.5 * ((effect - centre) / wide) ** 2) / wide
        none = (1 - share) * np.exp(-0.5 * (effect / error) ** 2) / error
        chance = np.where(effect < 0, real / np.maximum(real + none, 1e-300), 0.0)
        share = (float(chance.mean()) + most / 2) / 2  # a product brings one other along, where data do not say
        gain = size**2 / (size**2 + error**2)
        drawn = centre + gain * (effect - centre)
        total = max(float(chance.sum()), 1e-9)
        centre = float(np.clip(((chance * drawn).sum() - 5 * 0.1) / (total + 5), -0.5, -0.03))
        size = float(np.clip(np.sqrt(((chance * ((drawn - centre) ** 2 + gain * error**2)).sum() + 5 * 0.1**2) / (total + 5)), 0.03, 0.3))
    return chance, drawn, np.sqrt(np.maximum(gain, 1e-10)) * error


def calendar_of(panel: Panel) -> tuple[Array, Array, Array]:
    """Return the promotions' names, and each of their entries: mechanic, and event, series, days, depth, support, spend."""
    names = np.array(panel.names, object)
    facts = panel.facts
    if not len(names):
        return names, np.zeros(0, object), np.zeros((0, 8))
    count = len(facts["event"])
    days = [facts[name].astype("M8[D]").astype("i8").astype("f8") for name in ("start", "end")]
    numbers = [np.nan_to_num(facts[name].astype("f8")) if name in facts else np.zeros(count) for name in ("discount", "display", "feature")]
    spend = facts["spend"].astype("f8") if "spend" in facts else np.full(count, np.nan)
    columns = [facts["event"].astype("f8"), facts["series"].astype("f8"), *days, *numbers, spend]
    return names, np.array([str(kind or "") for kind in facts["mechanic"].tolist()], object), np.stack(columns, 1)
