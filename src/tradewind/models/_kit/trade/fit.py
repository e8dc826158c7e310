"""Learn a panel of trade: a log-linear demand per series, drawn to its product and to what the product is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.core.errors import LearnFailed
from tradewind.models._kit.trade import design as shape
from tradewind.models._kit.trade.design import Design, Prices
from tradewind.models._kit.trade.kin import kin
from tradewind.models._kit.trade.levers import AFTER, COMPETITOR, CUT, PRICE, SIBLINGS, SISTERS
from tradewind.models._kit.trade.panel import FEWEST, Panel
from tradewind.models._kit.trade.shrink import Prior, Shrunk, alone, pooled, shrink
from tradewind.models._kit.trade.trim import mean_of, together_of, trimmed

Array = np.ndarray[Any, Any]
_PRIORS: dict[str, tuple[float, float, float, float]] = {
    # mean of the company, its spread, standard deviation among products, inside a product
    PRICE: (-2.0, 2.5, 1.0, 0.3),
    CUT: (0.0, 0.5, 0.2, 0.1),
    AFTER: (-0.25, 0.2, 0.1, 0.03),
    SIBLINGS: (0.5, 1.5, 0.5, 0.1),
    SISTERS: (0.1, 0.5, 0.2, 0.05),
    COMPETITOR: (0.2, 0.4, 0.2, 0.05),
    "trend": (0.0, 0.2, 0.15, 0.1),
    "season": (0.0, 0.2, 0.2, 0.05),
    "weekday": (0.0, 0.3, 0.1, 0.05),
    "extra": (0.0, 0.3, 0.1, 0.05),
    "lift": (0.2, 0.4, 0.2, 0.08),
}
FADE = (0.52, 0.26, 0.13, 0.06, 0.03)  # how a pull-forward is paid back by period where data do not say
SHARED = (0.25, 0.15)  # of what a price drives away, the part that siblings take: its mean and how sure that is before any data
FULL = (8, 12, 30)  # steps of shrinking between looks at the noise
BRIEF = (8,)
BLOCK, BLOCKS = 10, 2  # periods, and how many blocks of them, on which trend and season must prove themselves
COUNTED = 10.0  # periods that the common noise counts as in a series' own


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted panel. `fitted` is the log mean of every cell, `time` its part that no lever moves, both without level."""

    design: Design
    prices: Prices
    form: str
    found: Shrunk
    level: Array  # n
    events: Array  # n x T: effect of named events
    residual: Array  # n x cut, NaN where unknown
    variance: Array  # n
    together: float  # how many times wider errors are for going together across stores
    fade: Array  # lags
    about: tuple[str, ...]  # what the prior mean is regressed on
    kin: Array  # K: standard deviation of an error that products of a category make together; zeros where it was not looked for

    @property
    def known(self) -> Array:
        """Return per product the share of what is believed of its price coefficient that data say, not the prior."""
        at = self.design.place(PRICE)
        if at < 0:
            return np.zeros(len(self.found.product))
        before = _PRIORS[PRICE][1] ** 2 + _PRIORS[PRICE][2] ** 2
        return np.clip(1 - self.found.spread[:, at, at] / before, 0.0, 1.0)

    @property
    def likelihood(self) -> float:
        """Return the log likelihood of the log units, as if only so many errors as do not go together were there."""
        gap = np.where(np.isfinite(self.residual), self.residual, 0.0)
        count = np.isfinite(self.residual).sum(1)
        squares = np.maximum((gap**2).sum(1) / np.maximum(count, 1), 1e-8)
        return float(-0.5 * (count * np.log(squares)).sum() / self.together)

    @property
    def beta(self) -> Array:
        """Return the posterior mean coefficients, n x K."""
        return self.found.series


def learn(panel: Panel, *, form: str = "log", way: str = "bayes", margin: bool = True, short: int = 0, losses: bool = False) -> Fit:
    """Fit the panel; raises LearnFailed where nothing can be told.

    `way` is how coefficients are drawn together: bayes (as this module says), ols (not at all), pooled (one for all stores of a product).
    `short` is by how many periods the history may fall short of what a season needs. The first pass finds own effects, of which the
    others make what promotions leave behind and what siblings feel. A lift that was found without the dips behind it is too large and
    makes them look too small, so with `losses` this is done until it stands still, and how far errors go together in a category is found.
    """
    prices = shape.prices_of(panel)
    target = _target(panel)
    if (np.isfinite(target).sum(1) >= FEWEST).sum() == 0:
        raise LearnFailed(f"no series sold in {FEWEST} periods or more", hint="load a longer history")
    if (np.nansum(panel.units[:, : panel.cut]) <= 0) or np.nanmax(np.nanstd(target, 1)) < 1e-9:
        raise LearnFailed("units never change: nothing can be learned of what moves them", hint="check the units column")
    about, named = _about(panel, prices, margin=margin)
    design = _chosen(panel, shape.own_columns(panel, prices, form, short=short), target, about)
    events = np.zeros((len(panel), panel.width))
    state = _pass(panel, design, target, about, way=way)
    events = _events(panel, state, design, target)
    fade = np.zeros(0)
    at = design.place(PRICE)
    own = float(np.clip(np.median(state[0].product[:, at]), -6.0, -0.5)) if at >= 0 else -2.0
    kept, weight = target, np.ones(target.shape)
    for rounds in (BRIEF, BRIEF, BRIEF, FULL) if losses else (FULL, FULL):
        design, fade = _second(panel, design, prices, state, target - events[:, : panel.cut], form=form)
        kept, weight = trimmed(panel, _gap(state, design, target - events[:, : panel.cut]), target - events[:, : panel.cut])
        state = _pass(panel, design, kept, about, way=way, rounds=rounds, own=own, weight=weight)
    found, variance, together = state
    total = np.einsum("ntk,nk->nt", design.values, found.series) + events
    gap = target - total[:, : panel.cut]
    level = mean_of(np.clip(gap - np.nanmedian(gap, 1, keepdims=True), -1.5, 1.5)) + np.nan_to_num(np.nanmedian(gap, 1))
    both = _kin(panel, design, state, kept, weight=weight) if losses else np.zeros(len(design.names))
    return Fit(design, prices, form, found, level, events, gap - level[:, None], variance, together, fade, named, both)


State = tuple[Shrunk, Array, float]


def _chosen(panel: Panel, design: Design, target: Array, about: Array) -> Design:
    """Return the design with or without trend and season: whichever says better what the last periods sold, learned without them."""
    slow = np.array([name == "trend" or name.startswith("season") for name in design.names], bool)
    if not slow.any():
        return design
    plain = Design(tuple(name for name, gone in zip(design.names, slow, strict=True) if not gone), design.values[..., ~slow])
    missed = np.zeros(2)
    for back in range(1, BLOCKS + 1):
        cut = panel.cut - back * BLOCK
        if cut < 2 * BLOCK:
            break
        for at, one in enumerate((design, plain)):
            beta = _pass(panel, one, target[:, :cut], about, rounds=(6,))[0].series
            gap = target - np.einsum("ntk,nk->nt", one.values[:, : panel.cut], beta)
            ahead = gap[:, cut : cut + BLOCK] - mean_of(gap[:, :cut])[:, None]
            missed[at] += float(np.nansum(ahead**2))
    return design if missed[0] < missed[1] else plain


def _target(panel: Panel) -> Array:
    units = panel.units[:, : panel.cut]
    with np.errstate(invalid="ignore"):
        made: Array = np.log(np.maximum(units, 0) + 0.5 * (np.nanmean(units, 1, keepdims=True) < 20))
        made = np.where(np.isfinite(made), made, np.where(units <= 0, np.log(0.5), np.nan))
    return made


def _about(panel: Panel, prices: Prices, *, margin: bool) -> tuple[Array, tuple[str, ...]]:
    """Return what a product's coefficients are regressed on: ones, its price tier inside its category, category, brand, margin."""
    count = len(panel.products)
    columns, names = [np.ones(count)], ["mean"]
    for kind, values in (("category", panel.category), ("brand", panel.brand)):
        kinds, counts = np.unique(values.astype(str), return_counts=True)
        chosen = [name for name, size in zip(kinds.tolist(), counts.tolist(), strict=True) if name and size >= 2]
        if len(chosen) >= 2:
            columns += [(values == name) - float(np.mean(values == name)) for name in chosen]
            names += [f"{kind} {name}" for name in chosen]
    code = np.unique(panel.category.astype(str), return_inverse=True)[1]
    dear = np.exp(np.clip(panel.tier - (np.bincount(code, panel.tier) / np.bincount(code))[code], -2, 2))
    columns += [_standard(dear)] if dear.std() > 1e-6 else []
    names += ["price tier"] if dear.std() > 1e-6 else []
    total = np.bincount(panel.product, np.nan_to_num(panel.cost[:, panel.cut - 1] / prices.usual, nan=-1.0), minlength=count)
    cost: Array = total / np.maximum(np.bincount(panel.product, minlength=count), 1)
    if margin and (cost > 0).all() and (cost < 1).all() and cost.std() > 1e-6:
        columns.append(_standard(-np.log(1 - cost)))  # the elasticity at which today's margin would be the best one (Lerner)
        names.append("margin")
    return np.stack(columns, 1), tuple(names)


def _standard(values: Array) -> Array:
    made: Array = np.clip((values - values.mean()) / values.std(), -3, 3)
    return made


def _pass(
    panel: Panel,
    design: Design,
    target: Array,
    about: Array,
    *,
    way: str = "bayes",
    rounds: tuple[int, ...] = FULL,
    own: float = -2.0,
    weight: Array | None = None,
) -> State:
    """Shrink all series together; noise by series, drawn to the common one. `rounds` are the steps between looks at the noise.

    `weight` is how much each cell tells, one where left out.
    """
    x, y, known = _centred(design, target)
    count = known.sum(1)
    told = x if weight is None else x * weight[..., None]
    normal, moment = np.einsum("ntk,ntl->nkl", told, x), np.einsum("ntk,nt->nk", told, y)
    prior = _prior(design.names, own)
    variance = np.maximum((y**2).sum(1) / np.maximum(count - 1, 1) * 0.5, 1e-4)
    together = 1.0
    found = None
    for steps in rounds:
        sure = 1 / variance
        given = normal * sure[:, None, None], moment * sure[:, None]
        if way == "bayes":
            found = shrink(*given, panel.product, about=about, prior=prior, together=together, steps=steps)
        else:
            found = (pooled if way == "pooled" else alone)(*given, panel.product, together=together)
        gap = y - np.einsum("ntk,nk->nt", x, found.series)
        variance = _variance(np.where(known, gap, np.nan), count, len(design.names))
        together = together_of(np.where(known, gap, np.nan), panel.product)
    assert found is not None
    return found, variance, together


def _centred(design: Design, target: Array) -> tuple[Array, Array, Array]:
    """Return columns and target around their means over what is known, zero elsewhere, and what is known."""
    known = np.isfinite(target)
    x = np.where(known[..., None], design.values[:, : target.shape[1]], 0.0)
    middle = x.sum(1, keepdims=True) / np.maximum(known.sum(1), 1)[:, None, None]
    return np.where(known[..., None], x - middle, 0.0), np.where(known, target - mean_of(target)[:, None], 0.0), known


def _kin(panel: Panel, design: Design, state: State, kept: Array, *, weight: Array) -> Array:
    """Return how far errors of products of one category go together, by coefficient."""
    found, variance, together = state
    x, y, _ = _centred(design, kept)
    told = x * (weight / variance[:, None])[..., None]
    moves = told * (y - np.einsum("ntk,nk->nt", x, found.series))[..., None]
    category = np.unique(panel.category.astype(str), return_inverse=True)[1]
    normal, among = np.einsum("ntk,ntl->nkl", told, x), _prior(design.names).among
    return kin(found, normal, moves, product=panel.product, category=category, together=together, among=among)


def _prior(names: tuple[str, ...], own: float = -2.0) -> Prior:
    """Return the prior of each column; `own` is the company's own elasticity as far as it is known."""
    rows = [_PRIORS.get(name) or _PRIORS["lift" if shape.is_lift(name) else name.split("_")[0]] for name in names]
    mean, spread, among, inside = np.array(rows, "f8").reshape(-1, 4).T
    siblings = np.array([name == SIBLINGS for name in names], bool)
    mean, spread = np.where(siblings, -SHARED[0] * own, mean), np.where(siblings, -SHARED[1] * own, spread)
    return Prior(mean, spread, among, inside)


def _variance(gap: Array, count: Array, width: int) -> Array:
    squares = np.nansum(gap**2, 1)
    free = np.maximum(count - np.minimum(width / 2, count / 3), 1)
    common = float(squares.sum() / np.maximum(free.sum(), 1))
    found: Array = np.maximum((squares + COUNTED * common) / (free + COUNTED), 1e-5)
    return found


def _events(panel: Panel, state: State, design: Design, target: Array) -> Array:
    """Return the effect of named events, common to all series: a ridge regression of what is left."""
    if not panel.events:
        return np.zeros((len(panel), panel.width))
    gap = target - np.einsum("ntk,nk->nt", design.values[:, : panel.cut], state[0].series)
    gap = gap - mean_of(gap)[:, None]
    values = np.stack(list(panel.events.values()), 2)
    known = np.isfinite(gap)
    x = values[:, : panel.cut][known]
    noise = float(np.nanvar(gap)) * state[2]
    left = x.T @ x / noise + np.eye(x.shape[1]) / 0.3**2
    effect = np.linalg.solve(left, x.T @ np.clip(gap[known], -1.5, 1.5) / noise)
    found: Array = values @ effect
    return found


def _second(panel: Panel, design: Design, prices: Prices, state: State, target: Array, *, form: str) -> tuple[Design, Array]:
    """Add what promotions leave behind and what siblings do, both as the coefficients at hand see them."""
    beta = state[0].series
    moved = shape.signal(design, beta)
    fade = np.zeros(0)
    lags = shape.LAGS[panel.clock.grain.name]
    lift = shape.promo_lift(design, beta, prices, form)
    if lags and panel.levers and (lift[:, : panel.cut] > 0.05).any():
        later = shape.lagged(shape.released(lift, panel.run), lags)
        fade = _fade(panel, design, beta, target, later)
        design = design.with_column(AFTER, later @ fade)
    if design.place(PRICE) >= 0:
        siblings, sisters = shape.groups_of(panel)
        for name, group in ((SIBLINGS, siblings), (SISTERS, sisters)):
            values = shape.others(moved, group)
            if np.abs(values).max() > 1e-6:
                design = design.with_column(name, values)
    return design, fade


def _fade(panel: Panel, design: Design, beta: Array, target: Array, later: Array) -> Array:
    """Return the shares in which a pull-forward is paid back by period: what all series show, leaning on a usual shape."""
    at = design.place(AFTER)
    used = [place for place in range(len(design.names)) if place != at]
    used = [place for place in used if place < beta.shape[1]]
    gap = target - np.einsum("ntk,nk->nt", design.values[:, : panel.cut][..., used], beta[:, used])
    known = np.isfinite(gap)
    x = np.where(known[..., None], later[:, : panel.cut], 0.0)
    x = np.where(known[..., None], x - x.sum(1, keepdims=True) / np.maximum(known.sum(1), 1)[:, None, None], 0.0).reshape(
        -1, later.shape[2]
    )
    y = np.where(known, gap - mean_of(gap)[:, None], 0.0).reshape(-1)
    usual = np.array(FADE[: later.shape[2]])
    usual = usual / usual.sum()
    noise = max(float(np.var(y[known.reshape(-1)])), 1e-6) * 4  # errors go together in time and across stores
    left = x.T @ x / noise + np.eye(len(usual)) / 0.05**2
    found = np.linalg.solve(left, x.T @ y / noise - 0.25 * usual / 0.05**2)
    shares = np.maximum(-found, 0.0)
    made: Array = shares / shares.sum() if shares.sum() > 1e-6 else usual
    return made


def _gap(state: State, design: Design, target: Array) -> Array:
    """Return what the coefficients leave of the target, each series around its median."""
    width = state[0].series.shape[1]
    gap = target - np.einsum("ntk,nk->nt", design.values[:, : target.shape[1], :width], state[0].series)
    return np.asarray(gap - np.nanmedian(gap, 1, keepdims=True))
