"""The shape of the year told from sums: of all series, and of what series that share a text do otherwise. Years must bear it out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tradewind.core.errors import Incompatible
from tradewind.models._kit.panel import Panel

Array = np.ndarray[Any, Any]
WAVES = 3  # of the year: one, two and three a year
WIDTH = 0.2  # log size of the first wave that is usual; the k-th is a k-th of it
TREND = 0.15  # log growth a year that is usual
LEAST_PERIODS = 52  # of a year: months are too few to tell waves of a year or two from what only came once
YEARS = 1.5  # of history below which no year says what another does
ALIKE = 3  # series that share a text, on the mean, for it to be told apart
MOST_TEXTS = 100  # of one kind that are told apart
AHEAD = 4  # cycles ahead that a shape must tell
BORNE_OUT = 0.25  # share of what changes in years not learned from that a shape must tell to be believed
ROUNDS = 3  # of taking the shape out of the level that it is held against
STEPS = 10  # of learning how large waves usually are
DAYS = 365.2425


@dataclass(frozen=True, slots=True)
class Seasons:
    """Sine and cosine of each wave, in log sales: of all series, and for some texts (attributes, keys) of the series that have each."""

    whole: tuple[float, ...] = ()
    groups: Mapping[str, Mapping[str, tuple[float, ...]]] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.whole or self.groups)

    def lift(self, panel: Panel, at: Array | slice = slice(None)) -> Array:
        """Return the log effect of the time of the year, (series or 1, columns `at`)."""
        waves = _waves(panel, at)
        found: Array = (waves @ np.array(self.whole or _FLAT)).astype("f4")[None]
        for name, told in self.groups.items():
            texts, code = _coded(panel, name)
            shapes = np.array([*(told.get(text, _FLAT) for text in texts), _FLAT]) @ waves.T
            found = found + shapes.astype("f4")[code]
        return found

    def meta(self) -> dict[str, Any]:
        """Return it as plain JSON data."""
        groups = {name: {text: list(shape) for text, shape in told.items()} for name, told in self.groups.items()}
        return {"whole": list(self.whole), "groups": groups}

    @classmethod
    def from_meta(cls, meta: Mapping[str, Any]) -> Seasons:
        """Read it back; raises Incompatible, and KeyError, ValueError and TypeError, which the reader of the parts wraps."""
        whole = tuple(float(value) for value in meta["whole"])
        groups = {
            str(name): {str(text): tuple(float(value) for value in shape) for text, shape in told.items()}
            for name, told in meta["groups"].items()
        }
        shapes = [*([whole] if whole else []), *(shape for told in groups.values() for shape in told.values())]
        if any(len(shape) != 2 * WAVES for shape in shapes):
            raise Incompatible("a year has other waves than are known here", hint="train the model again")
        return cls(whole, groups)


_FLAT = (0.0,) * 2 * WAVES
NONE = Seasons()


@dataclass(frozen=True, slots=True)
class _Sums:
    """Cycles of a panel: what each series sold, on how many known periods, and what every cycle's place in time is."""

    sold: Array  # (series, cycles)
    days: Array  # (series, cycles)
    design: Array  # (cycles, 2 + 2 WAVES): one, years, waves
    part: Array  # (cycles,): which part of the history is held back together
    back: int  # cycles of the level that a change is counted from

    @classmethod
    def of(cls, panel: Panel, steady: Array) -> _Sums:
        cycle, cut = panel.grain.cycle, panel.cut
        start = cut % cycle
        count = (cut - start) // cycle
        known = np.isfinite(steady[:, start:cut])

        def summed(values: Array) -> Array:
            found: Array = values.reshape(len(values), count, cycle).sum(2, dtype="f8")
            return found

        waves = _waves(panel, slice(start, cut)).reshape(count, cycle, -1).mean(1)
        years = (np.arange(count) - count / 2) * cycle / panel.grain.year
        parts = max(2, round(cut / panel.grain.year))
        design = np.concatenate([np.ones((count, 1)), years[:, None], waves], 1)
        sold, days = summed(np.where(known, steady[:, start:cut], 0)), summed(known)
        return cls(sold, days, design, np.arange(count) * parts // count, max(panel.grain.level // cycle, 1))

    def ratios(self, lift: Array, group: Array) -> Array:
        """Return log sales of each group against its series' own levels times `lift`, (groups, cycles); NaN where none was known."""
        usual = self.days * np.exp(lift)
        usual *= (self.sold.sum(1) / np.maximum(usual.sum(1), 1e-9))[:, None]
        came, wanted = _together(self.sold, group), _together(usual, group)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where((came > 0) & (wanted > 0), np.log(came / wanted), np.nan)


def _together(values: Array, group: Array) -> Array:
    """Return the sums of rows of one group, (groups, cycles)."""
    order = np.argsort(group, kind="stable")
    present, first = np.unique(group[order], return_index=True)
    found: Array = np.zeros((int(group.max()) + 1, values.shape[1]))
    found[present] = np.add.reduceat(values[order], first, 0)
    return found


def learn(panel: Panel, steady: Array) -> Seasons:
    """Learn the shape from `steady`, sales without what own levers and events do, (series, periods), before the cut.

    Sums of cycles are held against the level of each series; their log is regressed on a trend and on waves of the year by ridge, with
    noise that lasts taken as what it is worth. What the series of a text do is regressed on what all do; how large their waves usually
    are is learned of all texts (empirical Bayes). A shape is believed as far as it tells what changed in the years it was not learned
    from, and not at all where that is less than BORNE_OUT.
    """
    grain = panel.grain
    if grain.year < LEAST_PERIODS or panel.cut < YEARS * grain.year:
        return NONE
    sums = _Sums.of(panel, steady)
    everyone = np.zeros(len(panel), "i8")
    whole = _borne_out(sums, np.zeros_like(sums.sold), everyone, apart=False)
    lift = np.zeros_like(sums.sold) if whole is None else (whole @ sums.design[:, 2:].T)[everyone]
    groups = {}
    alike = {name: _coded(panel, name) for name in (*(name for name in panel.codes if name in panel.static), *panel.keys)}
    for name, (texts, group) in sorted(alike.items(), key=lambda one: len(one[1][0])):
        if not 2 <= len(texts) <= min(MOST_TEXTS, len(panel) / ALIKE):
            continue
        told = _borne_out(sums, lift, group, apart=True)
        if told is not None:
            lift = lift + (told @ sums.design[:, 2:].T)[group]
            groups[name] = {text: tuple(float(value) for value in shape) for text, shape in zip(texts, told, strict=False)}
    return Seasons(() if whole is None else tuple(float(value) for value in whole[0]), groups)


def _coded(panel: Panel, name: str) -> tuple[Sequence[str], Array]:
    """Return the texts of a static column or a key, and which of them each series has: one more where it has none that is known."""
    if name in panel.keys:
        texts, code = np.unique(panel.keys[name].astype(str), return_inverse=True)
        return texts.tolist(), code
    known = panel.codes.get(name, [])
    code = panel.static.get(name, np.full(len(panel), np.nan))
    return known, np.where(np.isfinite(code), code, len(known)).astype("i8")


def _borne_out(sums: _Sums, lift: Array, group: Array, *, apart: bool) -> Array | None:
    """Return the waves of each group, (groups, 2 WAVES), as far as held-out years bear them out; None where they do not.

    `apart`: groups are told by what they do otherwise than all.
    """
    waves = sums.design[:, 2:]
    count = int(group.max()) + 1
    told, came = np.zeros((count, 2 * WAVES)), np.empty(0)
    for _ in range(ROUNDS):
        now = lift + (told @ waves.T)[group]
        came = sums.ratios(now, group) + told @ waves.T
        if apart:
            came = came - sums.ratios(now, np.zeros_like(group))
        told = _waved(sums.design, came, apart=apart)
    before, after = [], []
    for part in range(int(sums.part.max()) + 1):
        shape = _waved(sums.design, np.where(sums.part == part, np.nan, came), apart=apart) @ waves.T
        for at in range(sums.back, len(waves) - AHEAD):
            if sums.part[at] == part:
                before.append(_change(shape, at, sums.back))
                after.append(_change(came, at, sums.back))
    said, true = np.concatenate(before, None), np.concatenate(after, None)
    fine = np.isfinite(true)
    said, true = said[fine], true[fine]
    share = float(np.clip((said @ true) / max(float(said @ said), 1e-12), 0, 1))
    left = float(((true - share * said) ** 2).sum())
    return share * told if left < (1 - BORNE_OUT) * float(true @ true) else None


def _change(values: Array, at: int, back: int) -> Array:
    """Return how the next cycles differ from the level of the last ones, (groups, AHEAD)."""
    known = np.isfinite(values[:, at - back : at])
    level = np.where(known, values[:, at - back : at], 0).sum(1) / np.maximum(known.sum(1), 1)
    found: Array = values[:, at : at + AHEAD] - np.where(known.any(1), level, np.nan)[:, None]
    return found


def _waved(design: Array, came: Array, *, apart: bool) -> Array:
    """Return the waves of each row of log ratios, (rows, 2 WAVES); of several rows, how large they usually are is learned."""
    usual = np.array([WIDTH**2 / wave**2 for wave in range(1, WAVES + 1)])
    found, spread = np.zeros((len(came), 2 * WAVES)), np.zeros((len(came), 2 * WAVES))
    for _ in range(STEPS if apart else 1):
        prior = np.concatenate([[1e2, TREND**2], np.repeat(usual, 2)])
        told = [row for row, values in enumerate(came) if np.isfinite(values).sum() > design.shape[1]]
        for row in told:
            found[row], spread[row] = _ridge(design, came[row], prior)
        if apart and told:
            usual = np.maximum((found[told] ** 2 + spread[told]).mean(0).reshape(WAVES, 2).mean(1), 1e-8)
    return found


def _ridge(design: Array, came: Array, prior: Array) -> tuple[Array, Array]:
    """Return mean and variance of the waves of one row; noise counts with how long it lasts."""
    known = np.isfinite(came)
    rows, came = design[known], came[known]
    noise = 0.05**2
    for _ in range(ROUNDS):
        spread = np.linalg.inv(rows.T @ rows / noise + np.diag(1 / prior))
        found = spread @ (rows.T @ came) / noise
        left = came - rows @ found
        lasts = float(np.clip((left[1:] @ left[:-1]) / max(float(left @ left), 1e-12), 0, 0.9))
        noise = max(float(left.var()), 1e-6) * (1 + lasts) / (1 - lasts)
    return found[2:], np.diag(spread)[2:]


def _waves(panel: Panel, at: Array | slice) -> Array:
    """Return sine and cosine of each wave at some columns, (columns, 2 WAVES)."""
    angle = 2 * np.pi / DAYS * panel.clock.date(panel.numbers()[at]).astype("M8[D]").astype("f8")
    return np.stack([turn(wave * angle) for wave in range(1, WAVES + 1) for turn in (np.sin, np.cos)], 1)
