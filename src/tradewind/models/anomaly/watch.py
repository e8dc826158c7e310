"""What a version of the watch knows: every figure so far with its verdict, and what it takes to judge the next one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from tradewind.models._kit.resting import regular_after
from tradewind.models.anomaly import hidden, quality, series, together
from tradewind.models.anomaly.engine import Day, Engine, Past
from tradewind.models.anomaly.family import Batch, Family, batches_of, excused, family_of
from tradewind.models.anomaly.grid import DAY, Beat, Grid
from tradewind.models.anomaly.lines import Lines
from tradewind.models.anomaly.ranks import LEVELS, Ranks, thinned
from tradewind.models.anomaly.together import Together

Array = np.ndarray[Any, Any]
WARM = 28  # periods after which a score made on the way counts as usual
FEW = 200.0  # figures after which what a level of totals shows weighs as much as what all series show
RULED = 60.0  # odds of a figure that a data rule rejects outright


@dataclass(frozen=True)
class Cells:
    """Verdicts on figures, series x periods: what was expected and how sure, how odd the figure is, and what that makes of it."""

    moments: Array
    value: Array
    expected: Array
    spread: Array  # one standard deviation, in the user's unit
    odds: Array  # log of the budget over the share of usual figures that look as odd
    p: Array  # share of usual figures that look at least as odd
    q: Array  # share of false alarms among the period's alarms that are at least as strong
    kind: Array  # number in hidden.families()
    promoted: Array
    mark: Array  # quality.MARKS
    known: Array  # 1 where someone said that it was expected

    def take(self, rows: Array) -> Cells:
        """Return the verdicts on some series."""
        return replace(self, **{name: getattr(self, name)[rows] for name in MATRICES})

    def between(self, first: int, last: int) -> Cells:
        """Return the verdicts on the periods from `first` to before `last`."""
        return replace(self, moments=self.moments[first:last], **{name: getattr(self, name)[:, first:last] for name in MATRICES})

    def beside(self, more: Cells) -> Cells:
        """Return the verdicts with later periods added."""
        joined = {name: np.concatenate([getattr(self, name), getattr(more, name)], 1) for name in MATRICES}
        return replace(self, moments=np.concatenate([self.moments, more.moments]), **joined)


MATRICES = ("value", "expected", "spread", "odds", "p", "q", "kind", "promoted", "mark", "known")


@dataclass(frozen=True)
class Watch:
    """The state of a recipe. `engines` judge disjoint series; `chances` (S, K+1) is where each series stands after the last period."""

    beat: Beat
    keys: Mapping[str, Array]
    labels: Mapping[str, Array]
    cells: Cells
    engines: tuple[tuple[Array, Engine], ...]
    chances: Array
    ranks: Ranks
    milder: Array  # (S,) what is taken off the odds of a series before they are ranked
    budget: float
    rate: float
    notes: tuple[str, ...]
    together: Together | None = None  # its rows come after those of the figures
    lines: Lines | None = None  # single orders, where there are any
    holidays: Array = field(default_factory=lambda: np.zeros(0, "M8[D]"))  # days with an event, planned ones too

    @property
    def figures(self) -> int:
        """Return how many series are figures; the rest are all figures of a place together."""
        return len(self.chances) - (0 if self.together is None else len(self.together.rows))

    @cached_property
    def index(self) -> dict[tuple[str, ...], int]:
        """Return the place of each series by its key."""
        return {key: at for at, key in enumerate(zip(*(column.tolist() for column in self.keys.values()), strict=True))}

    @cached_property
    def family(self) -> Family:
        """Return who is above and below whom."""
        return family_of(self.keys)

    @cached_property
    def batches(self) -> tuple[Batch, ...]:
        """Return which series are loaded together."""
        return batches_of(self.keys, self.family, self.figures)

    @cached_property
    def worth(self) -> Array:
        """Return what one unit of each series is worth."""
        found = self.labels.get("worth")
        size = len(self.chances)
        return np.ones(size) if found is None else np.where(np.isfinite(found.astype("f8")), found.astype("f8"), 1.0)

    def chain(self, family: str) -> hidden.Chain:
        """Return the states a family of figures can be in."""
        return hidden.chain(self.rate, counts=family == "counts")


def begin(
    grid: Grid,
    engines: list[tuple[Array, Engine, Past]],
    *,
    budget: float,
    rate: float,
    seed: int,
    causal: bool = False,
    fresh: Fresh | None = None,
) -> Watch:
    """Judge the whole past: as seen from before and after, and once more day by day, which is what new figures are ranked against.

    With `causal`, the verdicts of the past are those of the day itself too. `fresh` are verdicts on the end of the past by engines that had
    not learned from it: how much odder that looks is added to every rank, so that the budget holds for figures that are new. Where a
    place has several figures, they are judged together, too; only the forest of that is drawn, by `seed`.
    """
    shape, count = grid.value.shape, 1 + len(hidden.chain(rate, counts=True))
    start = np.zeros((shape[0], count))
    start[:, 0] = 1.0
    blank = _blank(grid.moments[:0], shape[0])
    nothing = Ranks(np.zeros(0), np.zeros(len(LEVELS)))
    parts = tuple((rows, engine) for rows, engine, _ in engines)
    level, none = _levels(grid.keys, parts), np.zeros(shape[0])
    watch = Watch(grid.beat, grid.keys, grid.labels, blank, parts, start, nothing, none, budget, rate, grid.notes, holidays=grid.holidays)
    moved, live = walk(watch, grid.moments, grid.value, grid.inputs)
    usual = np.isfinite(live.value) & (live.known == 0) & (np.arange(shape[1]) >= min(WARM, shape[1] // 3))[None]
    usual = usual if usual.any() else np.isfinite(live.value)
    logs = all(engine.family != "plain" for _, engine, _ in engines)
    ranks, milder = _ranks(live, usual, fresh, level, budget, logs=logs)
    cells = live if causal else _seen_whole(grid, live, engines)
    odds = cells.odds - _apart(cells.odds, usual, level, budget)[:, None]
    past = Ranks(thinned(odds[usual]), ranks.distances, logs)
    cells = _judged(watch, grid, replace(cells, odds=past.odds(odds, budget, own=usual)), past.p(odds, own=usual))
    return _with_vectors(replace(moved, cells=cells, ranks=ranks, milder=milder), live, usual, seed)


def _with_vectors(watch: Watch, live: Cells, usual: Array, seed: int) -> Watch:
    """Return the watch with a row for all figures of each place together, judged by their misses as of their own day."""
    names, members, others = together.places(watch.keys)
    if not len(members):
        return watch
    z = np.where(usual, (live.value - live.expected) / live.spread, np.nan)
    z = np.where((members >= 0)[..., None], z[np.maximum(members, 0)], np.nan).transpose(0, 2, 1)
    found = together.learn(z, names, members, first=len(watch.chances), seed=seed)
    if found is None:
        return replace(watch, notes=(*watch.notes, "the past is too short to tell how the figures of a place go together"))
    rest = [name for name in watch.keys if name != "metric"]
    keys = {"metric": [together.ALL] * len(others)} | {name: [key[at] for key in others] for at, name in enumerate(rest)}
    added = {name: np.concatenate([watch.keys[name], np.array(keys[name], object)]) for name in watch.keys}
    blank = {name: np.array([1.0 if name == "worth" else ""] * len(others), value.dtype) for name, value in watch.labels.items()}
    well = np.zeros((len(others), watch.chances.shape[1]))
    well[:, 0] = 1.0
    wider = replace(
        watch,
        keys=added,
        labels={name: np.concatenate([value, blank[name]]) for name, value in watch.labels.items()},
        chances=np.concatenate([watch.chances, well]),
        milder=np.concatenate([watch.milder, np.zeros(len(others))]),
        together=found,
    )
    empty = np.zeros((len(others), len(watch.cells.moments)))
    past = replace(watch.cells, **{name: np.concatenate([getattr(watch.cells, name), empty]) for name in MATRICES})
    return replace(wider, cells=joined(wider, past, live))


def joined(watch: Watch, cells: Cells, live: Cells | None = None) -> Cells:
    """Return the verdicts with those on all figures together, by the figures' misses as of their day (`live` where `cells` are not)."""
    vectors = watch.together
    if vectors is None:
        return cells
    seen = live or cells
    z = vectors.misses(np.where(seen.known > 0, np.nan, seen.value), seen.expected, seen.spread)
    error, score = vectors.judge(z)
    there = np.isfinite(error)
    said = {
        "value": error,
        "expected": np.full(error.shape, vectors.usual[0]),
        "spread": np.full(error.shape, vectors.usual[1]),
        "odds": np.where(there, vectors.ranks.odds(score, watch.budget), -RULED),
        "p": np.where(there, vectors.ranks.p(score), 1.0),
        "kind": np.full(error.shape, len(hidden.families())),
    }
    changed = {name: getattr(cells, name).copy() for name in said}
    for name, value in said.items():
        changed[name][vectors.rows] = value
    return replace(cells, **changed, q=false_alarms(changed["p"], np.isfinite(changed["value"])))


@dataclass(frozen=True, slots=True)
class Fresh:
    """Verdicts on periods that the engines had not learned from, from column `first` on."""

    cells: Cells
    first: int


def held_out(grid: Grid, engines: list[tuple[Array, Engine, Past]], first: int, *, rate: float) -> Fresh:
    """Judge the periods from `first` on by engines that learned from those before only."""
    start = np.zeros((len(grid), 1 + len(hidden.chain(rate, counts=True))))
    start[:, 0] = 1.0
    nothing = Ranks(np.zeros(0), np.zeros(len(LEVELS)))
    parts = tuple((rows, engine) for rows, engine, _ in engines)
    watch = Watch(
        grid.beat, grid.keys, grid.labels, _blank(grid.moments[:0], len(grid)), parts, start, nothing, np.zeros(len(grid)), 1.0, rate, ()
    )
    _, cells = walk(watch, grid.moments, grid.value, grid.inputs)
    return Fresh(cells.between(first, len(grid.moments)), first)


def _levels(keys: Mapping[str, Array], engines: tuple[tuple[Array, Engine], ...]) -> Array:
    """Return the number of each series' level: which keys it names, and what it is judged as."""
    said = [np.array([bool(key) for key in column.tolist()], "i8") for column in keys.values()]
    family = np.zeros(sum(len(rows) for rows, _ in engines), "i8")
    names = sorted({engine.family for _, engine in engines})
    for rows, engine in engines:
        family[rows] = names.index(engine.family)
    return np.unique(np.stack([family, *said], 1), axis=0, return_inverse=True)[1].ravel()


def _apart(odds: Array, usual: Array, level: Array, budget: float) -> Array:
    """Return how much higher the odds of each series' level reach than those of all, at the budget; few figures hardly tell."""
    out = np.zeros(len(odds))
    every = float(np.quantile(odds[usual], 1 - budget))
    for one in np.unique(level):
        own = odds[level == one][usual[level == one]]
        if len(own):
            out[level == one] = (float(np.quantile(own, 1 - budget)) - every) * len(own) / (len(own) + FEW)
    return out


def _ranks(live: Cells, usual: Array, fresh: Fresh | None, level: Array, budget: float, *, logs: bool) -> tuple[Ranks, Array]:
    """Return what new figures are ranked against, the past as of its own days, and what is taken off their odds before."""
    milder = _apart(live.odds, usual, level, budget)
    odds = live.odds - milder[:, None]
    distance = ((live.value - live.expected) / live.spread)[usual]
    if fresh is not None:
        told = usual[:, fresh.first :] & np.isfinite(fresh.cells.value)
        if told.sum() >= FEW:
            new, known = fresh.cells.odds - milder[:, None], odds[:, fresh.first :]
            high, low = (float(np.quantile(one[told], 1 - budget)) for one in (new, known))
            apart = _apart(new, told, level, budget) - _apart(known, told, level, budget)
            milder = milder + (high - low) + apart
            distance = ((fresh.cells.value - fresh.cells.expected) / fresh.cells.spread)[told]
    return Ranks(thinned(odds[usual]), np.quantile(distance, LEVELS), logs=logs), milder


def _blank(moments: Array, series: int) -> Cells:
    empty = np.zeros((series, len(moments)))
    return Cells(moments, *(empty for _ in MATRICES))


def _seen_whole(grid: Grid, live: Cells, engines: list[tuple[Array, Engine, Past]]) -> Cells:
    expected, spread, odds, kind = live.expected.copy(), live.spread.copy(), live.odds.copy(), live.kind.copy()
    for rows, engine, past in engines:
        expected[rows] = past.expected
        spread[rows] = _deviation(engine.family, past.expected / past.unit[:, None], past.spread) * past.unit[:, None]
        odds[rows] = past.odds
        if engine.family != "plain":
            kind[rows] = hidden.kind(hidden.chain(0.1, counts=engine.family == "counts"), past.chances)
    known = np.nan_to_num(grid.inputs["expected"]) if "expected" in grid.inputs else np.zeros(grid.value.shape)
    return replace(live, expected=expected, spread=spread, odds=np.where(known > 0, -RULED, odds), kind=kind)


def _deviation(family: str, mean: Array, spread: Array) -> Array:
    return np.sqrt(np.maximum(mean, 1e-3) + spread * mean**2) if family == "counts" else spread


def _judged(watch: Watch, grid: Grid, cells: Cells, p: Array) -> Cells:
    """Return the verdicts with p-values, and the data rules applied."""
    cells = replace(cells, p=np.where(_as_said(cells.value, cells.expected) | (cells.known > 0), 1.0, p))
    none = np.zeros((len(p), 0))
    return ruled(watch, cells, none, duplicated=grid.inputs.get("duplicated"), holiday=np.isin(grid.dates, grid.holidays))


def ruled(watch: Watch, cells: Cells, before: Array, *, duplicated: Array | None = None, holiday: Array | None = None) -> Cells:
    """Return the verdicts with the data rules applied, and the rate of false alarms of each period; `before` are earlier figures.

    No rule asks anything of all figures of a place together. A total whose gap is mostly that of expected parts is expected, too.
    """
    past, some = before[: watch.figures, max(0, before.shape[1] - quality.WEEKS) :], slice(0, watch.figures)
    if (cells.known > 0).any():
        quiet = excused(watch.family, cells.known, cells.value, cells.expected, cells.spread)
        said = {"known": 1.0, "p": 1.0, "odds": -RULED}
        cells = replace(cells, **{name: np.where(quiet, sure, getattr(cells, name)) for name, sure in said.items()})
    mark = np.zeros(cells.value.shape, "i1")
    double = None if duplicated is None else duplicated[some]
    judged = cells.value[some], cells.expected[some], cells.spread[some]
    mark[some] = quality.marks(*judged, double, before=past, holiday=holiday, batches=watch.batches)
    load = np.isin(mark, quality.LOADS)
    if load.any():  # a total that is odd by parts with a wrong load is odd by it, too
        above = excused(watch.family, load, cells.value, cells.expected, cells.spread) & (cells.p <= watch.budget) & (mark == 0)
        mark = np.where(above, np.where((mark == quality.DOUBLE).any(0), quality.DOUBLE, quality.MISSING), mark)
    broken = (mark > 0) & (cells.known == 0)
    p = np.where(broken, np.minimum(cells.p, 1e-6), cells.p)
    odds = np.where(broken, np.maximum(cells.odds, RULED), cells.odds)
    return replace(cells, p=p, q=false_alarms(p, np.isfinite(cells.value)), mark=mark, odds=odds)


def _as_said(value: Array, expected: Array) -> Array:
    """Tell where there is no figure, or just the one that was expected: that is never odd, however rare the like."""
    return np.asarray(~(np.abs(value - expected) > 1e-4 * np.abs(expected) + 1e-6))


def false_alarms(p: Array, known: Array) -> Array:
    """Return the step-up q-values of every period over its series (Benjamini and Hochberg 1995)."""
    out = np.ones(p.shape)
    filled = np.where(known, p, 2.0)
    order = np.argsort(filled, 0, kind="stable")
    ranked = np.take_along_axis(filled, order, 0) * known.sum(0) / np.arange(1, len(p) + 1)[:, None]
    least = np.minimum.accumulate(ranked[::-1], 0)[::-1]
    np.put_along_axis(out, order, np.minimum(least, 1.0), 0)
    return np.where(known, out, 1.0)


def walk(watch: Watch, moments: Array, value: Array, inputs: Mapping[str, Array], *, skipped: int = 0) -> tuple[Watch, Cells]:
    """Judge new periods one after the other, each by what was known the day before; return where that leaves the watch.

    The rates of false alarms are left to `ruled`, which may change p-values.
    """
    parts = list(watch.engines)
    cells = {name: np.zeros(value.shape) for name in MATRICES}
    cells["q"][:] = 1.0
    cells["value"] = value.astype("f8")
    cells["known"] = np.nan_to_num(inputs["expected"]) if "expected" in inputs else np.zeros(value.shape)
    cells["promoted"] = np.nan_to_num(inputs["promotion"]) if "promotion" in inputs else np.zeros(value.shape)
    chances = watch.chances.copy()
    chains = {engine.family: watch.chain(engine.family) for _, engine in watch.engines}
    for at, moment in enumerate(moments):
        gap = skipped if at == 0 else 0
        for place, (rows, engine) in enumerate(parts):
            figure = np.where(cells["known"][rows, at] > 0, np.nan, value[rows, at])
            day = Day(moment, figure, {name: said[rows, at] for name, said in inputs.items()}, len(rows) > 1, gap)
            verdict = _one_day(engine, day, chances[rows], chains[engine.family])
            parts[place] = rows, verdict.engine
            chances[rows] = verdict.chances
            for name in ("expected", "spread", "odds", "kind"):
                cells[name][rows, at] = getattr(verdict, name)
    p = np.ones(value.shape)
    if len(watch.ranks.scores):
        odds = cells["odds"] - watch.milder[:, None]
        p, cells["odds"] = watch.ranks.p(odds), watch.ranks.odds(odds, watch.budget)
    cells["p"] = np.where((cells["known"] == 0) & ~_as_said(value, cells["expected"]), p, 1.0)
    moved = replace(watch, engines=tuple(parts), chances=chances)
    return moved, Cells(moments, **cells)


@dataclass(frozen=True, slots=True)
class _Verdict:
    """One period of an engine: where it stands now, and what it says of the figures."""

    engine: Engine
    chances: Array
    expected: Array
    spread: Array
    odds: Array
    kind: Array


def _one_day(engine: Engine, day: Day, chances: Array, chain: hidden.Chain) -> _Verdict:
    said, rest = engine.ahead(day)
    expected = said.expected * said.unit
    spread = np.maximum(_deviation(engine.family, said.expected, said.spread) * said.unit, 1e-12)
    if engine.family == "plain":
        odds = np.where(np.isfinite(day.value), np.abs(day.value - said.expected) / said.spread, 0.0)
        after = engine.after(day, said, rest, np.ones(len(chances)))
        return _Verdict(after, chances, expected, spread, odds, np.where(day.value < said.expected, 1, 0))
    ratio = hidden.evidence(chain, day.value / said.unit, said.expected, said.spread, said.lift if engine.family == "counts" else None)
    now = hidden.step(chain, chances, ratio)
    after = engine.after(day, said, rest, now[:, 0])
    seen, odds = series.either(now, after.far.chances) if isinstance(after, series.Followed) else (now, hidden.odds(now))
    return _Verdict(after, now, expected, spread, odds, hidden.kind(chain, seen))


def part_of(watch: Watch, rows: Array) -> Watch:
    """Return the watch of some series, for questions about them alone."""
    place = np.full(len(watch.chances), -1)
    place[rows] = np.arange(len(rows))
    engines = []
    for own, engine in watch.engines:
        keep = np.flatnonzero(place[own] >= 0)
        if len(keep):
            engines.append((place[own[keep]], engine if len(keep) == len(own) else engine.take(keep)))
    keys = {name: value[rows] for name, value in watch.keys.items()}
    labels = {name: value[rows] for name, value in watch.labels.items()}
    return replace(
        watch,
        keys=keys,
        labels=labels,
        cells=_blank(watch.cells.moments[-1:], len(rows)),
        engines=tuple(engines),
        chances=watch.chances[rows],
        milder=watch.milder[rows],
        together=None if watch.together is None else watch.together.within(place),
    )


def moved_on(watch: Watch, grid: Grid) -> Watch:
    """Return the watch after the periods of a grid that it has not seen; series it does not know are left for the next training."""
    last = watch.cells.moments[-1]
    new = np.flatnonzero(grid.moments > last)
    if not len(new):
        return watch
    place = np.array([watch.index.get(key, -1) for key in grid.index], "i8")
    there = place >= 0
    shape = (len(watch.chances), len(new))
    value = np.full(shape, np.nan)
    value[place[there]] = grid.value[there][:, new]
    skipped = max(int(watch.beat.ahead(last, grid.moments[new[:1]])[0]) - 1 if watch.beat.regular else 0, 0)
    days = np.union1d(watch.holidays, grid.holidays)
    holiday = np.isin(grid.dates[new], days)
    before = np.concatenate([watch.cells.value, np.full((len(value), skipped), np.nan)], 1)  # weeks are counted on
    if watch.beat.step == DAY:
        value = np.where(regular_after(before, value, holiday), np.nan, value)
    inputs = {}
    for name, said in grid.inputs.items():
        inputs[name] = np.full(shape, np.nan)
        inputs[name][place[there]] = said[there][:, new]
    moved, cells = walk(watch, grid.moments[new], value, inputs, skipped=skipped)
    cells = joined(watch, ruled(watch, cells, before, duplicated=inputs.get("duplicated"), holiday=holiday))
    told = () if there.all() else (f"{int((~there).sum())} series are new and will be watched after the next training",)
    notes = tuple(dict.fromkeys((*watch.notes, *told)))
    return replace(moved, cells=watch.cells.beside(cells), notes=notes, holidays=days)
