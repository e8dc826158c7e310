"""The engine for figures that count something: what prices, promotions, events and the calendar make of a moving level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tradewind.models.anomaly import design as made
from tradewind.models.anomaly import hidden
from tradewind.models.anomaly.design import Design, Usual
from tradewind.models.anomaly.engine import Day, Past, Said
from tradewind.models.anomaly.expect import FLOOR, level_of, pooled, shared_of, smooth, spread_of
from tradewind.models.anomaly.grid import Grid

Array = np.ndarray[Any, Any]
ROUNDS = 3
BLOCK = 400  # series learned at once, so that the columns of a wide panel fit into memory
FINE = 1e5  # real figures are counted in hundred thousandths of their mean: then counting noise plays no part


@dataclass(frozen=True)
class Driven:
    """What is needed to expect the next period: per series (first axis) and for all."""

    design: Design
    count: int  # column number of the next period
    beta: Array
    spread: Array
    up: Array  # level = log(up / down)
    down: Array
    stock: Array  # what promotions brought that is still to be used up
    regular: Array  # log regular price
    usual: Usual
    unit: Array
    group: Array
    siblings: Mapping[str, Array]  # as last seen
    last: Mapping[str, Array]  # inputs as last seen: prices and numbers stay, levers do not
    between: float  # how much all series move together, as a variance

    family = "counts"

    def take(self, rows: Array) -> Driven:
        """Return the engine of some series."""
        usual = Usual(self.usual.price[rows], self.usual.rival[rows], {n: (a[rows], b[rows]) for n, (a, b) in self.usual.numbers.items()})
        per = {name: getattr(self, name)[rows] for name in ("beta", "spread", "up", "down", "stock", "regular", "unit", "group")}
        siblings = {name: value[rows] for name, value in self.siblings.items()}
        return replace(self, usual=usual, siblings=siblings, last={name: value[rows] for name, value in self.last.items()}, **per)

    def put(self, rows: Array, part: Driven) -> Driven:
        """Return the engine with some series moved on."""

        def merged(whole: Array, new: Array) -> Array:
            out = whole.copy()
            out[rows] = new
            return out

        siblings = {name: merged(value, part.siblings[name]) for name, value in self.siblings.items()}
        last = {name: merged(value, part.last[name]) for name, value in self.last.items()}
        return replace(
            self,
            count=part.count,
            siblings=siblings,
            last=last,
            up=merged(self.up, part.up),
            down=merged(self.down, part.down),
            stock=merged(self.stock, part.stock),
            regular=merged(self.regular, part.regular),
        )

    def ahead(self, day: Day) -> tuple[Said, Any]:
        """Say what is expected of one period, before its figure is looked at; the second part is for `after`."""
        inputs = {name: self._input(name, day)[:, None] for name in self.last}
        price = np.log(np.maximum(inputs[made.PRICE][:, 0], 1e-9)) if made.PRICE in inputs else self.regular
        running = inputs[made.PROMOTION][:, 0] if made.PROMOTION in inputs else np.zeros(len(self.beta))
        regular = np.where((running <= made.ON) & (made.PRICE in inputs), price, self.regular)
        own = made.own_columns(self.usual, inputs, regular[:, None])
        siblings = self._siblings(own, day)
        calendar = made.calendar_columns(self.design, day.moment[None], self.count + day.skipped)
        after = np.where(running > 0.5, 0.0, self.stock / 10)[:, None]
        x = made.matrix(self.design, calendar, own | siblings | {"after": after}, (len(self.beta), 1))
        effect = (x[:, 0] * self.beta).sum(1)
        at = self.design.levers
        linear = (x[:, 0, at] * self.beta[:, at]).sum(1)
        lift = made.partly(linear, running)
        effect, lift = effect + lift - linear, lift * (running > made.ON)
        mean = np.exp(np.clip(np.log(self.up / self.down) + effect, -12, 16))
        mean = mean * np.exp(self._shared(day, mean))
        seen = {name: value[:, 0] for name, value in siblings.items()}
        rest = effect, lift, running, regular, {name: value[:, 0] for name, value in inputs.items()}, seen
        return Said(mean, self.spread, lift, self.unit), rest

    def _input(self, name: str, day: Day) -> Array:
        """Return an input of the day: what is said; else prices and numbers stay as they were, and nothing is promoted."""
        stays = name in (made.PRICE, made.RIVAL) or name in self.usual.numbers
        usual = self.last[name] if stays else np.zeros_like(self.last[name])
        if name == made.PRICE:
            usual = np.exp(self.regular)
        if name not in day.inputs:
            return usual
        given = day.inputs[name]
        known = given > 0 if name in (made.PRICE, made.RIVAL) else np.isfinite(given)  # a price of nothing is none
        return np.where(known, given, usual)

    def _siblings(self, own: Mapping[str, Array], day: Day) -> dict[str, Array]:
        if not self.siblings:
            return {}
        if day.whole:
            return {name: value for name, value in made.sibling_columns(own, self.group).items() if name in self.siblings}
        return {name: value[:, None] for name, value in self.siblings.items()}

    def _shared(self, day: Day, mean: Array) -> Array:
        """Return what moved all series on that day, each series' own figure left out."""
        known = np.isfinite(day.value)
        if not day.whole or known.sum() < 8:
            return np.zeros_like(mean)
        y = np.where(known, day.value / self.unit, 0.0)
        variance = 1 / np.maximum(mean, 0.3) + self.spread
        bound = 2 * np.sqrt(variance)
        ratio = np.where(known, np.clip((y - mean) / np.maximum(mean, 1e-3), -bound, bound), 0.0)
        weight = known / variance
        up, down = (weight * ratio).sum() - weight * ratio, weight.sum() - weight
        return np.asarray(np.log1p(np.clip(up / np.maximum(down + 1 / self.between, 1e-9), -0.33, 0.49)))

    def after(self, day: Day, said: Said, rest: Any, well: Array) -> Driven:
        """Return the engine after the period; `well` is how surely each figure was no incident."""
        effect, lift, running, regular, inputs, siblings = rest
        known = np.isfinite(day.value)
        y = np.where(known, np.maximum(day.value, 0.0) / self.unit, 0.0)
        keep = 0.5 ** (1 / self.design.pace.level)
        weight = known * np.maximum(well, FLOOR)
        shared = np.log(np.maximum(said.expected, 1e-9)) - np.clip(np.log(self.up / self.down) + effect, -12, 16)
        base = np.exp(np.clip(effect + shared, -12, 12))
        up = np.where(known, self.up * keep + weight * y, self.up)
        down = np.where(known, self.down * keep + weight * base, self.down)
        gain = np.expm1(np.clip(lift, 0.0, 2.5)) * (running > made.ON)
        stock = (self.stock + gain) * 0.9
        count = self.count + 1 + day.skipped
        return replace(
            self,
            up=np.maximum(up, 1e-6),
            down=np.maximum(down, 1e-6),
            stock=stock,
            regular=regular,
            last=inputs,
            siblings=siblings,
            count=count,
        )


def learn(grid: Grid, rows: Array, chain: hidden.Chain, group: Array) -> tuple[Driven, Past]:
    """Learn the coefficients of series that count something; return the engine as it stood at the first period, and the past."""
    part = _rows(grid, rows)
    design, usual = made.design_of(part), made.usual_of(part)
    whole = np.where(np.isfinite(part.value), part.value, 0.0)
    unit = np.where((whole == np.round(whole)).all(1), 1.0, np.maximum(np.abs(whole).mean(1), 1e-9) / FINE)
    inputs = {name: value for name, value in part.inputs.items() if part.kinds[name] != "expected"}
    regular = made.regular_prices(part, usual)
    own = made.own_columns(usual, inputs, regular)
    siblings = {name: value for name, value in made.sibling_columns(own, group).items() if name in design.names}
    columns = made.matrix(design, made.calendar_columns(design, part.moments, 0), own | siblings, part.value.shape)
    fitted = _Fit(design, part, chain, unit=unit, group=group, running=own.get(made.PROMOTION, np.zeros(part.value.shape)))
    beta, past, between = fitted.run(columns)
    first = {name: value[:, 0] for name, value in siblings.items()}
    blank = {name: np.full(len(part), np.nan) for name in inputs}
    for name in blank:
        stays = name in (made.PRICE, made.RIVAL) or name in usual.numbers
        blank[name] = _first_known(part.inputs[name]) if stays else np.zeros(len(part))
    up, down = fitted.begin(past)
    engine = Driven(
        design, 0, beta, past.spread[:, 0], up, down, np.zeros(len(part)), regular[:, 0], usual, unit, group, first, blank, between
    )
    return engine, past


def _rows(grid: Grid, rows: Array) -> Grid:
    keys = {name: value[rows] for name, value in grid.keys.items()}
    inputs = {name: value[rows] for name, value in grid.inputs.items()}
    labels = {name: value[rows] for name, value in grid.labels.items()}
    return replace(grid, keys=keys, value=grid.value[rows], inputs=inputs, labels=labels)


def _first_known(value: Array) -> Array:
    known = np.isfinite(value)
    found = value[np.arange(len(value)), known.argmax(1)].astype("f8")
    return np.where(known.any(1), found, 0.0)


class _Fit:
    """The rounds of learning: coefficients, level, shared movement, spread, and which days look like an incident."""

    def __init__(self, design: Design, grid: Grid, chain: hidden.Chain, *, unit: Array, group: Array, running: Array) -> None:
        self.design, self.grid, self.unit, self.group, self.running, self.chain = design, grid, unit, group, running, chain
        self.known = np.isfinite(grid.value)
        self.y = np.where(self.known, np.maximum(grid.value, 0.0), 0.0) / unit[:, None]
        expected = grid.inputs.get("expected")
        self.use = self.known & ~(np.nan_to_num(expected) > 0) if expected is not None else self.known

    def run(self, x: Array) -> tuple[Array, Past, float]:
        """Return coefficients, what was expected of the past, and how much all series move together."""
        shape, pace, at = self.y.shape, self.design.pace, self.design.levers
        weight = self.use.astype("f8")
        spread, shared = np.full(len(self.y), 0.05), np.zeros(shape)
        beta = np.zeros((len(self.y), len(self.design.names)))
        effect, lift, levers = np.zeros(shape), np.zeros(shape), x[..., at]
        x_own = x - smooth(x, weight, pace.slow).astype("f4")
        for round_ in range(ROUNDS):
            if round_:
                self._bent(x, x_own, levers=levers, beta=beta, lift=lift)
            beta, effect = self._coefficients(x, x_own, effect + shared, shared=shared, weight=weight, spread=spread)
            lift = made.partly(made.lift_of(levers, beta[:, at]), self.running)
            effect = effect - made.lift_of(x[..., at], beta[:, at]) + lift
            level = level_of(self.y, effect + shared, self.use * np.maximum(weight, FLOOR), half=pace.level, gap=pace.gap)
            plain = np.exp(np.clip(level + effect, -12, 16))
            shared = shared_of(self.y, plain, self.use, spread_of(self.y, plain, weight), self.group)
            mean = plain * np.exp(shared)
            spread = spread_of(self.y, mean, weight)
            chances = hidden.both(self.chain, self._evidence(mean, spread, lift * (self.running > made.ON)))
            weight = self.use * (1 - chances[..., 1:].sum(-1))
        between = max(float(np.var(shared[self.known])), 1e-6) if self.known.any() else 1e-6
        lift = lift * (self.running > made.ON)
        past = Past(mean * self.unit[:, None], np.repeat(spread[:, None], shape[1], 1), lift, self.unit, hidden.odds(chances), chances)
        self.effect, self.weight = effect, weight
        return beta, past, between

    def _bent(self, x: Array, x_own: Array, *, levers: Array, beta: Array, lift: Array) -> None:
        """Put into the columns what depends on the lifts learned so far: promotions of a part of a sum, and what they use up."""
        at, slow = self.design.levers, self.design.pace.slow
        straight = made.lift_of(levers, beta[:, at])
        some = np.abs(lift - straight) > 1e-9
        changed = [self.design.places("after")] if made.PROMOTION in self.grid.inputs else []
        if some.any():
            x[..., at] = levers * np.where(some, lift / np.where(some, straight, 1.0), 1.0)[..., None]
            changed.append(at)
        for one in changed:
            if one is not at:
                x[..., one] = made.after_column(lift, self.running)[..., None]
            x_own[..., one] = x[..., one] - smooth(x[..., one], self.use.astype("f8"), slow)

    def _coefficients(self, x: Array, x_own: Array, moved: Array, *, shared: Array, weight: Array, spread: Array) -> tuple[Array, Array]:
        """Return coefficients and effects after two Newton steps; `moved` is effect and shared movement so far."""
        use, pace = self.use.astype("f8"), self.design.pace
        for _ in range(2):
            level = level_of(self.y, moved, self.use * np.maximum(weight, FLOOR), half=pace.slow, gap=-1)
            mean = np.exp(np.clip(level + moved, -12, 16))
            variance = 1 / np.maximum(mean, 1e-2) + spread[:, None]
            wild = np.clip((self.y - mean) / np.maximum(mean, 1e-2), -1.0, 3 * np.sqrt(variance))
            q = np.where(self.use, wild + level + moved - shared, 0.0)
            beta = pooled(x_own, q - smooth(q, use, pace.slow), weight / variance, list(self.design.kinds), self.group)
            effect = np.einsum("stp,sp->st", x, beta.astype("f4"), optimize=True).astype("f8")
            moved = effect + shared
        return beta, effect

    def _evidence(self, mean: Array, spread: Array, lift: Array) -> Array:
        value = np.where(self.use, self.y, np.nan)
        return hidden.evidence(self.chain, value, mean, spread[:, None], lift)

    def begin(self, past: Past) -> tuple[Array, Array]:
        """Return level sums as they would have stood before the first period: the mean of the first weeks."""
        early = np.cumsum(self.use, 1) <= 28
        weight = self.use * early * np.maximum(self.weight, FLOOR)
        base = np.exp(np.clip(self.effect, -12, 12))
        up, down = (weight * self.y).sum(1), (weight * base).sum(1)
        return np.maximum(up, 1e-3), np.maximum(down, 1e-3)
