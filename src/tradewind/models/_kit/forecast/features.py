"""What a forecast may know at its origin, as one row of numbers per series and period ahead. Used to learn and to answer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tradewind.models._kit.forecast import features_events, features_price, features_recent
from tradewind.models._kit.forecast.features_events import FAR, events
from tradewind.models._kit.forecast.features_price import mean
from tradewind.models._kit.forecast.occasions import Occasions
from tradewind.models._kit.panel import CLOSED, LASTING, RIVALS, RIVALS_PRICE, Lazy, Panel
from tradewind.models._kit.response import Response, added

Array = np.ndarray[Any, Any]
SMALLEST = 1e-6  # the scale of a series that never sold
PRICES = ("price", RIVALS_PRICE)  # kinds that are compared with what they usually were
LEAN = 2.0  # periods of history that the level of like series counts for
GROUPS = ("price", "promotion", "rivals", "events", "season", "recent", "series", "other")
"""What a feature is reported under when a forecast is explained."""
PROMOTION = ("state", "before", "after", "run", "recent", "share", "same_state", "same_phase")
BESIDE = 3  # periods to both sides of one whose promotions are counted, where periods are days
REPORTED = {"like": "price"}
"""Kinds of feature that are reported under another group."""
Touched = frozenset[str] | None  # columns known ahead that are looked at anew, or all of them


@dataclass(frozen=True, slots=True)
class View:
    """A panel as the features see it: `effect` is the log effect of the own price, `steady` the target without it and the season."""

    panel: Panel
    effect: Array  # (series, periods)
    lift: Array  # (series, periods): log effect of the other levers, a hint and no more
    steady: Array
    calendar: dict[str, Array]
    near: tuple[Array, ...]  # periods since the last and until the next event; on days what the events around do to log sales
    season: Array  # (series or 1, periods): log effect of the time of the year, as far as sums of series tell it
    prior: Array  # (series,): the level that series like this one have; what a short history leans on

    @classmethod
    def of(
        cls, panel: Panel, response: Response, prior: Array, occasions: Occasions, series: Array | None = None, *, start: int = 0
    ) -> View:
        """Look at a panel; `series` says which of the response's series these are.

        `start` is the first origin that will be asked about: what only matters from there on is left out before it.
        """
        parts = response.effect({name: panel.ahead[name] for name in response.names if name == "price"}, series)
        effect = added(panel.target.shape, parts.values())
        lift = np.zeros(panel.target.shape, "f4")
        levers = {name: panel.ahead[name][:, start:] for name in response.names if name != "price"}
        lift[:, start:] = added((len(panel), panel.width - start), response.effect(levers, series).values())
        season = occasions.seasons.lift(panel)
        steady = panel.target * np.exp(-effect - season)
        near = features_events.near(panel, occasions, max(0, start - int(FAR)))
        return cls(panel, effect, lift, steady, panel.clock.parts(panel.numbers()), near, season, prior)


@dataclass(frozen=True, slots=True)
class Rows:
    """Features (series, steps, features) beside what turns a score into units: units = exp(score + effect + season) * scale."""

    values: Array
    scale: Array  # (series,)
    effect: Array  # (series, steps)
    season: Array  # (series, steps)
    promoted: Array  # (series, steps): 1 where any lever but the price is pulled

    def units(self) -> Array:
        """Return what a score of zero stands for, (series, steps)."""
        found: Array = np.exp(self.effect + self.season) * self.scale[:, None]
        return found


def names(panel: Panel) -> list[str]:
    """Return the features of a panel, in order, each as `group:name`."""
    said = ["season:ahead", *(f"season:{name}" for name in panel.clock.parts(panel.numbers()[:1]))]
    said += [f"recent:{name}" for name in ("last_cycle", "last_4", "year_level", "growth", "zeros", "spread", "history")]
    said += ["series:scale"]
    said += [f"recent:{name}" for name in features_recent.names(panel.grain)]
    said += [f"recent:lag_{lag}" for lag in (1, 2, 3, 4)] + [f"recent:phase_{lag}" for lag in (4, 8, 26)]
    said += ["season:year_ago", "season:year_near", "season:year_shape"]
    if _levers(panel):
        said += [f"promotion:{name}" for name in (*PROMOTION, *(["beside"] if panel.grain.cycle > 1 else []))]
    if "price" in panel.ahead:
        said += ["price:to_usual", "price:to_last", *(["like:price"] if panel.grain.cycle == 1 else [])]
    if _levers(panel):
        said += ["promotion:lift"]
    if events(panel):
        said += ["events:since", "events:until", *(["events:lift"] if panel.grain.cycle > 1 else [])]
    for name, kind in panel.kinds.items():
        said += _column_names(name, kind, apart=panel.grain.cycle == 1) if name != "price" else []
    return said + [f"series:{name}" for name in panel.static] + [f"recent:past_{name}" for name in panel.past]


def _column_names(name: str, kind: str, *, apart: bool) -> list[str]:
    """Return the features of one column known ahead; `apart` says whether the own price is held against that of rivals."""
    if kind == RIVALS:
        return [f"rivals:{name}", f"rivals:{name}_to_usual"]
    if kind == RIVALS_PRICE and apart:
        return [f"rivals:{name}", f"price:to_{name}"]
    if kind == CLOSED and not apart:
        return ["events:closed_before", "events:closed_after"]
    group = {"lever": "promotion", CLOSED: "events", "event": "events", LASTING: "events", RIVALS_PRICE: "rivals"}.get(kind, "other")
    return [f"{group}:{name}"]


def monotone(features: list[str]) -> list[int]:
    """Return the direction each feature must keep: a higher own price never sells more, whatever it is compared with."""
    return [-1 if name.startswith("price:") else 1 if name in ("promotion:lift", "like:price") else 0 for name in features]


def asking_price(features: list[str]) -> Array:
    """Return the numbers of the features that change where nothing but the own price is planned."""
    return np.flatnonzero([name.startswith(("price:", "like:")) for name in features])


def reach_back(panel: Panel) -> int:
    """Return how many periods before the origin the features look at."""
    grain = panel.grain
    return grain.year + grain.level + max(grain.cycle, 2) * 2


@dataclass(frozen=True, slots=True)
class Past:
    """What the history alone says: the same whatever is planned, so an answer to another plan can use it again."""

    out: list[Array]
    scale: Array  # (series,)
    usual: Mapping[str, Array]  # of each price: the mean log before the origin, (series, 1)
    stood: tuple[Array, ...]  # sales without and with a promotion: two means (series,), two by phase (series, cycle), share (series, 1)
    curve: Array | None  # (series, STEPS_OF_PRICE): what sold at like prices

    def of(self, series: Array, *, pulled: bool) -> Past:
        """Return it of some series, without the features that are the past's own; `stood` only where a lever is `pulled`."""
        usual = Lazy(self.usual, lambda _, value: value[series] if len(value) > 1 else value)
        stood = tuple(value[series] if len(value) > 1 else value for value in self.stood) if pulled else ()
        return Past([], self.scale[series], usual, stood, None if self.curve is None else self.curve[series])


def history_of(view: View, origin: int, steps: Array) -> Past:
    """Return the part of `rows` that no plan can change."""
    panel, grain = view.panel, view.panel.grain
    count, at = len(panel), origin + steps
    cycle, wide = grain.cycle, max(grain.cycle, 1) * 26
    past = _back(view.steady, origin, grain.year + grain.level + 1)
    level, scale, spread, known = _scale(past, grain.level, grain.year, view.prior)
    shares = past / scale[:, None]
    out: list[Array] = [steps + 1.0, *(view.calendar[name][at] for name in view.calendar)]
    year_level = mean(shares[:, -grain.year :])
    ago = mean(shares[:, : grain.level])
    recent = [mean(shares[:, -max(cycle, 2) :]), mean(shares[:, -4 * max(cycle, 1) :]), year_level, level / scale / np.maximum(ago, 0.05)]
    recent += [mean(np.where(np.isnan(shares), np.nan, shares <= 0)[:, -grain.level :]), spread, np.log1p(known)]
    out += [value[:, None] for value in (*recent, np.log(scale))]
    if cycle == 1:
        near, state = shares[:, -wide:], promoted(panel)
        lately = features_recent.apart(near, None if state is None else _back(state, origin, near.shape[1]))
    else:
        lately = features_recent.lately(shares, grain)
    out += [value[:, None] for value in lately]
    folded = _back(shares, shares.shape[1], wide).reshape(count, 26, cycle)
    phase = steps % cycle
    out += [folded[:, -lag][:, phase] for lag in (1, 2, 3, 4)]
    out += [mean(folded[:, -lag:].swapaxes(1, 2))[:, phase] for lag in (4, 8, 26)]
    out += _year(shares, steps, grain.year, max(cycle // 2, 1), ago)
    usual = {name: features_price.usual(panel.ahead[name], origin, wide) for name, kind in panel.kinds.items() if kind in PRICES}
    usual |= {name: features_price.usual_share(panel.ahead[name], origin, cycle) for name, kind in panel.kinds.items() if kind == RIVALS}
    stood = _stood(panel, folded, origin) if _levers(panel) else ()
    curve = features_price.curve_of(panel.ahead["price"], shares, origin, wide) if cycle == 1 and "price" in panel.ahead else None
    return Past(out, scale, usual, stood, curve)


def rows(view: View, origin: int, steps: Array, history: Past | None = None) -> Rows:
    """Return the features of every series of the view for the periods `origin + steps`, knowing nothing from `origin` on.

    Only columns known ahead are read at or past the origin. `history` is what `history_of` said of the same series and steps.
    """
    panel = view.panel
    at = origin + steps
    seen = history or history_of(view, origin, steps)
    out = list(seen.out)
    ahead = _planned(panel, origin, steps, seen, lift=lambda: view.lift[:, at], near=lambda: [value[:, at] for value in view.near])
    for _, made in ahead:
        out += made
    values = np.empty((len(panel), len(steps), len(out)), "f4")
    for number, value in enumerate(out):
        values[:, :, number] = value
    season = np.broadcast_to(view.season[:, at], (len(panel), len(steps)))
    return Rows(values, seen.scale, view.effect[:, at], season, _pulled(panel, at))


def _planned(
    panel: Panel,
    origin: int,
    steps: Array,
    seen: Past,
    *,
    lift: Callable[[], Array],
    near: Callable[[], list[Array]],
    touched: Touched = None,
) -> Iterator[tuple[int, list[Array]]]:
    """Yield the features after the past's own in order, some at a time with the place of the first; `touched` leaves out what reads none.

    `lift` and `near` say what the levers do and how far events are at `origin + steps`.
    """
    grain, at, place = panel.grain, origin + steps, 0
    levers, named = _levers(panel), events(panel)
    pulled = levers and (touched is None or not touched.isdisjoint(levers))
    if pulled:
        yield place, _promotions(panel, seen.stood, origin, steps)
    place += len(PROMOTION) + (grain.cycle > 1) if levers else 0
    if "price" in panel.ahead:
        price, usual, priced = panel.ahead["price"], seen.usual["price"], touched is None or "price" in touched
        if priced:
            yield place, features_price.gaps(price, usual, at)
        place += 2
        if seen.curve is not None:  # where periods are days the price effect says it all, and what sold at like prices would say it twice
            if priced:
                yield place, [features_price.read_off(price, seen.curve, usual, at)]
            place += 1
    if pulled:
        yield place, [lift()]
    place += 1 if levers else 0
    if named and (touched is None or not touched.isdisjoint(named)):
        yield place, near()
    place += 2 + (grain.cycle > 1) if named else 0
    for name, kind in panel.kinds.items():
        if name != "price":
            apart = kind == RIVALS_PRICE and grain.cycle == 1
            if touched is None or name in touched or (apart and "price" in touched):
                yield place, _column_ahead(panel, name, seen, at)
            place += 2 if kind == RIVALS or apart or (kind == CLOSED and grain.cycle > 1) else 1
    if touched is None:
        yield place, [value[:, None] for value in panel.static.values()]
        pasts = [(value, value.shape[1] - panel.cut + origin) for value in panel.past.values()]
        yield place + len(panel.static), [_recent_past(value, end, grain.level, grain.cycle)[:, None] for value, end in pasts]


def _pulled(panel: Panel, at: Array) -> Array:
    """Return 1 where a lever but the price is pulled, (series, len(at))."""
    state = promoted(panel, at)
    shape = len(panel), len(at)
    return np.zeros(shape, "f4") if state is None else np.broadcast_to((state > 0).astype("f4"), shape)


@dataclass(frozen=True, slots=True)
class Kept:
    """The rows of every series under the plan that is known, and what another plan is worked out from."""

    rows: Rows
    past: Past
    own: int  # how many features, the first, are the past's own

    def cells(self, series: Array, steps: Array) -> tuple[Array, ...]:
        """Return the index of some series and steps in what is kept."""
        return (series,) if len(steps) == self.rows.effect.shape[1] else (series[:, None], steps)

    @classmethod
    def of(cls, parts: Sequence[tuple[Rows, Past]]) -> Kept:
        """Put together what was worked out of a few series at a time, each with `rows` of the same steps."""

        def joined(values: Iterable[Array]) -> Array:
            found = list(values)
            return np.concatenate(found) if len(found[0]) > 1 or len(found) == 1 else found[0]

        whole, pasts = (list(part) for part in zip(*parts, strict=True))
        rows = Rows(*(joined(getattr(one, name) for one in whole) for name in ("values", "scale", "effect", "season", "promoted")))
        first: Past = pasts[0]
        usual = {name: joined(one.usual[name] for one in pasts) for name in first.usual}
        stood = tuple(joined(one.stood[at] for one in pasts) for at in range(len(first.stood)))
        curve = None if first.curve is None else np.concatenate([one.curve for one in pasts])
        return cls(rows, Past([], rows.scale, usual, stood, curve), len(first.out))


def replanned(
    kept: Kept, panel: Panel, response: Response, occasions: Occasions, *, series: Array, steps: Array, planned: Collection[str]
) -> Rows:
    """Return the rows of some series where a question plans some columns: what these do not touch is as it was kept.

    `panel` holds these series with the question's plan; `steps` may be any of those that were kept. Equals `rows` of the panel.
    """
    cells = kept.cells(series, steps)
    values, effect, season, pulled = (getattr(kept.rows, name)[cells] for name in ("values", "effect", "season", "promoted"))
    at, touched = panel.cut + steps, frozenset(planned)
    levers = not touched.isdisjoint(_levers(panel))
    past = kept.past.of(series, pulled=levers)

    def own(levers: Collection[str]) -> Array:
        said = response.effect({name: panel.ahead[name][:, at] for name in levers}, series)
        return added((len(panel), len(at)), said.values())

    def lift() -> Array:
        return own([name for name in response.names if name != "price"])

    def near() -> list[Array]:
        return [value[:, at] for value in features_events.near(panel, occasions, max(0, panel.cut - int(FAR)))]

    for place, made in _planned(panel, panel.cut, steps, past, lift=lift, near=near, touched=touched):
        for number, value in enumerate(made, kept.own + place):
            values[:, :, number] = value
    if "price" in touched and "price" in response.names:
        effect = own(["price"])
    if levers:
        pulled = _pulled(panel, at)
    return Rows(values, past.scale, effect, season, pulled)


def _back(matrix: Array, origin: int, periods: int) -> Array:
    """Return the last periods before the origin, missing ones as NaN."""
    part = matrix[:, max(0, origin - periods) : origin]
    short = periods - part.shape[1]
    return np.concatenate([np.full((len(part), short), np.nan, part.dtype), part], 1) if short else part


def _scale(past: Array, level: int, year: int, prior: Array) -> tuple[Array, Array, Array, Array]:
    """Return recent level, the scale of a series (its level, never far below its year's), spread and length of history.

    A level of few periods leans on `prior`; where there is none it is NaN and the level stands alone.
    """
    recent = mean(past[:, -level:])
    count = np.isfinite(past[:, -level:]).sum(1)
    leaned = (np.nan_to_num(recent) * count + prior * LEAN) / (count + LEAN)
    recent = np.where(np.isfinite(prior) & (count < level // 2), leaned, recent)
    longer = mean(past[:, -year:])
    whole = np.where(np.isnan(longer), mean(past), longer)
    recent = np.where(np.isnan(recent), np.where(np.isnan(whole), prior, whole), recent)
    whole = np.where(np.isnan(whole), recent, whole)
    scale = np.maximum(np.maximum(recent, 0.2 * whole), SMALLEST)
    scale = np.where(np.isnan(scale), SMALLEST, scale)
    spread = mean(np.abs(past[:, -level:] / scale[:, None] - 1))
    known = np.isfinite(past[:, -year:]).sum(1)
    return recent, scale, np.where(np.isnan(spread), 9.0, spread), known


def _year(shares: Array, steps: Array, year: int, near: int, ago: Array) -> list[Array]:
    """Return sales a year before, the mean around it, and that mean against the level of that time."""
    width = shares.shape[1]
    back = steps % year - year  # the same period of the last year there is
    exact = shares[:, width + back]
    around = np.stack([shares[:, np.minimum(width + back + shift, width - 1)] for shift in range(-near, near + 1)], -1)
    level = mean(around)
    return [exact, level, level / np.maximum(ago, 0.05)[:, None]]


def _levers(panel: Panel) -> list[str]:
    return [name for name, kind in panel.kinds.items() if kind == "lever"]


def promoted(panel: Panel, at: Array | slice = slice(None)) -> Array | None:
    """Return 1 where any lever but the price is pulled, (series or 1, periods); of the columns `at` alone where they are said."""
    pulled = [panel.ahead[name][:, at] > 0 for name in _levers(panel)]
    if not pulled:
        return None
    whole = pulled[0]
    for one in pulled[1:]:
        whole = whole | one
    return whole.astype("f4")


def _state_near(panel: Panel, origin: int) -> tuple[Array, int]:
    """Return where any lever is pulled from as far before the origin as features look, and the origin's column in that."""
    looked = max(26 * panel.grain.cycle, panel.grain.level, int(FAR)) + 1
    state = promoted(panel, slice(max(0, origin - looked), None))
    assert state is not None
    return state, min(origin, looked)


def _stood(panel: Panel, folded: Array, origin: int) -> tuple[Array, ...]:
    """Return mean sales before the origin without and with a promotion, the same by phase, and the share of promoted periods."""
    state, origin = _state_near(panel, origin)
    count, weeks, cycle = folded.shape
    before = np.broadcast_to(_back(state, origin, weeks * cycle).reshape(len(state), weeks, cycle), folded.shape)
    means, phased = [], []
    for wanted in (0, 1):
        same = np.where(before == wanted, folded, np.nan)
        means.append(mean(same.reshape(count, -1)))
        phased.append(mean(same.swapaxes(1, 2)))
    level = panel.grain.level
    total = _summed(state)
    share = (total[:, origin] - total[:, max(origin - level, 0)]) / level
    return (*means, *phased, share[:, None])


def _summed(state: Array) -> Array:
    return np.concatenate([np.zeros((len(state), 1), "f4"), np.cumsum(state, 1)], 1)


def _promotions(panel: Panel, stood: tuple[Array, ...], origin: int, steps: Array) -> list[Array]:
    state, origin = _state_near(panel, origin)
    cycle, width = panel.grain.cycle, state.shape[1]
    month, count = 4 * max(cycle, 1), len(panel)
    at = origin + steps
    now = state[:, at]
    position = np.arange(width)
    started = np.maximum.accumulate(np.where(state > 0, -1, position), 1)  # the last period without a promotion
    run = np.minimum((position - started)[:, at], FAR)
    total = _summed(state)
    recent = (total[:, at] - total[:, np.maximum(at - month, 0)]) / month
    without, with_, phased_without, phased_with, share = stood
    pulled = np.broadcast_to(now > 0, (count, len(steps)))
    same_state = np.where(pulled, with_[:, None], without[:, None])
    phase = steps % cycle
    same_phase = np.where(pulled, phased_with[:, phase], phased_without[:, phase])
    found = [now, state[:, at - 1], state[:, np.minimum(at + 1, width - 1)], run, recent, share, same_state, same_phase]
    if cycle > 1:
        low, high = np.maximum(at - BESIDE, 0), np.minimum(at + BESIDE + 1, width)
        found.append((total[:, high] - total[:, low] - now) / (high - low - 1))
    return found


def _column_ahead(panel: Panel, name: str, seen: Past, at: Array) -> list[Array]:
    """Return a column known ahead at the asked periods; another price or a cost, or what stands beside, against what it usually was."""
    kind = panel.kinds[name]
    if kind == RIVALS:
        return features_price.share_beside(panel.ahead, name, seen.usual, at)
    if kind == RIVALS_PRICE and panel.grain.cycle == 1:  # where periods are days the price effect says it all: twice would be too steep
        return features_price.price_beside(panel.ahead, name, seen.usual, at)
    value = panel.ahead[name]
    if kind == CLOSED and panel.grain.cycle > 1:  # a day's own says nothing: who is closed sells nothing, and that is not learned
        return [value[:, np.maximum(at - 1, 0)], value[:, np.minimum(at + 1, panel.width - 1)]]
    return [features_price.logged(value[:, at]) - seen.usual[name] if kind in PRICES else value[:, at]]


def _recent_past(value: Array, end: int, level: int, cycle: int) -> Array:
    """Return how a column known only afterwards stood last before its column number `end`, against its level."""
    window = _back(value, max(end, 0), level)
    usual = mean(np.abs(window))
    found: Array = mean(window[:, -max(cycle, 2) :]) / np.where(usual > 0, usual, np.nan)
    return found
