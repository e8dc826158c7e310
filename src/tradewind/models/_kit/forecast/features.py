"""What a forecast may know at its origin, as one row of numbers per series and period ahead. Used to learn and to answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.models._kit.panel import Panel
from tradewind.models._kit.response import Response

Array = np.ndarray[Any, Any]
FAR = 28.0  # periods: anything further away counts as this far
SMALLEST = 1e-6  # the scale of a series that never sold
LEAN = 2.0  # periods of history that the level of like series counts for
GROUPS = ("price", "promotion", "events", "season", "recent", "series", "other")
"""What a feature is reported under when a forecast is explained."""
REPORTED = {"like": "price"}
"""Kinds of feature that are reported under another group."""
STEPS_OF_PRICE = np.linspace(-0.7, 0.35, 22)  # log price against the usual one: what sold at like prices is kept by these
BLUR = 0.06  # log price: how far apart prices are still alike
PULL = 1.0  # periods that "nothing different" counts for where few like prices were seen


@dataclass(frozen=True, slots=True)
class View:
    """A panel as the features see it: `effect` is the log effect of the own price, `steady` the target without it."""

    panel: Panel
    effect: Array  # (series, periods)
    lift: Array  # (series, periods): log effect of the other levers, a hint and no more
    steady: Array
    calendar: dict[str, Array]
    near: tuple[Array, Array]  # periods since the last and until the next event
    prior: Array  # (series,): the level that series like this one have; what a short history leans on

    @classmethod
    def of(cls, panel: Panel, response: Response, prior: Array, series: Array | None = None, *, start: int = 0) -> View:
        """Look at a panel; `series` says which of the response's series these are.

        `start` is the first origin that will be asked about: what only matters from there on is left out before it.
        """
        effect, lift = np.zeros((2, len(panel), panel.width), "f4")
        levers = {name: value if name == "price" else value[:, start:] for name, value in panel.ahead.items()}
        for name, part in response.effect(levers, series).items():
            if name == "price":
                effect += np.nan_to_num(part)
            else:
                lift[:, start:] += part
        effect = np.clip(effect, -6, 6)
        steady = panel.target * np.exp(-effect)
        near = _event_distance(panel, max(0, start - int(FAR)))
        return cls(panel, effect, np.clip(lift, -6, 6), steady, panel.clock.parts(panel.numbers()), near, prior)


@dataclass(frozen=True, slots=True)
class Rows:
    """Features (series, steps, features) beside what turns a score into units: units = exp(score + effect) * scale."""

    values: Array
    scale: Array  # (series,)
    effect: Array  # (series, steps)
    promoted: Array  # (series, steps): 1 where any lever but the price is pulled


def names(panel: Panel) -> list[str]:
    """Return the features of a panel, in order, each as `group:name`."""
    said = ["season:ahead", *(f"season:{name}" for name in panel.clock.parts(panel.numbers()[:1]))]
    said += [f"recent:{name}" for name in ("last_cycle", "last_4", "year_level", "growth", "zeros", "spread", "history")]
    said += ["series:scale"]
    if panel.grain.cycle == 1:
        said += ["recent:free_middle", "recent:free_last", "recent:highest"]
    said += [f"recent:lag_{lag}" for lag in (1, 2, 3, 4)] + [f"recent:phase_{lag}" for lag in (4, 8, 26)]
    said += ["season:year_ago", "season:year_near", "season:year_shape"]
    if _levers(panel):
        said += [f"promotion:{name}" for name in ("state", "before", "after", "run", "recent", "share", "same_state", "same_phase")]
    if "price" in panel.ahead:
        said += ["price:to_usual", "price:to_last", *(["like:price"] if panel.grain.cycle == 1 else [])]
    if _levers(panel):
        said += ["promotion:lift"]
    if _events(panel):
        said += ["events:since", "events:until"]
    kinds = {"lever": "promotion", "event": "events", "number": "other", "price": "other"}
    said += [f"{kinds[kind]}:{name}" for name, kind in panel.kinds.items() if name != "price"]
    return said + [f"series:{name}" for name in panel.static] + [f"recent:past_{name}" for name in panel.past]


def monotone(features: list[str]) -> list[int]:
    """Return the direction each feature must keep: a higher own price never sells more, whatever it is compared with."""
    return [-1 if name.startswith("price:") else 1 if name in ("promotion:lift", "like:price") else 0 for name in features]


def reach_back(panel: Panel) -> int:
    """Return how many periods before the origin the features look at."""
    grain = panel.grain
    return grain.year + grain.level + max(grain.cycle, 2) * 2


@dataclass(frozen=True, slots=True)
class Past:
    """What the history alone says: the same whatever is planned, so an answer to another plan can use it again."""

    out: list[Array]
    scale: Array
    folded: Array
    shares: Array  # (series, periods): steady sales before the origin in units of the scale


def history_of(view: View, origin: int, steps: Array) -> Past:
    """Return the part of `rows` that no plan can change."""
    panel, grain = view.panel, view.panel.grain
    count, at = len(panel), origin + steps
    cycle, wide = grain.cycle, max(grain.cycle, 1) * 26
    past = _back(view.steady, origin, grain.year + grain.level + 1)
    level, scale, spread, known = _scale(past, grain.level, grain.year, view.prior)
    shares = past / scale[:, None]
    out: list[Array] = [steps + 1.0, *(view.calendar[name][at] for name in view.calendar)]
    year_level = _mean(shares[:, -grain.year :])
    ago = _mean(shares[:, : grain.level])
    recent = [_mean(shares[:, -max(cycle, 2) :]), _mean(shares[:, -4 * max(cycle, 1) :]), year_level, level / scale / np.maximum(ago, 0.05)]
    recent += [_mean(np.where(np.isnan(shares), np.nan, shares <= 0)[:, -grain.level :]), spread, np.log1p(known)]
    out += [value[:, None] for value in (*recent, np.log(scale))]
    if cycle == 1:
        out += [value[:, None] for value in _unpromoted(panel, shares, origin, wide)]
    folded = _back(shares, shares.shape[1], wide).reshape(count, 26, cycle)
    phase = steps % cycle
    out += [folded[:, -lag][:, phase] for lag in (1, 2, 3, 4)]
    out += [_mean(folded[:, -lag:].swapaxes(1, 2))[:, phase] for lag in (4, 8, 26)]
    out += _year(shares, steps, grain.year, max(cycle // 2, 1), ago)
    return Past(out, scale, folded, shares)


def rows(view: View, origin: int, steps: Array, history: Past | None = None) -> Rows:
    """Return the features of every series of the view for the periods `origin + steps`, knowing nothing from `origin` on.

    Only columns known ahead are read at or past the origin. `history` is what `history_of` said of the same series and steps.
    """
    panel, grain = view.panel, view.panel.grain
    count, ahead = len(panel), len(steps)
    at = origin + steps
    cycle, wide = grain.cycle, max(grain.cycle, 1) * 26
    seen = history or history_of(view, origin, steps)
    out, scale, folded = list(seen.out), seen.scale, seen.folded
    state = promoted(panel)
    if state is not None:
        out += _promotions(state, folded, origin, steps, grain.level)
    if "price" in panel.ahead:
        out += _prices(panel.ahead["price"], origin, at, wide)
        if cycle == 1:  # where periods are days the price effect says it all, and what sold at like prices would say it twice
            out += [_like_price(panel.ahead["price"], seen.shares, origin, at, wide)]
    effect = view.effect[:, at]
    if state is not None:
        out += [view.lift[:, at]]
    if _events(panel):
        out += [distance[:, at] for distance in view.near]
    out += [_level_column(panel, name, origin, at, wide) for name in panel.kinds if name != "price"]
    out += [value[:, None] for value in panel.static.values()]
    out += [_recent_past(value, value.shape[1] - panel.cut + origin, grain.level, cycle)[:, None] for value in panel.past.values()]
    values = np.empty((count, ahead, len(out)), "f4")
    for number, value in enumerate(out):
        values[:, :, number] = value
    pulled = np.zeros((count, ahead), "f4") if state is None else np.broadcast_to((state[:, at] > 0).astype("f4"), (count, ahead))
    return Rows(values, scale, effect, pulled)


def _unpromoted(panel: Panel, shares: Array, origin: int, wide: int) -> list[Array]:
    """Return the middle and the last of sales without a promotion, and the highest of all: where weeks or months hardly repeat."""
    near = shares[:, -wide:]
    state = promoted(panel)
    free = near if state is None else np.where(_back(state, origin, near.shape[1]) > 0, np.nan, near)
    ordered = np.sort(free, 1)  # missing ones come last
    count = np.isfinite(free).sum(1)
    middle = ordered[np.arange(len(free)), np.maximum(count - 1, 0) // 2]
    place = np.maximum.accumulate(np.where(np.isfinite(free), np.arange(free.shape[1]), -1), 1)[:, -1]
    last = np.where(place >= 0, free[np.arange(len(free)), np.maximum(place, 0)], np.nan)
    return [middle, last, np.max(np.nan_to_num(near), 1)]


def _back(matrix: Array, origin: int, periods: int) -> Array:
    """Return the last periods before the origin, missing ones as NaN."""
    part = matrix[:, max(0, origin - periods) : origin]
    short = periods - part.shape[1]
    return np.concatenate([np.full((len(part), short), np.nan, part.dtype), part], 1) if short else part


def _mean(values: Array) -> Array:
    """Return the mean of the known values along the last axis, NaN where there are none."""
    known = values == values  # noqa: PLR0124 - the quickest test for NaN
    total = np.where(known, values, 0).sum(-1)
    count = known.sum(-1)
    found: Array = np.where(count > 0, total / np.maximum(count, 1), np.nan)
    return found


def _scale(past: Array, level: int, year: int, prior: Array) -> tuple[Array, Array, Array, Array]:
    """Return recent level, the scale of a series (its level, never far below its year's), spread and length of history.

    A level of few periods leans on `prior`; where there is none it is NaN and the level stands alone.
    """
    recent = _mean(past[:, -level:])
    count = np.isfinite(past[:, -level:]).sum(1)
    leaned = (np.nan_to_num(recent) * count + prior * LEAN) / (count + LEAN)
    recent = np.where(np.isfinite(prior) & (count < level // 2), leaned, recent)
    longer = _mean(past[:, -year:])
    whole = np.where(np.isnan(longer), _mean(past), longer)
    recent = np.where(np.isnan(recent), np.where(np.isnan(whole), prior, whole), recent)
    whole = np.where(np.isnan(whole), recent, whole)
    scale = np.maximum(np.maximum(recent, 0.2 * whole), SMALLEST)
    scale = np.where(np.isnan(scale), SMALLEST, scale)
    spread = _mean(np.abs(past[:, -level:] / scale[:, None] - 1))
    known = np.isfinite(past[:, -year:]).sum(1)
    return recent, scale, np.where(np.isnan(spread), 9.0, spread), known


def _year(shares: Array, steps: Array, year: int, near: int, ago: Array) -> list[Array]:
    """Return sales a year before, the mean around it, and that mean against the level of that time."""
    width = shares.shape[1]
    back = steps % year - year  # the same period of the last year there is
    exact = shares[:, width + back]
    around = np.stack([shares[:, np.minimum(width + back + shift, width - 1)] for shift in range(-near, near + 1)], -1)
    mean = _mean(around)
    return [exact, mean, mean / np.maximum(ago, 0.05)[:, None]]


def _levers(panel: Panel) -> list[str]:
    return [name for name, kind in panel.kinds.items() if kind == "lever"]


def _events(panel: Panel) -> list[str]:
    return [name for name, kind in panel.kinds.items() if kind == "event"]


def promoted(panel: Panel) -> Array | None:
    """Return 1 where any lever but the price is pulled, (series or 1, periods)."""
    pulled = [panel.ahead[name] > 0 for name in _levers(panel)]
    if not pulled:
        return None
    whole = pulled[0]
    for one in pulled[1:]:
        whole = whole | one
    return whole.astype("f4")


def _promotions(state: Array, folded: Array, origin: int, steps: Array, level: int) -> list[Array]:
    count, weeks, cycle = folded.shape
    looked = max(weeks * cycle, level, int(FAR)) + 1
    state, origin = state[:, max(0, origin - looked) :], min(origin, looked)
    width = state.shape[1]
    at = origin + steps
    now = state[:, at]
    position = np.arange(width)
    started = np.maximum.accumulate(np.where(state > 0, -1, position), 1)  # the last period without a promotion
    run = np.minimum((position - started)[:, at], FAR)
    total = np.concatenate([np.zeros((len(state), 1), "f4"), np.cumsum(state, 1)], 1)
    month = 4 * max(cycle, 1)
    recent = (total[:, at] - total[:, np.maximum(at - month, 0)]) / month
    share = (total[:, origin] - total[:, max(origin - level, 0)]) / level
    before = np.broadcast_to(_back(state, origin, weeks * cycle).reshape(len(state), weeks, cycle), folded.shape)
    means, phased = [], []
    for wanted in (0, 1):
        same = np.where(before == wanted, folded, np.nan)
        means.append(_mean(same.reshape(count, -1)))
        phased.append(_mean(same.swapaxes(1, 2)))
    pulled = np.broadcast_to(now > 0, (count, len(steps)))
    same_state = np.where(pulled, means[1][:, None], means[0][:, None])
    phase = steps % cycle
    same_phase = np.where(pulled, phased[1][:, phase], phased[0][:, phase])
    return [now, state[:, at - 1], state[:, np.minimum(at + 1, width - 1)], run, recent, share[:, None], same_state, same_phase]


def _prices(price: Array, origin: int, at: Array, wide: int) -> list[Array]:
    with np.errstate(invalid="ignore", divide="ignore"):
        logged = np.log(price[:, max(0, origin - wide) :])
    start = max(0, origin - wide)
    usual = _mean(logged[:, : origin - start])[:, None]
    now = logged[:, at - start]
    return [now - usual, now - logged[:, at - start - 1]]


def _like_price(price: Array, shares: Array, origin: int, at: Array, wide: int) -> Array:
    """Return the log of what sold at prices like the planned one against the usual, never less at a lower price.

    Past periods are sorted into steps of log price against the usual one, blurred, and drawn towards no difference where they are few;
    a running maximum from high prices to low ones keeps the direction.
    """
    start = max(0, origin - shares.shape[1])
    with np.errstate(invalid="ignore", divide="ignore"):
        logged = np.log(price[:, start:])
    past = logged[:, : origin - start]
    usual = _mean(past[:, -wide:])[:, None]
    sold = shares[:, shares.shape[1] - past.shape[1] :]
    count = len(sold)
    apart = np.broadcast_to(past - usual, sold.shape)
    known = np.isfinite(apart) & np.isfinite(sold)
    step = np.clip(np.round((apart - STEPS_OF_PRICE[0]) / (STEPS_OF_PRICE[1] - STEPS_OF_PRICE[0])), 0, len(STEPS_OF_PRICE) - 1)
    cell = (np.arange(count)[:, None] * len(STEPS_OF_PRICE) + np.nan_to_num(step)).astype("i8")[known]
    size = count * len(STEPS_OF_PRICE)
    often = np.bincount(cell, minlength=size).reshape(count, -1)
    summed = np.bincount(cell, sold[known], minlength=size).reshape(count, -1)
    blur = np.exp(-(((STEPS_OF_PRICE[:, None] - STEPS_OF_PRICE) / BLUR) ** 2) / 2)
    whole = summed.sum(1, keepdims=True) / np.maximum(often.sum(1, keepdims=True), 1)
    ratio = np.log(np.maximum((summed @ blur + PULL * whole) / np.maximum((often @ blur + PULL) * whole, 1e-9), 1e-2))
    curve = np.maximum.accumulate(ratio[:, ::-1], 1)[:, ::-1]
    planned = np.broadcast_to(logged[:, at - start] - usual, (count, len(at)))
    place = (np.nan_to_num(planned) - STEPS_OF_PRICE[0]) / (STEPS_OF_PRICE[1] - STEPS_OF_PRICE[0])
    low = np.clip(np.floor(place), 0, len(STEPS_OF_PRICE) - 2).astype("i8")
    share = np.clip(place - low, 0, 1)
    row = np.arange(count)[:, None]
    found: Array = np.where(np.isfinite(planned), curve[row, low] * (1 - share) + curve[row, low + 1] * share, np.nan)
    return found


def _level_column(panel: Panel, name: str, origin: int, at: Array, wide: int) -> Array:
    """Return a column known ahead at the asked periods; another price or a cost against what it usually was."""
    value = panel.ahead[name]
    return _prices(value, origin, at, wide)[0] if panel.kinds[name] == "price" else value[:, at]


def _recent_past(value: Array, end: int, level: int, cycle: int) -> Array:
    """Return how a column known only afterwards stood last before its column number `end`, against its level."""
    window = _back(value, max(end, 0), level)
    usual = _mean(np.abs(window))
    found: Array = _mean(window[:, -max(cycle, 2) :]) / np.where(usual > 0, usual, np.nan)
    return found


def _event_distance(panel: Panel, start: int) -> tuple[Array, Array]:
    """Return periods since the last and until the next event, (series or 1, periods), at most FAR; nothing before `start`."""
    flags = [panel.ahead[name][:, start:] > 0 for name in _events(panel)]
    if not flags:
        return np.zeros((1, 1), "f4"), np.zeros((1, 1), "f4")
    whole = flags[0]
    for one in flags[1:]:
        whole = whole | one
    position = np.arange(whole.shape[1])
    last = np.maximum.accumulate(np.where(whole, position, -(10**6)), 1)
    following = np.minimum.accumulate(np.where(whole, position, 10**6)[:, ::-1], 1)[:, ::-1]
    before = np.full((len(whole), start), FAR, "f4")
    since, until = np.minimum(position - last, FAR), np.minimum(following - position, FAR)
    return np.concatenate([before, since], 1, dtype="f4"), np.concatenate([before, until], 1, dtype="f4")
